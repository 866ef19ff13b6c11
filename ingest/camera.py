"""The camera gateway: pulls an RTSP or RTMP stream by its address during lessons, as it comes, and hands it in as a recording.

ffmpeg copies the stream into Matroska, which a kill or a power cut leaves playable up to its last second. A stream that
breaks off begins another part of the same lesson. The addresses hold the cameras' passwords: they are in a private file of
the data directory, never in the catalog or a log (but on ffmpeg's command line, which users of the same machine can read).
"""

import json
import re
import shutil
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import structlog

from archive.errors import Absent, Cancelled, HuikanError, Rejected, ToolFailed, Unacceptable
from archive.keys import IncomingKey, shown
from archive.sandbox import Confined
from archive.settings import Settings
from archive.tool import Limits, run_tool
from ingest.recorder import write_private
from ingest.spool import Spool, room_clock

log = structlog.get_logger()

FILE = "cameras.json"
_SCHEMES = frozenset({"rtsp", "rtsps", "rtmp", "rtmps"})
_PROTOCOLS = "rtp,srtp,udp,tcp,tls,crypto,rtmp,rtmps,rtsp,rtsps"
_SILENT_US = 15_000_000  # a camera that says nothing for so long is asked anew
_AGAIN_S = 5.0
_GRACE_S = 30.0  # beyond the lesson's end, for a stream that begins late
_LEAST_BYTES = 4096  # a file's head without a picture
_WHEN = re.compile(r"([1-7])(?:-([1-7]))? ([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of the week: days 1 (Monday) to 7, minutes of the day, half-open."""

    first_day: int
    last_day: int
    start_min: int
    end_min: int

    @classmethod
    def parse(cls, text: str) -> "Window":
        """`1-5 08:00-08:45` or `6 14:00-15:30`. Raises Unacceptable."""
        found = _WHEN.fullmatch(text.strip())
        if found is not None:
            first, last, from_h, from_min, to_h, to_min = found.groups()
            made = cls(int(first), int(last or first), int(from_h) * 60 + int(from_min), int(to_h) * 60 + int(to_min))
            if made.first_day <= made.last_day and made.start_min < made.end_min:
                return made
        zh = f"看不懂“{shown(text)}”：应像“1-5 08:00-08:45”，星期一到五的八点到八点四十五。"
        raise Unacceptable(shown(text), "no stretch of the week", zh)

    def lesson_at(self, at: datetime) -> tuple[datetime, datetime] | None:
        """Beginning and end of the lesson that is on at `at` (a room's clock); None if none is."""
        day = at.replace(hour=0, minute=0, second=0, microsecond=0)
        start, end = day + timedelta(minutes=self.start_min), day + timedelta(minutes=self.end_min)
        on = self.first_day <= at.isoweekday() <= self.last_day and start <= at < end
        return (start, end) if on else None


@dataclass(frozen=True, slots=True)
class Camera:
    """One stream of one room. `when` are windows as text; an address may hold a password: `shown_url` does not."""

    name: str
    school: str
    room: str
    url: str
    when: tuple[str, ...]

    def checked(self) -> "Camera":
        """Raises Unacceptable, with the remedy, for what could never be pulled."""
        IncomingKey.parse(f"{self.school}/{self.room}/20260101T0000.mkv")
        if not _NAME.fullmatch(self.name):
            raise Unacceptable(shown(self.name), "no name", "名字应为小写字母、数字与连字符。")
        parsed = urlsplit(self.url)
        if parsed.scheme not in _SCHEMES or not parsed.hostname or not self.url.isprintable():
            raise Unacceptable(self.shown_url, "no address of a stream", "地址应以 rtsp:// 或 rtmp:// 开头。")
        if not self.when:
            raise Unacceptable(self.name, "no windows", '请至少给一个时段，例如 --when "1-5 08:00-08:45"。')
        for text in self.when:
            Window.parse(text)
        return self

    @property
    def shown_url(self) -> str:
        parsed = urlsplit(self.url)
        return shown(
            f"{parsed.scheme}://{parsed.hostname or ''}{f':{parsed.port}' if parsed.port else ''}{parsed.path}"
        )

    def lesson_at(self, at: datetime) -> tuple[datetime, datetime] | None:
        found = [lesson for text in self.when if (lesson := Window.parse(text).lesson_at(at)) is not None]
        return found[0] if found else None


def cameras(settings: Settings) -> list[Camera]:
    """Those that are written down, by name."""
    file = settings.home / FILE
    if not file.exists():
        return []
    told: list[dict[str, Any]] = json.loads(file.read_text(encoding="utf-8"))
    found = [Camera(each["name"], each["school"], each["room"], each["url"], tuple(each["when"])) for each in told]
    return sorted(found, key=lambda camera: camera.name)


def put_camera(settings: Settings, camera: Camera) -> None:
    """Writes it down, in the place of one of the same name. Raises Unacceptable."""
    camera.checked()
    others = [each for each in cameras(settings) if each.name != camera.name]
    _write(settings, [*others, camera])


def remove_camera(settings: Settings, name: str) -> None:
    """Raises Absent."""
    known = cameras(settings)
    if name not in {each.name for each in known}:
        raise Absent(shown(name))
    _write(settings, [each for each in known if each.name != name])


def _write(settings: Settings, known: list[Camera]) -> None:
    settings.home.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_private(settings.home / FILE, json.dumps([asdict(each) for each in known], ensure_ascii=False, indent=1))


def arguments(url: str, seconds: float, out: Path) -> list[str]:
    argv = ["ffmpeg", "-hide_banner", "-nostdin", "-loglevel", "error", "-y"]
    argv += ["-protocol_whitelist", _PROTOCOLS]  # a stream that names a file or another kind of server opens none
    if urlsplit(url).scheme.startswith("rtsp"):
        argv += ["-rtsp_transport", "tcp"]  # UDP loses packets on a school's wireless
        argv += ["-timeout", str(_SILENT_US)]
    else:
        argv += ["-rw_timeout", str(_SILENT_US)]
    argv += ["-i", url]
    argv += ["-t", f"{seconds:.3f}"]
    argv += ["-map", "0:v?", "-map", "0:a?"]
    argv += ["-c", "copy"]
    argv += ["-f", "matroska", "-flush_packets", "1"]  # what a kill leaves is on the disk
    return [*argv, f"file:{out}"]


class CameraGateway:
    """A thread for each camera that is written down; `mind` begins and ends them as the file changes."""

    def __init__(self, settings: Settings, spool: Spool, clock: Callable[[], datetime] = room_clock) -> None:
        self._settings, self._spool, self._clock = settings, spool, clock
        self._running: dict[Camera, threading.Event] = {}

    def mind(self) -> None:
        wanted = set(cameras(self._settings))
        for camera in set(self._running) - wanted:
            self._running.pop(camera).set()
        for camera in wanted - set(self._running):
            stop = self._running[camera] = threading.Event()
            pull = _Pull(camera, self._settings, self._spool, self._clock, stop)
            threading.Thread(target=pull.run, name=f"camera {camera.name}", daemon=True).start()

    def stop(self) -> None:
        for stop in self._running.values():
            stop.set()
        self._running.clear()


@dataclass(frozen=True, slots=True)
class _Pull:
    camera: Camera
    settings: Settings
    spool: Spool
    clock: Callable[[], datetime]
    stop: threading.Event

    def run(self) -> None:
        self._take_left_over()
        while not self.stop.is_set():
            lesson = self.camera.lesson_at(self.clock())
            if lesson is None or not self.spool.has_room():
                self.stop.wait(1.0)
                continue
            try:
                self.pull(*lesson)
            except Cancelled:
                return
            except HuikanError as error:
                log.warning(
                    "a camera is asked again", camera=self.camera.name, reason=_without(str(error), self.camera)
                )
                self.stop.wait(_AGAIN_S)

    def pull(self, start: datetime, end: datetime) -> None:
        """One part, until the lesson's end or until the stream breaks off; what was recorded is handed in in any case."""
        part = self._next_part(start)
        out = self._folder / f"{start:%Y%m%dT%H%M%S}{f'-{part}' if part > 1 else ''}.mkv"
        seconds = max(1.0, (end - self.clock()).total_seconds())
        limits = Limits(wall_s=seconds + _GRACE_S, file_bytes=self.settings.max_recording_bytes)
        began = time.monotonic()
        try:
            run_tool(arguments(self.camera.url, seconds, out), limits=limits, cancelled=self.stop.is_set)
        finally:
            self._hand_in(out)
            log.info(
                "pulled from a camera", camera=self.camera.name, part=part, seconds=round(time.monotonic() - began)
            )
        if self.clock() < end:
            self.stop.wait(_AGAIN_S)

    @property
    def _folder(self) -> Path:
        return self.spool.folder("camera", self.camera.name)

    def _hand_in(self, out: Path) -> None:
        if not out.exists():
            return
        if out.stat().st_size < _LEAST_BYTES:
            out.unlink()
            return
        try:
            self.spool.take(out, f"{self.camera.school}/{self.camera.room}/", out.name)
        except Rejected as error:
            log.error("a camera's recording has no key", camera=self.camera.name, reason=str(error))

    def _take_left_over(self) -> None:
        """What a kill left of the last run."""
        for out in sorted(self._folder.glob("*.mkv")):
            self._hand_in(out)

    def _next_part(self, start: datetime) -> int:
        """Counted on disk before it begins: a restart in the midst of a lesson must not begin its first part anew."""
        file = self._folder / "part.json"
        key = f"{start:%Y%m%dT%H%M%S}"
        try:
            known: dict[str, int] = json.loads(file.read_text())
        except (FileNotFoundError, ValueError):
            known = {}
        part = known.get(key, 0) + 1
        write_private(file, json.dumps({key: part}))
        return part


def try_camera(settings: Settings, camera: Camera, seconds: int) -> str:
    """Pulls for some seconds and tells what came, in words. Raises Unavailable or ToolFailed, without the password."""
    with scratch_folder(settings) as folder:
        out = folder / "trial.mkv"
        try:
            run_tool(arguments(camera.url, seconds, out), limits=Limits(wall_s=seconds + _GRACE_S))
            asked = ["ffprobe", "-v", "error", "-of", "json", "-show_entries"]
            told = run_tool(
                [*asked, "stream=codec_name,width,height", f"file:{out}"],
                limits=Limits(wall_s=20),
                confined=Confined((out,)),
            )
        except ToolFailed as error:
            raise ToolFailed(error.name, error.returncode, _without(error.stderr_tail, camera)) from error
        tracks = json.loads(told.stdout).get("streams", [])
        size_mb = out.stat().st_size / 1e6
    words = [each["codec_name"] + (f" {each['width']}×{each['height']}" if "width" in each else "") for each in tracks]
    return f"通：{seconds} 秒 {size_mb:.1f} MB，{'、'.join(words) or '没有画面也没有声音'}"


@contextmanager
def scratch_folder(settings: Settings) -> Generator[Path]:
    parent = Spool(settings).folder("trial")
    path = parent / uuid4().hex
    path.mkdir()
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def _without(text: str, camera: Camera) -> str:
    """ffmpeg's errors name the address, and with it the password."""
    return text.replace(camera.url, camera.shown_url)
