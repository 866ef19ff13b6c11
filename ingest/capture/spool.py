"""Recordings on the recorder's own disk, from their first fragment to some days after the server's receipt.

    <folder>/<stem>/recording.mp4    grows by whole fragments, each on the disk (fdatasync) before the next is written
    <folder>/<stem>/captured.json    what it is; written by whoever captures, whole or not at all
    <folder>/<stem>/sent.json        what was sent of it and what the server said; written by whoever sends
    <folder>/status.json             what the recorder is doing, for people

A power cut leaves at worst a torn fragment at the end of recording.mp4, which is cut off before anything else is done with it.
"""

import json
import os
import secrets
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from archive.errors import DiskFull
from ingest.capture.fragments import whole_bytes

_MEDIA = "recording.mp4"
_READ_BYTES = 2**20

Sync = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class State:
    """What is known of one recording. `pieces` are the sizes of what was sent, in order."""

    stem: str
    ticket: str  # proves to the server who asks; never leaves but as its hash
    nonce: str  # makes the recording's id unguessable
    said: dict[str, Any]  # what the sidecar says
    opened: bool = False
    pieces: tuple[int, ...] = ()
    closed: bool = False  # no more will be captured
    sent: bool = False  # the closing manifest is in the store
    sha256: str = ""
    received_at: str = ""  # when the receipt was seen
    refused_zh: str = ""

    @property
    def sent_bytes(self) -> int:
        return sum(self.pieces)


_CAPTURED = frozenset({"stem", "ticket", "nonce", "said", "closed", "sha256"})
_SENT = frozenset({"opened", "pieces", "sent", "received_at", "refused_zh"})
_FILES = {_CAPTURED: "captured.json", _SENT: "sent.json"}


def _read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))


class Recording:
    """One recording's folder."""

    def __init__(self, folder: Path, state: State) -> None:
        self.folder, self.state = folder, state

    @property
    def media(self) -> Path:
        return self.folder / _MEDIA

    @property
    def size_bytes(self) -> int:
        return self.media.stat().st_size if self.media.exists() else 0

    def keep(self, **changes: Any) -> None:
        """Changes the state, and has it on the disk before it returns. Either of what was captured or of what was sent: the
        two have a writer and a file each, so that neither undoes what the other wrote."""
        self.state = replace(self.state, **changes)
        mine = _SENT if changes.keys() <= _SENT else _CAPTURED
        kept = {name: value for name, value in asdict(self.state).items() if name in mine}
        write_whole(self.folder / _FILES[mine], json.dumps(kept, ensure_ascii=False))

    def look_again(self) -> None:
        """What was captured may have gone on meanwhile."""
        self.state = replace(self.state, **_read(self.folder / _FILES[_CAPTURED]))

    def remove(self) -> None:
        """What it is goes last: a folder without that is not a recording any more."""
        for path in (self.media, self.folder / _FILES[_SENT], self.folder / _FILES[_CAPTURED]):
            path.unlink(missing_ok=True)
        self.folder.rmdir()


class Writer:
    """Appends fragments to a recording. What `write` has returned from survives a power cut."""

    def __init__(self, spool: "Spool", recording: Recording, sync: Sync = os.fdatasync) -> None:
        self._spool, self._stem = spool, recording.state.stem
        self._file = recording.media.open("ab", buffering=0)
        directory = os.open(recording.folder, os.O_RDONLY)
        try:
            os.fsync(directory)  # a file whose name is not on the disk is no file
        finally:
            os.close(directory)
        self._sync = sync
        self.written_bytes = 0

    def write(self, unit: bytes) -> None:
        """Raises DiskFull."""
        try:
            self._file.write(unit)
            self._sync(self._file.fileno())
        except OSError as error:
            raise DiskFull("录像盘", str(error), "请清理录播主机的磁盘。") from error
        self.written_bytes += len(unit)
        self._spool.durable[self._stem] = self.written_bytes

    def close(self) -> None:
        self._file.close()


class Spool:
    """All recordings on this disk. One process captures, and the same one sends."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # How much of what is being captured is on the disk for good: more must not be sent, for it could be lost here.
        self.durable: dict[str, int] = {}
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def begin(self, stem: str, said: dict[str, Any]) -> Recording:
        """A new recording. A lesson that was begun already (we were switched off in its midst) gets another part."""
        part = 1
        while (self.folder / self._named(stem, part)).exists():
            part += 1
        folder = self.folder / self._named(stem, part)
        folder.mkdir(mode=0o700)
        ticket = secrets.token_hex(32)
        told = {**said, "receipt": sha256(ticket.encode()).hexdigest()}
        recording = Recording(folder, State(folder.name, ticket, secrets.token_hex(16), told))
        recording.keep(said=told)
        self.durable[folder.name] = 0
        return recording

    @staticmethod
    def _named(stem: str, part: int) -> str:
        return stem if part == 1 else f"{stem}-{part}"

    def all(self) -> list[Recording]:
        """Oldest first."""
        found: list[Recording] = []
        for folder in sorted(self.folder.iterdir()):
            try:
                kept = _read(folder / _FILES[_CAPTURED])
                sent = folder / _FILES[_SENT]
                kept |= _read(sent) if sent.exists() else {}
                kept["pieces"] = tuple(kept.get("pieces", ()))
                found.append(Recording(folder, State(**kept)))
            except (OSError, ValueError, TypeError, KeyError):
                continue  # no recording: nothing was captured yet, or a person's file
        return found

    def recover(self) -> list[Recording]:
        """After a start: what was open when we died is cut to its last whole fragment and closed. Returns those."""
        torn = [recording for recording in self.all() if not recording.state.closed]
        for recording in torn:
            if recording.media.exists():
                whole = whole_bytes(recording.media)
                with recording.media.open("r+b") as file:
                    file.truncate(whole)
                    os.fsync(file.fileno())
            close(recording)
        return torn

    def ready_bytes(self, recording: Recording) -> int:
        """How much of a recording may be sent."""
        return recording.size_bytes if recording.state.closed else self.durable.get(recording.state.stem, 0)

    def used_bytes(self) -> int:
        return sum(recording.size_bytes for recording in self.all())


def close(recording: Recording) -> None:
    """Nothing more is captured: its hash is what the receipt must say. An empty one is removed."""
    if recording.size_bytes == 0:
        recording.remove()
        return
    recording.keep(closed=True, sha256=file_hash(recording.media))


def retire(spool: Spool, keep_days: float, most_bytes: int, now: datetime) -> list[str]:
    """Removes what the server has, once it is old enough or the disk's share is used up; never what it has not. Their stems."""
    gone: list[str] = []
    used = spool.used_bytes()
    for recording in spool.all():
        if not recording.state.received_at:
            continue
        age_days = (now - datetime.fromisoformat(recording.state.received_at)).total_seconds() / 86_400
        if age_days >= keep_days or used > most_bytes:
            used -= recording.size_bytes
            gone.append(recording.state.stem)
            recording.remove()
    return gone


def file_hash(path: Path) -> str:
    digest = sha256()
    with path.open("rb") as file:
        while data := file.read(_READ_BYTES):
            digest.update(data)
    return digest.hexdigest()


def write_whole(path: Path, text: str) -> None:
    """On the disk, whole, before it returns."""
    fresh = path.with_name(f"{path.name}.new")
    with fresh.open("w", encoding="utf-8") as out:
        out.write(text)
        out.flush()
        os.fsync(out.fileno())
    fresh.replace(path)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def utc_now() -> datetime:
    return datetime.now(UTC)
