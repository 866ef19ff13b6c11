"""/health for whoever restarts us, /metrics for whoever watches us. Neither says anything about a lesson."""

import threading
from collections.abc import Callable

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import JSONResponse

from api.deps import Operator, Parts
from api.problems import RETRY_AFTER_S
from api.routes.asking import problems
from api.schemas import HealthOut
from archive.errors import HuikanError

router = APIRouter(tags=["运行"])

_FRESH_S = 2.0  # anybody may ask: asking often must not cost


class Health:
    """Asks the parts, and remembers their answer for a moment."""

    def __init__(self, parts: Parts) -> None:
        self._parts, self._clock = parts, parts.clock
        self._lock = threading.Lock()
        self._asked_at = float("-inf")
        self._known = HealthOut(status="down", parts={})

    def now(self) -> HealthOut:
        with self._lock:
            if abs(self._clock() - self._asked_at) >= _FRESH_S:
                self._known, self._asked_at = self._ask(), self._clock()
            return self._known

    def _ask(self) -> HealthOut:
        parts = self._parts
        needed = {
            "catalog": _answers(lambda: parts.catalog.lessons.find("")),
            "store": _answers(parts.store.ready),
            "index": _answers(parts.index.size),
        }
        try:
            pipeline = parts.runs.pulse()
        except HuikanError:
            pipeline = {"pipeline": False}
        able = "ok" if all(pipeline.values()) else "degraded"
        return HealthOut(status=able if all(needed.values()) else "down", parts={**needed, **pipeline})


def _answers(ask: Callable[[], object]) -> bool:
    try:
        ask()
    except HuikanError:
        return False
    return True


@router.get("/health", summary="是否正常", response_model=HealthOut, responses={503: {"model": HealthOut}})
def health(request: Request) -> Response:
    """200：能看课（status 为 degraded 时新课会晚到）；503：目录库、对象存储或索引不可用。"""
    known: HealthOut = request.app.state.health.now()
    down = known.status == "down"
    headers = {"Cache-Control": "no-store"} | ({"Retry-After": str(RETRY_AFTER_S)} if down else {})
    return JSONResponse(known.model_dump(), 503 if down else 200, headers)


@router.get("/metrics", summary="Prometheus 指标", response_class=Response, responses=problems(401, 403))
def metrics(_: Operator, request: Request) -> Response:
    return Response(
        request.app.state.metrics.text(), headers={"Cache-Control": "no-store"}, media_type=CONTENT_TYPE_LATEST
    )
