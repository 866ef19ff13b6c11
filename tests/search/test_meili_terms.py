import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archive.model import Programme, Scope
from search.index import ready
from search.meili_terms import document_of, filters_of, ways_of
from search.query import Query, parse
from tests.search.engines import passage, patiently

CONDITION = re.compile(
    r'(?:subject|grade|school|programme|lesson) = ("(?:[^"\\]|\\.)*")|consent = true|school IN \[(.*)\]'
)
TERM = re.compile(r'"[a-z0-9]{1,240}"')
texts = st.text(max_size=80) | st.text(alphabet="勾股定理的 gou1xian'\"-é", max_size=80)


def document(lesson: str, generation: int, number: int, text: str) -> dict[str, Any]:
    (one,) = ready([passage(text)])
    return document_of(lesson, generation, number, one)


def test_a_row_of_characters_is_asked_for_by_its_pairs_and_then_by_its_words() -> None:
    exact = ways_of(parse("勾股定理"), "exact")
    assert exact == ['"px52fe9x80a1" "px80a19x5b9a" "px5b9a9x7406"', '"wx52fe80a15b9a7406" "wx5b9a7406"']
    assert ways_of(parse("重力公式"), "exact")[2] == '"px91cd9x529b" "px516c9x5f0f"'
    assert ways_of(parse("勾股定理"), "sound") == ['"sgou9gu" "sgu9ding" "sding9li"']


def test_each_reading_of_typed_letters_is_asked_for() -> None:
    assert ways_of(parse("paowuxian"), "sound") == ['"spao9wu" "swu9xian"', '"spao9wu" "swu9xi" "sxi9an"']


@given(texts)
@patiently
def test_a_query_is_never_empty_and_holds_nothing_but_quoted_terms(text: str) -> None:
    # An empty one would find everything; a bare minus or an open quote would be an operator.
    plan = parse(text)
    for tier in ("exact", "sound"):
        ways = ways_of(plan, tier)
        assert len(ways) <= 16
        assert bool(ways) == bool(plan.pieces) or tier == "sound"
        for way in ways:
            assert 1 <= len(way.split()) <= 10
            assert all(TERM.fullmatch(term) for term in way.split())


@given(texts)
@patiently
def test_what_is_asked_for_by_its_own_text_is_in_the_document(text: str) -> None:
    made = document("lesson", 1, 1, text)
    terms = {term for name in ("words", "units", "sounds") for term in made[name].split()}
    plan = parse(text)
    if plan.pieces:
        in_a_row, scattered, *_ = [*ways_of(plan, "exact"), ""]
        assert {term.strip('"') for term in f"{in_a_row} {scattered}".split()} <= terms


@given(st.text(max_size=30), st.text(max_size=30), st.none() | st.frozensets(st.text(max_size=9), max_size=3))
@patiently
def test_every_filter_is_one_condition_and_values_stay_inside_their_quotes(
    subject: str, school: str, schools: frozenset[str] | None
) -> None:
    query = Query(
        "", subject=subject, school=school, programme=Programme.LIVE, lesson_id="x", scope=Scope(schools=schools)
    )
    filters = filters_of(query)
    assert "consent = true" in filters  # the scope is its own element, whatever else is asked
    for condition in filters:
        found = CONDITION.fullmatch(condition)
        assert found is not None, condition
        if found.group(1) and condition.startswith("subject"):
            assert json.loads(found.group(1)) == subject
        if found.group(2):
            assert set(json.loads(f"[{found.group(2)}]")) >= {name for name in schools or () if name.isalnum()}


@pytest.mark.parametrize("lesson_id", ["Abc", "七年级/数学", "a b", "1e10", "\ud800", "x" * 1000])
def test_ids_keep_to_the_alphabet_that_meilisearch_allows(lesson_id: str) -> None:
    made = document(lesson_id, 1_700_000_000_000_000, 3, "力")
    assert re.fullmatch(r"[a-zA-Z0-9_-]{1,511}", made["id"])
    json.dumps(made).encode()


def test_lesson_keys_are_no_numbers_and_tell_case_apart() -> None:
    keys = {document(lesson, 1, 1, "力")["lesson"] for lesson in ("abc", "ABC")}
    assert len({key.lower() for key in keys}) == 2
    assert all(key[0].isalpha() for key in keys)
