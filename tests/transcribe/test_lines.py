"""A line and its break: what was broken is joined again, whatever it was."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transcribe import wording
from transcribe.lines import LINE_COLUMNS, broken, columns, joined, one_line

ANY_LINE = st.text(alphabet=st.characters(exclude_categories=())).map(one_line)
CHINESE = st.text(alphabet="今天我们学习勾股定理abc ，。“”（）12", max_size=40).map(one_line)


@given(ANY_LINE | CHINESE)
def test_what_was_broken_is_joined_again(text: str) -> None:
    lines = broken(text)
    assert 1 <= len(lines) <= 2
    assert joined(lines) == text


@given(st.lists(st.sampled_from("今天我们学习勾股定理的内容，"), min_size=19, max_size=34).map("".join))
def test_a_full_cue_of_chinese_fits_on_two_lines(text: str) -> None:
    assert all(columns(line) <= LINE_COLUMNS + 2 for line in broken(text.strip("，") or "好")), "one word may hang over"


def test_a_break_is_not_inside_a_word_and_not_before_a_mark() -> None:
    text = "直角三角形的两条直角边的平方和等于斜边的平方，这就是勾股定理"
    first, second = broken(text)
    assert not second.startswith("，")
    words = wording.cut(text)
    assert len(first) in {len("".join(words[:i])) for i in range(len(words))}
    assert second


def test_english_is_broken_at_a_space() -> None:
    assert broken("The farmer lives in a small village near the river.") == [
        "The farmer lives in a small",
        "village near the river.",
    ]


@pytest.mark.parametrize("text", ["短", "a" * 90, "今" * 50, ""])
def test_what_is_short_or_cannot_be_broken_stays_whole(text: str) -> None:
    assert broken(text) == [text]
