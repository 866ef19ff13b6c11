"""Keys are issued and revoked while the store runs, while it does not, and by several at once."""

# The client's single steps of a multipart upload are private.
# pyright: reportPrivateUsage=false

import io
import os
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from minio import Minio

from archive.errors import Absent, Unacceptable
from archive.store import ObjectStore
from ingest.recorder import RecorderKey, RecorderKeys, issue
from tests.ingest.recorders import OWN, PART, connect, put, refused, signed
from tests.live_store import LiveStore


@pytest.fixture
def keys(seaweed: LiveStore) -> RecorderKeys:
    return RecorderKeys(seaweed.home)


@pytest.fixture
def key(keys: RecorderKeys, incoming_bucket: str) -> RecorderKey:
    key = issue("xinghuo", "301", incoming_bucket)
    keys.add(key)
    return key


@pytest.fixture
def recorder(seaweed: LiveStore, key: RecorderKey) -> Minio:
    return connect(seaweed, key)


class TestIssuingAndRevoking:
    def test_the_raw_requests_of_these_tests_work_where_they_may(
        self, seaweed: LiveStore, key: RecorderKey, store: ObjectStore
    ) -> None:
        assert signed(seaweed, key, "PUT", f"/{key.bucket}/{OWN}", b"good") == 200
        assert store.get_bytes(key.bucket, OWN) == b"good"

    @pytest.mark.parametrize(("off", "status"), [("-2 h", 403), ("+2 h", 403), ("-10 min", 200), ("+10 min", 200)])
    def test_a_clock_that_is_hours_off_is_refused_and_a_few_minutes_do_no_harm(
        self, seaweed: LiveStore, key: RecorderKey, store: ObjectStore, off: str, status: int
    ) -> None:
        amount, unit = off.split()
        clock_off = timedelta(**{"hours" if unit == "h" else "minutes": int(amount)})
        assert signed(seaweed, key, "PUT", f"/{key.bucket}/{OWN}", b"good", clock_off=clock_off) == status
        assert (store.stat(key.bucket, OWN) is not None) == (status == 200)

    def test_a_revoked_key_is_refused_from_the_next_request_on(
        self, recorder: Minio, keys: RecorderKeys, key: RecorderKey, incoming_bucket: str
    ) -> None:
        put(recorder, incoming_bucket, OWN)
        keys.revoke(key.access_key)
        assert refused(lambda: put(recorder, incoming_bucket, OWN))
        keys.revoke(key.access_key)  # again is no error

    def test_revoking_one_key_of_a_room_leaves_the_other(
        self, seaweed: LiveStore, keys: RecorderKeys, key: RecorderKey, incoming_bucket: str
    ) -> None:
        other = issue("xinghuo", "301", incoming_bucket)
        keys.add(other)
        keys.revoke(key.access_key)
        put(connect(seaweed, other), incoming_bucket, OWN)

    def test_an_upload_that_was_begun_before_cannot_be_completed_after(
        self, recorder: Minio, keys: RecorderKeys, key: RecorderKey, incoming_bucket: str, store: ObjectStore
    ) -> None:
        upload = recorder._create_multipart_upload(incoming_bucket, OWN, {})
        keys.revoke(key.access_key)
        assert refused(lambda: recorder._upload_part(incoming_bucket, OWN, b"x", {}, upload, 1))
        assert list(store.list(incoming_bucket)) == []

    def test_adding_a_key_again_changes_nothing_and_a_revoked_one_stays_revoked(
        self, seaweed: LiveStore, keys: RecorderKeys, key: RecorderKey, incoming_bucket: str
    ) -> None:
        first = keys.add(key)
        assert keys.add(key) == first
        keys.revoke(key.access_key)
        assert keys.add(key).revoked_at is not None
        assert refused(lambda: put(connect(seaweed, key), incoming_bucket, OWN))

    def test_uploads_go_on_while_keys_come_and_go(
        self, recorder: Minio, keys: RecorderKeys, store: ObjectStore, incoming_bucket: str
    ) -> None:
        size = 6 * PART
        with ThreadPoolExecutor(1) as pool:
            data = io.BytesIO(b"x" * size)
            upload = pool.submit(recorder.put_object, incoming_bucket, OWN, data, size, part_size=PART)
            passing = [issue("xinghuo", str(number), incoming_bucket) for number in range(10)]
            for each in passing:
                keys.add(each)
                keys.revoke(each.access_key)
            upload.result()
        found = store.stat(incoming_bucket, OWN)
        assert found is not None
        assert found.size_bytes == size

    def test_keys_that_are_issued_at_the_same_time_are_all_kept(
        self, seaweed: LiveStore, keys: RecorderKeys, incoming_bucket: str
    ) -> None:
        issued = [issue("xinghuo", "301", incoming_bucket) for _ in range(8)]
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(RecorderKeys(seaweed.home).add, issued))
        assert {key.access_key for key in issued} <= {record.access_key for record in keys.list()}
        for each in issued:
            put(connect(seaweed, each), incoming_bucket, OWN)

    def test_a_key_can_be_issued_while_no_store_runs(self, tmp_path: Path) -> None:
        keys, key = RecorderKeys(tmp_path / "store"), issue("xinghuo", "301", "incoming")
        keys.add(key)
        assert [record.access_key for record in RecorderKeys(tmp_path / "store").list()] == [key.access_key]
        assert not keys.reload()

    @pytest.mark.parametrize("pid", ["1", str(os.getpid()), "4194303"])
    def test_a_pid_that_is_somebody_elses_by_now_gets_no_signal(self, tmp_path: Path, pid: str) -> None:
        (tmp_path / "pid").write_text(pid)  # we would not survive the signal
        assert not RecorderKeys(tmp_path).reload()

    def test_a_revoked_keys_secret_is_forgotten_and_its_file_is_private(self, tmp_path: Path) -> None:
        keys, key = RecorderKeys(tmp_path), issue("xinghuo", "301", "incoming")
        keys.add(key)
        assert key.secret_key in (tmp_path / "recorders.json").read_text()
        keys.revoke(key.access_key)
        assert key.secret_key not in (tmp_path / "recorders.json").read_text()
        assert (tmp_path / "recorders.json").stat().st_mode & 0o777 == 0o600

    def test_the_list_tells_every_key_and_no_secret(self, keys: RecorderKeys, key: RecorderKey) -> None:
        other = issue("guangming", "b-2", key.bucket)
        keys.add(other)
        keys.revoke(key.access_key)
        mine = [record for record in keys.list() if record.access_key in (key.access_key, other.access_key)]
        assert [(record.access_key, record.school, record.room) for record in mine] == [
            (key.access_key, "xinghuo", "301"),
            (other.access_key, "guangming", "b-2"),
        ]
        assert [record.revoked_at is None for record in mine] == [False, True]
        assert mine[0].issued_at <= mine[1].issued_at
        assert key.secret_key not in repr(mine) + repr(key)

    def test_a_key_that_was_never_issued_cannot_be_revoked(self, keys: RecorderKeys) -> None:
        with pytest.raises(Absent):
            keys.revoke("HK000000000000000000")

    @pytest.mark.parametrize(
        ("school", "room"), [("*", "301"), ("xinghuo", "?"), ("a/b", "301"), ("", "301"), ("a", "..")]
    )
    def test_a_name_that_could_widen_the_prefix_is_refused(self, school: str, room: str) -> None:
        with pytest.raises(Unacceptable):
            issue(school, room, "incoming")

    def test_two_keys_are_never_alike(self) -> None:
        issued = [issue("xinghuo", "301", "incoming") for _ in range(100)]
        assert len({key.access_key for key in issued} | {key.secret_key for key in issued}) == 200
        assert all(key.access_key.isalnum() and len(key.secret_key) >= 40 for key in issued)
