"""What is Meilisearch's alone, over its stand-in. The contract and the relevance suites run over both it and the real one."""

import threading
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor

import pytest

from archive.errors import DiskFull, Unavailable
from search.meili import MeiliIndex
from search.query import Query
from tests.search.engines import lesson_ids, said
from tests.search.meili_stand_in import KEY, StandIn, stand_in


@pytest.fixture
def server() -> Generator[tuple[StandIn, str]]:
    with stand_in() as running:
        yield running


def test_settings_are_put_once_and_not_again_by_the_next_process(server: tuple[StandIn, str]) -> None:
    state, url = server
    MeiliIndex(url, KEY, "huikan").replace("a", said("a", "重力"))
    MeiliIndex(url, KEY, "huikan").replace("b", said("b", "重力"))
    assert state.updates == 1
    found = state.indexes["huikan-e3"].settings
    assert found["typoTolerance"] == {"enabled": False}
    assert found["localizedAttributes"] == [{"attributePatterns": ["*"], "locales": ["cmn"]}]


def test_settings_that_somebody_changed_are_put_right(server: tuple[StandIn, str]) -> None:
    state, url = server
    MeiliIndex(url, KEY, "huikan").replace("a", said("a", "重力"))
    state.indexes["huikan-e3"].settings["typoTolerance"] = {"enabled": True}
    MeiliIndex(url, KEY, "huikan").replace("b", said("b", "重力"))
    assert state.indexes["huikan-e3"].settings["typoTolerance"] == {"enabled": False}


def test_processes_that_start_together_make_one_index(server: tuple[StandIn, str]) -> None:
    _, url = server
    start = threading.Barrier(4)

    def write(number: int) -> None:
        start.wait()
        MeiliIndex(url, KEY, "huikan").replace(str(number), said(str(number), "重力"))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    assert lesson_ids(MeiliIndex(url, KEY, "huikan")) == {"0", "1", "2", "3"}


def test_while_a_lesson_is_replaced_it_is_found_all_the_time(server: tuple[StandIn, str]) -> None:
    # Between any two tasks of the server, somebody searches.
    state, url = server
    index, reader = MeiliIndex(url, KEY, "huikan"), MeiliIndex(url, KEY, "huikan")
    index.replace("a", said("a", "重力"))
    perform, seen = state.perform, []

    def perform_and_look(task: dict[str, object]) -> None:
        perform(task)  # type: ignore[arg-type]
        state.lock.release()
        seen.append([hit.start_ms for hit in reader.search(Query("重力")).hits])
        state.lock.acquire()

    state.perform = perform_and_look  # type: ignore[method-assign]
    index.replace("a", said("a", "重力"))
    assert seen == [[10_000], [10_000]]


def test_a_clock_that_is_behind_does_not_lose_a_lesson(
    server: tuple[StandIn, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, url = server
    index = MeiliIndex(url, KEY, "huikan")
    index.replace("a", said("a", "重力"))
    monkeypatch.setattr("search.meili.time.time_ns", lambda: 1_000_000)
    index.replace("a", said("a", "浮力"))
    assert [len(index.search(Query(text)).hits) for text in ("重力", "浮力")] == [0, 1]


def test_an_index_of_another_edition_serves_until_it_is_dropped(server: tuple[StandIn, str]) -> None:
    state, url = server
    MeiliIndex(url, KEY, "huikan", name="e1").replace("a", said("a", "重力"))
    state.indexes["huikan-else"] = state.indexes["huikan-e1"]  # not of ours
    newer = MeiliIndex(url, KEY, "huikan")
    assert newer.others() == ["e1"]
    assert lesson_ids(newer) == set()
    newer.replace("b", said("b", "重力"))
    newer.drop(newer.others())
    assert newer.others() == []
    assert lesson_ids(newer) == {"b"}
    assert set(state.indexes) == {"huikan-e3", "huikan-else"}


def test_a_large_lesson_is_sent_in_several_requests(
    server: tuple[StandIn, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    state, url = server
    monkeypatch.setattr("search.meili._BATCH_BYTES", 5000)
    index = MeiliIndex(url, KEY, "huikan")
    index.replace("a", said("a", *["重力"] * 20))
    assert sum(task["type"] == "documentAdditionOrUpdate" for task in state.tasks) > 2
    assert index.size() == 20


def test_a_wrong_key_says_which_setting(server: tuple[StandIn, str]) -> None:
    _, url = server
    with pytest.raises(Unavailable) as refused:
        MeiliIndex(url, "wrong", "huikan").search(Query("重力"))
    assert "HUIKAN_MEILI_KEY" in refused.value.reason_zh


def test_a_server_that_is_away_is_unavailable() -> None:
    with stand_in() as (_, url):
        pass
    with pytest.raises(Unavailable) as refused:
        MeiliIndex(url, KEY, "huikan").replace("a", said("a", "重力"))
    assert "HUIKAN_MEILI_URL" in refused.value.reason_zh


@pytest.mark.parametrize("url", ["", "no scheme", "http://", "ftp://x"])
def test_an_address_that_is_none_is_unavailable(url: str) -> None:
    with pytest.raises(Unavailable):
        MeiliIndex(url, KEY, "huikan").search(Query("重力"))


def test_a_server_that_fails_is_unavailable_and_a_full_one_says_so(server: tuple[StandIn, str]) -> None:
    state, url = server
    index = MeiliIndex(url, KEY, "huikan")
    state.failing = (500, "internal")
    with pytest.raises(Unavailable):
        index.search(Query("重力"))
    state.failing = (507, "no_space_left_on_device")
    with pytest.raises(DiskFull):
        index.replace("a", said("a", "重力"))
    state.failing = None
    index.replace("a", said("a", "重力"))
    assert lesson_ids(index) == {"a"}


@pytest.mark.parametrize(("code", "family"), [("internal", Unavailable), ("no_space_left_on_device", DiskFull)])
def test_a_task_that_fails_is_told(server: tuple[StandIn, str], code: str, family: type[Unavailable]) -> None:
    state, url = server
    index = MeiliIndex(url, KEY, "huikan")
    index.replace("a", said("a", "重力"))
    state.failing_tasks = code
    with pytest.raises(family):
        index.replace("b", said("b", "重力"))


def test_threads_share_one_object(server: tuple[StandIn, str]) -> None:
    # The library keeps each request's headers in its client: shared, a GET takes the content type from another's POST.
    _, url = server
    index = MeiliIndex(url, KEY, "huikan")
    index.replace("a", said("a", "重力"))
    with ThreadPoolExecutor(8) as pool:
        found = pool.map(
            lambda n: len(index.search(Query("重力")).hits) if n % 2 else len(lesson_ids(index)), range(80)
        )
        assert set(found) == {1}
