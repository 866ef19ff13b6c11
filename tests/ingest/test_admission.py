"""Whose an object is, how much a recorder may send in a day, and what becomes of it when it sends more."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from minio import Minio

from archive.database import now
from archive.errors import Misconfigured
from archive.keys import shown
from archive.recorders import ROOM_ZONE, Quota, Recorder, Usage, day_of, start_of, token_of
from archive.store import StoredObject
from ingest.admission import clock_skew_ms, mark, sender_of, watch_quotas
from ingest.intake import take_in
from ingest.recorder import RecorderKeys, issue
from ingest.runtime import Runtime
from tests.ingest.recorders import put, refused
from tests.live_store import LiveStore

DAY = "xinghuo/301/20260901T"


def enrol(runtime: Runtime, recorder_id: str, room: str = "301", access_key: str = "") -> Recorder:
    key = access_key or f"HK{recorder_id}"
    return runtime.catalog.recorders.enrol(recorder_id, "xinghuo", room, key, token_of(key, "secret"))


def found(key: str, **more: object) -> StoredObject:
    return StoredObject(key, "etag", 1, datetime(2026, 9, 1, 1, tzinfo=UTC), **more)  # type: ignore[arg-type]


@dataclass
class Keys:
    """A keyring that remembers; a fake at our own port."""

    suspended: set[str] = field(default_factory=set[str])
    ours: bool = True

    def add(self, key: object) -> None: ...

    def revoke(self, access_key: str) -> None: ...

    def suspend(self, access_key: str) -> None:
        if not self.ours:
            raise Misconfigured(access_key)
        self.suspended.add(access_key)

    def resume(self, access_key: str) -> None:
        self.suspended.discard(access_key)


class TestWhoseItIs:
    def test_our_own_mark_counts_then_the_stores_word_then_the_room(self, runtime: Runtime) -> None:
        first, second = enrol(runtime, "r1"), enrol(runtime, "r2")
        enrol(runtime, "r3", "302")
        catalog = runtime.catalog

        def sender(by: str = "", **more: object) -> str | None:
            key = f"{DAY}0800.mp4"
            metadata = mark(runtime.settings, by, key) if by else {}
            known = sender_of(catalog, runtime.settings, found(key, **{"metadata": metadata, **more}))
            return known.id if known else None

        assert sender(owner="recorder-HKr1") == first.id
        assert sender(owner="recorder-HKr3") is None  # it cannot have been put by that one
        assert sender("r1", owner="huikan") == first.id
        assert sender("r3") is None
        assert sender("teacher") is sender("operator") is None
        assert sender() == sender(owner="huikan") == second.id  # the newest of the room
        for forged in ("teacher", "teacher.", "r1.", f"teacher.{'0' * 32}"):
            assert sender(metadata={"huikan-by": forged}) == second.id
        other = mark(runtime.settings, "teacher", f"{DAY}0900.mp4")
        assert sender(metadata=other) == second.id  # the mark of another key
        catalog.recorders.revoke(second.id)
        assert sender() == first.id

    @given(st.text(max_size=60))
    def test_any_key_has_a_sender_or_none(self, key: str) -> None:
        assert clock_skew_ms(found(key)) is None or "/" in key


class TestItsClock:
    @pytest.mark.parametrize(
        ("key", "metadata", "skew_ms"),
        [
            (f"{DAY}0800.mp4", {}, None),  # it began at midnight UTC, an hour before it arrived: nothing to say
            (f"{DAY}1100.mp4", {}, 2 * 3_600_000),  # it begins two hours after it arrived
            (f"{DAY}0800.mp4", {"sent-at": "2026-09-01T09:00:05+08:00"}, 5_000),
            (f"{DAY}0800.mp4", {"sent-at": "2026-09-01T07:00:00"}, -2 * 3_600_000),  # without a zone: the room's
            (f"{DAY}0800.mp4", {"sent-at": "yesterday"}, None),
            ("nonsense", {}, None),
        ],
    )
    def test_it_is_read_from_what_the_object_tells(
        self, key: str, metadata: dict[str, str], skew_ms: int | None
    ) -> None:
        assert clock_skew_ms(found(key, metadata=metadata)) == skew_ms

    def test_a_day_begins_at_midnight_in_the_room(self) -> None:
        before, after = datetime(2026, 9, 1, 15, 59, 59), datetime(2026, 9, 1, 16)  # noqa: DTZ001 — naive UTC, as stored
        assert (day_of(before).day, day_of(after).day) == (1, 2)
        assert start_of(day_of(after)) == after


class TestQuotas:
    def test_beyond_its_quota_a_recording_is_refused_and_kept_and_the_key_suspended(
        self, runtime: Runtime, put: Callable[[str, bytes], str]
    ) -> None:
        machine, keys, catalog = enrol(runtime, "r1", access_key="huikan"), Keys(), runtime.catalog
        catalog.recorders.set_quota("r1", Quota(daily_recordings=2))
        for hour in (8, 9, 10):
            take_in(runtime, put(f"{DAY}{hour:02d}00.mp4", b"lesson %d" % hour))
        take_in(runtime, put(f"{DAY}1000.json", b"{}"))  # what lies beside a recording counts in bytes only
        (refusal,) = catalog.arrivals.refused()
        assert (refusal.code, refusal.key) == ("over-quota", f"{DAY}1000.mp4")
        assert runtime.store.get_bytes(runtime.incoming, refusal.key) == b"lesson 10"
        assert catalog.recorders.usage("r1", day_of(now())) == Usage(8 + 8 + 9 + 2, 3)
        assert watch_quotas(runtime.settings, catalog, keys) == ["r1"]
        assert (keys.suspended, watch_quotas(runtime.settings, catalog, keys)) == ({machine.access_key}, [])
        catalog.recorders.set_quota("r1", Quota(daily_recordings=3))
        assert watch_quotas(runtime.settings, catalog, keys) == ["r1"]
        assert keys.suspended == set()
        catalog.arrivals.reopen(refusal.key)
        take_in(runtime, refusal.key)
        assert catalog.arrivals.refused() == []

    def test_bytes_count_too_and_zero_lifts_a_limit(self, runtime: Runtime, put: Callable[[str, bytes], str]) -> None:
        enrol(runtime, "r1", access_key="huikan")
        desk = runtime.catalog.recorders
        desk.set_quota("r1", Quota(daily_bytes=5))
        take_in(runtime, put(f"{DAY}0800.mp4", b"123456"))
        assert [refusal.code for refusal in runtime.catalog.arrivals.refused()] == ["over-quota"]
        desk.set_quota("r1", Quota(daily_bytes=0))
        take_in(runtime, put(f"{DAY}0900.mp4", b"1234567"))
        assert len(runtime.catalog.arrivals.refused()) == 1

    def test_a_new_day_is_a_new_quota(self, runtime: Runtime, put: Callable[[str, bytes], str]) -> None:
        enrol(runtime, "r1", access_key="huikan")
        desk, keys = runtime.catalog.recorders, Keys()
        desk.set_quota("r1", Quota(daily_recordings=0))
        take_in(runtime, put(f"{DAY}0800.mp4", b"a"))
        tomorrow = day_of(now() + timedelta(days=1))
        assert desk.usage("r1", tomorrow) == Usage()
        desk.suspend("r1", now() - timedelta(days=1))  # as yesterday left it
        assert watch_quotas(runtime.settings, runtime.catalog, keys) == ["r1"]
        assert desk.get("r1").suspended_at is None

    def test_a_store_whose_keys_are_not_ours_is_told_of_once(
        self, runtime: Runtime, put: Callable[[str, bytes], str]
    ) -> None:
        enrol(runtime, "r1", access_key="huikan")
        runtime.catalog.recorders.set_quota("r1", Quota(daily_bytes=1))
        take_in(runtime, put(f"{DAY}0800.mp4", b"ab"))
        keys = Keys(ours=False)
        assert watch_quotas(runtime.settings, runtime.catalog, keys) == ["r1"]
        assert watch_quotas(runtime.settings, runtime.catalog, keys) == []

    def test_on_the_real_store_a_suspended_recorder_is_refused_until_it_may_again(
        self, runtime: Runtime, seaweed: LiveStore, incoming_bucket: str
    ) -> None:
        keys, key = RecorderKeys(seaweed.home), issue("xinghuo", "301", incoming_bucket)
        keys.add(key)
        enrol(runtime, "r1", access_key=key.access_key)
        runtime.catalog.recorders.set_quota("r1", Quota(daily_recordings=1))
        client = Minio(seaweed.endpoint, key.access_key, key.secret_key, secure=False, region="us-east-1")
        for hour in (8, 9):
            put(client, incoming_bucket, f"{DAY}{hour:02d}00.mp4")
            take_in(runtime, f"{DAY}{hour:02d}00.mp4")
        assert [found.recorder_id for found in runtime.catalog.arrivals.of_key(f"{DAY}0900.mp4")] == ["r1"]
        watch_quotas(runtime.settings, runtime.catalog, keys)
        assert refused(lambda: put(client, incoming_bucket, f"{DAY}1000.mp4"))
        runtime.catalog.recorders.set_quota("r1", Quota(daily_recordings=5))
        watch_quotas(runtime.settings, runtime.catalog, keys)
        put(client, incoming_bucket, f"{DAY}1000.mp4")


def test_a_body_that_is_not_what_its_sender_hashed_is_refused(runtime: Runtime, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"what arrived")
    key = f"{DAY}0800.mp4"
    runtime.store.put_file(runtime.incoming, key, tmp_path / "f", metadata={"sha256": "0" * 64})
    assert take_in(runtime, key).recording_id is None
    (refusal,) = runtime.catalog.arrivals.refused()
    assert "SHA-256" in refusal.reason_zh
    assert shown(key) in refusal.reason
    assert ROOM_ZONE.utcoffset(None) == timedelta(hours=8)
