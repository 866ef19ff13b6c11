"""What a running `huikan serve` tells other processes of this machine: `<home>/serve.json`, written whole, gone when it stops."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from archive.errors import Unavailable
from archive.settings import Settings

_START_ZH = "请先运行 huikan serve。"


@dataclass(frozen=True, slots=True)
class Serving:
    """Where it is reached. `url` is the page's address, `s3_endpoint` the host:port that recorders upload to."""

    url: str
    s3_endpoint: str
    pid: int


def announce(home: Path, serving: Serving) -> None:
    fresh = home / f"serve.json.{os.getpid()}"
    fresh.write_text(json.dumps(asdict(serving)), encoding="utf-8")
    fresh.replace(home / "serve.json")


def withdraw(home: Path) -> None:
    (home / "serve.json").unlink(missing_ok=True)


def serving(home: Path) -> Serving | None:
    """None when nothing serves this data directory; a file left by a killed process does not count."""
    try:
        found = Serving(**json.loads((home / "serve.json").read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError, TypeError):
        return None
    try:
        os.kill(found.pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        return found  # alive, and another user's
    return found


def store_endpoint(settings: Settings) -> str:
    """The configured store, or the embedded one of the running server. Raises Unavailable when it does not run."""
    if settings.store_endpoint:
        return settings.store_endpoint
    found = serving(settings.home)
    if found is None:
        raise Unavailable("内置对象存储", "huikan serve is not running", _START_ZH)
    return found.s3_endpoint
