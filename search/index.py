"""The search port. Two adapters keep it: `search.embedded.TantivyIndex` and `search.meili.MeiliIndex`.

An adapter stores passages with their terms and proposes candidates for a plan in two tiers; `answer` does the rest alike
for both. To add an adapter: keep the protocol, let `search` be `answer(query, …)`, and add it to
tests/contracts/test_search_index.py and tests/search/test_relevance.py.

Scope and filters are applied three times: by the engine (so that limits count what may be seen), by `answer` on each
passage, and by the caller against the catalog, which alone knows what is published and consented now.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Literal, Protocol

from archive.model import Programme
from search import sounds, words
from search.hits import Hit, Results, hit_of
from search.passages import Jump, Passage
from search.query import MAX_HITS, Plan, Query, parse

REBUILD_ZH = "请运行 huikan reprocess --step index 重建索引。"

Tier = Literal["exact", "sound"]
_Hits = dict[tuple[str, str, int], Hit]

# Windows overlap by a cue and a few proposals do not stand up, so more is asked for than is needed.
_PROPOSALS_PER_HIT = 3


class SearchIndex(Protocol):
    """Passages that can be found. Every method may raise Unavailable; no query raises anything else."""

    def replace(self, lesson_id: str, passages: Sequence[Passage]) -> None:
        """Make these the lesson's passages. Searchable on return; a search meanwhile sees the lesson, never half of it."""
        ...

    def remove(self, lesson_id: str) -> None:
        """The lesson is found no more, from return on. Nothing happens if it was not there."""
        ...

    def search(self, query: Query) -> Results: ...

    def lesson_ids(self) -> set[str]: ...

    def counts(self) -> "Counts": ...

    @property
    def is_stale(self) -> bool:
        """Whether an index of another edition lies beside: its lessons are to be indexed anew, then `drop_stale`."""
        ...

    def drop_stale(self) -> None:
        """Forget the other editions' indexes. This one is not touched."""
        ...

    def reset(self) -> None:
        """Drop everything, of every edition, also what is corrupt. Afterwards the index is empty and works."""
        ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Counts:
    lessons: int
    passages: int


@dataclass(frozen=True, slots=True)
class Terms:
    """What a passage is found by. `sounds` has one for each of `units`."""

    units: tuple[str, ...]
    words: tuple[str, ...]
    sounds: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A passage that an engine proposes, and how it sounds, as it was stored."""

    passage: Passage
    sounds: tuple[str, ...]
    score: float


def warm() -> None:
    """Load the dictionaries now (some 3 s of CPU), so that the first search need not wait. Safe from any thread."""
    sounds.readings(sounds.syllables("勾股dingli"))


def terms_of(passage: Passage) -> Terms:
    cut = words.cut(passage.text)
    return Terms(
        units=tuple(unit for word in cut if not word.part for unit in words.unit_texts(word.text)),
        words=tuple(word.text for word in cut),
        sounds=sounds.sounds_of(cut),
    )


def record_of(passage: Passage, terms: Terms) -> str:
    """What an engine keeps to give back: the passage and its sounds."""
    return json.dumps({**asdict(passage), "sounds": " ".join(terms.sounds)})


def candidate_of(record: str, score: float) -> Candidate:
    known = json.loads(record)
    heard = tuple(known.pop("sounds").split())
    known["programme"] = Programme(known["programme"])
    known["jumps"] = tuple(Jump(**jump) for jump in known["jumps"])
    return Candidate(Passage(**known), heard, score)


def answer(query: Query, propose: Callable[[Plan, Tier, int], Iterable[Candidate]]) -> Results:
    """The results of a query, given what an engine proposes for a plan, a tier and at most so many."""
    plan = parse(query.text)
    offset = max(query.offset, 0)
    limit = min(query.limit, MAX_HITS - offset)
    impossible = (
        any(words.clean(value) != value for value in query.filters.values()) or query.scope.schools == frozenset()
    )
    if not plan.pieces or limit <= 0 or impossible:
        return Results()
    need = offset + limit + 1
    hits = _hits(plan, query, propose(plan, "exact", need * _PROPOSALS_PER_HIT), need)
    # Letters that are found as they are written mean what is written: "women" does not ask for 我们 as well.
    if len(hits) < need and plan.sounds and not (plan.spelled and hits):
        hits = _hits(plan, query, propose(plan, "sound", need * _PROPOSALS_PER_HIT), need, hits)
    ranked = sorted(hits.values(), key=lambda hit: hit.matched_by == "sound")
    return Results(tuple(ranked[offset : offset + limit]), more=len(ranked) > offset + limit)


def _hits(plan: Plan, query: Query, candidates: Iterable[Candidate], need: int, known: _Hits | None = None) -> _Hits:
    """The known hits and so many of the candidates that stand up as are needed, once each: overlapping windows propose
    the same moment twice.
    """
    hits: _Hits = {} if known is None else dict(known)
    for candidate in candidates:
        if len(hits) >= need:
            break
        hit = (
            hit_of(plan, candidate.passage, candidate.sounds, candidate.score)
            if query.admits(candidate.passage)
            else None
        )
        if hit is not None:
            hits.setdefault((hit.lesson_id, hit.kind, hit.start_ms), hit)
    return hits
