"""Events as they come: whoever is told that one was taken finds it on the disk, and those that come together share a commit.

A commit is a flush of the disk, some milliseconds whatever it holds. In a storm each takes what has gathered during the last.
"""

import threading
from concurrent.futures import Future

from archive.hints import Hints
from ingest.engine import Runs
from ingest.runtime import Runtime
from ingest.triage import begin_hinted

_AT_ONCE = 1000  # rows of one transaction
_STARTED_AT_ONCE = 200
_LONGEST_KEY = 1024  # S3's; what is longer names nothing


class Inbox:
    """Safe to share between threads. `close` waits for what was begun."""

    def __init__(self, hints: Hints) -> None:
        self._hints = hints
        self._waiting: list[tuple[str, Future[None]]] = []
        self._some = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._commit, name="inbox", daemon=True)
        self._thread.start()

    def note(self, key: str) -> None:
        """Returns when the hint is on the disk. Raises what the commit raised: Unavailable."""
        if len(key) > _LONGEST_KEY or "\0" in key:
            return  # no object is called so, and PostgreSQL takes no NUL
        done: Future[None] = Future()
        with self._some:
            self._waiting.append((_printable(key), done))
            self._some.notify()
        done.result()

    def close(self) -> None:
        with self._some:
            self._closed = True
            self._some.notify()
        self._thread.join()

    def _commit(self) -> None:
        while True:
            with self._some:
                self._some.wait_for(lambda: self._waiting or self._closed)
                lot, self._waiting = self._waiting[:_AT_ONCE], self._waiting[_AT_ONCE:]
                if not lot:
                    return
            try:
                self._hints.note(key for key, _ in lot)
            except Exception as error:  # noqa: BLE001 — each of those who wait is to hear of it
                for _, done in lot:
                    done.set_exception(error)
            else:
                for _, done in lot:
                    done.set_result(None)


def start_hinted(runtime: Runtime, runs: Runs) -> int:
    """Begins an intake for each hint that is true and new, oldest first, some at a time. Returns how many there were.

    Raises Unavailable.
    An intake is begun before its hint is gone: a crash in between begins it twice, which is once.
    """
    hints = runtime.catalog.hints.oldest(_STARTED_AT_ONCE)
    for hint in hints:
        begin_hinted(runtime, runs, hint.key)
    runtime.catalog.hints.settle(hints)
    return len(hints)


def _printable(key: str) -> str:
    """As a database takes it: JSON may hold half a character, which is in no key of the store's."""
    return key.encode(errors="replace").decode()
