"""Recordings of a second or two that ffmpeg makes on the spot, and how to look into what came of them."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from archive.model import Probe, Rendition
from archive.tool import Limits, run_tool
from ingest.probe import Acceptance, probe
from transcode.encode import encode

PATIENT = Limits(wall_s=120)
EVERYTHING = Acceptance(max_duration_ms=4 * 3600 * 1000, max_bytes=2**40)


def picture(size: str = "320x180", rate: str = "25", seconds: float = 1) -> list[str]:
    return ["-f", "lavfi", "-i", f"testsrc2=s={size}:r={rate}:d={seconds}"]


def sound(seconds: float = 1, channels: int = 1) -> list[str]:
    return ["-f", "lavfi", "-i", f"sine=d={seconds},aformat=channel_layouts={channels}c"]


def make(path: Path, *arguments: str | Sequence[str]) -> Path:
    """`path`, written by ffmpeg from these arguments; its name says the container."""
    flat = [part for argument in arguments for part in ([argument] if isinstance(argument, str) else argument)]
    run_tool(["ffmpeg", "-v", "error", "-y", *flat, str(path)], limits=PATIENT)
    return path


def x264(*more: str) -> list[str]:
    return ["-c:v", "libx264", "-preset", "ultrafast", *more]


def probed(path: Path) -> Probe:
    return probe(path, name=path.name, limits=EVERYTHING)


def encoded(path: Path, out_dir: Path) -> tuple[Rendition, ...]:
    return encode(
        path,
        probed(path),
        out_dir,
        preset="ultrafast",
        threads=1,
        name=path.name,
        on_progress=lambda _: None,
        cancelled=lambda: False,
    )


def joined(directory: Path) -> Path:
    """A rendition's init and hls_segments in one file, as a player sees them one after the other."""
    whole = directory.with_suffix(".mp4")
    parts = [directory / "init.mp4", *sorted(directory.glob("*.m4s"))]
    whole.write_bytes(b"".join(part.read_bytes() for part in parts))
    return whole


def shown(path: Path, entries: str) -> dict[str, Any]:
    argv = ["ffprobe", "-v", "error", "-of", "json", "-show_entries", entries, str(path)]
    return cast(dict[str, Any], json.loads(run_tool(argv, limits=PATIENT).stdout))


def raw(path: Path, *arguments: str) -> bytes:
    """What ffmpeg decodes of it, as bytes."""
    return run_tool(["ffmpeg", "-v", "error", "-i", str(path), *arguments, "-"], limits=PATIENT).stdout
