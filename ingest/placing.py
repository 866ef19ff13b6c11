"""Which lesson a recording is: found by its room and its clock, corrected, in the school's timetable; else asked of a person.

Done once its length is known. What the school wrote beside the recording always counts more than the timetable, and nothing
here decides who may see a lesson.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import structlog

from archive.catalog import Catalog
from archive.errors import Absent, Unacceptable
from archive.keys import IncomingKey, shared_room
from archive.model import Place, Placement, Recording, Sidecar, Slot

log = structlog.get_logger()

# Of the recording, or of the lesson, whichever is shorter: recorders begin early, end late, and cut lessons into parts.
ENOUGH = 0.5
# As much of a second lesson as this, of what the first has, and a recording is of both.
_RIVAL = 0.6
_NEAR_MIN = 10  # how far the sender's word on when the lesson begins may be from the timetable's
_SUGGESTED = 4
SETTLED = (Place.ASSIGNED,)


@dataclass(frozen=True, slots=True)
class Found:
    """A slot on a day. `fraction` is how much of it, or of the recording, the two share."""

    slot: Slot
    starts_at: datetime
    fraction: float = 1.0


@dataclass(frozen=True, slots=True)
class Open:
    """A recording that nobody knows, with what it may be, the likeliest first."""

    recording: Recording
    placement: Placement
    title: str
    school: str
    suggestions: tuple[Found, ...]


def choose(slots: Sequence[Slot], starts_at: datetime, ends_at: datetime) -> tuple[Found | None, str]:
    """The one lesson that a recording is of, or None and why, in words for a person. Pure. `slots` are those of its day."""
    all_of_them = [_shared(slot, starts_at, ends_at) for slot in slots]
    shared = sorted((found for found in all_of_them if found.fraction > 0), key=lambda found: -found.fraction)
    if not shared:
        nearest = _nearest(slots, starts_at)
        if nearest is None:
            return None, "这一天课表上这间教室没有课。"
        told = f"{nearest.starts_at:%H:%M} {nearest.slot.subject or nearest.slot.title}"
        return (
            None,
            f"录像从 {starts_at:%H:%M} 到 {ends_at:%H:%M}，课表上这时没有课，最近的是 {told}。录播主机的时钟也许不准。",
        )
    best = shared[0]
    if len(shared) > 1 and _minutes(shared[1], starts_at, ends_at) >= _RIVAL * _minutes(best, starts_at, ends_at):
        names = "、".join(f"{each.starts_at:%H:%M} {each.slot.subject or each.slot.title}" for each in shared[:4])
        return None, f"录像跨了几节课：{names}。"
    if best.fraction < ENOUGH:
        return None, f"录像只与 {best.starts_at:%H:%M} 的课重合了一小部分。"
    return best, ""


def told(slots: Sequence[Slot], starts_at: datetime) -> Found | None:
    """The lesson that the sender says it is. Pure."""
    near = _nearest(slots, starts_at)
    if near is None or abs(near.starts_at - starts_at) > timedelta(minutes=_NEAR_MIN):
        return None
    return near


def place(catalog: Catalog, recording_id: str) -> Placement:
    """Finds out and writes down. Does nothing for what a person assigned. The recording must be probed."""
    recording = catalog.outputs.recording(recording_id)
    lesson = catalog.lessons.get(recording.lesson_id)
    known = catalog.placements.of(recording_id) or Placement(recording_id, Place.NEW, lesson.room)
    if known.state in SETTLED or recording.probe is None:
        return known
    # Measured from the name each time: what is stored may have been corrected already, by another offset.
    named_at = _named_at(recording)
    offset = timedelta(milliseconds=catalog.timetables.clock(lesson.school, known.room))
    starts_at = (named_at - offset).replace(microsecond=0)
    ends_at = starts_at + timedelta(milliseconds=recording.probe.duration_ms)
    # Without a timetable, recordings of one room that begin at one moment are of one lesson.
    placed = replace(known, state=Place.PLAIN, starts_at=starts_at, ends_at=ends_at, slot_at=starts_at, reason_zh="")
    slots = catalog.timetables.on(lesson.school, known.room, starts_at.date())
    found, why = choose(slots, starts_at, ends_at)
    if known.told_starts_at is not None:
        day = catalog.timetables.on(lesson.school, known.room, known.told_starts_at.date())
        found = told(day, known.told_starts_at)
        placed = replace(placed, state=Place.MATCHED, slot_at=found.starts_at if found else known.told_starts_at)
    elif found is not None:
        placed = replace(placed, state=Place.MATCHED, slot_at=found.starts_at)
    elif catalog.timetables.covers(lesson.school, known.room):
        placed = replace(placed, state=Place.UNMATCHED, slot_at=None, reason_zh=why)
    catalog.placements.place(placed, words_of(found) if found else None)
    log.info("placed", recording=recording_id, state=placed.state.value)
    return placed


def note_clock(catalog: Catalog, incoming: IncomingKey, said: Sidecar) -> None:
    """A recorder that measured its own clock knows best."""
    if said.clock_offset_ms is not None:
        room, _ = shared_room(incoming.room)
        catalog.timetables.note_clock(incoming.school, room, said.clock_offset_ms, "recorder")


def name_at_once(catalog: Catalog, recording_id: str) -> None:
    """A lesson that has just begun is called what the timetable says, if its beginning alone tells. It is placed for good
    when its length is known."""
    recording = catalog.outputs.recording(recording_id)
    lesson, known = catalog.lessons.get(recording.lesson_id), catalog.placements.of(recording_id)
    if known is None:
        return
    begins_at = known.told_starts_at
    if begins_at is None:
        begins_at = _named_at(recording) - timedelta(milliseconds=catalog.timetables.clock(lesson.school, known.room))
    found = told(catalog.timetables.on(lesson.school, known.room, begins_at.date()), begins_at)
    if found is not None:
        catalog.placements.place(known, words_of(found))


def words_of(found: Found) -> Sidecar:
    """What the timetable says of a lesson. Never consent."""
    slot = found.slot
    title = slot.title or f"{slot.subject} {found.starts_at:%m月%d日 %H:%M}"
    return Sidecar(title, slot.subject, slot.grade, slot.teacher, slot.programme)


def assign(catalog: Catalog, recording_id: str, slot_at: datetime, *, view: str = "") -> Placement:
    """A person's word: it is the lesson that the timetable has in its room at `slot_at`. Raises Absent if there is none."""
    placement, recording = _open(catalog, recording_id)
    lesson = catalog.lessons.get(recording.lesson_id)
    slots = catalog.timetables.on(lesson.school, placement.room, slot_at.date())
    chosen = next((slot for slot in slots if slot.starts_at(slot_at.date()) == slot_at), None)
    if chosen is None:
        raise Absent(f"课表上 {lesson.school}/{placement.room} 在 {slot_at:%Y-%m-%d %H:%M} 的课")
    placed = replace(placement, state=Place.ASSIGNED, slot_at=slot_at, reason_zh="", view=view or placement.view)
    catalog.placements.place(placed, words_of(Found(chosen, slot_at)), overwrite=True)
    return placed


def name_it(catalog: Catalog, recording_id: str, words: Sidecar) -> Placement:
    """A person's word: it is a lesson of its own, called so. Raises Unacceptable without a name."""
    placement, _ = _open(catalog, recording_id)
    if not words.title:
        raise Unacceptable(recording_id, "no title", "请写课名。")
    placed = replace(placement, state=Place.ASSIGNED, slot_at=None, reason_zh="")
    catalog.placements.place(placed, words, overwrite=True)
    return placed


def leave_it(catalog: Catalog, recording_id: str) -> Placement:
    """A person's word: it is no lesson of the timetable, and stays as it is."""
    placement, _ = _open(catalog, recording_id)
    placed = replace(placement, state=Place.ASSIGNED, slot_at=None, reason_zh="")
    catalog.placements.place(placed, None)
    return placed


def reopen(catalog: Catalog, recording_id: str) -> Placement:
    """Takes a person's word back: it is matched anew."""
    placement, _ = _open(catalog, recording_id)
    catalog.placements.place(replace(placement, state=Place.NEW, slot_at=None, reason_zh=""), None)
    return place(catalog, recording_id)


def place_again(catalog: Catalog, school: str = "", rooms: Sequence[str] = ()) -> int:
    """After a timetable was imported or a clock corrected: what no person assigned is matched anew. Returns how many were."""
    count, offset, page = 0, 0, 200
    while found := catalog.outputs.recordings(limit=page, offset=offset):
        offset += page
        for recording in found:
            known = catalog.placements.of(recording.id)
            lesson = catalog.lessons.get(recording.lesson_id)
            wanted = (not school or lesson.school == school) and (not rooms or (known and known.room in rooms))
            if wanted and recording.probe is not None and recording.refusal is None:
                place(catalog, recording.id)
                count += 1
    return count


def queue(catalog: Catalog, limit: int = 200) -> list[Open]:
    """What waits for a person, with suggestions from the day's timetable."""
    rows: list[Open] = []
    for placement in catalog.placements.unmatched(limit):
        recording = catalog.outputs.recording(placement.recording_id)
        lesson = catalog.lessons.get(recording.lesson_id)
        starts_at = placement.starts_at or lesson.started_at
        slots = catalog.timetables.on(lesson.school, placement.room, starts_at.date())
        near = sorted(
            (Found(slot, slot.starts_at(starts_at.date())) for slot in slots),
            key=lambda found: abs(found.starts_at - starts_at),
        )
        rows.append(Open(recording, placement, lesson.title, lesson.school, tuple(near[:_SUGGESTED])))
    return rows


def _open(catalog: Catalog, recording_id: str) -> tuple[Placement, Recording]:
    recording = catalog.outputs.recording(recording_id)
    placement = catalog.placements.of(recording_id)
    if placement is None:
        lesson = catalog.lessons.get(recording.lesson_id)
        placement = Placement(recording_id, Place.NEW, lesson.room)
    return placement, recording


def _named_at(recording: Recording) -> datetime:
    return IncomingKey.parse(recording.key).started_at


def _shared(slot: Slot, starts_at: datetime, ends_at: datetime) -> Found:
    slot_starts, slot_ends = slot.starts_at(starts_at.date()), slot.ends_at(starts_at.date())
    both = (min(ends_at, slot_ends) - max(starts_at, slot_starts)).total_seconds()
    shorter = min((ends_at - starts_at).total_seconds(), (slot_ends - slot_starts).total_seconds())
    return Found(slot, slot_starts, max(0.0, both / shorter) if shorter > 0 else 0.0)


def _minutes(found: Found, starts_at: datetime, ends_at: datetime) -> float:
    slot = found.slot
    last = slot.ends_at(found.starts_at.date())
    return (min(ends_at, last) - max(starts_at, found.starts_at)).total_seconds() / 60


def _nearest(slots: Sequence[Slot], starts_at: datetime) -> Found | None:
    near = [Found(slot, slot.starts_at(starts_at.date()), 0.0) for slot in slots]
    return min(near, key=lambda found: abs(found.starts_at - starts_at), default=None)
