"""faster-whisper behind the port: what happens when its model, its device or its settings are not what they should be."""

import json
import shutil
from pathlib import Path

import pytest

from archive.errors import ModelMissing, Unavailable
from tests.transcribe.spoken import ENGLISH, english_engine, never, nowhere, silence, spoken, sung, with_pieces
from transcribe.utterance import Heard
from transcribe.weights import builtin_english_model
from transcribe.whisper import FasterWhisper


@pytest.fixture
def wav(tmp_path: Path) -> Path:
    return silence(1, tmp_path / "silence.wav")


@pytest.fixture
def english_folder() -> Path:
    folder = builtin_english_model()
    assert folder is not None
    return folder


def copy_of(folder: Path, target: Path, *, without: str) -> Path:
    """A model's folder with one file left out, for the test to put its own there."""
    target.mkdir()
    for file in folder.iterdir():
        if file.name != without:
            (target / file.name).symlink_to(file)
    return target


def refusal(engine: FasterWhisper, wav: Path) -> Unavailable:
    with pytest.raises(Unavailable) as caught:
        engine.transcribe(wav, language="en", on_progress=nowhere, cancelled=never)
    return caught.value


def test_an_english_model_asked_for_chinese_says_which_setting_to_change(wav: Path) -> None:
    with pytest.raises(ModelMissing) as caught:
        english_engine().transcribe(wav, language="zh", on_progress=nowhere, cancelled=never)
    assert "只懂英语" in caught.value.reason_zh
    assert "HUIKAN_SPEECH_MODEL" in caught.value.reason_zh


def test_a_missing_model_is_unavailable_and_described_as_such(wav: Path, tmp_path: Path) -> None:
    engine = FasterWhisper("small", download=False, models_dir=tmp_path)
    assert isinstance(refusal(engine, wav), ModelMissing)
    description = engine.describe()
    assert description.folder is None
    assert description.multilingual is None
    assert "hf download" in description.remedy_zh


def test_a_model_that_arrives_later_is_used_without_a_restart(wav: Path, tmp_path: Path, english_folder: Path) -> None:
    engine = FasterWhisper("small", device="cpu", download=False, models_dir=tmp_path)
    assert isinstance(refusal(engine, wav), ModelMissing)
    (tmp_path / "small").symlink_to(english_folder)
    assert engine.transcribe(wav, language="en", on_progress=nowhere, cancelled=never) == Heard()


def test_damaged_weights_are_a_missing_model(wav: Path, tmp_path: Path, english_folder: Path) -> None:
    folder = copy_of(english_folder, tmp_path / "model", without="model.bin")
    shutil.copy(english_folder / "config.json", folder / "model.bin")
    error = refusal(FasterWhisper(str(folder), device="cpu", models_dir=tmp_path), wav)
    assert isinstance(error, ModelMissing)
    assert str(folder) in error.reason_zh


def test_a_folder_whose_spectrum_does_not_fit_the_weights_is_noticed(
    wav: Path, tmp_path: Path, english_folder: Path
) -> None:
    folder = copy_of(english_folder, tmp_path / "model", without="")
    (folder / "preprocessor_config.json").write_text(json.dumps({"feature_size": 128}))
    error = refusal(FasterWhisper(str(folder), device="cpu", models_dir=tmp_path), wav)
    assert "preprocessor_config.json" in error.reason_zh


@pytest.mark.parametrize(("device", "compute_type"), [("cpu", "float12"), ("tpu", "default"), ("cuda", "float16")])
def test_a_device_this_machine_does_not_have_is_unavailable_with_the_setting(
    wav: Path, english_folder: Path, device: str, compute_type: str
) -> None:
    if device == "cuda" and _has_cuda():
        pytest.skip("this machine has a GPU: the missing one cannot be tried")
    engine = FasterWhisper(str(english_folder), device=device, compute_type=compute_type, models_dir=english_folder)
    assert "HUIKAN_SPEECH_DEVICE" in refusal(engine, wav).reason_zh


def test_transcripts_name_the_model_they_came_from(english_folder: Path, tmp_path: Path) -> None:
    assert english_engine().name == "faster-whisper tiny.en"
    assert FasterWhisper("large-v3-turbo", models_dir=tmp_path).name == "faster-whisper large-v3-turbo"
    assert FasterWhisper("/models/belle", models_dir=tmp_path).name == "faster-whisper belle"


def _has_cuda() -> bool:
    import ctranslate2  # behind engine.py elsewhere; a test may ask the machine

    return bool(ctranslate2.get_cuda_device_count())


def test_a_song_without_words_gets_none_and_what_is_said_around_it_is_kept(tmp_path: Path) -> None:
    sentence, song = spoken(*ENGLISH)[44:], sung((60, 62, 64, 65, 67, 67, 69, 67, 65, 64, 62, 60))
    lesson = with_pieces([sentence, bytes(32_000), song, bytes(32_000), sentence], tmp_path / "music.wav")
    heard = english_engine().transcribe(lesson, language="en", on_progress=nowhere, cancelled=never)
    text = " ".join(each.text for each in heard.utterances)
    assert text.count("village near the river") == 2
    sung_from_ms = len(sentence) // 32 + 1_000
    during = [each for each in heard.utterances if sung_from_ms + 500 < each.span.start_ms < sung_from_ms + 11_500]
    assert during == []


def test_a_lesson_that_is_all_song_succeeds(tmp_path: Path) -> None:
    lesson = with_pieces([sung((60, 64, 67, 72) * 3)], tmp_path / "song.wav")
    assert english_engine().transcribe(lesson, language="en", on_progress=nowhere, cancelled=never) == Heard()
