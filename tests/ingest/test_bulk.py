"""A shelf of old files: the table is checked whole, sending goes on where it stopped, and each line's end is told."""

from collections.abc import Callable
from pathlib import Path

import pytest

from archive.errors import Unreadable
from archive.store import ObjectStore
from ingest import bulk
from ingest.admission import OPERATOR, mark
from ingest.intake import is_old, take_in
from ingest.runtime import Runtime

HEAD = "文件,教室代号,上课时间,课名,学科,公开许可,分段"


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    folder = tmp_path / "旧录像"
    folder.mkdir()
    for n in range(3):
        (folder / f"第{n}课.mp4").write_bytes(b"lesson %d" % n)
    (folder / "第0课.vtt").write_text("WEBVTT\n\n00:00.000 --> 00:01.000\n同学们好\n", encoding="utf-8")
    return folder


def table(shelf: Path, *lines: str, head: str = HEAD) -> Path:
    path = shelf / "清单.csv"
    path.write_bytes("\n".join([head, *lines]).encode("gb18030"))
    return path


GOOD = [
    "第0课.mp4,301,2021-09-01 08:00,勾股定理,数学,是,",
    "第1课.mp4,301,2021年9月2日 08：00,全等三角形,数学,否,1",
    "第2课.mp4,301,2021-09-02T08:00,全等三角形,数学,,2",
]


def test_a_table_becomes_keys_and_sidecars(shelf: Path) -> None:
    planned = bulk.plan(table(shelf, *GOOD), shelf, school="xinghuo")
    assert planned.faults == []
    assert [item.key for item in planned.items] == [
        "xinghuo/301/20210901T080000.mp4",
        "xinghuo/301/20210902T080000-1.mp4",
        "xinghuo/301/20210902T080000-2.mp4",
    ]
    assert planned.items[0].said == {"title": "勾股定理", "subject": "数学", "consent": True}
    assert [item.said.get("consent") for item in planned.items] == [True, False, None]


def test_all_faults_are_told_with_their_lines_before_anything_is_sent(shelf: Path) -> None:
    lines = [
        "没有.mp4,301,2021-09-01 08:00,,,,",
        "第0课.mp4,多媒体,2021-09-01 08:00,,,,",
        "第0课.mp4,301,去年,,,,",
        "第0课.vtt,301,2021-09-01 08:00,,,,",
        "第0课.mp4,301,2021-09-01 08:00,,,也许,",
        *GOOD[:1],
        "第1课.mp4,301,2021-09-01 08:00,,,,",
    ]
    faults = bulk.plan(table(shelf, *lines), shelf, school="xinghuo").faults
    assert [fault.partition("：")[0] for fault in faults] == [f"第 {n} 行" for n in (2, 3, 4, 5, 6, 8)]
    assert "第 7 行同一教室" in faults[-1]
    with pytest.raises(Unreadable):
        bulk.plan(table(shelf), shelf)


class Cut(Exception):
    pass


def test_sending_goes_on_where_it_stopped_and_the_report_says_what_came_of_it(
    shelf: Path, runtime: Runtime, incoming_bucket: str
) -> None:
    file = table(shelf, *GOOD)
    planned = bulk.plan(file, shelf, school="xinghuo")
    journal = shelf / "清单.csv.sent"

    def mark_of(key: str) -> dict[str, str]:
        return mark(runtime.settings, OPERATOR, key)

    def sent(has_room: Callable[[], bool] = lambda: True) -> list[str]:
        again = bulk.Journal(journal)
        return [
            said
            for _, said in bulk.send(
                planned.items, runtime.store, incoming_bucket, again, marked=mark_of, has_room=has_room, wait=stop
            )
        ]

    def stop() -> None:
        raise Cut

    rooms = iter([True, True, False])
    with pytest.raises(Cut):
        sent(lambda: next(rooms))
    journal.write_bytes(journal.read_bytes() + b'{"key": "xing')  # the power went
    assert sent() == ["there", "there", "sent"]
    assert sent() == ["there"] * 3
    there = runtime.store.stat(incoming_bucket, planned.items[0].key)
    assert there is not None
    assert there.metadata == mark_of(planned.items[0].key), "so that no machine's quota is used up by a shelf"
    assert take_in(runtime, planned.items[0].key).recording_id
    runtime.store.put_bytes(incoming_bucket, planned.items[1].key, b"")
    take_in(runtime, planned.items[1].key)
    told = list(bulk.report(planned.items, bulk.Journal(journal), runtime.catalog))
    assert [line.state for line in told] == ["taken", "refused", "sent"]
    lesson = runtime.catalog.lessons.get(told[0].lesson_id)
    assert (lesson.title, lesson.consent) == ("勾股定理", True)
    assert "0 字节" in told[1].reason_zh


def test_a_store_that_is_away_is_a_line_of_its_own_and_not_noted(shelf: Path) -> None:
    planned = bulk.plan(table(shelf, *GOOD), shelf, school="xinghuo")
    away, journal = ObjectStore("127.0.0.1:9", "a", "secret-secret"), bulk.Journal(shelf / "j")
    sent = bulk.send(
        planned.items[:1], away, "incoming", journal, marked=lambda _: {}, has_room=lambda: True, wait=lambda: None
    )
    assert ["暂时不可用" in said for _, said in sent] == [True]
    assert not journal.has(planned.items[0])


def test_old_lessons_wait_behind_todays() -> None:
    assert is_old("xinghuo/301/20210901T0800.mp4")
    assert not is_old("xinghuo/301/29990901T0800.mp4")
    assert not is_old("no key")
