"""Errors: RFC 9457 for programs, a page for people, nothing from inside for anybody."""

import json
from collections.abc import Callable

import pytest
import structlog
from fastapi.testclient import TestClient

from api.guard import MAX_BODY_BYTES
from api.problems import TITLES_ZH, of_error
from archive.errors import Absent, DiskFull, Misconfigured, Rejected, Unacceptable, Unavailable
from tests.api.school import ORIGIN, STAFF, STUDENT, School

CANARY = "canary-2f81"


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (Absent(CANARY), 404, "absent"),
        (Rejected(), 422, "rejected"),
        (Unacceptable("name", CANARY, "太长"), 422, "rejected"),
        (Unavailable("目录库", CANARY, CANARY), 503, "unavailable"),
        (DiskFull("工作盘", CANARY, CANARY), 503, "unavailable"),
        (Misconfigured(CANARY), 500, "error"),
        (ValueError(CANARY), 500, "error"),
    ],
)
def test_every_error_is_a_problem_without_its_inside(error: Exception, status: int, code: str) -> None:
    problem = of_error(error)
    assert (problem.status, problem.code) == (status, code)
    assert CANARY not in json.dumps(problem.body())
    assert problem.code in TITLES_ZH


def failing(school: School, error: Exception) -> TestClient:
    """A school whose catalog fails in a way of the test's choosing."""

    def fail(*_: object, **__: object) -> None:
        raise error

    school.catalog.lessons.published = fail  # pyright: ignore[reportAttributeAccessIssue]
    school.catalog.lessons.shelf = fail  # pyright: ignore[reportAttributeAccessIssue]
    return school.browser(STUDENT)


def test_an_unforeseen_error_is_logged_and_not_told(school: School) -> None:
    with structlog.testing.capture_logs() as logged:
        client = failing(school, RuntimeError(CANARY))
        api, page = client.get("/api/lessons"), client.get("/")
    assert (api.status_code, page.status_code) == (500, 500)
    assert api.headers["content-type"] == "application/problem+json"
    assert "出错了" in page.text
    assert CANARY not in api.text + page.text
    assert "Traceback" not in api.text + page.text
    assert [line["event"] for line in logged].count("request failed") == 2
    for answer in (api, page):
        assert "content-security-policy" in answer.headers


def test_what_is_unavailable_says_when_to_try_again(school: School) -> None:
    client = failing(school, Unavailable("目录库", "/var/secret/path", "重启数据库"))
    api, page = client.get("/api/lessons"), client.get("/")
    assert (api.status_code, page.status_code) == (503, 503)
    assert int(api.headers["retry-after"]) == int(page.headers["retry-after"]) > 0
    assert "目录库暂时不可用" in api.json()["detail"]
    assert "/var/secret/path" not in api.text + page.text


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/api/nothing", 404, "absent"),
        ("GET", "/v/x/y", 404, "absent"),
        ("GET", "/api/lessons/", 404, "absent"),
        ("DELETE", "/api/lessons", 405, "method"),
        ("GET", "/api/lessons?limit=0", 422, "invalid"),
        ("GET", "/api/lessons?limit=101", 422, "invalid"),
        ("GET", "/api/lessons?limit=x", 422, "invalid"),
        ("GET", f"/api/lessons?offset={10**30}", 422, "invalid"),
        ("GET", "/api/lessons?subject=%00", 422, "invalid"),
        ("GET", f"/api/lessons?grade={'x' * 41}", 422, "invalid"),
        ("GET", "/api/lessons?programme=nothing", 422, "invalid"),
        ("GET", "/api/search", 422, "invalid"),
        ("GET", f"/api/search?q={'x' * 65}", 422, "invalid"),
        ("GET", "/api/%0d%0aX-Evil:1", 404, "absent"),
    ],
)
def test_programs_get_problems(school: School, method: str, path: str, status: int, code: str) -> None:
    answer = school.program(STUDENT).request(method, path)
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.status_code, answer.json()["status"], answer.json()["code"]) == (status, status, code)
    assert answer.json()["title"] == TITLES_ZH[code]


def test_what_is_wrong_with_a_request_is_said_without_repeating_it(school: School) -> None:
    answer = school.program(STUDENT).get(f"/api/search?q={CANARY * 20}")
    assert answer.json()["errors"][0]["loc"] == ["query", "q"]
    assert CANARY not in answer.text
    consent = school.program(STAFF).post(f"/api/lessons/{school.arrive().id}/consent", json={"consent": CANARY})
    assert consent.status_code == 422
    assert CANARY not in consent.text


def test_people_get_pages(school: School) -> None:
    student = school.browser(STUDENT)
    for path, status in (("/nothing", 404), ("/lesson/x", 404), ("/arrivals", 403), (f"/?subject={'x' * 41}", 422)):
        answer = student.get(path, headers={"Accept": "text/html"})
        assert answer.status_code == status
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert "回到课程" in answer.text


def test_a_program_that_asks_a_page_for_json_gets_a_problem(school: School) -> None:
    answer = school.nobody().get("/", headers={"Accept": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")
    assert answer.headers["www-authenticate"].startswith("Bearer")


def test_whoever_has_not_entered_is_shown_the_door_and_comes_back(school: School) -> None:
    visitor = school.nobody()
    door = visitor.get("/search?q=%E5%8B%BE%E8%82%A1&subject=x").headers["location"]
    assert door == "/enter?next=%2Fsearch%3Fq%3D%25E5%258B%25BE%25E8%2582%25A1%26subject%3Dx"
    assert 'name="next" value="/search?q=%E5%8B%BE%E8%82%A1&amp;subject=x"' in visitor.get(door).text
    assert visitor.get("/", headers={"HX-Request": "true"}).headers["hx-redirect"] == "/enter"


def bodies() -> list[Callable[[TestClient, str], int]]:
    def declared(client: TestClient, path: str) -> int:
        return client.post(path, content=b"x" * (MAX_BODY_BYTES + 1)).status_code

    def chunked(client: TestClient, path: str) -> int:
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        return client.post(path, content=iter([b"x" * 1024] * 128), headers=form).status_code

    def lying(client: TestClient, path: str) -> int:
        return client.post(path, content=b"x", headers={"Content-Length": "9" * 30}).status_code

    return [declared, chunked, lying]


@pytest.mark.parametrize("send", bodies())
def test_a_body_that_is_too_large_is_not_read(school: School, send: Callable[[TestClient, str], int]) -> None:
    token = school.program("webhook-token-of-the-tests")
    assert send(token, "/hooks/store") == 413
    assert send(school.browser(STAFF), "/enter") == 413


def test_every_answer_carries_the_security_headers(school: School) -> None:
    lesson = school.publish()
    student = school.browser(STUDENT)
    for path in ("/", "/enter", f"/lesson/{lesson.id}", "/api/lessons", "/static/app.css", "/nothing", "/health"):
        headers = student.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cross-origin-opener-policy"] == "same-origin"
        assert headers["referrer-policy"] in ("no-referrer", "same-origin")
    assert student.get("/api/lessons").headers["referrer-policy"] == "no-referrer"


def test_pages_are_not_kept_for_whoever_comes_next(school: School) -> None:
    student = school.browser(STUDENT)
    for path in ("/", "/search?q=x"):
        assert student.get(path).headers["cache-control"] == "private, no-cache"
    assert student.get("/nothing").headers["cache-control"] == "no-store"


def test_no_answer_is_for_other_origins(school: School) -> None:
    answer = school.program(STUDENT).get("/api/lessons", headers={"Origin": "https://evil.example"})
    assert "access-control-allow-origin" not in answer.headers
    preflight = school.nobody().options("/api/lessons", headers={"Origin": ORIGIN})
    assert preflight.status_code == 405
