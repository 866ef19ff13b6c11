"""What recorders sent and what became of it, newest first: recordings on their way, refusals, and what is not taken in yet."""

from dataclasses import dataclass
from datetime import datetime

from api.deps import Web
from archive.keys import shown
from archive.model import Lesson, Obstacle, Recording, Refusal, Stage, StageState

SHOWN = 60  # the page asks again every few seconds

STAGES_ZH = {
    Stage.RECEIVED: "收到",
    Stage.PROBED: "检查",
    Stage.ENCODED: "转码",
    Stage.TRANSCRIBED: "字幕",
    Stage.INDEXED: "可搜索",
    Stage.PUBLISHED: "可播放",
}


# Playable comes before the words do, so people see it there.
_ORDER = (Stage.RECEIVED, Stage.PROBED, Stage.ENCODED, Stage.PUBLISHED, Stage.TRANSCRIBED, Stage.INDEXED)


@dataclass(frozen=True, slots=True)
class Arriving:
    """One line of the list. `recording` and `lesson` are None while, or because, the object became none."""

    key: str
    at: datetime
    size_bytes: int | None
    recording: Recording | None = None
    lesson: Lesson | None = None
    stages: tuple[StageState, ...] = ()
    refusal: Refusal | None = None

    def has(self, stage: Stage) -> bool:
        return any(state.done for state in self.stages if state.stage is stage)

    @property
    def in_order(self) -> list[StageState]:
        return sorted(self.stages, key=lambda state: _ORDER.index(state.stage))

    @property
    def obstacles(self) -> list[Obstacle]:
        return [state.obstacle for state in self.stages if state.obstacle is not None]

    @property
    def is_moving(self) -> bool:
        """Whether looking again soon may show something new."""
        return self.refusal is None and not (self.has(Stage.PUBLISHED) and self.has(Stage.INDEXED))


def arrivals(web: Web, limit: int = SHOWN) -> list[Arriving]:
    """The newest of all three kinds, at most `limit`."""
    catalog = web.catalog
    taken = [of_recording(web, recording) for recording in catalog.outputs.recordings(limit=limit)]
    # Those without an etag are refused recordings: they are among the recordings above.
    refused = [
        Arriving(shown(refusal.key), refusal.at, None, refusal=refusal)
        for refusal in catalog.arrivals.refused(limit)
        if refusal.etag
    ]
    waiting = [
        Arriving(shown(arrival.key), arrival.seen_at, arrival.size_bytes) for arrival in catalog.arrivals.waiting(limit)
    ]
    return sorted([*taken, *refused, *waiting], key=lambda one: one.at, reverse=True)[:limit]


def of_recording(web: Web, recording: Recording) -> Arriving:
    return Arriving(
        key=shown(recording.key),
        at=recording.received_at,
        size_bytes=recording.size_bytes,
        recording=recording,
        lesson=web.catalog.lessons.find(recording.lesson_id),
        stages=web.catalog.outputs.stages(recording.id),
        refusal=recording.refusal,
    )
