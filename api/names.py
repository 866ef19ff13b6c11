"""What lessons are called, as terms that can be suggested."""

import threading
from collections.abc import Callable

from api.access import Clock
from archive.catalog import Catalog
from archive.model import Scope
from search.suggest import Term, term_of

_NAMES = 2000  # of the newest lessons
_KEPT_S = 60.0


class Names:
    """Titles and teachers that a scope may see; read again after a minute. Threads may share one object."""

    def __init__(self, catalog: Catalog, clock: Clock, learn: Callable[[], None]) -> None:
        """`learn`: has search learn the glossaries; called whenever names are read again."""
        self._catalog, self._clock, self._learn = catalog, clock, learn
        self._lock = threading.Lock()
        self._by_scope: dict[Scope, tuple[float, tuple[Term, ...]]] = {}

    def seen_by(self, scope: Scope) -> tuple[Term, ...]:
        now = self._clock()
        with self._lock:
            read_at, known = self._by_scope.get(scope, (float("-inf"), ()))
        if now - read_at > _KEPT_S:
            self._learn()
            terms = map(term_of, self._catalog.lessons.names(scope, limit=_NAMES))
            known = tuple(term for term in terms if term.heard.units)
            with self._lock:
                self._by_scope[scope] = (now, known)
        return known
