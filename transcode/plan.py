"""How the making of a ladder is cut into tasks that are done once each, in any order, by any number of workers. Pure.

A lesson is cut into parts of four minutes on the grid of its hls_segments, so that the parts' segments, numbered on,
are the same as those of one long run. The smallest picture and the sound come first: a child can watch while the
larger pictures are still being made. A killed worker costs one task.
"""

from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from typing import Any

from archive.model import Probe
from transcode.ladder import (
    HLS_SEGMENT_S,
    SPEECH,
    AudioRung,
    CopyRung,
    Rung,
    VideoRung,
    View,
    copy_rung,
    frame_rate_of,
    rungs_for,
    video_rungs,
    views_of,
)

PART_S = 40 * HLS_SEGMENT_S
# Of a lesson that is still being taught, a part of the smallest picture is made as soon as so much of it is here: this is how
# far behind the teacher one watches, and the most that is left of it to do when the bell rings.
LIVE_PART_S = 20 * HLS_SEGMENT_S
# Below this the smallest picture is not made ahead of the others: whoever waits, waits a few minutes either way, and a
# second decode costs a tenth more.
_AHEAD_FROM_S = 600

SOUND, MORE_SOUND = "sound", "sound-more"

# With less than this of a recording left it is not the lesson any more that people would look for.
LEAST_READABLE = 0.5


@dataclass(frozen=True, slots=True)
class Reading:
    """What a walk through a video track's packets told; times are the recording's, from its first track's first packet.

    `crf_offset` is transcode.per_title's: how much coarser than usual all rungs of this view may be.
    """

    start_ms: int
    end_ms: int
    longest_gop_ms: int
    longest_gap_ms: int  # between packets: what a decoder leaves open beyond it, it has lost
    kbps: int
    crf_offset: int = 0


@dataclass(frozen=True, slots=True)
class Survey:
    """What must be known before a recording is cut, and no header tells. `video` is in the order of Probe.video.

    `seekable` False: the file cannot be entered in the middle, so there is one part. `cut_off_ms` is what the header
    promised beyond the last packet of all.
    """

    video: tuple[Reading, ...]
    audio_end_ms: int
    seekable: bool
    cut_off_ms: int
    live: bool = False  # the smallest picture is made apart, in parts of just LIVE_PART_S, from before its end is known
    gain_db: float | None = None  # what was found of its first minutes then; None where the whole is measured

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, kept: dict[str, Any]) -> "Survey":
        return cls(
            tuple(Reading(**reading) for reading in kept["video"]),
            kept["audio_end_ms"],
            kept["seekable"],
            kept["cut_off_ms"],
            kept.get("live", False),
            kept.get("gain_db"),
        )

    @property
    def end_ms(self) -> int:
        return max([self.audio_end_ms, *(reading.end_ms for reading in self.video)])


@dataclass(frozen=True, slots=True)
class Task:
    """Pictures of one view from `start_s` on, in some of its rungs, `pictures` of them at ladder.frame_rate_of; or the
    source's own picture (`pictures` 0); or all sounds (no view). `is_urgent`: nothing can be watched before it.
    """

    name: str
    rungs: tuple[str, ...]
    is_urgent: bool
    view: str = ""
    start_s: int = 0
    pictures: int = 0

    @property
    def first_segment(self) -> int:
        return self.start_s // HLS_SEGMENT_S


def tasks_for(source: Probe, survey: Survey) -> tuple[Task, ...]:
    """Urgent ones first, each kind in the order of the lesson. The same for ever under one ladder EDITION."""
    tasks: list[Task] = []
    views = views_of(source)
    if source.audio:
        sounds = tuple(rung.name for rung in rungs_for(source) if isinstance(rung, AudioRung))
        if survey.live:
            # Whoever waits after the bell waits for this: one sound is a third of the work.
            tasks.append(Task(MORE_SOUND, tuple(name for name in sounds if name != SPEECH.name), is_urgent=False))
            sounds = (SPEECH.name,)
        tasks.append(Task(SOUND, sounds, is_urgent=True))
    for view, reading in zip(views, survey.video, strict=True):
        names = tuple(rung.name for rung in video_rungs(view))
        tiers = [names[-1:], names[:-1]] if _goes_ahead(survey, names) else [names]
        for tier, rungs in enumerate(tiers):
            urgent = tier == 0 and view is views[0]
            tasks += _parts(view, reading, rungs, survey, is_urgent=urgent)
    tasks += [
        Task(f"{rung.name}-copy", (rung.name,), is_urgent=False, view=rung.view) for rung in copies(source, survey)
    ]
    return tuple(sorted(tasks, key=lambda task: not task.is_urgent))


def copies(source: Probe, survey: Survey) -> tuple[CopyRung, ...]:
    """The pictures that are worth keeping as they are."""
    views = zip(views_of(source), survey.video, strict=True)
    found = [copy_rung(view, kbps=r.kbps, longest_gop_ms=r.longest_gop_ms) for view, r in views]
    return tuple(rung for rung in found if rung is not None and not survey.cut_off_ms)


def all_rungs(source: Probe, survey: Survey) -> dict[str, Rung]:
    """Everything that comes of this recording, by name."""
    offsets = {view.name: reading.crf_offset for view, reading in zip(views_of(source), survey.video, strict=True)}
    made = [
        replace(rung, crf=rung.crf + offsets[rung.view]) if isinstance(rung, VideoRung) else rung
        for rung in rungs_for(source)
    ]
    return {rung.name: rung for rung in (*made, *copies(source, survey))}


def pictures_in(reading: Reading, rate: Fraction) -> int:
    """How many pictures of this rate a view has, from the recording's first instant: within half a picture of its end."""
    return max(1, round(rate * reading.end_ms / 1000))


def live_task(source: Probe, part: int) -> Task:
    """The smallest picture of one LIVE_PART_S of a lesson that goes on: the task that `tasks_for` will name so, unless it
    turns out to be the last and shorter."""
    view = views_of(source)[0]
    name = video_rungs(view)[-1].name
    pictures = int(frame_rate_of(view.track) * LIVE_PART_S)
    return Task(
        f"{name}-{part:03d}", (name,), is_urgent=True, view=view.name, start_s=part * LIVE_PART_S, pictures=pictures
    )


def view_of(task: Task, source: Probe) -> View:
    return next(view for view in views_of(source) if view.name == task.view)


def weight(task: Task, source: Probe) -> float:
    """How much work a task is, in pixels to encode; for telling how far the whole is."""
    if task.name in (SOUND, MORE_SOUND):
        return 2e7 + source.duration_ms * 5e2  # as much as the smallest picture, roughly
    areas = {rung.name: rung.width_px * rung.height_px for view in views_of(source) for rung in video_rungs(view)}
    return task.pictures * (sum(areas.get(name, 0) for name in task.rungs) + 4e5) or source.size_bytes / 10


def most_bytes(task: Task, source: Probe, survey: Survey) -> int:
    """What a task can come to on disk: as much as its rungs' caps allow, or the source's own picture."""
    rungs = all_rungs(source, survey)
    if any(isinstance(rungs[name], CopyRung) for name in task.rungs):
        return source.size_bytes
    kbps = sum(_cap_kbps(rungs[name]) for name in task.rungs)
    seconds = (
        survey.end_ms / 1000
        if task.name in (SOUND, MORE_SOUND)
        else task.pictures / frame_rate_of(view_of(task, source).track)
    )
    return int(kbps * 125 * seconds)


def _cap_kbps(rung: Rung) -> int:
    if isinstance(rung, AudioRung):
        return 2 * rung.bitrate_kbps  # what an encoder may overshoot on music
    return rung.cap_kbps if isinstance(rung, VideoRung) else 0


def _goes_ahead(survey: Survey, names: tuple[str, ...]) -> bool:
    return len(names) > 1 and (survey.live or survey.end_ms >= _AHEAD_FROM_S * 1000)


def _parts(view: View, reading: Reading, rungs: tuple[str, ...], survey: Survey, *, is_urgent: bool) -> list[Task]:
    rate = frame_rate_of(view.track)
    pictures = pictures_in(reading, rate)
    part_s = LIVE_PART_S if survey.live and is_urgent else PART_S
    in_a_part = int(rate * part_s)
    if not survey.seekable:
        parts = 1
    elif survey.live and is_urgent:
        parts = -(-pictures // in_a_part)  # what was made before the end was known stands as it is
    else:
        # A last part of less than half a part's length is not worth a start of its own.
        parts = max(1, (pictures + in_a_part // 2) // in_a_part)
    ends = [*(in_a_part * n for n in range(1, parts)), pictures]
    return [
        Task(f"{rungs[0]}-{n:03d}", rungs, is_urgent, view.name, n * part_s, end - n * in_a_part)
        for n, end in enumerate(ends)
    ]
