"""The steps of a recording's way: each makes one output, writes it down, and does nothing if it is there already.

The ladder's own steps are in ingest.encoding, the transcript's in ingest.hearing.

Steps raise Rejected, Unavailable or Cancelled and nothing else on purpose. They know nothing of the workflow engine, so a
test, a shell or another engine can call them.
"""

from archive.crash import crash_point
from archive.errors import Unavailable
from archive.model import Place, Probe, Publication
from ingest.indexing import carry_out
from ingest.joining import show_instead
from ingest.placing import place
from ingest.probe import Acceptance, probe
from ingest.runtime import Runtime
from ingest.workspace import forget, local_source
from transcode import ladder


def probe_recording(runtime: Runtime, recording_id: str) -> Probe:
    recording = runtime.catalog.outputs.recording(recording_id)
    if recording.probe is not None:
        _placed(runtime, recording_id)  # a crash may have come between
        return recording.probe
    source = local_source(runtime, recording)
    settings = runtime.settings
    limits = Acceptance(settings.max_duration_min * 60_000, settings.max_recording_bytes)
    found = probe(source, name=recording.key, limits=limits)
    runtime.catalog.outputs.keep_probe(recording_id, found)
    crash_point("probe:kept")
    _placed(runtime, recording_id)
    return found


def _placed(runtime: Runtime, recording_id: str) -> None:
    known = runtime.catalog.placements.of(recording_id)
    if known is None or known.state is Place.NEW:
        place(runtime.catalog, recording_id)


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
    heard = runtime.catalog.transcripts.current(recording_id)
    crash_point("publish:before")
    published = outputs.publish(
        recording_id,
        ladder_edition=ladder.EDITION,
        speech_edition=heard.edition if heard is not None else None,
    )
    show_instead(runtime, recording_id)
    crash_point("publish:after")
    if heard is not None and runtime.catalog.encodings.is_whole(recording_id, ladder.EDITION):
        forget(runtime, recording_id)
    return published
