"""The routes' way to a transcript's editions: the desk, and what follows when a transcript has changed."""

from collections.abc import Callable

from api.deps import Web
from api.problems import Problem
from archive.errors import Absent
from archive.model import Lesson, Transcript
from ingest.revising import Desk
from transcribe import minutes, subrip, webvtt
from transcribe.simplified import traditional

TYPES = {
    "vtt": "text/vtt; charset=utf-8",
    "srt": "application/x-subrip; charset=utf-8",
    "txt": "text/plain; charset=utf-8",
    "md": "text/markdown; charset=utf-8",
}


def desk_of(web: Web) -> Desk:
    return Desk(web.catalog, web.parts.store, web.parts.settings.media_bucket)


def changed(web: Web, lesson: Lesson, act: Callable[[Desk], Transcript]) -> Transcript:
    """Does it; then what plays follows, and within seconds what is found. Raises Problem 404 without a transcript."""
    made = act(desk_of(web))
    web.playables.forget(lesson.id)
    return made


def current_of(web: Web, lesson: Lesson) -> Transcript:
    """The edition that counts. Raises Problem 409 while there is none."""
    found = web.catalog.transcripts.current(lesson.recording_id)
    if found is None:
        raise Problem(409, "not-playable", "文字还在整理，请稍后再来。")
    return found


def edition_of(web: Web, lesson: Lesson, edition: int) -> Transcript:
    """Raises Problem 404."""
    try:
        return web.catalog.transcripts.get(lesson.recording_id, edition)
    except Absent as error:
        raise Problem(404, "absent", "没有这一版字幕。") from error


def exported(transcript: Transcript, title: str, form: str, *, in_traditional: bool = False) -> str:
    """The transcript as a file of this form (a key of TYPES)."""
    cues = [cue.plain for cue in transcript.cues]
    text = {
        "vtt": lambda: webvtt.write(cues),
        "srt": lambda: subrip.write(cues),
        "txt": lambda: "".join(f"{cue.text}\n" for cue in cues),
        "md": lambda: minutes.write(cues, title),
    }[form]()
    return traditional(text) if in_traditional else text
