"""The durable road of an upload. The only file with engine decorators; steps carry ids and keys, never objects.

    intake(key)                    one object → recording or refusal             queue intake
    recording(id, redo, priority)  probe → (survey, encode… ∥ speech) → index → publish   queue orchestrate, waits
    encode(id, task)               one part of a ladder, or its finish           queue encode: on any worker, many at once
    speech(id, redo, priority)     plan → hear… → the next edition               queue speech, waits
    hear(id, start_ms, end_ms)     one stretch of the sound                      queue hear: on any worker, many share a lesson
    index / index_partly           one heavy step each                           a queue of its own: limits are per queue

A lesson is published as soon as its sound and its smallest picture are whole, and again with everything else; its words are
indexed as soon as they are heard, while larger pictures are still being made.

A workflow ends for good: done, refused or hindered. Hindered means Unavailable: the obstacle is in the catalog with its
retry time, and the worker's sweep starts a new run then, which finds finished outputs and skips them. No slot is held while
something is waited for.
"""

import errno
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import structlog
from dbos import DBOS, DBOSConfiguredInstance, SetEnqueueOptions, SetWorkflowID, WorkflowHandle
from dbos import error as engine_error

from archive.crash import crash_point
from archive.database import now
from archive.errors import DiskFull, HuikanError, Rejected, Unavailable
from archive.keys import shown
from archive.model import Span
from ingest import encoding, engine, hearing, intake, steps
from ingest.runtime import Runtime
from transcode.plan import Task

log = structlog.get_logger()

DONE, REFUSED, HINDERED = "done", "refused", "hindered"
OPEN, FINISH = "open", "finish"
_STEP_OF = {OPEN: "encode"}  # what people see is one step

_PARTLY_EVERY = 2  # stretches: every ten minutes of a lesson that is being heard can be searched

_FIRST_RETRY_S = 5.0
_LONGEST_RETRY_S = 600.0
_CRASHES_ALLOWED = 5  # a recording that takes its worker down this often is left alone for a day (dead letter)
_DAY_S = 86_400.0
# Only these say something about the recording itself; a lesson without words is still a lesson.
_FATAL_STEPS = frozenset({"probe", "encode"})


def retry_after_s(attempts: int) -> float:
    """5 s, then doubling, to ten minutes at most."""
    return min(_LONGEST_RETRY_S, _FIRST_RETRY_S * 2 ** min(attempts, 10))


@DBOS.dbos_class(engine.CLASS_NAME)
class Road(DBOSConfiguredInstance):
    """All workflows, over one Runtime. One instance a process, under a fixed name: the engine finds it by that name."""

    def __init__(self, runtime: Runtime) -> None:
        super().__init__(engine.INSTANCE_NAME)
        self._runtime = runtime

    # --- workflows: deterministic, without effects of their own -----------------------------------------------------

    @DBOS.workflow(name="intake", max_recovery_attempts=_CRASHES_ALLOWED)
    def intake(self, key: str) -> str:
        taken = self._take_in(key)
        recording_id, redo = taken["recording_id"], taken["redo"]
        if not recording_id:
            return ""
        priority = taken.get("priority", engine.FRESH)  # a release before this one did not say
        if redo:
            self._enqueue_road(recording_id, redo, priority)
        else:
            with SetWorkflowID(engine.first_run_of(recording_id)):
                self._enqueue_road(recording_id, redo, priority)
        return recording_id

    def _enqueue_road(self, recording_id: str, redo: list[str], priority: int) -> None:
        once = engine.deduplication_of(recording_id, redo)
        with SetEnqueueOptions(priority=priority, deduplication_id=once, duplication_policy="return-existing"):
            DBOS.enqueue_workflow(engine.ORCHESTRATE, self.recording, recording_id, redo, priority)

    @DBOS.workflow(name="recording", max_recovery_attempts=None)
    def recording(self, recording_id: str, redo: list[str], priority: int) -> str:
        probed = self._do(recording_id, "probe", [])
        if probed != DONE:
            return probed
        with SetEnqueueOptions(priority=priority):
            listening = DBOS.enqueue_workflow(engine.SPEECH, self.speech, recording_id, redo, priority)
        indexing: list[WorkflowHandle[str]] = []

        def index() -> None:
            with SetEnqueueOptions(priority=priority):
                indexing.append(DBOS.enqueue_workflow(engine.INDEX, self.index, recording_id, redo))

        def index_if_heard() -> None:
            if not indexing and self._is_heard(recording_id, redo):
                index()

        encoded = self._encoded(recording_id, redo, priority, index_if_heard)
        heard = self._outcome(recording_id, "speech", listening.get_result)
        if encoded == REFUSED:
            return REFUSED  # whatever was heard: without a picture or a sound to play it is no lesson
        if not indexing:
            index()
        indexed = self._outcome(recording_id, "index", indexing[0].get_result)
        if HINDERED in (encoded, heard, indexed):
            return HINDERED
        return self._do(recording_id, "publish", [])

    def _encoded(self, recording_id: str, redo: list[str], priority: int, between: Callable[[], None]) -> str:
        """The ladder, task by task; published twice on the way. The part of `recording` that has children by the dozen.
        `between` is called now and then once the lesson plays: what has become possible need not wait for the last task.
        """
        surveyed = self._survey(recording_id, redo)
        if surveyed["outcome"] != DONE:
            return surveyed["outcome"]
        urgent = self._enqueue_tasks(recording_id, surveyed["urgent"], priority)
        later = self._enqueue_tasks(recording_id, surveyed["later"], priority + engine.LATER)
        outcomes = [self._outcome(recording_id, "encode", task.get_result) for task in urgent]
        if all(outcome == DONE for outcome in outcomes):
            outcomes.append(self._do(recording_id, OPEN, []))
            if outcomes[-1] == DONE:
                self._do(recording_id, "publish", [])  # playable now; larger pictures, board and words follow
        for task in later:
            if outcomes[-1] == DONE:
                between()
            outcomes.append(self._outcome(recording_id, "encode", task.get_result))
        for worst in (REFUSED, HINDERED):
            if worst in outcomes:
                return worst
        (last,) = self._enqueue_tasks(recording_id, [FINISH], priority)
        return self._outcome(recording_id, "encode", last.get_result)

    def _enqueue_tasks(self, recording_id: str, tasks: list[str], priority: int) -> list[WorkflowHandle[str]]:
        with SetEnqueueOptions(priority=priority):
            return [DBOS.enqueue_workflow(engine.ENCODE, self.encode, recording_id, task) for task in tasks]

    @DBOS.workflow(name="encode", max_recovery_attempts=_CRASHES_ALLOWED)
    def encode(self, recording_id: str, task: str) -> str:
        return self._do(recording_id, "encode", [], task)

    @DBOS.workflow(name="speech", max_recovery_attempts=_CRASHES_ALLOWED)
    def speech(self, recording_id: str, redo: list[str], priority: int) -> str:
        """Holds its place in the queue, and nothing else, while any worker hears the stretches."""
        planned = self._plan_hearing(recording_id, redo)
        if planned["outcome"] != DONE:
            return planned["outcome"]
        with SetEnqueueOptions(priority=priority):
            stretches = [
                DBOS.enqueue_workflow(engine.HEAR, self.hear, recording_id, start_ms, end_ms)
                for start_ms, end_ms in planned["stretches"]
            ]
        outcomes: list[str] = []
        for done, stretch in enumerate(stretches, start=1):
            outcomes.append(self._outcome(recording_id, "speech", stretch.get_result))
            if done % _PARTLY_EVERY == 0 and done < len(stretches) and HINDERED not in outcomes:
                with SetEnqueueOptions(priority=priority):
                    DBOS.enqueue_workflow(engine.INDEX, self.index_partly, recording_id).get_result()
        for worst in (REFUSED, HINDERED):
            if worst in outcomes:
                return worst
        return self._do(recording_id, "speech", redo)

    @DBOS.workflow(name="hear", max_recovery_attempts=_CRASHES_ALLOWED)
    def hear(self, recording_id: str, start_ms: int, end_ms: int) -> str:
        return self._hear(recording_id, start_ms, end_ms)

    @DBOS.workflow(name="index_partly", max_recovery_attempts=_CRASHES_ALLOWED)
    def index_partly(self, recording_id: str) -> str:
        return self._index_partly(recording_id)

    @DBOS.workflow(name="index", max_recovery_attempts=_CRASHES_ALLOWED)
    def index(self, recording_id: str, redo: list[str]) -> str:
        return self._do(recording_id, "index", redo)

    def _outcome(self, recording_id: str, step: str, result: Callable[[], str]) -> str:
        """A child's word. A child that was given up, for its worker died of it again and again, is an obstacle."""
        try:
            return result()
        except engine_error.DBOSException as error:
            return self._give_up(recording_id, step, type(error).__name__)

    # --- steps: effects, done once or again -------------------------------------------------------------------------

    @DBOS.step(name="take_in")
    def _take_in(self, key: str) -> dict[str, Any]:
        try:
            taken = intake.take_in(self._runtime, key)
        except Unavailable as error:
            log.warning("intake postponed", key=shown(key), reason=str(error))
            taken = intake.TakenIn(early=True)
        if taken.early:
            self._postpone(key)
        if taken.recording_id:
            log.info("taken in", key=shown(key), recording=taken.recording_id, redo=taken.redo)
        priority = engine.BATCH if intake.is_old(key) else engine.FRESH
        return {"recording_id": taken.recording_id or "", "redo": list(taken.redo), "priority": priority}

    def _postpone(self, key: str) -> None:
        runtime = self._runtime
        there = runtime.store.stat(runtime.incoming, key)
        if there is not None:
            attempts = runtime.catalog.arrivals.note(key, there.etag, there.size_bytes).attempts
            retry_at = now() + timedelta(seconds=retry_after_s(attempts))
            runtime.catalog.arrivals.postpone(key, there.etag, retry_at)

    @DBOS.step(name="is_heard")
    def _is_heard(self, recording_id: str, redo: list[str]) -> bool:
        """Whether there are words that this run will not replace."""
        return self._runtime.catalog.transcripts.current(recording_id) is not None and "speech" not in redo

    @DBOS.step(name="give_up")
    def _give_up(self, recording_id: str, step: str, why: str) -> str:
        log.error("step given up", recording=recording_id, step=step, why=why)
        zh = f"处理到“{step}”时工作进程多次异常退出（{why}）。请检查内存是否足够，再运行 huikan reprocess。"
        self._runtime.catalog.outputs.hinder(recording_id, step, "gave-up", zh, retry_after_s=_DAY_S)
        return HINDERED

    @DBOS.step(name="survey")
    def _survey(self, recording_id: str, redo: list[str]) -> dict[str, Any]:
        """Names of the tasks that are to be done: urgent ones, and those that can wait."""
        tasks: list[Task] = []

        def survey() -> None:
            tasks[:] = encoding.survey_recording(self._runtime, recording_id, redo="encode" in redo)

        outcome = self._guarded(recording_id, "encode", survey, is_last=False)
        names = {urgent: [task.name for task in tasks if task.is_urgent is urgent] for urgent in (True, False)}
        return {"outcome": outcome, "urgent": names[True], "later": names[False]}

    @DBOS.step(name="plan_hearing")
    def _plan_hearing(self, recording_id: str, redo: list[str]) -> dict[str, Any]:
        """The stretches that are to be heard, as pairs of milliseconds."""
        stretches: list[tuple[int, int]] = []

        def plan() -> None:
            planned = hearing.plan_hearing(self._runtime, recording_id, redo="speech" in redo)
            stretches[:] = [(each.start_ms, each.end_ms) for each in planned]

        outcome = self._guarded(recording_id, "speech", plan, is_last=False)
        return {"outcome": outcome, "stretches": stretches}

    @DBOS.step(name="hear")
    def _hear(self, recording_id: str, start_ms: int, end_ms: int) -> str:
        act = partial(hearing.hear_stretch, self._runtime, recording_id, Span(start_ms, end_ms))
        return self._guarded(recording_id, "speech", act, is_last=False)

    @DBOS.step(name="index_partly")
    def _index_partly(self, recording_id: str) -> str:
        act = partial(hearing.index_what_is_heard, self._runtime, recording_id)
        return self._guarded(recording_id, "index", act, is_last=False)

    @DBOS.step(name="do")
    def _do(self, recording_id: str, step: str, redo: list[str], task: str = "") -> str:
        """Runs one step, or one task of it."""
        if task in ("", FINISH):
            act = partial(_STEPS[task or step], self._runtime, recording_id, step in redo)
        else:
            act = partial(encoding.encode_task, self._runtime, recording_id, task)
        return self._guarded(recording_id, _STEP_OF.get(step, step), act, is_last=step != OPEN and task in ("", FINISH))

    def _guarded(self, recording_id: str, step: str, act: Callable[[], None], *, is_last: bool = True) -> str:
        """Acts, and turns errors into what the catalog keeps. Only a catalog that is down escapes. `is_last`: the step is
        done then, and nothing stands in its way."""
        with structlog.contextvars.bound_contextvars(recording=recording_id, step=step):
            crash_point(f"{step}:begin")
            outputs = self._runtime.catalog.outputs
            if outputs.recording(recording_id).refusal is not None:
                outputs.overcome(recording_id, step)
                return REFUSED
            try:
                act()
            except HuikanError as error:
                return self._set_back(recording_id, step, error)
            except OSError as error:
                if error.errno == errno.ENOSPC:
                    return self._set_back(recording_id, step, _disk_full(self._runtime, error))
                return self._set_back(recording_id, step, _surprise(error))
            except Exception as error:  # noqa: BLE001 — the border of the pipeline: a fault of ours must not lose an upload
                return self._set_back(recording_id, step, _surprise(error))
            if is_last:
                outputs.overcome(recording_id, step)
                log.info("step done")
            return DONE

    def _set_back(self, recording_id: str, step: str, error: HuikanError) -> str:
        outputs = self._runtime.catalog.outputs
        if isinstance(error, Rejected) and step in _FATAL_STEPS:
            log.warning("recording refused", code=error.code, reason=str(error))
            outputs.refuse(recording_id, error.code, str(error), error.reason_zh)
            return REFUSED
        before = [known for known in outputs.obstacles(recording_id=recording_id) if known.step == step]
        if before and before[0].retry_at and before[0].retry_at > datetime.now(UTC):
            return HINDERED  # another task of the same step met it a moment ago: one obstacle, one attempt
        wait_s = _DAY_S if isinstance(error, Rejected) else retry_after_s(before[0].attempts if before else 0)
        log.warning("step hindered", code=error.code, reason=str(error), retry_after_s=wait_s)
        outputs.hinder(recording_id, step, error.code, error.reason_zh, retry_after_s=wait_s)
        return HINDERED


def _probe(runtime: Runtime, recording_id: str, _redo: bool) -> None:  # noqa: FBT001
    steps.probe_recording(runtime, recording_id)


def _open(runtime: Runtime, recording_id: str, _redo: bool) -> None:  # noqa: FBT001
    encoding.open_early(runtime, recording_id)


def _finish(runtime: Runtime, recording_id: str, _redo: bool) -> None:  # noqa: FBT001
    encoding.finish_encoding(runtime, recording_id)


def _speech(runtime: Runtime, recording_id: str, redo: bool) -> None:  # noqa: FBT001
    hearing.finish_hearing(runtime, recording_id, redo=redo)


def _index(runtime: Runtime, recording_id: str, redo: bool) -> None:  # noqa: FBT001
    steps.index_recording(runtime, recording_id, redo=redo)


def _publish(runtime: Runtime, recording_id: str, _redo: bool) -> None:  # noqa: FBT001
    steps.publish_recording(runtime, recording_id)


_STEPS: dict[str, Callable[[Runtime, str, bool], None]] = {
    "probe": _probe,
    OPEN: _open,
    FINISH: _finish,
    "speech": _speech,
    "index": _index,
    "publish": _publish,
}


def _disk_full(runtime: Runtime, error: OSError) -> DiskFull:
    return DiskFull("工作盘", str(error), f"请清理 {runtime.settings.work_dir} 所在磁盘。")


def _surprise(error: Exception) -> Unavailable:
    log.exception("a step failed in a way nobody foresaw", exc_info=error)
    return Unavailable(
        "处理程序", f"{type(error).__name__}: {error}"[:300], "这是回看自身的错误，请把日志交给维护者；会自动重试。"
    )
