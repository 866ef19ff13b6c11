"""10,000 of the store's events at a running server, and the faults that befall uploads. Minutes; script/test-slow runs it."""

import http.client
import json
import os
import random
import signal
import sqlite3
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from api.operate import check_everything
from archive.settings import secret
from archive.store import ObjectStore
from tests.live_store import LiveStore
from tests.serving import Huikan, eventually

pytestmark = pytest.mark.slow

BUCKET = "incoming"


@pytest.fixture
def huikan(tmp_path: Path, seaweed: LiveStore, incoming_bucket: str, media_bucket: str) -> Iterator[Huikan]:
    """Over a store that tells nobody anything: which events come is the test's to say."""
    environment = {
        "HUIKAN_STORE_ENDPOINT": seaweed.endpoint,
        "HUIKAN_STORE_ACCESS_KEY": seaweed.access_key,
        "HUIKAN_STORE_SECRET_KEY": seaweed.secret_key,
        "HUIKAN_SCAN_INTERVAL_S": "15",
    }
    made = Huikan(tmp_path / "home", environment)
    made.start()
    yield made
    made.stop()


def tell(huikan: Huikan, events: Sequence[tuple[str, str]]) -> list[int]:
    """Sends (key, token) events over 16 connections; their statuses."""

    def send(lot: Sequence[tuple[str, str]]) -> list[int]:
        connection = http.client.HTTPConnection(huikan.serving.url.removeprefix("http://"), timeout=120)
        statuses: list[int] = []
        for key, token in lot:
            parent, _, name = key.rpartition("/")
            message = {"new_entry": {"name": name}, "new_parent_path": f"/buckets/{BUCKET}/{parent}"}
            body = json.dumps({"event_type": "create", "message": message})
            connection.request("POST", "/hooks/store", body, {"Authorization": f"Bearer {token}"})
            answer = connection.getresponse()
            answer.read()
            statuses.append(answer.status)
        connection.close()
        return statuses

    with ThreadPoolExecutor(16) as pool:
        return [status for lot in pool.map(send, [events[n::16] for n in range(16)]) for status in lot]


def test_ten_thousand_events_lose_nothing_and_double_nothing(
    huikan: Huikan, store: ObjectStore, tiny_recording: Path
) -> None:
    dice = random.Random(10_000)
    media = tiny_recording.read_bytes()
    good = [f"xinghuo/301/20260901T{hour:02d}00.mp4" for hour in range(8, 14)]
    for number, key in enumerate(good):  # each other bytes: a box that players skip
        store.put_bytes(BUCKET, key, media + (16).to_bytes(4, "big") + b"free" + b"%08d" % number)
    bad = [f"xinghuo/301/no lesson {number}.mp4" for number in range(1_000)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: store.put_bytes(BUCKET, key, key.encode()), bad))
    keys = [*good, *bad]
    told = dice.sample(keys, len(keys) * 8 // 10)
    token = secret(huikan.settings.webhook_token)
    events = [(dice.choice(told), token) for _ in range(9_500 - len(told))] + [(key, token) for key in told]
    events += [(dice.choice(keys), "forged") for _ in range(250)]
    events += [(f"forged/{number}/20260901T0800.mp4", token) for number in range(250)]
    dice.shuffle(events)
    statuses = tell(huikan, events)
    assert (statuses.count(202), statuses.count(401), len(statuses)) == (9_750, 250, 10_000)

    catalog = huikan.catalog()
    eventually(lambda: all(catalog.arrivals.of_key(key) for key in keys), 60, "a sight of every object")
    eventually(lambda: not catalog.arrivals.waiting() and not catalog.hints.count(), 300, "a verdict on every object")
    assert all(len(catalog.arrivals.of_key(key)) == 1 for key in keys)
    assert len(catalog.arrivals.refused(limit=5_000)) == len(bad)
    assert len(catalog.lessons.every()) == len(good)
    eventually(lambda: all(one.published_at for one in catalog.lessons.every()), 600, "the publications")
    catalog.close()
    settings = huikan.settings.model_copy(
        update={
            "store_endpoint": huikan.environment["HUIKAN_STORE_ENDPOINT"],
            "store_access_key": huikan.environment["HUIKAN_STORE_ACCESS_KEY"],
            "store_secret_key": type(huikan.settings.webhook_token)(huikan.environment["HUIKAN_STORE_SECRET_KEY"]),
        }
    )
    eventually(lambda: check_everything(settings).findings == (), 300, "agreement")


def test_a_locked_catalog_delays_and_loses_nothing(huikan: Huikan, store: ObjectStore, tiny_recording: Path) -> None:
    """Somebody holds the database for longer than anybody waits for it (30 s), while a recording arrives."""
    token = secret(huikan.settings.webhook_token)
    key = "xinghuo/301/20260901T0800.mp4"
    lock = sqlite3.connect(huikan.home / "catalog.sqlite", isolation_level=None)
    lock.execute("BEGIN IMMEDIATE")
    store.put_file(BUCKET, key, tiny_recording)
    (status,) = tell(huikan, [(key, token)])
    assert status == 503  # not acknowledged: the store would send it again
    lock.execute("ROLLBACK")
    lock.close()
    eventually(lambda: bool(huikan.arrivals().get(key, {}).get("published")), 300, "the publication")


def test_workers_that_are_killed_during_a_burst_take_nothing_along(
    huikan: Huikan, store: ObjectStore, tiny_recording: Path
) -> None:
    media = tiny_recording.read_bytes()
    token = secret(huikan.settings.webhook_token)
    keys = [f"xinghuo/301/20260901T{hour:02d}00.mp4" for hour in range(8, 14)]
    for number, key in enumerate(keys):
        store.put_bytes(BUCKET, key, media + (16).to_bytes(4, "big") + b"free" + b"%08d" % number)
        tell(huikan, [(key, token)] * 5)
        if number % 2:
            worker = next(pid for pid in huikan.tree() if _is_worker(pid))
            os.kill(worker, signal.SIGKILL)
            eventually(lambda: any(_is_worker(pid) for pid in huikan.tree()), 60, "another worker")
    eventually(lambda: all(huikan.arrivals().get(key, {}).get("published") for key in keys), 600, "all publications")
    assert len(huikan.arrivals()) == len(keys)


def _is_worker(pid: int) -> bool:
    try:
        return b"worker" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
