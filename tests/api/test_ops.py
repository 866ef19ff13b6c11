"""Health, metrics, the store's webhook, the log: what machines and operators see, and what they must not."""

import json
import logging

import pytest
import structlog
from prometheus_client.parser import text_string_to_metric_families

from api.routes.ops import _FRESH_S  # pyright: ignore[reportPrivateUsage]
from archive.store import ObjectStore
from tests.api.school import STAFF, STUDENT, School

TOKEN = "webhook-token-of-the-tests"


def event(key: str, kind: str = "create") -> dict[str, object]:
    folder, _, name = f"/buckets/incoming/{key}".rpartition("/")
    return {"event_type": kind, "message": {"new_parent_path": folder, "new_entry": {"name": name}}}


def test_the_stores_event_becomes_a_hint(school: School) -> None:
    store = school.program(TOKEN)
    answer = store.post("/hooks/store", json=event("xinghuo/301/20260901T0800.mp4"))
    assert (answer.status_code, answer.json()) == (202, {"noted": True})
    assert school.runs.arrivals == [("incoming", "xinghuo/301/20260901T0800.mp4")]


def test_what_is_no_upload_is_taken_and_forgotten(school: School) -> None:
    store = school.program(TOKEN)
    for body in (event("x/.mp4", "delete"), {}, [], 7, "text", {"message": []}):
        assert store.post("/hooks/store", json=body).json() == {"noted": False}
    assert school.runs.arrivals == []


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b"[" * 60_000])
def test_what_is_no_json_is_refused(school: School, body: bytes) -> None:
    answer = school.program(TOKEN).post("/hooks/store", content=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")


@pytest.mark.parametrize("token", ["", "wrong", TOKEN + "x", STUDENT, STAFF])
def test_a_forged_event_is_refused(school: School, token: str) -> None:
    answer = school.nobody().post("/hooks/store", json=event("a/b/c.mp4"), headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 401
    assert school.runs.arrivals == []


def test_health_says_which_part_is_down_and_nothing_else(school: School) -> None:
    school.publish()
    known = school.nobody().get("/health")
    assert known.status_code == 200
    parts = {"catalog": True, "store": True, "index": True, "worker": True}
    assert known.json() == {"status": "ok", "parts": parts}
    school.runs.alive = False
    assert school.nobody().get("/health").json()["status"] == "ok"  # asked a moment ago
    school.clock.now += _FRESH_S
    assert school.nobody().get("/health").json() == {"status": "degraded", "parts": {**parts, "worker": False}}


def test_health_is_503_without_the_store(school: School) -> None:
    cut_off = School(school.settings.home / "b", ObjectStore("127.0.0.1:9", "nobody", "listens-here"), school.bucket)
    answer = cut_off.nobody().get("/health", headers={"Host": "huikan"})  # whoever restarts us uses names of its own
    assert (answer.status_code, answer.json()["status"]) == (503, "down")
    assert answer.json()["parts"]["store"] is False
    cut_off.close()


def test_metrics_count_without_naming(school: School) -> None:
    lesson = school.publish("金丝雀课")
    school.publish("还没有文字的课", cues=None, day=2)
    school.arrive("还没做完的课", day=3)
    school.catalog.outputs.hinder(lesson.recording_id, "speech", "model-missing", "没有模型", retry_after_s=60)
    school.program(STUDENT).get(f"/api/lessons/{lesson.id}")
    text = school.program(STAFF).get("/metrics").text
    found = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert found["huikan_lessons", "searchable"] == 1
    assert found["huikan_lessons", "published"] == 1
    assert found["huikan_lessons", "received"] == 1
    assert found["huikan_obstacles", "model-missing", "speech"] == 1
    assert found["huikan_http_requests_total", "/api/lessons/{lesson_id}", "200", "GET"] == 1
    for secret in (lesson.id, lesson.recording_id, "金丝雀课", "xinghuo", "王老师"):
        assert secret not in text


def test_unknown_paths_and_methods_make_no_series(school: School) -> None:
    visitor = school.nobody()
    for n in range(5):
        visitor.request(f"BREW{n}", f"/nothing/{n}")
    text = school.program(STAFF).get("/metrics").text
    assert "BREW" not in text
    assert "nothing" not in text


def test_no_secret_reaches_the_log_or_the_metrics(school: School, caplog: pytest.LogCaptureFixture) -> None:
    lesson = school.publish()
    caplog.set_level(logging.DEBUG)
    with structlog.testing.capture_logs() as logged:
        browser, program = school.browser(STUDENT), school.program(STUDENT)
        playlist = program.get(f"/api/lessons/{lesson.id}/playback").json()["playlist"]
        browser.get(playlist)
        browser.get("/search?q=secret-words-of-a-child")
        school.program("a-wrong-code").get("/api/lessons")
        school.nobody().post("/enter", data={"code": "another-wrong-code"})
        school.nobody().get(f"/v/{'A' * 51}/{lesson.id}/main.m3u8")
        cookie = next(iter(browser.cookies.values()))
    text = json.dumps(logged, default=str) + "".join(r.getMessage() for r in caplog.records if "httpx" not in r.name)
    text += school.program(STAFF).get("/metrics").text
    token = playlist.split("/")[2]
    for secret in (STUDENT, token, cookie, "secret-words", "a-wrong-code", "another-wrong-code", lesson.id, "A" * 51):
        assert secret not in text
    assert {"/v/{token}/{lesson_id}/{file:path}", "/search", "/enter"} <= {line.get("route") for line in logged}
    assert [line["event"] for line in logged].count("wrong code") == 1
