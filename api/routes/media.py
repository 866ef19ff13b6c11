"""/v/…: the one door that playlists, hls_segments, captions and pictures leave by."""

import anyio.to_thread
from fastapi import APIRouter, Request, Response

from api.access import Action, Viewer, can
from api.delivery import file_of
from api.deps import ViewerDep, WatchedLesson, Web, WebDep
from api.links import Expired, Forged
from api.problems import Problem, absent

router = APIRouter(include_in_schema=False)

_TRANSPARENT = bytes.fromhex("47494638396101000100800000000000ffffff21f90401000000002c00000000010001000002024401003b")


@router.api_route("/v/{token}/{lesson_id}/{file:path}", methods=["GET", "HEAD"])
async def media(token: str, lesson_id: str, file: str, request: Request, web: WebDep) -> Response:
    """403 for a token that is not ours or another lesson's, 410 for one that is too old, 404 for everything else."""
    try:
        viewer = web.links.viewer_of(token, lesson_id)
    except Forged:
        raise Problem(403, "forged") from None
    except Expired:
        raise Problem(410, "expired", "请刷新页面，或重新获取播放地址。") from None
    request.state.role = viewer.role
    return await _file(request, web, viewer, lesson_id, file)


@router.api_route("/lesson/{lesson_id}/poster.jpg", methods=["GET", "HEAD"])
async def poster(lesson: WatchedLesson, viewer: ViewerDep, request: Request, web: WebDep) -> Response:
    """For pages, which have the cookie: an address that does not change, so that a phone loads each picture once.

    A lesson without a picture has a transparent one: the page shows what it has put below.
    """
    try:
        answer = await _file(request, web, viewer, lesson.id, "poster.jpg")
    except Problem as problem:
        if problem.status != 404:
            raise
        return Response(_TRANSPARENT, 200, {"Cache-Control": "private, max-age=300"}, "image/gif")
    answer.headers["Cache-Control"] = "private, max-age=3600"
    return answer


async def _file(request: Request, web: Web, viewer: Viewer, lesson_id: str, name: str) -> Response:
    playable = await anyio.to_thread.run_sync(web.playables.of, lesson_id, limiter=web.media.readers)
    if playable is None or not can(viewer, Action.WATCH, playable.lesson):
        raise absent()
    file = file_of(playable, name)
    if file is None:
        raise absent()
    return await web.media.response(request, file)
