"""Who may do what: `can`, the codes, the sessions, and the limit on wrong codes."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.access import (
    ATTEMPTS,
    NOBODY,
    REMEMBERED_S,
    SESSION_S,
    Action,
    Attempts,
    Codes,
    Role,
    Sessions,
    Viewer,
    can,
    network_of,
    scope_of,
)
from archive.model import Lesson, Programme
from archive.settings import Settings
from tests.api.school import ORIGIN, STAFF, STUDENT, Clock, School

STUDENT_VIEWER, STAFF_VIEWER = Viewer(Role.STUDENT), Viewer(Role.STAFF)
AT = datetime(2026, 9, 1, 8, tzinfo=UTC)
LESSON = Lesson(
    "a" * 26, "勾股定理", "数学", "八年级", "王", Programme.LIVE, "zh", "xinghuo", "301", AT, True, "r", 1, AT
)


def settings(**changed: str) -> Settings:
    known = {"signing_key": "s" * 20, "webhook_token": "w" * 20, "student_code": STUDENT, "staff_code": STAFF}
    return Settings.model_validate({**known, **changed})


SESSIONS = Sessions(settings(), Codes(settings()), Clock())


@pytest.mark.parametrize("consent", [True, False, None])
@pytest.mark.parametrize("published_at", [AT, None])
@pytest.mark.parametrize("action", list(Action))
def test_a_student_may_browse_and_may_watch_what_is_published_and_agreed_to(
    *, action: Action, published_at: datetime | None, consent: bool | None
) -> None:
    lesson = replace(LESSON, consent=consent, published_at=published_at)
    allowed = action is Action.BROWSE or (action is Action.WATCH and published_at is not None and consent is True)
    assert can(STUDENT_VIEWER, action, lesson) is allowed


@pytest.mark.parametrize("action", list(Action))
def test_nobody_may_do_nothing_and_staff_may_do_everything(action: Action) -> None:
    assert not can(NOBODY, action, LESSON)
    assert not can(NOBODY, action)
    assert can(STAFF_VIEWER, action, LESSON)


def test_what_concerns_a_lesson_is_denied_without_one() -> None:
    about_a_lesson = (Action.WATCH, Action.FOLLOW, Action.CONSENT)
    assert not any(can(viewer, action) for viewer in (STUDENT_VIEWER, STAFF_VIEWER) for action in about_a_lesson)


def test_scopes_follow_the_role() -> None:
    assert scope_of(STAFF_VIEWER).consented_only is False
    assert scope_of(STUDENT_VIEWER).consented_only is True
    assert scope_of(NOBODY).schools == frozenset()


def test_a_code_opens_its_own_door_only() -> None:
    codes = Codes(settings())
    assert codes.viewer_of(STUDENT) == STUDENT_VIEWER
    assert codes.viewer_of(f" {STAFF}\n") == STAFF_VIEWER  # pasted
    for wrong in ("", STUDENT.upper(), STUDENT[:-1], STUDENT + "x", "口令", "\ud800"):
        assert codes.viewer_of(wrong) == NOBODY


def test_the_same_code_for_both_doors_opens_the_wider_one() -> None:
    assert Codes(settings(staff_code=STUDENT)).viewer_of(STUDENT).is_staff


def test_a_session_lasts_as_long_as_it_was_issued_for() -> None:
    clock = Clock()
    sessions = Sessions(settings(), Codes(settings()), clock)
    value = sessions.issue(STUDENT_VIEWER, SESSION_S)
    clock.now += SESSION_S - 1
    assert sessions.viewer_of(value) == STUDENT_VIEWER
    clock.now += 1
    assert sessions.viewer_of(value) == NOBODY


def test_a_new_code_ends_the_sessions_of_the_old_one() -> None:
    old = Sessions(settings(), Codes(settings()), Clock())
    changed = settings(student_code="another-student-code")
    new = Sessions(changed, Codes(changed), Clock())
    assert new.viewer_of(old.issue(STUDENT_VIEWER, REMEMBERED_S)) == NOBODY
    assert new.viewer_of(old.issue(STAFF_VIEWER, REMEMBERED_S)) == STAFF_VIEWER


def test_a_session_cannot_be_edited() -> None:
    sessions = Sessions(settings(), Codes(settings()), Clock())
    value = sessions.issue(STUDENT_VIEWER, SESSION_S)
    _, expires, tag = value.split(".")
    edits = [f"staff.{expires}.{tag}", f"student.{int(expires) + 9}.{tag}", f"student.{expires}.{tag}=", value + "A"]
    edits += [
        value[:-1],
        value.replace("student", "nobody"),
        f"student.0{expires}.{tag}",
        "",
        ".",
        "..",
        "student..",
        "a.b.c",
    ]
    assert all(sessions.viewer_of(edit) == NOBODY for edit in edits)


@given(st.text(max_size=200))
def test_no_text_is_a_session(text: str) -> None:
    assert SESSIONS.viewer_of(text) == NOBODY


def test_wrong_codes_are_limited_for_one_address_and_for_nobody_else() -> None:
    clock = Clock()
    attempts = Attempts(clock, allowed=3, window_s=60)
    for _ in range(3):
        assert attempts.wait_s("10.0.0.1") == 0
        attempts.note_wrong("10.0.0.1")
    assert 0 < attempts.wait_s("10.0.0.1") <= 61
    assert attempts.wait_s("10.0.0.2") == 0
    clock.now += 61
    assert attempts.wait_s("10.0.0.1") == 0


def test_one_ipv6_subscriber_is_one_address() -> None:
    assert network_of("2001:db8::1") == network_of("2001:db8::ffff:1") != network_of("2001:db8:0:1::1")
    assert network_of("testclient") == "testclient"


def test_twenty_wrong_codes_close_the_door_for_that_address_also_to_the_right_code(school: School) -> None:
    guesser = school.nobody()
    for _ in range(ATTEMPTS):
        assert guesser.post("/enter", data={"code": "guess"}).status_code == 403
    for code in ("guess", STUDENT):
        answer = guesser.post("/enter", data={"code": code})
        assert answer.status_code == 429
        assert int(answer.headers["retry-after"]) > 0
        assert "口令输错次数过多" in answer.text
    bearer = school.program("guess").get("/api/lessons")
    assert bearer.status_code == 429
    assert bearer.json()["code"] == "too-many"


def test_whoever_is_inside_notices_nothing_of_a_guesser(school: School) -> None:
    inside = school.browser(STUDENT)
    guesser = school.program("guess")
    for _ in range(ATTEMPTS + 1):
        guesser.get("/api/lessons")
    assert inside.get("/").status_code == 200


def test_entering_sets_a_cookie_that_scripts_cannot_read(school: School) -> None:
    answer = school.nobody().post("/enter", data={"code": STUDENT, "next": "/search?q=1"})
    cookie = answer.headers["set-cookie"]
    assert answer.headers["location"] == "/search?q=1"
    assert all(part in cookie for part in ("HttpOnly", "SameSite=lax", f"Max-Age={SESSION_S}", "Path=/"))
    assert STUDENT not in cookie
    remembered = school.nobody().post("/enter", data={"code": STUDENT, "remember": "1"}).headers["set-cookie"]
    assert f"Max-Age={REMEMBERED_S}" in remembered


def test_over_https_the_cookie_is_pinned_to_the_host(school: School) -> None:
    secured = School(school.settings.home / "https", school.store, school.bucket, public_url="https://hui.example.cn")
    answer = secured.nobody().post("/enter", data={"code": STUDENT})
    assert answer.headers["set-cookie"].startswith("__Host-huikan=")
    assert "Secure" in answer.headers["set-cookie"]
    assert "strict-transport-security" in answer.headers
    secured.close()


def test_leaving_takes_the_cookie_away(school: School) -> None:
    viewer = school.browser(STUDENT)
    assert viewer.post("/leave").headers["location"] == "/enter"
    assert viewer.get("/").status_code == 303


@pytest.mark.parametrize(
    "wanted", ["https://evil.example", "//evil.example", "/\\evil.example", "/enter", "/leave", "javascript:x", "/a\nb"]
)
def test_the_door_leads_nowhere_but_home(school: School, wanted: str) -> None:
    answer = school.nobody().post("/enter", data={"code": STUDENT, "next": wanted})
    assert answer.headers["location"] == "/"
    assert wanted not in school.nobody().get("/enter", params={"next": wanted}).text or wanted in ("/enter", "/leave")


def test_a_bearer_code_counts_alone(school: School) -> None:
    """A request with a wrong code is nobody's, whatever cookie it carries."""
    viewer = school.browser(STAFF)
    assert viewer.get("/api/arrivals", headers={"Authorization": "Bearer wrong"}).status_code == 401
    assert viewer.get("/api/arrivals", headers={"Authorization": f"Bearer {STUDENT}"}).status_code == 403
    assert viewer.get("/api/arrivals").status_code == 200


CROSS_SITE = [
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": ORIGIN, "Sec-Fetch-Site": "cross-site"},
    {"Origin": ORIGIN, "Sec-Fetch-Site": "same-site"},
    {"Origin": ""},
]


@pytest.mark.parametrize("headers", CROSS_SITE)
def test_another_site_cannot_make_a_browser_act(school: School, headers: dict[str, str]) -> None:
    lesson = school.publish(consent=None)
    viewer = school.browser(STAFF)
    for path in ("/enter", "/leave", f"/lesson/{lesson.id}/consent"):
        answer = viewer.post(path, data={"consent": "yes", "code": STAFF}, headers=headers)
        assert answer.status_code == 403
        assert "set-cookie" not in answer.headers
    assert school.catalog.lessons.get(lesson.id).consent is None


def test_a_request_that_does_not_say_where_it_comes_from_may_not_act(school: School) -> None:
    viewer = school.browser(STAFF)
    del viewer.headers["Origin"]
    assert viewer.post("/leave").status_code == 403
    assert viewer.post("/leave", headers={"Sec-Fetch-Site": "same-origin"}).status_code == 303


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "localhost.evil.example:8000", "[::1"])
def test_a_host_that_is_not_ours_is_not_answered(school: School, host: str) -> None:
    answer = school.browser(STUDENT).get("/", headers={"Host": host})
    assert answer.status_code == 421
    assert "HUIKAN_PUBLIC_URL" in answer.text


@pytest.mark.parametrize("host", ["localhost:8000", "192.168.1.7", "[fe80::1]:8000", "127.0.0.1"])
def test_addresses_and_localhost_are_ours(school: School, host: str) -> None:
    assert school.browser(STUDENT).get("/", headers={"Host": host}).status_code == 200
