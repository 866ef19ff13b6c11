"""Every route, every role, every state of a lesson: the table is written by hand, the routes come from the router.

A route that is not in the table fails the first test, so nobody adds a door without saying for whom it opens.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from fastapi.testclient import TestClient
from starlette.routing import Route

from archive.model import Lesson
from tests.api.school import CUES, STAFF, STUDENT, School

ROLES = ("nobody", "student", "staff")
# What each role gets: (nobody, student, staff). Pages send nobody to the door (303).
OPEN = {
    ("GET", "/health"): (200, 200, 200),
    ("GET", "/enter"): (200, 200, 200),
    ("POST", "/enter"): (403, 403, 403),  # without a code
    ("POST", "/leave"): (303, 303, 303),
    ("GET", "/static/{file:path}"): (200, 200, 200),
    ("HEAD", "/static/{file:path}"): (200, 200, 200),
    ("GET", "/favicon.ico"): (308, 308, 308),
    ("GET", "/api/docs"): (200, 200, 200),
    ("GET", "/api/openapi.json"): (200, 200, 200),
    ("HEAD", "/api/openapi.json"): (200, 200, 200),
    ("GET", "/api/receipt"): (404, 404, 404),  # without a ticket; no role makes one
    ("POST", "/hooks/store"): (401, 401, 401),  # neither code is the store's token
}
BROWSE = {
    ("GET", "/"): (303, 200, 200),
    ("GET", "/search"): (303, 200, 200),
    ("GET", "/api/lessons"): (401, 200, 200),
    ("GET", "/api/shelf"): (401, 200, 200),
    ("GET", "/api/search"): (401, 200, 200),
    ("GET", "/api/search/shelf"): (401, 200, 200),
    ("GET", "/api/suggest"): (401, 200, 200),
}
OPERATE = {
    ("GET", "/arrivals"): (303, 403, 200),
    ("GET", "/api/arrivals"): (401, 403, 200),
    ("GET", "/metrics"): (401, 403, 200),
    ("GET", "/recorders"): (303, 403, 200),
    ("GET", "/api/recorders"): (401, 403, 200),
    ("GET", "/api/receipts"): (401, 403, 404),  # nothing was sent; recorders' tokens: test_recorders_seen.py
    ("GET", "/upload"): (303, 403, 200),
    ("POST", "/api/uploads"): (401, 403, 422),  # without a body
    ("GET", "/api/uploads/{upload_id}"): (401, 403, 404),
    ("POST", "/api/uploads/{upload_id}/finish"): (401, 403, 404),
    ("GET", "/placing"): (303, 403, 200),
    ("POST", "/placing"): (303, 403, 422),  # without saying which recording
}
# Those of one lesson, for one that students may watch; for any other the student's is 404.
WATCH = {
    ("GET", "/lesson/{lesson_id}"): (303, 200, 200),
    ("GET", "/lesson/{lesson_id}/poster.jpg"): (303, 200, 200),
    ("HEAD", "/lesson/{lesson_id}/poster.jpg"): (303, 200, 200),
    ("GET", "/api/lessons/{lesson_id}"): (401, 200, 200),
    ("GET", "/api/lessons/{lesson_id}/playback"): (401, 200, 200),
    ("GET", "/api/lessons/{lesson_id}/transcript"): (401, 200, 200),
    ("GET", "/api/lessons/{lesson_id}/transcript.{form}"): (401, 200, 200),
}
MANAGE = {
    ("GET", "/api/lessons/{lesson_id}/transcript/revisions"): (401, 404, 200),
    ("GET", "/api/lessons/{lesson_id}/transcript/editions/{edition}"): (401, 404, 200),
    ("GET", "/api/lessons/{lesson_id}/transcript/diff"): (401, 404, 200),
    ("POST", "/api/lessons/{lesson_id}/transcript/edits"): (401, 404, 200),
    ("POST", "/api/lessons/{lesson_id}/transcript/rollback"): (401, 404, 200),
    ("POST", "/api/lessons/{lesson_id}/transcript/corrections/{number}/withdraw"): (401, 404, 404),  # there is none
    ("POST", "/api/lessons/{lesson_id}/transcript/corrections/{number}/insist"): (401, 404, 404),
    ("POST", "/api/lessons/{lesson_id}/transcript/file"): (401, 404, 422),  # an empty one
    ("GET", "/lesson/{lesson_id}/transcript"): (303, 404, 200),
    ("POST", "/lesson/{lesson_id}/transcript"): (303, 404, 422),  # without an edition
    ("POST", "/lesson/{lesson_id}/transcript/decide"): (303, 404, 303),
    ("GET", "/api/lessons/{lesson_id}/progress"): (401, 404, 200),
    ("POST", "/api/lessons/{lesson_id}/consent"): (401, 404, 200),
    ("POST", "/lesson/{lesson_id}/consent"): (303, 404, 303),
}
# The token decides, not the role: tests/api/test_media.py.
BY_TOKEN = {("GET", "/v/{token}/{lesson_id}/{file:path}"), ("HEAD", "/v/{token}/{lesson_id}/{file:path}")}
TABLE = {**OPEN, **BROWSE, **OPERATE, **WATCH, **MANAGE}


@dataclass(frozen=True)
class Known:
    """One lesson in each state."""

    agreed: Lesson
    unasked: Lesson
    refused: Lesson
    unpublished: Lesson


@pytest.fixture
def known(school: School) -> Known:
    return Known(
        agreed=school.publish("同意的课", consent=True, day=1),
        unasked=school.publish("没问过的课", consent=None, day=2),
        refused=school.publish("不同意的课", consent=False, day=3),
        unpublished=school.arrive("没做完的课", consent=True, day=4),
    )


def routes(school: School) -> Iterator[tuple[str, str]]:
    """(method, template) of everything the application answers to, also what its routers hold."""

    def walk(found: Any) -> Iterator[Any]:
        for route in found:
            inner = getattr(route, "original_router", None)
            yield from walk(inner.routes) if inner is not None else [route]

    for route in walk(school.app.routes):
        assert isinstance(route, Route), f"{route!r} is no plain route: say how it is guarded"
        for method in sorted(route.methods or ()):
            yield method, route.path


def clients(school: School) -> dict[str, TestClient]:
    return {"nobody": school.nobody(), "student": school.browser(STUDENT), "staff": school.browser(STAFF)}


def ask(client: TestClient, method: str, template: str, lesson_id: str) -> int:
    path = template.replace("{lesson_id}", lesson_id).replace("{file:path}", "app.css")
    for field, value in {"{edition}": "1", "{number}": "1", "{form}": "vtt", "{upload_id}": "a" * 26}.items():
        path = path.replace(field, value)
    bodies: dict[str, Any] = {
        "consent": {"consent": True},
        "edits": {"edition": 1, "edits": [{"ordinal": 0, "text": CUES[0].text}]},
        "rollback": {"edition": 1},
        "finish": {},
    }
    asked = bodies.get(path.rpartition("/")[2]) if method == "POST" and "/api/" in path else None
    body: dict[str, Any] = {"json": asked} if asked is not None else {}
    params = {"q": "勾股定理"} if path.endswith(("/search", "/suggest", "/search/shelf")) else {}
    params |= {"key": "x"} if "receipts" in path else {}
    return client.request(method, path, params=params, **body).status_code


def test_every_route_is_in_the_table(school: School) -> None:
    assert set(routes(school)) == set(TABLE) | BY_TOKEN


def test_each_role_gets_what_the_table_says(school: School, known: Known) -> None:
    got: dict[tuple[str, str], tuple[int, ...]] = {}
    for method, template in TABLE:
        statuses = [ask(client, method, template, known.agreed.id) for client in clients(school).values()]
        got[method, template] = tuple(statuses)
    assert got == TABLE


@pytest.mark.parametrize("state", ["unasked", "refused", "unpublished"])
def test_a_lesson_that_is_not_for_students_does_not_exist_for_them(school: School, known: Known, state: str) -> None:
    lesson_id = getattr(known, state).id
    student = school.browser(STUDENT)
    assert {ask(student, method, template, lesson_id) for method, template in [*WATCH, *MANAGE]} == {404}


def test_foreign_absent_and_malformed_lessons_look_the_same(school: School, known: Known) -> None:
    ids = [known.unasked.id, known.unpublished.id, "a" * 26, "A" * 26, "x", "a" * 300, "%00", "%F0%9F%98%80"]
    for role in (school.browser(STUDENT), school.program(STUDENT)):
        for template in ("/api/lessons/{}", "/api/lessons/{}/playback", "/lesson/{}", "/lesson/{}/poster.jpg"):
            answers = [role.get(template.format(lesson_id)) for lesson_id in ids]
            assert {answer.status_code for answer in answers} == {404}
            assert len({answer.content for answer in answers}) == 1
            # A NUL is refused before any route (and before compression), whatever lessons there are.
            routed = [answer for lesson_id, answer in zip(ids, answers, strict=True) if lesson_id != "%00"]
            assert len({str(sorted(answer.headers.items())) for answer in routed}) == 1


def test_a_lesson_for_staff_changes_nothing_that_a_student_can_see(school: School, known: Known) -> None:
    """Threat 18: no count, no facet, no hit and no order tells of what is beyond the scope."""
    student = school.program(STUDENT)
    asked = ["/api/lessons", "/api/shelf", "/api/search?q=勾股定理", "/api/search?q=新老师", "/", "/search?q=勾股定理"]
    asked += ["/api/suggest?q=勾股", "/api/suggest?q=xinlaoshi", "/api/suggest?q=zhigei", "/search?q=新老诗"]
    before = [student.get(path).content for path in asked]
    school.publish("只给老师的勾股定理", consent=False, day=9, teacher="新老师", subject="新学科", grade="新年级")
    assert [student.get(path).content for path in asked] == before
    assert "只给老师的勾股定理" in school.program(STAFF).get("/api/search?q=勾股定理").text


def test_the_catalog_has_the_last_word_on_what_the_index_finds(school: School, known: Known) -> None:
    """Consent is withdrawn, and the index does not know yet."""
    student = school.program(STUDENT)
    assert student.get("/api/search?q=勾股定理").json()["lessons"]
    school.catalog.lessons.set_consent(known.agreed.id, consent=False)
    found = student.get("/api/search?q=勾股定理").json()
    assert (found["lessons"], found["more"], found["meant"], found["parts"]) == ([], False, [], [])


def test_get_has_no_side_effects(school: School, known: Known) -> None:
    staff = school.browser(STAFF)
    before = school.catalog.lessons.every(), school.catalog.indexing.orders()
    for method, template in TABLE:
        if method == "GET":
            ask(staff, method, template, known.unasked.id)
    assert (school.catalog.lessons.every(), school.catalog.indexing.orders()) == before
