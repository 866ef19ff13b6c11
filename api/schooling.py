"""`huikan timetable`, `huikan placing` and `huikan sidecar`: what a school says of its lessons, from the command line."""

import json
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from archive.catalog import Catalog
from archive.errors import HuikanError, Rejected, Unreadable
from archive.model import Placement, Programme, Sidecar

if TYPE_CHECKING:
    from ingest.bulk import Plan

timetables = typer.Typer(help="课表：导入、查看、退回，以及各教室录播主机的时钟。", no_args_is_help=True)
placing = typer.Typer(help="对不上课表的录像：看、认领、改名。", no_args_is_help=True)
bulk = typer.Typer(help="成批补录：按一张清单上传多年的旧录像。", no_args_is_help=True)
sidecars = typer.Typer(help="随录像的说明文件（.json）：检查与格式。", no_args_is_help=True)
out = Console()

_WEEK = "一二三四五六日"
_SHOWN = 12
_FAULTS = 50
_STATES_ZH = {"waiting": "等上传", "sent": "已上传", "taken": "处理中", "published": "已成课", "refused": "被退回"}
Table_ = Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="清单：.csv 或 .xlsx，第一行是表头。")]
Root = Annotated[Path | None, typer.Option(exists=True, file_okay=False, help="文件所在的目录；默认是清单所在的目录。")]
School = Annotated[str, typer.Option(help="学校代号。")]
RecordingId = Annotated[str, typer.Argument(help="录像编号，placing list 所列；写开头几位就行。")]


def _say(text: str) -> None:
    out.print(text, markup=False, highlight=False, soft_wrap=True)


@timetables.command("import")
def timetable_import(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help=".csv、.xlsx 或 .ics。")],
    school: School,
    first_day: Annotated[datetime, typer.Option("--from", formats=["%Y-%m-%d"], help="从哪一天起有效（学期第一天）。")],
    last_day: Annotated[datetime, typer.Option("--until", formats=["%Y-%m-%d"], help="到哪一天为止。")],
    room: Annotated[str, typer.Option(help="表里没有写教室时用它。")] = "",
    bells: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="作息时间表：节次,开始时间,结束时间。")
    ] = None,
    add: Annotated[bool, typer.Option("--add", help="在原有课表之外加课，不代替。")] = False,  # noqa: FBT002 — typer's way
    dry_run: Annotated[bool, typer.Option("--dry-run", help="只检查并列出会导入什么。")] = False,  # noqa: FBT002
) -> None:
    """导入一份课表；有一处读不懂就整份不导入，并指出是哪一行。导入后，对不上的录像会重新对一遍。"""
    from api.cli import catalog_of, settings
    from archive.keys import is_slug
    from ingest import placing as places
    from ingest.timetable import Term
    from ingest.timetable_files import read_timetable

    if not is_slug(school):
        raise typer.BadParameter("应是小写字母、数字与连字符", param_hint="--school")
    if first_day > last_day:
        raise typer.BadParameter("比 --from 早", param_hint="--until")
    term = Term(first_day.date(), last_day.date())
    read = read_timetable(file, term, room=room, bells=bells)
    read.raise_if_faulty(file.name)
    table = Table("教室", "星期", "时间", "学科", "班级", "教师", "课题", "有效")
    for slot in read.slots[:_SHOWN]:
        hours = f"{slot.starts_min // 60}:{slot.starts_min % 60:02d}–{slot.ends_min // 60}:{slot.ends_min % 60:02d}"
        every = "" if slot.every_weeks == 1 else "（隔周）"
        days = str(slot.first_day) if slot.first_day == slot.last_day else f"{slot.first_day} 至 {slot.last_day}{every}"
        table.add_row(slot.room, _WEEK[slot.weekday], hours, slot.subject, slot.grade, slot.teacher, slot.title, days)
    out.print(table)
    rooms = sorted({slot.room for slot in read.slots})
    rest = "" if len(read.slots) <= _SHOWN else "（只列出前几条）"
    _say(f"{file.name}：{len(read.slots)} 条，教室 {'、'.join(rooms)}{rest}")
    if dry_run:
        _say("只是检查，没有导入。")
        return
    with catalog_of(settings()) as catalog:
        catalog.timetables.keep(
            school, file.name, read.slots, first_day=term.first_day, last_day=term.last_day, is_addition=add
        )
        again = places.place_again(catalog, school, rooms)
        waiting = catalog.placements.count_unmatched()
    _say(f"已导入；重新对了 {again} 个录像，还有 {waiting} 个对不上（huikan placing list）。")


@timetables.command("list")
def timetable_list(school: Annotated[str, typer.Argument(help="学校代号；不给则全部。")] = "") -> None:
    """列出导入过的课表，新的在前。"""
    from api.cli import catalog_of, settings

    table = Table("编号", "学校", "文件", "教室", "有效", "导入", "")
    with catalog_of(settings()) as catalog:
        for each in catalog.timetables.imports(school):
            mark = "已退回" if each.undone_at else ("加课" if each.is_addition else "")
            days = f"{each.first_day} 至 {each.last_day}"
            rooms = "、".join(each.rooms)
            table.add_row(str(each.id), each.school, each.file, rooms, days, f"{each.made_at:%Y-%m-%d %H:%M}", mark)
    out.print(table)


@timetables.command("undo")
def timetable_undo(school: Annotated[str, typer.Argument(help="学校代号。")]) -> None:
    """退回最近一次导入，原来的课表重新有效。"""
    from api.cli import catalog_of, settings
    from ingest import placing as places

    with catalog_of(settings()) as catalog:
        gone = catalog.timetables.undo(school)
        places.place_again(catalog, school, gone.rooms)
    _say(f"已退回 {gone.file}")


@timetables.command("day")
def timetable_day(
    school: Annotated[str, typer.Argument(help="学校代号。")],
    room: Annotated[str, typer.Argument(help="教室代号。")],
    day: Annotated[datetime, typer.Argument(formats=["%Y-%m-%d"], help="哪一天。")],
) -> None:
    """看一间教室一天的课。"""
    from api.cli import catalog_of, settings

    with catalog_of(settings()) as catalog:
        for slot in catalog.timetables.on(school, room, day.date()):
            told = " ".join(word for word in (slot.subject, slot.grade, slot.teacher, slot.title) if word)
            _say(f"{slot.starts_at(day.date()):%H:%M}–{slot.ends_at(day.date()):%H:%M}  {told}")


@timetables.command("clock")
def timetable_clock(
    school: Annotated[str, typer.Argument(help="学校代号；不给则列出全部。")] = "",
    room: Annotated[str, typer.Argument(help="教室代号。")] = "",
    ahead_s: Annotated[float | None, typer.Option("--ahead", help="录播主机的时钟快多少秒；慢写负数，准写 0。")] = None,
) -> None:
    """看或改各教室录播主机的时钟偏差；改后这间教室的录像重新对课表。"""
    from api.cli import catalog_of, settings
    from ingest import placing as places

    with catalog_of(settings()) as catalog:
        if ahead_s is not None and school and room:
            catalog.timetables.note_clock(school, room, round(ahead_s * 1000), "operator")
            _say(f"重新对了 {places.place_again(catalog, school, [room])} 个录像")
        for known in catalog.timetables.clocks():
            _say(
                f"{known[0]}/{known[1]}  快 {known[2] / 1000:g} 秒（{'录播主机自测' if known[3] == 'recorder' else '人工'}）"
            )


@placing.command("list")
def placing_list(as_json: Annotated[bool, typer.Option("--json", help="以 JSON 输出。")] = False) -> None:  # noqa: FBT002
    """列出对不上课表的录像、原因，以及当天这间教室的课。"""
    from api.cli import catalog_of, settings
    from ingest import placing as places

    with catalog_of(settings()) as catalog:
        waiting = places.queue(catalog)
    if as_json:
        rows = [{"key": one.recording.key, **asdict(one.placement), "school": one.school} for one in waiting]
        typer.echo(json.dumps(rows, ensure_ascii=False, default=str))
        return
    for one in waiting:
        _say(f"{one.recording.id[:12]}  {one.recording.key}  {one.placement.reason_zh}")
        for found in one.suggestions:
            told = " ".join(word for word in (found.slot.subject, found.slot.grade, found.slot.teacher) if word)
            _say(f"    {found.starts_at:%Y-%m-%dT%H:%M}  {told}")
    _say(f"{len(waiting)} 个录像等人认领")


@placing.command("assign")
def placing_assign(
    recording: RecordingId,
    at: Annotated[datetime, typer.Argument(formats=["%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"], help="课表上的上课时间。")],
    view: Annotated[str, typer.Option(help="拍的是什么：teacher、students、screen 或 mixed。")] = "",
) -> None:
    """认领：这个录像就是课表上这个时间的课。"""
    from ingest import placing as places

    _on(recording, lambda catalog, found: places.assign(catalog, found, at, view=view))
    _say("已认领。")


@placing.command("name")
def placing_name(
    recording: RecordingId,
    title: Annotated[str, typer.Option(help="课名。")],
    subject: Annotated[str, typer.Option(help="学科。")] = "",
    grade: Annotated[str, typer.Option(help="年级或班级。")] = "",
    teacher: Annotated[str, typer.Option(help="教师。")] = "",
    programme: Annotated[Programme, typer.Option(help="课的类型。")] = Programme.LIVE,
) -> None:
    """不在课表上的课：写明课名等。"""
    from ingest import placing as places

    words = Sidecar(title[:120], subject[:40], grade[:40], teacher[:80], programme)
    _on(recording, lambda catalog, found: places.name_it(catalog, found, words))
    _say("已写明。")


@placing.command("leave")
def placing_leave(recording: RecordingId) -> None:
    """就让它自成一课，不再问。"""
    from ingest import placing as places

    _on(recording, places.leave_it)
    _say("已移出队列。")


@placing.command("reopen")
def placing_reopen(recording: RecordingId) -> None:
    """收回认领，重新对课表。"""
    from ingest import placing as places

    _on(recording, places.reopen)
    _say("已收回。")


@placing.command("apart")
def placing_apart(lesson: Annotated[str, typer.Argument(help="由几段或几个画面接成的课的编号。")]) -> None:
    """接错了：拆开，各段各自成课。"""
    from api.cli import catalog_of, settings
    from ingest.joining import take_apart

    with catalog_of(settings()) as catalog:
        for member in take_apart(catalog, lesson):
            _say(f"{member.id}  {member.title}")


def _on(start: str, act: Callable[[Catalog, str], Placement]) -> None:
    """Acts on the one recording whose id begins so."""
    from api.cli import catalog_of, settings

    with catalog_of(settings()) as catalog:
        found = catalog.outputs.beginning_with(start)
        if len(found) != 1:
            raise typer.BadParameter(
                "没有这个录像" if not found else "有几个录像这样开头，请多写几位", param_hint="recording"
            )
        act(catalog, found[0])


def record(
    config: Annotated[Path, typer.Option(help="录课的配置文件（TOML），见 docs/recorder.md。")],
    minutes: Annotated[float | None, typer.Option("--for", min=0.05, help="不按课表，现在就录这么多分钟。")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="只试一遍：课表、画面、对象存储、时钟、磁盘。")] = False,  # noqa: FBT002
    status: Annotated[bool, typer.Option("--status", help="说一句现在在做什么。")] = False,  # noqa: FBT002
    unit: Annotated[bool, typer.Option("--unit", help="输出 systemd 单元。")] = False,  # noqa: FBT002
) -> None:
    """轻量录播：按课表录摄像头、RTSP/RTMP、屏幕或文件，边录边传，断网断电不丢课。"""
    from ingest.capture.__main__ import run

    what = next((name for name, on in (("dry_run", dry_run), ("status", status), ("unit", unit)) if on), "record")
    raise typer.Exit(run(config, minutes=minutes, what=what))


@sidecars.command("check")
def sidecar_check(
    files: Annotated[list[Path], typer.Argument(exists=True, dir_okay=False, help="与录像同名的 .json。")],
) -> None:
    """检查说明文件；有误的逐个字段指出。"""
    from ingest.sidecar import read_sidecar

    faulty = 0
    for file in files:
        try:
            read_sidecar(file.read_bytes(), file.name)
        except Rejected as error:
            faulty += 1
            _say(f"✗ {file}：{error.reason_zh}")
        except OSError as error:
            raise HuikanError(f"{file}: {error.strerror}") from error
        else:
            _say(f"✓ {file}")
    raise typer.Exit(1 if faulty else 0)


@sidecars.command("schema")
def sidecar_schema() -> None:
    """输出说明文件的 JSON Schema。"""
    from ingest.sidecar import schema

    typer.echo(json.dumps(schema(), ensure_ascii=False, indent=1))


@bulk.command("check")
def bulk_check(
    table: Table_, root: Root = None, school: Annotated[str, typer.Option(help="表里没有学校时用它。")] = ""
) -> None:
    """只检查清单：每一行的文件在不在、时间与说明对不对、一共多大。什么都不上传。"""
    planned = _planned(table, root, school)
    hint = "（已检查，没有上传）"
    _say(f"{len(planned.items)} 个录像，{planned.size_bytes / 2**30:.1f} GB{hint}")


@bulk.command("send")
def bulk_send(
    table: Table_,
    root: Root = None,
    school: Annotated[str, typer.Option(help="表里没有学校时用它。")] = "",
    ahead: Annotated[int, typer.Option(min=1, help="最多让多少个录像同时等着处理；免得占满磁盘。")] = 20,
) -> None:
    """上传清单里的录像。中断后再运行同一条命令，从断的地方接着。老录像排在当天的新课后面处理。"""
    import time

    from rich.progress import Progress

    from api.cli import catalog_of, settings
    from api.state import store_endpoint
    from ingest.admission import OPERATOR, mark
    from ingest.bulk import Journal, send
    from ingest.runtime import open_store

    planned, chosen, failed = _planned(table, root, school), settings(), 0
    store = open_store(chosen, store_endpoint(chosen))
    with catalog_of(chosen) as catalog, Progress(console=Console(stderr=True)) as bar:
        task = bar.add_task("上传", total=planned.size_bytes)

        def has_room() -> bool:
            waiting = [each for each in catalog.arrivals.waiting() if not each.key.endswith(".json")]
            return len(waiting) + len(catalog.outputs.unfinished(ahead)) < ahead

        journal = Journal(_journal_of(table))
        for item, said in send(
            planned.items,
            store,
            chosen.incoming_bucket,
            journal,
            marked=lambda key: mark(chosen, OPERATOR, key),
            has_room=has_room,
            wait=lambda: time.sleep(2),
        ):
            bar.advance(task, item.size_bytes)
            if said not in ("sent", "there"):
                failed += 1
                _say(f"第 {item.line} 行 {item.path}：{said}")
    _say(f"{len(planned.items) - failed} 个已上传，{failed} 个没有。用 huikan bulk report 看各自成课没有。")
    raise typer.Exit(1 if failed else 0)


@bulk.command("report")
def bulk_report(
    table: Table_,
    root: Root = None,
    school: Annotated[str, typer.Option(help="表里没有学校时用它。")] = "",
    to: Annotated[Path | None, typer.Option(help="写成 CSV 文件。")] = None,
) -> None:
    """清单里每个录像现在怎样：等上传、已上传、处理中、已成课、被退回（及原因）。"""
    import csv
    import io
    from collections import Counter

    from api.cli import catalog_of, settings
    from ingest.bulk import Journal, report

    planned = _planned(table, root, school)
    with catalog_of(settings()) as catalog:
        lines = list(report(planned.items, Journal(_journal_of(table)), catalog))
    for state, count in Counter(line.state for line in lines).items():
        _say(f"{_STATES_ZH[state]}：{count}")
    for line in lines:
        if line.state == "refused":
            _say(f"第 {line.item.line} 行 {line.item.path}：{line.reason_zh}")
    if to is not None:
        text = io.StringIO()
        rows = csv.writer(text)
        rows.writerow(["行", "文件", "键", "状态", "课程编号", "原因与办法"])
        for line in lines:
            item = line.item
            rows.writerow(
                [item.line, _inert(str(item.path)), item.key, _STATES_ZH[line.state], line.lesson_id, line.reason_zh]
            )
        to.write_text(text.getvalue(), encoding="utf-8-sig")
        _say(f"已写 {to}")


def _planned(table: Path, root: Path | None, school: str) -> "Plan":
    from ingest.bulk import plan

    planned = plan(table, root or table.parent, school=school)
    if planned.faults:
        for fault in planned.faults[:_FAULTS]:
            _say(fault)
        count = len(planned.faults)
        raise Unreadable(table.name, f"{count} faults", f"{table.name} 有 {count} 处要改，什么都没有上传。")
    return planned


def _journal_of(table: Path) -> Path:
    return table.with_name(f"{table.name}.sent")


def _inert(text: str) -> str:
    """A cell that a spreadsheet will not take for a formula."""
    return f"'{text}" if text[:1] in "=+-@" else text
