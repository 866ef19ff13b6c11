"""The lessons' desk: what people may see. Every listing takes a Scope and never counts beyond it."""

from collections.abc import Iterable
from datetime import UTC
from typing import Any

from sqlalchemy import ColumnElement, Row, func, select, update
from sqlalchemy.sql.elements import SQLColumnExpression

from archive.arrivals import titled
from archive.database import Database
from archive.errors import Absent
from archive.indexing import order_index
from archive.keys import IncomingKey
from archive.model import Facts, Lesson, Programme, Scope, Shelf, Sidecar
from archive.schema import lesson, recording


class Lessons:
    def __init__(self, database: Database) -> None:
        self._db = database

    def find(self, lesson_id: str) -> Lesson | None:
        """Published or not, whoever asks: api.access decides who may know."""
        with self._db.reading() as tx:
            row = tx.execute(select(lesson).where(lesson.c.id == lesson_id)).one_or_none()
        return _lesson(row) if row else None

    def get(self, lesson_id: str) -> Lesson:
        """Raises Absent."""
        found = self.find(lesson_id)
        if found is None:
            raise Absent(lesson_id)
        return found

    def among(self, lesson_ids: Iterable[str], scope: Scope) -> dict[str, Lesson]:
        """Those of these lessons that are published and within the scope: search hits are checked against this."""
        wanted = select(lesson).where(lesson.c.id.in_(list(lesson_ids)), *_seen_by(scope))
        with self._db.reading() as tx:
            return {row.id: _lesson(row) for row in tx.execute(wanted)}

    def facts(self, lesson_ids: Iterable[str], scope: Scope) -> list[Facts]:
        """Of those of these lessons that are published and within the scope. Of some thousands at most."""
        columns = lesson.c.subject, lesson.c.grade, lesson.c.school, lesson.c.programme, lesson.c.started_at
        wanted = select(*columns).where(lesson.c.id.in_(list(lesson_ids)), *_seen_by(scope))
        with self._db.reading() as tx:
            return [Facts(*row) for row in tx.execute(wanted)]

    def published(
        self,
        scope: Scope,
        *,
        subject: str = "",
        grade: str = "",
        school: str = "",
        programme: Programme | None = None,
        limit: int = 24,
        offset: int = 0,
    ) -> tuple[list[Lesson], int]:
        """One page of the library, newest lesson first, and how many there are in all (within the scope)."""
        chosen = {"subject": subject, "grade": grade, "school": school, "programme": programme or ""}
        conditions = [*_seen_by(scope), *(lesson.c[name] == value for name, value in chosen.items() if value)]
        page = select(lesson).where(*conditions).order_by(lesson.c.started_at.desc(), lesson.c.id)
        with self._db.reading() as tx:
            total = tx.execute(select(func.count()).select_from(lesson).where(*conditions)).scalar_one()
            return [_lesson(row) for row in tx.execute(page.limit(limit).offset(offset))], total

    def shelf(self, scope: Scope) -> Shelf:
        with self._db.reading() as tx:

            def counted(column: SQLColumnExpression[str]) -> dict[str, int]:
                rows = tx.execute(select(column, func.count()).where(*_seen_by(scope)).group_by(column))
                counts = {str(row[0]): int(row[1]) for row in rows if row[0]}
                return dict(sorted(counts.items()))

            return Shelf(
                subjects=counted(lesson.c.subject),
                grades=counted(lesson.c.grade),
                schools=counted(lesson.c.school),
                programmes=counted(lesson.c.programme),
            )

    def names(self, scope: Scope, *, limit: int) -> list[str]:
        """Titles and teachers of the newest lessons within the scope, each once, titles first: for suggestions."""
        newest = select(lesson.c.title, lesson.c.teacher).where(*_seen_by(scope)).order_by(lesson.c.started_at.desc())
        with self._db.reading() as tx:
            rows = tx.execute(newest.limit(limit)).all()
        return list(dict.fromkeys([*(row.title for row in rows), *(row.teacher for row in rows if row.teacher)]))

    def every(self) -> list[Lesson]:
        """All lessons, for operators and for `verify`."""
        with self._db.reading() as tx:
            return [_lesson(row) for row in tx.execute(select(lesson).order_by(lesson.c.started_at.desc()))]

    def describe(self, lesson_id: str, sidecar: Sidecar) -> Lesson:
        """Takes over what a sidecar (or an operator) says. Raises Absent. Orders the lesson's indexing."""
        with self._db.writing() as tx:
            row = tx.execute(select(lesson).where(lesson.c.id == lesson_id)).one_or_none()
            if row is None:
                raise Absent(lesson_id)
            key = tx.execute(select(recording.c.key).where(recording.c.id == row.recording_id)).scalar_one()
            values = {
                "title": titled(IncomingKey.parse(key), row.take, sidecar),
                "subject": sidecar.subject,
                "grade": sidecar.grade,
                "teacher": sidecar.teacher,
                "programme": sidecar.programme.value,
                "language": sidecar.language,
                "consent": sidecar.consent,
            }
            tx.execute(update(lesson).where(lesson.c.id == lesson_id).values(values))
            order_index(self._db, tx, [lesson_id])
            return _lesson(tx.execute(select(lesson).where(lesson.c.id == lesson_id)).one())

    def set_consent(self, lesson_id: str, *, consent: bool) -> Lesson:
        """The guardians' word on one lesson, given or withdrawn. Raises Absent. Orders the lesson's indexing."""
        with self._db.writing() as tx:
            tx.execute(update(lesson).where(lesson.c.id == lesson_id).values(consent=consent))
            row = tx.execute(select(lesson).where(lesson.c.id == lesson_id)).one_or_none()
            if row is None:
                raise Absent(lesson_id)
            order_index(self._db, tx, [lesson_id])
            return _lesson(row)


def _seen_by(scope: Scope) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = [lesson.c.published_at.is_not(None), lesson.c.superseded_by.is_(None)]
    if scope.consented_only:
        conditions.append(lesson.c.consent.is_(True))
    if scope.schools is not None:
        conditions.append(lesson.c.school.in_(scope.schools))
    return conditions


def _lesson(row: Row[Any]) -> Lesson:
    return Lesson(
        id=row.id,
        title=row.title,
        subject=row.subject,
        grade=row.grade,
        teacher=row.teacher,
        programme=Programme(row.programme),
        language=row.language,
        school=row.school,
        room=row.room,
        started_at=row.started_at,
        consent=row.consent,
        recording_id=row.recording_id,
        duration_ms=row.duration_ms,
        published_at=row.published_at.replace(tzinfo=UTC) if row.published_at else None,
        searchable_at=row.searchable_at.replace(tzinfo=UTC) if row.searchable_at else None,
        indexed_at=row.indexed_at.replace(tzinfo=UTC) if row.indexed_at else None,
        superseded_by=row.superseded_by,
    )
