"""The worker's loops: the scan finds what events missed, the wake and the catch-up give every recording its run."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from archive.database import now
from archive.errors import Misconfigured
from ingest import engine, worker
from ingest.engine import Runs
from ingest.intake import take_in
from ingest.runtime import Runtime
from ingest.scan import scan
from tests.ingest.conftest import KEY

Put = Callable[[str, bytes], str]


@pytest.fixture
def runs(runtime: Runtime) -> Iterator[Runs]:
    """The engine's client with nobody at work: what is started stays enqueued and can be counted."""
    engine.migrate(runtime.settings.engine_address)
    made = Runs(runtime.settings.engine_address)
    yield made
    made.close()


def enqueued(runs: Runs) -> int:
    return runs.counts()["enqueued"]


def test_the_scan_starts_one_intake_for_each_object_that_is_not_settled(runtime: Runtime, runs: Runs, put: Put) -> None:
    for day in range(1, 4):
        put(f"xinghuo/301/2026090{day}T0800.mp4", b"%d" % day)
    take_in(runtime, "xinghuo/301/20260901T0800.mp4")
    assert scan(runtime, runs) == 2
    assert scan(runtime, runs) == 2
    assert enqueued(runs) == 2


def test_the_scan_leaves_what_waits_for_its_retry(runtime: Runtime, runs: Runs, put: Put) -> None:
    put(KEY, b"x")
    found = runtime.store.stat(runtime.incoming, KEY)
    assert found is not None
    runtime.catalog.arrivals.note(KEY, found.etag, 1)
    runtime.catalog.arrivals.postpone(KEY, found.etag, now() + timedelta(hours=1))
    assert scan(runtime, runs) == 0
    runtime.catalog.arrivals.postpone(KEY, found.etag, now() - timedelta(seconds=1))
    assert scan(runtime, runs) == 1


def test_an_object_written_anew_is_found_again(runtime: Runtime, runs: Runs, put: Put) -> None:
    put(KEY, b"first")
    take_in(runtime, KEY)
    assert scan(runtime, runs) == 0
    put(KEY, b"second")
    assert scan(runtime, runs) == 1


def test_a_recording_wakes_when_its_retry_is_due_and_not_before(runtime: Runtime, runs: Runs, put: Put) -> None:
    recording_id = take_in(runtime, put(KEY, b"x")).recording_id
    assert recording_id is not None
    runtime.catalog.outputs.hinder(recording_id, "speech", "model-missing", "没有模型", retry_after_s=3600)
    assert worker.wake(runtime, runs) == 0
    runtime.catalog.outputs.retry_now("speech")
    assert worker.wake(runtime, runs) == worker.wake(runtime, runs) == 1
    assert enqueued(runs) == 1


def test_a_recording_that_lost_its_run_gets_a_new_one_and_a_hindered_or_refused_one_does_not(
    runtime: Runtime, runs: Runs, put: Put
) -> None:
    lost, hindered, refused = (
        take_in(runtime, put(f"xinghuo/301/2026090{day}T0800.mp4", b"%d" % day)).recording_id for day in (1, 2, 3)
    )
    assert lost
    assert hindered
    assert refused
    runtime.catalog.outputs.hinder(hindered, "encode", "disk-full", "满", retry_after_s=3600)
    runtime.catalog.outputs.refuse(refused, "unreadable", "x", "坏")
    assert worker.catch_up(runtime, runs) == 1
    assert enqueued(runs) == 1


def test_one_data_directory_has_one_owner(tmp_path: Path) -> None:
    held = worker.only_one(tmp_path / "worker.lock")
    with pytest.raises(Misconfigured, match="already runs"):
        worker.only_one(tmp_path / "worker.lock")
    held.close()
    worker.only_one(tmp_path / "worker.lock").close()
