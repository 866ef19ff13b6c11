"""The JSON API: what it says about lessons, searches and arrivals."""

import pytest

from api.apidoc import models, operations
from archive.model import Cue, Span
from tests.api.school import STAFF, STUDENT, School


def test_the_library_is_paged_and_filtered(school: School) -> None:
    for n in range(1, 6):
        school.publish(f"第 {n} 课", day=n, subject="数学" if n % 2 else "语文")
    student = school.program(STUDENT)
    first = student.get("/api/lessons?limit=2").json()
    assert [lesson["title"] for lesson in first["items"]] == ["第 5 课", "第 4 课"]
    assert (first["total"], first["limit"], first["offset"]) == (5, 2, 0)
    rest = student.get("/api/lessons?limit=100&offset=2").json()["items"]
    assert [lesson["title"] for lesson in rest] == ["第 3 课", "第 2 课", "第 1 课"]
    chinese = student.get("/api/lessons?subject=语文").json()
    assert (chinese["total"], {lesson["subject"] for lesson in chinese["items"]}) == (2, {"语文"})
    assert student.get("/api/lessons?programme=micro&school=xinghuo").json()["items"] == []
    assert student.get("/api/shelf").json()["subjects"] == {"数学": 3, "语文": 2}


def test_a_lesson_says_when_it_was_taught_and_whether_its_words_are_known(school: School) -> None:
    lesson = school.publish(day=3)
    told = school.program(STUDENT).get(f"/api/lessons/{lesson.id}").json()
    assert told["started_at"] == "2026-09-03T08:00:00"  # the room's clock has no zone
    assert told["published_at"].endswith("Z")
    assert (told["searchable"], told["duration_ms"], told["programme_zh"]) == (True, 12_000, "直播课")
    assert told["page"] == f"/lesson/{lesson.id}"


def test_a_lesson_that_is_still_being_made_has_no_address(school: School) -> None:
    lesson = school.arrive()
    staff = school.program(STAFF)
    assert staff.get(f"/api/lessons/{lesson.id}").json()["published_at"] is None
    playback = staff.get(f"/api/lessons/{lesson.id}/playback")
    assert (playback.status_code, playback.json()["code"]) == (409, "not-playable")
    assert staff.get(f"/api/lessons/{lesson.id}/transcript").json()["ready"] is False


def test_what_was_said_is_told_with_its_times(school: School) -> None:
    lesson, pending, silent = (
        school.publish(),
        school.publish("待", cues=None, day=2),
        school.publish("静", cues=(), day=3),
    )
    student = school.program(STUDENT)
    told = student.get(f"/api/lessons/{lesson.id}/transcript").json()
    assert (told["ready"], told["language"], told["source"]) == (True, "zh-Hans", "captions")
    assert told["cues"][1].items() >= {"start_ms": 4_000, "end_ms": 9_500, "text": "今天我们来学习勾股定理"}.items()
    assert student.get(f"/api/lessons/{pending.id}/transcript").json()["ready"] is False
    assert student.get(f"/api/lessons/{silent.id}/transcript").json() == {**told, "cues": []}


def test_a_search_leads_to_moments(school: School) -> None:
    lesson = school.publish("几何", cues=(Cue(Span(0, 3_000), "上课"), Cue(Span(61_250, 65_000), "今天学习沟谷定理")))
    school.publish("勾股定理复习", day=2, cues=())
    found = school.program(STUDENT).get("/api/search?q=勾股定理").json()
    by_title = {one["lesson"]["title"]: one["hits"] for one in found["lessons"]}
    heard = by_title["几何"][0]
    assert (heard["kind"], heard["matched_by"], heard["start_ms"]) == ("said", "sound", 61_250)
    assert [heard["text"][start:end] for start, end in heard["marks"]] == ["沟谷定理"]
    assert heard["page"] == f"/lesson/{lesson.id}?t=61.25"
    assert by_title["勾股定理复习"][0]["kind"] == "title"


def test_a_search_can_stay_in_one_lesson(school: School) -> None:
    one, _ = school.publish("甲", day=1), school.publish("乙", day=2)
    found = school.program(STUDENT).get("/api/search", params={"q": "勾股定理", "lesson": one.id}).json()
    assert [each["lesson"]["title"] for each in found["lessons"]] == ["甲"]


@pytest.mark.parametrize(
    "q", ['"', "a AND b OR", "title:x", "*", "()[]{}^~", "\\", "'; DROP TABLE lesson;--", "😀", "%00"]
)
def test_no_query_is_an_error(school: School, q: str) -> None:
    school.publish()
    assert school.program(STUDENT).get("/api/search", params={"q": q}).status_code == 200


def test_arrivals_show_what_became_of_each_upload(school: School) -> None:
    done, moving = school.publish("做完的课", day=1), school.arrive("在做的课", day=2)
    school.catalog.outputs.note_progress(moving.recording_id, "encode", 0.4)
    school.catalog.outputs.hinder(moving.recording_id, "speech", "model-missing", "请下载模型", retry_after_s=60)
    school.catalog.arrivals.note("xinghuo/302/20260903T0900.mp4", "e1", 0)
    school.catalog.arrivals.refuse("xinghuo/302/20260903T0900.mp4", "e1", "unreadable", "empty", "文件是空的")
    school.catalog.arrivals.note("xinghuo/302/20260904T0900.mp4", "e2", 5)
    broken = school.arrive("坏掉的课", day=5)
    school.catalog.outputs.refuse(broken.recording_id, "unreadable", "moov missing", "文件不完整")
    rows = {row["key"]: row for row in school.program(STAFF).get("/api/arrivals").json()}
    assert len(rows) == 5
    finished = rows["xinghuo/301/20260901T0800.mp4"]
    assert (finished["published"], finished["searchable"], finished["lesson_id"]) == (True, True, done.id)
    assert all(stage["done"] for stage in finished["stages"])
    stages = {stage["name"]: stage for stage in rows["xinghuo/301/20260902T0800.mp4"]["stages"]}
    assert (stages["probed"]["done"], stages["encoded"]["fraction"]) == (True, 0.4)
    assert stages["transcribed"]["obstacle"]["reason_zh"] == "请下载模型"
    refused = {key: row["refused"]["reason_zh"] for key, row in rows.items() if row["refused"]}
    assert refused == {"xinghuo/302/20260903T0900.mp4": "文件是空的", "xinghuo/301/20260905T0800.mp4": "文件不完整"}
    waiting = rows["xinghuo/302/20260904T0900.mp4"]
    assert (waiting["recording_id"], waiting["stages"], waiting["refused"]) == (None, [], None)


def test_consent_is_written_down_and_indexed_anew(school: School) -> None:
    lesson = school.publish(consent=None)
    for order in school.catalog.indexing.orders():
        school.catalog.indexing.settle(order)
    staff, student = school.program(STAFF), school.program(STUDENT)
    assert student.get(f"/api/lessons/{lesson.id}").status_code == 404
    told = staff.post(f"/api/lessons/{lesson.id}/consent", json={"consent": True}).json()
    assert (told["consent"], told["published"], told["lesson_id"]) == (True, True, lesson.id)
    assert school.catalog.indexing.of(lesson.id) is not None
    assert student.get(f"/api/lessons/{lesson.id}").status_code == 200


@pytest.mark.parametrize(
    "body", [{}, {"consent": "yes"}, {"consent": 1}, {"consent": None}, {"consent": True, "x": 1}, []]
)
def test_consent_is_said_clearly_or_not_at_all(school: School, body: object) -> None:
    lesson = school.publish(consent=None)
    assert school.program(STAFF).post(f"/api/lessons/{lesson.id}/consent", json=body).status_code == 422
    assert school.catalog.lessons.get(lesson.id).consent is None


def test_the_reference_names_every_operation_and_loads_nothing_from_elsewhere(school: School) -> None:
    openapi = school.nobody().get("/api/openapi.json").json()
    page = school.nobody().get("/api/docs").text
    for tag, known in operations(openapi).items():
        assert tag in page
        for operation in known:
            assert f'id="{operation.anchor}"' in page
            assert operation.summary in page
    assert {model.name for model in models(openapi)} >= {"LessonOut", "SearchOut", "PlaybackOut", "ProblemOut"}
    assert "http://" not in page
    assert "https://" not in page


def test_the_description_promises_problems(school: School) -> None:
    paths = school.nobody().get("/api/openapi.json").json()["paths"]
    lesson = paths["/api/lessons/{lesson_id}"]["get"]["responses"]
    assert set(lesson) == {"200", "401", "404", "422", "503"}
    assert "application/problem+json" in lesson["404"]["content"]
