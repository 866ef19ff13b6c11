"""The outputs' desk: what exists of a recording, edition by edition, and what stands in the way of the rest.

An output is written down only after its objects are whole in the store; what is written down is never half.
"""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, and_, delete, func, select, update

from archive.arrivals import refusal_of
from archive.database import Database, now
from archive.encodings import mark_whole
from archive.errors import Absent
from archive.model import (
    AudioTrack,
    Damage,
    Obstacle,
    Probe,
    Publication,
    Recording,
    Rendition,
    Stage,
    StageState,
    VideoTrack,
)
from archive.schema import (
    encoding,
    index_order,
    lesson,
    live,
    obstacle,
    progress,
    publication,
    recording,
    rendition,
    transcript,
)

_RENDITION_FIELDS = tuple(Rendition.__dataclass_fields__)
_STEP_OF_STAGE = {
    Stage.PROBED: "probe",
    Stage.ENCODED: "encode",
    Stage.TRANSCRIBED: "speech",
    Stage.INDEXED: "index",
    Stage.PUBLISHED: "publish",
}


class Outputs:
    def __init__(self, database: Database) -> None:
        self._db = database

    # --- recordings -------------------------------------------------------------------------------------------------

    def recording(self, recording_id: str) -> Recording:
        """Raises Absent."""
        with self._db.reading() as tx:
            row = tx.execute(select(recording).where(recording.c.id == recording_id)).one_or_none()
        if row is None:
            raise Absent(recording_id)
        return _recording(row)

    def recordings(self, *, limit: int = 200, offset: int = 0) -> list[Recording]:
        """Newest first."""
        order = recording.c.received_at.desc(), recording.c.id
        with self._db.reading() as tx:
            rows = tx.execute(select(recording).order_by(*order).limit(limit).offset(offset))
            return [_recording(row) for row in rows]

    def beginning_with(self, start: str, limit: int = 3) -> list[str]:
        """Ids of recordings that begin so: what people type of sixty-four digits."""
        if not start:
            return []
        wanted = select(recording.c.id).where(recording.c.id.startswith(start, autoescape=True)).limit(limit)
        with self._db.reading() as tx:
            return list(tx.execute(wanted).scalars())

    def of_stem(self, stem: str) -> Recording | None:
        """The newest recording whose key is `<stem>.<ext>`: the one a late sidecar speaks of."""
        like = recording.c.key.startswith(f"{stem}.", autoescape=True)
        with self._db.reading() as tx:
            row = tx.execute(
                select(recording).where(like).order_by(recording.c.received_at.desc()).limit(1)
            ).one_or_none()
        return _recording(row) if row else None

    def keep_probe(self, recording_id: str, probe: Probe) -> None:
        with self._db.writing() as tx:
            tx.execute(update(recording).where(recording.c.id == recording_id).values(probe=asdict(probe)))
            tx.execute(
                update(lesson).where(lesson.c.recording_id == recording_id).values(duration_ms=probe.duration_ms)
            )
            _clear(tx, recording_id, "probe")

    def refuse(self, recording_id: str, code: str, reason: str, reason_zh: str) -> None:
        """The recording can never become a lesson. Its object stays; its lesson is never shown."""
        values = {"refused_at": now(), "refused_code": code, "refused_reason": reason, "refused_reason_zh": reason_zh}
        never_played = ~select(publication).where(publication.c.recording_id == recording.c.id).exists()
        with self._db.writing() as tx:
            open_still = and_(recording.c.id == recording_id, recording.c.refused_at.is_(None), never_played)
            tx.execute(update(recording).where(open_still).values(values))
            tx.execute(delete(obstacle).where(obstacle.c.recording_id == recording_id))
            tx.execute(delete(progress).where(progress.c.recording_id == recording_id))

    # --- renditions -------------------------------------------------------------------------------------------------

    def keep_renditions(
        self, recording_id: str, edition: int, renditions: Sequence[Rendition], *, is_whole: bool = True
    ) -> None:
        """The rungs that exist, all of them at once. `is_whole`: no more will follow, the ladder is done."""
        with self._db.writing() as tx:
            mine = and_(rendition.c.recording_id == recording_id, rendition.c.edition == edition)
            tx.execute(delete(rendition).where(mine))
            rows = [{**asdict(made), "recording_id": recording_id, "edition": edition} for made in renditions]
            tx.execute(rendition.insert(), rows)
            if is_whole:
                mark_whole(self._db, tx, recording_id, edition)
                _clear(tx, recording_id, "encode")

    def renditions(self, recording_id: str, edition: int) -> tuple[Rendition, ...]:
        """Tallest first; empty until something can be played."""
        mine = and_(rendition.c.recording_id == recording_id, rendition.c.edition == edition)
        with self._db.reading() as tx:
            rows = tx.execute(select(rendition).where(mine).order_by(rendition.c.height.desc(), rendition.c.rung))
            return tuple(Rendition(**{name: getattr(row, name) for name in _RENDITION_FIELDS}) for row in rows)

    def editions(self, recording_id: str) -> tuple[int, ...]:
        """Of the ladders of which something can be played."""
        mine = rendition.c.recording_id == recording_id
        with self._db.reading() as tx:
            return tuple(tx.execute(select(rendition.c.edition).where(mine).distinct()).scalars())

    # --- publishing -------------------------------------------------------------------------------------------------

    def publish(self, recording_id: str, *, ladder_edition: int, speech_edition: int | None) -> Publication:
        """One row says what the lesson is played from; it changes in one transaction or not at all.

        Publishing the same twice changes nothing, not even the time.
        """
        with self._db.writing() as tx:
            lesson_id = tx.execute(select(recording.c.lesson_id).where(recording.c.id == recording_id)).scalar_one()
            mine = publication.c.lesson_id == lesson_id
            before = tx.execute(select(publication).where(mine)).one_or_none()
            first_at = before.published_at if before else now()
            row = {
                "lesson_id": lesson_id,
                "recording_id": recording_id,
                "ladder_edition": ladder_edition,
                "speech_edition": speech_edition,
                "published_at": first_at,
            }
            if before is None:
                tx.execute(publication.insert().values(row))
            else:
                tx.execute(update(publication).where(mine).values(row))
            tx.execute(update(lesson).where(lesson.c.id == lesson_id).values(published_at=first_at))
            _clear(tx, recording_id, "publish")
        return Publication(lesson_id, recording_id, ladder_edition, speech_edition, first_at.replace(tzinfo=UTC))

    def publication(self, lesson_id: str) -> Publication | None:
        with self._db.reading() as tx:
            row = tx.execute(select(publication).where(publication.c.lesson_id == lesson_id)).one_or_none()
        if row is None:
            return None
        at = row.published_at.replace(tzinfo=UTC)
        return Publication(row.lesson_id, row.recording_id, row.ladder_edition, row.speech_edition, at)

    def mark_searchable(self, recording_id: str, index_edition: int) -> None:
        with self._db.writing() as tx:
            of_it = lesson.c.recording_id == recording_id
            first = func.coalesce(lesson.c.searchable_at, now())
            tx.execute(update(lesson).where(of_it).values(searchable_at=first, index_edition=index_edition))
            _clear(tx, recording_id, "index")

    # --- what stands in the way, and how far it is ------------------------------------------------------------------

    def hinder(self, recording_id: str, step: str, code: str, reason_zh: str, *, retry_after_s: float) -> None:
        """A step is Unavailable just now. The sweep starts a new run once `retry_after_s` is over."""
        at = now()
        values = {"code": code, "reason_zh": reason_zh, "retry_at": at + timedelta(seconds=retry_after_s)}
        row = {"recording_id": recording_id, "step": step, "since": at, "attempts": 1, **values}
        again = {**values, "attempts": obstacle.c.attempts + 1}
        with self._db.writing() as tx:
            insert = self._db.insert(obstacle).values(row)
            tx.execute(insert.on_conflict_do_update(index_elements=["recording_id", "step"], set_=again))

    def overcome(self, recording_id: str, step: str) -> None:
        """Nothing stands in this step's way any more."""
        with self._db.writing() as tx:
            _clear(tx, recording_id, step)

    def obstacles(self, *, due_by: datetime | None = None, recording_id: str | None = None) -> list[Obstacle]:
        """All of them, or those whose retry is due by a moment (naive UTC), or those of one recording."""
        wanted = select(obstacle).order_by(obstacle.c.since)
        if due_by is not None:
            wanted = wanted.where(obstacle.c.retry_at <= due_by)
        if recording_id is not None:
            wanted = wanted.where(obstacle.c.recording_id == recording_id)
        with self._db.reading() as tx:
            return [_obstacle(row) for row in tx.execute(wanted)]

    def retry_now(self, step: str | None = None) -> int:
        """An operator has removed the cause: every obstacle (of one step) is due at once. Returns how many."""
        wanted = update(obstacle).values(retry_at=now())
        if step is not None:
            wanted = wanted.where(obstacle.c.step == step)
        with self._db.writing() as tx:
            return tx.execute(wanted).rowcount

    def note_progress(self, recording_id: str, step: str, fraction: float) -> None:
        """For display only. Call it at most once a second."""
        row = {"recording_id": recording_id, "step": step, "fraction": fraction, "updated_at": now()}
        again = {"fraction": fraction, "updated_at": row["updated_at"]}
        with self._db.writing() as tx:
            insert = self._db.insert(progress).values(row)
            tx.execute(insert.on_conflict_do_update(index_elements=["recording_id", "step"], set_=again))

    def stages(self, recording_id: str) -> tuple[StageState, ...]:
        """What people see, derived from what exists. Raises Absent."""
        with self._db.reading() as tx:
            found = tx.execute(
                select(recording.c.probe, lesson.c.published_at, lesson.c.searchable_at)
                .join(lesson, lesson.c.id == recording.c.lesson_id)
                .where(recording.c.id == recording_id)
            ).one_or_none()
            if found is None:
                raise Absent(recording_id)
            whole = and_(encoding.c.recording_id == recording_id, encoding.c.whole_at.is_not(None))
            encoded = tx.execute(select(encoding.c.edition).where(whole).limit(1)).first()
            heard = tx.execute(
                select(transcript.c.edition).where(transcript.c.recording_id == recording_id).limit(1)
            ).first()
            running = {
                row.step: row.fraction
                for row in tx.execute(select(progress).where(progress.c.recording_id == recording_id))
            }
            waiting = {
                row.step: _obstacle(row)
                for row in tx.execute(select(obstacle).where(obstacle.c.recording_id == recording_id))
            }
            late = tx.execute(
                select(index_order)
                .join(lesson, lesson.c.id == index_order.c.lesson_id)
                .where(lesson.c.recording_id == recording_id, index_order.c.attempts > 0)
            ).one_or_none()
        if late is not None:
            since, retry_at = (at.replace(tzinfo=UTC) for at in (late.ordered_at, late.retry_at))
            waiting["index"] = Obstacle(
                recording_id, "index", "search-delayed", late.reason_zh, since, late.attempts, retry_at
            )
        done = {
            Stage.RECEIVED: True,
            Stage.PROBED: found.probe is not None,
            Stage.ENCODED: encoded is not None,
            Stage.TRANSCRIBED: heard is not None,
            Stage.INDEXED: found.searchable_at is not None,
            Stage.PUBLISHED: found.published_at is not None,
        }
        steps = {stage: _STEP_OF_STAGE.get(stage, "") for stage in Stage}
        return tuple(
            StageState(stage, done[stage], 1.0 if done[stage] else running.get(step, 0.0), waiting.get(step))
            for stage, step in steps.items()
        )

    def unfinished(self, limit: int = 500) -> list[str]:
        """Recordings that are neither refused nor published with all rungs and a transcript: what a sweep looks at,
        oldest first. Not those that are still being made."""
        whole = and_(
            publication.c.recording_id == recording.c.id,
            publication.c.speech_edition.is_not(None),
            encoding.c.recording_id == publication.c.recording_id,
            encoding.c.edition == publication.c.ladder_edition,
            encoding.c.whole_at.is_not(None),
        )
        growing = and_(live.c.recording_id == recording.c.id, live.c.closed_at.is_(None))
        wanted = (
            select(recording.c.id)
            .where(
                recording.c.refused_at.is_(None),
                ~select(encoding.c.edition).where(whole).correlate(recording).exists(),
                ~select(live.c.recording_id).where(growing).correlate(recording).exists(),
            )
            .order_by(recording.c.received_at)
            .limit(limit)
        )
        with self._db.reading() as tx:
            return list(tx.execute(wanted).scalars())


def _clear(tx: Connection, recording_id: str, step: str) -> None:
    """The step is done: nothing stands in its way any more, and its progress is not news."""
    tx.execute(delete(obstacle).where(obstacle.c.recording_id == recording_id, obstacle.c.step == step))
    tx.execute(delete(progress).where(progress.c.recording_id == recording_id, progress.c.step == step))


def _obstacle(row: Row[Any]) -> Obstacle:
    since, retry_at = row.since.replace(tzinfo=UTC), row.retry_at.replace(tzinfo=UTC)
    return Obstacle(row.recording_id, row.step, row.code, row.reason_zh, since, row.attempts, retry_at)


def _recording(row: Row[Any]) -> Recording:
    return Recording(
        id=row.id,
        lesson_id=row.lesson_id,
        key=row.key,
        source_key=row.source_key,
        size_bytes=row.size_bytes,
        received_at=row.received_at.replace(tzinfo=UTC),
        part=row.part,
        take=row.take,
        probe=_probe(row.probe) if row.probe else None,
        refusal=refusal_of(row, ""),
        damage=Damage(**row.damage) if row.damage else None,
    )


def _probe(kept: dict[str, Any]) -> Probe:
    return Probe(
        container=kept["container"],
        duration_ms=kept["duration_ms"],
        size_bytes=kept["size_bytes"],
        video=tuple(VideoTrack(**track) for track in kept["video"]),
        audio=tuple(AudioTrack(**track) for track in kept["audio"]),
    )
