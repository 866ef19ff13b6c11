"""What a file holds: its tracks and its length, or why it is no recording, in words a school's technician can act on.

Only headers are read here. Whether everything between them can be played is the verdict of transcode.encode, which
decodes it all anyway. To take a new container or codec, add it to archive.hardening; nothing here names one.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

from archive import hardening
from archive.errors import ToolFailed, ToolTimeout, Unacceptable, Unreadable
from archive.model import AudioTrack, Probe, VideoTrack
from archive.timecode import clock_from_ms, ms_from_seconds
from archive.tool import Confined, Limits, run_tool
from ingest import sniff

MIN_SIDE_PX = 16  # below one macroblock nothing can be recognised, and encoders refuse
MAX_SIDE_PX = 8192
MIN_BYTES_PER_S = 50  # speech at its thinnest is 750; a header that claims 100 hours in 2.7 KB is a bomb
MAX_FRAME_RATE = 120  # beyond it a header gives its clock's ticks, not frames

_TOOL_LIMITS = Limits(wall_s=120, cpu_s=60, memory_bytes=2 * 2**30, file_bytes=0)
_READ_LIMITS = Limits(wall_s=600, memory_bytes=2 * 2**30, file_bytes=0)  # the few runs that read a whole file
_ENTRIES = ":".join(
    (
        "format=format_name,duration",
        "stream=index,codec_type,codec_name,channels,sample_rate",
        "stream=width,height,sample_aspect_ratio,avg_frame_rate,r_frame_rate,field_order,pix_fmt",
        "stream_tags=language,title,handler_name",
        "stream_disposition=attached_pic",
        "stream_side_data=rotation",
    )
)
# How recorders name their tracks; the first view whose word is found counts. "mixed" is what the director cut.
_VIEW_WORDS = {
    "mixed": ("mixed", "director", "导播", "合成", "电影模式"),
    "screen": ("screen", "slides", "课件", "屏幕", "电脑", "ppt"),
    "students": ("student", "学生"),
    "teacher": ("teacher", "老师", "教师"),
}
_MAIN_FIRST = ("mixed", "teacher", "", "screen", "students")
_AGAIN_ZH = "请在录播主机上检查原文件能否播放，重新导出后再上传。"
_UNDECODABLE_ZH = f"已损坏，或画面超过 {hardening.MAX_PIXELS // 1_000_000} 百万像素。"


@dataclass(frozen=True, slots=True)
class Acceptance:
    """What a school may send, from the settings."""

    max_duration_ms: int
    max_bytes: int


def probe(path: Path, *, name: str, limits: Acceptance) -> Probe:
    """The tracks that can be played, the picture to watch first; `name` is what people know the file by.

    Raises Unreadable when it is no recording and Unacceptable when it is one that we do not take.
    """
    size_bytes = path.stat().st_size
    if size_bytes == 0:
        raise Unreadable(name, "empty file", f"文件是空的（0 字节）。上传可能中断了，{_AGAIN_ZH}")
    if size_bytes > limits.max_bytes:
        taken, sent = _gib(limits.max_bytes), _gib(size_bytes)
        raise Unacceptable(name, f"{size_bytes} bytes", f"文件太大：{sent} GB，最多接收 {taken} GB。")
    with path.open("rb") as file:
        other = sniff.impostor(file.read(4096))
    if other:
        raise Unreadable(name, f"not media: {other}", f"这不是录像，而是{other}。请上传录像文件本身。")
    fault = sniff.mp4_fault(path)
    if fault:
        raise Unacceptable(name, "malformed MP4", f"{fault}。请导出为自包含的普通 MP4。")
    found = _ffprobe(path, name)
    video, audio = _video_tracks(found, path, name), _audio_tracks(found, path, name)
    if not video and not audio:
        raise Unreadable(name, "no picture and no sound", f"文件里既没有画面也没有声音。{_AGAIN_ZH}")
    duration_ms = _header_duration_ms(found) or _packets_duration_ms(path, name)
    _check_duration(name, duration_ms, size_bytes, limits)
    return Probe(str(found["format"]["format_name"]), duration_ms, size_bytes, video, audio)


def _ffprobe(path: Path, name: str) -> dict[str, Any]:
    argv = ["ffprobe", "-v", "error", "-of", "json", "-show_entries", _ENTRIES, *hardening.probe_input(path)]
    try:
        done = run_tool(argv, limits=_TOOL_LIMITS, confined=Confined((path,)))
    except ToolTimeout as error:
        raise Unreadable(name, str(error), f"读取文件信息超时，文件可能已损坏。{_AGAIN_ZH}") from error
    except ToolFailed as error:
        raise _diagnosis(path, name, error) from error
    return cast(dict[str, Any], json.loads(done.stdout))


def _diagnosis(path: Path, name: str, failed: ToolFailed) -> Unreadable:
    """Why ffprobe refused. Its words are looked at only to phrase the reason: it is no recording either way."""
    refused = [line for line in failed.stderr_tail.splitlines() if "not on whitelist" in line]
    if refused:
        what = refused[0].lstrip("[").partition(" @")[0]  # "[magicyuv @ 0x55d3] Codec (magicyuv) not on whitelist …"
        return Unacceptable(name, f"not taken: {what}", f"不支持这种封装或编码：{what}。请导出为 H.264 + AAC 的 MP4。")
    if "max_streams" in failed.stderr_tail:
        return Unacceptable(name, "too many tracks", f"轨道太多，最多 {hardening.MAX_TRACKS} 条。")
    boxes = sniff.mp4_boxes(path)
    if boxes and b"moov" not in boxes:
        return Unreadable(
            name,
            "truncated: MP4 without moov",
            f"录像不完整：缺少 MP4 末尾的索引（moov），多半是录制或上传中断。{_AGAIN_ZH}",
        )
    return Unreadable(name, failed.last_line.rpartition(": ")[2], f"不是能识别的录像，或文件头已损坏。{_AGAIN_ZH}")


def _streams(found: Mapping[str, Any], kind: str) -> list[dict[str, Any]]:
    streams = cast(list[dict[str, Any]], found.get("streams", []))
    return [s for s in streams if s.get("codec_type") == kind and not s.get("disposition", {}).get("attached_pic")]


def _video_tracks(found: Mapping[str, Any], path: Path, name: str) -> tuple[VideoTrack, ...]:
    tracks: list[VideoTrack] = []
    for stream in _streams(found, "video"):
        width, height = int(stream.get("width", 0)), int(stream.get("height", 0))
        if not width or not height:
            _check_empty(stream, path, name, "画面")
            continue
        codec = _taken_codec(stream, hardening.VIDEO_DECODERS, name, "画面")
        if not MIN_SIDE_PX <= min(width, height) <= max(width, height) <= MAX_SIDE_PX:
            raise Unacceptable(name, f"picture of {width}x{height}", f"画面尺寸 {width}x{height} 不在接收范围内。")
        tracks.append(
            VideoTrack(
                index=int(stream["index"]),
                codec=codec,
                width=round(width * _pixel_shape(stream)),
                height=height,
                frame_rate=_frame_rate(stream),
                rotation=_rotation(stream),
                interlaced=stream.get("field_order") in {"tt", "bb", "tb", "bt"},
                pixel_format=str(stream.get("pix_fmt", "")),
                view=_view(stream),
            )
        )
    return tuple(sorted(tracks, key=lambda track: _MAIN_FIRST.index(track.view)))


def _audio_tracks(found: Mapping[str, Any], path: Path, name: str) -> tuple[AudioTrack, ...]:
    tracks: list[AudioTrack] = []
    for stream in _streams(found, "audio"):
        channels, sample_rate_hz = int(stream.get("channels", 0)), int(stream.get("sample_rate", 0))
        if not channels or not sample_rate_hz:
            _check_empty(stream, path, name, "声音")
            continue
        language = str(stream.get("tags", {}).get("language", ""))
        codec = _taken_codec(stream, hardening.AUDIO_DECODERS, name, "声音")
        tracks.append(
            AudioTrack(int(stream["index"]), codec, channels, sample_rate_hz, "" if language == "und" else language)
        )
    return tuple(tracks)


def _check_empty(stream: Mapping[str, Any], path: Path, name: str, what_zh: str) -> None:
    """A track without a size is left out if the recorder announced it but nothing ever came; else it is damaged."""
    counting = ["-count_packets", "-select_streams", str(stream["index"]), "-show_entries", "stream=nb_read_packets"]
    argv = ["ffprobe", "-v", "error", *counting, "-of", "csv=p=0", *hardening.probe_input(path)]
    try:
        counted = run_tool(argv, limits=_READ_LIMITS, confined=Confined((path,))).stdout.decode()
        counted = counted.split(",")[0].strip()
    except (ToolFailed, ToolTimeout):
        counted = "unknown"
    if counted not in ("", "0", "N/A"):
        raise Unreadable(
            name, f"track {stream['index']} cannot be read", f"{what_zh}无法解码：{_UNDECODABLE_ZH}{_AGAIN_ZH}"
        )


def _taken_codec(stream: Mapping[str, Any], taken: Mapping[str, str], name: str, what_zh: str) -> str:
    """A track that cannot be decoded is refused, not left out: a lesson without its sound would be lost silently."""
    codec = str(stream.get("codec_name", "unknown"))
    if codec not in taken:
        raise Unacceptable(
            name, f"codec {codec} is not taken", f"{what_zh}编码 {codec} 不支持。请导出为 H.264 + AAC 的 MP4。"
        )
    return codec


def _view(stream: Mapping[str, Any]) -> str:
    """What a track shows, where the recorder names it; empty where it does not."""
    tags = cast(dict[str, str], stream.get("tags", {}))
    named = f"{tags.get('title', '')} {tags.get('handler_name', '')}".lower()
    return next((view for view, words in _VIEW_WORDS.items() if any(word in named for word in words)), "")


def _frame_rate(stream: Mapping[str, Any]) -> str:
    """The average is true for variable rates too; where a header has none, its nominal one."""
    for entry in ("avg_frame_rate", "r_frame_rate"):
        numerator, _, denominator = str(stream.get(entry, "0/0")).partition("/")
        if int(denominator or 1) and 0 < Fraction(int(numerator), int(denominator or 1)) <= MAX_FRAME_RATE:
            return f"{numerator}/{denominator or 1}"
    return "25/1"


def _pixel_shape(stream: Mapping[str, Any]) -> Fraction:
    """Width of a pixel for a height of one: a track's width counts square pixels, as screens have them."""
    width, _, height = str(stream.get("sample_aspect_ratio", "1:1")).partition(":")
    shape = Fraction(int(width), int(height)) if int(height or 0) else Fraction(1)
    return shape if Fraction(1, 4) <= shape <= 4 else Fraction(1)  # "0:1" is unknown; beyond 4 it is noise


def _rotation(stream: Mapping[str, Any]) -> int:
    """ffprobe counts counterclockwise, to any degree; players turn by quarters."""
    side_data = cast(list[dict[str, Any]], stream.get("side_data_list", []))
    turns = [float(entry["rotation"]) for entry in side_data if "rotation" in entry]
    return round(-turns[0] / 90) % 4 * 90 if turns else 0


def _header_duration_ms(found: Mapping[str, Any]) -> int:
    """0 where the header does not say: a recorder that lost its power never wrote it."""
    return max(0, ms_from_seconds(str(found["format"].get("duration", "0"))))


def _packets_duration_ms(path: Path, name: str) -> int:
    """From the first packet's time to the last one's end, reading the whole file but decoding nothing."""
    first_ms, end_ms = None, 0

    def note(line: str) -> None:
        nonlocal first_ms, end_ms
        start, _, length = line.strip().partition(",")
        if not start or start == "N/A":
            return
        start_ms = ms_from_seconds(start)
        first_ms = start_ms if first_ms is None else min(first_ms, start_ms)
        end_ms = max(end_ms, start_ms + (0 if length.strip(",") in ("", "N/A") else ms_from_seconds(length.strip(","))))

    entries = ["-show_entries", "packet=pts_time,duration_time", "-of", "csv=p=0"]
    try:
        argv = ["ffprobe", "-v", "error", *entries, *hardening.probe_input(path)]
        run_tool(argv, limits=_READ_LIMITS, on_line=note, confined=Confined((path,)))
    except (ToolFailed, ToolTimeout) as error:
        raise Unreadable(name, str(error), f"文件读到一半就无法继续，已损坏。{_AGAIN_ZH}") from error
    return end_ms - (first_ms or 0)


def _check_duration(name: str, duration_ms: int, size_bytes: int, limits: Acceptance) -> None:
    if duration_ms <= 0:
        raise Unreadable(name, "no duration", f"文件里没有任何内容（时长为 0）。{_AGAIN_ZH}")
    if duration_ms > limits.max_duration_ms:
        longest = clock_from_ms(limits.max_duration_ms)
        raise Unacceptable(
            name, f"{duration_ms} ms long", f"录像太长：{clock_from_ms(duration_ms)}，最长接收 {longest}。"
        )
    if size_bytes * 1000 < duration_ms * MIN_BYTES_PER_S:
        raise Unreadable(
            name,
            f"{size_bytes} bytes cannot hold {duration_ms} ms",
            f"文件自称 {clock_from_ms(duration_ms)} 长，却只有 {size_bytes} 字节，内容已丢失。{_AGAIN_ZH}",
        )


def _gib(size_bytes: int) -> str:
    return f"{size_bytes / 2**30:.1f}"
