"""What a search gives back, and why it matched: decided here on the original text, so that every engine agrees.

An engine only proposes passages. Whether one matches, which characters are marked and where playing starts is worked out
from the passage's own units and sounds. Pure.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from search import near, words
from search.near import Heard, Stretch
from search.passages import Kind, Passage
from search.query import Piece, Plan, Row

MatchedBy = Literal["exact", "sound", "initials", "near"]
RANK: dict[MatchedBy, int] = {"exact": 0, "sound": 1, "initials": 1, "near": 2}  # what is surer comes first


@dataclass(frozen=True, slots=True)
class Hit:
    """One moment. `marks` are half-open stretches of `text` in characters: in order, apart, none cutting a character.

    `start_ms` is where to play from. `score` is the engine's own and compares nothing across engines. `closeness` is 1 for
    what is there in a row, and less the farther its words are apart, or the less of it is there.
    """

    lesson_id: str
    start_ms: int
    end_ms: int
    kind: Kind
    text: str
    marks: tuple[tuple[int, int], ...]
    score: float
    matched_by: MatchedBy
    closeness: float = 1.0


@dataclass(frozen=True, slots=True)
class Results:
    """Hits, best first: exact ones, those of the same sound, those nearly so. `more`: the next page has some too."""

    hits: tuple[Hit, ...] = ()
    more: bool = False


@dataclass(frozen=True, slots=True)
class LessonHits:
    """A lesson with its best moments, in the order of the lesson. `hidden` counts those that were left out.

    `title` is the hit on the lesson's own words (title, teacher, subject), if that is one of the hits.
    """

    lesson_id: str
    title: Hit | None
    moments: tuple[Hit, ...]
    hidden: int

    @property
    def best(self) -> tuple[Hit, ...]:
        """All that is shown of it."""
        return (self.title, *self.moments) if self.title else self.moments


def by_lesson(results: Results, *, moments: int = 5) -> tuple[LessonHits, ...]:
    """Results as a page shows them: lessons in the order of their best hit, each with up to `moments` moments."""
    found: dict[str, list[Hit]] = {}
    for hit in results.hits:
        found.setdefault(hit.lesson_id, []).append(hit)
    return tuple(_lesson_hits(lesson_id, hits, moments) for lesson_id, hits in found.items())


def _lesson_hits(lesson_id: str, hits: Sequence[Hit], moments: int) -> LessonHits:
    said = [hit for hit in hits if hit.kind == "said"]
    best = sorted(said[:moments], key=lambda hit: hit.start_ms)
    title = next((hit for hit in hits if hit.kind == "title"), None)
    return LessonHits(lesson_id, title, tuple(best), len(said) - len(best))


class _Found(NamedTuple):  # as Hit's neighbours are: a search makes hundreds
    """Where a piece, or a word of it, is, and how it was found."""

    stretches: list[Stretch]
    matched_by: MatchedBy
    closeness: float = 1.0


# Of the code points that stand for places: above the controls, and around the surrogates.
_FIRST_PLACE, _SURROGATES, _BEYOND_SURROGATES = 0xA1, 0xD800, 0xE000
_LAST_PLACE = 0x10FFFF - _BEYOND_SURROGATES


def packed(places: Sequence[int]) -> str:
    """Places as code points: of a stored list of numbers, which takes long to read, two or three are needed."""
    return "".join([chr(_code_point(min(place, _LAST_PLACE))) for place in places])


def _code_point(place: int) -> int:
    code = _FIRST_PLACE + place
    return code if code < _SURROGATES else code + _BEYOND_SURROGATES - _SURROGATES


def _unpacked(place: str) -> int:
    code = ord(place) - _FIRST_PLACE
    return code if code < _SURROGATES - _FIRST_PLACE else code - _BEYOND_SURROGATES + _SURROGATES


@dataclass(slots=True)
class Candidate:
    """A passage that an engine proposes, as it was stored: its units and sounds, and where in its text each unit is.

    `units` and `sounds` have a space before, between and behind: a row of them is then found by looking for a string. `starts`
    and `ends` are packed (see `packed`); no `ends`: each unit is one character.
    """

    passage: Passage
    units: str
    sounds: str
    starts: str
    ends: str
    score: float
    _heard: Heard | None = None

    def start(self, unit: int) -> int:
        return _unpacked(self.starts[unit])

    def end(self, unit: int) -> int:
        return _unpacked(self.ends[unit]) if self.ends else self.start(unit) + 1

    @property
    def heard(self) -> Heard:
        """Taken apart, at the first call: most candidates are decided without."""
        if self._heard is None:
            self._heard = near.heard(self.units.split(), self.sounds.split())
        return self._heard


def hit_of(plan: Plan, candidate: Candidate, *, within: MatchedBy = "near") -> Hit | None:
    """The hit that a passage is, if every piece of the plan is in it, by nothing less sure than `within`."""
    found = _pieces_in(plan, candidate, RANK[within])
    if found is None:
        return None
    passage, main = candidate.passage, found[0]
    by: MatchedBy = main.matched_by
    closeness, stretches = main.closeness, main.stretches
    if len(found) > 1:
        main = max(found, key=lambda one: one.stretches[0][1] - one.stretches[0][0])
        by = max((one.matched_by for one in found), key=RANK.__getitem__)
        closeness = min(one.closeness for one in found) * _tightness(found)
        stretches = [stretch for one in found for stretch in one.stretches]
    return Hit(
        passage.lesson_id,
        passage.jump_ms(candidate.start(min(main.stretches)[0])),
        passage.end_ms,
        passage.kind,
        passage.text,
        _marks(candidate, stretches),
        candidate.score,
        by,
        closeness,
    )


def _tightness(found: Sequence[_Found]) -> float:
    """How much of the narrowest stretch that holds all that was found, is what was found."""
    if all(len(one.stretches) == 1 for one in found):
        alone = [one.stretches[0] for one in found]
        inside = sum([end - start for start, end in alone])
        return inside / max(inside, max([end for _, end in alone]) - min([start for start, _ in alone]))
    places = sorted((place, number) for number, one in enumerate(found) for place in one.stretches)
    latest: dict[int, Stretch] = {}
    tightest = 0.0
    for place, number in places:
        latest[number] = place
        if len(latest) == len(found):
            first = min(start for start, _ in latest.values())
            inside = sum(end - start for start, end in latest.values())
            tightest = max(tightest, inside / max(inside, place[1] - first))
    return tightest


def _pieces_in(plan: Plan, row: Candidate, within: int) -> list[_Found] | None:
    """Each piece of the plan in the passage; else, nearly, the query as it stands; None if neither is there."""
    found: list[_Found] = []
    for piece in plan.pieces:
        parts = _piece_in(piece, row, within)
        if not parts:
            break
        found += parts
    else:
        return found
    if within < RANK["near"] or not plan.stretches:
        return None
    whole = [_nearly(stretch, row) for stretch in plan.stretches]
    return [one for one in whole if one is not None] if all(whole) else None


def _piece_in(piece: Piece, row: Candidate, within: int) -> list[_Found]:
    """The whole piece where it is in a row; else each of its words, if all are there; in the surest way."""
    if written := _places(piece.whole.units, row.units):
        return [_Found(written, "exact")]
    apart = piece.words if len(piece.words) > 1 else ()
    if words_written := _all_of([_places(word.units, row.units) for word in apart]):
        return [_Found(places, "exact") for places in words_written]
    if within < RANK["sound"]:
        return []
    if alike := _sounding(piece.whole, row, piece):
        return [_Found(alike, "initials" if piece.initials else "sound")]
    if piece.initials and (short := list(_by_initials(piece.initials, row))):
        return [_Found(short, "initials")]
    each = [_places(word.units, row.units) or _sounding(word, row, piece) for word in apart]
    if words_alike := _all_of(each):
        return [_Found(places, "sound") for places in words_alike]
    return _nearly_piece(piece, row) if within >= RANK["near"] else []


def _nearly_piece(piece: Piece, row: Candidate) -> list[_Found]:
    whole = _nearly(piece.whole, row)
    if whole is not None or len(piece.words) < 2:
        return [whole] if whole else []
    found: list[_Found] = []
    for word in piece.words:
        alike = _places(word.units, row.units) or _sounding(word, row, piece)
        one = _Found(alike, "sound") if alike else _nearly(word, row)
        if one is None:
            return []
        found.append(one)
    return found


def _nearly(wanted: Row, row: Candidate) -> _Found | None:
    """Where the row nearly is. One without readings is either there as it is written or nowhere."""
    if not wanted.readings:
        written = _places(wanted.units, row.units)
        return _Found(written, "exact") if written else None
    for reading in wanted.readings:
        close = [
            (place, closeness) for place, closeness in near.places(reading, row.heard) if not _is_everyday(row, place)
        ]
        if close:
            return _Found([place for place, _ in close], "near", max(closeness for _, closeness in close))
    return None


def _sounding(wanted: Row, row: Candidate, piece: Piece) -> list[Stretch]:
    alike = [place for reading in wanted.readings for place in _places(reading.sounds, row.sounds)]
    return [place for place in alike if piece.spelled or piece.initials or not _is_everyday(row, place)]


def _by_initials(letters: str, row: Candidate) -> Iterator[Stretch]:
    firsts = "".join([sound[0] for sound in row.sounds.split()])  # "=" where there is no syllable
    at = firsts.find(letters)
    while at >= 0:
        yield at, at + len(letters)
        at = firsts.find(letters, at + 1)


def _all_of(places: Sequence[list[Stretch]]) -> Sequence[list[Stretch]]:
    return places if places and all(places) else ()


def _is_everyday(row: Candidate, place: Stretch) -> bool:
    """Whether two characters are an everyday word: a recogniser that wrote 中心 did not mishear 重心 by chance."""
    first, last = place
    return last - first == 2 and words.is_everyday("".join(row.heard.units[first:last]))


def _places(needle: Sequence[str], hay: str) -> list[Stretch]:
    """Where the needle's units (or sounds) are a row of the hay's, which has a space before, between and behind them."""
    row = f" {' '.join(needle)} "
    at = hay.find(row)
    found: list[Stretch] = []
    while at >= 0:
        first = hay.count(" ", 0, at)
        found.append((first, first + len(needle)))
        at = hay.find(row, at + 1)
    return found


def _marks(candidate: Candidate, stretches: Sequence[Stretch]) -> tuple[tuple[int, int], ...]:
    marks: list[tuple[int, int]] = []
    for first, last in sorted(stretches):
        start, end = candidate.start(first), candidate.end(last - 1)
        if marks and start <= marks[-1][1]:
            marks[-1] = (marks[-1][0], max(end, marks[-1][1]))
        else:
            marks.append((start, end))
    return tuple(marks)
