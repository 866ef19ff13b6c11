"""The desk of teachers' own files: begun in a browser, sent in pieces, handed in, then an object like a recorder's.

A file is handed in once; what became of it is an arrival's matter from then on.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Row, delete, select, update

from archive.database import Database, now
from archive.errors import Absent
from archive.schema import teacher_upload


@dataclass(frozen=True, slots=True)
class TeacherUpload:
    """One file. Its pieces lie in the media bucket below `upload/<id>/`; `digests` are their sha256, once it is handed in.

    `reason_zh` says why it became no object; the teacher may send the pieces again and hand it in anew.
    """

    id: str
    key: str  # what it becomes in the incoming bucket
    size_bytes: int
    piece_bytes: int
    begun_at: datetime
    sidecar: Mapping[str, Any] | None = None
    digests: tuple[str, ...] = ()
    handed_in_at: datetime | None = None
    done_at: datetime | None = None
    reason_zh: str = ""

    @property
    def pieces(self) -> int:
        return -(-self.size_bytes // self.piece_bytes)

    def piece_size(self, number: int) -> int:
        """Bytes of piece `number` (from 1)."""
        return min(self.piece_bytes, self.size_bytes - (number - 1) * self.piece_bytes)


class Uploads:
    def __init__(self, database: Database) -> None:
        self._db = database

    def begin(
        self, upload_id: str, key: str, size_bytes: int, piece_bytes: int, sidecar: Mapping[str, Any] | None
    ) -> TeacherUpload:
        row = {
            "id": upload_id,
            "key": key,
            "size_bytes": size_bytes,
            "piece_bytes": piece_bytes,
            "sidecar": dict(sidecar) if sidecar else None,
            "begun_at": now(),
        }
        with self._db.writing() as tx:
            tx.execute(teacher_upload.insert().values(row))
        return self.get(upload_id)

    def get(self, upload_id: str) -> TeacherUpload:
        """Raises Absent."""
        with self._db.reading() as tx:
            row = tx.execute(select(teacher_upload).where(teacher_upload.c.id == upload_id)).one_or_none()
        if row is None:
            raise Absent(upload_id[:40])
        return _upload(row)

    def hand_in(self, upload_id: str, digests: Sequence[str]) -> None:
        """All pieces are there. Again is no error."""
        values = {"digests": list(digests), "handed_in_at": now(), "reason_zh": None}
        with self._db.writing() as tx:
            open_still = (teacher_upload.c.id == upload_id) & teacher_upload.c.done_at.is_(None)
            tx.execute(update(teacher_upload).where(open_still).values(values))

    def handed_in(self) -> list[TeacherUpload]:
        """What is to be put together, oldest first."""
        waiting = teacher_upload.c.handed_in_at.is_not(None) & teacher_upload.c.done_at.is_(None)
        with self._db.reading() as tx:
            rows = tx.execute(select(teacher_upload).where(waiting).order_by(teacher_upload.c.handed_in_at))
            return [_upload(row) for row in rows]

    def done(self, upload_id: str) -> None:
        self._set(upload_id, done_at=now())

    def hand_back(self, upload_id: str, reason_zh: str) -> None:
        """It could not be put together; the teacher reads why."""
        self._set(upload_id, handed_in_at=None, digests=None, reason_zh=reason_zh)

    def _set(self, upload_id: str, **values: Any) -> None:
        with self._db.writing() as tx:
            tx.execute(update(teacher_upload).where(teacher_upload.c.id == upload_id).values(values))

    def open_ids(self, *, since: datetime) -> set[str]:
        """Those whose pieces are still wanted: not done, and begun or handed in after `since` (naive UTC)."""
        fresh = (teacher_upload.c.begun_at >= since) | teacher_upload.c.handed_in_at.is_not(None)
        wanted = teacher_upload.c.done_at.is_(None) & fresh
        with self._db.reading() as tx:
            return set(tx.execute(select(teacher_upload.c.id).where(wanted)).scalars())

    def forget_before(self, instant: datetime) -> None:
        """Rows of files that were given up, or done with a month ago (naive UTC)."""
        given_up = teacher_upload.c.handed_in_at.is_(None) & (teacher_upload.c.begun_at < instant)
        old = teacher_upload.c.done_at < instant - timedelta(days=30)
        with self._db.writing() as tx:
            tx.execute(delete(teacher_upload).where(given_up | old))


def _upload(row: Row[Any]) -> TeacherUpload:
    return TeacherUpload(
        id=row.id,
        key=row.key,
        size_bytes=row.size_bytes,
        piece_bytes=row.piece_bytes,
        begun_at=row.begun_at.replace(tzinfo=UTC),
        sidecar=row.sidecar,
        digests=tuple(row.digests or ()),
        handed_in_at=row.handed_in_at.replace(tzinfo=UTC) if row.handed_in_at else None,
        done_at=row.done_at.replace(tzinfo=UTC) if row.done_at else None,
        reason_zh=row.reason_zh or "",
    )
