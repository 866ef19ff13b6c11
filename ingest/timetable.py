"""A school's timetable, read from the tables that schools export. Pure: rows of cells in, entries or faults out.

Two forms are known. A list has a header and one lesson a line; a grid has the weekdays across and the periods down, one
class or room a sheet. Headers are Chinese (or English), in any order; what a column is called in the wild is in HEADERS.
Periods (第 3 节) get their hours from a bell schedule: a sheet 作息时间 beside, or a file of its own.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import Any

from archive.errors import Unreadable
from archive.keys import is_slug
from archive.model import Programme, Slot
from ingest.sidecar import one_line

HEADERS = {
    "room": ("教室代号", "教室编号", "教室", "上课教室", "上课地点", "地点", "场地", "room", "location"),
    "grade": ("班级", "年级", "年级班级", "授课班级", "上课班级", "grade", "class"),
    "subject": ("学科", "科目", "课程", "课程名称", "课程名", "subject"),
    "teacher": ("教师", "任课教师", "任课老师", "老师", "授课教师", "主讲教师", "主讲", "教师姓名", "teacher"),
    "title": ("课题", "课名", "课题名称", "授课内容", "内容", "title"),
    "weekday": ("星期", "周几", "星期几", "weekday"),
    "date": ("日期", "上课日期", "date"),
    "period": ("节次", "节", "课节", "第几节", "period"),
    "time": ("时间", "时间段", "上课时间", "上下课时间", "time"),
    "start": ("开始时间", "起始时间", "开始", "上课", "start"),
    "end": ("结束时间", "下课时间", "结束", "下课", "end"),
    "weeks": ("单双周", "周次", "weeks"),
    "programme": ("类型", "课型", "课的类型", "programme"),
}
BELLS = ("作息", "作息时间", "作息时间表", "作息表", "bells")
MOST_ROWS = 20_000
_FAULTS_SHOWN = 20
_LONGEST_MIN = 300
_FIELD_OF = {word: name for name, words in HEADERS.items() for word in words}
_WEEKDAYS = {
    word: day
    for day, words in enumerate(
        (("一", "1", "mon", "monday"), ("二", "2", "tue", "tuesday"), ("三", "3", "wed", "wednesday"),
         ("四", "4", "thu", "thursday"), ("五", "5", "fri", "friday"), ("六", "6", "sat", "saturday"),
         ("日", "天", "7", "sun", "sunday"))
    )
    for word in words
}  # fmt: skip
_DIGITS = dict(zip("零一二三四五六七八九十", range(11), strict=True))
_CLOCK = re.compile(
    r"(上午|下午|晚上|am|pm)?\s*(\d{1,2})\s*[:：时点.]\s*(\d{1,2})?\s*分?(?:[:：]\d{1,2})?\s*(am|pm)?", re.IGNORECASE
)
_DATE = re.compile(r"(\d{4})\s*[-/.年]\s*(\d{1,2})\s*[-/.月]\s*(\d{1,2})\s*日?")
_WEEKS = re.compile(
    r"(?:第?\s*(\d{1,2})\s*(?:[-–—~至]\s*(\d{1,2}))?\s*周?)?\s*[（(\[]?\s*(单|双|odd|even)?\s*周?\s*[）)\]]?",
    re.IGNORECASE,
)
_ROOM_IN = re.compile(r"[A-Za-z]?\d{2,5}(?:-\d{1,3})?|[a-z0-9][a-z0-9-]{1,38}[a-z0-9]")
_PROGRAMMES = {word: programme for programme in Programme for word in (programme.value, programme.zh)}

Cell = str | int | float | date | datetime | time | None
Row = Sequence[Cell]


@dataclass(frozen=True, slots=True)
class Sheet:
    """A table as it was read. `first_row` is what people call its first row, for errors."""

    name: str
    rows: tuple[Row, ...]
    first_row: int = 1


@dataclass(frozen=True, slots=True)
class Term:
    """From when to when a weekly timetable holds. Week 1 is the one that `first_day` lies in."""

    first_day: date
    last_day: date

    def __post_init__(self) -> None:
        if not self.first_day <= self.last_day:
            raise ValueError(f"not a term: {self.first_day}..{self.last_day}")

    def week(self, number: int) -> date:
        """The Monday of a week of the term, counted from 1."""
        return self.first_day - timedelta(days=self.first_day.weekday()) + timedelta(weeks=number - 1)


@dataclass(slots=True)
class Read:
    """What came of a file. `faults` are for the person who made it, each with sheet and row."""

    slots: list[Slot] = field(default_factory=list[Slot])
    faults: list[str] = field(default_factory=list[str])

    def raise_if_faulty(self, name: str) -> None:
        """Raises Unreadable: a timetable is taken whole or not at all."""
        if self.faults:
            shown = "；".join(self.faults[:_FAULTS_SHOWN])
            more = f"；还有 {len(self.faults) - _FAULTS_SHOWN} 处" if len(self.faults) > _FAULTS_SHOWN else ""
            raise Unreadable(name, f"{len(self.faults)} faults", f"课表 {name} 没有导入，请改正：{shown}{more}。")
        if not self.slots:
            zh = f"课表 {name} 里没有找到课。第一行应是表头，例如：教室代号,星期,节次,学科,教师。"
            raise Unreadable(name, "no lessons", zh)


class _Fault(ValueError):
    """What is wrong with one cell, in the words of the person who filled it in."""


def slots_of(
    sheets: Iterable[Sheet], term: Term, *, room: str = "", bells: Mapping[int, tuple[int, int]] | None = None
) -> Read:
    """The lessons of all sheets. `room` is for tables that name none; `bells` are added to those of a 作息 sheet."""
    found, known = Read(), dict(bells or {})
    tables: list[Sheet] = []
    for sheet in sheets:
        if sheet.name.strip() in BELLS:
            known |= _bells(sheet, found)
        else:
            tables.append(sheet)
    for sheet in tables:
        _Table(sheet, term, room, known, found).read()
    return found


def bells_of(sheet: Sheet) -> tuple[dict[int, tuple[int, int]], list[str]]:
    """Period → minutes of the day from and to; and faults."""
    found = Read()
    return _bells(sheet, found), found.faults


def _bells(sheet: Sheet, found: Read) -> dict[int, tuple[int, int]]:
    header = _header(sheet)
    if header is None or "period" not in header[1]:
        found.faults.append(f"{sheet.name}：作息时间表应有表头 节次,开始时间,结束时间")
        return {}
    at, columns = header
    bells: dict[int, tuple[int, int]] = {}
    for number, row in enumerate(sheet.rows[at + 1 :], sheet.first_row + at + 1):
        cells = {name: row[column] for name, column in columns.items() if column < len(row)}
        if _blank(cells.get("period")):
            continue
        try:
            (period,) = _periods(cells["period"]) or (0,)
            bells[period] = _hours(cells, {})
        except (_Fault, ValueError) as error:
            found.faults.append(f"{sheet.name} 第 {number} 行：{error}")
    return bells


@dataclass(slots=True)
class _Table:
    """One sheet being read."""

    sheet: Sheet
    term: Term
    room: str
    bells: Mapping[int, tuple[int, int]]
    found: Read

    def read(self) -> None:
        if len(self.sheet.rows) > MOST_ROWS:
            self.found.faults.append(f"{self.sheet.name}：超过 {MOST_ROWS} 行，请分学期导入")
            return
        grid = _grid(self.sheet)
        if grid is not None:
            self._read_grid(*grid)
            return
        header = _header(self.sheet)
        if header is None:
            if any(not _blank(cell) for row in self.sheet.rows for cell in row):
                self.found.faults.append(
                    f"{self.sheet.name}：没有认出表头，应有 教室代号、星期（或日期）、节次（或时间）、学科、教师"
                )
            return
        at, columns = header
        last: dict[str, Cell] = {}
        for number, row in enumerate(self.sheet.rows[at + 1 :], self.sheet.first_row + at + 1):
            if all(_blank(cell) for cell in row):
                continue
            cells = {name: row[column] if column < len(row) else None for name, column in columns.items()}
            # Merged cells are exported as one value and blanks under it.
            for name in ("room", "weekday", "date", "grade"):
                if name in cells and _blank(cells[name]):
                    cells[name] = last.get(name)
            last = cells
            self._take(f"{self.sheet.name} 第 {number} 行", cells)

    def _read_grid(self, at: int, days: Mapping[int, int]) -> None:
        """Weekdays across: `days` says which column is which."""
        first_day_column = min(days)
        title = " ".join(_text(cell) for row in self.sheet.rows[:at] for cell in row)
        room = self.room or room_slug(self.sheet.name) or room_slug(title)
        grade = re.search(r"[一二三四五六七八九高初]{1,2}年级?\s*[（(]?\d{0,2}[)）]?班?", f"{self.sheet.name} {title}")
        for number, row in enumerate(self.sheet.rows[at + 1 :], self.sheet.first_row + at + 1):
            head = [_text(cell) for cell in row[:first_day_column] if not _blank(cell)]
            period = next((text for text in head if _is_period(text)), "")
            clock = next((text for text in head if len(_CLOCK.findall(text)) > 1), "")
            for column, weekday in days.items():
                text = _text(row[column]) if column < len(row) else ""
                if not text or not (period or clock):
                    continue
                cells: dict[str, Cell] = {"weekday": "一二三四五六日"[weekday], "period": period, "time": clock}
                cells |= _grid_cell(text)
                cells.setdefault("room", room)
                cells.setdefault("grade", grade[0].strip() if grade else "")
                self._take(f"{self.sheet.name} 第 {number} 行（周{'一二三四五六日'[weekday]}）", cells)

    def _take(self, where: str, cells: dict[str, Cell]) -> None:
        try:
            self.found.slots += _slots(cells, self.term, self.room, self.bells)
        except _Fault as error:
            self.found.faults.append(f"{where}：{error}")


def _slots(cells: Mapping[str, Cell], term: Term, room: str, bells: Mapping[int, tuple[int, int]]) -> list[Slot]:
    starts_min, ends_min = _hours(cells, bells)
    when = _days(cells, term)
    words: dict[str, Any] = {name: one_line(_text(cells.get(name)), limit) for name, limit in
             (("title", 120), ("subject", 40), ("grade", 40), ("teacher", 80))}  # fmt: skip
    if not words["subject"] and not words["title"]:
        raise _Fault("没有学科，也没有课题")
    kind = _text(cells.get("programme"))
    if kind and kind not in _PROGRAMMES:
        raise _Fault(f"类型“{kind}”不认识，可用：{'、'.join(_PROGRAMMES)}")
    place = _room(_text(cells.get("room")), room)
    return [
        Slot(
            room=place,
            first_day=first,
            last_day=last,
            weekday=weekday,
            every_weeks=every,
            starts_min=starts_min,
            ends_min=ends_min,
            programme=_PROGRAMMES[kind] if kind else Programme.LIVE,
            **words,
        )
        for first, last, weekday, every in when
    ]


def _days(cells: Mapping[str, Cell], term: Term) -> list[tuple[date, date, int, int]]:
    """First day, last day, weekday, and every how many weeks from the first day's on."""
    told = cells.get("date")
    if not _blank(told):
        day = _date(told)
        return [(day, day, day.weekday(), 1)]
    weekday = _weekday(_text(cells.get("weekday")))
    spans: list[tuple[date, date, int, int]] = []
    for first_week, last_week, parity in _weeks(_text(cells.get("weeks"))):
        first, last, every = term.first_day, term.last_day, 1
        if first_week:
            first = max(first, term.week(first_week))
            last = min(last, term.week(last_week) + timedelta(days=6))
        if parity:
            every = 2
            number = (first - term.week(1)).days // 7 + 1
            if (number % 2 == 1) != (parity == "odd"):
                first = term.week(number + 1)
        if first <= last:
            spans.append((first, last, weekday, every))
    if not spans:
        raise _Fault(f"周次“{_text(cells.get('weeks'))}”不在学期 {term.first_day} 至 {term.last_day} 内")
    return spans


def _weeks(text: str) -> list[tuple[int, int, str]]:
    if not text or text in ("每周", "全", "全周"):
        return [(0, 0, "")]
    spans: list[tuple[int, int, str]] = []
    for piece in re.split(r"[,，、;；]", text):
        found = _WEEKS.fullmatch(piece.strip())
        if found is None or not any(found.groups()):
            raise _Fault(f"周次“{text}”读不懂，应如 1-16、单周、1-15单周")
        first = int(found[1] or 0)
        parity = {"单": "odd", "odd": "odd", "双": "even", "even": "even"}.get((found[3] or "").lower(), "")
        spans.append((first, int(found[2] or first), parity))
    return spans


def _hours(cells: Mapping[str, Cell], bells: Mapping[int, tuple[int, int]]) -> tuple[int, int]:
    """Minutes of the day from and to."""
    told = _text(cells.get("time"))
    clocks = [_minutes(found) for found in _CLOCK.finditer(told)]
    if len(clocks) == 2:
        starts, ends = clocks
        if ends <= starts < ends + 12 * 60 <= starts + _LONGEST_MIN:  # 下午2:00-2:40 says it once for both
            ends += 12 * 60
    elif not _blank(cells.get("start")) and not _blank(cells.get("end")):
        starts, ends = _clock(cells["start"]), _clock(cells["end"])
    else:
        periods = _periods(cells.get("period"))
        if not periods:
            raise _Fault("没有节次，也没有开始与结束时间")
        missing = [number for number in periods if number not in bells]
        if missing:
            raise _Fault(
                f"不知道第 {missing[0]} 节是几点：请加一张“作息时间”表（节次,开始时间,结束时间），或用 --bells"
            )
        starts, ends = bells[periods[0]][0], bells[periods[-1]][1]
    if not starts < ends <= 24 * 60:
        raise _Fault(f"时间不对：{starts // 60}:{starts % 60:02d} 到 {ends // 60}:{ends % 60:02d}")
    if ends - starts > _LONGEST_MIN:
        raise _Fault(f"一节课有 {ends - starts} 分钟，太长了")
    return starts, ends


def _clock(cell: Cell) -> int:
    if isinstance(cell, datetime | time):
        return cell.hour * 60 + cell.minute
    if isinstance(cell, float) and 0 <= cell < 1:  # a spreadsheet's time: a fraction of a day
        return round(cell * 24 * 60)
    found = _CLOCK.fullmatch(_text(cell))
    if found is None:
        raise _Fault(f"时间“{_text(cell)}”读不懂，应如 8:00")
    return _minutes(found)


def _minutes(found: "re.Match[str]") -> int:
    half = (found[1] or found[4] or "").lower()
    hour, minute = int(found[2]), int(found[3] or 0)
    if half in ("下午", "晚上", "pm") and hour < 12:
        hour += 12
    if hour > 23 or minute > 59:
        raise _Fault(f"没有这样的时间：{found[0].strip()}")
    return hour * 60 + minute


def _date(cell: Cell) -> date:
    if isinstance(cell, datetime):
        return cell.date()
    if isinstance(cell, date):
        return cell
    text = _text(cell)
    found = _DATE.fullmatch(text) or re.fullmatch(r"(\d{4})(\d{2})(\d{2})", text)
    try:
        if found is not None:
            return date(int(found[1]), int(found[2]), int(found[3]))
    except ValueError:
        pass
    raise _Fault(f"日期“{text}”读不懂，应如 2026-09-01")


def _weekday(text: str) -> int:
    plain = re.sub(r"^(星期|周|礼拜)", "", text.strip().lower())
    if plain not in _WEEKDAYS:
        raise _Fault(f"星期“{text}”读不懂，应如 星期一" if text else "没有星期，也没有日期")
    return _WEEKDAYS[plain]


def _periods(cell: Cell) -> list[int]:
    """第3节, 3, 第一、二节, 3-4节: in order."""
    text = _text(cell)
    plain = re.sub(r"[第节课上下午晚\s]", "", text)
    span = re.fullmatch(r"(\w{1,3})[-–—~至](\w{1,3})", plain)
    pieces = [span[1], span[2]] if span else [piece for piece in re.split(r"[,，、]", plain) if piece]
    numbers = [_number(piece) for piece in pieces]
    if any(number is None for number in numbers):
        raise _Fault(f"节次“{text}”读不懂，应如 第3节")
    known = [number for number in numbers if number is not None]
    return list(range(known[0], known[1] + 1)) if span else sorted(known)


def _is_period(text: str) -> bool:
    try:
        return bool(_periods(text))
    except _Fault:
        return False


def _number(text: str) -> int | None:
    if text.isascii() and text.isdigit():
        return int(text)
    if not text or any(c not in _DIGITS for c in text):
        return None
    if "十" in text:
        tens, _, ones = text.partition("十")
        return (_DIGITS[tens] if tens else 1) * 10 + (_DIGITS[ones] if ones else 0)
    return _DIGITS[text] if len(text) == 1 else None


def _room(text: str, otherwise: str) -> str:
    found = room_slug(text) or ("" if text else otherwise)
    if not found:
        told = f"教室“{text}”不是教室代号" if text else "没有教室"
        raise _Fault(f"{told}：请加一列“教室代号”（小写字母、数字与连字符，如 301），与录播主机的目录一致，或用 --room")
    return found


def room_slug(text: str) -> str:
    """The room's slug, where there is exactly one in the words: 301教室, 综合楼 b203."""
    plain = text.strip().lower()
    if is_slug(plain):
        return plain
    found = [each for each in _ROOM_IN.findall(plain.replace("年级", "年级 ")) if is_slug(each)]
    return found[0] if len(found) == 1 and "班" not in plain else ""


def _header(sheet: Sheet) -> tuple[int, dict[str, int]] | None:
    """Which row it is, and the column of each field. Titles may stand above it."""
    for at, row in enumerate(sheet.rows[:10]):
        names = [_FIELD_OF.get(re.sub(r"[\s*（(].*$", "", _text(cell)).lower()) for cell in row]
        columns: dict[str, int] = {}
        for wanted in HEADERS:
            choices = [column for column, name in enumerate(names) if name == wanted]
            if choices:  # 教室代号 before 教室, as HEADERS has them
                words = HEADERS[wanted]
                columns[wanted] = min(choices, key=lambda column: words.index(_bare(row[column])))
        if len(columns) >= 3:
            return at, columns
    return None


def _bare(cell: Cell) -> str:
    return re.sub(r"[\s*（(].*$", "", _text(cell)).lower()


def _grid(sheet: Sheet) -> tuple[int, dict[int, int]] | None:
    for at, row in enumerate(sheet.rows[:10]):
        days: dict[int, int] = {}
        for column, cell in enumerate(row):
            if re.fullmatch(
                r"(星期|周|礼拜)[一二三四五六日天]|mon\w*|tue\w*|wed\w*|thu\w*|fri\w*|sat\w*|sun\w*",
                _text(cell).lower(),
            ):
                days[column] = _weekday(_text(cell))
        if len(days) >= 2 and min(days) >= 1:
            return at, days
    return None


def _grid_cell(text: str) -> dict[str, Cell]:
    """数学 / 王老师 / 301, by lines, blanks or brackets; the first is the subject."""
    pieces = [piece for piece in re.split(r"[\s/|（()）,，;；]+", text) if piece]
    told: dict[str, Cell] = {"subject": pieces[0]}
    for piece in pieces[1:]:
        if _ROOM_IN.search(piece.lower()) and room_slug(piece):
            told["room"] = room_slug(piece)
        elif piece in ("单周", "双周", "单", "双"):
            told["weeks"] = piece
        else:
            told.setdefault("teacher", piece)
    return told


def _text(cell: Cell) -> str:
    if cell is None:
        return ""
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))  # spreadsheets know no other numbers: 301.0
    if isinstance(cell, datetime | date):
        return cell.isoformat()
    if isinstance(cell, time):
        return f"{cell:%H:%M}"
    return str(cell).strip()


def _blank(cell: Cell) -> bool:
    return _text(cell) == ""
