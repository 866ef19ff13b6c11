from pathlib import Path

import pytest

from archive import hardening
from archive.model import AudioTrack, Probe, VideoTrack
from transcode.command import decode_argv, encode_argv, fraction_done, poster_argv
from transcode.ladder import rungs_for

LESSON = Probe(
    "mov,mp4,m4a,3gp,3g2,mj2",
    60_000,
    10**7,
    (VideoTrack(2, "h264", 1920, 1080, "25/1"),),
    (AudioTrack(5, "aac", 2, 48000, "chi"),),
)
SOURCE = Path("/work/50%d of [it]; -y.mp4")


def encoding(probe: Probe = LESSON) -> list[str]:
    return encode_argv(SOURCE, probe, rungs_for(probe), preset="medium", threads=3)


def value(argv: list[str], flag: str) -> str:
    return argv[argv.index(flag) + 1]


@pytest.mark.parametrize(
    "argv",
    [
        encoding(),
        decode_argv(SOURCE, LESSON, threads=3),
        poster_argv(SOURCE, LESSON, at_ms=6000, size_px=(640, 360), quality=5, name="poster.jpg"),
    ],
    ids=["encode", "decode", "poster"],
)
def test_every_source_is_opened_once_and_behind_the_whitelists(argv: list[str]) -> None:
    assert argv.count("-i") == 1
    assert value(argv, "-i") == f"file:{SOURCE}"
    before = argv[: argv.index("-i")]
    for option, content in hardening.INPUT_OPTIONS.items():
        assert value(before, f"-{option}") == content
    assert str(SOURCE) not in " ".join(argv).replace(f"file:{SOURCE}", "")


def test_one_command_makes_all_rungs_from_one_decode() -> None:
    argv = encoding()
    assert [part for part in argv if part.endswith(".m3u8")] == [
        f"{rung}/index.m3u8" for rung in ("720p", "480p", "360p", "240p", "audio")
    ]
    assert value(argv, "-filter_complex").count("[0:2]") == 1
    assert value(argv, "-filter_complex").count("[0:5]") == 1


def test_what_the_source_says_about_itself_reaches_no_output() -> None:
    argv = encoding()
    for flag in ("-map_metadata", "-map_chapters"):
        assert [argv[at + 1] for at, part in enumerate(argv) if part == flag] == ["-1"] * 5


def test_damage_is_an_error_where_a_verdict_depends_on_it() -> None:
    for argv in (encoding(), decode_argv(SOURCE, LESSON, threads=3)):
        assert "-xerror" in argv
        assert value(argv, "-err_detect") == "explode"


def test_a_cap_leaves_room_for_the_decoder_to_catch_up() -> None:
    rates = [part for at, part in enumerate(encoding()) if encoding()[at - 1] == "-maxrate"]
    assert rates == ["750k", "337k", "187k", "90k"]


def test_tracks_that_are_not_there_are_not_asked_for() -> None:
    silent = encoding(Probe(LESSON.container, 60_000, 10**7, LESSON.video, ()))
    assert "aresample" not in value(silent, "-filter_complex")
    blind = encoding(Probe(LESSON.container, 60_000, 10**7, (), LESSON.audio))
    assert "libx264" not in blind


@pytest.mark.parametrize(
    ("line", "fraction"),
    [
        ("out_time_us=15000000", 0.25),
        ("out_time_us=99000000", 1.0),
        ("out_time_us=N/A", None),
        ("out_time_us=-21333", None),
        ("out_time_ms=15000000", None),  # microseconds too, under a name that is kept for old readers
        ("progress=continue", None),
        ("", None),
    ],
)
def test_progress_is_a_share_of_the_lesson(line: str, fraction: float | None) -> None:
    assert fraction_done(line, 60_000) == fraction
