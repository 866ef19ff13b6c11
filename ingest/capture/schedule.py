"""When to record, by the timetable. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from archive.model import Slot


@dataclass(frozen=True, slots=True, order=True)
class Session:
    """A lesson, and from when to when it is recorded. Naive: the room's wall clock, by the recorder's own clock."""

    starts_at: datetime
    record_from: datetime
    record_until: datetime
    name: str = ""


def sessions_on(slots: Sequence[Slot], day: datetime, before: timedelta, after: timedelta) -> list[Session]:
    """The day's sessions in order. Where two lessons are close, the time between belongs to the second."""
    on = sorted(
        {
            (slot.starts_at(day.date()), slot.ends_at(day.date()), slot.subject or slot.title)
            for slot in slots
            if slot.is_on(day.date())
        }
    )
    found: list[Session] = []
    for starts_at, ends_at, name in on:
        if found and found[-1].starts_at == starts_at:
            continue
        begins = starts_at - before
        if found and found[-1].record_until > begins:
            last = found.pop()
            begins = max(begins, last.record_from)
            found.append(Session(last.starts_at, last.record_from, max(last.record_from, begins), last.name))
        found.append(Session(starts_at, begins, ends_at + after, name))
    return [session for session in found if session.record_from < session.record_until]


def session_at(slots: Sequence[Slot], now: datetime, before: timedelta, after: timedelta) -> Session | None:
    """What is to be recorded at this moment."""
    today = sessions_on(slots, now, before, after)
    return next((session for session in today if session.record_from <= now < session.record_until), None)


def next_session(
    slots: Sequence[Slot], now: datetime, before: timedelta, after: timedelta, days: int = 14
) -> Session | None:
    """The next one to begin, within some days."""
    for ahead in range(days):
        for session in sessions_on(slots, now + timedelta(days=ahead), before, after):
            if session.record_from > now:
                return session
    return None
