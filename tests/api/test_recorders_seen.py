"""How recorders are doing, as the page and the API tell it, and the receipts that each may ask for."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from hashlib import sha256
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from archive.recorders import Quota, Recorder, token_of
from archive.store import ObjectStore
from ingest.intake import take_in
from ingest.runtime import Runtime, open_index
from tests.api.school import STAFF, STUDENT, School
from tests.api.test_pages import PAYLOADS, page
from tests.ingest.conftest import FakeEar

SECRET = "s" * 40
DAY = "xinghuo/301/20260901T"


@pytest.fixture
def machine(school: School) -> Recorder:
    return enrol(school, "r1", "301", "HKFIRST")


def enrol(school: School, recorder_id: str, room: str, access_key: str) -> Recorder:
    token = token_of(access_key, SECRET)
    return school.catalog.recorders.enrol(recorder_id, "xinghuo", room, access_key, token)


@pytest.fixture
def runtime(school: School, incoming_bucket: str) -> Iterator[Runtime]:
    index = open_index(school.settings, school.catalog)
    yield Runtime(
        school.settings.model_copy(update={"disk_reserve_bytes": 0}), school.catalog, school.store, index, FakeEar()
    )
    index.close()


def send(runtime: Runtime, key: str, data: bytes, path: Path, **metadata: str) -> None:
    path.write_bytes(data)
    said = {name.replace("_", "-"): value for name, value in metadata.items()}
    runtime.store.put_file("incoming", key, path, metadata=said)
    take_in(runtime, key)


def client(school: School, access_key: str = "HKFIRST", secret_key: str = SECRET) -> TestClient:
    return school.program(token_of(access_key, secret_key))


class TestReceipts:
    def test_a_recorder_is_told_the_hash_that_the_server_read(
        self, school: School, runtime: Runtime, machine: Recorder, tmp_path: Path
    ) -> None:
        send(runtime, f"{DAY}0800.mp4", b"a lesson", tmp_path / "f")
        (receipt,) = client(school).get("/api/receipts", params={"key": f"{DAY}0800.mp4"}).json()["receipts"]
        assert (receipt["state"], receipt["safe"], receipt["size_bytes"]) == ("accepted", True, 8)
        assert receipt["sha256"] == sha256(b"a lesson").hexdigest()

    def test_a_duplicate_is_safe_and_a_refusal_is_not(
        self, school: School, runtime: Runtime, machine: Recorder, tmp_path: Path
    ) -> None:
        for key in (f"{DAY}0800.mp4", f"{DAY}0900.mp4"):
            send(runtime, key, b"a lesson", tmp_path / "f")
        send(runtime, f"{DAY}1000.mp4", b"another", tmp_path / "f", sha256="0" * 64)
        send(runtime, f"{DAY}1100.mp4", b"", tmp_path / "f")
        told = {
            key: client(school).get("/api/receipts", params={"key": f"{DAY}{key}.mp4"}).json()["receipts"][0]
            for key in ("0800", "0900", "1000", "1100")
        }
        assert [told[key]["safe"] for key in told] == [True, True, False, False]
        assert told["0900"]["sha256"] == told["0800"]["sha256"]
        assert [told[key]["refused"] and told[key]["refused"]["code"] for key in told] == [
            None,
            "duplicate",
            "unreadable",
            "unreadable",
        ]
        assert "SHA-256" in told["1000"]["refused"]["reason_zh"]

    def test_another_file_at_the_same_key_has_a_receipt_of_its_own(
        self, school: School, runtime: Runtime, machine: Recorder, tmp_path: Path
    ) -> None:
        for data in (b"first", b"second"):
            send(runtime, f"{DAY}0800.mp4", data, tmp_path / "f")
        receipts = client(school).get("/api/receipts", params={"key": f"{DAY}0800.mp4"}).json()["receipts"]
        assert {receipt["state"] for receipt in receipts} == {"accepted"}
        assert len({receipt["sha256"] for receipt in receipts}) == 2
        assert len(school.catalog.lessons.every()) == 2  # a take, no replacement

    def test_it_is_told_nothing_of_another_room(
        self, school: School, runtime: Runtime, machine: Recorder, tmp_path: Path
    ) -> None:
        enrol(school, "r2", "3011", "HKSECOND")
        send(runtime, f"{DAY}0800.mp4", b"a lesson", tmp_path / "f")
        absent = client(school).get("/api/receipts", params={"key": f"{DAY}0900.mp4"})
        for key in (f"{DAY}0800.mp4", "xinghuo/3011/../301/20260901T0800.mp4", "\x00", ""):
            foreign = client(school, "HKSECOND").get("/api/receipts", params={"key": key})
            assert (foreign.status_code, foreign.content) == (404, absent.content)
        assert school.program(STAFF).get("/api/receipts", params={"key": f"{DAY}0800.mp4"}).status_code == 200

    def test_a_token_opens_nothing_else_and_a_wrong_one_is_locked_out_like_a_code(
        self, school: School, machine: Recorder
    ) -> None:
        token = client(school)
        for path in ("/api/recorders", "/api/arrivals", "/api/lessons", "/metrics"):
            assert token.get(path).status_code == 401
        school.clock.now += 10_000
        wrong = client(school, secret_key="t" * 40)
        statuses = [wrong.get("/api/receipts", params={"key": "x"}).status_code for _ in range(22)]
        assert (statuses[0], statuses[-1]) == (401, 429)
        school.clock.now += 10_000
        school.catalog.recorders.revoke(machine.id)
        assert token.get("/api/receipts", params={"key": f"{DAY}0800.mp4"}).status_code == 401

    @pytest.mark.parametrize("off_h", [-2, 2])
    def test_a_clock_that_it_sends_along_is_written_down(self, school: School, machine: Recorder, off_h: int) -> None:
        theirs = datetime.now(UTC) + timedelta(hours=off_h)
        headers = {"Date": format_datetime(theirs, usegmt=True)}
        client(school).get("/api/receipts", params={"key": "x"}, headers=headers)
        skew_ms = school.catalog.recorders.get("r1").clock_skew_ms
        assert skew_ms is not None
        assert abs(skew_ms - off_h * 3_600_000) < 60_000
        for nonsense in ("", "x", "Thu, 99 Nov 9999 99:99:99 GMT", "Thu, 26 Nov 2026 10:00:00"):
            client(school).get("/api/receipts", params={"key": "x"}, headers={"Date": nonsense})
        assert school.catalog.recorders.get("r1").clock_skew_ms == skew_ms


class TestThePage:
    def test_it_tells_what_came_what_failed_and_how_the_clock_is(
        self, school: School, runtime: Runtime, machine: Recorder, tmp_path: Path
    ) -> None:
        school.catalog.recorders.name_place("xinghuo", "301", "星火小学", "三楼一班")
        school.catalog.recorders.set_quota("r1", Quota(5_000_000_000, 20))
        behind = (datetime.now(UTC) - timedelta(minutes=10)).isoformat()
        send(runtime, f"{DAY}0800.mp4", b"a lesson", tmp_path / "f", sent_at=behind)
        send(runtime, f"{DAY}0900.mp4", b"", tmp_path / "f")
        (told,) = school.program(STAFF).get("/api/recorders").json()
        assert (told["today"], told["failures"]) == ({"bytes": 8, "recordings": 2}, 1)
        assert told["last_failure"]["code"] == "unreadable"
        assert abs(told["clock_skew_ms"] + 600_000) < 60_000
        text = page(school, "/recorders", STAFF).text
        for word in ("星火小学 三楼一班", "xinghuo/301/", "2 个 / 20", "8 字节 / 5 GB", "慢 10 分钟", "0 字节", "正常"):
            assert word in text, word
        assert SECRET not in text

    def test_it_is_for_staff_alone(self, school: School, machine: Recorder) -> None:
        student = school.browser(STUDENT)
        assert student.get("/recorders").status_code == 403
        assert 'href="/recorders"' not in student.get("/").text

    @pytest.mark.parametrize("payload", PAYLOADS)
    def test_nothing_that_a_school_writes_can_act(self, school: School, machine: Recorder, payload: str) -> None:
        desk = school.catalog.recorders
        desk.name_place("xinghuo", "301", payload[:80], payload[:80])
        desk.set_label("r1", payload[:80])
        for path in ("/recorders", "/upload"):
            shown = page(school, path, STAFF)
            assert not any("onerror" in attributes or "onmouseover" in attributes for _, attributes in shown.elements)
            assert not any(
                name in ("img", "svg") and "src" in attrs and attrs["src"] == "x" for name, attrs in shown.elements
            )


def test_the_store_says_whose_key_put_an_object(school: School, store: ObjectStore, incoming_bucket: str) -> None:
    found = store.put_bytes(incoming_bucket, f"{DAY}0800.mp4", b"x")
    assert found.owner in ("huikan", "")
