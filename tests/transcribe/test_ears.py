"""Which engine hears which lesson, and a model that says of itself what it is for."""

import json
from pathlib import Path

import pytest

from api.doctor import examine
from archive.errors import ModelMissing
from archive.settings import Settings
from ingest.runtime import open_speech
from tests.transcribe.spoken import never, nowhere, silence
from tests.transcribe.test_engine import copy_of
from transcribe import weights
from transcribe.whisper import FasterWhisper


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    english, mandarin = weights.builtin_english_model(), tmp_path / "mandarin"
    assert english is not None
    copy_of(english, mandarin, without=weights.ABOUT)
    say(mandarin, name="小耳朵", languages=["zh"], demo=True)
    by_language = {"en": str(english)}
    return Settings(home=tmp_path / "home", speech_model=str(mandarin), speech_model_by_language=by_language)


def say(folder: Path, **about: object) -> None:
    (folder / weights.ABOUT).write_text(json.dumps(about), encoding="utf-8")


def test_a_language_with_a_model_of_its_own_is_heard_by_it(settings: Settings) -> None:
    ears = open_speech(settings)
    assert ears.of("en").name == ears.of("en-GB").name == "faster-whisper tiny.en"
    usual = "faster-whisper 小耳朵（演示模型）"
    assert [ears.of(language).name for language in ("zh", "zh-Hans", "zh+en", "fr", None)] == [usual] * 5


def test_each_lesson_is_heard_in_its_language_and_the_transcripts_recipe_tells_the_models_apart(
    settings: Settings,
) -> None:
    ears = open_speech(settings)
    assert ears.of("en").describe().fingerprint
    assert ears.of("zh").describe().is_demo
    assert not ears.of("en").describe().is_demo


def test_a_model_is_asked_for_no_language_that_it_does_not_claim(tmp_path: Path, settings: Settings) -> None:
    engine = FasterWhisper(settings.speech_model, models_dir=tmp_path)
    with pytest.raises(ModelMissing) as caught:
        engine.transcribe(silence(1, tmp_path / "a.wav"), language="en", on_progress=nowhere, cancelled=never)
    assert "只懂普通话" in caught.value.reason_zh
    assert "HUIKAN_SPEECH_MODEL_BY_LANGUAGE" in caught.value.reason_zh


def test_doctor_says_plainly_that_it_is_a_demonstration(settings: Settings) -> None:
    (found,) = (check for check in examine(settings) if check.name_zh == "语音模型")
    assert found.ok
    assert "演示模型" in found.note_zh
    assert "不能用于学校" in found.note_zh
    assert "en：faster-whisper tiny.en" in found.note_zh


def test_damaged_words_of_a_model_about_itself_name_the_file(tmp_path: Path) -> None:
    (tmp_path / weights.ABOUT).write_text("{", encoding="utf-8")
    with pytest.raises(ModelMissing, match=r"huikan\.json"):
        weights.about(tmp_path)
