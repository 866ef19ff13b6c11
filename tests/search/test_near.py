import pytest
from hypothesis import given
from hypothesis import strategies as st

from search import near, sounds, words
from search.near import Heard
from tests.search.engines import patiently


def row(text: str) -> Heard:
    return near.heard([unit.text for unit in words.units(text)], sounds.syllables(text))


def found(needle: str, hay: str) -> list[str]:
    units = words.units(hay)
    return [hay[units[first].start : units[last - 1].end] for (first, last), _ in near.places(row(needle), row(hay))]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("zheng", "zen"), ("shan", "sang"), ("chi", "ci"), ("nan", "lang"), ("fang", "huang"[0] + "an"), ("ren", "leng"),
        ("xin", "xing"), ("xuan", "xian"), ("yun", "yin"), ("yuan", "yan"), ("jue", "jie"), ("liang", "nian"),
    ],
)  # fmt: skip
def test_sounds_that_are_taken_for_each_other_have_one_key(one: str, other: str) -> None:
    assert near.key(one) == near.key(other)


@pytest.mark.parametrize(
    ("one", "other"), [("ba", "pa"), ("zhi", "ji"), ("gou", "gu"), ("ding", "li"), ("=can", "can")]
)
def test_sounds_that_are_not_have_two(one: str, other: str) -> None:
    assert near.key(one) != near.key(other)


@pytest.mark.parametrize(
    ("needle", "hay", "place"),
    [
        ("正弦", "对边比斜边叫正玄", "正玄"),
        ("勾股定理", "我们学习勾股定义", "勾股定"),  # one unit is another
        ("勾股定理", "我们学习沟股丁你", "沟股丁你"),
        ("勾股定理", "我们学习勾定理", "勾定理"),  # one was lost
        ("勾股定理", "我们学习勾股嗯定理", "勾股嗯定理"),  # one was added
        ("抛物线", "这条抛线", "抛线"),
        ("直角三角形两条直角边", "之角三角行两条边", "之角三角行两条边"),
        ("第三十二页", "翻到弟三十二爷", "弟三十二爷"),
    ],
)
def test_a_row_is_found_where_it_nearly_is(needle: str, hay: str, place: str) -> None:
    assert found(needle, hay) == [place]


@pytest.mark.parametrize(
    ("needle", "hay"),
    [
        ("正弦", "真先"),  # neither character is right
        ("抛物线", "无线电"),
        ("二次函数", "二次方程"),
        ("光合作用", "广告作业"),
        ("第三十二页", "第三十三页"),
        ("第三十二页", "第三十页"),
        ("勾股定理", ""),
    ],
)
def test_and_not_where_it_is_something_else(needle: str, hay: str) -> None:
    assert found(needle, hay) == []


def distance(needle: tuple[str, ...], hay: tuple[str, ...], end: int) -> int:
    """Between the needle and that stretch ending at `end` which is the most like it (Sellers 1980, by the book)."""
    column = list(range(len(needle) + 1))
    for at in range(end):
        above = column
        column = [0]
        for i, one in enumerate(needle):
            column.append(min(above[i] + (one != hay[at]), above[i + 1] + 1, column[i] + 1))
    return column[-1]


syllables = st.lists(st.sampled_from(["a", "ba", "ci", "di", "e"]), max_size=24).map(tuple)


@given(syllables.filter(lambda s: len(s) > 1), syllables, st.integers(0, 3))
@patiently
def test_the_fast_matching_agrees_with_the_textbook(
    needle: tuple[str, ...], hay: tuple[str, ...], allowed: int
) -> None:
    ends = near._ends(needle, hay, allowed)  # pyright: ignore[reportPrivateUsage]
    by_the_book = {end: distance(needle, hay, end) for end in range(1, len(hay) + 1)}
    assert all(by_the_book[end] == edits <= allowed for end, edits in ends)
    assert bool(ends) == any(edits <= allowed for edits in by_the_book.values())


@given(st.text(alphabet="勾股定理直角三边形的线", min_size=4, max_size=24), st.data())
@patiently
def test_the_sieve_lets_through_whatever_is_near(text: str, data: st.DataObject) -> None:
    # So many edits as are allowed, anywhere, of any kind: the engine proposes the passage all the same.
    needle = row(text)
    hay = list(text)
    for _ in range(data.draw(st.integers(0, needle.edits_allowed))):
        at = data.draw(st.integers(0, len(hay) - 1))
        hay[at : at + 1] = data.draw(st.sampled_from([[], ["水"], [hay[at], "水"]]))
    kept = set(near.pairs_of(row("".join(hay)).keys))
    assert any(set(way) <= kept for way in near.sieve(needle))


@given(st.text(alphabet="勾股定理沟谷重心中a3，", max_size=12), st.text(alphabet="勾股定理沟谷重心中a3，", max_size=40))
@patiently
def test_places_are_apart_in_order_and_close(needle: str, hay: str) -> None:
    border = 0
    for (first, last), close in near.places(row(needle), row(hay)):
        assert border <= first < last <= len(words.units(hay))
        assert near.ENOUGH <= close <= 1
        border = last


@given(
    st.text(alphabet="勾股定理沟谷丁你正弦玄", min_size=1, max_size=9),
    st.text(alphabet="勾股定理沟谷丁你正弦玄", max_size=30),
)
@patiently
def test_the_first_look_turns_nothing_down_that_is_there(needle: str, hay: str) -> None:
    wanted, heard = row(needle), row(hay)
    if not near._may_be(wanted, heard, wanted.edits_allowed):  # pyright: ignore[reportPrivateUsage]
        near_by = [end for end, _ in near._ends(wanted.keys, heard.keys, wanted.edits_allowed)]  # pyright: ignore[reportPrivateUsage]
        right = sum(unit in heard.units for unit in wanted.units)
        assert not near_by or right * near.UNITS_PER_EDIT < len(wanted.units)
