"""An engine in a process of its own, behind the same port.

What an engine's libraries do to memory (faster-whisper #390, #1055: it grows from lesson to lesson), and a crash in them, stays
in that process. It serves one lesson after the other with its model loaded once, and is replaced when it has grown or has
worked for long. It dies with us: the kernel sees to that, and the end of its stdin besides.
"""

import json
import os
import selectors
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from threading import Lock, Thread
from typing import IO, Any, cast

from archive.errors import Cancelled, Unavailable
from archive.model import Span
from archive.tool import tied_to_us
from transcribe import audio
from transcribe.choice import EngineChoice, build
from transcribe.engine import EngineDescription, stop_if
from transcribe.utterance import Heard
from transcribe.wire import error_as_json, error_from_json, heard_from_json

_POLL_S = 0.4
_PATIENCE_S = 30.0  # how long it may take to notice a cancellation before it is killed
_SILENT_S = (
    1_800.0  # without a word for so long it hangs: the largest model takes minutes for a window on two old cores
)
_REMEDY = "多半是内存不足：请换用较小的模型（HUIKAN_SPEECH_MODEL），或查看系统日志（dmesg）。会自动重试。"


@dataclass(frozen=True, slots=True)
class Recycling:
    """When the process makes way for a fresh one: after so much sound, or that much more memory than after its first order."""

    after_ms: int = 8 * 3_600_000
    growth_bytes: int = 2**30


class ChildEngine:
    """The chosen engine behind the port. `close` ends its process; a new one starts when it is needed."""

    def __init__(self, choice: EngineChoice, recycling: Recycling | None = None) -> None:
        self._choice = choice
        self._recycling = recycling or Recycling()
        self._front = build(choice)  # for its name and description; it loads nothing
        self._lock = Lock()
        self._child: _Child | None = None

    @property
    def name(self) -> str:
        return self._front.name

    @property
    def pid(self) -> int | None:
        """Of the process, while there is one."""
        return self._child.pid if self._child else None

    def describe(self) -> EngineDescription:
        return self._front.describe()

    def transcribe(
        self,
        wav: Path,
        *,
        language: str | None,
        hotwords: tuple[str, ...] = (),
        stretch: Span | None = None,
        on_progress: Callable[[float], None],
        cancelled: Callable[[], bool],
    ) -> Heard:
        while not self._lock.acquire(timeout=_POLL_S):
            stop_if(cancelled)
        try:
            stop_if(cancelled)
            length_ms = stretch.duration_ms if stretch else audio.duration_ms(wav)
            order = {
                "wav": str(wav.absolute()),
                "language": language,
                "hotwords": hotwords,
                "stretch": [stretch.start_ms, stretch.end_ms] if stretch else None,
            }
            return self._ask(order, length_ms, on_progress, cancelled)
        finally:
            self._lock.release()

    def close(self) -> None:
        with self._lock:
            self._end()

    def _ask(
        self,
        order: dict[str, Any],
        length_ms: int,
        on_progress: Callable[[float], None],
        cancelled: Callable[[], bool],
    ) -> Heard:
        child = self._child = self._child or _Child(self._choice)
        try:
            answer = child.ask(order, on_progress, cancelled)
        except BaseException:
            self._end()  # what it says next would be the answer to this
            raise
        child.served_ms += length_ms
        child.least_bytes = child.least_bytes or int(answer["resident_bytes"])
        grown = int(answer["resident_bytes"]) - child.least_bytes
        if child.served_ms >= self._recycling.after_ms or grown >= self._recycling.growth_bytes:
            self._end()
        if "error" in answer:
            raise error_from_json(answer)
        return heard_from_json(answer["heard"])

    def _end(self) -> None:
        if self._child is not None:
            self._child.end()
            self._child = None


class _Child:
    """One process and the two pipes to it."""

    def __init__(self, choice: EngineChoice) -> None:
        self.served_ms = 0
        self.least_bytes = 0
        self._orders = 0
        self._last_words: deque[bytes] = deque(maxlen=5)
        # The kernel kills it when the thread that started it ends, so that thread waits for it and does nothing else.
        born: SimpleQueue[subprocess.Popen[bytes] | OSError] = SimpleQueue()
        self._keeper = Thread(target=self._keep, args=(born,), name="speech engine", daemon=True)
        self._keeper.start()
        started = born.get()
        if isinstance(started, OSError):
            raise Unavailable("语音识别", f"cannot start: {started}", "请检查内存与进程数限制。") from started
        self._process = started
        self._to, self._from = cast(IO[bytes], started.stdin), cast(IO[bytes], started.stdout)
        self._buffer = b""
        self._send(choice.as_json())

    @property
    def pid(self) -> int:
        return self._process.pid

    def ask(
        self, order: dict[str, Any], on_progress: Callable[[float], None], cancelled: Callable[[], bool]
    ) -> dict[str, Any]:
        """The answer to one order: what was heard, or an error, Cancelled among them. Raises Unavailable when the process died
        or hangs, and Cancelled when it does not notice that it was cancelled."""
        self._orders += 1
        self._send({**order, "number": self._orders})
        heard_of_at, asked_to_stop_at = time.monotonic(), 0.0
        while True:
            message = self._receive(_POLL_S)
            now = time.monotonic()
            if message is not None and message["number"] == self._orders:
                heard_of_at = now
                if "progress" not in message:
                    # What it had finished at that very moment is not wanted any more; the process is, with its model.
                    return {**message, **error_as_json(Cancelled("speech"))} if asked_to_stop_at else message
                if not asked_to_stop_at:
                    on_progress(float(message["progress"]))
            if not asked_to_stop_at and cancelled():
                asked_to_stop_at = now
                self._send({"cancel": self._orders})
            if asked_to_stop_at and now - asked_to_stop_at > _PATIENCE_S:
                raise Cancelled("speech")
            if now - heard_of_at > _SILENT_S:
                raise Unavailable("语音识别", f"no answer for {_SILENT_S:g} s", _REMEDY)

    def end(self) -> None:
        self._process.kill()
        self._keeper.join()
        self._to.close()
        self._from.close()

    def _keep(self, born: "SimpleQueue[subprocess.Popen[bytes] | OSError]") -> None:
        try:
            process = subprocess.Popen(
                tied_to_us([sys.executable, "-I", "-m", "transcribe.child"]),
                env=_environment(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                start_new_session=True,  # a Ctrl-C is ours to handle
            )
        except OSError as error:
            born.put(error)
            return
        born.put(process)
        with cast(IO[bytes], process.stderr) as said:
            for line in said:
                self._last_words.append(line.strip())
        process.wait()

    def _send(self, message: dict[str, Any]) -> None:
        try:
            self._to.write(json.dumps(message).encode() + b"\n")
        except (OSError, ValueError) as error:
            raise self._died() from error

    def _receive(self, timeout_s: float) -> dict[str, Any] | None:
        """The next message, or None if none came in time."""
        if b"\n" not in self._buffer:
            with selectors.DefaultSelector() as selector:
                selector.register(self._from, selectors.EVENT_READ)
                if not selector.select(timeout_s):
                    return None
            data = os.read(self._from.fileno(), 2**20)
            if not data:
                raise self._died()
            self._buffer += data
        line, newline, rest = self._buffer.partition(b"\n")
        if not newline:
            return None
        self._buffer = rest
        return json.loads(line)

    def _died(self) -> Unavailable:
        self.end()
        last = b" ".join(self._last_words).decode("utf-8", "replace")[-200:]
        return Unavailable(
            "语音识别", f"the engine's process died ({self._process.returncode}) {last}".strip(), _REMEDY
        )


def _environment() -> dict[str, str]:
    """Ours without our settings and secrets: the engine needs the proxies, the hub's variables and CUDA's."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HUIKAN_")}
    return {**kept, "MALLOC_ARENA_MAX": "2"}  # fragmented arenas are what looks like a leak
