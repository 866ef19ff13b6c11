"""The words a lesson is likely to be about: its textbook's terms, its school's names, and what its title says.

A glossary is a CSV file that a teacher can write: 词,学科,年级,教材,单元,学校 (word, subject, grade, textbook, unit, school). One
comes with Huikan; files in `<home>/glossary/` add to it. From them each lesson gets a few hints for the speech engine, and all
its terms for cutting cues and for homophones.
"""

import csv
import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from archive.errors import Unreadable
from transcribe.decoding import text_of

MAX_HOTWORDS = 12  # an engine that is given a list begins to hear the list (faster-whisper #1331): few and sure
MAX_HOTWORD_CHARACTERS = 72  # Whisper keeps 223 tokens for hints, a Chinese character takes up to three
MAX_CHARACTERS = 24  # a longer piece is a sentence, not a term
MAX_TERMS = 50_000
_TITLE_CHARACTERS = 12  # of a piece of a title that is a term and no sentence
_TITLE_TERMS = 8

_STARTER = Path(__file__).with_name("glossaries") / "starter.csv"
_COLUMNS = {
    "词": "word", "术语": "word", "word": "word", "学科": "subject", "subject": "subject", "年级": "grade", "grade": "grade",
    "教材": "textbook", "版本": "textbook", "textbook": "textbook", "单元": "unit", "unit": "unit",
    "学校": "school", "school": "school",
}  # fmt: skip
_EXPECTED_ZH = "应为 CSV，第一行是“词,学科,年级,教材,单元,学校”（只有“词”必填），一行可写几个词，用顿号隔开。"

_SEPARATORS = re.compile(r"[\s，。、；：！？,.;:!?·—–\-_/|\\()（）\[\]【】《》〈〉“”‘’\"'「」]+")
# What titles say about the occasion and not about the matter: 第三课, 第2课时, 七年级上册, 公开课, 复习（二）…
_OCCASION = re.compile(
    r"第[\d零一二三四五六七八九十百两]+(?:[单课]元?时?|章|节|讲|次|周|期|部分)"
    r"|[一二三四五六七八九]年级|[初高][一二三]|[上下]册|[上下]学期|[春秋]季|(?:19|20)\d\d年?|\d+"
    r"|公开课|示范课|观摩课|名师课堂|同步课堂|专递课堂|直播课?|录播课?|微课|新授课?|复习课?|练习课?|习题课?|讲评课?|课时|人教版|北师大版|苏教版"
)
_ORDINAL = re.compile(r"[零一二三四五六七八九十百\d]+")
_GRADES = {name: number for number, name in enumerate("一二三四五六七八九", start=1)} | {"十": 10}
_STAGES = {"初": 6, "高": 9, "小": 0}


@dataclass(frozen=True, slots=True)
class Term:
    """One word of a glossary. Empty fields and grade 0 mean any."""

    word: str
    subject: str = ""
    grade: int = 0
    textbook: str = ""
    unit: str = ""
    school: str = ""


@dataclass(frozen=True, slots=True)
class Selection:
    """What one lesson takes from the glossaries. `digest` tells whether another day's selection is the same."""

    hotwords: tuple[str, ...]
    terms: tuple[str, ...]

    @property
    def digest(self) -> str:
        return hashlib.sha256("\n".join((*self.hotwords, "", *self.terms)).encode()).hexdigest()[:12]


def terms(folder: Path) -> tuple[Term, ...]:
    """The starter's terms and those of every CSV file in a folder, which may be absent. Raises Unreadable."""
    files = [_STARTER, *sorted(folder.glob("*.csv"))]
    return _read_files(tuple((file, file.stat().st_mtime_ns) for file in files))


def read_terms(data: bytes, name: str) -> tuple[Term, ...]:
    """A glossary file's terms, each once. Raises Unreadable with the line that is wrong."""
    rows = list(csv.reader(text_of(data, name).splitlines()))
    header = [_COLUMNS.get(cell.strip().lower(), "") for cell in rows[0]] if rows else []
    if "word" not in header:
        raise Unreadable(name, "no column of words", f"词表的第一行不对。{_EXPECTED_ZH}")
    found: dict[Term, None] = {}
    for number, row in enumerate(rows[1:], start=2):
        cells = dict(zip(header, (cell.strip() for cell in row), strict=False))
        grade = grade_of(cells.get("grade", ""))
        for word in cells.get("word", "").split("、"):
            bare = " ".join(word.split())
            if not bare:
                continue
            if len(bare) > MAX_CHARACTERS:
                raise Unreadable(
                    name,
                    f"line {number}: too long",
                    f"第 {number} 行的“{bare[:12]}…”太长，词不超过 {MAX_CHARACTERS} 字。",
                )
            rest = {field: cells.get(field, "") for field in ("subject", "textbook", "unit", "school")}
            found[Term(bare, grade=grade, **rest)] = None
    if not 0 < len(found) <= MAX_TERMS:
        raise Unreadable(
            name, f"{len(found)} terms", f"词表里有 {len(found)} 个词，应为 1 到 {MAX_TERMS} 个。{_EXPECTED_ZH}"
        )
    return tuple(found)


def selection(
    known: Iterable[Term], *, title: str, subject: str, grade: str, names: Sequence[str] = (), school: str = ""
) -> Selection:
    """Hints in the order of how sure they are: what the title says, its unit's terms, the school's own words, the teacher.

    Terms of the subject up to a grade above the lesson's are for cutting and homophones: a class looks back, and a little
    ahead.
    """
    level = grade_of(grade)
    mine = [term for term in known if _is_taught(term, subject, level, school)]
    from_title = hotwords(title)
    ranked: dict[str, int] = dict.fromkeys(from_title, 90)
    for term in mine:
        ranked[term.word] = max(ranked.get(term.word, 0), _rank(term, title, level))
    for name in filter(None, names):
        ranked.setdefault(name, 30)
    hints: list[str] = []
    for word in sorted((word for word, rank in ranked.items() if rank >= 30), key=lambda word: -ranked[word]):
        if len(hints) < MAX_HOTWORDS and sum(map(len, hints)) + len(word) <= MAX_HOTWORD_CHARACTERS:
            hints.append(word)
    words = dict.fromkeys((*from_title, *(term.word for term in mine), *filter(None, names)))
    return Selection(tuple(hints), tuple(words))


def hotwords(title: str, subject: str = "") -> tuple[str, ...]:
    """Terms from a lesson's title and its subject, in that order, each once; empty when they say nothing definite."""
    pieces = _SEPARATORS.split(f"{_OCCASION.sub(' ', title)} {subject}")
    found = [piece for piece in pieces if 2 <= len(piece) <= _TITLE_CHARACTERS and not _ORDINAL.fullmatch(piece)]
    return tuple(dict.fromkeys(found))[:_TITLE_TERMS]


def grade_of(text: str) -> int:
    """八年级, 初二, 8 and 八上 are all 8; 高一 is 10; 0 for what names no grade."""
    stage = next((base for name, base in _STAGES.items() if name in text), 0)
    number = re.search(r"\d{1,2}", text)
    found = int(number.group()) if number else next((_GRADES[c] for c in text if c in _GRADES), 0)
    return stage + found if 0 < found <= 12 else 0


def _is_taught(term: Term, subject: str, level: int, school: str) -> bool:
    if term.school and term.school != school:
        return False
    if term.subject and term.subject != subject:
        return False
    return not (term.grade and level and term.grade > level + 1)


def _rank(term: Term, title: str, level: int) -> int:
    """0 to 100; from 30 on it is worth a hint."""
    if term.word in title:
        return 100
    near = term.grade == level or not term.grade
    if term.unit and len(term.unit) >= 2 and term.unit in title:
        return 70 if near else 50
    if term.school:
        return 40
    return 10 if near else 0


@cache
def _read_files(files: tuple[tuple[Path, int], ...]) -> tuple[Term, ...]:
    """The times of change are in the key, so that a file that was edited is read again."""
    return tuple(dict.fromkeys(term for file, _ in files for term in read_terms(file.read_bytes(), file.name)))
