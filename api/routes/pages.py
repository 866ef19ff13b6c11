"""The pages. Each works as plain HTML; htmx exchanges parts of them where that saves a wait."""

import re
from dataclasses import dataclass, replace
from typing import Annotated

from fastapi import APIRouter, Form, Query, Request, Response
from fastapi.responses import RedirectResponse

from api.access import scope_of
from api.arriving import STAGES_ZH, arrivals, of_recording
from api.delivery import VIEWS_ZH, Playable
from api.deps import Browser, ConsentLesson, Operator, ViewerDep, WatchedLesson, Web, WebDep
from api.finding import PAGE_HITS, find, shelf_of, term_zh
from api.rendering import static_address
from api.routes.asking import Filters, Grade, Offset, ProgrammeName, Subject, asked_for
from api.routes.staff import put_consent
from api.suggesting import help_with
from archive.model import Lesson, Programme, Transcript
from search import query as asked
from transcribe.weights import DEMO_ZH

router = APIRouter(include_in_schema=False)

_CARDS = 24
_FILTERS = frozenset(asked_for.__annotations__) - {"return"}  # a page's links keep these
_MOMENTS = 100  # on the lesson's own page
_SOUND, _OPUS = "audio", "opus"  # the rungs that a lesson without its picture is heard from
_SECONDS = re.compile(r"([0-9]{1,6})(?:\.([0-9]{1,3}))?")


@dataclass(frozen=True, slots=True)
class Way:
    """A way to follow a lesson, and what all of it takes from the line."""

    value: str  # as the player knows it
    label: str
    size_bytes: int


@router.get("/")
def library(
    request: Request,
    viewer: Browser,
    web: WebDep,
    subject: Subject = "",
    grade: Grade = "",
    programme: ProgrammeName = None,
    offset: Offset = 0,
) -> Response:
    scope = scope_of(viewer)
    chosen = {"subject": subject, "grade": grade, "programme": programme}
    lessons, total = web.catalog.lessons.published(
        scope, subject=subject, grade=grade, programme=programme, limit=_CARDS, offset=offset
    )
    return web.pages.page(
        request,
        "library.html",
        viewer,
        lessons=lessons,
        total=total,
        shelf=web.catalog.lessons.shelf(scope),
        programmes={kind.value: kind.zh for kind in Programme},
        chosen=chosen,
        offset=offset,
        step=_CARDS,
    )


@router.get("/search")
def search(
    request: Request,
    viewer: Browser,
    web: WebDep,
    filters: Filters,
    q: Annotated[str, Query(max_length=1000)] = "",
    offset: Offset = 0,
) -> Response:
    text = q.strip()[: asked.MAX_QUERY_CHARS]
    wanted = replace(filters, text=text, limit=PAGE_HITS, offset=offset)
    found = find(web, viewer, wanted)
    shelf = shelf_of(web, viewer, wanted, found)
    return web.pages.page(
        request,
        "search.html",
        viewer,
        q=text,
        found=found,
        help=help_with(web, viewer, wanted, found=found.is_sure or bool(offset)),
        shelf=shelf,
        terms={term: term_zh(term) for term in shelf.terms},
        programmes={kind.value: kind.zh for kind in Programme},
        chosen={name: request.query_params.get(name, "") for name in sorted(_FILTERS)},
        offset=offset,
        step=PAGE_HITS,
    )


@router.get("/lesson/{lesson_id}")
def lesson(
    request: Request,
    lesson: WatchedLesson,
    viewer: ViewerDep,
    web: WebDep,
    t: Annotated[str, Query(max_length=40)] = "",
    q: Annotated[str, Query(max_length=1000)] = "",
) -> Response:
    if lesson.superseded_by is not None:
        return RedirectResponse(f"/lesson/{lesson.superseded_by}", 303)
    playable = web.playables.of(lesson.id)
    if playable is None:
        arriving = of_recording(web, web.catalog.outputs.recording(lesson.recording_id))
        return web.pages.page(request, "waiting.html", viewer, lesson=lesson, arriving=arriving, stages_zh=STAGES_ZH)
    if "hx-request" in request.headers:  # the page that waited for this asks again and again: it is to load anew
        return Response(headers={"HX-Refresh": "true"})
    text = q.strip()[: asked.MAX_QUERY_CHARS]
    return web.pages.page(
        request,
        "lesson.html",
        viewer,
        lesson=lesson,
        playable=playable,
        link=web.links.to(lesson.id, viewer),
        ways=ways_of(playable),
        views_zh=VIEWS_ZH,
        demo_zh=DEMO_ZH,
        has_opus=_OPUS in {made.rung for made in playable.renditions},
        transcript=_transcript(web, lesson),
        q=text,
        found=find(web, viewer, asked.Query(text, lesson_id=lesson.id, limit=_MOMENTS), moments=_MOMENTS),
        start_ms=start_ms(t),
        hls=static_address("vendor/hls.min.js"),
    )


@router.post("/lesson/{lesson_id}/consent")
def consent(lesson: ConsentLesson, web: WebDep, consent: Annotated[str, Form()] = "") -> Response:
    put_consent(web, lesson, consent=consent == "yes")
    return RedirectResponse(f"/lesson/{lesson.id}", 303)


@router.get("/arrivals")
def arrived(request: Request, viewer: Operator, web: WebDep) -> Response:
    unplaced = web.catalog.placements.count_unmatched()
    return web.pages.page(
        request, "arrivals.html", viewer, arrivals=arrivals(web), stages_zh=STAGES_ZH, unplaced=unplaced
    )


@router.get("/favicon.ico")
def favicon() -> Response:
    return RedirectResponse(static_address("logo.svg"), 308)


def start_ms(text: str) -> int:
    """`t=83.25` in milliseconds; 0 for anything that is no time."""
    found = _SECONDS.fullmatch(text)
    return int(found[1]) * 1000 + int((found[2] or "").ljust(3, "0")) if found else 0


def _transcript(web: Web, lesson: Lesson) -> Transcript | None:
    publication = web.catalog.outputs.publication(lesson.id)
    if publication is None or publication.speech_edition is None:
        return None
    return web.catalog.transcripts.get(publication.recording_id, publication.speech_edition)


def ways_of(playable: Playable) -> tuple[Way, ...]:
    """What the viewer may choose from, richest first; empty where there is no choice. A picture counts at its smallest."""
    sounds = {made.rung: made.size_bytes for made in playable.renditions if not made.height}
    pictures = [made.size_bytes for made in playable.renditions if made.height]
    if not pictures or _SOUND not in sounds:
        return ()
    sound_bytes = sounds.get(_OPUS, sounds[_SOUND])
    ways = [Way("picture", "画面", min(pictures) + sounds[_SOUND])]
    if playable.board is not None:
        ways.append(Way("board", "声音+板书", sound_bytes + playable.board.least_bytes))
    return (*ways, Way("sound", "只听声音", sound_bytes))
