"""Stills and storyboard of real clips: rungs as the pipeline makes them, pictures as a phone gets them."""

import re
from collections.abc import Callable
from io import BytesIO
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from archive.errors import Cancelled, Unavailable
from archive.model import Board, Rendition
from archive.tool import run_tool
from fixtures.lessons import MATHS
from fixtures.make import SampleRecording
from tests.transcode.clips import PATIENT
from transcode.board import MOST_BYTES_PER_MIN, SHORT_BYTES, make_board
from transcode.ladder import HLS_SEGMENT_S
from transcribe import webvtt

COLOURS = {"0x204060": 4, "0xf0f0e0": 5.4, "0x206020": 9, "0xe0c040": 5.6}  # → for how many seconds


def rung(directory: Path, arguments: list[str], size: tuple[int, int], rate: float, seconds: float) -> Rendition:
    """fMP4 HLS of `HLS_SEGMENT_S` a file, as our ladder makes it, of what these arguments of ffmpeg give."""
    directory.mkdir(parents=True)
    argv = ["ffmpeg", "-v", "error", *arguments, "-an", "-t", str(seconds)]
    argv += ["-vf", f"fps={rate},scale={size[0]}:{size[1]},setsar=1,format=yuv420p"]
    argv += ["-c:v", "libx264", "-preset", "veryfast", "-crf", "25", "-g", str(int(rate * HLS_SEGMENT_S))]
    argv += ["-sc_threshold", "0", "-threads", "1", "-f", "hls", "-hls_time", str(HLS_SEGMENT_S)]
    argv += ["-hls_playlist_type", "vod", "-hls_segment_type", "fmp4", "-hls_segment_options", "movflags=+cmaf"]
    argv += ["-hls_fmp4_init_filename", "init.mp4", "-hls_segment_filename", str(directory / "seg-%05d.m4s")]
    run_tool([*argv, str(directory / "index.m3u8")], limits=PATIENT)
    return Rendition(directory.name, "avc1.64001f", *size, str(rate), 1, 1, 1, round(seconds * 1000), "")


def both(
    home: Path, arguments: list[str], seconds: float, low: tuple[int, int], sharp: tuple[int, int]
) -> tuple[Rendition, Rendition]:
    return rung(home / "240p", arguments, low, 12.5, seconds), rung(home / "720p", arguments, sharp, 12.5, seconds)


def made(home: Path, renditions: tuple[Rendition, Rendition], name: str = "out") -> tuple[Board, Path]:
    out = home / name
    out.mkdir()
    board = make_board(
        lambda one, piece: home / one / piece, *renditions, out, on_progress=print, cancelled=lambda: False
    )
    return board, out


def drawn(path: Path, graph: str, *inputs: str, seconds: float) -> list[str]:
    """The arguments for a file in which this graph of inputs was drawn, its output called `v`, without any loss."""
    argv = ["ffmpeg", "-v", "error", *film(*inputs), "-filter_complex", graph, "-map", "[v]", "-t", str(seconds)]
    run_tool([*argv, "-c:v", "libx264", "-preset", "ultrafast", "-qp", "0", str(path)], limits=PATIENT)
    return ["-i", str(path)]


def film(*inputs: str) -> list[str]:
    return [argument for source in inputs for argument in ("-f", "lavfi", "-i", source)]


def check(board: Board, out: Path, duration_ms: int) -> None:
    """What holds for every board: it tiles the lesson, keeps its budget, and its tracks name files that are there."""
    assert (board.stills[0].span.start_ms, board.stills[-1].span.end_ms) == (0, duration_ms)
    assert all(a.span.end_ms == b.span.start_ms for a, b in pairwise(board.stills))
    assert board.size_bytes == sum(still.size_bytes for still in board.stills)
    assert board.size_bytes <= max(SHORT_BYTES, MOST_BYTES_PER_MIN * duration_ms / 60_000)
    for still in board.stills:
        content = (out / still.name).read_bytes()
        assert len(content) == still.size_bytes
        with Image.open(BytesIO(content)) as image:
            assert (image.format, image.size) == ("JPEG", (still.width, still.height))
        content = (out / still.webp_name).read_bytes()
        assert len(content) == still.webp_bytes
        with Image.open(BytesIO(content)) as image:
            assert (image.format, image.size) == ("WEBP", (still.width, still.height))
    assert board.least_bytes == sum(still.webp_bytes for still in board.stills)
    named = re.findall(r"^\S+\.jpg", (out / "board.vtt").read_text(), re.MULTILINE)
    assert named == [still.name for still in board.stills]
    tiles = re.findall(r"^(\S+\.jpg)#xywh=(\d+),(\d+),(\d+),(\d+)$", (out / "storyboard.vtt").read_text(), re.MULTILINE)
    assert len(tiles) == -(-duration_ms // (HLS_SEGMENT_S * 1000))
    assert sorted({name for name, *_ in tiles}) == list(board.storyboard)
    for name, *place in tiles:
        x, y, width, height = map(int, place)
        with Image.open(out / name) as sheet:
            assert x + width <= sheet.width
            assert y + height <= sheet.height
    kept = {name for still in board.stills for name in (still.name, still.webp_name)}
    kept |= {*board.storyboard, "board.vtt", "storyboard.vtt"}
    assert {path.name for path in out.iterdir()} == kept


def middle(path: Path) -> tuple[int, ...]:
    with Image.open(path) as image:
        return tuple(image.convert("RGB").getpixel((image.width // 2, image.height // 2)))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def slides(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, tuple[Rendition, Rendition]]:
    """Four plain slides that change at 4, 9.4 and 18.4 s: within a second, and not with the hls_segments."""
    home = tmp_path_factory.mktemp("slides")
    parts = [f"color={colour}:s=640x360:r=12.5:d={seconds}" for colour, seconds in COLOURS.items()]
    joined = "".join(f"[{n}]" for n in range(len(parts))) + f"concat=n={len(parts)}[v]"
    arguments = drawn(home / "whole.mkv", joined, *parts, seconds=24)
    return home, both(home, arguments, 24, (426, 240), (640, 360))


def test_slides_are_cut_where_they_change_and_none_shows_the_next(
    slides: tuple[Path, tuple[Rendition, Rendition]],
) -> None:
    board, out = made(*slides, "first")
    check(board, out, 24_000)
    starts = [still.span.start_ms for still in board.stills]
    assert len(starts) == 4
    for start_ms, change_ms in zip(starts, (0, 4_000, 9_400, 18_400), strict=True):
        assert abs(start_ms - change_ms) <= 600
    for still, colour in zip(board.stills, COLOURS, strict=True):
        wanted = bytes.fromhex(colour[2:])
        assert max(abs(a - b) for a, b in zip(middle(out / still.name), wanted, strict=True)) < 12


def test_the_same_renditions_give_the_same_bytes(slides: tuple[Path, tuple[Rendition, Rendition]]) -> None:
    boards = [made(*slides, name) for name in ("second", "third")]
    assert boards[0][0] == boards[1][0]
    contents = [{path.name: path.read_bytes() for path in out.iterdir()} for _, out in boards]
    assert contents[0] == contents[1]


def test_a_storyboard_shows_the_picture_of_each_moment(slides: tuple[Path, tuple[Rendition, Rendition]]) -> None:
    board, out = made(*slides, "story")
    with Image.open(out / board.storyboard[0]) as sheet:
        seen = [sheet.convert("RGB").getpixel((160 * n + 80, 45)) for n in range(4)]
    for pixel, at_s in zip(seen, (0, 6, 12, 18), strict=True):
        colour = list(COLOURS)[sum(at_s >= change for change in (4, 9.4, 18.4))]
        assert max(abs(a - b) for a, b in zip(pixel, bytes.fromhex(colour[2:]), strict=True)) < 16  # type: ignore[arg-type]


@pytest.mark.slow
def test_a_real_lesson_has_a_still_for_each_slide(maths_lesson: SampleRecording, tmp_path: Path) -> None:
    """Two slides with a line for nearly every sentence, and a teacher's window that never stands still."""
    said = webvtt.read(maths_lesson.sidecars[1].read_text(encoding="utf-8"))
    second = len(MATHS.slides[0].steps)  # as many sentences come before it
    duration_ms = said[second + len(MATHS.slides[1].steps)].span.start_ms - 500
    renditions = both(tmp_path, ["-i", str(maths_lesson.media)], duration_ms / 1000, (426, 240), (640, 360))
    board, out = made(tmp_path, renditions)
    check(board, out, duration_ms)
    assert len(board.stills) == 2
    assert abs(board.stills[1].span.start_ms - said[second].span.start_ms) <= 1000


@pytest.mark.slow
def test_somebody_who_walks_before_a_noisy_board_turns_no_page(tmp_path: Path) -> None:
    walker = "color=0x302018:s=75x260:r=12.5"
    graph = "[0]noise=alls=20:allf=t[room];[room][1]overlay=x='-75+mod(t*48\\,715)':y=100[v]"
    board_picture = "testsrc2=s=640x360:r=12.5:d=0.08,loop=-1:1:0,setpts=N/12.5/TB"
    arguments = drawn(tmp_path / "whole.mkv", graph, board_picture, walker, seconds=50)
    board, out = made(tmp_path, both(tmp_path, arguments, 50, (426, 240), (640, 360)))
    check(board, out, 50_000)
    assert len(board.stills) == 1


@pytest.mark.slow
def test_a_film_of_nothing_but_change_stays_within_the_budget(tmp_path: Path) -> None:
    arguments = film("testsrc2=s=320x180:r=12.5,noise=alls=100:allf=t")
    board, out = made(tmp_path, both(tmp_path, arguments, 45, (320, 180), (320, 180)))
    check(board, out, 45_000)
    assert (board.stills[0].width, board.stills[0].height) == (320, 180)  # never larger than it was


@pytest.mark.parametrize(
    ("low", "sharp", "still"),
    [((240, 426), (720, 1280), (540, 960)), ((240, 240), (240, 240), (240, 240)), ((64, 48), (64, 48), (64, 48))],
    ids=["upright", "square", "tiny"],
)
def test_any_shape_and_a_lesson_of_two_seconds(
    tmp_path: Path, low: tuple[int, int], sharp: tuple[int, int], still: tuple[int, int]
) -> None:
    arguments = film(f"color=0x406080:s={sharp[0]}x{sharp[1]}:r=25")
    board, out = made(tmp_path, both(tmp_path, arguments, 2, low, sharp))
    check(board, out, 2_000)
    assert [(one.width, one.height) for one in board.stills] == [still]


def test_a_lesson_of_several_sheets_is_read_to_its_end(tmp_path: Path) -> None:
    """Four minutes and a bit, so two sheets; the last hls_segment is shorter than a second."""
    arguments = film("color=0x204060:s=64x48:r=12.5,drawbox=c=white:t=fill:enable='gte(t,241)'")
    board, out = made(tmp_path, both(tmp_path, arguments, 246.4, (64, 48), (64, 48)))
    check(board, out, 246_400)
    assert len(board.storyboard) == 2


def test_progress_grows_and_whoever_stops_it_stops_it(slides: tuple[Path, tuple[Rendition, Rendition]]) -> None:
    home, renditions = slides
    out = home / "stopped"
    out.mkdir()
    (out / "poster.jpg").write_bytes(b"somebody else's")
    said: list[float] = []

    def board(cancelled: Callable[[], bool]) -> None:
        make_board(
            lambda one, piece: home / one / piece, *renditions, out, on_progress=said.append, cancelled=cancelled
        )

    with pytest.raises(Cancelled):
        board(lambda: bool(said))  # as soon as all of it was looked through
    assert {path.name for path in out.iterdir()} == {"poster.jpg", "storyboard-001.jpg"}
    said.clear()
    board(lambda: False)
    assert said == sorted(said)
    assert said[-1] == 1.0
    assert (out / "poster.jpg").read_bytes() == b"somebody else's"


def test_renditions_that_cannot_be_read_are_not_the_recordings_fault(tmp_path: Path) -> None:
    renditions = both(tmp_path, film("color=red:s=64x48:r=25"), 2, (64, 48), (64, 48))
    (tmp_path / "240p" / "seg-00000.m4s").write_bytes(np.random.default_rng(1).bytes(5000))
    with pytest.raises(Unavailable, match="ffmpeg"):
        made(tmp_path, renditions)
    assert list((tmp_path / "out").glob("board*")) == []
