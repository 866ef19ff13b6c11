"""A real MinIO server, where there is one: HUIKAN_TEST_MINIO names the program, or it is on PATH. Session fixture `minio_server`.

Debian has no package of it and its makers publish none any more: `go install github.com/minio/minio@latest` makes one.
"""

import os
import secrets
import shutil
import socket
import subprocess
from collections.abc import Iterator

import pytest

from archive.errors import Unavailable
from tests.live_store import LiveStore
from tests.serving import eventually


def minio_program() -> str | None:
    return os.environ.get("HUIKAN_TEST_MINIO") or shutil.which("minio")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


@pytest.fixture(scope="session")
def minio_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveStore]:
    program = minio_program()
    assert program is not None, "set HUIKAN_TEST_MINIO to a MinIO server (go install github.com/minio/minio@latest)"
    home = tmp_path_factory.mktemp("minio")
    server = LiveStore(f"127.0.0.1:{free_port()}", "huikan-owner", secrets.token_hex(16), home=home)
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "MINIO_ROOT_USER": server.access_key,
        "MINIO_ROOT_PASSWORD": server.secret_key,
        "MINIO_BROWSER": "off",
        "MINIO_UPDATE": "off",
    }
    command = [program, "server", "--address", server.endpoint, "--quiet", str(home / "data")]
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)

    def is_up() -> bool:
        assert process.poll() is None, (home / "log").read_text()
        try:
            server.connect().ready()
        except Unavailable:
            return False
        return True

    try:
        eventually(is_up, 60, "MinIO")
        for bucket in ("incoming", "media"):
            server.connect().ensure_bucket(bucket)
        yield server
    finally:
        process.kill()
        process.wait()
