"""Each step of a recording's way, with real ffmpeg, store, catalog and index: one output each, made once."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from archive.errors import ModelMissing, Unavailable, Unreadable
from archive.model import Lesson, Scope, Stage
from fixtures.broken import cut_short, playlist_named_mp4, text_named_mp4, truncated
from ingest import encoding, hearing, steps, workspace
from ingest.intake import take_in
from ingest.runtime import Runtime
from ingest.verify import verify
from search.query import STAFF, Query
from tests.ingest.conftest import KEY, SIDECAR, VTT, FakeEar
from tests.transcode.clips import make, picture, sound, x264
from transcode import plan
from transcode.ladder import EDITION

Put = Callable[[str, bytes], str]


@pytest.fixture
def recording_id(runtime: Runtime, put: Put, tiny_recording: Path) -> str:
    put(KEY.replace("mp4", "json"), SIDECAR)
    taken = take_in(runtime, put(KEY, tiny_recording.read_bytes()))
    assert taken.recording_id is not None
    return taken.recording_id


def encode_recording(runtime: Runtime, recording_id: str) -> None:
    for task in encoding.survey_recording(runtime, recording_id):
        encoding.encode_task(runtime, recording_id, task.name)
    encoding.finish_encoding(runtime, recording_id)


def whole_way(runtime: Runtime, recording_id: str) -> Lesson:
    steps.probe_recording(runtime, recording_id)
    encode_recording(runtime, recording_id)
    steps.publish_recording(runtime, recording_id)
    hearing.hear_recording(runtime, recording_id)
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


def test_a_task_that_is_done_is_not_done_again(
    runtime: Runtime, recording_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = encoding.survey_recording(runtime, recording_id)
    for task in tasks:
        encoding.encode_task(runtime, recording_id, task.name)
    assert encoding.survey_recording(runtime, recording_id) == ()
    monkeypatch.setenv("PATH", "/nowhere")  # no ffmpeg to be found: it must not be needed
    for task in tasks:
        encoding.encode_task(runtime, recording_id, task.name)


def test_a_long_lesson_plays_before_its_larger_pictures_are_made(
    runtime: Runtime, put: Put, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "PART_S", 6)
    monkeypatch.setattr(plan, "_AHEAD_FROM_S", 12)
    source = make(tmp_path / "a.mp4", picture("854x480", seconds=20), sound(20), x264())
    taken = take_in(runtime, put(KEY, source.read_bytes()))
    assert taken.recording_id is not None
    tasks = encoding.survey_recording(runtime, taken.recording_id)
    for task in tasks:
        if task.is_urgent:
            encoding.encode_task(runtime, taken.recording_id, task.name)
    encoding.open_early(runtime, taken.recording_id)
    published = steps.publish_recording(runtime, taken.recording_id)
    outputs = runtime.catalog.outputs

    def rungs() -> set[str]:
        return {made.rung for made in outputs.renditions(taken.recording_id or "", EDITION)}

    assert rungs() == {"240p", "audio", "audio48", "opus"}
    assert not next(state for state in outputs.stages(taken.recording_id) if state.stage is Stage.ENCODED).done
    assert outputs.unfinished() == [taken.recording_id]
    for task in tasks:
        encoding.encode_task(runtime, taken.recording_id, task.name)
    encoding.finish_encoding(runtime, taken.recording_id)
    assert rungs() == {"480p", "360p", "240p", "audio", "audio48", "opus"}
    assert steps.publish_recording(runtime, taken.recording_id) == published
    board = runtime.catalog.encodings.board(taken.recording_id, EDITION)
    assert board is not None
    assert board.stills[-1].span.end_ms == 20_000


def test_another_worker_goes_on_where_one_stopped(runtime: Runtime, recording_id: str, tmp_path: Path) -> None:
    """It has none of the files on its disk that the first one made or fetched."""
    first, *others = encoding.survey_recording(runtime, recording_id)
    encoding.encode_task(runtime, recording_id, first.name)
    elsewhere = replace(runtime, settings=runtime.settings.model_copy(update={"home": tmp_path / "elsewhere"}))
    for task in others:
        encoding.encode_task(elsewhere, recording_id, task.name)
    encoding.finish_encoding(elsewhere, recording_id)
    assert [state.done for state in runtime.catalog.outputs.stages(recording_id)][:3] == [True] * 3


def test_a_part_that_does_not_fit_is_made_again(runtime: Runtime, recording_id: str) -> None:
    tasks = encoding.survey_recording(runtime, recording_id)
    for task in tasks:
        encoding.encode_task(runtime, recording_id, task.name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encoding, "misfits", lambda *_: [tasks[-1].name])
        with pytest.raises(Unavailable, match="another ffmpeg"):
            encoding.finish_encoding(runtime, recording_id)
    assert [task.name for task in encoding.survey_recording(runtime, recording_id)] == [tasks[-1].name]


def test_captions_that_came_along_are_imported_instead_of_listening(
    runtime: Runtime, put: Put, recording_id: str, ear: FakeEar
) -> None:
    take_in(runtime, put(KEY.replace("mp4", "vtt"), VTT))
    hearing.hear_recording(runtime, recording_id)
    heard = runtime.catalog.transcripts.current(recording_id)
    assert heard is not None
    assert (heard.source, [cue.text for cue in heard.cues]) == ("captions", ["今天学习勾股定理", "大家看黑板"])
    assert ear.asked == []
    forced = replace(runtime, settings=runtime.settings.model_copy(update={"speech_instead_of_captions": True}))
    hearing.hear_recording(forced, recording_id, redo=True)
    assert ear.asked == ["zh"]


def test_without_a_model_the_lesson_is_playable_and_its_title_found(
    runtime: Runtime, recording_id: str, ear: FakeEar
) -> None:
    ear.missing = True
    encode_recording(runtime, recording_id)
    with pytest.raises(ModelMissing) as missing:
        hearing.hear_recording(runtime, recording_id)
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
    heard = runtime.catalog.transcripts.current(recording_id)
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
        "cut short": lambda: cut_short(path, tiny_recording, 0.3),
    }
    taken = take_in(runtime, put(KEY, makers[damage]().read_bytes()))
    assert taken.recording_id is not None
    with pytest.raises(Unreadable) as error:
        encode_recording(runtime, taken.recording_id)
    assert "。" in error.value.reason_zh
    assert list(runtime.store.list(runtime.media, "rendition/")) == []


def test_a_recording_that_breaks_off_is_kept_and_said_to_be_incomplete(
    runtime: Runtime, put: Put, tmp_path: Path
) -> None:
    whole = make(tmp_path / "whole.mp4", picture(seconds=12), sound(12), x264("-movflags", "+faststart"))
    taken = take_in(runtime, put(KEY, cut_short(tmp_path / "a.mp4", whole, 0.7).read_bytes()))
    assert taken.recording_id is not None
    lesson = whole_way(runtime, taken.recording_id)
    damage = runtime.catalog.outputs.recording(taken.recording_id).damage
    assert damage is not None
    assert 2000 <= damage.lost_ms <= 5000
    assert "录像不完整：应有 0:12" in damage.reason_zh
    assert lesson.published_at is not None
    assert verify(runtime).findings == ()


def test_a_recording_whose_parts_turn_out_unreadable_leaves_nothing_in_the_store(
    runtime: Runtime, recording_id: str
) -> None:
    for task in encoding.survey_recording(runtime, recording_id):
        encoding.encode_task(runtime, recording_id, task.name)
    lost = [{**made, "lost_ms": 3000} for made in runtime.catalog.encodings.made(recording_id, EDITION).values()]
    for task, made in zip(runtime.catalog.encodings.made(recording_id, EDITION), lost, strict=True):
        runtime.catalog.encodings.keep_made(recording_id, EDITION, task, made)
    with pytest.raises(Unreadable) as refused:
        encoding.finish_encoding(runtime, recording_id)
    assert "应有 0:04，实际只有 0:01 可读" in refused.value.reason_zh
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


def test_verify_does_not_miss_what_was_stored_after_it_had_looked(
    runtime: Runtime, recording_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole_way(runtime, recording_id)
    monkeypatch.setattr(runtime.store, "list", lambda *_args, **_more: iter(()))
    assert verify(runtime).findings == ()


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
