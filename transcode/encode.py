"""A recording becomes renditions: one ffmpeg, one decode, and a verdict on whether all of the lesson came through.

What is damaged is refused with a reason (a lesson that breaks off in the middle would be found out by a child), and
only what is damaged: before the source is blamed it is decoded once more on its own, for a broken ffmpeg or a full
machine fails on every source, and a refusal is for good.
"""

import errno
import os
import shutil
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

from archive.errors import DiskFull, HuikanError, ToolFailed, ToolTimeout, Unavailable, Unreadable
from archive.model import Probe, Rendition
from archive.timecode import clock_from_ms
from archive.tool import Limits, run_tool
from transcode.command import decode_argv, encode_argv, fraction_done
from transcode.ladder import Rung, rungs_for
from transcode.measure import measured

# Threads of each encoder when nobody says. Several lessons at a time keep more cores busy than this at less overhead.
# x264 with more than one thread and a rate cap writes slightly different bytes at each run (measured: four runs, four
# results; with one thread always the same); names and durations, so the media playlists too, stay the same.
MOST_THREADS = 4

# How much shorter than the header says the longest rendition may be: muxers count the last picture differently, and a
# recorder that is switched off loses what it had not flushed.
SHORTFALL_MS = 2000
SHORTFALL_FRACTION = 0.005

# Less room than this on the work disk, and the encoding stops: ffmpeg itself goes on for hours writing nothing.
STOP_BELOW_BYTES = 32 * 2**20

_START_S, _SLOWEST = (
    300,
    20,
)  # wall seconds to begin with, and per second of lesson: medium takes 1.3 of CPU on a slow core
_MEMORY_BYTES = 4 * 2**30  # address space: a source of 4096x2160 maps 1.3 GiB with 4 threads, 2.5 with 16
_MAX_THREADS = 16
_HLS_SEGMENT_BYTES = 64 * 2**20  # a hundred times the fattest
_ESTIMATED = {"mp3"}  # containers whose headers only guess how long they are
_FREE_ZH = "请清理磁盘空间，任务会自动继续。"
_AGAIN_ZH = "请在录播主机上检查原文件能否完整播放，重新导出后再上传。"


def encode(
    source: Path,
    probe: Probe,
    out_dir: Path,
    *,
    preset: str,
    threads: int,
    name: str,
    on_progress: Callable[[float], None],
    cancelled: Callable[[], bool],
) -> tuple[Rendition, ...]:
    """All rungs of `source` below `out_dir`; nothing stays there if it fails. `threads` 0 follows the machine, 1
    gives the same bytes at every run.

    Raises Unreadable if the source cannot be decoded to its end, DiskFull, Unavailable or Cancelled.
    """
    rungs = rungs_for(probe)
    threads = min(threads or min(MOST_THREADS, os.cpu_count() or 1), _MAX_THREADS)
    done = _Done(probe.duration_ms, on_progress)
    argv = encode_argv(source.absolute(), probe, rungs, preset=preset, threads=threads)
    with _fresh_directories(out_dir, rungs):
        try:
            stop = _cancelled_or_full(out_dir, cancelled)
            run_tool(argv, limits=_limits(probe), cwd=out_dir, on_line=done.note, cancelled=stop)
        except (ToolFailed, ToolTimeout) as error:
            raise _blamed(error, source, probe, threads, name, done, cancelled) from error
        renditions = tuple(measured(out_dir / rung.name, rung) for rung in rungs)
        _check_length(name, probe, renditions)
    on_progress(1.0)
    return renditions


class _Done:
    """How far the encoding is, told on."""

    def __init__(self, duration_ms: int, on_progress: Callable[[float], None]) -> None:
        self.duration_ms, self.fraction = duration_ms, 0.0
        self._on_progress = on_progress

    def note(self, line: str) -> None:
        fraction = fraction_done(line, self.duration_ms)
        if fraction is not None and fraction > self.fraction:
            self.fraction = fraction
            self._on_progress(fraction)


def _cancelled_or_full(out_dir: Path, cancelled: Callable[[], bool]) -> Callable[[], bool]:
    def stop() -> bool:
        free_bytes = shutil.disk_usage(out_dir).free
        if free_bytes < STOP_BELOW_BYTES:
            raise DiskFull("工作磁盘", f"{free_bytes} bytes left on the work disk", _FREE_ZH)
        return cancelled()

    return stop


def _limits(probe: Probe) -> Limits:
    return Limits(
        wall_s=_START_S + _SLOWEST * probe.duration_ms / 1000,
        memory_bytes=_MEMORY_BYTES,
        file_bytes=_HLS_SEGMENT_BYTES,
    )


@contextmanager
def _fresh_directories(out_dir: Path, rungs: tuple[Rung, ...]) -> Generator[None]:
    """One directory a rung, without what a killed run left in them; removed again unless all goes well, because what a
    failed run wrote may be what fills the disk."""
    directories = [out_dir / rung.name for rung in rungs]
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


def _blamed(
    error: ToolFailed | ToolTimeout,
    source: Path,
    probe: Probe,
    threads: int,
    name: str,
    done: _Done,
    cancelled: Callable[[], bool],
) -> HuikanError:
    """Whose fault a failed encoding is: the source's, if it cannot be decoded alone either."""
    try:
        run_tool(decode_argv(source.absolute(), probe, threads=threads), limits=_limits(probe), cancelled=cancelled)
    except (ToolFailed, ToolTimeout) as damage:
        at = clock_from_ms(round(done.fraction * probe.duration_ms))
        return Unreadable(
            name,
            f"does not decode near {at}: {damage}",
            f"录像在 {at} 附近损坏（全长 {clock_from_ms(probe.duration_ms)}），无法完整解码。{_AGAIN_ZH}",
        )
    return Unavailable("ffmpeg", str(error), "录像本身没有问题，请运行 huikan doctor 检查这台机器上的 ffmpeg。")


def _check_length(name: str, probe: Probe, renditions: tuple[Rendition, ...]) -> None:
    """A truncated file whose index came first decodes without an error, up to where it stops."""
    if probe.container in _ESTIMATED:
        return
    longest_ms = max(rendition.duration_ms for rendition in renditions)
    lost_ms = probe.duration_ms - longest_ms
    if lost_ms > max(SHORTFALL_MS, SHORTFALL_FRACTION * probe.duration_ms):
        whole, there = clock_from_ms(probe.duration_ms), clock_from_ms(longest_ms)
        raise Unreadable(
            name,
            f"truncated: {longest_ms} of {probe.duration_ms} ms",
            f"录像不完整：应有 {whole}，实际只有 {there}。录制或上传可能中断了，{_AGAIN_ZH}",
        )
