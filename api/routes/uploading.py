"""A teacher's own file from the page: begun here, sent to the store by signed forms, handed in here."""

from typing import Annotated

from fastapi import APIRouter, Path, Request, Response

from api.deps import Operator, Web, WebDep
from api.guard import HEADERS
from api.recorders import public_store, store_url
from api.routes.asking import problems
from api.schemas import FormOut, HandInIn, UploadIn, UploadOut
from archive.errors import Unavailable
from archive.uploads import TeacherUpload
from ingest import teachers
from ingest.tidying import PIECES

router = APIRouter(responses=problems(401, 403, 422, 503))

UploadId = Annotated[str, Path(pattern="^[a-z2-7]{26}$", description="上传的编号")]


@router.get("/upload", include_in_schema=False)
def page(request: Request, viewer: Operator, web: WebDep) -> Response:
    try:
        store = store_url(web.parts.settings)
    except Unavailable:
        store = ""
    machines = web.catalog.recorders.every()
    places = {each.prefix: each.place for each in machines}
    made = web.pages.page(request, "upload.html", viewer, places=places, store=store)
    if store:  # the browser sends the pieces there, and nowhere else
        policy = HEADERS["Content-Security-Policy"].replace("connect-src 'self'", f"connect-src 'self' {store}")
        made.headers["Content-Security-Policy"] = policy
    return made


@router.post("/api/uploads", tags=["老师与管理员"], summary="开始上传一个录像", status_code=201)
def begin(_: Operator, web: WebDep, asked: UploadIn) -> UploadOut:
    """分块直接传到对象存储；断了以后用同一个编号接着传。"""
    extension = asked.name.rpartition(".")[2].lower()[:16]
    key = f"{asked.school}/{asked.room}/{asked.started_at:%Y%m%dT%H%M%S}.{extension}"
    words = {name: getattr(asked, name) for name in ("title", "subject", "grade", "teacher")}
    sidecar = {name: value for name, value in words.items() if value}
    if asked.consent is not None:
        sidecar["consent"] = asked.consent
    upload = teachers.begin(web.catalog, web.parts.settings, key, asked.size_bytes, sidecar or None)
    return _out(web, upload)


@router.get("/api/uploads/{upload_id}", tags=["老师与管理员"], summary="传到哪里了", responses=problems(404))
def progress(_: Operator, web: WebDep, upload_id: UploadId) -> UploadOut:
    return _out(web, web.catalog.uploads.get(upload_id))


@router.post("/api/uploads/{upload_id}/finish", tags=["老师与管理员"], summary="传完了", responses=problems(404))
def finish(_: Operator, web: WebDep, upload_id: UploadId, asked: HandInIn) -> UploadOut:
    """校验并合并各块，然后与录播主机的录像走同一条路。"""
    upload = web.catalog.uploads.get(upload_id)
    if upload.done_at is None and upload.handed_in_at is None:
        settings = web.parts.settings
        teachers.hand_in(web.parts.store, settings.media_bucket, web.catalog.uploads, upload, asked.digests)
    return _out(web, web.catalog.uploads.get(upload_id))


def _out(web: Web, upload: TeacherUpload) -> UploadOut:
    settings = web.parts.settings
    state = "done" if upload.done_at else "handed-in" if upload.handed_in_at else "open"
    there, form = list(range(1, upload.pieces + 1)), None
    if state == "open":
        there = teachers.pieces_there(web.parts.store, settings.media_bucket, upload)
        prefix = f"{PIECES}{upload.id}/"
        store = public_store(settings)
        fields = store.post_policy(
            settings.media_bucket, prefix, teachers.FORM_LIFETIME, limit_bytes=upload.piece_bytes
        )
        form = FormOut(url=f"{store_url(settings)}/{settings.media_bucket}", fields=fields, prefix=prefix)
    return UploadOut(
        id=upload.id,
        key=upload.key,
        size_bytes=upload.size_bytes,
        piece_bytes=upload.piece_bytes,
        pieces=upload.pieces,
        there=there,
        state=state,
        reason_zh=upload.reason_zh,
        form=form,
    )
