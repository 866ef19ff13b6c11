"""The recorders' desk: schools, rooms, the machines in them, and how each of them is doing.

The catalog keeps no secret of a recorder. Of its secret key and of its gateway password there are digests only; both are
long and random, so that a plain SHA-256 gives nothing away.
"""

import hashlib
import hmac
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

from sqlalchemy import Row, and_, case, func, select, update

from archive.database import Database, now
from archive.errors import Absent
from archive.keys import MEDIA_EXTENSIONS
from archive.model import Refusal
from archive.schema import arrival, recorder, room, school

# What rooms' clocks show, and when a quota's day begins. One zone for the whole country, without summer time.
ROOM_ZONE = timezone(timedelta(hours=8))

_TOKEN_PURPOSE = b"huikan recorder token v1"


@dataclass(frozen=True, slots=True)
class Quota:
    """What a recorder may send in a day of ROOM_ZONE; None leaves it to the settings, there it is no limit."""

    daily_bytes: int | None = None
    daily_recordings: int | None = None


NO_QUOTA = Quota()


@dataclass(frozen=True, slots=True)
class Recorder:
    """One machine. `revoked_at` is None while its key works; `suspended_at` is set while it is over its quota.

    `clock_skew_ms` is how far its clock is ahead of ours (negative: behind), None until it was seen.
    """

    id: str
    school: str  # slug
    room: str  # slug
    label: str
    access_key: str
    issued_at: datetime
    revoked_at: datetime | None = None
    suspended_at: datetime | None = None
    quota: Quota = NO_QUOTA
    clock_skew_ms: int | None = None
    clock_seen_at: datetime | None = None
    has_gateway: bool = False
    school_name: str = ""
    room_name: str = ""

    @property
    def prefix(self) -> str:
        """Where it may write in the incoming bucket."""
        return f"{self.school}/{self.room}/"

    @property
    def is_active(self) -> bool:
        return self.revoked_at is None

    @property
    def place(self) -> str:
        """School and room as people say them."""
        return f"{self.school_name or self.school} {self.room_name or self.room}"


@dataclass(frozen=True, slots=True)
class Usage:
    """What a recorder sent in a day: recordings, and the bytes of everything."""

    bytes: int = 0
    recordings: int = 0

    def exceeds(self, quota: Quota) -> bool:
        over_bytes = quota.daily_bytes is not None and self.bytes > quota.daily_bytes
        return over_bytes or (quota.daily_recordings is not None and self.recordings > quota.daily_recordings)


@dataclass(frozen=True, slots=True)
class Standing:
    """How a recorder is doing. `last_seen_at` is None until its first object; `failures` counts refusals of 30 days."""

    recorder: Recorder
    last_seen_at: datetime | None
    today: Usage
    total: Usage
    failures: int
    last_failure: Refusal | None = None


def token_of(access_key: str, secret_key: str) -> str:
    """What a recorder shows our API as a bearer: made from its key, so that nothing more need be typed into it.

    The secret does not follow from it, and it opens nothing at the store.
    """
    return f"{access_key}.{hmac.digest(secret_key.encode(), _TOKEN_PURPOSE, 'sha256').hex()}"


def digest_of(secret: str) -> str:
    return hashlib.sha256(secret.encode(errors="surrogatepass")).hexdigest()


def day_of(instant: datetime) -> date:
    """The quota's day in which an instant (naive UTC) lies."""
    return instant.replace(tzinfo=UTC).astimezone(ROOM_ZONE).date()


def start_of(day: date) -> datetime:
    """When that day begins, in naive UTC."""
    return datetime(day.year, day.month, day.day, tzinfo=ROOM_ZONE).astimezone(UTC).replace(tzinfo=None)


class Recorders:
    def __init__(self, database: Database) -> None:
        self._db = database

    # --- places -----------------------------------------------------------------------------------------------------

    def name_place(self, school_code: str, room_code: str, school_name: str = "", room_name: str = "") -> None:
        """Writes down that the place exists; a name that is given replaces the one that is known."""
        with self._db.writing() as tx:
            for table, keys, name in (
                (school, {"code": school_code}, school_name),
                (room, {"school": school_code, "code": room_code}, room_name),
            ):
                insert = self._db.insert(table).values(**keys, name=name)
                if name:
                    tx.execute(insert.on_conflict_do_update(index_elements=list(keys), set_={"name": name}))
                else:
                    tx.execute(insert.on_conflict_do_nothing())

    # --- machines ---------------------------------------------------------------------------------------------------

    def enrol(
        self,
        recorder_id: str,
        school_code: str,
        room_code: str,
        access_key: str,
        token: str,
        *,
        label: str = "",
        quota: Quota = NO_QUOTA,
        issued_at: datetime | None = None,
        revoked_at: datetime | None = None,
    ) -> Recorder:
        """Writes a machine down, with its place. A key that is known already keeps its row."""
        self.name_place(school_code, room_code)
        row = {
            "id": recorder_id,
            "school": school_code,
            "room": room_code,
            "label": label,
            "access_key": access_key,
            "token_digest": digest_of(token),
            "issued_at": issued_at or now(),
            "revoked_at": revoked_at,
            "daily_bytes": quota.daily_bytes,
            "daily_recordings": quota.daily_recordings,
        }
        with self._db.writing() as tx:
            tx.execute(self._db.insert(recorder).values(row).on_conflict_do_nothing())
        return self.get(access_key)

    def get(self, name: str) -> Recorder:
        """By its id or its access key. Raises Absent."""
        with self._db.reading() as tx:
            row = tx.execute(_known().where((recorder.c.id == name) | (recorder.c.access_key == name))).one_or_none()
        if row is None:
            raise Absent(name[:80])
        return _recorder(row)

    def every(self) -> list[Recorder]:
        """All that were ever enrolled, by place, then oldest first."""
        with self._db.reading() as tx:
            rows = tx.execute(_known().order_by(recorder.c.school, recorder.c.room, recorder.c.issued_at))
            return [_recorder(row) for row in rows]

    def of_place(self, school_code: str, room_code: str) -> list[Recorder]:
        """The machines of a room, those that work first, the newest first among them."""
        here = and_(recorder.c.school == school_code, recorder.c.room == room_code)
        with self._db.reading() as tx:
            rows = tx.execute(_known().where(here).order_by(recorder.c.issued_at.desc()))
            found = [_recorder(row) for row in rows]
        return sorted(found, key=lambda each: not each.is_active)

    def by_token(self, token: str) -> Recorder | None:
        """Who shows this token; None for a wrong one and for a revoked machine's."""
        access_key = token.partition(".")[0]
        return self._proven(recorder.c.access_key == access_key[:40], recorder.c.token_digest, token)

    def by_gateway_password(self, recorder_id: str, password: str) -> Recorder | None:
        """Who may use a gateway with this password; None for a wrong one, a revoked machine's, and one that has none."""
        return self._proven(recorder.c.id == recorder_id[:20], recorder.c.gateway_digest, password)

    def _proven(self, which: Any, column: Any, shown: str) -> Recorder | None:
        with self._db.reading() as tx:
            row = tx.execute(_known().add_columns(column.label("proof")).where(which)).one_or_none()
        # Compared in any case: how long it takes does not tell whether there is such a machine.
        proof = (row.proof if row else None) or digest_of("")
        genuine = hmac.compare_digest(proof, digest_of(shown)) and bool(shown)
        return _recorder(row) if row and genuine and row.revoked_at is None and row.proof else None

    def set_gateway_password(self, recorder_id: str, password: str | None) -> None:
        """None takes it away: the gateways refuse this machine from its next login on."""
        self._set(recorder_id, gateway_digest=digest_of(password) if password else None)

    def set_quota(self, recorder_id: str, quota: Quota) -> None:
        self._set(recorder_id, daily_bytes=quota.daily_bytes, daily_recordings=quota.daily_recordings)

    def set_label(self, recorder_id: str, label: str) -> None:
        self._set(recorder_id, label=label)

    def rekey(self, recorder_id: str, access_key: str, token: str) -> None:
        """The machine has another key from now on, and is no longer revoked or suspended."""
        fresh = {"access_key": access_key, "token_digest": digest_of(token), "issued_at": now()}
        self._set(recorder_id, **fresh, revoked_at=None, suspended_at=None)

    def revoke(self, recorder_id: str) -> None:
        self._set(recorder_id, revoked_at=now(), gateway_digest=None)

    def suspend(self, recorder_id: str, since: datetime | None) -> None:
        self._set(recorder_id, suspended_at=since)

    def note_clock(self, recorder_id: str, skew_ms: int, seen_at: datetime) -> None:
        """How far its clock was ahead at `seen_at` (naive UTC)."""
        self._set(recorder_id, clock_skew_ms=skew_ms, clock_seen_at=seen_at)

    def _set(self, recorder_id: str, **values: Any) -> None:
        with self._db.writing() as tx:
            if not tx.execute(update(recorder).where(recorder.c.id == recorder_id).values(values)).rowcount:
                raise Absent(recorder_id[:80])

    # --- what they sent ---------------------------------------------------------------------------------------------

    def usage(self, recorder_id: str, day: date) -> Usage:
        """What arrived from it on that day, whatever became of it."""
        return self._usage([recorder_id], start_of(day), start_of(day + timedelta(days=1))).get(recorder_id, Usage())

    def used_on(self, day: date) -> dict[str, Usage]:
        """The same for all machines that sent anything."""
        return self._usage(None, start_of(day), start_of(day + timedelta(days=1)))

    def _usage(self, ids: list[str] | None, since: datetime, until: datetime) -> dict[str, Usage]:
        within = and_(arrival.c.seen_at >= since, arrival.c.seen_at < until, arrival.c.recorder_id.is_not(None))
        chosen = within if ids is None else and_(within, arrival.c.recorder_id.in_(ids))
        with self._db.reading() as tx:
            rows = tx.execute(
                select(arrival.c.recorder_id, func.sum(arrival.c.size_bytes), func.sum(_is_media()))
                .where(chosen)
                .group_by(arrival.c.recorder_id)
            )
            return {who: Usage(int(size or 0), int(count or 0)) for who, size, count in rows}

    def standings(self) -> list[Standing]:
        """Every machine, as the operators' page shows it."""
        machines = self.every()
        today = self.used_on(day_of(now()))
        ever = self._usage(None, datetime(1970, 1, 1), datetime(9999, 1, 1))  # noqa: DTZ001 — naive UTC, as stored
        recent = and_(arrival.c.refused_at.is_not(None), arrival.c.refused_at >= now() - timedelta(days=30))
        with self._db.reading() as tx:
            newest = select(arrival.c.recorder_id, func.max(arrival.c.seen_at)).group_by(arrival.c.recorder_id)
            seen: dict[str, datetime] = {who: at for who, at in tx.execute(newest) if who is not None}
            failed = {
                who: (int(count), at)
                for who, count, at in tx.execute(
                    select(arrival.c.recorder_id, func.count(), func.max(arrival.c.refused_at))
                    .where(recent)
                    .group_by(arrival.c.recorder_id)
                )
            }
            last = {
                row.recorder_id: Refusal(
                    row.key,
                    row.etag,
                    row.refused_code,
                    row.refused_reason,
                    row.refused_reason_zh,
                    _aware(row.refused_at),
                )
                for row in tx.execute(select(arrival).where(recent).order_by(arrival.c.refused_at))
                if row.recorder_id in failed
            }
        return [
            Standing(
                recorder=machine,
                last_seen_at=_aware(seen[machine.id]) if machine.id in seen else None,
                today=today.get(machine.id, Usage()),
                total=ever.get(machine.id, Usage()),
                failures=failed.get(machine.id, (0, None))[0],
                last_failure=last.get(machine.id),
            )
            for machine in machines
        ]


def _known() -> Any:
    names = (school.c.name.label("school_name"), room.c.name.label("room_name"))
    joined = recorder.outerjoin(school, school.c.code == recorder.c.school).outerjoin(
        room, and_(room.c.school == recorder.c.school, room.c.code == recorder.c.room)
    )
    return select(recorder, *names).select_from(joined)


def _is_media() -> Any:
    """1 for a recording, 0 for what lies beside one."""
    named = [arrival.c.key.like(f"%.{extension}") for extension in sorted(MEDIA_EXTENSIONS)]
    return case(*((name, 1) for name in named), else_=0)


def _aware(instant: datetime) -> datetime:
    return instant.replace(tzinfo=UTC)


def _recorder(row: Row[Any]) -> Recorder:
    return Recorder(
        id=row.id,
        school=row.school,
        room=row.room,
        label=row.label,
        access_key=row.access_key,
        issued_at=_aware(row.issued_at),
        revoked_at=_aware(row.revoked_at) if row.revoked_at else None,
        suspended_at=_aware(row.suspended_at) if row.suspended_at else None,
        quota=Quota(row.daily_bytes, row.daily_recordings),
        clock_skew_ms=row.clock_skew_ms,
        clock_seen_at=_aware(row.clock_seen_at) if row.clock_seen_at else None,
        has_gateway=row.gateway_digest is not None,
        school_name=row.school_name or "",
        room_name=row.room_name or "",
    )
