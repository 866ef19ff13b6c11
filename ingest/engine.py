"""DBOS as we use it: names, queues, the client that enqueues, and the lease that hands a dead worker's runs to the living.

The engine's own recovery covers a worker that comes back under its name. What it lacks is another worker taking over:
`Lease` beats a row in the catalog, and `reap` re-queues what executors with a stale row still hold. It uses one private call
(`DBOS._recover_pending_workflows`), which is conditional on the dead executor's id, so that two reapers do no harm;
tests/ingest/test_engine.py is its contract.
"""

import hashlib
import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import uuid4

from dbos import DBOS, DBOSClient, DBOSConfig, EnqueueOptions
from sqlalchemy import delete, select
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from archive.database import Database, now
from archive.errors import Unavailable
from archive.keys import is_piece
from archive.schema import executor

APPLICATION = "huikan"
# Fixed: a run that began under one release goes on under the next. Raise it only when the order of steps changes.
APPLICATION_VERSION = "3"
CLASS_NAME, INSTANCE_NAME = "Road", "road"

INTAKE, ORCHESTRATE, ENCODE, SPEECH, HEAR, INDEX = "intake", "orchestrate", "encode", "speech", "hear", "index"
_CORES_A_TASK, _BYTES_A_TASK = 4, 2 * 2**30
# Priorities: lower goes first, and an unset one would beat them all, so it is always set.
FRESH, RETRY, BATCH = 10, 20, 100
LATER = 5  # is added to it for what nobody waits for: the larger pictures of a lesson that plays already


@dataclass(frozen=True, slots=True)
class Limits:
    """How many workflows of each queue one worker runs at once. `encode` 0 follows the machine."""

    intake: int = 2
    orchestrate: int = 32
    encode: int = 0
    speech: int = 2  # lessons that are being heard; each only waits
    hear: int = 1  # stretches: one engine uses all cores
    index: int = 1

    @property
    def encode_at_once(self) -> int:
        """A task uses some four cores and a gigabyte or so of memory well; more at once only wait for one another."""
        memory_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        return self.encode or max(1, min((os.cpu_count() or 1) // _CORES_A_TASK, memory_bytes // _BYTES_A_TASK))


def first_run_of(recording_id: str) -> str:
    return f"recording:{recording_id}"


def deduplication_of(recording_id: str, redo: Sequence[str]) -> str:
    """One run of a kind at a time for a recording."""
    return ":".join([recording_id, *sorted(redo)])


def engine_url(address: str) -> str:
    """DBOS wants a plain `postgresql://`; the catalog's address may name a driver."""
    url = make_url(address)
    if url.get_backend_name() == "postgresql":
        return url.set(drivername="postgresql").render_as_string(hide_password=False)
    return url.render_as_string(hide_password=False)


def executor_name() -> str:
    """A name that no other worker ever had: a lease must not outlive its process by being inherited."""
    return f"{socket.gethostname()}-{os.getpid()}-{uuid4().hex[:8]}"


def launch(address: str, executor_id: str, limits: Limits) -> None:
    """Starts the engine in this process. Workflow classes must be instantiated before."""
    config: DBOSConfig = {
        "name": APPLICATION,
        "system_database_url": engine_url(address),
        "application_version": APPLICATION_VERSION,
        "executor_id": executor_id,
        "log_level": "WARNING",
        "notification_listener_polling_interval_sec": 0.2,
    }
    DBOS(config=config)
    DBOS.launch()
    for name, at_once in (
        (INTAKE, limits.intake),
        (ORCHESTRATE, limits.orchestrate),
        (ENCODE, limits.encode_at_once),
        (SPEECH, limits.speech),
        (HEAR, limits.hear),
        (INDEX, limits.index),
    ):
        # never_update: an operator's pause or limit survives a restart.
        DBOS.register_queue(name, worker_concurrency=at_once, polling_interval_sec=0.5, on_conflict="never_update")


def migrate(address: str) -> None:
    """Makes the engine's tables, so that a client may enqueue before the first worker is up."""
    DBOS.migrate(engine_url(address))


def retire_others(address: str) -> int:
    """Cancels what runs of another release left: their steps are not ours. Recordings that lose a run so get a new one
    from the sweep. Call it with no worker of another release running. Returns how many."""
    client = DBOSClient(system_database_url=engine_url(address), application_name=APPLICATION)
    try:
        open_still = client.list_workflows(
            status=["ENQUEUED", "PENDING", "DELAYED"], load_input=False, load_output=False
        )
        others = [found.workflow_id for found in open_still if found.app_version != APPLICATION_VERSION]
        for workflow_id in others:
            client.cancel_workflow(workflow_id)
    finally:
        client.destroy()
    return len(others)


class Runs:
    """Starts runs from any process: the API, a scan, the command line. Idempotent; a hint repeated is one run."""

    def __init__(self, address: str) -> None:
        self._address = engine_url(address)
        self._known: DBOSClient | None = None

    def arrived(self, key: str) -> None:
        """Something may have been put at `key` in the incoming bucket. Raises Unavailable when it cannot be noted."""
        if is_piece(key):
            return  # ingest.live looks for them itself
        once = hashlib.sha256(key.encode(errors="surrogateescape")).hexdigest()
        self._enqueue("intake", INTAKE, once, FRESH, key)

    def process(self, recording_id: str, *, redo: Sequence[str] = (), priority: int = RETRY) -> None:
        """Runs a recording's road; what exists is skipped unless its step is in `redo`."""
        once = deduplication_of(recording_id, redo)
        self._enqueue("recording", ORCHESTRATE, once, priority, recording_id, list(redo), priority)

    def counts(self) -> dict[str, int]:
        """Runs by state: enqueued, pending (running), error. For operators."""
        found = {"enqueued": 0, "pending": 0, "error": 0}
        try:
            for state in found:
                found[state] = len(
                    self._client.list_workflows(status=state.upper(), load_input=False, load_output=False)
                )
        except SQLAlchemyError as error:
            raise _unavailable(error) from error
        return found

    def close(self) -> None:
        if self._known is not None:
            self._known.destroy()
            self._known = None

    @property
    def _client(self) -> DBOSClient:
        if self._known is None:
            self._known = DBOSClient(
                system_database_url=self._address, application_name=APPLICATION, retry_connection_errors=False
            )
        return self._known

    def _enqueue(self, workflow: str, queue: str, once: str, priority: int, *arguments: Any) -> None:
        options: EnqueueOptions = {
            "workflow_name": workflow,
            "queue_name": queue,
            "class_name": CLASS_NAME,
            "instance_name": INSTANCE_NAME,
            "app_version": APPLICATION_VERSION,
            "deduplication_id": once,
            "duplication_policy": "return-existing",
            "priority": priority,
        }
        try:
            self._client.enqueue(options, *arguments)
        except SQLAlchemyError as error:
            raise _unavailable(error) from error


def _unavailable(error: SQLAlchemyError) -> Unavailable:
    return Unavailable("任务引擎", str(error).splitlines()[0], "请检查数据库是否在运行、数据盘是否已满。")


class Lease:
    """One worker's heartbeat. A worker whose beat is older than the TTL is dead to the others."""

    def __init__(self, database: Database, executor_id: str, ttl_s: float) -> None:
        self._db, self.executor_id, self._ttl_s = database, executor_id, ttl_s

    def beat(self) -> None:
        at = now()
        insert = self._db.insert(executor).values(id=self.executor_id, started_at=at, beat_at=at)
        with self._db.writing() as tx:
            tx.execute(insert.on_conflict_do_update(index_elements=["id"], set_={"beat_at": at}))

    def reap(self) -> list[str]:
        """Re-queues what dead executors hold and forgets them. Returns their names."""
        with self._db.reading() as tx:
            stale = executor.c.beat_at < now() - timedelta(seconds=self._ttl_s)
            dead = list(tx.execute(select(executor.c.id).where(stale, executor.c.id != self.executor_id)).scalars())
        if dead:
            DBOS._recover_pending_workflows(dead)  # pyright: ignore[reportPrivateUsage]
            with self._db.writing() as tx:
                # A worker that was only slow beats again and re-appears; what it held is then run twice, which is allowed.
                tx.execute(
                    delete(executor).where(
                        executor.c.id.in_(dead), executor.c.beat_at < now() - timedelta(seconds=self._ttl_s)
                    )
                )
        return dead

    def resign(self) -> None:
        """This worker stops: its beat is stale at once, so that others need not wait."""
        with self._db.writing() as tx:
            tx.execute(
                executor.update().where(executor.c.id == self.executor_id).values(beat_at=now() - timedelta(days=1))
            )


def living(database: Database, ttl_s: float) -> list[str]:
    """The workers whose beat is fresh: for /health and `doctor`."""
    with database.reading() as tx:
        fresh = executor.c.beat_at >= now() - timedelta(seconds=ttl_s)
        return list(tx.execute(select(executor.c.id).where(fresh)).scalars())
