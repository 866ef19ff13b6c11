"""/api/search."""

from fastapi import APIRouter

from api.deps import Browser, WebDep
from api.finding import PAGE_HITS, FoundLesson, find
from api.routes.asking import Grade, Limit, Offset, ProgrammeName, School, Subject, Words, problems
from api.schemas import FoundLesson as FoundLessonOut
from api.schemas import HitOut, LessonOut, SearchOut
from search.query import Query

router = APIRouter(prefix="/api", tags=["搜索"], responses=problems(401, 422, 503))

_ALL_MOMENTS = 100


@router.get("/search", summary="搜索课名与课堂上说的话")
def search(
    viewer: Browser,
    web: WebDep,
    q: Words,
    subject: Subject = "",
    grade: Grade = "",
    school: School = "",
    programme: ProgrammeName = None,
    lesson: School = "",
    limit: Limit = PAGE_HITS,
    offset: Offset = 0,
) -> SearchOut:
    """按课分组：最相关的课在前，课内按时间排列。`lesson` 只在这一节课里找。`limit` 与 `offset` 数的是时刻。"""
    query = Query(q, subject, grade, school, programme, lesson, limit=limit, offset=offset)
    found = find(web, viewer, query, moments=_ALL_MOMENTS)
    return SearchOut(query=q, lessons=[_out(one) for one in found.lessons], more=found.more)


def _out(found: FoundLesson) -> FoundLessonOut:
    hits = [found.hits.title] if found.hits.title else []
    return FoundLessonOut(
        lesson=LessonOut.of(found.lesson),
        hits=[HitOut.of(hit) for hit in [*hits, *found.hits.moments]],
        hidden=found.hits.hidden,
    )
