"""The sound of a recording as a speech engine wants it: 16 kHz, mono, 16 bit, on the lesson's own clock.

`extract` writes it as ffmpeg decodes it, `windows` reads two minutes at a time: a four-hour lesson needs no more memory
than a short one. `stretches` says where it may be cut for several workers. Time zero of the WAV is time zero of the
recording: sound that starts late or has holes is padded with silence, or every cue would come too early.
"""

import wave
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from archive.errors import ToolFailed, Unreadable
from archive.hardening import media_input, media_url
from archive.model import Span
from archive.tool import Confined, Limits, run_tool

SAMPLE_RATE_HZ = 16_000  # what Whisper was trained on
WINDOW_S = 120  # bounds the spectra (300 s took 350 MB more than the model) and how long a cancellation may wait
STRETCH_S = 300  # a lesson's unit of work: what a power cut can lose, what another worker can take
SEARCH_S = 30  # how far back from a window's end the quietest place is looked for: nobody speaks so long in one breath
_FRAME = SAMPLE_RATE_HZ // 5  # loudness over 0.2 s: shorter would find a stop consonant

# Decoding sound takes a 100th of its length; WAV of the longest lesson we take (4 h) is 460 MB.
_LIMITS = Limits(wall_s=3600, cpu_s=3600, memory_bytes=2 * 2**30, file_bytes=2 * 2**30)


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of sound. Samples are -1..1; `start_ms` is where it stands in the recording."""

    start_ms: int
    samples: NDArray[np.float32]

    @property
    def end_ms(self) -> int:
        return self.start_ms + max(1, self.samples.size * 1000 // SAMPLE_RATE_HZ)


def extract(source: Path, out_wav: Path, *, cancelled: Callable[[], bool], name: str = "") -> None:
    """Write the first audio track of `source` to `out_wav`. Unreadable (with `name`) when it cannot be decoded."""
    argv = ["ffmpeg", "-hide_banner", "-nostdin", "-v", "error", "-y", *media_input(source)]
    argv += ["-map", "0:a:0", "-map_metadata", "-1"]
    argv += ["-af", f"aresample={SAMPLE_RATE_HZ}:async=1:first_pts=0"]  # pads a late start and holes with silence
    argv += ["-ac", "1", "-c:a", "pcm_s16le", "-bitexact", "-f", "wav", media_url(out_wav)]
    try:
        run_tool(argv, limits=_LIMITS, cancelled=cancelled, confined=Confined((source,), out_wav.parent))
    except ToolFailed as error:
        raise Unreadable(name or source.name, error.last_line, "录像里的声音无法解码，文件可能已损坏。") from error


def duration_ms(wav: Path) -> int:
    with wave.open(str(wav)) as reader:
        return reader.getnframes() * 1000 // reader.getframerate()


def windows(wav: Path, stretch: Span | None = None) -> Iterator[Window]:
    """The whole file or a stretch of it, in order, cut at quiet places; one window at a time is in memory."""
    with _opened(wav) as reader:
        start, end = _samples_of(stretch, reader.getnframes())
        reader.setpos(start)
        rest = np.array([], dtype=np.int16)
        while True:
            wanted = min(WINDOW_S * SAMPLE_RATE_HZ, end - start) - rest.size
            block = np.concatenate((rest, np.frombuffer(reader.readframes(wanted), dtype="<i2")))
            if block.size == 0:
                return
            is_last = block.size < WINDOW_S * SAMPLE_RATE_HZ or start + block.size >= end
            cut = block.size if is_last else quietest(block)
            yield Window(start * 1000 // SAMPLE_RATE_HZ, block[:cut].astype(np.float32) * np.float32(2**-15))
            start, rest = start + cut, block[cut:]


def stretches(wav: Path) -> tuple[Span, ...]:
    """The whole file in stretches of `STRETCH_S` or less, each ending where it is quiet: what is heard by itself, and all that
    a crash can lose. None for an empty file. The same file always gives the same stretches."""
    found: list[Span] = []
    with _opened(wav) as reader:
        start, end = 0, reader.getnframes()
        while start < end:
            cut = end
            if end - start > STRETCH_S * SAMPLE_RATE_HZ:
                tail = start + (STRETCH_S - SEARCH_S) * SAMPLE_RATE_HZ
                reader.setpos(tail)
                cut = tail + quietest(np.frombuffer(reader.readframes(SEARCH_S * SAMPLE_RATE_HZ), dtype="<i2"))
            first_ms, end_ms = (place * 1000 // SAMPLE_RATE_HZ for place in (start, cut))
            found.append(Span(first_ms, max(end_ms, first_ms + 1)))
            start = cut
    return tuple(found)


@contextmanager
def _opened(wav: Path) -> Generator[wave.Wave_read]:
    with wave.open(str(wav)) as reader:
        if (reader.getframerate(), reader.getnchannels(), reader.getsampwidth()) != (SAMPLE_RATE_HZ, 1, 2):
            raise ValueError(f"{wav.name} was not written by extract()")
        yield reader


def _samples_of(stretch: Span | None, frames: int) -> tuple[int, int]:
    if stretch is None:
        return 0, frames
    # Up to the last sample of the last millisecond: neighbouring stretches then tile.
    first, end = (ms * SAMPLE_RATE_HZ // 1000 for ms in (stretch.start_ms, stretch.end_ms))
    return min(first, frames), end if end + SAMPLE_RATE_HZ // 1000 < frames else frames


def quietest(samples: NDArray[np.int16]) -> int:
    """The index in the last `SEARCH_S` around which it is quietest: the middle of the quietest 0.2 s."""
    tail = samples[-SEARCH_S * SAMPLE_RATE_HZ :]
    frames = tail[: tail.size // _FRAME * _FRAME].reshape(-1, _FRAME).astype(np.float64)
    return samples.size - tail.size + int(np.argmin(np.square(frames).sum(axis=1))) * _FRAME + _FRAME // 2
