"""/api/search and /api/suggest."""

from dataclasses import replace

from fastapi import APIRouter

from api.deps import Browser, WebDep
from api.finding import PAGE_HITS, FoundLesson, find, shelf_of
from api.routes.asking import Filters, Limit, Offset, School, Words, problems
from api.schemas import FoundLesson as FoundLessonOut
from api.schemas import HitOut, LessonOut, SearchOut, ShelfOut, SuggestOut
from api.suggesting import help_with, suggestions

router = APIRouter(prefix="/api", tags=["搜索"], responses=problems(401, 422, 503))

_ALL_MOMENTS = 100


@router.get("/search", summary="搜索课名与课堂上说的话")
def search(
    viewer: Browser,
    web: WebDep,
    filters: Filters,
    q: Words,
    lesson: School = "",
    limit: Limit = PAGE_HITS,
    offset: Offset = 0,
) -> SearchOut:
    """按课分组：最相关的课在前，课内按时间排列。`lesson` 只在这一节课里找。`limit` 与 `offset` 数的是时刻。"""
    query = replace(filters, text=q, lesson_id=lesson, limit=limit, offset=offset)
    found = find(web, viewer, query, moments=_ALL_MOMENTS)
    help_ = help_with(web, viewer, query, found=found.is_sure or bool(lesson or offset))
    return SearchOut(
        query=q,
        lessons=[_out(one) for one in found.lessons],
        more=found.more,
        meant=list(help_.meant),
        parts=list(help_.parts),
        spelled=help_.spelled,
    )


@router.get("/search/shelf", summary="搜索结果可用的筛选条件")
def shelf(viewer: Browser, web: WebDep, filters: Filters, q: Words) -> ShelfOut:
    """每个值下有几节课；所有能看到的课都数，已选的学科、年级、类型、学期不算在内，好换选别的。"""
    return ShelfOut.of(shelf_of(web, viewer, replace(filters, text=q, limit=PAGE_HITS)))


@router.get("/suggest", summary="边打字边提示")
def suggest(viewer: Browser, web: WebDep, q: Words) -> SuggestOut:
    """汉字、拼音、拼音首字母都可以；每一条都能搜到东西。"""
    return SuggestOut(query=q, suggestions=list(suggestions(web, viewer, q)))


def _out(found: FoundLesson) -> FoundLessonOut:
    hits = [found.hits.title] if found.hits.title else []
    return FoundLessonOut(
        lesson=LessonOut.of(found.lesson),
        hits=[HitOut.of(hit) for hit in [*hits, *found.hits.moments]],
        hidden=found.hits.hidden,
    )
