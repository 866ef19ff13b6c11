"""A lesson in English as espeak-ng says it, with what was said and when: what bench.transcribe listens to.

Sentences are made of a small vocabulary that tiny.en knows, so that its errors are the decoding's and not the words'. Between
them are pauses; now and then there is music, noise or a long silence, in which nothing is said.
"""

import json
import random
import subprocess
import wave
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from archive.model import Span
from transcribe.audio import SAMPLE_RATE_HZ

CACHE = Path(__file__).parent.parent / "tests" / ".cache" / "bench"
_VOICES = (("en-us", 150), ("en-us", 165), ("en-gb", 150))
_WHO = [
    "the teacher",
    "a young farmer",
    "my older brother",
    "the whole class",
    "our neighbor",
    "the doctor",
    "a careful student",
    "the driver",
]
_DOES = [
    "explains",
    "remembers",
    "writes about",
    "is looking for",
    "carefully describes",
    "talks about",
    "draws",
    "wants to understand",
]
_WHAT = [
    "the old bridge",
    "a simple machine",
    "the water cycle",
    "the history of paper",
    "a difficult question",
    "the longest river",
]
_WHERE = [
    "in the morning",
    "near the window",
    "after the summer holiday",
    "before lunch",
    "in a small village",
    "at the end of the lesson",
]
_WHY = [
    "because it is important",
    "and everybody listens",
    "while the rain is falling",
    "but nobody knows the answer",
    "so that we can learn together",
    "although it takes a long time",
]


@dataclass(frozen=True)
class Sentence:
    span: Span
    text: str


@dataclass(frozen=True)
class SpokenLesson:
    wav: Path
    sentences: tuple[Sentence, ...]
    duration_ms: int

    @property
    def text(self) -> str:
        return " ".join(sentence.text for sentence in self.sentences)


def spoken_lesson(minutes: float, seed: int = 4) -> SpokenLesson:
    """Made once and kept in tests/.cache."""
    CACHE.mkdir(parents=True, exist_ok=True)
    wav = CACHE / f"spoken-{minutes:g}-{seed}.wav"
    record = wav.with_suffix(".json")
    if not record.exists():
        _make(wav, record, int(minutes * 60), random.Random(seed))
    told = json.loads(record.read_text(encoding="utf-8"))
    sentences = tuple(Sentence(Span(start, end), text) for start, end, text in told["sentences"])
    return SpokenLesson(wav, sentences, told["duration_ms"])


def _make(wav: Path, record: Path, seconds: int, chance: random.Random) -> None:
    pieces: list[NDArray[np.int16]] = [np.zeros(SAMPLE_RATE_HZ // 4, dtype=np.int16)]
    sentences: list[tuple[int, int, str]] = []
    said = (_sentence(chance) for _ in iter(int, 1))
    total = pieces[0].size
    with TemporaryDirectory() as folder, ThreadPoolExecutor(2) as pool:
        while total < seconds * SAMPLE_RATE_HZ:
            batch = [(next(said), chance.choice(_VOICES), Path(folder) / f"{n}.wav") for n in range(16)]
            for (text, _, _), samples in zip(batch, pool.map(lambda each: _speak(*each), batch), strict=True):
                start_ms = total * 1000 // SAMPLE_RATE_HZ
                sentences.append((start_ms, start_ms + samples.size * 1000 // SAMPLE_RATE_HZ, text))
                gap = _gap(chance)
                pieces += [samples, gap]
                total += samples.size + gap.size
    with wave.open(str(wav), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(SAMPLE_RATE_HZ)
        out.writeframes(np.concatenate(pieces).astype("<i2").tobytes())
    told = {"sentences": sentences, "duration_ms": total * 1000 // SAMPLE_RATE_HZ}
    record.write_text(json.dumps(told), encoding="utf-8")


def _sentence(chance: random.Random) -> str:
    parts = [chance.choice(_WHO), chance.choice(_DOES), chance.choice(_WHAT), chance.choice(_WHERE)]
    if chance.random() < 0.6:
        parts.append(chance.choice(_WHY))
    return " ".join(parts)


def _speak(text: str, voice: tuple[str, int], wav: Path) -> NDArray[np.int16]:
    subprocess.run(["espeak-ng", "-v", voice[0], "-s", str(voice[1]), "-w", str(wav), f"{text}."], check=True)
    heard = wav.with_suffix(".pcm")
    into = ["-ar", str(SAMPLE_RATE_HZ), "-ac", "1", "-f", "s16le", str(heard)]
    subprocess.run(["ffmpeg", "-v", "error", "-y", "-i", str(wav), *into], check=True)
    return np.frombuffer(heard.read_bytes(), dtype="<i2")


def _gap(chance: random.Random) -> NDArray[np.int16]:
    """What comes between two sentences: mostly a breath, at times something that is no speech."""
    kind = chance.random()
    if kind < 0.90:
        return np.zeros(int(chance.uniform(0.15, 1.8) * SAMPLE_RATE_HZ), dtype=np.int16)
    length = int(chance.uniform(4, 9) * SAMPLE_RATE_HZ)
    clock = np.arange(length) / SAMPLE_RATE_HZ
    if kind < 0.94:
        return np.zeros(length, dtype=np.int16)
    if kind < 0.97:
        noise = np.random.default_rng(chance.randrange(2**32)).normal(0, 600, length)
        return noise.astype(np.int16)
    chord = sum(np.sin(2 * np.pi * pitch * (1 + 0.5 * np.floor(clock) % 3) * clock) for pitch in (220, 277, 330))
    return (chord * 1_500).astype(np.int16)
