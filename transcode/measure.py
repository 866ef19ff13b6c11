"""What an encoding came to: measured from the files themselves, so that a playlist promises nothing that is not there."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from archive.errors import DiskFull, Unavailable
from archive.model import Rendition
from transcode import fmp4
from transcode.command import INIT_NAME, PLAYLIST_NAME
from transcode.ladder import AudioRung, Rung

_FULL_BYTES = 4 * 2**20  # with less than this free a file that is cut off needs no other explanation


@dataclass(frozen=True, slots=True)
class HlsSegment:
    """A file in a media playlist. Microseconds, as EXTINF has six places: rounded sooner, 450 of them add up.

    `keyframe_bytes` is how much of its beginning holds its first picture; 0 for sound.
    """

    name: str
    duration_us: int
    size_bytes: int
    keyframe_bytes: int = 0


def settled(directory: Path, rung: Rung, *, start_us: int, first_segment: int) -> tuple[HlsSegment, ...]:
    """The hls_segments that ffmpeg's playlist in `directory` names, in order, their clocks set to begin at `start_us`.

    Raises DiskFull or Unavailable if one is not there whole. It must be looked at: on a full disk ffmpeg's HLS muxer
    leaves empty and cut-off files, says nothing and returns 0. Call it once: it changes the files.
    """
    init = directory / INIT_NAME
    _check_whole(init)
    ticks = start_us * fmp4.timescale(init.read_bytes()) // 1_000_000
    segments: list[HlsSegment] = []
    for number, (name, duration_us) in enumerate(_listed(directory / PLAYLIST_NAME), start=first_segment):
        path = directory / name
        _check_whole(path)
        data = fmp4.placed(path.read_bytes(), ticks, number + 1)
        path.write_bytes(data)
        keyframe_bytes = 0 if isinstance(rung, AudioRung) else fmp4.keyframe_bytes(data)
        segments.append(HlsSegment(name, duration_us, len(data), keyframe_bytes))
    return tuple(segments)


def rendition_of(rung: Rung, segments: Sequence[HlsSegment], init: bytes, playlist_key: str) -> Rendition:
    """A rung that is whole, from all its hls_segments."""
    keyframes = [HlsSegment(one.name, one.duration_us, one.keyframe_bytes) for one in segments]
    sound = isinstance(rung, AudioRung)
    return Rendition(
        rung=rung.name,
        codecs=fmp4.codec_of(init),
        width=0 if isinstance(rung, AudioRung) else rung.width_px,
        height=0 if isinstance(rung, AudioRung) else rung.height_px,
        frame_rate="" if isinstance(rung, AudioRung) else f"{float(rung.frame_rate):.3f}",
        bandwidth_bps=peak_bps(segments),
        average_bandwidth_bps=_bps(segments),
        size_bytes=len(init) + sum(segment.size_bytes for segment in segments),
        duration_ms=round(sum(segment.duration_us for segment in segments) / 1000),
        playlist_key=playlist_key,
        view="" if isinstance(rung, AudioRung) else rung.view,
        keyframe_bandwidth_bps=0 if sound else max((_bps([one]) for one in keyframes), default=0),
    )


def _listed(playlist: Path) -> list[tuple[str, int]]:
    """Name and length in microseconds of each hls_segment in a playlist that ffmpeg wrote to its end."""
    lines = playlist.read_text("utf-8").splitlines() if playlist.exists() else []
    if not lines or lines[-1] != "#EXT-X-ENDLIST":
        raise _incomplete(playlist)
    found: list[tuple[str, int]] = []
    duration_us = 0
    for line in lines:
        if line.startswith("#EXTINF:"):
            duration_us = round(Fraction(line.removeprefix("#EXTINF:").rstrip(",")) * 1_000_000)
        elif not line.startswith("#"):
            found.append((line, duration_us))
    return found


def _check_whole(path: Path) -> None:
    """An MP4 file is whole when its boxes fill it to its last byte."""
    size_bytes, at = path.stat().st_size if path.exists() else 0, 0
    if size_bytes:
        with path.open("rb") as file:
            while at < size_bytes and (box_bytes := int.from_bytes(file.read(4))) >= 8:
                at += box_bytes
                file.seek(at)
    if not 0 < at == size_bytes:
        raise _incomplete(path)


def _incomplete(path: Path) -> Unavailable:
    if shutil.disk_usage(path.parent).free < _FULL_BYTES:
        return DiskFull("工作磁盘", f"no space left for {path.name}", "请清理磁盘空间，任务会自动继续。")
    return Unavailable("工作磁盘", f"{path.name} is missing or cut off", "请检查工作磁盘。")


def peak_bps(segments: Sequence[HlsSegment]) -> int:
    """BANDWIDTH of RFC 8216, §4.3.4.2: the largest rate of any run of segments that lasts 0.5 to 1.5 target durations.

    So a last segment of a few frames, nearly all keyframe, counts together with the one before it.
    """
    target_us = max((segment.duration_us for segment in segments), default=0)
    shortest_us, longest_us = target_us // 2, target_us * 3 // 2
    peak = 0
    for start in range(len(segments)):
        for end in range(start + 1, len(segments) + 1):
            length_us = sum(segment.duration_us for segment in segments[start:end])
            if length_us > longest_us:
                break
            if length_us >= shortest_us:
                peak = max(peak, _bps(segments[start:end]))
    return peak or _bps(segments)


def _bps(segments: Sequence[HlsSegment]) -> int:
    """Rounded up: a promise may be kept early, not late."""
    bits = 8 * sum(segment.size_bytes for segment in segments)
    return -(-bits * 1_000_000 // max(1, sum(segment.duration_us for segment in segments)))
