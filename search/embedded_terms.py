"""How passages and queries are put to tantivy: the fields of a passage, and a tier of a plan as one query. Pure.

Exact rows are phrases over units. Sounds and near keys are kept as pairs of neighbours, all of which a passage must have:
pairs are rare where syllables are not, and need no places. What comes back is a superset that `answer` checks.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import combinations

import tantivy
from tantivy import FieldType, Occur
from tantivy import Query as TantivyQuery

from search import near
from search.index import Terms, Tier, record_of
from search.passages import Passage
from search.query import FILTERED, Piece, Plan, Query, Row
from search.words import clean

# BM25 of a passage stays below some tens; these make tiers of what is a sum of scores.
_IN_A_ROW_BOOST = 1000.0
_TITLE_BOOST = 100.0


def _schema() -> tantivy.Schema:
    builder = tantivy.SchemaBuilder()
    for name in ("lesson_id", "seen", "kind", *FILTERED):
        builder.add_text_field(name, tokenizer_name="raw", index_option="basic")
    for name in ("consent", "is_written"):
        builder.add_boolean_field(name, indexed=True)
    for name in ("started_on", "lesson_ms"):
        builder.add_integer_field(name, fast=True)
    builder.add_text_field("words", tokenizer_name="whitespace", index_option="freq")
    builder.add_text_field("units", tokenizer_name="whitespace", index_option="position")
    for name in ("sounds", "near", "initials"):  # pairs of neighbours: far rarer than syllables, and no places to keep
        builder.add_text_field(name, tokenizer_name="whitespace", index_option="basic")
    builder.add_bytes_field("record", stored=True)
    return builder.build()


SCHEMA = _schema()


def document_of(passage: Passage, terms: Terms) -> tantivy.Document:
    return tantivy.Document(
        lesson_id=clean(passage.lesson_id),
        seen=json.dumps([clean(passage.lesson_id), clean(passage.school), passage.consent]),
        kind=passage.kind,
        **{name: clean(getattr(passage, name)) for name in FILTERED},
        consent=passage.consent,
        is_written=passage.is_written,
        started_on=passage.started_on,
        lesson_ms=passage.lesson_ms,
        words=" ".join(terms.words),
        units=" ".join(unit.text for unit in terms.units),
        sounds=" ".join(terms.sound_pairs),
        near=" ".join(terms.near_pairs),
        initials=" ".join(terms.initials),
        record=record_of(passage, terms).encode(errors="surrogatepass"),
    )


def query_of(plan: Plan, tier: Tier, query: Query) -> TantivyQuery:
    exact = _all([_as_written(piece) for piece in plan.pieces])
    clauses = [(Occur.Must, _unscored(clause)) for clause in _filters(query)]
    if tier == "exact":
        clauses.append((Occur.Must, exact))
        for rows in filter(None, ([piece.whole for piece in plan.pieces], plan.stretches)):
            in_a_row = _all([_row("units", row.units) for row in rows])
            clauses.append((Occur.Should, TantivyQuery.const_score_query(in_a_row, _IN_A_ROW_BOOST)))
        clauses += [(Occur.Should, _term("words", term)) for piece in plan.pieces for term in piece.terms]
    else:
        alike = _all([_as_it_sounds(piece) for piece in plan.pieces])
        clauses.append((Occur.MustNot, exact))
        if tier == "sound":
            clauses.append((Occur.Must, alike))
        else:
            ways = [_all([_whole_or_words(piece, _nearly) for piece in plan.pieces])]
            ways += [_all([_nearly(row) for row in plan.stretches])] if plan.stretches else []
            clauses += [(Occur.MustNot, alike), (Occur.Must, _any(ways))]
    clauses.append((Occur.Should, TantivyQuery.const_score_query(_term("kind", "title"), _TITLE_BOOST)))
    return TantivyQuery.boolean_query(clauses)


def _filters(query: Query) -> Iterator[TantivyQuery]:
    for name, value in query.filters.items():
        yield _term(name, value)
    for name, between in query.ranges.items():
        yield TantivyQuery.range_query(SCHEMA, name, FieldType.Integer, between.least, between.most)
    if query.is_written is not None:
        yield TantivyQuery.term_query(SCHEMA, "is_written", query.is_written)
    if query.scope.consented_only:
        yield TantivyQuery.term_query(SCHEMA, "consent", True)
    if query.scope.schools is not None:
        yield _any([_term("school", clean(school)) for school in sorted(query.scope.schools)])


def _as_written(piece: Piece) -> TantivyQuery:
    return _whole_or_words(piece, lambda row: _row("units", row.units))


def _whole_or_words(piece: Piece, row_query: Callable[[Row], TantivyQuery]) -> TantivyQuery:
    whole = row_query(piece.whole)
    return whole if len(piece.words) == 1 else _any([whole, _all([row_query(word) for word in piece.words])])


def _as_it_sounds(piece: Piece) -> TantivyQuery:
    alike = _whole_or_words(piece, _sounding)
    return _any([alike, _term("initials", piece.initials)]) if piece.initials else alike


def _sounding(row: Row) -> TantivyQuery:
    readings = [_together("sounds", map(near.pair, heard.sounds, heard.sounds[1:])) for heard in row.readings]
    return _any([_row("units", row.units), *readings])


def _nearly(row: Row) -> TantivyQuery:
    ways = [_row("units", row.units)]
    for heard in row.readings:
        if heard.is_sure:
            ways += [_together("near", pairs) for pairs in near.sieve(heard)]
        if len(heard.units) == 3:
            ways += [_row("units", two) for two in combinations(heard.units, 2)]
    return _any(ways)


def _together(name: str, terms: Iterable[str]) -> TantivyQuery:
    return _all([_term(name, term) for term in terms])


def _row(name: str, terms: Sequence[str]) -> TantivyQuery:
    if len(terms) == 1:  # a phrase of one term is a panic
        return _term(name, terms[0])
    return TantivyQuery.phrase_query(SCHEMA, name, list(terms))


def _term(name: str, value: str) -> TantivyQuery:
    return TantivyQuery.term_query(SCHEMA, name, value)


def _all(queries: Sequence[TantivyQuery]) -> TantivyQuery:
    return TantivyQuery.boolean_query([(Occur.Must, query) for query in queries])


def _any(queries: Sequence[TantivyQuery]) -> TantivyQuery:
    return TantivyQuery.boolean_query([(Occur.Should, query) for query in queries])


def _unscored(query: TantivyQuery) -> TantivyQuery:
    return TantivyQuery.const_score_query(query, 0.0)
