"""Which renditions a recording gets. Pure: a Probe goes in, a plan comes out, the same for ever under one EDITION.

The viewers are children on phones at 64 to 500 kbit/s; every step exists because a line of that speed does.
"""

from dataclasses import dataclass
from fractions import Fraction

from archive.model import Probe, VideoTrack

EDITION = 1  # raise it whenever a rung or an argument changes: old renditions are then known to be old

# Keyframe distance is the biggest lever on bytes: 2 s to 6 s costs 23 % less at equal quality. Longer would make a seek
# on a slow phone wait for too much.
HLS_SEGMENT_S = 6

MAX_FRAME_RATE = 30  # a lesson gains nothing from more
MAX_HALVED_FRAME_RATE = 15  # the lowest rung halves its rate, but a slide show of 10 pictures a second keeps them


@dataclass(frozen=True, slots=True)
class VideoRung:
    """One picture size. `cap_kbps` bounds each hls_segment, container included: a line of that speed never stalls."""

    name: str
    width_px: int
    height_px: int
    frame_rate: Fraction
    crf: int
    cap_kbps: int


@dataclass(frozen=True, slots=True)
class AudioRung:
    """The one sound: shared by every picture, and a rendition of its own for the slowest line. Mono."""

    name: str
    bitrate_kbps: int
    sample_rate_hz: int
    cutoff_hz: int


Rung = VideoRung | AudioRung


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
_AUDIO = AudioRung("audio", bitrate_kbps=32, sample_rate_hz=32000, cutoff_hz=10000)


def rungs_for(source: Probe) -> tuple[Rung, ...]:
    """The rungs no larger than the source, largest first, sound last; never none.

    A source below the lowest rung gets one rung of its own size: upscaling spends a village's bytes on nothing.
    """
    rungs: list[Rung] = []
    if source.video:
        track = source.video[0]
        side_px = min(track.width, track.height)
        steps = [step for step in _STEPS if step.side_px <= side_px]
        lowest = _STEPS[-1]
        rungs += [_video_rung(track, step) for step in steps or [_Step(side_px, lowest.crf, lowest.cap_kbps)]]
    if source.audio:
        rungs.append(_AUDIO)
    return tuple(rungs)


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


def _video_rung(track: VideoTrack, step: _Step) -> VideoRung:
    width, height = shown_size_px(track)
    scale = Fraction(step.side_px, min(width, height))
    rate = frame_rate_of(track)
    if step.side_px <= _STEPS[-1].side_px and rate > MAX_HALVED_FRAME_RATE:
        rate /= 2
    size_px = _even(step.side_px)
    return VideoRung(f"{size_px}p", _even(width * scale), _even(height * scale), rate, step.crf, step.cap_kbps)


def _even(pixels: Fraction | int) -> int:
    """4:2:0 chroma has half the resolution, so both sides must be even; down, to stay within the source."""
    return int(pixels) // 2 * 2
