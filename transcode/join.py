"""Tasks that are done become renditions that are whole. Pure, but for `gather`.

The parts of a rung were encoded apart, with the same settings, so one init serves them all; where it does not (ffmpeg
was replaced while a lesson was being made) `misfits` names the parts to make again.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from archive.errors import Unreadable
from archive.model import Damage, Probe, Rendition
from archive.timecode import clock_from_ms
from transcode.command import INIT_NAME, PLAYLIST_NAME
from transcode.encode import Made
from transcode.measure import HlsSegment, rendition_of
from transcode.plan import LEAST_READABLE, SOUND, Survey, Task, all_rungs

# Less than this nobody misses: a recorder that is switched off often leaves its last packet half written.
NOTICED_MS = 500

_AGAIN_ZH = "请在录播主机上检查原文件能否完整播放，重新导出后再上传。"


@dataclass(frozen=True, slots=True)
class Whole:
    """A rung of which every hls_segment exists."""

    rendition: Rendition
    segments: tuple[HlsSegment, ...]


def wholes(
    probe: Probe,
    survey: Survey,
    tasks: Sequence[Task],
    made: Mapping[str, Made],
    init_of: Callable[[str], bytes],
    prefix: str,
) -> tuple[Whole, ...]:
    """The rungs that are whole by now, largest picture first, sounds last. `init_of` gives a rung's init by its name;
    `prefix` is what their playlists' keys begin with."""
    found: list[Whole] = []
    for name, rung in all_rungs(probe, survey).items():
        mine = sorted((task for task in tasks if name in task.rungs), key=lambda task: task.start_s)
        if mine and all(task.name in made for task in mine):
            segments = tuple(segment for task in mine for segment in made[task.name].rungs[name])
            playlist_key = f"{prefix}/{name}/{PLAYLIST_NAME}"
            found.append(Whole(rendition_of(rung, segments, init_of(name), playlist_key), segments))
    return tuple(sorted(found, key=lambda whole: -whole.rendition.height))


def misfits(tasks: Sequence[Task], made: Mapping[str, Made]) -> list[str]:
    """Names of tasks whose init is another than that of their rung's first."""
    first: dict[str, str] = {}
    odd: list[str] = []
    for task in sorted(tasks, key=lambda task: task.start_s):
        inits = made[task.name].inits if task.name in made else {}
        if any(first.setdefault(rung, init) != init for rung, init in inits.items()):
            odd.append(task.name)
    return odd


def damage_of(
    probe: Probe, survey: Survey, tasks: Sequence[Task], made: Mapping[str, Made], name: str
) -> Damage | None:
    """What of the recording is lost, in words for its school; None if nothing is. Raises Unreadable if most of it is."""
    lost: dict[tuple[str, bool], int] = {}
    for task in tasks:
        if task.name in made:
            key = (task.view, task.is_urgent)
            lost[key] = lost.get(key, 0) + made[task.name].lost_ms
    lost_ms = survey.cut_off_ms + max(lost.values(), default=0)
    if lost_ms < NOTICED_MS:
        return None
    whole, there = clock_from_ms(probe.duration_ms), clock_from_ms(probe.duration_ms - lost_ms)
    if lost_ms > probe.duration_ms * (1 - LEAST_READABLE):
        reason_zh = f"录像损坏严重：应有 {whole}，实际只有 {there} 可读。录制或上传可能中断了，{_AGAIN_ZH}"
        raise Unreadable(name, f"only {probe.duration_ms - lost_ms} of {probe.duration_ms} ms are readable", reason_zh)
    if survey.cut_off_ms:
        return Damage(lost_ms, f"录像不完整：应有 {whole}，实际只有 {there}。录制或上传可能中断了。")
    about_s = -(-lost_ms // 1000)
    sound = made[SOUND].lost_ms if SOUND in made else 0
    instead = "以静音代替" if sound == lost_ms else "以静止画面代替"
    return Damage(lost_ms, f"录像有损坏：约 {about_s} 秒无法读取，{instead}。")


def gather(made: Made, task_dir: Path, ladder_dir: Path) -> None:
    """Move what a task made to <ladder_dir>/<rung>/, beside what the other tasks made."""
    for rung, segments in made.rungs.items():
        target = ladder_dir / rung
        target.mkdir(parents=True, exist_ok=True)
        for name in (INIT_NAME, *(segment.name for segment in segments)):
            (task_dir / rung / name).replace(target / name)
