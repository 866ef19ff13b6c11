"""/static: the few files of ours and of vendors, held in memory, compressed once."""

import gzip
from dataclasses import dataclass
from functools import cache

from fastapi import APIRouter, Request, Response

from api.problems import absent
from api.ranges import matches_any
from api.rendering import STATIC, static_address

router = APIRouter(include_in_schema=False)

_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".md": "text/plain; charset=utf-8",
    ".txt": "text/plain; charset=utf-8",
}
_YEAR = "public, max-age=31536000, immutable"


@dataclass(frozen=True, slots=True)
class StaticFile:
    data: bytes
    packed: bytes
    content_type: str
    etag: str


@cache
def files() -> dict[str, StaticFile]:
    """By name. A name that is not here is nowhere: no request touches the disk."""
    found: dict[str, StaticFile] = {}
    for path in STATIC.rglob("*"):
        if path.is_file() and path.suffix in _TYPES:
            name, data = path.relative_to(STATIC).as_posix(), path.read_bytes()
            etag = f'W/"{static_address(name).rpartition("=")[2]}"'
            found[name] = StaticFile(data, gzip.compress(data, 9, mtime=0), _TYPES[path.suffix], etag)
    return found


@router.api_route("/static/{file:path}", methods=["GET", "HEAD"])
async def static(file: str, request: Request, v: str = "") -> Response:
    known = files().get(file)
    if known is None:
        raise absent()
    named_by_hash = bool(v) and known.etag == f'W/"{v}"'
    headers = {
        "Cache-Control": _YEAR if named_by_hash else "public, no-cache",
        "Content-Type": known.content_type,
        "ETag": known.etag,
        "Vary": "Accept-Encoding",
    }
    if matches_any(request.headers.get("if-none-match", ""), known.etag):
        return Response(None, 304, headers)
    packed = "gzip" in request.headers.get("accept-encoding", "")
    data = known.packed if packed else known.data
    headers |= {"Content-Length": str(len(data))} | ({"Content-Encoding": "gzip"} if packed else {})
    return Response(None if request.method == "HEAD" else data, 200, headers)
