"""The lesson as one small file, for players that know no HLS and for keeping: the smallest picture with the sound."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from archive.errors import ToolFailed, ToolTimeout, Unavailable
from archive.tool import Confined, Limits, run_tool
from transcode.command import whole_file_argv

_NAME = "low.mp4"


def whole_file(
    renditions: Sequence[Sequence[Path]], out: Path, *, duration_ms: int, cancelled: Callable[[], bool]
) -> Path:
    """Write an MP4 that begins to play before it is loaded; returns its path in `out`, an empty directory.

    Each rendition is its init and its hls_segments in order. Nothing is encoded. Raises Unavailable, DiskFull, Cancelled.
    """
    tracks: list[Path] = []
    for n, files in enumerate(renditions):
        track = out / f"track{n}.mp4"
        with track.open("wb") as whole:
            for file in files:
                with file.open("rb") as piece:
                    shutil.copyfileobj(piece, whole)
        tracks.append(track.absolute())
    limits = Limits(wall_s=300 + duration_ms / 1000, memory_bytes=2 * 2**30)
    confined = Confined(reads=(), writes=out.absolute())
    try:
        run_tool(whole_file_argv(tracks, _NAME), limits=limits, cwd=out, cancelled=cancelled, confined=confined)
    except (ToolFailed, ToolTimeout) as error:
        raise Unavailable("ffmpeg", str(error), "请运行 huikan doctor 检查这台机器上的 ffmpeg。") from error
    return out / _NAME
