"""Parts of a lesson become one, recorders of a room its views; what does not fit is asked of a person."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from archive.model import Lesson, Place, Placement, Scope
from ingest import encoding, joining, placing, steps
from ingest.intake import take_in
from ingest.joining import Joint, Member, plan
from ingest.runtime import Runtime
from tests.transcode.clips import make, picture, sound, x264

NOW = datetime(2026, 9, 1, 12, tzinfo=UTC)
QUIET = timedelta(minutes=10)
Put = Callable[[str, bytes], str]


def member(name: str, start: int, minutes: int = 20, **more: object) -> Member:
    starts_at = datetime(2026, 9, 1, 8) + timedelta(minutes=start)  # noqa: DTZ001 — a room's wall clock
    values = {"view": "", "part": 1, "take": 1, "received_at": NOW - timedelta(hours=1), **more}
    return Member(name, starts_at, starts_at + timedelta(minutes=minutes), **values)  # pyright: ignore[reportArgumentType]


def names(joint: Joint | str | None) -> list[list[str]]:
    assert isinstance(joint, Joint)
    return [[each.recording_id for each in view] for view in joint.views]


def test_parts_follow_their_clocks_or_their_numbers() -> None:
    assert names(plan([member("b", 20), member("a", 0)], NOW, QUIET)) == [["a", "b"]]
    assert names(plan([member("b", 0, part=2), member("a", 0)], NOW, QUIET)) == [["a", "b"]]


def test_the_newest_take_of_a_part_is_joined() -> None:
    members = [member("a", 0), member("b", 20, take=2, part=2), member("c", 20, part=2)]
    assert names(plan(members, NOW, QUIET)) == [["a", "b"]]
    assert plan([member("a", 0), member("again", 0, take=2)], NOW, QUIET) is None


def test_it_waits_until_all_parts_are_here_or_none_has_come_for_long() -> None:
    fresh = {"received_at": NOW - timedelta(minutes=1)}
    two = [member("a", 0), member("b", 20, **fresh)]
    assert plan(two, NOW, QUIET) is None
    assert names(plan([member("a", 0, parts=2), member("b", 20, parts=2, **fresh)], NOW, QUIET)) == [["a", "b"]]
    assert plan([member("a", 0, parts=3), member("b", 20, **fresh)], NOW, QUIET) is None


def test_named_views_stand_side_by_side_the_main_one_first() -> None:
    members = [member("s", 0, view="screen"), member("t1", 0, view="teacher"), member("t2", 20, view="teacher")]
    assert names(plan(members, NOW, QUIET)) == [["t1", "t2"], ["s"]]


def test_two_at_once_without_a_name_are_a_question() -> None:
    assert "什么画面" in str(plan([member("a", 0, 40), member("b", 3, 40)], NOW, QUIET))


@pytest.fixture
def ready(runtime: Runtime) -> Runtime:
    object.__setattr__(runtime, "settings", runtime.settings.model_copy(update={"join_after_min": 0}))
    return runtime


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("clips")
    made = {
        "a.mp4": make(folder / "a.mp4", picture("320x180", seconds=4), sound(4), x264()),
        "b.mp4": make(folder / "b.mp4", picture("320x180", seconds=3), sound(3), x264()),
        "large.mp4": make(folder / "large.mp4", picture("640x360", seconds=3), sound(3), x264()),
        "screen.ts": make(folder / "screen.ts", picture("320x240", seconds=6), sound(6), x264()),
    }
    return {name: path.read_bytes() for name, path in made.items()}


def arrive(runtime: Runtime, put: Put, name: str, data: bytes, said: bytes = b"") -> str:
    if said:
        put(f"xinghuo/{name.rpartition('.')[0]}.json", said)
    taken = take_in(runtime, put(f"xinghuo/{name}", data))
    assert taken.recording_id is not None
    steps.probe_recording(runtime, taken.recording_id)
    return taken.recording_id


def lesson_of(runtime: Runtime, recording_id: str) -> Lesson:
    return runtime.catalog.lessons.get(runtime.catalog.outputs.recording(recording_id).lesson_id)


def placed(runtime: Runtime, recording_id: str) -> Placement:
    found = runtime.catalog.placements.of(recording_id)
    assert found is not None
    return found


class Told:
    """The pipeline, as far as joining starts anything."""

    def __init__(self) -> None:
        self.started: list[str] = []

    def process(self, recording_id: str) -> None:
        self.started.append(recording_id)


SAID = '{"title": "勾股定理", "subject": "数学", "consent": true, "parts": 2}'.encode()
VTT = "WEBVTT\n\n00:00.000 --> 00:01.500\n今天学习勾股定理\n".encode()


def test_two_parts_become_one_lesson_that_is_shown_instead(ready: Runtime, put: Put, clips: dict[str, bytes]) -> None:
    for part in "12":
        put(f"xinghuo/301/20260901T0800-{part}.vtt", VTT)
    second = arrive(ready, put, "301/20260901T0800-2.mp4", clips["b.mp4"], SAID)
    first = arrive(ready, put, "301/20260901T0800-1.mp4", clips["a.mp4"], SAID)
    runs = Told()
    assert joining.join_due(ready, runs) == 1  # pyright: ignore[reportArgumentType]
    assert joining.join_due(ready, runs) == 0  # pyright: ignore[reportArgumentType]
    (whole,) = runs.started
    probe = steps.probe_recording(ready, whole)
    assert abs(probe.duration_ms - 7000) < 150
    joint = lesson_of(ready, whole)
    assert (joint.title, joint.subject, joint.consent) == ("勾股定理", "数学", True)
    words = ready.store.get_bytes(ready.media, f"source/{whole}.vtt").decode()
    assert words.count("今天学习勾股定理") == 2
    assert "00:00:04." in words
    assert lesson_of(ready, first).superseded_by is None  # until the whole can be played
    for task in encoding.survey_recording(ready, whole):
        encoding.encode_task(ready, whole, task.name)
    encoding.finish_encoding(ready, whole)
    steps.publish_recording(ready, whole)
    assert {lesson_of(ready, part).superseded_by for part in (first, second)} == {joint.id}
    shown = ready.catalog.lessons.published(Scope())[0]
    assert [lesson.id for lesson in shown] == [joint.id]
    assert [lesson.id for lesson in joining.take_apart(ready.catalog, joint.id)] == [
        lesson_of(ready, first).id,
        lesson_of(ready, second).id,
    ]
    steps.publish_recording(ready, whole)  # when the transcript is there
    assert lesson_of(ready, first).superseded_by is None


def test_recorders_of_a_room_become_views(ready: Runtime, put: Put, clips: dict[str, bytes]) -> None:
    arrive(ready, put, "301-screen/20260901T0800.ts", clips["screen.ts"])
    arrive(ready, put, "301-teacher/20260901T0800.mp4", clips["a.mp4"], b'{"consent": false}')
    runs = Told()
    assert joining.join_due(ready, runs) == 1  # pyright: ignore[reportArgumentType]
    probe = steps.probe_recording(ready, runs.started[0])
    assert [(track.view, track.height) for track in probe.video] == [("teacher", 180), ("screen", 240)]
    assert len(probe.audio) == 1
    joint = lesson_of(ready, runs.started[0])
    assert (joint.room, joint.consent) == ("301", False)


def test_a_main_view_without_sound_takes_anothers(ready: Runtime, put: Put, tmp_path: Path) -> None:
    dumb = make(tmp_path / "dumb.mp4", picture("320x180", seconds=3), x264())
    heard = make(tmp_path / "heard.mp4", picture("320x240", seconds=3), sound(3), x264())
    arrive(ready, put, "301-teacher/20260901T0800.mp4", dumb.read_bytes())
    arrive(ready, put, "301-screen/20260901T0800.mp4", heard.read_bytes())
    runs = Told()
    assert joining.join_due(ready, runs) == 1  # pyright: ignore[reportArgumentType]
    probe = steps.probe_recording(ready, runs.started[0])
    assert ([track.view for track in probe.video], len(probe.audio)) == (["teacher", "screen"], 1)


def test_what_does_not_fit_stays_and_is_asked_about(ready: Runtime, put: Put, clips: dict[str, bytes]) -> None:
    first = arrive(ready, put, "301/20260901T0800-1.mp4", clips["a.mp4"])
    second = arrive(ready, put, "301/20260901T0800-2.mp4", clips["large.mp4"])
    runs = Told()
    assert joining.join_due(ready, runs) == 0  # pyright: ignore[reportArgumentType]
    assert [placed(ready, each).state for each in (first, second)] == [Place.UNMATCHED] * 2
    assert "编码、尺寸" in placing.queue(ready.catalog)[0].placement.reason_zh
    assert joining.join_due(ready, runs) == 0  # pyright: ignore[reportArgumentType]


def test_joining_twice_makes_the_same_bytes(ready: Runtime, put: Put, clips: dict[str, bytes], tmp_path: Path) -> None:
    arrive(ready, put, "301/20260901T0800-1.mp4", clips["a.mp4"], SAID)
    arrive(ready, put, "301/20260901T0800-2.mp4", clips["b.mp4"], SAID)
    together = ready.catalog.placements.together("xinghuo", "301", datetime(2026, 9, 1, 8))  # noqa: DTZ001
    members = [found for each in together if (found := joining._member(ready, each))]  # pyright: ignore[reportPrivateUsage]
    joint = plan(members, datetime.now(UTC), timedelta())
    assert isinstance(joint, Joint)
    assert joining.join(ready, joint) == joining.join(ready, joint)
