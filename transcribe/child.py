"""The engine's own process: `python -m transcribe.child`. Started by transcribe.process and by nobody else.

The first line on stdin is the engine's choice; then each line is an order, answered by lines of progress and one of what was
heard or why not. `{"cancel": …}` may come in between. It ends when stdin does.
"""

import json
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue
from typing import Any, TextIO

from archive.errors import HuikanError, Unavailable
from archive.model import Span
from transcribe import machine
from transcribe.choice import EngineChoice, build
from transcribe.engine import SpeechEngine
from transcribe.wire import error_as_json, heard_as_json

# Behind the encoders (archive.launch: 10) where they contend: what can be watched comes before what can be searched.
_NICE = 15


def main() -> None:
    os.nice(_NICE)
    out = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)  # whatever a library prints must not be taken for an answer
    orders: SimpleQueue[dict[str, Any] | None] = SimpleQueue()
    cancelled: set[int] = set()
    engine = build(EngineChoice(**json.loads(sys.stdin.readline())))
    threading.Thread(target=_read, args=(orders, cancelled), daemon=True).start()
    while (order := orders.get()) is not None:
        number = int(order["number"])
        answer = _answer(engine, order, out, lambda number=number: number in cancelled)
        _say(out, {**answer, "number": number, "resident_bytes": machine.resident_bytes()})
    os._exit(0)  # the engine's threads are in no hurry to end


def _read(orders: "SimpleQueue[dict[str, Any] | None]", cancelled: set[int]) -> None:
    for line in sys.stdin:
        order = json.loads(line)
        if "cancel" in order:
            cancelled.add(int(order["cancel"]))
        else:
            orders.put(order)
    orders.put(None)


def _answer(engine: SpeechEngine, order: dict[str, Any], out: TextIO, cancelled: Callable[[], bool]) -> dict[str, Any]:
    try:
        heard = engine.transcribe(
            Path(order["wav"]),
            language=order["language"],
            hotwords=tuple(order["hotwords"]),
            stretch=Span(*order["stretch"]) if order["stretch"] else None,
            on_progress=lambda fraction: _say(out, {"progress": fraction, "number": order["number"]}),
            cancelled=cancelled,
        )
    except HuikanError as error:
        return error_as_json(error)
    except Exception as error:  # noqa: BLE001 — the border of the process: whatever it is, the other side must hear of it
        return error_as_json(Unavailable("语音识别", f"{type(error).__name__}: {error}"[:300]))
    return {"heard": heard_as_json(heard)}


def _say(out: TextIO, message: dict[str, Any]) -> None:
    out.write(json.dumps(message, ensure_ascii=True) + "\n")


if __name__ == "__main__":
    main()
