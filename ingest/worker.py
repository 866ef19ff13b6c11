"""A worker: runs the queues, beats its lease, scans the bucket, and wakes what waited long enough.

It is crash-only: SIGTERM ends it at once, children and all, and whoever starts next (itself, or another worker by the lease)
goes on from the last finished step. So stopping is always quick and is tested every time something is killed.
"""

import fcntl
import os
import signal
import threading
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from types import FrameType
from typing import IO

import structlog

from archive import sandbox
from archive.database import now
from archive.errors import HuikanError, Misconfigured
from archive.settings import Settings
from ingest import engine, indexing, joining, live, workspace
from ingest.inbox import start_hinted
from ingest.runtime import Runtime, open_runtime
from ingest.scan import scan
from ingest.teachers import assemble_handed_in
from ingest.tidying import tidy_uploads
from ingest.workflow import Road

log = structlog.get_logger()

_WAKE_EVERY_S = 2.0
_HINTS_EVERY_S = 0.25
_CATCH_UP_EVERY_S = 60.0
_JOIN_EVERY_S = 20.0
_LIVE_EVERY_S = 2.0
_SWEEP_EVERY_S = 3600.0


def run_worker(settings: Settings, *, endpoint: str = "", embedded: bool = False) -> None:
    """Works until SIGTERM or SIGINT. `embedded` is the one worker of `huikan serve`: it keeps its name over restarts, so
    that the engine recovers its runs at once instead of after the lease."""
    sandbox.demand(settings.sandbox)
    stop = threading.Event()
    _stop_on_signal(stop)
    runtime = open_runtime(settings, endpoint=endpoint)
    name = (
        f"serve-{sha256(str(settings.home.absolute()).encode()).hexdigest()[:12]}"
        if embedded
        else engine.executor_name()
    )
    with only_one(settings.home / "worker.lock") if embedded else _nothing():
        runtime.catalog.migrate()
        for bucket in (runtime.incoming, runtime.media):
            runtime.store.ensure_bucket(bucket)
        Road(runtime)
        lease = engine.Lease(runtime.catalog.database, name, settings.lease_ttl_s)
        lease.beat()
        engine.migrate(settings.engine_address)
        retired = engine.retire_others(settings.engine_address)
        if retired:
            log.warning("cancelled runs of another release; they begin anew", runs=retired)
        engine.launch(settings.engine_address, name, engine.Limits(encode=settings.encode_at_once))
        runs = engine.Runs(settings.engine_address)
        log.info("worker ready", executor=name)
        _every(settings.lease_ttl_s / 3, stop, "lease", lambda: _keep_lease(lease))
        _every(settings.scan_interval_s, stop, "scan", lambda: scan(runtime, runs))
        _every(_WAKE_EVERY_S, stop, "wake", lambda: wake(runtime, runs))
        _every(_CATCH_UP_EVERY_S, stop, "catch up", lambda: catch_up(runtime, runs))
        _every(_SWEEP_EVERY_S, stop, "sweep", lambda: _sweep(runtime))
        _every(_SWEEP_EVERY_S, stop, "tidy uploads", lambda: tidy_uploads(runtime))
        _every(_HINTS_EVERY_S, stop, "hints", lambda: start_hinted(runtime, runs))
        _every(_WAKE_EVERY_S, stop, "assemble", lambda: assemble_handed_in(runtime, runs))
        _every(_LIVE_EVERY_S, stop, "live", lambda: _go_on(runtime, runs, name))
        _every(_JOIN_EVERY_S, stop, "join", lambda: joining.join_due(runtime, runs))
        _every(_WAKE_EVERY_S, stop, "index", lambda: indexing.carry_out_due(runtime))
        _every(_SWEEP_EVERY_S, stop, "mend index", lambda: indexing.mend(runtime))
        _every(_SWEEP_EVERY_S, stop, "renew index", lambda: renew_index(runtime))
        stop.wait()
        log.info("worker stops", executor=name)
        _leave(lease)


def wake(runtime: Runtime, runs: engine.Runs) -> int:
    """Starts a run for each recording whose obstacle has had its time. Returns how many.

    An obstacle at a step whose output exists means that somebody wanted it done anew: then the retry does so too.
    """
    outputs = runtime.catalog.outputs
    due = {obstacle.recording_id for obstacle in outputs.obstacles(due_by=now())}
    for recording_id in due:
        stages = outputs.stages(recording_id)
        runs.process(recording_id, redo=[state.obstacle.step for state in stages if state.done and state.obstacle])
    return len(due)


def catch_up(runtime: Runtime, runs: engine.Runs) -> int:
    """Starts a run for each recording that is unfinished without an obstacle: whatever lost its run gets a new one."""
    outputs = runtime.catalog.outputs
    hindered = {obstacle.recording_id for obstacle in outputs.obstacles()}
    lost = [found for found in outputs.unfinished() if found not in hindered]
    for recording_id in lost:
        runs.process(recording_id)
    return len(lost)


def renew_index(runtime: Runtime) -> int:
    """After an upgrade: builds this edition's index beside the older one that is searched, and swaps it in. Returns how many
    lessons it has, 0 where there is nothing to do. Cut off at any moment, the next worker goes on.

    Several machines that share a search server would all begin: there an operator orders it (`huikan reindex`). Raises
    Misconfigured while somebody is at it.
    """
    if runtime.settings.meili_url or not runtime.index.is_older():
        return 0
    with only_one(runtime.settings.home / "reindex.lock"):
        log.info("the index is of an older edition; building this one's beside it")
        lessons = indexing.reindex(runtime, lambda done, total: log.info("building the index", done=done, total=total))
        log.info("the new index is searched", lessons=lessons)
        return lessons


def only_one(lock: Path) -> IO[str]:
    """Holds a lock file for as long as it is open; the kernel frees it when the process dies, however it dies.

    Raises Misconfigured when another process holds it.
    """
    lock.parent.mkdir(parents=True, exist_ok=True)
    held = lock.open("a+", encoding="utf-8")
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        held.close()
        raise Misconfigured(f"{lock} is held: another Huikan already runs on this data directory") from error
    return held


def _nothing() -> IO[str]:
    return Path(os.devnull).open(encoding="utf-8")


def _stop_on_signal(stop: threading.Event) -> None:
    def ask(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, ask)
    signal.signal(signal.SIGINT, ask)


def _every(seconds: float, stop: threading.Event, name: str, act: Callable[[], object]) -> None:
    """Acts now and then every `seconds`, in a thread of its own, until `stop`. What is unavailable is tried next time."""

    def loop() -> None:
        while True:
            try:
                act()
            except HuikanError as error:
                log.warning("will try again", what=name, reason=str(error))
            except Exception:  # a loop must not end for one lesson; what it was is in the log
                log.exception("a loop failed in a way nobody foresaw", what=name)
            if stop.wait(seconds):
                return

    threading.Thread(target=loop, name=name, daemon=True).start()


def _keep_lease(lease: engine.Lease) -> None:
    lease.beat()
    for name in lease.reap():
        log.warning("took over from a dead worker", executor=name)


def _go_on(runtime: Runtime, runs: engine.Runs, worker: str) -> None:
    for recording_id in live.advance_all(runtime, worker):
        runs.process(recording_id)


def _sweep(runtime: Runtime) -> None:
    live.tidy(runtime)
    removed = workspace.sweep(runtime, keep=set(runtime.catalog.outputs.unfinished()))
    if removed:
        log.info("swept the work disk", removed=removed)


def _leave(lease: engine.Lease) -> None:
    """Ends the process here and now: running steps are cut off and re-done, their tools die with us."""
    try:
        lease.resign()
    except HuikanError as error:
        log.warning("could not resign the lease; others wait for its end", reason=str(error))
    os._exit(0)
