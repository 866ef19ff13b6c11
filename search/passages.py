"""What is indexed: one title passage for each lesson, and what was said in windows of a few cues that overlap by one.

A window is up to WINDOW_MS or WINDOW_CHARS long and has at least two cues, and the next one starts with its last cue: so
words said within some seconds of each other are found together, and a phrase that a cue break cuts in two lies whole in
one window. The window is what is matched and shown; the jump goes to the cue in which the match begins, which is why a
passage keeps where in its text each cue starts. A pause of PAUSE_MS ends a window without overlap: nothing runs across it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from itertools import pairwise
from typing import Literal, NamedTuple

from archive.model import Cue, Lesson, Programme
from search.words import clean

# Raise it whenever words, sounds, passages or an index's schema change: older indexes are then known to be old.
EDITION = 3
# Editions whose indexes this release can search and write too, the newest first: those with the same fields and records. One
# is searched after an upgrade until this edition's is built. Empty it whenever fields or records change.
OLDER_EDITIONS: tuple[int, ...] = ()

WINDOW_MS = 20_000  # what a teacher says around one thing; a hit's text is still read at a glance
WINDOW_CHARS = 160
PAUSE_MS = 8_000
_SPRING_FROM, _AUTUMN_FROM = (
    2,
    8,
)  # months: schools begin after the spring festival, and on the first of September at the latest

Kind = Literal["title", "said"]


class Jump(NamedTuple):
    """From this character of a passage's text on, the lesson is at `start_ms`."""

    offset: int
    start_ms: int


@dataclass(frozen=True, slots=True)
class Passage:
    """One indexed unit. `consent` is True only where somebody said so; `jumps` may be empty: then `start_ms` is the jump."""

    id: str
    lesson_id: str
    kind: Kind
    start_ms: int
    end_ms: int
    text: str
    subject: str = ""
    grade: str = ""
    school: str = ""
    programme: Programme = Programme.LIVE
    teacher: str = ""
    consent: bool = False
    language: str = ""
    started_on: int = 0  # the day as a number: 20260901
    lesson_ms: int = 0
    is_written: bool = False  # whether there are words of the lesson besides its title
    term: str = ""  # of the school year, see `term_of`
    jumps: tuple[Jump, ...] = ()

    def jump_ms(self, offset: int) -> int:
        """Where to play from to hear the character at `offset`."""
        for jump in reversed(self.jumps):
            if jump.offset <= offset:
                return jump.start_ms
        return self.start_ms


def term_of(day: date) -> str:
    """The half of the school year: 2026-1 is from August 2026 to January 2027, 2026-2 is what follows until July."""
    if day.month >= _AUTUMN_FROM:
        return f"{day.year}-1"
    return f"{day.year - 1}-{2 if day.month >= _SPRING_FROM else 1}"


def passages_of(lesson: Lesson, cues: Sequence[Cue]) -> tuple[Passage, ...]:
    """The title passage first, then what was said, in order. A lesson without cues has its title passage all the same."""
    spoken = [Cue(cue.span, clean(cue.text).strip()) for cue in cues if clean(cue.text).strip()]
    known = _about(lesson, is_written=bool(spoken))
    title = replace(known, end_ms=lesson.duration_ms, text=_title_text(lesson))
    return (title, *(_said(known, number, window) for number, window in enumerate(windows(spoken), 1)))


def windows(cues: Sequence[Cue]) -> tuple[tuple[Cue, ...], ...]:
    """Cues in overlapping windows. Every cue is in one, and every two neighbours without a pause between are together."""
    found: list[tuple[Cue, ...]] = []
    window: list[Cue] = []
    for cue in cues:
        if window and cue.span.start_ms - window[-1].span.end_ms >= PAUSE_MS:
            found.append(tuple(window))
            window = []
        elif len(window) >= 2 and not _fits(window, cue):
            found.append(tuple(window))
            window = window[-1:]
        window.append(cue)
    if window:
        found.append(tuple(window))
    return tuple(found)


def _fits(window: list[Cue], cue: Cue) -> bool:
    long = cue.span.end_ms - window[0].span.start_ms > WINDOW_MS
    return not long and sum(len(c.text) for c in window) + len(cue.text) <= WINDOW_CHARS


def _said(known: Passage, number: int, window: tuple[Cue, ...]) -> Passage:
    jumps = [Jump(0, window[0].span.start_ms)]
    for before, cue in pairwise(window):
        jumps.append(Jump(jumps[-1].offset + len(before.text) + 1, cue.span.start_ms))
    return replace(
        known,
        id=f"{known.lesson_id}-{number}",
        kind="said",
        start_ms=window[0].span.start_ms,
        end_ms=window[-1].span.end_ms,
        text=" ".join(cue.text for cue in window),
        jumps=tuple(jumps),
    )


def _title_text(lesson: Lesson) -> str:
    parts = (lesson.title, lesson.teacher, lesson.subject, lesson.grade, lesson.programme.zh, lesson.school)
    return " · ".join(clean(part).strip() for part in parts if clean(part).strip())


def _about(lesson: Lesson, *, is_written: bool) -> Passage:
    """What all passages of a lesson have in common."""
    return Passage(
        id=f"{lesson.id}-0",
        lesson_id=lesson.id,
        kind="title",
        start_ms=0,
        end_ms=0,
        text="",
        subject=clean(lesson.subject),
        grade=clean(lesson.grade),
        school=lesson.school,
        programme=lesson.programme,
        teacher=clean(lesson.teacher),
        consent=lesson.consent is True,
        language=lesson.language,
        started_on=int(f"{lesson.started_at:%Y%m%d}"),
        lesson_ms=lesson.duration_ms,
        is_written=is_written,
        term=term_of(lesson.started_at),
    )
