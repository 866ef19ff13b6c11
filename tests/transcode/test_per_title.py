from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archive.errors import Cancelled
from archive.model import Probe
from tests.transcode.clips import make, probed, x264
from tests.transcode.test_plan import camera, recording
from transcode import per_title
from transcode.ladder import VideoRung
from transcode.per_title import COARSEST, FINEST, FLOOR_DB, crf_offset, sample_starts_s, with_offsets
from transcode.plan import Reading, Survey, all_rungs

SECONDS = 64
decibels = st.floats(5, 60)


def minute_of(path: Path, content: str, *, seekable: bool = False) -> tuple[Path, Probe, Survey]:
    """A source of small pictures, so that the trial is cheap: its one rung has the source's size."""
    made = make(path, ["-f", "lavfi", "-i", content], x264("-g", "50", "-crf", "10", "-pix_fmt", "yuv420p"))
    found = probed(made)
    reading = Reading(0, found.duration_ms, 2000, 40, 300)
    return made, found, Survey((reading,), 0, seekable, 0)


def offset_of(made: tuple[Path, Probe, Survey], scratch: Path) -> int:
    scratch.mkdir()
    surveyed = with_offsets(*made, scratch, cancelled=lambda: False)
    assert not list(scratch.iterdir())
    return surveyed.video[0].crf_offset


def test_a_board_is_made_coarser_and_a_film_of_noise_finer(tmp_path: Path) -> None:
    board = minute_of(
        tmp_path / "board.mkv", f"color=0x205040:s=160x120:r=10:d={SECONDS},drawbox=40:30:50:4:white", seekable=True
    )
    film = minute_of(tmp_path / "film.mkv", f"testsrc2=s=160x120:r=10:d={SECONDS},noise=alls=20:allf=t")
    assert offset_of(board, tmp_path / "one") == COARSEST
    assert offset_of(film, tmp_path / "two") == FINEST


def test_what_was_found_holds_for_every_rung_of_the_view() -> None:
    source, survey = recording(camera(720), camera(720, view="students"))
    students = replace(survey.video[1], crf_offset=2)
    coarser = replace(survey, video=(survey.video[0], students))
    before, after = all_rungs(source, survey), all_rungs(source, coarser)
    added = {
        rung.name: after_rung.crf - rung.crf
        for rung, after_rung in zip(before.values(), after.values(), strict=True)
        if isinstance(rung, VideoRung) and isinstance(after_rung, VideoRung)
    }
    assert len(added) == 8
    assert all(by == (2 if name.startswith("students") else 0) for name, by in added.items())
    assert Survey.from_json(coarser.as_json()) == coarser


def test_a_stretch_that_cannot_be_read_says_nothing(tmp_path: Path) -> None:
    made, found, survey = minute_of(tmp_path / "board.mkv", f"color=0x205040:s=64x48:r=5:d={SECONDS}")
    made.write_bytes(made.read_bytes()[:900] + bytes(2000))
    assert offset_of((made, found, survey), tmp_path / "scratch") == 0


def test_a_trial_ends_when_the_worker_stops(tmp_path: Path) -> None:
    made, found, survey = minute_of(tmp_path / "film.mkv", f"testsrc2=s=160x120:r=10:d={SECONDS}")
    (tmp_path / "scratch").mkdir()
    with pytest.raises(Cancelled):
        with_offsets(made, found, survey, tmp_path / "scratch", cancelled=lambda: True)


def test_short_recordings_are_not_tried_and_long_ones_all_over() -> None:
    short, long = Reading(0, 59_000, 2000, 40, 300), Reading(12_000, 2_712_000, 2000, 40, 300)
    assert sample_starts_s(short, seekable=True) == []
    starts = sample_starts_s(long, seekable=True)
    assert len(starts) == per_title.SAMPLES
    assert starts[0] > 200
    assert starts[-1] < 2_500
    assert sample_starts_s(long, seekable=False) == [12]


@given(decibels, decibels)
def test_the_offset_is_the_largest_that_keeps_the_floor(coarse_db: float, base_db: float) -> None:
    offset = crf_offset(coarse_db, base_db)
    slope_db = (base_db - coarse_db) / COARSEST
    assert FINEST <= offset <= COARSEST
    if coarse_db < FLOOR_DB and slope_db > 0 and offset > FINEST:
        assert base_db - slope_db * offset >= FLOOR_DB - 1e-6
        assert base_db - slope_db * (offset + 1) < FLOOR_DB + 1e-6


def test_moving_pictures_get_what_they_need() -> None:
    """Measured at 240p: SSIM at CRF 30 and at CRF 25 of bikes, an animated film, a talking head, a classroom camera."""
    assert [crf_offset(14.7, 17.3), crf_offset(12.8, 16.2), crf_offset(14.6, 16.8)] == [0, -2, -1]
    assert crf_offset(19.1, 21.6) == COARSEST
