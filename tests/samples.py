"""The sample recordings, made once and kept in tests/.cache: `maths_lesson`, `english_lesson`, `tiny_recording`."""

import hashlib
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from fixtures.lessons import ENGLISH, MATHS, Script
from fixtures.make import SampleRecording, make

_ROOT = Path(__file__).parent.parent
_CACHE = _ROOT / "tests" / ".cache"


@pytest.fixture(scope="session")
def maths_lesson() -> SampleRecording:
    """A Chinese maths lesson of 78 s with captions and metadata."""
    return _cached(MATHS, captions=True)


@pytest.fixture(scope="session")
def english_lesson() -> SampleRecording:
    """An English lesson of 66 s with metadata and no captions: it has to be listened to."""
    return _cached(ENGLISH)


@pytest.fixture(scope="session")
def tiny_recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four seconds of moving colours, 320x180 at 25 frames a second, and a tone."""
    path = tmp_path_factory.mktemp("tiny") / "tiny.mp4"
    argv = ["ffmpeg", "-v", "error", "-nostdin", "-y", "-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25:duration=4"]
    argv += ["-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000:duration=4"]
    argv += ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "50", "-c:a", "aac", "-b:a", "64k"]
    subprocess.run([*argv, "-bitexact", "-movflags", "+faststart", str(path)], check=True, stdin=subprocess.DEVNULL)
    return path


def _cached(script: Script, *, captions: bool = False) -> SampleRecording:
    """The sample from the cache; made when missing. Two test runs at once each make it, and one of them is kept."""
    home = _CACHE / f"samples-{_edition()}"
    whole = home / script.key.replace("/", "-")
    if not whole.is_dir():
        home.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(dir=home, prefix="making-"))
        try:
            make(script, scratch, captions=captions)
            scratch.rename(whole)
        except OSError:
            if not whole.is_dir():  # otherwise another run was first, and its sample is as good
                raise
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    media = whole / script.key
    beside = sorted(path for path in media.parent.iterdir() if path.suffix in {".json", ".vtt"})
    return SampleRecording(media, tuple(beside), script.key)


def _edition() -> str:
    """Changes with every line that could change a sample's bytes."""
    digest = hashlib.sha256()
    for source in sorted((_ROOT / "fixtures").glob("*.py")):
        digest.update(source.read_bytes())
    return digest.hexdigest()[:12]
