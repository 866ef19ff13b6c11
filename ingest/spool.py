"""Where the gateways leave what they took, and how it goes on: each file becomes an object in the incoming bucket, once.

Below `<home>/gateway`:

    ftp/<recorder>/…                          a recorder's own folder, as its FTP client sees it
    camera/<name>/…                           what is being pulled from a camera just now
    ready/<school>/<room>/<by>/<name>~<id>    whole files; `name` is the key's last part, `by` the recorder, or `-`

A file leaves `ready` only when the store has it whole; a power cut in between sends it once more, and the same bytes under
the same key are the same object. With the store down or its disk full files wait here; with this disk full too, gateways
take no more.
"""

import hashlib
import os
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import structlog

from archive.catalog import Catalog
from archive.errors import DiskFull, HuikanError
from archive.keys import shown
from archive.recorders import ROOM_ZONE
from archive.settings import Settings
from archive.store import ObjectStore
from ingest.admission import SHA256, mark
from ingest.delivery import deliver, is_free
from ingest.naming import key_for

log = structlog.get_logger()

UNMARKED = "-"
_READ_BYTES = 2**20


class Spool:
    """One data directory's. Several threads may put files in; one delivers."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.root = settings.home.absolute() / "gateway"
        self._ready = self.root / "ready"

    def folder(self, *names: str) -> Path:
        """A folder of the gateways' own, made if need be; for our user alone."""
        self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self.root.joinpath(*names)
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        return path

    def has_room(self, needed_bytes: int = 0) -> bool:
        """Whether this disk may take more; the reserve is left over."""
        self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        return shutil.disk_usage(self.root).free >= needed_bytes + self._settings.disk_reserve_bytes

    def take(self, file: Path, prefix: str, name: str, by: str = UNMARKED) -> str:
        """Moves a whole file in. `name` is its path as the recorder gave it. Returns its key.

        Raises Unacceptable for a file that is none of ours; it stays where it is.
        """
        key = key_for(prefix, name, datetime.fromtimestamp(file.stat().st_mtime, ROOM_ZONE).replace(tzinfo=None))
        _synced(file)
        os.replace(file, self._place(key, by))  # noqa: PTH105 — across folders of one disk
        return key

    def copy(self, file: Path, prefix: str, name: str, by: str = UNMARKED) -> str:
        """The same for a file on a disk that is not ours: it is copied, and never followed to where it points.

        Raises Unacceptable, DiskFull; OSError where it cannot be read.
        """
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as source:
            status = os.fstat(source.fileno())
            key = key_for(prefix, name, datetime.fromtimestamp(status.st_mtime, ROOM_ZONE).replace(tzinfo=None))
            if not self.has_room(status.st_size):
                raise DiskFull("网关的磁盘", f"no room for {status.st_size} bytes", f"请清理 {self.root} 所在的磁盘。")
            fresh = self.folder("copying") / uuid4().hex
            try:
                with fresh.open("wb") as out:
                    shutil.copyfileobj(source, out, _READ_BYTES)
                _synced(fresh)
                os.replace(fresh, self._place(key, by))  # noqa: PTH105
            finally:
                fresh.unlink(missing_ok=True)
        return key

    def waiting(self) -> list[tuple[Path, str, str]]:
        """(file, key, by) of all that is to be delivered, oldest first; sidecars before their recordings."""
        found = [
            (file, f"{school.name}/{room.name}/{file.name.rpartition('~')[0]}", by.name)
            for school in _folders(self._ready)
            for room in _folders(school)
            for by in _folders(room)
            for file in by.iterdir()
            if "~" in file.name
        ]
        return sorted(found, key=lambda each: (each[0].stat().st_mtime, each[1].endswith((".mp4", ".mkv", ".ts"))))

    def deliver(self, store: ObjectStore, catalog: Catalog) -> list[str]:
        """Sends on what waits. Returns the keys that went. What cannot go now stays; the rest is tried all the same."""
        sent: list[str] = []
        for file, key, by in self.waiting():
            try:
                if not is_free(store, catalog, self._settings.incoming_bucket, key):
                    continue  # what lies there is taken in first
                metadata = {SHA256: _sha256(file)} | ({} if by == UNMARKED else mark(self._settings, by, key))
                deliver(store, self._settings.incoming_bucket, key, file, metadata)
            except HuikanError as error:
                log.warning("a file waits in the gateway", key=shown(key), reason=str(error))
                continue
            file.unlink(missing_ok=True)
            log.info("delivered", key=shown(key), by=by)
            sent.append(key)
        return sent

    def _place(self, key: str, by: str) -> Path:
        school, room, name = key.split("/")
        return self.folder("ready", school, room, by) / f"{name}~{uuid4().hex[:12]}"


def _folders(path: Path) -> Iterator[Path]:
    if path.is_dir():
        yield from (found for found in path.iterdir() if found.is_dir())


def _sha256(file: Path) -> str:
    with file.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()


def _synced(file: Path) -> None:
    """On the disk, not in a cache: whoever sent it may delete its own copy soon."""
    descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def room_clock() -> datetime:
    """Now, by the rooms' clocks (naive)."""
    return datetime.now(UTC).astimezone(ROOM_ZONE).replace(tzinfo=None)
