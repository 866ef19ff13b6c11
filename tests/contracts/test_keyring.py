"""What a Keyring promises, on every store whose keys are ours to make: the embedded SeaweedFS, and MinIO where there is one.

The long list of what a stolen key may not do on SeaweedFS is in tests/ingest/test_recorder.py.
"""

import io
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
import urllib3
from minio import Minio
from minio.commonconfig import CopySource
from minio.credentials.providers import StaticProvider
from minio.datatypes import PostPolicy
from minio.deleteobjects import DeleteObject
from minio.error import MinioAdminException, S3Error
from minio.minioadmin import MinioAdmin

from archive.errors import Absent, Unavailable
from archive.minio_keys import MinioKeys
from archive.store import ObjectStore
from ingest.keyring import Keyring, MinioKeyring
from ingest.recorder import RecorderKey, RecorderKeys, issue
from tests.ingest.recorders import FOREIGN, OWN, PART, put, refused
from tests.live_minio import minio_program
from tests.live_store import LiveStore, empty

BUCKET, OTHER_BUCKET = "incoming", "media"


@dataclass(frozen=True)
class Ring:
    server: LiveStore
    keys: Keyring
    store: ObjectStore

    def recorder(self, room: str = "301") -> "Recorder":
        key = issue("xinghuo", room, BUCKET)
        self.keys.add(key)
        return Recorder(
            key, Minio(self.server.endpoint, key.access_key, key.secret_key, secure=False, region="us-east-1")
        )


@dataclass(frozen=True)
class Recorder:
    key: RecorderKey
    client: Minio


@pytest.fixture(params=["seaweedfs", *(["minio"] if minio_program() else [])])
def ring(request: pytest.FixtureRequest) -> Ring:
    if request.param == "seaweedfs":
        server: LiveStore = request.getfixturevalue("seaweed")
        keys: Keyring = RecorderKeys(server.home)
    else:
        server = request.getfixturevalue("minio_server")
        users = MinioKeys(server.endpoint, server.access_key, server.secret_key, secure=False, region="us-east-1")
        keys = MinioKeyring(users)
    store = server.connect()
    for bucket in (BUCKET, OTHER_BUCKET):
        store.ensure_bucket(bucket)
        empty(store, bucket)
    return Ring(server, keys, store)


def post(ring: Ring, client: Minio, bucket: str, name: str) -> int:
    """A browser's form, signed with the client's key for whatever name."""
    policy = PostPolicy(bucket, datetime.now(UTC) + timedelta(minutes=5))
    policy.add_starts_with_condition("key", "")
    policy.add_content_length_range_condition(1, 1000)
    fields = {**client.presigned_post_policy(policy), "key": name, "file": ("x.mp4", b"evil", "video/mp4")}
    url = f"http://{ring.server.endpoint}/{bucket}"
    return urllib3.PoolManager().request("POST", url, fields=fields, retries=False).status


VERBS: dict[str, Callable[[Minio, str, str], object]] = {
    "read": lambda client, bucket, name: client.get_object(bucket, name),
    "head": lambda client, bucket, name: client.stat_object(bucket, name),
    "delete": lambda client, bucket, name: client.remove_object(bucket, name),
    "copy": lambda client, bucket, name: client.copy_object(BUCKET, "xinghuo/301/copy.mp4", CopySource(bucket, name)),
    "list": lambda client, bucket, _: list(client.list_objects(bucket, recursive=True)),
    "list own": lambda client, bucket, _: list(client.list_objects(bucket, prefix="xinghuo/301/", recursive=True)),
    "list uploads": lambda client, bucket, _: client._list_multipart_uploads(bucket),  # pyright: ignore[reportPrivateUsage]
    "set policy": lambda client, bucket, _: client.set_bucket_policy(bucket, '{"Version":"2012-10-17","Statement":[]}'),
    "remove bucket": lambda client, bucket, _: client.remove_bucket(bucket),
}


def test_a_key_uploads_in_one_piece_and_in_parts(ring: Ring) -> None:
    recorder = ring.recorder()
    put(recorder.client, BUCKET, OWN)
    size = 2 * PART + 1
    recorder.client.put_object(BUCKET, "xinghuo/301/20260901T0900.mp4", io.BytesIO(b"x" * size), size, part_size=PART)
    assert {found.key: found.size_bytes for found in ring.store.list(BUCKET)} == {
        OWN: 4,
        "xinghuo/301/20260901T0900.mp4": size,
    }


@pytest.mark.parametrize("verb", VERBS)
def test_a_key_may_do_nothing_but_upload(ring: Ring, verb: str) -> None:
    recorder = ring.recorder()
    for name in (OWN, FOREIGN[0]):
        ring.store.put_bytes(BUCKET, name, b"a lesson")
        ring.store.put_bytes(OTHER_BUCKET, name, b"a lesson")
        for bucket in (BUCKET, OTHER_BUCKET):
            assert refused(lambda name=name, bucket=bucket: VERBS[verb](recorder.client, bucket, name)), (bucket, name)
    assert len(list(ring.store.list(BUCKET))) == len(list(ring.store.list(OTHER_BUCKET))) == 2


def test_a_bulk_deletion_deletes_nothing(ring: Ring) -> None:
    recorder = ring.recorder()
    ring.store.put_bytes(BUCKET, OWN, b"a lesson")
    errors = list(recorder.client.remove_objects(BUCKET, [DeleteObject(OWN)]))
    assert [error.code for error in errors] == ["AccessDenied"]
    assert ring.store.get_bytes(BUCKET, OWN) == b"a lesson"


@pytest.mark.parametrize("name", FOREIGN[:3])
def test_no_upload_leads_out_of_its_prefix(ring: Ring, name: str) -> None:
    recorder = ring.recorder()
    client = recorder.client
    assert refused(lambda: put(client, BUCKET, name))
    assert refused(lambda: client._create_multipart_upload(BUCKET, name, {}))  # pyright: ignore[reportPrivateUsage]
    assert refused(lambda: put(client, OTHER_BUCKET, OWN))
    assert post(ring, client, BUCKET, name) == 403
    assert post(ring, client, OTHER_BUCKET, OWN) == 403
    assert [*ring.store.list(BUCKET), *ring.store.list(OTHER_BUCKET)] == []


def test_a_part_of_an_own_upload_does_not_land_in_anothers(ring: Ring) -> None:
    """An upload that is begun under the own prefix is completed there or nowhere."""
    client = ring.recorder().client
    upload = client._create_multipart_upload(BUCKET, OWN, {})  # pyright: ignore[reportPrivateUsage]
    assert refused(lambda: client._upload_part(BUCKET, FOREIGN[0], b"x", {}, upload, 1))  # pyright: ignore[reportPrivateUsage]
    client._abort_multipart_upload(BUCKET, OWN, upload)  # pyright: ignore[reportPrivateUsage]


def test_a_presigned_address_of_a_foreign_name_is_worth_nothing(ring: Ring) -> None:
    client = ring.recorder().client
    http = urllib3.PoolManager()
    for method, name in (("PUT", FOREIGN[0]), ("GET", OWN), ("DELETE", OWN), ("HEAD", FOREIGN[0])):
        ring.store.put_bytes(BUCKET, OWN, b"a lesson")
        url = client.get_presigned_url(method, BUCKET, name)
        assert http.request(method, url, body=b"evil" if method == "PUT" else None, retries=False).status == 403
    assert [found.key for found in ring.store.list(BUCKET)] == [OWN]


def test_a_revoked_key_is_refused_at_once_and_stays_so(ring: Ring) -> None:
    recorder, other = ring.recorder(), ring.recorder()
    put(recorder.client, BUCKET, OWN)
    ring.keys.revoke(recorder.key.access_key)
    assert refused(lambda: put(recorder.client, BUCKET, OWN))
    put(other.client, BUCKET, OWN)  # the other key of the same room


def test_a_suspended_key_works_again_when_it_is_resumed(ring: Ring) -> None:
    recorder = ring.recorder()
    ring.keys.suspend(recorder.key.access_key)
    assert refused(lambda: put(recorder.client, BUCKET, OWN))
    ring.keys.resume(recorder.key.access_key)
    put(recorder.client, BUCKET, OWN)


def test_a_key_that_was_never_issued_is_absent(ring: Ring) -> None:
    for change in (ring.keys.revoke, ring.keys.suspend, ring.keys.resume):
        with pytest.raises(Absent):
            change("HK000000000000000000")


def test_a_key_makes_itself_no_more_keys(ring: Ring) -> None:
    recorder = ring.recorder()
    thief = MinioKeys(
        ring.server.endpoint, recorder.key.access_key, recorder.key.secret_key, secure=False, region="us-east-1"
    )
    with pytest.raises(Unavailable):  # refused by MinIO, unknown to SeaweedFS
        thief.users()
    if isinstance(ring.keys, MinioKeyring):
        with pytest.raises(Unavailable):
            thief.add("thief", "thief-thief-thief", "thief", {"Version": "2012-10-17", "Statement": []})
        assert "thief" not in ring.keys.users.users()


def test_a_service_account_of_its_own_is_worth_no_more(ring: Ring) -> None:
    """MinIO lets a user make service accounts below itself; they inherit its policy, and end with it."""
    if not isinstance(ring.keys, MinioKeyring):
        return  # SeaweedFS's IAM is off: tests/ingest/test_recorder.py
    recorder = ring.recorder()
    provider = StaticProvider(recorder.key.access_key, recorder.key.secret_key)
    admin = MinioAdmin(endpoint=ring.server.endpoint, credentials=provider, secure=False)
    try:
        admin.add_service_account(access_key="thief-account", secret_key="thief-thief-thief", name="thief")
    except MinioAdminException:  # refused: as good
        return
    below = Minio(ring.server.endpoint, "thief-account", "thief-thief-thief", secure=False, region="us-east-1")
    ring.store.put_bytes(BUCKET, OWN, b"a lesson")
    assert refused(lambda: below.get_object(BUCKET, OWN))
    ring.keys.revoke(recorder.key.access_key)
    with pytest.raises(S3Error):
        put(below, BUCKET, OWN)
