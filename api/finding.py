"""A search as people see it: hits from the index, looked at again in the catalog, grouped by lesson."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace

from api.access import Viewer, scope_of
from api.deps import Web
from archive.model import Lesson, Shelf
from search.hits import LessonHits, by_lesson
from search.query import Query

MOMENTS = 5  # of each lesson in a list; all of them on the lesson's own page
PAGE_HITS = 60
_SHELF_HITS = 240  # how deep the counts of a shelf look


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


def shelf_of(web: Web, viewer: Viewer, query: Query) -> Shelf:
    """By what the lessons that are found can be narrowed down, and how many there are of each; for the best hits only.

    The query's own choice of subject, grade and programme does not count, so that another can be chosen.
    """
    wide = replace(query, subject="", grade="", programme=None, limit=_SHELF_HITS, offset=0)
    lessons = [one.lesson for one in find(web, viewer, wide).lessons]
    return Shelf(
        subjects=_counted(lesson.subject for lesson in lessons),
        grades=_counted(lesson.grade for lesson in lessons),
        schools=_counted(lesson.school for lesson in lessons),
        programmes=_counted(lesson.programme.value for lesson in lessons),
    )


def _counted(values: Iterable[str]) -> dict[str, int]:
    return dict(Counter(value for value in values if value))
