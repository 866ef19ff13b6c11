"""What the ladder costs and saves: CPU against one run per rung, bytes against others' settings at equal quality, containers.

    python -m bench.transcode [--quick] [--seconds N] [--only cost|village|others ...] [--keep DIRECTORY]

Everything is measured on bench.lesson in this run; only ratios and rates are claims. `--seconds` is how long that lesson is
(300). The lesson is kept in tests/.cache, as making it takes minutes; `--keep` keeps what was encoded of it. --quick takes
twelve seconds, one preset and the lowest rung. bench.quality says how quality is measured and against which settings.
"""

import argparse
import math
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from archive.model import Rendition
from bench import quality
from bench.lesson import lesson
from tests.transcode.clips import Ladder, joined, laddered, shown
from transcode import command
from transcode.board import make_board
from transcode.encode import Bench, Effort, make
from transcode.ladder import AudioRung, CopyRung, VideoRung
from transcode.plan import Task, all_rungs, view_of

CACHE = Path(__file__).parent.parent / "tests" / ".cache" / "bench"
PARTS = ("cost", "village", "others")
GOALS = {"peertube": 0.70, "mediacms": 0.70, "apple": 0.45}

failures = 0


def claim(name: str, value: float, goal: float) -> None:
    global failures
    good = value <= goal  # not a number is no success
    failures += not good
    print(f"CLAIM {name} {value:.3f} {goal:.3f} {'ok' if good else 'SHORT'}", flush=True)


def say(line: str) -> None:
    print(line, flush=True)


def cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--seconds", type=int)
    parser.add_argument("--only", choices=PARTS, action="append")
    parser.add_argument("--keep", type=Path)
    asked = parser.parse_args()
    seconds = asked.seconds or (12 if asked.quick else 300)
    source = lesson(CACHE, seconds)
    parts = asked.only or PARTS
    with tempfile.TemporaryDirectory(prefix="huikan-bench-") as name:
        folder = asked.keep or Path(name)
        folder.mkdir(parents=True, exist_ok=True)
        presets = ("veryfast",) if asked.quick else ("medium", "veryfast")
        if "cost" in parts or "village" in parts:
            wanted = ("alone",) if asked.quick else ("alone", "ahead")
            claims = wanted if "cost" in parts else ()
            ladders = [cost(source, folder, seconds, preset, claims) for preset in presets]
            if "village" in parts:
                village(ladders[0], seconds)
        if "others" in parts:
            others(source, folder, seconds, (240,) if asked.quick else (240, 360, 480, 720))
    return 1 if failures else 0


def cost(source: Path, folder: Path, seconds: int, preset: str, claims: tuple[str, ...]) -> Ladder:
    """The whole ladder as the pipeline makes it, survey and trial included, against one ffmpeg run a rung with the same
    settings; "ahead" is the same with its lowest rung made first."""
    effort = Effort(preset=preset)
    began, spent = time.monotonic(), cpu_s()
    ladder = laddered(source, folder / preset, effort)
    took_s, ours_s = time.monotonic() - began, cpu_s() - spent
    say(
        f"{preset}: {ours_s / seconds:.2f} CPU s and {took_s / seconds:.2f} s a lesson second, {len(ladder.renditions)} rungs"
    )
    if claims:
        apart_s = apart(source, ladder, folder / f"{preset}-apart", effort)
        say(f"{preset}: {apart_s / seconds:.2f} CPU s a lesson second, one run a rung")
        claim(f"ladder_cpu_over_separate_runs_{preset}", ours_s / apart_s, 0.60)
    if "ahead" in claims:
        ahead_s = ours_s + ahead(source, ladder, folder / f"{preset}-ahead", effort)
        claim(f"ladder_cpu_over_separate_runs_{preset}_240p_ahead", ahead_s / apart_s, 0.60)
    return ladder


def apart(source: Path, ladder: Ladder, folder: Path, effort: Effort) -> float:
    """CPU seconds of a run of its own for every rung, without survey, sandbox and the measuring of loudness."""
    (picture,) = (task for task in ladder.tasks if task.pictures)
    spent = cpu_s()
    for name, rung in all_rungs(ladder.probe, ladder.survey).items():
        (folder / name).mkdir(parents=True)
        if isinstance(rung, AudioRung):
            argv = command.sound_argv(source, ladder.probe.audio[0], (rung,), ladder.survey.end_ms, gain_db=3.0)
        elif isinstance(rung, CopyRung):
            argv = command.kept_argv(source, view_of(picture, ladder.probe), rung)
        else:
            alone, view = replace(picture, rungs=(name,)), view_of(picture, ladder.probe)
            threads = effort.thread_count
            argv = command.part_argv(source, view, (rung,), alone, preset=effort.preset, threads=threads)
        subprocess.run(argv, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    return cpu_s() - spent


def ahead(source: Path, ladder: Ladder, folder: Path, effort: Effort) -> float:
    """What it costs more, in CPU seconds, to make the smallest picture before the others, as lessons of ten minutes get it."""
    (whole,) = (task for task in ladder.tasks if task.pictures)
    low, others_ = (
        replace(whole, name="low", rungs=whole.rungs[-1:]),
        replace(whole, name="rest", rungs=whole.rungs[:-1]),
    )

    def spent_on(task: Task) -> float:
        spent = cpu_s()
        bench = Bench(
            source, ladder.probe, ladder.survey, folder / task.name, source.name, lambda _: None, lambda: False
        )
        make(task, bench, effort)
        return cpu_s() - spent

    return spent_on(low) + spent_on(others_) - spent_on(whole)


def village(ladder: Ladder, seconds: int) -> None:
    """What the slowest lines load, in megabytes a minute, and what of it is container."""
    known = {rendition.rung: rendition for rendition in ladder.renditions}
    minutes = seconds / 60
    for rendition in ladder.renditions:
        mean_kbps, peak_kbps = rendition.average_bandwidth_bps / 1000, rendition.bandwidth_bps / 1000
        say(f"{rendition.rung}: {mean_kbps:.0f} kbit/s, peak {peak_kbps:.0f}")
    low, sound, opus = known["240p"], known["audio"], known["opus"]
    claim("village_rung_mb_per_min", (low.size_bytes + sound.size_bytes) / 1e6 / minutes, 0.75)
    out = ladder.directory / "board"
    out.mkdir()
    sharp = max((one for one in ladder.renditions if 0 < one.height <= 720), key=lambda one: one.height)
    board = make_board(_piece(ladder), low, sharp, out, on_progress=lambda _: None, cancelled=lambda: False)
    jpeg_kb, webp_kb, opus_kb = (size / 1000 for size in (board.size_bytes, board.least_bytes, opus.size_bytes))
    say(f"board: {len(board.stills)} stills, {webp_kb:.0f} kB as WebP, {jpeg_kb:.0f} as JPEG; opus {opus_kb:.0f} kB")
    claim("stills_rendition_mb_per_min", (opus_kb + webp_kb) / 1000 / minutes, 0.25)
    bare = {one.rung: _bare_bytes(ladder, one) for one in (low, sound)}
    for one in (low, sound):
        say(f"{one.rung}: {one.size_bytes / bare[one.rung] - 1:.1%} of its elementary stream is added by fMP4")
    together = (low.size_bytes + sound.size_bytes) / sum(bare.values()) - 1
    claim("fmp4_overhead", together, 0.04)


def _piece(ladder: Ladder) -> Callable[[str, str], Path]:
    return lambda rung, name: ladder.directory / rung / name


def _bare_bytes(ladder: Ladder, rendition: Rendition) -> int:
    packets = shown(joined(ladder.directory / rendition.rung), "packet=size")["packets"]
    return sum(int(packet["size"]) for packet in packets)


def others(source: Path, folder: Path, seconds: int, heights: tuple[int, ...]) -> None:
    tool = quality.vmaf_tool()
    if tool is None:
        say(f"no ffmpeg with libvmaf: {quality.WHEEL} is not to be had and HUIKAN_BENCH_VMAF names none")
        claim("bytes_at_equal_vmaf", math.nan, 0.70)
        return
    out = folder / "others"
    out.mkdir()
    ours = quality.Ours(quality.Judge(tool, source, out), heights)
    for rung in reversed(ours.rungs):
        shipped = ours.encoded(None, rung)
        kbps = 8 * shipped.bytes_ / seconds / 1000
        say(f"{rung.name}: ours as shipped, CRF {rung.crf}: {kbps:.0f} kbit/s, {shipped.score}")
        against(ours, rung, shipped, seconds)


def against(ours: quality.Ours, rung: VideoRung, shipped: quality.Encoded, seconds: int) -> None:
    theirs = {"peertube": quality.peertube, "mediacms": quality.mediacms}
    if rung.height_px in quality.APPLE_KBPS:
        theirs["apple"] = quality.apple
    for name, encode in theirs.items():
        other = encode(ours.judge, rung.height_px)
        kbps, container = 8 * other.bytes_ / seconds / 1000, other.bytes_ / other.bare_bytes - 1
        say(f"{rung.name}: {name}: {kbps:.0f} kbit/s, {container:.1%} of container, {other.score}")
        say(f"{rung.name}: ours as shipped takes {shipped.bytes_ / other.bytes_:.2f} of {name}'s bytes")
        equal = ours.bytes_at(rung, other.score.mean)
        say(
            f"{rung.name}: bare streams at equal VMAF: {equal * shipped.bare_bytes / shipped.bytes_ / other.bare_bytes:.2f}"
        )
        claim(f"bytes_at_equal_vmaf_over_{name}_{rung.name}", equal / other.bytes_, GOALS[name])


if __name__ == "__main__":
    sys.exit(main())
