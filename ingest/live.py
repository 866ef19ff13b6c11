"""Lessons that are still being taught: their pieces are put together as they come, and made playable from the beginning on.

    open.json    the lesson exists from now on; its recording's id is the hash of these bytes, for those of the whole are unknown
    pieces       are appended to one growing file; for each two minutes the smallest picture is made, and the sound so far
    close.json   the whole is checked against the sender's hash, stored, and goes the usual way, which finds what is made

Pieces need no event: whoever holds a lesson looks for them. All of it may be done again at any moment. ADR 14.
"""

import fcntl
import json
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar

import structlog
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from archive.database import now
from archive.errors import HuikanError, Rejected, Unacceptable, Unreadable
from archive.keys import LiveKey, rung_prefix, shown, source_key
from archive.live import Live
from archive.model import Probe, Refusal, Rendition, Sidecar
from archive.store import READ_BYTES, StoredObject
from ingest.placing import name_at_once, note_clock
from ingest.probe import Acceptance, probe
from ingest.runtime import Runtime
from ingest.sidecar import sidecar_of
from ingest.workspace import encode_dir, keep_source, reserve, scratch
from transcode import ladder, per_title, plan
from transcode.command import INIT_NAME, PLAYLIST_NAME
from transcode.encode import Bench, Effort, Made, loudness_gain_db, make
from transcode.fmp4 import reached_ms
from transcode.measure import HlsSegment, rendition_of
from transcode.plan import SOUND, Survey, Task, all_rungs, live_task
from transcode.playlist import growing_playlist
from transcode.survey import survey

log = structlog.get_logger()

Manifest = TypeVar("Manifest", bound=BaseModel)

STALE = timedelta(minutes=5)  # longer than a part takes; a worker that comes back late only does something twice
ABANDONED = timedelta(hours=24)  # no piece for so long: the recorder is gone, and what is here is the lesson
TIDY_AFTER = timedelta(hours=1)
_MARGIN_MS = 2_000  # the last fragments of two tracks do not end together
_MANIFEST_BYTES = 64 * 2**10
_SOUND_SO_FAR = "live-sound"
_REJECTED = "rejected"  # in place of a survey
_CONTENT_TYPES = {".mp4": "video/mp4", ".m4s": "video/iso.segment"}
_PLAYLIST_TYPE = "application/vnd.apple.mpegurl"
_EXPECTED_ZH = "这不是 huikan record 写出的清单，请升级录播程序后重新上传。"


class Opening(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True)
    format: int = Field(ge=1, le=1)
    nonce: str = Field(pattern=r"^[0-9a-f]{16,64}$")
    sidecar: dict[str, Any] = {}


class Closing(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True)
    format: int = Field(ge=1, le=1)
    pieces: int = Field(ge=1, le=999_999)
    size_bytes: int = Field(ge=1)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    sidecar: dict[str, Any] = {}


@dataclass(frozen=True, slots=True)
class Closed:
    """What became of a closing manifest: a recording to run, or one to wait for (`early`), or nothing more to do."""

    recording_id: str | None = None
    early: bool = False


# --- manifests --------------------------------------------------------------------------------------------------------


def take_open(runtime: Runtime, key: str, found: StoredObject, live: LiveKey) -> None:
    """A lesson begins. Raises Unreadable, Unacceptable and Unavailable."""
    data = runtime.store.get_bytes(runtime.incoming, key, limit_bytes=_MANIFEST_BYTES)
    said = sidecar_of(_parsed(Opening, data, key).sidecar, shown(key))
    recording_id = sha256(data).hexdigest()
    note_clock(runtime.catalog, live.incoming, said)
    accepted = runtime.catalog.arrivals.accept(
        key, found.etag, recording_id, 0, said, as_key=f"{live.incoming.stem}.{live.incoming.extension}"
    )
    if isinstance(accepted, Refusal):
        runtime.catalog.receipts.note(said.receipt, reason_zh=accepted.reason_zh)
        return
    runtime.catalog.lives.open(recording_id, live.prefix)
    runtime.catalog.receipts.note(said.receipt, recording_id=recording_id)
    name_at_once(runtime.catalog, recording_id)
    log.info("a lesson begins", key=shown(key), recording=recording_id)


def take_close(runtime: Runtime, key: str, found: StoredObject, live: LiveKey) -> Closed:
    """A lesson is whole: checked, stored, and ready for its run. Raises Unreadable, DiskFull and Unavailable."""
    known = runtime.catalog.lives.at(live.prefix)
    if known is None:
        return Closed(early=True)
    arrivals, recording_id = runtime.catalog.arrivals, known.recording_id
    closing = _parsed(Closing, runtime.store.get_bytes(runtime.incoming, key, limit_bytes=_MANIFEST_BYTES), key)
    if closing.size_bytes > runtime.settings.max_recording_bytes:
        raise Unacceptable(
            shown(key), f"{closing.size_bytes} bytes", "录像超过大小上限（HUIKAN_MAX_RECORDING_BYTES）。"
        )
    said = sidecar_of(closing.sidecar, shown(key))
    if known.closed_at is not None:
        return _after_the_end(runtime, key, found, live, known, closing, said)
    with _growing(runtime, known) as path:
        pieces, size_bytes = _fetch(runtime, known, path)
        if pieces < closing.pieces:
            return Closed(early=True)
        if (size_bytes, _hash_of(path)) != (closing.size_bytes, closing.sha256):
            path.unlink()
            raise _contradiction(runtime, known, key, said)
        runtime.catalog.placements.tell(recording_id, said)
        _keep_whole(runtime, known, path, size_bytes, pieces)
    arrivals.settle_sidecar(key, found.etag, recording_id)
    runtime.catalog.receipts.note(said.receipt, recording_id=recording_id, sha256=closing.sha256)
    return Closed(recording_id)


def _contradiction(runtime: Runtime, known: Live, key: str, said: Sidecar) -> Unreadable:
    """What lies here is not what the sender has: somebody wrote over a piece, or a disk is failing."""
    zh = "收到的各段与录播主机上的录像不一致（校验和不同）。请在录播主机上检查磁盘，并用 huikan upload 上传本机保留的录像。"
    runtime.catalog.lives.close(known.recording_id, 0)
    runtime.catalog.outputs.refuse(known.recording_id, "contradicted", f"{shown(key)}: hash differs", zh)
    runtime.catalog.receipts.note(said.receipt, reason_zh=zh)
    return Unreadable(shown(key), "the whole is not what its manifest says", zh)


def _after_the_end(
    runtime: Runtime, key: str, found: StoredObject, live: LiveKey, known: Live, closing: Closing, said: Sidecar
) -> Closed:
    """The closing of what was closed already: by this very manifest, or because nothing had come for a day. Then the whole
    becomes a recording of its own, another take, and nothing is lost."""
    if known.size_bytes == closing.size_bytes:
        runtime.catalog.arrivals.settle_sidecar(key, found.etag, known.recording_id)
        runtime.catalog.receipts.note(said.receipt, recording_id=known.recording_id, sha256=closing.sha256)
        return Closed(known.recording_id)
    reserve(runtime, closing.size_bytes)
    with scratch(runtime) as path:
        path.touch()
        pieces, size_bytes = _fetch(runtime, known, path)
        if pieces < closing.pieces:
            return Closed(early=True)
        if (size_bytes, _hash_of(path)) != (closing.size_bytes, closing.sha256):
            zh = "收到的各段与录播主机上的录像不一致（校验和不同）。"
            raise Unreadable(shown(key), "the whole is not what its manifest says", zh)
        runtime.store.put_file(runtime.media, source_key(closing.sha256, "mp4"), path)
        accepted = runtime.catalog.arrivals.accept(
            key, found.etag, closing.sha256, size_bytes, said, as_key=f"{live.incoming.stem}.mp4"
        )
    runtime.catalog.receipts.note(said.receipt, recording_id=closing.sha256, sha256=closing.sha256)
    return Closed(None if isinstance(accepted, Refusal) else accepted.recording_id)


def _parsed(kind: type[Manifest], data: bytes, key: str) -> Manifest:
    try:
        return kind.model_validate(json.loads(data))
    except (ValueError, RecursionError) as error:  # pydantic's is one, too
        where = (
            ", ".join("/".join(map(str, each["loc"])) for each in error.errors())
            if isinstance(error, ValidationError)
            else ""
        )
        raise Unreadable(shown(key), f"no manifest of ours: {where or error}", _EXPECTED_ZH) from error


# --- while it goes on -------------------------------------------------------------------------------------------------


def begun_as(runtime: Runtime, recording_id: str) -> tuple[bool, Survey | None]:
    """Whether a recording was taken in while it was being made, and what was found out then."""
    live = runtime.catalog.lives.find(recording_id)
    if live is None or live.survey is None or _REJECTED in live.survey:
        return live is not None, None
    return True, Survey.from_json(live.survey)


def advance_all(runtime: Runtime, worker: str) -> list[str]:
    """Takes every lesson that goes on, and that no other worker holds, as far as its pieces reach. Returns those that were
    given up by their recorder and are to be run now."""
    ended: list[str] = []
    for live in runtime.catalog.lives.claim(worker, STALE):
        try:
            if datetime.now(UTC) - live.grown_at > ABANDONED:
                ended += _abandon(runtime, live)
            else:
                advance(runtime, live)
        except Rejected as error:  # its usual way will say so to people, once it is whole
            log.warning("a lesson cannot be watched while it goes on", recording=live.recording_id, reason=str(error))
            runtime.catalog.lives.keep_survey(live.recording_id, {_REJECTED: str(error)})
        except HuikanError as error:
            log.warning("a lesson that goes on has to wait", recording=live.recording_id, reason=str(error))
    return ended


def tidy(runtime: Runtime) -> int:
    """Removes the pieces of recordings that are whole, checked and stored: a day of forty rooms has a hundred thousand, and
    each scan would look at all of them. The manifests stay. Returns how many recordings."""
    done = runtime.catalog.lives.untidy(now() - TIDY_AFTER)
    for live in done:
        source = runtime.catalog.outputs.recording(live.recording_id).source_key
        there = runtime.store.stat(runtime.media, source)
        if there is None or there.size_bytes != live.size_bytes:
            continue
        for found in list(runtime.store.list(runtime.incoming, live.prefix)):
            if found.key.endswith(".part"):
                runtime.store.delete(runtime.incoming, found.key)
        runtime.catalog.lives.tidied(live.recording_id)
    return len(done)


def advance(runtime: Runtime, live: Live) -> int:
    """Fetches what has come, and makes playable what is whole by now. Returns how many seconds can be played."""
    with _growing(runtime, live) as path:
        pieces, size_bytes = _fetch(runtime, live, path)
        if pieces > live.pieces:
            live = replace(live, pieces=pieces, size_bytes=size_bytes, reached_ms=reached_ms(path))
            runtime.catalog.lives.grown(
                live.recording_id, pieces=pieces, size_bytes=size_bytes, reached_ms=live.reached_ms
            )
    parts = (live.reached_ms - _MARGIN_MS) // (plan.LIVE_PART_S * 1000)
    if parts < 1 or _REJECTED in (live.survey or {}):
        return 0
    made = runtime.catalog.encodings.made(live.recording_id, ladder.EDITION)
    source, (found, surveyed) = _path(runtime, live), _surveyed(runtime, live)
    if not found.video:
        return 0  # a sound alone is made in seconds when it is whole
    waiting = [task for n in range(parts) if (task := live_task(found, n)).name not in made]
    if not waiting:
        return parts * plan.LIVE_PART_S
    span = _reaching(surveyed, parts * plan.LIVE_PART_S * 1000)
    for task in waiting:
        done = _make(runtime, live, task, found, span, source)
        _store(runtime, live.recording_id, task.name, done)
    if found.audio:
        _sound_so_far(runtime, live, found, span, source)
    _publish(runtime, live, found, span, parts)
    return parts * plan.LIVE_PART_S


def _abandon(runtime: Runtime, live: Live) -> list[str]:
    with _growing(runtime, live) as path:
        _, size_bytes = _fetch(runtime, live, path)
        if size_bytes == 0:
            zh = "录播主机开始了这节课，却没有传来任何内容。"
            runtime.catalog.lives.close(live.recording_id, 0)
            runtime.catalog.outputs.refuse(live.recording_id, "unreadable", "nothing came", zh)
            return []
        log.warning("a recorder is gone; its lesson is what is here", recording=live.recording_id)
        _keep_whole(runtime, live, path, size_bytes, 0)  # the rest may still come, and then all of it is wanted
    return [live.recording_id]


def _fetch(runtime: Runtime, live: Live, path: Path) -> tuple[int, int]:
    """Appends the pieces that are new, in order and without gaps. Returns how many there are by now, and their bytes.

    The file's length says how far it is: a piece that was cut off in the middle is appended again.
    """
    objects = {found.key: found for found in runtime.store.list(runtime.incoming, live.prefix)}
    have, end, count = path.stat().st_size, 0, 0
    with path.open("r+b") as file:
        while (found := objects.get(f"{live.prefix}{count:06d}.part")) is not None:
            start, end = end, end + found.size_bytes
            if end > have:
                if end > runtime.settings.max_recording_bytes:
                    raise Unacceptable(live.prefix, f"{end} bytes", "录像超过大小上限（HUIKAN_MAX_RECORDING_BYTES）。")
                reserve(runtime, found.size_bytes)
                file.truncate(start)
                file.seek(start)
                with runtime.store.open(runtime.incoming, found.key) as body:
                    for data in body:
                        file.write(data)
                have = end
            count += 1
    return count, end


def _surveyed(runtime: Runtime, live: Live) -> tuple[Probe, Survey]:
    """Found out once, of the first minutes, and kept: what is made later must fit what was made first."""
    path = _path(runtime, live)
    settings = runtime.settings
    limits = Acceptance(settings.max_duration_min * 60_000, settings.max_recording_bytes)
    found = probe(path, name=live.prefix, limits=limits)
    if live.survey is not None:
        return found, Survey.from_json(live.survey)
    surveyed = replace(survey(path, found, name=live.prefix, enterable=True), live=True, cut_off_ms=0)
    with scratch(runtime) as trials:
        trials.mkdir()
        surveyed = per_title.with_offsets(path, found, surveyed, trials, cancelled=runtime.stopping)
        gain_db = loudness_gain_db(_bench(runtime, live, found, surveyed, path, trials)) if found.audio else 0.0
    surveyed = replace(surveyed, gain_db=gain_db)
    runtime.catalog.lives.keep_survey(live.recording_id, surveyed.as_json())
    return found, surveyed


def _reaching(surveyed: Survey, end_ms: int) -> Survey:
    video = tuple(replace(reading, end_ms=end_ms) for reading in surveyed.video)
    return replace(surveyed, video=video, audio_end_ms=end_ms)


def _make(runtime: Runtime, live: Live, task: Task, found: Probe, span: Survey, source: Path) -> Made:
    reserve(runtime, 64 * 2**20)
    out = encode_dir(runtime, live.recording_id, ladder.EDITION) / "live" / task.name
    settings = runtime.settings
    effort = Effort(settings.encode_preset, settings.encode_threads, settings.encoder)
    return make(task, _bench(runtime, live, found, span, source, out), effort)


def _bench(runtime: Runtime, live: Live, found: Probe, span: Survey, source: Path, out: Path) -> Bench:
    return Bench(source, found, span, out, live.prefix, lambda _fraction: None, runtime.stopping)


def _store(runtime: Runtime, recording_id: str, name: str, done: Made, *, known: frozenset[str] = frozenset()) -> None:
    """Segments into the store, then the note of them. Those in `known` are there already."""
    out = encode_dir(runtime, recording_id, ladder.EDITION) / "live" / name
    for rung, segments in done.rungs.items():
        for file in (INIT_NAME, *(segment.name for segment in segments)):
            if file not in known:
                path = out / rung / file
                key = f"{rung_prefix(recording_id, ladder.EDITION, rung)}/{file}"
                runtime.store.put_file(runtime.media, key, path, _CONTENT_TYPES[path.suffix])
    runtime.catalog.encodings.keep_made(
        recording_id, ladder.EDITION, name if name != SOUND else _SOUND_SO_FAR, done.as_json()
    )


def _sound_so_far(runtime: Runtime, live: Live, found: Probe, span: Survey, source: Path) -> None:
    """All the sound up to here, once more: an encoder that begins anew would leave a gap. The same bytes as before but for
    the last segment, which is left out, for it ends where the sound does now."""
    before = runtime.catalog.encodings.made(live.recording_id, ladder.EDITION).get(_SOUND_SO_FAR)
    task = Task(SOUND, (ladder.SPEECH.name,), is_urgent=True)
    done = _make(runtime, live, task, found, span, source)
    done = replace(done, rungs={rung: segments[:-1] for rung, segments in done.rungs.items()})
    known: frozenset[str] = frozenset()
    if before is not None:
        there = Made.from_json(before)
        known = frozenset(segment.name for segments in there.rungs.values() for segment in segments)
    _store(runtime, live.recording_id, SOUND, done, known=known)


def _publish(runtime: Runtime, live: Live, found: Probe, span: Survey, parts: int) -> None:
    """Playlists that grow, and the lesson that plays them. Whether anybody may see it, its consent says."""
    recording_id, edition = live.recording_id, ladder.EDITION
    made = {name: Made.from_json(kept) for name, kept in runtime.catalog.encodings.made(recording_id, edition).items()}
    renditions: list[Rendition] = []
    tasks = [live_task(found, n).name for n in range(parts)]
    for names in (tasks, [_SOUND_SO_FAR] if found.audio else []):
        if not names:
            continue
        (rung,) = made[names[0]].rungs
        segments: list[HlsSegment] = [segment for name in names for segment in made[name].rungs[rung]]
        prefix = rung_prefix(recording_id, edition, rung)
        init = runtime.store.get_bytes(runtime.media, f"{prefix}/{INIT_NAME}")
        key = f"{prefix}/{PLAYLIST_NAME}"
        runtime.store.put_bytes(runtime.media, key, growing_playlist(segments).encode(), _PLAYLIST_TYPE)
        renditions.append(
            replace(rendition_of(all_rungs(found, span)[rung], segments, init, key), keyframe_bandwidth_bps=0)
        )
    if not runtime.catalog.lives.is_open(recording_id):
        return  # its usual way has begun meanwhile and writes the same, whole
    runtime.catalog.outputs.keep_renditions(recording_id, edition, renditions, is_whole=False)
    runtime.catalog.outputs.publish(recording_id, ladder_edition=edition, speech_edition=None)
    log.info("a lesson can be watched while it goes on", recording=recording_id, seconds=parts * plan.LIVE_PART_S)


# --- the growing file -------------------------------------------------------------------------------------------------


def _path(runtime: Runtime, live: Live) -> Path:
    return runtime.settings.work_dir / "live" / f"{live.recording_id}.mp4"


@contextmanager
def _growing(runtime: Runtime, live: Live) -> Generator[Path]:
    """The file that pieces are appended to, held alone: intake closes it while a worker's loop looks at it."""
    path = _path(runtime, live)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        path.touch()
        yield path


def _keep_whole(runtime: Runtime, live: Live, path: Path, size_bytes: int, pieces: int) -> None:
    """The whole goes to the store and stays on the work disk for its run; then, and not before, it is closed."""
    runtime.store.put_file(runtime.media, source_key(live.recording_id, "mp4"), path)
    with scratch(runtime) as other:
        other.hardlink_to(path)  # whoever reads the growing file reads on
        keep_source(runtime, live.recording_id, other)
    runtime.catalog.lives.close(live.recording_id, size_bytes, pieces)
    path.unlink()


def _hash_of(path: Path) -> str:
    digest = sha256()
    with path.open("rb") as file:
        while data := file.read(READ_BYTES):
            digest.update(data)
    return digest.hexdigest()
