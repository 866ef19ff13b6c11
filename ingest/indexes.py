"""The search index as the rest of Huikan has it: the one that is live, and while another is built beside it, both are written.

Which is live says the catalog. Readers look there once a second; writers each time, so that what is published while an index
is in the making is in it too. After an upgrade that is the index of the release before, if this one can search it, until one
of this edition is swapped in.
"""

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from archive.indexing import Indexing
from search.hits import Results
from search.index import NAME, Ready, SearchIndex, Seen, ready
from search.passages import EDITION, OLDER_EDITIONS, Passage
from search.query import Query

POINTER_S = 1.0  # how long a reader may go on in an index that was replaced


class LiveIndex:
    """A SearchIndex over those that `opened` gives by name. Threads may share one object."""

    def __init__(self, opened: Callable[[str], SearchIndex], indexing: Indexing) -> None:
        self._opened, self._indexing = opened, indexing
        self._lock = threading.Lock()
        self._by_name: dict[str, SearchIndex] = {}
        self._live, self._looked_at = NAME, float("-inf")

    def replace(self, lesson_id: str, passages: Sequence[Passage]) -> None:
        self.replace_many({lesson_id: ready(passages)})

    def replace_many(self, lessons: Mapping[str, Sequence[Ready]]) -> None:
        for index in self._written():
            index.replace_many(lessons)

    def remove(self, lesson_id: str) -> None:
        for index in self._written():
            index.remove(lesson_id)

    def search(self, query: Query) -> Results:
        return self.live().search(query)

    def lessons_saying(self, query: Query, limit: int) -> list[str] | None:
        return self.live().lessons_saying(query, limit)

    def seen(self) -> set[Seen]:
        return self.live().seen()

    def size(self) -> int:
        return self.live().size()

    def others(self) -> list[str]:
        """Those that nobody searches and nobody builds."""
        building = self._indexing.building(EDITION)
        return [name for name in self.live().others() if building is None or name != building.name]

    def drop(self, names: Iterable[str]) -> None:
        self.live().drop(names)

    def close(self) -> None:
        with self._lock:
            for index in self._by_name.values():
                index.close()
            self._by_name.clear()

    def live(self) -> SearchIndex:
        with self._lock:
            live, is_known = self._live, time.monotonic() - self._looked_at <= POINTER_S
        if is_known:
            return self.named(live)
        live = self._searched()
        with self._lock:
            before, self._live, self._looked_at = self._live, live, time.monotonic()
            if before != live and before in self._by_name:
                self._by_name.pop(before).close()
        return self.named(live)

    def is_older(self) -> bool:
        """Whether what is searched is of an edition before ours: one of ours is then to be built beside it."""
        return self._searched() == self._older() is not None

    def _searched(self) -> str:
        return self._indexing.live(EDITION) or self._older() or NAME

    def _older(self) -> str | None:
        """The index of the release before, if there is one that we can search and none of ours."""
        if not OLDER_EDITIONS or self._indexing.live(EDITION) is not None or self.named(NAME).size():
            return None
        there = {*self.named(NAME).others()}
        names = (self._indexing.live(edition) or f"e{edition}" for edition in OLDER_EDITIONS)
        return next((name for name in names if name in there), None)

    def named(self, name: str) -> SearchIndex:
        with self._lock:
            if name not in self._by_name:
                self._by_name[name] = self._opened(name)
            return self._by_name[name]

    def _written(self) -> list[SearchIndex]:
        building = self._indexing.building(EDITION)
        live = self._searched()
        return [self.named(name) for name in (live, *([building.name] if building else []))]
