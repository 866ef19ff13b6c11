"""A formula in signs and the same formula in words are the same to search."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search import words
from search.hits import hit_of
from search.index import candidate_of, ready_one
from search.query import parse
from tests.search.engines import passage, patiently


def folded(text: str) -> str:
    return "".join(unit.text for unit in words.units(text))


@pytest.mark.parametrize(
    ("signs", "said"),
    [
        ("a²", "a平方"), ("a²", "a的平方"), ("a^2", "a的二次方"), ("a2", "a平方"), ("x³", "x的三次方"), ("x^10", "x的10次方"),
        ("10¹⁰", "十的十次方"), ("2^n", "2的n次方"), ("a²+b²=c²", "a平方加b平方等于c平方"),
        ("a² + b² = c²", "a的平方加b的平方等于c的平方"), ("(a+b)²", "a加b的平方"), ("1/2", "二分之一"), ("½", "二分之一"),
        ("3/4", "四分之三"), ("50%", "百分之五十"), ("0.5％", "百分之零点五"), ("√2", "根号二"), ("πr²", "派r平方"),
        ("5㎡", "五平方米"), ("5 m²", "5平方米"), ("3cm³", "三立方厘米"), ("2×3=6", "二乘三等于六"), ("6÷2", "六除以二"),
    ],
)  # fmt: skip
def test_signs_and_words_fold_to_the_same(signs: str, said: str) -> None:
    assert folded(signs) == folded(said)


@pytest.mark.parametrize(
    ("text", "units"),
    [
        ("CO2", "co2"), ("C++", "c"), ("a/b", "ab"), ("一元二次方程", "一元二次方程"), ("我的平方", "我的平方"),
        ("x的二次方程", "x的二次方程"), ("2026/9/1", "二零二六九一"), ("10/12/14", "十十二十四"), ("ham2", "ham2"),
    ],
)  # fmt: skip
def test_what_is_no_formula_is_left_alone(text: str, units: str) -> None:
    assert folded(text) == units


@pytest.mark.parametrize(
    ("typed", "text", "marked"),
    [
        ("a平方", "所以a²+b²=c²", ["a²"]),
        ("a²", "所以a的平方等于九", ["a的平方"]),
        ("二分之一", "取它的1/2就是了", ["1/2"]),
        ("50%", "大约百分之五十", ["百分之五十"]),
    ],
)
def test_either_is_found_by_the_other_and_marked_as_it_is_written(typed: str, text: str, marked: list[str]) -> None:
    hit = hit_of(parse(typed), candidate_of(ready_one(passage(text)).record, 1.0), within="exact")
    assert hit is not None
    assert [text[start:end] for start, end in hit.marks] == marked


# Without a dot: whether it parts two numbers or makes one is lost when the units are put together again.
@given(st.text(alphabet="abx2²³^+=×÷√π%/½1 9平立方次的分之幂程(),m㎡", max_size=24))
@patiently
def test_folding_a_formula_twice_changes_nothing(text: str) -> None:
    once = " ".join(unit.text for unit in words.units(text))
    assert " ".join(unit.text for unit in words.units(once)) == once
