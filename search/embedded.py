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
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import combinations
from pathlib import Path

import tantivy
from tantivy import FieldType, Occur
from tantivy import Query as TantivyQuery

from archive.errors import DiskFull, Unavailable
from search import near
from search.hits import Results
from search.index import (
    NAME,
    REBUILD_ZH,
    Candidate,
    Counts,
    Ready,
    Seen,
    Terms,
    Tier,
    answer,
    candidate_of,
    ready,
    record_of,
)
from search.passages import Passage
from search.query import FILTERED, Piece, Plan, Query, Row, Sort
from search.words import clean

WHAT = "搜索索引"

_HEAP_BYTES = 32_000_000  # tantivy's least is 15 MB; a lesson needs far less, a bulk load is faster with more
_LOCK_WAIT_S = 60.0  # another writer holds the lock for some 50 ms a lesson
_LOCK_POLL_S = 0.02
# BM25 of a passage stays below some tens; these make tiers of what is a sum of scores.
_IN_A_ROW_BOOST = 1000.0
_TITLE_BOOST = 100.0


class TantivyIndex:
    """The embedded adapter of SearchIndex. Threads may share one object."""

    def __init__(self, path: Path, *, name: str = NAME) -> None:
        self._path = path
        self._folder = path / name
        self._reading = threading.Lock()
        self._index: tantivy.Index | None = None
        self._seen: tuple[int, int, int] | None = None  # which meta.json the reader has loaded

    def replace(self, lesson_id: str, passages: Sequence[Passage]) -> None:
        self.replace_many({lesson_id: ready(passages)})

    def replace_many(self, lessons: Mapping[str, Sequence[Ready]]) -> None:
        if not lessons:
            return
        # The slow part comes before the lock.
        documents = [_document(passage, terms) for passages in lessons.values() for passage, terms in passages]
        with self._writer() as writer:
            for lesson_id in lessons:
                writer.delete_documents_by_term("lesson_id", clean(lesson_id))
            for document in documents:
                writer.add_document(document)

    def remove(self, lesson_id: str) -> None:
        self.replace(lesson_id, ())

    def search(self, query: Query) -> Results:
        searcher = self._searcher()
        if searcher is None:
            return Results()
        return answer(
            query, lambda plan, tier, limit: _candidates(searcher, _query(plan, tier, query), limit, query.sort)
        )

    def seen(self) -> set[Seen]:
        searcher = self._searcher()
        return set() if searcher is None else _seen(searcher)

    def counts(self) -> Counts:
        searcher = self._searcher()
        if searcher is None:
            return Counts(0, 0)
        return Counts(len({one.lesson_id for one in _seen(searcher)}), searcher.num_docs)

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
        """A writer that commits at the end, all or nothing."""
        with self._locked(), _translated():
            self._folder.mkdir(exist_ok=True)
            index = tantivy.Index(_schema(), path=str(self._folder))
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


def _schema() -> tantivy.Schema:
    builder = tantivy.SchemaBuilder()
    for name in ("lesson_id", "seen", "kind", *FILTERED):
        builder.add_text_field(name, tokenizer_name="raw", index_option="basic")
    for name in ("consent", "is_written"):
        builder.add_boolean_field(name, indexed=True)
    for name in ("started_on", "lesson_ms"):
        builder.add_integer_field(name, fast=True)
    builder.add_text_field("words", tokenizer_name="whitespace", index_option="freq")
    builder.add_text_field("units", tokenizer_name="whitespace", index_option="position")
    for name in ("sounds", "near", "initials"):  # pairs of neighbours: far rarer than syllables, and no places to keep
        builder.add_text_field(name, tokenizer_name="whitespace", index_option="basic")
    builder.add_bytes_field("record", stored=True)
    return builder.build()


_SCHEMA = _schema()


def _document(passage: Passage, terms: Terms) -> tantivy.Document:
    return tantivy.Document(
        lesson_id=clean(passage.lesson_id),
        seen=json.dumps([clean(passage.lesson_id), clean(passage.school), passage.consent]),
        kind=passage.kind,
        **{name: clean(getattr(passage, name)) for name in FILTERED},
        consent=passage.consent,
        is_written=passage.is_written,
        started_on=passage.started_on,
        lesson_ms=passage.lesson_ms,
        words=" ".join(terms.words),
        units=" ".join(unit.text for unit in terms.units),
        sounds=" ".join(terms.sound_pairs),
        near=" ".join(terms.near_pairs),
        initials=" ".join(terms.initials),
        record=record_of(passage, terms).encode(errors="surrogatepass"),
    )


def _candidates(searcher: tantivy.Searcher, query: TantivyQuery, limit: int, sort: Sort) -> Iterator[Candidate]:
    order = "started_on" if sort is Sort.NEWEST else None  # descending, as the library does by itself
    with _translated():
        found = searcher.search(query, limit, count=False, order_by_field=order).hits
    for score, address in found:  # read one by one: most searches need a third of them
        with _translated():
            candidate = candidate_of(searcher.doc(address)["record"][0].decode(errors="surrogatepass"), score)
        yield candidate


def _seen(searcher: tantivy.Searcher) -> set[Seen]:
    with _translated():  # the query leaves out terms of which only deleted documents are left
        found = searcher.terms_with_prefix("seen", "", TantivyQuery.all_query())
    return {Seen(*json.loads(term)) for term, _ in found}


def _query(plan: Plan, tier: Tier, query: Query) -> TantivyQuery:
    exact = _all([_as_written(piece) for piece in plan.pieces])
    clauses = [(Occur.Must, _unscored(clause)) for clause in _filters(query)]
    if tier == "exact":
        clauses.append((Occur.Must, exact))
        for rows in filter(None, ([piece.whole for piece in plan.pieces], plan.stretches)):
            in_a_row = _all([_row("units", row.units) for row in rows])
            clauses.append((Occur.Should, TantivyQuery.const_score_query(in_a_row, _IN_A_ROW_BOOST)))
        clauses += [(Occur.Should, _term("words", term)) for piece in plan.pieces for term in piece.terms]
    else:
        alike = _all([_as_it_sounds(piece) for piece in plan.pieces])
        clauses.append((Occur.MustNot, exact))
        if tier == "sound":
            clauses.append((Occur.Must, alike))
        else:
            ways = [_all([_whole_or_words(piece, _nearly) for piece in plan.pieces])]
            ways += [_all([_nearly(row) for row in plan.stretches])] if plan.stretches else []
            clauses += [(Occur.MustNot, alike), (Occur.Must, _any(ways))]
    clauses.append((Occur.Should, TantivyQuery.const_score_query(_term("kind", "title"), _TITLE_BOOST)))
    return TantivyQuery.boolean_query(clauses)


def _filters(query: Query) -> Iterator[TantivyQuery]:
    for name, value in query.filters.items():
        yield _term(name, value)
    for name, between in query.ranges.items():
        yield TantivyQuery.range_query(_SCHEMA, name, FieldType.Integer, between.least, between.most)
    if query.is_written is not None:
        yield TantivyQuery.term_query(_SCHEMA, "is_written", query.is_written)
    if query.scope.consented_only:
        yield TantivyQuery.term_query(_SCHEMA, "consent", True)
    if query.scope.schools is not None:
        yield _any([_term("school", clean(school)) for school in sorted(query.scope.schools)])


def _as_written(piece: Piece) -> TantivyQuery:
    return _whole_or_words(piece, lambda row: _row("units", row.units))


def _whole_or_words(piece: Piece, query_of: Callable[[Row], TantivyQuery]) -> TantivyQuery:
    whole = query_of(piece.whole)
    return whole if len(piece.words) == 1 else _any([whole, _all([query_of(word) for word in piece.words])])


def _as_it_sounds(piece: Piece) -> TantivyQuery:
    alike = _whole_or_words(piece, _sounding)
    return _any([alike, _term("initials", piece.initials)]) if piece.initials else alike


def _sounding(row: Row) -> TantivyQuery:
    readings = [_together("sounds", map(near.pair, heard.sounds, heard.sounds[1:])) for heard in row.readings]
    return _any([_row("units", row.units), *readings])


def _nearly(row: Row) -> TantivyQuery:
    ways = [_row("units", row.units)]
    for heard in row.readings:
        if heard.is_sure:
            ways += [_together("near", pairs) for pairs in near.sieve(heard)]
        if len(heard.units) == 3:
            ways += [_row("units", two) for two in combinations(heard.units, 2)]
    return _any(ways)


def _together(name: str, terms: Iterable[str]) -> TantivyQuery:
    return _all([_term(name, term) for term in terms])


def _row(name: str, terms: Sequence[str]) -> TantivyQuery:
    if len(terms) == 1:  # a phrase of one term is a panic
        return _term(name, terms[0])
    return TantivyQuery.phrase_query(_SCHEMA, name, list(terms))


def _term(name: str, value: str) -> TantivyQuery:
    return TantivyQuery.term_query(_SCHEMA, name, value)


def _all(queries: Sequence[TantivyQuery]) -> TantivyQuery:
    return TantivyQuery.boolean_query([(Occur.Must, query) for query in queries])


def _any(queries: Sequence[TantivyQuery]) -> TantivyQuery:
    return TantivyQuery.boolean_query([(Occur.Should, query) for query in queries])


def _unscored(query: TantivyQuery) -> TantivyQuery:
    return TantivyQuery.const_score_query(query, 0.0)
