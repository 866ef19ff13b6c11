"""The desk of recordings that are still being made, and of the receipts that tell a sender what has arrived."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, or_, select, update

from archive.database import Database, now
from archive.schema import lesson, live, receipt, recording


@dataclass(frozen=True, slots=True)
class Live:
    """A recording in the making. `reached_ms` is how much of it is here; `closed_at` None while it grows."""

    recording_id: str
    prefix: str
    opened_at: datetime
    grown_at: datetime
    pieces: int
    size_bytes: int
    reached_ms: int
    survey: dict[str, Any] | None
    closed_at: datetime | None


@dataclass(frozen=True, slots=True)
class Receipt:
    """`sha256` is that of the bytes that are safe with us; empty until they are. `reason_zh` says why they never will be."""

    state: str  # receiving, received, refused
    sha256: str = ""
    reason_zh: str = ""


class Lives:
    def __init__(self, database: Database) -> None:
        self._db = database

    def open(self, recording_id: str, prefix: str) -> None:
        """Pieces are expected below `prefix` from now on. Nothing the second time."""
        row = {
            "recording_id": recording_id,
            "prefix": prefix,
            "opened_at": now(),
            "grown_at": now(),
            "pieces": 0,
            "size_bytes": 0,
            "reached_ms": 0,
        }
        with self._db.writing() as tx:
            tx.execute(self._db.insert(live).values(row).on_conflict_do_nothing())

    def find(self, recording_id: str) -> Live | None:
        return self._one(live.c.recording_id == recording_id)

    def at(self, prefix: str) -> Live | None:
        """The newest whose pieces lie there."""
        return self._one(live.c.prefix == prefix)

    def claim(self, worker: str, stale: timedelta) -> list[Live]:
        """Those that grow and that this worker works on: its own, and one more each time, that no other holds or whose worker
        has been silent. So the idle take more than the busy."""
        open_still = live.c.closed_at.is_(None)
        with self._db.reading() as tx:
            if tx.execute(select(live.c.recording_id).where(open_still).limit(1)).first() is None:
                return []  # most of the day
        at = now()
        free = or_(live.c.worker.is_(None), and_(live.c.worker != worker, live.c.beat_at < at - stale))
        with self._db.writing() as tx:
            one = select(live.c.recording_id).where(open_still, free).order_by(live.c.opened_at).limit(1)
            taken = tx.execute(one).scalar_one_or_none()
            if taken is not None:
                tx.execute(update(live).where(live.c.recording_id == taken, free).values(worker=worker))
            mine = and_(open_still, live.c.worker == worker)
            tx.execute(update(live).where(mine).values(beat_at=at))
            return [_live(row) for row in tx.execute(select(live).where(mine).order_by(live.c.opened_at))]

    def grown(self, recording_id: str, *, pieces: int, size_bytes: int, reached_ms: int) -> None:
        """More of it has come. Its lesson lasts as long as what is here."""
        with self._db.writing() as tx:
            values = {"pieces": pieces, "size_bytes": size_bytes, "reached_ms": reached_ms, "grown_at": now()}
            open_still = and_(live.c.recording_id == recording_id, live.c.closed_at.is_(None))
            if tx.execute(update(live).where(open_still).values(values)).rowcount:
                tx.execute(update(lesson).where(lesson.c.recording_id == recording_id).values(duration_ms=reached_ms))

    def keep_survey(self, recording_id: str, survey: Mapping[str, Any]) -> None:
        with self._db.writing() as tx:
            tx.execute(update(live).where(live.c.recording_id == recording_id).values(survey=dict(survey)))

    def close(self, recording_id: str, size_bytes: int, pieces: int = 0) -> None:
        """All of it is here, and the source is in the store. `pieces` still lie in the incoming bucket."""
        with self._db.writing() as tx:
            mine = live.c.recording_id == recording_id
            tx.execute(update(live).where(mine).values(closed_at=now(), size_bytes=size_bytes, pieces=pieces))
            tx.execute(update(recording).where(recording.c.id == recording_id).values(size_bytes=size_bytes))

    def untidy(self, before: datetime, limit: int = 50) -> list[Live]:
        """Closed before a moment (naive UTC), whole and in the store, with their pieces still lying about."""
        wanted = (
            select(live)
            .join(recording, recording.c.id == live.c.recording_id)
            .where(
                live.c.closed_at < before, live.c.pieces > 0, live.c.size_bytes > 0, recording.c.refused_at.is_(None)
            )
            .limit(limit)
        )
        with self._db.reading() as tx:
            return [_live(row) for row in tx.execute(wanted)]

    def tidied(self, recording_id: str) -> None:
        with self._db.writing() as tx:
            tx.execute(update(live).where(live.c.recording_id == recording_id).values(pieces=0))

    def is_open(self, recording_id: str) -> bool:
        found = self.find(recording_id)
        return found is not None and found.closed_at is None

    def _one(self, condition: ColumnElement[bool]) -> Live | None:
        with self._db.reading() as tx:
            row = tx.execute(select(live).where(condition).order_by(live.c.opened_at.desc()).limit(1)).one_or_none()
        return _live(row) if row else None


class Receipts:
    def __init__(self, database: Database) -> None:
        self._db = database

    def note(self, ticket: str, *, recording_id: str | None = None, sha256: str = "", reason_zh: str = "") -> None:
        """What became of what was sent with a ticket; "" for a sender that gave none. Received stays received."""
        if not ticket:
            return
        values = {
            "recording_id": recording_id,
            "sha256": sha256 or None,
            "reason_zh": reason_zh or None,
            "noted_at": now(),
        }
        with self._db.writing() as tx:
            insert = self._db.insert(receipt).values(ticket=ticket, **values)
            again = insert.on_conflict_do_update(
                index_elements=["ticket"], set_=values, where=receipt.c.sha256.is_(None)
            )
            tx.execute(again)

    def of(self, ticket: str) -> Receipt | None:
        """None for a ticket that never came."""
        with self._db.reading() as tx:
            row = tx.execute(
                select(receipt, recording.c.refused_reason_zh)
                .outerjoin(recording, recording.c.id == receipt.c.recording_id)
                .where(receipt.c.ticket == ticket)
            ).one_or_none()
        if row is None:
            return None
        reason_zh = row.refused_reason_zh or row.reason_zh or ""
        state = "refused" if reason_zh else "received" if row.sha256 else "receiving"
        return Receipt(state, row.sha256 or "", reason_zh)


def _live(row: Row[Any]) -> Live:
    return Live(
        recording_id=row.recording_id,
        prefix=row.prefix,
        opened_at=row.opened_at.replace(tzinfo=UTC),
        grown_at=row.grown_at.replace(tzinfo=UTC),
        pieces=row.pieces,
        size_bytes=row.size_bytes,
        reached_ms=row.reached_ms,
        survey=row.survey,
        closed_at=row.closed_at.replace(tzinfo=UTC) if row.closed_at else None,
    )
