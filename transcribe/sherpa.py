"""sherpa-onnx behind the port: SenseVoice and Paraformer folders, which hear Chinese on a CPU well and quickly.

An optional extra. These models are not autoregressive: they cannot fall into loops and take no hints, and they say nothing about
how sure they are, so that probabilities are 1 and no homophone is put right on their account.
"""
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportMissingImports=false

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any, Literal

from archive.errors import ModelMissing, Unavailable, Unsupported
from archive.model import Span
from archive.timecode import ms_from_seconds
from transcribe import machine, weights
from transcribe.audio import SAMPLE_RATE_HZ, Window
from transcribe.engine import EngineDescription, codes_of, hear_through, stop_if
from transcribe.listening import Order
from transcribe.utterance import Heard, Utterance, Word

_LOCK_POLL_S = 0.5
_AT_ONCE = 8
_LANGUAGES = {"sense-voice": frozenset({"zh", "en", "ja", "ko", "yue"}), "paraformer": frozenset({"zh", "en"})}
_TAG = re.compile(r"<\|([a-z]+)\|>")
_LONGEST_TOKEN_MS = 600  # the models give starts alone; a syllable that is followed by silence lasts no longer
_INSTALL_ZH = "请在回看的环境里运行 pip install sherpa-onnx，或把 HUIKAN_SPEECH_ENGINE 改回 faster-whisper。"

Kind = Literal["sense-voice", "paraformer"]


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """What a folder of sherpa-onnx's model releases holds."""

    kind: Kind
    model: Path
    tokens: Path


def files_in(folder: Path) -> ModelFiles | str:
    """The model's files, or what is wrong with the folder. The quantised model is taken where both are there."""
    if not folder.is_dir():
        return "不存在，或不是文件夹"
    tokens = folder / "tokens.txt"
    found = [file for file in (folder / "model.int8.onnx", folder / "model.onnx") if file.is_file()]
    if not found or not tokens.is_file():
        return "里缺少 model.int8.onnx（或 model.onnx）与 tokens.txt"
    # SenseVoice writes its languages into its text; Paraformer has no such tokens.
    kind: Kind = "sense-voice" if "<|zh|>" in tokens.read_text(encoding="utf-8", errors="replace") else "paraformer"
    return ModelFiles(kind, found[0], tokens)


class SherpaOnnx:
    def __init__(self, model: str, *, threads: int = 0, models_dir: Path) -> None:
        named = Path(model).expanduser()
        self._folder = named if named.is_absolute() or named.is_dir() else models_dir / model
        self._threads = threads
        self._lock = Lock()
        self._loaded: dict[str, _Loaded] = {}

    @property
    def name(self) -> str:
        return f"sherpa-onnx {self._folder.name}"

    def describe(self) -> EngineDescription:
        files = files_in(self._folder)
        if isinstance(files, str):
            return EngineDescription(self.name, None, None, self._missing(files).remedy_zh)
        return EngineDescription(
            self.name, self._folder, multilingual=True, fingerprint=weights.fingerprint(files.model)
        )

    def transcribe(
        self,
        wav: Path,
        *,
        language: str | None,
        hotwords: tuple[str, ...] = (),
        stretch: Span | None = None,
        on_progress: Callable[[float], None],
        cancelled: Callable[[], bool],
    ) -> Heard:
        while not self._lock.acquire(timeout=_LOCK_POLL_S):
            stop_if(cancelled)
        try:
            stop_if(cancelled)
            files = files_in(self._folder)
            if isinstance(files, str):
                raise self._missing(files)
            codes, known = codes_of(language), _LANGUAGES[files.kind]
            if any(code not in known for code in codes):
                raise Unsupported(f"语音模型 {self.name}", language or "")
            decoder = self._ready(files, codes[0] if len(codes) == 1 else "auto")
            order = Order(codes, known)
            return hear_through(decoder, wav, order, stretch=stretch, on_progress=on_progress, cancelled=cancelled)
        finally:
            self._lock.release()

    def _ready(self, files: ModelFiles, language: str) -> "_Loaded":
        """The recogniser for a language: the library fixes it when the model is loaded."""
        if files.kind == "paraformer":
            language = ""
        if language not in self._loaded:
            self._loaded = {language: _Loaded(self._load(files, language), files.kind)}  # one at a time is in memory
        return self._loaded[language]

    def _load(self, files: ModelFiles, language: str) -> Any:
        try:
            import sherpa_onnx
        except ImportError as error:
            raise Unavailable("语音识别", "sherpa-onnx is not installed", _INSTALL_ZH) from error
        same: dict[str, Any] = {"tokens": str(files.tokens), "num_threads": self._threads or machine.cores()}
        try:
            if files.kind == "paraformer":
                return sherpa_onnx.OfflineRecognizer.from_paraformer(paraformer=str(files.model), **same)
            return sherpa_onnx.OfflineRecognizer.from_sense_voice(
                model=str(files.model), language=language, use_itn=True, **same
            )
        except (RuntimeError, ValueError) as error:
            raise self._missing(f"里的模型无法加载：{str(error).splitlines()[0][:200]}") from error

    def _missing(self, fault: str) -> ModelMissing:
        remedy = (
            f"请从 sherpa-onnx 的 asr-models 发布页下载 SenseVoice 或 Paraformer，解压为文件夹 {self._folder.absolute()}，"
            "或把 HUIKAN_SPEECH_MODEL 设为已有文件夹的路径。课程会自动补上字幕，无需重新上传。"
        )
        return ModelMissing(f"语音模型 {self._folder.name}", f"{self._folder} {fault}", remedy)


class _Loaded:
    """A recogniser as a `listening.Decoder`."""

    def __init__(self, recogniser: Any, kind: Kind) -> None:
        self._recogniser, self._kind = recogniser, kind

    def decode(
        self, sound: Window, clips: Sequence[Span], *, language: str, hotwords: tuple[str, ...]
    ) -> Iterator[Utterance]:
        for first in range(0, len(clips), _AT_ONCE):
            batch = clips[first : first + _AT_ONCE]
            for clip, result in zip(batch, self._results(sound, batch), strict=True):
                found = utterance_of(result.text, result.tokens, result.timestamps, clip, language)
                if found is not None:
                    yield found

    def decode_again(self, sound: Window, clip: Span, *, language: str) -> list[Utterance]:
        return list(self.decode(sound, [clip], language=language, hotwords=()))

    def guess_language(self, sound: Window, clip: Span) -> tuple[str, float]:
        """SenseVoice says one, and not how sure it is; Paraformer says none."""
        if self._kind == "paraformer":
            return "zh", 0.0
        (result,) = self._results(sound, [clip])
        found = _TAG.match(result.lang)
        return (found[1], 0.9) if found else ("zh", 0.0)

    def _results(self, sound: Window, clips: Sequence[Span]) -> list[Any]:
        streams: list[Any] = []
        for clip in clips:
            stream = self._recogniser.create_stream()
            first, end = ((ms - sound.start_ms) * SAMPLE_RATE_HZ // 1000 for ms in (clip.start_ms, clip.end_ms))
            stream.accept_waveform(SAMPLE_RATE_HZ, sound.samples[max(0, first) : end])
            streams.append(stream)
        try:
            self._recogniser.decode_streams(streams)
        except RuntimeError as error:
            raise Unavailable("语音识别", str(error).splitlines()[0], "请检查内存；会自动重试。") from error
        return [stream.result for stream in streams]


def utterance_of(
    text: str, tokens: Sequence[str], starts_s: Sequence[float], clip: Span, language: str
) -> Utterance | None:
    """One clip's result; None where nothing was said. Tokens without times, or that do not give the text, are left out."""
    said = _TAG.sub("", text).strip()
    if not said:
        return None
    words: list[Word] = []
    if len(tokens) == len(starts_s):
        pieces = list(_spoken(tokens))
        places = [min(clip.start_ms + ms_from_seconds(max(0.0, s)), clip.end_ms - 1) for s in starts_s]
        ends = [*places[1:], clip.end_ms]
        for piece, start_ms, end_ms in zip(pieces, places, ends, strict=True):
            words.append(Word(Span(start_ms, max(start_ms + 1, min(end_ms, start_ms + _LONGEST_TOKEN_MS))), piece))
    if "".join("".join(word.text for word in words).split()) != "".join(said.split()):
        return Utterance(clip, said, language=language)
    span = Span(words[0].span.start_ms, max(word.span.end_ms for word in words))
    return Utterance(span, said, tuple(words), language=language)


def _spoken(tokens: Sequence[str]) -> Iterator[str]:
    """Tokens with spaces as engines write them: SenseVoice marks a word's beginning (▁), Paraformer that it goes on (@@)."""
    goes_on = True
    for token in tokens:
        bare = _TAG.sub("", token)
        if "▁" in bare:
            yield bare.replace("▁", " ")
        elif bare.removesuffix("@@").isascii() and bare.strip() and bare[0].isalnum() and not goes_on:
            yield f" {bare.removesuffix('@@')}"
        else:
            yield bare.removesuffix("@@")
        goes_on = bare.endswith("@@") or "▁" in "".join(tokens)
