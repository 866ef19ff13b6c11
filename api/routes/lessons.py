"""/api/lessons: the library, one lesson, where it plays, what was said."""

from dataclasses import asdict

from fastapi import APIRouter

from api.access import scope_of
from api.delivery import PROGRESSIVE, VIEWS_ZH, multivariant_name
from api.deps import Browser, ViewerDep, WatchedLesson, WebDep
from api.problems import Problem
from api.routes.asking import Grade, Limit, Offset, ProgrammeName, School, Subject, problems
from api.schemas import CaptionOut, DamageOut, LessonList, LessonOut, PlaybackOut, ShelfOut, TranscriptOut, ViewOut
from archive.model import Transcript

router = APIRouter(prefix="/api", tags=["课程"], responses=problems(401, 422, 503))


@router.get("/lessons", summary="课程列表")
def lessons(
    viewer: Browser,
    web: WebDep,
    subject: Subject = "",
    grade: Grade = "",
    school: School = "",
    programme: ProgrammeName = None,
    limit: Limit = 24,
    offset: Offset = 0,
) -> LessonList:
    """可以播放的课，新课在前。学生只看到监护人已同意的课。"""
    page, total = web.catalog.lessons.published(
        scope_of(viewer),
        subject=subject,
        grade=grade,
        school=school,
        programme=programme,
        limit=limit,
        offset=offset,
    )
    return LessonList(items=[LessonOut.of(lesson) for lesson in page], total=total, limit=limit, offset=offset)


@router.get("/shelf", summary="可用的筛选条件")
def shelf(viewer: Browser, web: WebDep) -> ShelfOut:
    """每个学科、年级、学校、类型各有多少节课（只数你能看到的）。"""
    known = web.catalog.lessons.shelf(scope_of(viewer))
    return ShelfOut.of(known)


@router.get("/lessons/{lesson_id}", summary="一节课", responses=problems(404))
def lesson(lesson: WatchedLesson) -> LessonOut:
    return LessonOut.of(lesson)


@router.get("/lessons/{lesson_id}/playback", summary="播放地址", responses=problems(404, 409))
def playback(lesson: WatchedLesson, viewer: ViewerDep, web: WebDep) -> PlaybackOut:
    """签过名的地址：知道它就能播放这一节课，两小时内失效。不要转发。"""
    playable = web.playables.of(lesson.id)
    if playable is None:
        raise Problem(409, "not-playable", "还在处理，请稍后再来。")
    link = web.links.to(lesson.id, viewer)
    captions: list[CaptionOut] = []
    if playable.language:
        url = f"{link.base}captions/{playable.language}.vtt"
        captions.append(CaptionOut(language=playable.language, label=playable.language_zh, url=url))
    return PlaybackOut(
        playlist=f"{link.base}main.m3u8",
        views=[
            ViewOut(view=view, label=VIEWS_ZH.get(view, view), playlist=f"{link.base}{multivariant_name(view)}")
            for view in playable.views
        ],
        progressive=f"{link.base}{PROGRESSIVE}" if playable.is_finished else None,
        board=f"{link.base}board.vtt" if playable.board else None,
        storyboard=f"{link.base}storyboard.vtt" if playable.board else None,
        captions=captions,
        poster=f"{link.base}poster.jpg" if playable.has_picture else None,
        damage=DamageOut(**asdict(playable.damage)) if playable.damage else None,
        duration_ms=lesson.duration_ms,
        expires_at=link.expires_at,
    )


@router.get("/lessons/{lesson_id}/transcript", summary="课堂文字", responses=problems(404))
def transcript(lesson: WatchedLesson, web: WebDep) -> TranscriptOut:
    known: Transcript | None = None
    playable = web.playables.of(lesson.id)
    if playable is not None and playable.publication.speech_edition is not None:
        publication = playable.publication
        known = web.catalog.transcripts.get(publication.recording_id, playable.publication.speech_edition)
    return TranscriptOut.of(known)
