"""faster-whisper behind the port: any CTranslate2 Whisper model, loaded at the first recording and then kept."""
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false, reportPrivateUsage=false

import re
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from archive.errors import ModelMissing, Unavailable, Unsupported
from archive.model import Span
from archive.timecode import ms_from_seconds
from transcribe import machine, weights
from transcribe.audio import SAMPLE_RATE_HZ, Window
from transcribe.doubts import loop_in
from transcribe.engine import EngineDescription, codes_of, hear_through, stop_if
from transcribe.listening import Order
from transcribe.utterance import Heard, Utterance, Word

if TYPE_CHECKING:
    from faster_whisper import WhisperModel
    from faster_whisper.transcribe import Segment

_LOCK_POLL_S = 0.5  # how soon a lesson that waits for the engine notices that it was cancelled
_BEAM = 5
_MOST_AT_ONCE = 16  # beyond it neither a CPU nor a GPU gets faster, and a cancellation waits longer
_PAUSE_MS = 700  # ends a sentence for lack of a mark
_ENDS = re.compile(r"[.!?。！？…][\"'”’)）」』]*\s*\Z")
_OUT_OF_MEMORY = ("out of memory", "memory allocation", "bad_alloc", "failed to allocate")
_REMEDY_MEMORY = "内存或显存可能不足：请换用较小的模型（HUIKAN_SPEECH_MODEL），或把 HUIKAN_SPEECH_DEVICE 设为 cpu。"


class FasterWhisper:
    """`compute_type` "default" is int8 on a CPU (half the memory of float32, no slower) and float16 on a GPU.

    `at_once` is how many clips are decoded together; 0 asks the memory that is there, and a batch that does not fit after
    all is halved.
    """

    def __init__(
        self,
        model: str,
        *,
        device: str = "auto",
        compute_type: str = "default",
        threads: int = 0,
        at_once: int = 0,
        download: bool = True,
        models_dir: Path,
    ) -> None:
        self._model, self._models_dir = model, models_dir
        self._device, self._compute_type, self._threads = device, compute_type, threads
        self._at_once, self._may_download = at_once, download
        self._lock = Lock()
        self._loaded: _Loaded | None = None

    @property
    def name(self) -> str:
        if self._model == str(weights.builtin_english_model()):
            return "faster-whisper tiny.en"
        if Path(self._model).is_absolute() and (title := weights.about(Path(self._model)).title):
            return f"faster-whisper {title}"
        return f"faster-whisper {Path(self._model).name if Path(self._model).is_absolute() else self._model}"

    def describe(self) -> EngineDescription:
        try:
            folder = weights.locate(self._model, models_dir=self._models_dir, download=False)
        except ModelMissing as error:
            return EngineDescription(self.name, None, None, error.remedy_zh)
        known, fingerprint = weights.is_multilingual(folder), weights.fingerprint(folder / "model.bin")
        is_demo = weights.about(folder).is_demo
        return EngineDescription(self.name, folder, known, fingerprint=fingerprint, is_demo=is_demo)

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
            decoder = self._ready()
            order = self._order(decoder, language, hotwords)
            with _translated():
                return hear_through(decoder, wav, order, stretch=stretch, on_progress=on_progress, cancelled=cancelled)
        finally:
            self._lock.release()

    def _order(self, decoder: "_Loaded", language: str | None, hotwords: tuple[str, ...]) -> Order:
        """Languages this model knows. An English-only model would write English-sounding nonsense for Chinese."""
        from faster_whisper.tokenizer import _LANGUAGE_CODES

        codes, known = codes_of(language), decoder.languages
        if not codes and len(known) == 1:
            codes = tuple(known)
        unknown = [code for code in codes if code not in known]
        if unknown and any(code not in _LANGUAGE_CODES for code in unknown):
            raise Unsupported(f"语音模型 {self.name}", language or "")
        if unknown:
            reason = f"它只懂{'、'.join(map(_language_zh, sorted(known)))}，听不懂这节课的语言（{language}）"
            remedy = (
                "请把 HUIKAN_SPEECH_MODEL 设为多语言模型，例如 small 或 large-v3-turbo，"
                "或用 HUIKAN_SPEECH_MODEL_BY_LANGUAGE 给这种语言另设一个模型，课程会自动补上字幕。"
            )
            raise ModelMissing(f"语音模型 {self.name}", reason, remedy)
        # Hints in a language that the model has no words for are heard as noise.
        return Order(codes, known, hotwords if decoder.is_multilingual else ())

    def _ready(self) -> "_Loaded":
        if self._loaded is None:
            folder = weights.locate(self._model, models_dir=self._models_dir, download=self._may_download)
            self._loaded = _Loaded(self._load(folder), self._at_once or _fitting(folder), weights.about(folder))
        return self._loaded

    def _load(self, folder: Path) -> "WhisperModel":
        import ctranslate2
        from faster_whisper import WhisperModel

        device = self._device
        if device == "auto":
            device = "cuda" if ctranslate2.get_cuda_device_count() else "cpu"
        compute_type = self._compute_type
        if compute_type == "default":
            compute_type = "int8" if device == "cpu" else "float16"
        threads = self._threads or machine.cores()
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


class _Loaded:
    """A model in memory as a `listening.Decoder`."""

    def __init__(self, model: "WhisperModel", at_once: int, about: weights.About) -> None:
        from faster_whisper import BatchedInferencePipeline

        self._plain, self._at_once = model, at_once
        self._batched: BatchedInferencePipeline = BatchedInferencePipeline(model)
        self.is_multilingual = bool(model.model.is_multilingual)
        self.languages = about.languages or frozenset(str(code) for code in model.supported_languages)

    def decode(
        self, sound: Window, clips: Sequence[Span], *, language: str, hotwords: tuple[str, ...]
    ) -> Iterator[Utterance]:
        left = list(clips)
        while left:
            size = min(self._at_once, len(left))
            try:
                yield from self._batch(sound, left[:size], language, hotwords)
            except (RuntimeError, MemoryError) as error:
                if size == 1 or not _is_out_of_memory(error):
                    raise
                self._at_once = size // 2  # and so it stays: the memory that is missing now will be missing again
                continue
            left = left[size:]

    def _batch(self, sound: Window, clips: Sequence[Span], language: str, hotwords: tuple[str, ...]) -> list[Utterance]:
        """Whole or not at all: a batch that does not fit is tried again with fewer clips."""
        # Given as clips, the library's own cutting is not used: it loses the first speech of each piece (#1179).
        places = [
            {"start": (c.start_ms - sound.start_ms) / 1000, "end": (c.end_ms - sound.start_ms) / 1000} for c in clips
        ]
        segments, _ = self._batched.transcribe(
            sound.samples,
            language=language,
            beam_size=_BEAM,
            batch_size=len(clips),
            clip_timestamps=places,
            word_timestamps=True,
            without_timestamps=True,  # with them batches drop ends and mishear more (#1351; 0.059 against 0.032 of the words)
            hotwords=" ".join(hotwords) or None,
        )
        found = [_utterance(segment, language, sound.start_ms, sound.end_ms) for segment in segments]
        return [sentence for each in found if each is not None for sentence in _sentences(each)]

    def decode_again(self, sound: Window, clip: Span, *, language: str) -> list[Utterance]:
        import ctranslate2

        ctranslate2.set_random_seed(0)  # hard stretches are decoded by sampling: the same sound must give the same text
        first = (clip.start_ms - sound.start_ms) * SAMPLE_RATE_HZ // 1000
        end = (clip.end_ms - sound.start_ms) * SAMPLE_RATE_HZ // 1000
        segments, _ = self._plain.transcribe(
            sound.samples[max(0, first) : end],
            language=language,
            beam_size=_BEAM,
            temperature=[0.0, 0.2, 0.4, 0.6],
            vad_filter=False,
            word_timestamps=True,
            condition_on_previous_text=False,  # a loop or an invention must not feed what comes after it
            repetition_penalty=1.1,
            no_repeat_ngram_size=8,  # a chant of up to seven syllables still fits
            no_speech_threshold=None,  # somebody does speak there: the voice network said so
        )
        found = [_utterance(segment, language, clip.start_ms, clip.end_ms) for segment in segments]
        return [each for each in found if each is not None]

    def guess_language(self, sound: Window, clip: Span) -> tuple[str, float]:
        first = (clip.start_ms - sound.start_ms) * SAMPLE_RATE_HZ // 1000
        end = (clip.end_ms - sound.start_ms) * SAMPLE_RATE_HZ // 1000
        language, probability, _ = self._plain.detect_language(sound.samples[max(0, first) : end])
        return str(language), float(probability)


def _language_zh(code: str) -> str:
    return {"en": "英语", "zh": "普通话"}.get(code, code)


def _fitting(folder: Path) -> int:
    """How many clips fit into half of the memory that is left. A clip's encoder output and attention cache take about a
    third of the weights: 26 MB for tiny (measured 20), 1 GB for large-v3 in float16."""
    a_clip = max(1, (folder / "model.bin").stat().st_size // 3)
    return max(1, min(_MOST_AT_ONCE, machine.available_bytes() // 2 // a_clip))


def _is_out_of_memory(error: Exception) -> bool:
    return isinstance(error, MemoryError) or any(words in str(error).lower() for words in _OUT_OF_MEMORY)


@contextmanager
def _translated() -> Generator[None]:
    try:
        yield
    except (RuntimeError, MemoryError) as error:  # what CTranslate2 raises while it computes
        raise Unavailable("语音识别", str(error) or type(error).__name__, _REMEDY_MEMORY) from error


def _utterance(segment: "Segment", language: str, origin_ms: int, end_ms: int) -> Utterance | None:
    """Whisper's seconds since `origin_ms` as spans of the lesson: never empty, never beyond `end_ms`, though its times may
    be. None where it has no text."""
    if not segment.text.strip():
        return None
    words = tuple(
        Word(_span(word.start, word.end, origin_ms, end_ms), str(word.word), float(word.probability))
        for word in segment.words or ()
    )
    found = Utterance(
        span=_span(segment.start, segment.end, origin_ms, end_ms),
        text=segment.text.strip(),
        words=words,
        avg_logprob=float(segment.avg_logprob),
        no_speech_prob=float(segment.no_speech_prob),
        language=language,
    )
    if not words:
        return found
    start_ms = min(word.span.start_ms for word in words)
    return replace(found, span=Span(start_ms, max(start_ms + 1, *(word.span.end_ms for word in words))))


def _sentences(clip: Utterance) -> Iterator[Utterance]:
    """A clip's half minute as its sentences (#1396), so that what is doubtful can be heard again by itself. A loop stays whole:
    its sentences are one failure."""
    if loop_in(clip.text) is not None:
        yield clip
        return
    said: list[Word] = []
    for word in clip.words:
        if said and (_ENDS.search(said[-1].text) or word.span.start_ms - said[-1].span.end_ms >= _PAUSE_MS):
            yield _of_words(clip, said)
            said = []
        said.append(word)
    yield _of_words(clip, said) if said else clip


def _of_words(clip: Utterance, words: Sequence[Word]) -> Utterance:
    start_ms, end_ms = words[0].span.start_ms, max(word.span.end_ms for word in words)
    text = "".join(word.text for word in words).strip()
    return replace(clip, span=Span(start_ms, max(end_ms, start_ms + 1)), text=text, words=tuple(words))


def _span(start_s: float, end_s: float, origin_ms: int, limit_ms: int) -> Span:
    start_ms = min(origin_ms + ms_from_seconds(max(0.0, float(start_s))), limit_ms - 1)
    end_ms = min(origin_ms + ms_from_seconds(max(0.0, float(end_s))), limit_ms)
    return Span(max(start_ms, 0), max(end_ms, start_ms + 1, 1))
