"""What a recorder's key may do on a real store: everything it needs to upload, and not one thing more."""

# The client's single steps of a multipart upload are private.
# pyright: reportPrivateUsage=false

import io
import json
from collections.abc import Callable
from urllib.parse import urlencode

import pytest
from minio import Minio
from minio.commonconfig import CopySource
from minio.deleteobjects import DeleteObject

from archive.store import ObjectStore
from ingest.recorder import RecorderKey, RecorderKeys, issue, upload_policy
from tests.ingest.recorders import FOREIGN, OWN, PART, connect, put, refused, signed
from tests.live_store import LiveStore


@pytest.fixture(scope="module")
def thief(seaweed: LiveStore) -> RecorderKey:
    """The key with which everything is tried that must not work. One is enough, for nothing changes it."""
    key = issue("xinghuo", "301", "incoming")
    RecorderKeys(seaweed.home).add(key)
    return key


@pytest.fixture
def stolen(seaweed: LiveStore, thief: RecorderKey) -> Minio:
    return connect(seaweed, thief)


@pytest.fixture
def recorder(stolen: Minio, incoming_bucket: str) -> Minio:
    """The same key in its owner's hands, and an empty bucket."""
    return stolen


@pytest.fixture
def contents(store: ObjectStore, incoming_bucket: str, media_bucket: str) -> Callable[[], dict[str, bytes]]:
    """Puts something into every place a thief might reach for; tells what is there now."""
    for name in [OWN, *FOREIGN[:3]]:
        store.put_bytes(incoming_bucket, name, b"a lesson of " + name.encode())
    store.put_bytes(media_bucket, OWN, b"a rendition")

    def now() -> dict[str, bytes]:
        found = [(bucket, each.key) for bucket in (incoming_bucket, media_bucket) for each in store.list(bucket)]
        return {f"{bucket}/{key}": store.get_bytes(bucket, key) for bucket, key in found}

    return now


class TestWhatARecorderMayDo:
    def test_it_uploads_below_its_own_prefix_and_may_send_a_lesson_again(
        self, recorder: Minio, store: ObjectStore, incoming_bucket: str
    ) -> None:
        put(recorder, incoming_bucket, OWN)
        for name in (OWN, "xinghuo/301/20260901T0800.json", "xinghuo/301/课.mp4"):
            put(recorder, incoming_bucket, name)
            assert store.get_bytes(incoming_bucket, name) == b"mine"

    def test_it_uploads_in_parts(self, recorder: Minio, store: ObjectStore, incoming_bucket: str) -> None:
        size = 2 * PART + 1
        recorder.put_object(incoming_bucket, OWN, io.BytesIO(b"x" * size), size, part_size=PART)
        found = store.stat(incoming_bucket, OWN)
        assert found is not None
        assert (found.size_bytes, found.etag[-2:]) == (size, "-3")

    def test_it_resumes_and_gives_up_an_upload_in_parts(
        self, recorder: Minio, store: ObjectStore, incoming_bucket: str
    ) -> None:
        upload = recorder._create_multipart_upload(incoming_bucket, OWN, {})
        recorder._upload_part(incoming_bucket, OWN, b"x" * PART, {}, upload, 1)
        arrived = recorder._list_parts(incoming_bucket, OWN, upload).parts
        assert [(part.part_number, part.size) for part in arrived] == [(1, PART)]
        recorder._abort_multipart_upload(incoming_bucket, OWN, upload)
        assert list(store.list(incoming_bucket)) == []


# Every verb of S3 that a thief might try on an object, then on a bucket, then on the server.
OBJECT_VERBS: dict[str, Callable[[Minio, str, str], object]] = {
    "get": lambda client, bucket, name: client.get_object(bucket, name),
    "get a range": lambda client, bucket, name: client.get_object(bucket, name, 1, 2),
    "head": lambda client, bucket, name: client.stat_object(bucket, name),
    "delete": lambda client, bucket, name: client.remove_object(bucket, name),
    "copy": lambda client, bucket, name: client.copy_object(bucket, "xinghuo/301/copy.mp4", CopySource(bucket, name)),
    "get tags": lambda client, bucket, name: client.get_object_tags(bucket, name),
    "delete tags": lambda client, bucket, name: client.delete_object_tags(bucket, name),
    "get acl": lambda client, bucket, name: client._execute("GET", bucket, name, query_params={"acl": ""}),
    "put acl": lambda client, bucket, name: client._execute(
        "PUT", bucket, name, query_params={"acl": ""}, headers={"x-amz-acl": "public-read-write"}
    ),
    "attributes": lambda client, bucket, name: client._execute(
        "GET", bucket, name, query_params={"attributes": ""}, headers={"x-amz-object-attributes": "ETag"}
    ),
    "get retention": lambda client, bucket, name: client.get_object_retention(bucket, name),
}
WRITE_VERBS: dict[str, Callable[[Minio, str, str], object]] = {
    "put": put,
    "put nothing": lambda client, bucket, name: client.put_object(bucket, name, io.BytesIO(b""), 0),
    "begin parts": lambda client, bucket, name: client._create_multipart_upload(bucket, name, {}),
    "put a part": lambda client, bucket, name: client._upload_part(bucket, name, b"x", {}, "00", 1),
    "list parts": lambda client, bucket, name: client._list_parts(bucket, name, "00"),
    "abort parts": lambda client, bucket, name: client._abort_multipart_upload(bucket, name, "00"),
}
BUCKET_VERBS: dict[str, Callable[[Minio, str], object]] = {
    "list": lambda client, bucket: list(client.list_objects(bucket, recursive=True)),
    "list v1": lambda client, bucket: list(client.list_objects(bucket, use_api_v1=True)),
    "list own": lambda client, bucket: list(client.list_objects(bucket, prefix="xinghuo/301/")),
    "list versions": lambda client, bucket: list(client.list_objects(bucket, include_version=True)),
    "list uploads": lambda client, bucket: client._list_multipart_uploads(bucket),
    "exists": lambda client, bucket: client.bucket_exists(bucket),
    "location": lambda client, bucket: client._execute("GET", bucket, query_params={"location": ""}),
    "remove": lambda client, bucket: client.remove_bucket(bucket),
    "get policy": lambda client, bucket: client.get_bucket_policy(bucket),
    "set policy": lambda client, bucket: client.set_bucket_policy(bucket, json.dumps(upload_policy("a", "b", bucket))),
    "delete policy": lambda client, bucket: client.delete_bucket_policy(bucket),
    "versioning": lambda client, bucket: client.get_bucket_versioning(bucket),
    "lifecycle": lambda client, bucket: client.delete_bucket_lifecycle(bucket),
    "encryption": lambda client, bucket: client.delete_bucket_encryption(bucket),
    "make another": lambda client, bucket: client.make_bucket(f"{bucket}-2"),
}
ADMIN_VERBS: list[tuple[str, dict[str, str]]] = [
    ("ListUsers", {}),
    ("GetUser", {}),
    ("CreateUser", {"UserName": "thief"}),
    ("CreateAccessKey", {}),  # of its own: AWS lets every user do that, and a revoked thief would keep those keys
    ("CreateAccessKey", {"UserName": "huikan"}),
    ("DeleteAccessKey", {"AccessKeyId": "huikan", "UserName": "huikan"}),
    ("PutUserPolicy", {"PolicyName": "x", "PolicyDocument": json.dumps(upload_policy("*", "*", "*"))}),
    ("AssumeRole", {"RoleArn": "arn:aws:iam::000000000000:role/admin", "RoleSessionName": "x"}),
]


class TestWhatARecorderMayNotDo:
    @pytest.mark.parametrize("verb", OBJECT_VERBS)
    def test_no_verb_but_upload_works_on_any_object_its_own_included(
        self, stolen: Minio, incoming_bucket: str, contents: Callable[[], dict[str, bytes]], verb: str
    ) -> None:
        before = contents()
        for name in [OWN, *FOREIGN]:
            assert refused(lambda name=name: OBJECT_VERBS[verb](stolen, incoming_bucket, name)), name
        assert contents() == before

    @pytest.mark.parametrize("verb", WRITE_VERBS)
    def test_no_upload_works_outside_its_prefix(
        self, stolen: Minio, incoming_bucket: str, contents: Callable[[], dict[str, bytes]], verb: str
    ) -> None:
        before = contents()
        for name in FOREIGN:
            assert refused(lambda name=name: WRITE_VERBS[verb](stolen, incoming_bucket, name)), name
        assert contents() == before

    def test_nothing_works_in_another_bucket(
        self, stolen: Minio, media_bucket: str, contents: Callable[[], dict[str, bytes]]
    ) -> None:
        before = contents()
        for verb, attempt in (OBJECT_VERBS | WRITE_VERBS).items():
            assert refused(lambda attempt=attempt: attempt(stolen, media_bucket, OWN)), verb
        assert contents() == before

    @pytest.mark.parametrize("verb", BUCKET_VERBS)
    def test_no_verb_works_on_a_bucket(
        self, stolen: Minio, incoming_bucket: str, contents: Callable[[], dict[str, bytes]], verb: str
    ) -> None:
        before = contents()
        assert refused(lambda: BUCKET_VERBS[verb](stolen, incoming_bucket))
        assert contents() == before

    def test_it_is_told_of_no_bucket(self, stolen: Minio) -> None:
        assert stolen.list_buckets() == []

    def test_a_bulk_deletion_deletes_nothing(
        self, stolen: Minio, incoming_bucket: str, contents: Callable[[], dict[str, bytes]]
    ) -> None:
        before = contents()
        names = [OWN, *FOREIGN[:3]]
        errors = list(stolen.remove_objects(incoming_bucket, [DeleteObject(name) for name in names]))
        assert [error.code for error in errors] == ["AccessDenied"] * len(names)
        assert contents() == before

    @pytest.mark.parametrize(
        ("action", "fields"), ADMIN_VERBS, ids=lambda value: value if isinstance(value, str) else ""
    )
    def test_it_manages_no_keys(
        self, seaweed: LiveStore, thief: RecorderKey, action: str, fields: dict[str, str]
    ) -> None:
        body = urlencode({"Action": action, "Version": "2010-05-08", **fields}).encode()
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        assert signed(seaweed, thief, "POST", "/", body, headers) >= 400
        assert signed(seaweed, thief, "POST", "/?" + body.decode(), b"", headers) >= 400

    @pytest.mark.parametrize(
        "path",
        [
            "/{bucket}/xinghuo/301/../302/evil.mp4",
            "/{bucket}/xinghuo/301/%2e%2e/302/evil.mp4",
            "/{bucket}/xinghuo/301/..%2f302/evil.mp4",
            "/{bucket}/xinghuo/301/%252e%252e/302/evil.mp4",
            "/{bucket}/xinghuo/301/..%5c302%5cevil.mp4",
            "/{bucket}/xinghuo/301/..\\302\\evil.mp4",
            "/{bucket}/xinghuo/301/..;/302/evil.mp4",
            "/{bucket}/xinghuo/301//../302/evil.mp4",
            "/{bucket}/xinghuo/301/./../../guangming/evil.mp4",
            "/{bucket}//xinghuo/301/evil.mp4",
            "/{bucket}/../{media}/xinghuo/301/evil.mp4",
            "/{bucket}/xinghuo/301/../../../{media}/evil.mp4",
            "/{bucket}/.uploads/xinghuo/301/evil.mp4",
            "/{bucket}/xinghuo/301/%00/../302/evil.mp4",
            "//{bucket}/xinghuo/302/evil.mp4",
        ],
    )
    def test_no_spelling_of_a_path_leads_outside_its_prefix(
        self,
        seaweed: LiveStore,
        thief: RecorderKey,
        media_bucket: str,
        contents: Callable[[], dict[str, bytes]],
        path: str,
    ) -> None:
        before = contents()
        signed(seaweed, thief, "PUT", path.format(bucket=thief.bucket, media=media_bucket), b"evil")
        own = f"{thief.bucket}/xinghuo/301/"
        assert {name: data for name, data in contents().items() if not name.startswith(own) or name in before} == before

    def test_a_copy_source_cannot_smuggle_a_lesson_in(
        self, seaweed: LiveStore, thief: RecorderKey, contents: Callable[[], dict[str, bytes]]
    ) -> None:
        before = contents()
        for source in (FOREIGN[0], OWN, f"xinghuo/301/../{FOREIGN[0]}", "xinghuo/301/%2e%2e/302/20260901T0800.mp4"):
            headers = {"x-amz-copy-source": f"/{thief.bucket}/{source}"}
            assert signed(seaweed, thief, "PUT", f"/{thief.bucket}/xinghuo/301/copy.mp4", b"", headers) >= 400
        assert contents() == before
