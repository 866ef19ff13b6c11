"""kill -9 of the whole tree at any moment, then `huikan serve` again: each acknowledged upload still ends, once."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from api.operate import check_everything
from search.embedded import TantivyIndex
from search.index import NAME
from tests.ingest.conftest import KEY, SIDECAR
from tests.serving import Huikan, alive, eventually

# Where each stage has done its work and has not said so yet: there a repetition could do harm.
CRASHES = [
    "encode:stored",
    "publish:after",
]
ELSEWHERE = [
    "intake:noted",
    "intake:stored",
    "intake:accepted",
    "probe:begin",
    "probe:kept",
    "survey:kept",
    "encode:begin",
    "encode:made",
    "encode:kept",
    "finish:stored",
    "finish:kept",
    "speech:begin",
    "speech:stretch",
    "speech:heard",
    "speech:stored",
    "index:begin",
    "index:replaced",
    "publish:begin",
    "publish:before",
]


@pytest.fixture
def huikan(tmp_path: Path) -> Iterator[Huikan]:
    """Stopped afterwards, whatever happened."""
    made = Huikan(tmp_path / "home")
    yield made
    if made.process is not None and made.process.poll() is None:
        made.stop()


def send(huikan: Huikan, media: Path) -> None:
    store = huikan.store()
    store.put_bytes(
        "incoming", KEY.replace("mp4", "json"), SIDECAR.replace(b'"consent"', b'"language": "en", "consent"')
    )
    store.put_file("incoming", KEY, media)


def is_whole(huikan: Huikan) -> bool:
    found = huikan.arrivals().get(KEY, {})
    return bool(found.get("published") and found.get("searchable") and all(s["done"] for s in found["stages"]))


@pytest.mark.parametrize("crash_at", [*CRASHES, *(pytest.param(at, marks=pytest.mark.slow) for at in ELSEWHERE)])
def test_a_kill_at_any_stage_loses_nothing_and_publishes_once(
    huikan: Huikan, tiny_recording: Path, crash_at: str
) -> None:
    huikan.start(HUIKAN_CRASH_AT=crash_at)
    tree = huikan.tree()
    send(huikan, tiny_recording)
    huikan.wait_for_death()
    assert huikan.process is not None
    assert huikan.process.returncode == -signal.SIGKILL
    eventually(lambda: not alive(tree), 30, "the end of the process tree")

    huikan.start()
    eventually(lambda: is_whole(huikan), 300, "the publication")
    catalog = huikan.catalog()
    lessons = catalog.lessons.every()
    assert [lesson.title for lesson in lessons] == ["勾股定理"]
    assert catalog.arrivals.refused() == []
    assert catalog.arrivals.waiting() == []
    assert all(state.done and state.obstacle is None for state in catalog.outputs.stages(lessons[0].recording_id))
    catalog.close()
    assert check_everything(huikan.settings).findings == ()


@pytest.mark.slow
def test_finished_steps_are_not_done_again(huikan: Huikan, tiny_recording: Path) -> None:
    huikan.start(HUIKAN_CRASH_AT="publish:after")
    send(huikan, tiny_recording)
    huikan.wait_for_death()
    huikan.start()
    eventually(lambda: is_whole(huikan), 300, "the publication")
    done = [line for line in huikan.log.splitlines() if '"event": "step done"' in line]
    for step in ("probe", "encode"):
        assert len([line for line in done if f'"step": "{step}"' in line]) == 1, step


def test_without_a_model_the_lesson_is_playable_and_its_transcript_arrives_later(
    huikan: Huikan, tiny_recording: Path
) -> None:
    missing = {"HUIKAN_SPEECH_MODEL": "no-such-model", "HUIKAN_SPEECH_MODEL_BY_LANGUAGE": "{}"}
    huikan.start(**missing, HUIKAN_SPEECH_DOWNLOAD="false")
    send(huikan, tiny_recording)
    eventually(lambda: bool(huikan.arrivals().get(KEY, {}).get("published")), 300, "the publication")

    def remedy() -> str:
        stages = huikan.arrivals()[KEY]["stages"]
        return "".join(str(stage["obstacle"]) for stage in stages if stage["obstacle"])

    eventually(lambda: "no-such-model" in remedy(), 60, "the remedy")
    assert not is_whole(huikan)
    huikan.stop()
    huikan.start()
    assert huikan.run("reprocess").returncode == 0
    eventually(lambda: is_whole(huikan), 300, "the transcript")


def test_ctrl_c_stops_everything_in_order_and_leaves_no_orphan(huikan: Huikan) -> None:
    huikan.start()
    tree = huikan.tree()
    assert len(tree) >= 3
    assert huikan.stop(signal.SIGINT) == 0
    eventually(lambda: not alive(tree), 30, "the end of the process tree")
    assert not (huikan.home / "serve.json").exists()


def test_a_worker_that_is_killed_is_started_again_and_goes_on(huikan: Huikan, tiny_recording: Path) -> None:
    huikan.start()
    worker = next(pid for pid in huikan.tree() if b"worker" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0"))
    send(huikan, tiny_recording)
    eventually(lambda: KEY in huikan.arrivals(), 60, "the arrival")
    os.kill(worker, signal.SIGKILL)
    eventually(lambda: is_whole(huikan), 300, "the publication")
    assert worker not in huikan.tree()


def test_without_its_store_it_ends_and_says_so_and_can_be_started_again(huikan: Huikan) -> None:
    huikan.start()
    tree = huikan.tree()
    weed = next(pid for pid in tree if Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0].endswith(b"weed"))
    os.kill(weed, signal.SIGKILL)
    huikan.wait_for_death()
    assert huikan.process is not None
    assert huikan.process.returncode == 69
    assert "内置对象存储" in huikan.log
    eventually(lambda: not alive(tree), 30, "the end of the process tree")
    huikan.start()


def test_a_second_server_on_the_same_data_refuses_to_start(huikan: Huikan) -> None:
    huikan.start()
    second = huikan.run("serve")
    assert second.returncode == 78
    assert "already runs" in second.stderr


@pytest.mark.slow
def test_the_index_is_made_anew_from_the_catalog_when_it_is_lost(huikan: Huikan, tiny_recording: Path) -> None:
    huikan.start()
    send(huikan, tiny_recording)
    eventually(lambda: is_whole(huikan), 300, "the publication")
    huikan.stop()
    index = TantivyIndex(huikan.home / "index")
    index.drop([NAME])
    assert index.seen() == set()
    huikan.start()
    eventually(lambda: len(index.seen()) == 1, 120, "the index")
    index.close()
