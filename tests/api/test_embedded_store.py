"""The embedded SeaweedFS: how it lives and dies, and what it tells."""

import http.server
import json
import os
import queue
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from minio import Minio
from minio.error import S3Error

from api.embedded import EmbeddedStore, seaweedfs
from archive.errors import Unavailable
from archive.store import PART_BYTES, ObjectStore
from ingest.recorder import RecorderKey, RecorderKeys, issue, object_named_in

LESSON = "xinghuo/301/20260901T0800.mp4"
ACCESS_KEY, SECRET_KEY, TOKEN = "huikan", "the-secret-of-these-tests", "the-token-of-these-tests"


@contextmanager
def running(
    home: Path, *, webhook_url: str | None = None, recorders: tuple[RecorderKey, ...] = (), port: int = 0
) -> Generator[EmbeddedStore]:
    with seaweedfs(
        home,
        port=port,
        access_key=ACCESS_KEY,
        secret_key=SECRET_KEY,
        webhook_url=webhook_url,
        webhook_token=TOKEN if webhook_url else None,
        recorders=recorders,
    ) as embedded:
        yield embedded


def client(embedded: EmbeddedStore) -> ObjectStore:
    return ObjectStore(embedded.endpoint, ACCESS_KEY, SECRET_KEY)


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def ports_of(home: Path) -> set[int]:
    return set(json.loads((home / "ports.json").read_text()).values())


def sockets_left(ports: set[int]) -> list[Path]:
    return [path for path in Path("/tmp").glob("seaweedfs-*.sock") if int(path.stem.rpartition("-")[2]) in ports]


@contextmanager
def taken(ports: set[int]) -> Generator[None]:
    """Somebody else has these ports now."""
    with ExitStack() as others:
        for port in ports:
            others.enter_context(socket.create_server(("127.0.0.1", port)))
        yield


def lesson_in(store: ObjectStore) -> bytes:
    """Its bytes, as whoever needs them gets them: a store that has just begun may not have found its volumes, and is asked
    again."""
    deadline = time.monotonic() + 30
    while True:
        try:
            return store.get_bytes("incoming", LESSON)
        except Unavailable:
            assert time.monotonic() < deadline, "the volumes were never found"
            time.sleep(0.2)


class TestItsLife:
    def test_what_it_acknowledged_outlives_a_kill_and_a_change_of_ports(self, tmp_path: Path) -> None:
        home, kept, revoked = tmp_path / "store", *(issue("xinghuo", "301", "incoming") for _ in range(2))
        large = tmp_path / "large"
        large.write_bytes(os.urandom(2**20) * (PART_BYTES // 2**20 + 1))
        with running(home, recorders=(kept, revoked)) as embedded:
            store = client(embedded)
            store.ensure_bucket("incoming")
            RecorderKeys(home).revoke(revoked.access_key)
            store.put_file("incoming", "xinghuo/301/20260901T0900.mp4", large)
            store.put_bytes("incoming", LESSON, b"first")
            os.killpg(embedded.pid, signal.SIGKILL)
        first_ports = ports_of(home)

        with taken(first_ports), running(home, recorders=(revoked,)) as embedded:
            store = client(embedded)
            assert not first_ports & ports_of(home)
            assert lesson_in(store) == b"first"
            store.get_file("incoming", "xinghuo/301/20260901T0900.mp4", tmp_path / "copy")
            assert (tmp_path / "copy").read_bytes() == large.read_bytes()
            store.put_bytes("incoming", LESSON, b"second")
            Minio(embedded.endpoint, kept.access_key, kept.secret_key, secure=False, region="us-east-1").fput_object(
                "incoming", "xinghuo/301/20260901T1000.mp4", __file__
            )
            gone = Minio(embedded.endpoint, revoked.access_key, revoked.secret_key, secure=False, region="us-east-1")
            with pytest.raises(S3Error) as caught:
                gone.fput_object("incoming", "xinghuo/301/20260901T1100.mp4", __file__)
            assert caught.value.response.status == 403
            second_ports = ports_of(home)
        assert not is_alive(embedded.pid)
        assert sockets_left(first_ports | second_ports) == []

        with running(home) as embedded:  # after a clean stop, and on the same ports as long as they are free
            assert ports_of(home) == second_ports
            assert lesson_in(client(embedded)) == b"second"

    def test_it_dies_with_a_parent_that_is_killed(self, tmp_path: Path) -> None:
        script = (
            "import sys, time; from pathlib import Path; from api.embedded import seaweedfs\n"
            "with seaweedfs(Path(sys.argv[1]), port=0, access_key='huikan', secret_key='secret-key',"
            " webhook_url=None, webhook_token=None) as embedded:\n"
            "    print(embedded.pid, flush=True); time.sleep(600)\n"
        )
        parent = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        with parent:
            assert parent.stdout is not None
            child = os.pidfd_open(int(parent.stdout.readline()))
            parent.kill()
        assert select.select([child], [], [], 20)[0] == [child]  # readable once it has ended
        os.close(child)
        for path in sockets_left(ports_of(tmp_path)):
            path.unlink()  # as the next start on this home would

    def test_a_port_that_is_taken_is_said_to_be(self, tmp_path: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as other:
            port = other.getsockname()[1]
            with pytest.raises(Unavailable) as caught, running(tmp_path, port=port):
                pass
        assert f"端口 {port} 已被占用" in caught.value.reason_zh

    def test_a_server_that_cannot_begin_is_said_to_have_ended(self, tmp_path: Path) -> None:
        (tmp_path / "data").mkdir()
        (tmp_path / "data" / "filerldb2").write_text("no directory")
        with pytest.raises(Unavailable) as caught, running(tmp_path):
            pass
        assert str(tmp_path / "log") in caught.value.remedy_zh

    def test_a_second_one_on_the_same_data_is_refused_before_it_can_do_harm(self, tmp_path: Path) -> None:
        with running(tmp_path) as embedded:
            with pytest.raises(Unavailable) as caught, running(tmp_path):
                pass
            client(embedded).ready()
        assert "正在使用" in caught.value.remedy_zh


class TestItsEvents:
    @pytest.fixture
    def events(self) -> Iterator[tuple[str, "queue.Queue[tuple[str, dict[str, object]]]"]]:
        arrived: queue.Queue[tuple[str, dict[str, object]]] = queue.Queue()

        class Receiver(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                arrived.put((self.headers["Authorization"], json.loads(body)))
                self.send_response(204)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            yield f"http://127.0.0.1:{server.server_port}/api/store-events", arrived
            server.shutdown()

    def test_each_upload_is_told_with_the_token_and_nothing_else_is(
        self, events: tuple[str, "queue.Queue[tuple[str, dict[str, object]]]"], tmp_path: Path
    ) -> None:
        url, arrived = events
        large = tmp_path / "large"
        large.write_bytes(b"x" * (PART_BYTES + 1))
        with running(tmp_path / "store", webhook_url=url) as embedded:
            store = client(embedded)
            for bucket in ("incoming", "media"):
                store.ensure_bucket(bucket)
                store.put_bytes(bucket, LESSON, b"first")
            store.put_bytes("incoming", LESSON, b"again")
            store.put_bytes("incoming", "xinghuo/301/课 一+%20.mp4", b"odd")
            store.put_file("incoming", "xinghuo/301/large.mp4", large)
            store.delete("incoming", LESSON)
            store.put_bytes("incoming", "last.mp4", b"")
            told: list[tuple[str, str]] = []
            while ("incoming", "last.mp4") not in told:
                authorization, event = arrived.get(timeout=20)
                assert authorization == f"Bearer {TOKEN}"
                if named := object_named_in(event):
                    told.append(named)
        keys = [LESSON, LESSON, "xinghuo/301/课 一+%20.mp4", "xinghuo/301/large.mp4", "last.mp4"]
        assert sorted(told) == sorted(("incoming", key) for key in keys)
