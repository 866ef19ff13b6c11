import array
import itertools
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
from tests.transcode.clips import encoded, joined, make, picture, probed, raw, shown, sound, x264
from transcode.encode import encode
from transcode.playlist import SubtitleTrack, multivariant

SECONDS = 13.5  # two whole hls_segments and a short one


class Ladder:
    """A lesson that went all the way: what went in, what came out, and where."""

    def __init__(self, source: Path, out_dir: Path) -> None:
        self.source, self.out_dir = source, out_dir
        self.progress: list[float] = []
        self.renditions = encode(
            source,
            probed(source),
            out_dir,
            preset="ultrafast",
            threads=1,
            name="lesson",
            on_progress=self.progress.append,
            cancelled=lambda: False,
        )

    @property
    def pictures(self) -> list[Rendition]:
        return [rendition for rendition in self.renditions if rendition.height]

    def playlist(self, rendition: Rendition) -> m3u8.M3U8:
        return m3u8.load(str(self.out_dir / rendition.playlist_key))


@pytest.fixture(scope="module")
def ladder(tmp_path_factory: pytest.TempPathFactory) -> Ladder:
    home = tmp_path_factory.mktemp("ladder")
    tags = ["-metadata", "title=SECRET", "-metadata", "location=+30.1+120.2/"]
    lesson = make(home / "lesson.mp4", picture("856x480", seconds=SECONDS), sound(SECONDS, 2), x264(), tags)
    return Ladder(lesson, home / "50%d out")


@pytest.fixture(scope="module")
def index_first(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("clips") / "a.mp4"
    return make(path, picture(seconds=8), sound(8), x264(*YUV420), "-movflags", "+faststart").read_bytes()


def test_every_rung_and_the_sound_come_out(ladder: Ladder) -> None:
    assert [(r.rung, r.width, r.height, r.frame_rate) for r in ladder.renditions] == [
        ("480p", 856, 480, "25.000"),
        ("360p", 642, 360, "25.000"),
        ("240p", 428, 240, "12.500"),
        ("audio", 0, 0, ""),
    ]
    for rendition in ladder.renditions:
        assert abs(rendition.duration_ms - SECONDS * 1000) <= 80  # a picture of the lowest rung
        files = list((ladder.out_dir / rendition.rung).iterdir())
        whole = sum(file.stat().st_size for file in files if file.suffix != ".m3u8")
        assert rendition.size_bytes == whole


def test_progress_only_grows_and_ends_at_one(ladder: Ladder) -> None:
    assert ladder.progress == sorted(ladder.progress)
    assert all(0 < fraction <= 1 for fraction in ladder.progress)
    assert ladder.progress[-1] == 1


def test_pictures_are_cut_at_the_same_instants_in_every_rung(ladder: Ladder) -> None:
    cuts = {
        rendition.rung: list(
            itertools.accumulate(round(s.duration * 1000) for s in ladder.playlist(rendition).segments[:-1])
        )
        for rendition in ladder.pictures
    }
    assert set(map(tuple, cuts.values())) == {(6000, 12000)}
    for rendition in ladder.pictures:
        whole = joined(ladder.out_dir / rendition.rung)
        packets = shown(whole, "packet=flags")["packets"]
        keys = [at for at, packet in enumerate(packets) if "K" in packet["flags"]]
        assert [at / float(rendition.frame_rate) for at in keys] == [0, 6, 12]


def test_each_segment_begins_on_its_own(ladder: Ladder) -> None:
    """A player that seeks there has the init segment and nothing else: no error, and every picture of six seconds."""
    for rendition in ladder.pictures:
        directory = ladder.out_dir / rendition.rung
        alone = ladder.out_dir / "alone.mp4"
        alone.write_bytes((directory / "init.mp4").read_bytes() + (directory / "seg-00001.m4s").read_bytes())
        pictures = raw(alone, "-f", "rawvideo", "-vf", "scale=2:2,format=gray", "-fps_mode", "passthrough")
        assert len(pictures) == 4 * 6 * float(rendition.frame_rate)


def test_media_playlists_are_valid_and_whole(ladder: Ladder) -> None:
    for rendition in ladder.renditions:
        playlist = ladder.playlist(rendition)
        assert (playlist.playlist_type, playlist.is_endlist) == ("vod", True)
        assert playlist.is_independent_segments == bool(rendition.height)  # sound is, without saying so
        assert int(playlist.version or 0) >= 6
        assert playlist.segment_map[0].uri == "init.mp4"
        assert all(round(segment.duration) <= (playlist.target_duration or 0) for segment in playlist.segments)
        assert all((ladder.out_dir / rendition.rung / s.uri).stat().st_size > 0 for s in playlist.segments)


def test_promised_rates_hold_for_every_segment(ladder: Ladder) -> None:
    parsed = m3u8.loads(multivariant(ladder.renditions, subtitles=[SubtitleTrack("en", "English", "en/index.m3u8")]))
    sound_bps = ladder.renditions[-1].bandwidth_bps
    assert len(parsed.playlists) == len(ladder.renditions)
    for variant in parsed.playlists:
        own_bps = variant.stream_info.bandwidth - (sound_bps if variant.stream_info.resolution else 0)
        directory = ladder.out_dir / Path(variant.uri).parent
        for segment in m3u8.load(str(ladder.out_dir / variant.uri)).segments:
            if segment.duration >= 3:  # RFC 8216 measures runs of half a target duration and longer
                assert (directory / segment.uri).stat().st_size * 8 / segment.duration <= own_bps


def test_codecs_are_those_of_the_streams(ladder: Ladder) -> None:
    for rendition in ladder.renditions:
        stream = shown(joined(ladder.out_dir / rendition.rung), "stream=codec_name,profile,level,pix_fmt,channels")
        (found,) = stream["streams"]
        if rendition.height:
            assert (found["codec_name"], found["pix_fmt"]) == ("h264", "yuv420p")
            profile = {"Constrained Baseline": "42c0", "Main": "4d40", "High": "6400"}[found["profile"]]
            assert rendition.codecs == f"avc1.{profile}{found['level']:02x}"
        else:
            assert (found["codec_name"], found["profile"], found["channels"]) == ("aac", "LC", 1)
            assert rendition.codecs == "mp4a.40.2"


def test_nothing_of_the_recorder_is_passed_on(ladder: Ladder) -> None:
    for file in ladder.out_dir.rglob("*.*"):
        assert b"SECRET" not in file.read_bytes()
        assert b"+30.1" not in file.read_bytes()


def test_the_same_source_gives_the_same_bytes_over_what_a_killed_run_left(tmp_path: Path, index_first: bytes) -> None:
    (tmp_path / "a.mp4").write_bytes(index_first)
    left_behind = tmp_path / "two" / "180p" / "seg-00009.m4s"
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
    (rendition, _) = encoded(source, tmp_path / "out")
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
        ["240p 316x240", "audio"],
    ),
    "10 bits": ("a.mp4", [picture(), sound(), x264("-pix_fmt", "yuv420p10le")], ["180p 320x180", "audio"]),
    "4:2:2": ("a.mov", [picture(), sound(), x264("-pix_fmt", "yuv422p")], ["180p 320x180", "audio"]),
    "full range": ("a.mov", [picture(), sound(), ["-c:v", "mjpeg"]], ["180p 320x180", "audio"]),
    "variable rate": (
        "a.mkv",
        [picture(), sound(), x264(*YUV420, "-vf", "select='not(mod(n,3))+gt(n,15)'", "-fps_mode", "vfr")],
        ["180p 320x180", "audio"],
    ),
    "television rate": ("a.mp4", [picture(rate="30000/1001"), sound(), x264(*YUV420)], ["180p 320x180", "audio"]),
    "interlaced": (
        "a.ts",
        [picture("720x576"), sound(), ["-vf", "setsar=16/15,setfield=tff", "-flags", "+ildct+ilme"]],
        ["480p 640x480", "360p 480x360", "240p 320x240", "audio"],
    ),
    "stereo": ("a.mp4", [picture(), sound(channels=2), x264(*YUV420)], ["180p 320x180", "audio"]),
    "surround": ("a.mp4", [picture(), sound(channels=6), x264(*YUV420)], ["180p 320x180", "audio"]),
    "no sound": ("a.mp4", [picture(), x264(*YUV420)], ["180p 320x180"]),
    "no picture": ("a.m4a", [sound()], ["audio"]),
    "mp3": ("a.mp3", [sound()], ["audio"]),
    "matroska": ("a.mkv", [picture(), sound(), x264(*YUV420), ["-c:a", "libopus"]], ["180p 320x180", "audio"]),
    "transport stream": ("a.ts", [picture(), sound(), x264(*YUV420), ["-c:a", "aac"]], ["180p 320x180", "audio"]),
    "flash": ("a.flv", [picture(), sound(), x264(*YUV420), ["-c:a", "aac"]], ["180p 320x180", "audio"]),
    "avi": ("a.avi", [picture(), sound(), ["-c:v", "mpeg4", "-c:a", "libmp3lame"]], ["180p 320x180", "audio"]),
    "hevc": (
        "a.mp4",
        [picture(), sound(), ["-c:v", "libx265", "-x265-params", "log-level=0"]],
        ["180p 320x180", "audio"],
    ),
}


@pytest.mark.parametrize("case", SOURCES)
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
    assert [rendition.rung for rendition in renditions] == ["180p", "audio"]


@pytest.mark.parametrize("part", [0.3, 0.6, 0.9])
def test_a_truncated_lesson_is_refused_although_its_index_is_whole(
    tmp_path: Path, index_first: bytes, part: float
) -> None:
    (tmp_path / "a.mp4").write_bytes(index_first[: int(len(index_first) * part)])
    with pytest.raises(Unreadable) as caught:
        encoded(tmp_path / "a.mp4", tmp_path / "out")
    assert "全长 0:08" in caught.value.reason_zh or "应有 0:08" in caught.value.reason_zh
    assert list((tmp_path / "out").iterdir()) == []


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


def test_damage_in_the_middle_is_refused_with_its_place(tmp_path: Path, index_first: bytes) -> None:
    middle = len(index_first) * 3 // 4
    (tmp_path / "a.mp4").write_bytes(index_first[:middle] + bytes(2000) + index_first[middle + 2000 :])
    with pytest.raises(Unreadable, match="does not decode near 0:0") as caught:
        encoded(tmp_path / "a.mp4", tmp_path / "out")
    assert "附近损坏" in caught.value.reason_zh


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


def test_cancelling_stops_it_and_leaves_nothing(tmp_path: Path, ladder: Ladder) -> None:
    with pytest.raises(Cancelled):
        encode(
            ladder.source,
            probed(ladder.source),
            tmp_path,
            preset="veryslow",
            threads=1,
            name="lesson",
            on_progress=lambda _: None,
            cancelled=lambda: True,
        )
    assert list(tmp_path.iterdir()) == []


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
    assert list((tmp_path / "out").iterdir()) == []


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
    assert not any((small_disk / "out").glob("*"))


def test_a_disk_that_runs_full_is_said_to_be_full_and_nothing_half_is_left(
    tmp_path: Path, small_disk: Path, index_first: bytes
) -> None:
    (tmp_path / "a.mp4").write_bytes(index_first)
    with pytest.raises(DiskFull):  # noticed while it fills, or at the latest when what was written is measured
        encoded(tmp_path / "a.mp4", small_disk / "out")
    assert not any((small_disk / "out").glob("*"))
