"""Several recordings become one file, packet by packet: parts one after the other, views side by side. Nothing is decoded.

Each part is first copied into an MKV of ours, so that ffmpeg's concat reads nothing that a recorder wrote.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from archive import hardening
from archive.errors import ToolFailed, ToolTimeout, Unacceptable
from archive.model import Probe
from archive.tool import Confined, Limits, run_tool
from transcode.survey import enterable_copy

_LIST, _JOINED = "parts.ffconcat", "joined.mkv"
_COPY = ["-c", "copy", "-map_metadata", "-1", "-fflags", "+bitexact", "-f", "matroska"]
_READ = ["-protocol_whitelist", "file"]


@dataclass(frozen=True, slots=True)
class Part:
    path: Path
    probe: Probe


@dataclass(frozen=True, slots=True)
class ViewParts:
    """One view's parts in order. `late_ms` is how much later than the first view it begins."""

    view: str
    parts: tuple[Part, ...]
    late_ms: int = 0


def fits(parts: Sequence[Part]) -> bool:
    """Whether packets of these can follow one another in the same tracks: the same codecs, sizes and sample rates, in order."""
    return len({_shape(part.probe) for part in parts}) == 1


def assemble(views: Sequence[ViewParts], out: Path, *, name: str, cancelled: Callable[[], bool]) -> Path:
    """Write them into one MKV in `out`, an empty directory, and return its path: the first view's tracks first, the others'
    first pictures after them, each named for what it shows. The same bytes for the same parts.

    Raises Unacceptable if the parts do not fit or their packets cannot be copied, DiskFull, Unavailable and Cancelled.
    """
    files: list[Path] = []
    for number, view in enumerate(views):
        if not fits(view.parts):
            zh = "几段录像的编码、尺寸或声音不同，无法接成一段；它们各自成课。"
            raise Unacceptable(name, f"parts of view {view.view!r} do not fit", zh)
        copies = [_copied(part, out / f"v{number}-{n}.mkv", name) for n, part in enumerate(view.parts)]
        files.append(copies[0] if len(copies) == 1 else _joined(copies, out, f"v{number}.mkv", name, cancelled))
    argv = ["ffmpeg", "-nostdin", "-v", "error", "-y"]
    for file, view in zip(files, views, strict=True):
        offset = ["-itsoffset", f"{view.late_ms / 1000:.3f}"] if view.late_ms else []
        argv += [*offset, *_READ, "-format_whitelist", "matroska", "-i", hardening.media_url(file)]
    # The main view's sound; a screen's recorder that leads may have none.
    heard = next((number for number, view in enumerate(views) if view.parts[0].probe.audio), 0)
    argv += ["-map", "0:v?", "-map", f"{heard}:a?"]
    pictures = len(views[0].parts[0].probe.video)
    if len(views) > 1 and pictures:
        argv += ["-metadata:s:v:0", f"title={views[0].view}"]
    for number, view in enumerate(views[1:], 1):
        argv += ["-map", f"{number}:v:0", f"-metadata:s:v:{pictures + number - 1}", f"title={view.view}"]
    _run([*argv, *_COPY, _JOINED], files, out, name, cancelled)
    return out / _JOINED


def _copied(part: Part, target: Path, name: str) -> Path:
    if not enterable_copy(part.path, part.probe, target):
        zh = "有一段录像的数据不连续，无法接成一段；它们各自成课。"
        raise Unacceptable(name, f"packets of {part.path.name} cannot be copied", zh)
    return target


def _joined(copies: Sequence[Path], out: Path, target: str, name: str, cancelled: Callable[[], bool]) -> Path:
    (out / _LIST).write_text("ffconcat version 1.0\n" + "".join(f"file {copy.name}\n" for copy in copies))
    argv = ["ffmpeg", "-nostdin", "-v", "error", "-y", "-f", "concat", "-safe", "1", *_READ]
    argv += ["-format_whitelist", "concat,matroska", "-i", _LIST, "-map", "0", *_COPY, target]
    _run(argv, copies, out, name, cancelled)
    for copy in copies:
        copy.unlink()
    return out / target


def _run(argv: Sequence[str], reads: Sequence[Path], out: Path, name: str, cancelled: Callable[[], bool]) -> None:
    confined = Confined(reads=tuple(path.absolute() for path in reads), writes=out.absolute())
    try:
        run_tool(
            argv, limits=Limits(wall_s=3600, memory_bytes=4 * 2**30), cwd=out, cancelled=cancelled, confined=confined
        )
    except (ToolFailed, ToolTimeout) as error:
        zh = "几段录像无法接成一段；它们各自成课。"
        raise Unacceptable(name, f"cannot be joined: {error}", zh) from error


def _shape(probe: Probe) -> tuple[tuple[object, ...], ...]:
    pictures = tuple(
        (track.codec, track.width, track.height, track.pixel_format, track.rotation) for track in probe.video
    )
    sounds = tuple((track.codec, track.channels, track.sample_rate_hz) for track in probe.audio)
    return (*pictures, *sounds)
