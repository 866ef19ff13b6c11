"""Help with the words of a search: while they are typed, when they were typed wrongly, and when nothing was found.

Every suggestion is looked for before it is shown, within what the viewer may see: what is suggested finds something, and
nobody learns from a suggestion what somebody else's lessons say.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from api.access import Viewer, scope_of
from api.deps import Web
from api.finding import finds
from search import suggest
from search.query import Query, parse

SHOWN = 8
_LOOKED_FOR = 16  # searches that one keystroke may cost, each for one hit


@dataclass(frozen=True, slots=True)
class Help:
    """For a search that found little: what may have been meant, and parts of it that find something."""

    meant: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()
    spelled: str = ""  # how letters were read: gou gu ding li


def suggestions(web: Web, viewer: Viewer, typed: str) -> tuple[str, ...]:
    """What the viewer may be about to type, titles first, shortest first among the terms. Each finds something."""
    titles = suggest.completions(typed, web.names.seen_by(scope_of(viewer)))
    terms = sorted(suggest.completions(typed, suggest.known()), key=lambda term: len(term.text))
    return tuple(_finding(web, viewer, Query(""), (term.text for term in (*titles, *terms)), SHOWN))


def help_with(web: Web, viewer: Viewer, query: Query, *, found: bool) -> Help:
    """`found`: whether something was found as it was typed or as it sounds; then only the reading of letters is told."""
    plan = parse(query.text)
    readings = [reading for piece in plan.pieces if piece.spelled for reading in piece.whole.readings[:1]]
    spelled = " ".join(sound for reading in readings for sound in reading.sounds)
    if found or not plan.pieces:
        return Help(spelled=spelled)
    known = (*web.names.seen_by(scope_of(viewer)), *suggest.known())
    meant = _finding(web, viewer, query, (term.text for term in suggest.corrections(query.text, known)), 3)
    pieces = ["".join(piece.whole.units) for piece in plan.pieces] if len(plan.pieces) > 1 else []
    return Help(tuple(meant), tuple(_finding(web, viewer, query, pieces, 4)), spelled)


def _finding(web: Web, viewer: Viewer, query: Query, texts: Iterable[str], count: int) -> Iterator[str]:
    shown = 0
    for looked_for, text in enumerate(dict.fromkeys(texts)):
        if shown >= count or looked_for >= _LOOKED_FOR:
            return
        if finds(web, viewer, replace(query, text=text, limit=1, offset=0, only_sure=True)):
            shown += 1
            yield text
