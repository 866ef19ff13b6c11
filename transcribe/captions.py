"""Captions that come with a recording or from a teacher: WebVTT, SubRip, ASS, TTML, LRC, or text with clocks (.txt, .docx), in
whatever encoding the school's editor wrote them.

What the bytes say counts, not what the file is called. Everything is bounded: a caption file is small, and one that is
not is no caption file.
"""

import re
from collections.abc import Sequence

from archive.errors import Unacceptable, Unreadable
from archive.model import Cue
from transcribe import minutes, subrip, timed_text, webvtt
from transcribe.decoding import text_of

MAX_BYTES = 5 * 2**20  # three hours of dense subtitles are 300 KB
MAX_CUES = 20_000  # a cue a second for more than five hours
_ZIP = b"PK\x03\x04"
_EXPECTED_ZH = "可用：WebVTT（.vtt）、SRT、ASS、TTML、LRC，或每段开头写有时间（00:01:23）的文本与 .docx。"
MAX_CUE_CHARACTERS = 2_000  # a film's longest subtitle has some 120; beyond this the file is a text, not captions


def read_captions(data: bytes, name: str) -> tuple[Cue, ...]:
    """The cues, by start time, at least one. Unreadable says what is wrong with the file; `name` is how people know it.

    Cues may overlap: two people may speak at once, and a person wrote it so.
    """
    if len(data) > MAX_BYTES:
        limit_mb = MAX_BYTES // 2**20
        raise Unacceptable(name, f"{len(data)} bytes of captions", f"字幕文件超过 {limit_mb} MB，请检查是否传错。")
    cues = _parsed(data, name)
    if not cues:
        raise Unreadable(name, "no cue in it", f"字幕文件里没有一条可用的字幕。{_EXPECTED_ZH}")
    if len(cues) > MAX_CUES:
        raise Unacceptable(name, f"{len(cues)} cues", f"字幕超过 {MAX_CUES} 条，请检查是否传错。")
    if max(len(cue.text) for cue in cues) > MAX_CUE_CHARACTERS:
        reason_zh = f"有一条字幕超过 {MAX_CUE_CHARACTERS} 字，请检查文件格式。"
        raise Unacceptable(name, "a cue is longer than any caption", reason_zh)
    return tuple(sorted(cues, key=lambda cue: cue.span))


def _parsed(data: bytes, name: str) -> Sequence[Cue]:
    """By what the bytes are; one reader after the other, the stricter formats first."""
    try:
        if data.startswith(_ZIP):
            return minutes.read(minutes.text_of_docx(data))
        text = text_of(data, name).lstrip()
        if re.match(r"WEBVTT(?:\s|$)", text):
            return webvtt.read(text)
        if text.startswith("<") and "<tt" in text[:2_000]:
            return timed_text.read_ttml(text)
    except ValueError as error:
        raise Unreadable(name, str(error), f"字幕文件无法读取。{_EXPECTED_ZH}") from error
    if text.startswith("[Script Info]") or "\nDialogue:" in text:
        return timed_text.read_ass(text)
    return subrip.read(text) or timed_text.read_lrc(text) or minutes.read(text)
