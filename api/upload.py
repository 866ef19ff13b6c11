"""`huikan upload`: files of this machine go the recorder's way, sidecars first, so that the lesson is named from the start."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

from api.state import store_endpoint
from archive.errors import Unacceptable
from archive.keys import SIDECAR_EXTENSIONS, IncomingKey
from archive.settings import Settings
from ingest.admission import OPERATOR, mark
from ingest.runtime import open_store


def upload_files(
    settings: Settings, files: Sequence[Path], *, school: str, room: str, at: datetime | None
) -> Iterator[str]:
    """Yields each key once its object is whole in the store. Every key is checked before the first byte goes out.

    Several files without their own time are parts of one lesson when `at` is given, else each takes its file's clock.
    Raises Unacceptable for a name outside the grammar, Unavailable when the store cannot be reached.
    """
    planned = [
        planned for number, file in enumerate(files, 1) for planned in _plan(file, number, len(files), school, room, at)
    ]
    store = open_store(settings, store_endpoint(settings))
    for file, key in planned:
        store.put_file(settings.incoming_bucket, key, file, metadata=mark(settings, OPERATOR, key))
        yield key


def _plan(
    file: Path, number: int, count: int, school: str, room: str, at: datetime | None
) -> Iterator[tuple[Path, str]]:
    started_at = at or datetime.fromtimestamp(file.stat().st_mtime)  # noqa: DTZ006 — the room's wall clock
    part = f"-{number}" if at is not None and count > 1 else ""
    stem = f"{school}/{room}/{started_at:%Y%m%dT%H%M%S}{part}"
    extension = file.suffix.lower().lstrip(".")
    if not IncomingKey.parse(f"{stem}.{extension}").is_media:
        raise Unacceptable(file.name, "a sidecar on its own", "请给出录像文件；同名的说明与字幕会一起上传。")
    for beside in sorted(SIDECAR_EXTENSIONS):
        sidecar = file.with_suffix(f".{beside}")
        if sidecar.is_file():
            yield sidecar, f"{stem}.{beside}"
    yield file, f"{stem}.{extension}"
