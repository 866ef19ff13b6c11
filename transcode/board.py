"""A lesson's board as pictures that stand still: for a line of 64 kbit/s, together with the sound, and for finding a page.

Made from our own renditions, not from the source, so that it can be made again for any lesson that is kept. The lowest one
is read whole to find the pages and to make the storyboard; each still is cut from one hls_segment of a sharp one.
Each still is there twice. WebP needs half the bytes of a slide (8 against 15 KB) and two thirds of a page of writing, and looks
better; JPEG is for Apple's phones of before 2020, which do not show it.
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


@dataclass(frozen=True, slots=True)
class _Format:
    """A kind of picture file. `qualities` are the encoder's, finest first; small writing survives the first `readable`."""

    extension: str
    qualities: tuple[int, ...]
    readable: int


_JPEG = _Format("jpg", (3, 5, 8, 12, 18, 31), readable=3)  # quantiser scales; 31 is ffmpeg's coarsest
# SSIM of a page of writing at 15 is above that of JPEG at 8 (20.7 against 18.3 dB), of a slide at 45.
_WEBP = _Format("webp", (80, 60, 40, 25, 15, 8), readable=5)
_FORMATS = (_JPEG, _WEBP)
_Cut = dict[tuple[str, int], Path]  # (extension, quality) → one picture, everywhere the same

Piece = Callable[[str, str], Path]  # (rung, "init.mp4" or "seg-00012.m4s") → where it lies; fetched when asked for

BOARD_VTT, STORYBOARD_VTT = "board.vtt", "storyboard.vtt"

STILL_SIDE_PX = 960  # a phone held flat shows no more of it
TYPICAL_BYTES_PER_MIN = 70_000  # a third of its sound in Opus; met by quality alone
MOST_BYTES_PER_MIN = 5_000_000 / 45  # met by fewer pages where it must be
SHORT_BYTES = 200_000  # what a lesson of a few seconds may have all the same: two pictures of pure noise
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
        cut: dict[int, _Cut] = {}
        for strictness in STRICTNESSES:
            turned = pages.turned(strictness)
            if len(turned) * _LEAST_STILL_BYTES > most_bytes:
                continue
            for n, page in enumerate(turned, start=1):
                if page.best_ms not in cut:
                    cut[page.best_ms] = self._cut(page.best_ms)
                on_progress(n / len(turned))
            pictures = [cut[page.best_ms] for page in turned]
            found = {form: _quality(pictures, form, self.low.duration_ms, most_bytes) for form in _FORMATS}
            jpeg, webp = found[_JPEG], found[_WEBP]
            if jpeg is not None and webp is not None:
                return self._kept(turned, [(picture[jpeg], picture[webp]) for picture in pictures])
        raise AssertionError("the strictest pages fit any budget")  # 120 s of it hold more than a picture of noise

    def _cut(self, at_ms: int) -> _Cut:
        """The picture at this moment, in every format and quality."""
        if self.cancelled():
            raise Cancelled("ffmpeg")
        at_ms = max(0, at_ms - _BEFORE_MS)
        number, offset_ms = divmod(at_ms, _HLS_SEGMENT_MS)
        source = self._joined(self.sharp, [number])
        jpegs, webps = (
            {quality: f"{at_ms}-{quality}.{form.extension}" for quality in form.qualities} for form in _FORMATS
        )
        size_px = _within(self.sharp, STILL_SIDE_PX)
        argv = still_argv(source, at_ms=offset_ms, size_px=size_px, jpegs=jpegs, webps=webps)
        run_tool(argv, limits=_LIMITS, cwd=self.scratch, cancelled=self.cancelled)
        made = {
            (form.extension, quality): self.scratch / name
            for form, names in zip(_FORMATS, (jpegs, webps), strict=True)
            for quality, name in names.items()
        }
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

    def _kept(self, pages: Sequence[Page], pictures: Sequence[tuple[Path, Path]]) -> tuple[Still, ...]:
        width, height = _within(self.sharp, STILL_SIDE_PX)
        stills: list[Still] = []
        for n, (page, (jpeg, webp)) in enumerate(zip(pages, pictures, strict=True), start=1):
            still = Still(page.span, f"board-{n:05d}.jpg", width, height, jpeg.stat().st_size, webp.stat().st_size)
            shutil.copyfile(jpeg, self.out / still.name)
            shutil.copyfile(webp, self.out / still.webp_name)
            stills.append(still)
        return tuple(stills)


def _quality(stills: Sequence[_Cut], form: _Format, duration_ms: int, most_bytes: float) -> tuple[str, int] | None:
    """The finest quality whose bytes are typical, else the coarsest that is still readable or whatever fits, else none."""
    typical_bytes = TYPICAL_BYTES_PER_MIN * duration_ms / 60_000
    for place, quality in enumerate(form.qualities, start=1):
        total = sum(still[form.extension, quality].stat().st_size for still in stills)
        if total <= (typical_bytes if place < form.readable else most_bytes):
            return form.extension, quality
    return None


def _within(rendition: Rendition, side_px: int) -> tuple[int, int]:
    """The rendition's width and height, scaled down to fit a square of `side_px`."""
    scale = min(1.0, side_px / max(rendition.width, rendition.height))
    return max(1, round(rendition.width * scale)), max(1, round(rendition.height * scale))
