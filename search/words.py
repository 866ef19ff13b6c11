"""Text as search sees it: folded, then cut into units and words that remember their place in the original.

Passages and queries go through these same functions, so what is done to one is done to the other. Offsets are into the
original string, in characters, and never fall inside a character that a reader sees as one (a letter and its accents).
jieba lives here alone; it is loaded once, on first use (about two seconds), and never writes its cache file: jieba reads
that file from the shared temporary folder with marshal, where anybody on the machine could have put it.
"""
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownArgumentType=false

import re
import threading
import unicodedata
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple, Protocol, cast

# A word this frequent in jieba's dictionary is everyday speech (我们 98,740; 学习 13,482), not a term that is looked for by
# its sound (证明 6,425; 函数 2,648; 正弦 117). About 430 words of two characters are above it.
COMMON = 10_000

MAX_UNIT_CHARS = 64  # longer runs of letters are noise, and engines refuse words of a few hundred bytes

_HAN = "\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_UNIT = re.compile(rf"[{_HAN}]|[^\W_{_HAN}]+")
_RUN = re.compile(rf"[{_HAN}]+|[^\W_{_HAN}]+")
_IS_HAN = re.compile(rf"[{_HAN}]+")
# Texts of these alone, which is nearly all of them, fold to themselves but for capitals: no need to go character by character.
_PLAIN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fffA-Za-z0-9\s，。、？！：；“”‘’（）《》…—·,.?!:;'\"()+*/=<>%-]*")
_JOINER = "\u200d"


class Unit(NamedTuple):  # not a dataclass: a search makes thousands, and this took a third off it
    """The smallest thing that can be found: one Han character, or one run of other letters and digits, folded."""

    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Word:
    """One of jieba's words, folded. `part` marks a shorter word inside a longer one (定理 in 勾股定理)."""

    text: str
    start: int
    end: int
    part: bool = False


def clean(text: str) -> str:
    """The text in as many characters, without those that no store, engine or page can carry: controls, lone surrogates."""
    return "".join(" " if unicodedata.category(c) in ("Cc", "Cs") else c for c in text)


def is_han(text: str) -> bool:
    return _IS_HAN.fullmatch(text) is not None


def units(text: str) -> tuple[Unit, ...]:
    folded, starts, ends = _fold(text)
    return tuple(
        Unit(found.group()[:MAX_UNIT_CHARS], starts[found.start()], ends[found.end() - 1])
        for found in _UNIT.finditer(folded)
    )


def cut(text: str) -> tuple[Word, ...]:
    """The words of a text at jieba's granularity for search: 勾股定理 gives 定理 and 勾股定理. In order of their ends."""
    folded, starts, ends = _fold(text)
    cutter = _cutter()
    words: list[Word] = []
    for run in _RUN.finditer(folded):
        begin = run.start()
        if not is_han(run.group()):
            words.append(Word(run.group()[:MAX_UNIT_CHARS], starts[begin], ends[run.end() - 1]))
            continue
        pieces = list(cutter.tokenize(run.group(), mode="search"))
        whole = _whole(pieces)
        for index, (word, first, last) in enumerate(pieces):
            words.append(Word(word, starts[begin + first], ends[begin + last - 1], part=index not in whole))
    return tuple(words)


def unit_texts(word: str) -> tuple[str, ...]:
    """A folded word as the units it is made of."""
    return tuple(word) if is_han(word) else (word,)


def frequency(word: str) -> int:
    """How often jieba's dictionary saw a word; 0 for one it does not know."""
    return _cutter().FREQ.get(word, 0)


def _whole(pieces: list[tuple[str, int, int]]) -> set[int]:
    """Which of jieba's search words tile the run; each comes after the shorter ones inside it, so read backwards."""
    whole: set[int] = set()
    border = pieces[-1][2] if pieces else 0
    for index in range(len(pieces) - 1, -1, -1):
        if pieces[index][2] == border:
            whole.add(index)
            border = pieces[index][1]
    return whole


def _fold(text: str) -> tuple[str, Sequence[int], Sequence[int]]:
    """The folded text and, for each of its characters, where in the original its character starts and ends."""
    if _PLAIN.fullmatch(text):
        return text.lower(), range(len(text)), range(1, len(text) + 1)
    folded: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    for start, end in _characters(text):
        plain = _folded(text[start:end])
        folded.append(plain)
        starts.extend([start] * len(plain))
        ends.extend([end] * len(plain))
    return "".join(folded), starts, ends


def _characters(text: str) -> Iterator[tuple[int, int]]:
    """What a reader sees as one character: a code point with the marks and joiners that follow it."""
    start = 0
    for at in range(1, len(text) + 1):
        if at == len(text) or not (_is_mark(text[at]) or text[at - 1] == _JOINER):
            yield start, at
            start = at


def _is_mark(character: str) -> bool:
    return character >= "\u0300" and (character == _JOINER or unicodedata.category(character)[0] == "M")


@lru_cache(maxsize=1 << 15)
def _folded(character: str) -> str:
    """Full width to half, capitals to small, compatibility forms to plain (㎡ to m2); marks that fit no letter go."""
    plain = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", character).casefold())
    return "".join(c for c in plain if not _is_mark(c))


class _Cutter(Protocol):
    """The part of jieba.Tokenizer that is used here; jieba itself is untyped."""

    FREQ: dict[str, int]

    def tokenize(self, unicode_sentence: str, *, mode: str) -> Iterator[tuple[str, int, int]]: ...


_loading = threading.Lock()
_loaded: list[_Cutter] = []


def _cutter() -> _Cutter:
    if not _loaded:
        with _loading:
            if not _loaded:
                _loaded.append(_load())
    return _loaded[0]


def _load() -> _Cutter:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # jieba 0.42.1 has bad escapes in its patterns and imports pkg_resources
        import jieba
    tokenizer = jieba.Tokenizer()
    # What initialize() does, less its cache file and its lines on stderr.
    tokenizer.FREQ, tokenizer.total = tokenizer.gen_pfdict(tokenizer.get_dict_file())
    tokenizer.initialized = True
    return cast(_Cutter, tokenizer)
