"""The one object-store adapter: the minio client, speaking S3 to whatever is there.

Promises: what is put is what was sent (every body carries its MD5 and the server refuses a mismatch); a download appears
under its name only when it is whole; nothing waits for minutes. Errors are ours: Absent for what is not there,
Unavailable (with a remedy) for everything that may pass.
"""

import base64
import errno
import hashlib
import io
import os
import re
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import ParseError

import urllib3
from minio import Minio
from minio.datatypes import PostPolicy
from minio.error import MinioException, S3Error, ServerError
from urllib3.response import BaseHTTPResponse
from urllib3.util import Retry, Timeout

from archive.errors import Absent, DiskFull, Unacceptable, Unavailable
from archive.keys import shown

PART_BYTES = 16 * 2**20  # S3 takes at most 10,000 parts: this allows 160 GiB
PARALLEL_PARTS = 2  # each holds one part in memory
READ_BYTES = 256 * 2**10
_SLOW_READ_BYTES = 8 * 2**10

_CONNECT_S = 3.0
_READ_S = 60.0  # completing a 20 GiB multipart upload takes a busy server tens of seconds
# One more try, because a kept-alive connection may be dead (the server was restarted). Never on a 5xx: that is for the
# workflow engine to retry, which can wait longer and shows why.
_RETRY = Retry(total=2, connect=1, read=1, redirect=0, status=0, other=0, backoff_factor=0.1)

_ABSENT = frozenset({"NoSuchKey", "NoSuchBucket", "NoSuchUpload", "NoSuchVersion", "PreconditionFailed"})
_WRONG_KEYS = frozenset({"AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "XAdminUserNotFound"})
_STORE_FULL = frozenset({"XMinioStorageFull", "QuotaExceeded", "InsufficientStorage"})
_META = "x-amz-meta-"
_OWNER = "seaweed-x-amz-owner"  # SeaweedFS alone says whose key put an object
_WHAT = "对象存储"
_KEYS_ZH = "请检查 HUIKAN_STORE_ACCESS_KEY 与 HUIKAN_STORE_SECRET_KEY。"
_CLOCK_ZH = "本机与对象存储的时钟相差过大，请校准时间（例如 timedatectl set-ntp true）。"
_FULL_ZH = "对象存储的磁盘已满，请清理或扩容，任务会自动继续。"
_DOWN_ZH = "请确认对象存储正在运行，且 HUIKAN_STORE_ENDPOINT 可以访问；恢复后任务会自动继续。"


@dataclass(frozen=True, slots=True)
class StoredObject:
    """What the store says of an object. In a listing the last three are empty: it was not asked for them.

    `metadata` is what its sender said of it (x-amz-meta-…, names in lower case). `owner` is who put it, on stores that
    tell; "" elsewhere.
    """

    key: str
    etag: str
    size_bytes: int
    modified_at: datetime  # aware, UTC
    content_type: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])
    owner: str = ""


class ObjectBody(Iterator[bytes]):
    """The bytes of an object as they come. Its connection goes back at the end, at an error and at `close`."""

    def __init__(self, response: BaseHTTPResponse, name: str) -> None:
        self._response, self._name = response, name

    def __next__(self) -> bytes:
        data = b""
        try:
            with _translated(self._name):
                # As stored: a Content-Encoding that a recorder sent must not unpack anything here.
                data = self._response.read(READ_BYTES, decode_content=False)
        finally:
            if not data:
                self.close()
        if not data:
            raise StopIteration
        return data

    def close(self) -> None:
        # A body that was read to its end has already given its connection back; any other connection is of no more use.
        self._response.close()
        self._response.release_conn()

    def __enter__(self) -> "ObjectBody":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class ObjectStore:
    """One S3 server. Safe to share between threads; after a fork make a new one."""

    def __init__(
        self,
        endpoint: str,
        access_key: str,
        secret_key: str,
        *,
        secure: bool = False,
        region: str = "us-east-1",
        read_timeout_s: float = _READ_S,
        throttle: Callable[[int], None] | None = None,
    ) -> None:
        """`throttle` is called with a number of bytes before they go out, and returns when they may."""
        self.endpoint = endpoint
        pool = _CheckedPool(
            throttle, timeout=Timeout(connect=_CONNECT_S, read=read_timeout_s), retries=_RETRY, maxsize=16
        )
        # With the region given the client never asks GetBucketLocation, which a least-privilege key may not.
        self._client = Minio(endpoint, access_key, secret_key, secure=secure, region=region, http_client=pool)

    def ready(self) -> None:
        """Raises Unavailable unless the store answers and knows our keys."""
        try:
            with _translated(self.endpoint):
                self._client.list_buckets()
        except Unavailable as error:
            cause = error.__cause__
            if not (isinstance(cause, S3Error) and cause.code == "AccessDenied"):
                raise  # AccessDenied: it verified our signature, it only does not let us list buckets

    def ensure_bucket(self, bucket: str) -> None:
        with _translated(bucket):
            if self._client.bucket_exists(bucket):
                return
            try:
                self._client.make_bucket(bucket)
            except S3Error as error:
                if error.code not in ("BucketAlreadyOwnedByYou", "BucketAlreadyExists"):  # another process was first
                    raise

    def stat(self, bucket: str, key: str) -> StoredObject | None:
        """None if there is no such object, or no such bucket."""
        try:
            with _translated(key):
                found = self._client.stat_object(bucket, key)
        except Absent:
            return None
        modified_at = found.last_modified or datetime.fromtimestamp(0, UTC)
        told = {name.lower(): str(value) for name, value in (found.metadata or {}).items()}
        said = {name.removeprefix(_META): value for name, value in told.items() if name.startswith(_META)}
        size_bytes, kind = found.size or 0, found.content_type or ""
        return StoredObject(key, found.etag or "", size_bytes, modified_at, kind, said, told.get(_OWNER, ""))

    def list(self, bucket: str, prefix: str = "") -> Iterator[StoredObject]:
        """Every object whose key starts with `prefix`, in the server's order. Directories and half uploads are not."""
        with _translated(bucket):
            for found in self._client.list_objects(bucket, prefix=prefix, recursive=True):
                key = found.object_name or ""
                if found.is_dir or key.startswith(".uploads/") or found.last_modified is None:
                    continue
                yield StoredObject(key, found.etag or "", found.size or 0, found.last_modified)

    def put_file(
        self,
        bucket: str,
        key: str,
        path: Path,
        content_type: str = "application/octet-stream",
        metadata: Mapping[str, str] | None = None,
    ) -> StoredObject:
        """Store a file under `key`, in parts when it is large. Whoever sees the object sees all of it."""
        with _translated(key):
            self._client.fput_object(
                bucket,
                key,
                str(path),
                content_type=content_type,
                metadata=dict(metadata or {}),
                part_size=PART_BYTES,
                num_parallel_uploads=PARALLEL_PARTS,
            )
        return self._stored(bucket, key, path.stat().st_size)

    def put_bytes(
        self, bucket: str, key: str, data: bytes, content_type: str = "application/octet-stream"
    ) -> StoredObject:
        with _translated(key):
            self._client.put_object(bucket, key, io.BytesIO(data), len(data), content_type=content_type)
        return self._stored(bucket, key, len(data))

    def hand_in(self, bucket: str, key: str, data: bytes, content_type: str = "application/octet-stream") -> None:
        """Store bytes with a key that may only write. The server checked their MD5; nothing can be looked up afterwards."""
        with _translated(key):
            self._client.put_object(
                bucket, key, io.BytesIO(data), len(data), content_type=content_type, part_size=max(len(data), 5 * 2**20)
            )

    def get_file(self, bucket: str, key: str, path: Path, *, etag: str | None = None) -> str:
        """Download to `path` and return the sha256 of what was written, in hex.

        Raises Absent if the object is gone, or is another one than `etag`. `path` is whole or untouched.
        """
        part = path.with_name(f"{path.name}.{os.getpid()}.part")
        digest = hashlib.sha256()
        try:
            with self._body(bucket, key, etag=etag) as body, part.open("wb") as out:
                for data in body:
                    digest.update(data)
                    out.write(data)
            part.replace(path)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise DiskFull("工作磁盘", f"no space to download {shown(key)}", "请清理磁盘空间。") from error
            raise
        finally:
            with suppress(FileNotFoundError):
                part.unlink()
        return digest.hexdigest()

    def get_bytes(self, bucket: str, key: str, *, limit_bytes: int = 16 * 2**20) -> bytes:
        """The whole object, for small ones. Raises Unacceptable if it is larger than `limit_bytes`."""
        data = bytearray()
        with self._body(bucket, key) as body:
            for piece in body:
                data += piece
                if len(data) > limit_bytes:
                    reason = f"larger than {limit_bytes} bytes"
                    raise Unacceptable(shown(key), reason, f"文件过大，上限 {limit_bytes} 字节。")
        return bytes(data)

    def open(self, bucket: str, key: str, *, offset: int = 0, length: int | None = None) -> ObjectBody:
        """Bytes from `offset` on, `length` of them or all. Raises Absent at once, not at the first byte."""
        if length is not None and length <= 0:
            raise ValueError(f"not a length: {length}")
        return self._body(bucket, key, offset=offset, length=length or 0)

    def abandoned(self, bucket: str, before: datetime) -> Iterator[tuple[str, str]]:
        """(key, upload id) of every upload in parts that was begun before an instant (aware) and is not complete."""
        key_marker = upload_marker = None
        while True:
            with _translated(bucket):
                page = self._client._list_multipart_uploads(  # pyright: ignore[reportPrivateUsage]
                    bucket, key_marker=key_marker, upload_id_marker=upload_marker
                )
            for found in page.uploads:
                begun_at = found.initiated_time
                if found.object_name and found.upload_id and begun_at is not None and begun_at < before:
                    yield found.object_name, found.upload_id
            key_marker, upload_marker = page.next_key_marker, page.next_upload_id_marker
            if not page.is_truncated or not key_marker:
                return

    def abort(self, bucket: str, key: str, upload_id: str) -> None:
        """The parts of an upload that was given up are gone afterwards; no error if it was not there."""
        with suppress(Absent), _translated(key):
            self._client._abort_multipart_upload(bucket, key, upload_id)  # pyright: ignore[reportPrivateUsage]

    def presigned_put(self, bucket: str, key: str, lifetime: timedelta) -> str:
        """An address at which whoever has it may put this one object, in one piece, until it expires."""
        with _translated(key):
            return self._client.presigned_put_object(bucket, key, expires=lifetime)

    def post_policy(
        self, bucket: str, prefix: str, lifetime: timedelta, *, limit_bytes: int, exact: bool = False
    ) -> dict[str, str]:
        """The fields of a form with which a browser may POST objects whose key starts with `prefix` (or is it)."""
        policy = PostPolicy(bucket, datetime.now(UTC) + lifetime)
        if exact:
            policy.add_equals_condition("key", prefix)
        else:
            policy.add_starts_with_condition("key", prefix)
        policy.add_content_length_range_condition(1, limit_bytes)
        with _translated(prefix):
            return self._client.presigned_post_policy(policy)

    def delete(self, bucket: str, key: str) -> None:
        """Gone afterwards; no error if it was not there."""
        with suppress(Absent), _translated(key):
            self._client.remove_object(bucket, key)

    def _body(self, bucket: str, key: str, *, offset: int = 0, length: int = 0, etag: str | None = None) -> ObjectBody:
        headers: dict[str, Any] | None = {"If-Match": f'"{etag}"'} if etag else None
        with _translated(key):
            return ObjectBody(self._client.get_object(bucket, key, offset, length, request_headers=headers), key)

    def _stored(self, bucket: str, key: str, size_bytes: int) -> StoredObject:
        found = self.stat(bucket, key)
        if found is None or found.size_bytes != size_bytes:
            raise Unavailable(_WHAT, f"{shown(key)} was stored and is not there as sent", _DOWN_ZH)
        return found


class _CheckedPool(urllib3.PoolManager):
    """Adds Content-MD5 to every body. SeaweedFS takes a body that contradicts its signed sha256, but not its MD5."""

    def __init__(self, throttle: Callable[[int], None] | None, **options: Any) -> None:
        super().__init__(**options)
        self._throttle = throttle

    def urlopen(  # pyright: ignore[reportIncompatibleMethodOverride]
        self,
        method: str,
        url: str,
        redirect: bool = True,  # noqa: FBT001, FBT002 — urllib3's signature
        **kw: Any,
    ) -> BaseHTTPResponse:
        body = kw.get("body")
        if isinstance(body, bytes) and body and "Content-MD5" not in kw["headers"]:
            kw["headers"]["Content-MD5"] = base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
        if isinstance(body, bytes) and body and self._throttle is not None:
            kw["body"] = _Slowly(body, self._throttle)
        return super().urlopen(method, url, redirect, **kw)


class _Slowly(io.BytesIO):
    """A body that goes out as fast as it may: little by little, so that a capped line is never flooded for a moment."""

    def __init__(self, data: bytes, throttle: Callable[[int], None]) -> None:
        super().__init__(data)
        self._throttle = throttle

    def read(self, size: int | None = -1, /) -> bytes:
        wanted = _SLOW_READ_BYTES if size is None or size < 0 else min(size, _SLOW_READ_BYTES)
        data = super().read(wanted)
        if data:
            self._throttle(len(data))
        return data


@contextmanager
def _translated(name: str) -> Generator[None]:
    """Whatever the client or the network says, said in our words."""
    try:
        yield
    except ValueError as error:  # the client's way of refusing a name before it asks anybody
        raise Unacceptable(shown(name), str(error) or "empty name", "名称不符合对象存储的规则。") from error
    except S3Error as error:
        raise _ours(error, name) from error
    except ServerError as error:
        raise Unavailable(_WHAT, f"HTTP {error.status_code}", _DOWN_ZH) from error
    # An answer that is not S3's, a proxy's 404 page for one, says nothing about the object: Absent would be for good.
    except (MinioException, urllib3.exceptions.HTTPError, ParseError) as error:
        raise Unavailable(_WHAT, _short(error), _DOWN_ZH) from error


def _ours(error: S3Error, name: str) -> Absent | Unavailable:
    code = error.code or ""
    if code in _ABSENT:  # by its code: with 404, Versity's gateway also says that it does not know our key
        return Absent(shown(name))
    if code == "InvalidRange":
        return Absent(f"{shown(name)} (past its end)")
    reason = f"{code}: {error.message}"
    if code in _WRONG_KEYS:
        return Unavailable(_WHAT, reason, _KEYS_ZH)
    if code == "RequestTimeTooSkewed":
        return Unavailable(_WHAT, reason, _CLOCK_ZH)
    if code in _STORE_FULL or error.response.status == 507:
        return DiskFull(_WHAT, reason, _FULL_ZH)
    return Unavailable(_WHAT, reason, _DOWN_ZH)


def _short(error: Exception) -> str:
    """One line, without the object addresses that urllib3 prints."""
    return re.sub(r"<[^>]*>(\([^)]*\))?:? ?", "", str(error)).replace("\n", " ")[:300]
