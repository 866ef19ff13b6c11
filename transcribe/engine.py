"""Hearing: the port every speech engine answers to.

To add an engine: a class with `name`, `describe` and `transcribe` as below, whose library is a `listening.Decoder`, and a line
in tests/contracts/test_speech_engine.py. What an engine promises: utterances in the order of their starts, every span inside
the sound, text and words as heard (no splitting, no conversion: cues.py does that), nothing for silence, and never a
language it does not know.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from archive.errors import Cancelled
from archive.model import Span
from transcribe import audio, voice
from transcribe.listening import Decoder, Order, listen
from transcribe.utterance import Heard, Incident, Utterance

EDITION = 2  # raise it when the same sound and model would give other utterances


@dataclass(frozen=True, slots=True)
class EngineDescription:
    """What `huikan doctor` shows. `folder` is None while the model is not on this machine; then `remedy_zh` says why.

    `fingerprint` is of the model's weights: two models of one name are not the same. "" while it is not here.
    `is_demo`: good for showing how things work, and for no school.
    """

    name: str
    folder: Path | None
    multilingual: bool | None  # None while the model is not here
    remedy_zh: str = ""
    fingerprint: str = ""
    is_demo: bool = False


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
        stretch: Span | None = None,
        on_progress: Callable[[float], None],
        cancelled: Callable[[], bool],
    ) -> Heard:
        """What was said in a WAV of `audio.extract`, or in a stretch of it; times are the WAV's.

        `language` is the lesson's ("zh", "en"); "zh+en" lets the model choose between them for each piece of speech, the
        first being the likelier, and None between all that it knows.

        Raises ModelMissing (no model here, or this one does not know the language), Unsupported (no model of this engine
        does), Unavailable (no memory, no such device), Cancelled soon after `cancelled()` says so. Progress never falls and
        ends at 1.
        """
        ...


def codes_of(language: str | None) -> tuple[str, ...]:
    """The engine's codes in a language of a lesson: zh-Hans is zh, zh+en two, None and auto none."""
    if language is None or language == "auto":
        return ()
    return tuple(dict.fromkeys(each.strip().lower().split("-")[0] for each in language.split("+")))


def hear_through(
    decoder: Decoder,
    wav: Path,
    order: Order,
    *,
    stretch: Span | None,
    on_progress: Callable[[float], None],
    cancelled: Callable[[], bool],
) -> Heard:
    """Listens window after window, so that a lesson of any length takes the memory of one."""
    total_ms = audio.duration_ms(wav)
    span = stretch or Span(0, max(1, total_ms))
    utterances: list[Utterance] = []
    incidents: list[Incident] = []
    reached = 0.0

    def tick(at_ms: int) -> None:
        nonlocal reached
        reached = max(reached, min(1.0, (at_ms - span.start_ms) / span.duration_ms))
        on_progress(reached)
        stop_if(cancelled)

    for window in audio.windows(wav, span):
        stop_if(cancelled)
        there = voice.Voice(window.start_ms, voice.probabilities(window.samples))
        heard = listen(decoder, window, there, order, limit_ms=min(total_ms, window.end_ms), tick=tick)
        utterances += heard.utterances
        incidents += heard.incidents
        tick(window.end_ms)
    on_progress(1.0)
    return Heard(tuple(utterances), tuple(incidents))


def stop_if(cancelled: Callable[[], bool]) -> None:
    if cancelled():
        raise Cancelled("speech")
