"""The embedded SeaweedFS: which doors it has, who may pass them, and where its secrets are."""

import http.client
import json
import time
import tomllib
from pathlib import Path

import pytest
from minio import Minio
from minio.error import S3Error

from api.embedded import arguments, filer_toml, notification_toml, owner_identity
from archive.store import ObjectStore
from tests.live_store import LiveStore

LESSON = "xinghuo/301/20260901T0800.mp4"
ACCESS_KEY, SECRET_KEY, TOKEN = "huikan", "the-secret-of-these-tests", "the-token-of-these-tests"
DOORS = 10  # master, volume, filer, S3, admin, and the gRPC twin of each: no WebDAV, no Iceberg, no Lance


def listening(pid: int) -> set[tuple[str, int]]:
    """Address and port of every TCP socket that the process listens on, from the kernel's own tables."""
    inodes = {str(fd.readlink()) for fd in Path(f"/proc/{pid}/fd").iterdir() if fd.is_symlink()}
    found: set[tuple[str, int]] = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in inodes:
                address, _, port = fields[1].partition(":")
                found.add((address, int(port, 16)))
    return found


def ask(
    port: int, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
) -> tuple[int, bytes]:
    """One request, byte for byte as written here: no client that tidies it up, no signature."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def all_doors(seaweed: LiveStore) -> set[tuple[str, int]]:
    """Its admin server comes half a second after the others."""
    deadline = time.monotonic() + 30
    while len(found := listening(seaweed.pid)) < DOORS:
        assert time.monotonic() < deadline, found
    return found


class TestItsDoors:
    def test_all_of_them_are_on_the_loopback_address(self, seaweed: LiveStore) -> None:
        found = all_doors(seaweed)
        assert {address for address, _ in found} == {"0100007F"}  # 127.0.0.1 as the kernel writes it
        assert len(found) == DOORS
        assert int(seaweed.endpoint.partition(":")[2]) in {port for _, port in found}

    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("GET", "/"),
            ("GET", "/{bucket}"),
            ("GET", "/{bucket}/" + LESSON),
            ("GET", "/buckets/{bucket}/" + LESSON),  # the filer's and the S3 server's
            ("GET", "/buckets/{bucket}/?pretty=y"),
            ("GET", "/etc/iam/"),
            ("PUT", "/{bucket}/xinghuo/301/evil.mp4"),
            ("PUT", "/buckets/{bucket}/xinghuo/301/evil.mp4"),
            ("POST", "/buckets/{bucket}/xinghuo/301/evil.mp4"),
            ("DELETE", "/{bucket}/" + LESSON),
            ("DELETE", "/buckets/{bucket}/" + LESSON),
            ("DELETE", "/buckets/{bucket}?recursive=true"),
            ("POST", "/.tus/buckets/{bucket}/evil.mp4"),
            ("GET", "/col/delete?collection={bucket}"),  # the master's: this one erased a bucket in a trial
            ("POST", "/submit"),
            ("GET", "/dir/assign"),
            ("GET", "/vol/vacuum?garbageThreshold=0"),
            ("GET", "/1,0112345678"),  # the volume server's
            ("POST", "/1,0112345678"),
            ("DELETE", "/1,0112345678"),
            ("GET", "/login"),  # the admin server's
            ("GET", "/object-store/buckets"),
            ("POST", "/api/users"),
        ],
    )
    def test_none_of_them_gives_or_takes_anything_without_a_key(
        self, seaweed: LiveStore, store: ObjectStore, incoming_bucket: str, method: str, path: str
    ) -> None:
        store.put_bytes(incoming_bucket, LESSON, b"faces of children")
        for _, port in all_doors(seaweed):
            try:
                status, answer = ask(port, method, path.format(bucket=incoming_bucket), b"evil" * (method != "GET"))
            except (http.client.HTTPException, ConnectionError):
                continue  # a gRPC port: it does not speak HTTP/1.1
            assert b"faces of children" not in answer
            assert LESSON.encode() not in answer or status == 403  # S3's error names what was asked for
            if path != "/":  # the master answers that with a page about itself
                assert status >= 400, (port, answer)
        assert [found.key for found in store.list(incoming_bucket)] == [LESSON]
        assert store.get_bytes(incoming_bucket, LESSON) == b"faces of children"

    @pytest.mark.parametrize(
        "headers",
        [
            {"Authorization": "AWS4-HMAC-SHA256 Credential=huikan/20260901/us-east-1/s3/aws4_request"},
            {"Authorization": "AWS huikan:c2lnbmF0dXJl"},
            {"Authorization": "Bearer huikan"},
            {
                "x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
                "x-amz-trailer": "x-amz-checksum-crc32",
                "Content-Encoding": "aws-chunked",
            },
            {"x-amz-content-sha256": "UNSIGNED-PAYLOAD", "x-amz-date": "20260901T000000Z"},
            {"X-Amz-Meta-Snowball-Auto-Extract": "true"},
        ],
        ids=["no signature", "version 2", "bearer", "unsigned trailer", "unsigned payload", "snowball"],
    )
    @pytest.mark.parametrize("query", ["", "?X-Amz-Credential=huikan%2F20260901%2Fus-east-1%2Fs3%2Faws4_request"])
    def test_a_forged_signature_is_refused(
        self, seaweed: LiveStore, store: ObjectStore, incoming_bucket: str, headers: dict[str, str], query: str
    ) -> None:
        port = int(seaweed.endpoint.partition(":")[2])
        path = f"/{incoming_bucket}/{LESSON}{query}"
        assert ask(port, "PUT", path, b"4\r\nevil\r\n0\r\n\r\n", headers)[0] >= 400
        assert ask(port, "GET", path, headers=headers)[0] >= 400
        assert list(store.list(incoming_bucket)) == []

    def test_a_stranger_and_a_wrong_secret_are_refused(self, seaweed: LiveStore, incoming_bucket: str) -> None:
        for access_key, secret_key in ((None, None), (seaweed.access_key, "wrong"), ("nobody", seaweed.secret_key)):
            stranger = Minio(seaweed.endpoint, access_key, secret_key, secure=False, region="us-east-1")
            with pytest.raises(S3Error) as caught:
                list(stranger.list_objects(incoming_bucket))
            assert caught.value.response.status == 403

    def test_a_misspelt_bucket_is_not_made(self, seaweed: LiveStore, store: ObjectStore) -> None:
        owner = Minio(seaweed.endpoint, seaweed.access_key, seaweed.secret_key, secure=False, region="us-east-1")
        with pytest.raises(S3Error):
            owner.fput_object("incomming", LESSON, __file__)
        assert not owner.bucket_exists("incomming")


class TestItsSecrets:
    def test_none_is_on_its_command_line_or_in_its_environment(self, seaweed: LiveStore) -> None:
        for file in ("cmdline", "environ"):
            assert seaweed.secret_key.encode() not in Path(f"/proc/{seaweed.pid}/{file}").read_bytes()

    def test_its_memory_is_capped_and_it_has_none_of_our_environment(self, seaweed: LiveStore) -> None:
        environment = Path(f"/proc/{seaweed.pid}/environ").read_bytes().split(b"\0")
        names = {entry.partition(b"=")[0] for entry in environment if entry}
        assert names == {b"PATH", b"LC_ALL", b"HOME", b"TMPDIR", b"GOMEMLIMIT"}

    def test_its_files_are_for_its_owner_only_and_its_log_holds_none(self, seaweed: LiveStore) -> None:
        assert seaweed.home.stat().st_mode & 0o777 == 0o700
        for name in ("s3.json", "security.toml", "notification.toml", "filer.toml", "pid"):
            assert (seaweed.home / name).stat().st_mode & 0o777 == 0o600
        log = [path for path in (seaweed.home / "log").rglob("*") if path.is_file()]
        assert log
        assert not any(seaweed.secret_key.encode() in path.read_bytes() for path in log)

    def test_no_argument_holds_one_and_every_part_that_could_call_home_or_out_is_off(self, tmp_path: Path) -> None:
        argv = arguments(tmp_path, {"s3.port": 8333})
        for expected in ("-master.telemetry=false", "-webdav=false", "-admin.ui=false", "-ip.bind=127.0.0.1"):
            assert expected in argv
        assert not any(secret in argument for secret in (SECRET_KEY, TOKEN) for argument in argv)
        assert SECRET_KEY in json.dumps(owner_identity(ACCESS_KEY, SECRET_KEY))
        assert TOKEN in notification_toml("http://127.0.0.1:8000/", TOKEN, "incoming")

    @pytest.mark.parametrize("word", ['quo"te', "back\\slash", "new\nline", "中文", "]\n[filer]"])
    def test_no_word_escapes_from_its_place_in_a_file(self, tmp_path: Path, word: str) -> None:
        parsed = tomllib.loads(notification_toml(f"http://127.0.0.1/{word}", word, word))["notification"]["webhook"]
        assert (parsed["endpoint"], parsed["bearer_token"]) == (f"http://127.0.0.1/{word}", word)
        assert parsed["path_prefixes"] == [f"/buckets/{word}/"]
        assert tomllib.loads(filer_toml(tmp_path / word))["leveldb2"]["dir"] == str(
            tmp_path / word / "data" / "filerldb2"
        )
