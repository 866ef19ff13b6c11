"""A lesson's board as pictures that stand still: for a line of 64 kbit/s, together with the sound, and for finding a page.

Made from our own renditions, not from the source, so that it can be made again for any lesson that is kept. The lowest one
is read whole to find the pages and to make the storyboard; each still is cut from one hls_segment of a sharp one.
JPEG: of the same slide WebP needs half the bytes (9 against 19 KB), but phones of 2018 and before by Apple do not show it,
and a page a minute is a tenth of its sound either way.
"""

import errno
import shutil
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from archive.errors import Cancelled, DiskFull, ToolFailed, ToolTimeout, Unavailable
from archive.model import Board, Rendition, Still
from archive.tool import Limits, run_tool
from transcode.command import INIT_NAME, board_scan_argv, still_argv
from transcode.ladder import HLS_SEGMENT_S
from transcode.pages import SAMPLE_MS, STRICTNESSES, Grey, Page, Pages, board_vtt, grey_size_px, storyboard_vtt

Piece = Callable[[str, str], Path]  # (rung, "init.mp4" or "seg-00012.m4s") → where it lies; fetched when asked for

BOARD_VTT, STORYBOARD_VTT = "board.vtt", "storyboard.vtt"

STILL_SIDE_PX = 960  # a phone held flat shows no more of it
TYPICAL_BYTES_PER_MIN = 70_000  # a third of its sound in Opus; met by quality alone
MOST_BYTES_PER_MIN = 5_000_000 / 45  # met by fewer pages where it must be
SHORT_BYTES = 200_000  # what a lesson of a few seconds may have all the same: two pictures of pure noise
_QUALITIES = (3, 5, 8, 12, 18, 31)  # JPEG quantiser scales, finest first; 31 is ffmpeg's coarsest
_READABLE = 8  # small writing survives this
_LEAST_STILL_BYTES = 18_000  # more pages than fit at this size are not even cut

TILE_SIDE_PX = 160
GRID = (5, 8)  # one tile an hls_segment: a sheet covers four minutes in some 60 KB
_SHEET_MS = GRID[0] * GRID[1] * HLS_SEGMENT_S * 1000
_HLS_SEGMENT_MS = HLS_SEGMENT_S * 1000

_ROUNDING_MS = 20  # durations are rounded; no hls_segment is so short
_BEFORE_MS = 100  # a grey picture may be as much older as pictures of the lowest rung are apart

_SCAN_PART = 0.6  # of the work, as on_progress says it
_LIMITS = Limits(wall_s=300, memory_bytes=2 * 2**30, file_bytes=64 * 2**20)
_FREE_ZH = "请清理磁盘空间，任务会自动继续。"
_DOCTOR_ZH = "录像本身没有问题，请运行 huikan doctor 检查这台机器上的 ffmpeg。"


def make_board(
    piece: Piece,
    low: Rendition,
    sharp: Rendition,
    out: Path,
    *,
    on_progress: Callable[[float], None],
    cancelled: Callable[[], bool],
) -> Board:
    """The stills, the storyboard and their timed tracks, written into `out`: board-00001.jpg …, board.vtt,
    storyboard-001.jpg …, storyboard.vtt. The same renditions give the same bytes.

    `low` is looked through whole, stills are cut from `sharp`; both are videos. Raises Unavailable, DiskFull or Cancelled.
    """
    with _scratch(out / "board.work") as scratch:
        work = _Work(piece, low, sharp, out, scratch, cancelled)
        frames, sheets = work.scan(lambda fraction: on_progress(_SCAN_PART * fraction))
        pages = Pages(frames, low.duration_ms)
        stills = work.stills(pages, lambda fraction: on_progress(_SCAN_PART + (1 - _SCAN_PART) * fraction))
        (out / BOARD_VTT).write_text(board_vtt(stills), encoding="utf-8")
        tiles = storyboard_vtt(low.duration_ms, _HLS_SEGMENT_MS, sheets, GRID, work.tile_px)
        (out / STORYBOARD_VTT).write_text(tiles, encoding="utf-8")
    on_progress(1.0)
    return Board(stills, sheets, sum(still.size_bytes for still in stills))


@contextmanager
def _scratch(directory: Path) -> Generator[Path]:
    """A directory of ours that is gone again, whatever happens; a full disk has its own error."""
    try:
        shutil.rmtree(directory, ignore_errors=True)  # what a killed run left
        directory.mkdir(parents=True)
        yield directory
    except (ToolFailed, ToolTimeout) as error:
        raise Unavailable("ffmpeg", str(error), _DOCTOR_ZH) from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull("工作磁盘", "no space left for the stills", _FREE_ZH) from error
        raise
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class _Work:
    piece: Piece
    low: Rendition
    sharp: Rendition
    out: Path
    scratch: Path
    cancelled: Callable[[], bool]

    @property
    def tile_px(self) -> tuple[int, int]:
        return _within(self.low, TILE_SIDE_PX)

    def scan(self, on_progress: Callable[[float], None]) -> tuple[Grey, tuple[str, ...]]:
        """A grey picture of each second, and the names of the storyboard's sheets. One sheet at a time is decoded."""
        width, height = grey_size_px(self.low.width, self.low.height)
        sheets: list[str] = []
        raw = self.scratch / "grey.raw"
        with raw.open("wb") as file:
            for start_ms in range(0, max(1, self.low.duration_ms - _ROUNDING_MS), _SHEET_MS):
                span_ms = min(_SHEET_MS, self.low.duration_ms - start_ms)
                sheets.append(f"storyboard-{len(sheets) + 1:03d}.jpg")
                file.write(self._scanned(start_ms, span_ms, (width, height), sheets[-1]))
                on_progress((start_ms + span_ms) / self.low.duration_ms)
        frames = np.fromfile(raw, dtype=np.uint8).reshape(-1, height, width)
        return frames, tuple(sheets)

    def _scanned(self, start_ms: int, span_ms: int, grey_px: tuple[int, int], sheet: str) -> bytes:
        """One grey picture a second of this span; the last one stands for seconds that have none of their own."""
        first = start_ms // _HLS_SEGMENT_MS
        count = max(1, -(-(span_ms - _ROUNDING_MS) // _HLS_SEGMENT_MS))
        source = self._joined(self.low, range(first, first + count))
        argv = board_scan_argv(
            source, grey_px=grey_px, every_s=HLS_SEGMENT_S, tile_px=self.tile_px, grid=GRID, sheet=sheet
        )
        grey = run_tool(argv, limits=_LIMITS, cwd=self.out, cancelled=self.cancelled).stdout
        picture_bytes, wanted = grey_px[0] * grey_px[1], -(-span_ms // SAMPLE_MS)
        there = min(wanted, len(grey) // picture_bytes)
        if not there:
            raise Unavailable("ffmpeg", f"no picture in {self.low.rung} at {start_ms} ms", _DOCTOR_ZH)
        last = grey[(there - 1) * picture_bytes : there * picture_bytes]
        return grey[: there * picture_bytes] + last * (wanted - there)

    def stills(self, pages: Pages, on_progress: Callable[[float], None]) -> tuple[Still, ...]:
        """One a page, within the lesson's budget of bytes: first by quality, then by being stricter about what is a page."""
        most_bytes = max(SHORT_BYTES, MOST_BYTES_PER_MIN * self.low.duration_ms / 60_000)
        cut: dict[int, dict[int, Path]] = {}
        for strictness in STRICTNESSES:
            turned = pages.turned(strictness)
            if len(turned) * _LEAST_STILL_BYTES > most_bytes:
                continue
            for n, page in enumerate(turned, start=1):
                if page.best_ms not in cut:
                    cut[page.best_ms] = self._cut(page.best_ms)
                on_progress(n / len(turned))
            quality = _quality([cut[page.best_ms] for page in turned], self.low.duration_ms, most_bytes)
            if quality is not None:
                return self._kept(turned, [cut[page.best_ms][quality] for page in turned])
        raise AssertionError("the strictest pages fit any budget")  # 120 s of it hold more than a picture of noise

    def _cut(self, at_ms: int) -> dict[int, Path]:
        """The picture at this moment in every quality."""
        if self.cancelled():
            raise Cancelled("ffmpeg")
        at_ms = max(0, at_ms - _BEFORE_MS)
        number, offset_ms = divmod(at_ms, _HLS_SEGMENT_MS)
        source = self._joined(self.sharp, [number])
        names = {quality: f"{at_ms}-{quality}.jpg" for quality in _QUALITIES}
        argv = still_argv(source, at_ms=offset_ms, size_px=_within(self.sharp, STILL_SIDE_PX), names=names)
        run_tool(argv, limits=_LIMITS, cwd=self.scratch, cancelled=self.cancelled)
        made = {quality: self.scratch / name for quality, name in names.items()}
        if not all(path.exists() and path.stat().st_size for path in made.values()):
            raise Unavailable("ffmpeg", f"no picture in {self.sharp.rung} at {at_ms} ms", _DOCTOR_ZH)
        return made

    def _joined(self, rendition: Rendition, numbers: Sequence[int]) -> Path:
        whole = self.scratch / "span.mp4"
        with whole.open("wb") as file:
            for name in (INIT_NAME, *(f"seg-{number:05d}.m4s" for number in numbers)):
                with self.piece(rendition.rung, name).open("rb") as part:
                    shutil.copyfileobj(part, file)
        return whole

    def _kept(self, pages: Sequence[Page], pictures: Sequence[Path]) -> tuple[Still, ...]:
        width, height = _within(self.sharp, STILL_SIDE_PX)
        stills: list[Still] = []
        for n, (page, picture) in enumerate(zip(pages, pictures, strict=True), start=1):
            name = f"board-{n:05d}.jpg"
            size_bytes = shutil.copyfile(picture, self.out / name).stat().st_size
            stills.append(Still(page.span, name, width, height, size_bytes))
        return tuple(stills)


def _quality(stills: Sequence[dict[int, Path]], duration_ms: int, most_bytes: float) -> int | None:
    """The finest quality whose bytes are typical, else the finest past readable that fits, else none."""
    totals = {quality: sum(still[quality].stat().st_size for still in stills) for quality in _QUALITIES}
    typical_bytes = TYPICAL_BYTES_PER_MIN * duration_ms / 60_000
    for quality, total in totals.items():
        if total <= (typical_bytes if quality < _READABLE else most_bytes):
            return quality
    return None


def _within(rendition: Rendition, side_px: int) -> tuple[int, int]:
    """The rendition's width and height, scaled down to fit a square of `side_px`."""
    scale = min(1.0, side_px / max(rendition.width, rendition.height))
    return max(1, round(rendition.width * scale)), max(1, round(rendition.height * scale))
