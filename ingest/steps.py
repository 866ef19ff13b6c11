"""The steps of a recording's way: each makes one output, writes it down, and does nothing if it is there already.

The ladder's own steps are in ingest.encoding.

Steps raise Rejected, Unavailable or Cancelled and nothing else on purpose. They know nothing of the workflow engine, so a
test, a shell or another engine can call them.
"""

from archive.crash import crash_point
from archive.errors import Unavailable
from archive.keys import source_key, transcript_key
from archive.model import Cue, Probe, Publication, Recording, Transcript
from ingest.indexing import carry_out
from ingest.probe import Acceptance, probe
from ingest.progress import reporter
from ingest.runtime import Runtime
from ingest.workspace import forget, local_source, reserve, scratch
from transcode import ladder
from transcribe import audio, captions, cues, glossary, webvtt

_LANGUAGE_TAGS = {"zh": "zh-Hans", "en": "en"}


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
            on_progress=reporter(runtime, recording.id, "speech"),
            cancelled=runtime.stopping,
        )
        return cues.cues_from(utterances, language, duration_ms=found.duration_ms)


def index_recording(runtime: Runtime, recording_id: str, *, redo: bool = False) -> None:
    """Makes the lesson's passages anew, or leaves the order for it where the index is unavailable: that is no reason to
    wait with publishing. While the transcript is still to come, the title and the teacher can be found already.
    """
    indexing = runtime.catalog.indexing
    lesson = runtime.catalog.lessons.get(runtime.catalog.outputs.recording(recording_id).lesson_id)
    if redo or lesson.indexed_at is None:
        indexing.order([lesson.id])
    order = indexing.of(lesson.id)
    if order is not None:
        carry_out(runtime, [order])


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
    if heard is not None and runtime.catalog.encodings.is_whole(recording_id, ladder.EDITION):
        forget(runtime, recording_id)
    return published
