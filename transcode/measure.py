"""What an encoding came to: measured from the files themselves, so that a playlist promises nothing that is not there."""

import shutil
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from archive.errors import DiskFull, Unavailable
from archive.model import Rendition
from transcode.command import INIT_NAME, PLAYLIST_NAME
from transcode.ladder import HLS_SEGMENT_S, Rung, VideoRung

_FULL_BYTES = 4 * 2**20  # with less than this free a file that is cut off needs no other explanation


@dataclass(frozen=True, slots=True)
class HlsSegment:
    """A file in a media playlist. Microseconds, as EXTINF has six places: rounded sooner, 450 of them add up."""

    name: str
    duration_us: int
    size_bytes: int


def measured(directory: Path, rung: Rung) -> Rendition:
    """The rendition in `directory`. Raises DiskFull or Unavailable if a file that it names is not there whole.

    It must be looked at: on a full disk ffmpeg's HLS muxer leaves empty and cut-off files, says nothing and returns 0.
    """
    init_bytes = _whole_size_bytes(directory / INIT_NAME)
    init = (directory / INIT_NAME).read_bytes()
    segments = hls_segments(directory)
    video = rung if isinstance(rung, VideoRung) else None
    return Rendition(
        rung=rung.name,
        codecs=avc_codec(init) if video else aac_codec(init),
        width=video.width_px if video else 0,
        height=video.height_px if video else 0,
        frame_rate=f"{float(video.frame_rate):.3f}" if video else "",
        bandwidth_bps=peak_bps(segments),
        average_bandwidth_bps=_bps(segments),
        size_bytes=init_bytes + sum(segment.size_bytes for segment in segments),
        duration_ms=round(sum(segment.duration_us for segment in segments) / 1000),
        playlist_key=f"{rung.name}/{PLAYLIST_NAME}",
    )


def hls_segments(directory: Path) -> tuple[HlsSegment, ...]:
    """The segments that the playlist in `directory` names, in order, each of them there and whole."""
    playlist = directory / PLAYLIST_NAME
    lines = playlist.read_text("utf-8").splitlines() if playlist.exists() else []
    if not lines or lines[-1] != "#EXT-X-ENDLIST":
        raise _incomplete(playlist)
    segments: list[HlsSegment] = []
    duration_us = 0
    for line in lines:
        if line.startswith("#EXTINF:"):
            duration_us = round(Fraction(line.removeprefix("#EXTINF:").rstrip(",")) * 1_000_000)
        elif not line.startswith("#"):
            segments.append(HlsSegment(line, duration_us, _whole_size_bytes(directory / line)))
    return tuple(segments)


def _whole_size_bytes(path: Path) -> int:
    """The size of an MP4 file whose boxes fill it to its last byte."""
    size_bytes, at = path.stat().st_size if path.exists() else 0, 0
    if size_bytes:
        with path.open("rb") as file:
            while at < size_bytes and (box_bytes := int.from_bytes(file.read(4))) >= 8:
                at += box_bytes
                file.seek(at)
    if not 0 < at == size_bytes:
        raise _incomplete(path)
    return size_bytes


def _incomplete(path: Path) -> Unavailable:
    if shutil.disk_usage(path.parent).free < _FULL_BYTES:
        return DiskFull("工作磁盘", f"no space left for {path.name}", "请清理磁盘空间，任务会自动继续。")
    return Unavailable("工作磁盘", f"{path.name} is missing or cut off", "请检查工作磁盘。")


def peak_bps(segments: tuple[HlsSegment, ...]) -> int:
    """BANDWIDTH of RFC 8216, §4.3.4.2: the largest rate of any run of segments that lasts 0.5 to 1.5 target durations.

    So a last segment of a few frames, nearly all keyframe, counts together with the one before it.
    """
    shortest_us, longest_us = HLS_SEGMENT_S * 500_000, HLS_SEGMENT_S * 1_500_000
    peak = 0
    for start in range(len(segments)):
        for end in range(start + 1, len(segments) + 1):
            length_us = sum(segment.duration_us for segment in segments[start:end])
            if length_us > longest_us:
                break
            if length_us >= shortest_us:
                peak = max(peak, _bps(segments[start:end]))
    return peak or _bps(segments)


def _bps(segments: tuple[HlsSegment, ...]) -> int:
    """Rounded up: a promise may be kept early, not late."""
    bits = 8 * sum(segment.size_bytes for segment in segments)
    return -(-bits * 1_000_000 // max(1, sum(segment.duration_us for segment in segments)))


def avc_codec(init: bytes) -> str:
    """RFC 6381's name for H.264 in this init segment: profile, constraints and level, as its avcC box has them."""
    start = init.index(b"avcC") + 5  # past the kind and the version
    return f"avc1.{init[start : start + 3].hex()}"


def aac_codec(init: bytes) -> str:
    """RFC 6381's name for MPEG-4 audio in this init segment: object type indication and audio object type of esds."""
    at = init.index(b"esds") + 8  # past the kind, the version and the flags
    at = _descriptor(init, at, 0x03) + 3  # stream id, flags
    at = _descriptor(init, at, 0x04)
    indication = init[at]
    at = _descriptor(init, at + 13, 0x05)
    return f"mp4a.{indication:x}.{init[at] >> 3}"


def _descriptor(data: bytes, at: int, tag: int) -> int:
    """Where the content of the MPEG-4 descriptor at `at` begins; its length has seven bits a byte."""
    if data[at] != tag:
        raise ValueError(f"descriptor {data[at]:#x} where {tag:#x} should be")
    at += 1
    while data[at] & 0x80:
        at += 1
    return at + 1
