from datetime import date
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archive.model import Cue, Programme, Span
from search.passages import PAUSE_MS, WINDOW_CHARS, WINDOW_MS, passages_of, term_of, windows
from tests.search.engines import lesson, patiently


@st.composite
def spoken(draw: st.DrawFn) -> list[Cue]:
    """Cues in order, with pauses, of any length."""
    cues: list[Cue] = []
    at = 0
    for _ in range(draw(st.integers(0, 30))):
        at += draw(st.sampled_from([0, 0, 0, 300, PAUSE_MS - 1, PAUSE_MS, 60_000]))
        length = draw(st.integers(1, 30_000))
        cues.append(Cue(Span(at, at + length), draw(st.text(alphabet="勾股定理 ab", max_size=90))))
        at += length
    return cues


def test_the_title_passage_holds_what_is_known_about_a_lesson() -> None:
    (title,) = passages_of(lesson(), [])
    assert title.text == "勾股定理 · 李老师 · 数学 · 八年级 · 名师课堂 · xinghuo"
    assert (title.kind, title.start_ms, title.end_ms) == ("title", 0, 60_000)
    assert (title.subject, title.grade, title.school, title.programme) == (
        "数学",
        "八年级",
        "xinghuo",
        Programme.MASTER,
    )


def test_what_is_not_known_leaves_no_gap_in_the_title() -> None:
    (title,) = passages_of(lesson(teacher="", grade=" "), [])
    assert title.text == "勾股定理 · 数学 · 名师课堂 · xinghuo"


def test_only_a_clear_yes_is_consent() -> None:
    consents = [passages_of(lesson(consent=consent), [])[0].consent for consent in (True, False, None)]
    assert consents == [True, False, False]


def test_a_jump_goes_to_the_cue_in_which_a_character_stands() -> None:
    cues = [Cue(Span(1000, 3000), "今天学习"), Cue(Span(3000, 5000), "勾股"), Cue(Span(5000, 9000), "定理")]
    said = passages_of(lesson(), cues)[1]
    assert said.text == "今天学习 勾股 定理"
    assert [said.jump_ms(said.text.index(text)) for text in ("今", "习", "勾", "股", "定")] == [
        1000,
        1000,
        3000,
        3000,
        5000,
    ]
    assert (said.start_ms, said.end_ms) == (1000, 9000)


def test_a_lesson_of_45_minutes_has_some_200_passages() -> None:
    cues = [Cue(Span(at * 3500, at * 3500 + 3400), "这一段话大约有十五个字左右吧") for at in range(771)]
    assert 150 < len(passages_of(lesson(), cues)) < 250


def test_blank_cues_are_no_passages_and_controls_do_not_get_in() -> None:
    said = passages_of(lesson(), [Cue(Span(0, 1), "  "), Cue(Span(1, 2), "a\0b\ud800")])
    assert [passage.text for passage in said[1:]] == ["a b"]


@given(spoken())
@patiently
def test_every_cue_is_in_a_window_and_neighbours_are_together(cues: list[Cue]) -> None:
    found = windows(cues)
    assert {cue for window in found for cue in window} == set(cues)
    together = {pair for window in found for pair in pairwise(window)}
    for pair in pairwise(cues):
        assert (pair in together) == (pair[1].span.start_ms - pair[0].span.end_ms < PAUSE_MS)


@given(spoken())
@patiently
def test_windows_stay_small_unless_two_cues_alone_are_not(cues: list[Cue]) -> None:
    for window in windows(cues):
        if len(window) > 2:
            assert window[-1].span.end_ms - window[0].span.start_ms <= WINDOW_MS
            assert sum(len(cue.text) for cue in window) <= WINDOW_CHARS


@given(spoken())
@patiently
def test_passages_have_ids_of_their_own_and_jump_inside_themselves(cues: list[Cue]) -> None:
    passages = passages_of(lesson(), cues)
    assert len({passage.id for passage in passages}) == len(passages)
    for passage in passages[1:]:
        jumps = [passage.jump_ms(offset) for offset in range(len(passage.text))]
        assert jumps == sorted(jumps)
        assert passage.start_ms == jumps[0] <= jumps[-1] < passage.end_ms


@pytest.mark.parametrize(
    ("day", "term"),
    [
        (date(2026, 8, 1), "2026-1"), (date(2026, 12, 31), "2026-1"), (date(2027, 1, 31), "2026-1"),
        (date(2027, 2, 1), "2026-2"), (date(2027, 7, 31), "2026-2"),
    ],
)  # fmt: skip
def test_a_day_belongs_to_a_half_of_the_school_year(day: date, term: str) -> None:
    assert term_of(day) == term
