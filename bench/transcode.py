"""What the ladder costs and saves: CPU against one run per rung, bytes against others' settings at equal quality, overhead.

    python -m bench.transcode [--quick] [--seconds N] [--keep DIRECTORY]

Everything is measured on bench.lesson in this run; only ratios and rates are claims. VMAF needs an ffmpeg that has libvmaf
(Debian's has not): its path in HUIKAN_BENCH_VMAF, for example the binary inside the package imageio-ffmpeg. Without it the claims
about bytes are SHORT, and say so. Quality is measured at each rung's own size and rate, on every fifth picture.

The others' settings, from their sources:
    PeerTube   x264 veryfast, CRF 23, -bf 16 -b_strategy 1, a keyframe every 2 s, maxrate its bits per pixel, bufsize twice it
    MediaCMS   x264 medium (faster from 720p), CRF 23, main profile, forced keyframes every 4 s, maxrate and bufsize 1.5 times
               300, 500, 1000 and 2500 kbit/s
    Apple      its HLS authoring ladder: 365 kbit/s at 360p, as a rate, a keyframe every 2 s
All get the container that we use, which favours those who ship TS. At "equal VMAF" we are given their caps, and our bytes are
interpolated between our CRFs.
"""

import argparse
import json
import math
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from archive.model import Rendition
from bench.lesson import lesson
from tests.transcode.clips import joined, laddered, probed, shown
from transcode import command
from transcode.board import make_board
from transcode.encode import Effort
from transcode.ladder import AudioRung, VideoRung, frame_rate_of, rungs_for, video_rungs, views_of
from transcode.plan import Task

PEERTUBE_BITS_A_PIXEL = {240: 0.17, 360: 0.15, 480: 0.12, 720: 0.11}
MEDIACMS_KBPS = {240: 300, 360: 500, 480: 1000, 720: 2500}
APPLE_360P_KBPS = 365
OUR_CRFS = (20, 24, 28, 32)

failures = 0


def claim(name: str, value: float, goal: float) -> None:
    global failures
    good = value <= goal
    failures += not good
    print(f"CLAIM {name} {value:.3f} {goal:.3f} {'ok' if good else 'SHORT'}", flush=True)


def cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--seconds", type=int, default=300)
    parser.add_argument("--keep", type=Path)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="huikan-bench-") as name:
        folder = asked.keep or Path(name)
        seconds = 12 if asked.quick else asked.seconds
        source = lesson(folder, seconds)
        renditions = cost(source, Path(name), seconds, presets=("veryfast",) if asked.quick else ("medium", "veryfast"))
        village(renditions, Path(name) / "medium" if not asked.quick else Path(name) / "veryfast", seconds)
        heights = (240,) if asked.quick else (240, 360, 480, 720)
        others(source, Path(name), heights)
    return 1 if failures else 0


def cost(source: Path, folder: Path, seconds: int, presets: tuple[str, ...]) -> tuple[Rendition, ...]:
    """The whole ladder as the pipeline makes it, against one ffmpeg run a rung with the same settings."""
    made: tuple[Rendition, ...] = ()
    for preset in presets:
        began, spent = time.monotonic(), cpu_s()
        ladder = laddered(source, folder / preset, Effort(preset=preset))
        took_s, ours_s = time.monotonic() - began, cpu_s() - spent
        made = made or ladder.renditions
        apart_s = separately(source, folder / "apart", preset, seconds)
        print(f"{preset}: {ours_s / seconds:.2f} CPU s and {took_s / seconds:.2f} s a lesson second")
        claim(f"ladder_cpu_over_separate_runs_{preset}", ours_s / apart_s, 0.60)
    return made


def separately(source: Path, folder: Path, preset: str, seconds: int) -> float:
    """CPU seconds of a run of its own for every rung."""
    found = probed(source)
    (view,) = views_of(found)
    spent = cpu_s()
    for rung in rungs_for(found):
        out = folder / rung.name
        (out / rung.name).mkdir(parents=True, exist_ok=True)
        if isinstance(rung, AudioRung):
            argv = command.sound_argv(source, found.audio[0], (rung,), found.duration_ms, gain_db=3.0)
        else:
            task = Task("apart", (rung.name,), True, view.name, 0, round(seconds * frame_rate_of(view.track)))
            argv = command.part_argv(source, view, (rung,), task, preset=preset, threads=Effort().thread_count)  # type: ignore[arg-type]
        subprocess.run(argv, cwd=out, check=True, stdout=subprocess.DEVNULL)
    return cpu_s() - spent


def village(renditions: tuple[Rendition, ...], folder: Path, seconds: int) -> None:
    """What the slowest lines load, in megabytes a minute, and what of it is container."""
    known = {rendition.rung: rendition for rendition in renditions}
    minutes = seconds / 60
    for rendition in renditions:
        print(
            f"{rendition.rung}: {rendition.average_bandwidth_bps / 1000:.0f} kbit/s, peak {rendition.bandwidth_bps / 1000:.0f}"
        )
    low, sound, opus = known["240p"], known["audio"], known["opus"]
    claim("village_rung_mb_a_minute", (low.size_bytes + sound.size_bytes) / 1e6 / minutes, 0.75)
    out = folder / "board"
    out.mkdir()
    sharp = max((r for r in renditions if 0 < r.height <= 720), key=lambda r: r.height)
    stills = make_board(
        lambda rung, name: folder / rung / name, low, sharp, out, on_progress=lambda _: None, cancelled=lambda: False
    )
    print(f"board: {len(stills.stills)} stills, {stills.size_bytes / 1000:.0f} kB")
    claim("sound_and_board_mb_a_minute", (opus.size_bytes + stills.size_bytes) / 1e6 / minutes, 0.25)
    for rendition in (low, sound):
        packets = shown(joined(folder / rendition.rung), "packet=size")["packets"]
        bare = sum(int(packet["size"]) for packet in packets)
        claim(f"container_overhead_{rendition.rung}", rendition.size_bytes / bare - 1, 0.04)


@dataclass(frozen=True)
class Encoded:
    bytes_: int
    vmaf: float


def others(source: Path, folder: Path, heights: tuple[int, ...]) -> None:
    vmaf = os.environ.get("HUIKAN_BENCH_VMAF", "")
    if not vmaf:
        print("HUIKAN_BENCH_VMAF names no ffmpeg with libvmaf: nothing about bytes at equal quality was measured")
        claim("bytes_at_equal_vmaf_not_measured", math.inf, 0.70)
        return
    (view,) = views_of(probed(source))
    for rung in video_rungs(view):
        if rung.height_px in heights:
            against(source, folder, rung, vmaf)


def against(source: Path, folder: Path, rung: VideoRung, vmaf: str) -> None:
    height, rate = rung.height_px, float(rung.frame_rate)
    peertube_kbps = round(PEERTUBE_BITS_A_PIXEL[height] * rung.width_px * height * 25 / 1000)
    mediacms_kbps = round(1.5 * MEDIACMS_KBPS[height])
    theirs = {
        "peertube": [
            "-preset",
            "veryfast",
            "-crf",
            "23",
            "-bf",
            "16",
            "-b_strategy",
            "1",
            "-g",
            str(round(2 * rate)),
            *_cap(peertube_kbps, 2),
        ],
        "mediacms": [
            *("-preset", "faster" if height >= 720 else "medium", "-crf", "23", "-profile:v", "main"),
            *(
                "-force_key_frames",
                "expr:gte(t,n_forced*4)",
                "-g",
                str(round(8 * rate)),
                "-keyint_min",
                str(round(4 * rate)),
            ),
            *_cap(mediacms_kbps, 1),
        ],
    }
    caps = {"peertube": peertube_kbps, "mediacms": mediacms_kbps}
    if height == 360:
        theirs["apple"] = [
            "-preset",
            "medium",
            "-b:v",
            f"{APPLE_360P_KBPS}k",
            "-g",
            str(round(2 * rate)),
            *_cap(round(1.1 * APPLE_360P_KBPS), 2),
        ]
        caps["apple"] = round(1.1 * APPLE_360P_KBPS)
    shipped = encoded(source, folder, rung, ours(rung, rung.crf, rung.cap_kbps * 3 // 4), vmaf)
    print(f"{rung.name}: ours as shipped {shipped.bytes_ / 1000:.0f} kB, VMAF {shipped.vmaf:.1f}")
    curves: dict[int, list[Encoded]] = {}
    for name, options in theirs.items():
        other = encoded(source, folder, rung, options, vmaf)
        cap = caps[name]
        if cap not in curves:
            curves[cap] = [encoded(source, folder, rung, ours(rung, crf, cap), vmaf) for crf in OUR_CRFS]
        equal = at_vmaf(curves[cap], other.vmaf)
        print(
            f"{rung.name}: {name} {other.bytes_ / 1000:.0f} kB, VMAF {other.vmaf:.1f}; ours there {equal / 1000:.0f} kB"
        )
        claim(f"bytes_at_equal_vmaf_over_{name}_{rung.name}", equal / other.bytes_, 0.45 if name == "apple" else 0.70)


def _cap(kbps: int, buffer_s: int) -> list[str]:
    return ["-maxrate", f"{kbps}k", "-bufsize", f"{kbps * buffer_s}k"]


def ours(rung: VideoRung, crf: int, cap_kbps: int) -> list[str]:
    """The options of `command.part_argv` for this rung at another quality and cap."""
    options = command.h264_options(replace(rung, crf=crf), "medium", 2, command.X264, 0)
    flat = [
        part
        for key, value in options.items()
        if key not in ("c:v", "maxrate", "bufsize")
        for part in (f"-{key}", str(value))
    ]
    return [*flat, *_cap(cap_kbps, 2)]


def encoded(source: Path, folder: Path, rung: VideoRung, options: list[str], vmaf: str) -> Encoded:
    out = folder / "other.mp4"
    picture = f"fps={rung.frame_rate},scale={rung.width_px}:{rung.height_px},setsar=1,format=yuv420p"
    fragments = ["-movflags", "+cmaf+frag_keyframe", "-f", "mp4"]
    subprocess.run(
        [
            "ffmpeg",
            "-v",
            "error",
            "-nostdin",
            "-y",
            "-i",
            str(source),
            "-an",
            "-vf",
            picture,
            "-c:v",
            "libx264",
            *options,
            *fragments,
            str(out),
        ],
        check=True,
    )
    report = folder / "vmaf.json"
    graph = (
        f"[0:v]settb=AVTB,setpts=N/({rung.frame_rate}*TB)[a];[1:v]{picture},settb=AVTB,setpts=N/({rung.frame_rate}*TB)[b];"
        f"[a][b]libvmaf=n_threads=2:n_subsample=5:log_fmt=json:log_path={report}"
    )
    subprocess.run(
        [
            vmaf,
            "-v",
            "error",
            "-nostdin",
            "-i",
            str(out),
            "-i",
            str(source),
            "-filter_complex",
            graph,
            "-f",
            "null",
            "-",
        ],
        check=True,
    )
    return Encoded(out.stat().st_size, float(json.loads(report.read_text())["pooled_metrics"]["vmaf"]["mean"]))


def at_vmaf(curve: list[Encoded], wanted: float) -> float:
    """Bytes at this quality, on a line between the two neighbours in log bytes; beyond the ends the last line goes on."""
    points = sorted(curve, key=lambda one: one.vmaf)
    pairs = list(pairwise(points))
    low, high = next((pair for pair in pairs if pair[1].vmaf >= wanted), pairs[-1])
    if wanted < points[0].vmaf:
        low, high = pairs[0]
    share = (wanted - low.vmaf) / max(1e-6, high.vmaf - low.vmaf)
    return math.exp(math.log(low.bytes_) + share * (math.log(high.bytes_) - math.log(low.bytes_)))


if __name__ == "__main__":
    sys.exit(main())
