"""A teacher and a transcript: over the API and on the page, corrected, taken back, gone back to, handed in and taken home."""

from archive.model import Lesson
from tests.api.school import CUES, STAFF, STUDENT, School
from transcribe import captions, subrip, webvtt


def address(lesson: Lesson, rest: str) -> str:
    return f"/api/lessons/{lesson.id}/transcript{rest}"


def said(school: School, lesson: Lesson) -> list[str]:
    return [cue["text"] for cue in school.program(STUDENT).get(address(lesson, "")).json()["cues"]]


def carried_out(school: School, lesson: Lesson) -> None:
    order = school.catalog.indexing.of(lesson.id)
    assert order is not None
    school.catalog.indexing.settle(order)


def correct(school: School, lesson: Lesson, text: str, *, edition: int = 1, ordinal: int = 0) -> int:
    body = {"edition": edition, "edits": [{"ordinal": ordinal, "text": text}]}
    return school.program(STAFF).post(address(lesson, "/edits"), json=body).status_code


def test_a_correction_is_what_students_see_and_find(school: School) -> None:
    lesson = school.publish()
    carried_out(school, lesson)
    assert correct(school, lesson, "老师写的第一句") == 200
    assert said(school, lesson)[0] == "老师写的第一句"
    assert school.catalog.indexing.of(lesson.id) is not None  # it is to be indexed anew
    playback = school.program(STUDENT).get(f"/api/lessons/{lesson.id}/playback").json()
    track = school.nobody().get(playback["captions"][0]["url"])
    assert "老师写的第一句" in track.text
    told = school.program(STAFF).get(address(lesson, "/revisions")).json()
    assert [(head["edition"], head["source"], head["current"]) for head in told["editions"]] == [
        (2, "teacher", True),
        (1, "captions", False),
    ]
    assert [(each["before"], each["after"]) for each in told["corrections"]] == [(CUES[0].text, "老师写的第一句")]


def test_a_correction_on_an_old_edition_is_refused_with_what_to_do(school: School) -> None:
    lesson = school.publish()
    correct(school, lesson, "第一次")
    body = {"edition": 1, "edits": [{"ordinal": 0, "text": "第二次"}]}
    refused = school.program(STAFF).post(address(lesson, "/edits"), json=body)
    assert refused.status_code == 422
    assert "刷新" in refused.json()["detail"]


def test_two_editions_differ_where_they_were_edited(school: School) -> None:
    lesson = school.publish()
    correct(school, lesson, "改过的")
    (found,) = school.program(STAFF).get(address(lesson, "/diff?before=1&after=2")).json()
    assert [cue["text"] for cue in found["before"]] == [CUES[0].text]
    assert [cue["text"] for cue in found["after"]] == ["改过的"]
    assert found["after"][0]["origin"] == "teacher"


def test_going_back_and_taking_back(school: School) -> None:
    lesson = school.publish()
    correct(school, lesson, "改过的")
    staff = school.program(STAFF)
    assert staff.post(address(lesson, "/rollback"), json={"edition": 1}).status_code == 200
    assert said(school, lesson)[0] == CUES[0].text
    assert staff.post(address(lesson, "/rollback"), json={"edition": 2}).status_code == 200
    assert said(school, lesson)[0] == "改过的"
    (known,) = staff.get(address(lesson, "/revisions")).json()["corrections"]
    assert staff.post(address(lesson, f"/corrections/{known['id']}/withdraw")).status_code == 200
    assert said(school, lesson)[0] == CUES[0].text
    assert staff.post(address(lesson, "/rollback"), json={"edition": 99}).status_code == 404


def test_a_file_in_gb18030_is_handed_in(school: School) -> None:
    lesson = school.publish()
    data = subrip.write([CUES[0]]).encode("gb18030")
    assert school.program(STAFF).post(address(lesson, "/file?name=课.srt"), content=data).status_code == 200
    assert said(school, lesson) == [CUES[0].text]
    wrong = school.program(STAFF).post(address(lesson, "/file"), content=b"\x89PNG\r\n")
    assert wrong.status_code == 422
    assert "SRT" in wrong.json()["detail"]
    large = school.program(STAFF).post(address(lesson, "/file"), content=b" " * (captions.MAX_BYTES + 1))
    assert large.status_code == 413


def test_every_form_of_download_holds_what_was_said(school: School) -> None:
    lesson = school.publish("勾股定理 第一课")
    student = school.program(STUDENT)
    for form in ("vtt", "srt", "txt", "md"):
        answer = student.get(address(lesson, f".{form}"))
        assert answer.status_code == 200
        assert "attachment" in answer.headers["content-disposition"]
        for cue in CUES:
            assert cue.text in answer.text.replace("\r\n", "").replace("\n", "") or cue.text in answer.text
    assert webvtt.read(student.get(address(lesson, ".vtt")).text) == tuple(cue.plain for cue in CUES)
    assert "學" in student.get(address(lesson, ".txt?script=hant")).text
    assert student.get(address(lesson, ".exe")).status_code == 422


def test_the_page_saves_what_was_changed_and_shows_where_to_look(school: School) -> None:
    lesson = school.publish()
    staff = school.browser(STAFF)
    page = staff.get(f"/lesson/{lesson.id}/transcript")
    assert CUES[0].text in page.text
    form = {"edition": "1", "line-0": "在页面上改的", "line-1": CUES[1].text}
    assert staff.post(f"/lesson/{lesson.id}/transcript", data=form).status_code == 303
    assert said(school, lesson)[0] == "在页面上改的"
    assert "老师改" in staff.get(f"/lesson/{lesson.id}/transcript").text
    assert staff.get(f"/lesson/{lesson.id}/transcript?flagged=true").status_code == 200
    assert staff.post(f"/lesson/{lesson.id}/transcript/decide", data={"edition": "1"}).status_code == 303
    assert said(school, lesson)[0] == CUES[0].text


def test_what_a_teacher_writes_is_text_and_never_markup(school: School) -> None:
    lesson = school.publish()
    correct(school, lesson, "<script>alert(1)</script> --> x")
    page = school.browser(STAFF).get(f"/lesson/{lesson.id}/transcript").text
    assert "<script>alert" not in page
    assert "<script>" not in school.program(STUDENT).get(address(lesson, ".vtt")).text


def test_a_lesson_without_a_transcript_says_so(school: School) -> None:
    lesson = school.publish(cues=None)
    assert school.program(STUDENT).get(address(lesson, ".srt")).status_code == 409
    assert school.browser(STAFF).get(f"/lesson/{lesson.id}/transcript").status_code == 409
    assert correct(school, lesson, "x") == 409
