"""The truth about what has arrived is the bucket itself: events are hints, and the scan finds what they missed."""

from collections.abc import Iterable, Iterator
from itertools import islice

import structlog

from archive.database import now
from archive.keys import is_piece
from archive.model import Arrival
from archive.store import StoredObject
from ingest.engine import Runs
from ingest.runtime import Runtime
from ingest.triage import begin

log = structlog.get_logger()

_LOOK_UP_AT_ONCE = 300  # (key, etag) pairs a query: SQLite takes 32,766 parameters, PostgreSQL 65,535


def scan(runtime: Runtime, runs: Runs) -> int:
    """Starts an intake for every object that is neither settled nor waiting for its retry. Returns how many.

    Raises Unavailable when the store or the catalog cannot be asked.
    """
    started = 0
    seen = (
        found for found in runtime.store.list(runtime.incoming) if not is_piece(found.key)
    )  # those are ingest.live's
    for objects in _in_lots(seen, _LOOK_UP_AT_ONCE):
        known = runtime.catalog.arrivals.among((found.key, found.etag) for found in objects)
        due = [found for found in objects if _is_due(known.get((found.key, found.etag)))]
        # All at once, before any is begun: what is there is seen by people within one scan, however long a queue is.
        runtime.catalog.arrivals.note_all((found.key, found.etag, found.size_bytes) for found in due)
        for found in due:
            begin(runtime, runs, found.key, found.size_bytes)
        started += len(due)
    if started:
        log.info("scan found objects", count=started)
    return started


def _is_due(arrival: Arrival | None) -> bool:
    if arrival is None:
        return True
    if arrival.is_settled:
        return False
    return arrival.retry_at is None or arrival.retry_at.replace(tzinfo=None) <= now()


def _in_lots(objects: Iterable[StoredObject], size: int) -> Iterator[list[StoredObject]]:
    remaining = iter(objects)
    while lot := list(islice(remaining, size)):
        yield lot
