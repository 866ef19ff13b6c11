"""All HLS playlists: the multivariant one, and those of media, of keyframes alone and of subtitles. Pure.

RFC 8216bis is what they follow; tests read them with parsers that are not ours. Media playlists name files beside
themselves, the multivariant one names media playlists one folder below.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from archive.model import Rendition
from archive.timecode import seconds_from_ms
from transcode.command import INIT_NAME
from transcode.ladder import HLS_SEGMENT_S, MAIN_VIEW
from transcode.measure import HlsSegment

KEYFRAMES_NAME = "keyframes.m3u8"
AAC, OPUS = "mp4a", "opus"  # what CODECS begins with

_VERSION = 7  # EXT-X-MAP in a media playlist needs 6; whoever plays fMP4 at all knows 7

_CAPTIONS = "captions"
# Up to here a line is too slow for the better sound: it would cost a fifth of the picture.
_FRUGAL_BPS = 300_000
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(?:-[A-Za-z0-9]{2,8})*")  # BCP 47, as far as we use it


@dataclass(frozen=True, slots=True)
class SubtitleTrack:
    """Captions that a player may show. `uri` is their media playlist's, relative to the multivariant playlist."""

    language: str  # BCP 47: zh-Hans, en
    name: str  # what the player's menu says: 中文, English
    uri: str

    def __post_init__(self) -> None:
        if not _LANGUAGE.fullmatch(self.language):
            raise ValueError(f"not a language: {self.language!r}")
        for value in (self.name, self.uri):
            if not value or not value.isprintable() or '"' in value:
                raise ValueError(f"cannot stand in a playlist: {value!r}")


def multivariant(
    renditions: Sequence[Rendition],
    *,
    subtitles: Sequence[SubtitleTrack] = (),
    view: str = MAIN_VIEW,
    sound: str = AAC,
) -> str:
    """One view's renditions, smallest picture first: players begin with the first, and a slow phone shows something at
    once. The sound alone comes last, for lines that no picture fits through.

    `sound` is AAC, which everybody plays, or OPUS for a client that said it can; without a sound of that kind, any.
    Never both in one playlist: every picture would stand there twice, and hls.js 1.7.4, told to use a rung of the other
    kind, appends Opus to a buffer of AAC and stops. Apart, hls.js, shaka-player and Chromium play each of them.
    """
    heard = sorted((r for r in renditions if not r.height), key=lambda r: r.bandwidth_bps)
    sounds = [r for r in heard if r.codecs.startswith(sound)] or heard
    pictures = sorted((r for r in renditions if r.height and r.view == view), key=lambda r: r.bandwidth_bps)
    lines = ["#EXTM3U", f"#EXT-X-VERSION:{_VERSION}", "#EXT-X-INDEPENDENT-SEGMENTS"]
    if pictures:
        lines += [_sound_group(one) for one in sounds]
    lines += [
        f'#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="{_CAPTIONS}",NAME="{track.name}",LANGUAGE="{track.language}",'
        f'DEFAULT=NO,AUTOSELECT=YES,FORCED=NO,URI="{track.uri}"'
        for track in subtitles
    ]
    captions = f',SUBTITLES="{_CAPTIONS}"' if subtitles else ""
    for picture in pictures:
        fitting = sounds[:1] if picture.bandwidth_bps <= _FRUGAL_BPS else sounds[-1:]
        lines += _variant(picture, fitting, captions)
    for one in sounds[:1] if pictures else sounds:
        lines += _variant(one, (), captions)
    lines += [_keyframes(picture) for picture in pictures if picture.keyframe_bandwidth_bps]
    return "\n".join(lines) + "\n"


def target_s(renditions: Iterable[Sequence[HlsSegment]]) -> int:
    """TARGETDURATION of one lesson's media playlists: RFC 8216bis §6.2.4 wants it to be the same in all of them.

    Only a picture that was kept as it came can have hls_segments longer than those that we cut.
    """
    # §4.4.3.1: no EXTINF, rounded to a whole number, may be above it. Half up, not to even.
    longest_us = max((segment.duration_us for segments in renditions for segment in segments), default=0)
    return max(HLS_SEGMENT_S, (longest_us + 500_000) // 1_000_000)


def growing_playlist(segments: Sequence[HlsSegment]) -> str:
    """One rendition of a lesson that is still being taught. Players begin at its beginning, not where it is."""
    whole = media_playlist(segments)
    begin = "#EXT-X-INDEPENDENT-SEGMENTS\n#EXT-X-START:TIME-OFFSET=0,PRECISE=YES"
    growing = whole.replace("#EXT-X-PLAYLIST-TYPE:VOD", "#EXT-X-PLAYLIST-TYPE:EVENT").replace("#EXT-X-ENDLIST\n", "")
    return growing.replace("#EXT-X-INDEPENDENT-SEGMENTS", begin)


def media_playlist(segments: Sequence[HlsSegment], lesson_target_s: int = HLS_SEGMENT_S) -> str:
    """One rendition, whole. `lesson_target_s` is `target_s` of all the lesson's renditions."""
    lines = [*_head(segments, lesson_target_s), "#EXT-X-INDEPENDENT-SEGMENTS", f'#EXT-X-MAP:URI="{INIT_NAME}"']
    for segment in segments:
        lines += [f"#EXTINF:{segment.duration_us / 1_000_000:.6f},", segment.name]
    return "\n".join([*lines, "#EXT-X-ENDLIST"]) + "\n"


def keyframes_playlist(segments: Sequence[HlsSegment], lesson_target_s: int = HLS_SEGMENT_S) -> str:
    """One rendition's keyframes, as byte ranges of its hls_segments: what a player loads while somebody seeks."""
    lines = [*_head(segments, lesson_target_s), "#EXT-X-I-FRAMES-ONLY", f'#EXT-X-MAP:URI="{INIT_NAME}"']
    for segment in segments:
        lines.append(f"#EXTINF:{segment.duration_us / 1_000_000:.6f},")
        lines += [f"#EXT-X-BYTERANGE:{segment.keyframe_bytes}@0", segment.name]
    return "\n".join([*lines, "#EXT-X-ENDLIST"]) + "\n"


def subtitles_media_playlist(vtt_name: str, duration_ms: int) -> str:
    """The playlist around one WebVTT file that covers the whole lesson: some 100 KB, so there is nothing to cut."""
    target_s = max(1, -(-duration_ms // 1000))
    return (
        f"#EXTM3U\n#EXT-X-VERSION:{_VERSION}\n"
        f"#EXT-X-TARGETDURATION:{target_s}\n#EXT-X-MEDIA-SEQUENCE:0\n#EXT-X-PLAYLIST-TYPE:VOD\n"
        f"#EXTINF:{seconds_from_ms(duration_ms)},\n{vtt_name}\n#EXT-X-ENDLIST\n"
    )


def _head(segments: Sequence[HlsSegment], lesson_target_s: int) -> list[str]:
    return [
        "#EXTM3U",
        f"#EXT-X-VERSION:{_VERSION}",
        f"#EXT-X-TARGETDURATION:{max(lesson_target_s, target_s([segments]))}",
        "#EXT-X-MEDIA-SEQUENCE:0",
        "#EXT-X-PLAYLIST-TYPE:VOD",
    ]


def _sound_group(sound: Rendition) -> str:
    return (
        f'#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="{sound.rung}",NAME="原声",DEFAULT=YES,AUTOSELECT=YES,CHANNELS="1",'
        f'URI="{_uri(sound)}"'
    )


def _variant(rendition: Rendition, sounds: Sequence[Rendition], captions: str) -> list[str]:
    """A picture's rates are those of the line it needs, so its sound (one, or none) is counted in."""
    together = [rendition, *sounds]
    line = (
        f"#EXT-X-STREAM-INF:BANDWIDTH={sum(r.bandwidth_bps for r in together)}"
        f",AVERAGE-BANDWIDTH={sum(r.average_bandwidth_bps for r in together)}"
        f',CODECS="{",".join(r.codecs for r in together)}"'
    )
    if rendition.height:
        line += f",RESOLUTION={rendition.width}x{rendition.height},FRAME-RATE={rendition.frame_rate}"
    line += "".join(f',AUDIO="{sound.rung}"' for sound in sounds)
    return [line + captions, _uri(rendition)]


def _keyframes(picture: Rendition) -> str:
    uri = PurePosixPath(_uri(picture)).with_name(KEYFRAMES_NAME)
    return (
        f"#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH={picture.keyframe_bandwidth_bps}"
        f',CODECS="{picture.codecs}",RESOLUTION={picture.width}x{picture.height},URI="{uri}"'
    )


def _uri(rendition: Rendition) -> str:
    """<rung>/<file>: media playlists lie one folder below the multivariant one, whatever stands before both."""
    return "/".join(PurePosixPath(rendition.playlist_key).parts[-2:])
