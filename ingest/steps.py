"""The steps of a recording's way: each makes one output, writes it down, and does nothing if it is there already.

Steps raise Rejected, Unavailable or Cancelled and nothing else on purpose. They know nothing of the workflow engine, so a
test, a shell or another engine can call them.
"""

import json
import time
from collections.abc import Callable
from dataclasses import asdict, replace

from archive.crash import crash_point
from archive.errors import Unavailable
from archive.keys import poster_key, rendition_prefix, source_key, transcript_key
from archive.model import Cue, Probe, Publication, Recording, Rendition, Transcript
from ingest.probe import Acceptance, probe
from ingest.runtime import Runtime
from ingest.workspace import encode_dir, forget, local_source, reserve, scratch
from search import passages
from transcode import encode, ladder, stills
from transcribe import audio, captions, cues, glossary, webvtt

_CONTENT_TYPES = {".m3u8": "application/vnd.apple.mpegurl", ".mp4": "video/mp4", ".m4s": "video/iso.segment"}
_LANGUAGE_TAGS = {"zh": "zh-Hans", "en": "en"}
_PROGRESS_EVERY_S = 1.0


def probe_recording(runtime: Runtime, recording_id: str) -> Probe:
    recording = runtime.catalog.outputs.recording(recording_id)
    if recording.probe is not None:
        return recording.probe
    source = local_source(runtime, recording)
    settings = runtime.settings
    limits = Acceptance(settings.max_duration_min * 60_000, settings.max_recording_bytes)
    found = probe(source, name=recording.key, limits=limits)
    runtime.catalog.outputs.keep_probe(recording_id, found)
    crash_point("probe:kept")
    return found


def encode_recording(runtime: Runtime, recording_id: str, *, redo: bool = False) -> None:
    outputs = runtime.catalog.outputs
    if outputs.renditions(recording_id, ladder.EDITION) and not redo:
        return
    recording = outputs.recording(recording_id)
    found = probe_recording(runtime, recording_id)
    made = _encoded(runtime, recording, found, redo=redo)
    crash_point("encode:made")
    directory = encode_dir(runtime, recording_id, ladder.EDITION)
    prefix = rendition_prefix(recording_id, ladder.EDITION)
    for path in sorted(directory.rglob("*")):
        if path.suffix in _CONTENT_TYPES:
            name = f"{prefix}/{path.relative_to(directory).as_posix()}"
            runtime.store.put_file(runtime.media, name, path, _CONTENT_TYPES[path.suffix])
    poster = directory / "poster.jpg"
    if poster.exists():
        runtime.store.put_file(runtime.media, poster_key(recording_id, ladder.EDITION), poster, "image/jpeg")
    crash_point("encode:stored")
    outputs.keep_renditions(
        recording_id,
        ladder.EDITION,
        [replace(rendition, playlist_key=f"{prefix}/{rendition.playlist_key}") for rendition in made],
    )
    crash_point("encode:kept")


def _encoded(runtime: Runtime, recording: Recording, found: Probe, *, redo: bool) -> tuple[Rendition, ...]:
    """The ladder on the work disk: made now, or found whole from before a crash."""
    directory = encode_dir(runtime, recording.id, ladder.EDITION)
    mark = directory / "whole.json"
    if mark.exists() and not redo:
        return tuple(Rendition(**kept) for kept in json.loads(mark.read_text(encoding="utf-8")))
    source = local_source(runtime, recording)
    # All rungs together stay below the source for any recording worth a ladder; a small floor covers the rest.
    reserve(runtime, max(recording.size_bytes, 64 * 2**20))
    made = encode.encode(
        source,
        found,
        directory,
        preset=runtime.settings.encode_preset,
        threads=runtime.settings.encode_threads,
        name=recording.key,
        on_progress=_reporter(runtime, recording.id, "encode"),
        cancelled=runtime.stopping,
    )
    stills.poster(source, found, directory / "poster.jpg")
    fresh = directory / "whole.json.part"
    fresh.write_text(json.dumps([asdict(rendition) for rendition in made]), encoding="utf-8")
    fresh.replace(mark)
    return made


def hear_recording(runtime: Runtime, recording_id: str, *, redo: bool = False) -> None:
    """Makes the transcript: from the captions that came along, or by listening. Silence is a transcript without cues."""
    outputs = runtime.catalog.outputs
    if outputs.transcript(recording_id, cues.EDITION) is not None and not redo:
        return
    recording = outputs.recording(recording_id)
    found = probe_recording(runtime, recording_id)
    lesson = runtime.catalog.lessons.get(recording.lesson_id)
    language = _LANGUAGE_TAGS.get(lesson.language, lesson.language)
    imported = _imported_captions(runtime, recording_id)
    if imported is not None:
        made = Transcript(recording_id, cues.EDITION, language, "captions", "", imported)
    elif not found.audio:
        made = Transcript(recording_id, cues.EDITION, language, "speech", "", ())
    else:
        heard = _heard(runtime, recording, found, lesson.language, glossary.hotwords(lesson.title, lesson.subject))
        made = Transcript(recording_id, cues.EDITION, language, "speech", runtime.speech.name, heard)
    crash_point("speech:heard")
    text = webvtt.write(made.cues).encode()
    key = transcript_key(recording_id, cues.EDITION, language)
    runtime.store.put_bytes(runtime.media, key, text, "text/vtt; charset=utf-8")
    crash_point("speech:stored")
    outputs.keep_transcript(made)


def _imported_captions(runtime: Runtime, recording_id: str) -> tuple[Cue, ...] | None:
    if runtime.settings.speech_instead_of_captions:
        return None
    for extension in ("vtt", "srt"):
        key = source_key(recording_id, extension)
        if runtime.store.stat(runtime.media, key) is not None:
            return captions.read_captions(runtime.store.get_bytes(runtime.media, key), key)
    return None


def _heard(
    runtime: Runtime, recording: Recording, found: Probe, language: str, hotwords: tuple[str, ...]
) -> tuple[Cue, ...]:
    source = local_source(runtime, recording)
    reserve(runtime, found.duration_ms * 32)  # 16 kHz, 16 bit, mono
    with scratch(runtime, ".wav") as wav:
        audio.extract(source, wav, name=recording.key, cancelled=runtime.stopping)
        utterances = runtime.speech.transcribe(
            wav,
            language=language,
            hotwords=hotwords,
            on_progress=_reporter(runtime, recording.id, "speech"),
            cancelled=runtime.stopping,
        )
        return cues.cues_from(utterances, language, duration_ms=found.duration_ms)


def index_recording(runtime: Runtime, recording_id: str, *, redo: bool = False) -> None:
    """Replaces the lesson's passages; done when they can be found.

    While the transcript is still to come, the title and the teacher can be found already; the step is then not done yet.
    """
    recording = runtime.catalog.outputs.recording(recording_id)
    lesson = runtime.catalog.lessons.get(recording.lesson_id)
    if lesson.searchable_at is not None and not redo:
        return
    transcript = runtime.catalog.outputs.transcript(recording_id, cues.EDITION)
    runtime.index.replace(lesson.id, passages.passages_of(lesson, transcript.cues if transcript else ()))
    crash_point("index:replaced")
    if transcript is not None:
        runtime.catalog.outputs.mark_searchable(recording_id, passages.EDITION)


def publish_recording(runtime: Runtime, recording_id: str) -> Publication:
    """Last, and one row: whoever finds the lesson finds every rendition it names. Repeating it changes nothing.

    Called when the ladder is whole, and once more when the transcript is.
    """
    outputs = runtime.catalog.outputs
    made = outputs.renditions(recording_id, ladder.EDITION)
    if not made:
        raise Unavailable("转码结果", "no renditions yet", "转码完成后会自动继续。")
    for rendition in made:
        if runtime.store.stat(runtime.media, rendition.playlist_key) is None:
            zh = f"对象 {rendition.playlist_key} 不见了，请运行 huikan reprocess --step transcode --force 重做。"
            raise Unavailable("媒体桶", "a playlist is missing", zh)
    heard = outputs.transcript(recording_id, cues.EDITION)
    crash_point("publish:before")
    published = outputs.publish(
        recording_id,
        ladder_edition=ladder.EDITION,
        speech_edition=cues.EDITION if heard is not None else None,
    )
    crash_point("publish:after")
    if heard is not None:
        forget(runtime, recording_id)
    return published


def _reporter(runtime: Runtime, recording_id: str, step: str) -> Callable[[float], None]:
    """Writes progress down at most once a second. It is for display: a catalog that is busy just now loses nothing."""
    last = -_PROGRESS_EVERY_S

    def report(fraction: float) -> None:
        nonlocal last
        if time.monotonic() - last < _PROGRESS_EVERY_S:
            return
        last = time.monotonic()
        try:
            runtime.catalog.outputs.note_progress(recording_id, step, min(max(fraction, 0.0), 1.0))
        except Unavailable:
            return

    return report
