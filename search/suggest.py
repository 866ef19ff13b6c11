"""What may be meant by what is typed so far, or was typed wrongly: from the terms of the subjects and from lessons' titles.

Typed may be characters, pinyin, initials, or any of these after another, as input methods take them: 勾股, gougu, ggdl, goug,
勾gd. Nothing here knows what anybody may see: whoever shows a suggestion has made sure that it finds something. Pure.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import lru_cache, partial

from search import near, sounds, words
from search.near import Heard

MAX_TYPED_CHARS = 32
_LEAST_LETTERS = 2  # one letter begins everything
_LEAST_SPELLED, _SPELLED_ENOUGH = 5, 0.85  # one slip in seven letters


@dataclass(frozen=True, slots=True)
class Term:
    """Something that can be looked for, and how it is written and said."""

    text: str
    heard: Heard

    @property
    def firsts(self) -> str:
        return "".join(sound[0] for sound in self.heard.sounds)


def term_of(text: str) -> Term:
    return Term(text, near.heard([unit.text for unit in words.units(text)], sounds.syllables(text)))


def known() -> tuple[Term, ...]:
    """The terms of all subjects, and of the glossaries. Two seconds of reading at the first call."""
    return _read(words.terms())


@lru_cache(maxsize=1)
def _read(texts: tuple[str, ...]) -> tuple[Term, ...]:
    return tuple(map(_term_of, texts))


@lru_cache(maxsize=1 << 16)
def _term_of(text: str) -> Term:
    return term_of(text)


def completions(typed: str, terms: Iterable[Term]) -> Iterator[Term]:
    """The terms that begin with what is typed, in their order; nothing for a single letter."""
    units = [unit.text for unit in words.units(words.clean(typed)[:MAX_TYPED_CHARS])]
    if not units or (len(units) == 1 and not words.is_han(units[0]) and len(units[0]) < _LEAST_LETTERS):
        return
    first = units[0] if words.is_han(units[0]) else units[0][0]
    for term in terms:
        starts_alike = term.heard.units[:1] == (first,) if words.is_han(first) else term.firsts[:1] == first
        if (starts_alike or term.heard.units[0].startswith(units[0])) and _begins(units, term.heard):
            yield term


def _begins(typed: Sequence[str], term: Heard) -> bool:
    """Whether a term begins with these units: a character stands for itself, letters for the beginnings of syllables."""
    if not typed:
        return True
    if not term.units:
        return False
    rest = Heard(term.units[1:], term.sounds[1:], ())
    if words.is_han(typed[0]) or not sounds.is_syllable(term.sounds[0]):
        is_last = len(typed) == 1
        same = term.units[0].startswith(typed[0]) if is_last else term.units[0] == typed[0]
        return same and _begins(typed[1:], rest)
    letters, syllable = typed[0], term.sounds[0]
    for taken in range(min(len(letters), len(syllable)), 0, -1):
        if letters[:taken] == syllable[:taken]:
            left = [letters[taken:], *typed[1:]] if len(letters) > taken else typed[1:]
            if _begins(left, rest):
                return True
    return False


def corrections(typed: str, terms: Iterable[Term], *, limit: int = 3) -> list[Term]:
    """The terms that sound most like what was typed, closest first; none that is what was typed."""
    meant = term_of(words.clean(typed)[:MAX_TYPED_CHARS]).heard
    letters = "".join(meant.units)
    closeness = partial(_closeness, meant) if words.is_han(letters) else partial(_spelled_alike, letters)
    others = ((closeness(term.heard), term) for term in terms if term.heard.units != meant.units)
    found = sorted(((close, term) for close, term in others if close), key=lambda pair: -pair[0])
    return [term for _, term in found[:limit]]


def _spelled_alike(letters: str, term: Heard) -> float:
    """How much of the letters is the term's pinyin, slips of a finger (dinli, dignli) apart; 0 if it is too little."""
    spelled = "".join(term.sounds)
    if letters[:1] != spelled[:1] or abs(len(letters) - len(spelled)) > 2 or len(letters) < _LEAST_SPELLED:
        return 0.0
    alike = SequenceMatcher(None, letters, spelled, autojunk=False).ratio()
    return alike if alike >= _SPELLED_ENOUGH else 0.0


def _closeness(asked: Heard, term: Heard) -> float:
    """Of the whole of both, for 定理 is no correction of 勾股定理; 0 if they are not near."""
    length = len(term.keys)
    if abs(len(asked.keys) - length) > 1 or length < 2:
        return 0.0
    return max((close for (first, last), close in near.places(asked, term) if last - first == length), default=0.0)
