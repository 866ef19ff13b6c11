"""The placements' desk: which lesson of the timetable a recording was found to be, and those nobody knows."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, and_, func, select, update

from archive.arrivals import titled
from archive.database import Database, now
from archive.errors import Absent
from archive.indexing import order_index
from archive.keys import IncomingKey, source_key
from archive.model import Place, Placement, Sidecar, lesson_id_of
from archive.schema import lesson, placement, recording


class Placements:
    def __init__(self, database: Database) -> None:
        self._db = database

    def of(self, recording_id: str) -> Placement | None:
        with self._db.reading() as tx:
            row = tx.execute(select(placement).where(placement.c.recording_id == recording_id)).one_or_none()
        return _placement(row) if row else None

    def place(self, found: Placement, words: Sidecar | None, *, overwrite: bool = False) -> None:
        """Writes down where a recording belongs, and gives its lesson the words it lacks (with `overwrite`: these words), and
        the true time where its clock was off. One transaction. Raises Absent."""
        with self._db.writing() as tx:
            mine = recording.c.id == found.recording_id
            row = tx.execute(
                select(lesson, recording.c.key).join(recording, recording.c.lesson_id == lesson.c.id).where(mine)
            ).one_or_none()
            if row is None:
                raise Absent(found.recording_id)
            _keep(self._db, tx, found)
            values = _changes(tx, row, found, words or Sidecar(), overwrite=overwrite and words is not None)
            if values:
                tx.execute(update(lesson).where(lesson.c.id == row.id).values(values))
                order_index(self._db, tx, [row.id])

    def unmatched(self, limit: int = 200) -> list[Placement]:
        """For a person to look at, newest first."""
        wanted = select(placement).where(placement.c.state == Place.UNMATCHED, placement.c.joined_into.is_(None))
        with self._db.reading() as tx:
            rows = tx.execute(wanted.order_by(placement.c.starts_at.desc()).limit(limit))
            return [_placement(row) for row in rows]

    def count_unmatched(self) -> int:
        wanted = and_(placement.c.state == Place.UNMATCHED, placement.c.joined_into.is_(None))
        with self._db.reading() as tx:
            return tx.execute(select(func.count()).select_from(placement).where(wanted)).scalar_one()

    def together(self, school: str, room: str, slot_at: datetime) -> list[Placement]:
        """The recordings of one lesson, in order of their beginnings; not those that were refused or made by joining."""
        wanted = (
            select(placement)
            .join(recording, recording.c.id == placement.c.recording_id)
            .join(lesson, lesson.c.id == recording.c.lesson_id)
            .where(
                lesson.c.school == school,
                placement.c.room == room,
                placement.c.slot_at == slot_at,
                recording.c.refused_at.is_(None),
            )
            .order_by(placement.c.starts_at, recording.c.received_at)
        )
        with self._db.reading() as tx:
            return [_placement(row) for row in tx.execute(wanted)]

    def tell(self, recording_id: str, said: Sidecar) -> None:
        """What a sidecar that came later says of where the recording belongs; what it does not say stays."""
        told = {"view": said.view or None, "parts": said.parts, "told_starts_at": said.starts_at}
        values = {name: value for name, value in told.items() if value is not None}
        if values:
            with self._db.writing() as tx:
                tx.execute(update(placement).where(placement.c.recording_id == recording_id).values(values))

    def unjoined(self, limit: int = 200) -> list[tuple[str, str, datetime]]:
        """School, room and beginning of lessons of which there are several recordings, not all of them joined."""
        wanted = (
            select(lesson.c.school, placement.c.room, placement.c.slot_at)
            .join(recording, recording.c.id == placement.c.recording_id)
            .join(lesson, lesson.c.id == recording.c.lesson_id)
            .where(placement.c.slot_at.is_not(None), recording.c.refused_at.is_(None))
            .group_by(lesson.c.school, placement.c.room, placement.c.slot_at)
            .having(func.count() > 1, func.count(placement.c.joined_into) < func.count())
            .order_by(placement.c.slot_at.desc())
            .limit(limit)
        )
        with self._db.reading() as tx:
            return [(row.school, row.room, row.slot_at) for row in tx.execute(wanted)]

    def members(self, recording_id: str) -> list[str]:
        """The lessons of the recordings that were joined into this one; empty for any other."""
        wanted = (
            select(recording.c.lesson_id)
            .join(placement, placement.c.recording_id == recording.c.id)
            .where(placement.c.joined_into == recording_id)
            .order_by(placement.c.starts_at, recording.c.part, recording.c.received_at)
        )
        with self._db.reading() as tx:
            return list(tx.execute(wanted).scalars())

    def accept_joined(self, recording_id: str, size_bytes: int, members: Sequence[str]) -> str:
        """A recording that was made of others gets a lesson with the first one's words; the source is in the store.

        Students may see it if they may see every member. One transaction, and nothing the second time. Returns the lesson.
        """
        lesson_id = lesson_id_of(recording_id)
        with self._db.writing() as tx:
            theirs = placement.c.recording_id.in_(list(members))
            tx.execute(update(placement).where(theirs).values(joined_into=recording_id))
            if tx.execute(select(recording.c.id).where(recording.c.id == recording_id)).one_or_none() is not None:
                return lesson_id
            rows = {
                row.recording_id: row
                for row in tx.execute(
                    select(lesson, recording.c.key, placement.c.room.label("shared"))
                    .join(recording, recording.c.lesson_id == lesson.c.id)
                    .join(placement, placement.c.recording_id == recording.c.id)
                    .where(theirs)
                )
            }
            first = rows[members[0]]
            said = {row.consent for row in rows.values()}
            copied = ("subject", "grade", "teacher", "programme", "language", "school", "started_at")
            values: dict[str, Any] = {name: getattr(first, name) for name in copied}
            values |= {
                "id": lesson_id,
                "recording_id": recording_id,
                "title": re.sub(r"(（(第 \d+ 段|重录 \d+)）)+$", "", first.title),
                "room": first.shared,
                "consent": True if said == {True} else False if False in said else None,
                "part": 1,
                "duration_ms": 0,
            }
            values["take"] = _free_take(tx, {**values, "part": 1}, first.started_at)
            tx.execute(lesson.insert().values(values))
            stem = first.key.rpartition(".")[0]
            tx.execute(
                recording.insert().values(
                    id=recording_id,
                    lesson_id=lesson_id,
                    key=f"{stem}.mkv",
                    source_key=source_key(recording_id, "mkv"),
                    size_bytes=size_bytes,
                    received_at=now(),
                    part=1,
                    take=values["take"],
                )
            )
            whole = Placement(recording_id, Place.ASSIGNED, first.shared, starts_at=first.started_at)
            _keep(self._db, tx, whole)
        return lesson_id

    def supersede(self, lesson_ids: Sequence[str], by: str | None) -> None:
        """Another lesson is shown instead of these; None takes it back. Orders their indexing."""
        with self._db.writing() as tx:
            tx.execute(update(lesson).where(lesson.c.id.in_(list(lesson_ids))).values(superseded_by=by))
            order_index(self._db, tx, list(lesson_ids))


def _keep(database: Database, tx: Connection, found: Placement) -> None:
    row = {
        "recording_id": found.recording_id,
        "state": found.state.value,
        "room": found.room,
        "view": found.view,
        "parts": found.parts,
        "told_starts_at": found.told_starts_at,
        "starts_at": found.starts_at,
        "ends_at": found.ends_at,
        "slot_at": found.slot_at,
        "reason_zh": found.reason_zh or None,
        "joined_into": found.joined_into,
        "placed_at": now(),
    }
    again = {name: value for name, value in row.items() if name != "recording_id"}
    tx.execute(
        database.insert(placement).values(row).on_conflict_do_update(index_elements=["recording_id"], set_=again)
    )


def _changes(tx: Connection, row: Row[Any], found: Placement, words: Sidecar, *, overwrite: bool) -> dict[str, Any]:
    """What the lesson is to be called, and its true beginning under the first take that is free there."""
    incoming, take = IncomingKey.parse(row.key), row.take
    values: dict[str, Any] = {}
    nameless = row.title.startswith(f"{incoming.room} 教室 20")  # as archive.arrivals names what nobody named
    if found.starts_at is not None and found.starts_at != row.started_at:
        take = _free_take(tx, {name: getattr(row, name) for name in ("school", "room", "part", "id")}, found.starts_at)
        values |= {"started_at": found.starts_at, "take": take}
        if nameless and not words.title:
            words = replace(words, title=f"{incoming.room} 教室 {found.starts_at:%Y-%m-%d %H:%M}")
    told = {name: getattr(words, name) for name in ("subject", "grade", "teacher")}
    values |= {name: value for name, value in told.items() if value and (overwrite or not getattr(row, name))}
    if words.title and (overwrite or nameless):
        values["title"] = titled(incoming, take, words)
    if words.programme.value != row.programme and (overwrite or row.programme == Sidecar().programme.value):
        values["programme"] = words.programme.value
    return values


def _free_take(tx: Connection, row: Mapping[str, Any], starts_at: datetime) -> int:
    there = and_(
        lesson.c.school == row["school"],
        lesson.c.room == row["room"],
        lesson.c.started_at == starts_at,
        lesson.c.part == row["part"],
        lesson.c.id != row["id"],
    )
    return max(tx.execute(select(lesson.c.take).where(there)).scalars(), default=0) + 1


def _placement(row: Row[Any]) -> Placement:
    return Placement(
        recording_id=row.recording_id,
        state=Place(row.state),
        room=row.room,
        view=row.view,
        parts=row.parts,
        told_starts_at=row.told_starts_at,
        starts_at=row.starts_at,
        ends_at=row.ends_at,
        slot_at=row.slot_at,
        reason_zh=row.reason_zh or "",
        joined_into=row.joined_into,
    )
