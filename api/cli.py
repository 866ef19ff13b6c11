"""The `huikan` command. Thin: parse, one call, print. Words for people are Chinese; exit codes follow sysexits.h.

0 well, 1 a finding or a refusal, 69 something is unavailable just now, 78 the settings are wrong.
"""

import json
import sys
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column, Table

from api.gateway_cli import commands as gateway_commands
from api.recorder_cli import commands as recorder_commands
from api.schooling import bulk, placing, record, sidecars, timetables
from archive.catalog import Catalog
from archive.errors import HuikanError, Misconfigured, Unavailable
from archive.log import configure
from archive.settings import Settings
from archive.timecode import clock_from_ms

app = typer.Typer(
    help="回看：把课堂录像变成孩子能搜、能看的课程库。",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.add_typer(recorder_commands, name="recorder")
app.add_typer(gateway_commands, name="gateway")
transcripts = typer.Typer(help="字幕：版本、比较、退回、导入与导出。", no_args_is_help=True)
app.add_typer(transcripts, name="transcript")
glossaries = typer.Typer(help="词表：教材术语与人名，给语音识别做提示。", no_args_is_help=True)
app.add_typer(glossaries, name="glossary")
app.add_typer(timetables, name="timetable")
app.add_typer(placing, name="placing")
app.add_typer(sidecars, name="sidecar")
app.add_typer(bulk, name="bulk")
out = Console()
_REINDEXING = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
STEPS = {"transcode": "encode", "transcribe": "speech", "index": "index"}

EXPORTS = ("vtt", "srt", "txt", "md")

Json = Annotated[bool, typer.Option("--json", help="以 JSON 输出。")]
LessonId = Annotated[str, typer.Argument(help="课程编号。")]


def main() -> None:
    """The console script: errors of ours become one clear line and an exit code, never a traceback."""
    try:
        app()
    except Misconfigured as error:
        _die(f"设置有误：{error}", 78)
    except Unavailable as error:
        _die(f"{error.reason_zh}", 69)
    except HuikanError as error:
        _die(error.reason_zh, 1)


def _die(message: str, code: int) -> None:
    Console(stderr=True).print(message, style="bold red", markup=False, highlight=False, soft_wrap=True)
    sys.exit(code)


def settings() -> Settings:
    """Settings for this command; a wrong one is named with its remedy."""
    from pydantic import ValidationError

    try:
        found = Settings()  # pyright: ignore[reportCallIssue]
    except ValidationError as error:
        told = "；".join(f"HUIKAN_{'.'.join(map(str, e['loc'])).upper()}：{e['msg']}" for e in error.errors())
        raise Misconfigured(told) from error
    configure(found.log_format, found.log_level)
    return found.with_secrets()


@contextmanager
def catalog_of(chosen: Settings) -> Generator[Catalog]:
    from ingest.runtime import open_catalog

    opened = open_catalog(chosen)
    try:
        opened.migrate()
        yield opened
    finally:
        opened.close()


@app.command()
def serve() -> None:
    """启动全部：对象存储、网页与接口、一个工作进程。Ctrl-C 停止。"""
    from api.serve import serve as run

    run(settings())


@app.command()
def worker(embedded: Annotated[bool, typer.Option(hidden=True)] = False) -> None:  # noqa: FBT002 — typer's way
    """只启动一个工作进程（多台机器时用；需要外部 S3、PostgreSQL 与 Meilisearch）。"""
    from ingest.worker import run_worker

    run_worker(settings(), embedded=embedded)


@app.command()
def demo(once: Annotated[bool, typer.Option("--once", help="两节课都发布后就退出。")] = False) -> None:  # noqa: FBT002
    """生成两节样课，像录播主机一样上传，并看着它们变成可搜可看的课程。"""
    from api.demo import run_demo

    raise typer.Exit(run_demo(once=once, home=settings().home))


@app.command()
def upload(
    files: Annotated[
        list[Path],
        typer.Argument(
            exists=True, dir_okay=False, help="录像；同名的 .json/.vtt/.srt/.ass/.ttml/.lrc/.pdf 一起上传。"
        ),
    ],
    school: Annotated[str, typer.Option(help="学校代号，小写字母、数字与连字符。")],
    room: Annotated[str, typer.Option(help="教室代号。")],
    at: Annotated[datetime | None, typer.Option(help="上课时间；默认取文件的修改时间。")] = None,
) -> None:
    """把本机的录像上传到上传桶，与录播主机走同一条路。"""
    from api.upload import upload_files

    for key in upload_files(settings(), files, school=school, room=room, at=at):
        out.print(f"已上传 {key}", markup=False)


@app.command()
def lessons(as_json: Json = False) -> None:  # noqa: FBT002
    """列出所有课程与各阶段进度。"""
    with catalog_of(settings()) as catalog:
        found = [(lesson, catalog.outputs.stages(lesson.recording_id)) for lesson in catalog.lessons.every()]
    if as_json:
        rows = [
            asdict(lesson) | {"stages": [{"stage": s.stage, "done": s.done, "fraction": s.fraction} for s in stages]}
            for lesson, stages in found
        ]
        typer.echo(json.dumps(rows, ensure_ascii=False, default=str))
        return
    table = Table(Column("课程", no_wrap=True, min_width=26), "名称", "学校/教室", "上课时间", "时长", "公开", "状态")
    for lesson, stages in found:
        waiting = [f"{s.obstacle.reason_zh}" for s in stages if s.obstacle]
        undone = [f"{s.stage} {s.fraction:.0%}" for s in stages if not s.done]
        table.add_row(
            lesson.id,
            lesson.title,
            f"{lesson.school}/{lesson.room}",
            f"{lesson.started_at:%Y-%m-%d %H:%M}",
            clock_from_ms(lesson.duration_ms),
            {True: "是", False: "否", None: "未说明"}[lesson.consent],
            "；".join(waiting) or "、".join(undone) or "已发布",
        )
    out.print(table)


@app.command()
def consent(
    lesson: Annotated[str, typer.Argument(help="课程编号。")],
    give: Annotated[bool, typer.Option("--give/--withdraw", help="家长同意公开给学生，或撤回。")],
) -> None:
    """记录一节课是否可以公开给学生。撤回立即生效。"""
    with catalog_of(settings()) as catalog:
        changed = catalog.lessons.set_consent(lesson, consent=give)  # and orders its indexing
    out.print(f"《{changed.title}》{'已公开给学生' if give else '不再对学生公开'}", markup=False)


app.command("record")(record)


@app.command("reject-list")
def reject_list(as_json: Json = False) -> None:  # noqa: FBT002
    """列出没能成为课程的上传，以及原因。"""
    with catalog_of(settings()) as catalog:
        refused = catalog.arrivals.refused()
    if as_json:
        typer.echo(json.dumps([asdict(refusal) for refusal in refused], ensure_ascii=False, default=str))
        return
    table = Table("文件", "时间", "代码", "原因与办法")
    for refusal in refused:
        table.add_row(refusal.key, f"{refusal.at:%Y-%m-%d %H:%M}", refusal.code, refusal.reason_zh)
    out.print(table)


@app.command()
def reconsider(key: Annotated[str, typer.Argument(help="被退回的文件，如 reject-list 所列。")]) -> None:
    """重新接收一个被退回的上传，例如放宽了大小或时长上限之后。"""
    from api.operate import reconsider as again

    again(settings(), key)
    out.print(f"已重新接收 {key}；用 huikan lessons 或 reject-list 查看结果。", markup=False)


@app.command()
def reprocess(
    lesson: Annotated[list[str] | None, typer.Argument(help="课程编号；不给则为全部课程。")] = None,
    step: Annotated[str, typer.Option(help="transcode、transcribe、index 或 all。")] = "all",
    force: Annotated[bool, typer.Option("--force", help="已有结果也重做。")] = False,  # noqa: FBT002
) -> None:
    """补做没有完成的步骤；--force 则重做。等待中的（例如刚装好模型）马上重试。"""
    from api.operate import order_reprocessing

    if step not in {*STEPS, "all"}:
        raise typer.BadParameter("应为 transcode、transcribe、index 或 all", param_hint="--step")
    redo = ([STEPS[step]] if step != "all" else list(STEPS.values())) if force else []
    count = order_reprocessing(settings(), lesson or [], redo=redo)
    out.print(f"已安排 {count} 节课；用 huikan lessons 查看进度。")


@app.command()
def reindex(
    lesson: Annotated[list[str] | None, typer.Argument(help="课程编号；不给则为全部课程。")] = None,
    changed: Annotated[bool, typer.Option("--changed", help="只补索引里缺少或过时的课。")] = False,  # noqa: FBT002
) -> None:
    """重建搜索索引：在旁边建好新的、核对无误再换上，其间照常搜索；中断后再运行会接着做。"""
    from api.operate import build_index, index_some

    chosen = settings()
    with Progress(*_REINDEXING, console=Console(stderr=True)) as bar:
        task = bar.add_task("建索引", total=None)

        def show(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        count = index_some(chosen, lesson or [], show) if lesson or changed else build_index(chosen, show)
    out.print(f"索引已更新：{count} 节课。" if lesson or changed else f"新索引已换上：{count} 节课。")


@app.command()
def doctor() -> None:
    """检查 ffmpeg、磁盘、数据库、对象存储、索引、语音模型，并说明如何补救。"""
    from api.doctor import examine

    sound = True
    for check in examine(settings()):
        sound = sound and check.ok
        mark, style = ("✓", "green") if check.ok else ("✗", "red")
        out.print(f"{mark} {check.name_zh}：{check.note_zh}", style=style, markup=False, highlight=False)
        if check.remedy_zh:
            out.print(f"    办法：{check.remedy_zh}", markup=False, highlight=False)
    raise typer.Exit(0 if sound else 1)


@app.command()
def verify(as_json: Json = False) -> None:  # noqa: FBT002
    """核对目录库、对象存储与索引，报告每一处不一致。"""
    from api.operate import check_everything

    checked = check_everything(settings())
    if as_json:
        typer.echo(json.dumps(asdict(checked), ensure_ascii=False))
    else:
        for finding in checked.findings:
            out.print(f"{finding.code}  {finding.subject}  {finding.detail_zh}", markup=False, highlight=False)
        out.print(f"{checked.lessons} 节课，{checked.objects} 个对象，{len(checked.findings)} 处不一致")
    raise typer.Exit(1 if checked.findings else 0)


@transcripts.command("list")
def transcript_list(lesson: LessonId, as_json: Json = False) -> None:  # noqa: FBT002
    """列出一节课的各版字幕，以及老师的改动与冲突。"""
    with catalog_of(settings()) as catalog:
        recording_id = catalog.lessons.get(lesson).recording_id
        heads = catalog.transcripts.editions(recording_id)
        corrections = catalog.transcripts.corrections(recording_id)
    if as_json:
        told = {"editions": list(map(asdict, heads)), "corrections": list(map(asdict, corrections))}
        typer.echo(json.dumps(told, ensure_ascii=False, default=str))
        return
    table = Table("版", "来源", "模型", "时间", "行数", "")
    for head in heads:
        base = f"（在第 {head.parent} 版上）" if head.parent else ""
        used = "正在使用" if head.is_current else ""
        when = f"{head.made_at:%Y-%m-%d %H:%M}"
        table.add_row(str(head.edition), f"{head.source}{base}", head.model, when, str(head.cue_count), used)
    out.print(table)
    for each in corrections:
        clash = "" if each.conflict is None else f"，冲突：新一版听到“{each.conflict}”"
        at = clock_from_ms(each.span.start_ms)
        out.print(f"改动 {each.id}  {at}  “{each.before}” → “{each.after}”{clash}", markup=False, highlight=False)


@transcripts.command("diff")
def transcript_diff(lesson: LessonId, before: int, after: int) -> None:
    """比较两版字幕，逐处列出不同。"""
    from transcribe.merging import differences

    with catalog_of(settings()) as catalog:
        recording_id = catalog.lessons.get(lesson).recording_id
        ours, theirs = (catalog.transcripts.get(recording_id, number) for number in (before, after))
    found = differences(ours.cues, theirs.cues)
    for each in found:
        for mark, cues in (("-", each.before), ("+", each.after)):
            for cue in cues:
                out.print(f"{mark} {clock_from_ms(cue.span.start_ms)}  {cue.text}", markup=False, highlight=False)
    out.print(f"{len(found)} 处不同")


@transcripts.command("rollback")
def transcript_rollback(lesson: LessonId, edition: int) -> None:
    """退回某一版字幕，马上生效。老师的改动仍然保留，用于下一次识别。"""
    from api.transcripts import roll_back

    out.print(f"正在使用第 {roll_back(settings(), lesson, edition).edition} 版")


@transcripts.command("withdraw")
def transcript_withdraw(lesson: LessonId, correction: int) -> None:
    """收回老师的一处改动（编号见 list）。"""
    from api.transcripts import withdraw

    out.print(f"已收回；正在使用第 {withdraw(settings(), lesson, correction).edition} 版")


@transcripts.command("import")
def transcript_import(
    lesson: LessonId,
    file: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, help="VTT、SRT、ASS、TTML、LRC、带时间的文本或 .docx。")
    ],
) -> None:
    """把一份字幕文件作为新的一版；编码自动识别（含 GB18030）。"""
    from api.transcripts import hand_in

    made = hand_in(settings(), lesson, file)
    out.print(f"已成为第 {made.edition} 版，{len(made.cues)} 行")


@transcripts.command("export")
def transcript_export(
    lesson: LessonId,
    file: Annotated[Path, typer.Argument(help="写到哪里；扩展名决定格式：.vtt、.srt、.txt、.md。")],
    traditional: Annotated[bool, typer.Option("--traditional", help="写成繁体。")] = False,  # noqa: FBT002
) -> None:
    """把正在使用的字幕写成文件。"""
    from api.transcripts import export

    if file.suffix.removeprefix(".").lower() not in EXPORTS:
        raise typer.BadParameter("扩展名应为 .vtt、.srt、.txt 或 .md", param_hint="file")
    with catalog_of(settings()) as catalog:
        export(catalog, lesson, file, in_traditional=traditional)
    out.print(f"已写 {file}", markup=False)


@glossaries.command("import")
def glossary_import(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="CSV：词,学科,年级,教材,单元,学校。")],
) -> None:
    """加入一份词表。同名的旧词表会被替换；多台工作机器时每台都要导入。"""
    from api.transcripts import add_glossary

    target, count = add_glossary(settings(), file)
    out.print(f"已加入 {count} 个词：{target}", markup=False)


@glossaries.command("show")
def glossary_show(
    title: Annotated[str, typer.Argument(help="课名，如“勾股定理（第一课时）”。")],
    subject: Annotated[str, typer.Option(help="学科。")] = "",
    grade: Annotated[str, typer.Option(help="年级。")] = "",
    school: Annotated[str, typer.Option(help="学校代号。")] = "",
) -> None:
    """看看这样一节课会给语音识别哪些提示、有多少术语。"""
    from api.transcripts import hints

    chosen = hints(settings(), title, subject, grade, school)
    out.print("提示：" + "、".join(chosen.hotwords), markup=False)
    out.print(f"术语：{len(chosen.terms)} 个")


if __name__ == "__main__":
    main()
