"""The engine's WAV: the right format, the lesson's own clock, and stretches that are cut where nobody speaks."""

import os
import subprocess
import wave
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from archive.errors import Cancelled, Unreadable
from tests.transcribe.spoken import never, silence
from transcribe import audio
from transcribe.audio import SAMPLE_RATE_HZ, SEARCH_S, STRETCH_S, WINDOW_S


def ffmpeg(*arguments: str) -> None:
    subprocess.run(["ffmpeg", "-v", "error", "-y", *arguments], check=True)


def write_wav(path: Path, samples: NDArray[np.int16]) -> Path:
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(SAMPLE_RATE_HZ)
        out.writeframes(samples.tobytes())
    return path


def samples_of(path: Path) -> NDArray[np.float32]:
    return np.concatenate([window.samples for window in audio.windows(path)])


def test_a_stereo_recording_becomes_what_the_engine_wants(tmp_path: Path) -> None:
    source = tmp_path / "lesson.mp4"
    picture = ["-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25:duration=2"]
    ffmpeg(*picture, "-f", "lavfi", "-i", "sine=440:sample_rate=48000:duration=2", "-ac", "2", str(source))
    audio.extract(source, tmp_path / "heard.wav", cancelled=never)
    assert audio.duration_ms(tmp_path / "heard.wav") == pytest.approx(2_000, abs=60)  # AAC pads its last frame
    assert np.abs(samples_of(tmp_path / "heard.wav")).max() > 0.05


def test_sound_that_starts_late_keeps_its_place_in_the_lesson(tmp_path: Path) -> None:
    source = tmp_path / "lesson.mkv"
    picture = ["-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25:duration=3"]
    tone = ["-itsoffset", "1.5", "-f", "lavfi", "-i", "sine=440:sample_rate=48000:duration=1.5"]
    ffmpeg(*picture, *tone, "-c:a", "pcm_s16le", str(source))
    audio.extract(source, tmp_path / "heard.wav", cancelled=never)
    heard = samples_of(tmp_path / "heard.wav")
    first_ms = int(np.argmax(np.abs(heard) > 0.01)) * 1000 // SAMPLE_RATE_HZ
    assert first_ms == pytest.approx(1_500, abs=60)
    assert audio.duration_ms(tmp_path / "heard.wav") == pytest.approx(3_000, abs=60)


@pytest.mark.parametrize("content", [b"", b"#EXTM3U\n/etc/passwd\n", b"RIFF\xff\xff\xff\xffWAVEfmt "])
def test_what_cannot_be_decoded_is_unreadable_by_the_name_people_know(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.mp4").write_bytes(content)
    with pytest.raises(Unreadable) as caught:
        audio.extract(tmp_path / "x.mp4", tmp_path / "heard.wav", cancelled=never, name="xinghuo/301/课.mp4")
    assert caught.value.name == "xinghuo/301/课.mp4"
    assert "声音" in caught.value.reason_zh


def test_extraction_can_be_cancelled(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "endless.mp4")  # nobody writes to it, so ffmpeg would wait for ever
    with pytest.raises(Cancelled):
        audio.extract(tmp_path / "endless.mp4", tmp_path / "heard.wav", cancelled=lambda: True)


@pytest.mark.parametrize("seconds", [0, 1, WINDOW_S, WINDOW_S + 1, 2 * WINDOW_S - SEARCH_S, 2 * WINDOW_S + 7])
def test_windows_are_the_whole_sound_in_order(tmp_path: Path, seconds: int) -> None:
    noise = np.random.default_rng(1).integers(-3000, 3000, seconds * SAMPLE_RATE_HZ + 5, dtype=np.int16)
    windows = list(audio.windows(write_wav(tmp_path / "noise.wav", noise)))
    joined = np.concatenate([window.samples for window in windows])
    assert np.array_equal(np.rint(joined * 2**15).astype(np.int16), noise)
    passed = 0
    for window in windows:
        assert window.start_ms == passed * 1000 // SAMPLE_RATE_HZ
        assert window.samples.size <= WINDOW_S * SAMPLE_RATE_HZ
        assert window.samples.dtype == np.float32
        passed += window.samples.size


def test_a_window_ends_where_it_is_quiet(tmp_path: Path) -> None:
    noise = np.random.default_rng(1).integers(-3000, 3000, (WINDOW_S + 60) * SAMPLE_RATE_HZ, dtype=np.int16)
    pause = slice((WINDOW_S - 12) * SAMPLE_RATE_HZ, (WINDOW_S - 11) * SAMPLE_RATE_HZ)
    noise[pause] //= 100
    first, _ = audio.windows(write_wav(tmp_path / "noise.wav", noise))
    assert pause.start < first.samples.size < pause.stop


def test_an_empty_sound_has_no_windows(tmp_path: Path) -> None:
    assert list(audio.windows(write_wav(tmp_path / "empty.wav", np.array([], dtype=np.int16)))) == []


def test_a_wav_from_elsewhere_is_not_taken_for_ours(tmp_path: Path) -> None:
    ffmpeg("-i", str(silence(1, tmp_path / "ours.wav")), "-ar", "44100", str(tmp_path / "theirs.wav"))
    with pytest.raises(ValueError, match="extract"):
        list(audio.windows(tmp_path / "theirs.wav"))


@pytest.mark.parametrize("seconds", [0, 1, STRETCH_S, STRETCH_S + 1, 2 * STRETCH_S + 40])
def test_stretches_tile_the_sound_and_their_windows_are_all_of_it(tmp_path: Path, seconds: int) -> None:
    noise = np.random.default_rng(2).integers(-3000, 3000, seconds * SAMPLE_RATE_HZ + 7, dtype=np.int16)
    wav = write_wav(tmp_path / "noise.wav", noise)
    stretches = audio.stretches(wav)
    assert all(a.end_ms == b.start_ms for a, b in pairwise(stretches))
    assert all(stretch.duration_ms <= STRETCH_S * 1000 + 1 for stretch in stretches)
    assert len(stretches) >= seconds / STRETCH_S
    windows = [window for stretch in stretches for window in audio.windows(wav, stretch)]
    joined = np.concatenate([window.samples for window in windows])
    assert np.array_equal(np.rint(joined * 2**15).astype(np.int16), noise)
    assert audio.stretches(wav) == stretches, "the same sound is always cut at the same places"


def test_a_stretch_ends_where_it_is_quiet(tmp_path: Path) -> None:
    noise = np.random.default_rng(1).integers(-3000, 3000, (STRETCH_S + 60) * SAMPLE_RATE_HZ, dtype=np.int16)
    noise[(STRETCH_S - 12) * SAMPLE_RATE_HZ : (STRETCH_S - 11) * SAMPLE_RATE_HZ] //= 100
    first, _ = audio.stretches(write_wav(tmp_path / "noise.wav", noise))
    assert (STRETCH_S - 12) * 1000 < first.end_ms < (STRETCH_S - 11) * 1000
