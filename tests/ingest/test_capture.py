"""The lightweight recorder: nothing that was on the disk is lost, nothing is sent that could be, and the line is not flooded."""

import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archive.errors import Misconfigured, Unavailable, Unreadable
from archive.model import Slot
from archive.store import ObjectStore
from ingest.capture import recorder as recording_day
from ingest.capture.config import Config, Source, Video, read_config
from ingest.capture.fragments import Cutter, NotFragments, whole_bytes
from ingest.capture.schedule import next_session, session_at, sessions_on
from ingest.capture.sources import capture_argv
from ingest.capture.spool import Recording, Spool, close, retire
from ingest.capture.uplink import Bucket, Uplink, closing
from ingest.recorder import RecorderKeys, issue
from tests.live_store import LiveStore
from tests.serving import alive, descendants, eventually
from tests.transcode.clips import make, picture, probed, sound, x264

ROOT = Path(__file__).parents[2]


def box(kind: bytes, size: int = 8) -> bytes:
    return size.to_bytes(4) + kind + bytes(size - 8)


INIT = box(b"ftyp", 24) + box(b"moov", 100)
FRAGMENT = box(b"moof", 40) + box(b"mdat", 1000)


@given(st.lists(st.integers(1, 300), max_size=60))
def test_whatever_pieces_a_pipe_gives_the_units_are_the_same(sizes: list[int]) -> None:
    data, cutter, units = INIT + 3 * FRAGMENT, Cutter(), list[bytes]()
    for size in [*sizes, len(data)]:
        units += cutter.feed(data[:size])
        data = data[size:]
    assert units == [INIT, FRAGMENT, FRAGMENT, FRAGMENT]


@given(st.integers(0, len(INIT + 3 * FRAGMENT)))
def test_a_torn_file_is_cut_to_its_last_whole_fragment(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    path = tmp_path_factory.getbasetemp() / "torn.mp4"
    path.write_bytes((INIT + 3 * FRAGMENT)[:cut])
    ends = [0, *(len(INIT) + n * len(FRAGMENT) for n in range(4))]
    assert whole_bytes(path) == max(end for end in ends if end <= cut)


def test_what_is_no_mp4_is_told() -> None:
    with pytest.raises(NotFragments):
        list(Cutter().feed(b"Traceback (most recent call last)"))


def test_a_capped_line_carries_no_more_than_its_rate() -> None:
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    bucket = Bucket(100_000, 16_000, clock=lambda: now[0], sleep=sleep)
    for _ in range(100):
        bucket.take(8_000)
    assert 800_000 / now[0] == pytest.approx(100_000, rel=0.03)
    now[0] += 3600  # a pause saves up one burst, not an hour's
    before = now[0]
    for _ in range(10):
        bucket.take(8_000)
    assert now[0] - before == pytest.approx(0.64, abs=0.01)


def test_what_goes_out_slowly_arrives_whole(seaweed: LiveStore, incoming_bucket: str) -> None:
    taken: list[int] = []
    slow = ObjectStore(seaweed.endpoint, seaweed.access_key, seaweed.secret_key, throttle=taken.append)
    data = bytes(range(256)) * 12_000  # three megabytes
    slow.hand_in(incoming_bucket, "xinghuo/301/x.part", data)
    assert (sum(taken), max(taken) <= 8192) == (len(data), True)
    assert seaweed.connect().get_bytes(incoming_bucket, "xinghuo/301/x.part") == data


DAY = date(2026, 9, 1)
SLOTS = [
    Slot("301", DAY, DAY, 1, 480, 525, subject="数学"),
    Slot("301", DAY, DAY, 1, 526, 570, subject="语文"),
    Slot("301", DAY, DAY, 1, 840, 885, subject="物理"),
]


def at(hour: int, minute: int) -> datetime:
    return datetime(2026, 9, 1, hour, minute)  # noqa: DTZ001 — a room's wall clock


def test_lessons_are_recorded_with_a_margin_and_never_two_at_once() -> None:
    minute = timedelta(minutes=1)
    maths, chinese, physics = sessions_on(SLOTS, at(0, 0), 2 * minute, 2 * minute)
    assert (maths.record_from, maths.record_until) == (at(7, 58), at(8, 44))
    assert (chinese.record_from, chinese.record_until) == (at(8, 44), at(9, 32))
    assert session_at(SLOTS, at(8, 50), minute, minute) == sessions_on(SLOTS, at(0, 0), minute, minute)[1]
    assert session_at(SLOTS, at(12, 0), minute, minute) is None
    coming = next_session(SLOTS, at(12, 0), 2 * minute, 2 * minute)
    assert coming == physics
    assert next_session(SLOTS, at(15, 0), minute, minute) is None


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (Source(kind="v4l2", input="/dev/video0"), ["-f v4l2", "-i /dev/video0", "-f alsa", "-tune zerolatency"]),
        (Source(kind="rtsp", input="rtsp://10.0.0.9/main", copy_packets=True), ["-rtsp_transport tcp", "-c:v copy"]),
        (Source(kind="rtmp", input="rtmp://10.0.0.9/live"), ["-rw_timeout", "-map 0:a:0?"]),
        (Source(kind="screen", sound=""), ["-f x11grab", "-i :0.0"]),
        (Source(kind="file", input="/x.mp4"), ["-re", "file:/x.mp4"]),
    ],
)
def test_each_source_has_its_command_line(source: Source, words: list[str]) -> None:
    line = " ".join(capture_argv(source, Video()))
    assert [word in line for word in words] == [True] * len(words), line
    assert "+empty_moov+default_base_moof" in line


def test_an_address_of_another_kind_is_refused() -> None:
    with pytest.raises(Misconfigured):
        capture_argv(Source(kind="rtsp", input="file:///etc/passwd"), Video())


@pytest.fixture(scope="module")
def camera(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve seconds that a camera might see."""
    path = tmp_path_factory.mktemp("camera") / "camera.mp4"
    return make(path, picture("320x180", seconds=12), sound(12), x264())


def written(folder: Path, camera: Path, seaweed: LiveStore | None = None, **more: str) -> Path:
    """A recorder's settings; with a store it has a key of its own room there."""
    access, secret, endpoint = "HK1", "secret-secret", "127.0.0.1:9"
    if seaweed is not None:
        key = issue("xinghuo", "301", "incoming")
        RecorderKeys(seaweed.home).add(key)
        access, secret, endpoint = key.access_key, key.secret_key, seaweed.endpoint
    path = folder / "record.toml"
    lines = ['school = "xinghuo"', 'room = "301"', *(f"{name} = {value}" for name, value in more.items())]
    lines += [f'[source]\nkind = "file"\ninput = "{camera}"']
    lines += [f'[store]\nendpoint = "{endpoint}"\naccess_key = "{access}"\nsecret_key = "{secret}"']
    lines += [
        f'[spool]\nfolder = "{folder / "spool"}"',
        "[uplink]\npiece_s = 1",
        '[video]\npreset = "ultrafast"\nkbps = 300',
    ]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def config_of(folder: Path, camera: Path, seaweed: LiveStore | None = None, **more: str) -> Config:
    return read_config(written(folder, camera, seaweed, **more))


@pytest.mark.parametrize(("line", "word"), [("rooom = 1", "rooom"), ('view = "ceiling"', "view"), ("[source", "TOML")])
def test_a_wrong_setting_is_named(tmp_path: Path, camera: Path, line: str, word: str) -> None:
    path = written(tmp_path, camera)
    path.write_text(f"{line}\n{path.read_text(encoding='utf-8')}", encoding="utf-8")
    with pytest.raises(Misconfigured, match=word):
        read_config(path)


def test_never_more_than_a_second_is_not_on_the_disk(tmp_path: Path, camera: Path) -> None:
    """Only what fdatasync returned from outlives a power cut. How long that takes is bench/recorder.py's to measure."""
    config, spool = config_of(tmp_path, camera), Spool(tmp_path / "spool")
    recording = spool.begin("20260901T080000", {})
    durable: list[int] = []
    over = time.monotonic() + 4
    argv = capture_argv(config.source, config.video)

    def note() -> None:
        durable.append(spool.durable[recording.state.stem])

    assert recording_day.capture(argv, spool, recording, lambda: time.monotonic() > over, note) == "over"
    data, held_s = recording.media.read_bytes(), [0.0]
    for size in durable[1:]:  # the first is the init
        cut = tmp_path / "cut.mp4"
        cut.write_bytes(data[:size])
        assert whole_bytes(cut) == size
        held_s.append(probed(cut).duration_ms / 1000)
    assert len(held_s) > 3
    assert max(after - before for before, after in pairwise(held_s)) <= 1.0


def test_after_kill_9_the_next_start_sends_what_was_whole(
    tmp_path: Path, camera: Path, seaweed: LiveStore, incoming_bucket: str
) -> None:
    config = written(tmp_path, camera, seaweed)
    command = [sys.executable, "-m", "ingest.capture", "--config", str(config), "--for", "0.15"]
    spool = tmp_path / "spool"

    def media() -> list[Path]:
        return list(spool.glob("*/recording.mp4"))

    def has_seconds() -> bool:
        """A file's head alone has no length and is nothing yet."""
        with suppress(IndexError, Unreadable):
            return probed(media()[0]).duration_ms > 2500
        return False

    process = subprocess.Popen(command, cwd=ROOT)
    try:
        eventually(has_seconds, 60, "some seconds of recording")
        tree = descendants(process.pid)
        assert tree
    finally:
        process.kill()
        process.wait()
    eventually(lambda: not alive(tree), 10, "the end of ffmpeg")
    subprocess.run([*command[:-1], "0.05"], cwd=ROOT, check=True, timeout=60)
    first = min(media(), key=lambda path: path.parent.name)
    assert probed(first).duration_ms > 2500
    store = seaweed.connect()
    stem = first.parent.name
    sent = sorted(found.key for found in store.list(incoming_bucket, f"xinghuo/301/{stem}.live/"))
    assert sent[-1].endswith("open.json")
    manifest = json.loads(store.get_bytes(incoming_bucket, f"xinghuo/301/{stem}.live/close.json"))
    whole = b"".join(store.get_bytes(incoming_bucket, key) for key in sent if key.endswith(".part"))
    assert sha256(whole).hexdigest() == manifest["sha256"] == sha256(first.read_bytes()).hexdigest()
    assert manifest["pieces"] == sum(key.endswith(".part") for key in sent) > 1
    assert "已停止" in recording_day.status_line(spool)


@pytest.fixture
def stopping() -> Iterator[threading.Event]:
    stop = threading.Event()
    yield stop
    stop.set()


@pytest.mark.slow
def test_a_stream_is_captured_over_rtmp(tmp_path: Path, camera: Path) -> None:
    """Another ffmpeg plays the server: it pushes to whoever comes. Packets are taken as they are."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    url = f"rtmp://127.0.0.1:{port}/live/301"
    pushing = [
        "ffmpeg",
        "-v",
        "error",
        "-nostdin",
        "-re",
        "-i",
        str(camera),
        "-c",
        "copy",
        "-f",
        "flv",
        "-listen",
        "1",
        url,
    ]
    server = subprocess.Popen(pushing, stderr=subprocess.DEVNULL)
    try:
        spool = Spool(tmp_path / "spool")
        argv = capture_argv(Source(kind="rtmp", input=url, copy_packets=True), Video())
        recording, ended = spool.begin("20260901T080000", {}), ""
        for _ in range(50):  # until it listens
            ended = recording_day.capture(argv, spool, recording, lambda: False)
            if recording.size_bytes:
                break
            time.sleep(0.1)  # the other ffmpeg is not there yet, and nothing tells when it is
        assert ended == "ended"
        assert probed(recording.media).duration_ms > 9_000
    finally:
        server.kill()
        server.wait()


def recorded(spool: Spool, data: bytes = INIT + 3 * FRAGMENT, stem: str = "20260901T080000") -> Recording:
    recording = spool.begin(stem, {"language": "zh"})
    recording.media.write_bytes(data)
    close(recording)
    return recording


def test_a_line_that_is_down_loses_nothing_and_is_caught_up(
    tmp_path: Path, camera: Path, seaweed: LiveStore, incoming_bucket: str
) -> None:
    spool = Spool(tmp_path / "spool")
    recorded(spool)
    down = Uplink(config_of(tmp_path, camera), spool)
    with pytest.raises(Unavailable):
        down.send_all()
    assert [one.state.sent for one in spool.all()] == [False]
    up = Uplink(config_of(tmp_path, camera, seaweed), spool)
    assert up.send_all()
    (one,) = spool.all()
    assert one.state.sent
    assert not up.send_all()
    keys = [found.key.rpartition("/")[2] for found in seaweed.connect().list(incoming_bucket, "xinghuo/301/")]
    assert sorted(keys) == ["000000.part", "close.json", "open.json"]


def test_nothing_is_sent_that_a_power_cut_could_still_take(
    tmp_path: Path, camera: Path, seaweed: LiveStore, incoming_bucket: str
) -> None:
    spool = Spool(tmp_path / "spool")
    recording = spool.begin("20260901T080000", {})
    recording.media.write_bytes(INIT + 90 * FRAGMENT)
    uplink = Uplink(config_of(tmp_path, camera, seaweed), spool)
    assert not uplink.send_all()
    spool.durable[recording.state.stem] = len(INIT + 80 * FRAGMENT)
    assert uplink.send_all()
    assert spool.all()[0].state.sent_bytes <= len(INIT + 80 * FRAGMENT)


def test_a_receipt_counts_if_it_names_the_very_bytes(
    tmp_path: Path, camera: Path, seaweed: LiveStore, incoming_bucket: str
) -> None:
    told: dict[str, str] = {"state": "receiving", "sha256": "", "reason_zh": ""}
    asked: list[tuple[str, str | None]] = []

    class Server(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append((self.path, self.headers["X-Huikan-Receipt"]))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(told).encode())

        def log_message(self, *_: object) -> None:
            pass

    spool = Spool(tmp_path / "spool")
    recording = recorded(spool)
    with HTTPServer(("127.0.0.1", 0), Server) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f'"http://127.0.0.1:{server.server_port}"'
        uplink = Uplink(config_of(tmp_path, camera, seaweed, server=url), spool)
        uplink.send_all()
        uplink.send_all()
        told.update(state="received", sha256="0" * 64)
        uplink.send_all()
        assert [one.state.received_at for one in spool.all()] == [""]
        told.update(sha256=recording.state.sha256)
        uplink.send_all()
        server.shutdown()
    assert [bool(one.state.received_at) for one in spool.all()] == [True]
    assert set(asked) == {("/api/receipt", recording.state.ticket)}


def test_only_what_the_server_has_is_ever_removed(tmp_path: Path) -> None:
    spool, now = Spool(tmp_path / "spool"), datetime(2026, 9, 10, tzinfo=UTC)
    recorded(spool, stem="20260901T080000")
    old = recorded(spool, stem="20260901T090000")
    old.keep(sent=True, received_at=(now - timedelta(days=8)).isoformat())
    new = recorded(spool, stem="20260901T100000")
    new.keep(sent=True, received_at=(now - timedelta(hours=1)).isoformat())
    assert retire(spool, 7, 10**9, now) == ["20260901T090000"]
    assert retire(spool, 7, 1, now) == ["20260901T100000"]  # the disk's share is used up
    assert retire(spool, 0, 0, now) == []
    assert [one.state.stem for one in spool.all()] == ["20260901T080000"]


def test_a_lesson_that_is_begun_again_gets_another_part_and_the_last_says_how_many(
    tmp_path: Path, camera: Path
) -> None:
    spool = Spool(tmp_path / "spool")
    torn = spool.begin("20260901T080000", {})
    torn.media.write_bytes(INIT + FRAGMENT + FRAGMENT[:50])
    empty = spool.begin("20260901T090000", {})
    assert [one.state.stem for one in Spool(tmp_path / "spool").recover()] == ["20260901T080000", "20260901T090000"]
    (kept,) = Spool(tmp_path / "spool").all()
    assert kept.media.read_bytes() == INIT + FRAGMENT
    assert closing(kept)["sha256"] == sha256(INIT + FRAGMENT).hexdigest()
    assert not empty.folder.exists()
    assert spool.begin("20260901T080000", {}).state.stem == "20260901T080000-2"


def test_the_timetable_rings_the_bell_and_a_restart_in_the_lesson_makes_a_second_part(
    tmp_path: Path, camera: Path, seaweed: LiveStore, incoming_bucket: str
) -> None:
    now = datetime.now()  # noqa: DTZ005 — the room's wall clock
    begins_at = max(now - timedelta(minutes=5), now.replace(hour=0, minute=0)).replace(second=0, microsecond=0)
    ends_at = min(now + timedelta(minutes=30), now.replace(hour=23, minute=59))
    table = tmp_path / "课表.csv"
    hours = f"{begins_at:%H:%M}-{ends_at:%H:%M}"
    table.write_text(f"教室,日期,时间,学科\n301,{now:%Y-%m-%d},{hours},数学\n", encoding="utf-8")
    path = written(tmp_path, camera, seaweed)
    dates = f'[timetable]\nfile = "{table}"\nfirst_day = {now:%Y-%m-%d}\nlast_day = {now:%Y-%m-%d}\n'
    path.write_text(f"{path.read_text(encoding='utf-8')}\n{dates}", encoding="utf-8")
    for part in (1, 2):
        recorder = recording_day.Recorder(read_config(path))
        running = threading.Thread(target=recorder.run)
        running.start()
        eventually(
            lambda part=part: len(list((tmp_path / "spool").glob("*/sent.json"))) == part, 60, f"part {part} on its way"
        )
        assert "数学 已录" in recording_day.status_line(tmp_path / "spool")
        recorder.stop()
        running.join()
    first, second = Spool(tmp_path / "spool").all()
    assert [one.state.stem for one in (first, second)] == [f"{begins_at:%Y%m%dT%H%M%S}", f"{begins_at:%Y%m%dT%H%M%S}-2"]
    assert first.state.said["starts_at"] == f"{begins_at:%Y-%m-%dT%H:%M:%S}"
    assert second.state.said["parts"] == 2
    assert first.state.closed
    assert second.state.closed
    assert second.state.said["clock_offset_ms"] == 0  # store and recorder share a clock


def test_a_dry_run_tries_everything_and_leaves_nothing(tmp_path: Path, camera: Path, seaweed: LiveStore) -> None:
    table = tmp_path / "课表.csv"
    table.write_text("教室,星期,时间,学科\n301,一,8:00-8:45,数学\n", encoding="utf-8")
    path = written(tmp_path, camera, seaweed)
    more = f'[timetable]\nfile = "{table}"\nfirst_day = 2026-09-01\nlast_day = 2099-01-20\n'
    path.write_text(f"{path.read_text(encoding='utf-8')}\n{more}", encoding="utf-8")
    found = {each.name_zh: each for each in recording_day.dry_run(read_config(path))}
    assert {name for name, each in found.items() if not each.ok} == set()
    assert "下一节" in found["课表"].note_zh
    assert "能录" in found["画面"].note_zh
    assert list((tmp_path / "spool").iterdir()) == []
    away = config_of(tmp_path, tmp_path / "no camera")
    told = {each.name_zh for each in recording_day.dry_run(away) if not each.ok}
    assert told == {"画面", "对象存储"}


def test_the_recorder_alone_needs_little(tmp_path: Path, camera: Path) -> None:
    """It runs on a small PC, from constraints-recorder.txt: none of the server's libraries is loaded."""
    unit = [
        sys.executable,
        "-X",
        "importtime",
        "-m",
        "ingest.capture",
        "--config",
        str(written(tmp_path, camera)),
        "--unit",
    ]
    done = subprocess.run(unit, cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()}
    assert loaded & {"sqlalchemy", "dbos", "fastapi", "faster_whisper", "tantivy", "jieba", "opencc", "typer"} == set()
    assert "minio" in loaded
    assert "LoadCredential=record.toml:" in done.stdout


def test_a_recorder_that_is_silent_is_told_by_its_status(tmp_path: Path) -> None:
    assert "没有在运行过" in recording_day.status_line(tmp_path)
