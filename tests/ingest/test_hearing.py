"""A transcript's editions: heard in stretches, kept over a crash, corrected by a teacher, and none is ever lost."""

import wave
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from archive.errors import Absent, Unacceptable, Unavailable, Unreadable, Unsupported
from archive.keys import transcript_key
from archive.model import Span, Transcript
from ingest import hearing, revising, steps
from ingest.intake import take_in
from ingest.runtime import Runtime
from search.query import STAFF, Query
from tests.ingest.conftest import KEY, SIDECAR, FakeEar
from tests.transcode.clips import make, picture, sound, x264
from transcribe import audio
from transcribe.ears import Ears
from transcribe.utterance import Heard, Utterance

Put = Callable[[str, bytes], str]


@pytest.fixture
def recording_id(runtime: Runtime, put: Put, tiny_recording: Path) -> str:
    put(KEY.replace("mp4", "json"), SIDECAR)
    taken = take_in(runtime, put(KEY, tiny_recording.read_bytes()))
    assert taken.recording_id is not None
    return taken.recording_id


@pytest.fixture
def long_id(runtime: Runtime, put: Put, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A lesson of three stretches."""
    monkeypatch.setattr(audio, "STRETCH_S", 8)
    monkeypatch.setattr(audio, "SEARCH_S", 4)
    source = make(tmp_path / "long.mp4", picture(seconds=20), sound(20), x264())
    put(KEY.replace("mp4", "json"), SIDECAR)
    taken = take_in(runtime, put(KEY, source.read_bytes()))
    assert taken.recording_id is not None
    yield taken.recording_id


def now(runtime: Runtime, recording_id: str) -> Transcript:
    found = runtime.catalog.transcripts.current(recording_id)
    assert found is not None
    return found


def texts(transcript: Transcript) -> list[str]:
    return [cue.text for cue in transcript.cues]


def stored(runtime: Runtime, transcript: Transcript) -> str:
    key = transcript_key(transcript.recording_id, transcript.edition, transcript.language)
    return runtime.store.get_bytes(runtime.media, key).decode()


def test_a_crash_costs_one_stretch_and_another_worker_goes_on(
    runtime: Runtime, long_id: str, ear: FakeEar, tmp_path: Path
) -> None:
    planned = hearing.plan_hearing(runtime, long_id)
    assert len(planned) == 3
    assert planned[0].start_ms == 0
    assert all(a.end_ms == b.start_ms for a, b in pairwise(planned))
    hearing.hear_stretch(runtime, long_id, planned[0])
    hearing.hear_stretch(runtime, long_id, planned[0])
    assert len(ear.asked) == 1, "what was heard is not heard again"
    assert hearing.plan_hearing(runtime, long_id) == planned[1:]
    elsewhere = replace(runtime, settings=runtime.settings.model_copy(update={"home": tmp_path / "elsewhere"}))
    hearing.hear_recording(elsewhere, long_id)
    assert len(ear.asked) == 3
    heard = now(runtime, long_id)
    assert [cue.span.start_ms for cue in heard.cues] == [stretch.start_ms for stretch in planned]
    assert heard.recipe is not None
    assert heard.recipe["engine"] == "fake ear"
    assert not (elsewhere.settings.work_dir / "sound" / f"{long_id}.wav").exists()


def test_the_sound_is_decoded_once_for_all_stretches(runtime: Runtime, long_id: str) -> None:
    first, second, *_ = hearing.plan_hearing(runtime, long_id)
    (decoded,) = (runtime.settings.work_dir / "sound").iterdir()
    before = decoded.stat().st_mtime_ns
    hearing.hear_stretch(runtime, long_id, first)
    hearing.hear_stretch(runtime, long_id, second)
    assert decoded.stat().st_mtime_ns == before
    with wave.open(str(decoded)) as reader:
        assert (reader.getframerate(), reader.getnchannels()) == (16_000, 1)


def test_what_is_heard_so_far_can_be_searched(runtime: Runtime, long_id: str, ear: FakeEar) -> None:
    ear.heard = "今天我们学习二次根式。"
    hearing.hear_stretch(runtime, long_id, hearing.plan_hearing(runtime, long_id)[0])
    hearing.index_what_is_heard(runtime, long_id)
    assert times_found(runtime, "二次根式") == 1
    lesson = runtime.catalog.lessons.get(runtime.catalog.outputs.recording(long_id).lesson_id)
    assert lesson.searchable_at is None
    hearing.hear_recording(runtime, long_id)
    steps.index_recording(runtime, long_id)
    assert times_found(runtime, "二次根式") == 3


def times_found(runtime: Runtime, words: str) -> int:
    return sum(len(hit.marks) for hit in runtime.index.search(Query(words, scope=STAFF)).hits)


def test_hearing_again_makes_the_next_edition_and_keeps_the_last(
    runtime: Runtime, recording_id: str, ear: FakeEar
) -> None:
    hearing.hear_recording(runtime, recording_id)
    steps.index_recording(runtime, recording_id)
    hearing.hear_recording(runtime, recording_id)
    assert len(ear.asked) == 1
    ear.heard = "今天讲因式分解"
    hearing.hear_recording(runtime, recording_id, redo=True)
    assert [head.edition for head in runtime.catalog.transcripts.editions(recording_id)] == [2, 1]
    assert texts(now(runtime, recording_id)) == ["今天讲因式分解。"]
    assert texts(runtime.catalog.transcripts.get(recording_id, 1)) == ["同学们好。"]
    steps.index_recording(runtime, recording_id)
    assert times_found(runtime, "因式分解") == 1, "a new edition is indexed without being asked"


def test_the_last_step_done_twice_makes_no_edition(runtime: Runtime, recording_id: str) -> None:
    hearing.plan_hearing(runtime, recording_id, redo=True)
    hearing.finish_hearing(runtime, recording_id, redo=True)
    hearing.finish_hearing(runtime, recording_id, redo=True)
    assert [head.edition for head in runtime.catalog.transcripts.editions(recording_id)] == [1]


def test_a_teachers_correction_survives_hearing_again(runtime: Runtime, recording_id: str, ear: FakeEar) -> None:
    ear.heard = "今天学习够股定律。"
    hearing.hear_recording(runtime, recording_id)
    desk = hearing.desk_of(runtime)
    made = revising.correct(desk, recording_id, [(0, "今天学习勾股定理。")], on_edition=1)
    assert (made.source, made.parent, texts(made)) == ("teacher", 1, ["今天学习勾股定理。"])
    assert "勾股定理" in stored(runtime, made)
    hearing.hear_recording(runtime, recording_id, redo=True)
    assert texts(now(runtime, recording_id)) == ["今天学习勾股定理。"]
    ear.heard = "今天学习够古定理。"
    hearing.hear_recording(runtime, recording_id, redo=True)
    assert texts(now(runtime, recording_id)) == ["今天学习勾股定理。"]
    (correction,) = runtime.catalog.transcripts.corrections(recording_id)
    assert correction.conflict == "今天学习够古定理。"
    (heard,) = (each for each in runtime.catalog.transcripts.editions(recording_id) if each.edition == 3)
    assert heard.source == "speech", "what the engine said is kept beside what is shown"
    assert texts(runtime.catalog.transcripts.get(recording_id, 3)) == ["今天学习够古定理。"]
    runtime.catalog.transcripts.insist(recording_id, correction.id)
    hearing.hear_recording(runtime, recording_id, redo=True)
    assert runtime.catalog.transcripts.corrections(recording_id)[0].conflict is None


def test_a_correction_of_a_correction_and_taking_it_back(runtime: Runtime, recording_id: str) -> None:
    hearing.hear_recording(runtime, recording_id)
    desk = hearing.desk_of(runtime)
    revising.correct(desk, recording_id, [(0, "同学们早")], on_edition=1)
    made = revising.correct(desk, recording_id, [(0, "同学们早上好")], on_edition=2)
    assert (made.edition, made.parent, texts(made)) == (3, 1, ["同学们早上好"])
    assert revising.correct(desk, recording_id, [(0, "同学们早上好")], on_edition=3).edition == 3, "nothing changed"
    (standing,) = runtime.catalog.transcripts.corrections(recording_id)
    assert standing.before == "同学们好。"
    assert texts(revising.withdraw(desk, recording_id, standing.id)) == ["同学们好。"]
    assert len(runtime.catalog.transcripts.corrections(recording_id, withdrawn_too=True)) == 2
    assert now(runtime, recording_id).edition == 1, "with no correction left it is the engine's own edition again"


def test_an_old_edition_can_count_again(runtime: Runtime, recording_id: str) -> None:
    hearing.hear_recording(runtime, recording_id)
    desk = hearing.desk_of(runtime)
    revising.correct(desk, recording_id, [(0, "错改")], on_edition=1)
    assert texts(revising.roll_back(desk, recording_id, 1)) == ["同学们好。"]
    assert now(runtime, recording_id).edition == 1
    assert [head.is_current for head in runtime.catalog.transcripts.editions(recording_id)] == [False, True]
    with pytest.raises(Absent):
        revising.roll_back(desk, recording_id, 9)


def test_edits_of_an_edition_that_is_no_longer_current_are_refused(runtime: Runtime, recording_id: str) -> None:
    hearing.hear_recording(runtime, recording_id)
    desk = hearing.desk_of(runtime)
    revising.correct(desk, recording_id, [(0, "同学们早")], on_edition=1)
    with pytest.raises(Unacceptable) as caught:
        revising.correct(desk, recording_id, [(0, "别的")], on_edition=1)
    assert "刷新" in caught.value.reason_zh
    for edit in [(7, "没有这行"), (-1, "没有这行"), (0, "长" * 501)]:
        with pytest.raises(Unacceptable):
            revising.correct(desk, recording_id, [edit], on_edition=2)


def test_a_file_that_is_handed_in_is_the_next_edition(runtime: Runtime, recording_id: str) -> None:
    hearing.hear_recording(runtime, recording_id)
    desk = hearing.desk_of(runtime)
    revising.correct(desk, recording_id, [(0, "同学们早")], on_edition=1)
    handed = revising.hand_in(
        desk, recording_id, "zh-Hans", "[00:01.00]第一句\n[00:03.00]第二句".encode("gb18030"), "课.lrc"
    )
    assert (handed.edition, handed.source, handed.parent) == (4, "teacher", 3)
    assert runtime.catalog.transcripts.get(recording_id, 3).source == "captions"
    assert "第二句" in texts(handed)
    assert runtime.catalog.transcripts.corrections(recording_id)[0].conflict is not None, "listed, not dropped"
    with pytest.raises(Unreadable):
        revising.hand_in(desk, recording_id, "zh-Hans", b"\x89PNG", "课.lrc")


def test_a_language_that_no_model_knows_is_said_and_the_lesson_succeeds(
    runtime: Runtime, recording_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_arguments: object, **_options: object) -> Heard:
        raise Unsupported("语音模型 small", "ug")

    monkeypatch.setattr(FakeEar, "transcribe", refuse)
    hearing.hear_recording(runtime, recording_id)
    heard = now(runtime, recording_id)
    assert (heard.source, heard.cues) == ("unsupported", ())
    assert [(remark.kind, remark.text) for remark in heard.remarks] == [("unsupported", "ug")]


def test_two_editions_made_at_once_do_not_overwrite_each_other(runtime: Runtime, recording_id: str) -> None:
    hearing.hear_recording(runtime, recording_id)
    with pytest.raises(Unavailable):
        runtime.catalog.transcripts.keep(replace(now(runtime, recording_id), source="teacher"))
    assert now(runtime, recording_id).source == "speech"


def test_a_stretch_that_nobody_planned_is_left_alone(runtime: Runtime, recording_id: str, ear: FakeEar) -> None:
    hearing.hear_stretch(runtime, recording_id, Span(5, 10))
    assert ear.asked == []


@pytest.mark.parametrize(
    ("language", "tag"), [("zh", "zh-Hans"), ("en", "en"), ("zh+en", "zh-Hans"), ("en+zh", "en"), ("ug", "ug")]
)
def test_a_transcript_is_tagged_with_its_lessons_first_language(language: str, tag: str) -> None:
    assert hearing.tag_of(language) == tag


def test_where_nobody_said_the_tag_is_what_most_was_heard_in() -> None:
    english = Utterance(Span(0, 9_000), "Good morning", language="en")
    chinese = Utterance(Span(9_000, 10_000), "好", language="zh")
    assert hearing.tag_of("auto", Heard((english, chinese))) == "en"
    assert hearing.tag_of("auto", Heard()) == "zh-Hans"


def test_a_lesson_in_a_language_with_a_model_of_its_own_is_heard_by_that(
    runtime: Runtime, put: Put, tiny_recording: Path, ear: FakeEar
) -> None:
    english = FakeEar("Good morning, class.", name="english ear")
    runtime = replace(runtime, speech=Ears(ear, {"en": english}))
    put(KEY.replace("mp4", "json"), SIDECAR.replace(b'"consent"', b'"language": "en", "consent"'))
    taken = take_in(runtime, put(KEY, tiny_recording.read_bytes()))
    assert taken.recording_id is not None
    hearing.hear_recording(runtime, taken.recording_id)
    heard = now(runtime, taken.recording_id)
    assert (heard.model, ear.asked, english.asked) == ("english ear", [], ["en"])
    assert heard.recipe is not None
    assert heard.recipe["engine"] == "english ear"
