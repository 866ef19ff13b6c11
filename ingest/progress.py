"""How far a step is, written down for the people who wait."""

import time
from collections.abc import Callable

from archive.errors import Unavailable
from ingest.runtime import Runtime

_EVERY_S = 1.0


def reporter(
    runtime: Runtime, recording_id: str, step: str, *, done: float = 0.0, share: float = 1.0
) -> Callable[[float], None]:
    """Takes the fraction of a piece of work that is `share` of the step, when `done` of the step was done before it.

    Writes at most once a second. It is for display: a catalog that is busy just now loses nothing.
    """
    last = -_EVERY_S

    def report(fraction: float) -> None:
        nonlocal last
        if time.monotonic() - last < _EVERY_S:
            return
        last = time.monotonic()
        try:
            whole = done + share * min(max(fraction, 0.0), 1.0)
            runtime.catalog.outputs.note_progress(recording_id, step, min(1.0, whole))
        except Unavailable:
            return

    return report
