"""The whole way with real parts: a recording is spoken, decoded, heard, cut into cues and written down."""

import subprocess
from itertools import pairwise
from pathlib import Path

from tests.transcribe.spoken import ENGLISH, english_engine, never, nowhere, silence, speak
from transcribe import audio, captions, webvtt
from transcribe.cues import cues_from

AAC = ["-c:a", "aac", "-ar", "48000", "-ac", "2"]  # as a recorder's MP4 carries it


def test_an_english_recording_becomes_captions(tmp_path: Path) -> None:
    said = speak(*ENGLISH, tmp_path / "said.wav")
    recording, wav = tmp_path / "lesson.mp4", tmp_path / "heard.wav"
    subprocess.run(["ffmpeg", "-v", "error", "-i", str(said), *AAC, str(recording)], check=True)
    audio.extract(recording, wav, cancelled=never)
    heard = english_engine().transcribe(wav, language="en", on_progress=nowhere, cancelled=never)
    cues = tuple(cue.plain for cue in cues_from(heard.utterances, "en", duration_ms=audio.duration_ms(wav)))

    assert len(cues) >= 3, "three sentences"
    for word in ("good morning", "books", "farmer", "village", "river"):
        assert word in " ".join(cue.text for cue in cues).lower()
    assert all(earlier.span.end_ms <= later.span.start_ms for earlier, later in pairwise(cues))
    assert cues[-1].span.end_ms <= audio.duration_ms(wav)
    # The farmer's sentence is the last third of what is said.
    farmer = next(cue for cue in cues if "farmer" in cue.text.lower())
    assert audio.duration_ms(wav) * 0.4 < farmer.span.start_ms < audio.duration_ms(wav) * 0.8

    written = webvtt.write(cues)
    assert webvtt.read(written) == cues
    assert captions.read_captions(written.encode(), "lesson.vtt") == cues


def test_a_silent_recording_has_an_empty_transcript(tmp_path: Path) -> None:
    wav = silence(3, tmp_path / "silence.wav")
    heard = english_engine().transcribe(wav, language="en", on_progress=nowhere, cancelled=never)
    assert webvtt.write(cues_from(heard.utterances, "en", duration_ms=audio.duration_ms(wav))) == "WEBVTT\n"
