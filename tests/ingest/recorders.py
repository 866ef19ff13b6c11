"""What the suites about recorders share: a recorder's client, and requests that no client would send."""

import hashlib
import http.client
import io
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import pytest
from minio import Minio
from minio.credentials.credentials import Credentials
from minio.error import S3Error
from minio.signer import sign_v4_s3

from ingest.recorder import RecorderKey
from tests.live_store import LiveStore

OWN = "xinghuo/301/20260901T0800.mp4"
FOREIGN = ["xinghuo/302/20260901T0800.mp4", "guangming/301/20260901T0800.mp4", "xinghuo/3011/x.mp4", "xinghuo/301"]
PART = 5 * 2**20  # the smallest that S3 takes


def connect(seaweed: LiveStore, key: RecorderKey) -> Minio:
    return Minio(seaweed.endpoint, key.access_key, key.secret_key, secure=False, region="us-east-1")


def put(client: Minio, bucket: str, name: str) -> object:
    return client.put_object(bucket, name, io.BytesIO(b"mine"), 4)


def refused(attempt: Callable[[], object]) -> bool:
    with pytest.raises(S3Error) as caught:
        attempt()
    return caught.value.response.status == 403


def signed(
    seaweed: LiveStore,
    key: RecorderKey,
    method: str,
    path: str,
    body: bytes,
    headers: dict[str, str] | None = None,
    clock_off: timedelta = timedelta(),
) -> int:
    """The status of a request with its path byte for byte as given: what a thief's own client may send."""
    now, digest = datetime.now(UTC) + clock_off, hashlib.sha256(body).hexdigest()
    sent: dict[str, str | list[str] | tuple[str]] = {
        "Host": seaweed.endpoint,
        "x-amz-date": now.strftime("%Y%m%dT%H%M%SZ"),
        "x-amz-content-sha256": digest,
        **(headers or {}),
    }
    plain, _, query = path.partition("?")
    sign_v4_s3(
        method=method,
        url=urlsplit(f"http://{seaweed.endpoint}")._replace(path=plain, query=query),
        region="us-east-1",
        headers=sent,
        credentials=Credentials(key.access_key, key.secret_key),
        content_sha256=digest,
        date=now,
    )
    connection = http.client.HTTPConnection(seaweed.endpoint, timeout=20)
    try:
        connection.request(method, path, body, {name: str(value) for name, value in sent.items()})
        return connection.getresponse().status
    finally:
        connection.close()
