"""The web application: routes, guards and error answers put together. `api.serve` gives it its parts."""

from importlib.metadata import version

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.responses import RedirectResponse
from starlette.middleware.gzip import GZipMiddleware

from api.access import NOBODY
from api.deps import Parts, Web, web_of
from api.guard import Guard
from api.metrics import Metrics
from api.problems import HANDLED, Problem, as_json, for_programs, of_error
from api.rendering import query_string
from api.routes import (
    docs,
    entering,
    hooks,
    lessons,
    media,
    ops,
    pages,
    placing,
    receipts,
    recorders,
    revising,
    searching,
    staff,
    static,
    uploading,
)
from api.shell import Shell, route_of

log = structlog.get_logger()

_GZIP_FROM_BYTES = 800
_GZIP_LEVEL = 6  # 9 costs twice the time for one percent


def create_app(parts: Parts) -> FastAPI:
    """An application over these parts. It owns none of them and closes none."""
    web = web_of(parts)
    metrics = Metrics(parts.catalog)
    metrics.open_bodies.set_function(lambda: web.media.open_bodies)
    app = FastAPI(
        title="回看 Huikan",
        version=version("huikan"),
        openapi_url="/api/openapi.json",
        docs_url=None,  # FastAPI's own page loads scripts from elsewhere; ours is in routes.docs
        redoc_url=None,
        redirect_slashes=False,  # such a redirect would name the Host that was sent
    )
    app.state.web, app.state.metrics, app.state.health = web, metrics, ops.Health(parts)
    rooms = (
        lessons,
        revising,
        searching,
        staff,
        recorders,
        uploading,
        placing,
        receipts,
        hooks,
        ops,
        media,
        static,
        entering,
        docs,
        pages,
    )
    for room in rooms:
        app.include_router(room.router)

    async def handled(request: Request, error: Exception) -> Response:
        problem = of_error(error)
        if problem.status >= 500:
            log.warning("answered with a problem", route=route_of(request.scope), code=problem.code, reason=str(error))
        return await answer(web, request, problem)

    async def answered(request: Request, problem: Problem) -> Response:
        return await answer(web, request, problem)

    for kind in HANDLED:
        app.add_exception_handler(kind, handled)
    app.add_middleware(GZipMiddleware, minimum_size=_GZIP_FROM_BYTES, compresslevel=_GZIP_LEVEL)
    app.add_middleware(Shell, guard=Guard.of(parts.settings), metrics=metrics, answer=answered)
    return app


async def answer(web: Web, request: Request, problem: Problem) -> Response:
    """A problem, for a program as JSON, for a person as a page; whoever has not entered is shown the door."""
    if for_programs(request):
        return as_json(problem)
    if problem.status == 401:
        return _to_the_door(request)
    viewer = web.sessions.viewer_of(request.cookies.get(web.sessions.cookie, "")) if request.cookies else NOBODY
    page = web.pages.page(request, "error.html", viewer, problem.status, problem=problem)
    page.headers.update({**problem.headers, "Cache-Control": "no-store"})
    return page


def _to_the_door(request: Request) -> Response:
    wanted = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    door = "/enter" + query_string(next=wanted if request.method == "GET" and wanted != "/" else "")
    if "hx-request" in request.headers:  # it would put the door into a corner of the page
        return Response(None, 401, {"HX-Redirect": "/enter", "Cache-Control": "no-store"})
    return RedirectResponse(door, 303, {"Cache-Control": "no-store"})
