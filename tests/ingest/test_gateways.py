"""The gateways, each by a real client: curl's FTP and FTPS, files put into a share, a stream that ffmpeg sends."""

import os
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archive.errors import Absent, Misconfigured, ToolFailed, Unacceptable
from archive.keys import MEDIA_EXTENSIONS, IncomingKey
from archive.recorders import Recorder, token_of
from archive.store import ObjectStore
from ingest import ftp as ftp_module
from ingest.camera import Camera, CameraGateway, Window, cameras, put_camera, remove_camera, try_camera
from ingest.ftp import FtpGateway, passive_ports
from ingest.intake import take_in
from ingest.naming import key_for
from ingest.runtime import Runtime
from ingest.spool import Spool
from ingest.watched import TAKEN, WatchedFolder
from tests.live_minio import free_port
from tests.serving import eventually

PREFIX = "xinghuo/301/"
CAME_AT = datetime(2026, 9, 1, 8, 46, 7)  # noqa: DTZ001 — a room's clock


class TestNames:
    @pytest.mark.parametrize(
        ("path", "name"),
        [
            ("20260901T0800.mp4", "20260901T0800.mp4"),
            ("20260901T0800-2.MP4", "20260901T0800-2.mp4"),
            ("CH01_20260901_080000.mp4", "20260901T080000.mp4"),
            ("2026-09-01 08-00-00.ts", "20260901T080000.ts"),
            ("录像2026年09月01日08时00分.mp4", "20260901T080000.mp4"),
            ("20260901080000_2.flv", "20260901T080000-2.flv"),
            ("rec 2026.09.01 08.00.00 (3).mkv", "20260901T080000-3.mkv"),
            ("2026-09-01/0800.mp4", "20260901T080000.mp4"),
            ("20260901/080000_2.mp4", "20260901T080000-2.mp4"),
            ("lesson.mp4", "20260901T084607.mp4"),
            ("20261301_080000.mp4", "20260901T084607.mp4"),  # no such month
            ("20260631_080000.mp4", "20260901T084607.mp4"),  # no such day
            ("138001380002026090108.mp4", "20260901T084607.mp4"),  # a number is no date
        ],
    )
    def test_a_recorders_name_becomes_a_key(self, path: str, name: str) -> None:
        assert key_for(PREFIX, path, CAME_AT) == PREFIX + name

    @pytest.mark.parametrize("name", ["", "mp4", ".mp4", "x.tmp", "x.mp4.part", "x.exe", ".hidden.mp4", "x/"])
    def test_what_is_none_of_ours_is_refused(self, name: str) -> None:
        with pytest.raises(Unacceptable):
            key_for(PREFIX, name, CAME_AT)

    @given(st.text(max_size=80), st.sampled_from(sorted(MEDIA_EXTENSIONS)), st.datetimes(datetime(2000, 1, 1)))  # noqa: DTZ001
    def test_whatever_it_is_called_the_key_is_in_the_grammar_and_below_the_prefix(
        self, stem: str, extension: str, came_at: datetime
    ) -> None:
        try:
            key = key_for(PREFIX, f"{stem}.{extension}", came_at)
        except Unacceptable:
            assert stem == "" or stem.rpartition("/")[2].startswith(".") or stem.endswith("/")
            return
        parsed = IncomingKey.parse(key)
        assert (parsed.school, parsed.room, parsed.is_media) == ("xinghuo", "301", True)


@pytest.fixture
def spool(runtime: Runtime) -> Spool:
    return Spool(runtime.settings)


@pytest.fixture
def machine(runtime: Runtime) -> Recorder:
    made = runtime.catalog.recorders.enrol("r1", "xinghuo", "301", "HK1", token_of("HK1", "x"))
    runtime.catalog.recorders.set_gateway_password("r1", PASSWORD)
    return made


PASSWORD = "a-password-of-the-tests"


def objects(runtime: Runtime) -> dict[str, bytes]:
    return {f.key: runtime.store.get_bytes(runtime.incoming, f.key) for f in runtime.store.list(runtime.incoming)}


class TestTheSpool:
    def test_a_file_goes_on_once_with_its_hash_and_its_sender(
        self, runtime: Runtime, spool: Spool, machine: Recorder, tmp_path: Path
    ) -> None:
        (tmp_path / "f").write_bytes(b"a lesson")
        assert spool.take(tmp_path / "f", PREFIX, "20260901T0800.mp4", "r1") == f"{PREFIX}20260901T0800.mp4"
        assert not (tmp_path / "f").exists()
        assert spool.deliver(runtime.store, runtime.catalog) == [f"{PREFIX}20260901T0800.mp4"]
        assert spool.deliver(runtime.store, runtime.catalog) == []
        take_in(runtime, f"{PREFIX}20260901T0800.mp4")
        (arrival,) = runtime.catalog.arrivals.of_key(f"{PREFIX}20260901T0800.mp4")
        assert (arrival.recorder_id, arrival.sha256) == ("r1", sha256(b"a lesson").hexdigest())

    def test_it_waits_for_a_store_that_is_down_and_sends_once_more_after_a_power_cut(
        self, runtime: Runtime, spool: Spool, tmp_path: Path
    ) -> None:
        (tmp_path / "f").write_bytes(b"a lesson")
        spool.take(tmp_path / "f", PREFIX, "20260901T0800.mp4")
        assert spool.deliver(ObjectStore("127.0.0.1:1", "x", "y"), runtime.catalog) == []
        (kept,) = spool.waiting()
        (tmp_path / "copy").write_bytes(kept[0].read_bytes())
        spool.deliver(runtime.store, runtime.catalog)
        (tmp_path / "copy").replace(kept[0])  # the power went before the file was gone
        take_in(runtime, kept[1])
        assert Spool(runtime.settings).deliver(runtime.store, runtime.catalog) == [kept[1]]
        take_in(runtime, kept[1])
        assert len(runtime.catalog.lessons.every()) == 1
        assert runtime.catalog.arrivals.refused() == []

    def test_what_nobody_has_taken_in_yet_is_not_overwritten(
        self, runtime: Runtime, spool: Spool, tmp_path: Path
    ) -> None:
        key = f"{PREFIX}20260901T0800.mp4"
        for data in (b"first", b"second"):
            (tmp_path / "f").write_bytes(data)
            spool.take(tmp_path / "f", PREFIX, "20260901T0800.mp4")
            time.sleep(0.01)  # the file system's clock
        assert spool.deliver(runtime.store, runtime.catalog) == [key]
        assert objects(runtime) == {key: b"first"}
        take_in(runtime, key)
        assert spool.deliver(runtime.store, runtime.catalog) == [key]
        take_in(runtime, key)
        assert len(runtime.catalog.lessons.every()) == 2


@contextmanager
def ftp_of(runtime: Runtime, spool: Spool, **settings: object) -> Generator[FtpGateway]:
    chosen = runtime.settings.model_copy(update={"ftp_port": 0, **settings})
    gateway = FtpGateway(chosen, runtime.catalog, spool)
    thread = threading.Thread(target=gateway.run, daemon=True)
    thread.start()
    try:
        yield gateway
    finally:
        gateway.stop()
        thread.join()


@pytest.fixture
def ftp(runtime: Runtime, spool: Spool, machine: Recorder, monkeypatch: pytest.MonkeyPatch) -> Iterator[FtpGateway]:
    monkeypatch.setattr(ftp_module, "_LINGER_S", 0.0)
    monkeypatch.setattr(ftp_module, "_SWEEP_S", 0.05)
    monkeypatch.setattr(ftp_module, "_WRONG_PASSWORD_S", 0)
    with ftp_of(runtime, spool) as gateway:
        yield gateway


def curl(gateway: FtpGateway, *command: str, user: str = f"r1:{PASSWORD}", path: str = "") -> int:
    url = f"ftp://127.0.0.1:{gateway.port}/{path}"
    done = subprocess.run(
        ["curl", "--silent", "--show-error", "--max-time", "30", "--user", user, *command, url],
        capture_output=True,
        check=False,
    )
    return done.returncode


class TestFtp:
    def test_a_file_put_by_curl_is_the_recorders_object(
        self, runtime: Runtime, spool: Spool, ftp: FtpGateway, tmp_path: Path
    ) -> None:
        data = os.urandom(300_000)
        (tmp_path / "f").write_bytes(data)
        assert (
            curl(ftp, "--ftp-create-dirs", "-T", str(tmp_path / "f"), path="2026-09-01/CH01_20260901_080000.mp4") == 0
        )
        eventually(lambda: bool(spool.waiting()), 20)
        spool.deliver(runtime.store, runtime.catalog)
        assert objects(runtime) == {f"{PREFIX}20260901T080000.mp4": data}
        take_in(runtime, f"{PREFIX}20260901T080000.mp4")
        assert [a.recorder_id for a in runtime.catalog.arrivals.of_key(f"{PREFIX}20260901T080000.mp4")] == ["r1"]

    def test_it_resumes_what_broke_off(self, spool: Spool, ftp: FtpGateway, tmp_path: Path) -> None:
        data = os.urandom(2_000_000)
        (tmp_path / "f").write_bytes(data)
        upload = ["curl", "--silent", "--limit-rate", "400k", "--user", f"r1:{PASSWORD}", "-T", str(tmp_path / "f")]
        client = subprocess.Popen([*upload, f"ftp://127.0.0.1:{ftp.port}/20260901T0800.mp4"])
        half = spool.root / "ftp" / "r1" / "20260901T0800.mp4"
        eventually(lambda: half.exists() and half.stat().st_size > 200_000, 30)
        client.kill()  # the recorder loses its power: its side of both connections just ends
        client.wait()
        time.sleep(0.5)
        assert spool.waiting() == []  # an end of the connection is no end of the file
        assert half.stat().st_size < len(data)
        assert curl(ftp, "-C", "-", "-T", str(tmp_path / "f"), path="20260901T0800.mp4") == 0
        eventually(lambda: bool(spool.waiting()), 20)
        assert spool.waiting()[0][0].read_bytes() == data

    def test_what_its_sender_never_finishes_is_taken_as_it_is_after_a_while(
        self, spool: Spool, ftp: FtpGateway, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        half = spool.folder("ftp", "r1") / "20260901T0800.mp4"
        half.write_bytes(b"half a lesson")
        for off_h in (-2, 2):  # the machine's clock jumps: no time has passed for all that
            then = time.time() + off_h * 3600
            os.utime(half, (then, then))
            time.sleep(0.3)
            assert spool.waiting() == []
        monkeypatch.setattr(ftp_module, "_SILENT_S", 0.2)
        eventually(lambda: bool(spool.waiting()), 20)

    def test_a_temporary_name_waits_for_its_last_one(self, spool: Spool, ftp: FtpGateway, tmp_path: Path) -> None:
        (tmp_path / "f").write_bytes(b"a lesson")
        names = ["-Q", "-RNFR 20260901T0800.mp4.tmp", "-Q", "-RNTO 20260901T0800.mp4"]
        assert curl(ftp, "-T", str(tmp_path / "f"), path="20260901T0900.mp4.tmp") == 0
        time.sleep(0.3)
        assert spool.waiting() == []
        assert curl(ftp, "-T", str(tmp_path / "f"), *names, path="20260901T0800.mp4.tmp") == 0
        eventually(lambda: bool(spool.waiting()), 20)
        assert [key for _, key, _ in spool.waiting()] == [f"{PREFIX}20260901T0800.mp4"]

    def test_nothing_can_be_read_deleted_or_reached_elsewhere(
        self, runtime: Runtime, spool: Spool, ftp: FtpGateway, tmp_path: Path
    ) -> None:
        runtime.catalog.recorders.enrol("r2", "xinghuo", "302", "HK2", token_of("HK2", "x"))
        spool.folder("ftp", "r2")
        (spool.root / "ftp" / "r2" / "x.mp4").write_bytes(b"another's")
        (spool.folder("ftp", "r1") / "own.tmp").write_bytes(b"own")
        (tmp_path / "f").write_bytes(b"evil")
        out = tmp_path / "got"
        for path in ("own.tmp", "../r2/x.mp4", "/../r2/x.mp4", "%2e%2e/r2/x.mp4", "../../../../etc/passwd"):
            assert curl(ftp, "--path-as-is", "-o", str(out), path=path) != 0
        assert not out.exists()
        for path in ("../r2/evil.mp4", "%2e%2e/r2/evil.mp4", "../../secrets.toml"):
            curl(ftp, "--path-as-is", "-T", str(tmp_path / "f"), path=path)
        assert curl(ftp, "-Q", "DELE own.tmp") != 0
        assert curl(ftp, "-Q", "RMD /") != 0
        assert curl(ftp, "-Q", "RNFR ../r2/x.mp4", "-Q", "RNTO stolen.mp4") != 0
        assert curl(ftp, "-Q", "SITE CHMOD 777 own.tmp") != 0
        assert sorted(p.name for p in (spool.root / "ftp" / "r2").iterdir()) == ["x.mp4"]
        assert (spool.root / "ftp" / "r1" / "own.tmp").exists()
        assert "evil" not in (runtime.settings.home / "secrets.toml").read_text()

    def test_a_wrong_password_a_revoked_and_an_unknown_recorder_are_refused(
        self, runtime: Runtime, ftp: FtpGateway
    ) -> None:
        login_denied = 67
        assert curl(ftp) == 0
        for user in ("r1:wrong", "r1:", "r9:" + PASSWORD, "anonymous:x", "../r1:" + PASSWORD):
            assert curl(ftp, user=user) == login_denied
        runtime.catalog.recorders.suspend("r1", CAME_AT)  # over its quota
        assert curl(ftp) == login_denied
        runtime.catalog.recorders.suspend("r1", None)
        assert curl(ftp) == 0
        runtime.catalog.recorders.revoke("r1")
        assert curl(ftp) == login_denied

    def test_with_a_full_disk_it_takes_no_more(
        self, runtime: Runtime, spool: Spool, machine: Recorder, tmp_path: Path
    ) -> None:
        (tmp_path / "f").write_bytes(b"a lesson")
        full = Spool(runtime.settings.model_copy(update={"disk_reserve_bytes": 2**60}))
        with ftp_of(runtime, full) as gateway:
            assert curl(gateway, "-T", str(tmp_path / "f"), path="20260901T0800.mp4") == 25  # the server denied STOR

    def test_with_a_certificate_everything_is_encrypted(
        self, runtime: Runtime, spool: Spool, machine: Recorder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(ftp_module, "_LINGER_S", 0.0)
        pem = tmp_path / "both.pem"
        make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
        subprocess.run([*make, "-keyout", "key", "-out", "crt"], cwd=tmp_path, check=True, capture_output=True)
        pem.write_text((tmp_path / "key").read_text() + (tmp_path / "crt").read_text())
        (tmp_path / "f").write_bytes(b"a lesson")
        with ftp_of(runtime, spool, ftp_certificate=pem) as gateway:
            secure = [
                "--ssl-reqd",
                "--cacert",
                str(tmp_path / "crt"),
                "--resolve",
                f"localhost:{gateway.port}:127.0.0.1",
            ]
            url = f"ftp://localhost:{gateway.port}/20260901T0800.mp4"
            command = ["curl", "--silent", "--max-time", "30", "--user", f"r1:{PASSWORD}", *secure, "-T", "f", url]
            assert subprocess.run(command, cwd=tmp_path, check=False).returncode == 0
            eventually(lambda: bool(spool.waiting()), 20)
            assert curl(gateway) != 0  # in the clear: no login

    def test_settings_that_cannot_be_are_said_to_be_wrong(self, runtime: Runtime, spool: Spool, tmp_path: Path) -> None:
        assert passive_ports("50000-50100") == range(50000, 50101)
        for wrong in ("50000", "50100-50000", "a-b", "1-100000"):
            with pytest.raises(Misconfigured):
                passive_ports(wrong)
        with pytest.raises(Misconfigured), ftp_of(runtime, spool, ftp_certificate=tmp_path / "absent.pem"):
            pass


class TestTheWatchedFolder:
    @pytest.fixture
    def folder(self, tmp_path: Path, spool: Spool) -> WatchedFolder:
        (tmp_path / "share" / "xinghuo" / "301").mkdir(parents=True)
        return WatchedFolder(tmp_path / "share", spool, quiet_s=0.2)

    def test_a_file_is_collected_when_nobody_writes_to_it_any_more(
        self, runtime: Runtime, spool: Spool, folder: WatchedFolder
    ) -> None:
        room = folder.folder / "xinghuo" / "301"
        file = room / "2026-09-01 08-00-00.mp4"
        for growing in (b"half", b"half a", b"a whole lesson"):
            file.write_bytes(growing)
            assert folder.look() == []
        time.sleep(0.25)
        assert folder.look() == [f"{PREFIX}20260901T080000.mp4"]
        assert folder.look() == []
        assert not file.exists()
        (kept,) = (folder.folder / TAKEN / "xinghuo" / "301").iterdir()
        assert kept.read_bytes() == b"a whole lesson"
        kept.rename(kept.with_name(f"{int(time.time()) - 8 * 24 * 3600}-x.mp4"))
        folder.look()
        assert list((folder.folder / TAKEN / "xinghuo" / "301").iterdir()) == []
        assert spool.deliver(runtime.store, runtime.catalog) == [f"{PREFIX}20260901T080000.mp4"]
        assert objects(runtime) == {f"{PREFIX}20260901T080000.mp4": b"a whole lesson"}

    def test_a_link_leads_to_nothing_and_what_is_none_of_ours_stays(
        self, spool: Spool, folder: WatchedFolder, tmp_path: Path
    ) -> None:
        room = folder.folder / "xinghuo" / "301"
        (tmp_path / "secret.mp4").write_bytes(b"secret")
        (tmp_path / "elsewhere").mkdir()
        (tmp_path / "elsewhere" / "20260901T0900.mp4").write_bytes(b"secret")
        (room / "20260901T0800.mp4").symlink_to(tmp_path / "secret.mp4")
        (room / "linked").symlink_to(tmp_path / "elsewhere")
        (room / "notes.docx").write_bytes(b"x")
        (room / "half.mp4.part").write_bytes(b"x")
        (folder.folder / "20260901T0800.mp4").write_bytes(b"of no room")
        (folder.folder / "Xing Huo" / "301").mkdir(parents=True)
        (folder.folder / "Xing Huo" / "301" / "20260901T0800.mp4").write_bytes(b"of a room that cannot be")
        os.mkfifo(room / "20260901T1000.mp4")
        folder.look()
        time.sleep(0.25)
        assert folder.look() == []
        assert spool.waiting() == []
        with pytest.raises(OSError, match=r"symbolic|ELOOP|levels"):
            spool.copy(room / "20260901T0800.mp4", PREFIX, "20260901T0800.mp4")


@dataclass(frozen=True)
class Stream:
    """A camera: an ffmpeg that answers on a port of its own with a test picture, in real time, once."""

    url: str
    process: "subprocess.Popen[bytes]"


@contextmanager
def stream(seconds: int, port: int) -> Generator[Stream]:
    url = f"rtmp://127.0.0.1:{port}/live/room301?password=secret-of-a-camera"
    picture = [
        "-re",
        "-f",
        "lavfi",
        "-i",
        "testsrc2=size=320x180:rate=10",
        "-f",
        "lavfi",
        "-i",
        "sine=sample_rate=44100",
    ]
    coded = ["-c:v", "libx264", "-preset", "ultrafast", "-g", "10", "-c:a", "aac", "-t", str(seconds)]
    command = ["ffmpeg", "-hide_banner", "-loglevel", "error", *picture, *coded, "-f", "flv", "-listen", "1", url]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield Stream(url, process)
    finally:
        process.kill()
        process.wait()


def listening(port: int) -> bool:
    hexed = f":{port:04X} "
    return any(hexed in line and " 0A " in line for line in Path("/proc/net/tcp").read_text().splitlines())


class TestCameras:
    def test_windows_of_the_week(self) -> None:
        tuesday = datetime(2026, 9, 1, 8, 30)  # noqa: DTZ001
        window = Window.parse("1-5 08:00-08:45")
        lesson = window.lesson_at(tuesday)
        assert lesson == (tuesday.replace(minute=0), tuesday.replace(minute=45))
        assert window.lesson_at(tuesday.replace(minute=45)) is None
        assert window.lesson_at(tuesday + timedelta(days=4)) is None  # Saturday
        assert Window.parse("6 14:00-15:30").lesson_at(datetime(2026, 9, 5, 15)) is not None  # noqa: DTZ001
        for wrong in ("", "8 08:00-09:00", "5-1 08:00-09:00", "1 09:00-08:00", "1 25:00-26:00", "1-5 8:00-9:00"):
            with pytest.raises(Unacceptable):
                Window.parse(wrong)

    def test_they_are_kept_in_a_private_file_and_shown_without_a_password(self, runtime: Runtime) -> None:
        camera = Camera("back-wall", "xinghuo", "301", "rtsp://admin:secret@10.0.0.9:554/h264", ("1-5 08:00-08:45",))
        put_camera(runtime.settings, camera)
        put_camera(runtime.settings, replace(camera, when=("1-5 09:00-09:45",)))
        (known,) = cameras(runtime.settings)
        assert known.when == ("1-5 09:00-09:45",)
        assert known.shown_url == "rtsp://10.0.0.9:554/h264"
        assert (runtime.settings.home / "cameras.json").stat().st_mode & 0o777 == 0o600
        for wrong in ("http://10.0.0.9/", "file:///etc/passwd", "/etc/passwd", "rtsp://", "concat:a|b", "-i"):
            with pytest.raises(Unacceptable):
                put_camera(runtime.settings, replace(camera, url=wrong))
        with pytest.raises(Unacceptable):
            put_camera(runtime.settings, replace(camera, room="../302"))
        remove_camera(runtime.settings, "back-wall")
        assert cameras(runtime.settings) == []
        with pytest.raises(Absent):
            remove_camera(runtime.settings, "back-wall")

    def test_a_stream_becomes_a_recording_and_one_that_breaks_off_another_part(
        self, runtime: Runtime, spool: Spool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("ingest.camera._AGAIN_S", 0.2)
        port = free_port()
        began = time.monotonic()
        start = datetime(2026, 9, 1, 8)  # noqa: DTZ001

        def clock() -> datetime:
            return start + timedelta(seconds=time.monotonic() - began)

        gateway = CameraGateway(runtime.settings, spool, clock)
        with stream(2, port) as camera:
            eventually(lambda: listening(port), 20)
            put_camera(runtime.settings, Camera("c1", "xinghuo", "301", camera.url, ("1-7 08:00-08:45",)))
            gateway.mind()
            eventually(lambda: len(spool.waiting()) == 1, 40, "the first part")
        with stream(2, port):
            eventually(lambda: len(spool.waiting()) == 2, 40, "the second part")
        gateway.stop()
        keys = [key for _, key, _ in spool.waiting()]
        assert keys[0] == f"{PREFIX}20260901T080000.mkv"
        assert re.fullmatch(rf"{PREFIX}20260901T080000-\d+\.mkv", keys[1])
        spool.deliver(runtime.store, runtime.catalog)
        for key in keys:
            assert take_in(runtime, key).recording_id is not None
        file = spool.folder("check") / "x.mkv"
        runtime.store.get_file(runtime.incoming, keys[0], file)
        told = subprocess.run(
            ["ffprobe", "-v", "error", "-show_entries", "stream=codec_name", "-of", "csv=p=0", file],
            capture_output=True,
            text=True,
            check=True,
        )
        assert told.stdout.split() == ["h264", "aac"]

    def test_what_a_kill_left_is_handed_in_at_the_next_start(
        self, runtime: Runtime, spool: Spool, tiny_recording: Path
    ) -> None:
        left = spool.folder("camera", "c1") / "20260901T080000.mkv"
        shutil.copy(tiny_recording, left)
        never = Camera("c1", "xinghuo", "301", "rtmp://127.0.0.1:1/x", ("7 00:00-00:01",))
        put_camera(runtime.settings, never)
        gateway = CameraGateway(runtime.settings, spool, lambda: datetime(2026, 9, 1, 8))  # noqa: DTZ001
        gateway.mind()
        eventually(lambda: bool(spool.waiting()), 20)
        gateway.stop()

    def test_a_trial_tells_what_comes_and_its_error_no_password(self, runtime: Runtime) -> None:
        port = free_port()
        with stream(5, port) as camera:
            eventually(lambda: listening(port), 20)
            told = try_camera(runtime.settings, Camera("c1", "xinghuo", "301", camera.url, ("1 08:00-09:00",)), 1)
        assert "h264 320×180、aac" in told
        gone = Camera("c1", "xinghuo", "301", f"rtmp://admin:secret@127.0.0.1:{free_port()}/x", ("1 08:00-09:00",))
        with pytest.raises(ToolFailed) as caught:
            try_camera(runtime.settings, gone, 1)
        assert "secret" not in str(caught.value) + caught.value.reason_zh + repr(caught.value)
