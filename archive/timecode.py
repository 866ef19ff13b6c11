"""Time inside Huikan is integer milliseconds; here, and only here, it is converted.

Rounding is half up, once, at the border: two neighbours that touch as seconds still touch as milliseconds.
"""

import re
from fractions import Fraction

_WEBVTT = re.compile(r"(?:(\d{2,}):)?([0-5]\d):([0-5]\d)[.,](\d{3})")


def ms_from_seconds(seconds: float | str | Fraction) -> int:
    """Milliseconds of `seconds`; a string is read exactly (ffprobe prints "12.345000"). ValueError if it is no number."""
    value = Fraction(seconds) if not isinstance(seconds, float) else Fraction(repr(seconds))
    return int((value * 1000 + Fraction(1, 2)) // 1)


def seconds_from_ms(ms: int) -> str:
    """Seconds with three decimals, as ffmpeg's -ss and -t read them."""
    sign = "-" if ms < 0 else ""
    whole, part = divmod(abs(ms), 1000)
    return f"{sign}{whole}.{part:03d}"


def webvtt_from_ms(ms: int) -> str:
    """`01:02:03.456`, always with hours: the form every WebVTT reader accepts."""
    if ms < 0:
        raise ValueError(f"no time before the start: {ms} ms")
    seconds, part = divmod(ms, 1000)
    minutes, second = divmod(seconds, 60)
    hour, minute = divmod(minutes, 60)
    return f"{hour:02d}:{minute:02d}:{second:02d}.{part:03d}"


def ms_from_webvtt(text: str) -> int:
    """The inverse of `webvtt_from_ms`; also reads WebVTT without hours and SubRip's comma. ValueError otherwise."""
    found = _WEBVTT.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"not a timecode: {text!r}")
    hour, minute, second, part = found.groups()
    return ((int(hour or 0) * 60 + int(minute)) * 60 + int(second)) * 1000 + int(part)


def clock_from_ms(ms: int) -> str:
    """What people read: `3:05`, or `1:02:03` from an hour on."""
    hour, rest = divmod(max(ms, 0) // 1000, 3600)
    minute, second = divmod(rest, 60)
    return f"{hour}:{minute:02d}:{second:02d}" if hour else f"{minute}:{second:02d}"
