# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false
"""The argument lists of ffmpeg. Pure: nothing runs here; archive.tool does that.

ffmpeg-python, which has no types, builds them: it numbers the pads of the filter graph and escapes what goes into it.
It takes options as a mapping and sorts them by name, so each is explained where it is put in. Output names are relative
to the directory that ffmpeg runs in: a percent sign in an operator's path would be a pattern to the HLS muxer.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import ffmpeg

from archive import hardening
from archive.model import AudioTrack, Probe
from archive.timecode import seconds_from_ms
from transcode.ladder import HLS_SEGMENT_S, AudioRung, CopyRung, VideoRung, View, frame_rate_of
from transcode.plan import Task

PLAYLIST_NAME = "index.m3u8"
INIT_NAME = "init.mp4"

X264, NVENC, VAAPI = "x264", "nvenc", "vaapi"
VAAPI_DEVICE = "/dev/dri/renderD128"

# A decoder buffer of B seconds lets an hls_segment of S seconds carry (S + B) seconds' worth of the rate, so the rate
# is set to what keeps S seconds under the rung's cap. Two seconds are enough for the keyframe of a full board.
_BUFFER_S = 2

_PRESETS = ("veryfast", "faster", "fast", "medium", "slow", "slower")
_SLOW_LINE_PX = 360

_NO_CAP_KBPS = 100_000

_AAC_PRIMING_SAMPLES = 1024  # what ffmpeg's AAC encoder puts before the sound

# -16 LUFS is what phones and podcasts are made for; EBU R128's own -23 is lost in a yard. Beyond 20 dB it would be the
# room that gets loud. The peak stays 2 dB below full scale, as AAC at this rate overshoots what it is given.
LOUDNESS_LUFS = -16.0
MAX_GAIN_DB = 20.0
_PEAK = 0.794

_STRICT = ["-xerror"]  # with err_detect=explode: stop at what would otherwise be concealed and exit 0
_PATIENT = ["-max_error_rate", "1"]  # however much is lost: how much that is, is counted elsewhere
_REPORT = ["-progress", "pipe:1", "-stats_period", "1"]


def copy_argv(source: Path, probe: Probe, name: str) -> list[str]:
    """All tracks that we know, packet by packet, into the MKV `name`: with an index, and with clocks that do not jump."""
    # AVI has no presentation times; genpts makes them.
    stream = ffmpeg.input(hardening.media_url(source), fflags="+genpts", **dict(hardening.INPUT_OPTIONS))
    tracks = [stream[str(index)] for index in sorted(track.index for track in (*probe.video, *probe.audio))]
    return [*_ffmpeg(), *ffmpeg.output(*tracks, name, f="matroska", c="copy", **_ANONYMOUS).get_args()]


def part_argv(
    source: Path,
    view: View,
    rungs: tuple[VideoRung, ...],
    task: Task,
    *,
    preset: str,
    threads: int,
    encoder: str = X264,
    strict: bool = True,
) -> list[str]:
    """One decode, all these rungs: <rung>/init.mp4, <rung>/seg-00040.m4s …, <rung>/index.m3u8 below the working directory.

    The hls_segments' own clocks begin at 0. Lines for `fraction_done` come on stdout.
    """
    seek: dict[str, Any] = {"ss": task.start_s, "noaccurate_seek": None} if task.start_s else {}
    stream = _input(source, threads, **seek)
    outputs = _video_outputs(stream[str(view.track.index)], view, rungs, task, preset, threads, encoder)
    # Times stay those of the recording, so that the grid of pictures is the same in every part. Decoding begins at the
    # keyframe before the part: the picture that is shown when it begins may be seconds old.
    clocks = ["-copyts", "-start_at_zero"]
    arguments = ffmpeg.merge_outputs(*outputs).get_args()
    return [*_ffmpeg(), *_device(encoder), *(_STRICT if strict else _PATIENT), *_REPORT, *clocks, *arguments]


def trial_argv(encoder: str) -> list[str]:
    """A few pictures through this encoder as `part_argv` sets it up, and nothing kept: whether the machine can do it."""
    rung = VideoRung("trial", 256, 144, Fraction(25), 30, 120)
    picture = ffmpeg.input("color=gray:s=256x144:r=25", f="lavfi", t=1)["0"]
    if encoder == VAAPI:
        picture = picture.filter("format", "nv12").filter("hwupload")
    output = ffmpeg.output(picture, "-", f="null", **h264_options(rung, "veryfast", 1, encoder, 0))
    return [*_ffmpeg(), *_device(encoder), *output.get_args()]


def trial_cut_argv(
    source: Path, view: View, rung: VideoRung, *, start_s: int, length_s: int, lossless: str, coded: Mapping[int, str]
) -> list[str]:
    """Some seconds of a view at this rung's size: without loss, and at each CRF without a cap, as MKVs by these names."""
    stream = ffmpeg.input(
        hardening.media_url(source), ss=start_s, t=length_s, threads=1, **dict(hardening.INPUT_OPTIONS)
    )
    picture = _sized(_upright(stream[str(view.track.index)], view).filter("fps", fps=rung.frame_rate), rung)
    all_of_it = picture.filter_multi_output("split", 1 + len(coded))
    exact = {"c:v": "libx264", "preset": "ultrafast", "qp": 0, "threads": 1, "f": "matroska", **_ANONYMOUS}
    outputs = [ffmpeg.output(all_of_it.stream(0), lossless, **exact)]
    for n, (crf, name) in enumerate(coded.items(), start=1):
        options = h264_options(replace(rung, crf=crf, cap_kbps=_NO_CAP_KBPS), "medium", 1, X264, 0)
        outputs.append(ffmpeg.output(all_of_it.stream(n), name, f="matroska", **{**_ANONYMOUS, **options}))
    return [*_ffmpeg(), *_PATIENT, *ffmpeg.merge_outputs(*outputs).get_args()]


def ssim_argv(coded: Path, lossless: Path) -> list[str]:
    """What `coded` keeps of `lossless`, both ours: lines for `luma_ssim` come on stdout, one a picture."""
    inputs = [
        ffmpeg.input(hardening.media_url(path), **dict(hardening.INPUT_OPTIONS)).video for path in (coded, lossless)
    ]
    compared = ffmpeg.filter(inputs, "ssim", stats_file="-")
    return [*_ffmpeg(), *ffmpeg.output(compared, "-", f="null").get_args()]


def luma_ssim(line: str) -> float | None:
    """A picture's SSIM of luma, from a line of `ssim_argv`; None if the line says nothing about one."""
    fields = dict(field.split(":", 1) for field in line.split() if ":" in field)
    try:
        return float(fields["Y"]) if "n" in fields and "Y" in fields else None
    except ValueError:
        return None


def blank_argv(rungs: tuple[VideoRung, ...], view: View, task: Task, *, preset: str) -> list[str]:
    """The same files as `part_argv` makes, black: for a part of which no picture can be read."""
    rung = rungs[0]
    canvas = f"color=black:s={rung.width_px}x{rung.height_px}:r={frame_rate_of(view.track)}"
    source = ffmpeg.input(canvas, f="lavfi")
    outputs = _video_outputs(source["0"], view, rungs, task, preset, 1, X264, begins_at_s=0)
    return [*_ffmpeg(), *_REPORT, *ffmpeg.merge_outputs(*outputs).get_args()]


def kept_argv(source: Path, view: View, rung: CopyRung) -> list[str]:
    """The source's own picture as <rung>/init.mp4 and so on, cut at its keyframes; clocks begin at 0."""
    stream = ffmpeg.input(hardening.media_url(source), **dict(hardening.INPUT_OPTIONS))
    output = _hls_output(stream[str(view.track.index)], rung.name, {"c": "copy"})
    return [*_ffmpeg(), *_REPORT, *output.get_args()]


def loudness_argv(source: Path, track: AudioTrack, duration_ms: int) -> list[str]:
    """Lines for `loudness_lufs` come on stdout."""
    stream = ffmpeg.input(hardening.media_url(source), t=_longest_s(duration_ms), **dict(hardening.INPUT_OPTIONS))
    measured = (
        stream[str(track.index)]
        .filter("aformat", channel_layouts="mono")
        .filter("ebur128", metadata=1)
        .filter("ametadata", mode="print", key="lavfi.r128.I", file="-")
    )
    return [*_ffmpeg(), *_PATIENT, *ffmpeg.output(measured, "-", f="null").get_args()]


def loudness_lufs(line: str) -> float | None:
    """The integrated loudness up to here, from a line of `loudness_argv`; None if the line says nothing about it."""
    key, _, value = line.partition("=")
    try:
        return float(value) if key == "lavfi.r128.I" else None
    except ValueError:
        return None


def sound_argv(
    source: Path,
    track: AudioTrack,
    rungs: tuple[AudioRung, ...],
    duration_ms: int,
    *,
    gain_db: float,
    strict: bool = True,
) -> list[str]:
    """One decode, all sounds, from the recording's first instant to `duration_ms`, at one loudness. As `part_argv`."""
    stream = _input(source, 1, t=_longest_s(duration_ms))
    sound = (
        stream[str(track.index)]
        # async fills gaps with silence instead of drawing later sound forward; first_pts does so before the beginning.
        .filter("aresample", 48000, **{"async": 1, "first_pts": 0})
        .filter("aformat", channel_layouts="mono")
    )
    if gain_db:
        sound = sound.filter("volume", f"{gain_db:.2f}dB")
    if gain_db > 0:
        # latency=1: what the limiter looks ahead must not come out as delay.
        sound = sound.filter("alimiter", limit=_PEAK, attack=5, release=80, level=0, latency=1)
    both = sound.filter_multi_output("asplit", len(rungs))
    outputs = [_audio_output(both.stream(n), rung) for n, rung in enumerate(rungs)]
    return [*_ffmpeg(), *(_STRICT if strict else _PATIENT), *_REPORT, *ffmpeg.merge_outputs(*outputs).get_args()]


def packets_argv(source: Path, index: int, start_s: int, length_s: int) -> list[str]:
    """What a track holds from the keyframe before `start_s` on: lines for `Clock` come on stdout, one a packet."""
    # copyinkf: a keyframe that is damaged is taken for none, and what follows it would be left out of the list.
    return _listing_argv(source, index, start_s, length_s, {"c": "copy", "copyinkf": None})


def decoded_argv(source: Path, index: int, start_s: int, length_s: int, *, threads: int) -> list[str]:
    """What of it can be decoded without any error: lines for `Clock` come on stdout, one a picture or piece of sound."""
    return _listing_argv(source, index, start_s, length_s, {"enc_time_base": -1}, err_detect="explode", threads=threads)


def _listing_argv(
    source: Path, index: int, start_s: int, length_s: int, options: dict[str, Any], **decoding: Any
) -> list[str]:
    seek: dict[str, Any] = {"ss": start_s, "noaccurate_seek": None} if start_s else {}
    stream = ffmpeg.input(hardening.media_url(source), t=length_s, **seek, **decoding, **dict(hardening.INPUT_OPTIONS))
    output = ffmpeg.output(stream[str(index)], "-", f="framecrc", vsync="passthrough", **options)
    return [*_ffmpeg(), *_PATIENT, "-copyts", "-start_at_zero", *output.get_args()]


class Clock:
    """Reads the lines of `packets_argv` and `decoded_argv`: when something begins and how long it lasts, in ms."""

    def __init__(self) -> None:
        self._tick_ms = Fraction(1)

    def read(self, line: str) -> tuple[int, int] | None:
        if line.startswith("#tb 0:"):
            self._tick_ms = 1000 * Fraction(line.partition(":")[2].strip())
        fields = [field.strip() for field in line.split(",")]
        if line.startswith("#") or len(fields) < 4:
            return None
        return round(int(fields[2]) * self._tick_ms), round(int(fields[3]) * self._tick_ms)


def whole_file_argv(tracks: Sequence[Path], name: str) -> list[str]:
    """Renditions of ours, each joined into one file, as one progressive MP4 whose index comes first."""
    inputs = [ffmpeg.input(hardening.media_url(path), **dict(hardening.INPUT_OPTIONS)) for path in tracks]
    output = ffmpeg.output(*inputs, name, f="mp4", c="copy", movflags="+faststart", **_ANONYMOUS)
    return [*_ffmpeg(), *output.get_args()]


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


def pictures_done(line: str) -> int | None:
    """How many pictures of the first rung are made, from a line of -progress; None if the line says nothing about it."""
    key, _, value = line.partition("=")
    return int(value) if key == "frame" and value.strip().isdigit() else None


def decoded_ms(line: str) -> int | None:
    """The time of a picture that was decoded, from a line of `part_argv`; None if the line says nothing about one."""
    found = line.split()
    if len(found) != 3 or not found[0].startswith("frame:") or not found[2].startswith("pts_time:"):
        return None
    try:
        return round(1000 * float(found[2].removeprefix("pts_time:")))
    except ValueError:
        return None


def ms_done(line: str) -> int | None:
    """How much of a sound is made, from a line of -progress; None if the line says nothing about it."""
    key, _, value = line.partition("=")
    # "N/A" until the first packet
    return int(value) // 1000 if key == "out_time_us" and value.strip().isdigit() else None


_ANONYMOUS: dict[str, Any] = {
    "map_metadata": -1,  # titles, places and device names of the recorder stay in the source
    "map_chapters": -1,
    "fflags": "+bitexact",  # the same source gives the same bytes, today and after a repeated step
}


def _ffmpeg() -> list[str]:
    return ["ffmpeg", "-v", "error", "-nostdin", "-y"]


def _device(encoder: str) -> list[str]:
    return ["-vaapi_device", VAAPI_DEVICE] if encoder == VAAPI else []


def _input(source: Path, threads: int, **options: Any) -> Any:
    options |= {"err_detect": "explode", "threads": threads, **hardening.INPUT_OPTIONS}
    return ffmpeg.input(hardening.media_url(source), **options)


def _longest_s(duration_ms: int) -> str:
    """Where to stop reading, far past any honest end: a timestamp that jumps by years must not be filled with silence.

    Twice the length, because MP3 headers only estimate it.
    """
    return seconds_from_ms(2 * duration_ms + 60_000)


def _video_outputs(
    picture: Any,
    view: View,
    rungs: tuple[VideoRung, ...],
    task: Task,
    preset: str,
    threads: int,
    encoder: str,
    begins_at_s: int | None = None,
) -> list[Any]:
    begins_at_s = task.start_s if begins_at_s is None else begins_at_s
    picture = _upright(picture, view)
    if begins_at_s == task.start_s:  # tells each picture's time on stdout, for `decoded_ms`
        picture = picture.filter("metadata", mode="add", key="is", value="decoded")
        picture = picture.filter("metadata", mode="print", key="is", file="-")
    # From the part's first instant on, whatever the track's own start: what was shown before it is shown on.
    picture = picture.filter("fps", fps=frame_rate_of(view.track), start_time=begins_at_s)
    # And to the part's last, however early the track ends: each output takes as many pictures as it should have.
    picture = picture.filter("tpad", stop_mode="clone", stop=-1)
    outputs: list[Any] = []
    for rung in rungs:
        picture = _sized(picture, rung)
        # Each rung is scaled from the one above: a third less CPU than from the source, and within 1 dB of it.
        if rung is not rungs[-1]:
            both = picture.filter_multi_output("split")
            picture, rendered = both.stream(0), both.stream(1)
        else:
            rendered = picture
        if encoder == VAAPI:
            rendered = rendered.filter("format", "nv12").filter("hwupload")
        options = {**h264_options(rung, preset, threads, encoder, begins_at_s), "frames:v": max(1, task.pictures)}
        outputs.append(_hls_output(rendered, rung.name, options, first_segment=task.first_segment))
    return outputs


def _upright(picture: Any, view: View) -> Any:
    """Whole pictures. (ffmpeg turns those of a phone held sideways by itself.)"""
    return picture.filter("bwdif", mode="send_frame", deint="interlaced") if view.track.interlaced else picture


def _sized(picture: Any, rung: VideoRung) -> Any:
    return (
        picture.filter("scale", w=rung.width_px, h=rung.height_px)
        .filter("setsar", 1)  # rounding to even sides leaves pixels of 639:640, which some players honour
        .filter("format", "yuv420p")  # phones decode no 4:2:2 and no 10 bits
    )


def h264_options(rung: VideoRung, preset: str, threads: int, encoder: str, begins_at_s: int) -> dict[str, Any]:
    """ffmpeg's output options for one rung; bench/transcode.py compares them with others'."""
    rate_kbps = rung.cap_kbps * HLS_SEGMENT_S // (HLS_SEGMENT_S + _BUFFER_S)
    options: dict[str, Any] = {
        "maxrate": f"{rate_kbps}k",
        "bufsize": f"{rate_kbps * _BUFFER_S}k",
        # Every rung cuts at the same instants. A thousandth of a second early, for the rounding of t.
        "force_key_frames": f"expr:gte(t+0.001,{begins_at_s}+n_forced*{HLS_SEGMENT_S})",
        "g": int(rung.frame_rate * HLS_SEGMENT_S),  # and nowhere else
        "profile:v": "high",
    }
    if encoder == NVENC:
        # cq is on x264's scale, about two steps finer at equal quality; forced-idr makes a forced keyframe an entry.
        nvenc = {
            "c:v": "h264_nvenc",
            "preset": "p5",
            "rc": "vbr",
            "cq": rung.crf + 2,
            "forced-idr": 1,
            "no-scenecut": 1,
        }
        return {**options, **nvenc, "b:v": 0, "bf": 2}
    if encoder == VAAPI:
        return {**options, "c:v": "h264_vaapi", "rc_mode": "VBR", "b:v": f"{rate_kbps // 2}k", "idr_interval": 0}
    return {
        **options,
        "c:v": "libx264",
        "preset": _preset_of(rung, preset),
        "threads": threads,
        # Quality is constant and a still board costs next to nothing; the cap holds where there is motion.
        "crf": rung.crf,
        "sc_threshold": 0,  # a slide change must not move the cuts
        # Measured (docs/performance.md): what psychovisual optimisation adds looks busy on writing, and VMAF sees none of
        # it: 13 % fewer bytes without. Adaptive quantisation at half its strength: 18 % fewer at high quality; without
        # any, walls and faces fall apart into blocks.
        "psy": 0,
        "aq-strength": 0.5,
        "flags": "+cgop+bitexact",  # no picture looks past a cut, so that a player may begin at any
    }


def _preset_of(rung: VideoRung, preset: str) -> str:
    """For the pictures of the slowest lines a preset two steps slower: they are small, so it costs a tenth of the ladder's
    CPU, and it saves a tenth of their bytes. Slower than "slower" pays for nobody; the fastest two are for those who
    want nothing else."""
    if min(rung.width_px, rung.height_px) > _SLOW_LINE_PX or preset not in _PRESETS:
        return preset
    return _PRESETS[min(_PRESETS.index(preset) + 2, len(_PRESETS) - 1)]


def _audio_output(sound: Any, rung: AudioRung) -> Any:
    if rung.codec == "opus":
        # Its priming of 6.5 ms is told to players in the init.
        options: dict[str, Any] = {"c:a": "libopus", "application": "voip", "frame_duration": 40}
        return _hls_output(sound, rung.name, {**options, "b:a": f"{rung.bitrate_kbps}k", "flags": "+bitexact"})
    sound = (
        sound.filter("aresample", rung.sample_rate_hz)
        # CMAF has no edit list, so the encoder's priming would come out as 32 ms of delay: give up as much sound.
        .filter("atrim", start_sample=_AAC_PRIMING_SAMPLES)
    )
    options = {"c:a": "aac", "b:a": f"{rung.bitrate_kbps}k", "cutoff": rung.cutoff_hz, "flags": "+bitexact"}
    return _hls_output(sound, rung.name, options)


def _hls_output(stream: Any, directory: str, options: dict[str, Any], first_segment: int = 0) -> Any:
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
        start_number=first_segment,
        **_ANONYMOUS,
        **options,
    )


def board_scan_argv(
    source: Path, *, grey_px: tuple[int, int], every_s: int, tile_px: tuple[int, int], grid: tuple[int, int], sheet: str
) -> list[str]:
    """One decode for two uses: a raw grey picture of each second on stdout, and a JPEG `sheet` of one tile `every_s`.

    Both show at a moment what a player shows there: the last picture that has begun.
    """
    both = ffmpeg.input(hardening.media_url(source), threads=1, **dict(hardening.INPUT_OPTIONS)).video
    both = both.filter_multi_output("split")
    grey = both.stream(0).filter("fps", fps=1, round="up").filter("scale", w=grey_px[0], h=grey_px[1], flags="area")
    tiles = both.stream(1).filter("fps", fps=f"1/{every_s}", round="up")
    tiles = tiles.filter("scale", w=tile_px[0], h=tile_px[1], flags="area").filter("setsar", 1)
    tiles = tiles.filter("tile", layout=f"{grid[0]}x{grid[1]}").filter("format", "yuvj420p")
    raw = ffmpeg.output(grey.filter("format", "gray"), "pipe:1", f="rawvideo")
    picture = ffmpeg.output(tiles, sheet, f="mjpeg", threads=1, **{"frames:v": 1, "q:v": 7}, **_ANONYMOUS)
    return [*_ffmpeg(), *ffmpeg.merge_outputs(raw, picture).get_args()]


def still_argv(
    source: Path, *, at_ms: int, size_px: tuple[int, int], jpegs: Mapping[int, str], webps: Mapping[int, str]
) -> list[str]:
    """The picture `at_ms` into an hls_segment as JPEGs, one a quantiser scale, and WebPs, one a quality: that → name."""
    both = (
        ffmpeg.input(hardening.media_url(source), threads=1, **dict(hardening.INPUT_OPTIONS))
        .video.filter("tpad", stop_mode="clone", stop_duration=60)  # a slide show's last picture stays until the end
        .filter("trim", start=seconds_from_ms(at_ms))
        .filter("scale", w=size_px[0], h=size_px[1], flags="lanczos")
        .filter("setsar", 1)
        .filter_multi_output("split")
    )
    outputs: list[Any] = []
    for n, (pixels, names, told, encoder) in enumerate(
        (
            ("yuvj420p", jpegs, "q:v", {"f": "mjpeg"}),
            ("bgra", webps, "quality", {"f": "webp", "c:v": "libwebp"}),  # its library makes 4:2:0 better than swscale
        )
    ):
        pictures = both.stream(n).filter("format", pixels).filter_multi_output("split", len(names))
        options: dict[str, Any] = {**encoder, "threads": 1, "frames:v": 1, **_ANONYMOUS}
        for m, (quality, name) in enumerate(sorted(names.items())):
            outputs.append(ffmpeg.output(pictures.stream(m), name, **{told: quality}, **options))
    return [*_ffmpeg(), *ffmpeg.merge_outputs(*outputs).get_args()]
