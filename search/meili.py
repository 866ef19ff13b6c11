"""The Meilisearch adapter: an index for a district or a city, on a server of its own (1.12 or later).

Meilisearch cuts Chinese in its own way, has no sounds, approximates phrases by pairs of near words, keeps ten terms of a
query and reads quotes and minus signs in it. So it is given nothing of that to decide: search.meili_terms writes opaque
terms, and a query is a list of those, all required. What comes back is a superset that `answer` checks. Its own
highlighting (offsets in bytes) is not used. `cmn` in localizedAttributes keeps its language guesser out of it (charabia
0.9.9 was seen to leave every one of 79,240 such terms whole).

Documents of a lesson are written under a new generation, then older generations are deleted: a search meanwhile finds the
old ones, or both (and shows a moment once), never none. Writers that race end with the highest generation alone.
"""

# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false

import json
import re
import threading
import time
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any

from meilisearch import Client
from meilisearch.errors import MeilisearchApiError, MeilisearchError
from meilisearch.models.task import TaskInfo

from archive.errors import DiskFull, Unavailable
from search.hits import Results
from search.index import NAME, REBUILD_ZH, Candidate, Ready, Seen, answer, candidate_of, ready
from search.meili_terms import document_of, equals, filters_of, lesson_key, one_of, ways_of
from search.passages import Passage
from search.query import MAX_HITS, Query, Sort

WHAT = "搜索服务 Meilisearch"

_HTTP_TIMEOUT_S = 10
_TASK_TIMEOUT_MS = 120_000  # tasks queue behind each other: a busy server takes this long for a small one
_TASK_POLL_MS = 20
_PAGE = 1000
_BATCH_BYTES = 8_000_000
_NAME = re.compile(r"e[0-9]+(?:b[0-9]+)?")

_SETTINGS: Mapping[str, Any] = {
    "searchableAttributes": ["words", "units", "sounds", "initials", "near"],
    "displayedAttributes": ["consent", "generation", "id", "lesson_id", "record", "school"],
    "filterableAttributes": [
        "consent", "generation", "grade", "is_first", "is_written", "language", "lesson", "lesson_ms", "programme", "school",
        "started_on", "subject", "teacher", "term",
    ],
    "sortableAttributes": ["started_on"],
    "rankingRules": ["words", "sort", "weight:desc", "proximity", "exactness"],
    "typoTolerance": {"enabled": False},
    "prefixSearch": "disabled",
    "facetSearch": False,
    "proximityPrecision": "byAttribute",  # adjacency is in the terms: its table of near words is not needed
    "localizedAttributes": [{"attributePatterns": ["*"], "locales": ["cmn"]}],
    "pagination": {"maxTotalHits": 4 * MAX_HITS},
    "stopWords": [],
    "synonyms": {},
}  # fmt: skip


class MeiliIndex:
    """The Meilisearch adapter of SearchIndex. Threads may share one object."""

    def __init__(self, url: str, key: str, index: str, *, name: str = NAME) -> None:
        self._url, self._key = url.rstrip("/"), key
        self._family, self._uid = f"{index}-", f"{index}-{name}"
        self._local = threading.local()
        self._preparing = threading.Lock()
        self._is_prepared = False

    def replace(self, lesson_id: str, passages: Sequence[Passage]) -> None:
        self.replace_many({lesson_id: ready(passages)})

    def replace_many(self, lessons: Mapping[str, Sequence[Ready]]) -> None:
        if not lessons:
            return
        self._prepare()
        these = one_of("lesson", map(lesson_key, lessons))
        known = self._documents({"fields": ["generation"], "filter": [these]})
        newest = max((document.generation for document in known), default=0)
        generation = max(time.time_ns() // 1000, newest + 1)  # whatever other clocks say
        documents = (
            document_of(lesson_id, generation, number, one)
            for lesson_id, passages in lessons.items()
            for number, one in enumerate(passages)
        )
        for batch in _batches(documents):
            with _translated():
                added = self._client.index(self._uid).add_documents(batch, "id")
            self._done(added)
        self._delete([these, f"generation < {generation}"])

    def remove(self, lesson_id: str) -> None:
        self._prepare()
        self._delete([equals("lesson", lesson_key(lesson_id))])

    def search(self, query: Query) -> Results:
        filters = filters_of(query)
        return answer(
            query, lambda plan, tier, limit: self._candidates(ways_of(plan, tier), filters, limit, query.sort)
        )

    def lessons_saying(self, query: Query, limit: int) -> list[str] | None:
        return None  # a tier is several queries here, and what they find together it does not count

    def seen(self) -> set[Seen]:
        # The first passages alone: a lesson has some 140. All of one are written together, for the same viewers.
        known = self._documents({"fields": [*Seen._fields], "filter": ["is_first = true"]})
        return {Seen(document.lesson_id, document.school, document.consent) for document in known}

    def size(self) -> int:
        try:
            with _translated():
                return self._client.index(self._uid).get_documents({"fields": ["id"], "limit": 1}).total
        except _IndexMissing:
            return 0

    def others(self) -> list[str]:
        with _translated():
            found: Any = self._client.get_raw_indexes({"limit": _PAGE})
        uids: list[str] = [index["uid"] for index in found["results"]]
        names = [uid.removeprefix(self._family) for uid in uids if uid.startswith(self._family)]
        return sorted(name for name in names if _NAME.fullmatch(name) and self._family + name != self._uid)

    def drop(self, names: Iterable[str]) -> None:
        for uid in {self._family + name for name in names}:
            try:
                with _translated():
                    dropped = self._client.delete_index(uid)
            except _IndexMissing:
                continue
            self._done(dropped, allowed="index_not_found")
            if uid == self._uid:
                self._is_prepared = False

    def close(self) -> None:
        self._local = threading.local()

    @property
    def _client(self) -> Client:
        """One for each thread: the library keeps the headers of the request under way in a dict of the client's."""
        if not hasattr(self._local, "client"):
            self._local.client = Client(self._url, self._key or None, timeout=_HTTP_TIMEOUT_S)
        return self._local.client

    def _prepare(self) -> None:
        """The index with our settings, whatever was there before. Asks the server once for each object."""
        with self._preparing:
            if self._is_prepared:
                return
            with _translated():
                created = None if self._exists() else self._client.create_index(self._uid, {"primaryKey": "id"})
            if created is not None:
                self._done(created, allowed="index_already_exists")  # another process was first
            with _translated():
                index = self._client.index(self._uid)
                updated = None if _holds(_SETTINGS, index.get_settings()) else index.update_settings(dict(_SETTINGS))
            if updated is not None:
                self._done(updated)
            self._is_prepared = True

    def _exists(self) -> bool:
        try:
            self._client.get_raw_index(self._uid)
        except MeilisearchApiError as error:
            if error.code == "index_not_found":
                return False
            raise
        return True

    def _documents(self, asked: Mapping[str, Any]) -> Iterator[Any]:
        offset = 0
        while True:
            try:
                with _translated():
                    page = self._client.index(self._uid).get_documents({**asked, "limit": _PAGE, "offset": offset})
            except _IndexMissing:
                return
            yield from page.results
            offset += _PAGE
            if offset >= page.total:
                return

    def _candidates(self, ways: Sequence[str], filters: list[str], limit: int, sort: Sort) -> list[Candidate]:
        """What the ways of a tier find, in their order; one way's best before the next way's."""
        if not ways:
            return []  # an empty query would mean everything
        asked = {"indexUid": self._uid, "filter": filters, "limit": limit, "matchingStrategy": "all"}
        if sort is Sort.NEWEST:
            asked["sort"] = ["started_on:desc"]
        shown = {"attributesToRetrieve": ["id", "record"], "showRankingScore": True}
        try:
            with _translated():
                answers: Any = self._client.multi_search([{**asked, **shown, "q": way} for way in ways])
        except _IndexMissing:
            return []
        found: dict[str, Candidate] = {}
        for results in answers["results"]:
            for hit in results["hits"]:
                found.setdefault(hit["id"], candidate_of(hit["record"], float(hit["_rankingScore"])))
        return list(islice(found.values(), limit))

    def _delete(self, filters: list[str]) -> None:
        with _translated():
            deleted = self._client.index(self._uid).delete_documents(filter=list(filters))
        self._done(deleted)

    def _done(self, task: TaskInfo, *, allowed: str = "") -> None:
        """Wait until the server has done it: only then is it searchable."""
        with _translated():
            ended = self._client.wait_for_task(task.task_uid, _TASK_TIMEOUT_MS, _TASK_POLL_MS)
        code = str((ended.error or {}).get("code", ""))
        if ended.status != "succeeded" and code != (allowed or None):
            reason = f"task {ended.type} {ended.status}: {(ended.error or {}).get('message', code)}"
            raise _unavailable(code, reason)


def _batches(documents: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """Documents in requests that the server takes (100 MB by default) and that a busy one has done within the timeout."""
    batch: list[dict[str, Any]] = []
    size_bytes = 0
    for document in documents:
        size = len(json.dumps(document))  # as the client sends it
        if batch and size_bytes + size > _BATCH_BYTES:
            yield batch
            batch, size_bytes = [], 0
        batch.append(document)
        size_bytes += size
    if batch:
        yield batch


class _IndexMissing(Unavailable):
    """Nobody has indexed anything yet, which is an empty index and no fault."""


@contextmanager
def _translated() -> Generator[None]:
    try:
        yield
    except MeilisearchApiError as error:
        raise _unavailable(str(error.code or error.status_code), error.message) from error
    except (MeilisearchError, OSError, ValueError) as error:  # requests' errors are OSError, a bad body is ValueError
        raise Unavailable(WHAT, str(error)[:300], "请检查 HUIKAN_MEILI_URL 和服务器是否在运行。") from error


def _unavailable(code: str, reason: str) -> Unavailable:
    if code == "index_not_found":
        return _IndexMissing(WHAT, reason, REBUILD_ZH)
    if code == "no_space_left_on_device":
        return DiskFull(WHAT, reason, "请清理 Meilisearch 服务器的磁盘。")
    if code in ("invalid_api_key", "missing_authorization_header", "401", "403"):
        return Unavailable(WHAT, reason, "请检查 HUIKAN_MEILI_KEY。")
    return Unavailable(WHAT, f"{code}: {reason}"[:300], REBUILD_ZH)


def _holds(wanted: Any, found: Any) -> bool:
    """Whether the server's settings already are what is wanted; it adds defaults, and may list a set in its own order."""
    if isinstance(wanted, Mapping):
        settings: Mapping[str, Any] = wanted
        return isinstance(found, Mapping) and all(_holds(value, found.get(name)) for name, value in settings.items())
    return wanted == found
