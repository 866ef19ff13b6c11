import pytest
from hypothesis import given
from hypothesis import strategies as st

from archive.model import Scope
from search import sounds
from search.query import MAX_QUERY_CHARS, MAX_QUERY_UNITS, MIN_SYLLABLES, Query, parse
from tests.search.engines import passage, patiently


def pieces(text: str) -> list[str]:
    return ["".join(piece.whole.units) for piece in parse(text).pieces]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("勾股定理", ["勾股定理"]),
        ("勾股定理 证明", ["勾股定理", "证明"]),
        ("勾股定理的证明", ["勾股定理", "证明"]),
        ("什么是勾股定理？", ["勾股定理"]),
        ("what is photosynthesis", ["photosynthesis"]),
        ("我们", ["我们"]),
        ("我们的家", ["我们的家"]),  # 家 alone would be every house in the library
        ("实事求是", ["实事求是"]),
        ("证明 证明", ["证明"]),
        ("gou gu ding li", ["gougudingli"]),
        ("green plants", ["green", "plants"]),
        ("", []),
        ("？！", []),
    ],
)
def test_a_query_is_taken_apart_into_what_is_asked_for(text: str, found: list[str]) -> None:
    assert pieces(text) == found


@pytest.mark.parametrize(
    ("text", "readings"),
    [
        ("勾股定理", ["gou gu ding li"]),
        ("gougudingli", ["gou gu ding li"]),
        ("gou gu ding li", ["gou gu ding li"]),
        ("xi'an", ["xi an"]),
        ("勾股dingli", ["gou gu ding li"]),
        ("力", []),  # one syllable is half the dictionary
        ("gou", []),
        ("我们", []),  # an everyday word is heard right, and its sound would bring everything
        ("photosynthesis", []),
    ],
)
def test_a_piece_may_be_found_by_its_sounds(text: str, readings: list[str]) -> None:
    (piece,) = parse(text).pieces
    assert [" ".join(reading.sounds) for reading in piece.whole.readings] == readings


def test_letters_that_spell_pinyin_are_told_from_characters() -> None:
    assert [parse(text).spelled for text in ("gougu", "勾股", "勾gu", "science")] == [True, False, True, False]


def test_only_the_beginning_of_a_long_query_counts() -> None:
    assert parse("力 " + "重" * 10_000).pieces == parse("力 " + "重" * (MAX_QUERY_CHARS - 2)).pieces
    (signs,) = parse("㎠" * MAX_QUERY_CHARS).pieces
    assert MAX_QUERY_UNITS - 4 < len(signs.whole.units) <= MAX_QUERY_UNITS


@given(st.text(max_size=100) | st.text(alphabet="勾的 xian'\"重１\u0301", max_size=80))
@patiently
def test_any_text_is_a_plan_of_pieces_that_can_be_found(text: str) -> None:
    plan = parse(text)
    for piece in plan.pieces:
        assert piece.words
        assert piece.terms
        assert {unit for word in piece.words for unit in word.units} == set(piece.whole.units)
        for row in (piece.whole, *piece.words):
            assert row.units
            assert len(row.readings) <= sounds.MAX_READINGS
            assert all(sum(map(sounds.is_syllable, one.sounds)) >= MIN_SYLLABLES for one in row.readings)
    assert sum(len(piece.whole.units) for piece in plan.pieces) <= MAX_QUERY_UNITS


def test_a_scope_is_narrow_unless_it_is_widened() -> None:
    open_lesson, closed_lesson = passage("", school="xinghuo"), passage("", school="xinghuo", consent=False)
    assert Query("").admits(open_lesson)
    assert not Query("").admits(closed_lesson)
    assert Query("", scope=Scope(consented_only=False)).admits(closed_lesson)
    assert not Query("", scope=Scope(schools=frozenset())).admits(open_lesson)
    assert not Query("", school="other").admits(open_lesson)
