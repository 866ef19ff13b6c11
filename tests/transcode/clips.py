"""Recordings of a second or two that ffmpeg makes on the spot, and how to look into what came of them."""

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from archive.model import Damage, Probe, Rendition
from archive.tool import Limits, run_tool
from ingest.probe import Acceptance, probe
from transcode.encode import Bench, Effort, Made
from transcode.encode import make as make_task
from transcode.join import damage_of, gather, wholes
from transcode.per_title import with_offsets
from transcode.plan import Survey, Task, tasks_for
from transcode.playlist import KEYFRAMES_NAME, keyframes_playlist, media_playlist
from transcode.survey import enterable_copy, is_entered_as_it_is, probe_of_copy, survey

PATIENT = Limits(wall_s=120)
EVERYTHING = Acceptance(max_duration_ms=4 * 3600 * 1000, max_bytes=2**40)
QUICK = Effort(preset="ultrafast", threads=1)


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


@dataclass(frozen=True, slots=True)
class Ladder:
    """A recording that went all the way on one machine: the plan, and what came of it below `directory`."""

    probe: Probe
    survey: Survey
    tasks: tuple[Task, ...]
    made: dict[str, Made]
    renditions: tuple[Rendition, ...]
    damage: Damage | None
    directory: Path


def laddered(
    path: Path,
    out_dir: Path,
    effort: Effort = QUICK,
    on_progress: Callable[[float], None] = lambda _: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Ladder:
    """What the pipeline does with a recording, task after task, without its catalog and its store."""
    name, source, found = path.name, path, probed(path)
    enterable = True
    if not is_entered_as_it_is(found):
        out_dir.mkdir(parents=True, exist_ok=True)
        copy = out_dir / "copy.mkv"
        enterable = enterable_copy(path, found, copy)
        source, found = (copy, probe_of_copy(found)) if enterable else (path, found)
    surveyed = survey(source, found, name=name, enterable=enterable)
    trials = out_dir / "trials"
    trials.mkdir(parents=True, exist_ok=True)
    surveyed = with_offsets(source, found, surveyed, trials, cancelled=cancelled)
    trials.rmdir()
    tasks, made = tasks_for(found, surveyed), dict[str, Made]()
    for task in tasks:
        bench = Bench(source, found, surveyed, out_dir / "tasks" / task.name, name, on_progress, cancelled)
        made[task.name] = make_task(task, bench, effort)
        gather(made[task.name], bench.out_dir, out_dir)
    shutil.rmtree(out_dir / "tasks")
    whole = wholes(found, surveyed, tasks, made, lambda rung: (out_dir / rung / "init.mp4").read_bytes(), "")
    for rung in whole:
        directory = out_dir / rung.rendition.rung
        (directory / "index.m3u8").write_text(media_playlist(rung.segments))
        if rung.rendition.height:
            (directory / KEYFRAMES_NAME).write_text(keyframes_playlist(rung.segments))
    damage = damage_of(found, surveyed, tasks, made, name)
    return Ladder(found, surveyed, tasks, made, tuple(rung.rendition for rung in whole), damage, out_dir)


def encoded(path: Path, out_dir: Path) -> tuple[Rendition, ...]:
    return laddered(path, out_dir).renditions


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
