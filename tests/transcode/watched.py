"""A recording of half a minute whose picture flashes when its sound beeps, and its ladder, made in parts of 12 s.

Made once a run, for all suites that look at what players get of it.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from tests.transcode.clips import Ladder, laddered, make, x264
from transcode.encode import Effort

SECONDS = 36.6
RATE = 25
PART_S = 12
JOINS_S = (12, 24)
# At the joins, just before and just after them, and near both ends.
FLASHES_S = (2.0, 11.6, 12.0, 12.4, 23.6, 24.0, 24.4, 36.0)
FLASH_S = 0.08

# Not ultrafast: it leaves out B-frames, and those are what a join could get wrong.
_EFFORT = Effort(preset="superfast", threads=1)


@dataclass(frozen=True)
class Watched:
    """`ladder.directory` has <rung>/init.mp4 and so on, as the store would."""

    recording: Path
    ladder: Ladder


@cache
def watched(base: Path) -> Watched:
    """`base` is the run's: TempPathFactory.getbasetemp()."""
    directory = base / "watched"
    directory.mkdir()
    flashing = "+".join(f"between(t,{at - 0.01},{at + FLASH_S - 0.01})" for at in FLASHES_S)
    beeping = "+".join(f"between(t,{at},{at + FLASH_S})" for at in FLASHES_S)
    pictures = f"testsrc2=s=854x480:r={RATE}:d={SECONDS},drawbox=t=fill:c=white:enable='{flashing}'"
    # A tone that rises all the time, so that no moment sounds like another, and the beeps far above it.
    sound = f"aevalsrc=exprs='0.05*sin(2*PI*(200+9*t)*t)+0.6*sin(2*PI*3000*t)*({beeping})':s=48000:d={SECONDS}"
    source = ["-f", "lavfi", "-i", pictures, "-f", "lavfi", "-i", sound]
    recording = make(directory / "lesson.mp4", source, x264("-g", "75", "-pix_fmt", "yuv420p"), ["-c:a", "aac"])
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("transcode.plan.PART_S", PART_S)
        return Watched(recording, laddered(recording, directory / "ladder", _EFFORT))
