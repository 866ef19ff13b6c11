from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from tests.transcode.clips import make, picture, probed, sound, x264
from transcode.stills import POSTER_BYTES, poster

NOISE = ["-f", "lavfi", "-i", "nullsrc=s=640x360:d=0.2,format=gray,geq=random(1)*255"]


@pytest.mark.parametrize(
    ("source", "size"),
    [
        (picture("1280x720", seconds=0.4), (640, 360)),
        (picture("480x854", seconds=0.4), (360, 640)),
        ([*picture(seconds=0.4), "-vf", "scale=321:181,setsar=1"], (321, 181)),
        (NOISE, (640, 360)),
    ],
    ids=["flat", "upright", "small", "noise"],
)
def test_a_poster_fits_a_card_and_a_slow_line(tmp_path: Path, source: list[str], size: tuple[int, int]) -> None:
    lesson = make(tmp_path / "a.mkv", source, x264("-pix_fmt", "yuv444p", "-metadata", "title=SECRET"))
    assert poster(lesson, probed(lesson), tmp_path / "poster.jpg")
    content = (tmp_path / "poster.jpg").read_bytes()
    with Image.open(BytesIO(content)) as image:
        assert (image.format, image.size) == ("JPEG", size)
    assert len(content) <= POSTER_BYTES
    assert b"SECRET" not in content


def test_sound_alone_has_no_poster(tmp_path: Path) -> None:
    lesson = make(tmp_path / "a.m4a", sound())
    assert not poster(lesson, probed(lesson), tmp_path / "poster.jpg")
    assert not (tmp_path / "poster.jpg").exists()


def test_a_lesson_whose_picture_cannot_be_had_goes_without(tmp_path: Path) -> None:
    lesson = make(tmp_path / "a.mp4", picture(seconds=0.4), x264("-movflags", "+faststart"))
    found = probed(lesson)
    content = lesson.read_bytes()
    lesson.write_bytes(content[: content.index(b"mdat") + 4])
    assert not poster(lesson, found, tmp_path / "poster.jpg")
    assert not (tmp_path / "poster.jpg").exists()
