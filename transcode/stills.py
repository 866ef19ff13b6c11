"""Pictures of a lesson that stand still: the poster on its card in the library."""

from pathlib import Path

from archive.errors import ToolFailed, ToolTimeout
from archive.model import Probe
from archive.tool import Limits, run_tool
from transcode.command import poster_argv
from transcode.ladder import shown_size_px

POSTER_SIDE_PX = 640
POSTER_BYTES = 60_000  # a page of twenty cards stays near a megabyte
_QUALITIES = (4, 9, 18, 31)  # JPEG quantiser scales, finest first; 31 is ffmpeg's coarsest
_LIMITS = Limits(wall_s=120, memory_bytes=2 * 2**30, file_bytes=16 * 2**20)


def poster(source: Path, probe: Probe, out: Path) -> bool:
    """Write a JPEG of at most POSTER_BYTES to `out`. False, and no file, where there is no picture to show.

    Taken a tenth into the lesson, where the title is written but the board not yet full. A lesson without a poster is
    still a lesson, so a picture that cannot be had is no error.
    """
    if not probe.video:
        return False
    for at_ms in (probe.duration_ms // 10, 0):
        for quality in _QUALITIES:
            size_bytes = _still(source, probe, out, at_ms, quality)
            if not size_bytes:
                break  # nothing decodes from there on
            if size_bytes <= POSTER_BYTES:
                return True
    out.unlink(missing_ok=True)
    return False


def _still(source: Path, probe: Probe, out: Path, at_ms: int, quality: int) -> int:
    """The size of the file written, 0 if there was nothing to write."""
    width, height = shown_size_px(probe.video[0])
    scale = min(1.0, POSTER_SIDE_PX / max(width, height))
    size_px = (max(1, round(width * scale)), max(1, round(height * scale)))
    out.unlink(missing_ok=True)
    argv = poster_argv(source.absolute(), probe, at_ms=at_ms, size_px=size_px, quality=quality, name=out.name)
    try:
        run_tool(argv, limits=_LIMITS, cwd=out.parent)
    except (ToolFailed, ToolTimeout):
        return 0
    return out.stat().st_size if out.exists() else 0
