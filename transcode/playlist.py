"""The HLS playlists that are ours: the multivariant one, and the one around a subtitle file. Pure.

Media playlists of sound and picture come from ffmpeg's muxer; this file names them with what was measured.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from archive.model import Rendition
from archive.timecode import seconds_from_ms

_SOUND, _CAPTIONS = "sound", "captions"
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


def multivariant(renditions: Sequence[Rendition], *, subtitles: Sequence[SubtitleTrack] = ()) -> str:
    """All renditions, smallest picture first: players begin with the first, and a slow phone shows something at once.

    The sound alone comes last, for lines that no picture fits through.
    """
    sounds = [rendition for rendition in renditions if not rendition.height]
    pictures = sorted((r for r in renditions if r.height), key=lambda r: r.bandwidth_bps)
    sound = sounds[0] if sounds else None
    lines = ["#EXTM3U", "#EXT-X-VERSION:7", "#EXT-X-INDEPENDENT-SEGMENTS"]
    if sound and pictures:
        lines.append(
            f'#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="{_SOUND}",NAME="原声",DEFAULT=YES,AUTOSELECT=YES,CHANNELS="1",'
            f'URI="{_uri(sound)}"'
        )
    lines += [
        f'#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="{_CAPTIONS}",NAME="{track.name}",LANGUAGE="{track.language}",'
        f'DEFAULT=NO,AUTOSELECT=YES,FORCED=NO,URI="{track.uri}"'
        for track in subtitles
    ]
    groups = f',AUDIO="{_SOUND}"' if sound and pictures else ""
    groups += f',SUBTITLES="{_CAPTIONS}"' if subtitles else ""
    for picture in pictures:
        lines += _variant(picture, sound, groups)
    if sound:
        lines += _variant(sound, None, groups)
    return "\n".join(lines) + "\n"


def subtitles_media_playlist(vtt_name: str, duration_ms: int) -> str:
    """The playlist around one WebVTT file that covers the whole lesson: some 100 KB, so there is nothing to cut."""
    target_s = max(1, -(-duration_ms // 1000))
    return (
        "#EXTM3U\n#EXT-X-VERSION:7\n"
        f"#EXT-X-TARGETDURATION:{target_s}\n#EXT-X-MEDIA-SEQUENCE:0\n#EXT-X-PLAYLIST-TYPE:VOD\n"
        f"#EXTINF:{seconds_from_ms(duration_ms)},\n{vtt_name}\n#EXT-X-ENDLIST\n"
    )


def _variant(rendition: Rendition, sound: Rendition | None, groups: str) -> list[str]:
    """A picture's rates are those of the line it needs, so its sound is counted in."""
    together = [rendition, sound] if sound else [rendition]
    line = (
        f"#EXT-X-STREAM-INF:BANDWIDTH={sum(r.bandwidth_bps for r in together)}"
        f",AVERAGE-BANDWIDTH={sum(r.average_bandwidth_bps for r in together)}"
        f',CODECS="{",".join(r.codecs for r in together)}"'
    )
    if rendition.height:
        line += f",RESOLUTION={rendition.width}x{rendition.height},FRAME-RATE={rendition.frame_rate}"
    return [line + groups, _uri(rendition)]


def _uri(rendition: Rendition) -> str:
    """<rung>/<file>: media playlists lie one folder below the multivariant one, whatever stands before both."""
    return "/".join(PurePosixPath(rendition.playlist_key).parts[-2:])
