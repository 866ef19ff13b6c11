"""/enter and /leave. The code comes in a form's body: never in an address, a log or a Referer."""

import re
from typing import Annotated

import structlog
from fastapi import APIRouter, Form, Query, Request, Response
from fastapi.responses import RedirectResponse

from api.access import REMEMBERED_S, SESSION_S, Role
from api.deps import ViewerDep, WebDep, address_of, viewer_by_code

router = APIRouter(include_in_schema=False)
log = structlog.get_logger()

_OUR_PATH = re.compile(
    r"/(?![/\\])[!-\[\]-~]{0,500}"
)  # no second slash, no backslash, nothing that is not printable ASCII


def our_path(wanted: str) -> str:
    """Where to go on afterwards: a path of ours, or the library."""
    return wanted if _OUR_PATH.fullmatch(wanted) and not wanted.startswith(("/enter", "/leave")) else "/"


@router.get("/enter")
def door(request: Request, viewer: ViewerDep, web: WebDep, next: Annotated[str, Query()] = "/") -> Response:
    return web.pages.page(request, "enter.html", viewer, next=our_path(next), wrong=False)


@router.post("/enter")
def enter(
    request: Request,
    web: WebDep,
    code: Annotated[str, Form()] = "",
    next: Annotated[str, Form()] = "/",
    remember: Annotated[str, Form()] = "",
) -> Response:
    viewer = viewer_by_code(web, address_of(request), code)
    if viewer.role is Role.NOBODY:
        log.warning("wrong code", client=address_of(request))
        return web.pages.page(request, "enter.html", viewer, 403, next=our_path(next), wrong=True)
    lifetime_s = REMEMBERED_S if remember else SESSION_S
    response = RedirectResponse(our_path(next), 303)
    response.set_cookie(
        web.sessions.cookie,
        web.sessions.issue(viewer, lifetime_s),
        max_age=lifetime_s,
        path="/",
        httponly=True,
        secure=web.sessions.secure,
        samesite="lax",
    )
    return response


@router.post("/leave")
def leave(web: WebDep) -> Response:
    response = RedirectResponse("/enter", 303)
    response.delete_cookie(web.sessions.cookie, path="/", httponly=True, secure=web.sessions.secure, samesite="lax")
    return response
