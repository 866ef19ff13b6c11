"""How passages and queries are put to tantivy: the fields of a passage, and a tier of a plan as one query. Pure.

Units, sounds and near keys are kept as pairs of neighbours, all of which a passage must have for a row of them to be there: pairs
are rare where characters and syllables are not, and need no places. What comes back is a superset that `answer` checks.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from itertools import combinations

import tantivy
from tantivy import FieldType, Occur
from tantivy import Query as TantivyQuery

from search import near
from search.index import Ready, Tier
from search.query import FILTERED, Piece, Plan, Query, Row, Sort
from search.words import clean

# BM25 of a passage stays below some tens; these make tiers of what is a sum of scores.
_IN_A_ROW_BOOST = 1000.0
_TITLE_BOOST = 100.0
_SAID_ONCE_UNITS = 6  # a longer row is a sentence: how often it is said in one passage orders nothing


def _schema() -> tantivy.Schema:
    builder = tantivy.SchemaBuilder()
    for name in ("id", "seen", "kind"):
        builder.add_text_field(name, tokenizer_name="raw", index_option="basic")
    for name in ("lesson_id", *FILTERED):  # fast: lessons are counted by them
        builder.add_text_field(name, tokenizer_name="raw", index_option="basic", fast=True)
    for name in ("consent", "is_written"):
        builder.add_boolean_field(name, indexed=True)
    for name in ("started_on", "lesson_ms"):
        builder.add_integer_field(name, fast=True)
    builder.add_text_field("unit_pairs", tokenizer_name="whitespace", index_option="freq")
    for name in ("units", "sound_pairs", "near_pairs", "initials"):
        builder.add_text_field(name, tokenizer_name="whitespace", index_option="basic")
    builder.add_bytes_field("record", stored=True)
    return builder.build()


SCHEMA = _schema()


def document_of(ready: Ready) -> tantivy.Document:
    return tantivy.Document(
        id=ready.id,
        lesson_id=ready.lesson_id,
        seen=json.dumps([ready.lesson_id, ready.filters["school"], ready.consent]),
        kind=ready.kind,
        **ready.filters,
        consent=ready.consent,
        is_written=ready.is_written,
        started_on=ready.started_on,
        lesson_ms=ready.lesson_ms,
        units=ready.units,
        unit_pairs=ready.unit_pairs,
        sound_pairs=ready.sound_pairs,
        near_pairs=ready.near_pairs,
        initials=ready.initials,
        record=ready.record.encode(errors="surrogatepass"),
    )


def query_of(plan: Plan, tier: Tier, query: Query) -> TantivyQuery:
    required, refused = _filters(query)
    asked = plan.stretches or [piece.whole for piece in plan.pieces]
    clauses = [(Occur.Must, _unscored(clause)) for clause in required] + [(Occur.MustNot, one) for one in refused]
    # A union, or a clause that may be there, is looked at for each match, and a common sentence has a hundred thousand. So the
    # query as it stands comes first and alone: one intersection, and most searches ask no further.
    as_asked = _all(_terms_of(asked))
    if tier == "row":
        is_said_once = max(len(row.units) for row in asked) > _SAID_ONCE_UNITS
        clauses.append((Occur.Must, _unscored(as_asked) if is_said_once else as_asked))
    else:
        exact = _all([_as_written(piece) for piece in plan.pieces])
        if tier == "exact":
            whole = _all(_terms_of([piece.whole for piece in plan.pieces]))
            in_a_row = TantivyQuery.const_score_query(whole, _IN_A_ROW_BOOST)
            clauses += [(Occur.Must, exact), (Occur.MustNot, as_asked), (Occur.Should, in_a_row)]
        else:
            alike = _all([_as_it_sounds(piece) for piece in plan.pieces])
            clauses.append((Occur.MustNot, exact))
            if tier == "sound":
                clauses.append((Occur.Must, alike))
            else:
                ways = [_all([_whole_or_words(piece, _nearly) for piece in plan.pieces])]
                ways += [_all([_nearly(row) for row in plan.stretches])] if plan.stretches else []
                clauses += [(Occur.MustNot, alike), (Occur.Must, _any(ways))]
    if query.sort is Sort.BEST:
        clauses.append((Occur.Should, TantivyQuery.const_score_query(_term("kind", "title"), _TITLE_BOOST)))
    return TantivyQuery.boolean_query(clauses)


def written_query(plan: Plan, query: Query) -> TantivyQuery:
    """All passages that have the query as it is written, in no order."""
    required, refused = _filters(query)
    clauses = [(Occur.Must, one) for one in [*required, *(_as_written(piece) for piece in plan.pieces)]]
    return _unscored(TantivyQuery.boolean_query(clauses + [(Occur.MustNot, one) for one in refused]))


def _filters(query: Query) -> tuple[list[TantivyQuery], list[TantivyQuery]]:
    """What must and what must not be. What nearly every passage has is asked for by what few have: that is sooner done."""
    required = [_term(name, value) for name, value in query.filters.items()]
    required += [
        TantivyQuery.range_query(SCHEMA, name, FieldType.Integer, between.least, between.most)
        for name, between in query.ranges.items()
    ]
    if query.scope.schools is not None:
        required.append(_any([_term("school", clean(school)) for school in sorted(query.scope.schools)]))
    refused: list[TantivyQuery] = []
    if query.is_written is not None:
        refused.append(TantivyQuery.term_query(SCHEMA, "is_written", not query.is_written))
    if query.scope.consented_only:
        refused.append(TantivyQuery.term_query(SCHEMA, "consent", False))
    return required, refused


def _terms_of(rows: Iterable[Row]) -> list[TantivyQuery]:
    """Every pair of the rows, once: an intersection of these is read faster than one of intersections."""
    pairs = dict.fromkeys(pair for row in rows for pair in near.neighbours(row.units))
    singles = dict.fromkeys(row.units[0] for row in rows if len(row.units) == 1)
    return [*(_term("unit_pairs", pair) for pair in pairs), *(_term("units", unit) for unit in singles)]


def _as_written(piece: Piece) -> TantivyQuery:
    return _whole_or_words(piece, lambda row: _row(row.units))


def _whole_or_words(piece: Piece, row_query: Callable[[Row], TantivyQuery]) -> TantivyQuery:
    whole = row_query(piece.whole)
    return whole if len(piece.words) == 1 else _any([whole, _all([row_query(word) for word in piece.words])])


def _as_it_sounds(piece: Piece) -> TantivyQuery:
    alike = _whole_or_words(piece, _sounding)
    return _any([alike, _term("initials", piece.initials)]) if piece.initials else alike


def _sounding(row: Row) -> TantivyQuery:
    readings = [_together("sound_pairs", near.neighbours(heard.sounds)) for heard in row.readings]
    return _any([_row(row.units), *readings])


def _nearly(row: Row) -> TantivyQuery:
    ways = [_row(row.units)]
    for heard in row.readings:
        if heard.is_sure:
            ways += [_together("near_pairs", pairs) for pairs in near.sieve(heard)]
        if len(heard.units) == 3:
            ways += [_row(two) for two in combinations(heard.units, 2)]
    return _any(ways)


def _together(name: str, terms: Iterable[str]) -> TantivyQuery:
    return _all([_term(name, term) for term in terms])


def _row(units: Sequence[str]) -> TantivyQuery:
    return _together("unit_pairs", near.neighbours(units)) if len(units) > 1 else _term("units", units[0])


def _term(name: str, value: str) -> TantivyQuery:
    return TantivyQuery.term_query(SCHEMA, name, value)


def _all(queries: Sequence[TantivyQuery]) -> TantivyQuery:
    return TantivyQuery.boolean_query([(Occur.Must, query) for query in queries])


def _any(queries: Sequence[TantivyQuery]) -> TantivyQuery:
    return TantivyQuery.boolean_query([(Occur.Should, query) for query in queries])


def _unscored(query: TantivyQuery) -> TantivyQuery:
    return TantivyQuery.const_score_query(query, 0.0)
