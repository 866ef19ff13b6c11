import pytest
from hypothesis import given
from hypothesis import strategies as st

from search import words
from search.hits import Candidate, Hit, Results, by_lesson, hit_of, packed
from search.index import candidate_of, ready_one
from search.passages import Jump, Passage
from search.query import parse
from tests.search.engines import passage, patiently


def match(query: str, text: str, *jumps: Jump) -> Hit | None:
    known = passage(text)
    moved = Passage("p", "lesson", "said", known.start_ms, known.end_ms, text, jumps=jumps)
    return hit_of(parse(query), candidate(moved))


def candidate(known: Passage) -> Candidate:
    """The passage as an engine gives it back."""
    return candidate_of(ready_one(known).record, 1.0)


def marked(query: str, text: str) -> list[str]:
    hit = match(query, text)
    assert hit is not None
    return [text[start:end] for start, end in hit.marks]


def test_marks_are_the_words_of_the_original() -> None:
    assert marked("勾股定理", "《勾股定理》：勾股定理。") == ["勾股定理", "勾股定理"]
    assert marked("abc", "ＡＢＣ abc") == ["ＡＢＣ", "abc"]
    assert marked("x2", "设 x² = 4") == ["x²"]
    assert marked("cafe\u0301", "Le café cafe\u0301.") == ["café", "cafe\u0301"]


def test_marks_that_touch_are_one() -> None:
    assert marked("二次函数图像", "图像，二次函数") == ["图像", "二次函数"]
    assert marked("三角 角形", "三角形") == ["三角形"]


def test_a_row_across_a_cue_break_is_marked_with_the_break() -> None:
    assert marked("勾股定理", "今天讲勾股 定理") == ["勾股 定理"]


def test_a_moment_is_where_the_longest_piece_begins() -> None:
    jumps = Jump(0, 1000), Jump(6, 2000), Jump(12, 3000)
    hit = match("证明 勾股定理", "证明题请看下面讲勾股定理好", *jumps)
    assert hit is not None
    assert hit.start_ms == 2000


def test_what_sounds_alike_matches_by_sound_only_where_nothing_is_written() -> None:
    heard, written = match("勾股定理", "沟谷定理"), match("勾股定理", "沟谷定理和勾股定理")
    assert heard is not None
    assert heard.matched_by == "sound"
    assert written is not None
    assert (written.matched_by, written.marks) == ("exact", ((5, 9),))


def test_two_characters_that_are_an_everyday_word_were_not_misheard() -> None:
    assert match("重心", "中心") is None
    assert match("重心", "钟心") is not None
    assert match("zhongxin", "中心") is not None  # typed letters mean either


def test_a_passage_that_lacks_a_piece_is_no_hit() -> None:
    assert match("勾股定理 面积", "勾股定理") is None
    assert match("二次函数", "一次方程 二次方程") is None


def test_results_are_grouped_by_lesson_in_the_order_of_their_best_hit() -> None:
    def hit(lesson: str, start_ms: int, kind: str = "said") -> Hit:
        return Hit(lesson, start_ms, start_ms + 1, kind, "", (), 1.0, "exact")  # type: ignore[arg-type]

    results = Results((hit("b", 9), hit("a", 0, "title"), hit("b", 3), hit("a", 5), hit("b", 1), hit("b", 7)))
    grouped = by_lesson(results, moments=3)
    assert [lesson.lesson_id for lesson in grouped] == ["b", "a"]
    assert [moment.start_ms for moment in grouped[0].moments] == [1, 3, 9]
    assert (grouped[0].title, grouped[0].hidden) == (None, 1)
    assert grouped[1].title is not None
    assert [moment.start_ms for moment in grouped[1].moments] == [5]


alphabet = "勾股定理沟谷重心中，e\u0301㎡① ab"


@given(st.text(alphabet=alphabet, max_size=8), st.text(alphabet=alphabet, max_size=40))
@patiently
def test_marks_are_in_order_apart_and_inside(query: str, text: str) -> None:
    plan = parse(query)
    hit = hit_of(plan, candidate(passage(text))) if plan.pieces else None
    if hit is not None:
        flat = [place for mark in hit.marks for place in mark]
        assert flat == sorted(set(flat))
        assert flat[0] >= 0
        assert flat[-1] <= len(text)


@given(st.text(alphabet=alphabet, min_size=1, max_size=40), st.data())
@patiently
def test_any_row_of_units_finds_the_text_that_it_was_taken_from(text: str, data: st.DataObject) -> None:
    units = words.units(text)
    if units:
        first = data.draw(st.integers(0, len(units) - 1))
        last = data.draw(st.integers(first, min(first + 12, len(units) - 1)))
        plan = parse(text[units[first].start : units[last].end])
        assert hit_of(plan, candidate(passage(text))) is not None


@given(st.lists(st.integers(0, 1_000_000), max_size=8).map(sorted))
@patiently
def test_places_are_stored_as_they_were(places: list[int]) -> None:
    one = Candidate(passage(""), "", "", packed(places), packed(places), 1.0)
    assert [one.start(unit) for unit in range(len(places))] == places
    assert [one.end(unit) for unit in range(len(places))] == places
    assert "\n" not in packed(places)


@pytest.mark.parametrize("text", ["勾股定理\n\x1f\u2028勾股定理", "第\ud800一\u0085课 勾股定理", "a\r\n勾股定理"])
def test_a_passage_is_stored_whatever_is_in_its_text(text: str) -> None:
    record = ready_one(passage(text, teacher="王\n老师")).record
    assert candidate_of(record, 1.0).passage == passage(text, teacher="王\n老师")
