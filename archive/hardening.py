"""What stands before every recording that ffmpeg or ffprobe opens.

Without it a playlist or an ffconcat text that is named .mp4 makes a stock ffmpeg open other lessons' files, and every
decoder of the distribution can be attacked although nobody needs it (CVE-2026-8461 is in MagicYUV's). With it only a
local file is read, in one of our containers and codecs, with a bounded number of tracks and pixels.
"""

from collections.abc import Mapping
from pathlib import Path

FORMATS = ("mov", "matroska", "mpegts", "flv", "avi", "mp3", "wav")  # demuxers; mov reads mp4 and m4a, mpegts also m2ts

# Codec as ffprobe names it: the decoder that ffmpeg picks for it. What recorders, phones and screen recorders make.
VIDEO_DECODERS: Mapping[str, str] = {
    "h264": "h264",
    "hevc": "hevc",
    "av1": "libdav1d",
    "vp8": "vp8",
    "vp9": "vp9",
    "mpeg1video": "mpeg1video",
    "mpeg2video": "mpeg2video",
    "mpeg4": "mpeg4",
    "msmpeg4v3": "msmpeg4",
    "flv1": "flv",
    "mjpeg": "mjpeg",
}
AUDIO_DECODERS: Mapping[str, str] = {
    "aac": "aac",
    "aac_latm": "aac_latm",
    "mp3": "mp3float",
    "mp2": "mp2",
    "ac3": "ac3",
    "eac3": "eac3",
    "opus": "opus",
    "vorbis": "vorbis",
    "flac": "flac",
    "alac": "alac",
    "pcm_u8": "pcm_u8",
    "pcm_s16le": "pcm_s16le",
    "pcm_s16be": "pcm_s16be",
    "pcm_s24le": "pcm_s24le",
    "pcm_s32le": "pcm_s32le",
    "pcm_f32le": "pcm_f32le",
    "pcm_alaw": "pcm_alaw",
    "pcm_mulaw": "pcm_mulaw",
    "adpcm_ima_wav": "adpcm_ima_wav",
    "adpcm_ms": "adpcm_ms",
}
MAX_PIXELS = 4096 * 2160
MAX_TRACKS = 16

# ffprobe opens a decoder for every track and gives up where one is refused: these are for tracks that we leave alone,
# captions and cover pictures. ffmpeg opens only what it decodes, so it does not get them.
_LEFT_ALONE = ("ass", "mov_text", "png", "srt", "ssa", "subrip", "text", "webvtt")

_DECODERS = tuple(sorted({*VIDEO_DECODERS.values(), *AUDIO_DECODERS.values()}))

# As ffmpeg's input options spell it; ffmpeg-python takes the mapping, everybody else `media_input`.
INPUT_OPTIONS: Mapping[str, str] = {
    "protocol_whitelist": "file",
    "format_whitelist": ",".join(FORMATS),
    "codec_whitelist": ",".join(_DECODERS),
    "max_pixels": str(MAX_PIXELS),
    "max_streams": str(MAX_TRACKS),
    # A transport stream cut off a running recorder may begin seconds before its first key picture, and the default of
    # 5 MB ends before it: the picture would be missed. Only files that lack what a header should say are read so far.
    "probesize": str(64 * 2**20),
    "analyzeduration": str(30 * 1_000_000),
}
_PROBE_OPTIONS = {**INPUT_OPTIONS, "codec_whitelist": ",".join([*_DECODERS, *_LEFT_ALONE])}


def media_url(path: Path) -> str:
    """A path as ffmpeg reads and writes it: no name can be taken for an option or for another protocol."""
    return f"file:{path.absolute()}"


def media_input(path: Path) -> list[str]:
    """The arguments for a recording as an input of ffmpeg, `-i` included."""
    return [*_flags(INPUT_OPTIONS), "-i", media_url(path)]


def probe_input(path: Path) -> list[str]:
    """The arguments for a recording as the input of ffprobe, `-i` included."""
    return [*_flags(_PROBE_OPTIONS), "-i", media_url(path)]


def _flags(options: Mapping[str, str]) -> list[str]:
    return [part for key, value in options.items() for part in (f"-{key}", value)]
