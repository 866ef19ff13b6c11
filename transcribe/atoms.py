"""What an engine heard, as atoms: words with their times, written as pupils read them, and how good it is to cut before each.

Chinese is simplified, exact homophones of the lesson's terms are put right where the engine was unsure, numbers are written
in figures, missing punctuation is put where the speaker paused, and English words get their spaces. Each of these but the
script and the spaces is kept as a Change: undone, they give what was heard. Pure.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from math import exp
from statistics import fmean

from archive.model import Change, Span
from transcribe import wording
from transcribe.homophones import Homophones
from transcribe.lines import LINE_COLUMNS, NEVER_FIRST, NEVER_LAST, columns, is_narrow, one_line
from transcribe.numerals import numbers_in
from transcribe.simplified import simplified
from transcribe.utterance import Utterance

_HALF_LINE = LINE_COLUMNS // 2  # in characters: that many fit on a line, whatever they are
PAUSE_MS = 1_000  # a silence this long ends a sentence, whatever the engine's punctuation says
BREATH_MS = 300  # a silence this long is a good place to cut a sentence that is too long
_HAN_A_MARK = 40  # characters: text with fewer marks than one in so many has no punctuation to speak of

_SENTENCE_END = re.compile(r"[。！？!?….][”’」』）)\"']*\Z")
_ABBREVIATION = re.compile(r"(?:\b(?:mr|mrs|ms|dr|st|vs|no)|\b[a-z])\.\Z", re.IGNORECASE)
_CLAUSE_END = re.compile(r"[，、；：,;:—][”’」』）)\"']*\Z")
_MARK = re.compile(r"[。！？!?…，、；：,;:]")
_QUESTION = re.compile(r"(?:吗|么|呢|什么|为什么|多少|几个|谁|哪里|对不对|是不是|好不好|行不行)\Z")
_WIDE = "\u2e80-\u9fff\uf900-\ufaff\uff00-\uffef\U00020000-\U0003ffff"
_UNTIMED_WORD = re.compile(rf"\s*(?:[{_WIDE}]|[^\s{_WIDE}]+)")
_HAN_RUN = re.compile(r"[\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]+")
_LETTER = re.compile(r"[A-Za-z]")


class Border(IntEnum):
    """How good a place to cut is, just before an atom."""

    NEVER = 0  # inside a word or a number, before a comma, or where time stands still
    WORD = 1
    CLAUSE = 2
    SENTENCE = 3


@dataclass(frozen=True, slots=True)
class Atom:
    """What is never divided: a word with its time, and the border before it. `changes` have offsets into `text`."""

    text: str
    start_ms: int
    end_ms: int
    border: Border = Border.WORD
    probability: float = 1.0
    is_chinese: bool = False
    opens: bool = False  # the first of its utterance
    flags: tuple[str, ...] = ()
    changes: tuple[Change, ...] = ()


_NOTHING = Atom("", -1, 0, Border.NEVER)  # before the first word


def atoms_of(utterances: Sequence[Utterance], language: str, limit_ms: int, terms: Sequence[str] = ()) -> list[Atom]:
    """Every word in order, times made to run forward, none at or past `limit_ms`. `language` is that of utterances
    that do not say theirs."""
    homophones = Homophones(terms)
    atoms: list[Atom] = []
    for utterance in sorted(utterances, key=lambda each: each.span.start_ms):
        chinese = (utterance.language or language).lower().split("-")[0] in ("zh", "yue")
        heard = list(_heard(utterance, is_chinese=chinese))
        if chinese:
            heard = _renumbered(_corrected(_simplified(heard), homophones))
        atoms += heard
    atoms = _in_time(atoms, limit_ms)
    if _lacks_punctuation(atoms):
        atoms = _punctuated(atoms)
    return _bordered(_spaced(atoms), terms)


def _heard(utterance: Utterance, *, is_chinese: bool) -> Iterator[Atom]:
    """The utterance's words if they give its text, else its text with times by width. No word is wider than a line."""
    timed = [(word.text, word.span, word.probability) for word in utterance.words]
    if "".join("".join(text for text, *_ in timed).split()) != "".join(utterance.text.split()):
        sure = min(1.0, exp(min(0.0, utterance.avg_logprob)))  # what the engine says about the whole of it
        spread = _spread(_UNTIMED_WORD.findall(utterance.text), utterance.span)
        timed = [(text, span, sure) for text, span in spread]
    flags = tuple(doubt.value for doubt in utterance.doubts)
    spaced, opens = False, True  # whether the engine wrote a space before the next word; whether it is the first
    for text, span, probability in timed:
        bare = one_line(text)
        if bare:
            whole = f" {bare}" if spaced or text[0].isspace() else bare
            pieces = [(whole, span)]
            if columns(whole) > LINE_COLUMNS:
                pieces = list(_spread([whole[i : i + _HALF_LINE] for i in range(0, len(whole), _HALF_LINE)], span))
            for piece, when in pieces:
                yield Atom(
                    text=piece,
                    start_ms=when.start_ms,
                    end_ms=when.end_ms,
                    probability=probability,
                    is_chinese=is_chinese,
                    opens=opens,
                    flags=flags,
                )
                opens = False
        spaced = (spaced and not bare) or text[-1:].isspace()


def _spread(texts: Sequence[str], span: Span) -> Iterator[tuple[str, Span]]:
    """Texts side by side over a span, each as long as it is wide."""
    total, passed = sum(map(columns, texts)), 0
    for text in texts:
        start_ms = span.start_ms + span.duration_ms * passed // total
        passed += columns(text)
        yield text, Span(start_ms, max(start_ms + 1, span.start_ms + span.duration_ms * passed // total))


def _simplified(atoms: Sequence[Atom]) -> list[Atom]:
    """Converted as a whole, for a character's simplified form may depend on its neighbours, and dealt out again."""
    whole = simplified("".join(atom.text for atom in atoms))
    if len(whole) != sum(len(atom.text) for atom in atoms):
        return [replace(atom, text=simplified(atom.text)) for atom in atoms]
    ends = list(_running(len(atom.text) for atom in atoms))
    return [replace(atom, text=whole[end - len(atom.text) : end]) for atom, end in zip(atoms, ends, strict=True)]


def _corrected(atoms: list[Atom], homophones: Homophones) -> list[Atom]:
    def places(text: str) -> Iterator[tuple[int, int, str, str]]:
        probabilities = [atom.probability for atom in atoms for _ in atom.text]
        for run in _HAN_RUN.finditer(text):
            for offset, term in homophones.found(run.group(), probabilities[run.start() : run.end()]):
                at = run.start() + offset
                yield at, at + len(term), term, "homophone"

    return _rewritten(atoms, places)


def _renumbered(atoms: list[Atom]) -> list[Atom]:
    return _rewritten(atoms, numbers_in)


def _rewritten(atoms: list[Atom], places: Callable[[str], Iterable[tuple[int, int, str, str]]]) -> list[Atom]:
    """Atoms with pieces of their text replaced. Those that a piece lies in become one: half of it has no time."""
    found = list(places("".join(atom.text for atom in atoms)))
    for start, end, after, rule in reversed(found):
        starts = [0, *_running(len(atom.text) for atom in atoms)]
        first = max(i for i in range(len(atoms)) if starts[i] <= start)
        last = max(i for i in range(len(atoms)) if starts[i] < end)
        text = "".join(atom.text for atom in atoms[first : last + 1])
        offset = start - starts[first]
        before = text[offset : offset + end - start]
        moved = len(after) - len(before)
        earlier = [
            replace(change, offset=change.offset + shift + (moved if change.offset + shift >= offset else 0))
            for atom, shift in zip(atoms[first : last + 1], (s - starts[first] for s in starts[first:]), strict=False)
            for change in atom.changes
        ]
        changes = sorted([*earlier, Change(offset, before, after, rule)], key=lambda change: change.offset)
        merged = replace(
            atoms[first],
            text=text[:offset] + after + text[offset + end - start :],
            end_ms=max(atom.end_ms for atom in atoms[first : last + 1]),
            probability=fmean(atom.probability for atom in atoms[first : last + 1]),
            changes=tuple(changes),
        )
        atoms = [*atoms[:first], merged, *atoms[last + 1 :]]
    return atoms


def _in_time(atoms: Sequence[Atom], limit_ms: int) -> list[Atom]:
    straight: list[Atom] = []
    for atom in atoms:
        before_ms = straight[-1].start_ms if straight else 0
        start_ms = max(before_ms, min(atom.start_ms, limit_ms - 1), 0)
        end_ms = max(start_ms + 1, min(atom.end_ms, limit_ms))
        straight.append(replace(atom, start_ms=start_ms, end_ms=end_ms))
    return straight


def _lacks_punctuation(atoms: Sequence[Atom]) -> bool:
    chinese = "".join(atom.text for atom in atoms if atom.is_chinese)
    han = sum(len(run) for run in _HAN_RUN.findall(chinese))
    return han > 0 and len(_MARK.findall(chinese)) * _HAN_A_MARK < han


def _punctuated(atoms: Sequence[Atom]) -> list[Atom]:
    """With a mark where a Chinese speaker paused and the engine wrote none."""
    marked: list[Atom] = []
    for index, atom in enumerate(atoms):
        last = index + 1 == len(atoms)
        pause_ms = PAUSE_MS if last else atoms[index + 1].start_ms - atom.end_ms
        bare = atom.text.rstrip()
        if not atom.is_chinese or pause_ms < BREATH_MS or not bare or not bare[-1].isalnum():
            marked.append(atom)
            continue
        said = "".join(each.text for each in marked[-3:]) + bare
        mark = "，" if pause_ms < PAUSE_MS else "？" if _QUESTION.search(said) else "。"
        change = Change(len(bare), "", mark, "punctuation")
        marked.append(replace(atom, text=bare + mark, changes=(*atom.changes, change)))
    return marked


def _spaced(atoms: Sequence[Atom]) -> list[Atom]:
    """With spaces between utterances of narrow letters, and around English words among Chinese."""
    spaced: list[Atom] = []
    for atom in atoms:
        left, right = spaced[-1].text[-1:] if spaced else "", atom.text[:1]
        apart = atom.opens and is_narrow(left) and is_narrow(right)  # no engine writes a space there
        mixed = atom.is_chinese and (
            (_LETTER.match(left) and _HAN_RUN.match(right)) or (_HAN_RUN.match(left) and _LETTER.match(right))
        )
        if apart or mixed:
            moved = tuple(replace(change, offset=change.offset + 1) for change in atom.changes)
            atom = replace(atom, text=f" {atom.text}", changes=moved)
        spaced.append(atom)
    return spaced


def _bordered(atoms: Sequence[Atom], terms: Sequence[str]) -> list[Atom]:
    inside = _inside_words(atoms, terms)
    bordered: list[Atom] = []
    for index, atom in enumerate(atoms):
        before = bordered[-1] if bordered else _NOTHING
        border = _border(before, atom)
        if index in inside and border is Border.WORD:
            border = Border.NEVER
        bordered.append(replace(atom, border=border))
    return bordered


def _inside_words(atoms: Sequence[Atom], terms: Sequence[str]) -> set[int]:
    """The atoms that begin inside a Chinese word, by jieba and the lesson's terms."""
    text = "".join(atom.text for atom in atoms)
    owner = [index for index, atom in enumerate(atoms) for _ in atom.text]
    inside: set[int] = set()
    for run in _HAN_RUN.finditer(text):
        at = run.start()
        for word in wording.cut(run.group(), terms) if atoms[owner[at]].is_chinese else ():
            inside.update(range(owner[at] + 1, owner[at + len(word) - 1] + 1))
            at += len(word)
    return inside


def _border(before: Atom, atom: Atom) -> Border:
    """How good it is to cut between two atoms."""
    left, right = before.text.rstrip(), atom.text.lstrip()
    apart = left != before.text or right != atom.text
    if atom.start_ms <= before.start_ms or not left or right[:1] in NEVER_FIRST or left[-1] in NEVER_LAST:
        return Border.NEVER
    if not apart and ((is_narrow(left[-1]) and is_narrow(right[:1])) or _is_number(left[-1], right[:1])):
        return Border.NEVER
    pause_ms = atom.start_ms - before.end_ms
    if pause_ms >= PAUSE_MS or (_SENTENCE_END.search(left) and not _ABBREVIATION.search(left)):
        return Border.SENTENCE
    if pause_ms >= BREATH_MS or _CLAUSE_END.search(left):
        return Border.CLAUSE
    return Border.CLAUSE if atom.opens else Border.WORD


def _is_number(left: str, right: str) -> bool:
    """A number and what it counts (第3课, 3米) stay together; a comma before it does not."""
    return (left.isdigit() and right.isalnum()) or (left.isalnum() and right.isdigit())


def _running(lengths: Iterable[int]) -> Iterator[int]:
    total = 0
    for length in lengths:
        total += length
        yield total
