"""The transcripts' desk: every edition of what was said, which one counts, what teachers corrected, and a lesson half heard.

An edition is written once and never changed. Recipes and stretches are kept as the JSON that transcribe gave.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC
from typing import Any

from sqlalchemy import Connection, Row, and_, delete, func, select, update
from sqlalchemy.exc import IntegrityError

from archive.database import Database, now
from archive.errors import Absent, Unavailable
from archive.indexing import order_index_of
from archive.keys import transcript_key
from archive.model import Change, Correction, Cue, CueDetail, CueWord, Remark, Span, Transcript, TranscriptHead
from archive.schema import correction, cue, heard, obstacle, progress, recording, transcript


class Transcripts:
    def __init__(self, database: Database) -> None:
        self._db = database

    # --- editions ---------------------------------------------------------------------------------------------------

    def next_edition(self, recording_id: str) -> int:
        """The number of the edition that comes next. Whoever is first to keep it has it."""
        with self._db.reading() as tx:
            of_it = transcript.c.recording_id == recording_id
            return (tx.execute(select(func.max(transcript.c.edition)).where(of_it)).scalar() or 0) + 1

    def keep(self, made: Transcript, corrections: Sequence[Correction] = ()) -> None:
        """A new edition, which counts from now on, together with corrections that are new (id 0) or met a conflict in it.

        Raises Unavailable when somebody else has made an edition of this number meanwhile.
        """
        try:
            with self._db.writing() as tx:
                write_transcript(self._db, tx, made)
                for each in corrections:
                    _write_correction(tx, each)
        except IntegrityError as error:
            raise Unavailable("字幕", "another edition was made at the same time", "请刷新后再试一次。") from error

    def current(self, recording_id: str) -> Transcript | None:
        """The edition that counts; None until there is one."""
        with self._db.reading() as tx:
            chosen = select(recording.c.transcript_edition).where(recording.c.id == recording_id)
            edition = tx.execute(chosen).scalar_one_or_none()
            return read_transcript(tx, recording_id, edition) if edition is not None else None

    def get(self, recording_id: str, edition: int) -> Transcript:
        """Raises Absent."""
        with self._db.reading() as tx:
            found = read_transcript(tx, recording_id, edition)
        if found is None:
            raise Absent(f"{recording_id} e{edition}")
        return found

    def editions(self, recording_id: str) -> tuple[TranscriptHead, ...]:
        """Newest first."""
        counts = select(func.count()).where(
            cue.c.recording_id == transcript.c.recording_id, cue.c.edition == transcript.c.edition
        )
        wanted = (
            select(transcript, recording.c.transcript_edition, counts.scalar_subquery().label("cues"))
            .join(recording, recording.c.id == transcript.c.recording_id)
            .where(transcript.c.recording_id == recording_id)
            .order_by(transcript.c.edition.desc())
        )
        with self._db.reading() as tx:
            return tuple(
                TranscriptHead(
                    edition=row.edition,
                    language=row.language,
                    source=row.source,
                    model=row.model,
                    made_at=row.made_at.replace(tzinfo=UTC),
                    parent=row.parent,
                    recipe=row.recipe,
                    cue_count=row.cues,
                    is_current=row.edition == row.transcript_edition,
                )
                for row in tx.execute(wanted)
            )

    def choose(self, recording_id: str, edition: int) -> None:
        """An older (or newer) edition counts again. Raises Absent."""
        with self._db.writing() as tx:
            if read_transcript(tx, recording_id, edition) is None:
                raise Absent(f"{recording_id} e{edition}")
            _choose(self._db, tx, recording_id, edition)

    def keys(self, recording_id: str) -> tuple[str, ...]:
        """Where the transcripts of a recording lie in the media bucket, of every edition."""
        with self._db.reading() as tx:
            rows = tx.execute(select(transcript).where(transcript.c.recording_id == recording_id)).all()
        return tuple(transcript_key(recording_id, row.edition, row.language) for row in rows)

    # --- what teachers corrected ------------------------------------------------------------------------------------

    def corrections(self, recording_id: str, *, withdrawn_too: bool = False) -> tuple[Correction, ...]:
        """In the order of time in the lesson, a later word on the same place after an earlier one."""
        wanted = select(correction).where(correction.c.recording_id == recording_id)
        if not withdrawn_too:
            wanted = wanted.where(correction.c.withdrawn_at.is_(None))
        with self._db.reading() as tx:
            rows = tx.execute(wanted.order_by(correction.c.start_ms, correction.c.id)).all()
        return tuple(_correction(row) for row in rows)

    def withdraw(self, recording_id: str, correction_id: int) -> Correction:
        """Takes a correction back; it is kept, to be seen. Raises Absent."""
        mine = and_(correction.c.recording_id == recording_id, correction.c.id == correction_id)
        with self._db.writing() as tx:
            row = tx.execute(select(correction).where(mine)).one_or_none()
            if row is None:
                raise Absent(str(correction_id))
            tx.execute(update(correction).where(mine).values(withdrawn_at=now(), conflict=None))
        return _correction(row)

    def insist(self, recording_id: str, correction_id: int) -> None:
        """A teacher has seen the conflict and stays with the correction. Raises Absent."""
        mine = and_(correction.c.recording_id == recording_id, correction.c.id == correction_id)
        with self._db.writing() as tx:
            row = tx.execute(select(correction).where(mine)).one_or_none()
            if row is None:
                raise Absent(str(correction_id))
            # From now on it answers to what is said there now: the same words again are no conflict.
            told = {"before": row.conflict or row.before, "conflict": None}
            tx.execute(update(correction).where(mine).values(told))

    # --- a lesson half heard ----------------------------------------------------------------------------------------

    def plan_stretches(self, recording_id: str, recipe: str, stretches: Sequence[Span], *, anew: bool) -> None:
        """What is to be heard. `anew` forgets all that was heard of the recording; otherwise that is kept."""
        with self._db.writing() as tx:
            mine = and_(heard.c.recording_id == recording_id, heard.c.recipe == recipe)
            if anew:
                tx.execute(delete(heard).where(heard.c.recording_id == recording_id))
            known = set(tx.execute(select(heard.c.start_ms).where(mine)).scalars())
            rows = [
                {"recording_id": recording_id, "recipe": recipe, "start_ms": each.start_ms, "end_ms": each.end_ms}
                for each in stretches
                if each.start_ms not in known
            ]
            if rows:
                tx.execute(heard.insert(), rows)

    def stretches(self, recording_id: str, recipe: str) -> dict[Span, dict[str, Any] | None]:
        """In order, with what was heard, or None for what is still to be heard. Empty before there is a plan."""
        mine = and_(heard.c.recording_id == recording_id, heard.c.recipe == recipe)
        with self._db.reading() as tx:
            rows = tx.execute(select(heard).where(mine).order_by(heard.c.start_ms)).all()
        return {Span(row.start_ms, row.end_ms): row.made for row in rows}

    def keep_stretch(self, recording_id: str, recipe: str, stretch: Span, made: Mapping[str, Any]) -> None:
        with self._db.writing() as tx:
            mine = and_(
                heard.c.recording_id == recording_id, heard.c.recipe == recipe, heard.c.start_ms == stretch.start_ms
            )
            tx.execute(update(heard).where(mine).values(made=dict(made)))


def write_transcript(database: Database, tx: Connection, made: Transcript) -> None:
    same = {"recording_id": made.recording_id, "edition": made.edition}
    tx.execute(
        transcript.insert().values(
            **same,
            language=made.language,
            source=made.source,
            model=made.model,
            made_at=now(),
            parent=made.parent,
            recipe=made.recipe,
            remarks=[asdict(remark) for remark in made.remarks] or None,
        )
    )
    rows = [
        {
            **same,
            "ordinal": ordinal,
            "start_ms": each.span.start_ms,
            "end_ms": each.span.end_ms,
            "text": each.text,
            "detail": _detail_as_json(each.detail) if each.detail else None,
        }
        for ordinal, each in enumerate(made.cues)
    ]
    if rows:
        tx.execute(cue.insert(), rows)
    _choose(database, tx, made.recording_id, made.edition)
    for table in (obstacle, progress):
        tx.execute(delete(table).where(table.c.recording_id == made.recording_id, table.c.step == "speech"))


def read_transcript(tx: Connection, recording_id: str, edition: int) -> Transcript | None:
    mine = and_(transcript.c.recording_id == recording_id, transcript.c.edition == edition)
    head = tx.execute(select(transcript).where(mine)).one_or_none()
    if head is None:
        return None
    lines = and_(cue.c.recording_id == recording_id, cue.c.edition == edition)
    rows = tx.execute(select(cue).where(lines).order_by(cue.c.ordinal)).all()
    return Transcript(
        recording_id=recording_id,
        edition=edition,
        language=head.language,
        source=head.source,
        model=head.model,
        cues=tuple(Cue(Span(row.start_ms, row.end_ms), row.text, _detail(row.detail)) for row in rows),
        parent=head.parent,
        recipe=head.recipe,
        remarks=tuple(
            Remark(told["kind"], Span(**told["span"]), told["outcome"], told["text"]) for told in head.remarks or ()
        ),
    )


def _choose(database: Database, tx: Connection, recording_id: str, edition: int) -> None:
    """It counts from now on, and what the index holds of another one is out of date."""
    tx.execute(update(recording).where(recording.c.id == recording_id).values(transcript_edition=edition))
    order_index_of(database, tx, recording_id)


def _write_correction(tx: Connection, made: Correction) -> None:
    if made.id:
        tx.execute(update(correction).where(correction.c.id == made.id).values(conflict=made.conflict))
        return
    tx.execute(
        correction.insert().values(
            recording_id=made.recording_id,
            start_ms=made.span.start_ms,
            end_ms=made.span.end_ms,
            before=made.before,
            after=made.after,
            edition=made.edition,
            made_at=now(),
        )
    )


def _correction(row: Row[Any]) -> Correction:
    return Correction(
        id=row.id,
        recording_id=row.recording_id,
        span=Span(row.start_ms, row.end_ms),
        before=row.before,
        after=row.after,
        edition=row.edition,
        made_at=row.made_at.replace(tzinfo=UTC),
        conflict=row.conflict,
        withdrawn_at=row.withdrawn_at.replace(tzinfo=UTC) if row.withdrawn_at else None,
    )


def _detail_as_json(detail: CueDetail) -> dict[str, Any]:
    """Words as short lists: they are most of a transcript's bytes."""
    words = [[word.span.start_ms, word.span.end_ms, word.text, word.probability] for word in detail.words]
    return {**asdict(detail), "words": words}


def _detail(told: dict[str, Any] | None) -> CueDetail | None:
    if told is None:
        return None
    return CueDetail(
        origin=told["origin"],
        confidence=told["confidence"],
        flags=tuple(told["flags"]),
        words=tuple(CueWord(Span(start, end), text, probability) for start, end, text, probability in told["words"]),
        changes=tuple(Change(**change) for change in told["changes"]),
    )
