"""Recorded and hand-made streams of utterances, and a decoder that plays them: failures of real engines without an engine."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from archive.model import Span
from transcribe.audio import SAMPLE_RATE_HZ, Window
from transcribe.utterance import Utterance, Word
from transcribe.voice import FRAME_MS, Voice


def uttered(
    text: str, start_ms: int, end_ms: int, *, logprob: float = -0.2, no_speech: float = 0.01, language: str = "zh"
) -> Utterance:
    """An utterance whose words (a Han character, or a Latin word with its space) share its time evenly."""
    texts = [f" {word}" for word in text.split()] if text.isascii() else list(text)
    step = (end_ms - start_ms) / max(1, len(texts))
    words = tuple(
        Word(Span(start_ms + int(i * step), max(start_ms + int(i * step) + 1, start_ms + int((i + 1) * step))), each)
        for i, each in enumerate(texts)
    )
    return Utterance(Span(start_ms, end_ms), text, words, logprob, no_speech, language)


def voice_over(total_ms: int, *speech: tuple[int, int], level: float = 0.95, silence: float = 0.02) -> Voice:
    """Somebody speaks at these times and nobody at others."""
    probabilities = np.full(-(-total_ms // FRAME_MS), silence, dtype=np.float32)
    for start_ms, end_ms in speech:
        probabilities[start_ms // FRAME_MS : -(-end_ms // FRAME_MS)] = level
    return Voice(0, probabilities)


def sound_of(total_ms: int) -> Window:
    return Window(0, np.zeros(total_ms * SAMPLE_RATE_HZ // 1000, dtype=np.float32))


@dataclass
class Played:
    """Decodes to what the stream says: `first` in the quick pass; `again` by the text or time that is heard again."""

    first: Sequence[Utterance]
    again: Callable[[Span], Sequence[Utterance]] = lambda _: ()
    guesses: Callable[[Span], tuple[str, float]] = lambda _: ("zh", 0.99)
    asked_again: list[Span] = field(default_factory=list)
    asked: list[tuple[str, tuple[Span, ...]]] = field(default_factory=list)

    def decode(
        self, sound: Window, clips: Sequence[Span], *, language: str, hotwords: tuple[str, ...]
    ) -> Iterator[Utterance]:
        self.asked.append((language, tuple(clips)))
        for utterance in self.first:
            span = utterance.span
            if any(clip.start_ms < span.end_ms and span.start_ms < clip.end_ms for clip in clips):
                yield utterance

    def decode_again(self, sound: Window, clip: Span, *, language: str) -> Sequence[Utterance]:
        self.asked_again.append(clip)
        return self.again(clip)

    def guess_language(self, sound: Window, clip: Span) -> tuple[str, float]:
        return self.guesses(clip)
