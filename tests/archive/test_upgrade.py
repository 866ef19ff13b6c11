"""A catalog of an earlier release comes up with everything it knew."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import text

import archive
from archive.catalog import Catalog
from archive.model import Cue, Scope, Span

RECORDING = "a" * 64


@pytest.fixture(params=["sqlite", "postgres"])
def catalog(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Catalog]:
    url = f"sqlite:///{tmp_path / 'c.sqlite'}" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    opened = Catalog(url)
    yield opened
    opened.close()


def migrate_to(catalog: Catalog, revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(archive.__file__).with_name("migrations")))
    with catalog.database.writing() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


def test_the_transcript_of_0002_is_the_current_edition(catalog: Catalog) -> None:
    migrate_to(catalog, "0002")
    at = datetime(2026, 9, 1, 8)  # noqa: DTZ001 — as the catalog stores instants
    words = {"r": RECORDING, "at": at}
    with catalog.database.writing() as tx:
        tx.execute(
            text(
                "INSERT INTO lesson (id, title, subject, grade, teacher, programme, language, school, room, started_at, "
                "recording_id, part, take, duration_ms, searchable_at) VALUES ('l', '课', '', '', '', 'live', 'zh', 's', "
                "'1', :at, :r, 1, 1, 9000, :at)"
            ),
            words,
        )
        tx.execute(
            text(
                "INSERT INTO recording (id, lesson_id, key, source_key, size_bytes, received_at, part, take) "
                "VALUES (:r, 'l', 'k', 'source/k', 1, :at, 1, 1)"
            ),
            words,
        )
        tx.execute(
            text(
                "INSERT INTO transcript (recording_id, edition, language, source, model, made_at) "
                "VALUES (:r, 1, 'zh-Hans', 'speech', 'small', :at)"
            ),
            words,
        )
        tx.execute(
            text(
                "INSERT INTO cue (recording_id, edition, ordinal, start_ms, end_ms, text) VALUES (:r, 1, 0, 0, 900, '好')"
            ),
            words,
        )
    catalog.migrate()
    current = catalog.transcripts.current(RECORDING)
    assert current is not None
    assert (current.edition, current.cues) == (1, (Cue(Span(0, 900), "好"),))
    assert [head.is_current for head in catalog.transcripts.editions(RECORDING)] == [True]
    assert catalog.transcripts.next_edition(RECORDING) == 2


def test_arrivals_of_0004_know_the_hash_of_what_they_became(catalog: Catalog) -> None:
    migrate_to(catalog, "0004")
    at = datetime(2026, 9, 1, 8)  # noqa: DTZ001 — as the catalog stores instants
    arrivals = [
        {"key": "s/1/20260901T0800.mp4", "etag": "a", "r": RECORDING},
        {"key": "s/1/20260901T0800.json", "etag": "b", "r": RECORDING},  # it became part of the same recording
        {"key": "s/1/20260901T0900.mp4", "etag": "c", "r": None},
    ]
    with catalog.database.writing() as tx:
        tx.execute(
            text(
                "INSERT INTO lesson (id, title, subject, grade, teacher, programme, language, school, room, started_at, "
                "recording_id, part, take, duration_ms) VALUES ('l', '课', '', '', '', 'live', 'zh', 's', '1', :at, :r, "
                "1, 1, 9000)"
            ),
            {"r": RECORDING, "at": at},
        )
        tx.execute(
            text(
                "INSERT INTO recording (id, lesson_id, key, source_key, size_bytes, received_at, part, take) "
                "VALUES (:r, 'l', 's/1/20260901T0800.mp4', 'source/k', 1, :at, 1, 1)"
            ),
            {"r": RECORDING, "at": at},
        )
        for each in arrivals:
            tx.execute(
                text(
                    "INSERT INTO arrival (key, etag, size_bytes, seen_at, attempts, recording_id) "
                    "VALUES (:key, :etag, 1, :at, 0, :r)"
                ),
                each | {"at": at},
            )
    catalog.migrate()
    known = [catalog.arrivals.find(each["key"], each["etag"]) for each in arrivals]
    assert [one and one.sha256 for one in known] == [RECORDING, None, None]
    assert catalog.recorders.standings() == []
    assert catalog.hints.count() == 0


def test_a_lesson_of_0004_is_shown_as_before_and_belongs_nowhere_yet(catalog: Catalog) -> None:
    migrate_to(catalog, "0004")
    words = {"r": RECORDING, "at": datetime(2026, 9, 1, 8)}  # noqa: DTZ001 — as the catalog stores instants
    with catalog.database.writing() as tx:
        tx.execute(
            text(
                "INSERT INTO lesson (id, title, subject, grade, teacher, programme, language, school, room, started_at, "
                "consent, recording_id, part, take, duration_ms, published_at) VALUES ('l', '课', '', '', '', 'live', 'zh', "
                "'s', '1', :at, TRUE, :r, 1, 1, 9000, :at)"
            ),
            words,
        )
        tx.execute(
            text(
                "INSERT INTO recording (id, lesson_id, key, source_key, size_bytes, received_at, part, take) "
                "VALUES (:r, 'l', 's/1/20260901T0800.mp4', 'source/k', 1, :at, 1, 1)"
            ),
            words,
        )
    catalog.migrate()
    assert [lesson.id for lesson in catalog.lessons.published(Scope())[0]] == ["l"]
    assert catalog.placements.of(RECORDING) is None
    assert not catalog.lives.is_open(RECORDING)
    assert catalog.outputs.unfinished() == [RECORDING]
