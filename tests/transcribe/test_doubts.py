"""The detectors one by one: what they notice, and what a classroom says that they must leave alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.transcribe.streams import uttered
from transcribe.doubts import drifts, is_echo, is_filling, is_invented, loop_in, shortened, tokens


@pytest.mark.parametrize(
    "text",
    [
        "我们来看这道题。" * 3,
        "好的" * 6,
        "哈" * 12,
        "the " * 10,
        "and then we go " * 5,
        "今天讲勾股定理，" * 4 + "对吧",
    ],
)
def test_loops_are_found(text: str) -> None:
    assert loop_in(text) is not None


@pytest.mark.parametrize(
    "text",
    [
        "对对对",
        "慢一点，慢一点",
        "苹果，apple，apple，跟我读，apple",
        "一二三四五六七八，二二三四五六七八",
        "床前明月光，疑是地上霜。举头望明月，低头思故乡。",
        "两只老虎，两只老虎，跑得快，跑得快",
        "",
    ],
)
def test_what_is_said_in_a_classroom_is_no_loop(text: str) -> None:
    assert loop_in(text) is None


@pytest.mark.parametrize(
    "text", ["谢谢大家，我们下节课再见", "请关注黑板上的这个公式", "订阅一份报纸要多少钱", "这段视频由小明制作，大家看"]
)
def test_what_a_teacher_says_is_no_stock_phrase(text: str) -> None:
    assert not is_invented(text)


def test_thanks_are_filling_but_no_invention() -> None:
    assert is_filling("谢谢大家")
    assert not is_invented("谢谢大家")


def test_an_echo_needs_two_hints_and_hardly_anything_else() -> None:
    hints = ("勾股定理", "直角三角形", "斜边")
    assert is_echo("勾股定理 直角三角形", hints)
    assert is_echo("勾股定理勾股定理勾股定理", hints)
    assert not is_echo("今天学习勾股定理", hints)
    assert not is_echo("勾股定理说的是直角三角形里斜边的平方等于两条直角边的平方和", hints)
    assert not is_echo("勾股定理", hints)


def test_drift_is_a_matter_of_script() -> None:
    assert drifts("こんにちは皆さん", "zh")
    assert drifts("안녕하세요 여러분", "zh")
    assert drifts("今天", "en")
    assert not drifts("iPhone 和 WiFi 都是英文词", "zh")
    assert not drifts("Good morning class", "zh")


@given(st.text(alphabet="一二三今天abc ，。", max_size=60), st.integers(1, 5))
def test_shortening_loses_nothing_but_repetitions(text: str, times: int) -> None:
    loop = loop_in(text)
    if loop is None:
        return
    before = uttered(text, 0, 10_000)
    after = shortened(before, loop, times)
    said, left = tokens(text), tokens(after.text)
    assert left[: loop.first] == said[: loop.first]
    assert set(said) == set(left)
    assert len(left) <= len(said)
