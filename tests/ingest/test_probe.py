import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archive.errors import Unacceptable, Unreadable
from archive.model import VideoTrack
from ingest import sniff
from ingest.probe import probe
from tests.transcode.clips import EVERYTHING, make, picture, probed, sound, x264


@pytest.fixture(scope="module")
def lesson(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds whose index is at the end, as a recorder writes it."""
    return make(
        tmp_path_factory.mktemp("probe") / "lesson.mp4", picture(seconds=2), sound(2), x264("-pix_fmt", "yuv420p")
    )


def refusal(path: Path, content: bytes | None = None) -> Unreadable:
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(Unreadable) as caught:
        probed(path)
    assert path.name in str(caught.value)
    return caught.value


def test_a_recording_is_described(lesson: Path) -> None:
    found = probed(lesson)
    assert (found.duration_ms, found.size_bytes) == (2000, lesson.stat().st_size)
    assert found.video == (VideoTrack(0, "h264", 320, 180, "25/1", 0, interlaced=False, pixel_format="yuv420p"),)
    assert [(track.codec, track.channels, track.sample_rate_hz, track.language) for track in found.audio] == [
        ("aac", 1, 44100, "")
    ]


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.mov", "a.ts", "a.m2ts", "a.flv", "a.avi"])
def test_every_container_that_recorders_write_is_taken(tmp_path: Path, name: str) -> None:
    codecs = ["-c:v", "mpeg4", "-c:a", "libmp3lame"] if name == "a.avi" else x264("-pix_fmt", "yuv420p", "-c:a", "aac")
    found = probed(make(tmp_path / name, picture(), sound(), codecs))
    assert (len(found.video), len(found.audio)) == (1, 1)
    assert abs(found.duration_ms - 1000) < 100


@pytest.mark.parametrize("name", ["a.mp3", "a.m4a", "a.wav"])
def test_sound_alone_is_a_recording(tmp_path: Path, name: str) -> None:
    found = probed(make(tmp_path / name, sound()))
    assert (len(found.video), len(found.audio)) == (0, 1)


def test_the_content_counts_and_not_the_name(tmp_path: Path) -> None:
    matroska = make(tmp_path / "a.mkv", picture(), x264())
    assert probed(matroska.rename(tmp_path / "a.mp4")).container == "matroska,webm"


@pytest.mark.parametrize("name", ["-y.mp4", "$(id).mp4", "a|sh.mp4", "concat:a.mp4", "new\nline.mp4", "50%d.mp4"])
def test_a_name_is_only_a_name(tmp_path: Path, lesson: Path, name: str) -> None:
    (tmp_path / name).write_bytes(lesson.read_bytes())
    assert replace(probed(tmp_path / name)) == probed(lesson)


def test_a_cover_picture_is_no_video_and_captions_are_left_alone(tmp_path: Path) -> None:
    cover = make(tmp_path / "cover.png", picture("64x64"), "-frames:v", "1")
    song = make(tmp_path / "a.mp3", sound())
    covered = make(tmp_path / "b.mp3", "-i", str(song), "-i", str(cover), "-map", "0", "-map", "1", "-c", "copy")
    assert probed(covered).video == ()
    captions = tmp_path / "a.srt"
    captions.write_text("1\n00:00:00,000 --> 00:00:01,000\nhello\n")
    captioned = make(tmp_path / "c.mkv", picture(), "-i", str(captions), x264())
    assert len(probed(captioned).video) == 1


def test_turned_interlaced_and_wide_pixels_are_noticed(tmp_path: Path) -> None:
    upright = make(tmp_path / "a.mp4", picture(), x264())
    turned = make(tmp_path / "b.mp4", "-i", str(upright), "-c", "copy", "-metadata:s:v", "rotate=90")
    assert probed(turned).video[0].rotation in (90, 270)
    assert probed(upright).video[0].rotation == 0
    old = make(
        tmp_path / "c.ts",
        picture("720x576", seconds=2),
        *("-vf", "setsar=64/45,setfield=tff", "-flags", "+ildct+ilme", "-c:v", "mpeg2video"),
    )
    track = probed(old).video[0]
    assert (track.width, track.height, track.interlaced) == (1024, 576, True)


def test_the_language_of_a_track_is_kept(tmp_path: Path) -> None:
    spoken = make(tmp_path / "a.mp4", sound(), "-metadata:s:a", "language=chi")
    assert probed(spoken).audio[0].language == "chi"


def test_a_recording_whose_length_was_never_written_is_measured(tmp_path: Path) -> None:
    whole = make(tmp_path / "a.mkv", picture(seconds=2), sound(2), x264()).read_bytes()
    at = whole.index(b"\x44\x89\x88")  # Matroska's Duration element: a recorder that lost power left it zero
    unfinished = tmp_path / "b.mkv"
    unfinished.write_bytes(whole[: at + 3] + bytes(8) + whole[at + 11 :])
    assert abs(probed(unfinished).duration_ms - 2000) < 100


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    assert "0 字节" in refusal(tmp_path / "a.mp4", b"").reason_zh


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ("今天停课，没有录像。\n".encode(), "文本文件"),
        ("今天停课，没有录像。\n".encode("gb18030"), "文本文件"),
        ("今天停课".encode("utf-16"), "文本文件"),
        (("第一课" * 3000).encode(), "文本文件"),
        (b"#EXTM3U\n#EXTINF:6,\nother-lesson.mp4\n", "播放列表"),
        (b"\xef\xbb\xbf#EXTM3U\n", "播放列表"),
        (b"ffconcat version 1.0\nfile /etc/passwd\n", "拼接清单"),
        (b'<?xml version="1.0"?><MPD></MPD>', "XML"),
        (b"<!DOCTYPE html><title>404</title>", "网页"),
        (b"%PDF-1.7\n\x00\x01", "PDF"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "图片"),
        (b"\xff\xd8\xff\xe0\x00\x10JFIF", "图片"),
    ],
)
def test_what_is_plainly_something_else_is_called_by_its_name(tmp_path: Path, content: bytes, what: str) -> None:
    assert what in refusal(tmp_path / "a.mp4", content).reason_zh


def test_noise_is_refused(tmp_path: Path) -> None:
    assert "不是能识别的录像" in refusal(tmp_path / "a.mp4", os.urandom(50_000)).reason_zh


def test_an_interrupted_upload_is_called_that(tmp_path: Path, lesson: Path) -> None:
    whole = lesson.read_bytes()
    error = refusal(tmp_path / "a.mp4", whole[: len(whole) * 2 // 3])
    assert "moov" in str(error)
    assert "上传中断" in error.reason_zh


def test_a_recording_without_picture_and_sound_is_refused(tmp_path: Path) -> None:
    captions = tmp_path / "a.srt"
    captions.write_text("1\n00:00:00,000 --> 00:00:01,000\nhello\n")
    silent = make(tmp_path / "a.mkv", "-i", str(captions), "-c", "copy")
    assert "既没有画面也没有声音" in refusal(silent).reason_zh


@pytest.mark.parametrize(
    ("codec", "name"), [("magicyuv", "a.mov"), ("magicyuv", "a.avi"), ("ffv1", "a.mkv"), ("theora", "a.mkv")]
)
def test_a_codec_nobody_needs_is_never_opened(tmp_path: Path, codec: str, name: str) -> None:
    encoder = {"theora": "libtheora"}.get(codec, codec)
    error = refusal(make(tmp_path / name, picture(), sound(), "-c:v", encoder))
    assert isinstance(error, Unacceptable)
    assert codec in error.reason_zh


def test_a_container_nobody_needs_is_never_opened(tmp_path: Path) -> None:
    program_stream = make(tmp_path / "a.mpg", picture(), "-c:v", "mpeg2video")
    assert isinstance(refusal(program_stream.rename(tmp_path / "a.mp4")), Unacceptable)


def test_too_many_tracks_are_refused(tmp_path: Path) -> None:
    many = make(tmp_path / "a.mp4", sound(), *["-map", "0"] * 17)
    assert "最多 16 条" in refusal(many).reason_zh


@pytest.mark.parametrize("size", ["5000x3000", "9000x64", "8x8"])
def test_pictures_out_of_bounds_are_refused(tmp_path: Path, size: str) -> None:
    blank = ["-f", "lavfi", "-i", f"color=s={size}:d=0.04"]
    refusal(make(tmp_path / "a.mov", blank, "-c:v", "mjpeg", "-frames:v", "1"))


def test_a_length_or_size_out_of_bounds_is_refused(lesson: Path) -> None:
    for limits in (replace(EVERYTHING, max_duration_ms=1999), replace(EVERYTHING, max_bytes=1000)):
        with pytest.raises(Unacceptable, match=r"lesson\.mp4"):
            probe(lesson, name="lesson.mp4", limits=limits)


@given(st.binary(max_size=300))
def test_sniffing_never_fails(head: bytes) -> None:
    assert isinstance(sniff.impostor(head), str)


@given(st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cn", "Cs", "Co", "Zl", "Zp")), min_size=1))
def test_printable_text_is_never_taken_for_media(text: str) -> None:
    assert sniff.impostor(text.encode()) or not text.isprintable()


def test_tracks_are_known_by_what_they_show_and_the_one_to_watch_comes_first(tmp_path: Path) -> None:
    cameras = [*picture(), *picture(), *picture()]
    maps = ["-map", "0:v", "-map", "1:v", "-map", "2:v"]
    names = [
        f"-metadata:s:v:{n}" if odd else f"title={title}"
        for n, title in enumerate(("老师全景", "Students", "VGA 课件"))
        for odd in (1, 0)
    ]
    found = probed(make(tmp_path / "a.mkv", cameras, maps, names, x264()))
    assert [track.view for track in found.video] == ["teacher", "screen", "students"]
