import os
import pickle
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from archive import tool
from archive.errors import Cancelled, DiskFull, HuikanError, ToolFailed, ToolTimeout, Unavailable
from archive.tool import Finished, Limits, run_tool

ROOT = Path(__file__).parents[2]
PATIENT = Limits(wall_s=60)
# Prints its own number and then is busy for longer than any test waits.
ENDLESS = ["sh", "-c", "echo $$; exec sleep 600"]


def python(code: str, limits: Limits = PATIENT) -> Finished:
    return run_tool([sys.executable, "-c", code], limits=limits)


@contextmanager
def watched(pid: int) -> Iterator[int]:
    pidfd = os.pidfd_open(pid)
    try:
        yield pidfd
    finally:
        os.close(pidfd)


def ends(pidfd: int) -> bool:
    """Whether the process ends while we wait; a pidfd is readable from then on."""
    return bool(select.select([pidfd], [], [], 20)[0])


def is_gone(pid: int) -> bool:
    try:
        with watched(pid) as pidfd:
            return ends(pidfd)  # an orphan is init's to reap, which may be still to come
    except ProcessLookupError:
        return True


def test_a_tool_returns_what_it_said_and_what_it_cost() -> None:
    done = python("import sys; print('out'); print('err', file=sys.stderr)")
    assert (done.returncode, done.stdout, done.stderr_tail) == (0, b"out\n", "err\n")
    assert done.cpu_s > 0


def test_lines_arrive_while_the_tool_still_runs() -> None:
    seen: list[str] = []
    with pytest.raises(Cancelled):
        run_tool(ENDLESS, limits=PATIENT, on_line=seen.append, cancelled=lambda: bool(seen))
    assert seen[0].isdigit()


def test_the_last_line_counts_even_without_its_newline() -> None:
    seen: list[str] = []
    done = run_tool(["printf", "a\\nb"], limits=PATIENT, on_line=seen.append)
    assert seen == ["a", "b"]
    assert done.stdout == b""


def test_a_line_without_end_is_handed_out_in_pieces() -> None:
    seen: list[str] = []
    run_tool(["head", "-c", "1000000", "/dev/zero"], limits=PATIENT, on_line=seen.append)
    assert sum(map(len, seen)) == 1_000_000
    assert max(map(len, seen)) <= tool.LINE_LIMIT_BYTES + 2**16


def test_the_end_of_a_long_stderr_is_kept() -> None:
    done = python("import sys; sys.stderr.write('x' * 1_000_000 + 'the end')")
    assert done.stderr_tail.endswith("xthe end")
    assert len(done.stderr_tail) == tool.STDERR_TAIL_BYTES


def test_endless_output_is_stopped() -> None:
    with pytest.raises(ToolFailed, match="wrote more than"):
        run_tool(["cat", "/dev/zero"], limits=PATIENT)


def test_an_error_names_the_tool_its_code_and_its_last_words() -> None:
    with pytest.raises(ToolFailed) as caught:
        run_tool(["sh", "-c", "echo first >&2; echo 'bad\tfile' >&2; exit 3"], limits=PATIENT)
    assert str(caught.value) == "sh: exit 3: bad file"
    assert "退出码 3" in caught.value.reason_zh


@pytest.mark.parametrize("error", [ToolFailed("ffmpeg", 1, "no\nluck"), ToolTimeout("ffmpeg", 2.5)])
def test_errors_survive_the_engine_that_pickles_them(error: HuikanError) -> None:
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 — our own bytes
    assert (type(again), str(again), again.reason_zh) == (type(error), str(error), error.reason_zh)


def test_a_missing_tool_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Unavailable) as caught:
        run_tool(["ffmpeg", "-version"], limits=PATIENT)
    assert "apt install ffmpeg" in caught.value.reason_zh


def test_a_tool_that_cannot_run_blames_the_machine(tmp_path: Path) -> None:
    broken = tmp_path / "ffmpeg"
    broken.write_bytes(b"\x7fELF of another machine")
    broken.chmod(0o755)
    with pytest.raises(Unavailable, match="Exec format error"):
        run_tool([str(broken)], limits=PATIENT)


def test_a_tool_that_somebody_killed_may_be_tried_again() -> None:
    with pytest.raises(Unavailable, match="killed from outside"):
        run_tool(["sh", "-c", "kill -9 $$"], limits=PATIENT)


def test_nothing_of_ours_is_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUIKAN_SIGNING_KEY", "canary")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary")
    done = run_tool(["env"], limits=PATIENT, env_extra={"FOO": "bar"})
    names = {line.split("=")[0] for line in done.stdout.decode().splitlines()}
    assert names == {"PATH", "LC_ALL", "TZ", "MALLOC_ARENA_MAX", "FOO"}


def test_no_input_and_no_open_file_is_inherited(tmp_path: Path) -> None:
    with (tmp_path / "catalog.sqlite").open("w") as ours:
        os.set_inheritable(ours.fileno(), True)
        done = run_tool(["sh", "-c", "cat; ls -l /proc/self/fd"], limits=PATIENT)
    assert b"catalog.sqlite" not in done.stdout
    assert b"/dev/null" in done.stdout


def test_it_runs_where_it_is_told(tmp_path: Path) -> None:
    assert run_tool(["pwd"], limits=PATIENT, cwd=tmp_path).stdout.decode().strip() == str(tmp_path)


def test_wall_time_is_limited() -> None:
    with pytest.raises(ToolTimeout, match="sleep: not done after"):
        run_tool(["sleep", "600"], limits=Limits(wall_s=0.3))


def test_cpu_time_is_limited() -> None:
    with pytest.raises(ToolTimeout, match="after 1 s"):
        python("while True: pass", Limits(wall_s=60, cpu_s=1))


def test_memory_is_limited() -> None:
    with pytest.raises(ToolFailed, match="MemoryError"):
        python("x = bytearray(2**30)", Limits(wall_s=60, memory_bytes=512 * 2**20))


def test_the_size_of_a_file_is_limited(tmp_path: Path) -> None:
    with pytest.raises(ToolFailed) as caught:
        run_tool(
            ["dd", "if=/dev/zero", "of=big", "bs=1M", "count=2"], limits=Limits(60, file_bytes=2**20), cwd=tmp_path
        )
    assert "File too large" in caught.value.stderr_tail
    assert (tmp_path / "big").stat().st_size == 2**20


def test_a_full_disk_is_told_apart_even_when_the_tool_shrugs_it_off() -> None:
    with pytest.raises(DiskFull):
        run_tool(["sh", "-c", "/bin/echo x > /dev/full; exit 0"], limits=PATIENT)


def test_cancelling_kills_the_tool_and_its_helpers() -> None:
    pids: list[str] = []
    helper = ["sh", "-c", "sleep 600 & echo $!; echo $$; wait"]
    with pytest.raises(Cancelled):
        run_tool(helper, limits=PATIENT, on_line=pids.append, cancelled=lambda: len(pids) == 2)
    assert all(is_gone(int(pid)) for pid in pids)


def test_what_is_cancelled_already_never_begins(tmp_path: Path) -> None:
    with pytest.raises(Cancelled):
        run_tool(["touch", str(tmp_path / "made")], limits=PATIENT, cancelled=lambda: True)
    assert not list(tmp_path.iterdir())


def test_cancelling_is_noticed_within_half_a_second_though_the_tool_is_silent() -> None:
    asked: list[None] = []
    with pytest.raises(Cancelled):
        run_tool(["sleep", "600"], limits=PATIENT, cancelled=lambda: asked.append(None) or len(asked) == 2)
    assert tool.POLL_S <= 0.5


def test_a_helper_left_behind_is_ended_and_not_waited_for() -> None:
    done = run_tool(["sh", "-c", "sleep 600 & echo $!"], limits=PATIENT)
    assert is_gone(int(done.stdout))


def test_an_error_in_the_listener_ends_the_tool() -> None:
    pids: list[int] = []

    def listen(line: str) -> None:
        pids.append(int(line))
        raise ValueError(line)

    with pytest.raises(ValueError, match=r"\d+"):
        run_tool(ENDLESS, limits=PATIENT, on_line=listen)
    assert is_gone(pids[0])


def test_a_killed_parent_takes_its_tools_along() -> None:
    code = (
        "from archive.tool import *; import os, threading\n"
        # One write for each line: print writes its end apart, and two threads' lines would mix.
        "say = lambda pid: os.write(1, f'{pid.strip()}\\n'.encode())\n"
        f"run = lambda: run_tool({ENDLESS!r}, limits=Limits(600), on_line=say)\n"
        "threading.Thread(target=run).start()\n"
        "run()"
    )
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True) as parent:
        try:
            assert parent.stdout is not None
            pids = [int(parent.stdout.readline()) for _ in range(2)]
            with watched(pids[0]) as one, watched(pids[1]) as other:
                parent.send_signal(signal.SIGKILL)
                assert ends(one)
                assert ends(other)
        finally:
            parent.kill()


def test_a_tool_whose_parent_died_before_it_began_never_begins(tmp_path: Path) -> None:
    nobody = "1" if os.getpid() != 1 else "2"
    launch = [sys.executable, "-I", "-S", str(ROOT / "archive" / "launch.py"), nobody, "tool", "-", "-", "-"]
    done = subprocess.run([*launch, "/usr/bin/touch", str(tmp_path / "began")], check=False)
    assert done.returncode == 125
    assert not (tmp_path / "began").exists()


def test_many_threads_may_run_tools_at_once() -> None:
    results: list[bytes] = []
    threads = [
        threading.Thread(target=lambda n=n: results.append(run_tool(["echo", str(n)], limits=PATIENT).stdout))
        for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == [b"%d\n" % n for n in range(8)]
