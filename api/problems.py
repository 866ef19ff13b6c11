"""What goes wrong, told to programs as RFC 9457 problems and to people as a page; never with anything from inside.

Rejected                4xx    Absent is 404, with the same body whatever was asked for
Unavailable             503    with Retry-After
everything unforeseen   500    logged with its traceback, answered without
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from archive.errors import Absent, HuikanError, Rejected, Unavailable

RETRY_AFTER_S = 5
MEDIA_TYPE = "application/problem+json"
_FOR_PROGRAMS = ("/api", "/hooks", "/v/", "/health", "/metrics", "/static")

TITLES_ZH = {
    "unauthorized": "请先进入",
    "forbidden": "没有权限",
    "forged": "播放地址无效",
    "expired": "播放地址已过期",
    "cross-site": "请求来自别的网站",
    "host": "访问地址不对",
    "absent": "没有找到",
    "method": "不支持这种请求",
    "not-playable": "这节课还不能播放",
    "range": "请求的范围不存在",
    "too-large": "请求内容过大",
    "invalid": "请求内容不合要求",
    "rejected": "请求无法处理",
    "too-many": "尝试次数过多",
    "busy": "现在太忙",
    "unavailable": "暂时不可用",
    "error": "出错了",
}


@dataclass
class Problem(Exception):
    """An answer that is no success. `code` is stable and in TITLES_ZH; `detail_zh` is for people and tells nothing secret."""

    status: int
    code: str
    detail_zh: str = ""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    errors: tuple[dict[str, Any], ...] = ()

    @property
    def title_zh(self) -> str:
        return TITLES_ZH[self.code]

    def body(self) -> dict[str, Any]:
        about: dict[str, Any] = {
            "type": f"/api/docs#problem-{self.code}",
            "title": self.title_zh,
            "status": self.status,
            "code": self.code,
        }
        if self.detail_zh:
            about["detail"] = self.detail_zh
        if self.errors:
            about["errors"] = list(self.errors)
        return about


def not_entered() -> Problem:
    return Problem(401, "unauthorized", "请先输入口令。", {"WWW-Authenticate": 'Bearer realm="huikan"'})


def forbidden() -> Problem:
    return Problem(403, "forbidden", "这里只有老师和管理员可以查看。")


def absent() -> Problem:
    """The same for what does not exist, is not published yet and is not for this viewer."""
    return Problem(404, "absent", "没有这节课或这个页面，或者它还没有对你开放。")


def too_large() -> Problem:
    return Problem(413, "too-large")


def too_many(wait_s: int) -> Problem:
    minutes = -(-wait_s // 60)
    return Problem(429, "too-many", f"口令输错次数过多，请约 {minutes} 分钟后再试。", {"Retry-After": str(wait_s)})


def for_programs(request: Request) -> bool:
    """Whether this request is answered with JSON: by its path, or because it asks for JSON and not for a page."""
    if request.url.path.startswith(_FOR_PROGRAMS):
        return True
    accept = request.headers.get("accept", "")
    return "json" in accept and "text/html" not in accept


def of_error(error: Exception) -> Problem:
    """What an error of ours, or of the framework, means outside."""
    match error:
        case Problem():
            return error
        case RequestValidationError():
            return Problem(422, "invalid", "请检查标出的字段。", errors=tuple(map(_shown, error.errors())))
        case HTTPException():
            return _of_http(error)
        case Absent():
            return absent()
        case Unavailable():
            # The reason names hosts and files: it is for the log and for `huikan doctor`.
            detail = f"{error.what}暂时不可用，请稍后再试。"
            return Problem(503, "unavailable", detail, {"Retry-After": str(RETRY_AFTER_S)})
        case Rejected():
            return Problem(422, "rejected", error.reason_zh)
        case _:
            return Problem(500, "error", "请稍后再试；如果一直这样，请告诉管理员。")


def _of_http(error: HTTPException) -> Problem:
    codes = {401: "unauthorized", 403: "forbidden", 405: "method", 413: "too-large"}
    if error.status_code == 404:
        return absent()
    code = codes.get(error.status_code, "error" if error.status_code >= 500 else "rejected")
    return Problem(error.status_code, code, headers=error.headers or {})


def _shown(error: Mapping[str, Any]) -> dict[str, Any]:
    """Where and what, without the value that was sent: it may be long, or a secret in the wrong field."""
    return {"loc": [str(part) for part in error["loc"]], "type": error["type"], "msg": error["msg"]}


def as_json(problem: Problem) -> Response:
    headers = {**problem.headers, "Cache-Control": "no-store"}
    return JSONResponse(problem.body(), problem.status, headers, MEDIA_TYPE)


# Those are what handlers are registered for; the shell answers whatever else escapes.
HANDLED: tuple[type[Exception], ...] = (Problem, RequestValidationError, HTTPException, HuikanError)
