"""Cues are for reading: nothing lost, nothing overlapping, cut where one breathes."""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archive.model import Cue, Span
from transcribe import wording
from transcribe.cues import MAX_COLUMNS, MAX_MS, MIN_MS, cues_from, undone
from transcribe.lines import columns, one_line
from transcribe.utterance import Doubt, Utterance, Word

ANY_TEXT = st.text(alphabet=st.characters(exclude_categories=()))  # lone surrogates and control characters too
SPANS = st.tuples(st.integers(0, 600_000), st.integers(1, 60_000)).map(lambda pair: Span(pair[0], sum(pair)))
ANY_WORDS = st.lists(st.builds(Word, SPANS, ANY_TEXT)).map(tuple)


@st.composite
def any_utterance(draw: st.DrawFn) -> Utterance:
    words = draw(ANY_WORDS)
    text = draw(st.just("".join(word.text for word in words)) | ANY_TEXT)
    return Utterance(draw(SPANS), text, words)


PAUSES_MS = st.sampled_from([0, 0, 0, 0, 80, 400, 1_500])
SPOKEN = {
    "zh": st.tuples(
        PAUSES_MS, st.integers(50, 700), st.sampled_from("今天学习勾股定理"), st.sampled_from(["", "", "，", "。"])
    ),
    "en": st.tuples(
        PAUSES_MS, st.integers(50, 700), st.sampled_from([" the", " 3.14"]), st.sampled_from(["", "", ",", "."])
    ),
}


def uttered(spoken: list[list[tuple[int, int, str, str]]]) -> list[Utterance]:
    """What a sane engine gives: words of 50 ms and more, one after the other, pauses and marks between them."""
    clock_ms, utterances = 0, list[Utterance]()
    for utterance in spoken:
        words: list[Word] = []
        for pause_ms, word_ms, bare, mark in utterance:
            clock_ms += pause_ms + word_ms
            words.append(Word(Span(clock_ms - word_ms, clock_ms), bare + mark))
        span = Span(words[0].span.start_ms, words[-1].span.end_ms)
        utterances.append(Utterance(span, "".join(word.text for word in words), tuple(words)))
    return utterances


SPEECH = st.sampled_from(["zh", "en"]).flatmap(
    lambda language: st.lists(st.lists(SPOKEN[language], min_size=1, max_size=60), min_size=1, max_size=3).map(uttered)
)


def squeezed(texts: list[str]) -> str:
    return "".join(one_line(" ".join(texts)).split())


def said(text: str, *, start_ms: int = 0, word_ms: int = 250, pauses: dict[int, int] | None = None) -> Utterance:
    """An utterance with a word a character (or, in Latin text, a word a word), each `word_ms` long."""
    texts = list(text) if not text.isascii() else [f" {word}" for word in text.split()]
    words: list[Word] = []
    clock_ms = start_ms
    for i, each in enumerate(texts):
        clock_ms += (pauses or {}).get(i, 0)
        words.append(Word(Span(clock_ms, clock_ms + word_ms), each))
        clock_ms += word_ms
    return Utterance(Span(words[0].span.start_ms, clock_ms), "".join(texts), tuple(words))


def texts(*utterances: Utterance, language: str = "zh") -> list[str]:
    return [cue.text for cue in cues_from(utterances, language)]


@given(st.lists(any_utterance()), st.none() | st.integers(1, 700_000))
def test_whatever_an_engine_gives_no_word_is_lost_and_cues_stay_in_line(
    utterances: list[Utterance], duration_ms: int | None
) -> None:
    cues = cues_from(utterances, "en", duration_ms=duration_ms)
    in_order = sorted(utterances, key=lambda each: each.span.start_ms)
    assert squeezed([cue.text for cue in cues]) == squeezed([each.text for each in in_order])
    assert all(cue.text == one_line(cue.text) for cue in cues)
    assert all(earlier.span.end_ms <= later.span.start_ms for earlier, later in pairwise(cues))
    limit_ms = duration_ms or max((each.span.end_ms for each in utterances), default=1)
    assert all(cue.span.end_ms <= limit_ms for cue in cues)


@given(SPEECH)
def test_cues_of_speech_are_readable_and_start_with_their_first_word(utterances: list[Utterance]) -> None:
    cues = cues_from(utterances, "zh", duration_ms=utterances[-1].span.end_ms + 5_000)
    starts = {word.span.start_ms for each in utterances for word in each.words}
    assert starts >= {cue.span.start_ms for cue in cues}
    assert squeezed([undone(cue) for cue in cues]) == squeezed([each.text for each in utterances])
    for cue, following in zip(cues, [*cues[1:], None], strict=True):
        assert columns(cue.text) <= MAX_COLUMNS
        assert cue.span.duration_ms <= MAX_MS
        assert cue.span.duration_ms >= MIN_MS or (following and following.span.start_ms == cue.span.end_ms)
        assert not cue.text.startswith(tuple("，。,."))


def test_sentences_are_cues_of_their_own() -> None:
    assert texts(said("今天我们学习勾股定理。请同学们打开课本。翻到第三十二页！")) == [
        "今天我们学习勾股定理。",
        "请同学们打开课本。",
        "翻到第三十二页！",
    ]
    english = said("Good morning class. Today Mr. Brown measures 3.14 meters. Is it e.g. a circle?", word_ms=400)
    assert texts(english, language="en") == [
        "Good morning class.",
        "Today Mr. Brown measures 3.14 meters.",
        "Is it e.g. a circle?",
    ]


def test_a_pause_ends_a_sentence_that_nobody_punctuated() -> None:
    assert texts(said("今天学习勾股定理请看黑板", pauses={8: 1_200})) == ["今天学习勾股定理。", "请看黑板。"]


def test_a_long_sentence_is_cut_at_a_comma_near_its_middle() -> None:
    long = "直角三角形的两条直角边的平方和等于斜边的平方，这就是我们今天要学习的勾股定理的全部内容了。"
    first, second = texts(said(long, word_ms=160))
    assert first == "直角三角形的两条直角边的平方和等于斜边的平方，"
    assert second == "这就是我们今天要学习的勾股定理的全部内容了。"


def test_a_long_sentence_without_a_comma_is_cut_where_the_teacher_breathes() -> None:
    long = "直角三角形的两条直角边的平方和等于斜边的平方这就是我们今天要学习的勾股定理的全部内容了"
    assert texts(said(long, word_ms=160, pauses={22: 350}))[0] == f"{long[:22]}，"


def test_numbers_and_latin_words_are_never_cut() -> None:
    text = "圆周率约等于3.14159265358979这个数字是无限不循环的小数同学们一定要记住它的前面几位数字"
    assert any("3.14159265358979" in line for line in texts(said(text, word_ms=150)))


def test_short_answers_share_a_cue() -> None:
    (cue,) = cues_from([said("对。", word_ms=150), said("很好。", start_ms=500, word_ms=150)], "zh")
    assert cue.plain == Cue(Span(0, 950), "对。很好。")


def test_a_short_cue_is_shown_for_a_second_where_there_is_room() -> None:
    (cue,) = cues_from([said("好。", word_ms=150)], "zh", duration_ms=60_000)
    assert cue.span == Span(0, MIN_MS)


def test_a_word_that_the_engine_stretched_over_a_silence_does_not_stay_for_it() -> None:
    stretched = Utterance(Span(0, 30_000), "好", (Word(Span(0, 30_000), "好"),))
    assert cues_from([stretched], "zh")[0].span == Span(0, MAX_MS)


def test_an_utterance_without_words_gets_its_times_by_width() -> None:
    text = "今天我们学习勾股定理。Please open the book。" * 2
    cues = cues_from([Utterance(Span(0, 20_000), text)], "zh")
    assert [cue.text for cue in cues] == ["今天我们学习勾股定理。", "Please open the book。"] * 2
    assert cues[1].span.start_ms == pytest.approx(5_100, abs=200)


def test_words_that_contradict_the_text_are_not_believed() -> None:
    utterance = Utterance(Span(0, 3_000), "今天学习勾股定理", (Word(Span(0, 500), "今天"),))
    assert texts(utterance) == ["今天学习勾股定理。"]


def test_two_english_utterances_do_not_grow_together() -> None:
    assert texts(Utterance(Span(0, 400), "yes"), Utterance(Span(400, 900), "it is"), language="en") == ["yes it is"]


def test_chinese_comes_out_simplified_and_english_untouched() -> None:
    assert texts(said("今天我們學習乾燥與後面的頭髮。"), language="zh-Hans") == ["今天我们学习干燥与后面的头发。"]
    assert texts(said("後面"), language="en") == ["後面"]


def test_nobody_spoke() -> None:
    assert cues_from([], "zh") == ()
    assert cues_from([Utterance(Span(0, 1_000), " \n ")], "zh", duration_ms=60_000) == ()


LONG = "直角三角形的两条直角边的平方和等于斜边的平方这就是我们今天要学习的勾股定理的全部内容了同学们记住了没有"


@pytest.mark.parametrize("word_ms", [90, 160, 200, 340])
def test_no_cut_falls_inside_a_word(word_ms: int) -> None:
    cut = texts(said(LONG, word_ms=word_ms))
    assert len(cut) > 1
    borders = {len("".join(cut[:i]).replace("。", "").replace("，", "")) for i in range(1, len(cut))}
    words = wording.cut(LONG)
    assert borders <= {len("".join(words[:i])) for i in range(len(words) + 1)}


def test_a_term_of_the_lesson_is_not_cut_though_no_dictionary_has_it() -> None:
    term = "费马大定理猜想集"
    spoken = said(f"接下来的这一段时间里我们大家一起来认识一下{term}到底说的是什么内容和它的来历", word_ms=150)
    assert any(term in cue.text for cue in cues_from([spoken], "zh", terms=[term]))


def test_numbers_are_written_in_figures_and_can_be_undone() -> None:
    (cue,) = cues_from([said("及格率提高了百分之五，圆周率是三点一四，占二分之一。", word_ms=150)], "zh")
    assert cue.text == "及格率提高了5%，圆周率是3.14，占二分之一。"
    assert undone(cue) == "及格率提高了百分之五，圆周率是三点一四，占二分之一。"
    assert cue.detail is not None
    assert [change.rule for change in cue.detail.changes] == ["percent", "decimal"]


def unsure(text: str, probability: float) -> Utterance:
    spoken = said(text, word_ms=200)
    return replace(spoken, words=tuple(replace(word, probability=probability) for word in spoken.words))


def test_an_exact_homophone_of_a_term_is_put_right_where_the_engine_was_unsure() -> None:
    heard = unsure("今天学习沟谷定理。", 0.4)
    (cue,) = cues_from([heard], "zh", terms=["勾股定理"])
    assert cue.text == "今天学习勾股定理。"
    assert undone(cue) == heard.text
    assert cue.detail is not None
    assert cue.detail.changes[0].rule == "homophone"
    assert "low" in cue.detail.flags


def test_what_the_engine_is_sure_of_and_what_sounds_otherwise_is_left() -> None:
    assert texts_with(["勾股定理"], unsure("今天学习沟谷定理。", 0.95)) == ["今天学习沟谷定理。"]
    assert texts_with(["勾股定理"], unsure("今天学习够骨定力。", 0.3)) == ["今天学习够骨定力。"]
    assert texts_with(["勾股定理", "沟谷"], unsure("这条沟谷很深。", 0.3)) == ["这条沟谷很深。"]


def texts_with(terms: list[str], utterance: Utterance) -> list[str]:
    return [cue.text for cue in cues_from([utterance], "zh", terms=terms)]


def test_english_words_among_chinese_get_their_spaces() -> None:
    text = "同学们请读apple这个单词，再看第3课。"
    words = [
        Word(Span(300 * i, 300 * i + 280), t)
        for i, t in enumerate(["同学们", "请读", "apple", "这个", "单词，", "再看", "第3课。"])
    ]
    assert texts(Utterance(Span(0, 2_100), text, tuple(words))) == ["同学们请读 apple 这个单词，再看第3课。"]


def test_marks_are_put_where_the_teacher_paused_and_a_question_gets_its_own() -> None:
    heard = said("今天我们学什么这个问题谁来回答请坐", pauses={7: 1_300, 15: 400})
    cues = cues_from([heard], "zh")
    assert "".join(cue.text for cue in cues) == "今天我们学什么？这个问题谁来回答，请坐。"
    assert "".join(undone(cue) for cue in cues) == heard.text


def test_what_engines_doubted_is_flagged_on_the_cue() -> None:
    (cue,) = cues_from([replace(said("同学们好。"), doubts=(Doubt.LOOP,))], "zh")
    assert cue.detail is not None
    assert cue.detail.flags == ("loop",)
    assert [word.text for word in cue.detail.words] == list("同学们好。")


CHINESE = st.text(alphabet="零一二三十百千点分之年米的平方x今天abc ，。吗勾股沟谷定理", min_size=1, max_size=80)


@given(st.lists(CHINESE.filter(lambda text: text.strip() != ""), min_size=1, max_size=4), st.sampled_from([0.2, 0.9]))
def test_every_rule_can_be_undone(spoken: list[str], probability: float) -> None:
    clock_ms, utterances = 0, list[Utterance]()
    for text in spoken:
        words = tuple(
            Word(Span(clock_ms + 200 * i, clock_ms + 200 * i + 180), each, probability) for i, each in enumerate(text)
        )
        utterances.append(Utterance(Span(clock_ms, clock_ms + 200 * len(text)), text, words))
        clock_ms += 200 * len(text) + 1_500
    cues = cues_from(utterances, "zh", terms=["勾股定理"])
    assert squeezed([undone(cue) for cue in cues]) == squeezed(spoken)
