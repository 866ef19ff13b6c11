"""Sends a spool's recordings while they grow, over a line that is slow, capped or gone, and learns what the server has.

A recording goes out as `<school>/<room>/<stem>.live/`: `open.json` first, its bytes in pieces (`000000.part` …), and last
`close.json` with the number of pieces and the hash of the whole. The key that does it can only write. ADR 14.
"""

import json
import threading
import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import Any

import structlog
import urllib3

from archive.errors import HuikanError
from archive.keys import live_key
from archive.store import ObjectStore
from ingest.capture.config import Config
from ingest.capture.spool import Recording, Spool, retire, utc_now

log = structlog.get_logger()

MOST_PIECE_BYTES = 8 * 2**20  # when it catches up: fewer requests, and what a cut line takes is sent again
_TIMEOUT = urllib3.Timeout(connect=5.0, read=20.0)
_LONGEST_WAIT_S = 60.0
RECEIPT_HEADER = "X-Huikan-Receipt"


class Bucket:
    """A token bucket: `take` returns when so many bytes may go out. 0 bytes a second is no cap."""

    def __init__(
        self,
        rate_bytes_s: float,
        burst_bytes: int,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._rate, self._burst, self._clock, self._sleep = rate_bytes_s, burst_bytes, clock, sleep
        self._tokens, self._at = float(burst_bytes), clock()
        self._lock = threading.Lock()

    def take(self, count: int) -> None:
        if self._rate <= 0:
            return
        with self._lock:
            now = self._clock()
            self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate) - count
            self._at = now
            wait_s = max(0.0, -self._tokens / self._rate)
        if wait_s:
            self._sleep(wait_s)


class Uplink:
    """One thread's work: everything that can be sent now, oldest recording first."""

    def __init__(self, config: Config, spool: Spool, bucket: Bucket | None = None) -> None:
        self._config, self._spool = config, spool
        rate = config.uplink.kbps * 125
        self.bucket = bucket or Bucket(rate, config.uplink.burst_kb * 1024)
        self._store = ObjectStore(
            config.store.endpoint,
            config.store.access_key,
            config.store.secret_key.get_secret_value(),
            secure=config.store.secure,
            region=config.store.region,
            throttle=self.bucket.take,
        )
        self._piece_bytes = max(
            64 * 1024, int((config.video.kbps + config.video.sound_kbps) * 125 * config.uplink.piece_s)
        )
        self._http = urllib3.PoolManager(timeout=_TIMEOUT, retries=False)
        self.trouble_zh = ""

    def run(self, stop: threading.Event, wake: threading.Event) -> None:
        """Until `stop`. What is not sent by then is sent after the next start."""
        wait_s = 1.0
        while not stop.is_set():
            try:
                moved = self.send_all()
                self.trouble_zh, wait_s = "", 1.0
                retire(self._spool, self._config.spool.keep_days, int(self._config.spool.most_gb * 2**30), utc_now())
            except HuikanError as error:
                log.warning("the line is down, will catch up", reason=str(error))
                self.trouble_zh, moved = error.reason_zh, False
                wait_s = min(_LONGEST_WAIT_S, wait_s * 2)
            except OSError as error:
                log.warning("the spool cannot be read", reason=str(error))
                self.trouble_zh, moved = f"录像盘读写出错：{error.strerror}", False
            if not moved:
                wake.wait(wait_s)
                wake.clear()

    def send_all(self) -> bool:
        """Sends what is there, and asks for receipts. Whether anything moved. Raises Unavailable when the line is down."""
        moved = False
        for recording in self._spool.all():
            if not recording.state.sent:
                moved = self._send(recording) or moved
            elif not recording.state.received_at and self._config.server:
                moved = self._ask(recording) or moved
        return moved

    def _send(self, recording: Recording) -> bool:
        """What is new of one recording. A piece that was put twice, for we died in between, is the same bytes again."""
        state, moved = recording.state, False
        if self._spool.ready_bytes(recording) == 0:
            return False
        if not state.opened:
            self._put(recording, "open.json", json.dumps(opening(recording), ensure_ascii=False).encode())
            recording.keep(opened=True)
            moved = True
        while (waiting := self._spool.ready_bytes(recording) - recording.state.sent_bytes) > 0:
            if waiting < self._piece_bytes and not recording.state.closed:
                return moved
            is_behind = waiting > 4 * self._piece_bytes
            length = min(waiting, max(self._piece_bytes, MOST_PIECE_BYTES) if is_behind else self._piece_bytes)
            with recording.media.open("rb") as file:
                file.seek(recording.state.sent_bytes)
                data = file.read(length)
            self._put(recording, f"{len(recording.state.pieces):06d}.part", data)
            recording.keep(pieces=(*recording.state.pieces, len(data)))
            moved = True
            recording.look_again()
        if recording.state.closed and not recording.state.sent:
            self._put(recording, "close.json", json.dumps(closing(recording), ensure_ascii=False).encode())
            recording.keep(sent=True)
            moved = True
        return moved

    def _put(self, recording: Recording, name: str, data: bytes) -> None:
        key = live_key(self._config.school, self._config.room, recording.state.stem, name)
        self._store.hand_in(self._config.store.bucket, key, data)

    def _ask(self, recording: Recording) -> bool:
        """Whether the server has these very bytes. An older server, or one that is away, says nothing: then it is kept."""
        url = f"{self._config.server.rstrip('/')}/api/receipt"
        try:
            answer = self._http.request("GET", url, headers={RECEIPT_HEADER: recording.state.ticket})
            told: dict[str, Any] = json.loads(answer.data) if answer.status == 200 else {}
        except (urllib3.exceptions.HTTPError, ValueError):
            return False
        if told.get("state") == "received" and told.get("sha256") == recording.state.sha256:
            recording.keep(received_at=utc_now().isoformat(), refused_zh="")
            return True
        if told.get("state") == "refused" and told.get("reason_zh") != recording.state.refused_zh:
            recording.keep(refused_zh=str(told.get("reason_zh", ""))[:300])
            return True
        return False


def opening(recording: Recording) -> dict[str, object]:
    return {"format": 1, "nonce": recording.state.nonce, "sidecar": recording.state.said}


def closing(recording: Recording) -> dict[str, object]:
    state = recording.state
    sizes = list(state.pieces)
    return {"format": 1, "pieces": len(sizes), "size_bytes": sum(sizes), "sha256": state.sha256, "sidecar": state.said}


def clock_offset_ms(config: Config, http: urllib3.PoolManager | None = None) -> int | None:
    """How far this machine's clock is ahead of the store's, from its Date header, to the second; None if it does not say."""
    pool = http or urllib3.PoolManager(timeout=_TIMEOUT, retries=False)
    scheme = "https" if config.store.secure else "http"
    try:
        before = utc_now()
        answer = pool.request("HEAD", f"{scheme}://{config.store.endpoint}/")
        theirs = parsedate_to_datetime(answer.headers["Date"])
    except (urllib3.exceptions.HTTPError, KeyError, ValueError, TypeError):
        return None
    ahead = before + (utc_now() - before) / 2 - theirs
    # The header is cut to whole seconds: half of one is what it lacks on average.
    return round(ahead.total_seconds() * 1000) - 500


def reachable(config: Config) -> None:
    """Raises Unavailable unless the store answers and takes our key."""
    store = ObjectStore(
        config.store.endpoint,
        config.store.access_key,
        config.store.secret_key.get_secret_value(),
        secure=config.store.secure,
        region=config.store.region,
    )
    store.ready()
