"""What operators and teachers do to transcripts and glossaries from the command line, in terms of the parts."""

from collections.abc import Callable
from pathlib import Path

from api.revising import exported
from api.state import store_endpoint
from archive.catalog import Catalog
from archive.errors import Absent
from archive.model import Lesson, Transcript
from archive.settings import Settings
from ingest import revising
from ingest.engine import FRESH, Runs
from ingest.hearing import tag_of
from ingest.runtime import open_catalog, open_store
from transcribe import glossary


def roll_back(settings: Settings, lesson_id: str, edition: int) -> Transcript:
    return _changed(settings, lesson_id, lambda desk, found: revising.roll_back(desk, found.recording_id, edition))


def withdraw(settings: Settings, lesson_id: str, correction: int) -> Transcript:
    return _changed(settings, lesson_id, lambda desk, found: revising.withdraw(desk, found.recording_id, correction))


def hand_in(settings: Settings, lesson_id: str, file: Path) -> Transcript:
    data = file.read_bytes()

    def act(desk: revising.Desk, found: Lesson) -> Transcript:
        tag = tag_of(found.language)
        return revising.hand_in(desk, found.recording_id, tag, data, file.name)

    return _changed(settings, lesson_id, act)


def export(catalog: Catalog, lesson_id: str, file: Path, *, in_traditional: bool) -> None:
    """Writes the current edition, in the form that the file's extension names. Raises Absent while there is none."""
    found = catalog.lessons.get(lesson_id)
    current = catalog.transcripts.current(found.recording_id)
    if current is None:
        raise Absent(f"{lesson_id} 的字幕")
    form = file.suffix.removeprefix(".").lower()
    file.write_bytes(exported(current, found.title, form, in_traditional=in_traditional).encode())


def add_glossary(settings: Settings, file: Path) -> tuple[Path, int]:
    """Puts a glossary beside the others, in place of one of its name. Returns where, and how many terms. Raises Unreadable."""
    data = file.read_bytes()
    found = glossary.read_terms(data, file.name)
    target = settings.home / "glossary" / f"{file.stem}.csv"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(data)
    return target, len(found)


def hints(settings: Settings, title: str, subject: str, grade: str, school: str) -> glossary.Selection:
    known = glossary.terms(settings.home / "glossary")
    return glossary.selection(known, title=title, subject=subject, grade=grade, school=school)


def _changed(settings: Settings, lesson_id: str, act: Callable[[revising.Desk, Lesson], Transcript]) -> Transcript:
    """Does it, and has the lesson indexed anew. Raises Absent for an unknown lesson."""
    catalog = open_catalog(settings)
    try:
        catalog.migrate()
        found = catalog.lessons.get(lesson_id)
        store = open_store(settings, store_endpoint(settings))
        made = act(revising.Desk(catalog, store, settings.media_bucket), found)
    finally:
        catalog.close()
    runs = Runs(settings.engine_address)
    try:
        runs.process(found.recording_id, redo=["index"], priority=FRESH)
    finally:
        runs.close()
    return made
