"""A recording's ladder, step by step: surveyed, made task by task by any number of workers, opened, finished.

    survey    reads through the packets and cuts the work into tasks
    encode    one task: its hls_segments go to the store as soon as they are made, then it is written down
    open_early  the sound and one picture are whole: the lesson can be watched while the others are made
    finish    every rung is whole: playlists, poster, board, and a file for players without HLS

Like all steps they raise Rejected, Unavailable or Cancelled only, and do nothing where the output exists.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from archive.crash import crash_point
from archive.errors import Unavailable, Unreadable
from archive.keys import poster_key, progressive_key, rendition_prefix, rung_prefix, still_key
from archive.model import Damage, Probe, Recording, Rendition
from ingest.live import begun_as
from ingest.progress import reporter
from ingest.runtime import Runtime
from ingest.steps import probe_recording
from ingest.workspace import encode_dir, enterable_path, forget_encoding, local_source, reserve, scratch
from transcode import board, ladder, per_title, progressive, stills
from transcode.command import INIT_NAME
from transcode.encode import Bench, Effort, Made, make
from transcode.join import Whole, damage_of, gather, misfits, wholes
from transcode.plan import Survey, Task, most_bytes, tasks_for, weight
from transcode.playlist import KEYFRAMES_NAME, keyframes_playlist, media_playlist, target_s
from transcode.survey import enterable_copy, is_entered_as_it_is, probe_of_copy, survey

EDITION = ladder.EDITION

_PLAYLIST_TYPE = "application/vnd.apple.mpegurl"
_CONTENT_TYPES = {
    ".mp4": "video/mp4",
    ".m4s": "video/iso.segment",
    ".jpg": "image/jpeg",
    ".webp": "image/webp",
    ".vtt": "text/vtt; charset=utf-8",
}
_SPARE_BYTES = 64 * 2**20  # the shortest part, with what ffmpeg keeps open, and then some
_SHARP_PX = 720  # stills are cut from this picture at most: phones show no more
_FINISHING = 0.03  # of the work: the board and the file for players without HLS


@dataclass(frozen=True, slots=True)
class Making:
    """A ladder in the making, as the catalog knows it."""

    recording: Recording
    probe: Probe  # of the file that is read: its track numbers may differ from the recording's
    survey: Survey
    tasks: tuple[Task, ...]
    made: dict[str, Made]

    @property
    def waiting(self) -> tuple[Task, ...]:
        return tuple(task for task in self.tasks if task.name not in self.made)

    @property
    def fraction(self) -> float:
        whole = sum(weight(task, self.probe) for task in self.tasks)
        return (1 - _FINISHING) * sum(weight(task, self.probe) for task in self.tasks if task.name in self.made) / whole

    def share(self, task: Task) -> float:
        return (1 - _FINISHING) * weight(task, self.probe) / sum(weight(one, self.probe) for one in self.tasks)


def survey_recording(runtime: Runtime, recording_id: str, *, redo: bool = False) -> tuple[Task, ...]:
    """Cuts the work into tasks and returns those that are still to be done; none when the ladder is whole."""
    encodings = runtime.catalog.encodings
    if encodings.is_whole(recording_id, EDITION) and not redo:
        return ()
    if redo:
        encodings.forget(recording_id, EDITION)
        forget_encoding(runtime, recording_id)
    if encodings.survey(recording_id, EDITION) is None:
        recording = runtime.catalog.outputs.recording(recording_id)
        found = probe_recording(runtime, recording_id)
        source, read, enterable = _entered(runtime, recording, found)
        surveyed = survey(source, read, name=recording.key, enterable=enterable)
        was_live, begun = begun_as(runtime, recording_id)
        if begun is not None:
            surveyed = _as_begun(surveyed, begun)
        else:
            with scratch(runtime) as trials:
                trials.mkdir()
                surveyed = per_title.with_offsets(source, read, surveyed, trials, cancelled=runtime.stopping)
            # One that was over before its first part was made is waited for all the same.
            surveyed = replace(surveyed, live=was_live)
        encodings.keep_survey(recording_id, EDITION, surveyed.as_json())
        crash_point("survey:kept")
    return making(runtime, recording_id).waiting


def _as_begun(whole: Survey, first: Survey) -> Survey:
    """The rest is made as the beginning was, while the lesson was still being taught."""
    video = tuple(replace(now, crf_offset=then.crf_offset) for now, then in zip(whole.video, first.video, strict=True))
    return replace(whole, video=video, live=True, gain_db=first.gain_db)


def making(runtime: Runtime, recording_id: str) -> Making:
    """Raises Unavailable before the survey."""
    encodings = runtime.catalog.encodings
    recording = runtime.catalog.outputs.recording(recording_id)
    kept = encodings.survey(recording_id, EDITION)
    if kept is None or recording.probe is None:
        raise Unavailable("转码计划", "not surveyed yet", "会自动继续。")
    surveyed = Survey.from_json(kept)
    copied = surveyed.seekable and not is_entered_as_it_is(recording.probe)
    read = probe_of_copy(recording.probe) if copied else recording.probe
    made = {name: Made.from_json(json) for name, json in encodings.made(recording_id, EDITION).items()}
    return Making(recording, read, surveyed, tasks_for(read, surveyed), made)


def encode_task(runtime: Runtime, recording_id: str, name: str) -> None:
    """Does one task and keeps it. Nothing is done for a task that is done, or that another plan had."""
    now = making(runtime, recording_id)
    task = next((task for task in now.waiting if task.name == name), None)
    if task is None:
        return
    source, read, _ = _entered(runtime, now.recording, now.probe)
    reserve(runtime, _SPARE_BYTES + most_bytes(task, read, now.survey))
    settings = runtime.settings
    bench = Bench(
        source=source,
        probe=read,
        survey=now.survey,
        out_dir=encode_dir(runtime, recording_id, EDITION) / "tasks" / name,
        name=now.recording.key,
        on_progress=reporter(runtime, recording_id, "encode", done=now.fraction, share=now.share(task)),
        cancelled=runtime.stopping,
    )
    effort = Effort(settings.encode_preset, settings.encode_threads, settings.encoder)
    done = make(task, bench, effort)
    crash_point("encode:made")
    for rung, segments in done.rungs.items():
        for file in (INIT_NAME, *(segment.name for segment in segments)):
            _put(runtime, f"{rung_prefix(recording_id, EDITION, rung)}/{file}", bench.out_dir / rung / file)
    crash_point("encode:stored")
    runtime.catalog.encodings.keep_made(recording_id, EDITION, name, done.as_json())
    crash_point("encode:kept")
    gather(done, bench.out_dir, _ladder_dir(runtime, recording_id))


def open_early(runtime: Runtime, recording_id: str) -> None:
    """Writes down the rungs that are whole, once the urgent tasks are. Raises Unreadable if too much of the recording is
    damaged."""
    if runtime.catalog.encodings.is_whole(recording_id, EDITION):
        return
    now = _consistent(runtime, recording_id)
    if any(task.is_urgent for task in now.waiting):
        raise Unavailable("转码结果", "the first rungs are not whole yet", "会自动继续。")
    renditions = [whole.rendition for whole in _written_down(runtime, now)]
    _keep_poster(runtime, now)
    runtime.catalog.outputs.keep_renditions(recording_id, EDITION, renditions, is_whole=False)
    crash_point("open:kept")


def finish_encoding(runtime: Runtime, recording_id: str) -> None:
    """The whole ladder, with everything that is made from it."""
    if runtime.catalog.encodings.is_whole(recording_id, EDITION):
        return
    now = _consistent(runtime, recording_id)
    if now.waiting:
        raise Unavailable("转码结果", f"{len(now.waiting)} tasks are not done yet", "会自动继续。")
    whole = _written_down(runtime, now)
    _keep_poster(runtime, now)
    report = reporter(runtime, recording_id, "encode", done=1 - _FINISHING, share=_FINISHING)
    _keep_board(runtime, now, whole, report)
    _keep_progressive(runtime, now, whole)
    crash_point("finish:stored")
    runtime.catalog.outputs.keep_renditions(recording_id, EDITION, [made.rendition for made in whole])
    crash_point("finish:kept")


def _entered(runtime: Runtime, recording: Recording, found: Probe) -> tuple[Path, Probe, bool]:
    """The file that tasks read, its tracks, and whether it can be entered in the middle."""
    source = local_source(runtime, recording)
    if is_entered_as_it_is(found):
        return source, found, True
    copy = enterable_path(runtime, recording.id)
    if not copy.exists():
        reserve(runtime, recording.size_bytes)
        if not enterable_copy(source, found, copy):
            return source, found, False
    return copy, probe_of_copy(found), True


def _consistent(runtime: Runtime, recording_id: str) -> Making:
    """The ladder as it is now, if its parts fit together; the ones that do not are ordered anew."""
    now = making(runtime, recording_id)
    odd = misfits(now.tasks, now.made)
    if odd:
        runtime.catalog.encodings.forget(recording_id, EDITION, odd)
        raise Unavailable("转码结果", f"{len(odd)} parts were made by another ffmpeg", "会自动重做这些分段。")
    return now


def _written_down(runtime: Runtime, now: Making) -> tuple[Whole, ...]:
    """Playlists of every rung that is whole by now are in the store; and what of the recording is lost is known."""
    recording_id = now.recording.id
    damage = _damage(runtime, now)
    prefix = rendition_prefix(recording_id, EDITION)

    def init_of(rung: str) -> bytes:
        return _piece(runtime, recording_id, rung, INIT_NAME).read_bytes()

    found = wholes(now.probe, now.survey, now.tasks, now.made, init_of, prefix)
    lesson_target_s = target_s(whole.segments for whole in found)
    for whole in found:
        _put_playlists(runtime, whole, lesson_target_s)
    if damage != now.recording.damage:
        lasts_ms = now.survey.end_ms if now.survey.cut_off_ms else now.probe.duration_ms
        runtime.catalog.encodings.keep_damage(recording_id, damage, readable_ms=lasts_ms)
    return found


def _damage(runtime: Runtime, now: Making) -> Damage | None:
    """Raises Unreadable, and takes back what was stored, if too little of the recording is left."""
    try:
        return damage_of(now.probe, now.survey, now.tasks, now.made, now.recording.key)
    except Unreadable:
        if runtime.catalog.outputs.publication(now.recording.lesson_id) is None:
            for found in list(runtime.store.list(runtime.media, f"{rendition_prefix(now.recording.id, EDITION)}/")):
                runtime.store.delete(runtime.media, found.key)
            runtime.catalog.encodings.forget(now.recording.id, EDITION)
        raise


def _put_playlists(runtime: Runtime, whole: Whole, lesson_target_s: int) -> None:
    key, segments = whole.rendition.playlist_key, whole.segments
    text = media_playlist(segments, lesson_target_s)
    runtime.store.put_bytes(runtime.media, key, text.encode(), _PLAYLIST_TYPE)
    if whole.rendition.height:
        beside = f"{key.rpartition('/')[0]}/{KEYFRAMES_NAME}"
        text = keyframes_playlist(segments, lesson_target_s)
        runtime.store.put_bytes(runtime.media, beside, text.encode(), _PLAYLIST_TYPE)


def _keep_poster(runtime: Runtime, now: Making) -> None:
    key = poster_key(now.recording.id, EDITION)
    if not now.probe.video or runtime.store.stat(runtime.media, key) is not None:
        return
    source, read, _ = _entered(runtime, now.recording, now.probe)
    with scratch(runtime, ".jpg") as picture:
        if stills.poster(source, read, picture):
            _put(runtime, key, picture)


def _keep_board(runtime: Runtime, now: Making, whole: Sequence[Whole], on_progress: Callable[[float], None]) -> None:
    """The lesson's stills, from its main view: the smallest picture tells when, a larger one how it looks."""
    pictures = _main_pictures(now, whole)
    if not pictures:
        return
    recording_id = now.recording.id
    sharp = max((r for r in pictures if min(r.width, r.height) <= _SHARP_PX), key=_area, default=pictures[0])

    def piece(rung: str, name: str) -> Path:
        return _piece(runtime, recording_id, rung, name)

    with scratch(runtime) as out:
        out.mkdir()
        made = board.make_board(piece, pictures[0], sharp, out, on_progress=on_progress, cancelled=runtime.stopping)
        for path in sorted(out.iterdir()):
            _put(runtime, still_key(recording_id, EDITION, path.name), path)
    runtime.catalog.encodings.keep_board(recording_id, EDITION, made)


def _keep_progressive(runtime: Runtime, now: Making, whole: Sequence[Whole]) -> None:
    """The smallest picture and the plain sound as one file."""
    recording_id = now.recording.id
    wanted = {ladder.SPEECH.name, *(picture.rung for picture in _main_pictures(now, whole)[:1])}
    chosen = [one for one in whole if one.rendition.rung in wanted]
    reserve(runtime, 2 * sum(one.rendition.size_bytes for one in chosen) + _SPARE_BYTES)
    parts = [
        [_piece(runtime, recording_id, one.rendition.rung, name) for name in (INIT_NAME, *_names(one))]
        for one in chosen
    ]
    with scratch(runtime) as out:
        out.mkdir()
        path = progressive.whole_file(parts, out, duration_ms=now.survey.end_ms, cancelled=runtime.stopping)
        _put(runtime, progressive_key(recording_id, EDITION), path)


def _main_pictures(now: Making, whole: Sequence[Whole]) -> list[Rendition]:
    """The first view's renditions, smallest first."""
    main = next((view.name for view in ladder.views_of(now.probe)), "")
    return sorted((one.rendition for one in whole if one.rendition.height and one.rendition.view == main), key=_area)


def _area(rendition: Rendition) -> int:
    return rendition.width * rendition.height


def _names(whole: Whole) -> list[str]:
    return [segment.name for segment in whole.segments]


def _piece(runtime: Runtime, recording_id: str, rung: str, name: str) -> Path:
    """A file of the ladder on the work disk; fetched where another worker made it."""
    path = _ladder_dir(runtime, recording_id) / rung / name
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with scratch(runtime) as fresh:
            runtime.store.get_file(runtime.media, f"{rung_prefix(recording_id, EDITION, rung)}/{name}", fresh)
            fresh.replace(path)
    return path


def _ladder_dir(runtime: Runtime, recording_id: str) -> Path:
    return encode_dir(runtime, recording_id, EDITION) / "ladder"


def _put(runtime: Runtime, key: str, path: Path) -> None:
    runtime.store.put_file(runtime.media, key, path, _CONTENT_TYPES[path.suffix])
