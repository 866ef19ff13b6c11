"""How fast what recorders send is taken: events acknowledged durably, and bytes through the embedded store.

    python -m bench.ingest [--quick]

Events: a storm of the store's notifications at a running server, from several connections at once; an answer means that the
hint is on the disk. Two baselines. The same requests to the same server, about nothing that is kept: what is lost to the disk.
And one durable commit after another by the same database without any server: on two slow cores with a fast disk that is out
of reach, for an event costs more processor than a row.

Uploads: one recorder's key sends a file in parts to the store of a running server, whose event, scan and worker go on
meanwhile; baseline: the same store with the same arguments and nothing beside it. The two take
turns, and medians are compared.

The time from a lesson's end to its first picture is bench/recorder.py's.
"""

import argparse
import http.client
import json
import os
import secrets
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from minio import Minio

from api.embedded import seaweedfs
from archive.catalog import Catalog
from archive.settings import secret
from ingest.recorder import RecorderKey, RecorderKeys, issue
from tests.serving import Huikan

GOAL_DURABLE = 0.7  # of the rate of the same requests without a disk
GOAL_EVENTS = 1.0  # of the rate of single durable commits
GOAL_UPLOAD = 0.9  # of the store alone
CONNECTIONS = 48
PART_BYTES = 16 * 2**20
MB = 10**6
KEY = "xinghuo/301/20260901T{:02d}00.mp4"


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    print(f"load before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores", flush=True)
    with tempfile.TemporaryDirectory(prefix="huikan-bench-") as name:
        folder = Path(name)
        short = [
            events(folder, 1_000 if quick else 10_000),
            uploads(folder, 100 if quick else 1_000, 3 if quick else 5),
        ]
    return 1 if any(short) else 0


def claim(name: str, value: float, goal: float) -> bool:
    """Prints it; True when it falls short."""
    good = value >= goal
    print(f"CLAIM {name} {value:.2f} {goal:.2f} {'ok' if good else 'SHORT'}", flush=True)
    return not good


# --- events -------------------------------------------------------------------------------------------------------------


def events(folder: Path, count: int) -> list[bool]:
    single = single_commits(folder, count // 2)
    print(f"baseline: {single:.0f} durable commits a second, one after another", flush=True)
    huikan = Huikan(folder / "events")
    huikan.start(HUIKAN_SCAN_INTERVAL_S="3600")
    try:
        url, token = huikan.serving.url, secret(huikan.settings.webhook_token)
        keys = [f"xinghuo/301/20260901T080000-{number % 1000}.mp4" for number in range(count)]
        storm(url, token, keys[:50])  # connections, code paths, the pages of the database
        void_s, _ = storm(url, token, [f".uploads/x/{number}" for number in range(count // 2)])
        took_s, late_s = storm(url, token, keys)
    finally:
        huikan.stop()
    rate, void = count / took_s, count // 2 / void_s
    print(f"baseline: {void:.0f} of the same requests a second, about nothing that is kept", flush=True)
    print(
        f"events: {rate:.0f} a second acknowledged over {CONNECTIONS} connections, p99 {late_s * 1000:.0f} ms",
        flush=True,
    )
    return [
        claim("events_durable_over_not_kept", rate / void, GOAL_DURABLE),
        claim("events_acknowledged_over_single_commits", rate / single, GOAL_EVENTS),
    ]


def single_commits(folder: Path, count: int) -> float:
    catalog = Catalog(f"sqlite:///{folder / 'baseline.sqlite'}")
    catalog.migrate()
    began = time.monotonic()
    for number in range(count):
        catalog.arrivals.note(f"k{number}", "e", 1)
    took_s = time.monotonic() - began
    catalog.close()
    return count / took_s


def storm(url: str, token: str, keys: Sequence[str]) -> tuple[float, float]:
    """Seconds for all, and the 99th percentile of one."""
    lots = [keys[number::CONNECTIONS] for number in range(CONNECTIONS)]
    latencies: list[float] = []

    def send(lot: Sequence[str]) -> None:
        connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=60)
        for key in lot:
            parent, _, name = key.rpartition("/")
            message = {"new_entry": {"name": name}, "new_parent_path": f"/buckets/incoming/{parent}"}
            body = json.dumps({"event_type": "create", "message": message})
            began = time.monotonic()
            headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
            connection.request("POST", "/hooks/store", body, headers)
            answer = connection.getresponse()
            answer.read()
            assert answer.status == 202, answer.status
            latencies.append(time.monotonic() - began)
        connection.close()

    began = time.monotonic()
    _together([lambda lot=lot: send(lot) for lot in lots if lot])
    return time.monotonic() - began, statistics.quantiles(latencies, n=100)[98]


def _together(acts: Sequence[Callable[[], None]]) -> None:
    threads = [threading.Thread(target=act) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


# --- uploads ------------------------------------------------------------------------------------------------------------


def uploads(folder: Path, size_mb: int, rounds: int) -> bool:
    media = folder / "lesson.mp4"
    with media.open("wb") as out:
        for _ in range(size_mb):
            out.write(secrets.token_bytes(MB))
    huikan = Huikan(folder / "served")
    huikan.start(HUIKAN_SCAN_INTERVAL_S="15")
    owner, hidden = "huikan", secrets.token_hex(16)
    alone: list[float] = []
    served: list[float] = []
    try:
        with seaweedfs(
            folder / "alone", port=0, access_key=owner, secret_key=hidden, webhook_url=None, webhook_token=None
        ) as store:
            Minio(store.endpoint, owner, hidden, secure=False, region="us-east-1").make_bucket("incoming")
            bare_key = issue("xinghuo", "301", "incoming")
            RecorderKeys(folder / "alone").add(bare_key)
            served_key = issue("xinghuo", "301", "incoming")
            RecorderKeys(huikan.home / "store").add(served_key)
            for number in range(rounds + 1):
                pair = ((alone, store.endpoint, bare_key), (served, huikan.serving.s3_endpoint, served_key))
                for rates, endpoint, key in pair if number % 2 else reversed(pair):
                    rate = send_file(endpoint, key, media, KEY.format(number % 24))
                    if number:  # the first round opens files and grows volumes
                        rates.append(rate)
                settle(huikan, number + 1)
    finally:
        huikan.stop()
    print(f"alone:  {statistics.median(alone):.0f} MB/s {[round(rate) for rate in alone]}", flush=True)
    print(f"served: {statistics.median(served):.0f} MB/s {[round(rate) for rate in served]}", flush=True)
    return claim("upload_over_the_store_alone", statistics.median(served) / statistics.median(alone), GOAL_UPLOAD)


def send_file(endpoint: str, key: RecorderKey, media: Path, name: str) -> float:
    """MB a second, by a client as a recorder has it."""
    client = Minio(endpoint, key.access_key, key.secret_key, secure=False, region="us-east-1")
    began = time.monotonic()
    client.fput_object("incoming", name, str(media), part_size=PART_BYTES, num_parallel_uploads=2)
    return media.stat().st_size / MB / (time.monotonic() - began)


def settle(huikan: Huikan, arrived: int) -> None:
    """What was just sent has been read and judged: else its intake would be measured, not the upload beside it."""
    deadline = time.monotonic() + 120
    catalog = huikan.catalog()
    try:
        while time.monotonic() < deadline:
            found = [one for number in range(24) for one in catalog.arrivals.of_key(KEY.format(number))]
            if len(found) >= arrived and all(one.is_settled for one in found):
                return
            time.sleep(0.2)
    finally:
        catalog.close()
    raise SystemExit("what was sent is still not taken in after two minutes")


if __name__ == "__main__":
    sys.exit(main())
