"""The engine's contract with us: one run for many hints, and a dead worker's run goes to a living one.

The second is not DBOS's own promise but ours over one of its private calls: this is where an upgrade would show.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from archive.catalog import Catalog
from archive.database import Database
from archive.errors import Unavailable
from ingest import engine
from ingest.engine import Lease, Runs, living
from tests.serving import eventually

SCRIPT = Path(__file__).with_name("lease_worker.py")
Start = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture(params=["sqlite", "postgres"])
def addresses(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, str]:
    """(engine, catalog)"""
    if request.param == "sqlite":
        found = f"sqlite:///{tmp_path / 'engine.sqlite'}", f"sqlite:///{tmp_path / 'catalog.sqlite'}"
    else:
        url = request.getfixturevalue("postgres_url")
        found = url, url
    catalog = Catalog(found[1])
    catalog.migrate()
    catalog.close()
    engine.migrate(found[0])
    return found


@pytest.fixture
def start(addresses: tuple[str, str], tmp_path: Path) -> Iterator[Start]:
    running: list[subprocess.Popen[bytes]] = []

    def begin(name: str, *rest: str) -> "subprocess.Popen[bytes]":
        command = [sys.executable, str(SCRIPT), *addresses, name, str(tmp_path / "written"), *rest]
        environment = os.environ | {"PYTHONPATH": str(SCRIPT.parents[2])}
        process = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment)
        running.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        return process

    yield begin
    for process in running:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def lines(tmp_path: Path) -> list[str]:
    file = tmp_path / "written"
    return file.read_text(encoding="utf-8").splitlines() if file.exists() else []


def test_a_hint_repeated_a_hundred_times_is_one_run(addresses: tuple[str, str], start: Start, tmp_path: Path) -> None:
    runs = Runs(addresses[0])
    for _ in range(100):
        runs.arrived("a/b/20260901T0800.mp4")
    runs.arrived("a/b/20260902T0800.mp4")
    assert runs.counts()["enqueued"] == 2
    start("one")
    eventually(lambda: len(lines(tmp_path)) == 2)
    eventually(lambda: sum(runs.counts().values()) == 0)
    runs.close()
    assert sorted(lines(tmp_path)) == ["one a/b/20260901T0800.mp4", "one a/b/20260902T0800.mp4"]


def test_a_dead_workers_run_goes_to_a_living_one(addresses: tuple[str, str], start: Start, tmp_path: Path) -> None:
    runs = Runs(addresses[0])
    doomed = start("doomed", "linger")
    runs.arrived("a/b/20260901T0800.mp4")
    eventually(lambda: lines(tmp_path) == ["doomed a/b/20260901T0800.mp4"])
    start("heir")
    doomed.send_signal(signal.SIGKILL)
    eventually(lambda: lines(tmp_path)[1:] == ["heir a/b/20260901T0800.mp4"])
    eventually(lambda: runs.counts()["pending"] == 0)
    runs.close()


def test_a_worker_that_comes_back_under_its_name_goes_on_at_once(
    addresses: tuple[str, str], start: Start, tmp_path: Path
) -> None:
    runs = Runs(addresses[0])
    first = start("same", "linger")
    runs.arrived("a/b/20260901T0800.mp4")
    eventually(lambda: len(lines(tmp_path)) == 1)
    first.kill()
    first.wait()
    start("same")
    eventually(lambda: len(lines(tmp_path)) == 2)
    eventually(lambda: runs.counts()["pending"] == 0)
    runs.close()


def test_a_fresh_lease_is_alive_and_a_resigned_one_is_not(addresses: tuple[str, str]) -> None:
    database = Database(addresses[1])
    lease = Lease(database, "me", ttl_s=30)
    assert living(database, 30) == []
    lease.beat()
    lease.beat()
    assert living(database, 30) == ["me"]
    lease.resign()
    assert living(database, 30) == []
    database.close()


def test_an_engine_that_cannot_be_reached_is_unavailable(tmp_path: Path) -> None:
    runs = Runs(f"postgresql://huikan@/x?host={tmp_path}")
    with pytest.raises(Unavailable, match="任务引擎"):
        runs.arrived("a/b/20260901T0800.mp4")
    runs.close()
