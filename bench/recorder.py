"""What `huikan record` may lose, and how soon after the bell a lesson can be watched and searched: whole, and as it is taught.

    python -m bench.recorder [--quick] [--keep FOLDER]

The camera is a file that is played in real time: ten minutes, or three with --quick (which then takes some eight minutes, for
time cannot be hurried). Recorder, store, worker and speech engine share this machine. The baseline is in the same run: the
same file, uploaded when the lesson is over. "Playable" is when the smallest picture and the sound are whole to the last
second. Both are counted from the last byte: of the recording's capture, and of the upload.

CLAIMs: seconds lost at kill -9 and at a power cut, ffmpeg's start counted in; seconds from the last byte to playable,
progressive; and the same against whole-file.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

from api.operate import add_recorder
from bench.lesson import lesson
from bench.road import cpu_s
from ingest.capture.config import read_config
from ingest.capture.recorder import capture
from ingest.capture.sources import capture_argv
from ingest.capture.spool import Spool
from ingest.probe import Acceptance, probe
from tests.serving import Huikan, descendants, eventually
from transcode.ladder import EDITION

ROOT = Path(__file__).parent.parent
LOST_GOAL_S = 2.0
PLAYABLE_GOAL_S = 60.0
RATIO_GOAL = 0.75
_MADE_S = 60  # of the lesson that is repeated: making it costs a second of CPU for each
_HOUR_S = 3600
_ROOM = "301"


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--keep", type=Path, help="where the made lesson is kept for the next time")
    asked = parser.parse_args()
    seconds = 180 if asked.quick else 600
    with tempfile.TemporaryDirectory(prefix="huikan-bench-") as name:
        folder = Path(name)
        camera = repeated(asked.keep or folder, folder, seconds)
        print(
            f"lesson: {seconds} s, {camera.stat().st_size / 2**20:.0f} MB; {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
        )
        losses = {
            "kill_9_lost_s": killed(folder / "killed", camera),
            "power_cut_lost_s": cut_off(folder / "cut", camera),
        }
        whole = whole_file(folder / "whole", camera, seconds)
        taught = progressive(folder / "taught", camera, seconds)
    print(f"load at the end {os.getloadavg()[0]:.1f}")
    good = [claim(name, value, LOST_GOAL_S) for name, value in losses.items()]
    good.append(claim("progressive_last_byte_to_playable_s", taught["playable"], PLAYABLE_GOAL_S))
    good.append(claim("progressive_over_whole_file_to_playable", taught["playable"] / whole["playable"], RATIO_GOAL))
    return 0 if all(good) else 1


def claim(name: str, value: float, goal: float) -> bool:
    print(f"CLAIM {name} {value:.2f} {goal:.2f} {'ok' if value <= goal else 'SHORT'}")
    return value <= goal


def repeated(kept: Path, folder: Path, seconds: int) -> Path:
    path = folder / "camera.mp4"
    argv = [
        "ffmpeg",
        "-v",
        "error",
        "-nostdin",
        "-stream_loop",
        "-1",
        "-i",
        str(lesson(kept, _MADE_S)),
        "-t",
        str(seconds),
    ]
    subprocess.run([*argv, "-c", "copy", str(path)], check=True)
    return path


# --- what may be lost -------------------------------------------------------------------------------------------------


def settings_of(folder: Path, camera: Path, store: str = "", server: str = "") -> Path:
    """A recorder that takes the camera's packets as they are, as it does from one that encodes itself."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "record.toml"
    unreachable = 'endpoint = "127.0.0.1:9"\naccess_key = "x"\nsecret_key = "secret-secret"'
    lines = ['school = "xinghuo"', f'room = "{_ROOM}"', f'server = "{server}"']
    lines += [f'[source]\nkind = "file"\ninput = "{camera}"\ncopy_packets = true', f"[store]\n{store or unreachable}"]
    lines += [
        f'[spool]\nfolder = "{folder / "spool"}"',
        "[video]\nkbps = 4000",
        '[lesson]\nlanguage = "en"\nconsent = true',
    ]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def held_s(path: Path) -> float:
    try:
        return probe(path, name=path.name, limits=Acceptance(10**9, 10**12)).duration_ms / 1000
    except Exception:  # noqa: BLE001 — an init without a fragment is no recording: nothing is held yet
        return 0.0


def killed(folder: Path, camera: Path) -> float:
    """The worst of five: seconds between the start of capturing and kill -9 that the file does not hold."""
    worst = 0.0
    for n in range(5):
        config = settings_of(folder / str(n), camera)
        command = [sys.executable, "-m", "ingest.capture", "--config", str(config), "--for", "1"]
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        found: list[Path] = []

        def begun(found: list[Path] = found, spool: Path = folder / str(n) / "spool") -> bool:
            found[:] = spool.glob("*/recording.mp4")
            return bool(found)

        eventually(begun, 60, "the recording")
        began_at = found[0].with_name("captured.json").stat().st_mtime  # before ffmpeg was started
        time.sleep(3.0 + 0.37 * n)
        process.kill()
        lasted_s = time.time() - began_at
        process.wait()
        Spool(folder / str(n) / "spool").recover()
        worst = max(worst, lasted_s - held_s(found[0]))
    print(f"kill -9: at worst {worst:.2f} s of five recordings")
    return worst


def cut_off(folder: Path, camera: Path) -> float:
    """The worst moment of ten seconds: just before the next fragment was on the disk, with nothing after the last fdatasync."""
    config = read_config(settings_of(folder, camera))
    spool = Spool(config.spool.folder)
    recording = spool.begin("20260901T080000", {})
    durable: list[tuple[float, int]] = []
    began = time.monotonic()

    def note() -> None:
        durable.append((time.monotonic(), spool.durable[recording.state.stem]))

    capture(capture_argv(config.source, config.video), spool, recording, lambda: time.monotonic() > began + 10, note)
    data, worst = recording.media.read_bytes(), 0.0
    for (_, size), (next_at, _) in pairwise(durable):
        left = folder / "left.mp4"
        left.write_bytes(data[:size])
        worst = max(worst, next_at - began - held_s(left))
    print(f"power cut: at worst {worst:.2f} s, at {len(durable)} moments")
    return worst


# --- after the bell ---------------------------------------------------------------------------------------------------


def whole_file(home: Path, camera: Path, seconds: int) -> dict[str, float]:
    huikan = Huikan(home)
    huikan.start(HUIKAN_ENCODE_PRESET="medium")
    try:
        store, key = huikan.store(), f"xinghuo/{_ROOM}/20260901T0800"
        store.put_bytes("incoming", f"{key}.json", b'{"title": "bench", "language": "en", "consent": true}')
        store.put_file("incoming", f"{key}.mp4", camera)
        return measured("whole file", huikan, seconds, time.monotonic())
    finally:
        huikan.stop()


def progressive(home: Path, camera: Path, seconds: int) -> dict[str, float]:
    huikan = Huikan(home)
    huikan.start(HUIKAN_ENCODE_PRESET="medium")
    try:
        endpoint, key = add_recorder(huikan.settings, "xinghuo", _ROOM)
        store = f'endpoint = "{endpoint}"\naccess_key = "{key.access_key}"\nsecret_key = "{key.secret_key}"'
        config = settings_of(home / "recorder", camera, store, huikan.serving.url)
        command = [sys.executable, "-m", "ingest.capture", "--config", str(config), "--for", str(seconds / 60 + 2)]
        recorder = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        began = time.monotonic()
        watched_s = [0.0]

        def closed() -> bool:
            if not watched_s[0] and lessons(huikan) and lessons(huikan)[0]["published_at"]:
                watched_s[0] = time.monotonic() - began
                print(f"progressive: can be watched from the beginning {watched_s[0]:.0f} s after it began")
            files = list((home / "recorder" / "spool").glob("*/captured.json"))
            return bool(files) and json.loads(files[0].read_text(encoding="utf-8"))["closed"]

        eventually(closed, seconds + 300, "the end of the lesson")
        took = measured("progressive", huikan, seconds, time.monotonic())
        eventually(lambda: received(home / "recorder" / "spool"), 120, "the receipt")
        recorder.terminate()
        recorder.wait(30)
        return took
    finally:
        huikan.stop()


def received(spool: Path) -> bool:
    return any(json.loads(file.read_text(encoding="utf-8"))["received_at"] for file in spool.glob("*/sent.json"))


def measured(what: str, huikan: Huikan, seconds: int, last_byte: float) -> dict[str, float]:
    took: dict[str, float] = {}
    assert huikan.process is not None
    pid = huikan.process.pid
    spent = cpu_s(descendants(pid) | {pid})

    def seen(name: str, fact: Callable[[], bool]) -> None:
        if name not in took and fact():
            took[name] = time.monotonic() - last_byte
            work = cpu_s(descendants(pid) | {pid}) - spent
            print(
                f"{what}: {name} {took[name]:.1f} s after the last byte, {work:.0f} CPU s of everything in between",
                flush=True,
            )

    def done() -> bool:
        seen("playable", lambda: is_playable(huikan, seconds))
        seen("searchable", lambda: bool(lessons(huikan) and lessons(huikan)[0]["searchable_at"]))
        return len(took) == 2

    eventually(done, _HOUR_S, "playable and searchable")
    return took


def lessons(huikan: Huikan) -> list[dict[str, Any]]:
    catalog = huikan.catalog()
    try:
        return [
            {"recording_id": one.recording_id, "published_at": one.published_at, "searchable_at": one.searchable_at}
            for one in catalog.lessons.every()
        ]
    finally:
        catalog.close()


def is_playable(huikan: Huikan, seconds: int) -> bool:
    """The smallest picture and the sound to the end of the lesson, in playlists that say so."""
    known = lessons(huikan)
    if not known or not known[0]["published_at"]:
        return False
    for rung in ("240p", "audio"):
        key = f"rendition/{known[0]['recording_id']}/e{EDITION}/{rung}/index.m3u8"
        if huikan.store().stat("media", key) is None:
            return False
        text = huikan.store().get_bytes("media", key).decode()
        lasts = sum(float(line[8:].rstrip(",")) for line in text.splitlines() if line.startswith("#EXTINF:"))
        if "#EXT-X-ENDLIST" not in text or lasts < seconds - 2:
            return False
    return True


if __name__ == "__main__":
    sys.exit(main())
