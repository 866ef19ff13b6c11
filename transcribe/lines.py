"""What a line of a caption is: which text it may hold, how wide that is, and where it may be broken in two.

`joined(broken(text)) == text` for any text that is `one_line`.
"""

import re
import unicodedata
from collections.abc import Sequence

from transcribe import wording

LINE_COLUMNS = 36  # 18 Han characters, or 36 Latin letters: what fits on a line of a phone held upright
NEVER_FIRST = frozenset("，。、；：！？…—”’」』）》】,.;:!?)]}%％‰°²³")
NEVER_LAST = frozenset("“‘「『（《【([{")
_BREAKS = re.compile(r"[\s\x00-\x1f\x7f-\x9f]+")
_LONE_SURROGATE = re.compile(r"[\ud800-\udfff]")  # there is no UTF-8 for one
# Embeddings, overrides and isolates: they reorder what stands around them on the page, far beyond their own cue.
_BIDI_CONTROL = re.compile(r"[\u202a-\u202e\u2066-\u2069]")


def one_line(text: str) -> str:
    """The text a cue may hold: one line, no control characters, no lone surrogates, single spaces, none at the ends."""
    return _BREAKS.sub(" ", _LONE_SURROGATE.sub("\ufffd", _BIDI_CONTROL.sub("", text))).strip()


def columns(text: str) -> int:
    """How wide text is: a Han character or a full-width mark takes two columns, a Latin letter one."""
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)


def is_narrow(character: str) -> bool:
    return bool(character) and not character.isspace() and columns(character) == 1


def broken(text: str) -> list[str]:
    """One line if it fits, else two of about the same width, not cut inside a word; one where there is no such place.

    The text is broken at a space, or between two full-width characters, where `joined` can tell which it was.
    """
    width = columns(text)
    if width <= LINE_COLUMNS:
        return [text]
    inside = _inside_words(text)
    left, places = 0, list[tuple[bool, int, int, int]]()
    for at, character in enumerate(text):
        if at and at not in inside and (gap := _gap(text, at)) is not None:
            fits = left <= LINE_COLUMNS and width - left <= LINE_COLUMNS
            places.append((not fits, abs(width - 2 * left), at, at + gap))
        left += columns(character)
    if not places or width > 2 * LINE_COLUMNS:
        return [text]
    _, _, end, start = min(places)
    return [text[:end], text[start:]]


def joined(lines: Sequence[str]) -> str:
    """The lines as one: with a space between, but for Chinese, which has none."""
    text = ""
    for line in filter(None, (line.strip() for line in lines)):
        apart = text and not (_is_wide(text[-1]) and _is_wide(line[0]))
        text += f" {line}" if apart else line
    return text


def _gap(text: str, at: int) -> int | None:
    """How many characters a break before `at` swallows; None where there can be none."""
    if text[at] == " ":
        before, after, gap = text[at - 1], text[at + 1], 1
        if _is_wide(before) and _is_wide(after):
            return None
    else:
        before, after, gap = text[at - 1], text[at], 0
        if not (_is_wide(before) and _is_wide(after)):
            return None
    return None if after in NEVER_FIRST or before in NEVER_LAST else gap


def _is_wide(character: str) -> bool:
    return unicodedata.east_asian_width(character) in "WF"


def _inside_words(text: str) -> set[int]:
    inside: set[int] = set()
    at = 0
    for word in wording.cut(text):
        inside.update(range(at + 1, at + len(word)))
        at += len(word)
    return inside
