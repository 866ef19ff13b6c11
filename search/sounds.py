"""How a text sounds: toneless pinyin, one sound for each unit, so that a place in one is a place in the other.

A recogniser that mishears writes characters of the same sound, and a child who has forgotten the character types one.
Polyphones are read by word (pypinyin's phrases over jieba's words): 重心 is zhong xin, 重复 is chong fu. What is not Chinese
sounds as itself behind a `=`: the English word "can" is not the syllable can (餐).
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from functools import cache, lru_cache
from itertools import islice, product

from search import words

MAX_READINGS = 4  # of one stretch of letters: xian is 先 and 西安; more is guessing

_LETTERS = re.compile(r"[a-z]+")
_TONE_DIGITS = re.compile(r"(?<=[a-z])[1-5](?![0-9])")
_LONGEST_SYLLABLE = 6  # zhuang
# pypinyin has these for sighs (嗯, 欸) only; as pieces of a spelling they would split everything.
_NOT_TYPED = frozenset({"n", "ng", "m", "hm", "hng", "ei", "o"})
_TYPED_OTHERWISE = {"nue": "nve", "lue": "lve"}


def syllables(text: str) -> tuple[str, ...]:
    """The sounds of a text, one for each of `words.units(text)`."""
    return sounds_of(words.cut(text))


def sounds_of(cut: Iterable[words.Word]) -> tuple[str, ...]:
    """The sounds of words that were cut already, one for each of their units."""
    return tuple(sound for word in cut if not word.part for sound in of_word(word.text))


def is_syllable(sound: str) -> bool:
    return not sound.startswith("=")


def readings(sounds: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """The ways a query may be meant: letters that spell pinyin are read as it (勾股dingli), the rest as it stands."""
    choices = [((sound,),) if is_syllable(sound) else spellings(sound[1:]) or ((sound,),) for sound in sounds]
    ways = (tuple(sound for part in choice for sound in part) for choice in product(*choices))
    return tuple(dict.fromkeys(islice(ways, MAX_READINGS)))


@lru_cache(maxsize=1024)
def spellings(letters: str) -> tuple[tuple[str, ...], ...]:
    """The ways to read letters as pinyin, fewest syllables first; none if they are no pinyin. gougudingli is one way."""
    plain = _TONE_DIGITS.sub("", _without_tones(letters))
    if _LETTERS.fullmatch(plain) is None:
        return ()
    known = _syllables()
    ways: list[list[tuple[str, ...]]] = [[()]]
    for end in range(1, len(plain) + 1):
        here: list[tuple[str, ...]] = []
        for start in range(max(0, end - _LONGEST_SYLLABLE), end):
            piece = _TYPED_OTHERWISE.get(plain[start:end], plain[start:end])
            if piece in known:
                here += [(*way, piece) for way in ways[start]]
        ways.append(sorted(here, key=len)[:MAX_READINGS])  # fewest syllables stay, so that ways never explode
    return tuple(ways[-1])


INITIALS = (3, 8)  # letters that may stand for a word: fewer are the initials of everything, more nobody types
_NO_INITIAL = frozenset("iuv")


@lru_cache(maxsize=1 << 16)
def initials(word: str) -> str:
    """The first letters of a folded word's syllables; empty if one of its sounds is none."""
    heard = of_word(word)
    return "".join(sound[0] for sound in heard) if all(map(is_syllable, heard)) else ""


def initials_typed(letters: str) -> str:
    """The letters, if they may be a word's initials: ggdl. Not where they spell pinyin, which is likelier meant."""
    fewest, most = INITIALS
    fits = fewest <= len(letters) <= most and _LETTERS.fullmatch(letters) and _NO_INITIAL.isdisjoint(letters)
    return letters if fits and not spellings(letters) else ""


@lru_cache(maxsize=1)
def _terms_by_initials(terms: tuple[str, ...]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for term in terms:
        if words.is_han(term):
            found.setdefault(initials(term), []).append(term)
    return found


def meant_by_initials(letters: str) -> tuple[str, ...]:
    """The terms of the subjects that have these initials. They are then looked for by their sound, also where the recogniser
    misheard them and no word with these initials is left.
    """
    return tuple(_terms_by_initials(words.terms()).get(letters, ())[:MAX_READINGS])


def _without_tones(letters: str) -> str:
    """gōu as gou, lǚ as lv: the way an input method spells them."""
    apart = unicodedata.normalize("NFD", letters).replace("u\u0308", "v")
    return "".join(c for c in apart if unicodedata.category(c) != "Mn")


@cache
def _syllables() -> frozenset[str]:
    """Every syllable of the 6,763 characters of GB 2312: all that a school child types."""
    codes = (bytes((row, cell)) for row in range(0xB0, 0xF8) for cell in range(0xA1, 0xFF))
    characters = (code.decode("gb2312", "ignore") for code in codes)
    return frozenset(sound for c in characters if c for sound in of_word(c)) - _NOT_TYPED


@lru_cache(maxsize=1 << 16)
def of_word(word: str) -> tuple[str, ...]:
    """The sounds of a folded word, one for each of its units."""
    if not words.is_han(word):
        return (f"={word}",)
    from pypinyin import Style, lazy_pinyin  # 0.7 s and 30 MB: only processes that search or index pay for it

    read = lazy_pinyin(word, style=Style.NORMAL)
    if len(read) != len(word):  # never seen, but a dictionary's entry must not move every mark behind it
        read = [lazy_pinyin(c, style=Style.NORMAL)[0] for c in word]
    return tuple(read)
