from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from archive.model import AudioTrack, Probe, VideoTrack
from transcode.ladder import HLS_SEGMENT_S, CopyRung, frame_rate_of
from transcode.plan import (
    LIVE_PART_S,
    PART_S,
    SOUND,
    Reading,
    Survey,
    Task,
    all_rungs,
    live_task,
    most_bytes,
    tasks_for,
    weight,
)

SPOKEN = (AudioTrack(1, "aac", 1, 48000),)


def recording(*tracks: VideoTrack, minutes: float = 45) -> tuple[Probe, Survey]:
    end_ms = int(minutes * 60_000)
    readings = tuple(Reading(0, end_ms, 4000, 40, 3000) for _ in tracks)
    return Probe("mov,mp4", end_ms, 10**9, tracks, SPOKEN), Survey(readings, end_ms, True, 0)


def camera(height: int = 720, rate: str = "25/1", view: str = "") -> VideoTrack:
    return VideoTrack(0, "h264", height * 16 // 9, height, rate, view=view)


def named(tasks: tuple[Task, ...], rung: str) -> list[Task]:
    return sorted((task for task in tasks if rung in task.rungs), key=lambda task: task.start_s)


def test_of_a_long_lesson_the_sound_and_the_smallest_picture_come_first() -> None:
    tasks = tasks_for(*recording(camera()))
    urgent = [task for task in tasks if task.is_urgent]
    assert tasks[: len(urgent)] == tuple(urgent)
    assert {rung for task in urgent for rung in task.rungs} == {"audio", "audio48", "opus", "240p"}
    assert {rung for task in tasks[len(urgent) :] for rung in task.rungs} == {"720p", "480p", "360p"}


def test_a_short_lesson_is_decoded_once() -> None:
    tasks = tasks_for(*recording(camera(), minutes=9))
    assert [task.rungs for task in tasks if task.view] == [("720p", "480p", "360p", "240p")] * 2
    assert all(task.is_urgent for task in tasks)


def test_another_view_keeps_nobody_waiting() -> None:
    tasks = tasks_for(*recording(camera(), camera(360, view="students"), minutes=9))
    assert {task.view for task in tasks if not task.is_urgent} == {"students"}


@given(st.integers(1, 3 * 3600), st.sampled_from(["25/1", "30000/1001", "10/1"]))
def test_what_is_made_of_a_lesson_that_goes_on_is_what_the_whole_one_needs(seconds: int, rate: str) -> None:
    probe, survey = recording(camera(rate=rate), minutes=seconds / 60)
    live = replace(survey, live=True)
    tasks = named(tasks_for(probe, live), "240p")
    assert all(task.is_urgent for task in tasks)
    assert tasks[:-1] == [live_task(probe, n) for n in range(len(tasks) - 1)]
    assert 0 < tasks[-1].pictures <= live_task(probe, 0).pictures
    assert [task.start_s for task in tasks] == [n * LIVE_PART_S for n in range(len(tasks))]
    larger = [task for task in tasks_for(probe, live) if "720p" in task.rungs]
    assert (
        larger == [task for task in tasks_for(probe, replace(survey, live=False)) if "720p" in task.rungs]
        or seconds < 600
    )
    sounds = {task.name: task for task in tasks_for(probe, live) if not task.view}
    assert [(name, task.is_urgent, task.rungs) for name, task in sounds.items()] == [
        ("sound", True, ("audio",)),
        ("sound-more", False, ("audio48", "opus")),
    ]


def test_what_cannot_be_entered_in_the_middle_is_one_part() -> None:
    probe, survey = recording(camera())
    whole = Survey(survey.video, survey.audio_end_ms, False, 0)
    assert len(named(tasks_for(probe, whole), "720p")) == 1


def test_a_good_picture_in_full_hd_is_kept_unless_the_recording_broke_off() -> None:
    probe, survey = recording(camera(1080))
    assert isinstance(all_rungs(probe, survey)["1080p"], CopyRung)
    assert [task.name for task in tasks_for(probe, survey) if "1080p" in task.rungs] == ["1080p-copy"]
    assert "1080p" not in all_rungs(probe, Survey(survey.video, survey.audio_end_ms, True, 9000))


@given(
    minutes=st.floats(0.01, 200),
    rate=st.sampled_from(["25/1", "30000/1001", "12/1", "1/2", "60/1"]),
    height=st.sampled_from([180, 240, 480, 720, 1080]),
)
@settings(deadline=None)
def test_parts_tile_the_lesson_on_the_grid_of_its_segments(minutes: float, rate: str, height: int) -> None:
    probe, survey = recording(camera(height, rate), minutes=minutes)
    tasks = tasks_for(probe, survey)
    assert len({task.name for task in tasks}) == len(tasks)
    for name, rung in all_rungs(probe, survey).items():
        mine = named(tasks, name)
        assert mine, name
        if SOUND in (task.name for task in mine) or isinstance(rung, CopyRung):
            continue
        per_second = frame_rate_of(probe.video[0])
        assert mine[0].start_s == 0
        for task, after in pairwise(mine):
            assert task.start_s % HLS_SEGMENT_S == after.start_s % HLS_SEGMENT_S == 0
            assert task.pictures == per_second * PART_S
            assert task.start_s + PART_S == after.start_s
        last = mine[-1]
        ends_s = last.start_s + last.pictures / per_second
        assert abs(ends_s - Fraction(survey.end_ms, 1000)) <= 1 / per_second
        assert len(mine) == 1 or last.pictures >= per_second * PART_S / 2


@given(minutes=st.floats(0.1, 200), height=st.sampled_from([240, 720, 1080]))
@settings(deadline=None)
def test_every_task_has_a_weight_and_a_bound(minutes: float, height: int) -> None:
    probe, survey = recording(camera(height), minutes=minutes)
    for task in tasks_for(probe, survey):
        assert weight(task, probe) > 0
        assert most_bytes(task, probe, survey) > 0


def test_a_survey_survives_being_kept() -> None:
    _, survey = recording(camera(), camera(480))
    assert Survey.from_json(survey.as_json()) == survey
