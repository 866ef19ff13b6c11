"""The arrivals' desk: every object a recorder put gets a row, and leaves it as a recording or a refusal, once.

Idempotent throughout: a step that runs twice finds its own work and changes nothing.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Row, and_, select, tuple_, update

from archive.database import Database, now
from archive.errors import Absent
from archive.keys import IncomingKey, shared_room, shown, source_key
from archive.model import Arrival, Place, Refusal, Sidecar, lesson_id_of
from archive.schema import arrival, lesson, placement, recording


@dataclass(frozen=True, slots=True)
class Accepted:
    """What an arrival became. `is_new` is False when this very arrival had been accepted before."""

    recording_id: str
    lesson_id: str
    is_new: bool


class Arrivals:
    def __init__(self, database: Database) -> None:
        self._db = database

    def note(self, key: str, etag: str, size_bytes: int) -> Arrival:
        """Writes the object down if it is new to us, and returns what is known of it."""
        with self._db.writing() as tx:
            row = {"key": key, "etag": etag, "size_bytes": size_bytes, "seen_at": now(), "attempts": 0}
            tx.execute(self._db.insert(arrival).values(row).on_conflict_do_nothing())
            return _arrival(tx.execute(select(arrival).where(_this(key, etag))).one())

    def note_all(self, objects: Iterable[tuple[str, str, int]]) -> None:
        """The same for many (key, etag, bytes), in one transaction."""
        at = now()
        rows = [
            {"key": key, "etag": etag, "size_bytes": size_bytes, "seen_at": at, "attempts": 0}
            for key, etag, size_bytes in objects
        ]
        if rows:
            with self._db.writing() as tx:
                tx.execute(self._db.insert(arrival).on_conflict_do_nothing(), rows)

    def find(self, key: str, etag: str) -> Arrival | None:
        with self._db.reading() as tx:
            row = tx.execute(select(arrival).where(_this(key, etag))).one_or_none()
            return _arrival(row) if row else None

    def among(self, objects: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Arrival]:
        """What is known of these (key, etag) pairs; pairs never seen are absent. For scans: some hundreds at a time."""
        wanted = list(objects)
        if not wanted:
            return {}
        with self._db.reading() as tx:
            rows = tx.execute(select(arrival).where(tuple_(arrival.c.key, arrival.c.etag).in_(wanted)))
            return {(row.key, row.etag): _arrival(row) for row in rows}

    def waiting(self, limit: int = 200) -> list[Arrival]:
        """Arrivals that are neither recording nor refusal yet, oldest first."""
        unsettled = and_(arrival.c.recording_id.is_(None), arrival.c.refused_at.is_(None))
        with self._db.reading() as tx:
            rows = tx.execute(select(arrival).where(unsettled).order_by(arrival.c.seen_at).limit(limit))
            return [_arrival(row) for row in rows]

    def refused(self, limit: int = 200) -> list[Refusal]:
        """Objects that became no lesson, newest first: refused on arrival, or found unusable later."""
        with self._db.reading() as tx:
            early = tx.execute(select(arrival).where(arrival.c.refused_at.is_not(None)))
            late = tx.execute(select(recording).where(recording.c.refused_at.is_not(None)))
            found = [refusal_of(row, row.etag) for row in early] + [refusal_of(row, "") for row in late]
        known = [refusal for refusal in found if refusal is not None]
        return sorted(known, key=lambda refusal: refusal.at, reverse=True)[:limit]

    def attribute(self, key: str, etag: str, recorder_id: str) -> None:
        """It came from this recorder."""
        with self._db.writing() as tx:
            tx.execute(update(arrival).where(_this(key, etag)).values(recorder_id=recorder_id))

    def hashed(self, key: str, etag: str, sha256: str) -> None:
        """Its bytes have been read whole; this is what they hash to. Receipts tell it, of duplicates and refusals too."""
        with self._db.writing() as tx:
            tx.execute(update(arrival).where(_this(key, etag)).values(sha256=sha256))

    def of_key(self, key: str) -> list[Arrival]:
        """Everything that ever lay at `key`, the newest first."""
        with self._db.reading() as tx:
            rows = tx.execute(select(arrival).where(arrival.c.key == key).order_by(arrival.c.seen_at.desc()))
            return [_arrival(row) for row in rows]

    def postpone(self, key: str, etag: str, retry_at: datetime) -> None:
        """Something was unavailable: the arrival stays unsettled and is tried again at `retry_at` (naive UTC)."""
        with self._db.writing() as tx:
            values = {"attempts": arrival.c.attempts + 1, "retry_at": retry_at}
            tx.execute(update(arrival).where(_this(key, etag)).values(values))

    def refuse(self, key: str, etag: str, code: str, reason: str, reason_zh: str) -> None:
        with self._db.writing() as tx:
            _refuse(tx, key, etag, code, reason, reason_zh)

    def reopen(self, key: str) -> list[str]:
        """Forgets why `key` was refused: a limit was raised, a fault of ours mended. Raises Absent if it was not refused.

        Returns the recordings that are to be run again; an object that never became one is found by the next scan.
        """
        nothing = {"refused_at": None, "refused_code": None, "refused_reason": None, "refused_reason_zh": None}
        early = and_(arrival.c.key == key, arrival.c.refused_at.is_not(None))
        late = and_(recording.c.key == key, recording.c.refused_at.is_not(None))
        with self._db.writing() as tx:
            ids = list(tx.execute(select(recording.c.id).where(late)).scalars())
            tx.execute(update(recording).where(late).values(nothing))
            reopened = tx.execute(update(arrival).where(early).values({**nothing, "retry_at": None})).rowcount
        if not ids and not reopened:
            raise Absent(shown(key))
        return ids

    def settle_sidecar(self, key: str, etag: str, recording_id: str) -> None:
        """The sidecar has been read into its recording's lesson."""
        with self._db.writing() as tx:
            tx.execute(update(arrival).where(_this(key, etag)).values(recording_id=recording_id))

    def accept(
        self, key: str, etag: str, recording_id: str, size_bytes: int, sidecar: Sidecar, *, as_key: str = ""
    ) -> Accepted | Refusal:
        """Makes the arrival a recording with a lesson of its own, in one transaction; a known content is refused. `as_key` is
        what the recording is called where that is not the object's key.

        The arrival must have been noted. Another take of the same school, room, time and part becomes a lesson of its
        own, so that nothing published is ever replaced by a later upload.
        """
        incoming = IncomingKey.parse(as_key or key)
        lesson_id = lesson_id_of(recording_id)
        with self._db.writing() as tx:
            known = tx.execute(select(recording).where(recording.c.id == recording_id)).one_or_none()
            mine = tx.execute(select(arrival.c.recording_id).where(_this(key, etag))).scalar_one()
            if mine == recording_id:
                return Accepted(recording_id, lesson_id, is_new=False)
            if known is not None:
                zh = f"内容与已有录像 {known.key} 完全相同，未重复入库。"
                return _refuse(tx, key, etag, "duplicate", f"same bytes as {known.key}", zh)
            take = _next_take(tx, incoming)
            tx.execute(lesson.insert().values(_lesson_row(lesson_id, recording_id, incoming, take, sidecar)))
            tx.execute(
                recording.insert().values(
                    id=recording_id,
                    lesson_id=lesson_id,
                    key=as_key or key,
                    source_key=source_key(recording_id, incoming.extension),
                    size_bytes=size_bytes,
                    received_at=now(),
                    part=incoming.part,
                    take=take,
                )
            )
            note_new(tx, recording_id, incoming.room, sidecar)
            tx.execute(update(arrival).where(_this(key, etag)).values(recording_id=recording_id))
            return Accepted(recording_id, lesson_id, is_new=True)


def _this(key: str, etag: str) -> Any:
    return and_(arrival.c.key == key, arrival.c.etag == etag)


def _refuse(tx: Connection, key: str, etag: str, code: str, reason: str, reason_zh: str) -> Refusal:
    at = now()
    values = {"refused_at": at, "refused_code": code, "refused_reason": reason, "refused_reason_zh": reason_zh}
    # Once accepted or refused, an arrival stays so: a repeated step must not turn one into the other.
    open_still = and_(arrival.c.recording_id.is_(None), arrival.c.refused_at.is_(None))
    tx.execute(update(arrival).where(_this(key, etag), open_still).values(values))
    return Refusal(key, etag, code, reason, reason_zh, at.replace(tzinfo=UTC))


def _next_take(tx: Connection, incoming: IncomingKey) -> int:
    same = and_(
        lesson.c.school == incoming.school,
        lesson.c.room == incoming.room,
        lesson.c.started_at == incoming.started_at,
        lesson.c.part == incoming.part,
    )
    takes = tx.execute(select(lesson.c.take).where(same)).scalars().all()
    return max(takes, default=0) + 1


def titled(incoming: IncomingKey, take: int, sidecar: Sidecar) -> str:
    """What the lesson is called: the school's words, or the room and the hour; parts and takes say so."""
    plain = sidecar.title or f"{incoming.room} 教室 {incoming.started_at:%Y-%m-%d %H:%M}"
    part = f"（第 {incoming.part} 段）" if incoming.part > 1 else ""
    again = f"（重录 {take}）" if take > 1 else ""
    return (plain + part + again)[:200]


def _lesson_row(
    lesson_id: str, recording_id: str, incoming: IncomingKey, take: int, sidecar: Sidecar
) -> dict[str, Any]:
    return {
        "id": lesson_id,
        "title": titled(incoming, take, sidecar),
        "subject": sidecar.subject,
        "grade": sidecar.grade,
        "teacher": sidecar.teacher,
        "programme": sidecar.programme.value,
        "language": sidecar.language,
        "school": incoming.school,
        "room": incoming.room,
        "started_at": incoming.started_at,
        "consent": sidecar.consent,
        "recording_id": recording_id,
        "part": incoming.part,
        "take": take,
        "duration_ms": 0,
    }


def note_new(tx: Connection, recording_id: str, room: str, said: Sidecar) -> None:
    """Where it belongs is found out once its length is known: archive.placements."""
    shared, view = shared_room(room)
    row = {
        "recording_id": recording_id,
        "state": Place.NEW.value,
        "room": shared,
        "view": said.view or view,
        "parts": said.parts,
        "told_starts_at": said.starts_at,
    }
    tx.execute(placement.insert().values(row))


def refusal_of(row: Row[Any], etag: str) -> Refusal | None:
    if row.refused_at is None:
        return None
    at = row.refused_at.replace(tzinfo=UTC)
    return Refusal(row.key, etag, row.refused_code, row.refused_reason, row.refused_reason_zh, at)


def _arrival(row: Row[Any]) -> Arrival:
    return Arrival(
        key=row.key,
        etag=row.etag,
        size_bytes=row.size_bytes,
        seen_at=row.seen_at.replace(tzinfo=UTC),
        attempts=row.attempts,
        retry_at=row.retry_at.replace(tzinfo=UTC) if row.retry_at else None,
        recording_id=row.recording_id,
        refusal=refusal_of(row, row.etag),
        recorder_id=row.recorder_id,
        sha256=row.sha256,
    )
