"""What ObjectStore promises, on every S3 server we can reach: always SeaweedFS, and the one HUIKAN_TEST_S3_URL names."""

# The client's single steps of a multipart upload are private.
# pyright: reportPrivateUsage=false

import hashlib
import io
import os
import pickle
import secrets
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from minio import Minio
from minio.deleteobjects import DeleteObject

from archive.errors import Absent, HuikanError, Unacceptable, Unavailable
from archive.store import PART_BYTES, READ_BYTES, ObjectStore
from tests.fault_proxy import FaultProxy, fault_proxy
from tests.live_store import LiveStore, live_server, s3_servers

LESSON = "xinghuo/301/20260901T0800.mp4"


@pytest.fixture(scope="module", params=s3_servers())
def server(request: pytest.FixtureRequest) -> LiveStore:
    return live_server(request.param, request)


@pytest.fixture
def store(server: LiveStore) -> ObjectStore:
    return server.connect()


@pytest.fixture
def raw(server: LiveStore) -> Minio:
    """The bare client: for what only strangers do to a bucket."""
    return owner(server)


@pytest.fixture(scope="module")
def own_bucket(server: LiveStore) -> Iterator[str]:
    name = f"contract-{secrets.token_hex(6)}"  # the server may be somebody's
    server.connect().ensure_bucket(name)
    yield name
    clear(server, name)
    owner(server).remove_bucket(name)


@pytest.fixture
def bucket(server: LiveStore, own_bucket: str) -> str:
    """Empty at the start of each test."""
    clear(server, own_bucket)
    return own_bucket


@pytest.fixture
def proxy(server: LiveStore) -> Iterator[FaultProxy]:
    with fault_proxy(server.endpoint) as running:
        yield running


def owner(server: LiveStore) -> Minio:
    return Minio(server.endpoint, server.access_key, server.secret_key, secure=server.secure, region="us-east-1")


def clear(server: LiveStore, bucket: str) -> None:
    """Everything in it, directories too."""
    client = owner(server)
    names = [DeleteObject(found.object_name or "") for found in client.list_objects(bucket, recursive=True)]
    assert list(client.remove_objects(bucket, names)) == []


def through(proxy: FaultProxy, server: LiveStore, *, read_timeout_s: float = 30) -> ObjectStore:
    return ObjectStore(proxy.endpoint, server.access_key, server.secret_key, read_timeout_s=read_timeout_s)


def test_what_was_put_is_got_with_its_size_type_and_time(store: ObjectStore, bucket: str) -> None:
    put = store.put_bytes(bucket, LESSON, b"0123456789", "video/mp4")
    assert (put.key, put.size_bytes, put.content_type) == (LESSON, 10, "video/mp4")
    assert put.modified_at.tzinfo == UTC
    assert store.stat(bucket, LESSON) == put
    assert store.get_bytes(bucket, LESSON) == b"0123456789"


def test_an_empty_object_is_an_object(store: ObjectStore, bucket: str, tmp_path: Path) -> None:
    assert store.put_bytes(bucket, LESSON, b"").size_bytes == 0
    assert store.get_bytes(bucket, LESSON) == b""
    assert store.get_file(bucket, LESSON, tmp_path / "empty") == hashlib.sha256(b"").hexdigest()
    assert (tmp_path / "empty").read_bytes() == b""


def test_an_overwrite_is_another_object(store: ObjectStore, bucket: str) -> None:
    first = store.put_bytes(bucket, LESSON, b"one")
    second = store.put_bytes(bucket, LESSON, b"two")
    assert first.etag != second.etag
    assert store.get_bytes(bucket, LESSON) == b"two"


def test_ensuring_a_bucket_again_changes_nothing(store: ObjectStore, bucket: str) -> None:
    store.put_bytes(bucket, LESSON, b"one")
    store.ensure_bucket(bucket)
    assert store.get_bytes(bucket, LESSON) == b"one"


def test_what_is_not_there_is_absent(store: ObjectStore, bucket: str, tmp_path: Path) -> None:
    assert store.stat(bucket, LESSON) is None
    assert store.stat("no-such-bucket", LESSON) is None
    with pytest.raises(Absent):
        store.get_bytes(bucket, LESSON)
    with pytest.raises(Absent):
        store.get_file(bucket, LESSON, tmp_path / "lesson")
    with pytest.raises(Absent):
        store.open(bucket, LESSON)  # at once, before a first byte is asked for
    with pytest.raises(Absent):
        list(store.list("no-such-bucket"))
    with pytest.raises(Absent):
        store.put_bytes("no-such-bucket", LESSON, b"")
    assert list(tmp_path.iterdir()) == []


def test_deleting_is_done_once_and_may_be_repeated(store: ObjectStore, bucket: str) -> None:
    store.put_bytes(bucket, LESSON, b"one")
    store.delete(bucket, LESSON)
    store.delete(bucket, LESSON)
    assert store.stat(bucket, LESSON) is None


def test_a_listing_names_every_object_below_the_prefix_and_no_directory(
    store: ObjectStore, raw: Minio, bucket: str
) -> None:
    keys = {"a/301/1.mp4", "a/301/1.json", "a/302/1.mp4", "b/301/1.mp4", "top.mp4"}
    for key in keys:
        store.put_bytes(bucket, key, key.encode())
    raw.put_object(bucket, "a/empty/", io.BytesIO(b""), 0)  # as "create folder" in a browser does
    assert {found.key for found in store.list(bucket)} == keys
    assert {found.key for found in store.list(bucket, "a/")} == {key for key in keys if key.startswith("a/")}
    assert {found.key for found in store.list(bucket, "a/301/1.j")} == {"a/301/1.json"}
    assert list(store.list(bucket, "c/")) == []
    for found in store.list(bucket):
        known = store.stat(bucket, found.key)
        assert known is not None
        assert (found.etag, found.size_bytes, found.modified_at.tzinfo) == (known.etag, known.size_bytes, UTC)


def test_a_listing_goes_on_past_the_servers_page(store: ObjectStore, raw: Minio, bucket: str) -> None:
    keys = [f"xinghuo/{number // 100:03}/{number:05}.mp4" for number in range(1005)]  # a page has 1000

    def put(key: str) -> None:
        raw.put_object(bucket, key, io.BytesIO(b"x"), 1)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(put, keys))
    assert sorted(found.key for found in store.list(bucket)) == keys


ODD_KEYS = [
    "星火小学/三年级 一班/公开课（上）.mp4",
    "a b+c%20d%2Fe&f=g?h#i.mp4",
    "<script>alert(1)</script>.mp4",
    "quote'\"`.mp4",
    "-y",
    "~$(id)|;*.mp4",
    "line\nbreak\ttab.mp4",
    "\x01\x1f\x7f.mp4",
    "e\u0301\u200b\u202e\ufeff.mp4",
    "😀.mp4",
    ".hidden/.mp4",
    "trailing.space .mp4 ",
]


@pytest.mark.parametrize("key", ODD_KEYS, ids=ascii)
def test_an_odd_key_is_kept_as_it_is_or_refused_and_never_breaks_the_listing(
    store: ObjectStore, bucket: str, key: str
) -> None:
    store.put_bytes(bucket, LESSON, b"ordinary")
    try:
        store.put_bytes(bucket, key, key.encode())
    except HuikanError:
        assert [found.key for found in store.list(bucket)] == [LESSON]
        return
    assert store.get_bytes(bucket, key) == key.encode()
    listed = {found.key for found in store.list(bucket)}
    assert LESSON in listed
    assert len(listed) == 2
    assert key in listed or not key.isprintable()  # Versity's lists a control character as U+FFFD
    store.delete(bucket, key)
    assert [found.key for found in store.list(bucket)] == [LESSON]


@pytest.mark.parametrize("key", ["xinghuo//301.mp4", "xinghuo\\301.mp4"])
def test_a_key_that_a_store_tidies_up_is_listed_as_it_can_be_got(store: ObjectStore, bucket: str, key: str) -> None:
    store.put_bytes(bucket, LESSON, b"ordinary")
    with suppress(HuikanError):  # some refuse these; SeaweedFS makes both xinghuo/301.mp4
        store.put_bytes(bucket, key, b"tidied")
    for listed in store.list(bucket):
        assert store.get_bytes(bucket, listed.key) == (b"ordinary" if listed.key == LESSON else b"tidied")


@pytest.mark.parametrize("key", ["", "..", "a/../b.mp4", "./a.mp4", "x" * 1025], ids=ascii)
def test_a_key_that_no_store_can_have_is_refused_in_our_words(store: ObjectStore, bucket: str, key: str) -> None:
    with pytest.raises(HuikanError):
        store.put_bytes(bucket, key, b"x")
    with pytest.raises(HuikanError):
        store.get_bytes(bucket, key)
    assert list(store.list(bucket)) == []


def test_a_large_file_travels_in_parts_and_arrives_whole(store: ObjectStore, bucket: str, tmp_path: Path) -> None:
    source, copy = tmp_path / "source", tmp_path / "copy"
    source.write_bytes(os.urandom(2**20) * (PART_BYTES // 2**20 * 2) + b"and one part more")
    put = store.put_file(bucket, LESSON, source, "video/mp4")
    assert put.size_bytes == source.stat().st_size
    assert put.etag.endswith("-3")  # it really was in parts
    assert put.content_type == "video/mp4"
    assert [found.key for found in store.list(bucket)] == [LESSON]
    assert store.get_file(bucket, LESSON, copy, etag=put.etag) == hashlib.sha256(source.read_bytes()).hexdigest()
    assert copy.read_bytes() == source.read_bytes()


def test_a_half_finished_upload_is_not_listed(store: ObjectStore, raw: Minio, bucket: str) -> None:
    upload = raw._create_multipart_upload(bucket, LESSON, {})
    raw._upload_part(bucket, LESSON, b"x" * 5 * 2**20, {}, upload, 1)
    assert list(store.list(bucket)) == []
    assert store.stat(bucket, LESSON) is None
    raw._abort_multipart_upload(bucket, LESSON, upload)


def test_a_download_that_is_pinned_to_an_etag_refuses_another_object(
    store: ObjectStore, bucket: str, tmp_path: Path
) -> None:
    wanted = store.put_bytes(bucket, LESSON, b"the lesson")
    store.put_bytes(bucket, LESSON, b"something else")
    target = tmp_path / "lesson"
    target.write_bytes(b"as it was")
    with pytest.raises(Absent):
        store.get_file(bucket, LESSON, target, etag=wanted.etag)
    assert target.read_bytes() == b"as it was"
    assert list(tmp_path.iterdir()) == [target]


def test_a_packed_object_is_not_unpacked(store: ObjectStore, raw: Minio, bucket: str, tmp_path: Path) -> None:
    headers: dict[str, str | list[str] | tuple[str]] = {"Content-Encoding": "gzip"}
    raw.put_object(bucket, LESSON, io.BytesIO(b"no gzip at all"), 14, metadata=headers)
    assert store.get_bytes(bucket, LESSON) == b"no gzip at all"
    store.get_file(bucket, LESSON, tmp_path / "lesson")
    assert (tmp_path / "lesson").read_bytes() == b"no gzip at all"


def test_a_small_read_of_a_large_object_is_refused(store: ObjectStore, bucket: str) -> None:
    store.put_bytes(bucket, LESSON, b"0123456789")
    assert store.get_bytes(bucket, LESSON, limit_bytes=10) == b"0123456789"
    with pytest.raises(Unacceptable) as caught:
        store.get_bytes(bucket, LESSON, limit_bytes=9)
    assert "过大" in caught.value.reason_zh


RANGED = bytes(range(256)) * (READ_BYTES // 256) + b"a second read"


@pytest.fixture
def ranged(store: ObjectStore, bucket: str) -> tuple[ObjectStore, str]:
    store.put_bytes(bucket, LESSON, RANGED)
    return store, bucket


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_range_is_what_slicing_gives(ranged: tuple[ObjectStore, str], data: st.DataObject) -> None:
    store, bucket = ranged
    edges = st.sampled_from([0, 1, READ_BYTES - 1, READ_BYTES, READ_BYTES + 1, len(RANGED) - 1])
    offset = data.draw(edges | st.integers(0, len(RANGED) - 1))
    length = data.draw(st.none() | edges.filter(bool) | st.integers(1, len(RANGED) * 2))
    expected = RANGED[offset : None if length is None else offset + length]
    assert b"".join(store.open(bucket, LESSON, offset=offset, length=length)) == expected


def test_a_range_past_the_end_is_absent(ranged: tuple[ObjectStore, str]) -> None:
    store, bucket = ranged
    with pytest.raises(Absent):
        store.open(bucket, LESSON, offset=len(RANGED) + 1)


def test_a_reader_may_leave_early(ranged: tuple[ObjectStore, str]) -> None:
    store, bucket = ranged
    for _ in range(40):  # more than the pool holds: a connection that is not given back would be missed
        with store.open(bucket, LESSON) as body:
            assert next(body) == RANGED[:READ_BYTES]
    store.open(bucket, LESSON).close()


def test_a_body_that_changes_on_its_way_is_refused(
    store: ObjectStore, server: LiveStore, bucket: str, proxy: FaultProxy, tmp_path: Path
) -> None:
    proxy.flip_sent = b"seventh lesson"
    with pytest.raises(Unavailable):
        through(proxy, server).put_bytes(bucket, LESSON, b"this is the seventh lesson of the day")
    large = tmp_path / "large"
    large.write_bytes(b"x" * (PART_BYTES + 1000) + b"seventh lesson")
    with pytest.raises(Unavailable):
        through(proxy, server).put_file(bucket, LESSON, large)
    assert list(store.list(bucket)) == []


def test_a_download_that_breaks_off_leaves_nothing_behind(
    store: ObjectStore, server: LiveStore, bucket: str, proxy: FaultProxy, tmp_path: Path
) -> None:
    store.put_bytes(bucket, LESSON, b"x" * 3 * 2**20)
    proxy.cut_answer_after_bytes = 2**20
    with pytest.raises(Unavailable) as caught:
        through(proxy, server).get_file(bucket, LESSON, tmp_path / "lesson")
    assert list(tmp_path.iterdir()) == []
    assert isinstance(pickle.loads(pickle.dumps(caught.value)), Unavailable)  # noqa: S301 — as the engine does


def test_a_connection_that_died_while_idle_is_replaced(
    store: ObjectStore, server: LiveStore, bucket: str, proxy: FaultProxy
) -> None:
    store.put_bytes(bucket, LESSON, b"x")
    client = through(proxy, server)
    assert client.stat(bucket, LESSON) is not None
    proxy.close()  # the server went away and came back
    assert client.stat(bucket, LESSON) is not None


def test_a_server_that_does_not_answer_is_unavailable_and_not_asked_for_ever(
    server: LiveStore, bucket: str, proxy: FaultProxy
) -> None:
    proxy.silent = True
    with pytest.raises(Unavailable) as caught:
        through(proxy, server, read_timeout_s=0.2).stat(bucket, LESSON)
    assert caught.value.remedy_zh
    assert proxy.connections <= 2


@pytest.mark.parametrize("status", [b"500 Internal Server Error", b"503 Service Unavailable", b"200 OK"])
def test_a_server_that_answers_nonsense_is_unavailable_and_asked_once(
    server: LiveStore, bucket: str, proxy: FaultProxy, status: bytes, tmp_path: Path
) -> None:
    proxy.answer = b"HTTP/1.1 " + status + b"\r\nContent-Type: application/xml\r\nContent-Length: 5\r\n\r\n<html"
    with pytest.raises(Unavailable):
        list(through(proxy, server).list(bucket))
    assert proxy.connections == 1


def test_a_server_that_is_down_is_unavailable_with_a_remedy(tmp_path: Path) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # bound, not listening: a connection is refused
        store = ObjectStore(f"127.0.0.1:{nobody.getsockname()[1]}", "key", "secret-key")
        for attempt in (
            store.ready,
            lambda: store.stat("incoming", LESSON),
            lambda: store.ensure_bucket("incoming"),
            lambda: list(store.list("incoming")),
            lambda: store.put_bytes("incoming", LESSON, b"x"),
            lambda: store.get_file("incoming", LESSON, tmp_path / "lesson"),
            lambda: store.open("incoming", LESSON),
            lambda: store.delete("incoming", LESSON),
        ):
            with pytest.raises(Unavailable) as caught:
                attempt()
            assert "对象存储" in caught.value.reason_zh
            assert "HUIKAN_STORE_ENDPOINT" in caught.value.remedy_zh


def test_a_wrong_secret_is_said_to_be_one(server: LiveStore, bucket: str) -> None:
    for access_key, secret_key in ((server.access_key, "not-the-secret"), ("nobody", server.secret_key)):
        stranger = ObjectStore(server.endpoint, access_key, secret_key, secure=server.secure)
        for attempt in (stranger.ready, lambda who=stranger: who.put_bytes(bucket, LESSON, b"x")):
            with pytest.raises(Unavailable) as caught:
                attempt()
            assert "HUIKAN_STORE_SECRET_KEY" in caught.value.remedy_zh
            assert "not-the-secret" not in str(caught.value)


def test_a_server_that_knows_us_is_ready(store: ObjectStore) -> None:
    store.ready()
