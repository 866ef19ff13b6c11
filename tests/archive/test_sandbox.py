"""What a confined program can reach: tried by real programs, at each level that this machine allows."""

import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from archive import launch, sandbox
from archive.errors import Cancelled, ToolFailed, ToolTimeout, Unavailable
from archive.sandbox import Level
from archive.tool import Confined, Finished, Limits, run_tool

ROOT = Path(__file__).parents[2]
PATIENT = Limits(wall_s=60)
# A program of its own prefix: the tests' may lie in a home directory, which a confined tool does not see.
PREFIX = Path(sys.base_prefix)
PYTHON = [str(PREFIX / "bin" / "python3"), "-I", "-S", "-c"]
ENDLESS = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
STRANGE_NAMES = ["a b.mp4", "-y.mp4", "new\nline.mp4", "50%d.mp4", "$(id)|sh;.mp4", "第一课 “上”.mp4", "--bind"]


def need(wanted: Level) -> None:
    if sandbox.level() != wanted:
        pytest.skip(f"NOT PROVEN HERE: this machine allows {sandbox.level()!r} only, not {wanted!r} (huikan doctor)")


@pytest.fixture
def without_bubblewrap(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine where it was never installed."""
    programs = tmp_path_factory.mktemp("bin")
    for name in ("sh", "true", "sleep", "cat", "ffmpeg", "ffprobe"):
        (programs / name).symlink_to(shutil.which(name) or f"/bin/{name}")
    monkeypatch.setenv("PATH", str(programs))
    sandbox.level.cache_clear()
    yield
    sandbox.level.cache_clear()


@pytest.fixture(params=["bubblewrap", "unshare"])
def strength(request: pytest.FixtureRequest) -> Level:
    if request.param == "unshare":
        request.getfixturevalue("without_bubblewrap")
    need(request.param)
    return request.param


def confined(
    code: str,
    *arguments: str | Path,
    reads: tuple[Path, ...] = (),
    writes: Path | None = None,
    limits: Limits = PATIENT,
    cwd: Path | None = None,
) -> Finished:
    argv = [*PYTHON, code, *map(str, arguments)]
    return run_tool(argv, limits=limits, cwd=cwd, confined=Confined((PREFIX, *reads), writes))


def is_gone(pid: int) -> bool:
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([pidfd], [], [], 20)[0])
    finally:
        os.close(pidfd)


def descendants(pid: int) -> list[int]:
    told = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    return [found for child in map(int, told) for found in (child, *descendants(child))]


def started(parent: subprocess.Popen[str]) -> list[int]:
    """The numbers, as we see them, of everything below a process of ours whose tool has just said its first line."""
    assert parent.stdout is not None
    assert parent.stdout.readline()
    return descendants(parent.pid)


def test_there_is_no_network(strength: Level) -> None:
    code = (
        "import socket, sys\n"
        "try: socket.create_connection(('127.0.0.1', int(sys.argv[1])), 5)\n"
        "except OSError as error: print(error.strerror)"
    )
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.5)
        port = str(server.getsockname()[1])
        assert confined(code, port).stdout.decode().strip() in ("Connection refused", "Network is unreachable")
        with pytest.raises(TimeoutError):
            server.accept()
        run_tool([*PYTHON, code, port], limits=PATIENT)  # the same program unconfined: the test can tell
        server.accept()[0].close()


def test_only_the_named_files_are_seen(tmp_path: Path) -> None:
    need("bubblewrap")
    named, other = tmp_path / "named", tmp_path / "other"
    for file in (named, other):
        file.write_text(file.name)
    code = (
        "import sys, os, json\n"
        "def read(path):\n"
        "    try: return open(path).read()\n"
        "    except OSError as error: return error.strerror\n"
        "print(json.dumps([[read(path) for path in sys.argv[1:]], os.listdir('/'), os.listdir('/etc')]))"
    )
    secrets = ["/etc/passwd", "/etc/hostname", f"/proc/{os.getpid()}/environ", str(Path(__file__))]
    texts, root, etc = json.loads(confined(code, named, other, *secrets, reads=(named,)).stdout)
    assert texts == ["named", *["No such file or directory"] * (len(secrets) + 1)]
    assert not {"home", "root", "var", "run", "boot", "mnt", "srv"} & ({*root} - {PREFIX.parts[1]})
    assert {*etc} <= {"ld.so.cache", "ld.so.conf", "ld.so.conf.d", "alternatives"}


def test_only_the_named_folder_takes_writes(tmp_path: Path) -> None:
    need("bubblewrap")
    out, source, inside = tmp_path / "out", tmp_path / "source", tmp_path / "out" / "source"
    out.mkdir()
    for file in (source, inside):
        file.write_text("as it was")
    code = (
        "import sys, json\n"
        "def write(path):\n"
        "    try: open(path, 'w').write('x')\n"
        "    except OSError as error: return error.strerror\n"
        "print(json.dumps([write(path) for path in sys.argv[1:]]))"
    )
    # Where this runs as root, as in many containers, the last is root's to write: it names what the kernel runs.
    shut = [source, inside, "/here", "/dev/here", "/etc/here", "/usr/here", "/proc/sys/kernel/core_pattern"]
    done = json.loads(confined(code, out / "new", *shut, reads=(source, inside), writes=out).stdout)
    assert done[0] is None
    assert {*done[1:]} <= {"Read-only file system", "Permission denied"}
    assert (source.read_text(), inside.read_text(), (out / "new").read_text()) == ("as it was", "as it was", "x")


def test_it_sees_no_other_process_and_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    need("bubblewrap")
    monkeypatch.setenv("HUIKAN_STORE_SECRET_KEY", "canary")
    code = (
        "import os\n"
        "numbers = [name for name in os.listdir('/proc') if name.isdigit()]\n"
        "print(numbers, *(open(f'/proc/{n}/environ').read() for n in numbers), *os.environ.values())"
    )
    told = confined(code).stdout.decode()
    assert told.startswith("['1'] ")
    assert "canary" not in told


def test_it_has_no_privileges_and_cannot_gain_any(strength: Level) -> None:
    status = dict(
        line.split(":\t", 1)
        for line in confined("print(open('/proc/self/status').read())").stdout.decode().splitlines()
        if ":\t" in line
    )
    assert status["NoNewPrivs"] == "1"
    assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == 0


def test_every_tool_runs_behind_the_web_pages_and_within_bounds() -> None:
    code = "import os, resource as r; print(os.nice(0), *(r.getrlimit(w)[1] for w in (r.RLIMIT_NOFILE, r.RLIMIT_CORE)))"
    nice, files, core = map(int, run_tool([*PYTHON, code], limits=PATIENT).stdout.split())
    assert nice == min(os.nice(0) + launch.TOOL_NICE, 19)
    assert (files, core) == (int(launch.TOOL_FILES), 0)


@pytest.mark.parametrize("name", STRANGE_NAMES)
def test_a_strange_name_is_only_a_name(strength: Level, tmp_path: Path, name: str) -> None:
    source, out = tmp_path / name, tmp_path / f"out {name}"
    source.write_text("content")
    out.mkdir()
    code = "import sys; open('written', 'w').write(open(sys.argv[1]).read())"
    confined(code, source, reads=(source,), writes=out, cwd=out)
    assert (out / "written").read_text() == "content"


def test_a_relative_name_means_the_same_inside(
    strength: Level, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "source").write_text("content")
    monkeypatch.chdir(tmp_path)
    done = run_tool(["cat", str(tmp_path / "source")], limits=PATIENT, confined=Confined((Path("source"),)))
    assert done.stdout == b"content"


def test_the_limits_hold_inside_and_its_cost_is_counted(strength: Level, tmp_path: Path) -> None:
    busy = "import time\nwhile time.process_time() < {}: pass"
    assert confined(busy.format(0.5)).cpu_s >= 0.5
    with pytest.raises(ToolTimeout, match="after 1 s"):
        confined(busy.format(60), limits=Limits(wall_s=60, cpu_s=1))
    with pytest.raises(ToolTimeout, match="after 1 s"):
        confined("import time; time.sleep(60)", limits=Limits(wall_s=1))
    with pytest.raises(ToolFailed, match="MemoryError"):
        confined("x = bytearray(2**30)", limits=Limits(wall_s=60, memory_bytes=512 * 2**20))
    with pytest.raises(ToolFailed, match="File too large"):
        confined(
            "open('big', 'wb').write(bytes(2**21))", writes=tmp_path, cwd=tmp_path, limits=Limits(60, file_bytes=2**20)
        )


def test_its_own_end_is_told_as_without_a_sandbox(strength: Level) -> None:
    with pytest.raises(ToolFailed) as caught:
        confined(r"import sys; sys.exit('first\nbwrap: then')")
    assert (caught.value.returncode, caught.value.last_line) == (1, "bwrap: then")
    with pytest.raises(ToolFailed) as caught:
        confined("import ctypes; ctypes.string_at(0)")
    assert caught.value.returncode == -signal.SIGSEGV


def test_somebody_may_kill_it_and_then_it_may_be_tried_again(strength: Level) -> None:
    def kill_the_innermost(_line: str) -> None:
        mine = [
            pid for pid in descendants(os.getpid()) if ENDLESS.encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
        ]
        os.kill(mine[-1], signal.SIGKILL)

    with pytest.raises(Unavailable, match="killed from outside"):
        run_tool([*PYTHON, ENDLESS], limits=PATIENT, on_line=kill_the_innermost, confined=Confined((PREFIX,)))


def test_a_program_that_cannot_run_blames_the_machine(strength: Level, tmp_path: Path) -> None:
    broken = tmp_path / "ffmpeg"
    broken.write_bytes(b"\x7fELF of another machine")
    broken.chmod(0o755)
    with pytest.raises(Unavailable, match="cannot run: "):
        run_tool([str(broken)], limits=PATIENT, confined=Confined(()))


def test_a_program_outside_the_system_is_seen_with_its_own_name(strength: Level, tmp_path: Path) -> None:
    (tmp_path / "real").write_text("#!/bin/sh\necho ran\n")
    (tmp_path / "real").chmod(0o755)
    (tmp_path / "name").symlink_to("real")
    assert run_tool([str(tmp_path / "name")], limits=PATIENT, confined=Confined(())).stdout == b"ran\n"


def test_what_is_not_there_cannot_be_shown(tmp_path: Path) -> None:
    need("bubblewrap")
    with pytest.raises(Unavailable, match="cannot be confined: bwrap: Can't find source path"):
        run_tool(["true"], limits=PATIENT, confined=Confined((tmp_path / "absent",)))


def test_it_never_runs_with_less_than_the_machine_can_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    need("bubblewrap")
    broken = tmp_path / "bwrap"
    broken.write_text("#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2; exit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(Unavailable, match="cannot be confined: bwrap: No permissions") as caught:
        run_tool(["touch", str(out / "ran")], limits=PATIENT, confined=Confined((), out))
    assert "apt install bubblewrap" in caught.value.reason_zh
    assert not (out / "ran").exists()


def test_a_namespace_that_is_refused_later_is_no_run(without_bubblewrap: None, tmp_path: Path) -> None:
    need("unshare")
    refused = [*sandbox.launched(["/bin/touch", str(tmp_path / "ran")], "offline")]
    bwrap = shutil.which("bwrap", path=os.defpath + ":/usr/bin")
    if bwrap is None:
        pytest.skip("NOT PROVEN HERE: needs bubblewrap to make a machine that forbids user namespaces")
    # The parent inside is this shell: launch.py looks whether it still lives.
    refused[refused.index(str(os.getpid()))] = "$$"
    shell = " ".join(word if word == "$$" else f"'{word}'" for word in refused) + "; exit $?"
    walls = [bwrap, "--dev-bind", "/", "/", "--unshare-user", "--disable-userns", "--"]
    done = subprocess.run([*walls, "/bin/sh", "-c", shell], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (launch.EXIT_NOT_CONFINED, "unshare: No space left on device\n")
    assert not (tmp_path / "ran").exists()


def test_cancelling_ends_a_tool_that_hides_from_the_signal(tmp_path: Path) -> None:
    """It leaves the group, forgets whose death to follow and forks; and nobody writes once run_tool has returned."""
    need("bubblewrap")
    code = (
        "import ctypes, os, time\n"
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        "ctypes.CDLL(None).prctl(1, 0, 0, 0, 0)\n"
        "print('begun', flush=True)\n"
        "while True: open(f'{os.getpid()}-{time.monotonic_ns()}', 'w').close()"
    )
    seen: list[str] = []
    with pytest.raises(Cancelled):
        run_tool(
            [*PYTHON, code],
            limits=PATIENT,
            cwd=tmp_path,
            on_line=seen.append,
            cancelled=lambda: len(seen) == 2,
            confined=Confined((PREFIX,), tmp_path),
        )
    left = len(list(tmp_path.iterdir()))
    assert left > 0
    time.sleep(0.2)
    assert len(list(tmp_path.iterdir())) == left


def test_a_killed_parent_takes_its_confined_tool_along(strength: Level) -> None:
    code = (
        "from archive.tool import *\nfrom pathlib import Path\n"
        f"run_tool({[*PYTHON, ENDLESS]!r}, limits=Limits(600), confined=Confined((Path({str(PREFIX)!r}),)),"
        " on_line=lambda line: print(line, flush=True))"
    )
    argv = [sys.executable, "-c", code]
    with subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, text=True) as parent:
        pids = started(parent)
        assert len(pids) == (2 if strength == "bubblewrap" else 1)
        parent.send_signal(signal.SIGKILL)
        assert all(is_gone(pid) for pid in pids)


def test_many_threads_may_run_confined_tools_at_once() -> None:
    results: list[bytes] = []

    def run(number: int) -> None:
        results.append(run_tool(["echo", str(number)], limits=PATIENT, confined=Confined(())).stdout)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == [b"%d\n" % number for number in range(8)]


def test_where_namespaces_are_forbidden_required_does_not_start_and_auto_says_so() -> None:
    need("bubblewrap")  # it makes such a machine: no user namespace can be made within
    code = (
        "from archive import sandbox\nfrom archive.errors import Misconfigured\n"
        "from archive.tool import Confined, Limits, run_tool\n"
        "sandbox.demand('auto')\n"
        "try: sandbox.demand('required')\n"
        "except Misconfigured as error: print(error)\n"
        "print(sandbox.level(), run_tool(['echo', 'ran'], limits=Limits(60), confined=Confined(())).stdout)"
    )
    walls = [str(shutil.which("bwrap")), "--dev-bind", "/", "/", "--unshare-user", "--disable-userns"]
    walls += ["--cap-drop", "ALL", "--"]
    done = subprocess.run([*walls, sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True)
    assert "without a sandbox" in done.stdout
    assert "HUIKAN_SANDBOX=required" in done.stdout
    assert "apt install bubblewrap" in done.stdout
    assert done.stdout.endswith("none b'ran\\n'\n")


def test_where_there_is_a_sandbox_required_starts(strength: Level) -> None:
    sandbox.demand("required")
