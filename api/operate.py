"""What operators order from the command line, in terms of the parts: reprocessing, verifying, recorders' keys."""

from collections.abc import Sequence

from api.state import store_endpoint
from archive.errors import Misconfigured
from archive.settings import Settings
from ingest.engine import BATCH, Runs
from ingest.recorder import RecorderKey, RecorderKeys, issue
from ingest.runtime import open_catalog, open_index, open_runtime
from ingest.verify import Checked, verify


def order_reprocessing(settings: Settings, lesson_ids: Sequence[str], *, redo: Sequence[str]) -> int:
    """Starts a run for each lesson (all of them if none is named). Raises Absent for an unknown one, before any starts.

    Indexing all lessons anew begins with an empty index, so that a corrupt one is no obstacle.
    """
    catalog = open_catalog(settings)
    try:
        catalog.migrate()
        chosen = [catalog.lessons.get(lesson_id) for lesson_id in lesson_ids] or catalog.lessons.every()
        catalog.outputs.retry_now()
    finally:
        catalog.close()
    if "index" in redo and not lesson_ids:
        index = open_index(settings)
        index.reset()
        index.close()
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


def recorder_keys(settings: Settings) -> RecorderKeys:
    """The embedded store's. Raises Misconfigured where another store is used, which keeps its keys itself."""
    if not settings.embedded_store:
        raise Misconfigured(
            "recorders' keys of an external S3 are made with its own tools; docs/operations.md has the policy to give them"
        )
    return RecorderKeys(settings.home / "store")


def add_recorder(settings: Settings, school: str, room: str) -> tuple[str, RecorderKey]:
    """Issues a key and makes it known to the store. Returns the store's endpoint and the key, whose secret is shown once."""
    endpoint = store_endpoint(settings)  # first: it may raise, and a key whose secret nobody saw would be left
    key = issue(school, room, settings.incoming_bucket)
    recorder_keys(settings).add(key)
    return endpoint, key
