"""SubRip (.srt), both ways. The format has no escapes: what looks like markup gets an invisible word joiner, which `read` takes
out again, so that `read(write(cues)) == cues` for any text that is `one_line`.
"""

import re
from collections.abc import Iterable

from archive.model import Cue
from archive.timecode import webvtt_from_ms
from transcribe.lines import broken, joined, one_line
from transcribe.webvtt import span_of

_TIMING = re.compile(
    r"\s*(\d{1,2}):(\d{1,2}):(\d{1,2})[,.](\d{1,3})\s*-->\s*(\d{1,2}):(\d{1,2}):(\d{1,2})[,.](\d{1,3})(?:\s|$)"
)
_TAG = re.compile(r"</?(?:[biu]|font)(?:\s[^<>]{0,99})?>|\{\\[^{}]{0,99}\}", re.IGNORECASE)
_JOINER = "\u2060"
_LIKE_MARKUP = re.compile(rf"(?<=[<{{])(?=[{_JOINER}/\\a-zA-Z])|(?<=--)(?={_JOINER}*>)")
_DISARMED = re.compile(rf"(?<=[<{{]){_JOINER}(?=[{_JOINER}/\\a-zA-Z])|(?<=--){_JOINER}(?={_JOINER}*>)")


def write(cues: Iterable[Cue]) -> str:
    """The whole file, with Windows' line ends: players on televisions want them. Cues without text are left out."""
    said = [(cue, one_line(cue.text)) for cue in cues]
    blocks = [
        f"{number}\n{_clock(cue.span.start_ms)} --> {_clock(cue.span.end_ms)}\n"
        + "\n".join(_LIKE_MARKUP.sub(_JOINER, line) for line in broken(text))
        + "\n"
        for number, (cue, text) in enumerate(((cue, text) for cue, text in said if text), start=1)
    ]
    return "\n".join(blocks).replace("\n", "\r\n")


def read(text: str) -> list[Cue]:
    """By its timing lines: what stands between two of them, less the second's number, is the first one's text.

    Blank lines are no borders: editors write them inside a subtitle too.
    """
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    timings = [(i, found) for i, line in enumerate(lines) if (found := _TIMING.match(line)) is not None]
    ends = [*(_without_number(lines, following) for following, _ in timings[1:]), len(lines)]
    cues: list[Cue] = []
    for (at, found), end in zip(timings, ends, strict=False):
        start_clock, end_clock = (_padded(*found.group(first, first + 1, first + 2, first + 3)) for first in (1, 5))
        span = span_of(start_clock, end_clock)
        said = one_line(joined([_DISARMED.sub("", _TAG.sub("", line)) for line in lines[at + 1 : end]]))
        if span is not None and said:
            cues.append(Cue(span, said))
    return cues


def _without_number(lines: list[str], timing: int) -> int:
    """Where the text before this timing line ends: at its number, if there is one."""
    return timing - 1 if lines[timing - 1].strip().isdecimal() else timing


def _clock(ms: int) -> str:
    return webvtt_from_ms(ms).replace(".", ",")


def _padded(hour: str, minute: str, second: str, fraction: str) -> str:
    return f"{hour:0>2}:{minute:0>2}:{second:0>2}.{fraction:0<3}"
