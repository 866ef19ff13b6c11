"""Transcripts as meeting and dictation programs export them: text with a clock now and then, as .txt or .docx.

    老师  00:01:23            [00:01:23] 上课，同学们好。        00:01:23 - 00:01:30
    上课，同学们好。                                             上课，同学们好。

What stands after a clock was said from then until the next. Long paragraphs are cut into cues, their times by width.
"""

import io
import re
import zipfile
import zlib
from itertools import zip_longest
from xml.etree import ElementTree

from archive.model import Cue, Span
from archive.timecode import clock_from_ms
from transcribe.cues import MAX_MS, cues_from, undone
from transcribe.lines import joined, one_line
from transcribe.utterance import Utterance
from transcribe.webvtt import LATEST_MS

_MAX_XML_BYTES = 20 * 2**20  # a three-hour lesson's document.xml is 2 MB
_CHARACTER_MS = 250  # four a second: how long the last paragraph may have lasted
_CLOCK = r"(?:(?P<{0}h>\d{{1,2}})[:：])?(?P<{0}m>\d{{1,2}})[:：](?P<{0}s>[0-5]\d)(?:[.,](?P<{0}f>\d{{1,3}}))?"
_STAMP = re.compile(
    r"\s*(?P<who>[^\d\[\]()（）【】:：]{0,20}?)[\s:：]*[\[(（【]?\s*"
    + _CLOCK.format("a")
    + r"(?:\s*(?:-->|[-–—~～至到])\s*"
    + _CLOCK.format("b")
    + r")?\s*[\])）】]?(?![:：\d])\s*(?P<rest>.*)"
)
_WORD = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"


def read(text: str) -> list[Cue]:
    """The cues; none where no line begins with a clock, or the clocks run backwards from the start."""
    paragraphs: list[tuple[int, int | None, list[str]]] = []
    for line in text.splitlines():
        found = _STAMP.fullmatch(line)
        if found is not None:
            start_ms = _ms(found, "a")
            end_ms = _ms(found, "b") if found["bm"] else None
            paragraphs.append((start_ms, end_ms, [found["rest"]]))
        elif paragraphs:
            paragraphs[-1][2].append(line)
    cues: list[Cue] = []
    for (start_ms, end_ms, lines), following in zip_longest(paragraphs, paragraphs[1:]):
        said = one_line(joined(lines))
        spoken_ms = max(MAX_MS, len(said) * _CHARACTER_MS)
        next_ms = following[0] if following else start_ms + spoken_ms
        until_ms = min(end_ms or next_ms, start_ms + spoken_ms)
        if said and start_ms < until_ms <= LATEST_MS:
            cues += _divided(Utterance(Span(start_ms, until_ms), said))
    return cues


def text_of_docx(data: bytes) -> str:
    """A document's paragraphs as lines. ValueError for what is no such document, or is far too large."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entry = archive.getinfo("word/document.xml")
            if entry.file_size > _MAX_XML_BYTES:
                raise ValueError(f"{entry.file_size} bytes of XML")
            with archive.open(entry) as file:
                xml = file.read(_MAX_XML_BYTES + 1)
    except (zipfile.BadZipFile, zlib.error, KeyError, NotImplementedError, RuntimeError, OSError, EOFError) as error:
        raise ValueError(f"no Word document: {error}") from error
    if len(xml) > _MAX_XML_BYTES or b"<!DOCTYPE" in xml or b"<!ENTITY" in xml:
        raise ValueError("too large, or declares entities")
    try:
        root = ElementTree.fromstring(xml)  # noqa: S314 — no entities: see above
    except ElementTree.ParseError as error:
        raise ValueError(str(error)) from error
    return "\n".join("".join(_runs(paragraph)) for paragraph in root.iter(f"{_WORD}p"))


def write(cues: list[Cue], title: str) -> str:
    """Markdown: a heading, and a paragraph for each minute or so with its clock, for handouts and for reading."""
    parts = [f"# {one_line(title)}", ""]
    minute, said = -1, list[str]()
    for cue in cues:
        at = cue.span.start_ms // 60_000
        if at != minute and said:
            parts += [f"{joined(said)}", ""]
            said = []
        if at != minute:
            parts += [f"**{clock_from_ms(cue.span.start_ms)}**", ""]
            minute = at
        said.append(_escaped(one_line(cue.text)))
    return "\n".join([*parts, joined(said), ""])


def _runs(paragraph: ElementTree.Element) -> list[str]:
    said: list[str] = []
    for node in paragraph.iter():
        if node.tag == f"{_WORD}t":
            said.append(node.text or "")
        elif node.tag in (f"{_WORD}br", f"{_WORD}cr"):
            said.append("\n")
        elif node.tag == f"{_WORD}tab":
            said.append(" ")
    return said


def _divided(paragraph: Utterance) -> list[Cue]:
    """In cues, cut at words as Chinese is, and in exactly the words that somebody wrote."""
    return [Cue(cue.span, undone(cue)) for cue in cues_from([paragraph], "zh")]


def _ms(found: "re.Match[str]", clock: str) -> int:
    hour, minute, second, part = (found[f"{clock}{unit}"] or "0" for unit in "hmsf")
    return ((int(hour) * 60 + int(minute)) * 60 + int(second)) * 1000 + int(part.ljust(3, "0"))


def _escaped(text: str) -> str:
    """Marks that Markdown would take for its own."""
    return re.sub(r"([\\`*_\[\]<>#|])", r"\\\1", text)
