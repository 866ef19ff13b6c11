"""The embedded index: tantivy in a folder. One process writes at a time, any number read and see each commit at once.

The folder has one index for each name (`e2/`) and `writer.lock`. Only writers create anything; a reader of an index that
is not there finds nothing. The lock is held by the kernel for the process (flock), so a killed writer blocks nobody, and
what it had not committed is as if it had never begun.
"""

import fcntl
import json
import os
import shutil
import threading
import time
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import tantivy
from tantivy import Query as TantivyQuery

from archive.errors import DiskFull, Unavailable
from search.embedded_terms import SCHEMA, document_of, query_of, written_query
from search.hits import Results
from search.index import (
    NAME,
    REBUILD_ZH,
    Candidate,
    Ready,
    Seen,
    answer,
    candidate_of,
    ready,
)
from search.passages import Passage
from search.query import Query, Sort, parse
from search.turns import Turns
from search.words import clean

WHAT = "搜索索引"

_HEAP_BYTES = 32_000_000  # tantivy's least is 15 MB; a lesson needs far less, a bulk load is faster with more
_READ_AT_ONCE = 8
_COMPARED_LESSONS, _COMPARED_PASSAGES = 20, 2000  # of more it is sooner written than compared
_PASSAGES_SAYING = 10  # of a lesson, more or less, say what it is about
_AT_ONCE = 2  # searches: the engine's half of each needs no Python, so two keep it and a second core busy
_LOCK_WAIT_S = 60.0  # another writer holds the lock for some 50 ms a lesson
_LOCK_POLL_S = 0.02


class _Change(NamedTuple):
    """What is to go from the index, by field and value, and what is to come into it."""

    gone: list[tuple[str, str]]
    fresh: Sequence[Ready]


class TantivyIndex:
    """The embedded adapter of SearchIndex. Threads may share one object."""

    def __init__(self, path: Path, *, name: str = NAME) -> None:
        self._path = path
        self._folder = path / name
        self._reading = threading.Lock()
        self._turns = Turns(_AT_ONCE)
        self._index: tantivy.Index | None = None
        self._seen: tuple[int, int, int] | None = None  # which meta.json the reader has loaded

    def replace(self, lesson_id: str, passages: Sequence[Passage]) -> None:
        self.replace_many({lesson_id: ready(passages)})

    def replace_many(self, lessons: Mapping[str, Sequence[Ready]]) -> None:
        if not lessons:
            return
        with self._locked():
            changes = self._changes(lessons)
            if not changes:
                return
            with self._writer() as writer:
                for change in changes:
                    for field, value in change.gone:
                        writer.delete_documents_by_term(field, value)
                for change in changes:
                    for one in change.fresh:
                        writer.add_document(document_of(one))

    def _changes(self, lessons: Mapping[str, Sequence[Ready]]) -> list[_Change]:
        """Of a few lessons only the passages that differ are written: a teacher who corrects a line waits for one of them."""
        searcher = self._searcher() if len(lessons) <= _COMPARED_LESSONS else None
        if searcher is None:
            return [_Change([("lesson_id", clean(lesson_id))], passages) for lesson_id, passages in lessons.items()]
        with _translated():
            found = [_change(searcher, clean(lesson_id), passages) for lesson_id, passages in lessons.items()]
        return [change for change in found if change.gone or change.fresh]

    def remove(self, lesson_id: str) -> None:
        self.replace(lesson_id, ())

    def search(self, query: Query) -> Results:
        with self._turns:
            searcher = self._searcher()
            if searcher is None:
                return Results()
            return answer(
                query, lambda plan, tier, limit: _candidates(searcher, query_of(plan, tier, query), limit, query.sort)
            )

    def lessons_saying(self, query: Query, limit: int) -> list[str] | None:
        with self._turns, _translated():
            searcher: Any = self._searcher()  # the library's types leave out counts, and what aggregations are
            plan = parse(query.text)
            if searcher is None or not plan.pieces or query.is_impossible:
                return []
            written = written_query(plan, query)
            if searcher.search(written, 1, count=True).count > limit * _PASSAGES_SAYING:
                return None  # sooner known than the lessons
            asked = {"lessons": {"terms": {"field": "lesson_id", "size": limit + 1}}}
            buckets = searcher.aggregate(written, asked)["lessons"]["buckets"]
            return [bucket["key"] for bucket in buckets] if len(buckets) <= limit else None

    def seen(self) -> set[Seen]:
        searcher = self._searcher()
        return set() if searcher is None else _seen(searcher)

    def size(self) -> int:
        searcher = self._searcher()
        return 0 if searcher is None else searcher.num_docs

    def others(self) -> list[str]:
        return sorted({f.name for f in self._path.glob("e[0-9]*") if f.is_dir()} - {self._folder.name})

    def drop(self, names: Iterable[str]) -> None:
        with self._locked(), _translated():
            for name in {*names} & {*self.others(), self._folder.name}:
                folder = self._path / name
                if folder.exists():  # at once gone for readers, even if deleting is interrupted
                    folder.rename(self._path / f"dropped-{name}-{time.time_ns()}")
            for doomed in self._path.glob("dropped-*"):
                shutil.rmtree(doomed)

    def close(self) -> None:
        with self._reading:
            self._index, self._seen = None, None

    def _searcher(self) -> tantivy.Searcher | None:
        """A view of the newest commit; None while nothing was ever indexed."""
        with self._reading, _translated():
            try:
                meta = (self._folder / "meta.json").stat()
            except FileNotFoundError:
                self._index = None
                return None
            now = (meta.st_ino, meta.st_mtime_ns, meta.st_size)  # each commit replaces the file
            if self._index is None:
                self._index = tantivy.Index.open(str(self._folder))
                self._index.config_reader("manual")  # its own watcher would see commits half a second late
                self._seen = None
            if now != self._seen:
                self._index.reload()
                self._seen = now
            return self._index.searcher()

    @contextmanager
    def _writer(self) -> Generator[tantivy.IndexWriter]:
        """A writer that commits at the end, all or nothing. Under the lock."""
        with _translated():
            self._folder.mkdir(exist_ok=True)
            index = tantivy.Index(SCHEMA, path=str(self._folder))
            writer = index.writer(_HEAP_BYTES, 1)
            try:
                yield writer
                writer.commit()
            finally:
                # Also gives the writer back after a failure, which a kept traceback would not. A merge that is cut short
                # would be begun again at every commit; one that fails is only not made.
                with suppress(ValueError, RuntimeError):
                    writer.wait_merging_threads()

    @contextmanager
    def _locked(self) -> Generator[None]:
        try:
            self._path.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self._path / "writer.lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise Unavailable(WHAT, str(error), "请检查索引目录的权限和磁盘。") from error
        try:
            _wait_for(descriptor)
            yield
        finally:
            os.close(descriptor)


def _change(searcher: tantivy.Searcher, lesson_id: str, passages: Sequence[Ready]) -> _Change:
    """From what the index has of a lesson to these passages."""
    whole = _Change([("lesson_id", lesson_id)], passages)
    query = TantivyQuery.term_query(SCHEMA, "lesson_id", lesson_id)
    hits = searcher.search(query, _COMPARED_PASSAGES, count=False).hits
    records = [searcher.doc(address)["record"][0].decode(errors="surrogatepass") for _, address in hits]
    kept = {clean(candidate_of(record, 0.0).passage.id): record for record in records}
    wanted = {one.id: one for one in passages}
    if len(hits) == _COMPARED_PASSAGES or len(kept) < len(hits) or len(wanted) < len(passages):
        return whole  # more than a lesson has, or ids that do not tell passages apart
    gone = [("id", id_) for id_, record in kept.items() if id_ not in wanted or wanted[id_].record != record]
    fresh = [one for id_, one in wanted.items() if kept.get(id_) != one.record]
    return whole if len(fresh) == len(passages) else _Change(gone, fresh)


def _wait_for(descriptor: int) -> None:
    deadline = time.monotonic() + _LOCK_WAIT_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() > deadline:
                reason = f"another process has been writing for {_LOCK_WAIT_S:.0f} s"
                raise Unavailable(WHAT, reason, "请确认没有别的 huikan 进程卡住。") from error
            time.sleep(_LOCK_POLL_S)
        else:
            return


@contextmanager
def _translated() -> Generator[None]:
    """tantivy's errors as ours. It raises ValueError for nearly everything, with Rust's words for the cause."""
    try:
        yield
    except (ValueError, RuntimeError, OSError) as error:
        reason = str(error)
        if "No space left on device" in reason or "StorageFull" in reason:
            raise DiskFull(WHAT, "no space left on device", "请清理磁盘。") from error
        raise Unavailable(WHAT, reason[:300], REBUILD_ZH) from error
    except BaseException as error:
        # Bytes that rotted make tantivy panic, and pyo3's PanicException (which nobody can import) is no Exception: it
        # would end the thread that serves or indexes.
        if type(error).__name__ != "PanicException":
            raise
        raise Unavailable(WHAT, f"panic: {str(error)[:300]}", REBUILD_ZH) from error


def _candidates(searcher: tantivy.Searcher, query: TantivyQuery, limit: int, sort: Sort) -> Iterator[Candidate]:
    order = "started_on" if sort is Sort.NEWEST else None  # descending, as the library does by itself
    with _translated():
        found = searcher.search(query, limit, count=False, order_by_field=order).hits
    for first in range(0, len(found), _READ_AT_ONCE):  # most searches need a third of them
        with _translated():
            some = [
                (score, searcher.doc(address)["record"][0]) for score, address in found[first : first + _READ_AT_ONCE]
            ]
        for score, record in some:
            yield candidate_of(record.decode(errors="surrogatepass"), score)


def _seen(searcher: tantivy.Searcher) -> set[Seen]:
    with _translated():  # the query leaves out terms of which only deleted documents are left
        found = searcher.terms_with_prefix("seen", "", TantivyQuery.all_query())
    return {Seen(*json.loads(term)) for term, _ in found}
