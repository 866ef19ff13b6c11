"""/placing: recordings that match no lesson of the timetable, and a person's word on each."""

import re
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse

from api.deps import Operator, Web, WebDep
from api.problems import Problem
from archive.errors import Absent
from archive.model import Sidecar
from ingest import placing
from ingest.sidecar import VIEWS, one_line

router = APIRouter(include_in_schema=False)

_RECORDING_ID = re.compile(r"[0-9a-f]{64}")
_Word = Annotated[str, Form(max_length=200)]


@router.get("/placing")
def waiting(request: Request, viewer: Operator, web: WebDep) -> Response:
    return web.pages.page(request, "placing.html", viewer, queue=placing.queue(web.catalog), views=VIEWS)


@router.post("/placing")
def decide(
    _: Operator,
    web: WebDep,
    recording_id: _Word,
    action: _Word,
    slot_at: _Word = "",
    view: _Word = "",
    title: _Word = "",
    subject: _Word = "",
    grade: _Word = "",
    teacher: _Word = "",
) -> Response:
    """`action` is assign (to `slot_at`), name, leave or reopen."""
    if not _RECORDING_ID.fullmatch(recording_id) or (view and view not in VIEWS):
        raise Problem(422, "invalid", "没有这样的录像或画面。")
    if action == "assign":
        placing.assign(web.catalog, recording_id, _clock(slot_at), view=view)
    elif action == "name":
        words = (one_line(title, 120), one_line(subject, 40), one_line(grade, 40), one_line(teacher, 80))
        placing.name_it(web.catalog, recording_id, Sidecar(*words))
    elif action in ("leave", "reopen"):
        {"leave": placing.leave_it, "reopen": placing.reopen}[action](web.catalog, recording_id)
    else:
        raise Problem(422, "invalid", "不知道要做什么。")
    _show_anew(web, recording_id)
    return RedirectResponse("/placing", 303)


def _show_anew(web: Web, recording_id: str) -> None:
    web.playables.forget(web.catalog.outputs.recording(recording_id).lesson_id)


def _clock(text: str) -> datetime:
    try:
        return datetime.strptime(text, "%Y-%m-%dT%H:%M")  # noqa: DTZ007 — a room's wall clock
    except ValueError as error:
        raise Absent(f"课表上 {one_line(text, 40)} 的课") from error
