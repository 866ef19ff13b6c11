"""What operators order from the command line, in terms of the parts: reprocessing, verifying, recorders' keys."""

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager

from api import recorders
from api.state import store_endpoint
from archive.settings import Settings
from ingest import indexing
from ingest.engine import BATCH, Runs
from ingest.recorder import RecorderKey
from ingest.runtime import Runtime, open_catalog, open_runtime
from ingest.verify import Checked, verify
from ingest.worker import only_one

_TOGETHER = 100  # lessons that are indexed in one commit


def order_reprocessing(settings: Settings, lesson_ids: Sequence[str], *, redo: Sequence[str]) -> int:
    """Starts a run for each lesson (all of them if none is named). Raises Absent for an unknown one, before any starts.

    What waits for its retry is tried at once.
    """
    catalog = open_catalog(settings)
    try:
        catalog.migrate()
        chosen = [catalog.lessons.get(lesson_id) for lesson_id in lesson_ids] or catalog.lessons.every()
        catalog.outputs.retry_now()
        catalog.indexing.retry_now()
    finally:
        catalog.close()
    runs = Runs(settings.engine_address)
    try:
        for lesson in chosen:
            runs.process(lesson.recording_id, redo=redo, priority=BATCH)
    finally:
        runs.close()
    return len(chosen)


def reconsider(settings: Settings, key: str) -> None:
    """Takes a refused upload in again, as if it had just come. Raises Absent if nothing at `key` was refused."""
    catalog = open_catalog(settings)
    try:
        catalog.migrate()
        again = catalog.arrivals.reopen(key)
    finally:
        catalog.close()
    runs = Runs(settings.engine_address)
    try:
        runs.arrived(key)
        for recording_id in again:
            runs.process(recording_id)
    finally:
        runs.close()


def check_everything(settings: Settings) -> Checked:
    runtime = open_runtime(settings, endpoint=store_endpoint(settings))
    try:
        runtime.catalog.migrate()
        return verify(runtime)
    finally:
        runtime.close()


def build_index(settings: Settings, on_progress: Callable[[int, int], None]) -> int:
    """Builds the index of all lessons beside the one that is searched, and swaps it in. Returns how many lessons it has.

    Raises Misconfigured while another process is at it.
    """
    with only_one(settings.home / "reindex.lock"), _offline(settings) as runtime:
        return indexing.reindex(runtime, on_progress)


def index_some(settings: Settings, lesson_ids: Sequence[str], on_progress: Callable[[int, int], None]) -> int:
    """Indexes these lessons in place, or, if none is named, those that the index has otherwise than the catalog.

    Raises Absent for an unknown one, before any begins, and Unavailable; what is left is then done by the worker.
    """
    with _offline(settings) as runtime:
        for lesson_id in lesson_ids:
            runtime.catalog.lessons.get(lesson_id)
        if lesson_ids:
            runtime.catalog.indexing.order(lesson_ids)
        else:
            indexing.mend(runtime)
        orders = runtime.catalog.indexing.orders()
        for first in range(0, len(orders), _TOGETHER):
            on_progress(first, len(orders))
            some = orders[first : first + _TOGETHER]
            indexing.index_lessons(runtime, [order.lesson_id for order in some])
            for order in some:
                runtime.catalog.indexing.settle(order)
        on_progress(len(orders), len(orders))
        return len(orders)


@contextmanager
def _offline(settings: Settings) -> Generator[Runtime]:
    """The parts without an object store at hand: catalog and index are enough."""
    runtime = open_runtime(settings, endpoint=settings.store_endpoint or "127.0.0.1:1")
    try:
        runtime.catalog.migrate()
        yield runtime
    finally:
        runtime.close()


def add_recorder(settings: Settings, school: str, room: str) -> tuple[str, RecorderKey]:
    """A recorder with a fresh key. Returns the store's endpoint (host:port) and the key, whose secret is shown once."""
    catalog = open_catalog(settings)
    try:
        catalog.migrate()
        issued = recorders.add(settings, catalog, recorders.Place(school, room))
    finally:
        catalog.close()
    return store_endpoint(settings), issued.key
