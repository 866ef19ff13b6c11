"""What a teacher corrected and what an engine says anew, put together: a three-way merge, line by line. Pure.

A correction is pinned by its time and by the text it answered to. Where a new edition says the same there as before, the
correction is applied; where it says what the teacher wrote, there is nothing to do; where it says something third, the
teacher's words stand and the conflict is listed. No correction is ever dropped.
"""

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from itertools import pairwise

from archive.model import Correction, Cue, CueDetail, Span


@dataclass(frozen=True, slots=True)
class Merged:
    """`cues` with the corrections in them; `changed` are the corrections whose conflict is new, or gone."""

    cues: tuple[Cue, ...]
    changed: tuple[Correction, ...]


@dataclass(frozen=True, slots=True)
class Difference:
    """Neighbouring cues that two editions do not share: what the one says, and what the other says there."""

    before: tuple[Cue, ...]
    after: tuple[Cue, ...]


def merged(cues: Sequence[Cue], corrections: Sequence[Correction]) -> Merged:
    """The engine's cues with the corrections in them. No two corrections speak of the same place (see `corrected`)."""
    now = list(cues)
    changed: list[Correction] = []
    for each in corrections:
        now, conflict = _applied(now, each)
        if conflict != each.conflict:
            changed.append(replace(each, conflict=conflict))
    return Merged(tuple(now), tuple(changed))


def corrected(
    cues: Sequence[Cue],
    edits: Sequence[tuple[int, str]],
    known: Sequence[Correction],
    *,
    recording_id: str,
    edition: int,
) -> tuple[list[Correction], list[Correction]]:
    """What edits of the cues people see are as corrections: the new ones, and those of `known` that they take the place of.

    An edit is the ordinal of a cue and its new text. Raises IndexError for an ordinal that there is none of.
    """
    new: list[Correction] = []
    replaced: list[Correction] = []
    for ordinal, text in edits:
        if ordinal < 0:
            raise IndexError(ordinal)
        cue = cues[ordinal]
        if cue.text == text:
            continue
        earlier = [each for each in known if _overlap_ms(each.span, cue.span) > 0 and _same(each.after, cue.text)]
        replaced += earlier
        # It answers to what the engine said, not to what an earlier correction had made of it.
        before = earlier[0].before if earlier else cue.text
        span = earlier[0].span if earlier else cue.span
        new.append(Correction(0, recording_id, span, before, text, edition))
    return new, replaced


def differences(before: Sequence[Cue], after: Sequence[Cue]) -> tuple[Difference, ...]:
    """Where two editions differ, in order. Times that moved a little with the same words are no difference."""
    ours, theirs = [cue.text for cue in before], [cue.text for cue in after]
    blocks = SequenceMatcher(None, ours, theirs, autojunk=False).get_opcodes()
    return tuple(Difference(tuple(before[a:b]), tuple(after[c:d])) for kind, a, b, c, d in blocks if kind != "equal")


def _applied(cues: list[Cue], correction: Correction) -> tuple[list[Cue], str | None]:
    """The cues with one correction in them, and what it conflicts with."""
    carved = [part for cue in cues for part in _carved(cue, correction.span)]
    there = [cue for cue in carved if 2 * _overlap_ms(cue.span, correction.span) >= cue.span.duration_ms]
    said = _said(there)
    if there and _same(said, correction.after):
        return cues, None
    if not there:
        return _inside_a_longer_one(cues, correction)
    conflict = None if _same(said, correction.before) else said
    first = carved.index(there[0])
    written: list[Cue] = []
    if correction.after:
        span = Span(there[0].span.start_ms, max(cue.span.end_ms for cue in there))
        written = [_by_teacher(span, correction.after)]
    return [*carved[:first], *written, *(cue for cue in carved[first:] if cue not in there)], conflict


def _inside_a_longer_one(cues: list[Cue], correction: Correction) -> tuple[list[Cue], str | None]:
    """Where no cue is the correction's own: a longer one without word times may hold the words, or nothing is said there."""
    around = [cue for cue in cues if _overlap_ms(cue.span, correction.span) > 0]
    if not around:
        if not correction.after:
            return cues, None
        written = _by_teacher(correction.span, correction.after)
        return sorted([*cues, written], key=lambda cue: cue.span), "" if correction.before else None
    holding = next((cue for cue in around if correction.before and correction.before in cue.text), None)
    if holding is None:
        return cues, None if any(correction.after in cue.text for cue in around) else _said(around)
    text = holding.text.replace(correction.before, correction.after, 1).strip()
    put = [_by_teacher(holding.span, text)] if text else []
    at = cues.index(holding)
    return [*cues[:at], *put, *cues[at + 1 :]], None


def _carved(cue: Cue, span: Span) -> Iterator[Cue]:
    """The cue in up to three: its words before the span, in it and after it. Whole where it has no words, or no cut in it."""
    words = cue.detail.words if cue.detail else ()
    inside = [span.start_ms <= (word.span.start_ms + word.span.end_ms) // 2 < span.end_ms for word in words]
    if _overlap_ms(cue.span, span) <= 0 or not any(inside) or all(inside):
        yield cue
        return
    places = _places(cue.text, [word.text for word in words])
    first, last = inside.index(True), len(inside) - 1 - inside[::-1].index(True)
    borders = [0, first, last + 1, len(words)]
    for begin, end in pairwise(borders):
        if begin == end:
            continue
        text_end = places[end] if end < len(words) else len(cue.text)
        part = words[begin:end]
        start_ms = cue.span.start_ms if begin == 0 else words[begin].span.start_ms
        end_ms = cue.span.end_ms if end == len(words) else words[end].span.start_ms
        text = cue.text[places[begin] if begin else 0 : text_end].strip()
        if text and start_ms < end_ms and cue.detail is not None:
            yield Cue(Span(start_ms, end_ms), text, replace(cue.detail, words=part, changes=()))


def _places(text: str, words: Sequence[str]) -> list[int]:
    """Where in the text each of its words begins."""
    places: list[int] = []
    at = 0
    for word in words:
        found = text.find(word, at)
        places.append(found if found >= 0 else at)
        at = places[-1] + len(word)
    return places


def _by_teacher(span: Span, text: str) -> Cue:
    return Cue(span, text, CueDetail(origin="teacher", confidence=1.0))


def _overlap_ms(one: Span, other: Span) -> int:
    return min(one.end_ms, other.end_ms) - max(one.start_ms, other.start_ms)


def _said(cues: Iterable[Cue]) -> str:
    return " ".join(cue.text for cue in cues)


def _same(one: str, other: str) -> bool:
    """The same words: marks, spaces, case and width do not count."""
    return _bare(one) == _bare(other)


def _bare(text: str) -> str:
    return "".join(character for character in unicodedata.normalize("NFKC", text).casefold() if character.isalnum())
