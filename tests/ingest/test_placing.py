"""A recording finds its lesson by room and corrected clock; what does not is asked of a person."""

from collections.abc import Callable
from datetime import date, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archive.errors import Absent
from archive.model import AudioTrack, Lesson, Place, Placement, Probe, Sidecar, Slot
from ingest import placing
from ingest.intake import take_in
from ingest.runtime import Runtime
from ingest.steps import probe_recording

DAY = date(2026, 9, 1)
TERM = {"first_day": DAY, "last_day": date(2027, 1, 20)}
MATHS = Slot("301", DAY, TERM["last_day"], 1, 8 * 60, 8 * 60 + 45, subject="数学", grade="八年级", teacher="王老师")
CHINESE = Slot(
    "301", DAY, TERM["last_day"], 1, 8 * 60 + 55, 9 * 60 + 40, subject="语文", teacher="李老师", title="背影"
)

Arrive = Callable[..., Lesson]


def at(hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 9, 1, hour, minute)  # noqa: DTZ001 — a room's wall clock


@pytest.mark.parametrize(
    ("starts_at", "minutes", "subject"),
    [
        (at(7, 58), 50, "数学"),  # begins early, ends late
        (at(8, 20), 25, "数学"),  # the second part
        (at(8, 41), 60, "语文"),  # switched on in the last minutes before
        (at(8), 300, None),  # all morning
        (at(8), 100, None),  # both
        (at(11), 45, None),
        (at(9, 30), 45, None),  # ten minutes of one
    ],
)
def test_the_lesson_is_the_one_that_shares_most_time(starts_at: datetime, minutes: int, subject: str | None) -> None:
    found, why = placing.choose([MATHS, CHINESE], starts_at, starts_at + timedelta(minutes=minutes))
    assert (found.slot.subject if found else None) == subject
    assert bool(why) is (found is None)


@given(st.integers(0, 1439), st.integers(1, 400))
def test_every_recording_gets_a_lesson_or_a_reason(start_min: int, minutes: int) -> None:
    starts_at = datetime(2026, 9, 1) + timedelta(minutes=start_min)  # noqa: DTZ001
    found, why = placing.choose([MATHS, CHINESE], starts_at, starts_at + timedelta(minutes=minutes))
    assert (found is None) is bool(why)


@pytest.fixture
def arrive(runtime: Runtime) -> Arrive:
    """A recording that was taken in, probed and placed."""

    def taken(name: str = "20260901T0800", minutes: int = 45, room: str = "301", **said: object) -> Lesson:
        key, recording_id = f"xinghuo/{room}/{name}.mp4", sha256(f"{room} {name} {minutes} {said}".encode()).hexdigest()
        catalog = runtime.catalog
        catalog.arrivals.note(key, recording_id[:32], 1000)
        accepted = catalog.arrivals.accept(key, recording_id[:32], recording_id, 1000, Sidecar(**said))  # pyright: ignore[reportArgumentType]
        sound = (AudioTrack(0, "aac", 1, 48000),)
        catalog.outputs.keep_probe(recording_id, Probe("mov", minutes * 60_000, 1000, (), sound))
        placing.place(runtime.catalog, recording_id)
        return catalog.lessons.get(accepted.lesson_id)  # pyright: ignore[reportAttributeAccessIssue]

    return taken


@pytest.fixture
def taught(runtime: Runtime) -> None:
    runtime.catalog.timetables.keep("xinghuo", "课表.csv", [MATHS, CHINESE], is_addition=False, **TERM)


def placed(runtime: Runtime, lesson: Lesson) -> Placement:
    found = runtime.catalog.placements.of(lesson.recording_id)
    assert found is not None
    return found


@pytest.mark.usefixtures("taught")
def test_a_matched_recording_is_called_what_the_timetable_says(arrive: Arrive, runtime: Runtime) -> None:
    lesson = arrive("20260901T0757", 50)
    assert (lesson.title, lesson.subject, lesson.grade, lesson.teacher) == (
        "数学 09月01日 08:00",
        "数学",
        "八年级",
        "王老师",
    )
    assert lesson.consent is None  # a timetable is not the guardians' word
    assert placed(runtime, lesson).slot_at == at(8)
    assert runtime.catalog.indexing.of(lesson.id) is not None
    assert arrive("20260901T0856").title == "背影"


@pytest.mark.usefixtures("taught")
def test_what_the_school_wrote_beside_it_counts_more(arrive: Arrive) -> None:
    lesson = arrive(title="勾股定理", teacher="赵老师")
    assert (lesson.title, lesson.teacher, lesson.subject) == ("勾股定理", "赵老师", "数学")


@pytest.mark.usefixtures("taught")
@pytest.mark.parametrize("hours", [2, -2])
def test_a_clock_that_is_hours_off_is_asked_about_and_then_corrected(
    arrive: Arrive, runtime: Runtime, hours: int
) -> None:
    named = at(8) + timedelta(hours=hours)
    lesson = arrive(f"{named:%Y%m%dT%H%M}")
    (waiting,) = placing.queue(runtime.catalog)
    assert waiting.recording.id == lesson.recording_id
    assert "时钟" in waiting.placement.reason_zh
    assert {each.slot.subject for each in waiting.suggestions} == {"数学", "语文"}
    runtime.catalog.timetables.note_clock("xinghuo", "301", hours * 3_600_000, "operator")
    assert placing.place_again(runtime.catalog, "xinghuo") == 1
    assert placing.queue(runtime.catalog) == []
    corrected = runtime.catalog.lessons.get(lesson.id)
    assert (corrected.subject, corrected.started_at) == ("数学", at(8))
    placing.place(runtime.catalog, lesson.recording_id)  # and not twice
    assert runtime.catalog.lessons.get(lesson.id).started_at == at(8)


@pytest.mark.usefixtures("taught")
def test_the_senders_word_on_the_lesson_needs_no_clock(arrive: Arrive) -> None:
    assert arrive("20260901T1300", starts_at=at(8, 2)).subject == "数学"


def test_without_a_timetable_nobody_is_asked(arrive: Arrive, runtime: Runtime) -> None:
    assert placed(runtime, arrive()).state is Place.PLAIN
    assert placing.queue(runtime.catalog) == []


@pytest.mark.usefixtures("taught")
def test_a_sidecar_that_comes_late_keeps_what_the_timetable_said(
    runtime: Runtime, put: Callable[[str, bytes], str], tiny_recording: Path
) -> None:
    key = "xinghuo/301/20260901T0800.mp4"
    taken = take_in(runtime, put(key, tiny_recording.read_bytes()))
    assert taken.recording_id is not None
    probe_recording(runtime, taken.recording_id)
    put("xinghuo/301/20260901T0800.json", b'{"consent": true, "view": "screen", "clock_offset_ms": -3000}')
    take_in(runtime, "xinghuo/301/20260901T0800.json")
    lesson = runtime.catalog.lessons.get(runtime.catalog.outputs.recording(taken.recording_id).lesson_id)
    assert (lesson.subject, lesson.consent, lesson.started_at) == ("数学", True, at(8) + timedelta(seconds=3))
    assert placed(runtime, lesson).view == "screen"
    assert runtime.catalog.timetables.clocks() == [("xinghuo", "301", -3000, "recorder")]


@pytest.mark.usefixtures("taught")
def test_recorders_that_share_a_room_share_its_timetable(arrive: Arrive, runtime: Runtime) -> None:
    lesson = arrive(room="301-screen")
    assert (lesson.subject, placed(runtime, lesson).view) == ("数学", "screen")
    assert [each.recording_id for each in runtime.catalog.placements.together("xinghuo", "301", at(8))] == [
        lesson.recording_id
    ]


@pytest.mark.usefixtures("taught")
def test_a_person_assigns_names_leaves_and_takes_back(arrive: Arrive, runtime: Runtime) -> None:
    lesson = arrive("20260901T1400")
    placing.assign(runtime.catalog, lesson.recording_id, at(8, 55))
    assert runtime.catalog.lessons.get(lesson.id).title == "背影"
    assert placing.queue(runtime.catalog) == []
    placing.place_again(runtime.catalog)  # a person's word outlives the next import
    assert placed(runtime, lesson).state is Place.ASSIGNED
    assert placing.reopen(runtime.catalog, lesson.recording_id).state is Place.UNMATCHED
    placing.name_it(runtime.catalog, lesson.recording_id, Sidecar(title="家长会", subject="班会"))
    assert runtime.catalog.lessons.get(lesson.id).title == "家长会"
    other = arrive("20260901T1500")
    placing.leave_it(runtime.catalog, other.recording_id)
    assert placing.queue(runtime.catalog) == []
    with pytest.raises(Absent):
        placing.assign(runtime.catalog, other.recording_id, at(16))


def test_the_newest_timetable_counts_in_its_rooms_and_days_until_it_is_taken_back(runtime: Runtime) -> None:
    desk = runtime.catalog.timetables
    desk.keep("xinghuo", "秋.csv", [MATHS, CHINESE], is_addition=False, **TERM)
    desk.keep("xinghuo", "302.csv", [Slot("302", DAY, DAY, 1, 480, 525, subject="英语")], is_addition=False, **TERM)
    physics = Slot("301", DAY, DAY, 1, 480, 525, subject="物理")
    desk.keep("xinghuo", "调课.csv", [physics], is_addition=False, first_day=DAY, last_day=DAY)
    extra = Slot("301", DAY, DAY, 1, 900, 945, subject="音乐")
    desk.keep("xinghuo", "加课.csv", [extra], is_addition=True, first_day=DAY, last_day=DAY)

    def subjects(day: date) -> list[str]:
        return [slot.subject for slot in desk.on("xinghuo", "301", day)]

    week_later = DAY + timedelta(days=7)
    assert (subjects(DAY), subjects(week_later)) == (["物理", "音乐"], ["数学", "语文"])
    assert [desk.undo("xinghuo").file for _ in range(2)] == ["加课.csv", "调课.csv"]
    assert subjects(DAY) == ["数学", "语文"]
    assert desk.on("guangming", "301", DAY) == []
