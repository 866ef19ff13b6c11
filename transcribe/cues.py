"""Utterances become cues a pupil can read: short, one after the other, cut where a reader would breathe.

Pure. Promises: no word is lost or said twice (`undone` gives what was heard), cues never overlap, their starts strictly
increase and none leaves the lesson. Within that: at most two lines of 18 Han characters, at least `MIN_MS` and at a pupil's
reading speed where there is room, at most `MAX_MS`, and never a cut inside a word or a number.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise, zip_longest

from archive.model import Change, Cue, CueDetail, CueWord, Span
from transcribe.atoms import PAUSE_MS, Atom, Border, atoms_of
from transcribe.lines import LINE_COLUMNS, columns
from transcribe.utterance import Utterance

EDITION = 2  # raise it whenever the same utterances would give other cues: old transcripts are then known to be old

MAX_COLUMNS = 2 * LINE_COLUMNS
MIN_MS = 1_000  # shorter is a flicker
MAX_MS = 7_000  # longer, and the eye starts again from the left
READ_MS = 70  # a column: 7 Han characters a second, what Netflix's guide gives children in Simplified Chinese
LOW = 0.5  # a mean word probability below which somebody should look


@dataclass(frozen=True, slots=True)
class _Piece:
    """Neighbouring atoms on their way to becoming a cue."""

    atoms: tuple[Atom, ...]

    @property
    def start_ms(self) -> int:
        return self.atoms[0].start_ms

    @property
    def end_ms(self) -> int:
        return max(atom.end_ms for atom in self.atoms)

    @property
    def fits(self) -> bool:
        return self.end_ms - self.start_ms <= MAX_MS and columns(self.text) <= MAX_COLUMNS

    @property
    def text(self) -> str:
        return "".join(atom.text for atom in self.atoms).strip()


def cues_from(
    utterances: Sequence[Utterance], language: str, *, duration_ms: int | None = None, terms: Sequence[str] = ()
) -> tuple[Cue, ...]:
    """The cues of a recording. `language` is BCP 47; Chinese comes out in Simplified characters.

    `duration_ms` is the recording's, where it is known: nothing reaches beyond it. Otherwise the last utterance's end.
    `terms` are the lesson's own words, which are never cut and win over their homophones.
    """
    limit_ms = duration_ms or max((each.span.end_ms for each in utterances), default=1)
    atoms = atoms_of(utterances, language, limit_ms, terms)
    pieces = _joined([short for piece in _sentences(atoms) for short in _divided(piece)])
    cues: list[Cue] = []
    for piece, following in zip_longest(pieces, pieces[1:]):
        text = piece.text
        readable_ms = max(piece.end_ms - piece.start_ms, MIN_MS, columns(text) * READ_MS)
        end_ms = piece.start_ms + min(readable_ms, MAX_MS)
        if text:
            span = Span(piece.start_ms, min(end_ms, following.start_ms if following else limit_ms))
            cues.append(Cue(span, text, _detail(piece)))
    return tuple(cues)


def undone(cue: Cue) -> str:
    """The text before any rule was applied to it."""
    text = cue.text
    for change in reversed(cue.detail.changes if cue.detail else ()):
        end = change.offset + len(change.after)
        if text[change.offset : end] != change.after:
            raise ValueError(f"the text was edited since: {change}")
        text = text[: change.offset] + change.before + text[end:]
    return text


def _detail(piece: _Piece) -> CueDetail:
    weights = [columns(atom.text) for atom in piece.atoms]
    confidence = sum(a.probability * w for a, w in zip(piece.atoms, weights, strict=True)) / max(1, sum(weights))
    flags = dict.fromkeys(flag for atom in piece.atoms for flag in atom.flags)
    if confidence < LOW:
        flags["low"] = None
    words = tuple(
        CueWord(Span(atom.start_ms, atom.end_ms), atom.text.strip(), round(atom.probability, 3)) for atom in piece.atoms
    )
    return CueDetail("speech", round(confidence, 3), tuple(flags), words, tuple(_changes(piece)))


def _changes(piece: _Piece) -> list[Change]:
    whole = "".join(atom.text for atom in piece.atoms)
    at = len(whole.lstrip()) - len(whole)  # what stripping takes from the front
    changes: list[Change] = []
    for atom in piece.atoms:
        changes += [replace(change, offset=at + change.offset) for change in atom.changes]
        at += len(atom.text)
    return changes


def _sentences(atoms: Sequence[Atom]) -> list[_Piece]:
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
