from dataclasses import replace

import pytest

from archive.errors import Unreadable
from archive.model import AudioTrack, Probe, VideoTrack
from transcode.encode import Made
from transcode.join import damage_of, misfits
from transcode.measure import HlsSegment
from transcode.plan import SOUND, Reading, Survey, Task, tasks_for

LESSON = Probe(
    "mov,mp4", 1_200_000, 10**8, (VideoTrack(0, "h264", 1280, 720, "25/1"),), (AudioTrack(1, "aac", 1, 48000),)
)
SURVEY = Survey((Reading(0, 1_200_000, 4000, 40, 3000),), 1_200_000, True, 0)
TASKS = tasks_for(LESSON, SURVEY)


def made(lost_ms: int = 0, init: str = "same") -> Made:
    return Made({"240p": (HlsSegment("seg-00000.m4s", 6_000_000, 9),)}, {"240p": init}, lost_ms)


def damage(lost: dict[str, int], survey: Survey = SURVEY) -> str:
    found = damage_of(LESSON, survey, TASKS, {task.name: made(lost.get(task.name, 0)) for task in TASKS}, "a.mp4")
    return f"{found.lost_ms}: {found.reason_zh}" if found else ""


def of(rung: str) -> list[Task]:
    return [task for task in TASKS if rung in task.rungs]


def test_what_nobody_misses_is_not_said() -> None:
    assert damage({}) == ""
    assert damage({of("240p")[0].name: 499}) == ""


def test_both_tiers_meet_the_same_damage_and_it_counts_once() -> None:
    lost = {of("240p")[1].name: 4000, of("720p")[1].name: 4040}
    assert damage(lost) == "4040: 录像有损坏：约 5 秒无法读取，以静止画面代替。"


def test_damage_of_several_parts_adds_up() -> None:
    assert damage({task.name: 1000 for task in of("720p")}).startswith(f"{1000 * len(of('720p'))}: ")


def test_lost_sound_is_called_that() -> None:
    assert damage({SOUND: 2000}) == "2000: 录像有损坏：约 2 秒无法读取，以静音代替。"


def test_a_recording_that_broke_off_says_how_far_it_goes() -> None:
    assert "应有 20:00，实际只有 15:00" in damage({}, replace(SURVEY, cut_off_ms=300_000))


def test_a_recording_of_which_less_than_half_is_left_is_no_lesson() -> None:
    with pytest.raises(Unreadable) as refused:
        damage({SOUND: 700_000})
    assert "应有 20:00，实际只有 8:20 可读" in refused.value.reason_zh


def test_a_part_with_another_init_is_a_misfit_and_the_first_is_not() -> None:
    parts = of("240p")
    done = {task.name: made(init="other" if task is parts[2] else "same") for task in parts}
    assert misfits(TASKS, done) == [parts[2].name]
    assert misfits(TASKS, {}) == []
