"""Where a lesson's board turns a page, and which moment shows each page best. Pure: grey pictures in, spans out.

One grey picture a second is enough. What counts is change that stays: a slide that is exchanged, a board that fills or
is wiped. A teacher who walks past, sensor noise, the breathing of a codec and a lamp that flickers do not stay.

Change is counted in blocks of BLOCK_PX, as a share of the picture. A cut is change all at once, between two quiet moments:
a slide. Between cuts the picture is compared with the board as it was when the page began, and that board is a median over
time, so that nobody stands in front of it. Then a page turns by what is lasting (little, but still there long after:
writing), settled (much of the picture, quiet again: a scroll, a fade, another camera) or moving (nearly all, for ever: a
film in class).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from archive.model import Span, Still
from archive.timecode import webvtt_from_ms

Grey = NDArray[np.uint8]  # (height, width), or (seconds, height, width): 0 is black
_Blocks = NDArray[np.bool_]  # (height / BLOCK_PX, width / BLOCK_PX)

SAMPLE_MS = 1000
BLOCK_PX = 8
GREY_PX = 24_000  # pixels of a grey picture: chalk of 1 cm on a board of 4 m still changes one by more than CHANGED

CHANGED = 12  # grey levels out of 255; the codec's breathing at the lowest rung stays below 6
_IN_BLOCK = 4 / BLOCK_PX**2  # of a block's pixels: a stroke of writing
_QUIET_IN_BLOCK = 0.9
_LAMP = 24  # the whole picture may grow this much lighter or darker and be the same

_QUIET_S = 3
_SETTLED_S = 5
_LASTING_S = 40  # a teacher stands in one place for less than half of it
_LASTING_LEAST_S = 30  # before the next cut, or the end of the lesson, there may be less
_MOVING_S = 20

# Shares of the picture. A line of text covers 3 to 8 %, a standing teacher 8 to 13 %; when one who walks stops, a second's
# way is uncovered and covered at once: 6 %.
_CUT, _SETTLED, _LASTING, _MOVING = 0.12, 0.2, 0.04, 0.5
_NO_MORE = 0.5  # is asked for by any strictness: some slides differ by no more

_LOOK_BACK_S = 60  # the best moment is sought in the end of a page, when the board is full
_AS_GOOD = 0.5  # mean grey levels: less than this is writing, more is somebody in front of it


@dataclass(frozen=True, slots=True)
class Strictness:
    """How much change makes a page. `factor` multiplies every share; no page is shorter than `shortest_s`."""

    factor: float
    shortest_s: int


# From what reads best to what always fits: the last leaves 120 s to a page, 220 KB of a lesson's budget.
STRICTNESSES = (
    Strictness(1, 4),
    Strictness(1.5, 8),
    Strictness(2.5, 15),
    Strictness(4, 30),
    Strictness(6, 60),
    Strictness(10, 120),
)


@dataclass(frozen=True, slots=True)
class Page:
    """What one still stands for: `span` in lesson time, and the moment that shows it best, inside the span."""

    span: Span
    best_ms: int


def grey_size_px(width_px: int, height_px: int) -> tuple[int, int]:
    """Width and height to look for pages in: about GREY_PX pixels of the same shape, in whole blocks."""
    scale = sqrt(GREY_PX / (width_px * height_px)) / BLOCK_PX
    return max(1, round(width_px * scale)) * BLOCK_PX, max(1, round(height_px * scale)) * BLOCK_PX


class Pages:
    """The pages of one lesson, as strict as wanted. `frames`: (seconds, height, width), one at each second from 0 on."""

    def __init__(self, frames: Grey, duration_ms: int) -> None:
        """ValueError where there is no picture, or one beyond the end."""
        if not 0 <= (len(frames) - 1) * SAMPLE_MS < duration_ms:
            raise ValueError(f"{len(frames)} pictures in {duration_ms} ms")
        self._frames, self._duration_ms = frames, duration_ms
        quiet = [self._is_quiet(second, second + _QUIET_S) for second in range(len(frames))]
        self._cut = [self._cut_share(second, quiet[second]) for second in range(len(frames))]
        self._scene_ends = self._ends_of_scenes()

    def turned(self, strictness: Strictness) -> tuple[Page, ...]:
        """The pages in order, tiling [0, duration) without gaps. At least one."""
        starts = self._starts(strictness)
        # A page that is first seen at one second began after the second before: half way is at most half a second off.
        cuts_ms = [0, *(start * SAMPLE_MS - SAMPLE_MS // 2 for start in starts[1:]), self._duration_ms]
        ends = [*starts[1:], len(self._frames)]
        return tuple(
            Page(Span(cuts_ms[n], cuts_ms[n + 1]), self._best(start, end) * SAMPLE_MS)
            for n, (start, end) in enumerate(zip(starts, ends, strict=True))
        )

    def _starts(self, strictness: Strictness) -> list[int]:
        starts = [0]
        board = self._board(0)
        for second in range(strictness.shortest_s, len(self._frames)):
            if second - starts[-1] >= strictness.shortest_s and self._turns(second, starts[-1], board, strictness):
                starts.append(second)
                board = self._board(second)
        return starts

    def _turns(self, second: int, start: int, board: Grey, strictness: Strictness) -> bool:
        """Whether there is another page from `second` on than `board`, which began at `start`."""

        def enough(share: float, least: float) -> bool:
            return share >= min(_NO_MORE, least * strictness.factor)

        if enough(self._cut[second], _CUT):
            return True
        now = self._now(second)
        changed = _changed(now, board) & _changed(self._frames[second], board)  # not only from the next second on
        if not enough(changed.mean(), _LASTING):
            return False
        if enough((changed & self._is_quiet(second, second + _SETTLED_S)).mean(), _SETTLED):
            return True
        if self._scene_ends[second] - second >= _LASTING_LEAST_S:
            later = self._board(second)
            if enough((changed & _changed(later, board) & ~_changed(later, now)).mean(), _LASTING):
                return True
        return second - start >= max(_MOVING_S, strictness.shortest_s) and self._keeps_moving(second, board)

    def _now(self, second: int) -> Grey:
        """The picture from `second` on, without what is gone again a second later."""
        one, two, three = (self._frames[min(second + n, len(self._frames) - 1)] for n in range(3))
        return np.maximum(np.minimum(one, two), np.minimum(np.maximum(one, two), three))

    def _board(self, second: int) -> Grey:
        """What is seen for the better half of the time that follows, up to the next cut."""
        following_s = min(_LASTING_S, self._scene_ends[second] - 1 - second)
        if following_s < _QUIET_S:
            return self._now(second)
        step = max(1, following_s // 4)
        return np.median(self._frames[second : second + following_s + 1 : step][:5], axis=0).astype(np.uint8)

    def _is_quiet(self, start: int, end: int) -> _Blocks:
        """Where nothing moves in these seconds, as far as the lesson has them."""
        window = self._frames[start:end]
        return _share(window.max(axis=0) - window.min(axis=0) <= CHANGED) >= _QUIET_IN_BLOCK

    def _cut_share(self, second: int, quiet_after: _Blocks) -> float:
        """How much of this second's picture differs from the last one's where it was quiet before and is quiet after."""
        if second == 0:
            return 0.0
        changed = _changed(self._frames[second], self._frames[second - 1]) & quiet_after
        if changed.mean() < _CUT:
            return 0.0
        return float((changed & self._is_quiet(max(0, second - _QUIET_S), second)).mean())

    def _ends_of_scenes(self) -> list[int]:
        """For each second the next one with a cut, or the end."""
        ends: list[int] = []
        end = len(self._frames)
        for second in reversed(range(len(self._frames))):
            ends.append(end)
            end = second if self._cut[second] >= _CUT else end
        return ends[::-1]

    def _keeps_moving(self, second: int, board: Grey) -> bool:
        last = len(self._frames) - 1
        return all(
            _changed(self._frames[min(at, last)], board).mean() >= _MOVING
            for at in (second, second + _QUIET_S, second + 2 * _QUIET_S)
        )

    def _best(self, start: int, end: int) -> int:
        """The latest second of [start, end) among those nearest to what its end looks like: full, nobody in front.

        Not the first one, which may still show the page before a few milliseconds earlier.
        """
        first = min(end - 1, max(start + 1 if start else start, end - _LOOK_BACK_S))
        window = self._frames[first:end]
        usual = np.median(window, axis=0)
        distances = [float(np.abs(picture - usual).mean()) for picture in window]
        nearest = min(distances)
        return first + max(n for n, distance in enumerate(distances) if distance <= nearest + _AS_GOOD)


def _changed(new: Grey, old: Grey) -> _Blocks:
    """Blocks with at least a stroke of difference, once the whole picture's growing lighter or darker is taken away."""
    difference = new.astype(np.int16) - old
    lamp = np.clip(np.median(difference), -_LAMP, _LAMP)
    return _share(np.abs(difference - np.int16(lamp)) > CHANGED) >= _IN_BLOCK


def _share(pixels: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Of each block's pixels, the share that is true."""
    height, width = pixels.shape
    return pixels.reshape(height // BLOCK_PX, BLOCK_PX, width // BLOCK_PX, BLOCK_PX).mean(axis=(1, 3))


def board_vtt(stills: Iterable[Still]) -> str:
    """The timed track of the stills: a file name in each cue."""
    return _vtt((still.span, still.name) for still in stills)


def storyboard_vtt(
    duration_ms: int, every_ms: int, sheets: Sequence[str], grid: tuple[int, int], tile_px: tuple[int, int]
) -> str:
    """One tile of a sheet every `every_ms`, as players read it: `sheet.jpg#xywh=x,y,width,height`."""
    columns, rows = grid
    width, height = tile_px
    cues: list[tuple[Span, str]] = []
    for n, start_ms in enumerate(range(0, duration_ms, every_ms)):
        sheet, tile = divmod(n, columns * rows)
        row, column = divmod(tile, columns)
        span = Span(start_ms, min(start_ms + every_ms, duration_ms))
        cues.append((span, f"{sheets[sheet]}#xywh={column * width},{row * height},{width},{height}"))
    return _vtt(cues)


def _vtt(cues: Iterable[tuple[Span, str]]) -> str:
    blocks = (f"{webvtt_from_ms(span.start_ms)} --> {webvtt_from_ms(span.end_ms)}\n{text}\n" for span, text in cues)
    return "\n".join(["WEBVTT\n", *blocks])
