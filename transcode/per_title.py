"""How coarse a lesson's pictures may be: some seconds of it are encoded for trial, and what they lose is measured.

At the same CRF a board or a screen has quality to spare where a film in class has none. Streaming services call this
per-title encoding. The lesson's lowest picture is encoded at COARSEST above its CRF; if that stays above the floor the
lesson is made so, a quarter smaller, and if not the CRF comes down until it does. What is found holds for all rungs of the
view: they show the same content.

The measure is SSIM, which every ffmpeg has. In decibels it goes with VMAF on natural pictures (docs/performance.md has the
table): 17 dB was a VMAF of 94 to 95 on four kinds of them at 240p. On writing SSIM is too kind, which is why no lesson is
made coarser than COARSEST, where a typed page still had 93.7.
"""

import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from archive.errors import ToolFailed, ToolTimeout
from archive.model import Probe
from archive.tool import Confined, Limits, run_tool
from transcode.command import luma_ssim, ssim_argv, trial_cut_argv
from transcode.ladder import View, video_rungs, views_of
from transcode.plan import Reading, Survey

FLOOR_DB = 17.0
COARSEST, FINEST = 5, -2  # of what is added to a CRF; below FINEST the caps decide, not the CRF

SAMPLES, SAMPLE_S = 5, 4  # twenty seconds: 4 CPU seconds for a lesson of any length
SHORTEST_S = 60  # below it the trial costs as much as it could save
_LOSSLESS, _COARSE, _BASE = "lossless.mkv", "coarse.mkv", "base.mkv"
_LIMITS = Limits(wall_s=120, memory_bytes=4 * 2**30, file_bytes=256 * 2**20)


def with_offsets(source: Path, probe: Probe, survey: Survey, scratch: Path, *, cancelled: Callable[[], bool]) -> Survey:
    """`survey` with each view's crf_offset. `scratch` is an empty directory; nothing is left in it.

    A stretch that does not decode says nothing, and a view of which none does keeps 0: the encoding itself will find out
    what is wrong. Raises Cancelled, DiskFull and Unavailable.
    """
    views = zip(views_of(probe), survey.video, strict=True)
    readings: list[Reading] = []
    for view, reading in views:
        starts_s = sample_starts_s(reading, seekable=survey.seekable)
        readings.append(replace(reading, crf_offset=_offset(source, view, starts_s, scratch, cancelled)))
    return replace(survey, video=tuple(readings))


def crf_offset(coarse_db: float, base_db: float) -> int:
    """The most that may be added to a CRF, from what is kept at COARSEST above it and at the CRF itself: SSIM in decibels
    falls evenly with the CRF."""
    if coarse_db >= FLOOR_DB:
        return COARSEST
    slope_db = (base_db - coarse_db) / COARSEST
    if slope_db <= 0:
        return FINEST
    return max(FINEST, min(COARSEST, math.floor((base_db - FLOOR_DB) / slope_db)))


def sample_starts_s(reading: Reading, *, seekable: bool) -> list[int]:
    """Whole seconds at which samples begin, in the middles of equal shares of the track; none for a short one."""
    length_s = (reading.end_ms - reading.start_ms) / 1000
    if length_s < SHORTEST_S:
        return []
    if not seekable:
        return [round(reading.start_ms / 1000)]
    shares = (reading.start_ms / 1000 + length_s * (n + 0.5) / SAMPLES for n in range(SAMPLES))
    return [int(middle - SAMPLE_S / 2) for middle in shares]


def _offset(source: Path, view: View, starts_s: list[int], scratch: Path, cancelled: Callable[[], bool]) -> int:
    coarse, base = list[float](), list[float]()
    for start_s in starts_s:
        with suppress(ToolFailed, ToolTimeout):
            _cut(source, view, start_s, scratch, cancelled)
            coarse += _kept(scratch, _COARSE, cancelled)
            base += _kept(scratch, _BASE, cancelled)
    for name in (_LOSSLESS, _COARSE, _BASE):
        (scratch / name).unlink(missing_ok=True)
    return crf_offset(_decibels(coarse), _decibels(base)) if coarse and base else 0


def _cut(source: Path, view: View, start_s: int, scratch: Path, cancelled: Callable[[], bool]) -> None:
    rung = video_rungs(view)[-1]
    names = {rung.crf + COARSEST: _COARSE, rung.crf: _BASE}
    argv = trial_cut_argv(source, view, rung, start_s=start_s, length_s=SAMPLE_S, lossless=_LOSSLESS, coded=names)
    confined = Confined(reads=(source.absolute(),), writes=scratch.absolute())
    run_tool(argv, limits=_LIMITS, cwd=scratch, cancelled=cancelled, confined=confined)


def _kept(scratch: Path, name: str, cancelled: Callable[[], bool]) -> list[float]:
    """SSIM of each picture's luma: 1 is all of it."""
    found: list[float] = []

    def note(line: str) -> None:
        ssim = luma_ssim(line)
        if ssim is not None:
            found.append(ssim)

    argv = ssim_argv(scratch.absolute() / name, scratch.absolute() / _LOSSLESS)
    run_tool(argv, limits=_LIMITS, cwd=scratch, on_line=note, cancelled=cancelled)
    return found


def _decibels(ssims: list[float]) -> float:
    lost = 1 - sum(ssims) / len(ssims)
    return -10 * math.log10(max(lost, 1e-6))
