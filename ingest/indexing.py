"""How lessons get into the index: one by one as they are ordered, or all of them into an index beside the one that is searched.

An order waits in the catalog until it is carried out, so the search engine may be away: lessons are published all the same,
and are found as soon as it is back. Building an index takes nothing away from anybody: the old one is searched until the new
one holds what the catalog holds, and answers.
"""

import os
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from datetime import datetime, timedelta
from itertools import chain
from multiprocessing import get_context, parent_process
from threading import Thread

import structlog

from archive.catalog import Catalog
from archive.crash import crash_point
from archive.errors import Unavailable
from archive.indexing import Build, Order
from archive.model import Lesson
from archive.settings import Settings
from ingest import lexicon
from ingest.indexes import POINTER_S
from ingest.runtime import Runtime
from search.index import NAME, Ready, SearchIndex, Seen, ready, warm
from search.passages import EDITION, Passage, passages_of
from search.query import STAFF, Query
from search.words import clean

log = structlog.get_logger()

_FIRST_RETRY_S, _LONGEST_RETRY_S = 5.0, 600.0
_BATCH = 200  # lessons of one commit: some tens of thousands of passages, a hundred megabytes at most
_PROCESSES = 2  # cut words for one writer; more would wait for it
_SHARE, _PAGES_AHEAD = (
    20,
    2,
)  # lessons that a process is given at once; batches that are cut before the writer wants them
_WORTH_PROCESSES = 400  # lessons: starting the processes takes some seconds
_SPOT_CHECKS = 20
_SPOT_CHARS = 12
_OVERLAP = timedelta(seconds=60)  # a writer that does not know of a build yet has ended by then

Progress = Callable[[int, int], None]  # lessons done, lessons in all


# --- orders ---------------------------------------------------------------------------------------------------------


def carry_out_due(runtime: Runtime) -> int:
    """Indexes what was ordered and not carried out yet, some hundred lessons together. Returns how many."""
    orders = runtime.catalog.indexing.due()
    if not orders:
        return 0
    try:
        return carry_out(runtime, orders)
    except Exception:  # one lesson that breaks us must not keep the others out of the index
        log.exception("indexing failed in a way nobody foresaw; lesson by lesson now")
        return sum(_carried_out(runtime, order) for order in orders)


def _carried_out(runtime: Runtime, order: Order) -> int:
    try:
        return carry_out(runtime, [order])
    except Exception as error:
        log.exception("a lesson cannot be indexed", lesson=order.lesson_id)
        zh = f"搜索稍后可用：这是回看自身的错误（{type(error).__name__}），请把日志交给维护者；会自动重试。"
        runtime.catalog.indexing.postpone(order, zh, retry_after_s=_LONGEST_RETRY_S)
        return 0


def carry_out(runtime: Runtime, orders: Sequence[Order]) -> int:
    """Returns how many; 0 when the index is unavailable: they are then tried again later, and nobody waits for them."""
    indexing = runtime.catalog.indexing
    try:
        index_lessons(runtime, [order.lesson_id for order in orders])
    except Unavailable as error:
        log.warning("search is delayed", lessons=len(orders), reason=str(error))
        for order in orders:
            wait_s = min(_LONGEST_RETRY_S, _FIRST_RETRY_S * 2 ** min(order.attempts, 10))
            indexing.postpone(order, f"搜索稍后可用：{error.reason_zh}", retry_after_s=wait_s)
        return 0
    for order in orders:
        indexing.settle(order)
    return len(orders)


def index_lessons(runtime: Runtime, lesson_ids: Sequence[str]) -> None:
    """Replaces their passages. While a transcript is still to come, title and teacher can be found already."""
    lexicon.refresh(runtime.settings)
    lessons = [runtime.catalog.lessons.get(lesson_id) for lesson_id in lesson_ids]
    made = {lesson.id: _passages(runtime.catalog, lesson) for lesson in lessons}
    runtime.index.replace_many({lesson_id: ready(passages) for lesson_id, (passages, _) in made.items()})
    crash_point("index:replaced")
    runtime.catalog.indexing.note_indexed(lesson_ids)
    for lesson in lessons:
        if made[lesson.id][1]:
            runtime.catalog.outputs.mark_searchable(lesson.recording_id, EDITION)


def _passages(catalog: Catalog, lesson: Lesson) -> tuple[tuple[Passage, ...], bool]:
    """A lesson's passages, and whether what was said is among them."""
    transcript = catalog.transcripts.current(lesson.recording_id)
    if lesson.superseded_by is not None:  # found by the lesson that is shown instead
        return (), transcript is not None
    return passages_of(lesson, transcript.cues if transcript else ()), transcript is not None


# --- is the index what the catalog says? ----------------------------------------------------------------------------


def wanted(runtime: Runtime) -> set[Seen]:
    """What the index should hold: every lesson that was indexed, visible to whom the catalog says."""
    lessons = runtime.catalog.lessons.every()
    shown = [one for one in lessons if one.indexed_at is not None and one.superseded_by is None]
    return {Seen(one.id, clean(one.school), one.consent is True) for one in shown}


def mend(runtime: Runtime) -> int:
    """Orders what the index lacks or has otherwise than the catalog, and removes what no lesson has any more.

    Returns how many lessons were ordered. Indexes of other editions are dropped once this one is whole.
    """
    should, found = wanted(runtime), runtime.index.seen()
    lessons = {one.lesson_id for one in should}
    wrong = {one.lesson_id for one in should ^ found}
    runtime.catalog.indexing.order(sorted(wrong & lessons))
    for orphan in wrong - lessons:
        runtime.index.remove(orphan)
    if not wrong:
        runtime.index.drop(runtime.index.others())
    return len(wrong & lessons)


# --- an index beside the one that is searched -----------------------------------------------------------------------


def reindex(runtime: Runtime, on_progress: Progress) -> int:
    """Builds an index beside the live one, makes sure of it, swaps it in and drops the old one. Returns how many lessons.

    Cut off at any moment, it goes on from its last commit when it is called again. Raises Unavailable; the live index is
    then what it was. One process at a time.
    """
    lexicon.refresh(runtime.settings)
    indexing = runtime.catalog.indexing
    build = indexing.begin(EDITION)
    index = runtime.index.named(build.name)
    known = _fill(runtime, build, index, on_progress)
    _catch_up(runtime, build, index, known)
    _make_sure(runtime, index)
    crash_point("reindex:before-swap")
    pending = [order.lesson_id for order in indexing.orders()]
    indexing.swap(build.name)
    indexing.order(pending)  # whoever was at one of them may have written into the old index alone
    log.info("index swapped", name=build.name)
    time.sleep(2 * POINTER_S)  # until nobody searches the old one
    # Another edition's index is perhaps still searched by the release before this one: `mend` drops it when it is gone.
    runtime.index.drop(name for name in runtime.index.others() if name.partition("b")[0] == NAME)
    return len(index.seen())


_Known = dict[str, datetime | None]  # when each lesson had last been indexed when it was read
_Batch = dict[str, list[Ready]]


def _fill(runtime: Runtime, build: Build, index: SearchIndex, on_progress: Progress) -> _Known:
    """All lessons from the build's cursor on, in the order of their ids, a commit for each batch."""
    indexing = runtime.catalog.indexing
    total, done, known = indexing.count(), build.done, _Known()
    on_progress(done, total)
    with _workers(runtime, total - done) as workers:
        for batch in _made(runtime, _pages(runtime, build.cursor), workers, known):
            index.replace_many(batch)
            crash_point("reindex:batch")
            done += len(batch)
            indexing.advance(build.name, max(batch), done)
            on_progress(done, max(total, done))
    return known


def _catch_up(runtime: Runtime, build: Build, index: SearchIndex, known: _Known) -> None:
    """Again, whatever was indexed since it was read, until nothing was: we may have written what is older."""
    since = build.begun_at - _OVERLAP
    while changed := [
        one
        for one in _lessons(runtime.catalog, runtime.catalog.indexing.indexed_since(since))
        if one.id not in known or one.indexed_at != known[one.id]
    ]:
        for first in range(0, len(changed), _BATCH):
            batch = changed[first : first + _BATCH]
            known.update((one.id, one.indexed_at) for one in batch)
            index.replace_many({one.id: ready(_passages(runtime.catalog, one)[0]) for one in batch})


def _make_sure(runtime: Runtime, index: SearchIndex) -> None:
    """The new index holds every lesson for whom it should, none besides, and finds what was said. Raises Unavailable."""
    should = wanted(runtime)
    for orphan in {one.lesson_id for one in index.seen()} - {one.lesson_id for one in should}:
        index.remove(orphan)  # erased while the index was built
    wrong = should ^ index.seen()
    if wrong:
        reason = f"the new index differs from the catalog in {len(wrong)} entries"
        raise Unavailable("新索引", reason, "请再运行一次 huikan reindex；现用的索引没有变。")
    step = max(1, len(should) // _SPOT_CHECKS)
    for seen in sorted(should)[::step]:
        for passage in _passages(runtime.catalog, runtime.catalog.lessons.get(seen.lesson_id))[0][:2]:
            query = Query(passage.text[:_SPOT_CHARS], lesson_id=seen.lesson_id, scope=STAFF)
            if query.is_asking and not index.search(query).hits:
                reason = f"a passage of lesson {seen.lesson_id} is not found"
                raise Unavailable("新索引", reason, "请再运行一次 huikan reindex；现用的索引没有变。")


def _pages(runtime: Runtime, cursor: str) -> Iterator[list[str]]:
    while page := runtime.catalog.indexing.lessons_after(cursor, _BATCH):
        yield page
        cursor = page[-1]


def _lessons(catalog: Catalog, lesson_ids: Iterable[str]) -> Iterator[Lesson]:
    found = (catalog.lessons.find(lesson_id) for lesson_id in lesson_ids)
    return (one for one in found if one is not None)


@contextmanager
def _workers(runtime: Runtime, lessons: int) -> Generator[Executor | None]:
    if lessons < _WORTH_PROCESSES:
        yield None
        return
    settings = runtime.settings
    with ProcessPoolExecutor(_PROCESSES, get_context("spawn"), initializer=_begin, initargs=(settings,)) as pool:
        yield pool


_Made = tuple[str, datetime | None, list[Ready]]  # a lesson, when it had been indexed when it was read, its passages

_opened: list[Catalog] = []  # of a process that cuts


def _begin(settings: Settings) -> None:
    """In a process of its own: it reads the catalog itself, for a lesson's cues take long to hand over."""
    Thread(target=_end_with_parent, name="parent", daemon=True).start()
    lexicon.refresh(settings)
    warm()
    _opened.append(Catalog(settings.catalog_address))


def _end_with_parent() -> None:
    """A worker that is killed must not leave us waiting for work for ever: we hold an end of our own pipe open."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _cut(lesson_ids: Sequence[str]) -> list[_Made]:
    return _made_of(_opened[0], lesson_ids)


def _made_of(catalog: Catalog, lesson_ids: Iterable[str]) -> list[_Made]:
    return [(one.id, one.indexed_at, ready(_passages(catalog, one)[0])) for one in _lessons(catalog, lesson_ids)]


def _made(
    runtime: Runtime, pages: Iterable[Sequence[str]], workers: Executor | None, known: _Known
) -> Iterator[_Batch]:
    """Batches of lessons with their words cut: in processes of their own, some batches ahead, or here."""
    ahead: deque[list[Future[list[_Made]]]] = deque()
    for page in pages:
        if workers is None:
            yield _collected([_made_of(runtime.catalog, page)], known)
            continue
        shares = [page[first : first + _SHARE] for first in range(0, len(page), _SHARE)]
        ahead.append([workers.submit(_cut, share) for share in shares])
        if len(ahead) > _PAGES_AHEAD:
            yield _collected([made.result() for made in ahead.popleft()], known)
    while ahead:
        yield _collected([made.result() for made in ahead.popleft()], known)


def _collected(made: Iterable[Sequence[_Made]], known: _Known) -> _Batch:
    batch: _Batch = {}
    for lesson_id, indexed_at, passages in chain.from_iterable(made):
        known[lesson_id] = indexed_at
        batch[lesson_id] = passages
    return batch
