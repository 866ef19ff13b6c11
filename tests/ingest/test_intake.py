"""An object becomes a recording with a lesson, or a refusal in words; whatever comes twice, late or in the wrong order."""

from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from archive.errors import DiskFull, Unavailable
from archive.model import Lesson
from archive.store import ObjectStore
from ingest.intake import TakenIn, take_in
from ingest.runtime import Runtime
from tests.ingest.conftest import KEY, SIDECAR, VTT

Put = Callable[[str, bytes], str]


def lesson_of(runtime: Runtime, taken: TakenIn) -> Lesson:
    assert taken.recording_id is not None
    return runtime.catalog.lessons.get(runtime.catalog.outputs.recording(taken.recording_id).lesson_id)


def test_an_object_with_its_sidecars_becomes_a_named_lesson(runtime: Runtime, put: Put) -> None:
    put(KEY.replace("mp4", "json"), SIDECAR)
    put(KEY.replace("mp4", "vtt"), VTT)
    taken = take_in(runtime, put(KEY, b"a recording"))
    lesson = lesson_of(runtime, taken)
    assert taken == TakenIn(sha256(b"a recording").hexdigest())
    assert (lesson.title, lesson.teacher, lesson.consent, lesson.published_at) == ("勾股定理", "王老师", True, None)
    assert runtime.store.get_bytes(runtime.media, f"source/{taken.recording_id}.mp4") == b"a recording"
    assert runtime.store.get_bytes(runtime.media, f"source/{taken.recording_id}.vtt") == VTT
    assert runtime.catalog.arrivals.waiting() == []


def test_taking_in_twice_changes_nothing(runtime: Runtime, put: Put) -> None:
    put(KEY, b"a recording")
    assert take_in(runtime, KEY) == take_in(runtime, KEY)
    assert len(runtime.catalog.lessons.every()) == 1


def test_an_event_for_nothing_is_only_a_hint(runtime: Runtime) -> None:
    assert take_in(runtime, KEY) == TakenIn()
    assert runtime.catalog.arrivals.waiting() == []


@pytest.mark.parametrize(
    ("key", "data", "code", "word"),
    [
        (KEY, b"", "unreadable", "0 字节"),
        ("lesson.mp4", b"x", "unacceptable", "xinghuo/301/20260901T0800.mp4"),
        ("xinghuo/301/20260901T0800.zip", b"PK", "unacceptable", "不支持的文件类型"),
    ],
)
def test_what_cannot_be_a_recording_is_refused_in_words_and_stays(
    runtime: Runtime, put: Put, key: str, data: bytes, code: str, word: str
) -> None:
    assert take_in(runtime, put(key, data)) == TakenIn()
    (refusal,) = runtime.catalog.arrivals.refused()
    assert (refusal.key, refusal.code) == (key, code)
    assert word in refusal.reason_zh
    assert runtime.store.get_bytes(runtime.incoming, key) == data


def test_an_object_over_the_limit_is_refused_with_the_setting_to_change(runtime: Runtime, put: Put) -> None:
    small = replace(runtime, settings=runtime.settings.model_copy(update={"max_recording_bytes": 3}))
    assert take_in(small, put(KEY, b"1234")) == TakenIn()
    assert "HUIKAN_MAX_RECORDING_BYTES" in runtime.catalog.arrivals.refused()[0].reason_zh


def test_the_same_bytes_under_another_name_are_refused_and_the_first_stays(runtime: Runtime, put: Put) -> None:
    first = take_in(runtime, put(KEY, b"a recording"))
    assert take_in(runtime, put("xinghuo/302/20260901T0800.mp4", b"a recording")) == TakenIn()
    assert runtime.catalog.arrivals.refused()[0].code == "duplicate"
    assert lesson_of(runtime, first).room == "301"


def test_an_overwritten_key_is_another_take_and_the_first_source_is_untouched(runtime: Runtime, put: Put) -> None:
    first = take_in(runtime, put(KEY, b"a recording"))
    second = take_in(runtime, put(KEY, b"another recording"))
    assert "重录 2" in lesson_of(runtime, second).title
    assert runtime.store.get_bytes(runtime.media, f"source/{first.recording_id}.mp4") == b"a recording"


def test_a_bad_sidecar_is_refused_on_its_own_and_the_lesson_goes_on(runtime: Runtime, put: Put) -> None:
    put(KEY.replace("mp4", "json"), b"{no json")
    put(KEY.replace("mp4", "vtt"), b"not captions")
    taken = take_in(runtime, put(KEY, b"a recording"))
    assert "301" in lesson_of(runtime, taken).title
    assert {refusal.key.rpartition(".")[2] for refusal in runtime.catalog.arrivals.refused()} == {"json", "vtt"}
    assert runtime.store.stat(runtime.media, f"source/{taken.recording_id}.vtt") is None


def test_a_sidecar_that_comes_first_waits_and_one_that_comes_late_is_applied(runtime: Runtime, put: Put) -> None:
    json_key, vtt_key = KEY.replace("mp4", "json"), KEY.replace("mp4", "vtt")
    assert take_in(runtime, put(json_key, SIDECAR)).early
    taken = take_in(runtime, put(KEY, b"a recording"))
    assert lesson_of(runtime, taken).title == "勾股定理"
    late = take_in(runtime, put(vtt_key, VTT))
    assert late == TakenIn(taken.recording_id, ("speech", "index"))
    changed = take_in(runtime, put(json_key, SIDECAR.replace("勾股定理".encode(), "全等三角形".encode())))
    assert changed == TakenIn(taken.recording_id, ("index",))
    assert lesson_of(runtime, taken).title == "全等三角形"


def test_without_room_on_the_work_disk_it_waits_and_nothing_is_half_written(runtime: Runtime, put: Put) -> None:
    full = replace(runtime, settings=runtime.settings.model_copy(update={"disk_reserve_bytes": 2**60}))
    put(KEY, b"a recording")
    with pytest.raises(DiskFull) as error:
        take_in(full, KEY)
    assert "MB" in error.value.remedy_zh
    assert runtime.catalog.lessons.every() == []
    assert [known.key for known in runtime.catalog.arrivals.waiting()] == [KEY]
    assert take_in(runtime, KEY).recording_id


def test_a_store_that_is_down_is_unavailable(runtime: Runtime, tmp_path: Path) -> None:
    down = replace(runtime, store=ObjectStore("127.0.0.1:9", "huikan", "secret-secret"))
    with pytest.raises(Unavailable):
        take_in(down, KEY)
    assert not list((tmp_path / "home" / "work").glob("scratch/*"))
