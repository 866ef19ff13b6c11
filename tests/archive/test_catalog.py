"""The catalog's contract, on SQLite and on PostgreSQL by the same tests."""

from collections.abc import Iterator
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from threading import Thread

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext

from archive.arrivals import Accepted
from archive.catalog import Catalog
from archive.database import now
from archive.errors import Absent, Unavailable
from archive.model import (
    Cue,
    Lesson,
    Probe,
    Programme,
    Refusal,
    Rendition,
    Scope,
    Sidecar,
    Span,
    Stage,
    Transcript,
    VideoTrack,
)
from archive.schema import metadata

KEY = "xinghuo/301/20260901T0800.mp4"
MATHS = Sidecar(title="勾股定理", subject="数学", grade="八年级", teacher="王老师", consent=True)
PROBE = Probe("mp4", 90_000, 1000, (VideoTrack(0, "h264", 1920, 1080, "25/1"),), ())
STAFF = Scope(consented_only=False)


@pytest.fixture(params=["sqlite", "postgres"])
def catalog(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Catalog]:
    url = f"sqlite:///{tmp_path / 'c.sqlite'}" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    opened = Catalog(url)
    opened.migrate()
    yield opened
    opened.close()


def accept(catalog: Catalog, key: str = KEY, content: str = "a", sidecar: Sidecar = MATHS) -> Accepted:
    recording_id = sha256(content.encode()).hexdigest()
    catalog.arrivals.note(key, f"etag-{content}", 1000)
    accepted = catalog.arrivals.accept(key, f"etag-{content}", recording_id, 1000, sidecar)
    assert isinstance(accepted, Accepted)
    return accepted


def renditions(recording_id: str) -> list[Rendition]:
    return [
        Rendition("240p", "avc1.42c00d", 426, 240, "12.5", 120_000, 90_000, 10, 90_000, f"rendition/{recording_id}/a"),
        Rendition(
            "720p", "avc1.64001f", 1280, 720, "25", 1_000_000, 800_000, 99, 90_000, f"rendition/{recording_id}/b"
        ),
    ]


def publish(catalog: Catalog, recording_id: str) -> Lesson:
    catalog.outputs.keep_probe(recording_id, PROBE)
    catalog.outputs.keep_renditions(recording_id, 1, renditions(recording_id))
    lesson_id = catalog.outputs.publish(recording_id, ladder_edition=1, speech_edition=None).lesson_id
    return catalog.lessons.get(lesson_id)


def test_the_migrations_lead_exactly_to_the_schema(catalog: Catalog) -> None:
    with catalog.database.reading() as tx:
        assert compare_metadata(MigrationContext.configure(tx), metadata) == []


def test_migrating_again_and_from_two_processes_at_once_changes_nothing(catalog: Catalog) -> None:
    accepted = accept(catalog)
    threads = [Thread(target=catalog.migrate) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert catalog.outputs.recording(accepted.recording_id).key == KEY


def test_a_catalog_without_orders_for_the_index_is_brought_up_to_them(tmp_path: Path) -> None:
    # As it was at 0002, with a lesson that can be searched and one that cannot yet.
    catalog = Catalog(f"sqlite:///{tmp_path / 'c.sqlite'}")
    migrations = Config()
    migrations.set_main_option("script_location", "archive/migrations")
    with catalog.database.writing() as tx:
        migrations.attributes["connection"] = tx
        command.upgrade(migrations, "0002")
        names = "id, title, subject, grade, teacher, programme, language, school, room, recording_id"
        for part, searchable_at in enumerate(("'2026-09-01 08:00:00'", "NULL")):
            values = ", ".join(f"'{name}{part}'" for name in names.split(", "))
            tx.exec_driver_sql(
                f"INSERT INTO lesson ({names}, started_at, part, take, duration_ms, searchable_at) "  # noqa: S608
                f"VALUES ({values}, '2026-09-01 08:00:00', {part}, 0, 1, {searchable_at})"
            )
    catalog.migrate()
    assert catalog.indexing.lessons_after("", 9) == ["id0"]
    assert catalog.indexing.orders() == []
    assert catalog.indexing.live(2) is None
    catalog.close()


def test_an_index_is_begun_once_and_the_last_one_swapped_is_live(catalog: Catalog) -> None:
    first = catalog.indexing.begin(2)
    catalog.indexing.advance(first.name, "abc", 7)
    again = catalog.indexing.begin(2)
    assert (again.name, again.cursor, again.done) == (first.name, "abc", 7)
    assert (catalog.indexing.live(2), catalog.indexing.begin(3).name) == (None, "e3b1")
    catalog.indexing.swap(first.name)
    assert (catalog.indexing.live(2), catalog.indexing.building(2)) == (first.name, None)
    second = catalog.indexing.begin(2)
    catalog.indexing.swap(second.name)
    assert (catalog.indexing.live(2), second.name) == ("e2b2", "e2b2")


def test_an_order_waits_until_it_is_settled(catalog: Catalog) -> None:
    lesson_id = accept(catalog).lesson_id
    catalog.indexing.order([lesson_id])
    (order,) = catalog.indexing.due()
    catalog.indexing.postpone(order, "搜索稍后可用", retry_after_s=60)
    assert catalog.indexing.due() == []
    catalog.indexing.retry_now()
    (again,) = catalog.indexing.due()
    assert (again.attempts, catalog.indexing.of(lesson_id)) == (1, again)
    catalog.indexing.settle(again)
    assert catalog.indexing.of(lesson_id) is None


def test_an_arrival_becomes_a_recording_with_a_lesson_once(catalog: Catalog) -> None:
    first = accept(catalog)
    again = catalog.arrivals.accept(KEY, "etag-a", first.recording_id, 1000, MATHS)
    assert first.is_new
    assert again == Accepted(first.recording_id, first.lesson_id, is_new=False)
    lesson = catalog.lessons.get(first.lesson_id)
    assert (lesson.title, lesson.school, lesson.room, lesson.teacher) == ("勾股定理", "xinghuo", "301", "王老师")
    found = catalog.arrivals.find(KEY, "etag-a")
    assert found is not None
    assert found.recording_id == first.recording_id


def test_the_same_bytes_under_another_name_are_refused_as_a_duplicate(catalog: Catalog) -> None:
    first = accept(catalog)
    other = "xinghuo/302/20260901T0800.mp4"
    catalog.arrivals.note(other, "etag-a", 1000)
    refusal = catalog.arrivals.accept(other, "etag-a", first.recording_id, 1000, MATHS)
    assert isinstance(refusal, Refusal)
    assert refusal.code == "duplicate"
    assert KEY in refusal.reason_zh
    assert [known.key for known in catalog.arrivals.refused()] == [other]


def test_another_take_of_the_same_hour_is_a_lesson_of_its_own(catalog: Catalog) -> None:
    first, second = accept(catalog), accept(catalog, content="b")
    assert first.lesson_id != second.lesson_id
    assert catalog.lessons.get(second.lesson_id).title == "勾股定理（重录 2）"


def test_a_part_says_so_in_its_title(catalog: Catalog) -> None:
    accepted = accept(catalog, key="xinghuo/301/20260901T0800-2.mp4")
    assert catalog.lessons.get(accepted.lesson_id).title == "勾股定理（第 2 段）"


def test_a_refused_arrival_stays_refused_and_an_accepted_one_accepted(catalog: Catalog) -> None:
    accept(catalog)
    catalog.arrivals.refuse(KEY, "etag-a", "unreadable", "x", "坏")
    assert catalog.arrivals.refused() == []
    catalog.arrivals.note("a/b/c", "e", 0)
    catalog.arrivals.refuse("a/b/c", "e", "unacceptable", "first", "一")
    catalog.arrivals.refuse("a/b/c", "e", "unacceptable", "second", "二")
    assert [known.reason for known in catalog.arrivals.refused()] == ["first"]


def test_a_postponed_arrival_waits_and_counts_its_attempts(catalog: Catalog) -> None:
    catalog.arrivals.note(KEY, "e", 5)
    catalog.arrivals.postpone(KEY, "e", now() + timedelta(seconds=60))
    found = catalog.arrivals.among([(KEY, "e"), ("other/1/x", "y")])
    assert set(found) == {(KEY, "e")}
    assert found[KEY, "e"].attempts == 1
    assert not found[KEY, "e"].is_settled
    assert [known.key for known in catalog.arrivals.waiting()] == [KEY]


def test_a_probe_comes_back_as_it_went_in(catalog: Catalog) -> None:
    accepted = accept(catalog)
    catalog.outputs.keep_probe(accepted.recording_id, PROBE)
    assert catalog.outputs.recording(accepted.recording_id).probe == PROBE
    assert catalog.lessons.get(accepted.lesson_id).duration_ms == 90_000


def test_renditions_come_back_tallest_first_and_replace_their_edition(catalog: Catalog) -> None:
    recording_id = accept(catalog).recording_id
    assert catalog.outputs.renditions(recording_id, 1) == ()
    for _ in range(2):
        catalog.outputs.keep_renditions(recording_id, 1, renditions(recording_id))
    assert [made.rung for made in catalog.outputs.renditions(recording_id, 1)] == ["720p", "240p"]
    assert catalog.outputs.editions(recording_id) == (1,)


def test_a_transcript_comes_back_in_order_and_an_empty_one_is_a_transcript(catalog: Catalog) -> None:
    recording_id = accept(catalog).recording_id
    cues = (Cue(Span(0, 1000), "同学们好"), Cue(Span(1000, 2500), "今天学习勾股定理"))
    heard = Transcript(recording_id, 1, "zh-Hans", "captions", "", cues)
    catalog.transcripts.keep(heard)
    assert catalog.transcripts.current(recording_id) == heard
    silent = Transcript(recording_id, 2, "zh-Hans", "speech", "small", ())
    catalog.transcripts.keep(silent)
    assert catalog.transcripts.current(recording_id) == silent
    assert catalog.transcripts.get(recording_id, 1) == heard


def test_publishing_twice_changes_nothing_and_the_transcript_joins_later(catalog: Catalog) -> None:
    accepted = accept(catalog)
    assert catalog.lessons.get(accepted.lesson_id).published_at is None
    first = catalog.outputs.publish(accepted.recording_id, ladder_edition=1, speech_edition=None)
    assert catalog.outputs.publish(accepted.recording_id, ladder_edition=1, speech_edition=None) == first
    second = catalog.outputs.publish(accepted.recording_id, ladder_edition=1, speech_edition=3)
    assert second.published_at == first.published_at
    assert second.speech_edition == 3
    assert catalog.outputs.publication(accepted.lesson_id) == second


def test_students_see_only_published_lessons_with_consent(catalog: Catalog) -> None:
    seen = publish(catalog, accept(catalog).recording_id)
    unknown = Sidecar(title="无", subject="物理")
    hidden = publish(catalog, accept(catalog, "xinghuo/301/20260902T0800.mp4", "b", unknown).recording_id)
    accept(catalog, "xinghuo/301/20260903T0800.mp4", "c")
    lessons, total = catalog.lessons.published(Scope())
    assert ([lesson.id for lesson in lessons], total) == ([seen.id], 1)
    assert catalog.lessons.shelf(Scope()).subjects == {"数学": 1}
    assert set(catalog.lessons.among([seen.id, hidden.id], Scope())) == {seen.id}
    assert catalog.lessons.published(STAFF)[1] == 2
    assert catalog.lessons.published(Scope(schools=frozenset({"other"})))[1] == 0
    catalog.lessons.set_consent(seen.id, consent=False)
    assert catalog.lessons.published(Scope())[1] == 0


def test_the_library_filters_and_pages_newest_first(catalog: Catalog) -> None:
    for day in range(1, 6):
        publish(catalog, accept(catalog, f"xinghuo/301/2026090{day}T0800.mp4", str(day)).recording_id)
    page, total = catalog.lessons.published(Scope(), subject="数学", programme=Programme.LIVE, limit=2, offset=2)
    assert total == 5
    assert [lesson.started_at.day for lesson in page] == [3, 2]
    assert catalog.lessons.published(Scope(), grade="九年级")[1] == 0


def test_a_late_sidecar_names_the_lesson(catalog: Catalog) -> None:
    accepted = accept(catalog, sidecar=Sidecar())
    assert "301" in catalog.lessons.get(accepted.lesson_id).title
    described = catalog.lessons.describe(accepted.lesson_id, MATHS)
    assert (described.title, described.consent) == ("勾股定理", True)
    found = catalog.outputs.of_stem("xinghuo/301/20260901T0800")
    assert found is not None
    assert found.id == accepted.recording_id
    assert catalog.outputs.of_stem("xinghuo/301/20260901T080") is None


def test_stages_follow_from_what_exists(catalog: Catalog) -> None:
    recording_id = accept(catalog).recording_id
    catalog.outputs.note_progress(recording_id, "encode", 0.5)
    catalog.outputs.hinder(recording_id, "speech", "model-missing", "没有模型", retry_after_s=60)
    states = {state.stage: state for state in catalog.outputs.stages(recording_id)}
    assert [stage for stage, state in states.items() if state.done] == [Stage.RECEIVED]
    assert states[Stage.ENCODED].fraction == 0.5
    obstacle = states[Stage.TRANSCRIBED].obstacle
    assert obstacle is not None
    assert obstacle.code == "model-missing"
    publish(catalog, recording_id)
    catalog.transcripts.keep(Transcript(recording_id, 1, "zh-Hans", "speech", "small", ()))
    catalog.outputs.mark_searchable(recording_id, 1)
    states = {state.stage: state for state in catalog.outputs.stages(recording_id)}
    assert all(state.done and state.fraction == 1.0 and state.obstacle is None for state in states.values())


def test_an_obstacle_counts_attempts_keeps_its_start_and_can_be_due_at_once(catalog: Catalog) -> None:
    recording_id = accept(catalog).recording_id
    for _ in range(2):
        catalog.outputs.hinder(recording_id, "speech", "model-missing", "没有模型", retry_after_s=3600)
    (obstacle,) = catalog.outputs.obstacles(recording_id=recording_id)
    assert obstacle.attempts == 2
    assert catalog.outputs.obstacles(due_by=now()) == []
    assert catalog.outputs.retry_now("speech") == 1
    assert len(catalog.outputs.obstacles(due_by=now())) == 1


def test_an_unusable_recording_is_refused_and_a_published_one_never(catalog: Catalog) -> None:
    bad = accept(catalog).recording_id
    assert catalog.outputs.unfinished() == [bad]
    catalog.outputs.refuse(bad, "unreadable", "no moov", "文件不完整")
    assert catalog.outputs.unfinished() == []
    refusal = catalog.outputs.recording(bad).refusal
    assert refusal is not None
    assert refusal.reason_zh == "文件不完整"
    good = accept(catalog, content="b").recording_id
    publish(catalog, good)
    catalog.outputs.refuse(good, "unreadable", "x", "x")
    assert catalog.outputs.recording(good).refusal is None


def test_a_refusal_can_be_taken_back(catalog: Catalog) -> None:
    catalog.arrivals.note("a/b/early.mp4", "e", 1)
    catalog.arrivals.refuse("a/b/early.mp4", "e", "unacceptable", "x", "太大")
    late = accept(catalog).recording_id
    catalog.outputs.refuse(late, "unacceptable", "x", "太长")
    assert catalog.arrivals.reopen("a/b/early.mp4") == []
    assert catalog.arrivals.reopen(KEY) == [late]
    assert catalog.arrivals.refused() == []
    assert [known.key for known in catalog.arrivals.waiting()] == ["a/b/early.mp4"]
    with pytest.raises(Absent):
        catalog.arrivals.reopen(KEY)


def test_what_is_not_there_is_absent(catalog: Catalog) -> None:
    for ask in (catalog.outputs.recording, catalog.outputs.stages, catalog.lessons.get):
        with pytest.raises(Absent):
            ask("nothing")
    with pytest.raises(Absent):
        catalog.lessons.set_consent("nothing", consent=True)


def test_writers_in_many_threads_lose_nothing(catalog: Catalog) -> None:
    def write(number: int) -> None:
        for n in range(10):
            accept(catalog, f"xinghuo/{number}/20260901T{n:02d}00.mp4", f"{number}-{n}")

    threads = [Thread(target=write, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(catalog.lessons.every()) == 60


def test_a_database_that_is_gone_is_unavailable(tmp_path: Path) -> None:
    lost = Catalog(f"postgresql://huikan@/x?host={tmp_path}")
    with pytest.raises(Unavailable, match="目录库"):
        lost.lessons.every()
    lost.close()
