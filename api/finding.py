"""A search as people see it: hits from the index, looked at again in the catalog, grouped by lesson."""

from dataclasses import dataclass, replace

from api.access import Viewer, scope_of
from api.deps import Web
from archive.model import Lesson
from search.hits import LessonHits, by_lesson
from search.query import Query

MOMENTS = 5  # of each lesson in a list; all of them on the lesson's own page
PAGE_HITS = 60


@dataclass(frozen=True, slots=True)
class FoundLesson:
    lesson: Lesson
    hits: LessonHits


@dataclass(frozen=True, slots=True)
class Found:
    lessons: tuple[FoundLesson, ...]
    more: bool


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
