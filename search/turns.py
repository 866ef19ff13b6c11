"""Searches take turns: a few at once, in the order in which they were asked.

Python runs one thread at a time and lets it go every 5 ms, wherever it stands: of sixteen searches that are begun together each
then ends when nearly all are done. In turns the first are answered sooner, and none later.
"""

import threading
from collections import deque
from types import TracebackType


class Turns:
    """`with turns:` waits for a turn. First come, first served: a semaphore of Python's lets whoever just left in again."""

    def __init__(self, at_once: int) -> None:
        self._lock = threading.Lock()
        self._free = at_once
        self._waiting: deque[threading.Lock] = deque()

    def __enter__(self) -> None:
        with self._lock:
            if self._free:
                self._free -= 1
                return
            mine = threading.Lock()
            mine.acquire()
            self._waiting.append(mine)
        try:
            mine.acquire()
        except BaseException:  # a signal while we wait: the turn that is ours, or will be, goes on to the next
            with self._lock:
                was_given = mine not in self._waiting
                if not was_given:
                    self._waiting.remove(mine)
            if was_given:
                self._pass_on()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pass_on()

    def _pass_on(self) -> None:
        with self._lock:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._free += 1
