"""How good an encoding looks, and how many bytes others' settings take for it.

VMAF (v0.6.1) is taken at the rendition's own size, on every fifth picture of the source's 25 a second. Its tool is an ffmpeg with
libvmaf, which Debian's has not: the one inside the wheel imageio-ffmpeg is put into tests/.cache, or HUIKAN_BENCH_VMAF names
another.

The others' settings are those of their sources, container included as they ship it:

    PeerTube   packages/ffmpeg (default-transcoding-profile, encoder-options, vod): libx264 veryfast, CRF left at 23,
               -b_strategy 1 -bf 16, a keyframe every 2 s, maxrate = width × height × rate × {240: 0.17, 360: 0.15,
               480: 0.12, 720: 0.11} bits, bufsize twice that; one fMP4 file, hls_time 4
    MediaCMS   files/helpers.py, files/tasks.py: libx264 medium (faster from 720p on), CRF 23, main, level 4.2, forced keyframes
               every 4 s with keyint 8 s, maxrate = bufsize = 1.5 × {240: 300, 360: 500, 480: 1000, 720: 2500} kbit/s;
               Bento4's mp4hls --segment-duration=4, which writes TS (here ffmpeg's TS muxer does)
    Apple      the HLS authoring specification's H.264 rung of 640x360 at an average of 365 kbit/s, peaks at most twice that,
               keyframes every 2 s, segments of 6 s; the encoder is left open there: libx264 medium, fMP4
"""

import json
import math
import os
import subprocess
import sys
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from statistics import fmean

from archive.model import Probe
from bench.lesson import RATE, SCENES
from tests.transcode.clips import probed
from transcode import command
from transcode.ladder import VideoRung, views_of
from transcode.per_title import with_offsets
from transcode.plan import Task, all_rungs
from transcode.survey import survey

WHEEL = "imageio-ffmpeg==0.8.1"
CACHE = Path(__file__).parent.parent / "tests" / ".cache" / "vmaf"

PEERTUBE_BITS_A_PIXEL = {240: 0.17, 360: 0.15, 480: 0.12, 720: 0.11}
MEDIACMS_KBPS = {240: 300, 360: 500, 480: 1000, 720: 2500}
APPLE_KBPS = {360: 365}

_FIRST_CRF, _CRF_STEP = 24, 4
_CRFS = range(12, 41)
# To reach others' quality our caps must not be in the way: they say what a line carries, not how good the settings are.
_CAP_LIFTED = 10
_MODELS = r"version=vmaf_v0.6.1\:name=plain|version=vmaf_v0.6.1\:enable_transform=true\:name=phone"


def vmaf_tool() -> Path | None:
    """An ffmpeg with libvmaf; None if there is none and the registry does not answer."""
    named = os.environ.get("HUIKAN_BENCH_VMAF")
    if named:
        return Path(named)
    pattern = "imageio_ffmpeg/binaries/ffmpeg-*"
    if not list(CACHE.glob(pattern)):
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(CACHE), WHEEL]
        if subprocess.run(pip, stdout=sys.stderr).returncode:
            return None
    return next(CACHE.glob(pattern), None)


@dataclass(frozen=True)
class Score:
    """VMAF, 0 to 100: the mean, the mean of the phone model, the mean of the worst twentieth, and the mean of each scene."""

    mean: float
    phone: float
    worst: float
    scenes: tuple[float, ...]

    def __str__(self) -> str:
        scenes = ", ".join(f"{name} {value:.1f}" for name, value in zip(SCENES, self.scenes, strict=True))
        return f"VMAF {self.mean:.1f} (phone {self.phone:.1f}, worst 5 % {self.worst:.1f}; {scenes})"


@dataclass(frozen=True)
class Encoded:
    """What a player loads of one rendition, and the same without its container."""

    bytes_: int
    bare_bytes: int
    score: Score


@dataclass
class Judge:
    """Compares encodings of `source` with it. Works below `folder`."""

    tool: Path
    source: Path
    folder: Path

    def judged(self, files: list[Path], width_px: int, height_px: int) -> Encoded:
        """`files` are the pieces of one rendition, in order."""
        whole = self.folder / f"judged{files[0].suffix}"
        with whole.open("wb") as out:
            for file in files:
                out.write(file.read_bytes())
        packets = ["ffprobe", "-v", "error", "-show_entries", "packet=size", "-of", "csv=p=0", str(whole)]
        listed = subprocess.run(packets, check=True, capture_output=True, text=True).stdout
        bare = sum(int(line.split(",")[0]) for line in listed.split())
        return Encoded(whole.stat().st_size, bare, self._score(whole, self._reference(width_px, height_px)))

    def _reference(self, width_px: int, height_px: int) -> Path:
        """The source at this size, without loss, so that it is scaled once."""
        path = self.folder / f"reference-{width_px}x{height_px}.mkv"
        if not path.exists():
            scaled = ["-an", "-vf", f"scale={width_px}:{height_px},setsar=1,format=yuv420p", "-r", str(RATE)]
            _ffmpeg("-i", self.source, *scaled, "-c:v", "libx264", "-preset", "ultrafast", "-qp", "0", path)
        return path

    def _score(self, encoded: Path, reference: Path) -> Score:
        report = self.folder / "vmaf.json"
        even = f"fps={RATE}:start_time=0,settb=AVTB,setpts=N/({RATE}*TB),format=yuv420p"
        options = f"n_threads=2:n_subsample=5:log_fmt=json:log_path={report}:model='{_MODELS}'"
        graph = f"[0:v]{even}[a];[1:v]{even}[b];[a][b]libvmaf=shortest=1:{options}"
        argv = [str(self.tool), "-v", "error", "-nostdin", "-i", str(encoded), "-i", str(reference)]
        subprocess.run([*argv, "-filter_complex", graph, "-f", "null", "-"], check=True)
        found = json.loads(report.read_text())
        pictures = [picture["metrics"]["plain"] for picture in found["frames"]]
        third = len(pictures) / len(SCENES)
        scenes = tuple(fmean(pictures[round(n * third) : round((n + 1) * third)]) for n in range(len(SCENES)))
        worst = fmean(sorted(pictures)[: max(1, len(pictures) // 20)])
        return Score(fmean(pictures), found["pooled_metrics"]["phone"]["mean"], worst, scenes)


@dataclass
class Ours:
    """Our pictures at any CRF: the pipeline's own command, all rungs from one decode."""

    judge: Judge
    heights: tuple[int, ...]
    preset: str = "medium"
    _known: dict[tuple[int | None, int], Encoded] = field(default_factory=dict[tuple[int | None, int], Encoded])

    @cached_property
    def probe(self) -> Probe:
        return probed(self.judge.source)

    @cached_property
    def rungs(self) -> tuple[VideoRung, ...]:
        """As the pipeline plans them for this lesson: with the CRFs that its trial found."""
        source, found = self.judge.source, self.probe
        trials = self.judge.folder / "trials"
        trials.mkdir()
        surveyed = survey(source, found, name=source.name, enterable=True)
        surveyed = with_offsets(source, found, surveyed, trials, cancelled=lambda: False)
        rungs = all_rungs(found, surveyed).values()
        return tuple(rung for rung in rungs if isinstance(rung, VideoRung) and rung.height_px in self.heights)

    def encoded(self, crf: int | None, rung: VideoRung) -> Encoded:
        """At this CRF with the caps out of the way; None is as we ship it."""
        wanted = (crf, rung.height_px)
        if wanted not in self._known:
            out = self.judge.folder / f"ours-{crf}"
            if not out.exists():
                self._encode(crf, out)
            pieces = out / rung.name
            files = [pieces / command.INIT_NAME, *sorted(pieces.glob("*.m4s"))]
            self._known[wanted] = self.judge.judged(files, rung.width_px, rung.height_px)
        return self._known[wanted]

    def bytes_at(self, rung: VideoRung, vmaf: float) -> float:
        """Interpolated in log bytes between two CRFs, four apart, with this mean VMAF between theirs; NaN if it cannot be
        reached."""
        crf = _FIRST_CRF
        step = _CRF_STEP if self.encoded(crf, rung).score.mean > vmaf else -_CRF_STEP
        while crf + step in _CRFS:
            one, two = self.encoded(crf, rung), self.encoded(crf + step, rung)
            low, high = sorted((one, two), key=lambda encoded: encoded.score.mean)
            if low.score.mean <= vmaf <= high.score.mean:
                share = (vmaf - low.score.mean) / max(1e-6, high.score.mean - low.score.mean)
                return math.exp(math.log(low.bytes_) + share * math.log(high.bytes_ / low.bytes_))
            crf += step
        return math.nan

    def _encode(self, crf: int | None, out: Path) -> None:
        (view,) = views_of(self.probe)
        rungs = self.rungs
        if crf is not None:
            rungs = tuple(replace(rung, crf=crf, cap_kbps=rung.cap_kbps * _CAP_LIFTED) for rung in rungs)
        for rung in rungs:
            (out / rung.name).mkdir(parents=True)
        pictures = round(self.probe.duration_ms * RATE / 1000)
        task = Task("whole", tuple(rung.name for rung in rungs), True, view.name, 0, pictures)
        argv = command.part_argv(self.judge.source.absolute(), view, rungs, task, preset=self.preset, threads=2)
        subprocess.run(argv, cwd=out, check=True, stdout=subprocess.DEVNULL)


def peertube(judge: Judge, height_px: int) -> Encoded:
    width_px = _width_px(height_px)
    kbps = int(PEERTUBE_BITS_A_PIXEL[height_px] * height_px * height_px * 16 / 9 * RATE / 1000)
    out = judge.folder / f"peertube-{height_px}"
    out.mkdir()
    options = [
        "-preset",
        "veryfast",
        "-maxrate",
        f"{kbps}k",
        "-bufsize",
        f"{2 * kbps}k",
        "-b_strategy",
        "1",
        "-bf",
        "16",
    ]
    _encode_theirs(judge, height_px, [*options, "-r", str(RATE), "-g", str(2 * RATE)], out / "whole.mp4")
    hls = ["-f", "hls", "-hls_time", "4", "-hls_playlist_type", "vod", "-hls_segment_type", "fmp4"]
    _ffmpeg("-i", out / "whole.mp4", "-c", "copy", *hls, "-hls_flags", "single_file", out / "index.m3u8")
    return judge.judged([next(out.glob("*.m4s"))], width_px, height_px)


def mediacms(judge: Judge, height_px: int) -> Encoded:
    width_px, kbps = _width_px(height_px), int(1.5 * MEDIACMS_KBPS[height_px])
    out = judge.folder / f"mediacms-{height_px}"
    out.mkdir()
    options = [
        "-preset",
        "faster" if height_px >= 720 else "medium",
        "-crf",
        "23",
        "-profile:v",
        "main",
        "-level",
        "4.2",
    ]
    options += ["-maxrate", f"{kbps}k", "-bufsize", f"{kbps}k", "-force_key_frames", "expr:gte(t,n_forced*4)"]
    options += ["-x264-params", f"keyint={8 * RATE}:keyint_min={4 * RATE}"]
    _encode_theirs(judge, height_px, options, out / "whole.mp4")
    hls = ["-f", "hls", "-hls_time", "4", "-hls_playlist_type", "vod", "-hls_segment_filename", out / "%05d.ts"]
    _ffmpeg("-i", out / "whole.mp4", "-c", "copy", *hls, out / "index.m3u8")
    return judge.judged(sorted(out.glob("*.ts")), width_px, height_px)


def apple(judge: Judge, height_px: int) -> Encoded:
    width_px, kbps = _width_px(height_px), APPLE_KBPS[height_px]
    out = judge.folder / f"apple-{height_px}"
    out.mkdir()
    options = ["-preset", "medium", "-b:v", f"{kbps}k", "-maxrate", f"{2 * kbps}k", "-bufsize", f"{4 * kbps}k"]
    _encode_theirs(judge, height_px, [*options, "-g", str(2 * RATE)], out / "whole.mp4")
    hls = ["-f", "hls", "-hls_time", "6", "-hls_playlist_type", "vod", "-hls_segment_type", "fmp4"]
    _ffmpeg("-i", out / "whole.mp4", "-c", "copy", *hls, "-hls_segment_filename", out / "%05d.m4s", out / "index.m3u8")
    return judge.judged([out / "init.mp4", *sorted(out.glob("*.m4s"))], width_px, height_px)


def _encode_theirs(judge: Judge, height_px: int, options: list[str], target: Path) -> None:
    scaled = ["-an", "-vf", f"scale=-2:{height_px}", "-pix_fmt", "yuv420p", "-threads", "2"]
    _ffmpeg("-i", judge.source, *scaled, "-c:v", "libx264", *options, target)


def _width_px(height_px: int) -> int:
    """What scale=-2 makes of 16:9."""
    return round(height_px * 16 / 9 / 2) * 2


def _ffmpeg(*arguments: str | Path) -> None:
    subprocess.run(["ffmpeg", "-v", "error", "-nostdin", "-y", *map(str, arguments)], check=True)
