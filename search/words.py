"""Text as search sees it: folded, then cut into units and words that remember their place in the original.

Folded is: small letters, half width, simplified characters, no accents, numbers and formulas as they are read aloud (32 is
三十二, a² is a平方).

Passages and queries go through these same functions, so what is done to one is done to the other. Offsets are into the
original string, in characters, and never fall inside a character that a reader sees as one (a letter and its accents).

Words are cut by rjieba, the Rust port of jieba, with the terms of the school subjects added to its dictionary. It lives here
alone. It cuts as jieba 0.42.1 does (tests/search/test_words.py compares them over our corpus and over random text), fifteen
times as fast, and loads in 0.2 s instead of 1 to 2; jieba would also write a cache file where anybody on the machine may.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache, lru_cache
from importlib.resources import files
from typing import NamedTuple, cast

import rjieba

from search import formulas
from search.numerals import numbers_in

_TERM_FREQUENCY = 300  # a term is then cut whole, and stays far below everyday speech

MAX_UNIT_CHARS = 64  # longer runs of letters are noise, and engines refuse words of a few hundred bytes

_HAN = "\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_RUN = re.compile(rf"[{_HAN}]+|[^\W_{_HAN}]+")
_IS_HAN = re.compile(rf"[{_HAN}]+")
# Texts of these alone, which is nearly all of them, fold to themselves but for capitals: no need to go character by character.
_PLAIN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fffA-Za-z0-9\s，。、？！：；“”‘’（）《》…—·,.?!:;'\"()+*/=<>%-]*")
_JOINER = "\u200d"
_TWO = re.compile("两(?=[百千万亿])")
_DIGIT = re.compile("[0-9]")


_learnt: tuple[str, ...] = ()
_Folded = tuple[str, Sequence[int], Sequence[int]]


class Unit(NamedTuple):  # not a dataclass: a search makes thousands, and this took a third off it
    """The smallest thing that can be found: one Han character, or one run of other letters and digits, folded."""

    text: str
    start: int
    end: int


class Word(NamedTuple):
    """One of jieba's words, folded. `part` marks a shorter word inside a longer one (定理 in 勾股定理)."""

    text: str
    start: int
    end: int
    part: bool = False


def clean(text: str) -> str:
    """The text in as many characters, without those that no store, engine or page can carry: controls, lone surrogates."""
    if text.isprintable():  # has none of them, and is nearly every text
        return text
    return "".join(" " if unicodedata.category(c) in ("Cc", "Cs") else c for c in text)


def is_han(text: str) -> bool:
    return _IS_HAN.fullmatch(text) is not None


def units(text: str) -> tuple[Unit, ...]:
    folded, starts, ends = _fold(text)
    found: list[Unit] = []
    for run in _RUN.finditer(folded):
        first, last = run.span()
        if is_han(folded[first]):
            found += map(Unit, folded[first:last], starts[first:last], ends[first:last])
        else:
            found.append(Unit(folded[first:last][:MAX_UNIT_CHARS], starts[first], ends[last - 1]))
    return tuple(found)


def cut(text: str) -> tuple[Word, ...]:
    """The words of a text at jieba's granularity for search: 勾股定理 gives 定理 and 勾股定理. In order of their ends."""
    folded, starts, ends = _fold(text)
    cutter = _cutter()
    words: list[Word] = []
    for run in _RUN.finditer(folded):
        begin = run.start()
        if not is_han(run.group()):
            words.append(Word(run.group()[:MAX_UNIT_CHARS], starts[begin], ends[run.end() - 1]))
            continue
        pieces = cutter.tokenize(run.group(), "search")
        whole = frozenset(_whole(pieces))
        for index, (word, first, last) in enumerate(pieces):
            words.append(Word(word, starts[begin + first], ends[begin + last - 1], part=index not in whole))
    return tuple(words)


class Parts(NamedTuple):
    """A text taken apart once, for an index: its units and where in the text they are, and its words.

    `words` are those of `cut`; `whole` are the ones among them that tile the text.
    """

    units: list[str]
    starts: list[int]
    ends: list[int]
    words: list[str]
    whole: list[str]


def parts(text: str) -> Parts:
    """`units` and `cut` in one, without an object for each: an index takes millions of them."""
    folded, starts, ends = _fold(text)
    cutter = _cutter()
    made = Parts([], [], [], [], [])
    for run in _RUN.finditer(folded):
        first, last = run.span()
        if is_han(folded[first]):
            made.units.extend(run.group())
            made.starts.extend(starts[first:last])
            made.ends.extend(ends[first:last])
            pieces = cutter.tokenize(run.group(), "search")
            whole = _whole(pieces)
            made.words.extend([word for word, _, _ in pieces])
            made.whole.extend([pieces[index][0] for index in reversed(whole)])
        else:
            unit = run.group()[:MAX_UNIT_CHARS]
            made.units.append(unit)
            made.starts.append(starts[first])
            made.ends.append(ends[last - 1])
            made.words.append(unit)
            made.whole.append(unit)
    return made


def unit_texts(word: str) -> tuple[str, ...]:
    """A folded word as the units it is made of."""
    return tuple(word) if is_han(word) else (word,)


@cache
def curriculum() -> dict[str, str]:
    """The terms of the school subjects, and the subject of each."""
    entries = (line.partition("：") for line in _lines("curriculum.txt"))
    return {term: subject for subject, _, terms in entries for term in terms.split()}


def terms() -> tuple[str, ...]:
    """All terms that are cut whole and can be suggested: those of the subjects, and what was learnt."""
    return (*curriculum(), *_learnt)


def learn(found: Iterable[str]) -> bool:
    """These are terms from now on, in place of what was learnt before. Returns whether that changed anything: what was
    remembered of queries is then to be forgotten. Safe from any thread.

    An index need not be made anew: characters and sounds are found however they were cut.
    """
    global _learnt
    known = curriculum()
    wanted = tuple(dict.fromkeys(term for term in map(_plain_term, found) if term and term not in known))
    if wanted == _learnt:
        return False
    _learnt = wanted
    _cutter.cache_clear()  # whoever cuts just now goes on with the old one
    _cutter()
    return True


def _plain_term(text: str) -> str:
    """A term as it can be cut: one run of Han characters, folded; else nothing."""
    folded = "".join(unit.text for unit in units(text.strip()))
    return folded if 2 <= len(folded) <= MAX_UNIT_CHARS and is_han(folded) else ""


def is_everyday(word: str) -> bool:
    """Whether a word is everyday speech, and no term that is looked for by its sound."""
    return word in _everyday()


@cache
def _everyday() -> frozenset[str]:
    return frozenset(word for line in _lines("everyday.txt") for word in line.split())


def _lines(name: str) -> list[str]:
    lines = files("search").joinpath(name).read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def _whole(pieces: Sequence[tuple[str, int, int]]) -> list[int]:
    """Which of jieba's search words tile the run, the last one first: each comes after the shorter ones inside it."""
    whole: list[int] = []
    border = pieces[-1][2] if pieces else 0
    for index in range(len(pieces) - 1, -1, -1):
        if pieces[index][2] == border:
            whole.append(index)
            border = pieces[index][1]
    return whole


def _fold(text: str) -> _Folded:
    """The folded text and, for each of its characters, where in the original its character starts and ends."""
    folded, starts, ends = _fold_characters(text)
    made = _TWO.sub("二", folded.translate(_simplified())), starts, ends
    for readings in (*formulas.steps(made[0]), *([numbers_in] if _DIGIT.search(made[0]) else [])):
        made = _read(*made, readings(made[0]))
    return made


def _read(folded: str, starts: Sequence[int], ends: Sequence[int], readings: Sequence[tuple[int, int, str]]) -> _Folded:
    """With what is read otherwise than it is written; every character of a reading stands where all that is read stands."""
    if not readings:
        return folded, starts, ends
    read: list[str] = []
    firsts: list[int] = []
    lasts: list[int] = []
    done = 0
    for start, end, reading in readings:
        read += [folded[done:start], reading]
        firsts += [*starts[done:start], *[starts[start]] * len(reading)]
        lasts += [*ends[done:start], *[ends[end - 1]] * len(reading)]
        done = end
    return "".join([*read, folded[done:]]), [*firsts, *starts[done:]], [*lasts, *ends[done:]]


@cache
def _simplified() -> dict[int, str]:
    """Traditional characters to simplified ones, each to one: what is folded on both sides need not be fine prose."""
    from opencc import OpenCC  # pyright: ignore[reportMissingTypeStubs] - its tables are needed once

    blocks = ((0x3400, 0x4DC0), (0x4E00, 0xA000), (0xF900, 0xFB00), (0x20000, 0x2A6E0))
    every = [chr(code) for block in blocks for code in range(*block)]
    convert = cast(Callable[[str], str], OpenCC("t2s").convert)  # pyright: ignore[reportUnknownMemberType]
    once = convert("\n".join(every))  # apart, so that no phrase is read into neighbours
    plain = convert(once).split("\n")  # 薴 becomes 苧 first, and only then 苎
    return {ord(character): simple for character, simple in zip(every, plain, strict=True) if character != simple}


def _fold_characters(text: str) -> tuple[str, Sequence[int], Sequence[int]]:
    if _PLAIN.fullmatch(text):
        return text.lower(), range(len(text)), range(1, len(text) + 1)
    folded: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    for start, end in _characters(text):
        plain = _folded(text[start:end])
        folded.append(plain)
        starts.extend([start] * len(plain))
        ends.extend([end] * len(plain))
    return "".join(folded), starts, ends


def _characters(text: str) -> Iterator[tuple[int, int]]:
    """What a reader sees as one character: a code point with the marks and joiners that follow it."""
    start = 0
    for at in range(1, len(text) + 1):
        if at == len(text) or not (_is_mark(text[at]) or text[at - 1] == _JOINER):
            yield start, at
            start = at


def _is_mark(character: str) -> bool:
    return character >= "\u0300" and (character == _JOINER or unicodedata.category(character)[0] == "M")


@lru_cache(maxsize=1 << 15)
def _folded(character: str) -> str:
    """Full width to half, capitals to small, compatibility forms to plain (㎡ to m2); marks that fit no letter go."""
    if character in formulas.SIGNS:
        return formulas.SIGNS[character]
    if unicodedata.decomposition(character[0]).startswith("<super>") and unicodedata.digit(character[0], -1) >= 0:
        return f"^{unicodedata.digit(character[0])}"  # x² is x^2
    plain = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", character).casefold())
    return "".join(c for c in plain if not _is_mark(c))


@cache
def _cutter() -> rjieba.Jieba:
    cutter = rjieba.Jieba()
    for term in terms():
        if is_han(term) and not cutter.has_word(term):
            cutter.add_word(term, _TERM_FREQUENCY, "n")
    return cutter
