"""The watched folder: whatever is put below `<folder>/<school>/<room>/` is collected once nobody writes to it any more.

Meant for a share (Samba, NFS) that recorders copy to. What was collected is moved to `<folder>/.taken/` and kept there for a
week. Links are never followed: whoever may write to the share must not make us read anything else.
"""

import os
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from archive.errors import DiskFull, Rejected, Unacceptable
from archive.keys import IncomingKey, shown
from ingest.naming import is_taken
from ingest.spool import Spool

log = structlog.get_logger()

TAKEN = ".taken"
QUIET_S = 60.0  # neither size nor date have changed for so long
_KEPT_S = 7 * 24 * 3600.0


@dataclass
class WatchedFolder:
    """Remembers how each file looked the last time. `look` is called now and then, by one thread."""

    folder: Path
    spool: Spool
    quiet_s: float = QUIET_S
    _seen: dict[Path, tuple[int, int, float]] = field(default_factory=dict[Path, tuple[int, int, float]])
    _told: set[Path] = field(default_factory=set[Path])

    def look(self) -> list[str]:
        """The keys of what was collected. Raises nothing: what cannot be read now is looked at again."""
        collected: list[str] = []
        found: set[Path] = set()
        for path, status in self._files():
            found.add(path)
            if not self._is_quiet(path, status):
                continue
            key = self._collect(path)
            if key is not None:
                collected.append(key)
        self._seen = {path: known for path, known in self._seen.items() if path in found}
        self._forget_old()
        return collected

    def _files(self) -> Iterator[tuple[Path, os.stat_result]]:
        for root, folders, names in os.walk(self.folder):  # never into links
            folders[:] = [name for name in folders if not name.startswith(".")]
            for name in names:
                path = Path(root) / name
                if not is_taken(name) or len(path.relative_to(self.folder).parts) < 3:
                    continue
                try:
                    status = path.lstat()
                except OSError:
                    continue  # gone again
                if stat.S_ISREG(status.st_mode):
                    yield path, status

    def _is_quiet(self, path: Path, status: os.stat_result) -> bool:
        size, changed, since = self._seen.get(path, (-1, -1, 0.0))
        if (size, changed) != (status.st_size, status.st_mtime_ns):
            self._seen[path] = (status.st_size, status.st_mtime_ns, time.monotonic())
            return self.quiet_s == 0
        return time.monotonic() - since >= self.quiet_s

    def _collect(self, path: Path) -> str | None:
        school, room, *rest = path.relative_to(self.folder).parts
        try:
            _check_place(school, room)
            key = self.spool.copy(path, f"{school}/{room}/", "/".join(rest))
        except Rejected as error:
            if path not in self._told:
                self._told.add(path)
                log.warning("a file in the watched folder is none of ours", reason=str(error))
            return None
        except (DiskFull, OSError) as error:
            log.warning("a file waits in the watched folder", key=shown("/".join(rest)), reason=str(error))
            return None
        kept = self.folder / TAKEN / school / room
        kept.mkdir(parents=True, exist_ok=True)
        os.replace(path, kept / f"{int(time.time())}-{path.name}")  # noqa: PTH105 — within one share
        log.info("collected from the watched folder", key=key)
        return key

    def _forget_old(self) -> None:
        taken = self.folder / TAKEN
        for root, _, names in os.walk(taken):
            for name in names:
                path = Path(root) / name
                when = name.partition("-")[0]
                if when.isdigit() and time.time() - int(when[:12]) > _KEPT_S:
                    path.unlink(missing_ok=True)


def _check_place(school: str, room: str) -> None:
    try:
        IncomingKey.parse(f"{school}/{room}/20260101T0000.mp4")
    except Unacceptable as error:
        zh = "文件夹应为 学校代号/教室代号，小写字母、数字与连字符。"
        raise Unacceptable(shown(f"{school}/{room}"), "no place", zh) from error
