"""Parts that were encoded apart, joined: every picture once and on its grid, the sound without a gap, both in step."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from archive.model import Rendition
from tests.transcode.clips import joined, raw, shown
from tests.transcode.watched import FLASHES_S, JOINS_S, PART_S, RATE, SECONDS, Watched, watched

OFFSET_S = 0.020  # between picture and sound; people notice 45 ms
END_S = 0.040  # between an end and the recording's
ALIKE = 0.1  # of 255 levels of grey, on average; pictures of two moments differ by ten times that
TICK_S = 2e-6  # ffprobe prints six places
SMALL = (96, 54)
SAMPLE_RATE = 48_000


@pytest.fixture(scope="module")
def lesson(tmp_path_factory: pytest.TempPathFactory) -> Watched:
    return watched(tmp_path_factory.getbasetemp())


@pytest.fixture(scope="module")
def whole(lesson: Watched) -> dict[str, Path]:
    """Each rendition as one file."""
    return {made.rung: joined(lesson.ladder.directory / made.rung) for made in lesson.ladder.renditions}


def of_pictures(lesson: Watched) -> list[Rendition]:
    return [made for made in lesson.ladder.renditions if made.height]


def packet_s(made: Rendition) -> Fraction:
    """How long a packet lasts: a picture, 1024 samples of AAC, or the 40 ms that Opus is told to take."""
    if made.height:
        return 1 / Fraction(made.frame_rate)
    return Fraction(40, 1000) if made.codecs == "opus" else Fraction(1024, 32_000)


def small_pictures(path: Path) -> NDArray[np.int16]:
    """(pictures, height, width) in grey."""
    width, height = SMALL
    data = raw(path, "-vf", f"scale={width}:{height}:flags=area", "-f", "rawvideo", "-pix_fmt", "gray")
    return np.frombuffer(data, np.uint8).reshape(-1, height, width).astype(np.int16)


def samples(path: Path) -> NDArray[np.float32]:
    data = raw(path, "-ac", "1", "-ar", str(SAMPLE_RATE), "-f", "f32le")
    return np.frombuffer(data, np.float32)


def test_the_lesson_was_made_in_parts(lesson: Watched) -> None:
    starts = [task.start_s for task in lesson.ladder.tasks if task.view]
    assert starts == [0, *JOINS_S]
    assert JOINS_S[0] == PART_S


def test_every_picture_is_there_once_and_on_the_grid_of_one_long_encoding(
    lesson: Watched, whole: dict[str, Path]
) -> None:
    for made in of_pictures(lesson):
        times = [float(frame["pts_time"]) for frame in shown(whole[made.rung], "frame=pts_time")["frames"]]
        rate = Fraction(made.frame_rate)
        expected = [float(n / rate) for n in range(round(SECONDS * rate))]
        # ffmpeg's reader puts all pictures off by as much as the B-frames are early; in browsers they begin at 0, which
        # tests/api/test_players.py looks at.
        assert [time - times[0] for time in times] == pytest.approx(expected, abs=TICK_S)
        assert abs(len(times) / rate - Fraction(str(SECONDS))) <= END_S


def test_every_packet_is_decoded_when_the_one_before_it_ends(lesson: Watched, whole: dict[str, Path]) -> None:
    """Players hand packets to the decoder by these times: at a join they must neither go back nor leave a hole."""
    for made in lesson.ladder.renditions:
        times = [float(packet["dts_time"]) for packet in shown(whole[made.rung], "packet=dts_time")["packets"]]
        step = float(packet_s(made))
        assert times == pytest.approx([n * step for n in range(len(times))], abs=2 * TICK_S), made.rung


def test_the_pictures_around_a_join_are_those_of_the_recording(lesson: Watched, whole: dict[str, Path]) -> None:
    """None is shown twice, none is left out, none is of another moment."""
    source = small_pictures(lesson.recording)
    for made in of_pictures(lesson):
        pictures = small_pictures(whole[made.rung])
        step = int(RATE / Fraction(made.frame_rate))
        for join in JOINS_S:
            middle = join * RATE // step
            for n in range(middle - 8, middle + 9):
                off = {k: float(np.abs(pictures[n] - source[n * step + k]).mean()) for k in (-2, -1, 0, 1, 2)}
                # Two pictures of a flash are one as good as the other.
                assert off[0] <= min(off.values()) + ALIKE, (made.rung, n, off)


def test_the_sound_goes_on_without_a_gap_and_ends_with_the_recording(lesson: Watched, whole: dict[str, Path]) -> None:
    for made in lesson.ladder.renditions:
        if made.height:
            continue
        heard = samples(whole[made.rung])
        assert abs(len(heard) / SAMPLE_RATE - SECONDS) <= END_S
        loud = np.sqrt(np.mean(heard[: len(heard) // 480 * 480].reshape(-1, 480) ** 2, axis=1))
        assert loud[5:-5].min() > 0.3 * np.median(loud), "ten milliseconds of silence in a tone that never stops"


def test_picture_and_sound_stay_in_step(lesson: Watched, whole: dict[str, Path]) -> None:
    beeps = {made.rung: onsets(samples(whole[made.rung])) for made in lesson.ladder.renditions if not made.height}
    for made in of_pictures(lesson):
        bright = small_pictures(whole[made.rung]).mean(axis=(1, 2)) > 225
        flashes = np.flatnonzero(bright & ~np.roll(bright, 1)) / float(Fraction(made.frame_rate))
        assert flashes == pytest.approx(FLASHES_S, abs=TICK_S), made.rung
        for rung, heard in beeps.items():
            assert heard == pytest.approx(flashes, abs=OFFSET_S), (made.rung, rung)


def onsets(heard: NDArray[np.float32]) -> list[float]:
    """Seconds at which a beep begins: it is ten times as loud as the tone."""
    loud = np.flatnonzero(np.abs(heard) > 0.5 * np.abs(heard).max())
    return [float(at) / SAMPLE_RATE for at in loud[np.diff(loud, prepend=-SAMPLE_RATE) > 0.2 * SAMPLE_RATE]]
