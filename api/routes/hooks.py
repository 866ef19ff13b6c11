"""/hooks/store: the object store says that something was put. A hint; whether it is true, the pipeline looks up itself."""

import hashlib
import hmac
import json
from typing import cast

import anyio
import anyio.to_thread
from fastapi import APIRouter, Request

from api.deps import WebDep
from api.problems import Problem, not_entered
from api.routes.asking import problems
from api.schemas import NotedOut
from archive.settings import secret
from ingest.recorder import object_named_in

# Threads of their own: in a storm of events, viewers' requests must not wait for them.
_LIMITER = anyio.CapacityLimiter(64)

router = APIRouter(prefix="/hooks", tags=["对象存储"], responses=problems(401, 422, 503))


@router.post("/store", summary="对象存储的通知", status_code=202)
async def store(request: Request, web: WebDep) -> NotedOut:
    """Bearer 口令为 HUIKAN_WEBHOOK_TOKEN。重复、乱序、虚假的通知都无害。"""
    given = request.headers.get("authorization", "").partition(" ")[2]
    if not _equal(given, secret(web.parts.settings.webhook_token)):
        raise not_entered()
    try:
        event: object = json.loads(await request.body())
    except (ValueError, RecursionError) as error:
        raise Problem(422, "invalid", "通知不是 JSON。") from error
    named = object_named_in(cast(dict[str, object], event)) if isinstance(event, dict) else None
    if named is None:
        return NotedOut(noted=False)
    await anyio.to_thread.run_sync(web.parts.runs.arrived, *named, limiter=_LIMITER)
    return NotedOut(noted=True)


def _equal(given: str, known: str) -> bool:
    """In constant time, whatever their lengths."""
    digests = [hashlib.sha256(text.encode(errors="surrogatepass")).digest() for text in (given, known)]
    return hmac.compare_digest(*digests)
