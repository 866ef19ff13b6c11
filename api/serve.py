"""`huikan serve`: the whole of Huikan in one process tree.

    this process          settings, locks, the API (uvicorn)
    ├── weed              the embedded object store, unless another is configured
    ├── huikan worker     the pipeline; started again when it dies
    └── huikan gateway    FTP, watched folder and cameras, if any of them is switched on; likewise

Children die with this process, however it dies (PR_SET_PDEATHSIG). Ctrl-C and SIGTERM stop everything in order.
"""

import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager
from types import FrameType

import structlog
import uvicorn

from api.app import create_app
from api.deps import Parts
from api.embedded import EmbeddedStore, seaweedfs
from api.recorders import adopt
from api.state import Serving, announce, withdraw
from archive import sandbox
from archive.catalog import Catalog
from archive.errors import HuikanError, Misconfigured, Unavailable
from archive.settings import Settings, secret
from archive.tool import tied_to_us
from ingest import engine, gateways, lexicon
from ingest.admission import watch_quotas
from ingest.engine import Runs, living
from ingest.inbox import Inbox
from ingest.keyring import keyring_of
from ingest.runtime import Runtime, open_runtime
from ingest.worker import only_one
from search.index import warm

log = structlog.get_logger()

_STOP_S = 10.0
_WARM_AFTER_S = 15.0
_QUOTAS_EVERY_S = 15.0
_WANTED_EVERY_S = 3.0
_RESTART_AFTER_S = (0.5, 1, 2, 5, 10, 30)
_PORTS_TRIED = 50


class ServedRuns:
    """What the API may ask of the pipeline (api.deps.Runs)."""

    def __init__(self, runtime: Runtime, runs: Runs, inbox: Inbox) -> None:
        self._runtime, self._runs, self._inbox = runtime, runs, inbox

    def arrived(self, bucket: str, key: str) -> None:
        if bucket == self._runtime.incoming:
            self._inbox.note(key)

    def pulse(self) -> dict[str, bool]:
        """For /health: nothing about lessons, only whether the parts answer."""
        return {"worker": bool(living(self._runtime.catalog.database, self._runtime.settings.lease_ttl_s))}


def serve(settings: Settings) -> None:
    """Runs until SIGTERM or Ctrl-C. Raises Misconfigured or Unavailable when it cannot start, or lost its store."""
    sandbox.demand(settings.sandbox)
    _end_on_signal()
    with ExitStack() as stack:
        stack.callback(only_one(settings.home / "serve.lock").close)
        listener = _listen(settings.host, settings.port)
        stack.callback(listener.close)
        port = listener.getsockname()[1]
        address = settings.public_url or f"http://{_reachable(settings.host)}:{port}"
        store = stack.enter_context(_store(settings, port)) if settings.embedded_store else None
        endpoint = store.endpoint if store else settings.store_endpoint
        parts = stack.enter_context(_parts(settings, endpoint))
        stack.enter_context(_worker(endpoint))
        stack.enter_context(_child(endpoint, ["gateway", "run"], lambda: gateways.wanted(settings)))
        server = _server(parts)
        lost = threading.Event()
        if store:
            _watch(store.pid, server, lost)
        stack.callback(withdraw, settings.home)
        _warm_later(settings)
        _watch_recorders(settings, parts.catalog)
        _announce(server, settings, Serving(address, endpoint, os.getpid()))
        server.run(sockets=[listener])
        if lost.is_set():
            raise Unavailable(
                "内置对象存储", "its process ended", f"请查看日志 {settings.home / 'store' / 'log'}，再启动。"
            )


@contextmanager
def _parts(settings: Settings, endpoint: str) -> Generator[Parts]:
    """What the API works with; tables and buckets exist before the first request and the first worker."""
    runtime = open_runtime(settings, endpoint=endpoint)
    runs, inbox = Runs(settings.engine_address), Inbox(runtime.catalog.hints)
    try:
        runtime.catalog.migrate()
        engine.migrate(settings.engine_address)
        for bucket in (runtime.incoming, runtime.media):
            runtime.store.ensure_bucket(bucket)
        yield Parts(
            settings=settings,
            catalog=runtime.catalog,
            store=runtime.store,
            index=runtime.index,
            runs=ServedRuns(runtime, runs, inbox),
        )
    finally:
        inbox.close()
        runs.close()
        runtime.close()


def _server(parts: Parts) -> uvicorn.Server:
    return uvicorn.Server(
        uvicorn.Config(
            create_app(parts),
            log_config=None,
            access_log=False,  # our own log line names routes, never signed paths
            timeout_graceful_shutdown=5,
            h11_max_incomplete_event_size=16 * 1024,
            server_header=False,
        )
    )


def _watch(pid: int, server: uvicorn.Server, lost: threading.Event) -> None:
    """Without its store nothing can be played or taken in: then we end, and whatever restarts us starts both."""
    process = os.pidfd_open(pid)

    def wait() -> None:
        select.select([process], [], [])
        os.close(process)
        if not server.should_exit:
            log.error("the embedded store died")
            lost.set()
            server.should_exit = True

    threading.Thread(target=wait, name="watch", daemon=True).start()


def _warm_later(settings: Settings) -> None:
    """The first search would wait for the dictionaries (3 s of CPU). Not at once: starting has better uses for the CPU."""

    def load() -> None:
        lexicon.refresh(settings)
        warm()

    timer = threading.Timer(_WARM_AFTER_S, load)
    timer.daemon = True
    timer.start()


def _watch_recorders(settings: Settings, catalog: Catalog) -> None:
    """Quotas, here and not in a worker: the embedded store's keys are ours."""

    def watch() -> None:
        keyring = keyring_of(settings)
        while True:
            try:
                adopt(settings, catalog)
                watch_quotas(settings, catalog, keyring)
            except HuikanError as error:
                log.warning("will look at recorders' quotas again", reason=str(error))
            time.sleep(_QUOTAS_EVERY_S)

    threading.Thread(target=watch, name="quotas", daemon=True).start()


def _end_on_signal() -> None:
    """Before uvicorn takes the signals, and when it raises them again after it has stopped, they unwind the stack once."""
    asked = threading.Event()

    def end(_number: int, _frame: FrameType | None) -> None:
        if not asked.is_set():  # a second Ctrl-C must not cut off the clean-up
            asked.set()
            raise SystemExit(0)

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)


def _reachable(host: str) -> str:
    """The address under which this machine reaches itself."""
    return "127.0.0.1" if host in ("0.0.0.0", "::") else host  # noqa: S104 — compared, not bound


def _listen(host: str, port: int) -> socket.socket:
    """A listening socket on the wanted port, or on the next free one. Raises Misconfigured when none is free."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    reason = ""
    for candidate in [port] if port == 0 else range(port, min(port + _PORTS_TRIED, 65536)):
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, candidate))
            listener.listen(128)
        except OSError as error:
            listener.close()
            reason = str(error)
            continue
        if candidate not in (0, port):
            log.warning("port taken, using the next free one", wanted=port, used=candidate)
        return listener
    raise Misconfigured(f"cannot listen on {host}:{port}: {reason}")


@contextmanager
def _store(settings: Settings, port: int) -> Generator[EmbeddedStore]:
    with seaweedfs(
        settings.home / "store",
        port=settings.store_port,
        access_key=settings.store_access_key,
        secret_key=secret(settings.store_secret_key),
        webhook_url=f"http://{_reachable(settings.host)}:{port}/hooks/store",
        webhook_token=secret(settings.webhook_token),
        incoming_bucket=settings.incoming_bucket,
    ) as store:
        yield store


def _announce(server: uvicorn.Server, settings: Settings, serving: Serving) -> None:
    """Writes serve.json once requests are answered."""

    def wait() -> None:
        while not server.started and not server.should_exit:
            time.sleep(0.05)
        if server.started:
            announce(settings.home, serving)
            log.info("ready", url=serving.url, s3=serving.s3_endpoint)

    threading.Thread(target=wait, name="announce", daemon=True).start()


@contextmanager
def _worker(endpoint: str) -> Generator[None]:
    """Keeps one worker alive beside us; a worker that dies is started again, ever slower."""
    with _child(endpoint, ["worker", "--embedded"], lambda: True):
        yield


@contextmanager
def _child(endpoint: str, command: Sequence[str], wanted: Callable[[], bool]) -> Generator[None]:
    """Keeps `huikan <command>` alive beside us, from when it is first wanted."""
    stop = threading.Event()
    keeper = _Keeper(endpoint, stop, command, wanted)
    keeper.start()
    try:
        yield
    finally:
        stop.set()
        keeper.end()


class _Keeper(threading.Thread):
    """A thread that lives as long as we do: the kernel ties a child to the thread that made it."""

    def __init__(
        self, endpoint: str, stop: threading.Event, command: Sequence[str], wanted: Callable[[], bool]
    ) -> None:
        super().__init__(name=f"keeper of {command[0]}", daemon=True)
        self._stop_asked, self._command, self._wanted = stop, command, wanted
        self._endpoint = endpoint
        self._process: subprocess.Popen[bytes] | None = None

    def run(self) -> None:
        deaths = 0
        while not self._stop_asked.is_set():
            if not self._wanted():
                self._stop_asked.wait(_WANTED_EVERY_S)
                continue
            began = time.monotonic()
            self._process = self._start()
            code = self._process.wait()
            if self._stop_asked.is_set():
                return
            deaths = 0 if time.monotonic() - began > 60 else deaths + 1
            pause = _RESTART_AFTER_S[min(deaths, len(_RESTART_AFTER_S) - 1)]
            log.error("a child died and is started again", child=self._command[0], returncode=code, after_s=pause)
            self._stop_asked.wait(pause)

    def _start(self) -> subprocess.Popen[bytes]:
        environment = os.environ | {"HUIKAN_STORE_ENDPOINT": self._endpoint, "HUIKAN_CRASH_PARENT": str(os.getpid())}
        command = tied_to_us([sys.executable, "-m", "api.cli", *self._command])
        # A process group of its own: Ctrl-C reaches us alone, and we stop the worker in order.
        return subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, process_group=0)

    def end(self) -> None:
        process = self._process
        if process is not None and process.poll() is None:
            process.terminate()
            try:
                process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.join(_STOP_S)
