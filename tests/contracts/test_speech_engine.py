"""What every speech engine promises, asked of each adapter with real speech.

The English model is always there. A multilingual one is heard too when HUIKAN_TEST_SPEECH_MODEL names its folder, and
sherpa-onnx when HUIKAN_TEST_SHERPA_MODEL names a SenseVoice or Paraformer folder.
"""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from threading import Event

import pytest

from archive.errors import Cancelled, ModelMissing, Unsupported
from tests.transcribe.spoken import ENGLISH, MANDARIN, english_child, english_engine, never, nowhere, silence, spoken
from transcribe import audio
from transcribe.engine import SpeechEngine
from transcribe.sherpa import SherpaOnnx
from transcribe.utterance import Utterance
from transcribe.whisper import FasterWhisper

MULTILINGUAL = os.environ.get("HUIKAN_TEST_SPEECH_MODEL", "")
SHERPA = os.environ.get("HUIKAN_TEST_SHERPA_MODEL", "")
EARS = ["english", "english child", *(["multilingual"] if MULTILINGUAL else []), *(["sherpa"] if SHERPA else [])]


@dataclass(frozen=True)
class Ear:
    """An engine, what is said to it, in which language, and a word it must have heard."""

    engine: SpeechEngine
    speech: tuple[str, str]
    language: str
    word: str
    unknown_language: str


@dataclass(frozen=True)
class Heard:
    """One run over the speech: it costs seconds, so the promises are read off the same one."""

    wav: Path
    utterances: tuple[Utterance, ...]
    progress: list[float]


@pytest.fixture(scope="module", params=EARS)
def ear(request: pytest.FixtureRequest) -> Iterator[Ear]:
    if request.param == "english":
        yield Ear(english_engine(), ENGLISH, "en", "village", "zh")
    elif request.param == "english child":
        engine = english_child()
        yield Ear(engine, ENGLISH, "en", "village", "zh")
        engine.close()
    elif request.param == "sherpa":
        yield Ear(SherpaOnnx(SHERPA, models_dir=Path(SHERPA).parent), MANDARIN, "zh-Hans", "今天", "tlh")
    else:
        whisper = FasterWhisper(MULTILINGUAL, download=False, models_dir=Path(MULTILINGUAL).parent)
        yield Ear(whisper, MANDARIN, "zh-Hans", "今天", "tlh")


@pytest.fixture(scope="module")
def heard(ear: Ear, tmp_path_factory: pytest.TempPathFactory) -> Heard:
    wav = tmp_path_factory.mktemp("speech") / "heard.wav"
    wav.write_bytes(spoken(*ear.speech))
    progress: list[float] = []
    told = ear.engine.transcribe(wav, language=ear.language, on_progress=progress.append, cancelled=never)
    return Heard(wav, told.utterances, progress)


def listen(ear: Ear, wav: Path, language: str | None) -> tuple[Utterance, ...]:
    return ear.engine.transcribe(wav, language=language, on_progress=nowhere, cancelled=never).utterances


def test_chinese_speech_is_heard_too() -> None:
    if not MULTILINGUAL:
        pytest.skip("NOT RUN: Chinese speech. Set HUIKAN_TEST_SPEECH_MODEL to a multilingual model's folder.")


def test_the_second_engine_is_heard_too() -> None:
    if not SHERPA:
        pytest.skip("NOT RUN: sherpa-onnx. Set HUIKAN_TEST_SHERPA_MODEL to a SenseVoice or Paraformer folder.")


def test_what_was_said_is_heard(ear: Ear, heard: Heard) -> None:
    assert ear.word in "".join(utterance.text for utterance in heard.utterances).lower()
    assert {utterance.language for utterance in heard.utterances} == {ear.language.split("-")[0]}


def test_times_are_in_order_and_inside_the_sound(heard: Heard) -> None:
    assert all(earlier.span.start_ms <= later.span.start_ms for earlier, later in pairwise(heard.utterances))
    spans = [each.span for each in heard.utterances] + [word.span for each in heard.utterances for word in each.words]
    assert all(0 <= span.start_ms < span.end_ms <= audio.duration_ms(heard.wav) for span in spans)


def test_words_make_up_the_text(heard: Heard) -> None:
    for utterance in heard.utterances:
        assert "".join(word.text for word in utterance.words).strip() == utterance.text


def test_progress_never_falls_and_ends_at_one(heard: Heard) -> None:
    assert heard.progress == sorted(heard.progress)
    assert heard.progress[-1] == 1.0
    assert len(heard.progress) > 1


def test_threads_share_an_engine_and_the_same_sound_gives_the_same_utterances(ear: Ear, heard: Heard) -> None:
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda _: listen(ear, heard.wav, ear.language), range(2))
    assert first == second == heard.utterances


def test_without_a_language_the_engine_guesses_one_it_knows(ear: Ear, heard: Heard) -> None:
    assert all(utterance.language for utterance in listen(ear, heard.wav, None))


@pytest.mark.parametrize("seconds", [0.02, 5])
@pytest.mark.parametrize("guessing", [False, True])
def test_silence_is_a_success_without_utterances(ear: Ear, tmp_path: Path, seconds: float, guessing: bool) -> None:  # noqa: FBT001
    wav = silence(seconds, tmp_path / "silence.wav")
    assert listen(ear, wav, None if guessing else ear.language) == ()


def test_a_language_the_model_does_not_know_is_refused_and_not_invented(ear: Ear, heard: Heard) -> None:
    with pytest.raises((ModelMissing, Unsupported)) as caught:
        listen(ear, heard.wav, ear.unknown_language)
    assert "语言" in caught.value.reason_zh


def test_cancelling_stops_between_two_utterances_and_frees_the_engine(ear: Ear, heard: Heard, tmp_path: Path) -> None:
    seen: list[float] = []
    with pytest.raises(Cancelled):
        ear.engine.transcribe(heard.wav, language=ear.language, on_progress=seen.append, cancelled=lambda: bool(seen))
    assert len(seen) == 1
    assert listen(ear, silence(1, tmp_path / "silence.wav"), ear.language) == ()


def test_a_lesson_that_waits_for_the_engine_can_be_cancelled(ear: Ear, heard: Heard) -> None:
    busy, cancelled = Event(), Event()

    def hold(fraction: float) -> None:
        busy.set()
        assert cancelled.wait(60)

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(ear.engine.transcribe, heard.wav, language=ear.language, on_progress=hold, cancelled=never)
        assert busy.wait(60)
        with pytest.raises(Cancelled):
            ear.engine.transcribe(heard.wav, language=ear.language, on_progress=nowhere, cancelled=lambda: True)
        cancelled.set()
        assert first.result().utterances == heard.utterances


def test_it_describes_itself(ear: Ear) -> None:
    description = ear.engine.describe()
    assert description.name == ear.engine.name
    assert description.folder is not None
    assert description.multilingual is (ear.language != "en")
    assert not description.remedy_zh
