"""What the web is made of, and how a route asks for it.

`Parts` come from outside: api.serve composes them, tests make their own. `Web` is what create_app builds on top of them,
once. Every route names who may use it by taking one of the gates below (`Browser`, `Operator`, `WatchedLesson`, …); a test
walks the router and fails on a route that has none and is not listed as public.
"""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Protocol

from fastapi import Depends, Path, Request

from api.access import NOBODY, Action, Attempts, Clock, Codes, Role, Sessions, Viewer, can
from api.delivery import Playables
from api.links import Links
from api.names import Names
from api.problems import absent, forbidden, not_entered, too_many
from api.rendering import Pages
from api.streaming import Media
from archive.catalog import Catalog
from archive.model import Lesson
from archive.settings import Settings
from archive.store import ObjectStore
from ingest import lexicon
from search.index import SearchIndex

_LESSON_ID = re.compile(r"[a-z2-7]{26}")


class Runs(Protocol):
    """What the web may ask of the pipeline: a hint, quick and idempotent; it may raise Unavailable.

    That a lesson is to be indexed anew nobody asks of it: an order for that is written with the change itself.
    """

    def arrived(self, bucket: str, key: str) -> None:
        """Something may have been put at `key`. Whether it was, and what it is, the pipeline looks up itself."""
        ...

    def pulse(self) -> dict[str, bool]:
        """For /health: part → whether it is alive. Nothing about lessons."""
        ...


@dataclass(frozen=True, slots=True)
class Parts:
    settings: Settings
    catalog: Catalog
    store: ObjectStore
    index: SearchIndex
    runs: Runs
    clock: Clock = time.time


@dataclass(frozen=True, slots=True)
class Web:
    """The parts, and what the web keeps beside them."""

    parts: Parts
    codes: Codes
    sessions: Sessions
    attempts: Attempts
    links: Links
    playables: Playables
    media: Media
    pages: Pages
    names: Names

    @property
    def catalog(self) -> Catalog:
        return self.parts.catalog


def web_of(parts: Parts) -> Web:
    codes = Codes(parts.settings)
    return Web(
        parts=parts,
        codes=codes,
        sessions=Sessions(parts.settings, codes, parts.clock),
        attempts=Attempts(parts.clock),
        links=Links(parts.settings, parts.clock),
        playables=Playables(parts.catalog, parts.clock),
        media=Media(parts.store, parts.settings.media_bucket, parts.clock),
        pages=Pages(),
        names=Names(parts.catalog, parts.clock, lambda: lexicon.refresh(parts.settings)),
    )


def the_web(request: Request) -> Web:
    return request.app.state.web


WebDep = Annotated[Web, Depends(the_web)]


def address_of(request: Request) -> str:
    return request.client.host if request.client else "unknown"


def the_viewer(request: Request, web: WebDep) -> Viewer:
    """From the bearer code if there is one, and then from nothing else; otherwise from the cookie.

    A wrong code counts as an attempt: the door and the API are one lock.
    """
    scheme, _, code = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        viewer = web.sessions.viewer_of(request.cookies.get(web.sessions.cookie, ""))
    else:
        viewer = viewer_by_code(web, address_of(request), code)
    request.state.role = viewer.role  # the access log says which role, never which code
    return viewer


def viewer_by_code(web: Web, address: str, code: str) -> Viewer:
    """Nobody for a wrong code. Raises Problem 429 when this address has sent too many, whatever it sends now."""
    wait_s = web.attempts.wait_s(address)
    if wait_s:
        raise too_many(wait_s)
    viewer = web.codes.viewer_of(code)
    if viewer.role is Role.NOBODY:
        web.attempts.note_wrong(address)
    return viewer


ViewerDep = Annotated[Viewer, Depends(the_viewer)]


def gate(action: Action) -> Callable[[Viewer], Viewer]:
    """A dependency that lets through who may do `action` without regard to any one lesson."""

    def allowed(viewer: ViewerDep) -> Viewer:
        _demand(viewer, action, None)
        return viewer

    allowed.__dict__["action"] = action  # the matrix test reads it
    return allowed


def lesson_gate(action: Action) -> Callable[[Viewer, Web, str], Lesson]:
    """A dependency that gives the lesson in the path to who may do `action` with it; to others it does not exist."""

    def allowed(
        viewer: ViewerDep, web: WebDep, lesson_id: Annotated[str, Path(description="课的编号，26 个字符")]
    ) -> Lesson:
        if viewer.role is Role.NOBODY:
            raise not_entered()
        lesson = lesson_by_id(web, lesson_id)
        if lesson is None or not can(viewer, action, lesson):
            raise absent()
        return lesson

    allowed.__dict__["action"] = action
    return allowed


def lesson_by_id(web: Web, lesson_id: str) -> Lesson | None:
    """None for what is no id, too: it must not reach the database, which refuses some characters."""
    return web.catalog.lessons.find(lesson_id) if _LESSON_ID.fullmatch(lesson_id) else None


def _demand(viewer: Viewer, action: Action, lesson: Lesson | None) -> None:
    if can(viewer, action, lesson):
        return
    raise not_entered() if viewer == NOBODY else forbidden()


Browser = Annotated[Viewer, Depends(gate(Action.BROWSE))]
Operator = Annotated[Viewer, Depends(gate(Action.OPERATE))]
WatchedLesson = Annotated[Lesson, Depends(lesson_gate(Action.WATCH))]
FollowedLesson = Annotated[Lesson, Depends(lesson_gate(Action.FOLLOW))]
ConsentLesson = Annotated[Lesson, Depends(lesson_gate(Action.CONSENT))]
RevisedLesson = Annotated[Lesson, Depends(lesson_gate(Action.REVISE))]
