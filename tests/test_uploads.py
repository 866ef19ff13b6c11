"""Uploads to a real `huikan serve` that break off on either side: resumed, finished, and nothing disagrees afterwards."""

# The client's single steps of a multipart upload are private.
# pyright: reportPrivateUsage=false

import os
import signal
import subprocess
from collections.abc import Iterator
from hashlib import file_digest, md5, sha256
from pathlib import Path

import pytest
from minio import Minio
from minio.datatypes import Part

from api import recorders
from api.embedded import seaweedfs
from api.operate import check_everything
from archive.errors import Unavailable
from archive.store import ObjectStore
from ingest.recorder import RecorderKey
from tests.ingest.recorders import PART
from tests.serving import Huikan, alive, eventually

pytestmark = pytest.mark.slow

KEY = "xinghuo/301/20260901T0800.mp4"


@pytest.fixture
def huikan(tmp_path: Path) -> Iterator[Huikan]:
    made = Huikan(tmp_path / "home", {"HUIKAN_FTP_PORT": "0", "HUIKAN_STORE_PORT": "0"})
    made.start()
    yield made
    if made.process is not None and made.process.poll() is None:
        made.stop()


def key_of(huikan: Huikan) -> tuple[str, RecorderKey]:
    """(recorder id, its key)."""
    catalog = huikan.catalog()
    try:
        issued = recorders.add(huikan.settings, catalog, recorders.Place("xinghuo", "301"))
    finally:
        catalog.close()
    return issued.recorder.id, issued.key


def client(huikan: Huikan, key: RecorderKey) -> Minio:
    return Minio(huikan.serving.s3_endpoint, key.access_key, key.secret_key, secure=False, region="us-east-1")


def published(huikan: Huikan) -> bool:
    """Playable; its words wait for a model that knows its language."""
    return bool(huikan.arrivals().get(KEY, {}).get("published"))


def padded(media: Path) -> bytes:
    """The recording, three parts long: a box that players skip fills it up."""
    data = media.read_bytes()
    filling = 2 * PART + 1000
    return data + (filling + 8).to_bytes(4, "big") + b"free" + os.urandom(filling)


def test_an_upload_in_parts_outlives_the_power_of_either_side(huikan: Huikan, tiny_recording: Path) -> None:
    data = padded(tiny_recording)
    parts = [data[at : at + PART] for at in range(0, len(data), PART)]
    _, key = key_of(huikan)
    upload = client(huikan, key)._create_multipart_upload(
        "incoming", KEY, {"x-amz-meta-sha256": sha256(data).hexdigest()}
    )
    client(huikan, key)._upload_part("incoming", KEY, parts[0], {}, upload, 1)
    tree = huikan.tree()
    assert huikan.process is not None
    for pid in tree:  # the server's power goes
        os.kill(pid, signal.SIGKILL)
    huikan.process.wait()
    eventually(lambda: not alive(tree), 30, "the end of the process tree")
    huikan.start()
    recorder = client(huikan, key)  # and the recorder's: all it has is the upload's number
    there = {part.part_number: part.etag.strip('"') for part in recorder._list_parts("incoming", KEY, upload).parts}
    assert there == {1: md5(parts[0], usedforsecurity=False).hexdigest()}
    done = [Part(1, there[1])]
    for number, part in enumerate(parts[1:], 2):
        done.append(Part(number, recorder._upload_part("incoming", KEY, part, {}, upload, number)))
    recorder._complete_multipart_upload("incoming", KEY, upload, done)
    eventually(lambda: published(huikan), 300, "the publication")
    (receipt,) = huikan.get("/api/receipts", params={"key": KEY})["receipts"]
    assert (receipt["sha256"], receipt["safe"]) == (sha256(data).hexdigest(), True)
    eventually(lambda: check_everything(huikan.settings).findings == (), 120, "agreement")


def test_a_lesson_comes_by_ftp_and_is_seen_on_the_recorders_page(huikan: Huikan, tiny_recording: Path) -> None:
    recorder_id, _ = key_of(huikan)
    catalog = huikan.catalog()
    _, password = recorders.gateway_password(catalog, recorder_id)
    catalog.close()
    port = huikan.home / "gateway" / "ftp-port"
    eventually(port.exists, 60, "the FTP gateway")
    url = f"ftp://127.0.0.1:{port.read_text()}/CH01_20260901_080000.mp4"
    command = [
        "curl",
        "--silent",
        "--show-error",
        "--user",
        f"{recorder_id}:{password}",
        "-T",
        str(tiny_recording),
        url,
    ]
    eventually(lambda: subprocess.run(command, check=False).returncode == 0, 30, "an upload by FTP")
    key = "xinghuo/301/20260901T080000.mp4"
    eventually(lambda: bool(huikan.arrivals().get(key, {}).get("published")), 300, "the publication")
    (told,) = huikan.get("/api/recorders")
    assert (told["id"], told["today"]["recordings"]) == (recorder_id, 1)
    status = huikan.run("gateway", "status")
    assert "等待送出    0 个文件" in status.stdout, status.stdout + status.stderr
    assert password not in huikan.log


def test_a_recording_of_more_than_five_gigabytes_goes_in_in_parts(huikan: Huikan, tmp_path: Path) -> None:
    """Sparse on our side; every byte of it is sent, stored, read and hashed. What becomes of it is not the question."""
    size = 5 * 2**30 + 12_345
    media = tmp_path / "large.mp4"
    with media.open("wb") as out:
        out.write(b"\x00\x00\x00\x18ftypmp42" + b"\x00" * 12)
        out.truncate(size)
    _, key = key_of(huikan)
    client(huikan, key).fput_object("incoming", KEY, str(media), part_size=64 * 2**20, num_parallel_uploads=2)

    def hashed() -> str:
        return (huikan.get("/api/receipts", params={"key": KEY})["receipts"] or [{}])[0].get("sha256") or ""

    with media.open("rb") as source:
        expected = file_digest(source, "sha256").hexdigest()
    eventually(lambda: KEY in {one["key"] for one in huikan.get("/api/arrivals")}, 120, "the arrival")
    eventually(lambda: hashed() == expected, 900, "the receipt")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """200 MB; making it takes root."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small disk takes root")
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200m", "tmpfs", str(disk)], check=True)
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_full_store_acknowledges_nothing_that_it_does_not_keep_and_goes_on_when_there_is_room(
    small_disk: Path, tmp_path: Path
) -> None:
    media = tmp_path / "lesson.mp4"
    sent: dict[str, str] = {}
    with seaweedfs(
        small_disk / "store", port=0, access_key="huikan", secret_key="secret-key", webhook_url=None, webhook_token=None
    ) as running:
        store = ObjectStore(running.endpoint, "huikan", "secret-key")
        store.ensure_bucket("incoming")
        with pytest.raises(Unavailable):
            for hour in range(20):
                media.write_bytes(os.urandom(20_000_000))
                store.put_file("incoming", f"xinghuo/301/20260901T{hour:02d}00.mp4", media)
                sent[f"xinghuo/301/20260901T{hour:02d}00.mp4"] = sha256(media.read_bytes()).hexdigest()
        assert len(sent) >= 5
        assert [found.key for found in store.list("incoming")] == sorted(sent)
        for key, digest in sent.items():
            assert store.get_file("incoming", key, tmp_path / "copy") == digest
        subprocess.run(["mount", "-o", "remount,size=400m", str(small_disk)], check=True)

        def goes_on() -> bool:
            try:
                store.put_file("incoming", "xinghuo/301/20260902T0800.mp4", media)
            except Unavailable:
                return False
            return True

        eventually(goes_on, 60, "an upload")
