"""sherpa-onnx as far as it goes without weights: what is said about a folder that is no model, and how results become words.

NOT RUN here: hearing. No weights can be had where this is built; set HUIKAN_TEST_SHERPA_MODEL to a SenseVoice or
Paraformer folder and the whole contract suite runs on it.
"""

import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archive.errors import ModelMissing, Unavailable, Unsupported
from archive.model import Span
from tests.transcribe.spoken import never, nowhere, silence
from transcribe.sherpa import ModelFiles, SherpaOnnx, files_in, utterance_of

INSTALLED = find_spec("sherpa_onnx") is not None


def folder_with(path: Path, *names: str, tokens: str = "<blk> 0\n<|zh|> 1\n好 2\n") -> Path:
    path.mkdir()
    for name in names:
        (path / name).write_bytes(b"no network")
    (path / "tokens.txt").write_text(tokens, encoding="utf-8")
    return path


def listen(engine: SherpaOnnx, tmp_path: Path, language: str | None = "zh") -> None:
    wav = silence(1, tmp_path / "quiet.wav")
    engine.transcribe(wav, language=language, on_progress=nowhere, cancelled=never)


def test_a_folder_is_known_by_its_files(tmp_path: Path) -> None:
    sense = folder_with(tmp_path / "sense", "model.onnx", "model.int8.onnx")
    assert files_in(sense) == ModelFiles("sense-voice", sense / "model.int8.onnx", sense / "tokens.txt")
    para = folder_with(tmp_path / "para", "model.onnx", tokens="<blank> 0\n好 1\n")
    assert files_in(para) == ModelFiles("paraformer", para / "model.onnx", para / "tokens.txt")
    assert isinstance(files_in(folder_with(tmp_path / "empty")), str)
    assert isinstance(files_in(tmp_path / "nowhere"), str)


def test_a_missing_model_is_unavailable_and_described_as_such(tmp_path: Path) -> None:
    engine = SherpaOnnx("sense-voice-small", models_dir=tmp_path)
    with pytest.raises(ModelMissing) as caught:
        listen(engine, tmp_path)
    assert "asr-models" in caught.value.remedy_zh
    described = engine.describe()
    assert (described.folder, described.name) == (None, "sherpa-onnx sense-voice-small")
    assert described.remedy_zh == caught.value.remedy_zh


def test_a_language_that_no_such_model_knows_is_unsupported(tmp_path: Path) -> None:
    engine = SherpaOnnx(str(folder_with(tmp_path / "sense", "model.onnx")), models_dir=tmp_path)
    with pytest.raises(Unsupported):
        listen(engine, tmp_path, "bo")


def test_without_the_library_the_remedy_is_to_install_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sherpa_onnx", None)
    engine = SherpaOnnx(str(folder_with(tmp_path / "sense", "model.onnx")), models_dir=tmp_path)
    with pytest.raises(Unavailable, match="not installed") as caught:
        listen(engine, tmp_path)
    assert "pip install sherpa-onnx" in caught.value.remedy_zh


@pytest.mark.skipif(not INSTALLED, reason="NOT RUN: sherpa-onnx is not installed (it is an optional extra)")
@pytest.mark.parametrize("tokens", ["<blk> 0\n<|zh|> 1\n", "<blank> 0\n好 1\n"], ids=["sense-voice", "paraformer"])
def test_damaged_weights_are_a_missing_model_and_do_not_end_the_process(tmp_path: Path, tokens: str) -> None:
    engine = SherpaOnnx(str(folder_with(tmp_path / "model", "model.onnx", tokens=tokens)), models_dir=tmp_path)
    with pytest.raises(ModelMissing) as caught:
        listen(engine, tmp_path)
    assert "无法加载" in caught.value.reason_zh


def test_sense_voices_tokens_become_words_with_their_times() -> None:
    tokens = ["今", "天", "学", "▁app", "le", "。"]
    found = utterance_of("今天学 apple。", tokens, [0.0, 0.2, 0.5, 1.0, 1.3, 1.5], Span(10_000, 13_000), "zh")
    assert found is not None
    assert "".join(word.text for word in found.words) == "今天学 apple。"
    assert [word.span for word in found.words][:3] == [Span(10_000, 10_200), Span(10_200, 10_500), Span(10_500, 11_000)]
    assert found.words[-1].span == Span(11_500, 12_100), "no syllable lasts into the silence"


def test_paraformers_tokens_too() -> None:
    found = utterance_of(
        "我们 open 书", ["我", "们", "op@@", "en", "书"], [0.0, 0.2, 0.4, 0.6, 0.9], Span(0, 2_000), "zh"
    )
    assert found is not None
    assert "".join("".join(word.text for word in found.words).split()) == "我们open书"


def test_tokens_that_do_not_give_the_text_are_not_believed() -> None:
    found = utterance_of("今天5%", ["今", "天", "百"], [0.0, 0.1, 0.2], Span(0, 1_000), "zh")
    assert found is not None
    assert (found.words, found.span) == ((), Span(0, 1_000))
    assert utterance_of("<|zh|> ", [], [], Span(0, 1_000), "zh") is None


@given(st.lists(st.tuples(st.sampled_from(["好", "▁a", "b@@", "。", ""]), st.floats(-1, 40)), max_size=8))
def test_whatever_the_times_words_stay_in_their_clip(pairs: list[tuple[str, float]]) -> None:
    tokens, times = [token for token, _ in pairs], [at for _, at in pairs]
    clip = Span(5_000, 20_000)
    found = utterance_of("".join(tokens).replace("▁", " ").replace("@@", ""), tokens, times, clip, "zh")
    for word in found.words if found else ():
        assert clip.start_ms <= word.span.start_ms < word.span.end_ms <= clip.end_ms + 1
