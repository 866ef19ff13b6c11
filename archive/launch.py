"""The last step before a child process: run as a script (see archive.sandbox), and replaced by the program itself.

    python -I -S launch.py PARENT_PID MODE CPU_S MEMORY_BYTES FILE_BYTES PROGRAM ARGUMENT…     ("-" where there is no limit)

MODE is `service` (a part of ours that lives long), `tool` (may gain no privileges, stays behind the web pages in line for
the processor, opens and forks within bounds), or `offline` (a tool without a network, in a user namespace of its own).

It ties the program's life to its parent's and sets the resource limits. A process of its own, because Python code between
fork and exec (`preexec_fn`) may deadlock in a process with threads, and our workers have many.
"""

import ctypes
import os
import resource
import signal
import sys

EXIT_NOT_CONFINED = 124
EXIT_PARENT_GONE = 125
EXIT_NOT_EXECUTABLE = 126  # as shells and env(1) say it
TOOL_NICE = 10
TOOL_FILES = "1024"
TOOL_TASKS = "8192"  # of one user; five encoders on 128 cores have some 1,000 threads. The kernel exempts root
_UID_INSIDE = 1000  # not 0: a program that root starts would get every capability of its namespace
_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38
_CLONE_NEWIPC, _CLONE_NEWUSER, _CLONE_NEWNET = 0x08000000, 0x10000000, 0x40000000


def main(argv: list[str]) -> None:
    """Never returns: becomes PROGRAM, or exits with one of the codes above."""
    parent_pid, mode, cpu_s, memory_bytes, file_bytes, *command = argv
    libc = ctypes.CDLL(None, use_errno=True)
    if mode == "offline":
        _leave_the_network(libc)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)  # after that: the kernel forgets it when credentials change
    if os.getppid() != int(parent_pid):  # it died before the line above: no signal would ever come
        sys.exit(EXIT_PARENT_GONE)
    if mode != "service":
        libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        os.nice(TOOL_NICE)
        _limit(resource.RLIMIT_NOFILE, TOOL_FILES)
        _limit(resource.RLIMIT_NPROC, TOOL_TASKS)
    _limit(resource.RLIMIT_CPU, cpu_s)
    _limit(resource.RLIMIT_AS, memory_bytes)
    _limit(resource.RLIMIT_FSIZE, file_bytes)
    _limit(resource.RLIMIT_CORE, "0")  # a core file would be a copy of the lesson that nobody erases
    # Python ignores both, and a program inherits that. SIGXFSZ stays ignored: a write past the limit then fails with
    # "File too large", which the tool can report, instead of killing it without a word.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    try:
        os.execv(command[0], command)  # noqa: S606 — that is what this file is for
    except OSError as error:
        sys.stderr.write(f"{command[0]}: {error.strerror}\n")
        sys.exit(EXIT_NOT_EXECUTABLE)


def _leave_the_network(libc: ctypes.CDLL) -> None:
    """Into namespaces with no interface that is up, as the same user for every file; exits where that is forbidden."""
    uid, gid = os.getuid(), os.getgid()
    if libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET | _CLONE_NEWIPC) != 0:
        sys.stderr.write(f"unshare: {os.strerror(ctypes.get_errno())}\n")
        sys.exit(EXIT_NOT_CONFINED)
    try:
        # Without the first line the kernel takes no gid_map from an ordinary user.
        for name, text in (("setgroups", "deny"), ("uid_map", uid), ("gid_map", gid)):
            with open(f"/proc/self/{name}", "w") as file:  # noqa: PTH123 — pathlib would double the start-up time
                file.write(text if isinstance(text, str) else f"{_UID_INSIDE} {text} 1")
    except OSError as error:
        sys.stderr.write(f"unshare: {error.strerror}\n")
        sys.exit(EXIT_NOT_CONFINED)


def _limit(which: int, value: str) -> None:
    """Soft and hard alike. At the hard CPU limit the kernel kills; the soft one's signal ffmpeg would catch."""
    if value == "-":
        return
    _, hard = resource.getrlimit(which)
    wanted = int(value) if hard == resource.RLIM_INFINITY else min(int(value), hard)
    resource.setrlimit(which, (wanted, wanted))


if __name__ == "__main__":
    main(sys.argv[1:])
