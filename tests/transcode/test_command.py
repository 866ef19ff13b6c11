from pathlib import Path

import pytest

from archive import hardening
from archive.model import AudioTrack, Probe, VideoTrack
from transcode import command
from transcode.ladder import MUSIC, OPUS, SPEECH, CopyRung, View, video_rungs, views_of
from transcode.plan import Task

LESSON = Probe(
    "mov,mp4,m4a,3gp,3g2,mj2",
    60_000,
    10**7,
    (VideoTrack(2, "h264", 1920, 1080, "25/1"),),
    (AudioTrack(5, "aac", 2, 48000, "chi"),),
)
SOURCE = Path("/work/50%d of [it]; -y.mp4")
(VIEW,) = views_of(LESSON)
PART = Task("720p-001", ("720p", "480p", "360p", "240p"), True, "main", 240, 6000)


def part(*, task: Task = PART, view: View = VIEW, **more: object) -> list[str]:
    options = {"preset": "medium", "threads": 3, **more}
    return command.part_argv(SOURCE, view, video_rungs(view), task, **options)  # type: ignore[arg-type]


def sounds(*, strict: bool = True, gain_db: float = 6.0) -> list[str]:
    rungs = (SPEECH, MUSIC, OPUS)
    return command.sound_argv(SOURCE, LESSON.audio[0], rungs, 60_000, gain_db=gain_db, strict=strict)


def value(argv: list[str], flag: str) -> str:
    return argv[argv.index(flag) + 1]


def values(argv: list[str], flag: str) -> list[str]:
    return [argv[at + 1] for at, word in enumerate(argv) if word == flag]


@pytest.mark.parametrize(
    "argv",
    [
        part(),
        sounds(),
        command.copy_argv(SOURCE, LESSON, "copy.mkv"),
        command.kept_argv(SOURCE, VIEW, CopyRung("1080p", 1920, 1080, video_rungs(VIEW)[0].frame_rate)),
        command.loudness_argv(SOURCE, LESSON.audio[0], 60_000),
        command.packets_argv(SOURCE, 2, 240, 300),
        command.decoded_argv(SOURCE, 2, 240, 300, threads=3),
        command.poster_argv(SOURCE, LESSON, at_ms=6000, size_px=(640, 360), quality=5, name="poster.jpg"),
        command.trial_cut_argv(
            SOURCE, VIEW, video_rungs(VIEW)[-1], start_s=0, length_s=4, lossless="l", coded={25: "b"}
        ),
    ],
    ids=["part", "sound", "copy", "kept", "loudness", "packets", "decoded", "poster", "trial"],
)
def test_every_source_is_opened_once_and_behind_the_whitelists(argv: list[str]) -> None:
    assert argv.count("-i") == 1
    assert value(argv, "-i") == f"file:{SOURCE}"
    before = argv[: argv.index("-i")]
    for option, content in hardening.INPUT_OPTIONS.items():
        assert value(before, f"-{option}") == content
    assert str(SOURCE) not in " ".join(argv).replace(f"file:{SOURCE}", "")


def test_one_command_makes_all_rungs_from_one_decode() -> None:
    argv = part()
    assert [word for word in argv if word.endswith(".m3u8")] == [
        f"{rung}/index.m3u8" for rung in ("720p", "480p", "360p", "240p")
    ]
    assert value(argv, "-filter_complex").count("[0:2]") == 1
    assert value(sounds(), "-filter_complex").count("[0:5]") == 1


def test_a_part_has_as_many_pictures_as_the_plan_says() -> None:
    assert values(part(), "-frames:v") == ["6000"] * 4
    assert values(part(), "-start_number") == ["40"] * 4


def test_a_part_begins_with_what_was_shown_before_it() -> None:
    argv = part()
    before = argv[: argv.index("-i")]
    assert (value(before, "-ss"), "-noaccurate_seek" in before, "-copyts" in before) == ("240", True, True)
    assert "start_time=240" in value(argv, "-filter_complex")
    assert "-ss" not in part(task=Task("720p-000", PART.rungs, True, "main", 0, 6000))


def test_what_the_source_says_about_itself_reaches_no_output() -> None:
    for argv, outputs in ((part(), 4), (sounds(), 3)):
        for flag in ("-map_metadata", "-map_chapters"):
            assert values(argv, flag) == ["-1"] * outputs


def test_damage_is_an_error_at_first_and_borne_afterwards() -> None:
    for strict, patient in ((part(), part(strict=False)), (sounds(), sounds(strict=False))):
        assert "-xerror" in strict
        assert "-xerror" not in patient
        assert value(strict, "-err_detect") == value(patient, "-err_detect") == "explode"


def test_a_cap_leaves_room_for_the_decoder_to_catch_up() -> None:
    assert values(part(), "-maxrate") == ["750k", "337k", "187k", "90k"]


@pytest.mark.parametrize(("encoder", "codec"), [("x264", "libx264"), ("nvenc", "h264_nvenc"), ("vaapi", "h264_vaapi")])
def test_every_encoder_cuts_at_the_same_instants_under_the_same_caps(encoder: str, codec: str) -> None:
    argv = part(encoder=encoder)
    assert values(argv, "-c:v") == [codec] * 4
    assert values(argv, "-force_key_frames") == ["expr:gte(t+0.001,240+n_forced*6)"] * 4
    assert values(argv, "-g") == ["150"] * 4
    assert values(argv, "-maxrate") == values(part(), "-maxrate")


def test_small_pictures_are_encoded_more_slowly_because_their_lines_are_slow() -> None:
    assert values(part(), "-preset") == ["medium", "medium", "slower", "slower"]
    assert values(part(preset="veryfast"), "-preset") == ["veryfast", "veryfast", "fast", "fast"]
    assert values(part(preset="ultrafast"), "-preset") == ["ultrafast"] * 4


def test_a_trial_shows_each_crf_what_it_can_do_without_a_cap() -> None:
    rung = video_rungs(VIEW)[-1]
    argv = command.trial_cut_argv(
        SOURCE, VIEW, rung, start_s=60, length_s=4, lossless="l.mkv", coded={28: "c.mkv", 25: "b.mkv"}
    )
    assert (value(argv, "-ss"), value(argv, "-t"), values(argv, "-qp")) == ("60", "4", ["0"])
    assert values(argv, "-crf") == ["28", "25"]
    assert [word for word in argv if word.endswith(".mkv")] == ["l.mkv", "c.mkv", "b.mkv"]
    assert all(int(kbps.removesuffix("k")) > 50_000 for kbps in values(argv, "-maxrate"))


@pytest.mark.parametrize(
    ("line", "ssim"),
    [
        ("n:1 Y:0.981230 U:0.990000 V:0.990000 All:0.985000 (18.239087)", 0.98123),
        ("n:2 Y:nonsense", None),
        ("frame:2 pts:1", None),
        ("", None),
    ],
)
def test_ssim_of_a_picture_is_read_from_its_own_line(line: str, ssim: float | None) -> None:
    assert command.luma_ssim(line) == ssim


def test_a_quiet_lesson_is_raised_under_a_limiter_and_a_loud_one_only_lowered() -> None:
    assert "alimiter" in value(sounds(gain_db=6), "-filter_complex")
    assert "alimiter" not in value(sounds(gain_db=-3), "-filter_complex")
    assert "volume" not in value(sounds(gain_db=0), "-filter_complex")


@pytest.mark.parametrize(
    ("line", "ms"),
    [
        ("out_time_us=15000000", 15_000),
        ("out_time_us=N/A", None),
        ("out_time_us=-21333", None),
        ("out_time_ms=15000000", None),  # microseconds too, under a name that is kept for old readers
        ("progress=continue", None),
        ("", None),
    ],
)
def test_progress_of_sound_is_a_time(line: str, ms: int | None) -> None:
    assert command.ms_done(line) == ms


@pytest.mark.parametrize(("line", "pictures"), [("frame=150", 150), ("frame= 7", 7), ("fps=25", None), ("", None)])
def test_progress_of_pictures_is_their_number(line: str, pictures: int | None) -> None:
    assert command.pictures_done(line) == pictures


@pytest.mark.parametrize(
    ("line", "lufs"),
    [
        ("lavfi.r128.I=-23.100", -23.1),
        ("lavfi.r128.I=nan?", None),
        ("frame:12 pts:5", None),
        ("lavfi.r128.M=-20", None),
    ],
)
def test_loudness_is_read_from_its_own_line(line: str, lufs: float | None) -> None:
    assert command.loudness_lufs(line) == lufs


def test_a_clock_reads_times_in_the_ticks_it_was_told() -> None:
    clock = command.Clock()
    assert clock.read("#tb 0: 1/12800") is None
    assert clock.read("#dimensions 0: 640x360") is None
    assert clock.read("0,      12800,      12800,      512,     4096, 0x1234abcd") == (1000, 40)
