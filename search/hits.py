"""What a search gives back, and why it matched: decided here on the original text, so that every engine agrees.

An engine only proposes passages. Whether one matches, which characters are marked and where playing starts is worked out
from the passage's own units and sounds. Pure.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from search import words
from search.passages import Kind, Passage
from search.query import Piece, Plan, Row
from search.words import Unit

MatchedBy = Literal["exact", "sound"]
Stretch = tuple[int, int]  # of a passage's units, half-open


@dataclass(frozen=True, slots=True)
class Hit:
    """One moment. `marks` are half-open stretches of `text` in characters: in order, apart, none cutting a character.

    `start_ms` is where to play from. `score` is the engine's own and compares nothing across engines.
    """

    lesson_id: str
    start_ms: int
    end_ms: int
    kind: Kind
    text: str
    marks: tuple[tuple[int, int], ...]
    score: float
    matched_by: MatchedBy


@dataclass(frozen=True, slots=True)
class Results:
    """Hits, best first, exact ones before those found by sound. `more` says that the next page has some too."""

    hits: tuple[Hit, ...] = ()
    more: bool = False


@dataclass(frozen=True, slots=True)
class LessonHits:
    """A lesson with its best moments, in the order of the lesson. `hidden` counts those that were left out.

    `title` is the hit on the lesson's own words (title, teacher, subject), if that is one of the hits.
    """

    lesson_id: str
    title: Hit | None
    moments: tuple[Hit, ...]
    hidden: int


def by_lesson(results: Results, *, moments: int = 5) -> tuple[LessonHits, ...]:
    """Results as a page shows them: lessons in the order of their best hit, each with up to `moments` moments."""
    found: dict[str, list[Hit]] = {}
    for hit in results.hits:
        found.setdefault(hit.lesson_id, []).append(hit)
    return tuple(_lesson_hits(lesson_id, hits, moments) for lesson_id, hits in found.items())


def _lesson_hits(lesson_id: str, hits: Sequence[Hit], moments: int) -> LessonHits:
    said = [hit for hit in hits if hit.kind == "said"]
    best = sorted(said[:moments], key=lambda hit: hit.start_ms)
    title = next((hit for hit in hits if hit.kind == "title"), None)
    return LessonHits(lesson_id, title, tuple(best), len(said) - len(best))


def hit_of(plan: Plan, passage: Passage, heard: Sequence[str], score: float) -> Hit | None:
    """The hit that a passage is, if every piece of the plan is in it; `heard` are the passage's sounds, one for each unit."""
    units = words.units(passage.text)
    texts = tuple(unit.text for unit in units)
    by_sound = False
    found: list[list[Stretch]] = []
    for piece in plan.pieces:
        stretches = _as_written(piece, texts)
        if not stretches and len(heard) == len(texts):
            stretches = _as_it_sounds(piece, texts, tuple(heard))
            by_sound = True
        if not stretches:
            return None
        found.append(stretches)
    longest = max(range(len(found)), key=lambda index: len(plan.pieces[index].whole.units))
    return Hit(
        lesson_id=passage.lesson_id,
        start_ms=passage.jump_ms(units[min(found[longest])[0]].start),
        end_ms=passage.end_ms,
        kind=passage.kind,
        text=passage.text,
        marks=_marks(units, [stretch for stretches in found for stretch in stretches]),
        score=score,
        matched_by="sound" if by_sound else "exact",
    )


def _as_written(piece: Piece, texts: tuple[str, ...]) -> list[Stretch]:
    """Where the whole piece is; else where each of its words is, if all are."""
    return list(_places(piece.whole.units, texts)) or _everywhere([list(_places(w.units, texts)) for w in piece.words])


def _as_it_sounds(piece: Piece, texts: tuple[str, ...], heard: tuple[str, ...]) -> list[Stretch]:
    def of(row: Row) -> list[Stretch]:
        sounding = [place for reading in row.readings for place in _places(reading, heard)]
        return [place for place in sounding if piece.spelled or not _is_everyday(texts[slice(*place)])]

    return of(piece.whole) or _everywhere([list(_places(word.units, texts)) or of(word) for word in piece.words])


def _everywhere(places: Sequence[list[Stretch]]) -> list[Stretch]:
    return [place for of_one in places for place in of_one] if all(places) else []


def _is_everyday(texts: tuple[str, ...]) -> bool:
    """Whether two characters are an everyday word: a recogniser that wrote 中心 did not mishear 重心 by chance."""
    return len(texts) == 2 and words.frequency("".join(texts)) >= words.COMMON


def _places(needle: tuple[str, ...], hay: tuple[str, ...]) -> Iterator[Stretch]:
    for start in range(len(hay) - len(needle) + 1):
        if hay[start] == needle[0] and hay[start : start + len(needle)] == needle:
            yield start, start + len(needle)


def _marks(units: Sequence[Unit], stretches: Sequence[Stretch]) -> tuple[tuple[int, int], ...]:
    marks: list[tuple[int, int]] = []
    for first, last in sorted(stretches):
        start, end = units[first].start, units[last - 1].end
        if marks and start <= marks[-1][1]:
            marks[-1] = (marks[-1][0], max(end, marks[-1][1]))
        else:
            marks.append((start, end))
    return tuple(marks)
