"""The engine's own process: one for many lessons, replaced when it has worked enough, and no loss when it is killed."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archive import errors
from archive.errors import Cancelled, HuikanError, ModelMissing, Unavailable, Unsupported
from archive.model import Span
from tests.transcribe.spoken import ENGLISH, english_child, never, nowhere, silence, spoken
from tests.transcribe.test_cues import any_utterance
from transcribe.choice import EngineChoice
from transcribe.process import ChildEngine, Recycling
from transcribe.utterance import Doubt, Heard, Incident, Utterance
from transcribe.wire import error_as_json, error_from_json, heard_as_json, heard_from_json


@pytest.fixture(scope="module")
def wav(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("speech") / "heard.wav"
    path.write_bytes(spoken(*ENGLISH))
    return path


@pytest.fixture
def child() -> Iterator[ChildEngine]:
    engine = english_child()
    yield engine
    engine.close()


def listen(engine: ChildEngine, wav: Path, language: str = "en") -> Heard:
    return engine.transcribe(wav, language=language, on_progress=nowhere, cancelled=never)


def test_one_process_serves_many_lessons_and_errors_come_through_as_they_are(child: ChildEngine, wav: Path) -> None:
    assert child.pid is None, "nothing is started before it is needed"
    first = listen(child, wav)
    pid = child.pid
    with pytest.raises(ModelMissing, match=r"tiny\.en") as refused:
        listen(child, wav, "zh")
    assert "HUIKAN_SPEECH_MODEL" in refused.value.remedy_zh
    assert listen(child, wav) == first
    assert child.pid == pid


def test_a_process_that_was_killed_is_unavailable_once_and_then_there_is_another(child: ChildEngine, wav: Path) -> None:
    said = listen(child, wav)
    pid = child.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)  # so that it has the order, and cannot have answered, when it is killed
    asked = count()

    def killed_at_the_third_look() -> bool:
        if next(asked) == 2:
            os.kill(pid, signal.SIGKILL)
        return False

    with pytest.raises(Unavailable, match="died"):
        child.transcribe(wav, language="en", on_progress=nowhere, cancelled=killed_at_the_third_look)
    assert listen(child, wav) == said
    assert child.pid != pid


def test_a_lesson_that_is_cancelled_does_not_cost_the_model(child: ChildEngine, wav: Path) -> None:
    said = listen(child, wav)
    pid, seen = child.pid, list[float]()
    with pytest.raises(Cancelled):
        child.transcribe(wav, language="en", on_progress=seen.append, cancelled=lambda: bool(seen))
    assert child.pid == pid
    assert listen(child, wav) == said


@pytest.mark.parametrize("recycling", [Recycling(after_ms=1), Recycling(growth_bytes=-(2**40))])
def test_it_makes_way_for_a_fresh_one_when_it_has_worked_or_grown_enough(recycling: Recycling, tmp_path: Path) -> None:
    engine = english_child(recycling)
    quiet = silence(1, tmp_path / "quiet.wav")
    assert listen(engine, quiet) == Heard()
    assert engine.pid is None
    assert listen(engine, quiet) == Heard()


def test_its_model_is_looked_for_where_the_settings_say(wav: Path, tmp_path: Path) -> None:
    engine = ChildEngine(EngineChoice("small", str(tmp_path), download=False))
    with pytest.raises(ModelMissing):
        listen(engine, wav)
    assert engine.describe().folder is None
    engine.close()


def test_it_dies_with_the_process_that_started_it(wav: Path) -> None:
    script = (
        "import sys\nfrom pathlib import Path\nfrom tests.transcribe.spoken import english_child\n"
        "engine = english_child()\n"
        f"engine.transcribe(Path({str(wav)!r}), language='en', on_progress=lambda _: None, cancelled=lambda: False)\n"
        "print(engine.pid, flush=True)\nsys.stdin.read()\n"
    )
    root = Path(__file__).parent.parent.parent
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=root
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert Path(f"/proc/{pid}").exists()
        parent.kill()
        parent.wait()
    deadline = time.monotonic() + 10
    while _lives(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not _lives(pid)


def _lives(pid: int) -> bool:
    """A zombie that nobody reaped yet is dead."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


DOUBTS = st.lists(st.sampled_from(Doubt), unique=True).map(tuple)


@given(st.lists(any_utterance()).map(tuple), DOUBTS, st.text())
def test_what_was_heard_crosses_the_pipe_unchanged(
    utterances: tuple[Utterance, ...], doubts: tuple[Doubt, ...], text: str
) -> None:
    incidents = tuple(Incident(doubt, Span(0, 9), "kept", text) for doubt in doubts)
    heard = Heard(utterances, incidents)
    assert heard_from_json(json.loads(json.dumps(heard_as_json(heard)))) == heard


@pytest.mark.parametrize("error", [ModelMissing("a", "b", "c"), Unsupported("a", "ug"), Cancelled("speech")])
def test_errors_cross_the_pipe_unchanged(error: HuikanError) -> None:
    again = error_from_json(error_as_json(error))
    assert (type(again), str(again), again.reason_zh) == (type(error), str(error), error.reason_zh)


def test_an_error_of_another_release_is_unavailable() -> None:
    assert isinstance(error_from_json({"error": "Sunspots", "arguments": []}), errors.Unavailable)
