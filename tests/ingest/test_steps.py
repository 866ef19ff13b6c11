"""Each step of a recording's way, with real ffmpeg, store, catalog and index: one output each, made once."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from archive.errors import ModelMissing, Unavailable, Unreadable
from archive.model import Lesson, Scope, Stage
from fixtures.broken import cut_short, playlist_named_mp4, text_named_mp4, truncated
from ingest import steps, workspace
from ingest.intake import take_in
from ingest.runtime import Runtime
from ingest.verify import verify
from search.query import STAFF, Query
from tests.ingest.conftest import KEY, SIDECAR, VTT, FakeEar

Put = Callable[[str, bytes], str]


@pytest.fixture
def recording_id(runtime: Runtime, put: Put, tiny_recording: Path) -> str:
    put(KEY.replace("mp4", "json"), SIDECAR)
    taken = take_in(runtime, put(KEY, tiny_recording.read_bytes()))
    assert taken.recording_id is not None
    return taken.recording_id


def whole_way(runtime: Runtime, recording_id: str) -> Lesson:
    steps.probe_recording(runtime, recording_id)
    steps.encode_recording(runtime, recording_id)
    steps.publish_recording(runtime, recording_id)
    steps.hear_recording(runtime, recording_id)
    steps.index_recording(runtime, recording_id)
    steps.publish_recording(runtime, recording_id)
    return runtime.catalog.lessons.get(runtime.catalog.outputs.recording(recording_id).lesson_id)


def test_the_whole_way_ends_with_a_lesson_that_catalog_store_and_index_agree_on(
    runtime: Runtime, recording_id: str, ear: FakeEar
) -> None:
    ear.heard = "今天我们学习勾股定理。"
    lesson = whole_way(runtime, recording_id)
    assert lesson.published_at is not None
    assert 3_900 <= lesson.duration_ms <= 4_100
    assert all(state.done for state in runtime.catalog.outputs.stages(recording_id))
    assert {hit.lesson_id for hit in runtime.index.search(Query("勾股定理")).hits} == {lesson.id}
    assert [found.id for found in runtime.catalog.lessons.published(Scope())[0]] == [lesson.id]
    checked = verify(runtime)
    assert checked.findings == ()
    assert checked.objects > 3
    assert not (runtime.settings.work_dir / "source" / recording_id).exists()


def test_every_step_done_again_makes_nothing_again(runtime: Runtime, recording_id: str, ear: FakeEar) -> None:
    lesson = whole_way(runtime, recording_id)
    before = {found.key: found.modified_at for found in runtime.store.list(runtime.media)}
    again = whole_way(runtime, recording_id)
    assert again == lesson
    assert {found.key: found.modified_at for found in runtime.store.list(runtime.media)} == before
    assert len(ear.asked) == 1


def test_a_ladder_that_was_whole_before_a_crash_is_not_made_again(
    runtime: Runtime, recording_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps.encode_recording(runtime, recording_id)
    with runtime.catalog.database.writing() as tx:
        tx.exec_driver_sql("DELETE FROM rendition")
    monkeypatch.setenv("PATH", "/nowhere")  # no ffmpeg to be found: it must not be needed
    steps.encode_recording(runtime, recording_id)
    assert len(runtime.catalog.outputs.stages(recording_id)) == len(Stage)


def test_captions_that_came_along_are_imported_instead_of_listening(
    runtime: Runtime, put: Put, recording_id: str, ear: FakeEar
) -> None:
    take_in(runtime, put(KEY.replace("mp4", "vtt"), VTT))
    steps.hear_recording(runtime, recording_id)
    heard = runtime.catalog.outputs.transcript(recording_id, steps.cues.EDITION)
    assert heard is not None
    assert (heard.source, [cue.text for cue in heard.cues]) == ("captions", ["今天学习勾股定理", "大家看黑板"])
    assert ear.asked == []
    forced = replace(runtime, settings=runtime.settings.model_copy(update={"speech_instead_of_captions": True}))
    steps.hear_recording(forced, recording_id, redo=True)
    assert ear.asked == ["zh"]


def test_without_a_model_the_lesson_is_playable_and_its_title_found(
    runtime: Runtime, recording_id: str, ear: FakeEar
) -> None:
    ear.missing = True
    steps.encode_recording(runtime, recording_id)
    with pytest.raises(ModelMissing) as missing:
        steps.hear_recording(runtime, recording_id)
    assert "models" in missing.value.remedy_zh
    steps.index_recording(runtime, recording_id)
    published = steps.publish_recording(runtime, recording_id)
    assert published.speech_edition is None
    lesson = runtime.catalog.lessons.get(published.lesson_id)
    assert lesson.searchable_at is None
    assert {hit.lesson_id for hit in runtime.index.search(Query("勾股定理", scope=STAFF)).hits} == {lesson.id}
    ear.missing = False
    assert whole_way(runtime, recording_id).searchable_at is not None


def test_nobody_spoke_is_a_success_with_an_empty_transcript(runtime: Runtime, recording_id: str, ear: FakeEar) -> None:
    ear.heard = ""
    whole_way(runtime, recording_id)
    heard = runtime.catalog.outputs.transcript(recording_id, steps.cues.EDITION)
    assert heard is not None
    assert heard.cues == ()


@pytest.mark.parametrize("damage", ["text", "playlist", "truncated", "cut short"])
def test_a_file_that_is_no_recording_is_rejected_in_a_technicians_words(
    runtime: Runtime, put: Put, tiny_recording: Path, tmp_path: Path, damage: str
) -> None:
    path = tmp_path / "bad.mp4"
    makers: dict[str, Callable[[], Path]] = {
        "text": lambda: text_named_mp4(path),
        "playlist": lambda: playlist_named_mp4(path),
        "truncated": lambda: truncated(path, tiny_recording),
        "cut short": lambda: cut_short(path, tiny_recording),
    }
    taken = take_in(runtime, put(KEY, makers[damage]().read_bytes()))
    assert taken.recording_id is not None
    with pytest.raises(Unreadable) as error:
        steps.encode_recording(runtime, taken.recording_id)
    assert "。" in error.value.reason_zh
    assert list(runtime.store.list(runtime.media, "rendition/")) == []


def test_publishing_before_the_ladder_is_whole_waits(runtime: Runtime, recording_id: str) -> None:
    with pytest.raises(Unavailable):
        steps.publish_recording(runtime, recording_id)
    assert runtime.catalog.lessons.published(Scope())[1] == 0


def test_verify_names_what_is_missing_and_what_is_too_much(runtime: Runtime, recording_id: str) -> None:
    lesson = whole_way(runtime, recording_id)
    segment = next(found.key for found in runtime.store.list(runtime.media) if found.key.endswith(".m4s"))
    runtime.store.delete(runtime.media, segment)
    runtime.store.delete(runtime.media, f"source/{recording_id}.mp4")
    runtime.store.put_bytes(runtime.media, "stray/file", b"x")
    runtime.index.remove(lesson.id)
    found = {(finding.code, finding.subject) for finding in verify(runtime).findings}
    assert found == {
        ("missing-object", segment),
        ("missing-object", f"source/{recording_id}.mp4"),
        ("unreferenced", "stray/file"),
        ("not-indexed", lesson.id),
    }


def test_the_sweep_removes_what_crashes_left_and_keeps_what_is_in_use(
    runtime: Runtime, recording_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("source/dead", "scratch/0123", "encode/dead-e1/240p"):
        path = runtime.settings.work_dir / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    assert workspace.sweep(runtime, keep={recording_id}) == 0  # fresh: somebody may be at it
    monkeypatch.setattr(workspace, "_STALE_S", -1.0)
    assert workspace.sweep(runtime, keep={recording_id}) == 3
    assert (runtime.settings.work_dir / "source" / recording_id).exists()
