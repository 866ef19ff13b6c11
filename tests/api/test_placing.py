"""The queue of recordings that match no timetable: what staff see and decide."""

from datetime import date

import pytest

from archive.model import Place, Slot
from ingest import placing
from tests.api.school import STAFF, STUDENT, School

DAY = date(2026, 9, 1)


@pytest.fixture
def waiting(school: School) -> str:
    """A recording at 8:00 of a room whose timetable has a lesson at 14:00 alone; its id."""
    slot = Slot("301", DAY, DAY, DAY.weekday(), 840, 885, subject="物理", teacher="<b>赵</b>")
    school.catalog.timetables.keep("xinghuo", "课表.csv", [slot], first_day=DAY, last_day=DAY, is_addition=False)
    lesson = school.arrive("", subject="", teacher="", grade="")
    placing.place(school.catalog, lesson.recording_id)
    return lesson.recording_id


def test_staff_see_why_and_assign_it_to_a_lesson(school: School, waiting: str) -> None:
    staff = school.browser(STAFF)
    assert "1 个录像对不上课表" in staff.get("/arrivals").text
    page = staff.get("/placing").text
    assert "最近的是 14:00 物理" in page
    assert "&lt;b&gt;赵" in page
    asked = {"recording_id": waiting, "action": "assign", "slot_at": "2026-09-01T14:00", "view": "screen"}
    assert staff.post("/placing", data=asked).status_code == 303
    assert "没有要认领的录像" in staff.get("/placing").text
    placed = school.catalog.placements.of(waiting)
    assert placed is not None
    assert (placed.state, placed.view) == (Place.ASSIGNED, "screen")
    lesson = school.catalog.lessons.get(school.catalog.outputs.recording(waiting).lesson_id)
    assert lesson.subject == "物理"
    assert lesson.id in {order.lesson_id for order in school.catalog.indexing.orders()}


def test_staff_name_what_is_on_no_timetable(school: School, waiting: str) -> None:
    staff = school.browser(STAFF)
    asked = {"recording_id": waiting, "action": "name", "title": "家长会\n", "subject": "班会"}
    assert staff.post("/placing", data=asked).status_code == 303
    assert school.catalog.lessons.get(school.catalog.outputs.recording(waiting).lesson_id).title == "家长会"


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ({"action": "assign", "slot_at": "2026-09-01T15:00"}, 404),
        ({"action": "assign", "slot_at": "soon"}, 404),
        ({"action": "assign", "slot_at": "2026-09-01T14:00", "view": "ceiling"}, 422),
        ({"action": "burn"}, 422),
        ({"action": "leave", "recording_id": "../x"}, 422),
        ({"action": "leave", "recording_id": "f" * 64}, 404),
    ],
)
def test_what_cannot_be_is_said_and_changes_nothing(
    school: School, waiting: str, asked: dict[str, str], status: int
) -> None:
    assert school.browser(STAFF).post("/placing", data={"recording_id": waiting, **asked}).status_code == status
    assert school.catalog.placements.count_unmatched() == 1


def test_students_decide_nothing(school: School, waiting: str) -> None:
    student = school.browser(STUDENT)
    assert student.post("/placing", data={"recording_id": waiting, "action": "leave"}).status_code == 403
    assert school.catalog.placements.count_unmatched() == 1
