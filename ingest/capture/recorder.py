"""The recorder's day: waits for the bell, captures, and lets its uplink send; and what it says of itself."""

import json
import os
import selectors
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import structlog

from archive.errors import DiskFull, HuikanError, Unavailable
from archive.model import Slot
from archive.tool import tied_to_us
from ingest.capture.config import Config
from ingest.capture.fragments import Cutter, NotFragments
from ingest.capture.schedule import Session, next_session, session_at
from ingest.capture.sources import capture_argv
from ingest.capture.spool import Recording, Spool, Writer, close, write_whole
from ingest.capture.uplink import Uplink, clock_offset_ms, reachable
from ingest.timetable import Term
from ingest.timetable_files import read_timetable

log = structlog.get_logger()

STALLED_S = 15.0
LEAST_FREE_BYTES = 256 * 2**20
_READ_BYTES = 64 * 1024
_END_S = 5.0
_TICK_S = 0.5
_FIRST_AGAIN_S, _LONGEST_AGAIN_S = 1.0, 30.0
_STATUS_EVERY_S = 2.0
_RECEIPT_WITHIN_S = 120.0  # then the next start asks again
_CLOCK_NOTED_MS = 2_000  # the header that we compare with has whole seconds


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of a dry run."""

    ok: bool
    name_zh: str
    note_zh: str


def slots_of(config: Config) -> list[Slot]:
    """This room's lessons. Raises Unreadable, naming the line that is wrong."""
    told = config.timetable
    if told is None:
        return []
    read = read_timetable(told.file, Term(told.first_day, told.last_day), room=config.room, bells=told.bells)
    read.raise_if_faulty(told.file.name)
    return [slot for slot in read.slots if slot.room == config.room]


def capture(
    argv: Sequence[str],
    spool: Spool,
    recording: Recording,
    is_over: Callable[[], bool],
    on_fragment: Callable[[], None] = lambda: None,
) -> str:
    """Runs the source until `is_over`; every fragment is on the disk before the next is taken. Returns why it ended: "over",
    "ended" (the source did) or "stalled". Raises DiskFull and Unavailable."""
    program = shutil.which(argv[0])
    if program is None:
        raise Unavailable(argv[0], "not found on PATH", "请安装：apt install ffmpeg。")
    writer, cutter = Writer(spool, recording), Cutter()
    # It dies with us: after kill -9 no orphan may hold the camera.
    process = subprocess.Popen(
        tied_to_us([program, *argv[1:]]), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, start_new_session=True
    )
    assert process.stdout is not None  # noqa: S101 — it is a pipe
    heard_at, ended = time.monotonic(), ""
    try:
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while not ended:
                if selector.select(_TICK_S):
                    data = os.read(process.stdout.fileno(), _READ_BYTES)
                    heard_at = time.monotonic()
                    ended = "" if data else "ended"
                    for unit in cutter.feed(data):
                        writer.write(unit)
                        on_fragment()
                elif time.monotonic() - heard_at > STALLED_S:
                    ended = "stalled"
                if not ended and is_over():
                    ended = "over"
            if ended == "over":
                _drain(process, cutter, writer)
    except NotFragments as error:
        raise Unavailable("ffmpeg", f"wrote no fragments: {error}", "请检查 ffmpeg 的版本。") from error
    finally:
        _end(process)
        writer.close()
    return ended


def _drain(process: "subprocess.Popen[bytes]", cutter: Cutter, writer: Writer) -> None:
    """Asked to end, ffmpeg still writes what it has: the last half second of the lesson."""
    assert process.stdout is not None  # noqa: S101
    process.send_signal(signal.SIGINT)
    deadline = time.monotonic() + _END_S
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while time.monotonic() < deadline:
            if selector.select(_TICK_S):
                data = os.read(process.stdout.fileno(), _READ_BYTES)
                if not data:
                    return
                for unit in cutter.feed(data):
                    writer.write(unit)


def _end(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is None:
        process.kill()
    process.wait()
    if process.stdout is not None:
        process.stdout.close()


class Recorder:
    """One room's recorder. `run` returns when it is stopped, or after one session if `minutes` are given."""

    def __init__(self, config: Config, *, minutes: float | None = None) -> None:
        self._config, self._minutes = config, minutes
        self._slots = slots_of(config)
        self._read_at = config.timetable.file.stat().st_mtime if config.timetable else 0.0
        self.spool = Spool(config.spool.folder)
        self.uplink = Uplink(config, self.spool)
        self._stop, self._wake = threading.Event(), threading.Event()
        self._doing: dict[str, Any] = {"doing": "starting"}
        self._offset_ms: int | None = None
        self._told_at = 0.0

    def stop(self) -> None:
        self._stop.set()
        self._wake.set()

    def run(self) -> None:
        for torn in self.spool.recover():
            log.warning("closed what was cut off", recording=torn.state.stem)
        sending = threading.Thread(target=self.uplink.run, args=(self._stop, self._wake), name="uplink", daemon=True)
        sending.start()
        try:
            if self._minutes is not None:
                begins = datetime.now().replace(microsecond=0)  # noqa: DTZ005 — the room's wall clock
                self._record(Session(begins, begins, begins + timedelta(minutes=self._minutes), "手动"))
                self._finish_sending()
            else:
                self._by_timetable()
        finally:
            self._stop.set()
            self._wake.set()
            sending.join(_END_S)
            self._tell("stopped", at_once=True)

    def _by_timetable(self) -> None:
        before, after = self._margins()
        while not self._stop.is_set():
            self._read_anew()
            now = datetime.now()  # noqa: DTZ005 — the room's wall clock
            session = session_at(self._slots, now, before, after)
            if session is not None and not self._is_over(session):
                self._record(session)
                continue
            coming = next_session(self._slots, now, before, after)
            self._tell("waiting", next_at=coming.record_from.isoformat() if coming else None)
            self._stop.wait(1.0)

    def _read_anew(self) -> None:
        """The school put another timetable there. One that cannot be read changes nothing, and the log says why."""
        told = self._config.timetable
        try:
            changed_at = told.file.stat().st_mtime if told else 0.0
            if changed_at == self._read_at:
                return
            self._read_at = changed_at
            self._slots = slots_of(self._config)
        except (HuikanError, OSError) as error:
            log.warning("the timetable cannot be read; the one before counts", reason=str(error))

    def _margins(self) -> tuple[timedelta, timedelta]:
        told = self._config.timetable
        return (
            (timedelta(seconds=told.before_s), timedelta(seconds=told.after_s)) if told else (timedelta(), timedelta())
        )

    def _record(self, session: Session) -> None:
        """One lesson; where the source fails it is tried again, and what comes then is another part of it."""
        again_s, reason = _FIRST_AGAIN_S, ""
        argv = capture_argv(self._config.source, self._config.video)
        recording: Recording | None = None
        while not self._is_over(session) and not self._stop.is_set():
            self._offset_ms = clock_offset_ms(self._config)
            recording, captured_at = (
                self.spool.begin(f"{session.starts_at:%Y%m%dT%H%M%S}", self._said(session)),
                time.monotonic(),
            )
            try:
                reason = self._capture(argv, recording, session)
            except HuikanError as error:
                reason = error.reason_zh
                log.warning("capturing failed", recording=recording.state.stem, reason=str(error))
            last = (
                self._is_over(session)
                or self._stop.is_set()
                or (reason == "ended" and self._config.source.kind == "file")
            )
            self._close(recording, session, is_last=last)
            if last:
                return
            again_s = (
                _FIRST_AGAIN_S
                if time.monotonic() - captured_at > _LONGEST_AGAIN_S
                else min(_LONGEST_AGAIN_S, 2 * again_s)
            )
            log.warning("the source ended early", reason=reason, again_s=again_s)
            self._tell("retrying", reason_zh=reason, at_once=True)
            self._stop.wait(again_s)

    def _capture(self, argv: Sequence[str], recording: Recording, session: Session) -> str:
        begun = time.monotonic()

        def on_fragment() -> None:
            self._wake.set()
            self._tell(
                "recording", lesson=session.name, stem=recording.state.stem, seconds=round(time.monotonic() - begun)
            )
            if shutil.disk_usage(self.spool.folder).free < LEAST_FREE_BYTES:
                raise DiskFull("录像盘", "almost no room left", "请清理录播主机的磁盘，或检查为什么一直没有传上去。")

        return capture(argv, self.spool, recording, lambda: self._is_over(session) or self._stop.is_set(), on_fragment)

    def _close(self, recording: Recording, session: Session, *, is_last: bool) -> None:
        stem = f"{session.starts_at:%Y%m%dT%H%M%S}"
        parts = [one for one in self.spool.all() if one.state.stem.split("-")[0] == stem and one.size_bytes]
        if is_last and len(parts) > 1:
            recording.keep(said={**recording.state.said, "parts": len(parts)})
        close(recording)
        self._wake.set()

    def _is_over(self, session: Session) -> bool:
        return datetime.now() >= session.record_until  # noqa: DTZ005 — the room's wall clock

    def _said(self, session: Session) -> dict[str, Any]:
        said: dict[str, Any] = {"language": self._config.lesson.language}
        if self._config.lesson.consent is not None:
            said["consent"] = self._config.lesson.consent
        if self._config.view:
            said["view"] = self._config.view
        if self._config.timetable is not None:
            said["starts_at"] = f"{session.starts_at:%Y-%m-%dT%H:%M:%S}"
        if self._offset_ms is not None:
            said["clock_offset_ms"] = self._offset_ms if abs(self._offset_ms) > _CLOCK_NOTED_MS else 0
        return said

    def _finish_sending(self) -> None:
        """A manual recording's end: what is left goes out, as long as the line carries it, and its receipts are waited for."""
        sent_at: float | None = None
        while not self._stop.is_set():
            recordings = self.spool.all()
            if self.uplink.trouble_zh:
                return
            if all(one.state.sent for one in recordings):
                sent_at = time.monotonic() if sent_at is None else sent_at
                known = all(one.state.received_at or one.state.refused_zh for one in recordings)
                if known or not self._config.server or time.monotonic() - sent_at > _RECEIPT_WITHIN_S:
                    return
            self._tell("sending")
            self._wake.set()
            self._stop.wait(_TICK_S)

    def _tell(self, doing: str, *, at_once: bool = False, **more: Any) -> None:
        if not at_once and doing == self._doing["doing"] and time.monotonic() - self._told_at < _STATUS_EVERY_S:
            return
        self._told_at, self._doing = time.monotonic(), {"doing": doing, **more}
        recordings = self.spool.all()
        told = {
            **self._doing,
            "at": datetime.now().astimezone().isoformat(timespec="seconds"),
            "room": f"{self._config.school}/{self._config.room}",
            "unsent_bytes": sum(one.size_bytes - one.state.sent_bytes for one in recordings if not one.state.sent),
            "unreceived": sum(not one.state.received_at for one in recordings),
            "kept": len(recordings),
            "refused_zh": [one.state.refused_zh for one in recordings if one.state.refused_zh],
            "trouble_zh": self.uplink.trouble_zh,
            "clock_offset_ms": self._offset_ms,
            "free_gb": round(shutil.disk_usage(self.spool.folder).free / 2**30, 1),
        }
        write_whole(self.spool.folder / "status.json", json.dumps(told, ensure_ascii=False))


_DOING_ZH = {
    "recording": "正在录",
    "waiting": "等下一节课",
    "retrying": "信号断了，正在重试",
    "sending": "正在上传",
    "stopped": "已停止",
    "starting": "正在启动",
}


def status_line(folder: Path) -> str:
    """What the recorder is doing, in one line; it says so itself when it has been silent."""
    try:
        told: dict[str, Any] = json.loads((folder / "status.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return f"没有在运行过（{folder} 里没有 status.json）"
    pieces = [str(told["room"]), _DOING_ZH.get(told["doing"], str(told["doing"]))]
    if told["doing"] == "recording":
        pieces.append(
            f"{told.get('lesson', '')} 已录 {told.get('seconds', 0) // 60} 分 {told.get('seconds', 0) % 60} 秒"
        )
    if told.get("next_at"):
        pieces.append(f"下一节 {told['next_at'].replace('T', ' ')}")
    pieces.append(f"待上传 {told['unsent_bytes'] / 2**20:.1f} MB")
    pieces.append(f"待回执 {told['unreceived']} 个，本机留有 {told['kept']} 个，磁盘剩 {told['free_gb']} GB")
    if told["clock_offset_ms"] is not None and abs(told["clock_offset_ms"]) > _CLOCK_NOTED_MS:
        pieces.append(f"时钟快 {told['clock_offset_ms'] / 1000:.0f} 秒")
    pieces += [word for word in (told["trouble_zh"], *told["refused_zh"]) if word]
    silent_s = (datetime.now().astimezone() - datetime.fromisoformat(told["at"])).total_seconds()
    if silent_s > 60 and told["doing"] != "stopped":
        pieces.append(f"！已经 {silent_s / 60:.0f} 分钟没有动静，可能已经停了")
    return "  ".join(pieces)


def dry_run(config: Config) -> list[Finding]:
    """Tries everything for some seconds, and leaves nothing behind."""
    found = [_tried("课表", lambda: _coming(config)), _tried("画面", lambda: _picture(config))]
    found.append(_tried("对象存储", lambda: _store(config)))
    found.append(_tried("时钟", lambda: _clock(config)))
    found.append(_tried("磁盘", lambda: _disk(config)))
    if not config.server:
        found.append(Finding(True, "回执", "没有写 server：传完的录像只按 keep_days 保留，不等回执，所以不会自动删除"))
    return found


def _tried(name_zh: str, act: Callable[[], str]) -> Finding:
    try:
        return Finding(True, name_zh, act())
    except HuikanError as error:
        return Finding(False, name_zh, error.reason_zh)


def _coming(config: Config) -> str:
    told = config.timetable
    if told is None:
        return "没有课表：只能用 --for 手动录"
    slots = slots_of(config)
    coming = next_session(
        slots, datetime.now(), timedelta(seconds=told.before_s), timedelta(seconds=told.after_s)  # noqa: DTZ005
    )  # fmt: skip
    return f"{len(slots)} 条；" + (
        f"下一节 {coming.record_from:%m-%d %H:%M} {coming.name}" if coming else "两周内没有课"
    )


def _picture(config: Config) -> str:
    argv = capture_argv(config.source, config.video)
    program = shutil.which("ffmpeg")
    if program is None:
        raise Unavailable("ffmpeg", "not found on PATH", "请安装：apt install ffmpeg。")
    trial = [*argv[:-1], "-t", "3", argv[-1]]
    try:
        done = subprocess.run(
            [program, *trial[1:]], capture_output=True, timeout=40, check=False, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired as error:
        raise Unavailable("画面", "no picture within 40 s", "请检查摄像头的连接与地址。") from error
    units = sum(1 for _ in Cutter().feed(done.stdout))
    if units < 2:
        last = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or [""]
        raise Unavailable("画面", last[0][:200], "请检查摄像头的连接、地址与 size、rate。")
    return f"能录，3 秒 {len(done.stdout) / 2**20:.1f} MB"


def _store(config: Config) -> str:
    reachable(config)
    return f"{config.store.endpoint} 连得上，认得这把密钥"


def _clock(config: Config) -> str:
    offset_ms = clock_offset_ms(config)
    if offset_ms is None:
        return "对象存储没有说时间，无法比较"
    return f"比对象存储快 {offset_ms / 1000:.0f} 秒" if abs(offset_ms) > _CLOCK_NOTED_MS else "准"


def _disk(config: Config) -> str:
    config.spool.folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(config.spool.folder).free
    hours = free / ((config.video.kbps + config.video.sound_kbps) * 125 * 3600)
    if free < LEAST_FREE_BYTES:
        raise DiskFull("录像盘", f"{free} bytes", "请清理录播主机的磁盘。")
    return f"剩 {free / 2**30:.1f} GB，断网时约能存 {hours:.0f} 小时"


def unit_text(config_path: Path, command: Sequence[str], folder: Path) -> str:
    """A systemd unit for this machine: `command` runs the recorder, in `folder` where Huikan's source lies."""
    return f"""[Unit]
Description=Huikan lesson recorder
Wants=network-online.target time-sync.target
After=network-online.target time-sync.target sound.target

[Service]
# The settings hold the secret key: root keeps them, and hands them to this service alone.
LoadCredential=record.toml:{config_path.absolute()}
ExecStart={" ".join(command)} --config ${{CREDENTIALS_DIRECTORY}}/record.toml
WorkingDirectory={folder}
Restart=always
RestartSec=2
DynamicUser=yes
SupplementaryGroups=video audio
StateDirectory=huikan-record
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
NoNewPrivileges=yes
MemoryMax=1G

[Install]
WantedBy=multi-user.target
"""
