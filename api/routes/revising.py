"""/api/lessons/…/transcript/…: editions, corrections, going back, files in and out. The teacher's page of the same."""

from typing import Annotated, Literal
from urllib.parse import quote

from fastapi import APIRouter, Form, Path, Query, Request, Response
from fastapi.responses import RedirectResponse

from api import revising as desk
from api.deps import RevisedLesson, ViewerDep, WatchedLesson, Web, WebDep
from api.problems import too_large
from api.routes.asking import problems
from api.schemas import (
    CorrectionOut,
    CueOut,
    DifferenceOut,
    EditionIn,
    EditionOut,
    EditsIn,
    RemarkOut,
    RevisionOut,
    TranscriptOut,
)
from archive.model import Correction, Lesson, Transcript
from ingest import revising
from ingest.hearing import tag_of
from transcribe import captions, merging

router = APIRouter(responses=problems(401, 422, 503))

_LINES = 100  # on one page: a form with a lesson's thousand lines is slow on a phone
_NAME = Query(max_length=120, description="文件名，只用于提示")
FLAGS_ZH = {
    "low": "没把握",
    "loop": "重复",
    "phrase": "像套话",
    "echo": "像提示词",
    "voiceless": "没有人声",
    "drift": "文字不对",
    "rushed": "太快",
    "unsure": "没把握",
    "unheard": "没听清",
    "unsupported": "语言不支持",
}
OUTCOMES_ZH = {
    "replaced": "已重听改正",
    "shortened": "已缩短",
    "removed": "已去掉",
    "recovered": "已补上",
    "kept": "保留待查",
    "left": "没有文字",
}
SOURCES_ZH = {"captions": "上传的字幕", "speech": "语音识别", "teacher": "老师修改", "unsupported": "语言不支持"}


@router.get("/api/lessons/{lesson_id}/transcript/revisions", summary="字幕的版本与改动", responses=problems(404))
def revisions(lesson: RevisedLesson, web: WebDep) -> RevisionOut:
    kept = web.catalog.transcripts
    current = kept.current(lesson.recording_id)
    return RevisionOut(
        editions=[
            EditionOut(
                edition=head.edition,
                source=head.source,
                language=head.language,
                model=head.model,
                made_at=head.made_at,
                parent=head.parent,
                recipe=head.recipe,
                cues=head.cue_count,
                current=head.is_current,
            )
            for head in kept.editions(lesson.recording_id)
        ],
        corrections=[_correction(each) for each in kept.corrections(lesson.recording_id, withdrawn_too=True)],
        remarks=[
            RemarkOut(
                kind=each.kind,
                outcome=each.outcome,
                start_ms=each.span.start_ms,
                end_ms=each.span.end_ms,
                text=each.text,
            )
            for each in (current.remarks if current else ())
        ],
    )


@router.get("/api/lessons/{lesson_id}/transcript/editions/{edition}", summary="某一版字幕", responses=problems(404))
def edition(lesson: RevisedLesson, web: WebDep, edition: int) -> TranscriptOut:
    return TranscriptOut.of(desk.edition_of(web, lesson, edition))


@router.get("/api/lessons/{lesson_id}/transcript/diff", summary="两版字幕的不同", responses=problems(404))
def diff(
    lesson: RevisedLesson,
    web: WebDep,
    before: Annotated[int, Query(ge=1)] = 1,
    after: Annotated[int, Query(ge=1)] = 1,
) -> list[DifferenceOut]:
    ours, theirs = (desk.edition_of(web, lesson, number) for number in (before, after))
    return [
        DifferenceOut(before=[CueOut.of(cue) for cue in each.before], after=[CueOut.of(cue) for cue in each.after])
        for each in merging.differences(ours.cues, theirs.cues)
    ]


@router.post("/api/lessons/{lesson_id}/transcript/edits", summary="修改字幕", responses=problems(404, 409))
def edits(lesson: RevisedLesson, web: WebDep, told: EditsIn) -> TranscriptOut:
    """成为新的一版。改动钉在时间与原文上，重新识别后仍然有效。"""
    desk.current_of(web, lesson)
    changes = [(each.ordinal, each.text) for each in told.edits]
    return TranscriptOut.of(_corrected(web, lesson, changes, told.edition))


@router.post("/api/lessons/{lesson_id}/transcript/rollback", summary="退回某一版", responses=problems(404))
def rollback(lesson: RevisedLesson, web: WebDep, told: EditionIn) -> TranscriptOut:
    desk.edition_of(web, lesson, told.edition)
    made = desk.changed(web, lesson, lambda at: revising.roll_back(at, lesson.recording_id, told.edition))
    return TranscriptOut.of(made)


@router.post(
    "/api/lessons/{lesson_id}/transcript/corrections/{number}/withdraw", summary="收回一处改动", responses=problems(404)
)
def withdraw(lesson: RevisedLesson, web: WebDep, number: int) -> TranscriptOut:
    made = desk.changed(web, lesson, lambda at: revising.withdraw(at, lesson.recording_id, number))
    return TranscriptOut.of(made)


@router.post(
    "/api/lessons/{lesson_id}/transcript/corrections/{number}/insist", summary="坚持一处改动", responses=problems(404)
)
def insist(lesson: RevisedLesson, web: WebDep, number: int) -> RevisionOut:
    """看过冲突，以老师写的为准；不再列为冲突。"""
    web.catalog.transcripts.insist(lesson.recording_id, number)
    return revisions(lesson, web)


@router.post("/api/lessons/{lesson_id}/transcript/file", summary="交一份字幕文件", responses=problems(404))
async def hand_in(
    request: Request, lesson: RevisedLesson, web: WebDep, name: Annotated[str, _NAME] = "字幕"
) -> TranscriptOut:
    """请求正文就是文件：VTT、SRT、ASS、TTML、LRC，或带时间的文本与 .docx；编码自动识别（含 GB18030）。成为新的一版。"""
    data = b""
    async for piece in request.stream():
        data += piece
        if len(data) > captions.MAX_BYTES:
            raise too_large()
    tag = tag_of(lesson.language)
    made = desk.changed(web, lesson, lambda at: revising.hand_in(at, lesson.recording_id, tag, data, name))
    return TranscriptOut.of(made)


@router.get(
    "/api/lessons/{lesson_id}/transcript.{form}",
    summary="下载字幕",
    responses=problems(404, 409),
    response_class=Response,
)
def export(
    lesson: WatchedLesson,
    web: WebDep,
    form: Annotated[Literal["vtt", "srt", "txt", "md"], Path(description="WebVTT、SubRip、纯文本或 Markdown 讲义")],
    script: Annotated[Literal["hans", "hant"], Query(description="hant：繁体")] = "hans",
) -> Response:
    text = desk.exported(desk.current_of(web, lesson), lesson.title, form, in_traditional=script == "hant")
    name = quote(f"{lesson.title}.{form}", safe="")
    return Response(
        text.encode(),
        media_type=desk.TYPES[form],
        headers={
            "Content-Disposition": f"attachment; filename*=UTF-8''{name}",
            "Cache-Control": "private, no-cache",
            "X-Content-Type-Options": "nosniff",
        },
    )


@router.get("/lesson/{lesson_id}/transcript", include_in_schema=False)
def page(
    request: Request,
    lesson: RevisedLesson,
    viewer: ViewerDep,
    web: WebDep,
    line: Annotated[int, Query(ge=0, le=100_000)] = 0,
    flagged: Annotated[bool, Query()] = False,  # noqa: FBT002 — a query's way
) -> Response:
    current = desk.current_of(web, lesson)
    numbered = list(enumerate(current.cues))
    if flagged:
        numbered = [(number, cue) for number, cue in numbered if cue.detail and cue.detail.flags]
    return web.pages.page(
        request,
        "transcript.html",
        viewer,
        lesson=lesson,
        transcript=current,
        lines=numbered[line : line + _LINES],
        line=line,
        step=_LINES,
        total=len(numbered),
        flagged=flagged,
        editions=web.catalog.transcripts.editions(lesson.recording_id),
        corrections=web.catalog.transcripts.corrections(lesson.recording_id),
        flags_zh=FLAGS_ZH,
        outcomes_zh=OUTCOMES_ZH,
        sources_zh=SOURCES_ZH,
    )


@router.post("/lesson/{lesson_id}/transcript", include_in_schema=False)
async def save(request: Request, lesson: RevisedLesson, web: WebDep) -> Response:
    """The page's form: `edition`, and a field `line-<ordinal>` for each line that it shows."""
    form = await request.form()
    changes = [
        (int(name.removeprefix("line-")), text)
        for name, text in form.items()
        if isinstance(text, str) and name.startswith("line-") and name.removeprefix("line-").isdecimal()
    ]
    number = str(form.get("edition", ""))
    _corrected(web, lesson, changes, int(number) if number.isdecimal() else 0)
    return RedirectResponse(f"/lesson/{lesson.id}/transcript", 303)


@router.post("/lesson/{lesson_id}/transcript/decide", include_in_schema=False)
def decide(
    lesson: RevisedLesson,
    web: WebDep,
    edition: Annotated[str, Form()] = "",
    withdraw_: Annotated[str, Form(alias="withdraw")] = "",
    insist_: Annotated[str, Form(alias="insist")] = "",
) -> Response:
    """The page's buttons: back to an edition, a correction taken back, or upheld."""
    if edition.isdecimal():
        rollback(lesson, web, EditionIn(edition=int(edition)))
    if withdraw_.isdecimal():
        withdraw(lesson, web, int(withdraw_))
    if insist_.isdecimal():
        insist(lesson, web, int(insist_))
    return RedirectResponse(f"/lesson/{lesson.id}/transcript", 303)


def _corrected(web: Web, lesson: Lesson, changes: list[tuple[int, str]], edition: int) -> Transcript:
    return desk.changed(web, lesson, lambda at: revising.correct(at, lesson.recording_id, changes, on_edition=edition))


def _correction(each: Correction) -> CorrectionOut:
    return CorrectionOut(
        id=each.id,
        start_ms=each.span.start_ms,
        end_ms=each.span.end_ms,
        before=each.before,
        after=each.after,
        conflict=each.conflict,
        withdrawn=each.withdrawn_at is not None,
    )
