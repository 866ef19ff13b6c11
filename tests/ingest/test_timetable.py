"""Timetables as schools export them: lists, grids and calendars become lessons, or faults that name the line."""

from datetime import date, datetime, time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openpyxl import Workbook

from archive.errors import Unreadable
from archive.model import Programme, Slot
from ingest.timetable import Sheet, Term, slots_of
from ingest.timetable_files import read_timetable

TERM = Term(date(2026, 9, 1), date(2027, 1, 20))  # a Tuesday
TUESDAY = date(2026, 9, 1)
LIST = """教室代号,星期,节次,开始时间,结束时间,学科,班级,任课教师,课题
301,星期二,第1节,8:00,8:45,数学,八年级1班,王老师,勾股定理
,,第2节,8：55,9：40,语文,八年级1班,李老师,
"""
BELLS = "节次,开始时间,结束时间\n第一节,8:00,8:45\n第二节,8:55,9:40\n三,10:00,10:45\n"


def read(path: Path, text: str, **more: object) -> list[Slot]:
    path.write_text(text, encoding="utf-8")
    found = read_timetable(path, TERM, **more)  # pyright: ignore[reportArgumentType]
    assert found.faults == []
    return found.slots


@pytest.mark.parametrize("encoding", ["utf-8-sig", "gb18030", "utf-16"])
def test_a_list_is_read_in_whatever_encoding_a_spreadsheet_wrote_it(tmp_path: Path, encoding: str) -> None:
    file = tmp_path / "课表.csv"
    file.write_bytes(LIST.encode(encoding))
    first, second = read_timetable(file, TERM).slots
    assert (first.room, first.weekday, first.starts_min, first.ends_min) == ("301", 1, 480, 525)
    assert (first.subject, first.grade, first.teacher, first.title) == ("数学", "八年级1班", "王老师", "勾股定理")
    assert (second.room, second.weekday, second.starts_min) == ("301", 1, 535)  # blanks under a merged cell


def test_a_slot_knows_its_days() -> None:
    (slot,) = slots_of([sheet("教室,星期,时间,学科", "301,二,8:00-8:45,数学")], TERM).slots
    assert slot.is_on(TUESDAY)
    assert slot.is_on(date(2026, 9, 8))
    assert not slot.is_on(date(2026, 9, 2))
    assert not slot.is_on(date(2026, 8, 25))
    assert (slot.starts_at(TUESDAY), slot.ends_at(TUESDAY)) == (datetime(2026, 9, 1, 8), datetime(2026, 9, 1, 8, 45))  # noqa: DTZ001


def sheet(*lines: str, name: str = "课表") -> Sheet:
    return Sheet(name, tuple(tuple(line.split(",")) for line in lines))


@pytest.mark.parametrize(
    ("weeks", "on", "off"),
    [
        ("单周", ["2026-09-01", "2026-09-15"], ["2026-09-08"]),
        ("双周", ["2026-09-08"], ["2026-09-01", "2026-09-15"]),
        ("1-2", ["2026-09-01", "2026-09-08"], ["2026-09-15"]),
        ("2-8周(双)", ["2026-09-08", "2026-10-20"], ["2026-09-15", "2026-11-03"]),
        ("1、3", ["2026-09-01", "2026-09-15"], ["2026-09-08"]),
        ("每周", ["2026-09-01", "2026-09-08"], ["2026-09-02"]),
    ],
)
def test_weeks_are_counted_from_the_terms_first(weeks: str, on: list[str], off: list[str]) -> None:
    slots = slots_of([sheet("教室,星期,时间,学科,单双周", f"301,周二,8:00-8:45,数学,{weeks}")], TERM).slots
    assert [any(slot.is_on(date.fromisoformat(day)) for slot in slots) for day in on] == [True] * len(on)
    assert [any(slot.is_on(date.fromisoformat(day)) for slot in slots) for day in off] == [False] * len(off)


def test_a_grid_takes_its_hours_from_the_bells(tmp_path: Path) -> None:
    book = Workbook()
    grid = book.active
    assert grid is not None
    grid.title = "301教室"
    grid.append(["八年级1班课程表"])
    grid.append(["节次", "星期一", "星期二", "星期三"])
    grid.append(["第1节", "数学\n王老师", "语文 李老师", "英语（张老师）"])
    grid.append(["第2节", "语文", None, "数学 王老师 b203"])
    grid.merge_cells("B5:C5")
    grid["A5"], grid["B5"] = "第3节", "班会"
    bells = book.create_sheet("作息时间")
    for row in (
        ["节次", "开始时间", "结束时间"],
        [1, time(8), time(8, 45)],
        [2, time(8, 55), time(9, 40)],
        [3, "10:00", "10:45"],
    ):
        bells.append(row)
    book.save(tmp_path / "课表.xlsx")
    found = read_timetable(tmp_path / "课表.xlsx", TERM)
    assert found.faults == []
    told = {(slot.weekday, slot.starts_min): (slot.room, slot.subject, slot.teacher) for slot in found.slots}
    assert told == {
        (0, 480): ("301", "数学", "王老师"),
        (1, 480): ("301", "语文", "李老师"),
        (2, 480): ("301", "英语", "张老师"),
        (0, 535): ("301", "语文", ""),
        (2, 535): ("b203", "数学", "王老师"),
        (0, 600): ("301", "班会", ""),
        (1, 600): ("301", "班会", ""),
    }
    assert {slot.grade for slot in found.slots} == {"八年级1班"}


def test_bells_may_be_a_file_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "作息.csv").write_text(BELLS, encoding="utf-8")
    (slot,) = read(tmp_path / "a.csv", "教室,星期,节次,学科\n301,一,2-3,科学\n", bells=tmp_path / "作息.csv")
    assert (slot.starts_min, slot.ends_min) == (535, 645)


def test_dated_lines_and_kinds_are_read(tmp_path: Path) -> None:
    (slot,) = read(tmp_path / "a.csv", "地点,日期,时间,学科,类型\n301教室,2026年9月3日,下午2:00-2:40,音乐,专递课堂\n")
    assert (slot.first_day, slot.last_day, slot.starts_min) == (date(2026, 9, 3), date(2026, 9, 3), 840)
    assert slot.programme is Programme.DELIVERED


def test_an_end_before_its_start_is_no_afternoon() -> None:
    found = slots_of([sheet("教室,星期,时间,学科", "301,一,下午4:00-3:00,数学")], TERM)
    assert "时间不对" in found.faults[0]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("多媒体教室,一,8:00-8:45,数学", ["第 2 行", "教室代号"]),
        ("301,八,8:00-8:45,数学", ["第 2 行", "星期“八”"]),
        ("301,一,8:70-8:45,数学", ["第 2 行", "没有这样的时间"]),
        ("301,一,9:00-8:45,数学", ["第 2 行", "时间不对"]),
        ("301,一,8:00-8:45,", ["第 2 行", "没有学科"]),
        ("301,一,,数学", ["第 2 行", "没有节次"]),
    ],
)
def test_a_fault_names_its_line_and_what_to_do(line: str, words: list[str]) -> None:
    found = slots_of([sheet("教室,星期,时间,学科", line)], TERM)
    with pytest.raises(Unreadable) as error:
        found.raise_if_faulty("课表.csv")
    assert all(word in error.value.reason_zh for word in words), error.value.reason_zh


def test_a_period_without_a_bell_asks_for_the_bells() -> None:
    found = slots_of([sheet("教室,星期,节次,学科", "301,一,5,数学")], TERM)
    assert "作息时间" in found.faults[0]


ICS = """BEGIN:VCALENDAR
VERSION:2.0
PRODID:test
BEGIN:VEVENT
UID:1
SUMMARY:数学 王老师：勾股定理
LOCATION:301教室
DTSTART;TZID=Asia/Shanghai:20260901T080000
DTEND;TZID=Asia/Shanghai:20260901T084500
RRULE:FREQ=WEEKLY;UNTIL=20260930T155959Z
EXDATE;TZID=Asia/Shanghai:20260908T080000
END:VEVENT
BEGIN:VEVENT
UID:1
RECURRENCE-ID;TZID=Asia/Shanghai:20260915T080000
SUMMARY:数学 王老师
LOCATION:302
DTSTART;TZID=Asia/Shanghai:20260916T090000
DURATION:PT45M
END:VEVENT
BEGIN:VEVENT
UID:2
SUMMARY:英语
LOCATION:301
DTSTART:20260902T000000Z
DTEND:20260902T004500Z
END:VEVENT
BEGIN:VEVENT
UID:3
SUMMARY:国庆放假
DTSTART;VALUE=DATE:20261001
END:VEVENT
END:VCALENDAR
"""


def test_a_calendar_is_unfolded_with_its_exceptions_and_zones(tmp_path: Path) -> None:
    slots = read(tmp_path / "a.ics", ICS)
    told = sorted((slot.first_day.isoformat(), slot.room, slot.starts_min, slot.subject) for slot in slots)
    assert told == [
        ("2026-09-01", "301", 480, "数学"),
        ("2026-09-02", "301", 480, "英语"),  # UTC midnight is eight in the morning
        ("2026-09-16", "302", 540, "数学"),  # moved
        ("2026-09-22", "301", 480, "数学"),
        ("2026-09-29", "301", 480, "数学"),
    ]
    assert {slot.title for slot in slots if slot.room == "301" and slot.subject == "数学"} == {"勾股定理"}


def test_a_calendar_that_never_ends_is_refused_and_not_counted(tmp_path: Path) -> None:
    (tmp_path / "a.ics").write_text(
        ICS.replace("FREQ=WEEKLY;UNTIL=20260930T155959Z", "FREQ=SECONDLY"), encoding="utf-8"
    )
    assert "重复的规则" in read_timetable(tmp_path / "a.ics", TERM).faults[0]


@pytest.mark.parametrize(("name", "data"), [("a.xlsx", b"PK\x03\x04 no"), ("a.xls", b"\xd0\xcf"), ("a.ics", b"hello")])
def test_what_is_no_timetable_is_refused_in_words(tmp_path: Path, name: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(Unreadable):
        read_timetable(tmp_path / name, TERM).raise_if_faulty(name)


CELL = st.none() | st.text(max_size=12) | st.integers() | st.floats(allow_nan=False) | st.datetimes() | st.times()
HEADER = st.lists(
    st.sampled_from(["教室", "星期", "节次", "时间", "学科", "教师", "周次", "日期", "星期一", "星期二"]), max_size=8
)


@given(HEADER, st.lists(st.lists(CELL, max_size=8), max_size=6))
def test_any_cells_become_lessons_or_faults(header: list[str], rows: list[list[object]]) -> None:
    found = slots_of([Sheet("x", (tuple(header), *(tuple(row) for row in rows)))], TERM)  # pyright: ignore[reportArgumentType]
    for slot in found.slots:
        assert 0 <= slot.starts_min < slot.ends_min <= 24 * 60
        assert slot.room
