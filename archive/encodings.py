"""The encodings' desk: a ladder in the making, task by task, and what came of it besides renditions.

Surveys and task results are kept as the JSON that transcode gave: this desk does not look into them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import Table, and_, delete, select, update

from archive.database import Database, now
from archive.model import Board, Damage, Span, Still
from archive.schema import board, encoded, encoding, lesson, recording


class Encodings:
    def __init__(self, database: Database) -> None:
        self._db = database

    def keep_survey(self, recording_id: str, edition: int, survey: Mapping[str, Any]) -> None:
        """What was found out before the recording was cut. The ladder is in the making from now on."""
        row = {"recording_id": recording_id, "edition": edition, "survey": dict(survey), "whole_at": None}
        with self._db.writing() as tx:
            insert = self._db.insert(encoding).values(row)
            again = {"survey": row["survey"], "whole_at": None}
            tx.execute(insert.on_conflict_do_update(index_elements=["recording_id", "edition"], set_=again))

    def survey(self, recording_id: str, edition: int) -> dict[str, Any] | None:
        with self._db.reading() as tx:
            wanted = select(encoding.c.survey).where(_mine(encoding, recording_id, edition))
            return tx.execute(wanted).scalar_one_or_none()

    def is_whole(self, recording_id: str, edition: int) -> bool:
        with self._db.reading() as tx:
            wanted = select(encoding.c.whole_at).where(_mine(encoding, recording_id, edition))
            return tx.execute(wanted).scalar_one_or_none() is not None

    def keep_made(self, recording_id: str, edition: int, task: str, made: Mapping[str, Any]) -> None:
        """The task's objects are whole in the store. Keeping it twice keeps the later one."""
        row = {"recording_id": recording_id, "edition": edition, "task": task, "made": dict(made)}
        with self._db.writing() as tx:
            insert = self._db.insert(encoded).values(row)
            again = {"made": row["made"]}
            tx.execute(insert.on_conflict_do_update(index_elements=["recording_id", "edition", "task"], set_=again))

    def made(self, recording_id: str, edition: int) -> dict[str, dict[str, Any]]:
        """The tasks that are done, by name."""
        with self._db.reading() as tx:
            rows = tx.execute(select(encoded).where(_mine(encoded, recording_id, edition)))
            return {row.task: row.made for row in rows}

    def forget(self, recording_id: str, edition: int, tasks: Sequence[str] | None = None) -> None:
        """These tasks are to be done anew; None is all of them, and the survey too."""
        with self._db.writing() as tx:
            mine = _mine(encoded, recording_id, edition)
            tx.execute(delete(encoded).where(mine if tasks is None else and_(mine, encoded.c.task.in_(tasks))))
            if tasks is None:
                tx.execute(delete(encoding).where(_mine(encoding, recording_id, edition)))

    def keep_board(self, recording_id: str, edition: int, made: Board) -> None:
        stills = [{**asdict(still), "span": [still.span.start_ms, still.span.end_ms]} for still in made.stills]
        row = {"stills": stills, "storyboard": list(made.storyboard), "size_bytes": made.size_bytes}
        with self._db.writing() as tx:
            tx.execute(delete(board).where(_mine(board, recording_id, edition)))
            tx.execute(board.insert().values(recording_id=recording_id, edition=edition, **row))

    def board(self, recording_id: str, edition: int) -> Board | None:
        with self._db.reading() as tx:
            row = tx.execute(select(board).where(_mine(board, recording_id, edition))).one_or_none()
        if row is None:
            return None
        kept: list[dict[str, Any]] = row.stills
        stills = tuple(Still(span=Span(*one.pop("span")), **one) for one in (dict(still) for still in kept))
        return Board(stills, tuple(row.storyboard), row.size_bytes)

    def keep_damage(self, recording_id: str, damage: Damage | None, *, readable_ms: int) -> None:
        """What could not be read, and how long the lesson that is left lasts."""
        with self._db.writing() as tx:
            kept = asdict(damage) if damage else None
            tx.execute(update(recording).where(recording.c.id == recording_id).values(damage=kept))
            tx.execute(update(lesson).where(lesson.c.recording_id == recording_id).values(duration_ms=readable_ms))


def mark_whole(database: Database, tx: Any, recording_id: str, edition: int) -> None:
    """Every rung exists. Part of the transaction that writes the last of them down."""
    insert = database.insert(encoding).values(recording_id=recording_id, edition=edition, whole_at=now())
    tx.execute(insert.on_conflict_do_update(index_elements=["recording_id", "edition"], set_={"whole_at": now()}))


def _mine(table: Table, recording_id: str, edition: int) -> Any:
    return and_(table.c.recording_id == recording_id, table.c.edition == edition)
