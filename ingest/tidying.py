"""What uploads that were given up leave behind, taken away after a day: parts that no object was made of, and pieces of
teachers' files that nobody handed in. The store keeps both for ever, and shows neither in a listing of its objects.
"""

from datetime import UTC, datetime, timedelta

import structlog

from archive.errors import Rejected
from archive.keys import shown
from ingest.runtime import Runtime

log = structlog.get_logger()

PIECES = "upload/"  # in the media bucket; below it a folder for each teacher's file


def tidy_uploads(runtime: Runtime) -> int:
    """Raises Unavailable when the store or the catalog cannot be asked. Returns how many uploads were given up."""
    before = datetime.now(UTC) - timedelta(hours=runtime.settings.abandoned_upload_h)
    return _abort_parts(runtime, before) + _forget_pieces(runtime, before)


def _abort_parts(runtime: Runtime, before: datetime) -> int:
    aborted = 0
    for bucket in (runtime.incoming, runtime.media):
        for key, upload_id in list(runtime.store.abandoned(bucket, before)):
            try:
                runtime.store.abort(bucket, key, upload_id)
            except Rejected as error:  # a name that no client would take; the next sweep sees it again
                log.warning("cannot abort an upload", key=shown(key), reason=str(error))
                continue
            log.info("aborted an abandoned upload", key=shown(key))
            aborted += 1
    return aborted


def _forget_pieces(runtime: Runtime, before: datetime) -> int:
    instant = before.replace(tzinfo=None)
    wanted = runtime.catalog.uploads.open_ids(since=instant)
    forgotten: set[str] = set()
    for piece in list(runtime.store.list(runtime.media, PIECES)):
        upload_id = piece.key.removeprefix(PIECES).partition("/")[0]
        if upload_id not in wanted and piece.modified_at < before:
            runtime.store.delete(runtime.media, piece.key)
            forgotten.add(upload_id)
    runtime.catalog.uploads.forget_before(instant)
    return len(forgotten)
