"""Recordings of one lesson become one: parts in their order, several recorders of a room as views. ADR 15.

The joined recording is a new source and goes the usual way. Until it is published its members are shown as they are; then
it is shown instead of them. A joined recording is never changed: a part that comes late makes another.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from itertools import pairwise
from pathlib import Path

import structlog

from archive.catalog import Catalog
from archive.errors import Absent, DiskFull, HuikanError, Rejected, Unreadable
from archive.keys import source_key
from archive.model import Cue, Lesson, Place, Placement, Recording, Span
from archive.store import READ_BYTES
from ingest.engine import Runs
from ingest.runtime import Runtime
from ingest.workspace import keep_source, local_source, reserve, scratch
from transcode.assemble import Part, ViewParts, assemble
from transcribe import webvtt
from transcribe.captions import MAX_BYTES, read_captions

log = structlog.get_logger()

# Of the shorter one: two recordings of a view that share more time than this are not one after the other.
_OVERLAP = 0.2
_MAIN_FIRST = ("mixed", "teacher", "", "screen", "students")
_VIEWS_ZH = "同一教室同一时间有几个录像，请说明各是什么画面。"


@dataclass(frozen=True, slots=True)
class Member:
    """A recording of the lesson, as far as joining goes by it."""

    recording_id: str
    starts_at: datetime
    ends_at: datetime
    view: str
    part: int
    take: int
    received_at: datetime
    parts: int | None = None

    def overlaps(self, other: "Member") -> bool:
        both = min(self.ends_at, other.ends_at) - max(self.starts_at, other.starts_at)
        shorter = min(self.ends_at - self.starts_at, other.ends_at - other.starts_at)
        return both > shorter * _OVERLAP


@dataclass(frozen=True, slots=True)
class Joint:
    """What is to be joined: view by view, the main one first; in each its parts in order."""

    views: tuple[tuple[Member, ...], ...]

    @property
    def members(self) -> tuple[Member, ...]:
        return tuple(member for view in self.views for member in view)


def plan(members: Sequence[Member], now: datetime, quiet: timedelta) -> Joint | str | None:
    """What to join; why it cannot be, for a person; or None: nothing to join, or not everything is here yet. Pure.

    All parts are here when the sender said how many and there are so many, or when none has come for `quiet`.
    """
    views: list[tuple[Member, ...]] = []
    complete = True
    for view in sorted({member.view for member in members}, key=_MAIN_FIRST.index):
        newest: dict[tuple[int, datetime], Member] = {}
        for member in sorted(
            (each for each in members if each.view == view), key=lambda each: (each.take, each.received_at)
        ):
            newest[member.part, member.starts_at] = member
        # The clock in a part's name is the lesson's beginning as often as its own: its number decides.
        parts = sorted(newest.values(), key=lambda each: (each.starts_at, each.part))
        numbered = len({each.part for each in parts}) == len(parts)
        if not numbered and any(first.overlaps(second) for first, second in pairwise(parts)):
            return _VIEWS_ZH
        told = max((each.parts for each in parts if each.parts), default=None)
        complete = complete and told is not None and len(parts) >= told
        views.append(tuple(parts))
    joint = Joint(tuple(views))
    if len(joint.members) < 2:
        return None
    return joint if complete or now - max(each.received_at for each in members) >= quiet else None


def join_due(runtime: Runtime, runs: Runs) -> int:
    """Joins what has become complete. Returns how many lessons. What cannot be joined is put into the queue for a person."""
    joined = 0
    for school, room, slot_at in runtime.catalog.placements.unjoined():
        together = runtime.catalog.placements.together(school, room, slot_at)
        members = [member for placement in together if (member := _member(runtime, placement)) is not None]
        planned = plan(members, datetime.now(UTC), timedelta(minutes=runtime.settings.join_after_min))
        if planned is None:
            continue
        if isinstance(planned, str):
            _ask(runtime, together, planned)
            continue
        try:
            runs.process(join(runtime, planned))
            joined += 1
        except Rejected as error:
            _ask(runtime, together, error.reason_zh)
        except HuikanError as error:
            log.warning("joining postponed", room=f"{school}/{room}", reason=str(error))
    return joined


def join(runtime: Runtime, joint: Joint) -> str:
    """Makes the joined recording and returns its id. Idempotent. Raises Unacceptable, DiskFull, Unavailable and Cancelled."""
    outputs = runtime.catalog.outputs
    recordings = {each.recording_id: outputs.recording(each.recording_id) for each in joint.members}
    first = recordings[joint.members[0].recording_id]
    reserve(runtime, 3 * sum(each.size_bytes for each in recordings.values()))
    begins_at = joint.views[0][0].starts_at
    views = tuple(
        ViewParts(
            members[0].view,
            tuple(_part(runtime, recordings[each.recording_id]) for each in members),
            late_ms=max(0, round((members[0].starts_at - begins_at).total_seconds() * 1000)),
        )
        for members in joint.views
    )
    with scratch(runtime) as out:
        out.mkdir()
        path = assemble(views, out, name=first.key, cancelled=runtime.stopping)
        recording_id, size_bytes = _hashed(path), path.stat().st_size
        key = source_key(recording_id, "mkv")
        there = runtime.store.stat(runtime.media, key)
        if there is None or there.size_bytes != size_bytes:
            runtime.store.put_file(runtime.media, key, path)
        _keep_captions(runtime, recording_id, [recordings[each.recording_id] for each in joint.views[0]])
        runtime.catalog.placements.accept_joined(
            recording_id, size_bytes, [each.recording_id for each in joint.members]
        )
        keep_source(runtime, recording_id, path)
    log.info("joined", recording=recording_id, members=len(joint.members), views=len(joint.views))
    return recording_id


def show_instead(runtime: Runtime, recording_id: str) -> None:
    """The joined recording is published: its members' lessons are reached by it from now on. Nothing for any other."""
    members = runtime.catalog.placements.members(recording_id)
    if members:
        lesson_id = runtime.catalog.outputs.recording(recording_id).lesson_id
        if runtime.catalog.lessons.get(lesson_id).superseded_by is not None:
            return  # a person took it apart
        runtime.catalog.placements.supersede([lesson for lesson in members if lesson != lesson_id], lesson_id)


def take_apart(catalog: Catalog, lesson_id: str) -> list[Lesson]:
    """A person's word: the joined lesson is no one lesson. Its members are shown again, each by itself; they are returned.

    Raises Absent if it is no joined lesson.
    """
    members = catalog.placements.members(catalog.lessons.get(lesson_id).recording_id)
    if not members:
        raise Absent(f"由几段接成的课 {lesson_id}")
    catalog.placements.supersede(members, None)
    catalog.placements.supersede([lesson_id], members[0])
    return [catalog.lessons.get(member) for member in members]


def _member(runtime: Runtime, placement: Placement) -> Member | None:
    recording = runtime.catalog.outputs.recording(placement.recording_id)
    if placement.starts_at is None or placement.ends_at is None or recording.refusal is not None:
        return None
    return Member(
        recording_id=recording.id,
        starts_at=placement.starts_at,
        ends_at=placement.ends_at,
        view=placement.view,
        part=recording.part,
        take=recording.take,
        received_at=recording.received_at,
        parts=placement.parts,
    )


def _ask(runtime: Runtime, together: Sequence[Placement], reason_zh: str) -> None:
    for placement in together:
        if placement.joined_into is None:
            asked = replace(placement, state=Place.UNMATCHED, slot_at=None, reason_zh=reason_zh)
            runtime.catalog.placements.place(asked, None)


def _part(runtime: Runtime, recording: Recording) -> Part:
    if recording.probe is None:  # placed, so probed; a probe that was taken back is made anew by its own run
        raise DiskFull("分段", f"{recording.id} is not probed yet", "会自动继续。")
    return Part(local_source(runtime, recording), recording.probe)


def _keep_captions(runtime: Runtime, recording_id: str, parts: Sequence[Recording]) -> None:
    """Captions that came with every part of the main view are those of the whole."""
    cues: list[Cue] = []
    at_ms = 0
    for part in parts:
        key = source_key(part.id, "vtt")
        if part.probe is None or runtime.store.stat(runtime.media, key) is None:
            return
        try:
            found = read_captions(runtime.store.get_bytes(runtime.media, key, limit_bytes=MAX_BYTES), part.key)
        except Unreadable:
            return
        cues += [replace(cue, span=Span(cue.span.start_ms + at_ms, cue.span.end_ms + at_ms)) for cue in found]
        at_ms += part.probe.duration_ms
    runtime.store.put_bytes(runtime.media, source_key(recording_id, "vtt"), webvtt.write(cues).encode())


def _hashed(path: Path) -> str:
    digest = sha256()
    with path.open("rb") as file:
        while data := file.read(READ_BYTES):
            digest.update(data)
    return digest.hexdigest()
