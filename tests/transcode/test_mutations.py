"""Damaged recordings by the hundred, all the way: each is played, played with what is lost said, or refused in words."""

import random
from collections import Counter
from pathlib import Path

import pytest

from archive.errors import Unreadable
from tests.transcode.clips import joined, laddered, make, picture, raw, sound, x264

CODECS = {
    "a.mp4": x264("-c:a", "aac", "-pix_fmt", "yuv420p", "-g", "25", "-movflags", "+faststart"),
    "a.mkv": x264("-c:a", "libopus", "-pix_fmt", "yuv420p", "-g", "25"),
    "a.ts": x264("-c:a", "aac", "-pix_fmt", "yuv420p", "-g", "25"),
    "a.flv": x264("-c:a", "aac", "-pix_fmt", "yuv420p", "-g", "25"),
    "a.avi": ["-c:v", "mpeg4", "-c:a", "libmp3lame"],
}
IN_CI = 2  # of each container; the rest are slow
ALL = 60


def mutated(whole: bytes, seed: int) -> bytes:
    """The same bytes with one to four accidents: of a disk, of an upload, of a recorder that lost its power."""
    chance, data = random.Random(seed), bytearray(whole)
    for _ in range(chance.randint(1, 4)):
        at, length = chance.randrange(len(data)), chance.choice([1, 16, 188, 2000, len(data) // 8])
        accident = chance.choice(["flip", "zero", "noise", "drop", "repeat", "cut"])
        if accident == "flip":
            data[at] ^= 1 << chance.randrange(8)
        elif accident == "zero":
            data[at : at + length] = bytes(len(data[at : at + length]))
        elif accident == "noise":
            data[at : at + length] = chance.randbytes(len(data[at : at + length]))
        elif accident == "drop":
            del data[at : at + length]
        elif accident == "repeat":
            data[at:at] = data[at : at + length]
        else:
            del data[max(at, len(data) // 4) :]
    return bytes(data)


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    home = tmp_path_factory.mktemp("originals")
    lesson = [*picture("160x90", seconds=3), *sound(3)]
    return {name: make(home / name, lesson, codecs).read_bytes() for name, codecs in CODECS.items()}


@pytest.mark.parametrize("name", CODECS)
@pytest.mark.parametrize(
    "seeds", [range(IN_CI), pytest.param(range(IN_CI, ALL), marks=pytest.mark.slow)], ids=["few", "many"]
)
def test_every_damaged_recording_is_played_or_refused(
    tmp_path: Path, originals: dict[str, bytes], name: str, seeds: range
) -> None:
    ends: Counter[str] = Counter()
    for seed in seeds:
        source = tmp_path / f"{seed}-{name}"
        source.write_bytes(mutated(originals[name], seed))
        try:
            made = laddered(source, tmp_path / str(seed))
        except Unreadable as error:
            assert error.reason_zh, seed
            ends["refused"] += 1
            continue
        ends["degraded" if made.damage else "played"] += 1
        assert made.renditions, seed
        lengths = {round(rendition.duration_ms, -3) for rendition in made.renditions if rendition.height}
        for rendition in made.renditions:
            if rendition.height:
                pixels = raw(joined(made.directory / rendition.rung), "-f", "rawvideo", "-vf", "scale=1:1,format=gray")
                assert len(pixels) >= rendition.duration_ms * float(rendition.frame_rate) / 1000 - 1, seed
        assert len(lengths) <= 2, seed
    assert sum(ends.values()) == len(seeds)
