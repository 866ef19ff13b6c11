"""What was asked, by whom, and what that means: typed words become pieces, each to be found as written or as it sounds.

A piece is a stretch of the query's words without a gap and without fillers: 什么是勾股定理的证明 is 勾股定理 and 证明. All pieces
must be found in one passage, or else all of the query nearly as it stands. Everything here is pure; no text, in any script,
of any length, is an error.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache
from itertools import groupby

from archive.model import Programme, Scope
from search import near, sounds, words
from search.near import Heard
from search.passages import Passage
from search.words import Word

MAX_QUERY_CHARS = 64  # more is not what a child remembers; threat 27 bounds what one request may cost
MAX_QUERY_UNITS = 96  # nor what that is read aloud: one ㎠ is four characters
MAX_HITS = 1000  # how deep anybody may page
MIN_SYLLABLES = 2  # one syllable alone sounds like half the dictionary
MIN_CONTENT_CHARS = 2

# Words that carry a question but are not what is asked for. Only whole words of jieba's: the 是 of 实事求是 stays.
_FILLERS = """
    的 地 得 了 吗 呢 吧 啊 呀 嘛 着 过 是 在 和 与 及 跟 或 把 被 给 就 都 也 还 又 很 这 那 有 个 们 我 你 他 她 它
    什么 怎么 怎样 如何 为什么 哪里 哪个 多少 一个 这个 那个 我们 你们 他们 关于 请问 请
    a an the of to in on is are was what how why do does and
"""
FILLERS = frozenset(_FILLERS.split())


# Passages are filtered by these being equal; engines keep a field for each.
FILTERED = ("subject", "grade", "school", "programme", "teacher", "language", "term")

STUDENTS = Scope()
STAFF = Scope(consented_only=False)


def admits(scope: Scope, passage: Passage) -> bool:
    """Whether the asker may know of the passage's lesson, as far as the index knows."""
    return (passage.consent or not scope.consented_only) and (scope.schools is None or passage.school in scope.schools)


class Sort(StrEnum):
    """What comes first, among hits that are as sure as each other."""

    BEST = "best"
    NEWEST = "newest"


@dataclass(frozen=True, slots=True)
class Between:
    """A filter on a number, both ends inside; None is no end."""

    least: int | None = None
    most: int | None = None

    def admits(self, value: int) -> bool:
        return (self.least is None or self.least <= value) and (self.most is None or value <= self.most)


@dataclass(frozen=True, slots=True)
class Query:
    """One search. An empty filter filters nothing; `limit` and `offset` count hits, not lessons.

    Filters are fields of their own, never text in an engine's language: adapters put each into a condition. `started_on` is
    of days (20260901), `lesson_ms` of lengths.
    """

    text: str
    subject: str = ""
    grade: str = ""
    school: str = ""
    programme: Programme | None = None
    lesson_id: str = ""
    scope: Scope = STUDENTS  # the narrowest unless somebody widens it
    limit: int = 60
    offset: int = 0
    teacher: str = ""
    language: str = ""
    term: str = ""
    started_on: Between = Between()
    lesson_ms: Between = Between()
    is_written: bool | None = None
    sort: Sort = Sort.BEST
    only_sure: bool = False  # leaves out what only nearly sounds like it

    @property
    def is_asking(self) -> bool:
        """Whether there is anything to look for in the text."""
        return bool(parse(self.text).pieces)

    @property
    def filters(self) -> dict[str, str]:
        """The filters by equality that are set, by the name of the passage's field."""
        return {name: str(value) for name in ("lesson_id", *FILTERED) if (value := getattr(self, name))}

    @property
    def ranges(self) -> dict[str, Between]:
        """The filters by range that are set, by the name of the passage's field, within what engines can hold."""
        asked = {"started_on": self.started_on, "lesson_ms": self.lesson_ms}
        return {
            name: Between(_held(between.least), _held(between.most))
            for name, between in asked.items()
            if between != Between()
        }

    @property
    def is_impossible(self) -> bool:
        """Whether no passage can pass: no engine need be asked, and some would not take such values."""
        return any(words.clean(value) != value for value in self.filters.values()) or self.scope.schools == frozenset()

    def admits(self, passage: Passage) -> bool:
        return self.admitting()(passage)

    def admitting(self) -> Callable[[Passage], bool]:
        """The filters and the scope, decided here and not by an engine, which may fold case or cut long values."""
        filters, ranges = [*self.filters.items()], [*self.ranges.items()]
        if not filters and not ranges and self.is_written is None:
            return lambda passage: admits(self.scope, passage)

        def admitted(passage: Passage) -> bool:
            return (
                admits(self.scope, passage)
                and all(getattr(passage, name) == value for name, value in filters)
                and all(between.admits(getattr(passage, name)) for name, between in ranges)
                and self.is_written in (None, passage.is_written)
            )

        return admitted


def _held(end: int | None) -> int | None:
    return None if end is None else max(0, min(end, 10**15))


@dataclass(frozen=True, slots=True)
class Row:
    """Neighbours: these units, or units that sound like one of the readings. No readings: only as it is written."""

    units: tuple[str, ...]
    readings: tuple[Heard, ...]


@dataclass(frozen=True, slots=True)
class Piece:
    """Something to find: the whole of it in a row or, where it was said otherwise, all of its words anywhere.

    `terms` are its words with the shorter ones inside them, for engines to rank by. `spelled`: letters were read as pinyin.
    `initials`: letters that are no pinyin, and may be the first ones of a word's syllables (ggdl); the readings of `whole` are
    then of the terms that have them.
    """

    whole: Row
    words: tuple[Row, ...]
    terms: tuple[str, ...]
    spelled: bool = False
    initials: str = ""

    @property
    def sounds(self) -> bool:
        return bool(self.initials or self.whole.readings) or any(word.readings for word in self.words)


@dataclass(frozen=True, slots=True)
class Plan:
    """All pieces must be found. No pieces: nothing was asked for, and nothing is found.

    `stretches` is the query as it stands, fillers and all, where that is something else than its pieces.
    """

    pieces: tuple[Piece, ...]
    stretches: tuple[Row, ...] = ()

    @property
    def sounds(self) -> bool:
        """Whether any piece may be found by its sound."""
        return any(piece.sounds for piece in self.pieces)

    @property
    def is_scattered(self) -> bool:
        """Whether it may be found in several places of a passage, near to each other or far apart."""
        return sum(len(piece.words) for piece in self.pieces) > 1

    @property
    def is_one_row(self) -> bool:
        """Whether it is there, as it is written, just where it stands in a row."""
        return not self.is_scattered and not self.stretches

    @property
    def spelled(self) -> bool:
        """Whether letters are read as something else: as pinyin, or as initials."""
        return any(piece.spelled or piece.initials for piece in self.pieces)


# jieba's words of one stretch: each inner tuple is a whole word, last, after the parts inside it.
_Term = tuple[tuple[Word, ...], ...]


@lru_cache(maxsize=1024)
def parse(text: str) -> Plan:
    """Remembered, for one request asks several times what its text means."""
    terms = _terms(_beginning(words.cut(words.clean(text).strip()[:MAX_QUERY_CHARS])))
    spelled, written = _spelled_apart(terms)
    content = [run for term in written for run in _without_fillers(term)]
    if not spelled and sum(len(unit) for run in content for unit in _units(run)) < MIN_CONTENT_CHARS:
        content = written  # 我们的家: better all of it than 家 alone
    pieces = tuple(dict.fromkeys(_piece(term) for term in [*spelled, *content]))
    stretches = tuple(dict.fromkeys(_row(term) for term in terms))
    return Plan(pieces, () if stretches == tuple(piece.whole for piece in pieces) else stretches)


def _beginning(cut: Iterable[Word]) -> Iterator[Word]:
    """As many of the words as one search may cost."""
    length = 0
    for word in cut:
        length += 0 if word.part else len(words.unit_texts(word.text))
        if length > MAX_QUERY_UNITS:
            return
        yield word


def _terms(cut: Iterable[Word]) -> list[_Term]:
    """Words grouped with their parts, and those into stretches that nothing (no space, no comma) interrupts."""
    terms: list[list[tuple[Word, ...]]] = []
    group: list[Word] = []
    end = -1
    for word in cut:
        group.append(word)
        if word.part:
            continue
        if word.start == end:
            terms[-1].append(tuple(group))
        else:
            terms.append([tuple(group)])
        group, end = [], word.end
    return [tuple(term) for term in terms]


def _spelled_apart(terms: Sequence[_Term]) -> tuple[list[_Term], list[_Term]]:
    """Pinyin typed with spaces is one piece: gou gu ding li. The other terms are as they were."""
    spelled: list[_Term] = []
    written: list[_Term] = []
    for is_pinyin, run in groupby(terms, _is_pinyin):
        stretch = list(run)
        if is_pinyin and len(stretch) > 1:
            spelled.append(tuple(group for term in stretch for group in term))
        else:
            written += stretch
    return spelled, written


def _is_pinyin(term: _Term) -> bool:
    return len(term) == 1 and bool(sounds.spellings(term[0][-1].text)) and not words.is_han(term[0][-1].text)


def _without_fillers(term: _Term) -> list[_Term]:
    if len(term) == 1:
        return [] if term[0][-1].text in FILLERS else [term]
    return [tuple(run) for filler, run in groupby(term, _is_filler) if not filler]


def _is_filler(group: tuple[Word, ...]) -> bool:
    """Within a stretch, where letters are no word of their own: the a of a平方 is asked for."""
    return group[-1].text in FILLERS and words.is_han(group[-1].text)


def _units(term: _Term) -> tuple[str, ...]:
    return tuple(unit for group in term for unit in words.unit_texts(group[-1].text))


def _piece(term: _Term) -> Piece:
    every = [word for group in term for word in group]
    heard = sounds.sounds_of(every)
    whole = _row(term)
    initials = sounds.initials_typed(every[0].text) if len(every) == 1 else ""
    if initials:
        whole = replace(whole, readings=tuple(map(_heard, sounds.meant_by_initials(initials))))
    return Piece(
        whole=whole,
        words=tuple(dict.fromkeys(_row((group,)) for group in term)),
        terms=tuple(dict.fromkeys(word.text for word in every)),
        spelled=not initials and bool(whole.readings) and whole.readings[0].sounds != heard,
        initials=initials,
    )


def _heard(term: str) -> Heard:
    return near.heard(words.unit_texts(term), sounds.of_word(term))


def _row(term: _Term) -> Row:
    units = _units(term)
    written = sounds.sounds_of(word for group in term for word in group)
    readings = tuple(
        near.heard(units if sounds_read == written else (), sounds_read)
        for sounds_read in sounds.readings(written)
        if sum(map(sounds.is_syllable, sounds_read)) >= MIN_SYLLABLES
    )
    everyday = len(term) == 1 and words.is_everyday(term[0][-1].text)
    return Row(units, () if everyday else readings)
