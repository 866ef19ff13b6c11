"""Bytes from the store to the wire: conditional requests, one range, HEAD, and never more open at once than is allowed.

Reading blocks, so it happens in threads of a pool of its own: viewers may wait for one another, but never hold up pages.
"""

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Mapping

import anyio
import anyio.to_thread
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from api import ranges
from api.access import Clock
from api.delivery import Stored, Written
from api.problems import Problem, absent
from archive.store import ObjectBody, ObjectStore, StoredObject

READERS = 24  # threads that may wait for the store at once
OPEN_BODIES = 256  # slow clients that may hold a connection to the store open at once
_STAT_S = 60.0
_STATS_KEPT = 8192

# A fixed file lives as long as its address can (api.links.LONGEST_S); everything else is asked for again each time.
FIXED = "private, max-age=7200, immutable"
ASK_AGAIN = "private, no-cache"


class Media:
    """The media bucket as web responses."""

    def __init__(self, store: ObjectStore, bucket: str, clock: Clock) -> None:
        self._store, self._bucket, self._clock = store, bucket, clock
        self._stats: OrderedDict[str, tuple[float, StoredObject]] = OrderedDict()
        self._lock = threading.Lock()
        self._readers: anyio.CapacityLimiter | None = None
        self.open_bodies = 0

    @property
    def readers(self) -> anyio.CapacityLimiter:
        if self._readers is None:  # it belongs to the running event loop
            self._readers = anyio.CapacityLimiter(READERS)
        return self._readers

    async def response(self, request: Request, file: Stored | Written) -> Response:
        if isinstance(file, Written):
            return _text(request, file.text.encode(), file.content_type)
        if file.content_type.startswith(("text/", "application/")):
            data = await anyio.to_thread.run_sync(self._store.get_bytes, self._bucket, file.key, limiter=self.readers)
            return _text(request, data, file.content_type)
        return await self._bytes(request, file)

    async def _bytes(self, request: Request, file: Stored) -> Response:
        there = await anyio.to_thread.run_sync(self._stat, file.key, limiter=self.readers)
        headers = {
            "Content-Type": file.content_type,
            "Cache-Control": FIXED if file.is_fixed else ASK_AGAIN,
            "ETag": f'"{_safe(there.etag)}"',
            "Accept-Ranges": "bytes",
        }
        if ranges.matches_any(request.headers.get("if-none-match", ""), headers["ETag"]):
            return Response(None, 304, headers)
        try:
            part = self._part(request, there, headers["ETag"])
        except ranges.Unsatisfiable:
            raise Problem(416, "range", headers={"Content-Range": f"bytes */{there.size_bytes}"}) from None
        length = part.length if part else there.size_bytes
        headers["Content-Length"] = str(length)
        if part is not None:
            headers["Content-Range"] = part.content_range(there.size_bytes)
        status = 206 if part else 200
        if request.method == "HEAD" or length == 0:
            return Response(None, status, headers)
        return await self._opened(file.key, part.start if part else 0, length, status, headers)

    async def _opened(self, key: str, offset: int, length: int, status: int, headers: dict[str, str]) -> "StoredBody":
        if self.open_bodies >= OPEN_BODIES:
            raise Problem(503, "busy", "观看的人太多，播放器会自动再试。", {"Retry-After": "1"})
        self.open_bodies += 1
        try:
            body = await anyio.to_thread.run_sync(
                lambda: self._store.open(self._bucket, key, offset=offset, length=length), limiter=self.readers
            )
        except BaseException:
            self.open_bodies -= 1
            raise
        return StoredBody(self, body, status, headers)

    def _part(self, request: Request, there: StoredObject, etag: str) -> ranges.ByteRange | None:
        if not ranges.still_the_same(request.headers.get("if-range", ""), etag):
            return None
        return ranges.range_of(request.headers.get("range", ""), there.size_bytes)

    def _stat(self, key: str) -> StoredObject:
        """Size and tag, remembered for a minute. Raises Problem 404."""
        with self._lock:
            seen_at, known = self._stats.get(key, (float("-inf"), None))
        if known is not None and abs(self._clock() - seen_at) < _STAT_S:
            return known
        found = self._store.stat(self._bucket, key)
        if found is None:
            raise absent()
        with self._lock:
            self._stats[key] = (self._clock(), found)
            self._stats.move_to_end(key)
            while len(self._stats) > _STATS_KEPT:
                self._stats.popitem(last=False)
        return found


class StoredBody(Response):
    """Passes an open body on and closes it, whatever happens to the client meanwhile."""

    def __init__(self, media: Media, body: ObjectBody, status: int, headers: Mapping[str, str]) -> None:
        super().__init__(None, status, headers)
        self._media, self._stored = media, body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            async with anyio.create_task_group() as both:
                both.start_soon(_until_gone, receive, both.cancel_scope)
                await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
                while data := await anyio.to_thread.run_sync(next, self._stored, b"", limiter=self._media.readers):
                    await send({"type": "http.response.body", "body": data, "more_body": True})
                await send({"type": "http.response.body", "body": b"", "more_body": False})
                both.cancel_scope.cancel()
        finally:
            self._media.open_bodies -= 1
            self._stored.close()


async def _until_gone(receive: Receive, sending: anyio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    sending.cancel()


def _text(request: Request, data: bytes, content_type: str) -> Response:
    """Playlists and captions: small, whole, asked for again each time. The tag is weak: the text also goes out compressed."""
    etag = f'W/"{hashlib.sha256(data).hexdigest()[:32]}"'
    headers = {"Content-Type": content_type, "Cache-Control": ASK_AGAIN, "ETag": etag}
    if ranges.matches_any(request.headers.get("if-none-match", ""), etag):
        return Response(None, 304, headers)
    if request.method == "HEAD":
        return Response(None, 200, {**headers, "Content-Length": str(len(data))})
    return Response(data, 200, headers)


def _safe(etag: str) -> str:
    return "".join(c for c in etag if c.isascii() and (c.isalnum() or c in "-_"))[:80]
