"""The inbox of the store's events: keys at which something may have been put, until a worker has begun to look.

One row a key: however often an event is repeated, there is one thing to do.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, func, select

from archive.database import Database, now
from archive.schema import hint


@dataclass(frozen=True, slots=True)
class Hint:
    key: str
    noted_at: datetime  # naive UTC, of the newest event


class Hints:
    def __init__(self, database: Database) -> None:
        self._db = database

    def note(self, keys: Iterable[str]) -> None:
        """All of them are on the disk when this returns; one transaction, however many."""
        rows = [{"key": key, "noted_at": now()} for key in dict.fromkeys(keys)]
        if not rows:
            return
        insert = self._db.insert(hint)
        newer = insert.on_conflict_do_update(index_elements=["key"], set_={"noted_at": insert.excluded.noted_at})
        with self._db.writing() as tx:
            tx.execute(newer, rows)

    def oldest(self, limit: int) -> list[Hint]:
        with self._db.reading() as tx:
            rows = tx.execute(select(hint).order_by(hint.c.noted_at, hint.c.key).limit(limit))
            return [Hint(row.key, row.noted_at) for row in rows]

    def settle(self, hints: Iterable[Hint]) -> None:
        """Somebody looks at these now. One that was noted again meanwhile stays: there may be something newer."""
        with self._db.writing() as tx:
            for one in hints:
                tx.execute(delete(hint).where(hint.c.key == one.key, hint.c.noted_at == one.noted_at))

    def count(self) -> int:
        with self._db.reading() as tx:
            return int(tx.execute(select(func.count()).select_from(hint)).scalar_one())
