"""Recorders: how they are doing, for staff; receipts, for each recorder of its own files."""

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from api.access import NOBODY, Action, can
from api.deps import Operator, Web, WebDep, address_of, the_viewer
from api.problems import absent, forbidden, not_entered, too_many
from api.recorder_cli import skew_zh, state_zh
from api.routes.asking import problems
from api.schemas import ReceiptOut, ReceiptsOut, RecorderOut, RefusedOut, UsageOut
from archive.model import Arrival
from archive.recorders import Recorder, Standing
from ingest.admission import quota_of

router = APIRouter(responses=problems(401, 422, 503))

_TOKEN = re.compile(r"[A-Za-z0-9._-]{1,40}\.[0-9a-f]{64}")
_CLOCK_CHANGE_MS = 2000  # the header counts whole seconds
# Bytes that are with us already: the recorder need not keep its own.
_SAFE_REFUSALS = frozenset({"duplicate"})


@router.get("/recorders", include_in_schema=False)
def page(request: Request, viewer: Operator, web: WebDep) -> Response:
    standings = web.catalog.recorders.standings()
    return web.pages.page(
        request,
        "recorders.html",
        viewer,
        standings=standings,
        quotas={each.recorder.id: quota_of(each.recorder, web.parts.settings) for each in standings},
        skew_zh=skew_zh,
        state_zh=state_zh,
    )


@router.get("/api/recorders", tags=["老师与管理员"], summary="录播主机的状态", responses=problems(403))
def every(_: Operator, web: WebDep) -> list[RecorderOut]:
    return [_out(web, standing) for standing in web.catalog.recorders.standings()]


def the_recorder(request: Request, web: WebDep) -> Recorder | None:
    """Who asks for receipts: a recorder by its token; None for staff, who may ask for any. Everybody else is refused.

    A token is made from the recorder's own key (archive.recorders.token_of). A wrong one counts as a wrong code does.
    """
    _, _, token = request.headers.get("authorization", "").partition(" ")
    if not _TOKEN.fullmatch(token):
        viewer = the_viewer(request, web)
        if not can(viewer, Action.OPERATE):
            raise not_entered() if viewer == NOBODY else forbidden()
        return None
    address = address_of(request)
    wait_s = web.attempts.wait_s(address)
    if wait_s:
        raise too_many(wait_s)
    machine = web.catalog.recorders.by_token(token)
    if machine is None:
        web.attempts.note_wrong(address)
        raise not_entered()
    request.state.role = "recorder"
    _note_clock(web, machine, request.headers.get("date", ""))
    return machine


def _note_clock(web: Web, machine: Recorder, said: str) -> None:
    """A recorder that sends its clock (the Date header) is told nothing; its operators see how far it is off."""
    try:
        theirs = parsedate_to_datetime(said)
    except ValueError:
        return
    if theirs.tzinfo is None:
        return
    ours = datetime.now(UTC)
    skew_ms = round((theirs - ours).total_seconds() * 1000)
    last_ms = machine.clock_skew_ms
    if last_ms is None or abs(last_ms - skew_ms) >= _CLOCK_CHANGE_MS:
        web.catalog.recorders.note_clock(machine.id, skew_ms, ours.replace(tzinfo=None))


@router.get("/api/receipts", tags=["录播主机"], summary="收据：上传的文件怎样了", responses=problems(404))
def receipts(
    machine: Annotated[Recorder | None, Depends(the_recorder)],
    web: WebDep,
    key: Annotated[str, Query(max_length=1024, description="上传桶里的名字")],
) -> ReceiptsOut:
    """录播主机凭自己的令牌（Bearer，由密钥算出）查自己的文件；老师与管理员可查任何文件。"""
    if not key.isprintable() or (machine is not None and not key.startswith(machine.prefix)):
        raise absent()
    found = web.catalog.arrivals.of_key(key)
    if not found:
        raise absent()
    return ReceiptsOut(receipts=[receipt_of(one) for one in found])


def receipt_of(one: Arrival) -> ReceiptOut:
    accepted = one.recording_id is not None
    state = "accepted" if accepted else "refused" if one.refusal else "waiting"
    return ReceiptOut(
        key=one.key,
        etag=one.etag,
        size_bytes=one.size_bytes,
        sha256=one.sha256,
        state=state,
        safe=accepted or (one.refusal is not None and one.refusal.code in _SAFE_REFUSALS),
        at=one.seen_at,
        refused=RefusedOut.of(one.refusal),
    )


def _out(web: Web, standing: Standing) -> RecorderOut:
    machine, quota = standing.recorder, quota_of(standing.recorder, web.parts.settings)
    return RecorderOut(
        id=machine.id,
        school=machine.school,
        room=machine.room,
        school_name=machine.school_name,
        room_name=machine.room_name,
        label=machine.label,
        access_key=machine.access_key,
        issued_at=machine.issued_at,
        revoked_at=machine.revoked_at,
        suspended_at=machine.suspended_at,
        last_seen_at=standing.last_seen_at,
        today=UsageOut(bytes=standing.today.bytes, recordings=standing.today.recordings),
        total=UsageOut(bytes=standing.total.bytes, recordings=standing.total.recordings),
        daily_bytes=quota.daily_bytes,
        daily_recordings=quota.daily_recordings,
        clock_skew_ms=machine.clock_skew_ms,
        failures=standing.failures,
        last_failure=RefusedOut.of(standing.last_failure),
    )
