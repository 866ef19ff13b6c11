"""The one place where child processes are born.

A tool runs in its own session and process group, with an environment that holds no secret of ours, under limits, with
its input closed and its output bounded; `run_tool` returns only when the whole group is gone. One that reads foreign
bytes is given `confined`: archive.sandbox says what it then sees. It also dies with us: launch.py asks the kernel for
SIGKILL at its parent's death (PR_SET_PDEATHSIG). The kernel's "parent" is the *thread* that forked; that thread stays
inside `run_tool` for as long as the tool lives, so the signal can only mean that our process was killed. (A grandchild
is not covered by that signal: run programs that do their own work, or exec. bwrap, whose child a confined tool is, asks
for the same signal on its behalf.)
"""

import errno
import os
import select
import selectors
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from archive import sandbox
from archive.errors import Cancelled, DiskFull, ToolFailed, ToolTimeout, Unavailable
from archive.launch import EXIT_NOT_CONFINED
from archive.sandbox import Confined

STDOUT_LIMIT_BYTES = 8 * 2**20  # ffprobe's JSON of a 16-track file is some 40 KB
STDERR_TAIL_BYTES = 16 * 2**10
LINE_LIMIT_BYTES = 64 * 2**10
POLL_S = 0.4  # how often `cancelled` is asked: often enough to stop within a second, though it may be a database query

_GRACE_S = 10  # for bwrap to notice that its tool was killed; a process in the midst of a disk write dies after it
_CANNOT_RUN = (126, 127)  # the launcher's and the dynamic linker's way of saying that the program never began
_DISK_FULL = tuple(os.strerror(code).encode() for code in (errno.ENOSPC, errno.EDQUOT))  # as a tool in C says it
_INSTALL_ZH = {"ffmpeg": "请安装：apt install ffmpeg。", "ffprobe": "请安装：apt install ffmpeg。"}


@dataclass(frozen=True, slots=True)
class Limits:
    """What one run may use; None is no limit. `memory_bytes` is address space, `file_bytes` the size of any file."""

    wall_s: float
    cpu_s: int | None = None
    memory_bytes: int | None = None
    file_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Finished:
    """How a tool ended well. `stdout` is empty where its lines went to `on_line`."""

    returncode: int
    stdout: bytes
    stderr_tail: str
    cpu_s: float = 0.0


def run_tool(
    argv: Sequence[str],
    *,
    limits: Limits,
    cwd: Path | None = None,
    on_line: Callable[[str], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
    env_extra: Mapping[str, str] | None = None,
    confined: Confined | None = None,
) -> Finished:
    """Run `argv` to its end. `on_line` gets stdout's lines as they come; `cancelled` is asked before it begins, and twice
    a second or more. With `confined` it sees no more of this machine than that, as far as the machine can hold it to it.

    Raises Cancelled; ToolTimeout when wall or CPU seconds are used up; DiskFull when the tool met a full disk, whatever
    it returned; Unavailable when it is missing, cannot begin, cannot be confined as this machine otherwise can, or was
    killed from outside; ToolFailed for any other end.
    """
    name = Path(argv[0]).name
    if cancelled is not None and cancelled():  # a run of quick tools would be over before any of them asked
        raise Cancelled(name)
    level = sandbox.level() if confined else "none"
    with (
        selectors.DefaultSelector() as selector,
        _start(name, argv, limits, cwd, env_extra or {}, confined) as process,
    ):
        output = _Output(name, on_line, process, selector)
        try:
            _watch(process, output, limits.wall_s, cancelled)
            _kill_group(process)  # a straggler would keep the pipes open
            output.drain()
        finally:
            if level == "bubblewrap":
                _kill_inside(process)
            cpu_s = _end(process)
    if level != "none":
        _check_confined(name, process.returncode, output, level)
    if level == "bubblewrap":
        process.returncode = _without_bwrap(process.returncode)
    _judge(name, process.returncode, output, cpu_s, limits)
    return Finished(process.returncode, bytes(output.stdout), output.stderr_tail, cpu_s)


def tied_to_us(argv: Sequence[str]) -> list[str]:
    """The command line that runs `argv` (an absolute program first) so that it dies when the thread that starts it does.

    For the long-lived children that `run_tool` is not for: the embedded store, a worker beside the server.
    """
    return sandbox.launched(argv, "service")


def _start(
    name: str,
    argv: Sequence[str],
    limits: Limits,
    cwd: Path | None,
    env_extra: Mapping[str, str],
    confined: Confined | None,
) -> subprocess.Popen[bytes]:
    program = shutil.which(argv[0])
    if program is None:
        raise Unavailable(name, "not found on PATH", _INSTALL_ZH.get(name, f"请安装 {name}。"))
    mode, command = "tool", [program, *argv[1:]]
    if confined:
        mode, command = sandbox.enclosed(command, confined, cwd)
    try:
        return subprocess.Popen(
            sandbox.launched(command, mode, (limits.cpu_s, limits.memory_bytes, limits.file_bytes)),
            cwd=cwd,
            env=_environment() | dict(env_extra),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            # No terminal to type into, a group to kill with its helpers, and a Ctrl-C that stays ours to handle.
            start_new_session=True,
        )
    except OSError as error:
        raise Unavailable(name, f"cannot start: {error}", "请检查内存与进程数限制。") from error


def _environment() -> dict[str, str]:
    """The search path and fixed words: settings and secrets travel in HUIKAN_… variables, which no tool needs."""
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "LC_ALL": "C.UTF-8",  # error texts in English, file names in UTF-8
        "TZ": "UTC",
        "MALLOC_ARENA_MAX": "4",  # each arena reserves 64 MiB of the address space that memory_bytes limits
    }


class _Output:
    """What a tool says: stdout whole or line by line, the end of stderr, and whether it met a full disk."""

    def __init__(
        self,
        name: str,
        on_line: Callable[[str], None] | None,
        process: subprocess.Popen[bytes],
        selector: selectors.BaseSelector,
    ) -> None:
        self.stdout = bytearray()
        self.disk_full = False
        self.selector = selector
        self.name, self._on_line = name, on_line
        self._stderr = bytearray()
        for stream, take in ((process.stdout, self._take_stdout), (process.stderr, self._take_stderr)):
            if stream is not None:
                os.set_blocking(stream.fileno(), False)
                selector.register(stream, selectors.EVENT_READ, take)

    @property
    def stderr_tail(self) -> str:
        return self._stderr.decode("utf-8", "replace")

    def read(self, timeout_s: float) -> bool:
        """Take what comes within `timeout_s`; False if nothing came."""
        ready = [key for key, _ in self.selector.select(timeout_s) if key.data is not None]
        for key in ready:
            data = os.read(key.fd, 2**16)
            if data:
                key.data(data)
            else:
                self.selector.unregister(key.fileobj)
        return bool(ready)

    def drain(self) -> None:
        """The rest of it, once nobody writes any more."""
        while self.read(0):
            pass
        if self._on_line and self.stdout:
            self._on_line(self.stdout.decode("utf-8", "replace"))
            self.stdout.clear()

    def _take_stderr(self, data: bytes) -> None:
        self._stderr += data
        self.disk_full = self.disk_full or any(words in self._stderr for words in _DISK_FULL)
        del self._stderr[:-STDERR_TAIL_BYTES]

    def _take_stdout(self, data: bytes) -> None:
        self.stdout += data
        if self._on_line is None:
            if len(self.stdout) > STDOUT_LIMIT_BYTES:
                raise ToolFailed(self.name, -signal.SIGKILL, f"wrote more than {STDOUT_LIMIT_BYTES} bytes")
            return
        *lines, rest = bytes(self.stdout).split(b"\n")
        if len(rest) > LINE_LIMIT_BYTES:
            lines, rest = [*lines, rest], b""
        self.stdout[:] = rest
        for line in lines:
            self._on_line(line.decode("utf-8", "replace"))


def _watch(
    process: subprocess.Popen[bytes], output: _Output, wall_s: float, cancelled: Callable[[], bool] | None
) -> None:
    """Returns when the tool itself has ended. Its pipes would not tell: a straggler may hold them open."""
    deadline = time.monotonic() + wall_s
    next_poll = time.monotonic() + POLL_S
    ended = os.pidfd_open(process.pid)
    output.selector.register(ended, selectors.EVENT_READ, None)
    try:
        while not _has_ended(process):
            output.read(max(0.0, min(next_poll, deadline) - time.monotonic()))
            now = time.monotonic()
            if now >= deadline:
                raise ToolTimeout(output.name, wall_s)
            if now >= next_poll:
                next_poll = now + POLL_S
                if cancelled is not None and cancelled():
                    raise Cancelled(output.name)
    finally:
        output.selector.unregister(ended)
        os.close(ended)


def _has_ended(process: subprocess.Popen[bytes]) -> bool:
    """Without reaping it: until then its number, and its group's, cannot become somebody else's."""
    return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _kill_inside(process: subprocess.Popen[bytes]) -> None:
    """bwrap's child is process 1 of a namespace: killed, it takes all the others along, also those that left the group,
    before bwrap hears of it and ends. So nobody writes any more when this returns, and their CPU seconds are counted.
    """
    try:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text(encoding="ascii").split()
    except OSError:  # a kernel without CONFIG_PROC_CHILDREN: bwrap's --die-with-parent does it, a little later
        return
    for child in children:
        with suppress(ProcessLookupError):
            os.kill(int(child), signal.SIGKILL)
    if children:
        ended = os.pidfd_open(process.pid)
        select.select([ended], [], [], _GRACE_S)
        os.close(ended)


def _end(process: subprocess.Popen[bytes]) -> float:
    """Kill what is left, reap, and say how many CPU seconds it took."""
    _kill_group(process)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return usage.ru_utime + usage.ru_stime


def _check_confined(name: str, returncode: int, output: _Output, level: sandbox.Level) -> None:
    """Raises Unavailable where bwrap or launch.py gave up before the tool began: then its words are the first."""
    if level == "bubblewrap":
        gave_up = returncode == 1 and output.stderr_tail.startswith("bwrap: ")
    else:
        gave_up = returncode == EXIT_NOT_CONFINED
    if gave_up:
        why = ToolFailed(name, returncode, output.stderr_tail).last_line
        raise Unavailable(name, f"cannot be confined: {why}", sandbox.REMEDY_ZH)


def _without_bwrap(returncode: int) -> int:
    """As the tool itself ended: bwrap says 128 and the signal's number, as shells do."""
    return 128 - returncode if returncode - 128 in set(signal.Signals) else returncode


def _judge(name: str, returncode: int, output: _Output, cpu_s: float, limits: Limits) -> None:
    if output.disk_full:
        raise DiskFull("工作磁盘", f"{name} found no space left", "请清理磁盘空间，任务会自动继续。")
    if returncode == -signal.SIGKILL:
        if limits.cpu_s is not None and cpu_s >= limits.cpu_s - 1:  # the kernel counts in ticks
            raise ToolTimeout(name, limits.cpu_s)
        raise Unavailable(name, "killed from outside", "多半是内存不足，请查看系统日志（dmesg）。")
    if returncode in _CANNOT_RUN:
        failed = ToolFailed(name, returncode, output.stderr_tail)
        raise Unavailable(name, f"cannot run: {failed.last_line}", _INSTALL_ZH.get(name, f"请重新安装 {name}。"))
    if returncode != 0:
        raise ToolFailed(name, returncode, output.stderr_tail)
