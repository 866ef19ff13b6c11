"""Where somebody speaks, and how that is cut for an engine."""

from itertools import pairwise
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from archive.model import Span
from tests.transcribe.spoken import ENGLISH, silence, spoken
from tests.transcribe.streams import voice_over
from transcribe import audio
from transcribe.voice import CLIP_MS, FRAME_MS, Voice, probabilities, without


def test_speech_is_where_the_network_says_so_and_short_pauses_belong_to_it() -> None:
    voice = voice_over(10_000, (1_024, 2_016), (2_208, 3_008), (6_016, 6_080), (8_000, 9_984))
    assert voice.speech() == (Span(1_024, 3_008), Span(8_000, 9_984))


def test_neighbours_are_decoded_together_with_room_around_them() -> None:
    voice = voice_over(40_000, (0, 992), (1_984, 3_008), (8_000, 8_992))
    assert voice.clips(voice.speech(), limit_ms=40_000) == (Span(0, 3_408), Span(7_600, 9_392))


PROBABILITIES = st.lists(st.tuples(st.integers(1, 1_500), st.floats(0, 1)), min_size=1, max_size=12)


@given(PROBABILITIES, st.integers(0, 10_000_000))
def test_clips_hold_all_speech_are_apart_and_fit_the_engine(runs: list[tuple[int, float]], start_ms: int) -> None:
    frames = np.concatenate([np.full(count, value, dtype=np.float32) for count, value in runs])
    voice = Voice(start_ms, frames)
    limit_ms = start_ms + frames.size * FRAME_MS
    speech = voice.speech()
    clips = voice.clips(speech, limit_ms=limit_ms)
    assert without(speech, clips) == ()
    assert all(a.end_ms <= b.start_ms for a, b in pairwise(clips))
    assert all(clip.duration_ms <= CLIP_MS + 800 <= 30_000 for clip in clips)
    assert all(start_ms <= clip.start_ms and clip.end_ms <= limit_ms for clip in clips)


def test_the_network_hears_a_voice_and_no_voice_in_silence(tmp_path: Path) -> None:
    (tmp_path / "said.wav").write_bytes(spoken(*ENGLISH))
    (said,) = audio.windows(tmp_path / "said.wav")
    (quiet,) = audio.windows(silence(2, tmp_path / "quiet.wav"))
    assert Voice(0, probabilities(said.samples)).level(Span(0, 3_000)) > 0.6
    assert Voice(0, probabilities(quiet.samples)).speech() == ()
    assert probabilities(np.zeros(0, dtype=np.float32)).size == 0
