"""The timetables' desk: what is taught where and when, and how far each room's clock is off.

Nothing is overwritten: an import counts until a newer one covers the same room and day, and taking it back is a mark.
"""

from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import UTC, date
from typing import Any

from sqlalchemy import Row, and_, select, update

from archive.database import Database, now
from archive.errors import Absent
from archive.model import Programme, Slot, TimetableImport
from archive.schema import room_clock, slot, timetable

_SLOT_FIELDS = tuple(Slot.__dataclass_fields__)


class Timetables:
    def __init__(self, database: Database) -> None:
        self._db = database

    def keep(
        self, school: str, file: str, slots: Sequence[Slot], *, first_day: date, last_day: date, is_addition: bool
    ) -> TimetableImport:
        """One transaction, whole. `slots` lie within the two days; there is at least one."""
        rooms = sorted({each.room for each in slots})
        head = {
            "school": school,
            "file": file[:200],
            "rooms": rooms,
            "first_day": first_day,
            "last_day": last_day,
            "is_addition": is_addition,
            "made_at": now(),
        }
        with self._db.writing() as tx:
            timetable_id = tx.execute(timetable.insert().values(head).returning(timetable.c.id)).scalar_one()
            rows = [
                {**{name: value for name, value in asdict(each).items() if name != "id"}, "timetable_id": timetable_id}
                for each in slots
            ]
            tx.execute(slot.insert(), rows)
            return _import(tx.execute(select(timetable).where(timetable.c.id == timetable_id)).one())

    def imports(self, school: str = "") -> list[TimetableImport]:
        """Newest first, also those that were taken back."""
        wanted = select(timetable).order_by(timetable.c.id.desc())
        if school:
            wanted = wanted.where(timetable.c.school == school)
        with self._db.reading() as tx:
            return [_import(row) for row in tx.execute(wanted)]

    def undo(self, school: str) -> TimetableImport:
        """Takes the newest import back, so that what it covered counts again. Raises Absent where there is none."""
        standing = and_(timetable.c.school == school, timetable.c.undone_at.is_(None))
        with self._db.writing() as tx:
            row = tx.execute(select(timetable).where(standing).order_by(timetable.c.id.desc()).limit(1)).one_or_none()
            if row is None:
                raise Absent(f"{school} 的课表")
            tx.execute(update(timetable).where(timetable.c.id == row.id).values(undone_at=now()))
            return replace(_import(row), undone_at=now())

    def on(self, school: str, room: str, day: date) -> list[Slot]:
        """What is taught in a room on a day, by the newest import that covers both, and the additions since; in the order
        of the day."""
        covering = and_(
            timetable.c.school == school,
            timetable.c.undone_at.is_(None),
            timetable.c.first_day <= day,
            timetable.c.last_day >= day,
        )
        with self._db.reading() as tx:
            known = [_import(row) for row in tx.execute(select(timetable).where(covering))]
            mine = [each for each in known if room in each.rooms]
            base = max((each.id for each in mine if not each.is_addition), default=0)
            counting = [each.id for each in mine if each.id == base or (each.is_addition and each.id > base)]
            theirs = and_(slot.c.timetable_id.in_(counting), slot.c.room == room, slot.c.weekday == day.weekday())
            found = [
                _slot(row) for row in tx.execute(select(slot).where(theirs).order_by(slot.c.starts_min, slot.c.id))
            ]
        return [each for each in found if each.is_on(day)]

    def covers(self, school: str, room: str) -> bool:
        """Whether any timetable that stands speaks of this room: then a recording that matches nothing is a question."""
        standing = and_(timetable.c.school == school, timetable.c.undone_at.is_(None))
        with self._db.reading() as tx:
            return any(room in row.rooms for row in tx.execute(select(timetable.c.rooms).where(standing)))

    # --- clocks -----------------------------------------------------------------------------------------------------

    def note_clock(self, school: str, room: str, offset_ms: int, source: str) -> None:
        """The room's recorder is `offset_ms` ahead. `source` is "recorder" (it measured) or "operator"."""
        values = {"offset_ms": offset_ms, "source": source, "noted_at": now()}
        with self._db.writing() as tx:
            insert = self._db.insert(room_clock).values(school=school, room=room, **values)
            tx.execute(insert.on_conflict_do_update(index_elements=["school", "room"], set_=values))

    def clock(self, school: str, room: str) -> int:
        """Milliseconds that the room's recorder is ahead; 0 where nobody said."""
        mine = and_(room_clock.c.school == school, room_clock.c.room == room)
        with self._db.reading() as tx:
            return tx.execute(select(room_clock.c.offset_ms).where(mine)).scalar_one_or_none() or 0

    def clocks(self) -> list[tuple[str, str, int, str]]:
        """School, room, milliseconds ahead, who says so."""
        with self._db.reading() as tx:
            rows = tx.execute(select(room_clock).order_by(room_clock.c.school, room_clock.c.room))
            return [(row.school, row.room, row.offset_ms, row.source) for row in rows]


def _import(row: Row[Any]) -> TimetableImport:
    return TimetableImport(
        id=row.id,
        school=row.school,
        file=row.file,
        rooms=tuple(row.rooms),
        first_day=row.first_day,
        last_day=row.last_day,
        is_addition=row.is_addition,
        made_at=row.made_at.replace(tzinfo=UTC),
        undone_at=row.undone_at.replace(tzinfo=UTC) if row.undone_at else None,
    )


def _slot(row: Row[Any]) -> Slot:
    values: dict[str, Any] = {name: getattr(row, name) for name in _SLOT_FIELDS}
    values["programme"] = Programme(row.programme)
    return Slot(**values)
