"""Hearing: the port every speech engine answers to, and its first adapter, faster-whisper.

To add an engine: a class with `name`, `describe` and `transcribe` as below, and a line in
tests/contracts/test_speech_engine.py. What an engine promises: utterances in the order of their starts, every span inside
the sound, text and words as heard (no splitting, no conversion: cues.py does that), nothing for silence, and never a
language it does not know.
"""
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Protocol

from archive.errors import Cancelled, ModelMissing, Unavailable
from archive.model import Span
from archive.timecode import ms_from_seconds
from transcribe import audio, weights
from transcribe.utterance import Utterance as Utterance
from transcribe.utterance import Word as Word
from transcribe.weights import builtin_english_model as builtin_english_model

if TYPE_CHECKING:
    from faster_whisper import WhisperModel
    from faster_whisper.transcribe import Segment

_LOCK_POLL_S = 0.5  # how soon a lesson that waits for the engine notices that it was cancelled


@dataclass(frozen=True, slots=True)
class EngineDescription:
    """What `huikan doctor` shows. `folder` is None while the model is not on this machine; then `remedy_zh` says why."""

    name: str
    folder: Path | None
    multilingual: bool | None  # None while the model is not here
    remedy_zh: str = ""


class SpeechEngine(Protocol):
    """The port. An engine is shared by the threads of a worker and hears one recording at a time."""

    @property
    def name(self) -> str:
        """What a transcript's `model` says."""
        ...

    def describe(self) -> EngineDescription:
        """Without loading or downloading anything."""
        ...

    def transcribe(
        self,
        wav: Path,
        *,
        language: str | None,
        hotwords: tuple[str, ...] = (),
        on_progress: Callable[[float], None],
        cancelled: Callable[[], bool],
    ) -> list[Utterance]:
        """What was said in a WAV of `audio.extract`. `language` is the lesson's ("zh", "en"); None lets the model guess.

        Raises ModelMissing (no model here, or it does not know the language), Unavailable (no memory, no such device),
        Cancelled between two utterances after `cancelled()` says so. Progress never falls and ends at 1.
        """
        ...


class FasterWhisper:
    """faster-whisper behind the port: any CTranslate2 Whisper model, loaded at the first recording and then kept.

    `compute_type` "default" is int8 on a CPU (half the memory of float32, no slower) and the model's own on a GPU.
    """

    def __init__(
        self,
        model: str,
        *,
        device: str = "auto",
        compute_type: str = "default",
        threads: int = 0,
        download: bool = True,
        models_dir: Path,
    ) -> None:
        self._model, self._models_dir = model, models_dir
        self._device, self._compute_type, self._threads = device, compute_type, threads
        self._may_download = download
        self._lock = Lock()
        self._loaded: WhisperModel | None = None

    @property
    def name(self) -> str:
        if self._model == str(builtin_english_model()):
            return "faster-whisper tiny.en"
        return f"faster-whisper {Path(self._model).name if Path(self._model).is_absolute() else self._model}"

    def describe(self) -> EngineDescription:
        try:
            folder = weights.locate(self._model, models_dir=self._models_dir, download=False)
        except ModelMissing as error:
            return EngineDescription(self.name, None, None, error.remedy_zh)
        return EngineDescription(self.name, folder, weights.is_multilingual(folder))

    def transcribe(
        self,
        wav: Path,
        *,
        language: str | None,
        hotwords: tuple[str, ...] = (),
        on_progress: Callable[[float], None],
        cancelled: Callable[[], bool],
    ) -> list[Utterance]:
        utterances: list[Utterance] = []
        total_ms, reached_ms = audio.duration_ms(wav), 0
        while not self._lock.acquire(timeout=_LOCK_POLL_S):
            _stop_if(cancelled)
        try:
            model = self._ready_model()
            code = self._checked_language(model, language)
            for window in audio.windows(wav):
                _stop_if(cancelled)
                for utterance in _heard(model, window, code, hotwords, total_ms):
                    utterances.append(utterance)
                    reached_ms = max(reached_ms, utterance.span.end_ms)
                    on_progress(reached_ms / total_ms)
                    _stop_if(cancelled)
        finally:
            self._lock.release()
        on_progress(1.0)
        return sorted(utterances, key=lambda each: each.span.start_ms)

    def _ready_model(self) -> "WhisperModel":
        if self._loaded is None:
            folder = weights.locate(self._model, models_dir=self._models_dir, download=self._may_download)
            self._loaded = self._load(folder)
        return self._loaded

    def _load(self, folder: Path) -> "WhisperModel":
        import ctranslate2
        from faster_whisper import WhisperModel

        device = self._device
        if device == "auto":
            device = "cuda" if ctranslate2.get_cuda_device_count() else "cpu"
        compute_type = self._compute_type
        if compute_type == "default" and device == "cpu":
            compute_type = "int8"
        threads = self._threads or len(os.sched_getaffinity(0))
        try:
            model = WhisperModel(
                str(folder), device=device, compute_type=compute_type, cpu_threads=threads, local_files_only=True
            )
        except ValueError as error:  # a device or compute type that this machine or this build does not have
            remedy = "请检查 HUIKAN_SPEECH_DEVICE 与 HUIKAN_SPEECH_COMPUTE_TYPE，没有显卡的机器用 cpu 与 int8。"
            raise Unavailable("语音识别", f"{device}/{compute_type}: {error}", remedy) from error
        except RuntimeError as error:  # model.bin is damaged or of another kind, or CUDA's libraries are missing
            remedy = f"请重新复制模型文件夹 {folder}；若原因提到 CUDA，请把 HUIKAN_SPEECH_DEVICE 设为 cpu。"
            raise ModelMissing(f"语音模型 {self.name}", str(error), remedy) from error
        if model.model.n_mels != model.feature_extractor.mel_filters.shape[0]:  # large-v3 has 128, which only this says
            remedy = f"请从原模型复制 preprocessor_config.json 到 {folder}。"
            raise ModelMissing(f"语音模型 {self.name}", "缺少 preprocessor_config.json", remedy)
        return model

    def _checked_language(self, model: "WhisperModel", language: str | None) -> str | None:
        """The code Whisper knows for a BCP 47 language. An English-only model would write English-sounding nonsense."""
        code = language.lower().split("-")[0] if language else None
        if code is None or code in model.supported_languages:
            return code
        reason = (
            f"它只懂英语，听不懂这节课的语言（{language}）" if not model.model.is_multilingual else f"不支持 {language}"
        )
        remedy = "请把 HUIKAN_SPEECH_MODEL 设为多语言模型，例如 small 或 large-v3-turbo，课程会自动补上字幕。"
        raise ModelMissing(f"语音模型 {self.name}", reason, remedy)


def _heard(
    model: "WhisperModel", window: audio.Window, language: str | None, hotwords: tuple[str, ...], total_ms: int
) -> Iterator[Utterance]:
    import ctranslate2

    ctranslate2.set_random_seed(0)  # hard stretches are decoded by sampling: the same sound must give the same text
    # Hints in a language that the model has no words for are heard as noise.
    hints = " ".join(hotwords) if hotwords and model.model.is_multilingual else None
    try:
        segments, info = model.transcribe(
            window.samples,
            language=language,
            beam_size=5,
            vad_filter=True,
            word_timestamps=True,
            condition_on_previous_text=False,  # a loop or an invention must not feed the next half minute
            hotwords=hints,
        )
        for segment in segments:
            if segment.text.strip():
                yield _utterance(segment, info.language, window, total_ms)
    except (RuntimeError, MemoryError) as error:  # what CTranslate2 raises while it computes
        remedy = "内存或显存可能不足：请换用较小的模型（HUIKAN_SPEECH_MODEL），或把 HUIKAN_SPEECH_DEVICE 设为 cpu。"
        raise Unavailable("语音识别", str(error) or type(error).__name__, remedy) from error


def _utterance(segment: "Segment", language: str, window: audio.Window, total_ms: int) -> Utterance:
    return Utterance(
        span=_span(segment.start, segment.end, window, total_ms),
        text=segment.text.strip(),
        words=tuple(
            Word(_span(word.start, word.end, window, total_ms), word.word, float(word.probability))
            for word in segment.words or ()
        ),
        avg_logprob=float(segment.avg_logprob),
        no_speech_prob=float(segment.no_speech_prob),
        language=language,
    )


def _span(start_s: float, end_s: float, window: audio.Window, total_ms: int) -> Span:
    """Whisper's seconds as a span of the lesson: never empty, never beyond the sound, though its times may be."""
    start_ms = min(window.start_ms + ms_from_seconds(float(start_s)), total_ms - 1)
    end_ms = min(window.start_ms + ms_from_seconds(float(end_s)), total_ms)
    return Span(max(start_ms, 0), max(end_ms, start_ms + 1, 1))


def _stop_if(cancelled: Callable[[], bool]) -> None:
    if cancelled():
        raise Cancelled("speech")
