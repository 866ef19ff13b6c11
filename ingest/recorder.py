"""Recorders and the object store: the key each classroom uploads with, and what the store's events say.

A recorder's key may put objects below `<school>/<room>/` of the incoming bucket and nothing else: not read, list,
delete or copy, not even its own. Whoever steals one learns nothing, and destroys nothing that was taken in.
"""

import fcntl
import json
import os
import secrets
import signal
import time
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from archive.errors import Absent, Unavailable
from archive.keys import IncomingKey
from archive.recorders import token_of
from archive.store import ObjectStore

# PutObject covers every step of a multipart upload. Real recorders ask which parts have arrived when they resume one.
_UPLOAD_ACTIONS = ("s3:PutObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts")
IDENTITY_PREFIX = "recorder-"
_RELOAD_S = 15.0  # it takes some 10 ms
_EVENTS_OF_INTEREST = ("create", "update")  # an overwrite arrives as an update


@dataclass(frozen=True, slots=True)
class RecorderKey:
    """What a technician types into a recorder. The secret is shown once, at issue, and kept by the store alone."""

    access_key: str
    secret_key: str = field(repr=False)
    school: str
    room: str
    bucket: str


@dataclass(frozen=True, slots=True)
class RecorderRecord:
    """What is known of an issued key. `revoked_at` is None while it works."""

    access_key: str
    school: str
    room: str
    bucket: str
    issued_at: datetime
    revoked_at: datetime | None = None


def issue(school: str, room: str, bucket: str) -> RecorderKey:
    """A fresh key, not yet known to any store. Raises Unacceptable if school or room are no slugs.

    Letters and digits only: recorders' web forms, and the signature's header, dislike the rest.
    """
    IncomingKey.parse(f"{school}/{room}/20260101T0000.mp4")  # the grammar also keeps wildcards out of the policy
    return RecorderKey(f"HK{secrets.token_hex(9).upper()}", secrets.token_hex(20), school, room, bucket)


def upload_policy(school: str, room: str, bucket: str) -> dict[str, Any]:
    """What a recorder may do, in AWS's policy language: also for a store whose keys an operator makes by hand."""
    allowed = {
        "Effect": "Allow",
        "Action": list(_UPLOAD_ACTIONS),
        "Resource": [f"arn:aws:s3:::{bucket}/{school}/{room}/*"],
    }
    return {"Version": "2012-10-17", "Statement": [allowed]}


def object_named_in(event: Mapping[str, object]) -> tuple[str, str] | None:
    """The (bucket, key) that one of SeaweedFS's events says was written; None if it says nothing of the kind.

    The store POSTs one JSON object for each change below `/buckets/<incoming bucket>/`, with `Authorization: Bearer
    <token>` and `Content-Type: application/json`. What it cannot deliver is lost:

        {"event_type": "create" | "update" | "delete" | "rename",
         "key": "/buckets/incoming/xinghuo/301/20260901T0800.mp4",
         "message": {"new_parent_path": "/buckets/incoming/xinghuo/301",
                     "new_entry": {"name": "20260901T0800.mp4", "is_directory": true (else missing),
                                   "attributes": {"file_size": 100, "md5": base64 (missing after a multipart upload), …},
                                   "chunks": […], …},
                     "old_entry": {…} (update, delete), …}}

    Directories come as creations too, and a multipart upload as files below `.uploads/` before its one real creation.
    Anybody may send anything, so every shape of JSON is taken, and what is named may not exist: it is a hint.
    """
    message = _mapping(event.get("message"))
    entry = _mapping(message.get("new_entry"))
    parent, name = message.get("new_parent_path"), entry.get("name")
    if event.get("event_type") not in _EVENTS_OF_INTEREST or entry.get("is_directory"):
        return None
    if not isinstance(parent, str) or not isinstance(name, str) or not name:
        return None
    root, _, path = f"{parent.rstrip('/')}/{name}".partition("/buckets/")
    bucket, _, key = path.partition("/")
    if root or not bucket or not key or key.startswith(".uploads/"):
        return None
    return bucket, key


class RecorderKeys:
    """The keys of an embedded store, issued and revoked while it runs or while it does not.

    `<home>/recorders.json` is the record. From it the store's own `<home>/s3.json` is made, which the store reads when
    it starts and at SIGHUP: 2,000 keys within a second, without an interruption of what is being uploaded. (Its IAM API
    took ten seconds per key at 120 keys, and lets every user make itself more keys; it is switched off.)
    """

    def __init__(self, home: Path) -> None:
        self._home = home.resolve()  # the store is started with the same spelling
        self._file = self._home / "recorders.json"
        self._config = self._home / "s3.json"

    def add(self, key: RecorderKey) -> RecorderRecord:
        """Make it known; a store that runs takes it from now on. Again is no error. A revoked key stays revoked."""
        with self._changing() as kept:
            known = kept.setdefault(key.access_key, _Kept(**asdict(key), issued_at=datetime.now(UTC).isoformat()))
        if known.revoked_at is None and not known.suspended:
            self._until_the_store(_knows, known)
        return known.record

    def revoke(self, access_key: str) -> None:
        """A store that runs refuses it from now on. Raises Absent if it was never issued."""
        with self._changing() as kept:
            if access_key not in kept:
                raise Absent(access_key)
            known = kept[access_key]
            if known.revoked_at is None:  # its secret is of no more use to anybody
                gone = secrets.token_hex(20)
                kept[access_key] = replace(known, secret_key=gone, revoked_at=datetime.now(UTC).isoformat())
        self._until_the_store(_refuses, known)

    def suspend(self, access_key: str) -> None:
        """A store that runs refuses it until `resume`. Raises Absent if it was never issued."""
        self._let(access_key, suspended=True)

    def resume(self, access_key: str) -> None:
        """It works again, unless it was revoked. Raises Absent if it was never issued."""
        self._let(access_key, suspended=False)

    def _let(self, access_key: str, *, suspended: bool) -> None:
        with self._changing() as kept:
            if access_key not in kept:
                raise Absent(access_key)
            known = kept[access_key] = replace(kept[access_key], suspended=suspended)
        if known.revoked_at is None:
            self._until_the_store(_refuses if suspended else _knows, known)

    def list(self) -> tuple[RecorderRecord, ...]:
        """All keys ever issued, oldest first."""
        return tuple(sorted((kept.record for kept in self._read().values()), key=lambda record: record.issued_at))

    def write_config(self, owner: Mapping[str, Any]) -> None:
        """The store's configuration for its next start: its owner, and the recorders."""
        with self._locked():
            write_private(self._config, json.dumps(store_config(owner, self._read().values())))

    def reload(self) -> bool:
        """Have a store that runs read its configuration again; False if none does."""
        try:
            pid = int((self._home / "pid").read_text())
            process = os.pidfd_open(pid)
        except (FileNotFoundError, ProcessLookupError):
            return False
        try:  # the number may be somebody else's by now, whom the signal would kill
            if str(self._config) not in Path(f"/proc/{pid}/cmdline").read_text():
                return False
            signal.pidfd_send_signal(process, signal.SIGHUP)
        except (FileNotFoundError, ProcessLookupError):
            return False
        finally:
            os.close(process)
        return True

    def _read(self) -> dict[str, "_Kept"]:
        kept: list[dict[str, Any]] = json.loads(self._file.read_text(encoding="utf-8")) if self._file.exists() else []
        return {each["access_key"]: _Kept(**each) for each in kept}

    @contextmanager
    def _locked(self) -> Generator[None]:
        self._home.mkdir(parents=True, exist_ok=True, mode=0o700)
        with (self._home / "recorders.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    @contextmanager
    def _changing(self) -> Generator[dict[str, "_Kept"]]:
        with self._locked():
            before, kept = self._read(), self._read()
            yield kept
            if kept == before:
                return
            write_private(self._file, json.dumps([asdict(each) for each in kept.values()], indent=1))
            if self._config.exists():
                owner = next(each for each in json.loads(self._config.read_text())["identities"] if _is_owner(each))
                write_private(self._config, json.dumps(store_config(owner, kept.values())))

    def _until_the_store(self, agrees: Callable[[str, "_Kept"], bool], kept: "_Kept") -> None:
        if not self.reload():
            return
        port = json.loads((self._home / "ports.json").read_text())["s3.port"]
        deadline = time.monotonic() + _RELOAD_S
        while not agrees(f"127.0.0.1:{port}", kept):
            if time.monotonic() > deadline:
                raise Unavailable("内置对象存储", "did not read its new keys", "请重启 huikan serve，之后即生效。")
            time.sleep(0.02)


@dataclass(frozen=True, slots=True)
class _Kept:
    """One entry of recorders.json. The secret stays in clear as long as it works: signatures are checked with it."""

    access_key: str
    secret_key: str = field(repr=False)
    school: str
    room: str
    bucket: str
    issued_at: str
    revoked_at: str | None = None
    suspended: bool = False

    @property
    def record(self) -> RecorderRecord:
        revoked_at = None if self.revoked_at is None else datetime.fromisoformat(self.revoked_at)
        issued_at = datetime.fromisoformat(self.issued_at)
        return RecorderRecord(self.access_key, self.school, self.room, self.bucket, issued_at, revoked_at)


def store_config(owner: Mapping[str, Any], kept: Iterable[_Kept]) -> dict[str, Any]:
    """SeaweedFS's identities: the owner, who may do all, and each recorder with the one policy of its room.

    A policy is checked action by action; the older way of granting, `Write:incoming/…`, would include deletion. A
    revoked key stays as a disabled identity: one that is merely missing goes on working until the next start.
    """
    identities, policies = [dict(owner)], dict[str, str]()
    for each in kept:
        policy = f"upload-{each.bucket}-{each.school}-{each.room}"
        policies[policy] = json.dumps(upload_policy(each.school, each.room, each.bucket))
        identities.append(
            {
                "name": IDENTITY_PREFIX + each.access_key,
                "credentials": [{"accessKey": each.access_key, "secretKey": each.secret_key}],
                "policyNames": [policy],
                "disabled": each.revoked_at is not None or each.suspended,
            }
        )
    named = [{"name": name, "content": document} for name, document in policies.items()]
    return {"identities": identities, "policies": named}


def write_private(path: Path, text: str) -> None:
    """Whole or not at all, and for its owner only."""
    fresh = path.with_name(f"{path.name}.new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as out:
        out.write(text)
        out.flush()
        os.fsync(descriptor)
    fresh.replace(path)


def _is_owner(identity: Mapping[str, Any]) -> bool:
    return not identity["name"].startswith(IDENTITY_PREFIX)


def _knows(endpoint: str, kept: _Kept) -> bool:
    try:
        ObjectStore(endpoint, kept.access_key, kept.secret_key).ready()
    except Unavailable:
        return False
    return True


def _refuses(endpoint: str, kept: _Kept) -> bool:
    return not _knows(endpoint, kept)


def tokens_of(home: Path) -> dict[str, str]:
    """access key → the token its recorder shows our API, of every key that works: for recorders that were issued a key
    before the catalog knew any. A revoked key's secret is gone, and with it its token."""
    kept = RecorderKeys(home)._read().values()  # pyright: ignore[reportPrivateUsage]
    return {each.access_key: token_of(each.access_key, each.secret_key) for each in kept if each.revoked_at is None}


def _mapping(value: object) -> Mapping[str, object]:
    return cast(Mapping[str, object], value) if isinstance(value, Mapping) else {}
