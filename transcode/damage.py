"""How much of a track cannot be read: its packets against what decodes of them without an error.

Asked only after a strict decode has failed. The answer may be "nothing": a stretch that is entered in the middle of an
open group of pictures begins with some that lean on what came before, and they are not shown.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from archive.errors import ToolFailed, ToolTimeout
from archive.model import Span
from archive.tool import Confined, Limits, run_tool
from transcode.command import Clock, decoded_argv, packets_argv

_MARGIN_S = 60  # reading begins at a keyframe before the span, so it must go on that much longer
_SAME_MS = 5  # a decoder may give a time in other ticks than the packet's


@dataclass(frozen=True, slots=True)
class Toll:
    """`lost_ms` of the span was announced by packets and does not decode; `is_all`: nothing does that could stand in for
    it, not even something from just before."""

    lost_ms: int
    is_all: bool


def toll(source: Path, index: int, span: Span, *, threads: int, limits: Limits, cancelled: Callable[[], bool]) -> Toll:
    """Decodes the span once more, patiently. Raises Unavailable, DiskFull or Cancelled."""
    start_s, length_s = span.start_ms // 1000, span.duration_ms // 1000 + _MARGIN_S

    def times(argv: list[str]) -> list[tuple[int, int]]:
        clock, found = Clock(), list[tuple[int, int]]()

        def note(line: str) -> None:
            at = clock.read(line)
            if at is not None and at[0] < span.end_ms:
                found.append(at)

        with suppress(ToolFailed, ToolTimeout):  # what it said before counts
            run_tool(argv, limits=limits, on_line=note, cancelled=cancelled, confined=Confined((source,)))
        return found

    packets = [at for at in times(packets_argv(source, index, start_s, length_s)) if at[0] >= span.start_ms]
    decoded = sorted(at for at, _ in times(decoded_argv(source, index, start_s, length_s, threads=threads)))
    return Toll(_lost_ms(packets, decoded), not decoded)


def _lost_ms(packets: list[tuple[int, int]], decoded: list[int]) -> int:
    lost_ms = place = 0
    for at, length in sorted(packets):
        while place < len(decoded) and decoded[place] < at - _SAME_MS:
            place += 1
        if place == len(decoded) or decoded[place] > at + _SAME_MS:
            lost_ms += length
    return lost_ms
