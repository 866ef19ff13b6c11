"""The index's desk: which lessons are to be indexed anew, and which index is searched.

An order is written in the transaction that changes what is known of a lesson, so that it is neither lost nor early; whoever
carries it out settles it. So the search engine may be down without anybody waiting for it.

Indexes have names. Of the edition that this release writes, the one that went live last is searched; one that never did is
in the making. Before any went live, the edition's own name (`e3`) is searched.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, delete, func, select, update

from archive.database import Database, now
from archive.schema import index_edition, index_order, lesson


@dataclass(frozen=True, slots=True)
class Order:
    """A lesson whose passages are to be made anew. `ordered_at` tells an order from a later one for the same lesson."""

    lesson_id: str
    ordered_at: datetime
    attempts: int


@dataclass(frozen=True, slots=True)
class Build:
    """An index in the making. All lessons up to and with `cursor`, in the order of their ids, are in it."""

    name: str
    begun_at: datetime
    cursor: str
    done: int


def order_index(database: Database, tx: Connection, lesson_ids: Iterable[str]) -> None:
    """Within somebody's transaction: these lessons are to be indexed anew, now."""
    at = now()
    fresh = {"ordered_at": at, "attempts": 0, "retry_at": at, "reason_zh": None}
    rows = [{"lesson_id": lesson_id, **fresh} for lesson_id in lesson_ids]
    if rows:
        insert = database.insert(index_order)
        tx.execute(insert.on_conflict_do_update(index_elements=["lesson_id"], set_=fresh), rows)


def order_index_of(database: Database, tx: Connection, recording_id: str) -> None:
    """The same for the lesson that is played from a recording."""
    found = tx.execute(select(lesson.c.id).where(lesson.c.recording_id == recording_id)).scalars()
    order_index(database, tx, list(found))


class Indexing:
    def __init__(self, database: Database) -> None:
        self._db = database

    # --- orders -----------------------------------------------------------------------------------------------------

    def order(self, lesson_ids: Iterable[str]) -> None:
        with self._db.writing() as tx:
            order_index(self._db, tx, lesson_ids)

    def due(self, limit: int = 100) -> list[Order]:
        """Orders whose time has come, oldest first."""
        wanted = select(index_order).where(index_order.c.retry_at <= now())
        with self._db.reading() as tx:
            return [_order(row) for row in tx.execute(wanted.order_by(index_order.c.ordered_at).limit(limit))]

    def orders(self) -> list[Order]:
        """All of them, due or not."""
        with self._db.reading() as tx:
            return [_order(row) for row in tx.execute(select(index_order).order_by(index_order.c.ordered_at))]

    def of(self, lesson_id: str) -> Order | None:
        with self._db.reading() as tx:
            row = tx.execute(select(index_order).where(index_order.c.lesson_id == lesson_id)).one_or_none()
        return _order(row) if row else None

    def settle(self, order: Order) -> None:
        """It has been carried out. Whoever ordered the same lesson meanwhile still waits."""
        this = (index_order.c.lesson_id == order.lesson_id) & (index_order.c.ordered_at == order.ordered_at)
        with self._db.writing() as tx:
            tx.execute(delete(index_order).where(this))

    def postpone(self, order: Order, reason_zh: str, *, retry_after_s: float) -> None:
        values = {"attempts": order.attempts + 1, "retry_at": now() + timedelta(seconds=retry_after_s)}
        mine = index_order.c.lesson_id == order.lesson_id
        with self._db.writing() as tx:
            tx.execute(update(index_order).where(mine).values(**values, reason_zh=reason_zh))

    def retry_now(self) -> None:
        """The cause is gone: every order is due."""
        with self._db.writing() as tx:
            tx.execute(update(index_order).values(retry_at=now()))

    def note_indexed(self, lesson_ids: Iterable[str]) -> None:
        """Their passages were made anew at this moment."""
        with self._db.writing() as tx:
            tx.execute(update(lesson).where(lesson.c.id.in_(list(lesson_ids))).values(indexed_at=now()))

    # --- editions ---------------------------------------------------------------------------------------------------

    def live(self, edition: int) -> str | None:
        """The index that is searched; None while none of this edition was ever swapped in."""
        went_live = select(index_edition.c.name).where(_of(edition), index_edition.c.live_at.is_not(None))
        with self._db.reading() as tx:
            return tx.execute(went_live.order_by(index_edition.c.live_at.desc()).limit(1)).scalar()

    def building(self, edition: int) -> Build | None:
        with self._db.reading() as tx:
            row = tx.execute(_in_the_making(edition)).one_or_none()
        return Build(row.name, row.begun_at, row.cursor, row.done) if row else None

    def begin(self, edition: int) -> Build:
        """Starts an index beside the one that is searched, or finds the one that was started before."""
        with self._db.writing() as tx:
            row = tx.execute(_in_the_making(edition)).one_or_none()
            if row is None:
                count = tx.execute(select(func.count()).where(_of(edition))).scalar_one()
                values = {"name": f"e{edition}b{count + 1}", "edition": edition, "begun_at": now()}
                tx.execute(index_edition.insert().values(**values, cursor="", done=0))
                row = tx.execute(_in_the_making(edition)).one()
        return Build(row.name, row.begun_at, row.cursor, row.done)

    def advance(self, name: str, cursor: str, done: int) -> None:
        with self._db.writing() as tx:
            mine = index_edition.c.name == name
            tx.execute(update(index_edition).where(mine).values(cursor=cursor, done=done))

    def swap(self, name: str) -> None:
        """From this moment on, `name` is searched."""
        with self._db.writing() as tx:
            tx.execute(update(index_edition).where(index_edition.c.name == name).values(live_at=now()))

    # --- lessons, as an indexer walks over them ---------------------------------------------------------------------

    def lessons_after(self, cursor: str, limit: int) -> list[str]:
        """Ids of lessons in their order, from the first one after `cursor` on."""
        wanted = select(lesson.c.id).where(lesson.c.id > cursor, _is_indexed()).order_by(lesson.c.id).limit(limit)
        with self._db.reading() as tx:
            return list(tx.execute(wanted).scalars())

    def indexed_since(self, moment: datetime) -> list[str]:
        """Lessons whose passages were made anew at or after a moment (naive UTC)."""
        wanted = select(lesson.c.id).where(lesson.c.indexed_at >= moment).order_by(lesson.c.id)
        with self._db.reading() as tx:
            return list(tx.execute(wanted).scalars())

    def count(self) -> int:
        """How many lessons the index should have."""
        with self._db.reading() as tx:
            return tx.execute(select(func.count()).select_from(lesson).where(_is_indexed())).scalar_one()


def _is_indexed() -> ColumnElement[bool]:
    return lesson.c.indexed_at.is_not(None)


def _of(edition: int) -> ColumnElement[bool]:
    return index_edition.c.edition == edition


def _in_the_making(edition: int) -> Select[Any]:
    return select(index_edition).where(_of(edition), index_edition.c.live_at.is_(None)).limit(1)


def _order(row: Row[Any]) -> Order:
    return Order(row.lesson_id, row.ordered_at, row.attempts)
