"""What the whole road costs beyond the work itself: upload → published and searchable, on the embedded stack.

    python -m bench.road [--quick]

Baseline, in the same run: the bare encode (our own ffmpeg command) and the bare listening (the same model), nothing else
running. Figures that depend on the machine are printed as they are; only the ratio is a claim. --quick takes eight
seconds of a test picture instead of the sample.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from fixtures.lessons import ENGLISH
from fixtures.make import make
from ingest.probe import Acceptance, probe
from tests.serving import Huikan, descendants, eventually
from tests.transcode.clips import laddered
from transcode.encode import Effort
from transcribe import audio
from transcribe.weights import builtin_english_model
from transcribe.whisper import FasterWhisper

PRESET = "medium"
# The store, the database, two Python processes starting and indexing cost something: not more than the work once again.
GOAL_CPU_RATIO = 2.0
_TICKS = os.sysconf("SC_CLK_TCK")


def cpu_s(pids: set[int]) -> float:
    """CPU seconds of these processes and of the children they have waited for."""
    ticks = 0
    for pid in pids:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        ticks += sum(int(value) for value in fields[11:15])
    return ticks / _TICKS


def resident_mb(pids: set[int]) -> float:
    total_kb = 0
    for pid in pids:
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total_kb += next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)
    return total_kb / 1024


def own_cpu_s() -> float:
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def bare(media: Path, folder: Path) -> tuple[float, float, float]:
    """(lesson seconds, CPU seconds of the encode, of the listening), without anything of ours around them."""
    found = probe(media, name=media.name, limits=Acceptance(10**8, 10**11))
    began = own_cpu_s()
    laddered(media, folder / "ladder", Effort(preset=PRESET))
    encoded = own_cpu_s()
    ear = FasterWhisper(str(builtin_english_model()), models_dir=folder)
    audio.extract(media, folder / "sound.wav", cancelled=lambda: False)
    ear.transcribe(folder / "sound.wav", language="en", on_progress=lambda _: None, cancelled=lambda: False)
    return found.duration_ms / 1000, encoded - began, own_cpu_s() - encoded


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    with tempfile.TemporaryDirectory(prefix="huikan-bench-") as name:
        folder = Path(name)
        media = folder / "lesson.mp4"
        if quick:
            pattern = ["-f", "lavfi", "-i", "testsrc2=size=1280x720:rate=25:duration=8"]
            tone = ["-f", "lavfi", "-i", "sine=frequency=440:duration=8"]
            command = ["ffmpeg", "-v", "error", "-nostdin", *pattern, *tone, "-c:v", "libx264", "-preset", "ultrafast"]
            subprocess.run([*command, "-pix_fmt", "yuv420p", "-c:a", "aac", str(media)], check=True)
        else:
            make(ENGLISH, folder / "sample")
            (folder / "sample" / ENGLISH.key).rename(media)
        lesson_s, encode_cpu_s, listen_cpu_s = bare(media, folder)
        print(f"bare: {encode_cpu_s / lesson_s:.2f} CPU s per lesson second to encode ({PRESET}, the whole ladder)")
        print(f"bare: {listen_cpu_s / lesson_s:.2f} CPU s per lesson second to listen (tiny.en, loading included)")
        return road(folder, media, lesson_s, encode_cpu_s + listen_cpu_s)


def road(folder: Path, media: Path, lesson_s: float, bare_cpu_s: float) -> int:
    huikan = Huikan(folder / "home")
    began = time.monotonic()
    huikan.start(HUIKAN_ENCODE_PRESET=PRESET)
    print(f"start: {time.monotonic() - began:.1f} s until requests are answered")
    try:
        assert huikan.process is not None
        pid = huikan.process.pid
        eventually(lambda: huikan.get("/health")["status"] == "ok", 60, "health")
        print(f"idle: {resident_mb(descendants(pid) | {pid}):.0f} MB (PSS of the tree)")
        spent = cpu_s(descendants(pid) | {pid})
        store, key = huikan.store(), "xinghuo/302/20260901T0900"
        store.put_bytes("incoming", f"{key}.json", b'{"title": "bench", "language": "en", "consent": true}')
        began, peak_mb = time.monotonic(), 0.0
        store.put_file("incoming", f"{key}.mp4", media)

        def whole() -> bool:
            nonlocal peak_mb
            peak_mb = max(peak_mb, resident_mb(descendants(pid) | {pid}))
            found = huikan.arrivals().get(f"{key}.mp4", {})
            return bool(found.get("published") and found.get("searchable") and all(s["done"] for s in found["stages"]))

        eventually(whole, 3600, "the publication")
        took_s = time.monotonic() - began
        cost_cpu_s = cpu_s(descendants(pid) | {pid}) - spent
    finally:
        huikan.stop()
    print(f"road: {took_s:.1f} s from upload to published and searchable ({took_s / lesson_s:.2f} of the lesson)")
    print(f"peak: {peak_mb:.0f} MB (PSS of the tree)")
    print(f"road: {cost_cpu_s / lesson_s:.2f} CPU s per lesson second, all processes")
    ratio = cost_cpu_s / bare_cpu_s
    verdict = "ok" if ratio <= GOAL_CPU_RATIO else "SHORT"
    print(f"CLAIM road_cpu_over_bare_work {ratio:.2f} {GOAL_CPU_RATIO:.2f} {verdict}")
    return 0 if verdict == "ok" else 1


if __name__ == "__main__":
    sys.exit(main())
