"""One task of a ladder is done: hls_segments of one stretch in some rungs, or all the sound; and what could not be read.

Decoding is strict first. Where that stops, the stretch is decoded patiently: what is damaged is held on the last good
picture or as silence, and counted, because a lesson with a flaw is better than none, if people are told.
"""

import errno
import hashlib
import os
import shutil
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from archive.errors import DiskFull, ToolFailed, ToolTimeout, Unavailable, Unreadable
from archive.model import Probe, Span
from archive.tool import Confined, Limits, run_tool
from transcode import command
from transcode.damage import Toll, toll
from transcode.ladder import AudioRung, CopyRung, Rung, VideoRung, View, frame_rate_of
from transcode.measure import HlsSegment, settled
from transcode.plan import Reading, Survey, Task, all_rungs, view_of

# Threads of each encoder when nobody says. Several lessons at a time keep more cores busy than this at less overhead.
# x264 with more than one thread and a rate cap writes slightly different bytes at each run (measured: four runs, four
# results; with one thread always the same); names and durations, so the media playlists too, stay the same.
MOST_THREADS = 4

# Less room than this on the work disk, and the encoding stops: ffmpeg itself goes on for hours writing nothing.
STOP_BELOW_BYTES = 32 * 2**20

_START_S, _SLOWEST = 300, 20  # wall seconds to begin with, and per second of lesson: medium takes 1.3 of CPU
_MEMORY_BYTES = 4 * 2**30  # address space: a source of 4096x2160 maps 1.3 GiB with 4 threads, 2.5 with 16
_MAX_THREADS = 16
_HLS_SEGMENT_BYTES = 64 * 2**20  # a hundred times the fattest
_SILENCE_LUFS = -60.0  # below it there is nothing to make audible
_GAP_MS = 200  # five pictures: less is no loss that anybody sees
_FREE_ZH = "请清理磁盘空间，任务会自动继续。"


@dataclass(frozen=True, slots=True)
class Effort:
    """How an operator wants pictures encoded. `threads` 0 follows the machine, 1 gives the same bytes at every run."""

    preset: str = "medium"
    threads: int = 0
    encoder: str = command.X264

    @property
    def thread_count(self) -> int:
        return min(self.threads or min(MOST_THREADS, os.cpu_count() or 1), _MAX_THREADS)


@dataclass(frozen=True, slots=True)
class Made:
    """What a task came to: each rung's hls_segments in order, the sha256 of the init they follow, and how many ms of the
    stretch could not be read."""

    rungs: dict[str, tuple[HlsSegment, ...]]
    inits: dict[str, str]
    lost_ms: int

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, kept: dict[str, Any]) -> "Made":
        rungs = {name: tuple(HlsSegment(**segment) for segment in segments) for name, segments in kept["rungs"].items()}
        return cls(rungs, kept["inits"], kept["lost_ms"])


@dataclass(frozen=True, slots=True)
class Bench:
    """What a task works with: `source` as transcode.survey left it, the directory to write below, and two wires out."""

    source: Path
    probe: Probe
    survey: Survey
    out_dir: Path
    name: str  # what people know the recording by
    on_progress: Callable[[float], None]
    cancelled: Callable[[], bool]


def works_here(encoder: str) -> bool:
    """Whether this machine can encode so: asked of the machine by doing it, in the sandbox, as lessons are."""
    try:
        run_tool(command.trial_argv(encoder), limits=Limits(wall_s=30), confined=Confined(()))
    except (ToolFailed, ToolTimeout):
        return False
    return True


def make(task: Task, bench: Bench, effort: Effort) -> Made:
    """Do the task: <rung>/init.mp4 and <rung>/seg-….m4s below `bench.out_dir`; nothing stays there if it fails.

    Raises Unreadable if the recording has nothing there to show, DiskFull, Unavailable, ToolTimeout or Cancelled.
    """
    known = all_rungs(bench.probe, bench.survey)
    rungs = [known[name] for name in task.rungs]
    with _fresh_directories(bench.out_dir, [rung.name for rung in rungs]):
        lost_ms = _written(task, rungs, bench, effort)
        start_us = task.start_s * 1_000_000
        if isinstance(rungs[0], CopyRung):
            start_us = bench.survey.video[_place(task, bench.probe)].start_ms * 1000
        segments = {
            rung.name: settled(bench.out_dir / rung.name, rung, start_us=start_us, first_segment=task.first_segment)
            for rung in rungs
        }
        inits = {rung.name: _sha256(bench.out_dir / rung.name / command.INIT_NAME) for rung in rungs}
    bench.on_progress(1.0)
    return Made(segments, inits, lost_ms)


def _written(task: Task, rungs: list[Rung], bench: Bench, effort: Effort) -> int:
    """Runs ffmpeg; returns how many ms of the source were lost on the way."""
    sounds = tuple(rung for rung in rungs if isinstance(rung, AudioRung))
    if sounds:
        return _sound_written(sounds, bench)
    view = view_of(task, bench.probe)
    if isinstance(rungs[0], CopyRung):
        _run(command.kept_argv(bench.source, view, rungs[0]), bench)
        return 0
    pictures = tuple(rung for rung in rungs if isinstance(rung, VideoRung))
    return _pictures_written(task, view, pictures, bench, effort)


def _pictures_written(task: Task, view: View, rungs: tuple[VideoRung, ...], bench: Bench, effort: Effort) -> int:
    def argv(*, strict: bool) -> list[str]:
        return command.part_argv(
            bench.source,
            view,
            rungs,
            task,
            preset=effort.preset,
            threads=effort.thread_count,
            encoder=effort.encoder,
            strict=strict,
        )

    end_ms = round((task.start_s + task.pictures / frame_rate_of(view.track)) * 1000)
    span = Span(task.start_s * 1000, end_ms)
    progress = _noting(command.pictures_done, task.pictures, bench.on_progress)
    decoded: list[int] = []

    def note(line: str) -> None:
        at_ms = command.decoded_ms(line)
        if at_ms is None:
            progress(line)
        else:
            decoded.append(at_ms)

    try:
        _run(argv(strict=True), bench, note, encoder=effort.encoder)
    except ToolFailed as error:
        paid = _toll(view.track.index, span, bench, effort)
        if not paid.is_all and _went_again(argv(strict=False), bench, progress, error, paid):
            return paid.lost_ms
        _run(command.blank_argv(rungs, view, task, preset=effort.preset), bench, progress)
        return span.duration_ms
    reading = bench.survey.video[_place(task, bench.probe)]
    if _longest_gap_ms(decoded, span, reading) <= reading.longest_gap_ms + _GAP_MS:
        return 0
    # Some decoders pass over what they cannot read without a word.
    return _toll(view.track.index, span, bench, effort).lost_ms


def _longest_gap_ms(decoded: list[int], span: Span, reading: Reading) -> int:
    """Between the pictures that came out, within what the source has of the span."""
    start_ms, end_ms = max(span.start_ms, reading.start_ms), min(span.end_ms, reading.end_ms)
    times = [start_ms, *sorted(at for at in decoded if start_ms < at < end_ms), end_ms]
    return max((after - before for before, after in pairwise(times)), default=0)


def _sound_written(rungs: tuple[AudioRung, ...], bench: Bench) -> int:
    track, duration_ms = bench.probe.audio[0], bench.survey.end_ms
    gain_db = bench.survey.gain_db
    if gain_db is None:
        gain_db = loudness_gain_db(bench)

    def argv(*, strict: bool) -> list[str]:
        return command.sound_argv(bench.source, track, rungs, duration_ms, gain_db=gain_db, strict=strict)

    note = _noting(command.ms_done, duration_ms, bench.on_progress)
    try:
        _run(argv(strict=True), bench, note)
    except ToolFailed as error:
        paid = _toll(track.index, Span(0, max(1, bench.survey.audio_end_ms)), bench, Effort(threads=1))
        if not paid.is_all and _went_again(argv(strict=False), bench, note, error, paid):
            return paid.lost_ms
        reason_zh = "录像的声音无法解码，没有声音就不成课。请在录播主机上检查原文件，重新导出后再上传。"
        raise Unreadable(bench.name, f"sound does not decode: {error}", reason_zh) from error
    return 0


def loudness_gain_db(bench: Bench) -> float:
    """What brings the lesson to the loudness of all others. 0 for silence: there it would be only the noise."""
    heard: list[float] = []

    def note(line: str) -> None:
        measured = command.loudness_lufs(line)
        if measured is not None:
            heard[:] = [measured]  # integrated from the beginning on: the last one counts

    with suppress(ToolFailed):  # the encoding itself will say what is wrong, and what was heard before counts
        _run(command.loudness_argv(bench.source, bench.probe.audio[0], bench.survey.end_ms), bench, note)
    if not heard or heard[0] < _SILENCE_LUFS:
        return 0.0
    gain_db = command.LOUDNESS_LUFS - heard[0]
    return max(-command.MAX_GAIN_DB, min(command.MAX_GAIN_DB, gain_db))


def _went_again(argv: list[str], bench: Bench, note: Callable[[str], None], strictly: ToolFailed, paid: Toll) -> bool:
    """The patient run; False if what is damaged stops that too (sound whose channels change at every packet). If nothing
    is damaged the source is not to blame: raises Unavailable."""
    try:
        _run(argv, bench, note)
    except ToolFailed as error:
        if paid.lost_ms:
            return False
        zh = "录像本身可以解码，请运行 huikan doctor 检查这台机器上的 ffmpeg。"
        raise Unavailable("ffmpeg", f"{error} (strictly: {strictly})", zh) from error
    return True


def _toll(index: int, span: Span, bench: Bench, effort: Effort) -> Toll:
    threads, limits = effort.thread_count, _limits(bench)
    return toll(bench.source, index, span, threads=threads, limits=limits, cancelled=bench.cancelled)


def _run(
    argv: list[str], bench: Bench, note: Callable[[str], None] | None = None, *, encoder: str = command.X264
) -> None:
    out_dir = bench.out_dir.absolute()
    # A graphics card's driver reserves more address space than the machine has memory.
    limits = _limits(bench, memory_bytes=_MEMORY_BYTES if encoder == command.X264 else None)
    run_tool(
        argv,
        limits=limits,
        cwd=out_dir,
        on_line=note,
        cancelled=_cancelled_or_full(out_dir, bench.cancelled),
        confined=Confined(reads=(bench.source.absolute(),), writes=out_dir),
    )


def _noting(
    done: Callable[[str], int | None], planned: int, on_progress: Callable[[float], None]
) -> Callable[[str], None]:
    """Passes on how far it is, forwards only."""
    furthest = 0.0

    def note(line: str) -> None:
        nonlocal furthest
        made = done(line)
        fraction = 0.0 if made is None else min(1.0, made / planned)
        if fraction > furthest:
            furthest = fraction
            on_progress(fraction)

    return note


def _cancelled_or_full(out_dir: Path, cancelled: Callable[[], bool]) -> Callable[[], bool]:
    def stop() -> bool:
        free_bytes = shutil.disk_usage(out_dir).free
        if free_bytes < STOP_BELOW_BYTES:
            raise DiskFull("工作磁盘", f"{free_bytes} bytes left on the work disk", _FREE_ZH)
        return cancelled()

    return stop


def _limits(bench: Bench, *, memory_bytes: int | None = _MEMORY_BYTES) -> Limits:
    return Limits(
        wall_s=_START_S + _SLOWEST * bench.survey.end_ms / 1000,
        memory_bytes=memory_bytes,
        file_bytes=_HLS_SEGMENT_BYTES,
    )


@contextmanager
def _fresh_directories(out_dir: Path, names: list[str]) -> Generator[None]:
    """One directory a rung, without what a killed run left in them; removed again unless all goes well, because what a
    failed run wrote may be what fills the disk."""
    directories = [out_dir / name for name in names]
    whole = False
    try:
        for directory in directories:
            shutil.rmtree(directory, ignore_errors=True)
            _make(directory)
        yield
        whole = True
    finally:
        for directory in directories if not whole else ():
            shutil.rmtree(directory, ignore_errors=True)


def _make(directory: Path) -> None:
    try:
        directory.mkdir(parents=True)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull("工作磁盘", f"no space left for {directory.name}", _FREE_ZH) from error
        raise


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _place(task: Task, probe: Probe) -> int:
    return [track.index for track in probe.video].index(view_of(task, probe).track.index)
