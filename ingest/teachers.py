"""A teacher's own file, from a browser: sent in pieces by signed forms, put together here, then an object like a recorder's.

The browser sends each piece straight to the store (POST policy: this folder, this size, for an hour); a piece that is there
need not be sent again, which is all that resuming takes. When all are there the teacher hands the file in, and a worker
reads piece by piece, compares each with the hash that the browser took of it, and puts the whole below `incoming`.
"""

import hashlib
import json
import secrets
from base64 import b32encode
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import structlog

from archive.catalog import Catalog
from archive.errors import Absent, Rejected, Unacceptable, Unreadable
from archive.keys import IncomingKey, shown
from archive.settings import Settings
from archive.store import ObjectStore
from archive.uploads import TeacherUpload, Uploads
from ingest.admission import SHA256, TEACHER, mark
from ingest.delivery import deliver, is_free
from ingest.engine import Runs
from ingest.runtime import Runtime
from ingest.sidecar import read_sidecar
from ingest.tidying import PIECES
from ingest.workspace import reserve, scratch

log = structlog.get_logger()

PIECE_BYTES = 8 * 2**20  # what a village's line sends in a minute or two, and what is sent again when it breaks
_MOST_PIECES = 800  # their hashes go in one request of at most 64 KB
FORM_LIFETIME = timedelta(hours=1)


def begin(
    catalog: Catalog, settings: Settings, key: str, size_bytes: int, sidecar: Mapping[str, Any] | None
) -> TeacherUpload:
    """Raises Unacceptable or Unreadable, before a byte is sent, for what intake would refuse anyhow."""
    if not IncomingKey.parse(key).is_media:
        raise Unacceptable(shown(key), "no recording", "请选择录像文件；字幕与课件请在课程页上传。")
    if not 0 < size_bytes <= settings.max_recording_bytes:
        limit_gb = settings.max_recording_bytes / 2**30
        zh = f"文件有 {size_bytes / 2**30:.1f} GB，应大于 0，且不超过 {limit_gb:.1f} GB。"
        raise Unacceptable(shown(key), f"{size_bytes} bytes", zh)
    if sidecar:
        read_sidecar(json.dumps(sidecar).encode(), shown(key))
    upload_id = b32encode(secrets.token_bytes(16)).decode().rstrip("=").lower()
    return catalog.uploads.begin(upload_id, key, size_bytes, piece_bytes_for(size_bytes), sidecar)


def piece_bytes_for(size_bytes: int) -> int:
    return max(PIECE_BYTES, -(-size_bytes // _MOST_PIECES))


def pieces_there(store: ObjectStore, bucket: str, upload: TeacherUpload) -> list[int]:
    """The numbers (from 1) of the pieces that are whole in the store."""
    sizes = {found.key: found.size_bytes for found in store.list(bucket, f"{PIECES}{upload.id}/")}
    return [
        number
        for number in range(1, upload.pieces + 1)
        if sizes.get(piece_key(upload, number)) == upload.piece_size(number)
    ]


def piece_key(upload: TeacherUpload, number: int) -> str:
    return f"{PIECES}{upload.id}/{number:05d}"


def hand_in(store: ObjectStore, bucket: str, uploads: Uploads, upload: TeacherUpload, digests: Sequence[str]) -> None:
    """All is there: have it put together. `digests` are the sha256 of the pieces, or none where a browser could take none.

    Raises Unacceptable while pieces are missing.
    """
    missing = upload.pieces - len(pieces_there(store, bucket, upload))
    if missing:
        raise Unacceptable(shown(upload.key), f"{missing} pieces missing", f"还差 {missing} 块没有传完，请继续上传。")
    if digests and len(digests) != upload.pieces:
        raise Unacceptable(shown(upload.key), "not one hash a piece", "校验值的个数与分块数不符，请刷新页面后重传。")
    uploads.hand_in(upload.id, digests)


def assemble_handed_in(runtime: Runtime, runs: Runs) -> int:
    """Puts together what was handed in. Returns how many. Raises Unavailable: what is left is done the next time."""
    waiting = [upload for upload in runtime.catalog.uploads.handed_in() if _is_free(runtime, upload)]
    for upload in waiting:
        try:
            _assemble(runtime, upload)
        except Rejected as error:
            log.warning("a teacher's file cannot be put together", upload=upload.id, reason=str(error))
            runtime.catalog.uploads.hand_back(upload.id, error.reason_zh)
            continue
        runs.arrived(upload.key)
    return len(waiting)


def _is_free(runtime: Runtime, upload: TeacherUpload) -> bool:
    return is_free(runtime.store, runtime.catalog, runtime.incoming, upload.key)


def _assemble(runtime: Runtime, upload: TeacherUpload) -> None:
    """Idempotent: the same bytes under the same key, in parts of the same size, are the same object."""
    reserve(runtime, upload.size_bytes)
    with scratch(runtime) as path:
        sha256 = _join(runtime, upload, path)
        if upload.sidecar:
            text = json.dumps(dict(upload.sidecar), ensure_ascii=False)
            stem = IncomingKey.parse(upload.key).stem
            runtime.store.put_bytes(runtime.incoming, f"{stem}.json", text.encode(), "application/json")
        mine = mark(runtime.settings, TEACHER, upload.key)
        deliver(runtime.store, runtime.incoming, upload.key, path, {SHA256: sha256, **mine})
    runtime.catalog.uploads.done(upload.id)
    for number in range(1, upload.pieces + 1):
        runtime.store.delete(runtime.media, piece_key(upload, number))


def _join(runtime: Runtime, upload: TeacherUpload, path: Path) -> str:
    """The pieces one after the other in `path`; the sha256 of the whole. Raises Unreadable for one that changed."""
    whole = hashlib.sha256()
    with path.open("wb") as out:
        for number in range(1, upload.pieces + 1):
            try:
                data = runtime.store.get_bytes(runtime.media, piece_key(upload, number), limit_bytes=upload.piece_bytes)
            except Absent as error:
                raise Unreadable(shown(upload.key), f"piece {number} is gone", "有一块不见了，请继续上传。") from error
            digest = hashlib.sha256(data).hexdigest()
            if len(data) != upload.piece_size(number) or (upload.digests and upload.digests[number - 1] != digest):
                runtime.store.delete(runtime.media, piece_key(upload, number))  # it is to be sent again
                zh = f"第 {number} 块在传输中出了错，请点“继续上传”，只会重传这一块。"
                raise Unreadable(shown(upload.key), f"piece {number} is not what was sent", zh)
            whole.update(data)
            out.write(data)
    return whole.hexdigest()
