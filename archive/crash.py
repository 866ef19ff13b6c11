"""A hook for the durability tests: `HUIKAN_CRASH_AT=encode:stored` makes the process die there, as a power cut would.

It kills the whole serving tree: the parent first when it is `huikan serve` (HUIKAN_CRASH_PARENT is its pid), then itself.
Without the variable it costs one dictionary look-up.
"""

import os
import signal


def crash_point(name: str) -> None:
    if os.environ.get("HUIKAN_CRASH_AT") != name:
        return
    parent = os.environ.get("HUIKAN_CRASH_PARENT")
    if parent is not None:
        os.kill(int(parent), signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)
