"""Years of old files on a shelf: a table names each file and what it is, and all of them go the recorder's way.

The table is checked whole before the first byte goes out. What was sent is noted in a journal beside the table, so that the
same command goes on after a power cut, and a report says of each line what became of it. Old lessons wait behind today's.
"""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

from archive.catalog import Catalog
from archive.errors import HuikanError, Rejected, Unreadable
from archive.keys import SIDECAR_EXTENSIONS, IncomingKey
from archive.store import ObjectStore
from ingest.sidecar import sidecar_of
from ingest.timetable import Cell, Sheet
from ingest.timetable_files import sheets_of

COLUMNS = {
    "file": ("文件", "文件名", "路径", "file", "path"),
    "school": ("学校代号", "学校", "school"),
    "room": ("教室代号", "教室", "room"),
    "at": ("上课时间", "时间", "at", "started_at"),
    "date": ("日期", "上课日期", "date"),
    "clock": ("开始时间", "几点", "clock"),
    "part": ("分段", "第几段", "part"),
    "title": ("课名", "课题", "title"),
    "subject": ("学科", "科目", "subject"),
    "grade": ("年级", "班级", "grade"),
    "teacher": ("教师", "老师", "任课教师", "teacher"),
    "programme": ("类型", "课型", "programme"),
    "language": ("语言", "language"),
    "consent": ("公开许可", "公开", "consent"),
    "view": ("画面", "view"),
}
_NAME_OF = {word: name for name, words in COLUMNS.items() for word in words}
_SAID = ("title", "subject", "grade", "teacher", "programme", "language", "view")
_CONSENT = {"是": True, "同意": True, "true": True, "1": True, "否": False, "不同意": False, "false": False, "0": False}
_MOMENTS = (
    "%Y-%m-%d %H:%M",
    "%Y-%m-%dT%H:%M",
    "%Y-%m-%d %H:%M:%S",
    "%Y-%m-%dT%H:%M:%S",
    "%Y/%m/%d %H:%M",
    "%Y年%m月%d日 %H:%M",
)
MOST_LINES = 50_000


@dataclass(frozen=True, slots=True)
class Item:
    """One file of the shelf: where it lies, the key it goes to, and what its sidecar will say."""

    line: int
    path: Path
    key: str
    size_bytes: int
    said: dict[str, Any]

    @property
    def stem(self) -> str:
        return self.key.rpartition(".")[0]


@dataclass(slots=True)
class Plan:
    """A table that was read. `faults` name their lines; nothing is sent while there are any."""

    items: list[Item] = field(default_factory=list[Item])
    faults: list[str] = field(default_factory=list[str])

    @property
    def size_bytes(self) -> int:
        return sum(item.size_bytes for item in self.items)


class Journal:
    """What was sent: one line of JSON each, beside the table. A half-written last line is a line that was not written."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._sent: dict[str, tuple[str, int]] = {}
        if path.exists():
            for line in path.read_text(encoding="utf-8").splitlines():
                try:
                    one = json.loads(line)
                    self._sent[one["key"]] = (one["file"], one["size_bytes"])
                except (ValueError, KeyError, TypeError):
                    continue

    def has(self, item: Item) -> bool:
        return self._sent.get(item.key) == (str(item.path), item.size_bytes)

    def note(self, item: Item) -> None:
        one = {"key": item.key, "file": str(item.path), "size_bytes": item.size_bytes}
        torn = self._path.exists() and not self._path.read_bytes().endswith(b"\n") and self._path.stat().st_size
        with self._path.open("a", encoding="utf-8") as journal:
            journal.write(("\n" if torn else "") + json.dumps(one, ensure_ascii=False) + "\n")
        self._sent[item.key] = (str(item.path), item.size_bytes)


@dataclass(frozen=True, slots=True)
class Line:
    """What became of a line of the table. `state` is waiting, sent, taken, published or refused."""

    item: Item
    state: str
    lesson_id: str = ""
    reason_zh: str = ""


def plan(table: Path, root: Path, *, school: str = "") -> Plan:
    """Reads and checks the whole table. Paths are taken from `root`. Raises Unreadable if it is no table of ours."""
    found = Plan()
    for sheet in sheets_of(table):
        _read(sheet, root, school, found)
    if not found.items and not found.faults:
        raise Unreadable(
            table.name, "no lines", f"{table.name} 里没有录像。第一行应是表头，例如：文件,教室代号,上课时间,课名。"
        )
    keys: dict[str, int] = {}
    for item in found.items:
        first = keys.setdefault(item.key, item.line)
        if first != item.line:
            found.faults.append(f"第 {item.line} 行：与第 {first} 行同一教室、同一时间；一节课的几段请写“分段”")
    return found


def send(
    items: Sequence[Item],
    store: ObjectStore,
    bucket: str,
    journal: Journal,
    *,
    marked: Callable[[str], dict[str, str]],
    has_room: Callable[[], bool],
    wait: Callable[[], None],
) -> Iterator[tuple[Item, str]]:
    """Yields each item with "sent", "there" (it was sent before) or what went wrong. Sidecars first, so that a lesson is named
    from the start. `marked` gives the metadata that says of a key's object who put it. `has_room` says whether the pipeline
    can take one more now; else `wait` is called."""
    for item in items:
        if journal.has(item):
            yield item, "there"
            continue
        while not has_room():
            wait()
        try:
            _send(item, store, bucket, marked)
        except HuikanError as error:
            yield item, error.reason_zh
            continue
        except OSError as error:
            yield item, f"读不了：{error.strerror}"
            continue
        journal.note(item)
        yield item, "sent"


def report(items: Sequence[Item], journal: Journal, catalog: Catalog) -> Iterator[Line]:
    """What became of each line, by what the catalog knows now."""
    refusals = {refusal.key: refusal.reason_zh for refusal in catalog.arrivals.refused(limit=MOST_LINES)}
    for item in items:
        recording = catalog.outputs.of_stem(item.stem)
        if recording is not None and recording.refusal is None:
            lesson = catalog.lessons.get(recording.lesson_id)
            yield Line(item, "published" if lesson.published_at else "taken", lesson.id)
        elif item.key in refusals:
            yield Line(item, "refused", reason_zh=refusals[item.key])
        else:
            yield Line(item, "sent" if journal.has(item) else "waiting")


def _send(item: Item, store: ObjectStore, bucket: str, marked: Callable[[str], dict[str, str]]) -> None:
    words = json.dumps(item.said, ensure_ascii=False).encode()
    store.put_bytes(bucket, f"{item.stem}.json", words, "application/json")
    for extension in sorted(SIDECAR_EXTENSIONS - {"json"}):
        beside = item.path.with_suffix(f".{extension}")
        if beside.is_file():
            store.put_file(bucket, f"{item.stem}.{extension}", beside)
    there = store.stat(bucket, item.key)
    if there is None or there.size_bytes != item.size_bytes:  # else it was sent, and the journal's line was lost
        store.put_file(bucket, item.key, item.path, metadata=marked(item.key))


def _read(sheet: Sheet, root: Path, school: str, found: Plan) -> None:
    if len(sheet.rows) > MOST_LINES:
        raise Unreadable(sheet.name, f"{len(sheet.rows)} lines", f"{sheet.name} 超过 {MOST_LINES} 行，请分几份。")
    if not sheet.rows:
        return
    columns = {_NAME_OF[word]: at for at, cell in enumerate(sheet.rows[0]) if (word := _text(cell).lower()) in _NAME_OF}
    if "file" not in columns:
        found.faults.append(f"{sheet.name}：没有认出表头，至少要有 文件、教室代号、上课时间")
        return
    for number, row in enumerate(sheet.rows[1:], sheet.first_row + 1):
        cells = {name: row[at] if at < len(row) else None for name, at in columns.items()}
        if not any(_text(cell) for cell in cells.values()):
            continue
        try:
            found.items.append(_item(number, cells, root, school))
        except (Rejected, ValueError) as error:
            said = error.reason_zh if isinstance(error, Rejected) else str(error)
            found.faults.append(f"第 {number} 行：{said}")


def _item(number: int, cells: dict[str, Cell], root: Path, school: str) -> Item:
    path = root / _text(cells.get("file"))
    if not path.is_file():
        raise ValueError(f"没有这个文件：{path}")
    part = _text(cells.get("part"))
    if part and not re.fullmatch(r"[1-9]\d{0,2}", part):
        raise ValueError(f"分段“{part}”应是 1、2、3……")
    started_at = _moment(cells)
    extension = path.suffix.lower().lstrip(".")
    suffix = f"-{part}" if part else ""
    key = f"{_text(cells.get('school')) or school}/{_text(cells.get('room'))}/{started_at:%Y%m%dT%H%M%S}{suffix}.{extension}"
    if not IncomingKey.parse(key).is_media:
        raise ValueError(f"{path.name} 不是录像")
    said: dict[str, Any] = {name: _text(cells.get(name)) for name in _SAID if _text(cells.get(name))}
    consent = _text(cells.get("consent")).lower()
    if consent:
        if consent not in _CONSENT:
            raise ValueError(f"公开许可“{consent}”应是 是 或 否")
        said["consent"] = _CONSENT[consent]
    sidecar_of(said, f"第 {number} 行")
    size_bytes = path.stat().st_size
    if size_bytes == 0:
        raise ValueError(f"{path.name} 是空文件")
    return Item(number, path, key, size_bytes, said)


def _moment(cells: dict[str, Cell]) -> datetime:
    told = cells.get("at")
    if isinstance(told, datetime):
        return told
    text = _text(told)
    if not text:
        day, clock = cells.get("date"), cells.get("clock")
        day_text = f"{day:%Y-%m-%d}" if isinstance(day, date) else _text(day)
        text = f"{day_text} {f'{clock:%H:%M}' if isinstance(clock, time) else _text(clock)}".strip()
    for form in _MOMENTS:
        try:
            return datetime.strptime(text.replace("：", ":"), form)  # noqa: DTZ007 — a room's wall clock
        except ValueError:
            continue
    raise ValueError(f"上课时间“{text}”读不懂，应如 2026-09-01 08:00")


def _text(cell: Cell) -> str:
    if cell is None:
        return ""
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell).strip()
