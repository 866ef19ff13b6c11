"""The programs that upload, each with the settings that `huikan recorder` prints, on a key that may only write."""

import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import pytest

from api import recorder_settings
from api.recorder_settings import EXAMPLE, Upload
from archive.store import ObjectStore
from ingest.recorder import RecorderKeys, issue
from tests.ingest.recorders import PART
from tests.live_store import LiveStore

KEY = f"xinghuo/301/{EXAMPLE}"
SMALL, LARGE = 100_000, 3 * PART + 17


@dataclass(frozen=True)
class Classroom:
    """A recorder's PC: a key, a file to send, and a home of its own for the programs' settings."""

    to: Upload
    folder: Path

    def run(self, *command: str) -> "subprocess.CompletedProcess[str]":
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "LC_ALL": "C.UTF-8"}
        return subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True, check=False, timeout=120
        )

    def boto3(self, instead: str = "") -> "subprocess.CompletedProcess[str]":
        """The script that is printed; `instead` replaces its last line, the upload."""
        script = recorder_settings.boto3(self.to)
        if instead:
            script = "\n".join([*script.strip().split("\n")[:-1], instead])
        (self.folder / "send.py").write_text(script)
        return self.run("/usr/bin/python3", "send.py")  # Debian's: DBOS pins a python-dateutil that boto3 does not take

    def rclone(self, *command: str) -> "subprocess.CompletedProcess[str]":
        (self.folder / "rclone.conf").write_text(recorder_settings.rclone(self.to))
        return self.run("rclone", "--config", "rclone.conf", "--retries=1", "--low-level-retries=1", *command)

    def s3cmd(self, *command: str) -> "subprocess.CompletedProcess[str]":
        (self.folder / ".s3cfg").write_text(recorder_settings.s3cmd(self.to))
        return self.run("s3cmd", *command)

    def awscli(self) -> "subprocess.CompletedProcess[str]":
        """What is printed has a part for each of its two files, and the command."""
        credentials, _, rest = recorder_settings.awscli(self.to).partition("# ~/.aws/config\n")
        (self.folder / ".aws").mkdir()
        (self.folder / ".aws" / "credentials").write_text(credentials)
        (self.folder / ".aws" / "config").write_text(rest)
        return self.run("/usr/bin/aws", *self.printed("awscli")[1:])  # Debian's, whatever else is on PATH

    def printed(self, tool: str) -> list[str]:
        """The command in the comment at the end of the printed settings."""
        last = recorder_settings.TOOLS[tool][1](self.to).strip().split("\n")[-1]
        assert last.startswith("# ")
        return last.removeprefix("# ").split()


@pytest.fixture
def classroom(seaweed: LiveStore, incoming_bucket: str, tmp_path: Path) -> Classroom:
    key = issue("xinghuo", "301", incoming_bucket)
    RecorderKeys(seaweed.home).add(key)
    url = f"http://{seaweed.endpoint}"
    return Classroom(Upload(url, incoming_bucket, "xinghuo/301/", key.access_key, key.secret_key), tmp_path)


SENDERS: dict[str, Callable[[Classroom], "subprocess.CompletedProcess[str]"]] = {
    "awscli": lambda pc: pc.awscli(),
    "boto3": lambda pc: pc.boto3(),
    "rclone": lambda pc: pc.rclone(*pc.printed("rclone")[1:]),
    "s3cmd": lambda pc: pc.s3cmd("--multipart-chunk-size-mb=5", *pc.printed("s3cmd")[1:]),
}


@pytest.mark.parametrize("client", SENDERS)
@pytest.mark.parametrize("size", [SMALL, LARGE], ids=["small", "in parts"])
def test_each_uploads_with_the_printed_settings(
    classroom: Classroom, store: ObjectStore, tmp_path: Path, client: str, size: int
) -> None:
    data = os.urandom(size)
    (classroom.folder / EXAMPLE).write_bytes(data)
    finished = SENDERS[client](classroom)
    assert finished.returncode == 0, finished.stderr + finished.stdout
    assert store.get_file(classroom.to.bucket, KEY, tmp_path / "stored") == sha256(data).hexdigest()


def test_boto3_sends_a_large_file_in_parts(classroom: Classroom, store: ObjectStore) -> None:
    (classroom.folder / EXAMPLE).write_bytes(b"x" * LARGE)
    assert classroom.boto3().returncode == 0
    found = store.stat(classroom.to.bucket, KEY)
    assert found is not None
    assert "-" in found.etag


B = "incoming"
DENIED: dict[str, Callable[[Classroom], "subprocess.CompletedProcess[str]"]] = {
    "boto3 get": lambda pc: pc.boto3(f's3.download_file("{B}", "{KEY}", "got")'),
    "boto3 head": lambda pc: pc.boto3(f's3.head_object(Bucket="{B}", Key="{KEY}")'),
    "boto3 list": lambda pc: pc.boto3(f's3.list_objects_v2(Bucket="{B}", Prefix="xinghuo/301/")'),
    "boto3 list versions": lambda pc: pc.boto3(f's3.list_object_versions(Bucket="{B}")'),
    "boto3 delete": lambda pc: pc.boto3(f's3.delete_object(Bucket="{B}", Key="{KEY}")'),
    "boto3 copy": lambda pc: pc.boto3(
        f's3.copy_object(Bucket="{B}", Key="xinghuo/301/c.mp4", CopySource={{"Bucket": "{B}", "Key": "{KEY}"}})'
    ),
    "boto3 other room": lambda pc: pc.boto3(f's3.upload_file("{EXAMPLE}", "{B}", "xinghuo/302/{EXAMPLE}")'),
    "boto3 other bucket": lambda pc: pc.boto3(f's3.upload_file("{EXAMPLE}", "media", "{KEY}")'),
    "boto3 parts into another room": lambda pc: pc.boto3(
        f's3.create_multipart_upload(Bucket="{B}", Key="xinghuo/302/{EXAMPLE}")'
    ),
    "boto3 part copied from another room": lambda pc: pc.boto3(
        f'u = s3.create_multipart_upload(Bucket="{B}", Key="xinghuo/301/c.mp4")["UploadId"]; '
        f's3.upload_part_copy(Bucket="{B}", Key="xinghuo/301/c.mp4", UploadId=u, PartNumber=1, '
        f'CopySource={{"Bucket": "{B}", "Key": "xinghuo/302/20260901T0700.mp4"}})'
    ),
    "boto3 post policy of another room": lambda pc: pc.boto3(
        f'import requests_free as r; f = s3.generate_presigned_post("{B}", "xinghuo/302/{EXAMPLE}"); r.post(f)'
    ),
    "rclone cat": lambda pc: pc.rclone("cat", f"huikan:{B}/{KEY}"),
    "rclone ls": lambda pc: pc.rclone("ls", f"huikan:{B}/xinghuo/301"),
    "rclone delete": lambda pc: pc.rclone("deletefile", f"huikan:{B}/{KEY}"),
    "rclone other room": lambda pc: pc.rclone(
        "copyto", "--no-check-dest", EXAMPLE, f"huikan:{B}/xinghuo/302/{EXAMPLE}"
    ),
    "rclone server-side copy": lambda pc: pc.rclone(
        "copyto", "--no-check-dest", f"huikan:{B}/{KEY}", f"huikan:{B}/xinghuo/301/c.mp4"
    ),
    "s3cmd get": lambda pc: pc.s3cmd("get", f"s3://{B}/{KEY}", "got"),
    "s3cmd ls": lambda pc: pc.s3cmd("ls", f"s3://{B}/xinghuo/301/"),
    "s3cmd del": lambda pc: pc.s3cmd("del", f"s3://{B}/{KEY}"),
    "s3cmd cp": lambda pc: pc.s3cmd("cp", f"s3://{B}/{KEY}", f"s3://{B}/xinghuo/301/c.mp4"),
    "s3cmd other room": lambda pc: pc.s3cmd("put", EXAMPLE, f"s3://{B}/xinghuo/302/{EXAMPLE}"),
    "s3cmd setacl": lambda pc: pc.s3cmd("setacl", "--acl-public", f"s3://{B}/{KEY}"),
}
_POSTER = """
import http.client, sys, urllib.parse, uuid
def post(form):
    edge = uuid.uuid4().hex
    lines = []
    for name, value in form["fields"].items():
        lines += ["--" + edge, 'Content-Disposition: form-data; name="%s"' % name, "", value]
    lines += ["--" + edge, 'Content-Disposition: form-data; name="file"; filename="x.mp4"', "", "evil", "--" + edge + "--", ""]
    url = urllib.parse.urlsplit(form["url"])
    to = http.client.HTTPConnection(url.netloc, timeout=30)
    to.request("POST", url.path, "\\r\\n".join(lines), {"Content-Type": "multipart/form-data; boundary=" + edge})
    answer = to.getresponse()
    if answer.status >= 400:
        sys.exit("%d AccessDenied %s" % (answer.status, answer.read()))
"""


@pytest.mark.parametrize("attempt", DENIED)
def test_none_of_them_gets_any_further(
    classroom: Classroom, store: ObjectStore, media_bucket: str, attempt: str
) -> None:
    (classroom.folder / EXAMPLE).write_bytes(b"evil")
    (classroom.folder / "requests_free.py").write_text(_POSTER)
    before = {KEY: b"a lesson", "xinghuo/302/20260901T0700.mp4": b"another's lesson"}
    for key, data in before.items():
        store.put_bytes(classroom.to.bucket, key, data)
    finished = DENIED[attempt](classroom)
    said = finished.stderr + finished.stdout
    assert finished.returncode != 0, said
    assert any(word in said for word in ("AccessDenied", "Access Denied", "403", "Forbidden", "doesn't exist")), said
    assert not (classroom.folder / "got").exists() or not (classroom.folder / "got").read_bytes()
    assert {found.key: store.get_bytes(B, found.key) for found in store.list(B)} == before
    assert list(store.list(media_bucket)) == []
