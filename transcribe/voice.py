"""Where somebody speaks: Silero's voice probabilities, computed once for a window, and what is read off them.

The network runs in `probabilities`; everything after it is pure. A frame is 32 ms, the network's own step.
"""
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from archive.model import Span

FRAME_SAMPLES = 512
FRAME_MS = 32
CLIP_MS = 28_000  # Whisper sees 30 s; the rest is for the padding
_ON, _OFF = 0.4, 0.25  # below Silero's 0.5/0.35: a child at the back of the room reaches 0.4 and seldom 0.5
_PAUSE_MS = 320  # a shorter gap is a stop consonant or a breath, and the speech goes on
_SHORTEST_MS = 160  # a cough or a chair is shorter; 对 and 好 are longer
_PAD_MS = 400  # the first consonant is softer than the network notices
# Speech this close together is decoded in one piece. Context is worth more than silence costs: on 4 min of sentences joining
# over 4 s and not 1.2 s halved tiny.en's errors (0.078 to 0.032 of the words), in two thirds of the time.
JOIN_MS = 4_000
SWITCH_MS = 1_000  # where the language may change, it changes at a pause: then pieces end sooner


@dataclass(frozen=True, slots=True)
class Voice:
    """How likely it is that somebody speaks, frame by frame, from `start_ms` of the lesson on."""

    start_ms: int
    probabilities: NDArray[np.float32]

    @property
    def span(self) -> Span:
        return Span(self.start_ms, self.start_ms + max(1, self.probabilities.size * FRAME_MS))

    def speech(self) -> tuple[Span, ...]:
        """Where somebody speaks, in order and apart. Hysteresis: it takes more to begin than to go on."""
        runs: list[list[int]] = []
        speaking = False
        for index, probability in enumerate(self.probabilities):
            if probability >= (_OFF if speaking else _ON):
                if not speaking and (not runs or (index - runs[-1][1]) * FRAME_MS > _PAUSE_MS):
                    runs.append([index, index])
                speaking = True
                runs[-1][1] = index + 1
            else:
                speaking = False
        return tuple(
            Span(self.start_ms + first * FRAME_MS, self.start_ms + end * FRAME_MS)
            for first, end in runs
            if (end - first) * FRAME_MS >= _SHORTEST_MS
        )

    def clips(self, speech: Sequence[Span], *, limit_ms: int, join_ms: int = JOIN_MS) -> tuple[Span, ...]:
        """The speech as pieces to decode: padded, neighbours together, none longer than `CLIP_MS`, none past `limit_ms`.

        Every piece lies in one place: nothing is cut out of its middle, so that a time in it is a time in the lesson.
        """
        joined: list[Span] = []
        for span in (piece for each in speech for piece in self._shortened(each)):
            near = joined and span.start_ms - joined[-1].end_ms <= join_ms
            if near and span.end_ms - joined[-1].start_ms <= CLIP_MS:
                joined[-1] = Span(joined[-1].start_ms, span.end_ms)
            else:
                joined.append(span)
        return tuple(padded(joined, _PAD_MS, Span(self.start_ms, max(limit_ms, self.start_ms + 1))))

    def level(self, span: Span) -> float:
        """The mean probability over a span; 0 outside of what was listened to."""
        first = (span.start_ms - self.start_ms) // FRAME_MS
        end = -((self.start_ms - span.end_ms) // FRAME_MS)
        inside = self.probabilities[max(0, first) : max(0, end)]
        return float(inside.mean()) if inside.size else 0.0

    def _shortened(self, span: Span) -> Iterator[Span]:
        """A span in pieces that fit, cut where the voice is weakest in the last third of each."""
        while span.duration_ms > CLIP_MS:
            first = (span.start_ms + CLIP_MS * 2 // 3 - self.start_ms) // FRAME_MS
            end = (span.start_ms + CLIP_MS - self.start_ms) // FRAME_MS
            cut_ms = self.start_ms + (first + int(np.argmin(self.probabilities[first:end]))) * FRAME_MS
            yield Span(span.start_ms, cut_ms)
            span = Span(cut_ms, span.end_ms)
        yield span


def probabilities(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """One number for each started frame of 16 kHz sound."""
    from faster_whisper.vad import get_vad_model  # the network comes with the library; it needs no download

    if not samples.size:
        return np.zeros(0, dtype=np.float32)
    padded_samples = np.pad(samples, (0, -samples.size % FRAME_SAMPLES))
    return np.asarray(get_vad_model()(padded_samples), dtype=np.float32).reshape(-1)


def padded(spans: Sequence[Span], pad_ms: int, inside: Span) -> Iterator[Span]:
    """Each span with some room on both sides; where neighbours want the same room, each gets half."""
    borders = [inside.start_ms, *((a.end_ms + b.start_ms) // 2 for a, b in pairwise(spans)), inside.end_ms]
    for index, span in enumerate(spans):
        start_ms = max(borders[index], span.start_ms - pad_ms)
        end_ms = min(borders[index + 1], span.end_ms + pad_ms)
        if start_ms < end_ms:
            yield Span(start_ms, end_ms)


def without(spans: Sequence[Span], covered: Sequence[Span]) -> tuple[Span, ...]:
    """What of `spans` lies in none of `covered`."""
    left: list[Span] = []
    for span in spans:
        at_ms = span.start_ms
        for cover in sorted(covered):
            if cover.end_ms <= at_ms or cover.start_ms >= span.end_ms:
                continue
            if cover.start_ms > at_ms:
                left.append(Span(at_ms, cover.start_ms))
            at_ms = max(at_ms, cover.end_ms)
        if at_ms < span.end_ms:
            left.append(Span(at_ms, span.end_ms))
    return tuple(left)
