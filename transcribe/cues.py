"""Utterances become cues a pupil can read: short, one after the other, cut where a reader would breathe.

Pure. Promises: no word is lost or said twice, cues never overlap, their starts strictly increase and none leaves the
lesson. Within that: at most two lines' worth of text, at least `MIN_MS` where there is room, at most `MAX_MS`.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import accumulate, pairwise, zip_longest

from archive.model import Cue, Span
from transcribe.simplified import simplified
from transcribe.utterance import Utterance
from transcribe.webvtt import one_line

EDITION = 1  # raise it whenever the same recording would give other cues: old transcripts are then known to be old

LINE_COLUMNS = 40  # 20 Han characters, or 40 Latin letters: what subtitles put on a line of a phone held upright
MAX_COLUMNS = 2 * LINE_COLUMNS
_HALF_LINE = LINE_COLUMNS // 2  # in characters: that many fit on a line, whatever they are
MIN_MS = 1_000  # shorter is a flicker
MAX_MS = 7_000  # longer, and the eye starts again from the left
PAUSE_MS = 1_000  # a silence this long ends a sentence, whatever the engine's punctuation says
BREATH_MS = 300  # a silence this long is a good place to cut a sentence that is too long

_SENTENCE_END = re.compile(r"[。！？!?….][”’」』）)\"']*\Z")
_ABBREVIATION = re.compile(r"(?:\b(?:mr|mrs|ms|dr|st|vs|no)|\b[a-z])\.\Z", re.IGNORECASE)
_CLAUSE_END = re.compile(r"[，、；：,;:—][”’」』）)\"']*\Z")
_NEVER_FIRST = frozenset("，。、；：！？…—”’」』）》】,.;:!?)]}%％‰°")
_NEVER_LAST = frozenset("“‘「『（《【([{")
_HAN = "\u2e80-\u9fff\uf900-\ufaff\uff00-\uffef\U00020000-\U0003ffff"
_UNTIMED_WORD = re.compile(rf"\s*(?:[{_HAN}]|[^\s{_HAN}]+)")


class Border(IntEnum):
    """How good a place to cut is, just before an atom."""

    NEVER = 0  # inside a word or a number, before a comma, or where time stands still
    WORD = 1
    CLAUSE = 2
    SENTENCE = 3


@dataclass(frozen=True, slots=True)
class _Atom:
    """What is never divided: a word with its time, and the border before it."""

    text: str
    start_ms: int
    end_ms: int
    border: Border


_NOTHING = _Atom("", -1, 0, Border.NEVER)  # before the first word


@dataclass(frozen=True, slots=True)
class _Piece:
    """Neighbouring atoms on their way to becoming a cue."""

    atoms: tuple[_Atom, ...]

    @property
    def start_ms(self) -> int:
        return self.atoms[0].start_ms

    @property
    def end_ms(self) -> int:
        return max(atom.end_ms for atom in self.atoms)

    @property
    def fits(self) -> bool:
        return self.end_ms - self.start_ms <= MAX_MS and columns(self.text.strip()) <= MAX_COLUMNS

    @property
    def text(self) -> str:
        return "".join(atom.text for atom in self.atoms)


def cues_from(utterances: Sequence[Utterance], language: str, *, duration_ms: int | None = None) -> tuple[Cue, ...]:
    """The cues of a recording. `language` is BCP 47; Chinese comes out in Simplified characters.

    `duration_ms` is the recording's, where it is known: nothing reaches beyond it. Otherwise the last utterance's end.
    """
    limit_ms = duration_ms or max((each.span.end_ms for each in utterances), default=1)
    pieces = _joined([short for piece in _sentences(_atoms(utterances, limit_ms)) for short in _divided(piece)])
    chinese = language.lower().split("-")[0] == "zh"
    cues: list[Cue] = []
    for piece, following in zip_longest(pieces, pieces[1:]):
        end_ms = min(max(piece.end_ms, piece.start_ms + MIN_MS), piece.start_ms + MAX_MS)
        text = one_line(piece.text)
        if text:
            span = Span(piece.start_ms, min(end_ms, following.start_ms if following else limit_ms))
            cues.append(Cue(span, simplified(text) if chinese else text))
    return tuple(cues)


def columns(text: str) -> int:
    """How wide text is: a Han character or a full-width mark takes two columns, a Latin letter one."""
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)


def _atoms(utterances: Sequence[Utterance], limit_ms: int) -> list[_Atom]:
    """Every word in order, times made to run forward, each with the border before it."""
    atoms: list[_Atom] = []
    for utterance in sorted(utterances, key=lambda each: each.span.start_ms):
        opens = True
        for text, span in _timed_words(utterance):
            before = atoms[-1] if atoms else _NOTHING
            if opens and _is_narrow(before.text[-1:]) and _is_narrow(text[:1]):
                text = f" {text}"  # two utterances are not one word, though no engine wrote a space
            start_ms = max(before.start_ms, min(span.start_ms, limit_ms - 1), 0)
            border = _border(before, text, start_ms, Border.CLAUSE if opens else Border.WORD)
            atoms.append(_Atom(text, start_ms, max(start_ms + 1, min(span.end_ms, limit_ms)), border))
            opens = False
    return atoms


def _timed_words(utterance: Utterance) -> Iterator[tuple[str, Span]]:
    """The utterance's words if they give its text, else its text with times by width. No word is wider than a line."""
    timed = [(word.text, word.span) for word in utterance.words]
    if "".join("".join(text for text, _ in timed).split()) != "".join(utterance.text.split()):
        timed = list(_spread(_UNTIMED_WORD.findall(utterance.text), utterance.span))
    spaced = False  # whether the engine wrote a space before the next word
    for text, span in timed:
        bare = " ".join(text.split())
        if bare:
            whole = f" {bare}" if spaced or text[0].isspace() else bare
            if columns(whole) <= LINE_COLUMNS:
                yield whole, span
            else:
                yield from _spread([whole[i : i + _HALF_LINE] for i in range(0, len(whole), _HALF_LINE)], span)
        spaced = (spaced and not bare) or text[-1:].isspace()


def _spread(texts: Sequence[str], span: Span) -> Iterator[tuple[str, Span]]:
    """Texts side by side over a span, each as long as it is wide."""
    total, passed = sum(map(columns, texts)), 0
    for text in texts:
        start_ms = span.start_ms + span.duration_ms * passed // total
        passed += columns(text)
        yield text, Span(start_ms, max(start_ms + 1, span.start_ms + span.duration_ms * passed // total))


def _border(before: _Atom, text: str, start_ms: int, least: Border) -> Border:
    """How good it is to cut between an atom and the text after it. `least` is what it is worth with no other reason."""
    left, right = before.text.rstrip(), text.lstrip()
    apart = left != before.text or right != text
    if start_ms <= before.start_ms or not left or right[0] in _NEVER_FIRST or left[-1] in _NEVER_LAST:
        return Border.NEVER
    if not apart and ((_is_narrow(left[-1]) and _is_narrow(right[0])) or _is_number(left[-1], right[0])):
        return Border.NEVER
    pause_ms = start_ms - before.end_ms
    if pause_ms >= PAUSE_MS or (_SENTENCE_END.search(left) and not _ABBREVIATION.search(left)):
        return Border.SENTENCE
    if pause_ms >= BREATH_MS or _CLAUSE_END.search(left):
        return Border.CLAUSE
    return least


def _is_narrow(character: str) -> bool:
    return bool(character) and not character.isspace() and columns(character) == 1


def _is_number(left: str, right: str) -> bool:
    """A number and what it counts (第3课, 3米) stay together; a comma before it does not."""
    return (left.isdigit() and right.isalnum()) or (left.isalnum() and right.isdigit())


def _sentences(atoms: Sequence[_Atom]) -> list[_Piece]:
    starts = [i for i, atom in enumerate(atoms) if i == 0 or atom.border is Border.SENTENCE]
    return [_Piece(tuple(atoms[start:end])) for start, end in pairwise([*starts, len(atoms)])]


def _divided(piece: _Piece) -> list[_Piece]:
    """The piece itself if it fits, else its halves, cut at the best border near the middle, and theirs in turn."""
    places = [i for i, atom in enumerate(piece.atoms) if i > 0 and atom.border is not Border.NEVER]
    if piece.fits or not places:
        return [piece]
    widths = list(accumulate(columns(atom.text) for atom in piece.atoms))

    def worth(place: int) -> float:
        off_middle = abs(widths[place - 1] / widths[-1] - 0.5)  # 0 is the middle, 0.5 an end
        # A clause's end may lie up to 0.35 further out than a mere word's: then no half is a scrap.
        return (0.35 if piece.atoms[place].border > Border.WORD else 0.0) - off_middle

    best = max(places, key=worth)
    return _divided(_Piece(piece.atoms[:best])) + _divided(_Piece(piece.atoms[best:]))


def _joined(pieces: Sequence[_Piece]) -> list[_Piece]:
    """Pieces too short to read join a neighbour, where no pause divides them and the two together fit."""
    joined: list[_Piece] = []
    for piece in pieces:
        both = _Piece(joined[-1].atoms + piece.atoms) if joined else piece
        short = joined and min(each.end_ms - each.start_ms for each in (joined[-1], piece)) < MIN_MS
        if short and both.fits and piece.start_ms - joined[-1].end_ms < PAUSE_MS:
            joined[-1] = both
        else:
            joined.append(piece)
    return joined
