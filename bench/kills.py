"""What a kill costs: `kill -9` of a whole server, again and again, while it encodes a lesson of many parts.

    python -m bench.kills [--kills N]

A lesson of 22 minutes is encoded once in peace, and once with N kills (6), spread over the time that the first took with a
seeded swing. Every run of ffmpeg for a task is seen in /proc; a task that is run again is work redone. One task at a time, so
that is at most one for each kill. What is published must be the same: every playlist byte for byte, and with one encoder
thread every hls_segment too, which makes VMAF equal without measuring it.
"""

import argparse
import hashlib
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

from archive.keys import rendition_prefix
from ingest.encoding import EDITION
from tests.serving import Huikan, alive, eventually

LESSON_S = 1320
KEY = "xinghuo/302/20260901T0900.mp4"
SIDECAR = b'{"title": "bench", "language": "en", "consent": true}'
SETTINGS = {
    "HUIKAN_ENCODE_THREADS": "1",  # with more, x264 writes slightly other bytes at each run
    "HUIKAN_ENCODE_AT_ONCE": "1",
    "HUIKAN_ENCODE_PRESET": "veryfast",
    "HUIKAN_SPEECH_MODEL": "no-such-model",  # what is killed should be encoding
    "HUIKAN_SPEECH_DOWNLOAD": "false",
}
WITHIN_S = 1800
_TASK = re.compile(rb"/tasks/([\w-]+)")


class Watch:
    """Sees which tasks ffmpeg is run for, ten times a second; runs that only measure are not counted."""

    def __init__(self, huikan: Huikan) -> None:
        self.runs: dict[int, str] = {}
        self._huikan = huikan
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        home = str(self._huikan.home).encode()
        while not self._ended.wait(0.1):
            for entry in Path("/proc").iterdir():
                if not entry.name.isdigit() or int(entry.name) in self.runs:
                    continue
                with suppress(OSError):
                    command = (entry / "cmdline").read_bytes()
                    task = _TASK.search(command)
                    if task and home in command and b".m4s" in command and _is_outermost(entry):
                        self.runs[int(entry.name)] = task.group(1).decode()


def _is_outermost(entry: Path) -> bool:
    """Whether this is the outermost process of its run: the sandbox passes its own command line on to a child."""
    parent = (entry / "stat").read_text().rpartition(")")[2].split()[1]
    return _TASK.search(Path(f"/proc/{parent}/cmdline").read_bytes()) is None


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=6)
    kills = parser.parse_args().kills
    with tempfile.TemporaryDirectory(prefix="huikan-bench-") as name:
        folder = Path(name)
        media = _lesson(folder / "lesson.mp4")
        began = time.monotonic()
        peaceful, once = _published(Huikan(folder / "peace"), media, [])
        took_s = time.monotonic() - began
        swing = random.Random(20260901)
        pauses_s = [took_s / (kills + 1) * swing.uniform(0.5, 1.2) for _ in range(kills)]
        killed, runs = _published(Huikan(folder / "killed"), media, pauses_s)
    redone = {task: times - 1 for task, times in Counter(runs).items() if times > 1}
    print(
        f"{len(set(once))} tasks, {took_s:.0f} s in peace; {kills} kills: {len(runs)} runs, again: {redone or 'none'}"
    )
    assert len(once) == len(set(once)) == len(set(runs)), "what was not killed ran twice, or a task was never seen"
    good = [
        _claim("kill_redone_parts", sum(redone.values()) / max(1, kills), 1.0),
        _claim("kill_playlists_that_differ", _differing(peaceful, killed, ".m3u8"), 0),
        _claim("kill_segments_that_differ", _differing(peaceful, killed, ".m4s"), 0),
    ]
    return 0 if all(good) else 1


def _claim(name: str, value: float, goal: float) -> bool:
    print(f"CLAIM {name} {value:.2f} {goal:.2f} {'ok' if value <= goal else 'SHORT'}", flush=True)
    return value <= goal


def _lesson(path: Path) -> Path:
    picture = ["-f", "lavfi", "-i", f"testsrc2=size=640x360:rate=25:duration={LESSON_S}"]
    sound = ["-f", "lavfi", "-i", f"sine=frequency=440:duration={LESSON_S}"]
    argv = ["ffmpeg", "-v", "error", "-nostdin", "-y", *picture, *sound, "-c:v", "libx264", "-preset", "ultrafast"]
    subprocess.run([*argv, "-pix_fmt", "yuv420p", "-g", "50", "-c:a", "aac", str(path)], check=True)
    return path


def _published(huikan: Huikan, media: Path, pauses_s: list[float]) -> tuple[dict[str, str], list[str]]:
    """The sum of each published object below the recording's prefix, and a task's name for every run of ffmpeg."""
    huikan.environment.update(SETTINGS)
    try:
        with Watch(huikan) as watch:
            huikan.start()
            store = huikan.store()
            store.put_bytes("incoming", KEY.replace("mp4", "json"), SIDECAR)
            store.put_file("incoming", KEY, media)
            for pause_s in pauses_s:
                time.sleep(pause_s)
                _kill(huikan)
                huikan.start()
            eventually(lambda: _is_encoded(huikan), WITHIN_S, "the whole ladder")
        return _sums(huikan), list(watch.runs.values())
    finally:
        if huikan.process is not None and huikan.process.poll() is None:
            huikan.stop()


def _kill(huikan: Huikan) -> None:
    tree = huikan.tree()
    for pid in tree:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    huikan.wait_for_death()
    eventually(lambda: not alive(tree), 30, "the end of the process tree")


def _is_encoded(huikan: Huikan) -> bool:
    stages = huikan.arrivals().get(KEY, {}).get("stages", [])
    return any(stage["name"] == "encoded" and stage["done"] for stage in stages)


def _sums(huikan: Huikan) -> dict[str, str]:
    store, bucket = huikan.store(), huikan.settings.media_bucket
    catalog = huikan.catalog()
    (lesson,) = catalog.lessons.every()
    prefix = rendition_prefix(lesson.recording_id, EDITION)
    catalog.close()
    keys = [found.key for found in store.list(bucket, prefix)]
    return {key: hashlib.sha256(store.get_bytes(bucket, key, limit_bytes=2**30)).hexdigest() for key in keys}


def _differing(one: dict[str, str], two: dict[str, str], suffix: str) -> int:
    keys = {key for key in (*one, *two) if key.endswith(suffix)}
    assert keys, f"no {suffix} was published"
    return sum(one.get(key) != two.get(key) for key in keys)


if __name__ == "__main__":
    sys.exit(main())
