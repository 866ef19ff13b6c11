"""What people do to a transcript: correct it, take a correction back, go back to an edition, hand in a file.

Each makes or chooses an edition, stores its captions, and changes what the lesson is played with, in that order; nothing is
overwritten. The caller has the lesson indexed anew. Needs no pipeline: the API and the command line call this.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from archive.catalog import Catalog
from archive.crash import crash_point
from archive.errors import Absent, Unacceptable
from archive.keys import transcript_key
from archive.model import Correction, Cue, CueDetail, Transcript
from archive.store import ObjectStore
from transcribe import captions, merging, webvtt
from transcribe.lines import one_line

MAX_TEXT_CHARACTERS = 500  # of one corrected line; a whole lesson in one line is a paste gone wrong


@dataclass(frozen=True, slots=True)
class Desk:
    """Where transcripts are kept."""

    catalog: Catalog
    store: ObjectStore
    media_bucket: str


def correct(desk: Desk, recording_id: str, edits: Sequence[tuple[int, str]], *, on_edition: int) -> Transcript:
    """Writes (ordinal of a cue, its new text; "" takes it out) into the transcript: a new edition, unless nothing changes.

    Raises Absent without a transcript, and Unacceptable when the edits were made on another edition than the current one,
    name a cue that there is none of, or are far too long.
    """
    current = _current(desk, recording_id)
    if current.edition != on_edition:
        reason_zh = f"字幕已经有了新的版本（第 {current.edition} 版），请刷新后在新版上修改。"
        raise Unacceptable(recording_id, f"edits of edition {on_edition}, now {current.edition}", reason_zh)
    clean = [(ordinal, one_line(text)) for ordinal, text in edits]
    if any(not 0 <= ordinal < len(current.cues) or len(text) > MAX_TEXT_CHARACTERS for ordinal, text in clean):
        reason_zh = f"修改的行不存在，或超过 {MAX_TEXT_CHARACTERS} 字。"
        raise Unacceptable(recording_id, "no such cue, or too long", reason_zh)
    known = desk.catalog.transcripts.corrections(recording_id)
    new, replaced = merging.corrected(current.cues, clean, known, recording_id=recording_id, edition=current.edition)
    if not new:
        return current
    for each in replaced:
        desk.catalog.transcripts.withdraw(recording_id, each.id)
    return _published(desk, _lay_over(desk, _heard_under(desk, current), new))


def withdraw(desk: Desk, recording_id: str, correction_id: int) -> Transcript:
    """Takes a correction back: what the engine said there stands again. Raises Absent."""
    current = _current(desk, recording_id)
    desk.catalog.transcripts.withdraw(recording_id, correction_id)
    return _published(desk, _lay_over(desk, _heard_under(desk, current), []))


def roll_back(desk: Desk, recording_id: str, edition: int) -> Transcript:
    """An edition counts again, as it was. Corrections made since are kept for the next one. Raises Absent."""
    desk.catalog.transcripts.choose(recording_id, edition)
    return _published(desk, desk.catalog.transcripts.get(recording_id, edition))


def hand_in(desk: Desk, recording_id: str, language: str, data: bytes, name: str) -> Transcript:
    """A caption file becomes the next edition, with the corrections laid over it. Raises Unreadable."""
    found = from_captions(captions.read_captions(data, name))
    edition = desk.catalog.transcripts.next_edition(recording_id)
    return _published(desk, keep_edition(desk, Transcript(recording_id, edition, language, "captions", "", found)))


def keep_edition(desk: Desk, made: Transcript) -> Transcript:
    """Keeps what an engine or a file says as it is, and lays what teachers corrected over it: that is an edition of its own.
    Returns the edition that counts. A step that is done twice makes nothing new.
    """
    current = desk.catalog.transcripts.current(made.recording_id)
    heard = _heard_under(desk, current) if current else None
    if current is not None and heard is not None and replace(heard, edition=made.edition) == made:
        return current
    _store(desk, made)
    desk.catalog.transcripts.keep(made)
    return _lay_over(desk, made, []) if desk.catalog.transcripts.corrections(made.recording_id) else made


def from_captions(found: Sequence[Cue]) -> tuple[Cue, ...]:
    return tuple(replace(cue, detail=CueDetail(origin="captions")) for cue in found)


def _current(desk: Desk, recording_id: str) -> Transcript:
    current = desk.catalog.transcripts.current(recording_id)
    if current is None:
        raise Absent(recording_id)
    return current


def _heard_under(desk: Desk, transcript: Transcript) -> Transcript:
    """The engine's (or a file's) own words under what a teacher made of them."""
    while transcript.source == "teacher" and transcript.parent is not None:
        transcript = desk.catalog.transcripts.get(transcript.recording_id, transcript.parent)
    return transcript


def _lay_over(desk: Desk, heard: Transcript, new: Sequence[Correction]) -> Transcript:
    """All corrections that stand, and new ones, over an engine's words: the next edition, or the words themselves."""
    pinned = [*desk.catalog.transcripts.corrections(heard.recording_id), *new]
    if not pinned:
        desk.catalog.transcripts.choose(heard.recording_id, heard.edition)
        return heard
    merged = merging.merged(heard.cues, sorted(pinned, key=lambda each: each.span))
    edition = desk.catalog.transcripts.next_edition(heard.recording_id)
    made = replace(heard, edition=edition, source="teacher", parent=heard.edition, cues=merged.cues)
    _store(desk, made)
    desk.catalog.transcripts.keep(made, [*new, *(each for each in merged.changed if each.id)])
    return made


def _store(desk: Desk, made: Transcript) -> None:
    key = transcript_key(made.recording_id, made.edition, made.language)
    desk.store.put_bytes(desk.media_bucket, key, webvtt.write(made.cues).encode(), "text/vtt; charset=utf-8")
    crash_point("speech:stored")


def _published(desk: Desk, made: Transcript) -> Transcript:
    """What plays now plays with this edition; a lesson that is not published yet gets it when it is."""
    lesson_id = desk.catalog.outputs.recording(made.recording_id).lesson_id
    published = desk.catalog.outputs.publication(lesson_id)
    if published is not None and published.recording_id == made.recording_id:
        ladder_edition = published.ladder_edition
        desk.catalog.outputs.publish(made.recording_id, ladder_edition=ladder_edition, speech_edition=made.edition)
    return made
