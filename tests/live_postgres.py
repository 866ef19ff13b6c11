"""A PostgreSQL cluster of the tests' own, from Debian's package: fixture `postgres_url` is an empty database in it."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest


def _binaries() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    assert found, "PostgreSQL is missing: apt-get install postgresql (script/test does it)"
    return found[-1].parent


def _as_servant() -> list[str]:
    """PostgreSQL refuses to run as root; then it runs as the user that Debian's package made for it."""
    if os.getuid() != 0:
        return []
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]


@pytest.fixture(scope="session")
def _postgres_cluster() -> Iterator[str]:
    binaries = _binaries()
    home = Path(tempfile.mkdtemp(prefix="huikan-pg-"))
    try:
        if os.getuid() == 0:
            servant = pwd.getpwnam("postgres")
            os.chown(home, servant.pw_uid, servant.pw_gid)
        data = home / "data"
        run = _as_servant()
        subprocess.run(
            [
                *run,
                binaries / "initdb",
                "-D",
                data,
                "-U",
                "huikan",
                "-A",
                "trust",
                "-E",
                "UTF8",
                "--locale=C.UTF-8",
                "-N",
            ],
            check=True,
            capture_output=True,
            cwd=home,
        )
        # A socket in a directory of ours: no port to collide on, nothing on the network.
        options = f"-c listen_addresses='' -c unix_socket_directories={home} -c fsync=off"
        control = [*run, binaries / "pg_ctl", "-D", data, "-w"]
        subprocess.run(
            [*control, "-o", options, "-l", home / "log", "start"], check=True, capture_output=True, cwd=home
        )
        try:
            yield f"host={home} user=huikan"
        finally:
            subprocess.run([*control, "-m", "immediate", "stop"], check=True, capture_output=True, cwd=home)
    finally:
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def postgres_url(_postgres_cluster: str) -> Iterator[str]:
    """A SQLAlchemy address of a fresh database, dropped afterwards."""
    name = f"t{uuid4().hex}"
    with psycopg.connect(f"{_postgres_cluster} dbname=postgres", autocommit=True) as admin:
        admin.execute(f'CREATE DATABASE "{name}"'.encode())
        socket = _postgres_cluster.split()[0].removeprefix("host=")
        yield f"postgresql+psycopg://huikan@/{name}?host={socket}"
        admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())
