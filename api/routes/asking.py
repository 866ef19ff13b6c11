"""The questions that several routes take, with their bounds: how long a word may be, how far one may page."""

from typing import Annotated

from fastapi import Query
from pydantic import AfterValidator

from api.problems import MEDIA_TYPE
from api.schemas import ProblemOut
from archive.model import Programme
from search.query import MAX_QUERY_CHARS


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

_CONTENT = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemOut"}}}


def problems(*statuses: int) -> dict[int | str, dict[str, object]]:
    """For `responses=`: these statuses are answered with a problem."""
    words = {401: "未登录", 403: "没有权限", 404: "没有这节课", 409: "还不能播放", 422: "参数有误", 503: "暂时不可用"}
    return {status: {"model": ProblemOut, "description": words[status], "content": _CONTENT} for status in statuses}
