"""The words of the glossaries are words for search too: cut whole, suggested while typing, found by their initials.

A glossary is a file that a teacher writes; it is looked at again whenever something is indexed, and once a minute by whoever
answers searches. Nothing need be indexed anew for it.
"""

import threading

import structlog

from archive.errors import Unreadable
from archive.settings import Settings
from search.index import learn
from transcribe import glossary

log = structlog.get_logger()

_lock = threading.Lock()
_read: list[tuple[glossary.Term, ...]] = []  # what was learnt last; the same object while no file has changed


def refresh(settings: Settings) -> None:
    """Learns the glossaries of this home, if any of them has changed. A file that cannot be read changes nothing."""
    try:
        found = glossary.terms(settings.home / "glossary")
    except (Unreadable, OSError) as error:
        log.warning("a glossary cannot be read; search goes on with the words it knew", reason=str(error))
        return
    with _lock:
        if _read and _read[0] is found:
            return
        _read[:] = [found]
        learn(term.word for term in found)
