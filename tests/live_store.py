"""A real S3 server for the suites: session fixture `seaweed`, per-test fixtures `store`, `incoming_bucket`, `media_bucket`.

The contract suite also runs against the server that HUIKAN_TEST_S3_URL names (with HUIKAN_TEST_S3_KEY and
HUIKAN_TEST_S3_SECRET): `s3_servers()` lists both.
"""

import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from api.embedded import seaweedfs
from archive.store import ObjectStore


@dataclass(frozen=True)
class LiveStore:
    """An S3 server that answers, and the key of its owner."""

    endpoint: str
    access_key: str
    secret_key: str = field(repr=False)
    secure: bool = False
    pid: int = 0  # 0, and no home, where the process is not ours
    home: Path = Path()

    def connect(self) -> ObjectStore:
        return ObjectStore(self.endpoint, self.access_key, self.secret_key, secure=self.secure)


def s3_servers() -> list[str]:
    """The names of the servers that a contract must hold on; `live_server` turns one into a server."""
    return ["seaweedfs", *(["HUIKAN_TEST_S3_URL"] if "HUIKAN_TEST_S3_URL" in os.environ else [])]


def live_server(name: str, request: pytest.FixtureRequest) -> LiveStore:
    if name == "seaweedfs":
        return request.getfixturevalue("seaweed")
    url = urlsplit(os.environ[name])
    access_key, secret_key = os.environ["HUIKAN_TEST_S3_KEY"], os.environ["HUIKAN_TEST_S3_SECRET"]
    return LiveStore(url.netloc, access_key, secret_key, secure=url.scheme == "https")


def empty(store: ObjectStore, bucket: str) -> None:
    for found in store.list(bucket):
        store.delete(bucket, found.key)


@pytest.fixture(scope="session")
def seaweed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveStore]:
    """One SeaweedFS for the whole run: it needs a second or two to start."""
    access_key, secret_key = "huikan", secrets.token_hex(16)
    home = tmp_path_factory.mktemp("seaweedfs")
    with seaweedfs(
        home, port=0, access_key=access_key, secret_key=secret_key, webhook_url=None, webhook_token=None
    ) as running:
        yield LiveStore(running.endpoint, access_key, secret_key, pid=running.pid, home=home)


@pytest.fixture(scope="session")
def _buckets(seaweed: LiveStore) -> tuple[str, str]:
    """Made once: each bucket takes volumes of its own, and of those there are only as many as gigabytes on the disk."""
    store, names = seaweed.connect(), ("incoming", "media")
    for name in names:
        store.ensure_bucket(name)
    return names


@pytest.fixture
def store(seaweed: LiveStore) -> ObjectStore:
    return seaweed.connect()


@pytest.fixture
def incoming_bucket(store: ObjectStore, _buckets: tuple[str, str]) -> str:
    """Empty at the start of each test."""
    empty(store, _buckets[0])
    return _buckets[0]


@pytest.fixture
def media_bucket(store: ObjectStore, _buckets: tuple[str, str]) -> str:
    """Empty at the start of each test."""
    empty(store, _buckets[1])
    return _buckets[1]
