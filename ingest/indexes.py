"""The search index as the rest of Huikan has it: the one that is live, and while another is built beside it, both are written.

Which is live says the catalog. Readers look there once a second; writers each time, so that what is published while an index
is in the making is in it too.
"""

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from archive.indexing import Indexing
from search.hits import Results
from search.index import NAME, Ready, SearchIndex, Seen, ready
from search.passages import EDITION, Passage
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
            if time.monotonic() - self._looked_at > POINTER_S:
                before, self._live = self._live, self._indexing.live(EDITION) or NAME
                self._looked_at = time.monotonic()
                if before != self._live and before in self._by_name:
                    self._by_name.pop(before).close()
        return self.named(self._live)

    def named(self, name: str) -> SearchIndex:
        with self._lock:
            if name not in self._by_name:
                self._by_name[name] = self._opened(name)
            return self._by_name[name]

    def _written(self) -> list[SearchIndex]:
        building = self._indexing.building(EDITION)
        live = self._indexing.live(EDITION) or NAME
        return [self.named(name) for name in (live, *([building.name] if building else []))]
