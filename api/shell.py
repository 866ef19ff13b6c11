"""The outermost layer: guards, security headers, one log line and one count for each request, and an answer to every error.

Log lines name the route's template, never the path: signed paths and search words stay out of the log.
"""

import time
from collections.abc import Awaitable, Callable

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.guard import MAX_BODY_BYTES, Guard
from api.metrics import Metrics
from api.problems import Problem, of_error

log = structlog.get_logger()

Answer = Callable[[Request, Problem], Awaitable[Response]]

# Asked by machines, all day; /hooks/store by the thousand when a district's schools end their first lesson.
_QUIET = ("/static/{file:path}", "/health", "/metrics", "/hooks/store", "/v/{token}/{lesson_id}/{file:path}")


class Shell:
    def __init__(self, app: ASGIApp, *, guard: Guard, metrics: Metrics, answer: Answer) -> None:
        self._app, self._guard, self._metrics, self._answer = app, guard, metrics, answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.monotonic()
        scope.setdefault("state", {})
        status = 0

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in self._guard.headers_for(headers.get("content-type", "")).items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            await self._guarded(scope, receive, sending)
        except Exception as error:
            problem = of_error(error)
            if problem.status == 500 or status:
                log.exception("request failed", route=route_of(scope), method=scope["method"], answered=bool(status))
            if not status:  # else it is broken off: the server closes the connection, and the client sees that
                await (await self._answer(Request(scope), problem))(scope, receive, sending)
        finally:
            self._note(scope, status, time.monotonic() - began)

    async def _guarded(self, scope: Scope, receive: Receive, send: Send) -> None:
        refused = self._guard.refusal(scope["method"], scope["path"], Headers(scope=scope))
        if refused is not None:
            raise refused
        await self._app(scope, _bounded(receive), send)

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        route = route_of(scope)
        self._metrics.note(scope["method"], route, status, seconds)
        level = log.debug if route in _QUIET and status < 500 else log.info
        role = scope["state"].get("role", "nobody")
        level("request", method=scope["method"], route=route, status=status, ms=round(seconds * 1000), role=str(role))


def route_of(scope: Scope) -> str:
    """The template of the route that answered: `/v/{token}/{lesson_id}/{file:path}`."""
    return getattr(scope.get("route"), "path", None) or "unmatched"


def _bounded(receive: Receive) -> Receive:
    """A body without a length, or with a false one, is cut off where it becomes too large."""
    seen = 0

    async def receiving() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > MAX_BODY_BYTES:
            raise HTTPException(413)
        return message

    return receiving
