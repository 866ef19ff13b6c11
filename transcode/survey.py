"""A recording is looked through before it is cut: where its packets begin and end, and a copy that can be entered anywhere.

Nothing is decoded here, so it costs seconds for a lesson. MP4, MOV and MKV say where their keyframes are; TS, FLV and
AVI do not, or not reliably, and their clocks may jump: those are copied, packet by packet, into an MKV first.
"""

from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from archive import hardening
from archive.errors import ToolFailed, ToolTimeout, Unreadable
from archive.model import Probe
from archive.timecode import clock_from_ms, ms_from_seconds
from archive.tool import Confined, Limits, run_tool
from transcode.command import copy_argv
from transcode.plan import LEAST_READABLE, Reading, Survey

_ENTERED_AS_IT_IS = ("mov", "matroska")
_ESTIMATED = ("mp3",)  # containers whose headers only guess how long they are
_AGAIN_ZH = "请在录播主机上检查原文件能否播放，重新导出后再上传。"

# How much shorter than the header says a recording may be: muxers count the last picture differently, and a recorder
# that is switched off loses what it had not flushed.
SHORTFALL_MS = 2000
SHORTFALL_FRACTION = 0.005


def is_entered_as_it_is(probe: Probe) -> bool:
    """Whether the recording itself can be read from the middle; else `enterable_copy` makes a file that can."""
    return not probe.video or any(name in probe.container for name in _ENTERED_AS_IT_IS)


def enterable_copy(source: Path, probe: Probe, target: Path) -> bool:
    """Write the tracks of `source` into an MKV at `target`. False, and no file, if its packets do not let themselves be
    copied: then it can only be read from its beginning. Raises DiskFull and Unavailable.
    """
    fresh = target.with_name(f"{target.name}.part")
    confined = Confined(reads=(source.absolute(),), writes=fresh.parent.absolute())
    try:
        run_tool(
            copy_argv(source.absolute(), probe, fresh.name), limits=_limits(probe), cwd=fresh.parent, confined=confined
        )
    except (ToolFailed, ToolTimeout):
        fresh.unlink(missing_ok=True)
        return False
    fresh.replace(target)
    return True


def probe_of_copy(probe: Probe) -> Probe:
    """The same tracks as `enterable_copy` numbers them."""
    places = {index: place for place, index in enumerate(sorted(track.index for track in (*probe.video, *probe.audio)))}
    return replace(
        probe,
        container="matroska",
        video=tuple(replace(track, index=places[track.index]) for track in probe.video),
        audio=tuple(replace(track, index=places[track.index]) for track in probe.audio),
    )


def survey(source: Path, probe: Probe, *, name: str, enterable: bool) -> Survey:
    """Read every packet's header. `name` is what people know the recording by. Raises Unreadable if there
    are none, or less than half of what the header says."""
    tracks = _packets(source, probe)
    video = tuple(tracks[track.index].reading(probe.duration_ms) for track in probe.video)
    audio_end_ms = max((tracks[track.index].reading(probe.duration_ms).end_ms for track in probe.audio[:1]), default=0)
    end_ms = max([audio_end_ms, *(reading.end_ms for reading in video)])
    if not end_ms:
        raise Unreadable(name, "no packets", f"文件里没有可读的画面或声音，内容已丢失。{_AGAIN_ZH}")
    cut_off_ms = probe.duration_ms - end_ms
    if probe.container in _ESTIMATED or cut_off_ms <= max(SHORTFALL_MS, SHORTFALL_FRACTION * probe.duration_ms):
        cut_off_ms = 0
    if cut_off_ms > (1 - LEAST_READABLE) * probe.duration_ms:
        whole, there = clock_from_ms(probe.duration_ms), clock_from_ms(end_ms)
        zh = f"录像不完整：应有 {whole}，实际只有 {there}。录制或上传可能中断了，{_AGAIN_ZH}"
        raise Unreadable(name, f"truncated: {end_ms} of {probe.duration_ms} ms", zh)
    return Survey(video, audio_end_ms, enterable, cut_off_ms)


@dataclass(slots=True)
class _Track:
    """One track's packets, added up as they pass. Times are the file's own until `reading`."""

    file_start_ms: int = 0
    first_ms: int | None = None
    end_ms: int = 0
    key_ms: int | None = None
    longest_gop_ms: int = 0
    latest_ms: int | None = None
    longest_gap_ms: int = 0
    size_bytes: int = 0

    def note(self, start_ms: int, length_ms: int, size_bytes: int, *, is_key: bool) -> None:
        self.first_ms = start_ms if self.first_ms is None else min(self.first_ms, start_ms)
        self.end_ms = max(self.end_ms, start_ms + length_ms)
        self.size_bytes += size_bytes
        # In decoding order: a picture that is shown later comes before those that lean on it, so this may be a few
        # pictures' time too long, never too short.
        if self.latest_ms is not None:
            self.longest_gap_ms = max(self.longest_gap_ms, start_ms - self.latest_ms)
        self.latest_ms = start_ms if self.latest_ms is None else max(self.latest_ms, start_ms)
        if is_key:
            self.longest_gop_ms = max(
                self.longest_gop_ms, start_ms - (start_ms if self.key_ms is None else self.key_ms)
            )
            self.key_ms = start_ms

    def reading(self, announced_ms: int) -> Reading:
        if self.first_ms is None:
            return Reading(0, 0, 0, 0, 0)
        start_ms, end_ms = max(0, self.first_ms - self.file_start_ms), self.end_ms - self.file_start_ms
        if end_ms > 2 * announced_ms + 60_000:  # a clock that jumps by years: nothing is made of such an end
            end_ms = announced_ms
        gop_ms = max(self.longest_gop_ms, self.end_ms - (self.first_ms if self.key_ms is None else self.key_ms))
        kbps = 8 * self.size_bytes // max(1, end_ms - start_ms)
        return Reading(start_ms, end_ms, gop_ms, self.longest_gap_ms, kbps)


def _packets(source: Path, probe: Probe) -> dict[int, _Track]:
    tracks = {track.index: _Track() for track in (*probe.video, *probe.audio)}
    file_start_ms = 0

    def note(line: str) -> None:
        nonlocal file_start_ms
        kind, *fields = line.strip().split(",")
        if kind == "format":
            file_start_ms = ms_from_seconds(fields[0]) if fields and fields[0] != "N/A" else 0
        elif kind == "packet" and len(fields) >= 5:
            index, start, length, size, flags = fields[:5]
            if index.isdigit() and int(index) in tracks and start != "N/A" and "D" not in flags:
                length_ms = ms_from_seconds(length) if length != "N/A" else 0
                tracks[int(index)].note(ms_from_seconds(start), length_ms, int(size), is_key="K" in flags)

    entries = "format=start_time:packet=stream_index,pts_time,duration_time,size,flags"
    argv = ["ffprobe", "-v", "error", "-of", "csv", "-show_entries", entries, *hardening.probe_input(source)]
    with suppress(ToolFailed, ToolTimeout):  # what stands behind the damage is counted as cut off
        run_tool(argv, limits=_limits(probe), on_line=note, confined=Confined(reads=(source.absolute(),)))
    for track in tracks.values():
        track.file_start_ms = file_start_ms
    return tracks


def _limits(probe: Probe) -> Limits:
    return Limits(wall_s=300 + probe.duration_ms / 1000, memory_bytes=4 * 2**30)
