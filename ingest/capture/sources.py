"""What ffmpeg is asked to capture, and how it is to write it: fragments of a second, so that little is ever unwritten. Pure."""

from collections.abc import Sequence

from archive.errors import Misconfigured
from ingest.capture.config import Source, Video

FRAGMENT_US = 500_000  # half a second: with the encoder's own delay, what a power cut takes stays well below two
_SILENT_US = "10000000"  # a camera that says nothing for so long is gone
_DEFAULTS = {"v4l2": "/dev/video0", "screen": ":0.0", "rtsp": "", "rtmp": "", "file": ""}
_ADDRESSES = {"rtsp": ("rtsp://", "rtsps://"), "rtmp": ("rtmp://", "rtmps://")}


def capture_argv(source: Source, video: Video) -> list[str]:
    """ffmpeg's command line; the fragmented MP4 comes on stdout. Raises Misconfigured for an input that cannot be one."""
    argv = ["ffmpeg", "-nostdin", "-hide_banner", "-loglevel", "warning", *_inputs(source)]
    argv += ["-map", "0:v:0"]
    has_own_sound = source.kind in ("rtsp", "rtmp", "file")
    if has_own_sound:
        argv += ["-map", "0:a:0?"]
    elif source.sound:
        argv += ["-map", "1:a:0"]
    if source.copy_packets:
        argv += ["-c:v", "copy"]
    else:
        argv += _encoded(source, video)
    argv += ["-c:a", "aac", "-b:a", f"{video.sound_kbps}k", "-ac", "1", "-ar", "48000"]
    argv += ["-fflags", "+genpts", "-max_interleave_delta", "500000"]
    # empty_moov: readable from the first fragment on. default_base_moof: each fragment stands for itself.
    argv += ["-f", "mp4", "-movflags", "+empty_moov+default_base_moof", "-frag_duration", str(FRAGMENT_US)]
    return [*argv, "-flush_packets", "1", "pipe:1"]


def _inputs(source: Source) -> list[str]:
    where = source.input or _DEFAULTS[source.kind]
    if not where:
        raise Misconfigured(f"source.input 没有写：{source.kind} 的地址")
    sound = ["-f", "alsa", "-thread_queue_size", "512", "-i", source.sound] if source.sound else []
    if source.kind == "v4l2":
        shape: Sequence[str] = ("-framerate", str(source.rate), "-video_size", source.size)
        return ["-f", "v4l2", "-thread_queue_size", "512", *shape, "-i", where, *sound]
    if source.kind == "screen":
        shape = ("-framerate", str(source.rate), "-video_size", source.size)
        return ["-f", "x11grab", "-thread_queue_size", "512", *shape, "-i", where, *sound]
    if source.kind == "file":
        return ["-re", "-protocol_whitelist", "file", "-i", f"file:{where}"]
    if not where.startswith(_ADDRESSES[source.kind]):
        raise Misconfigured(f"source.input 应以 {' 或 '.join(_ADDRESSES[source.kind])} 开头")
    waiting = (
        ("-rtsp_transport", "tcp", "-timeout", _SILENT_US) if source.kind == "rtsp" else ("-rw_timeout", _SILENT_US)
    )
    return [*waiting, "-i", where]


def _encoded(source: Source, video: Video) -> list[str]:
    return [
        *("-c:v", "libx264", "-preset", video.preset),
        *("-tune", "zerolatency"),  # no picture waits in the encoder for those after it
        *("-pix_fmt", "yuv420p", "-r", str(source.rate)),
        *("-b:v", f"{video.kbps}k", "-maxrate", f"{video.kbps}k", "-bufsize", f"{2 * video.kbps}k"),
        *("-g", str(2 * source.rate), "-keyint_min", str(2 * source.rate), "-sc_threshold", "0"),
    ]
