"""The questions that several routes take, with their bounds: how long a word may be, how far one may page."""

from datetime import date
from typing import Annotated

from fastapi import Depends, Query
from pydantic import AfterValidator, BeforeValidator

from api.problems import MEDIA_TYPE
from api.schemas import ProblemOut
from archive.model import Programme
from search.query import MAX_QUERY_CHARS, Between, Sort
from search.query import Query as Asked


def _plain(value: str) -> str:
    """Databases refuse some control characters, and no filter has any."""
    if not value.isprintable():
        raise ValueError("control characters are not allowed")
    return value


_Plain = AfterValidator(_plain)

Words = Annotated[str, Query(max_length=MAX_QUERY_CHARS, description="要找的词；同音字也能找到")]
Subject = Annotated[str, Query(max_length=40, description="学科"), _Plain]
Grade = Annotated[str, Query(max_length=40, description="年级"), _Plain]
School = Annotated[str, Query(max_length=40, description="学校代号"), _Plain]
Limit = Annotated[int, Query(ge=1, le=100)]
Offset = Annotated[int, Query(ge=0, le=100_000)]
ProgrammeName = Annotated[Programme | None, Query(description="课的类型")]

SchoolTerm = Annotated[
    str, Query(pattern=r"^(\d{4}-[12])?$", description="学期：2026-1 是 2026 年秋季，2026-2 是 2027 年春季")
]
Teacher = Annotated[str, Query(max_length=80, description="老师"), _Plain]
Language = Annotated[str, Query(max_length=20, description="授课语言：zh 或 en"), _Plain]
Day = Annotated[date | None, Query(description="年-月-日")]
Minutes = Annotated[int | None, Query(ge=0, le=1440, description="分钟")]
Written = Annotated[bool | None, Query(description="true：只要有课堂文字的课")]
Order = Annotated[Sort, Query(description="best：最相关的在前；newest：同样可靠的结果里新课在前")]


def _blank_is_none(value: object) -> object:
    """A form sends every field, also those that nobody filled in."""
    return None if value == "" else value


_Blank = BeforeValidator(_blank_is_none)


def asked_for(
    subject: Subject = "",
    grade: Grade = "",
    school: School = "",
    programme: Annotated[ProgrammeName, _Blank] = None,
    term: SchoolTerm = "",
    teacher: Teacher = "",
    language: Language = "",
    since: Annotated[Day, _Blank] = None,
    until: Annotated[Day, _Blank] = None,
    least_minutes: Annotated[Minutes, _Blank] = None,
    most_minutes: Annotated[Minutes, _Blank] = None,
    written: Annotated[Written, _Blank] = None,
    sort: Order = Sort.BEST,
) -> Asked:
    """The filters of a search, each by its type. Text, limits and scope are still to come."""
    return Asked(
        text="",
        subject=subject,
        grade=grade,
        school=school,
        programme=programme,
        term=term,
        teacher=teacher,
        language=language,
        started_on=Between(_day(since), _day(until)),
        lesson_ms=Between(_ms(least_minutes), _ms(most_minutes)),
        is_written=written,
        sort=sort,
    )


Filters = Annotated[Asked, Depends(asked_for)]


def _day(day: date | None) -> int | None:
    return None if day is None else int(f"{day:%Y%m%d}")


def _ms(minutes: int | None) -> int | None:
    return None if minutes is None else minutes * 60_000


_CONTENT = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemOut"}}}


def problems(*statuses: int) -> dict[int | str, dict[str, object]]:
    """For `responses=`: these statuses are answered with a problem."""
    words = {401: "未登录", 403: "没有权限", 404: "没有这节课", 409: "还不能播放", 422: "参数有误", 503: "暂时不可用"}
    return {status: {"model": ProblemOut, "description": words[status], "content": _CONTENT} for status in statuses}
