"""What is nearly the same to the ear: a coarse key for each syllable, and rows of units that differ in a few of them.

The key merges what southern accents and recognisers confuse: zh/z ch/c sh/s, n/l/r, f/h, an/ang en/eng in/ing, and the rounded
vowels that are lost after j q x y (xuan/xian, yun/yin). Engines find rows by their keys; whether a row really is near is decided
here, on the units themselves, by how many are the same character, the same sound, or only the same key. Pure.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from search.numerals import NUMERALS

Stretch = tuple[int, int]  # of units, half-open

SAME_SOUND, SAME_KEY = (
    0.9,
    0.6,
)  # of what the same character counts; chosen on the tuning set of bench/search_quality.py
ENOUGH = 0.66  # of a row's units, by those weights
ENOUGH_OF_TWO = 0.78  # one character right and the other nearly: 正弦 and 正玄
UNITS_PER_EDIT = (
    4  # one unit of so many may be another, be lost or be added, and one of so many must be the same character
)
SYLLABLES_PER_EDIT = (
    6  # where letters were typed: sounds alone say less, and four of them in a row come about by chance
)
BETWEEN = "_"  # of a pair's two: no unit and no sound has one
_ADDED = 0.25  # what a unit in between takes away

_INITIALS = (("zh", "z"), ("ch", "c"), ("sh", "s"), ("n", "l"), ("r", "l"), ("f", "h"))
_FINALS = (("ang", "an"), ("eng", "en"), ("ing", "in"))
_AFTER_JQXY = {"uan": "ian", "un": "in", "ue": "ie", "u": "i"}


@lru_cache(maxsize=4096)
def key(sound: str) -> str:
    """The key of a sound (a syllable, or what is no syllable behind its `=`, which is its own key)."""
    if sound.startswith("="):
        return sound
    initial, final = _apart(sound)
    for one, other in _INITIALS:
        if initial == one:
            initial = other
    for one, other in _FINALS:
        if final.endswith(one):
            final = final.removesuffix(one) + other
    if initial in ("j", "q", "x", "y"):
        final = _AFTER_JQXY.get(final, final)
    return initial + ("an" if (initial, final) == ("y", "ian") else final)


def keys(sounds: Sequence[str]) -> tuple[str, ...]:
    return tuple(map(key, sounds))


def _apart(syllable: str) -> tuple[str, str]:
    length = 2 if syllable[1:2] == "h" and syllable[0] in "zcs" else 0 if syllable[0] in "aeo" else 1
    return syllable[:length], syllable[length:]


@dataclass(frozen=True, slots=True)
class Heard:
    """A row of units with their sounds and keys. `units` is empty where only sounds were typed."""

    units: tuple[str, ...]
    sounds: tuple[str, ...]
    keys: tuple[str, ...]

    @property
    def edits_allowed(self) -> int:
        """How many units may be another, be lost or be added. One of three, if the other two are the same characters."""
        if not self.units:
            return len(self.keys) // SYLLABLES_PER_EDIT
        return 1 if len(self.keys) == 3 else len(self.keys) // UNITS_PER_EDIT

    @property
    def is_sure(self) -> bool:
        """Two syllables alone, typed as letters, are near to half the library."""
        return len(self.keys) >= (2 if self.units else 3)


def heard(units: Sequence[str], sounds: Sequence[str]) -> Heard:
    return Heard(tuple(units), tuple(sounds), keys(sounds))


def pairs_of(keys: Sequence[str]) -> list[str]:
    """What an engine keeps of a passage: its neighbouring keys, and those with one between them."""
    return neighbours(keys) + [f"{one}{BETWEEN}{other}" for one, other in zip(keys, keys[2:], strict=False)]


def neighbours(row: Sequence[str]) -> list[str]:
    return [f"{one}{BETWEEN}{other}" for one, other in pairwise(row)]


def sieve(needle: Heard) -> tuple[tuple[str, ...], ...]:
    """Sets of pairs: wherever the needle nearly is, all pairs of at least one set are, and seldom anywhere else.

    In one of so many parts of the needle there is no more than one edit. Without the unit that it falls on, the units on both
    sides of it are a pair. What is near in two of three characters is not found this way but by those characters.
    """
    edits = needle.edits_allowed
    if len(needle.keys) <= 3 or not edits:
        return (tuple(neighbours(needle.keys)),)
    parts = edits // 2 + 1
    borders = [len(needle.keys) * part // parts for part in range(parts + 1)]
    ways: list[tuple[str, ...]] = []
    for first, last in pairwise(borders):
        part = needle.keys[first:last]
        for lost in range(len(part)):
            left = part[:lost] + part[lost + 1 :]
            ways.append(tuple(neighbours(left)))
    return tuple(dict.fromkeys(ways))


def places(needle: Heard, hay: Heard) -> Iterator[tuple[Stretch, float]]:
    """Where the needle nearly is, apart and in order, and how close each place is: over 0, up to 1."""
    length = len(needle.keys)
    if not needle.is_sure:
        return
    allowed = needle.edits_allowed
    if not _may_be(needle, hay, allowed):
        return
    border = 0
    for end, _ in _ends(needle.keys, hay.keys, allowed):
        if end <= border:
            continue
        start, close = _aligned(needle, hay, max(border, end - length - allowed), end)
        if close >= (ENOUGH_OF_TWO if length == 2 else ENOUGH) and _is_likely(needle.units, hay.units[start:end]):
            yield (start, end), close
            border = end


def _may_be(needle: Heard, hay: Heard, allowed: int) -> bool:
    """Whether enough of the needle's keys and characters are anywhere in the hay: a hundredth of the time that a look takes."""
    if sum(map({*hay.keys}.__contains__, needle.keys)) < len(needle.keys) - allowed:
        return False
    return sum(map({*hay.units}.__contains__, needle.units)) * UNITS_PER_EDIT >= len(needle.units)


def _ends(needle: Sequence[str], hay: Sequence[str], allowed: int) -> list[tuple[int, int]]:
    """Ends of the stretches of `hay` within so many edits of the needle, each the best of its neighbourhood.

    Myers' bit-parallel matching (1999): one step for each unit of the hay, whatever the needle's length.
    """
    masks: dict[str, int] = {}
    for bit, one in enumerate(needle):
        masks[one] = masks.get(one, 0) | 1 << bit
    every, last = (1 << len(needle)) - 1, 1 << (len(needle) - 1)
    plus, minus, distance = every, 0, len(needle)
    found: list[tuple[int, int]] = []
    for at, one in enumerate(hay, 1):
        equal = masks.get(one, 0)
        vertical = equal | minus
        horizontal = (((equal & plus) + plus) ^ plus) | equal
        more, less = minus | (every & ~(horizontal | plus)), plus & horizontal
        distance += bool(more & last) - bool(less & last)
        more, less = more << 1 & every, less << 1 & every  # a stretch may begin anywhere: nothing is carried in
        plus, minus = less | (every & ~(vertical | more)), more & vertical
        if distance <= allowed:
            if found and at - found[-1][0] <= allowed + 1:
                if distance < found[-1][1]:
                    found[-1] = at, distance
            else:
                found.append((at, distance))
    return found


def _aligned(needle: Heard, hay: Heard, first: int, end: int) -> tuple[int, float]:
    """Where the stretch that ends at `end` begins, and how close it is: the best alignment of the needle's units."""
    width = end - first
    # Of an alignment of the needle's first units that ends before hay unit first + j: how close so far, and where it begins.
    close, begins = [0.0] * (width + 1), list(range(first, end + 1))
    for i in range(len(needle.keys)):
        above, from_above = close, begins
        close, begins = above[:1], from_above[:1]
        for j in range(1, width + 1):
            best, begin = above[j - 1] + _same(needle, i, hay, first + j - 1), from_above[j - 1]
            if above[j] > best:  # the needle's unit was lost
                best, begin = above[j], from_above[j]
            if close[j - 1] - _ADDED > best:  # the hay's unit was added
                best, begin = close[j - 1] - _ADDED, begins[j - 1]
            close.append(best)
            begins.append(begin)
    return min(begins[width], end - 1), close[width] / len(needle.keys)


def _is_likely(wanted: Sequence[str], found: Sequence[str]) -> bool:
    """Some of the characters are right, and all of the numbers: page 33 is not nearly page 32."""
    right = sum(unit in found for unit in wanted)
    return not wanted or (right * UNITS_PER_EDIT >= len(wanted) and _numerals(wanted) == _numerals(found))


def _numerals(units: Sequence[str]) -> tuple[str, ...]:
    return tuple(unit for unit in units if unit in NUMERALS)


def _same(needle: Heard, i: int, hay: Heard, j: int) -> float:
    if needle.units and needle.units[i] == hay.units[j]:
        return 1.0
    if needle.sounds[i] == hay.sounds[j]:
        return SAME_SOUND if needle.units else 1.0
    return SAME_KEY if needle.keys[i] == hay.keys[j] else 0.0
