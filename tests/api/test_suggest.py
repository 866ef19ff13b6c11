"""Suggestions, corrections and help with empty results: each leads to something, and tells of nothing beyond the scope."""

import pytest

from archive.model import Cue, Span
from tests.api.school import LADDER, SPEECH, STAFF, STUDENT, School


def said(text: str) -> tuple[Cue, ...]:
    return (Cue(Span(0, 4000), text), Cue(Span(4000, 8000), "大家看黑板"))


def suggested(school: School, typed: str, code: str = STUDENT) -> list[str]:
    return school.program(code).get("/api/suggest", params={"q": typed}).json()["suggestions"]


@pytest.mark.parametrize("typed", ["勾", "勾股", "gougu", "ggdl", "gou'gu", "勾gd"])
def test_what_is_being_typed_is_suggested(school: School, typed: str) -> None:
    school.publish("勾股定理", cues=said("今天学习勾股定理"))
    assert "勾股定理" in suggested(school, typed)


def test_only_what_finds_something_is_suggested(school: School) -> None:
    school.publish("一节课", cues=said("今天学习勾股定理"))
    assert suggested(school, "gou") == ["勾股定理"]  # a term of the subject that was said
    assert suggested(school, "guanghe") == []  # one that was not
    assert suggested(school, "yijie") == ["一节课"]  # a title
    assert suggested(school, "wanglao") == ["王老师"]


def test_a_suggestion_tells_nothing_of_what_is_not_to_be_seen(school: School) -> None:
    lesson = school.publish("勾股定理", cues=said("今天学习勾股定理"), teacher="刘老师")
    assert suggested(school, "ggdl") == ["勾股定理"]
    school.catalog.lessons.set_consent(lesson.id, consent=False)
    assert (
        suggested(school, "ggdl") == suggested(school, "liulaoshi") == []
    )  # at once, though names are kept for a minute
    assert suggested(school, "ggdl", STAFF) == ["勾股定理"]


def test_a_wrong_word_is_corrected_when_it_is_found_nowhere(school: School) -> None:
    school.publish("一节课", cues=said("今天学习勾股定理"))
    found = school.program(STUDENT).get("/api/search", params={"q": "勾股顶泥"}).json()
    assert found["meant"] == ["勾股定理"]
    exact = school.program(STUDENT).get("/api/search", params={"q": "勾股定理"}).json()
    assert exact["meant"] == []


def test_words_that_are_not_said_together_are_offered_apart(school: School) -> None:
    school.publish("一节课", cues=said("今天学习勾股定理"))
    found = school.program(STUDENT).get("/api/search", params={"q": "勾股定理 光合作用"}).json()
    assert (found["lessons"], found["parts"]) == ([], ["勾股定理"])


def test_how_letters_were_read_is_told(school: School) -> None:
    school.publish("一节课", cues=said("今天学习勾股定理"))
    found = school.program(STUDENT).get("/api/search", params={"q": "gougudingli"}).json()
    assert found["spelled"] == "gou gu ding li"
    assert "按拼音 gou gu ding li" in school.browser(STUDENT).get("/search?q=gougudingli").text


def test_filters_are_typed_and_kept_by_the_page(school: School) -> None:
    school.publish("第一课", day=1, cues=said("今天学习勾股定理"), teacher="刘老师")
    school.publish("第二课", day=2, cues=said("今天学习勾股定理"), teacher="陈老师")
    ask = school.program(STUDENT).get

    def titles(**filters: object) -> list[str]:
        found = ask("/api/search", params={"q": "勾股定理", **filters}).json()  # type: ignore[dict-item]
        return [one["lesson"]["title"] for one in found["lessons"]]

    assert titles(sort="newest") == ["第二课", "第一课"]
    assert titles(teacher="刘老师") == ["第一课"]
    assert titles(since="2026-09-02") == ["第二课"]
    assert titles(until="2026-09-01") == ["第一课"]
    assert titles(least_minutes=1) == []
    assert titles(written=False) == []
    for wrong in ({"sort": "started_on:asc"}, {"since": "x"}, {"least_minutes": "1 OR 1"}, {"written": "maybe"}):
        assert ask("/api/search", params={"q": "勾股定理", **wrong}).status_code == 422
    blank = {
        "q": "勾股定理",
        "since": "",
        "until": "",
        "least_minutes": "",
        "written": "",
        "language": "",
        "teacher": "",
    }
    shown = school.browser(STUDENT).get("/search", params={**blank, "sort": "newest"})
    assert shown.status_code == 200
    assert "sort=newest" in shown.text  # links to subjects and pages keep it


def test_the_counts_are_of_what_is_found(school: School) -> None:
    school.publish("第一课", day=1, cues=said("今天学习勾股定理"), subject="数学")
    school.publish("第二课", day=2, cues=said("今天学习勾股定理"), subject="历史")
    school.publish("第三课", day=3, cues=said("别的内容"), subject="英语")
    shown = school.browser(STUDENT).get("/search", params={"q": "勾股定理", "subject": "历史"}).text
    assert "数学 <small>1</small>" in shown
    assert "英语 <small>" not in shown


def test_a_lesson_that_the_index_has_not_caught_up_with_says_so(school: School) -> None:
    lesson = school.arrive("一节课")
    school.put_ladder(lesson)
    school.put_transcript(lesson, said("今天学习勾股定理"))
    school.catalog.outputs.publish(lesson.recording_id, ladder_edition=LADDER, speech_edition=SPEECH)
    assert "搜索稍后可用" in school.browser(STUDENT).get(f"/lesson/{lesson.id}").text
    school.catalog.outputs.mark_searchable(lesson.recording_id, 2)
    assert "搜索稍后可用" not in school.browser(STUDENT).get(f"/lesson/{lesson.id}").text
