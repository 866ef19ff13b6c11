"""Words that sound exactly like a term of the lesson and were written otherwise: 沟谷定理 where 勾股定理 was meant.

Only where the engine itself was unsure, only syllable for syllable with the same tones, and always written down, so that it
can be undone. Pure.
"""
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownArgumentType=false

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache

from pypinyin import Style, pinyin

from transcribe import wording

UNSURE = 0.6  # a mean word probability below which an engine's characters are as often wrong as right
_SHORTEST = 2


class Homophones:
    """The terms by their sound. Make it once for a lesson."""

    def __init__(self, terms: Sequence[str]) -> None:
        self._terms = frozenset(terms)
        self._by_first: Mapping[str, list[str]] = _by_first_sound(terms)

    def found(self, text: str, probabilities: Sequence[float]) -> Iterator[tuple[int, str]]:
        """(offset, term) for each place in a run of Han characters where a term belongs; left to right, longest first.

        `probabilities` has one number for each character.
        """
        at = 0
        while at < len(text):
            term = next((each for each in self._starting_at(text, at) if self._fits(text, at, each, probabilities)), "")
            if term:
                yield at, term
            at += len(term) or 1

    def _starting_at(self, text: str, at: int) -> list[str]:
        candidates = {term for sound in sounds(text[at]) for term in self._by_first.get(sound, ())}
        return sorted(candidates, key=lambda term: (-len(term), term))

    def _fits(self, text: str, at: int, term: str, probabilities: Sequence[float]) -> bool:
        there = text[at : at + len(term)]
        if len(there) != len(term) or there == term or there in self._terms:
            return False
        if wording.is_word(there):  # 公事 may be 公事, though the lesson is about 公式
            return False
        if sum(probabilities[at : at + len(term)]) >= UNSURE * len(term):
            return False
        return all(sounds(said) & sounds(meant) for said, meant in zip(there, term, strict=True))


@lru_cache(maxsize=1 << 14)
def sounds(character: str) -> frozenset[str]:
    """All readings of a character, with their tones."""
    return frozenset(pinyin(character, style=Style.TONE3, heteronym=True, neutral_tone_with_five=True)[0])


def _by_first_sound(terms: Sequence[str]) -> Mapping[str, list[str]]:
    found: defaultdict[str, list[str]] = defaultdict(list)
    for term in terms:
        if len(term) >= _SHORTEST and all("\u4e00" <= character <= "\u9fff" for character in term):
            for sound in sounds(term[0]):
                found[sound].append(term)
    return found
