"""A search as people see it: hits from the index, looked at again in the catalog, grouped by lesson."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from api.access import Viewer, scope_of
from api.deps import Web
from archive.model import Facts, Lesson, Shelf
from search.hits import LessonHits, by_lesson
from search.passages import term_of
from search.query import Query

MOMENTS = 5  # of each lesson in a list; all of them on the lesson's own page
PAGE_HITS = 60
_SHELF_HITS = 240  # how deep the counts of a shelf look where not all can be counted
_COUNTED_LESSONS = 2000


@dataclass(frozen=True, slots=True)
class FoundLesson:
    lesson: Lesson
    hits: LessonHits


@dataclass(frozen=True, slots=True)
class Found:
    lessons: tuple[FoundLesson, ...]
    more: bool

    @property
    def is_sure(self) -> bool:
        """Whether something is there as it was typed, or as it sounds."""
        return any(hit.matched_by != "near" for one in self.lessons for hit in one.hits.best)


def find(web: Web, viewer: Viewer, query: Query, *, moments: int = MOMENTS) -> Found:
    """Runs the query within what the viewer may see, whatever scope it carries.

    The index lags behind the catalog, so the catalog has the last word on each lesson: consent withdrawn a second ago counts.
    """
    scope = scope_of(viewer)
    results = web.parts.index.search(replace(query, scope=scope))
    groups = by_lesson(results, moments=moments)
    known = web.catalog.lessons.among((group.lesson_id for group in groups), scope)
    lessons = tuple(FoundLesson(known[group.lesson_id], group) for group in groups if group.lesson_id in known)
    return Found(lessons, results.more)


def finds(web: Web, viewer: Viewer, query: Query) -> bool:
    """Whether the query finds anything that the viewer may see."""
    return bool(find(web, viewer, query).lessons)


def shelf_of(web: Web, viewer: Viewer, query: Query, found: Found | None = None) -> Shelf:
    """By what the lessons that are found can be narrowed down, and how many there are of each.

    All of them are counted: what was found where that is all, or else the lessons that have it as it is written. Only where
    these are thousands, or most of what was found was misheard, the best hits alone are; the shelf then says so.

    The query's own choice of subject, grade, programme and term does not count, so that another can be chosen. `found`: what
    the query found, if it has been asked.
    """
    scope = scope_of(viewer)
    wide = replace(query, subject="", grade="", programme=None, term="", limit=PAGE_HITS, offset=0)
    first = found if found is not None and wide == query else find(web, viewer, wide)
    if not first.more:
        return _counted(map(_facts, first.lessons))
    if all(hit.matched_by == "exact" for one in first.lessons for hit in one.hits.best):
        saying = web.parts.index.lessons_saying(replace(wide, scope=scope), _COUNTED_LESSONS)
        if saying is not None:
            return _counted(web.catalog.lessons.facts(saying, scope))
    deep = find(web, viewer, replace(wide, limit=_SHELF_HITS))
    return replace(_counted(map(_facts, deep.lessons)), is_complete=not deep.more)


def _facts(found: FoundLesson) -> Facts:
    lesson = found.lesson
    return Facts(lesson.subject, lesson.grade, lesson.school, lesson.programme.value, lesson.started_at)


def _counted(facts: Iterable[Facts]) -> Shelf:
    every = list(facts)

    def by(value_of: Callable[[Facts], str]) -> dict[str, int]:
        return dict(Counter(value for value in map(value_of, every) if value))

    return Shelf(
        subjects=by(lambda one: one.subject),
        grades=by(lambda one: one.grade),
        schools=by(lambda one: one.school),
        programmes=by(lambda one: one.programme),
        terms=by(lambda one: term_of(one.started_at)),
    )


def term_zh(term: str) -> str:
    """2026-1 as people say it: the autumn of 2026; 2026-2 is the spring that follows."""
    year, _, half = term.partition("-")
    return f"{year} 年秋季学期" if half == "1" else f"{int(year) + 1} 年春季学期"
