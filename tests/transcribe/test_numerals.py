"""Numbers: what is read faster in figures becomes figures, and nothing else does."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transcribe.numerals import numbers_in, value_of


def written(text: str) -> str:
    for start, end, figures, _ in reversed(list(numbers_in(text))):
        text = text[:start] + figures + text[end:]
    return text


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("百分之五", "5%"),
        ("百分之三十二点五", "32.5%"),
        ("百分之百", "100%"),
        ("圆周率约等于三点一四一五九", "圆周率约等于3.14159"),
        ("三点五米", "3.5米"),
        ("一千零五点二五", "1005.25"),
        ("二零二六年", "2026年"),
        ("x的平方加y的立方", "x²加y³"),
        # what stays
        ("二分之一", "二分之一"),
        ("下午三点一刻", "下午三点一刻"),
        ("三点二十分", "三点二十分"),
        ("三点五分", "三点五分"),
        ("第三课第二段", "第三课第二段"),
        ("一个三角形", "一个三角形"),
        ("x的平方和", "x的平方和"),
        ("一点也不", "一点也不"),
    ],
)
def test_figures_stand_where_the_standard_wants_them(said: str, expected: str) -> None:
    assert written(said) == expected


@given(st.integers(0, 9_999))
def test_every_whole_number_is_read_back(number: int) -> None:
    assert value_of(_in_characters(number)) == number


def _in_characters(number: int) -> str:
    if number == 0:
        return "零"
    text, zero = "", False
    for unit, name in ((1000, "千"), (100, "百"), (10, "十"), (1, "")):
        digit = number // unit % 10
        if digit:
            text += ("零" if zero and text else "") + "零一二三四五六七八九"[digit] + name
        zero = not digit
    return text
