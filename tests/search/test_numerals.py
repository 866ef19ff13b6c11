import pytest
from hypothesis import given
from hypothesis import strategies as st

from search import numerals, words
from tests.search.engines import patiently


@pytest.mark.parametrize(
    ("number", "read"),
    [
        (0, "零"), (7, "七"), (10, "十"), (15, "十五"), (32, "三十二"), (100, "一百"), (101, "一百零一"), (110, "一百一十"),
        (1005, "一千零五"), (1050, "一千零五十"), (12_000, "一万二千"), (100_005, "十万零五"), (20_000_300, "二千万零三百"),
    ],
)  # fmt: skip
def test_numbers_are_read_as_they_are_spoken(number: int, read: str) -> None:
    assert numerals.read_aloud(number) == read


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("32页", "三十二页"), ("第1课", "第一课"), ("1949年", "一九四九年"), ("1949", "一九四九"), ("1200米", "一千二百米"),
        ("3.14", "三点一四"), ("200", "两百"), ("１２个", "十二个"), ("010", "零一零"), ("2026年9月", "二零二六年九月"),
    ],
)  # fmt: skip
def test_digits_and_characters_are_the_same_to_search(one: str, other: str) -> None:
    assert [unit.text for unit in words.units(one)] == [unit.text for unit in words.units(other)]


@pytest.mark.parametrize("text", ["CO2", "x5", "h2o", "mp4", "b12a"])
def test_digits_in_a_formula_stay(text: str) -> None:
    assert [unit.text for unit in words.units(text)] == [text.lower()]


@given(st.integers(0, 99_999_999))
@patiently
def test_every_number_has_a_reading_of_its_own(number: int) -> None:
    read = numerals.read_aloud(number)
    assert set(read) <= numerals.NUMERALS
    assert read == numerals.read_aloud(number)
    assert _value(read) == number


def _value(read: str) -> int:
    head, ten_thousands, tail = read.partition("万")
    if ten_thousands:
        return _value(head) * 10_000 + (_value(tail.lstrip("零")) if tail else 0)
    total, digit = 0, 0
    for numeral in read:
        size = {"十": 10, "百": 100, "千": 1000}.get(numeral)
        if size:
            total += (digit or 1) * size
            digit = 0
        else:
            digit = "零一二三四五六七八九".index(numeral)
    return total + digit
