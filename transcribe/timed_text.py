"""Caption formats that schools' editors and karaoke programs write, and that we only read: ASS, TTML, LRC. Pure.

Each reader is as forgiving as a player: what it cannot use it skips.
"""

import re
from collections.abc import Iterator
from itertools import zip_longest
from xml.etree import ElementTree

from archive.model import Cue, Span
from archive.timecode import ms_from_seconds
from transcribe.lines import joined, one_line
from transcribe.webvtt import LATEST_MS

LINE_MS = 5_000  # LRC says when a line begins: it stays until the next, and the last one for so long

_ASS_TIME = re.compile(r"\s*(\d{1,2}):(\d{1,2}):(\d{1,2})[.:](\d{1,3})\s*")
_ASS_OVERRIDE = re.compile(r"\{[^{}]*\}")
_ASS_FIELDS = "layer,start,end,style,name,marginl,marginr,marginv,effect,text"
_LRC_STAMP = re.compile(r"\[(\d{1,3}):(\d{1,2})(?:[.:](\d{1,3}))?\]")
_LRC_OFFSET = re.compile(r"\[offset:\s*([+-]?\d{1,6})\s*\]", re.IGNORECASE)
_LRC_WORD = re.compile(r"<\d{1,3}:\d{1,2}(?:[.:]\d{1,3})?>")
_TTML_CLOCK = re.compile(r"(\d{2,}):(\d{2}):(\d{2})(?:\.(\d+)|:(\d{2,}))?")
_TTML_OFFSET = re.compile(r"(\d+(?:\.\d+)?)(h|m|s|ms|f|t)")
_TTML_PARAMETER = "{http://www.w3.org/ns/ttml#parameter}"


def read_ass(text: str) -> list[Cue]:
    """Dialogue lines, with the columns that the file's Format line names."""
    fields = _ASS_FIELDS.split(",")
    in_events, cues = True, list[Cue]()
    for line in text.splitlines():
        if line.startswith("["):
            in_events = line.strip().lower() == "[events]"
        elif in_events and line.lower().startswith("format:"):
            fields = [name.strip().lower() for name in line.partition(":")[2].split(",")]
        elif line.startswith("Dialogue:"):
            values = dict(zip(fields, line.partition(":")[2].split(",", len(fields) - 1), strict=False))
            said = values.get("text", "")
            if re.search(r"\{[^{}]*\\p[1-9]", said):  # a drawing, in the same field
                continue
            spoken = re.split(r"\\[Nn]", _ASS_OVERRIDE.sub("", said).replace("\\h", " "))
            cues += _cue(_ass_ms(values.get("start", "")), _ass_ms(values.get("end", "")), joined(spoken))
    return cues


def read_lrc(text: str) -> list[Cue]:
    """Lyrics: a line may be sung at several times, and is shown until the next one begins."""
    offset = _LRC_OFFSET.search(text)
    shift_ms = int(offset[1]) if offset else 0
    lines: list[tuple[int, str]] = []
    for line in text.splitlines():
        stamps, rest = list[int](), line.strip()
        while found := _LRC_STAMP.match(rest):
            minute, second, part = found.groups()
            stamps.append((int(minute) * 60 + int(second)) * 1000 + int((part or "0").ljust(3, "0")[:3]) - shift_ms)
            rest = rest[found.end() :]
        lines += [(max(0, ms), one_line(_LRC_WORD.sub("", rest))) for ms in stamps]
    lines.sort(key=lambda each: each[0])
    cues: list[Cue] = []
    for (start_ms, said), following in zip_longest(lines, lines[1:]):
        # An empty line takes the one before it off the screen.
        end_ms = following[0] if following and following[0] > start_ms else start_ms + LINE_MS
        cues += _cue(start_ms, end_ms, said)
    return cues


def read_ttml(text: str) -> list[Cue]:
    """Timed paragraphs; a time of a `div` or `body` moves what is in it. ValueError for what is no XML, or declares entities."""
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise ValueError("declares a document type")
    try:
        root = ElementTree.fromstring(re.sub(r"^\s*<\?xml[^>]*\?>", "", text))  # noqa: S314 — no entities: see above
    except ElementTree.ParseError as error:
        raise ValueError(str(error)) from error
    rate = float(root.get(f"{_TTML_PARAMETER}frameRate", "30") or 30)
    ticks = float(root.get(f"{_TTML_PARAMETER}tickRate", "0") or 0) or rate
    return list(_paragraphs(root, 0, rate, ticks))


def _paragraphs(element: ElementTree.Element, origin_ms: int, rate: float, ticks: float) -> Iterator[Cue]:
    begin = _ttml_ms(element.get("begin", ""), rate, ticks)
    start_ms = origin_ms + (begin or 0)
    if element.tag.rpartition("}")[2] == "p":
        end, length = (_ttml_ms(element.get(name, ""), rate, ticks) for name in ("end", "dur"))
        end_ms = origin_ms + end if end is not None else start_ms + length if length is not None else None
        yield from _cue(start_ms, end_ms, joined("".join(_said(element)).split("\n")))
        return
    for child in element:
        yield from _paragraphs(child, start_ms, rate, ticks)


def _said(element: ElementTree.Element) -> Iterator[str]:
    yield " ".join((element.text or "").split("\n"))
    for child in element:
        if child.tag.rpartition("}")[2] == "br":
            yield "\n"
        elif child.tag.rpartition("}")[2] != "metadata":
            yield from _said(child)
        yield " ".join((child.tail or "").split("\n"))


def _ttml_ms(text: str, rate: float, ticks: float) -> int | None:
    clock, offset = _TTML_CLOCK.fullmatch(text.strip()), _TTML_OFFSET.fullmatch(text.strip())
    if clock:
        hour, minute, second, fraction, frames = clock.groups()
        part = float(f"0.{fraction}") if fraction else int(frames or 0) / rate
        return ((int(hour) * 60 + int(minute)) * 60 + int(second)) * 1000 + ms_from_seconds(part)
    if offset:
        unit_s = {"h": 3600, "m": 60, "s": 1, "ms": 0.001, "f": 1 / rate, "t": 1 / ticks}[offset[2]]
        return ms_from_seconds(float(offset[1]) * unit_s)
    return None


def _ass_ms(text: str) -> int | None:
    found = _ASS_TIME.fullmatch(text)
    if found is None:
        return None
    hour, minute, second, part = found.groups()
    return ((int(hour) * 60 + int(minute)) * 60 + int(second)) * 1000 + int(part.ljust(3, "0"))


def _cue(start_ms: int | None, end_ms: int | None, text: str) -> Iterator[Cue]:
    said = one_line(text)
    if said and start_ms is not None and end_ms is not None and 0 <= start_ms < end_ms <= LATEST_MS:
        yield Cue(Span(start_ms, end_ms), said)
