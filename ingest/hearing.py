"""How a recording's sound becomes the next edition of its transcript: planned, heard stretch by stretch, put together.

Stretches are heard by any worker and kept in the catalog, so that a crash costs one of them. `hear_recording` does all that is
still to be done, in this process; the workflow has the stretches heard before by others. What teachers corrected is laid
over whatever the engine says.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from archive.crash import crash_point
from archive.errors import Unsupported
from archive.keys import CAPTION_EXTENSIONS, source_key
from archive.model import Cue, Lesson, Recording, Remark, Span, Transcript
from ingest import revising
from ingest.progress import reporter
from ingest.runtime import Runtime
from ingest.steps import probe_recording
from ingest.workspace import forget_sound, local_source, reserve, scratch, sound_path
from search import passages
from transcribe import audio, captions, cues, glossary, recipe, wire
from transcribe.engine import codes_of
from transcribe.utterance import Doubt, Heard, Incident

_LANGUAGE_TAGS = {"zh": "zh-Hans", "yue": "zh-Hans"}  # in Simplified characters, as our cues are


def plan_hearing(runtime: Runtime, recording_id: str, *, redo: bool = False) -> tuple[Span, ...]:
    """The stretches that are still to be heard, in order; none where there is nothing to hear: captions came along, there is
    no sound, or the transcript exists. With `redo` everything is heard anew."""
    if not _is_wanted(runtime, recording_id, redo=redo):
        return ()
    plan = _Plan.of(runtime, recording_id)
    if not plan.recording.probe or not plan.recording.probe.audio or _captions_key(runtime, recording_id):
        return ()
    known = runtime.catalog.transcripts.stretches(recording_id, plan.digest)
    if not known or redo:
        stretches = audio.stretches(_sound(runtime, plan.recording))
        runtime.catalog.transcripts.plan_stretches(recording_id, plan.digest, stretches, anew=redo)
        known = runtime.catalog.transcripts.stretches(recording_id, plan.digest)
    return tuple(stretch for stretch, made in known.items() if made is None)


def hear_stretch(runtime: Runtime, recording_id: str, stretch: Span) -> None:
    """Listens to one stretch and keeps what was heard; nothing if that is kept already."""
    plan = _Plan.of(runtime, recording_id)
    known = runtime.catalog.transcripts.stretches(recording_id, plan.digest)
    if known.get(stretch) is not None or stretch not in known:
        return
    done = sum(each.duration_ms for each, made in known.items() if made is not None)
    total = sum(each.duration_ms for each in known)
    report = reporter(runtime, recording_id, "speech", done=done / total, share=stretch.duration_ms / total)
    try:
        heard = _listened(runtime, plan, stretch, report)
    except Unsupported as error:  # no other model will do, so this is what there is to say about the stretch
        heard = Heard((), (Incident(Doubt.UNSUPPORTED, stretch, "left", error.language),))
    crash_point("speech:stretch")
    runtime.catalog.transcripts.keep_stretch(recording_id, plan.digest, stretch, wire.heard_as_json(heard))


def hear_recording(runtime: Runtime, recording_id: str, *, redo: bool = False) -> None:
    """Makes the next edition: from the captions that came along, or by listening. Silence is a transcript without cues."""
    if not _is_wanted(runtime, recording_id, redo=redo):
        return
    for stretch in plan_hearing(runtime, recording_id, redo=redo):
        hear_stretch(runtime, recording_id, stretch)
    finish_hearing(runtime, recording_id, redo=redo)


def finish_hearing(runtime: Runtime, recording_id: str, *, redo: bool = False) -> None:
    """Puts together what was heard; hears what somebody left out. The last step, and the only one that people see."""
    if not _is_wanted(runtime, recording_id, redo=redo):
        return
    plan = _Plan.of(runtime, recording_id)
    edition, tag = runtime.catalog.transcripts.next_edition(recording_id), tag_of(plan.lesson.language)
    made = Transcript(recording_id, edition, tag, "speech", "", ())
    key = _captions_key(runtime, recording_id)
    if key:
        found = captions.read_captions(runtime.store.get_bytes(runtime.media, key), key)
        made = replace(made, source="captions", cues=revising.from_captions(found))
    elif plan.recording.probe and plan.recording.probe.audio:
        made = _spoken(runtime, plan, made)
    crash_point("speech:heard")
    revising.keep_edition(desk_of(runtime), made)
    forget_sound(runtime, recording_id)


def tag_of(language: str, heard: Heard | None = None) -> str:
    """BCP 47 of a transcript: of its lesson's first language, or, where nobody said, of what most was heard in."""
    codes = codes_of(language)
    spoken: Counter[str] = Counter()
    for each in heard.utterances if heard and not codes else ():
        spoken[each.language] += each.span.duration_ms
    code = codes[0] if codes else spoken.most_common(1)[0][0] if spoken else "zh"
    return _LANGUAGE_TAGS.get(code, code)


def desk_of(runtime: Runtime) -> revising.Desk:
    return revising.Desk(runtime.catalog, runtime.store, runtime.media)


def index_what_is_heard(runtime: Runtime, recording_id: str) -> None:
    """Makes the beginning of a long lesson searchable while the rest is being heard. The lesson's own step comes after."""
    if runtime.catalog.transcripts.current(recording_id) is not None:
        return
    plan = _Plan.of(runtime, recording_id)
    heard = _put_together(runtime.catalog.transcripts.stretches(recording_id, plan.digest))
    if heard.utterances:
        runtime.index.replace(plan.lesson.id, passages.passages_of(plan.lesson, plan.cues_of(heard)))
        runtime.catalog.indexing.note_indexed([plan.lesson.id])


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is known before listening: whose lesson it is, which words to expect, what the result is kept under."""

    recording: Recording
    lesson: Lesson
    words: glossary.Selection
    hearing: dict[str, Any]
    digest: str

    @classmethod
    def of(cls, runtime: Runtime, recording_id: str) -> "_Plan":
        probe_recording(runtime, recording_id)
        recording = runtime.catalog.outputs.recording(recording_id)
        lesson = runtime.catalog.lessons.get(recording.lesson_id)
        words = glossary.selection(
            glossary.terms(runtime.settings.home / "glossary"),
            title=lesson.title,
            subject=lesson.subject,
            grade=lesson.grade,
            names=(lesson.teacher,),
            school=lesson.school,
        )
        hearing = recipe.hearing_recipe(runtime.speech.of(lesson.language), lesson.language, words.hotwords)
        return cls(recording, lesson, words, hearing, recipe.digest(hearing))

    @property
    def duration_ms(self) -> int:
        return self.recording.probe.duration_ms if self.recording.probe else 0

    def cues_of(self, heard: Heard) -> tuple[Cue, ...]:
        return cues.cues_from(
            heard.utterances, tag_of(self.lesson.language, heard), duration_ms=self.duration_ms, terms=self.words.terms
        )


def _is_wanted(runtime: Runtime, recording_id: str, *, redo: bool) -> bool:
    return redo or runtime.catalog.transcripts.current(recording_id) is None


def _spoken(runtime: Runtime, plan: _Plan, made: Transcript) -> Transcript:
    """The edition from what was heard, and from what still has to be."""
    recording_id = plan.recording.id
    if not runtime.catalog.transcripts.stretches(recording_id, plan.digest):
        plan_hearing(runtime, recording_id, redo=True)
    for stretch, known in runtime.catalog.transcripts.stretches(recording_id, plan.digest).items():
        if known is None:
            hear_stretch(runtime, recording_id, stretch)
    heard = _put_together(runtime.catalog.transcripts.stretches(recording_id, plan.digest))
    is_foreign = heard.incidents and {incident.doubt for incident in heard.incidents} == {Doubt.UNSUPPORTED}
    return replace(
        made,
        source="unsupported" if is_foreign and not heard.utterances else "speech",
        language=tag_of(plan.lesson.language, heard),
        model=runtime.speech.of(plan.lesson.language).name,
        cues=plan.cues_of(heard),
        recipe=recipe.whole_recipe(plan.hearing, plan.words.digest),
        remarks=tuple(Remark(each.doubt.value, each.span, each.outcome, each.text) for each in heard.incidents),
    )


def _put_together(stretches: dict[Span, dict[str, Any] | None]) -> Heard:
    heard = [wire.heard_from_json(made) for made in stretches.values() if made is not None]
    return Heard(
        tuple(utterance for each in heard for utterance in each.utterances),
        tuple(incident for each in heard for incident in each.incidents),
    )


def _listened(runtime: Runtime, plan: _Plan, stretch: Span, on_progress: Callable[[float], None]) -> Heard:
    return runtime.speech.of(plan.lesson.language).transcribe(
        _sound(runtime, plan.recording),
        language=plan.lesson.language,
        hotwords=plan.words.hotwords,
        stretch=stretch,
        on_progress=on_progress,
        cancelled=runtime.stopping,
    )


def _sound(runtime: Runtime, recording: Recording) -> Path:
    """The recording's sound on this worker's disk, decoded once for all its stretches."""
    path = sound_path(runtime, recording.id)
    if path.exists():
        return path
    source = local_source(runtime, recording)
    reserve(runtime, (recording.probe.duration_ms if recording.probe else 0) * 32)  # 16 kHz, 16 bit, mono
    with scratch(runtime, ".wav") as fresh:
        audio.extract(source, fresh, name=recording.key, cancelled=runtime.stopping)
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh.replace(path)
    return path


def _captions_key(runtime: Runtime, recording_id: str) -> str:
    """Where the captions that came along lie; "" where there are none, or they are not wanted."""
    if runtime.settings.speech_instead_of_captions:
        return ""
    keys = (source_key(recording_id, extension) for extension in CAPTION_EXTENSIONS)
    return next((key for key in keys if runtime.store.stat(runtime.media, key) is not None), "")
