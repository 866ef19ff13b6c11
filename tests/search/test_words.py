import random
import subprocess
import sys
import unicodedata
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import classroom
from search import words
from tests.search.engines import patiently

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # jieba 0.42.1 has bad escapes in its patterns and imports pkg_resources
    import jieba

# What lessons hold, and what breaks careless offsets: marks, ligatures, surrogates, joiners, widths.
written = [
    "勾股定理",
    "三年级",
    "ＡＢＣ",
    "é",
    "ﬁ",
    "㎡",
    "½",
    "①",
    "葛󠄀",
    "👩\u200d🏫",
    "́",
    "İ",
    "ß",
    "x²",
    " ",
    "，",
    "�",
    "กำ",
]
scraps = st.sampled_from(written)
texts = st.text(max_size=40) | st.lists(scraps, max_size=10).map("".join)


def folded(text: str) -> list[str]:
    return [unit.text for unit in words.units(text)]


@pytest.mark.parametrize(
    ("written", "plain"),
    [
        ("勾股", ["勾", "股"]),
        ("ＡＢＣ　１２３", ["abc", "一", "百", "二", "十", "三"]),
        ("Photosynthesis", ["photosynthesis"]),
        ("a²+b²=c²", ["a", "平", "方", "加", "b", "平", "方", "等", "于", "c", "平", "方"]),
        ("5㎡", ["五", "平", "方", "米"]),
        ("café cafe\u0301", ["café", "café"]),
        ("32页", ["三", "十", "二", "页"]),
        ("拋物線", ["抛", "物", "线"]),
        ("x^2", ["x", "平", "方"]),
        ("3.14", ["三", "点", "一", "四"]),
        ("don't", ["don", "t"]),
        ("x_1", ["x", "一"]),
        ("《静夜思》——李白", ["静", "夜", "思", "李", "白"]),
        ("葛\U000e0100", ["葛"]),  # a variation selector chooses a drawing, not a character
        ("👩‍🏫", []),
    ],
)
def test_text_folds_to_units(written: str, plain: list[str]) -> None:
    assert folded(written) == plain


def test_units_know_their_place_in_the_original() -> None:
    text = "5㎡ cafe\u0301 ① 勾"
    assert [text[unit.start : unit.end] for unit in words.units(text)] == [
        "5",
        "㎡",
        "㎡",
        "㎡",
        "cafe\u0301",
        "①",
        "勾",
    ]


def test_words_are_cut_for_search_and_know_which_are_parts() -> None:
    cut = [(word.text, word.part) for word in words.cut("光合作用，三年级 ok")]
    assert ("三年级", False) in cut
    assert ("年级", True) in cut
    assert ("光合作用", False) in cut
    assert ("作用", True) in cut
    assert cut[-1] == ("ok", False)


def test_a_word_too_long_for_any_engine_is_cut_short() -> None:
    (word,) = words.cut("a" * 1000)
    assert (len(word.text), word.start, word.end) == (words.MAX_UNIT_CHARS, 0, 1000)


@given(texts)
@patiently
def test_offsets_are_in_order_inside_the_text_and_never_cut_a_character(text: str) -> None:
    end = 0
    for unit in words.units(text):
        assert end <= unit.end <= len(text)
        assert unit.start < unit.end
        assert unit.start >= end or unit.end >= end  # two units may share one character (½ is 1 and 2)
        assert unit.start == 0 or unicodedata.category(text[unit.start])[0] != "M"
        assert unit.end == len(text) or unicodedata.category(text[unit.end])[0] != "M"
        end = unit.end


@given(texts)
@patiently
def test_whole_words_are_the_units_in_order(text: str) -> None:
    whole = [unit for word in words.cut(text) if not word.part for unit in words.unit_texts(word.text)]
    assert whole == folded(text)


@given(texts)
@patiently
def test_a_text_taken_apart_at_once_is_the_same_units_and_words(text: str) -> None:
    parts = words.parts(text)
    assert list(map(words.Unit, parts.units, parts.starts, parts.ends)) == list(words.units(text))
    assert parts.words == [word.text for word in words.cut(text)]
    assert parts.whole == [word.text for word in words.cut(text) if not word.part]


@given(texts)
@patiently
def test_folding_what_is_folded_changes_nothing(text: str) -> None:
    once = " ".join(folded(text))
    assert " ".join(folded(once)) == once


@given(texts)
@patiently
def test_a_clean_text_is_as_long_and_can_be_stored(text: str) -> None:
    clean = words.clean(text)
    assert len(clean) == len(text)
    clean.encode()
    assert words.clean(clean) == clean


def test_everyday_words_are_known_and_terms_are_none() -> None:
    assert words.is_everyday("我们")
    assert not words.is_everyday("正弦")


def test_the_terms_of_every_subject_are_cut_whole() -> None:
    for term in ("商高定理", "通电螺线管", "马德堡半球", "中位线"):
        assert [word.text for word in words.cut(term) if not word.part] == [term]


def test_any_threads_may_cut_at_once_and_nothing_is_written(tmp_path: Path) -> None:
    # A process of its own: here the dictionary is loaded already.
    program = """
import threading
from search import words
found = []
threads = [threading.Thread(target=lambda: found.append(words.cut("今天学习勾股定理"))) for _ in range(4)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
assert len(found) == 4 and len(set(found)) == 1
print([word.text for word in found[0]])
"""
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        env={"TMPDIR": str(tmp_path), "PYTHONPATH": str(Path(__file__).parents[2]), "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "勾股定理" in ran.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def jieba_itself() -> Iterator["jieba.Tokenizer"]:
    """jieba with our terms, ours having learnt no others meanwhile. What its initialize() does, less its cache file and its
    lines on stderr."""
    learnt = words._learnt  # pyright: ignore[reportPrivateUsage]
    words.learn(())
    cutter = jieba.Tokenizer()
    cutter.FREQ, cutter.total = cutter.gen_pfdict(cutter.get_dict_file())
    cutter.initialized = True
    for term in words.curriculum():
        if words.is_han(term) and not cutter.FREQ.get(term):
            cutter.add_word(term, words._TERM_FREQUENCY)  # pyright: ignore[reportPrivateUsage]
    yield cutter
    words.learn(learnt)


def cut_differently(cutter: "jieba.Tokenizer", texts: Iterable[str]) -> list[str]:
    ours = words._cutter()  # pyright: ignore[reportPrivateUsage]
    return [text for text in texts if [*cutter.tokenize(text, mode="search")] != [*ours.tokenize(text, "search")]]


def test_words_are_cut_as_jieba_cuts_them_over_our_corpus(jieba_itself: "jieba.Tokenizer") -> None:
    spoken = classroom.lessons(3, 150, held_out=False)
    lines = {line for one in (*spoken, *classroom.misheard(spoken, 0.2, 3)) for line in one.lines}
    assert len(lines) > 2000
    assert cut_differently(jieba_itself, lines) == []


def test_words_are_cut_as_jieba_cuts_them_whatever_is_written(jieba_itself: "jieba.Tokenizer") -> None:
    # The common block alone: of rarer characters, which no lesson has, jieba makes pieces of one and rjieba of several.
    draw = random.Random(7)
    every = [chr(code) for code in range(0x4E00, 0x9FA6)]
    known = [*words.curriculum(), *words._everyday(), *"的一是不了在人有我他这个们中来上大为和"]  # pyright: ignore[reportPrivateUsage]
    texts = ["".join(draw.choices(every, k=draw.randint(1, 20))) for _ in range(1500)]
    texts += ["".join(draw.choices(known, k=draw.randint(1, 8))) for _ in range(1500)]
    assert cut_differently(jieba_itself, [text for text in texts if words.is_han(text)]) == []
