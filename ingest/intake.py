"""An object in the incoming bucket becomes a recording with a lesson, or a refusal that a technician can read.

Idempotent: the same object taken in twice, or by two workers at once, leaves the same rows. The object itself is never
touched. Event and scan both come here.
"""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import structlog

from archive.crash import crash_point
from archive.database import now
from archive.errors import Absent, Rejected, Unacceptable, Unreadable
from archive.keys import CAPTION_EXTENSIONS, SIDECAR_EXTENSIONS, IncomingKey, LiveKey, is_piece, shown, source_key
from archive.model import Refusal, Sidecar
from archive.store import StoredObject
from ingest import live
from ingest.admission import admit, check_declared
from ingest.placing import note_clock, place
from ingest.runtime import Runtime
from ingest.sidecar import LIMIT_BYTES, read_sidecar
from ingest.workspace import keep_source, reserve, scratch
from transcribe.captions import MAX_BYTES, read_captions

log = structlog.get_logger()

_OLD = timedelta(days=14)


@dataclass(frozen=True, slots=True)
class TakenIn:
    """What is to be done now: run `recording_id`, redoing the steps in `redo` even if their outputs exist.

    `recording_id` is None when there is nothing to run: refused, superseded, or a sidecar whose recording is still to come.
    `early` says the last.
    """

    recording_id: str | None = None
    redo: tuple[str, ...] = ()
    early: bool = False


def take_in(runtime: Runtime, key: str) -> TakenIn:
    """Takes in what lies at `key` now. Raises Unavailable when store, disk or catalog cannot serve just now.

    Everything else ends in the catalog.
    """
    if is_piece(key):
        return TakenIn()
    found = runtime.store.stat(runtime.incoming, key)
    if found is None:
        return TakenIn()  # gone again: an event is only a hint
    arrival = runtime.catalog.arrivals.note(key, found.etag, found.size_bytes)
    if arrival.is_settled:
        return TakenIn(arrival.recording_id)
    crash_point("intake:noted")
    try:
        admit(runtime.catalog, runtime.settings, found)
        in_the_making = LiveKey.parse(key)
        if in_the_making is not None:
            return _take_manifest(runtime, in_the_making, found)
        incoming = IncomingKey.parse(key)
        if incoming.is_media:
            return _take_media(runtime, incoming, found)
        return _take_late_sidecar(runtime, incoming, found)
    except Absent:
        return TakenIn()  # written anew while we read: the scan finds the new one
    except Rejected as error:
        runtime.catalog.arrivals.refuse(key, found.etag, error.code, str(error), error.reason_zh)
        log.warning("refused", key=shown(key), code=error.code, reason=str(error))
        return TakenIn()


def _take_manifest(runtime: Runtime, key: LiveKey, found: StoredObject) -> TakenIn:
    if key.name == "open.json":
        live.take_open(runtime, found.key, found, key)
        return TakenIn()
    closed = live.take_close(runtime, found.key, found, key)
    return TakenIn(closed.recording_id, early=closed.early)


def is_old(key: str) -> bool:
    """Whether nobody waits for it today: a lesson of weeks ago, from a shelf. Its name says when it was."""
    try:
        started_at = IncomingKey.parse(key).started_at
    except Rejected:
        return False
    return now() - started_at > _OLD


def _take_media(runtime: Runtime, incoming: IncomingKey, found: StoredObject) -> TakenIn:
    name = shown(found.key)
    if found.size_bytes == 0:
        raise Unreadable(name, "0 bytes", "文件是空的（0 字节）：录播主机可能在写完之前就上传了，请重新上传。")
    if found.size_bytes > runtime.settings.max_recording_bytes:
        limit_gb = runtime.settings.max_recording_bytes / 2**30
        zh = f"文件有 {found.size_bytes / 2**30:.1f} GB，超过上限 {limit_gb:.1f} GB（设置项 HUIKAN_MAX_RECORDING_BYTES）。"
        raise Unacceptable(name, f"{found.size_bytes} bytes is over the limit", zh)
    reserve(runtime, found.size_bytes)
    with scratch(runtime) as path:
        recording_id = runtime.store.get_file(runtime.incoming, found.key, path, etag=found.etag)
        runtime.catalog.arrivals.hashed(found.key, found.etag, recording_id)
        check_declared(found, recording_id)
        _store_source(runtime, source_key(recording_id, incoming.extension), path, found.size_bytes)
        crash_point("intake:stored")
        sidecar = _sidecar_beside(runtime, incoming)
        note_clock(runtime.catalog, incoming, sidecar)
        accepted = runtime.catalog.arrivals.accept(found.key, found.etag, recording_id, found.size_bytes, sidecar)
        # The same bytes under another name are safe with us, too.
        runtime.catalog.receipts.note(sidecar.receipt, recording_id=recording_id, sha256=recording_id)
        if isinstance(accepted, Refusal):
            return TakenIn()
        crash_point("intake:accepted")
        keep_source(runtime, recording_id, path)
    for extension in sorted(SIDECAR_EXTENSIONS):
        beside = runtime.store.stat(runtime.incoming, f"{incoming.stem}.{extension}")
        if beside is not None:
            _settle_sidecar(runtime, beside, extension, recording_id)
    return TakenIn(recording_id)


def _store_source(runtime: Runtime, key: str, path: Path, size_bytes: int) -> None:
    """The very bytes that were hashed go to the immutable source, so no later upload can change what a lesson is."""
    there = runtime.store.stat(runtime.media, key)
    if there is None or there.size_bytes != size_bytes:
        runtime.store.put_file(runtime.media, key, path)


def _sidecar_beside(runtime: Runtime, incoming: IncomingKey) -> Sidecar:
    """What the `.json` says; an unreadable one is refused on its own account and the lesson goes on without it."""
    beside = runtime.store.stat(runtime.incoming, f"{incoming.stem}.json")
    if beside is None:
        return Sidecar()
    try:
        return _read(runtime, beside)
    except Rejected:
        return Sidecar()  # _settle_sidecar writes the reason down


def _read(runtime: Runtime, beside: StoredObject) -> Sidecar:
    if beside.size_bytes > LIMIT_BYTES:
        raise Unacceptable(shown(beside.key), f"{beside.size_bytes} bytes", "说明文件超过 64 KB，不像是说明文件。")
    data = runtime.store.get_bytes(runtime.incoming, beside.key, limit_bytes=LIMIT_BYTES)
    return read_sidecar(data, shown(beside.key))


def _settle_sidecar(runtime: Runtime, beside: StoredObject, extension: str, recording_id: str) -> None:
    arrivals = runtime.catalog.arrivals
    if arrivals.note(beside.key, beside.etag, beside.size_bytes).is_settled:
        return
    try:
        _keep(runtime, beside, extension, recording_id)
    except Rejected as error:
        arrivals.refuse(beside.key, beside.etag, error.code, str(error), error.reason_zh)
    else:
        arrivals.settle_sidecar(beside.key, beside.etag, recording_id)


def _keep(runtime: Runtime, beside: StoredObject, extension: str, recording_id: str) -> None:
    """Checks a sidecar and, unless it lives in the catalog, keeps its bytes beside the source."""
    if extension == "json":
        _read(runtime, beside)
        return
    if extension in CAPTION_EXTENSIONS:
        if beside.size_bytes > MAX_BYTES:
            raise Unacceptable(shown(beside.key), f"{beside.size_bytes} bytes", "字幕文件超过 5 MB，不像是字幕。")
        data = runtime.store.get_bytes(runtime.incoming, beside.key, limit_bytes=MAX_BYTES)
        read_captions(data, shown(beside.key))
        runtime.store.put_bytes(runtime.media, source_key(recording_id, extension), data)
        return
    reserve(runtime, beside.size_bytes)
    with scratch(runtime) as path:
        runtime.store.get_file(runtime.incoming, beside.key, path, etag=beside.etag)
        runtime.store.put_file(runtime.media, source_key(recording_id, extension), path)


def _take_late_sidecar(runtime: Runtime, incoming: IncomingKey, found: StoredObject) -> TakenIn:
    """A sidecar on its own: its recording is already here (then it is applied), or still to come (then it waits)."""
    recording = runtime.catalog.outputs.of_stem(incoming.stem)
    if recording is None:
        return TakenIn(early=True)
    redo: tuple[str, ...] = ()
    if incoming.extension == "json":
        said = _read(runtime, found)
        runtime.catalog.lessons.describe(recording.lesson_id, said)
        runtime.catalog.placements.tell(recording.id, said)
        note_clock(runtime.catalog, incoming, said)
        if said.receipt:
            runtime.catalog.receipts.note(said.receipt, recording_id=recording.id, sha256=recording.id)
        if recording.probe is not None:
            place(runtime.catalog, recording.id)  # what the school did not say, the timetable does
        redo = ("index",)
    elif incoming.extension in CAPTION_EXTENSIONS:
        redo = ("speech", "index")
    _keep(runtime, found, incoming.extension, recording.id)
    runtime.catalog.arrivals.settle_sidecar(found.key, found.etag, recording.id)
    return TakenIn(recording.id, redo)
