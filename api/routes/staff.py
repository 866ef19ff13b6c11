"""The staff's part of the API: what recorders sent, how far it is, and the guardians' word."""

from dataclasses import asdict

from fastapi import APIRouter

from api.arriving import SHOWN, Arriving, arrivals, of_recording
from api.deps import ConsentLesson, FollowedLesson, Operator, Web, WebDep
from api.routes.asking import Limit, problems
from api.schemas import ArrivalOut, ConsentIn, DamageOut, ProgressOut, RefusedOut, StageOut
from archive.model import Lesson, Stage

router = APIRouter(prefix="/api", tags=["老师与管理员"], responses=problems(401, 422, 503))


@router.get("/arrivals", summary="录播主机上传了什么", responses=problems(403))
def arrived(_: Operator, web: WebDep, limit: Limit = SHOWN) -> list[ArrivalOut]:
    """新的在前。每一项不是正在变成一节课，就是已经变成，或者写明为什么不能。"""
    return [_out(one) for one in arrivals(web, limit)]


@router.get("/lessons/{lesson_id}/progress", summary="处理进度", responses=problems(404))
def progress(lesson: FollowedLesson, web: WebDep) -> ProgressOut:
    return _progress(web, lesson)


@router.post("/lessons/{lesson_id}/consent", summary="登记监护人意见", responses=problems(404))
def consent(lesson: ConsentLesson, web: WebDep, said: ConsentIn) -> ProgressOut:
    """撤回立即生效：学生的页面、搜索和已发出的播放地址都不再能用。"""
    return _progress(web, put_consent(web, lesson, consent=said.consent))


def put_consent(web: Web, lesson: Lesson, *, consent: bool) -> Lesson:
    changed = web.catalog.lessons.set_consent(lesson.id, consent=consent)
    web.playables.forget(lesson.id)
    return changed


def _progress(web: Web, lesson: Lesson) -> ProgressOut:
    arriving = of_recording(web, web.catalog.outputs.recording(lesson.recording_id))
    return ProgressOut(
        lesson_id=lesson.id,
        recording_id=lesson.recording_id,
        consent=lesson.consent,
        published=arriving.has(Stage.PUBLISHED),
        searchable=arriving.has(Stage.INDEXED),
        stages=[StageOut.of(state) for state in arriving.stages],
        refused=RefusedOut.of(arriving.refusal),
    )


def _out(one: Arriving) -> ArrivalOut:
    return ArrivalOut(
        key=one.key,
        recording_id=one.recording.id if one.recording else None,
        lesson_id=one.lesson.id if one.lesson else None,
        title=one.lesson.title if one.lesson else None,
        at=one.at,
        size_bytes=one.size_bytes,
        stages=[StageOut.of(state) for state in one.stages],
        published=one.has(Stage.PUBLISHED),
        searchable=one.has(Stage.INDEXED),
        damage=DamageOut(**asdict(one.recording.damage)) if one.recording and one.recording.damage else None,
        refused=RefusedOut.of(one.refusal),
    )
