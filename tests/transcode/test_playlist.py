import m3u8
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archive.model import Rendition
from transcode.playlist import SubtitleTrack, multivariant, subtitles_media_playlist

CAPTIONS = SubtitleTrack("zh-Hans", "中文", "subtitles/zh-Hans.m3u8")
names = st.text(st.characters(exclude_categories=("C", "Z"), exclude_characters='"'), min_size=1)


def picture(height: int, peak_bps: int) -> Rendition:
    key = f"rendition/abc/e1/{height}p/index.m3u8"
    return Rendition(f"{height}p", "avc1.64001f", height * 2, height, "12.500", peak_bps, peak_bps // 2, 1, 60_000, key)


SOUND = Rendition("audio", "mp4a.40.2", 0, 0, "", 50_001, 48_001, 1, 60_000, "rendition/abc/e1/audio/index.m3u8")
LESSON = (picture(720, 900_000), picture(240, 90_000), SOUND)


def test_pictures_carry_what_was_measured_of_them_and_of_their_sound() -> None:
    small, large, sound = m3u8.loads(multivariant(LESSON, subtitles=[CAPTIONS])).playlists
    assert (small.uri, large.uri, sound.uri) == ("240p/index.m3u8", "720p/index.m3u8", "audio/index.m3u8")
    info = large.stream_info
    assert (info.bandwidth, info.average_bandwidth) == (950_001, 498_001)
    assert (info.codecs, info.resolution, info.frame_rate) == ("avc1.64001f,mp4a.40.2", (1440, 720), 12.5)
    assert (info.audio, info.subtitles) == ("sound", "captions")


def test_sound_alone_is_a_variant_and_the_group_of_every_picture() -> None:
    parsed = m3u8.loads(multivariant(LESSON))
    assert parsed.is_variant
    assert parsed.is_independent_segments
    info = parsed.playlists[-1].stream_info
    assert (info.bandwidth, info.codecs, info.resolution) == (50_001, "mp4a.40.2", None)
    (group,) = parsed.media
    assert (group.type, group.group_id, group.uri) == ("AUDIO", "sound", "audio/index.m3u8")
    assert (group.default, group.autoselect, group.channels) == ("YES", "YES", "1")


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
    blind = m3u8.loads(multivariant((SOUND,)))
    assert not blind.media
    assert [p.uri for p in blind.playlists] == ["audio/index.m3u8"]


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
