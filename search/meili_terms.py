"""How passages and queries are put to Meilisearch: as terms that it can only compare. Pure.

A term is letters and digits: a kind (w word, u unit, p pair of neighbouring units, s of neighbouring sounds, n of near
keys, i initials) and what it says, non-ASCII characters by their code points: 勾股 is `px52fe9x80a1`. In a query each is in
quotes, which rules out prefixes, typos and splitting. A row of characters or sounds is asked for by its pairs: Meilisearch's
own phrases compare pairs of near words only, and a longer row would fill its ten terms.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, combinations, islice, pairwise, product
from typing import Any

from search import near
from search.index import Ready, Tier
from search.near import Heard
from search.query import Piece, Plan, Query, Row
from search.words import clean

_MAX_TERMS = 10  # Meilisearch drops what a query has beyond these; a quoted one counts as one
_MAX_WAYS = 16  # queries in one round trip
_MAX_TERM_BYTES = 240  # it drops words beyond the 250 bytes of its keys

Way = tuple[tuple[str, ...], ...]  # for each piece the terms to find it by


def document_of(lesson_id: str, generation: int, number: int, ready: Ready) -> dict[str, Any]:
    return {
        "id": f"{lesson_key(lesson_id)}-{generation}-{number}",  # a key may have letters, digits, - and _ only
        "lesson": lesson_key(lesson_id),
        "lesson_id": ready.lesson_id,
        "generation": generation,
        "is_first": number == 0,  # one for each lesson and generation: to list lessons by
        "weight": 2 if ready.kind == "title" else 1,
        "consent": ready.consent,
        "is_written": ready.is_written,
        "started_on": ready.started_on,
        "lesson_ms": ready.lesson_ms,
        **ready.filters,
        **_searchable(ready),
        "record": ready.record,
    }


def _searchable(ready: Ready) -> dict[str, str]:
    units = [_term("u", text) for text in ready.units.split()]
    return {
        "words": " ".join(_term("w", word) for word in ready.words.split()),
        "units": " ".join([*units, *(_pair("p", pair) for pair in ready.unit_pairs.split())]),
        "sounds": " ".join(_pair("s", pair) for pair in ready.sound_pairs.split()),
        "near": " ".join(_term("n", pair) for pair in ready.near_pairs.split()),
        "initials": " ".join(_term("i", short) for short in ready.initials.split()),
    }


def _pair(kind: str, pair: str) -> str:
    return _term(kind, *pair.split(near.BETWEEN))


def lesson_key(lesson_id: str) -> str:
    """A lesson's id as a key and a filter value: Meilisearch folds case in filters and reads digits as numbers."""
    return "l" + hashlib.sha256(lesson_id.encode("utf-8", "replace")).hexdigest()[:32]


def _term(kind: str, *parts: str) -> str:
    """Parts as one opaque term. 9 stands between; that another term might read alike costs a proposal, no more."""
    return (kind + "9".join(_letters(part) for part in parts))[:_MAX_TERM_BYTES]


def _letters(part: str) -> str:
    if part.isascii():
        return "".join(c if c.isalnum() else "0" for c in part)
    return "x" + "".join(f"{ord(c):x}" for c in part)


def ways_of(plan: Plan, tier: Tier) -> list[str]:
    """The queries whose results together are the tier, likeliest first: each takes one way to find each piece."""
    pieces = sorted(plan.pieces, key=lambda piece: -len(piece.whole.units))[:_MAX_TERMS]
    share = _MAX_TERMS // len(pieces) if pieces else 0
    written = [_written_ways(piece, share) for piece in pieces]
    ways: Iterator[Way]
    if tier == "row" and not plan.is_one_row:
        return []  # one round trip for all that is written: it has no unions that one way would save
    if tier in ("row", "exact"):
        ways = chain(zip(*written, strict=True), product(*written))  # all in a row, all scattered, then the mixtures
    elif tier == "sound":
        either = [[*_sound_ways(piece, share), *as_written] for piece, as_written in zip(pieces, written, strict=True)]
        ways = (way for way in product(*either) if not _is_written(way, written))
    else:
        apart = [
            [*_near_ways(piece.whole, share), *_sound_ways(piece, share), *as_written]
            for piece, as_written in zip(pieces, written, strict=True)
        ]
        stretches = [_near_ways(row, _MAX_TERMS // len(plan.stretches)) for row in plan.stretches]
        ways = chain(zip(*stretches), product(*apart))  # noqa: B905 - as far as the stretch with the fewest ways
    queries = (
        " ".join(dict.fromkeys(f'"{term}"' for terms in way for term in terms)) for way in islice(ways, _MAX_WAYS)
    )
    return list(dict.fromkeys(query for query in queries if query))


def _is_written(way: Way, written: Sequence[Sequence[tuple[str, ...]]]) -> bool:
    return all(terms in ways for terms, ways in zip(way, written, strict=True))


def _written_ways(piece: Piece, share: int) -> list[tuple[str, ...]]:
    """In a row; as jieba's words, which ranks better; as the words' characters, which finds what jieba cut otherwise."""
    longest = sorted(piece.terms, key=len, reverse=True)
    return [
        _spread(_units(piece.whole.units), share),
        tuple(_term("w", term) for term in longest[:share]),
        _spread([term for word in piece.words for term in _units(word.units)], share),
    ]


def _sound_ways(piece: Piece, share: int) -> list[tuple[str, ...]]:
    initials = [[_term("i", piece.initials)]] if piece.initials else []
    whole = [_sounds(reading) for reading in piece.whole.readings]
    words = product(*([*map(_sounds, word.readings), _units(word.units)] for word in piece.words))
    ways = chain(initials, whole, ([term for terms in way for term in terms] for way in islice(words, _MAX_WAYS)))
    return list(dict.fromkeys(_spread(way, share) for way in ways))


def _near_ways(row: Row, share: int) -> list[tuple[str, ...]]:
    ways: list[list[str]] = []
    for heard in row.readings:
        if heard.is_sure:
            ways += [[_term("n", pair) for pair in pairs] for pairs in near.sieve(heard)]
        if len(heard.units) == 3:
            ways += [[_term("p", *two)] for two in combinations(heard.units, 2)]
    return list(dict.fromkeys(_spread(way, share) for way in ways))


def _units(units: Sequence[str]) -> list[str]:
    return [_term("p", *pair) for pair in pairwise(units)] or [_term("u", units[0])]


def _sounds(reading: Heard) -> list[str]:
    return [_term("s", *pair) for pair in pairwise(reading.sounds)]


def _spread(terms: Sequence[str], share: int) -> tuple[str, ...]:
    """At most `share` of the terms, from the whole length: of a long row every second pair says as much as all."""
    if len(terms) <= share:
        return tuple(terms)
    return tuple(terms[index * len(terms) // share] for index in range(share))


def filters_of(query: Query) -> list[str]:
    """Conditions that Meilisearch joins with AND. Names are ours, values are quoted: nothing typed reaches its language."""
    filters = [
        equals("lesson", lesson_key(value)) if name == "lesson_id" else equals(name, value)
        for name, value in query.filters.items()
    ]
    for name, between in query.ranges.items():
        filters += [f"{name} >= {between.least:d}"] if between.least is not None else []
        filters += [f"{name} <= {between.most:d}"] if between.most is not None else []
    if query.is_written is not None:
        filters.append(f"is_written = {'true' if query.is_written else 'false'}")
    if query.scope.consented_only:
        filters.append("consent = true")
    if query.scope.schools is not None:
        filters.append(one_of("school", (clean(school) for school in sorted(query.scope.schools))))
    return filters


def equals(name: str, value: str) -> str:
    return f"{name} = {_quoted(value)}"


def one_of(name: str, values: Iterable[str]) -> str:
    return f"{name} IN [{', '.join(map(_quoted, values))}]"


def _quoted(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)
