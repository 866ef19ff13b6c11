"""WebVTT, both ways: `write` for the tracks we publish, `read` for captions that come with a recording.

Promises: what `write` gives is one block per cue whatever the text says (no markup, no arrow, no blank line gets out of
a cue), and `read(write(cues)) == cues` for cues whose text is already `one_line`. The grammar is W3C WebVTT's; the
reader is as forgiving as a browser: a block it cannot use is skipped, only a missing signature raises.
"""

import html
import re
from collections.abc import Iterable, Iterator

from archive.model import Cue, Span
from archive.timecode import ms_from_webvtt, webvtt_from_ms
from transcribe.lines import broken, joined, one_line

LATEST_MS = 100 * 3_600_000  # two digits of hours: a forged 20-digit one would not fit a database's integer
_ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})  # with `>` escaped no text can hold `-->`
_HEADER = re.compile(r"WEBVTT(?=[ \t\n]|$).*(?:\n(?!.*-->).+)*")
_NOT_A_CUE = re.compile(r"(?:NOTE|STYLE|REGION)(?:\s|$)")
_RUBY_TEXT = re.compile(r"<rt(?:[.\s][^>]{0,99})?>.*?(?:</rt>|(?=</ruby>)|\Z)", re.DOTALL)  # pinyin: not said twice
_TAG = re.compile(r"<[^>]*(?:>|\Z)")


def write(cues: Iterable[Cue]) -> str:
    """The whole file. Cues without text are left out: they would show as nothing."""
    blocks = ["WEBVTT\n"]
    for cue in cues:
        text = "\n".join(broken(one_line(cue.text))).translate(_ESCAPES)
        if text:
            blocks.append(f"{webvtt_from_ms(cue.span.start_ms)} --> {webvtt_from_ms(cue.span.end_ms)}\n{text}\n")
    return "\n".join(blocks)


def read(text: str) -> tuple[Cue, ...]:
    """The cues of a file, in its order. ValueError when it does not begin with WEBVTT."""
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n").replace("\x00", "\ufffd")
    header = _HEADER.match(text)
    if header is None:
        raise ValueError("no WEBVTT signature")
    return tuple(cue for block in _blocks(text[header.end() :]) if (cue := _cue(block)) is not None)


def span_of(start: str, end: str) -> Span | None:
    """The span between two timecodes, or None where there is none: unreadable, backwards, or past any lesson."""
    try:
        span = Span(ms_from_webvtt(start), ms_from_webvtt(end))
    except ValueError:
        return None
    return span if span.end_ms <= LATEST_MS else None


def _blocks(body: str) -> Iterator[list[str]]:
    """Runs of lines between blank lines. A second arrow begins a block too: someone forgot the blank line."""
    lines: list[str] = []
    arrows = 0
    for line in body.split("\n"):
        arrow = "-->" in line
        if lines and (not line.strip() or (arrow and arrows)):
            yield lines
            lines, arrows = [], 0
        if line.strip():
            lines.append(line)
            arrows += arrow
    if lines:
        yield lines


def _cue(block: list[str]) -> Cue | None:
    """A cue's block: an optional id, the timing line with its settings, the payload. None for every other block."""
    if _NOT_A_CUE.match(block[0]) and "-->" not in block[0]:
        return None
    timing = next((i for i, line in enumerate(block[:2]) if "-->" in line), None)
    if timing is None:
        return None
    start, _, end_and_settings = block[timing].partition("-->")
    span = span_of(start, end_and_settings.strip().partition(" ")[0].partition("\t")[0])
    said = html.unescape(_TAG.sub("", _RUBY_TEXT.sub("", "\n".join(block[timing + 1 :]))))
    text = one_line(joined(said.split("\n")))
    return Cue(span, text) if span is not None and text else None
