"""Pages of lessons that are drawn second by second: what turns a page, what does not, and which moment is shown."""

import re
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from archive.model import Span, Still
from archive.timecode import ms_from_webvtt
from transcode.pages import (
    BLOCK_PX,
    STRICTNESSES,
    Grey,
    Page,
    Pages,
    board_vtt,
    grey_size_px,
    storyboard_vtt,
)

WIDTH, HEIGHT = grey_size_px(426, 240)
CAMERA_NOISE = 3.0  # grey levels, as it is left after the lowest rung's codec
HARD = STRICTNESSES[0]


def slide(number: int) -> Grey:
    """A white slide with a heading, some lines and a figure, all others for every number."""
    canvas = Image.new("L", (WIDTH, HEIGHT), 245)
    draw = ImageDraw.Draw(canvas)
    pen = np.random.default_rng(number)
    draw.rectangle((10, 10, 40 + int(pen.integers(60)), 18), fill=60)
    for row in range(int(pen.integers(2, 6))):
        scribble(draw, (10, 30 + 14 * row), int(pen.integers(40, 110)), 50, number * 10 + row)
    x, y = (int(side) for side in pen.integers((120, 20), (150, 60)))
    draw.ellipse((x, y, x + 45, y + 45), fill=int(pen.integers(60, 190)))
    return np.array(canvas)


def board(lines: int, letters: float = 1.0) -> Grey:
    """A blackboard with so many lines of chalk; of the last one only a part."""
    canvas = Image.new("L", (WIDTH, HEIGHT), 70)
    draw = ImageDraw.Draw(canvas)
    for row in range(lines):
        length = 80 if row < lines - 1 else max(1, int(80 * letters))
        scribble(draw, (12 + 100 * (row // 8), 6 + 13 * (row % 8)), length, 130, row)
    return np.array(canvas)


def scribble(draw: ImageDraw.ImageDraw, at: tuple[int, int], length: int, ink: int, seed: int) -> None:
    """Strokes of one pixel, as thick as writing is at this size."""
    pen = np.random.default_rng(seed)
    x, y = at
    for step in range(0, length, 3):
        up, down = (int(side) for side in pen.integers(0, 9, 2))
        draw.line((x + step, y + up, x + step + 3, y + down), fill=ink)


def teacher(picture: Grey, x: int) -> Grey:
    """Somebody dark, an eighth of the picture wide, in front of it."""
    with_them = picture.copy()
    with_them[20:, max(0, x) : max(0, x + 26)] = 25
    with_them[8:20, max(0, x + 8) : max(0, x + 18)] = 180
    return with_them


def filmed(seconds: int, picture: Callable[[int], Grey], *, noise: float = CAMERA_NOISE, seed: int = 1) -> Grey:
    """What a camera sees of `picture(second)`."""
    sensor = np.random.default_rng(seed)
    frames = np.stack([picture(second) for second in range(seconds)]).astype(np.float32)
    return np.clip(frames + sensor.normal(0, noise, frames.shape), 0, 255).astype(np.uint8)


def turned(frames: Grey, duration_ms: int | None = None) -> tuple[Page, ...]:
    return Pages(frames, duration_ms or len(frames) * 1000).turned(HARD)


def cuts_s(pages: tuple[Page, ...]) -> list[float]:
    return [page.span.start_ms / 1000 for page in pages[1:]]


def test_each_slide_is_a_page_from_its_second_on() -> None:
    changes = [7, 15, 19, 40, 71]
    frames = filmed(80, lambda second: slide(sum(second >= change for change in changes)), noise=1)
    pages = turned(frames)
    assert cuts_s(pages) == [change - 0.5 for change in changes]
    for number, page in enumerate(pages):
        assert np.abs(frames[page.best_ms // 1000].astype(int) - slide(number)).mean() < 3


def test_a_line_that_appears_on_a_slide_is_a_page() -> None:
    def picture(second: int) -> Grey:
        canvas = Image.fromarray(slide(4))
        draw = ImageDraw.Draw(canvas)
        for row in range(second // 30):
            draw.rectangle((8, 84 + row * 16, 120, 92 + row * 16), fill=40)
        return np.array(canvas)

    # The third comes too shortly before the end for a page of its own: the last still has it all the same.
    assert cuts_s(turned(filmed(100, picture, noise=1))) == [29.5, 59.5]


def test_a_slide_that_fades_into_the_next_is_shown_whole() -> None:
    def picture(second: int) -> Grey:
        share = min(1.0, max(0.0, (second - 20) / 4))
        return (slide(1) * (1 - share) + slide(2) * share).astype(np.uint8)

    frames = filmed(45, picture, noise=1)
    pages = turned(frames)
    assert len(pages) == 2
    assert abs(cuts_s(pages)[0] - 22) <= 2.5
    for number, page in enumerate(pages, start=1):
        assert np.abs(frames[page.best_ms // 1000].astype(int) - slide(number)).mean() < 3


@pytest.mark.parametrize("stays_s", [0, 3, 6])
def test_a_teacher_in_front_of_the_board_turns_no_page(stays_s: int) -> None:
    """To and fro for three minutes, standing still now and then."""
    way = [x for x in (*range(-26, WIDTH, 13), *range(WIDTH, -26, -13)) for _ in range(1 + stays_s * (x % 5 == 0))]
    frames = filmed(180, lambda second: teacher(board(6), way[second % len(way)]))
    (page,) = turned(frames)
    assert (page.span.start_ms, page.span.end_ms) == (0, 180_000)


def test_the_moment_shown_is_one_with_nobody_in_front_of_the_board() -> None:
    def picture(second: int) -> Grey:
        return teacher(board(6), 5 * (second % 40)) if second % 50 < 40 else board(6)

    frames = filmed(240, picture)
    (page,) = turned(frames)
    assert np.abs(frames[page.best_ms // 1000].astype(int) - board(6)).mean() < 3


def test_writing_makes_a_page_when_enough_has_been_added_and_a_wipe_makes_one() -> None:
    """A line in 20 s until ten minutes are over; then the board is wiped and a teacher writes on."""

    def picture(second: int) -> Grey:
        written = second % 320
        return teacher(board(1 + written // 20, written % 20 / 20), (second * 37) % WIDTH if second % 3 else -40)

    frames = filmed(640, picture)
    pages = turned(frames)
    assert 6 <= len(pages) <= 40
    assert min(abs(cut - 320) for cut in cuts_s(pages)) <= 5
    full = next(page for page in pages if page.span.start_ms < 315_000 <= page.span.end_ms)
    assert np.abs(frames[full.best_ms // 1000].astype(int) - board(16)).mean() < 6


@pytest.mark.parametrize(
    "light",
    [
        pytest.param(lambda second: 1.0, id="steady"),
        pytest.param(lambda second: 1 + 0.08 * (second % 2), id="flickering"),
        pytest.param(lambda second: 1 + 0.1 * np.sin(second / 20), id="clouds"),
    ],
)
def test_noise_and_light_turn_no_page(light: Callable[[int], float]) -> None:
    def picture(second: int) -> Grey:
        return np.clip(board(8) * light(second), 0, 255).astype(np.uint8)

    assert len(turned(filmed(120, picture, noise=4))) == 1


def test_a_film_in_class_is_shown_now_and_then() -> None:
    snow = np.random.default_rng(7)

    def picture(second: int) -> Grey:
        return slide(1) if second < 60 else snow.integers(0, 255, (HEIGHT, WIDTH)).astype(np.uint8)

    pages = turned(filmed(180, picture))
    film = [page for page in pages if page.span.start_ms >= 59_000]
    assert 5 <= len(film) <= 7
    assert all(page.span.duration_ms >= 19_500 for page in film[:-2])  # its end is a cut of its own


def test_strictness_leaves_fewer_pages_and_bounds_them() -> None:
    frames = filmed(250, lambda second: slide(second // 5), noise=1)
    pages = Pages(frames, 250_000)
    counts = [len(pages.turned(strictness)) for strictness in STRICTNESSES]
    assert counts[0] == 50
    assert counts == sorted(counts, reverse=True)
    assert counts[-1] <= 3


def test_a_lesson_of_a_moment_is_one_page() -> None:
    (page,) = turned(filmed(1, lambda _: slide(1)), duration_ms=40)
    assert (page.span.start_ms, page.span.end_ms, page.best_ms) == (0, 40, 0)


def test_pictures_that_are_not_the_lessons_are_refused() -> None:
    with pytest.raises(ValueError, match="3 pictures in 2000 ms"):
        Pages(filmed(3, slide), 2000)
    with pytest.raises(ValueError, match="0 pictures"):
        Pages(np.zeros((0, HEIGHT, WIDTH), np.uint8), 2000)


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 12)), min_size=1, max_size=6), st.integers(1, 1000))
def test_pages_tile_the_lesson_and_show_moments_of_their_own(scenes: list[tuple[int, int]], rest_ms: int) -> None:
    numbers = [number for number, seconds in scenes for _ in range(seconds)]
    frames = np.stack([slide(number)[: 3 * BLOCK_PX, : 4 * BLOCK_PX] for number in numbers])
    duration_ms = (len(frames) - 1) * 1000 + rest_ms
    for strictness in STRICTNESSES:
        pages = Pages(frames, duration_ms).turned(strictness)
        assert (pages[0].span.start_ms, pages[-1].span.end_ms) == (0, duration_ms)
        for page, following in pairwise(pages):
            assert page.span.end_ms == following.span.start_ms
            assert following.span.start_ms - page.span.start_ms >= strictness.shortest_s * 1000 - 500
        assert all(page.span.start_ms <= page.best_ms < page.span.end_ms for page in pages)


@pytest.mark.parametrize("size", [(426, 240), (240, 426), (320, 240), (240, 240), (2, 2), (1000, 16)])
def test_grey_pictures_keep_their_shape_in_whole_blocks(size: tuple[int, int]) -> None:
    width, height = grey_size_px(*size)
    assert width % BLOCK_PX == height % BLOCK_PX == 0
    assert 18_000 <= width * height <= 30_000
    assert 0.75 < width / height / (size[0] / size[1]) < 1.35


# --- the timed tracks ---------------------------------------------------------------------------------------------------

CUE = re.compile(r"(\S+) --> (\S+)\n(\S+)\n")


def cues(vtt: str) -> list[tuple[int, int, str]]:
    head, _, rest = vtt.partition("\n\n")
    assert head == "WEBVTT"
    found = CUE.findall(rest)
    assert "\n".join(f"{start} --> {end}\n{text}\n" for start, end, text in found) == rest
    return [(ms_from_webvtt(start), ms_from_webvtt(end), text) for start, end, text in found]


@given(st.lists(st.integers(1, 10**7), min_size=1, max_size=30))
def test_a_board_track_says_which_still_is_shown_when(lengths_ms: list[int]) -> None:
    edges = [0, *np.cumsum(lengths_ms).tolist()]
    spans = [Span(start, end) for start, end in pairwise(edges)]
    stills = [Still(span, f"board-{n:05d}.jpg", 960, 540, 9) for n, span in enumerate(spans, start=1)]
    assert cues(board_vtt(stills)) == [(s.span.start_ms, s.span.end_ms, s.name) for s in stills]


@given(st.integers(1, 3_600_000), st.integers(1, 6), st.integers(1, 6))
def test_a_storyboard_track_leads_to_every_tile_once(duration_ms: int, columns: int, rows: int) -> None:
    count = -(-duration_ms // 6000)
    sheets = [f"storyboard-{n + 1:03d}.jpg" for n in range(-(-count // (columns * rows)))]
    found = cues(storyboard_vtt(duration_ms, 6000, sheets, (columns, rows), (160, 90)))
    assert [start for start, _, _ in found] == list(range(0, duration_ms, 6000))
    assert [end for _, end, _ in found] == [*(start for start, _, _ in found[1:]), duration_ms]
    assert len({text for _, _, text in found}) == count
    for _, _, text in found:
        name, place = text.split("#xywh=")
        x, y, width, height = map(int, place.split(","))
        assert name in sheets
        assert (width, height) == (160, 90)
        assert x % 160 == y % 90 == 0
        assert x < columns * 160
        assert y < rows * 90
