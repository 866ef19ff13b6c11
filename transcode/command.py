# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false
"""The argument lists of ffmpeg. Pure: nothing runs here; archive.tool does that.

ffmpeg-python, which has no types, builds them: it numbers the pads of the filter graph and escapes what goes into it.
It takes options as a mapping and sorts them by name, so each is explained where it is put in. Output names are relative
to the directory that ffmpeg runs in: a percent sign in an operator's path would be a pattern to the HLS muxer.
"""

from pathlib import Path
from typing import Any

import ffmpeg

from archive import hardening
from archive.model import Probe
from archive.timecode import seconds_from_ms
from transcode.ladder import HLS_SEGMENT_S, AudioRung, Rung, VideoRung, frame_rate_of

PLAYLIST_NAME = "index.m3u8"
INIT_NAME = "init.mp4"

# A decoder buffer of B seconds lets an hls_segment of S seconds carry (S + B) seconds' worth of the rate, so the rate
# is set to what keeps S seconds under the rung's cap. Two seconds are enough for the keyframe of a full board.
_BUFFER_S = 2

_AAC_PRIMING_SAMPLES = 1024  # what ffmpeg's AAC encoder puts before the sound

_STRICT = ["-xerror"]  # with err_detect=explode: stop at what would otherwise be concealed and exit 0


def encode_argv(source: Path, probe: Probe, rungs: tuple[Rung, ...], *, preset: str, threads: int) -> list[str]:
    """One decode, all rungs: <rung>/init.mp4, <rung>/seg-00000.m4s …, <rung>/index.m3u8 below the working directory.

    Lines for `fraction_done` come on stdout.
    """
    stream = _input(source, threads, t=_longest_s(probe))
    pictures = [rung for rung in rungs if isinstance(rung, VideoRung)]
    outputs: list[Any] = _video_outputs(stream, probe, pictures, preset, threads) if pictures else []
    outputs += [_audio_output(stream, probe, rung) for rung in rungs if isinstance(rung, AudioRung)]
    report = ["-progress", "pipe:1", "-stats_period", "1"]
    return [*_ffmpeg(), *_STRICT, *report, *ffmpeg.merge_outputs(*outputs).get_args()]


def decode_argv(source: Path, probe: Probe, *, threads: int) -> list[str]:
    """Decode the same tracks as strictly and keep nothing: whether a failed encoding was the source's fault."""
    stream = _input(source, threads, t=_longest_s(probe))
    tracks = [stream[str(track.index)] for track in (*probe.video[:1], *probe.audio[:1])]
    return [*_ffmpeg(), *_STRICT, *ffmpeg.output(*tracks, "-", f="null").get_args()]


def poster_argv(
    source: Path, probe: Probe, *, at_ms: int, size_px: tuple[int, int], quality: int, name: str
) -> list[str]:
    """One JPEG from about `at_ms`: of three seconds the picture nearest to their average, so no blank and no wipe."""
    stream = ffmpeg.input(
        hardening.media_url(source), ss=seconds_from_ms(at_ms), threads=1, **dict(hardening.INPUT_OPTIONS)
    )
    picture = (
        stream[str(probe.video[0].index)]
        .filter("thumbnail", n=3 * max(1, int(frame_rate_of(probe.video[0]))))
        .filter("scale", w=size_px[0], h=size_px[1])
        .filter("setsar", 1)
        .filter("format", "yuvj420p")
    )
    options = {"frames:v": 1, "q:v": quality, **_ANONYMOUS}
    return [*_ffmpeg(), *ffmpeg.output(picture, name, f="mjpeg", **options).get_args()]


def fraction_done(line: str, duration_ms: int) -> float | None:
    """How far an encoding is, from a line of ffmpeg's -progress; None if the line says nothing about it."""
    key, _, value = line.partition("=")
    if key != "out_time_us" or not value.strip().isdigit():  # "N/A" until the first packet
        return None
    return min(1.0, int(value) / 1000 / duration_ms)


_ANONYMOUS: dict[str, Any] = {
    "map_metadata": -1,  # titles, places and device names of the recorder stay in the source
    "map_chapters": -1,
    "fflags": "+bitexact",  # the same source gives the same bytes, today and after a repeated step
}


def _ffmpeg() -> list[str]:
    return ["ffmpeg", "-v", "error", "-nostdin", "-y"]


def _input(source: Path, threads: int, **options: Any) -> Any:
    options |= {"err_detect": "explode", "threads": threads, **hardening.INPUT_OPTIONS}
    return ffmpeg.input(hardening.media_url(source), **options)


def _longest_s(probe: Probe) -> str:
    """Where to stop reading, far past any honest end: a timestamp that jumps by years must not be filled with pictures.

    Twice the length, because MP3 headers only estimate it.
    """
    return seconds_from_ms(2 * probe.duration_ms + 60_000)


def _video_outputs(stream: Any, probe: Probe, rungs: list[VideoRung], preset: str, threads: int) -> list[Any]:
    track = probe.video[0]
    picture = stream[str(track.index)]
    if track.interlaced:
        picture = picture.filter("bwdif", mode="send_frame", deint="interlaced")
    rate = frame_rate_of(track)
    # From the first instant on, whatever the track's own start: sound and picture then begin together in every rung.
    rate = frame_rate_of(track)
    picture = picture.filter("fps", fps=rate, start_time=0)
    outputs: list[Any] = []
    for rung in rungs:
        if rung.frame_rate != rate:
            picture = picture.filter("fps", fps=rung.frame_rate)
            rate = rung.frame_rate
        picture = (
            picture.filter("scale", w=rung.width_px, h=rung.height_px)
            .filter("setsar", 1)  # rounding to even sides leaves pixels of 639:640, which some players honour
            .filter("format", "yuv420p")  # phones decode no 4:2:2 and no 10 bits
        )
        # Each rung is scaled from the one above: a third less CPU than from the source, and within 1 dB of it.
        if rung is not rungs[-1]:
            both = picture.filter_multi_output("split")
            picture, rendered = both.stream(0), both.stream(1)
        else:
            rendered = picture
        outputs.append(_hls_output(rendered, rung.name, _x264(rung, preset, threads)))
    return outputs


def _x264(rung: VideoRung, preset: str, threads: int) -> dict[str, Any]:
    rate_kbps = rung.cap_kbps * HLS_SEGMENT_S // (HLS_SEGMENT_S + _BUFFER_S)
    return {
        "c:v": "libx264",
        "preset": preset,
        "profile:v": "high",
        "threads": threads,
        # Quality is constant and a still board costs next to nothing; the cap holds where there is motion.
        "crf": rung.crf,
        "maxrate": f"{rate_kbps}k",
        "bufsize": f"{rate_kbps * _BUFFER_S}k",
        # Every rung cuts at the same instants. A thousandth of a second early, for the rounding of t.
        "force_key_frames": f"expr:gte(t+0.001,n_forced*{HLS_SEGMENT_S})",
        "g": int(rung.frame_rate * HLS_SEGMENT_S),  # and nowhere else
        "sc_threshold": 0,  # a slide change must not move those cuts
        "flags": "+cgop+bitexact",  # no picture looks past a cut, so that a player may begin at any
    }


def _audio_output(stream: Any, probe: Probe, rung: AudioRung) -> Any:
    sound = (
        stream[str(probe.audio[0].index)]
        # async fills gaps with silence instead of drawing later sound forward; first_pts does so before the beginning.
        .filter("aresample", rung.sample_rate_hz, **{"async": 1, "first_pts": 0})
        .filter("aformat", channel_layouts="mono")
        # CMAF has no edit list, so the encoder's priming would come out as 32 ms of delay: give up as much sound.
        .filter("atrim", start_sample=_AAC_PRIMING_SAMPLES)
    )
    options = {"c:a": "aac", "b:a": f"{rung.bitrate_kbps}k", "cutoff": rung.cutoff_hz, "flags": "+bitexact"}
    return _hls_output(sound, rung.name, options)


def _hls_output(stream: Any, directory: str, options: dict[str, Any]) -> Any:
    return ffmpeg.output(
        stream,
        f"{directory}/{PLAYLIST_NAME}",
        f="hls",
        hls_time=HLS_SEGMENT_S,
        hls_playlist_type="vod",
        hls_flags="independent_segments",
        hls_segment_type="fmp4",
        # CMAF: times begin at 0 without an edit list (ffmpeg's own would delay each rung by its B-frames).
        hls_segment_options="movflags=+cmaf",
        hls_fmp4_init_filename=INIT_NAME,
        hls_segment_filename=f"{directory}/seg-%05d.m4s",
        **_ANONYMOUS,
        **options,
    )
