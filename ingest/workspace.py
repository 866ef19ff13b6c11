"""The work disk: where sources are fetched to and outputs are made, budgeted before use and swept after. Below Settings.work_dir:

    source/<recording>          the bytes, fetched once for all steps of a recording
    source/<recording>-enterable.mkv    the same packets, where the bytes cannot be entered in the middle
    encode/<recording>-e<N>/    a ladder in the making: tasks/ while they run, ladder/ what they made
    sound/<recording>.wav       its sound as the speech engine wants it, for all its stretches
    live/<recording>.mp4        what has come of a lesson that is still being taught
    scratch/<random>            everything short-lived

Nothing here is needed after a crash, but what is whole is used again.
"""

import re
import shutil
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from archive.errors import DiskFull
from archive.model import Recording
from ingest.runtime import Runtime

_STALE_S = 24 * 3600


def reserve(runtime: Runtime, needed_bytes: int) -> None:
    """Raises DiskFull unless `needed_bytes` fit with the reserve left over: a clear wait, not a half-written file."""
    root = runtime.settings.work_dir
    root.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(root).free
    wanted = needed_bytes + runtime.settings.disk_reserve_bytes
    if free < wanted:
        short_mb = (wanted - free) // 2**20 + 1
        raise DiskFull("工作盘", f"{free} bytes free, {wanted} wanted", f"请在 {root} 所在磁盘再腾出约 {short_mb} MB。")


@contextmanager
def scratch(runtime: Runtime, suffix: str = "") -> Generator[Path]:
    """A path for a short-lived file or directory; whatever is there afterwards is removed."""
    parent = runtime.settings.work_dir / "scratch"
    parent.mkdir(parents=True, exist_ok=True)
    path = parent / f"{uuid4().hex}{suffix}"
    try:
        yield path
    finally:
        _remove(path)


def local_source(runtime: Runtime, recording: Recording) -> Path:
    """The recording's bytes on the work disk. Two steps asking at once is fine: the last rename wins, bytes are equal."""
    path = _source_path(runtime, recording.id)
    if path.exists() and path.stat().st_size == recording.size_bytes:
        return path
    reserve(runtime, recording.size_bytes)
    with scratch(runtime) as fresh:
        runtime.store.get_file(runtime.media, recording.source_key, fresh)
        return keep_source(runtime, recording.id, fresh)


def keep_source(runtime: Runtime, recording_id: str, fetched: Path) -> Path:
    path = _source_path(runtime, recording_id)
    path.parent.mkdir(parents=True, exist_ok=True)
    fetched.replace(path)
    return path


def enterable_path(runtime: Runtime, recording_id: str) -> Path:
    """Where the copy of a recording lies that tasks can read from the middle."""
    return _source_path(runtime, f"{recording_id}-enterable.mkv")


def encode_dir(runtime: Runtime, recording_id: str, edition: int) -> Path:
    return runtime.settings.work_dir / "encode" / f"{recording_id}-e{edition}"


def sound_path(runtime: Runtime, recording_id: str) -> Path:
    return runtime.settings.work_dir / "sound" / f"{recording_id}.wav"


def forget_sound(runtime: Runtime, recording_id: str) -> None:
    _remove(sound_path(runtime, recording_id))


def forget(runtime: Runtime, recording_id: str) -> None:
    """The recording is done with: gives its room back."""
    _remove(_source_path(runtime, recording_id))
    _remove(enterable_path(runtime, recording_id))
    forget_sound(runtime, recording_id)
    forget_encoding(runtime, recording_id)


def forget_encoding(runtime: Runtime, recording_id: str) -> None:
    """What was made of it is in the store, or is to be made anew."""
    for directory in (runtime.settings.work_dir / "encode").glob(f"{recording_id}-e*"):
        _remove(directory)


def sweep(runtime: Runtime, *, keep: set[str]) -> int:
    """Removes what crashes left: everything older than a day that belongs to no recording in `keep`. Returns how many."""
    oldest = time.time() - _STALE_S
    removed = 0
    for room in ("source", "encode", "sound", "live", "scratch"):
        for path in (runtime.settings.work_dir / room).glob("*"):
            if re.split("[-.]", path.name)[0] not in keep and path.lstat().st_mtime < oldest:
                _remove(path)
                removed += 1
    return removed


def _source_path(runtime: Runtime, recording_id: str) -> Path:
    return runtime.settings.work_dir / "source" / recording_id


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
