"""Captions that come with a recording: WebVTT or SubRip, in whatever encoding the school's editor wrote them.

What the bytes say counts, not what the file is called. Everything is bounded: a caption file is small, and one that is
not is no caption file.
"""

import re
from collections.abc import Sequence

from archive.errors import Unacceptable, Unreadable
from archive.model import Cue
from transcribe import webvtt
from transcribe.decoding import text_of

MAX_BYTES = 5 * 2**20  # three hours of dense subtitles are 300 KB
MAX_CUES = 20_000  # a cue a second for more than five hours
MAX_CUE_CHARACTERS = 2_000  # a film's longest subtitle has some 120; beyond this the file is a text, not captions

_SUBRIP_TIMING = re.compile(
    r"\s*(\d{1,2}):(\d{1,2}):(\d{1,2})[,.](\d{1,3})\s*-->\s*(\d{1,2}):(\d{1,2}):(\d{1,2})[,.](\d{1,3})(?:\s|$)"
)
_SUBRIP_TAG = re.compile(r"</?(?:[biu]|font)(?:\s[^<>]{0,99})?>|\{\\[^{}]{0,99}\}", re.IGNORECASE)


def read_captions(data: bytes, name: str) -> tuple[Cue, ...]:
    """The cues, by start time, at least one. Unreadable says what is wrong with the file; `name` is how people know it.

    Cues may overlap: two people may speak at once, and a person wrote it so.
    """
    if len(data) > MAX_BYTES:
        limit_mb = MAX_BYTES // 2**20
        raise Unacceptable(name, f"{len(data)} bytes of captions", f"字幕文件超过 {limit_mb} MB，请检查是否传错。")
    cues = _parsed(text_of(data, name).lstrip())
    if not cues:
        raise Unreadable(
            name, "no cue in it", "字幕文件里没有一条可用的字幕，请导出为 WebVTT（.vtt）或 SRT（.srt）格式。"
        )
    if len(cues) > MAX_CUES:
        raise Unacceptable(name, f"{len(cues)} cues", f"字幕超过 {MAX_CUES} 条，请检查是否传错。")
    if max(len(cue.text) for cue in cues) > MAX_CUE_CHARACTERS:
        reason_zh = f"有一条字幕超过 {MAX_CUE_CHARACTERS} 字，请检查文件格式。"
        raise Unacceptable(name, "a cue is longer than any caption", reason_zh)
    return tuple(sorted(cues, key=lambda cue: cue.span))


def _parsed(text: str) -> Sequence[Cue]:
    try:
        return webvtt.read(text)
    except ValueError:
        return _read_subrip(text)


def _read_subrip(text: str) -> list[Cue]:
    """SubRip by its timing lines: what stands between two of them, less the second's number, is the first one's text.

    Blank lines are no borders: editors write them inside a subtitle too.
    """
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    timings = [(i, found) for i, line in enumerate(lines) if (found := _SUBRIP_TIMING.match(line)) is not None]
    ends = [*(_without_number(lines, following) for following, _ in timings[1:]), len(lines)]
    cues: list[Cue] = []
    for (at, found), end in zip(timings, ends, strict=False):
        start_clock, end_clock = (_clock(*found.group(first, first + 1, first + 2, first + 3)) for first in (1, 5))
        span = webvtt.span_of(start_clock, end_clock)
        said = webvtt.one_line(_SUBRIP_TAG.sub("", "\n".join(lines[at + 1 : end])))
        if span is not None and said:
            cues.append(Cue(span, said))
    return cues


def _without_number(lines: list[str], timing: int) -> int:
    """Where the text before this timing line ends: at its number, if there is one."""
    return timing - 1 if lines[timing - 1].strip().isdecimal() else timing


def _clock(hour: str, minute: str, second: str, fraction: str) -> str:
    return f"{hour:0>2}:{minute:0>2}:{second:0>2}.{fraction:0<3}"
