"""A timetable's file becomes sheets of cells, or, where it is a calendar, slots at once: CSV, XLSX and iCalendar.

openpyxl and icalendar live here. Files come from a person of the school and may be anything: what they unpack to is bounded
before it is unpacked.
"""

import csv
import io
import zipfile
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any, cast
from zoneinfo import ZoneInfo

from dateutil.rrule import rrulestr
from icalendar import Calendar
from openpyxl import load_workbook
from openpyxl.utils.exceptions import InvalidFileException

from archive.errors import Unreadable
from archive.model import Slot
from ingest.sidecar import one_line
from ingest.timetable import Cell, Read, Sheet, Term, bells_of, room_slug, slots_of
from transcribe.decoding import text_of

MAX_BYTES = 20 * 2**20
MAX_UNPACKED_BYTES = 200 * 2**20
MOST_OCCURRENCES = 20_000
_ZONE = ZoneInfo("Asia/Shanghai")  # all of China keeps one time; a calendar in UTC means this wall clock
_FREQUENCIES = {"DAILY", "WEEKLY", "MONTHLY", "YEARLY"}
_LONGEST_AGO_DAYS = 3660  # whoever starts in the year 1 makes us count to today
_FORMS_ZH = "可导入 .csv、.xlsx 或 .ics；.xls 请在 Excel 里另存为 .xlsx。"


def read_timetable(path: Path, term: Term, *, room: str = "", bells: Path | None = None) -> Read:
    """The lessons in a file. Raises Unreadable if it cannot be read at all; what is wrong with single lines is in `faults`."""
    if path.suffix.lower() in (".ics", ".ical"):
        return _calendar(_bytes(path), path.name, term, room)
    known = dict[int, tuple[int, int]]()
    if bells is not None:
        for sheet in sheets_of(bells):
            more, faults = bells_of(sheet)
            if faults:
                raise Unreadable(bells.name, "bad bell schedule", f"作息时间表有误：{'；'.join(faults)}。")
            known |= more
    return slots_of(sheets_of(path), term, room=room, bells=known)


def sheets_of(path: Path) -> list[Sheet]:
    """Raises Unreadable."""
    data, kind = _bytes(path), path.suffix.lower()
    if kind in (".csv", ".txt", ".tsv"):
        return [_csv(data, path.name)]
    if kind in (".xlsx", ".xlsm"):
        return list(_workbook(data, path.name))
    raise Unreadable(path.name, f"not a timetable: {kind}", f"{path.name}：不认识这种文件。{_FORMS_ZH}")


def _bytes(path: Path) -> bytes:
    if path.stat().st_size > MAX_BYTES:
        raise Unreadable(path.name, f"{path.stat().st_size} bytes", f"{path.name} 超过 20 MB，不像是课表。")
    return path.read_bytes()


def _csv(data: bytes, name: str) -> Sheet:
    try:
        text = text_of(data, name)
    except Unreadable as error:
        raise Unreadable(name, error.reason, f"{name} 的文字编码无法识别，请另存为 UTF-8 的 CSV。") from error
    head = text[:4096].splitlines()[:3]
    comma = max(",\t;，", key=lambda mark: sum(line.count(mark) for line in head))
    try:
        rows = [tuple(row) for row in csv.reader(io.StringIO(text), delimiter=comma)]
    except csv.Error as error:
        raise Unreadable(name, f"not CSV: {error}", f"{name} 不是有效的 CSV：{error}。") from error
    return Sheet(name, tuple(rows))


def _workbook(data: bytes, name: str) -> Iterator[Sheet]:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as packed:
            unpacked = sum(entry.file_size for entry in packed.infolist())
        if unpacked > MAX_UNPACKED_BYTES:
            raise Unreadable(name, f"unpacks to {unpacked} bytes", f"{name} 展开后有 {unpacked >> 20} MB，不像是课表。")
        book = load_workbook(io.BytesIO(data), data_only=True)
    except (zipfile.BadZipFile, InvalidFileException, KeyError, ValueError, OSError, TypeError) as error:
        raise Unreadable(
            name, f"not a workbook: {error}", f"{name} 不是能读的 Excel 文件，可能已损坏。{_FORMS_ZH}"
        ) from error
    for sheet in book.worksheets:
        # A merged cell has its value in its first cell alone; in a timetable it means all of them.
        spread = {
            (row, column): sheet.cell(merged.min_row, merged.min_col).value
            for merged in sheet.merged_cells.ranges
            if merged.size["rows"] * merged.size["columns"] <= 10_000
            for row in range(merged.min_row, merged.max_row + 1)
            for column in range(merged.min_col, merged.max_col + 1)
        }
        rows = tuple(
            tuple(cast(Cell, spread.get((r, c), value)) for c, value in enumerate(values, 1))
            for r, values in enumerate(sheet.iter_rows(values_only=True), 1)
        )
        yield Sheet(sheet.title, rows)


def _calendar(data: bytes, name: str, term: Term, room: str) -> Read:
    """Each occurrence of each event within the term is a slot of its own: calendars repeat in ways that tables do not."""
    try:
        calendar = cast(Any, Calendar.from_ical(data))
        events = cast(list[Any], calendar.walk("VEVENT"))
    except (ValueError, IndexError, KeyError) as error:
        raise Unreadable(name, f"not iCalendar: {error}", f"{name} 不是有效的日历文件（.ics）。") from error
    found = Read()
    moved = {(str(event.get("UID")), _wall(event["RECURRENCE-ID"].dt)) for event in events if "RECURRENCE-ID" in event}
    for number, event in enumerate(events, 1):
        where = f"{name} 第 {number} 个事件"
        try:
            found.slots += _event_slots(event, term, room, moved)
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
            found.faults.append(f"{where}（{one_line(str(event.get('SUMMARY', '')), 40)}）：{error}")
        if len(found.slots) > MOST_OCCURRENCES:
            raise Unreadable(name, "too many occurrences", f"{name} 展开后超过 {MOST_OCCURRENCES} 节课，请分学期导入。")
    return found


def _event_slots(event: Any, term: Term, room: str, moved: set[tuple[str, datetime]]) -> list[Slot]:
    if str(event.get("STATUS", "")).upper() == "CANCELLED":
        return []
    told = event.get("DTSTART")
    if told is None or not isinstance(told.dt, datetime):
        return []  # all-day: a holiday, no lesson
    starts = _wall(told.dt)
    ends = _wall(event["DTEND"].dt) if "DTEND" in event else starts + event["DURATION"].dt
    lasts_min = round((ends - starts).total_seconds() / 60)
    if not 0 < lasts_min <= 300:
        raise ValueError(f"一节课有 {lasts_min} 分钟")
    place = room_slug(str(event.get("LOCATION", ""))) or room
    if not place:
        raise ValueError("没有教室：事件的地点应是教室代号，或用 --room")
    words = _words(event)
    uid = str(event.get("UID"))
    slots: list[Slot] = []
    for at in _occurrences(event, starts, term):
        if "RECURRENCE-ID" not in event and (uid, at) in moved:
            continue
        starts_min = at.hour * 60 + at.minute
        ends_min = min(24 * 60, starts_min + lasts_min)
        slots.append(Slot(place, at.date(), at.date(), at.weekday(), starts_min, ends_min, **words))
    return slots


def _occurrences(event: Any, starts: datetime, term: Term) -> Iterator[datetime]:
    since = datetime.combine(term.first_day, datetime.min.time())
    until = datetime.combine(term.last_day, datetime.max.time())
    rule = event.get("RRULE")
    if rule is None or "RECURRENCE-ID" in event:
        if since <= starts <= until:
            yield starts
        return
    if "UNTIL" in rule:  # it is in UTC where the start has a zone; our clocks are naive
        rule["UNTIL"] = [_wall(each) if isinstance(each, datetime) else each for each in rule["UNTIL"]]
    left_out = event.get("EXDATE")
    lists = left_out if isinstance(left_out, list) else [left_out] if left_out is not None else []  # pyright: ignore[reportUnknownVariableType]
    gone = {_wall(each.dt) for one in lists for each in one.dts if isinstance(each.dt, datetime)}  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
    if str(rule.get("FREQ", [""])[0]).upper() not in _FREQUENCIES or abs((starts - since).days) > _LONGEST_AGO_DAYS:
        raise ValueError("重复的规则不像一门课：应按日、周、月或年重复，从十年之内开始")
    repeats = rrulestr(rule.to_ical().decode(), dtstart=starts)
    for at in islice(repeats.xafter(since, inc=True), MOST_OCCURRENCES):
        if at > until:
            return
        if at not in gone:
            yield at


def _words(event: Any) -> dict[str, Any]:
    """SUMMARY is 数学 or 数学 王老师 or 数学：勾股定理; the organizer's name is the teacher where there is one."""
    summary = one_line(str(event.get("SUMMARY", "")), 120)
    subject, _, title = (summary.replace("：", ":") + ":").partition(":")
    pieces = subject.split()
    if not pieces:
        raise ValueError("事件没有名称")
    organizer = event.get("ORGANIZER")
    named = str(organizer.params.get("CN", "")) if organizer is not None else ""
    teacher = " ".join(pieces[1:]) or named
    return {"subject": pieces[0][:40], "teacher": one_line(teacher, 80), "title": title.strip(": ")[:120]}


def _wall(moment: datetime | date) -> datetime:
    """The room's wall clock, naive."""
    if not isinstance(moment, datetime):
        return datetime.combine(moment, datetime.min.time())
    if moment.tzinfo is None:
        return moment
    return moment.astimezone(_ZONE if moment.utcoffset() == timedelta(0) else moment.tzinfo).replace(tzinfo=None)
