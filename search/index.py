"""The search port. Two adapters keep it: `search.embedded.TantivyIndex` and `search.meili.MeiliIndex`.

An adapter stores passages with their terms and proposes candidates for a plan in tiers; `answer` does the rest alike
for both. To add an adapter: keep the protocol, let `search` be `answer(query, …)`, and add it to
tests/contracts/test_search_index.py and tests/search/test_relevance.py.

Scope and filters are applied three times: by the engine (so that limits count what may be seen), by `answer` on each
passage, and by the caller against the catalog, which alone knows what is published and consented now.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain, groupby, pairwise
from typing import Any, Literal, NamedTuple, Protocol

from archive.model import Programme
from search import near, sounds, suggest, words
from search.hits import RANK, Candidate, Hit, Results, hit_of, packed
from search.passages import EDITION, Jump, Kind, Passage
from search.query import FILTERED, MAX_HITS, Plan, Query, Sort, parse
from search.words import Parts, clean

REBUILD_ZH = "请运行 huikan reindex 重建索引。"

# What an engine is asked for, one after the other while too little is found: the query in a row as it stands; its pieces and
# words wherever they are; what sounds like it; what nearly does.
Tier = Literal["row", "exact", "sound", "near"]
NAME = f"e{EDITION}"  # of an edition's first index; one that was built beside another has a longer name

_FIELDS = [*Passage.__dataclass_fields__]
_PROGRAMME, _JUMPS = _FIELDS.index("programme"), _FIELDS.index("jumps")
_JSON = json.JSONEncoder(ensure_ascii=False, check_circular=False)  # once: dumps would make one for each passage
_READ: Callable[[str], tuple[Any, int]] = json.JSONDecoder().raw_decode
_PROGRAMMES = {programme.value: programme for programme in Programme}

_Key = tuple[str, str, int]

# Windows overlap by a cue and a few proposals do not stand up, so more is asked for than is needed.
_PROPOSALS_PER_HIT = 3
_BLOCK = 64  # hits that are put in order of their tightness together
# What is only nearly right is looked for where little else is found.
NEAR_BELOW = 20
_NEAR_HITS = 32


class SearchIndex(Protocol):
    """Passages that can be found. Every method may raise Unavailable; no query raises anything else."""

    def replace(self, lesson_id: str, passages: Sequence[Passage]) -> None:
        """Make these the lesson's passages. Searchable on return; a search meanwhile sees the lesson, never half of it."""
        ...

    def replace_many(self, lessons: "Mapping[str, Sequence[Ready]]") -> None:
        """As `replace` for each of these lessons, but sooner done: for some hundreds of lessons at a time."""
        ...

    def remove(self, lesson_id: str) -> None:
        """The lesson is found no more, from return on. Nothing happens if it was not there."""
        ...

    def search(self, query: Query) -> Results: ...

    def lessons_saying(self, query: Query, limit: int) -> list[str] | None:
        """The ids of all lessons that have the query as it is written, to be counted; None where there are more than
        `limit`, or where this engine cannot tell.
        """
        ...

    def seen(self) -> "set[Seen]":
        """Every lesson that can be found, and by whom. Minutes for a large library on a server."""
        ...

    def size(self) -> int:
        """How many passages there are. Quick, on any engine."""
        ...

    def others(self) -> list[str]:
        """The names of the indexes that lie beside this one: of other editions, or in the making."""
        ...

    def drop(self, names: Iterable[str]) -> None:
        """Forget these indexes, also corrupt ones, and this one if it is among them: it is then empty, and works."""
        ...

    def close(self) -> None: ...


class Seen(NamedTuple):
    """A lesson as an index knows it, and what decides who may find it there."""

    lesson_id: str
    school: str
    consent: bool


class Ready(NamedTuple):
    """A passage as engines keep it, its slow part done, in this process or in another: strings and numbers alone, which go
    from process to process five times as fast as objects.

    Terms have a space between them; there is one of `sounds` for each of `units`. `initials` are of words and of words in
    pairs. `filtered` has a value for each of FILTERED. `record` is what `candidate_of` reads.
    """

    id: str
    lesson_id: str
    kind: Kind
    consent: bool
    is_written: bool
    started_on: int
    lesson_ms: int
    filtered: tuple[str, ...]
    words: str
    units: str
    unit_pairs: str
    sound_pairs: str
    near_pairs: str
    initials: str
    record: str

    @property
    def filters(self) -> dict[str, str]:
        return dict(zip(FILTERED, self.filtered, strict=True))


def ready(passages: Iterable[Passage]) -> list[Ready]:
    return [ready_one(passage) for passage in passages]


def ready_one(passage: Passage) -> Ready:
    parts = words.parts(passage.text)
    heard = list(chain.from_iterable(map(sounds.of_word, parts.whole)))
    return Ready(
        id=clean(passage.id),
        lesson_id=clean(passage.lesson_id),
        kind=passage.kind,
        consent=passage.consent,
        is_written=passage.is_written,
        started_on=passage.started_on,
        lesson_ms=passage.lesson_ms,
        filtered=tuple([clean(getattr(passage, name)) for name in FILTERED]),
        words=" ".join(parts.words),
        units=" ".join(dict.fromkeys(parts.units)),
        unit_pairs=" ".join(near.neighbours(parts.units)),
        sound_pairs=" ".join(near.neighbours(heard)),
        near_pairs=" ".join(near.pairs_of(near.keys(heard))),
        initials=" ".join(_initials_of(parts.whole)),
        record=_record(passage, parts, heard),
    )


def learn(terms: Iterable[str]) -> None:
    """These are words from now on, besides those of the subjects, in place of what was learnt before."""
    if words.learn(terms):
        parse.cache_clear()


def warm() -> None:
    """Load the dictionaries now (some 3 s of CPU), so that the first search need not wait. Safe from any thread."""
    sounds.readings(sounds.syllables("勾股dingli"))
    suggest.known()
    sounds.meant_by_initials("ggdl")


def _initials_of(whole: Sequence[str]) -> tuple[str, ...]:
    """The initials that children type: of each word, and of two neighbours, for a misheard word is often cut in two."""
    firsts = list(map(sounds.initials, whole))
    joined = (one + other for one, other in pairwise(firsts) if len(one) > 1 and len(other) > 1)
    fewest, most = sounds.INITIALS
    return tuple(dict.fromkeys(short for short in (*firsts, *joined) if fewest <= len(short) <= most))


def _record(passage: Passage, parts: Parts, heard: Sequence[str]) -> str:
    """What an engine keeps to give back: the passage, its units and how they sound, as what is soonest read again.

    Lines: the passage's fields in JSON (which has no line breaks), units, sounds, and where the units start and end.
    """
    fields = [getattr(passage, name) for name in _FIELDS]
    is_plain = parts.ends == [start + 1 for start in parts.starts]
    starts, ends = packed(parts.starts), "" if is_plain else packed(parts.ends)
    return "\n".join((_JSON.encode(fields), f" {' '.join(parts.units)} ", f" {' '.join(heard)} ", starts, ends))


def candidate_of(record: str, score: float) -> Candidate:
    known, units, heard, starts, ends = record.split("\n")
    fields, _ = _READ(known)
    fields[_PROGRAMME] = _PROGRAMMES[fields[_PROGRAMME]]
    fields[_JUMPS] = tuple([Jump(*jump) for jump in fields[_JUMPS]])
    return Candidate(Passage(*fields), units, heard, starts, ends, score)


Propose = Callable[[Plan, Tier, int], Iterable[Candidate]]


def answer(query: Query, propose: Propose) -> Results:
    """The results of a query, given what an engine proposes for a plan, a tier and at most so many."""
    plan = parse(query.text)
    offset = max(query.offset, 0)
    limit = min(query.limit, MAX_HITS - offset)
    if not plan.pieces or limit <= 0 or query.is_impossible:
        return Results()
    need = offset + limit + 1
    hits = _hits(plan, query, propose, "row", need, {})
    if len(hits) < need and not plan.is_one_row:
        hits |= _hits(plan, query, propose, "exact", need, hits)
    # Letters that are found as they are written mean what is written: "women" does not ask for 我们 as well.
    if plan.sounds and not (plan.spelled and hits):
        if len(hits) < need:
            hits |= _hits(plan, query, propose, "sound", need, hits)
        if len(hits) < min(need, NEAR_BELOW) and not query.only_sure:
            hits |= _hits(plan, query, propose, "near", len(hits) + _NEAR_HITS, hits)
    ranked = _ranked(hits.values(), query.sort)
    return Results(tuple(ranked[offset : offset + limit]), more=len(ranked) > offset + limit)


def _ranked(hits: Iterable[Hit], sort: Sort) -> list[Hit]:
    """The surest first; of those, the tighter ones first, block by block of the engine's order."""
    if sort is Sort.NEWEST:
        return sorted(hits, key=_rank)
    ranked: list[Hit] = []
    for _, alike in groupby(sorted(hits, key=_rank), _rank):
        of_tier = list(alike)
        for first in range(0, len(of_tier), _BLOCK):
            ranked += sorted(of_tier[first : first + _BLOCK], key=lambda hit: -hit.closeness)
    return ranked


def _rank(hit: Hit) -> int:
    return RANK[hit.matched_by]


def _hits(
    plan: Plan, query: Query, propose: Propose, tier: Tier, count: int, known: Mapping[_Key, Hit]
) -> dict[_Key, Hit]:
    """As many of the candidates that stand up as make `count` with the known hits, if there are; once each, for overlapping
    windows propose the same moment twice. Whole blocks, so that pages follow each other whatever their size.
    """
    count = -(-count // _BLOCK) * _BLOCK if plan.is_scattered and tier != "near" else count
    count -= len(known)
    within = "exact" if tier == "row" else tier
    admits = query.admitting()
    hits: dict[_Key, Hit] = {}
    for candidate in propose(plan, tier, count * _PROPOSALS_PER_HIT):
        if len(hits) >= count:
            break
        if admits(candidate.passage):
            hit = hit_of(plan, candidate, within=within)
            if hit is not None and (key := (hit.lesson_id, hit.kind, hit.start_ms)) not in known:
                hits.setdefault(key, hit)
    return hits
