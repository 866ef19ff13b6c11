"""A teacher's corrections survive whatever the engine says next."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archive.model import Correction, Cue, CueDetail, CueWord, Span
from transcribe.merging import corrected, differences, merged

BOOK = (
    Cue(Span(0, 2_000), "上课，同学们好。"),
    Cue(Span(2_000, 5_000), "今天学习沟谷定理。"),
    Cue(Span(6_000, 8_000), "请打开课本。"),
)


def correction(start_ms: int, end_ms: int, before: str, after: str, number: int = 1) -> Correction:
    return Correction(number, "r", Span(start_ms, end_ms), before, after, 1)


FIXED = correction(2_000, 5_000, "今天学习沟谷定理。", "今天学习勾股定理。")


def texts(cues: tuple[Cue, ...]) -> list[str]:
    return [cue.text for cue in cues]


def timed(start_ms: int, words: list[str], word_ms: int = 500) -> Cue:
    spans = [Span(start_ms + i * word_ms, start_ms + (i + 1) * word_ms) for i in range(len(words))]
    detail = CueDetail(words=tuple(CueWord(span, word) for span, word in zip(spans, words, strict=True)))
    return Cue(Span(start_ms, spans[-1].end_ms), "".join(words), detail)


def test_the_same_words_again_are_corrected_again() -> None:
    again = merged(BOOK, [FIXED])
    assert texts(again.cues) == ["上课，同学们好。", "今天学习勾股定理。", "请打开课本。"]
    assert again.cues[1].detail == CueDetail(origin="teacher", confidence=1.0)
    assert again.changed == ()


def test_an_engine_that_has_learned_it_needs_no_correction() -> None:
    better = (BOOK[0], Cue(Span(2_100, 4_900), "今天，学习勾股定理"), BOOK[2])
    assert merged(better, [FIXED]).cues == better


def test_something_third_is_a_conflict_and_the_teachers_words_stand() -> None:
    third = (BOOK[0], Cue(Span(2_100, 4_900), "今天学习够古定律。"), BOOK[2])
    result = merged(third, [FIXED])
    assert texts(result.cues)[1] == "今天学习勾股定理。"
    assert [each.conflict for each in result.changed] == ["今天学习够古定律。"]


def test_a_conflict_that_is_over_is_said_to_be_over() -> None:
    before = Correction(1, "r", Span(2_000, 5_000), "今天学习沟谷定理。", "今天学习勾股定理。", 1, conflict="什么")
    assert [each.conflict for each in merged(BOOK, [before]).changed] == [None]


def test_a_longer_line_loses_nothing_but_the_corrected_words() -> None:
    """The new edition cuts its lines elsewhere: word times tell which part the teacher spoke of."""
    long = timed(0, ["同学们", "好，", "今天", "学习", "沟谷", "定理，", "请", "看"], 1_000)
    fix = correction(2_000, 6_000, "今天学习沟谷定理", "今天学习勾股定理")
    assert texts(merged([long], [fix]).cues) == ["同学们好，", "今天学习勾股定理", "请看"]


def test_a_longer_line_without_word_times_is_corrected_inside() -> None:
    long = Cue(Span(0, 20_000), "同学们好，今天学习沟谷定理，请看黑板。")
    fix = correction(2_000, 5_000, "沟谷定理", "勾股定理")
    result = merged([long], [fix])
    assert texts(result.cues) == ["同学们好，今天学习勾股定理，请看黑板。"]
    other = merged([Cue(Span(0, 20_000), "完全不同的话，说了很久。")], [fix])
    assert [each.conflict for each in other.changed] == ["完全不同的话，说了很久。"]


def test_where_the_engine_hears_nothing_any_more_the_teachers_words_stand() -> None:
    result = merged((BOOK[0], BOOK[2]), [FIXED])
    assert texts(result.cues) == ["上课，同学们好。", "今天学习勾股定理。", "请打开课本。"]
    assert [each.conflict for each in result.changed] == [""]


def test_a_line_that_was_taken_out_stays_out() -> None:
    gone = correction(6_000, 8_000, "请打开课本。", "")
    assert texts(merged(BOOK, [gone]).cues) == ["上课，同学们好。", "今天学习沟谷定理。"]


def test_two_lines_that_became_one_correction_are_both_replaced() -> None:
    two = (Cue(Span(2_000, 3_400), "今天学习"), Cue(Span(3_400, 5_000), "沟谷定理。"))
    assert texts(merged(two, [FIXED]).cues) == ["今天学习勾股定理。"]


def test_edits_become_corrections_and_a_second_edit_takes_the_first_ones_place() -> None:
    new, replaced = corrected(BOOK, [(1, "今天学习勾股定理。"), (2, "请打开课本。")], [], recording_id="r", edition=4)
    assert new == [Correction(0, "r", Span(2_000, 5_000), "今天学习沟谷定理。", "今天学习勾股定理。", 4)]
    assert replaced == []
    shown = merged(BOOK, [FIXED]).cues
    again, replaced = corrected(shown, [(1, "今天我们学习勾股定理。")], [FIXED], recording_id="r", edition=5)
    assert replaced == [FIXED]
    assert again[0].before == "今天学习沟谷定理。", "it answers to the engine, not to the first correction"
    with pytest.raises(IndexError):
        corrected(BOOK, [(9, "x")], [], recording_id="r", edition=1)


def test_a_difference_is_where_the_words_are_not_the_same() -> None:
    moved = (Cue(Span(0, 1_900), BOOK[0].text), Cue(Span(2_000, 5_000), "今天学习勾股定理。"), BOOK[2])
    (found,) = differences(BOOK, moved)
    assert (texts(found.before), texts(found.after)) == (["今天学习沟谷定理。"], ["今天学习勾股定理。"])
    assert differences(BOOK, BOOK) == ()


TEXTS = st.text(alphabet="甲乙丙丁，", min_size=1, max_size=6).filter(lambda text: text.strip("，") != "")


@given(
    st.lists(TEXTS, min_size=1, max_size=8),
    st.lists(st.tuples(st.integers(0, 7), TEXTS), max_size=4, unique_by=lambda p: p[0]),
    st.lists(TEXTS, min_size=1, max_size=12),
)
def test_no_correction_is_ever_lost(said: list[str], edits: list[tuple[int, str]], next_time: list[str]) -> None:
    """On any next edition each correction is in the text, or its conflict is listed; and cues never overlap."""
    first = [timed(i * 3_000, list(text), 400) for i, text in enumerate(said)]
    wanted = [(ordinal % len(first), text) for ordinal, text in edits]
    new, _ = corrected(first, list(dict(wanted).items()), [], recording_id="r", edition=1)
    new = [Correction(i + 1, "r", each.span, each.before, each.after, 1) for i, each in enumerate(new)]
    second = [timed(i * 2_000, list(text), 300) for i, text in enumerate(next_time)]
    result = merged(second, sorted(new, key=lambda each: each.span))
    conflicts = {each.id for each in result.changed if each.conflict is not None}
    whole = "".join(cue.text for cue in result.cues)
    for each in new:
        assert each.id in conflicts or "".join(c for c in each.after if c.isalnum()) in "".join(
            c for c in whole if c.isalnum()
        )
    assert all(a.span.end_ms <= b.span.start_ms for a, b in pairwise(result.cues))
