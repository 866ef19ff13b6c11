"""The road on the real engine, in this process. One test: the engine finds workflows by a name that a process has once."""

from collections.abc import Callable
from pathlib import Path

import pytest
from dbos import DBOS, WorkflowStatus

from ingest import engine
from ingest.runtime import Runtime
from ingest.workflow import DONE, FINISH, Road
from tests.ingest.conftest import KEY
from tests.serving import eventually
from tests.transcode.clips import make, picture, sound, x264
from transcode import plan

Put = Callable[[str, bytes], str]


def test_what_was_said_is_found_while_the_larger_pictures_are_still_being_made(
    runtime: Runtime, put: Put, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "PART_S", 6)
    monkeypatch.setattr(plan, "_AHEAD_FROM_S", 12)
    source = make(tmp_path / "a.mp4", picture("854x480", seconds=24), sound(24), x264())
    key = put(KEY, source.read_bytes())
    address = runtime.settings.engine_address
    engine.migrate(address)
    Road(runtime)
    engine.launch(address, engine.executor_name(), engine.Limits(encode=1))
    runs = engine.Runs(address)
    try:
        runs.arrived(key)
        eventually(lambda: bool(_runs("recording", "SUCCESS")), 120, "the end of the road")
        (road,) = _runs("recording", "SUCCESS")
        (index,) = _runs("index", "SUCCESS")
        encodes = _runs("encode", "SUCCESS")
    finally:
        runs.close()
        DBOS.destroy()
    assert road.output == DONE
    (finish,) = (run for run in encodes if run.input is not None and FINISH in run.input["args"])
    assert index.created_at is not None
    assert finish.created_at is not None
    assert index.created_at < finish.created_at
    (lesson,) = runtime.catalog.lessons.every()
    assert lesson.searchable_at is not None


def _runs(name: str, status: str) -> list[WorkflowStatus]:
    return DBOS.list_workflows(name=name, status=status)
