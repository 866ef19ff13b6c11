"""What comes of a recording: every source a recorder or a phone may send, whole or damaged, in one part or in several."""

import array
import itertools
import math
import os
import shutil
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import m3u8
import pytest

import transcode.encode
from archive.errors import Cancelled, DiskFull, Unavailable, Unreadable
from archive.model import Rendition
from tests.transcode.clips import Ladder, encoded, joined, laddered, make, picture, raw, shown, sound, x264
from transcode import plan

SECONDS = 13.5  # two whole hls_segments and a short one
SOUNDS = ["audio", "audio48", "opus"]


@pytest.fixture(scope="module")
def progress() -> list[float]:
    return []


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tags = ["-metadata", "title=SECRET", "-metadata", "location=+30.1+120.2/"]
    path = tmp_path_factory.mktemp("source") / "lesson.mp4"
    return make(path, picture("856x480", seconds=SECONDS), sound(SECONDS, 2), x264("-g", "70"), tags)


@pytest.fixture(scope="module")
def ladder(source: Path, tmp_path_factory: pytest.TempPathFactory, progress: list[float]) -> Ladder:
    return laddered(source, tmp_path_factory.mktemp("ladder") / "50%d out", on_progress=progress.append)


@pytest.fixture(scope="module")
def index_first(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("clips") / "a.mp4"
    return make(path, picture(seconds=8), sound(8), x264(*YUV420), "-movflags", "+faststart").read_bytes()


def playlist(ladder: Ladder, rendition: Rendition) -> m3u8.M3U8:
    return m3u8.load(str(ladder.directory / rendition.rung / "index.m3u8"))


def pictures(ladder: Ladder) -> list[Rendition]:
    return [rendition for rendition in ladder.renditions if rendition.height]


def test_every_rung_and_the_sound_come_out(ladder: Ladder) -> None:
    assert [(r.rung, r.width, r.height, r.frame_rate) for r in ladder.renditions] == [
        ("480p", 856, 480, "25.000"),
        ("360p", 642, 360, "25.000"),
        ("240p", 428, 240, "25.000"),
        *((rung, 0, 0, "") for rung in SOUNDS),
    ]
    for rendition in ladder.renditions:
        assert abs(rendition.duration_ms - SECONDS * 1000) <= 40
        files = list((ladder.directory / rendition.rung).iterdir())
        whole = sum(file.stat().st_size for file in files if file.suffix != ".m3u8")
        assert rendition.size_bytes == whole


def test_progress_of_each_task_only_grows_and_ends_at_one(ladder: Ladder, progress: list[float]) -> None:
    assert all(0 < fraction <= 1 for fraction in progress)
    assert progress.count(1.0) >= len(ladder.tasks)
    falls = [after for before, after in itertools.pairwise(progress) if after < before]
    assert len(falls) < len(ladder.tasks)


def test_pictures_are_cut_at_the_same_instants_in_every_rung(ladder: Ladder) -> None:
    cuts = {
        rendition.rung: list(
            itertools.accumulate(round(s.duration * 1000) for s in playlist(ladder, rendition).segments[:-1])
        )
        for rendition in pictures(ladder)
    }
    assert set(map(tuple, cuts.values())) == {(6000, 12000)}
    for rendition in pictures(ladder):
        whole = joined(ladder.directory / rendition.rung)
        packets = shown(whole, "packet=flags")["packets"]
        keys = [at for at, packet in enumerate(packets) if "K" in packet["flags"]]
        assert [at / float(rendition.frame_rate) for at in keys] == [0, 6, 12]


def test_each_segment_begins_on_its_own(ladder: Ladder) -> None:
    """A player that seeks there has the init segment and nothing else: no error, and every picture of six seconds."""
    for rendition in pictures(ladder):
        directory = ladder.directory / rendition.rung
        alone = ladder.directory / "alone.mp4"
        alone.write_bytes((directory / "init.mp4").read_bytes() + (directory / "seg-00001.m4s").read_bytes())
        decoded = raw(alone, "-f", "rawvideo", "-vf", "scale=2:2,format=gray", "-fps_mode", "passthrough")
        assert len(decoded) == 4 * 6 * float(rendition.frame_rate)


def test_media_playlists_are_valid_and_whole(ladder: Ladder) -> None:
    for rendition in ladder.renditions:
        found = playlist(ladder, rendition)
        assert (found.playlist_type, found.is_endlist, found.is_independent_segments) == ("vod", True, True)
        assert int(found.version or 0) >= 6
        assert found.segment_map[0].uri == "init.mp4"
        assert all(round(segment.duration) <= (found.target_duration or 0) for segment in found.segments)
        assert all((ladder.directory / rendition.rung / s.uri).stat().st_size > 0 for s in found.segments)


def test_promised_rates_hold_for_every_segment(ladder: Ladder) -> None:
    for rendition in ladder.renditions:
        for segment in playlist(ladder, rendition).segments:
            if segment.duration >= 3:  # RFC 8216 measures runs of half a target duration and longer
                size_bytes = (ladder.directory / rendition.rung / segment.uri).stat().st_size
                assert size_bytes * 8 / segment.duration <= rendition.bandwidth_bps


def test_codecs_are_those_of_the_streams(ladder: Ladder) -> None:
    for rendition in ladder.renditions:
        stream = shown(joined(ladder.directory / rendition.rung), "stream=codec_name,profile,level,pix_fmt,channels")
        (found,) = stream["streams"]
        if rendition.height:
            assert (found["codec_name"], found["pix_fmt"]) == ("h264", "yuv420p")
            profile = {"Constrained Baseline": "42c0", "Main": "4d40", "High": "6400"}[found["profile"]]
            assert rendition.codecs == f"avc1.{profile}{found['level']:02x}"
        else:
            codec = {"aac": "mp4a.40.2", "opus": "opus"}[found["codec_name"]]
            assert (rendition.codecs, found["channels"]) == (codec, 1)


def test_nothing_of_the_recorder_is_passed_on(ladder: Ladder) -> None:
    for file in ladder.directory.rglob("*.*"):
        assert b"SECRET" not in file.read_bytes()
        assert b"+30.1" not in file.read_bytes()


def test_the_same_source_gives_the_same_bytes_over_what_a_killed_run_left(tmp_path: Path, index_first: bytes) -> None:
    (tmp_path / "a.mp4").write_bytes(index_first)
    left_behind = tmp_path / "two" / "tasks" / "180p-000" / "180p" / "seg-00009.m4s"
    left_behind.parent.mkdir(parents=True)
    left_behind.write_bytes(b"of a killed run")
    assert encoded(tmp_path / "a.mp4", tmp_path / "one") == encoded(tmp_path / "a.mp4", tmp_path / "two")
    one, two = ({f.name: f.read_bytes() for f in (tmp_path / run).rglob("*.*")} for run in ("one", "two"))
    assert one == two


@pytest.mark.parametrize("name", ["a.mp4", "a.ts"])
def test_sound_and_picture_stay_together(tmp_path: Path, name: str) -> None:
    """A flash and a beep at the same instant; the transport stream's clock begins at 1.4 s, and its sound later."""
    flash = ["-f", "lavfi", "-i", "color=black:s=320x240:r=25:d=3,drawbox=c=white:t=fill:enable='gte(t,2)'"]
    beep = ["-f", "lavfi", "-i", "aevalsrc='if(gte(t,2),sin(2500*t),0)':s=48000:d=3,atrim=start=0.5"]
    source = make(tmp_path / name, flash, beep, x264(), "-c:a", "aac", "-copyts")
    rendition = encoded(source, tmp_path / "out")[0]
    rate = float(rendition.frame_rate)
    pixels = raw(joined(tmp_path / "out" / rendition.rung), "-f", "rawvideo", "-vf", "scale=1:1,format=gray")
    samples = array.array("h", raw(joined(tmp_path / "out" / "audio"), "-f", "s16le", "-ac", "1", "-ar", "48000"))
    seen_s = next(at for at, pixel in enumerate(pixels) if pixel > 128) / rate
    heard_s = next(at for at, sample in enumerate(samples) if abs(sample) > 8000) / 48000
    assert abs(seen_s - 2) <= 1 / rate
    assert abs(heard_s - 2) <= 0.02


YUV420 = ["-pix_fmt", "yuv420p"]
SOURCES: dict[str, tuple[str, list[list[str]], list[str]]] = {
    "odd size": (
        "a.mkv",
        [picture(), sound(), x264("-vf", "scale=321:243,setsar=1", "-pix_fmt", "yuv444p")],
        ["240p 316x240", *SOUNDS],
    ),
    "10 bits": ("a.mp4", [picture(), sound(), x264("-pix_fmt", "yuv420p10le")], ["180p 320x180", *SOUNDS]),
    "4:2:2": ("a.mov", [picture(), sound(), x264("-pix_fmt", "yuv422p")], ["180p 320x180", *SOUNDS]),
    "full range": ("a.mov", [picture(), sound(), ["-c:v", "mjpeg"]], ["180p 320x180", *SOUNDS]),
    "variable rate": (
        "a.mkv",
        [picture(), sound(), x264(*YUV420, "-vf", "select='not(mod(n,3))+gt(n,15)'", "-fps_mode", "vfr")],
        ["180p 320x180", *SOUNDS],
    ),
    "television rate": ("a.mp4", [picture(rate="30000/1001"), sound(), x264(*YUV420)], ["180p 320x180", *SOUNDS]),
    "interlaced": (
        "a.ts",
        [picture("720x576"), sound(), ["-vf", "setsar=16/15,setfield=tff", "-flags", "+ildct+ilme"]],
        ["480p 640x480", "360p 480x360", "240p 320x240", *SOUNDS],
    ),
    "stereo": ("a.mp4", [picture(), sound(channels=2), x264(*YUV420)], ["180p 320x180", *SOUNDS]),
    "surround": ("a.mp4", [picture(), sound(channels=6), x264(*YUV420)], ["180p 320x180", *SOUNDS]),
    "no sound": ("a.mp4", [picture(), x264(*YUV420)], ["180p 320x180"]),
    "no picture": ("a.m4a", [sound()], SOUNDS),
    "mp3": ("a.mp3", [sound()], SOUNDS),
    "matroska": ("a.mkv", [picture(), sound(), x264(*YUV420), ["-c:a", "libopus"]], ["180p 320x180", *SOUNDS]),
    "transport stream": ("a.ts", [picture(), sound(), x264(*YUV420), ["-c:a", "aac"]], ["180p 320x180", *SOUNDS]),
    "flash": ("a.flv", [picture(), sound(), x264(*YUV420), ["-c:a", "aac"]], ["180p 320x180", *SOUNDS]),
    "avi": ("a.avi", [picture(), sound(), ["-c:v", "mpeg4", "-c:a", "libmp3lame"]], ["180p 320x180", *SOUNDS]),
    "hevc": (
        "a.mp4",
        [picture(), sound(), ["-c:v", "libx265", "-x265-params", "log-level=0"]],
        ["180p 320x180", *SOUNDS],
    ),
}


# One of each kind here; the rest of them take half a minute together.
RARER = {
    "10 bits",
    "4:2:2",
    "full range",
    "television rate",
    "stereo",
    "surround",
    "mp3",
    "no picture",
    "matroska",
    "flash",
}


@pytest.mark.parametrize(
    "case", [pytest.param(case, marks=pytest.mark.slow) if case in RARER else case for case in SOURCES]
)
def test_whatever_recorders_and_phones_make_comes_out_right(tmp_path: Path, case: str) -> None:
    name, arguments, wanted = SOURCES[case]
    renditions = encoded(make(tmp_path / name, *arguments), tmp_path / "out")
    assert [f"{r.rung} {r.width}x{r.height}" if r.height else r.rung for r in renditions] == wanted
    for rendition in renditions:
        assert 900 <= rendition.duration_ms <= 1200
        (found,) = shown(
            joined(tmp_path / "out" / rendition.rung),
            "stream=width,height,pix_fmt,field_order,sample_aspect_ratio,channels",
        )["streams"]
        if rendition.height:
            assert (found["width"], found["height"]) == (rendition.width, rendition.height)
            assert (found["pix_fmt"], found["sample_aspect_ratio"]) == ("yuv420p", "1:1")
            assert found.get("field_order") == "progressive"
        else:
            assert found["channels"] == 1


@pytest.mark.parametrize("turn", ["90", "180", "270"])
def test_a_turned_picture_is_turned_for_good(tmp_path: Path, turn: str) -> None:
    """The upper left corner is white; players would show it elsewhere, and so must a rendition without the tag."""
    corner = ["-f", "lavfi", "-i", "color=black:s=320x180:d=1,drawbox=w=80:h=80:c=white:t=fill"]
    upright = make(tmp_path / "a.mp4", corner, x264())
    turned = make(tmp_path / "b.mp4", "-i", str(upright), "-c", "copy", "-metadata:s:v", f"rotate={turn}")
    (rendition,) = encoded(turned, tmp_path / "out")
    assert (rendition.width, rendition.height) == ((320, 180) if turn == "180" else (180, 320))
    whole = joined(tmp_path / "out" / rendition.rung)
    corners = ["-frames:v", "1", "-f", "rawvideo", "-vf", "scale=2:2:flags=area,format=gray"]
    # ffmpeg turns its input by the tag as a player does.
    assert raw(whole, *corners).index(max(raw(whole, *corners))) == raw(turned, *corners).index(
        max(raw(turned, *corners))
    )


def test_a_recorder_that_was_cut_off_while_its_picture_began_keeps_its_lesson(tmp_path: Path) -> None:
    whole = make(tmp_path / "a.ts", picture(seconds=4), sound(4), x264("-g", "25", *YUV420), "-c:a", "aac")
    packets = whole.read_bytes()
    begun = tmp_path / "b.ts"
    begun.write_bytes(packets[188 * (len(packets) // 188 // 5) :])
    renditions = encoded(begun, tmp_path / "out")
    assert [rendition.rung for rendition in renditions] == ["180p", *SOUNDS]


@pytest.mark.parametrize("part", [0.1, 0.3])
def test_a_lesson_of_which_most_is_missing_is_refused_although_its_index_is_whole(
    tmp_path: Path, index_first: bytes, part: float
) -> None:
    (tmp_path / "a.mp4").write_bytes(index_first[: int(len(index_first) * part)])
    with pytest.raises(Unreadable) as caught:
        encoded(tmp_path / "a.mp4", tmp_path / "out")
    assert "应有 0:08，实际只有 0:0" in caught.value.reason_zh


def test_a_lesson_that_breaks_off_is_kept_as_far_as_it_goes(tmp_path: Path, index_first: bytes) -> None:
    (tmp_path / "a.mp4").write_bytes(index_first[: int(len(index_first) * 0.7)])
    made = laddered(tmp_path / "a.mp4", tmp_path / "out")
    assert made.damage is not None
    assert "录像不完整：应有 0:08，实际只有 0:05" in made.damage.reason_zh
    assert 2000 <= made.damage.lost_ms <= 3000
    assert all(abs(r.duration_ms + made.damage.lost_ms - 8000) <= 300 for r in made.renditions)


def test_a_lesson_shorter_than_it_says_is_refused_although_all_of_it_decodes(tmp_path: Path) -> None:
    """Matroska's header says eight seconds; the file ends cleanly after two."""
    long = make(tmp_path / "long.mkv", picture(seconds=8), sound(8), x264(*YUV420)).read_bytes()
    short = make(tmp_path / "short.mkv", picture(seconds=2), sound(2), x264(*YUV420)).read_bytes()
    tag = b"\x44\x89\x88"  # Duration, a double
    at, claim = short.index(tag) + 3, long[long.index(tag) + 3 :][:8]
    (tmp_path / "a.mkv").write_bytes(short[:at] + claim + short[at + 8 :])
    with pytest.raises(Unreadable) as caught:
        encoded(tmp_path / "a.mkv", tmp_path / "out")
    assert "应有 0:08，实际只有 0:02" in caught.value.reason_zh


def test_damage_in_the_middle_is_counted_and_the_rest_is_kept(tmp_path: Path, index_first: bytes) -> None:
    middle = len(index_first) // 2
    hole = len(index_first) // 8
    (tmp_path / "a.mp4").write_bytes(index_first[:middle] + bytes(hole) + index_first[middle + hole :])
    made = laddered(tmp_path / "a.mp4", tmp_path / "out")
    assert made.damage is not None
    assert 500 <= made.damage.lost_ms <= 4000
    assert "秒无法读取" in made.damage.reason_zh
    for rendition in made.renditions:
        assert abs(rendition.duration_ms - 8000) <= 40
    still = raw(joined(tmp_path / "out" / "180p"), "-f", "rawvideo", "-vf", "scale=8:8,format=gray")
    assert len(still) == 64 * 8 * 25  # every instant has its picture, if only the last good one


def test_pictures_that_vanish_without_an_error_are_missed_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "PART_S", 6)
    source = make(tmp_path / "a.mp4", picture(seconds=30), x264("-g", "25", *YUV420, "-movflags", "+faststart"))
    packets = shown(source, "packet=pos,size,pts_time")["packets"]
    data = bytearray(source.read_bytes())
    for packet in packets:
        if 11.9 <= float(packet["pts_time"]) < 18.1:
            at, size = int(packet["pos"]), int(packet["size"])
            data[at : at + size] = bytes(size)
    source.write_bytes(data)
    made = laddered(source, tmp_path / "out")
    assert made.damage is not None
    assert 7000 <= made.damage.lost_ms <= 7200  # up to the next keyframe
    grey = raw(joined(tmp_path / "out" / "180p"), "-f", "rawvideo", "-vf", "scale=16:9,format=gray")
    assert len(grey) == 144 * 750
    held = [grey[144 * n : 144 * (n + 1)] for n in range(304, 448)]
    assert all(max(abs(a - b) for a, b in zip(held[0], one, strict=True)) < 40 for one in held)


def test_a_part_before_the_first_good_picture_is_black_and_as_long_as_it_should_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "PART_S", 6)
    source = make(tmp_path / "a.mp4", picture(seconds=20), x264("-g", "25", *YUV420, "-movflags", "+faststart"))
    data = bytearray(source.read_bytes())
    for packet in shown(source, "packet=pos,size,pts_time")["packets"]:
        if float(packet["pts_time"]) < 7:
            at, size = int(packet["pos"]), int(packet["size"])
            data[at : at + size] = b"\xff" * size
    source.write_bytes(data)
    made = laddered(source, tmp_path / "out")
    assert made.damage is not None
    assert 6900 <= made.damage.lost_ms <= 7100
    grey = raw(joined(tmp_path / "out" / "180p"), "-f", "rawvideo", "-vf", "scale=1:1,format=gray")
    assert len(grey) == 500
    assert max(grey[:148]) < 20 < min(grey[180:])


def test_parts_join_into_what_one_run_would_have_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: Path, ladder: Ladder
) -> None:
    """The source's keyframes, 2.8 s apart, lie nowhere near the cuts."""
    monkeypatch.setattr(plan, "PART_S", 6)
    parted = laddered(source, tmp_path)
    assert len(parted.tasks) == 3
    for whole, joint in zip(ladder.renditions, parted.renditions, strict=True):
        assert joint.duration_ms == whole.duration_ms
        one, many = joined(ladder.directory / whole.rung), joined(tmp_path / joint.rung)
        times = [[p["pts_time"] for p in shown(path, "packet=pts_time")["packets"]] for path in (one, many)]
        assert times[0] == times[1]
        if whole.height:
            small = ["-f", "rawvideo", "-vf", "scale=64:36,format=gray"]
            pixels, frame = (raw(one, *small), raw(many, *small)), 64 * 36
            apart = [
                sum(abs(a - b) for a, b in zip(pixels[0], pixels[1][shift:], strict=False)) for shift in (0, frame)
            ]
            # The encoder's own noise, and every picture at its own instant: one picture off, the second would be 0.
            assert apart[0] < 0.75 * apart[1]


def test_an_open_group_of_pictures_is_no_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Entered in the middle, such a stream begins with pictures that lean on what came before: a strict decoder stops."""
    monkeypatch.setattr(plan, "PART_S", 6)
    gop = ["-c:v", "libx264", "-preset", "veryfast", "-g", "77", "-bf", "3", "-x264-params", "open-gop=1"]
    source = make(tmp_path / "a.ts", picture(seconds=24), sound(24), gop)
    made = laddered(source, tmp_path / "out")
    assert made.damage is None
    assert sum(bool(task.view) for task in made.tasks) == 4
    assert [one.lost_ms for one in made.made.values()] == [0] * 5


@pytest.mark.slow
def test_every_lesson_is_as_loud_as_the_others(tmp_path: Path) -> None:
    quiet = make(tmp_path / "quiet.m4a", sound(4), "-af", "volume=-10dB")
    loud = make(tmp_path / "loud.m4a", sound(4), "-af", "volume=+15dB")
    heard = [loudness(joined(laddered(path, tmp_path / path.stem).directory / "audio")) for path in (quiet, loud)]
    assert abs(heard[0] - heard[1]) < 1.5


def test_silence_stays_silent(tmp_path: Path) -> None:
    silent = make(tmp_path / "a.m4a", "-f", "lavfi", "-i", "anullsrc=d=2")
    assert loudness(joined(laddered(silent, tmp_path / "out").directory / "audio")) < -80


def loudness(path: Path) -> float:
    """Of a steady tone, in dB of full scale."""
    samples = array.array("h", raw(path, "-f", "s16le", "-ac", "1"))
    return 20 * math.log10(math.sqrt(sum(sample**2 for sample in samples) / len(samples)) / 32768 + 1e-9)


def test_every_view_of_a_recording_gets_its_ladder(tmp_path: Path) -> None:
    two = [*picture("640x360"), *picture("320x180"), *sound()]
    source = make(tmp_path / "a.mkv", two, ["-map", "0:v", "-map", "1:v", "-map", "2:a"], x264(*YUV420))
    made = laddered(source, tmp_path / "out")
    assert [(r.view, r.rung) for r in made.renditions if r.height] == [
        ("main", "360p"),
        ("main", "240p"),
        ("view2", "view2-180p"),
    ]


@pytest.mark.slow
def test_full_hd_that_fits_is_kept_as_it_is(tmp_path: Path) -> None:
    source = make(tmp_path / "a.mp4", picture("1920x1080", seconds=2), x264("-crf", "40", "-bf", "2", *YUV420))
    made = laddered(source, tmp_path / "out")
    kept = made.renditions[0]
    assert (kept.rung, kept.height, abs(kept.duration_ms - 2000) <= 40) == ("1080p", 1080, True)
    small = ["-f", "rawvideo", "-vf", "scale=32:18,format=gray"]
    assert raw(joined(tmp_path / "out" / "1080p"), *small) == raw(source, *small)


def test_a_broken_ffmpeg_is_never_blamed_on_the_lesson(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, index_first: bytes
) -> None:
    source = tmp_path / "a.mp4"
    source.write_bytes(index_first)
    fake_ffmpeg(
        tmp_path / "bin", monkeypatch, 'case "$*" in *libx264*) echo "Unknown encoder libx264" >&2; exit 1;; esac'
    )
    with pytest.raises(Unavailable, match="Unknown encoder"):
        encoded(source, tmp_path / "out")


def test_cancelling_stops_it_and_leaves_nothing(tmp_path: Path, source: Path) -> None:
    with pytest.raises(Cancelled):
        laddered(source, tmp_path, cancelled=lambda: True)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def fake_ffmpeg(directory: Path, monkeypatch: pytest.MonkeyPatch, first: str) -> None:
    """An ffmpeg on PATH that does `first` and then, unless that exits, what ffmpeg does."""
    directory.mkdir()
    fake = directory / "ffmpeg"
    fake.write_text(f'#!/bin/sh\n{first}\nexec {shutil.which("ffmpeg")} "$@"\n')
    fake.chmod(fake.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{directory}{os.pathsep}{os.environ['PATH']}")


def test_a_full_disk_is_reported_as_that_and_left_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, index_first: bytes
) -> None:
    source = tmp_path / "a.mp4"
    source.write_bytes(index_first)
    fake_ffmpeg(tmp_path / "bin", monkeypatch, "/bin/echo x > /dev/full || exit 1")
    with pytest.raises(DiskFull):
        encoded(source, tmp_path / "out")
    assert not files_in(tmp_path / "out")


def files_in(directory: Path) -> list[Path]:
    return [path for path in directory.rglob("*") if path.is_file()]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=128k", "none", str(disk)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no small disk to fill, only the stand-in above: {mounted.stderr.strip()}")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


@pytest.mark.parametrize("filled_kib", [0, 64, 124, 128])
def test_a_disk_that_fills_without_a_word_from_ffmpeg_is_noticed_afterwards(
    tmp_path: Path, small_disk: Path, index_first: bytes, monkeypatch: pytest.MonkeyPatch, filled_kib: int
) -> None:
    monkeypatch.setattr(transcode.encode, "STOP_BELOW_BYTES", 0)
    (tmp_path / "a.mp4").write_bytes(index_first)
    (small_disk / "others").write_bytes(bytes(filled_kib * 1024))
    with pytest.raises(DiskFull):
        encoded(tmp_path / "a.mp4", small_disk / "out")
    assert not files_in(small_disk / "out")


def test_a_disk_that_runs_full_is_said_to_be_full_and_nothing_half_is_left(
    tmp_path: Path, small_disk: Path, index_first: bytes
) -> None:
    (tmp_path / "a.mp4").write_bytes(index_first)
    with pytest.raises(DiskFull):  # noticed while it fills, or at the latest when what was written is measured
        encoded(tmp_path / "a.mp4", small_disk / "out")
    assert not files_in(small_disk / "out")
