"""Real Mandarin, heard by a real multilingual model, when there is one: character error rate against human transcripts.

The clips and their licences are in ../shared/speech (manifest.tsv). Set HUIKAN_TEST_SPEECH_MODEL to a model's folder.
"""

import csv
import os
import subprocess
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import jiwer
import pytest

from tests.transcribe.spoken import never, nowhere
from transcribe import audio
from transcribe.cues import cues_from, undone
from transcribe.simplified import simplified
from transcribe.whisper import FasterWhisper

MODEL = os.environ.get("HUIKAN_TEST_SPEECH_MODEL", "")
CLIPS = Path(__file__).parent.parent.parent.parent / "shared" / "speech"
# What the smallest model that a school should use makes of read speech; whisper small has 0.10 to 0.20 on such clips.
MOST = float(os.environ.get("HUIKAN_TEST_SPEECH_CER", "0.25"))


def rows() -> Iterator[dict[str, str]]:
    if (CLIPS / "manifest.tsv").exists():
        with (CLIPS / "manifest.tsv").open(encoding="utf-8", newline="") as file:
            yield from csv.DictReader(file, delimiter="\t")


def bare(text: str) -> str:
    return "".join(c for c in unicodedata.normalize("NFKC", simplified(text)).lower() if c.isalnum())


def test_chinese_is_heard() -> None:
    if not MODEL or not list(rows()):
        pytest.skip(
            "NOT RUN: the error rate on real Mandarin. It needs HUIKAN_TEST_SPEECH_MODEL (a multilingual model's folder) and "
            f"the clips in {CLIPS}."
        )


@pytest.mark.skipif(not MODEL, reason="NOT RUN: needs HUIKAN_TEST_SPEECH_MODEL")
@pytest.mark.parametrize("row", list(rows()), ids=lambda row: row["file"])
def test_the_error_rate_on_real_mandarin(row: dict[str, str], tmp_path: Path) -> None:
    recording, wav = tmp_path / "lesson.m4a", tmp_path / "heard.wav"
    subprocess.run(["ffmpeg", "-v", "error", "-i", str(CLIPS / row["file"]), "-c:a", "aac", str(recording)], check=True)
    audio.extract(recording, wav, cancelled=never)
    engine = FasterWhisper(MODEL, download=False, models_dir=Path(MODEL).parent)
    heard = engine.transcribe(wav, language="zh", on_progress=nowhere, cancelled=never)
    cues = cues_from(heard.utterances, "zh", duration_ms=audio.duration_ms(wav))
    said, text = bare(row["transcript"]), bare("".join(undone(cue) for cue in cues))
    rate = float(jiwer.cer(said, text))
    assert rate <= MOST, f"{row['file']}: CER {rate:.3f}, {len(cues)} cues, {[i.outcome for i in heard.incidents]}"
