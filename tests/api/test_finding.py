"""By what a search can be narrowed down, and how many lessons there are of each."""

import pytest

from api import finding
from archive.model import Cue, Span
from tests.api.school import STAFF, STUDENT, School


def said(*texts: str) -> tuple[Cue, ...]:
    return tuple(Cue(Span(number * 30_000, number * 30_000 + 3_000), text) for number, text in enumerate(texts))


def shelf(school: School, text: str, code: str = STUDENT, **filters: str) -> dict[str, dict[str, int]]:
    return school.program(code).get("/api/search/shelf", params={"q": text, **filters}).json()


def test_all_lessons_that_say_it_are_counted_however_many_hits_there_are(
    school: School, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finding, "PAGE_HITS", 2)
    monkeypatch.setattr(finding, "_SHELF_HITS", 2)
    for day in range(1, 6):
        subject = "数学" if day < 4 else "物理"
        school.publish(f"第{day}课", day=day, subject=subject, cues=said("讲勾股定理", "还是勾股定理"))
    hidden = school.publish("第六课", day=6, subject="数学", consent=None, cues=said("讲勾股定理"))
    told = shelf(school, "勾股定理")
    assert (told["subjects"], told["complete"]) == ({"数学": 3, "物理": 2}, True)
    assert shelf(school, "勾股定理", subject="物理")["subjects"] == {"数学": 3, "物理": 2}  # another can be chosen
    assert shelf(school, "勾股定理", STAFF)["subjects"] == {"数学": 4, "物理": 2}
    school.catalog.lessons.set_consent(hidden.id, consent=True)  # the index does not know yet
    assert shelf(school, "勾股定理")["subjects"] == {"数学": 3, "物理": 2}


def test_where_not_all_can_be_counted_it_is_said(school: School, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finding, "PAGE_HITS", 2)
    monkeypatch.setattr(finding, "_SHELF_HITS", 3)
    for day in range(1, 6):
        school.publish(f"第{day}课", day=day, subject="数学", cues=said("讲沟谷定理"))
    told = shelf(school, "勾股定理")  # misheard, all of them
    assert (told["subjects"], told["complete"]) == ({"数学": 3}, False)
    assert "<small>3+</small>" in school.browser(STUDENT).get("/search?q=勾股定理").text


def test_a_search_is_narrowed_to_a_term(school: School) -> None:
    lesson = school.publish("一节课", cues=said("讲勾股定理"))
    term = finding.term_of(lesson.started_at)
    assert shelf(school, "勾股定理")["terms"] == {term: 1}
    student = school.program(STUDENT)
    found = [
        len(student.get("/api/search", params={"q": "勾股定理", "term": t}).json()["lessons"]) for t in (term, "2001-1")
    ]
    assert found == [1, 0]
    assert student.get("/api/search", params={"q": "勾股定理", "term": "去年"}).status_code == 422
    assert finding.term_zh("2026-1") == "2026 年秋季学期"
    assert finding.term_zh("2026-2") == "2027 年春季学期"
