"""Which renditions a recording gets. Pure: a Probe goes in, a plan comes out, the same for ever under one EDITION.

The viewers are children on phones at 64 to 500 kbit/s; every step exists because a line of that speed does.
"""

from dataclasses import dataclass
from fractions import Fraction

from archive.model import Probe, VideoTrack

EDITION = 3  # raise it whenever a rung or an argument changes: old renditions are then known to be old

# Keyframe distance is the biggest lever on bytes: 2 s to 6 s costs 23 % less at equal quality. Longer would make a seek
# on a slow phone wait for too much.
HLS_SEGMENT_S = 6

# A lesson gains nothing from more. The lowest rung keeps it too: half the pictures save no bytes (ADR 8).
MAX_FRAME_RATE = 30

MAIN_VIEW = "main"  # of the first video track, whatever it shows; the only one of nearly every recording


@dataclass(frozen=True, slots=True)
class VideoRung:
    """One picture size. `cap_kbps` bounds each hls_segment, container included: a line of that speed never stalls."""

    name: str
    width_px: int
    height_px: int
    frame_rate: Fraction
    crf: int
    cap_kbps: int
    view: str = MAIN_VIEW


@dataclass(frozen=True, slots=True)
class AudioRung:
    """One sound: shared by every picture, and a rendition of its own for the slowest line. Mono."""

    name: str
    codec: str  # aac or opus
    bitrate_kbps: int
    sample_rate_hz: int
    cutoff_hz: int


@dataclass(frozen=True, slots=True)
class CopyRung:
    """The recorder's own picture, cut into hls_segments where it has keyframes, and not encoded again."""

    name: str
    width_px: int
    height_px: int
    frame_rate: Fraction
    view: str = MAIN_VIEW


Rung = VideoRung | AudioRung | CopyRung


@dataclass(frozen=True, slots=True)
class View:
    """A video track and what it shows: "main" for the first, else teacher, students, screen, mixed or view2, view3…"""

    name: str
    track: VideoTrack


@dataclass(frozen=True, slots=True)
class _Step:
    side_px: int
    crf: int
    cap_kbps: int


# Sizes are of the shorter side, so that a phone held upright costs what the same phone held flat does.
_STEPS = (
    _Step(720, crf=23, cap_kbps=1000),
    _Step(480, crf=23, cap_kbps=450),
    _Step(360, crf=24, cap_kbps=250),
    _Step(240, crf=25, cap_kbps=120),
)
# On a still board the sound is most of the bytes. At 32 kbit/s it goes with the lowest picture through a line of 64; at
# 48 its own peaks measure 65. ffmpeg's AAC encoder overshoots (to 44) what it is given too many frames and too high
# sounds for: 31 frames a second and nothing above 10 kHz, where "f" still differs from "s", keep it at 32 to 34.
SPEECH = AudioRung("audio", "aac", bitrate_kbps=32, sample_rate_hz=32000, cutoff_hz=10000)
# For singing and for lines that carry 480p anyway.
MUSIC = AudioRung("audio48", "aac", bitrate_kbps=48, sample_rate_hz=32000, cutoff_hz=14000)
# Speech at 24 kbit/s of Opus is clearer than at 32 of AAC; browsers before 2018 and most televisions cannot play it.
OPUS = AudioRung("opus", "opus", bitrate_kbps=24, sample_rate_hz=48000, cutoff_hz=12000)

_COPY_SIDE_PX = 1080
_COPY_KBPS = 4000  # four times the rung below: a line for which this is too much plays that one
_COPY_GOP_MS = 12_000  # with rarer keyframes a seek would wait for an hls_segment of half a minute


def views_of(source: Probe) -> tuple[View, ...]:
    """Every video track under a name of its own, in the file's order."""
    views: list[View] = []
    for track in source.video:
        name = track.view if views else MAIN_VIEW
        taken = {"", *(view.name for view in views)}
        views.append(View(name if name not in taken else f"view{len(views) + 1}", track))
    return tuple(views)


def rungs_for(source: Probe) -> tuple[Rung, ...]:
    """The rungs no larger than the source, view by view, each largest first; sounds last; never none.

    A source below the lowest rung gets one rung of its own size: upscaling spends a village's bytes on nothing.
    """
    rungs: list[Rung] = []
    for view in views_of(source):
        rungs += video_rungs(view)
    if source.audio:
        rungs += [SPEECH, MUSIC, OPUS]
    return tuple(rungs)


def video_rungs(view: View) -> tuple[VideoRung, ...]:
    """One view's rungs, largest first, at least one."""
    side_px = min(view.track.width, view.track.height)
    steps = [step for step in _STEPS if step.side_px <= side_px]
    lowest = _STEPS[-1]
    return tuple(_video_rung(view, step) for step in steps or [_Step(side_px, lowest.crf, lowest.cap_kbps)])


def copy_rung(view: View, *, kbps: int, longest_gop_ms: int) -> CopyRung | None:
    """The source's own H.264 above 720p, if phones can decode it and a good line can carry it; else None.

    `kbps` and `longest_gop_ms` were measured: no header tells them.
    """
    track = view.track
    fits = (
        track.codec == "h264"
        and _STEPS[0].side_px < min(track.width, track.height) <= _COPY_SIDE_PX
        and not track.rotation  # HLS has no word for it
        and not track.interlaced
        and track.pixel_format in ("yuv420p", "yuvj420p")
        and 0 < kbps <= _COPY_KBPS
        and 0 < longest_gop_ms <= _COPY_GOP_MS
    )
    if not fits:
        return None
    name = rung_name(view.name, min(track.width, track.height))
    return CopyRung(name, track.width, track.height, frame_rate_of(track), view.name)


def rung_name(view: str, side_px: int) -> str:
    return f"{side_px}p" if view == MAIN_VIEW else f"{view}-{side_px}p"


def frame_rate_of(track: VideoTrack) -> Fraction:
    """The whole number of pictures a second, at most 30, that is nearest to the source's, or to an even part of it.

    Whole, because only then do HLS_SEGMENT_S seconds hold a whole number of pictures in every rung, and all rungs cut
    at the same instants: 29.97 would drift apart from its own half within 36 s. One picture in 1000 is shown twice.
    """
    rate = Fraction(track.frame_rate)
    parts = -(-round(rate) // MAX_FRAME_RATE)
    return Fraction(max(1, round(rate / max(1, parts))))


def shown_size_px(track: VideoTrack) -> tuple[int, int]:
    """Width and height as a viewer sees them, after the turn."""
    return (track.height, track.width) if track.rotation in (90, 270) else (track.width, track.height)


def _video_rung(view: View, step: _Step) -> VideoRung:
    width, height = shown_size_px(view.track)
    scale = Fraction(step.side_px, min(width, height))
    side_px = _even(step.side_px)
    return VideoRung(
        name=rung_name(view.name, side_px),
        width_px=_even(width * scale),
        height_px=_even(height * scale),
        frame_rate=frame_rate_of(view.track),
        crf=step.crf,
        cap_kbps=step.cap_kbps,
        view=view.name,
    )


def _even(pixels: Fraction | int) -> int:
    """4:2:0 chroma has half the resolution, so both sides must be even; down, to stay within the source."""
    return int(pixels) // 2 * 2
