"""What is seen in the bucket, sorted before any of it costs an engine's run: most of a storm is nothing new.

A run costs some milliseconds of the engine's database and waits for the engine to look; what is refused by its name alone, or
is known, or is not there, needs none.
"""

from archive.errors import Unacceptable
from archive.keys import IncomingKey, LiveKey, is_piece
from ingest.engine import FRESH, Runs
from ingest.intake import take_in
from ingest.runtime import Runtime


def begin_hinted(runtime: Runtime, runs: Runs, key: str) -> None:
    """For a key that somebody says something was put at. Raises Unavailable."""
    if is_piece(key):
        return  # of a recording in the making: its manifest says when there is something to do
    found = runtime.store.stat(runtime.incoming, key)
    if found is None:
        return  # forged, or gone again
    known = runtime.catalog.arrivals.note(key, found.etag, found.size_bytes)
    if not known.is_settled:
        begin(runtime, runs, key, found.size_bytes)


def begin(runtime: Runtime, runs: Runs, key: str, size_bytes: int) -> None:
    """Takes in what needs no reading here and now, and starts a run for everything else. Raises Unavailable."""
    if is_judged_unread(key, size_bytes):
        taken = take_in(runtime, key)
        if taken.recording_id is not None:
            runs.process(taken.recording_id, redo=taken.redo, priority=FRESH)
    else:
        runs.arrived(key)


def is_judged_unread(key: str, size_bytes: int) -> bool:
    """Whether its name or its emptiness is all there is to know of it."""
    if LiveKey.parse(key) is not None:
        return False
    try:
        incoming = IncomingKey.parse(key)
    except Unacceptable:
        return True
    return incoming.is_media and size_bytes == 0
