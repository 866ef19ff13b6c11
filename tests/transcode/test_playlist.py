"""The playlists: what they promise is measured again here, from the files; parsers that are not ours read them."""

from fractions import Fraction
from pathlib import Path

import m3u8
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archive.model import Rendition
from tests.transcode.clips import raw, shown
from tests.transcode.watched import Watched, watched
from transcode.ladder import HLS_SEGMENT_S
from transcode.measure import HlsSegment
from transcode.playlist import (
    OPUS,
    SubtitleTrack,
    keyframes_playlist,
    media_playlist,
    multivariant,
    subtitles_media_playlist,
    target_s,
)

CAPTIONS = SubtitleTrack("zh-Hans", "中文", "subtitles/zh-Hans.m3u8")
GREY = ("-f", "rawvideo", "-pix_fmt", "gray")
names = st.text(st.characters(exclude_categories=("C", "Z"), exclude_characters='"'), min_size=1)


def picture(height: int, peak_bps: int) -> Rendition:
    key = f"rendition/abc/e1/{height}p/index.m3u8"
    return Rendition(f"{height}p", "avc1.64001f", height * 2, height, "12.500", peak_bps, peak_bps // 2, 1, 60_000, key)


def sound(rung: str, codecs: str, kbps: int) -> Rendition:
    key = f"rendition/abc/e1/{rung}/index.m3u8"
    return Rendition(rung, codecs, 0, 0, "", kbps * 1000 + 1, kbps * 900 + 1, 1, 60_000, key)


SOUND = sound("audio", "mp4a.40.2", 36)
SOUNDS = (SOUND, sound("audio48", "mp4a.40.2", 50), sound("opus", "opus", 26))
LESSON = (picture(720, 900_000), picture(240, 90_000), *SOUNDS)


def test_pictures_carry_what_was_measured_of_them_and_of_their_sound() -> None:
    small, large, alone = m3u8.loads(multivariant(LESSON, subtitles=[CAPTIONS])).playlists
    assert (small.uri, large.uri, alone.uri) == ("240p/index.m3u8", "720p/index.m3u8", "audio/index.m3u8")
    info = large.stream_info
    assert (info.bandwidth, info.average_bandwidth) == (950_001, 495_001)
    assert (info.codecs, info.resolution, info.frame_rate) == ("avc1.64001f,mp4a.40.2", (1440, 720), 12.5)
    assert (info.audio, info.subtitles) == ("audio48", "captions")


def test_a_small_picture_goes_with_the_small_sound() -> None:
    small = m3u8.loads(multivariant(LESSON)).playlists[0].stream_info
    assert (small.bandwidth, small.audio) == (126_001, "audio")


def test_sound_alone_is_a_variant_and_the_groups_of_pictures_are_alike() -> None:
    parsed = m3u8.loads(multivariant(LESSON))
    assert parsed.is_variant
    assert parsed.is_independent_segments
    info = parsed.playlists[-1].stream_info
    assert (info.bandwidth, info.codecs, info.resolution, info.audio) == (36_001, "mp4a.40.2", None, None)
    assert [(group.type, group.group_id, group.uri) for group in parsed.media] == [
        ("AUDIO", "audio", "audio/index.m3u8"),
        ("AUDIO", "audio48", "audio48/index.m3u8"),
    ]
    # RFC 8216bis §4.4.6.2.1: but for their addresses, all groups have the same members
    assert len({(group.name, group.language, group.default, group.autoselect) for group in parsed.media}) == 1


def test_every_picture_stands_there_once_with_sounds_of_one_kind() -> None:
    for kind, others in (("mp4a", "opus"), (OPUS, "mp4a")):
        text = multivariant(LESSON, sound=kind)
        uris = [playlist.uri for playlist in m3u8.loads(text).playlists]
        assert len(uris) == len(set(uris)) == 3
        assert others not in text


def test_an_old_lesson_plays_for_those_who_ask_for_opus() -> None:
    assert multivariant((picture(240, 90_000), SOUND), sound=OPUS) == multivariant((picture(240, 90_000), SOUND))


def test_captions_are_a_group_with_a_language() -> None:
    group = m3u8.loads(multivariant(LESSON, subtitles=[CAPTIONS])).media[-1]
    assert (group.type, group.name, group.language, group.uri) == (
        "SUBTITLES",
        "中文",
        "zh-Hans",
        "subtitles/zh-Hans.m3u8",
    )


def test_a_lesson_without_sound_or_without_picture_names_no_group_that_is_not_there() -> None:
    silent = m3u8.loads(multivariant(LESSON[:2]))
    assert not silent.media
    assert all(p.stream_info.audio is None and p.stream_info.codecs == "avc1.64001f" for p in silent.playlists)
    blind = m3u8.loads(multivariant(SOUNDS))
    assert not blind.media
    assert [p.uri for p in blind.playlists] == ["audio/index.m3u8", "audio48/index.m3u8"]


@given(
    st.lists(st.tuples(st.integers(1, 1080), st.integers(1, 10**7)), min_size=1, max_size=6),
    st.lists(st.builds(SubtitleTrack, st.sampled_from(["zh-Hans", "en", "yue"]), names, names), max_size=3),
)
@settings(deadline=None)
def test_what_is_written_is_read_back(sizes: list[tuple[int, int]], tracks: list[SubtitleTrack]) -> None:
    pictures = [picture(*size) for size in sizes]
    parsed = m3u8.loads(multivariant([*pictures, SOUND], subtitles=tracks))
    assert [(group.name, group.uri, group.language) for group in parsed.media[1:]] == [
        (track.name, track.uri, track.language) for track in tracks
    ]
    rates = [playlist.stream_info.bandwidth for playlist in parsed.playlists[:-1]]
    assert rates == sorted(rendition.bandwidth_bps + SOUND.bandwidth_bps for rendition in pictures)


@pytest.mark.parametrize("field", ['"', "a\nb", "", "\x00"])
def test_nothing_that_could_end_an_attribute_gets_in(field: str) -> None:
    with pytest.raises(ValueError, match="cannot stand"):
        SubtitleTrack("en", field, "a.m3u8")
    with pytest.raises(ValueError, match="cannot stand"):
        SubtitleTrack("en", "English", field)
    with pytest.raises(ValueError, match="not a language"):
        SubtitleTrack(field, "English", "a.m3u8")


def test_a_subtitle_file_is_one_segment_as_long_as_the_lesson() -> None:
    parsed = m3u8.loads(subtitles_media_playlist("zh-Hans.vtt", 61_234))
    assert (parsed.target_duration, parsed.is_endlist, parsed.playlist_type) == (62, True, "vod")
    assert [(part.uri, part.duration) for part in parsed.segments] == [("zh-Hans.vtt", 61.234)]


# --- media playlists ----------------------------------------------------------------------------------------------------


def segments(*durations_s: float) -> list[HlsSegment]:
    return [HlsSegment(f"seg-{n:05d}.m4s", round(d * 1_000_000), 1000, 100) for n, d in enumerate(durations_s)]


def test_all_playlists_of_a_lesson_have_one_target_duration() -> None:
    """A picture that was kept as it came is cut where it has keyframes, and a lesson may be shorter than an hls_segment."""
    kept, ours, short = segments(9.6, 9.6, 2), segments(6, 6, 6, 3.2), segments(2.16)
    assert target_s([kept, ours]) == 10
    assert target_s([ours]) == target_s([short]) == target_s([]) == HLS_SEGMENT_S
    for one in (kept, ours):
        for text in (media_playlist(one, target_s([kept, ours])), keyframes_playlist(one, target_s([kept, ours]))):
            assert m3u8.loads(text).target_duration == 10


@given(st.lists(st.integers(1, 20_000_000), min_size=1, max_size=20))
def test_no_duration_rounds_above_the_target(durations_us: list[int]) -> None:
    parsed = m3u8.loads(media_playlist([HlsSegment("a", us, 1) for us in durations_us]))
    assert [round(segment.duration * 1_000_000) for segment in parsed.segments] == durations_us
    assert all(int(segment.duration + 0.5) <= parsed.target_duration for segment in parsed.segments)


# --- a real ladder in parts ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def lesson(tmp_path_factory: pytest.TempPathFactory) -> Watched:
    return watched(tmp_path_factory.getbasetemp())


def rungs(lesson: Watched) -> list[Path]:
    return [lesson.ladder.directory / rendition.rung for rendition in lesson.ladder.renditions]


def pictures(lesson: Watched) -> list[Rendition]:
    return [rendition for rendition in lesson.ladder.renditions if rendition.height]


def test_every_playlist_says_what_its_files_hold(lesson: Watched) -> None:
    for rung in rungs(lesson):
        parsed = m3u8.load(str(rung / "index.m3u8"))
        assert (parsed.version, parsed.media_sequence, parsed.playlist_type) == (7, 0, "vod")
        assert parsed.is_endlist
        assert parsed.is_independent_segments
        assert parsed.target_duration == HLS_SEGMENT_S
        assert [part.uri for part in parsed.segment_map] == ["init.mp4"]
        assert [part.uri for part in parsed.segments] == sorted(path.name for path in rung.glob("*.m4s"))
        begins_s = 0.0
        for segment in parsed.segments:
            times = packet_times(rung, segment.uri)
            assert times[0] == pytest.approx(begins_s, abs=1e-5)
            begins_s += segment.duration
            # the last packet's length is not told: between nothing and twice that of the one before it
            assert 0 < begins_s - times[-1] <= 2 * (times[1] - times[0])


def packet_times(rung: Path, name: str) -> list[float]:
    one = rung / "one.mp4"
    one.write_bytes((rung / "init.mp4").read_bytes() + (rung / name).read_bytes())
    packets = shown(one, "packet=dts_time")["packets"]
    one.unlink()
    return [float(packet["dts_time"]) for packet in packets]


def test_every_promised_rate_is_kept_by_the_files(lesson: Watched) -> None:
    """RFC 8216bis §4.4.6.2: BANDWIDTH is no less than the peak of the picture and the peak of its sound together."""
    main = m3u8.loads(multivariant(lesson.ladder.renditions))
    group_uris = {group.group_id: group.uri for group in main.media}

    def rates(uri: str) -> tuple[float, float]:
        playlist = m3u8.load(str(lesson.ladder.directory / uri))
        folder = (lesson.ladder.directory / uri).parent
        bits = [8 * (folder / part.uri).stat().st_size for part in playlist.segments]
        # a last hls_segment of less than half the target duration is no measure of a rate, by §4.4.6.2
        counted = [(b, s.duration) for b, s in zip(bits, playlist.segments, strict=True) if s.duration >= 3]
        return max(b / s for b, s in counted), sum(bits) / sum(part.duration for part in playlist.segments)

    for variant in main.playlists:
        info = variant.stream_info
        peak, average = rates(variant.uri)
        if info.audio:
            sound_peak, sound_average = rates(group_uris[info.audio])
            peak, average = peak + sound_peak, average + sound_average
        assert peak <= info.bandwidth <= 1.25 * peak
        assert average <= info.average_bandwidth <= average + 2
    assert [one.iframe_stream_info.codecs for one in main.iframe_playlists] == [
        picture.codecs for picture in sorted(pictures(lesson), key=lambda one: one.height)
    ]


def test_sizes_rates_and_codecs_are_those_of_the_streams(lesson: Watched) -> None:
    for made in pictures(lesson):
        rung = lesson.ladder.directory / made.rung
        one = rung / "one.mp4"
        one.write_bytes((rung / "init.mp4").read_bytes() + (rung / "seg-00000.m4s").read_bytes())
        (stream,) = shown(one, "stream=profile,level,width,height,r_frame_rate")["streams"]
        one.unlink()
        assert (stream["width"], stream["height"]) == (made.width, made.height)
        assert Fraction(stream["r_frame_rate"]) == Fraction(made.frame_rate)
        assert (stream["profile"], made.codecs[:9]) == ("High", "avc1.6400")
        assert int(made.codecs[9:], 16) == stream["level"]
    assert {made.codecs for made in lesson.ladder.renditions if not made.height} == {"mp4a.40.2", "opus"}


def test_each_byte_range_holds_one_keyframe_whole(lesson: Watched, tmp_path: Path) -> None:
    one = tmp_path / "one.mp4"
    for made in pictures(lesson):
        rung = lesson.ladder.directory / made.rung
        init = (rung / "init.mp4").read_bytes()
        parsed = m3u8.load(str(rung / "keyframes.m3u8"))
        assert parsed.is_i_frames_only
        rates = [8 * int(one.byterange.split("@")[0]) / one.duration for one in parsed.segments]
        assert max(rates) <= made.keyframe_bandwidth_bps < max(rates) + 1
        # the first of all, one in the middle of a part, the first of a part, and the short last one
        for segment in (parsed.segments[n] for n in (0, 1, 2, -1)):
            length, offset = (int(number) for number in segment.byterange.split("@"))
            data = (rung / segment.uri).read_bytes()
            assert offset == 0
            one.write_bytes(init + data)
            playing = raw(one, "-frames:v", "1", *GREY)
            one.write_bytes(init + data[:length])
            assert raw(one, *GREY) == playing, "the picture that plays at that moment, and no other"
            packet = whole_packets(one)
            one.write_bytes(init + data[: length - 1])
            assert whole_packets(one) != packet, "not a byte of it is missing"


def whole_packets(path: Path) -> list[int]:
    return [int(packet["size"]) for packet in shown(path, "packet=size").get("packets", [])]
