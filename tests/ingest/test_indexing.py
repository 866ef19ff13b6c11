"""Orders that wait for the index, and an index built beside the one that is searched."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from hashlib import sha256

import pytest
from pydantic import SecretStr

from archive.arrivals import Accepted
from archive.errors import Misconfigured, Unavailable
from archive.model import Cue, Lesson, Sidecar, Span, Transcript
from ingest import indexing, steps
from ingest.indexes import LiveIndex
from ingest.runtime import Runtime, open_index
from ingest.verify import verify
from ingest.worker import only_one, renew_index
from search.index import NAME, ready
from search.passages import Passage, passages_of
from search.query import STAFF, Query
from tests.search.meili_stand_in import KEY, stand_in


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Readers look for a new index all the time, so that nobody need wait for them."""
    monkeypatch.setattr("ingest.indexes.POINTER_S", 0.0)
    monkeypatch.setattr("ingest.indexing.POINTER_S", 0.0)


def heard(runtime: Runtime, number: int, text: str = "今天学习勾股定理") -> Lesson:
    """A lesson with a transcript, as far as the catalog knows; not indexed yet."""
    key = f"xinghuo/301/20260901T{number // 60:02}{number % 60:02}.mp4"
    recording_id = sha256(key.encode()).hexdigest()
    runtime.catalog.arrivals.note(key, "etag", 1)
    sidecar = Sidecar(title=f"第{number}课", subject="数学", consent=True)
    accepted = runtime.catalog.arrivals.accept(key, "etag", recording_id, 1, sidecar)
    assert isinstance(accepted, Accepted)
    said = (Cue(Span(0, 3000), text), Cue(Span(3000, 6000), "大家看黑板"))
    edition = runtime.catalog.transcripts.next_edition(recording_id)
    runtime.catalog.transcripts.keep(Transcript(recording_id, edition, "zh-Hans", "speech", "", said))
    return runtime.catalog.lessons.get(accepted.lesson_id)


def indexed(runtime: Runtime, count: int) -> list[Lesson]:
    lessons = [heard(runtime, number) for number in range(count)]
    assert indexing.carry_out_due(runtime) == count
    return [runtime.catalog.lessons.get(lesson.id) for lesson in lessons]


def found(runtime: Runtime, text: str = "勾股定理") -> set[str]:
    return {hit.lesson_id for hit in runtime.index.search(Query(text, scope=STAFF)).hits}


def index_findings(runtime: Runtime) -> set[tuple[str, str]]:
    codes = {"not-indexed", "wrong-visibility", "index-orphan"}
    return {(f.code, f.subject) for f in verify(runtime).findings if f.code in codes}


def test_what_is_known_of_a_lesson_changes_and_orders_its_indexing(runtime: Runtime) -> None:
    lesson = heard(runtime, 1)
    assert indexing.carry_out_due(runtime) == 1
    assert (found(runtime), index_findings(runtime)) == ({lesson.id}, set())
    runtime.catalog.lessons.set_consent(lesson.id, consent=False)
    assert runtime.index.search(Query("勾股定理")).hits  # the index lags; api.finding asks the catalog
    assert index_findings(runtime) == set()  # for it is ordered
    assert indexing.carry_out_due(runtime) == 1
    assert runtime.index.search(Query("勾股定理")).hits == ()
    runtime.catalog.lessons.describe(lesson.id, Sidecar(title="商高定理", consent=True))
    indexing.carry_out_due(runtime)
    assert found(runtime, "商高定理") == {lesson.id}
    assert runtime.catalog.indexing.orders() == []


def test_without_its_index_a_lesson_goes_on_and_is_found_later(runtime: Runtime) -> None:
    lesson = heard(runtime, 1)
    folder = runtime.settings.home / "index"
    folder.write_text("somebody put a file here")
    steps.index_recording(runtime, lesson.recording_id)  # no error: publishing is next
    (order,) = runtime.catalog.indexing.orders()
    assert order.attempts == 1
    (late,) = [s.obstacle for s in runtime.catalog.outputs.stages(lesson.recording_id) if s.obstacle]
    assert late.reason_zh.startswith("搜索稍后可用")
    assert runtime.catalog.lessons.get(lesson.id).searchable_at is None
    assert indexing.carry_out_due(runtime) == 0  # not yet
    folder.unlink()
    runtime.catalog.indexing.retry_now()
    assert indexing.carry_out_due(runtime) == 1
    assert found(runtime) == {lesson.id}
    assert runtime.catalog.lessons.get(lesson.id).searchable_at is not None
    assert [s for s in runtime.catalog.outputs.stages(lesson.recording_id) if s.obstacle] == []


def test_a_lesson_that_breaks_the_indexer_keeps_no_other_from_being_found(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken, fine = heard(runtime, 1), heard(runtime, 2)
    known = indexing.passages_of

    def breaking(lesson: Lesson, said: Sequence[Cue]) -> tuple[Passage, ...]:
        if lesson.id == broken.id:
            raise ZeroDivisionError
        return known(lesson, said)

    monkeypatch.setattr(indexing, "passages_of", breaking)
    assert indexing.carry_out_due(runtime) == 1
    assert found(runtime) == {fine.id}
    (order,) = runtime.catalog.indexing.orders()
    assert (order.lesson_id, order.attempts) == (broken.id, 1)


def test_an_order_that_was_given_again_meanwhile_stays(runtime: Runtime) -> None:
    lesson = heard(runtime, 1)
    (order,) = runtime.catalog.indexing.due()
    runtime.catalog.lessons.set_consent(lesson.id, consent=False)
    runtime.catalog.indexing.settle(order)
    assert [later.lesson_id for later in runtime.catalog.indexing.due()] == [lesson.id]


def test_verify_tells_what_the_index_has_otherwise_and_mending_puts_it_right(runtime: Runtime) -> None:
    missing, stale, fine = indexed(runtime, 3)
    runtime.index.remove(missing.id)
    runtime.index.replace(stale.id, [_hidden(stale)])
    runtime.index.replace("erased-long-ago", [_hidden(stale, "erased-long-ago")])
    assert index_findings(runtime) == {
        ("not-indexed", missing.id),
        ("wrong-visibility", stale.id),
        ("index-orphan", "erased-long-ago"),
    }
    assert indexing.mend(runtime) == 2
    indexing.carry_out_due(runtime)
    assert index_findings(runtime) == set()
    assert found(runtime) == {missing.id, stale.id, fine.id}


def _hidden(lesson: Lesson, lesson_id: str = "") -> Passage:
    return replace(passages_of(lesson, ())[0], lesson_id=lesson_id or lesson.id, consent=False)


def test_an_index_is_built_beside_and_swapped_in_while_everything_is_found(runtime: Runtime) -> None:
    lessons = {lesson.id for lesson in indexed(runtime, 5)}
    seen: list[set[str]] = []

    def watch(_done: int, _total: int) -> None:
        seen.append(found(runtime))

    assert indexing.reindex(runtime, watch) == 5
    assert all(one == lessons for one in seen)
    assert found(runtime) == lessons
    assert runtime.catalog.indexing.live(indexing.EDITION) == f"{NAME}b1"
    assert [folder.name for folder in (runtime.settings.home / "index").glob("e*")] == [f"{NAME}b1"]
    assert indexing.reindex(runtime, watch) == 5  # and again
    assert runtime.catalog.indexing.live(indexing.EDITION) == f"{NAME}b2"
    assert index_findings(runtime) == set()


def test_a_build_that_was_cut_off_goes_on_where_it_was(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    indexed(runtime, 5)
    monkeypatch.setattr(indexing, "_BATCH", 2)
    told: list[tuple[int, int]] = []

    def stop_after_four(done: int, total: int) -> None:
        told.append((done, total))
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        indexing.reindex(runtime, stop_after_four)
    assert len(found(runtime)) == 5
    assert indexing.reindex(runtime, lambda done, total: told.append((done, total))) == 5
    assert told == [(0, 5), (2, 5), (4, 5), (4, 5), (5, 5)]
    assert index_findings(runtime) == set()


def test_what_is_published_while_an_index_is_built_is_in_it(runtime: Runtime) -> None:
    lessons = indexed(runtime, 3)
    late: list[Lesson] = []

    def meanwhile(done: int, _total: int) -> None:
        if done and not late:
            late.append(heard(runtime, 50, "商高定理"))
            runtime.catalog.lessons.set_consent(lessons[0].id, consent=False)
            indexing.carry_out_due(runtime)

    indexing.reindex(runtime, meanwhile)
    assert found(runtime, "商高定理") == {late[0].id}
    assert index_findings(runtime) == set()


def test_a_build_that_wrote_what_was_older_writes_it_again(runtime: Runtime) -> None:
    (lesson,) = indexed(runtime, 1)
    old = {lesson.id: ready(passages_of(lesson, ()))}  # with consent

    def meanwhile(done: int, _total: int) -> None:
        if done:
            runtime.catalog.lessons.set_consent(lesson.id, consent=False)
            indexing.carry_out_due(runtime)
            runtime.index.named(f"{NAME}b1").replace_many(old)  # the builder had read it before

    indexing.reindex(runtime, meanwhile)
    assert index_findings(runtime) == set()
    assert runtime.index.search(Query("勾股定理")).hits == ()


def test_an_order_that_was_half_carried_out_at_the_swap_is_carried_out_again(runtime: Runtime) -> None:
    (lesson,) = indexed(runtime, 1)
    runtime.catalog.indexing.order([lesson.id])
    (before,) = runtime.catalog.indexing.orders()
    indexing.reindex(runtime, lambda _done, _total: None)
    runtime.catalog.indexing.settle(before)  # by whoever wrote into the old index
    assert [order.lesson_id for order in runtime.catalog.indexing.due()] == [lesson.id]


def test_a_new_index_that_is_not_whole_is_not_swapped_in(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    lessons = {lesson.id for lesson in indexed(runtime, 3)}
    kept = LiveIndex.named

    def forgetful(index: LiveIndex, name: str) -> object:
        one = kept(index, name)
        if name != NAME:
            monkeypatch.setattr(one, "replace_many", lambda _lessons: None)
        return one

    with monkeypatch.context() as patch:
        patch.setattr(LiveIndex, "named", forgetful)
        with pytest.raises(Unavailable, match="differs from the catalog"):
            indexing.reindex(runtime, lambda _done, _total: None)
    assert found(runtime) == lessons
    assert runtime.catalog.indexing.live(indexing.EDITION) is None


def test_the_same_over_a_server(runtime: Runtime) -> None:
    with stand_in() as (state, url):
        settings = runtime.settings.model_copy(update={"meili_url": url, "meili_key": SecretStr(KEY)})
        served = replace(runtime, settings=settings, index=open_index(settings, runtime.catalog))
        lessons = {lesson.id for lesson in indexed(served, 3)}
        state.failing = 503, "unavailable"
        served.catalog.lessons.set_consent(min(lessons), consent=False)
        assert indexing.carry_out_due(served) == 0  # the server is away: the order waits
        state.failing = None
        assert indexing.reindex(served, lambda _done, _total: None) == 3
        assert set(state.indexes) == {f"huikan-{NAME}b1"}
        served.catalog.indexing.retry_now()
        indexing.carry_out_due(served)
        assert served.index.seen() == indexing.wanted(served)
        assert found(served) == lessons


def test_another_process_sees_the_swap(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    lessons = {lesson.id for lesson in indexed(runtime, 2)}
    other = open_index(runtime.settings, runtime.catalog)
    look: Callable[[], set[str]] = lambda: {h.lesson_id for h in other.search(Query("勾股定理", scope=STAFF)).hits}  # noqa: E731
    assert look() == lessons
    indexing.reindex(runtime, lambda _done, _total: None)
    assert look() == lessons
    other.close()


def test_words_are_cut_in_processes_for_a_large_library(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexing, "_WORTH_PROCESSES", 1)
    monkeypatch.setattr(indexing, "_BATCH", 2)
    lessons = {lesson.id for lesson in indexed(runtime, 5)}
    assert indexing.reindex(runtime, lambda _done, _total: None) == 5
    assert found(runtime) == lessons


@pytest.fixture
def upgraded(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> Runtime:
    """Five lessons, in an index of the edition before ours, which we can search."""
    indexed(runtime, 5)
    before = indexing.EDITION - 1
    folder = runtime.settings.home / "index"
    (folder / NAME).rename(folder / f"e{before}")
    runtime.index.close()
    monkeypatch.setattr("ingest.indexes.OLDER_EDITIONS", (before,))
    return runtime


def test_after_an_upgrade_the_older_index_is_searched_until_a_new_one_is_built(upgraded: Runtime) -> None:
    lessons = {lesson.id for lesson in upgraded.catalog.lessons.every()}
    assert found(upgraded) == lessons
    assert upgraded.index.is_older()
    assert indexing.mend(upgraded) == 0  # it lacks nothing, and stays
    late = heard(upgraded, 9)
    assert indexing.carry_out_due(upgraded) == 1
    assert found(upgraded) == {*lessons, late.id}
    assert renew_index(upgraded) == 6
    assert not upgraded.index.is_older()
    assert upgraded.catalog.indexing.live(indexing.EDITION) == f"{NAME}b1"
    assert found(upgraded) == {*lessons, late.id}
    indexing.carry_out_due(upgraded)
    assert indexing.mend(upgraded) == 0
    assert [folder.name for folder in (upgraded.settings.home / "index").glob("e*")] == [f"{NAME}b1"]
    assert renew_index(upgraded) == 0


def test_a_renewal_that_was_cut_off_goes_on_and_is_done_by_one_only(
    upgraded: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexing, "_BATCH", 2)
    with monkeypatch.context() as patch:
        patch.setattr(indexing, "_make_sure", _cut_off)
        with pytest.raises(KeyboardInterrupt):
            renew_index(upgraded)
    assert len(found(upgraded)) == 5
    with only_one(upgraded.settings.home / "reindex.lock"), pytest.raises(Misconfigured):
        renew_index(upgraded)
    assert renew_index(upgraded) == 5
    assert upgraded.catalog.indexing.live(indexing.EDITION) == f"{NAME}b1"


def _cut_off(_runtime: Runtime, _index: object) -> None:
    raise KeyboardInterrupt


def test_an_index_that_this_release_cannot_search_is_left_and_lessons_are_indexed_anew(
    upgraded: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingest.indexes.OLDER_EDITIONS", ())
    assert (found(upgraded), upgraded.index.is_older(), renew_index(upgraded)) == (set(), False, 0)
    assert indexing.mend(upgraded) == 5
    indexing.carry_out_due(upgraded)
    assert len(found(upgraded)) == 5
