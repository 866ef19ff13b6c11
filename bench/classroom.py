"""Lessons as they are spoken, what a recogniser makes of them, and what children type: the corpus of bench/search_quality.py.

Everything is drawn from a seed. Terms and most sentences are fixtures/speech_model's curriculum lists and templates, which
were written for Huikan; the explaining sentences below were written for this. A lesson keeps to a few terms of its subject
and says each of them several times, as teachers do. Titles say nothing ("数学第12课"), so that all is found by what was said.

Confusions are listed here on their own and not taken from search.near: what is measured must not define the measure.
"""

import random
import re
import tomllib
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path

import opencc
from pypinyin import Style, lazy_pinyin

from archive.model import Cue, Lesson, Programme, Span
from fixtures.speech_model.text import common_characters, read_number, words

_LISTS = Path("fixtures/speech_model")
_SLOT = re.compile(r"\{(\w+)\}")
_BREAKS = re.compile(r"[，。？！、：；“”《》]")
_GRADES = ("三年级", "四年级", "五年级", "六年级", "七年级", "八年级", "九年级")
_LINES = (14, 22)  # of a lesson: some two minutes, which is as much as telling lessons apart takes
_MS_A_CHARACTER = 230  # a teacher says four or five syllables a second
_SENTENCE_GAP_MS = 600

_EXPLAINING = """
{术语}的定义大家一定要理解清楚，不要死记硬背。
我们把这样的情况叫做{术语}，它和{术语二}是两回事。
请你用自己的话解释一下，{术语}到底说的是什么。
历年考试里，{术语}出现得非常多。
这里有一个容易混淆的地方，就是{术语}和{术语二}。
老师在黑板上写的这一行，就是{术语}。
昨天有同学问我{术语}怎么理解，今天我再讲一讲。
课本第{数}页的彩色方框里，写的就是{术语}。
先把{术语}弄明白，{术语二}自然就不难了。
有人说{术语}没有用，其实生活里到处都能见到它。
我们用一张图来表示{术语}的过程。
{术语}这一块，我建议大家自己动手整理一遍。
看到题目里出现{术语}，你首先应该想到什么？
不管题目怎么变化，{术语}的道理是不变的。
把{术语}和{术语二}放在一起比较，就看得很清楚了。
接下来这一分钟，请大家安静地想一想{术语}。
刚才那位同学把{术语}说成了{术语二}，我们一起来纠正。
这一段讲的正是{术语}，请用笔画下来。
前面学{术语二}的时候，我们已经碰到过{术语}。
这个例子说明，{术语}离我们并不远。
"""

# What recognisers and southern accents take for one another, and slips of one sound that happen anywhere.
_INITIALS = (("zh", "z"), ("ch", "c"), ("sh", "s"), ("n", "l"), ("f", "h"), ("l", "r"))
_FINALS = (("ang", "an"), ("eng", "en"), ("ing", "in"), ("uang", "uan"), ("iang", "ian"), ("uan", "ian"), ("un", "in"))
_KINDS = {"homophone": 0.40, "near": 0.20, "deletion": 0.15, "insertion": 0.10, "segmentation": 0.15}
_INSERTED = "啊嗯呃的了那这个是就"


@dataclass(frozen=True, slots=True)
class Spoken:
    """A lesson and its true lines, each without punctuation."""

    lesson: Lesson
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Asked:
    """What a child types, the words she means, and the lessons in which these were truly said."""

    kind: str
    text: str
    meant: tuple[str, ...]
    relevant: frozenset[str]


def lessons(seed: int, count: int, *, held_out: bool) -> list[Spoken]:
    """`held_out` takes the other templates of fixtures/speech_model: the sentences of tuning and reporting differ."""
    draw = random.Random(seed)
    return [_lesson(number, draw, held_out=held_out) for number in range(count)]


def _lesson(number: int, draw: random.Random, *, held_out: bool) -> Spoken:
    subject = draw.choice(list(_lists()["subjects"]))
    terms = [term for term in _lists()["subjects"][subject] if len(term) > 1]
    topic = draw.sample(terms, 5)
    explaining = _EXPLAINING.split()[held_out::2]
    templates = [*explaining * 3, *_templates(held_out=held_out)]
    lines: list[str] = []
    for _ in range(draw.randint(*_LINES)):
        sentence = _filled(draw.choice(templates), subject, topic, terms, draw)
        lines += [part for part in _BREAKS.split(sentence) if part]
    lesson = Lesson(
        id=f"lesson{number:06}", title=f"{subject}第{number}课", subject=subject, grade=draw.choice(_GRADES),
        teacher="", programme=draw.choice(list(Programme)), language="zh",
        school=f"school{draw.randrange(20)}", room="301", started_at=datetime(2026, 9, 1),  # noqa: DTZ001
        consent=True, recording_id="f" * 64, duration_ms=60_000,
    )  # fmt: skip
    return Spoken(lesson, tuple(lines))


def _filled(template: str, subject: str, topic: Sequence[str], terms: Sequence[str], draw: random.Random) -> str:
    names = draw.sample(topic, 3) if draw.random() < 0.8 else draw.sample(terms, 3)
    said: dict[str, str] = {"术语": names[0], "术语二": names[1], "术语三": names[2], "科目": subject}

    def word(slot: re.Match[str]) -> str:
        name = slot.group(1)
        if name not in said:
            kind = name.rstrip("二三四")
            low, high = {"小": (2, 9), "中": (10, 99), "数": (11, 199)}.get(kind, (0, 0))
            if high:
                said[name] = read_number(draw.randint(low, high))
            elif kind == "姓名":
                given = draw.sample(_lists()["everyday"]["名"], 2)
                said[name] = draw.choice(_lists()["everyday"]["姓"]) + "".join(given)
            elif kind == "词":
                said[name] = draw.choice(words().common)
            else:
                said[name] = draw.choice(_lists()["everyday"][kind])
        return said[name]

    return _SLOT.sub(word, template)


@cache
def _lists() -> dict[str, dict[str, list[str]]]:
    found = tomllib.loads((_LISTS / "terms.toml").read_text(encoding="utf-8"))
    return {part: {name: text.split() for name, text in lists.items()} for part, lists in found.items()}


@cache
def _templates(*, held_out: bool) -> tuple[str, ...]:
    """Those whose places can be filled without sums."""
    found = tomllib.loads((_LISTS / "templates.toml").read_text(encoding="utf-8"))
    fillable = {*_lists()["everyday"], "术语", "科目", "小", "中", "数", "姓名", "词"}
    which = "held_out" if held_out else "train"
    every = [line for kind in ("classroom", "everyday") for line in found[kind][which].split()]
    return tuple(t for t in every if all(name.rstrip("二三四") in fillable for name in _SLOT.findall(t)))


# --- what the recogniser hears --------------------------------------------------------------------------------------


def misheard(spoken: Sequence[Spoken], rate: float, seed: int) -> list[Spoken]:
    """The lessons with errors in `rate` of their characters, each line on its own."""
    draw = random.Random(seed)
    return [Spoken(one.lesson, tuple(_misheard(line, rate, draw) for line in one.lines)) for one in spoken]


def _misheard(line: str, rate: float, draw: random.Random) -> str:
    heard: list[str] = []
    at = 0
    while at < len(line):
        character = line[at]
        at += 1
        if draw.random() >= rate:
            heard.append(character)
            continue
        match draw.choices(list(_KINDS), list(_KINDS.values()))[0]:
            case "homophone":
                heard.append(_alike(character, draw))
            case "near":
                heard.append(_nearly(character, draw))
            case "deletion":
                pass
            case "insertion":
                heard.append(character + draw.choice(_INSERTED))
            case _:  # the sounds are right, the words are cut elsewhere and other ones
                pair = line[at - 1 : at + 1]
                at += 1
                heard.append("".join(_alike(c, draw) for c in pair) if draw.random() < 0.5 else " ".join(pair))
    return "".join(heard)


def _alike(character: str, draw: random.Random) -> str:
    others = [c for c in _sounding().get(_sound(character), ()) if c != character]
    return draw.choice(others) if others else character


def _nearly(character: str, draw: random.Random) -> str:
    near = _neighbours().get(_sound(character), ())
    return draw.choice(_sounding()[draw.choice(near)]) if near else _alike(character, draw)


@cache
def _sound(character: str) -> str:
    return lazy_pinyin(character, style=Style.NORMAL)[0]


@cache
def _sounding() -> dict[str, tuple[str, ...]]:
    found: dict[str, list[str]] = defaultdict(list)
    for character in common_characters():
        found[_sound(character)].append(character)
    return {sound: tuple(characters) for sound, characters in found.items()}


@cache
def _neighbours() -> dict[str, tuple[str, ...]]:
    """The syllables that are one of the confusions away, both ways."""
    known = set(_sounding())
    found: dict[str, set[str]] = defaultdict(set)
    for sound in known:
        for one, other in (*_INITIALS, *((b, a) for a, b in _INITIALS)):
            if sound.startswith(one) and not (one in "zcs" and sound[1:2] == "h"):
                found[sound].add(other + sound[len(one) :])
        for one, other in (*_FINALS, *((b, a) for a, b in _FINALS)):
            if sound.endswith(one) and not sound.removesuffix(one).endswith(("i", "u")):
                found[sound].add(sound[: -len(one)] + other)
    return {sound: tuple(sorted((others & known) - {sound})) for sound, others in found.items()}


def cues_of(spoken: Spoken) -> tuple[Cue, ...]:
    cues: list[Cue] = []
    at = 0
    for line in spoken.lines:
        end = at + max(1, len(line)) * _MS_A_CHARACTER
        cues.append(Cue(Span(at, end), line))
        at = end + _SENTENCE_GAP_MS
    return tuple(cues)


# --- what children type ---------------------------------------------------------------------------------------------

KINDS = ("term", "two terms", "fragment", "pinyin", "initials", "traditional", "mistyped")


def queries(spoken: Sequence[Spoken], seed: int, each: int) -> list[Asked]:
    """So many of each kind. What is relevant is decided by the true words, never by how something sounds."""
    draw = random.Random(seed)
    where = _where(spoken)
    terms = sorted(where)
    traditional = opencc.OpenCC("s2t")
    found: list[Asked] = []

    def ask(kind: str, text: str, meant: Sequence[str], relevant: frozenset[str]) -> None:
        found.append(Asked(kind, text, tuple(meant), relevant))

    def some(good: Callable[[str], bool]) -> list[str]:
        return draw.sample(fitting, min(each, len(fitting))) if (fitting := [t for t in terms if good(t)]) else []

    for term in some(lambda _: True):
        ask("term", term, [term], where[term])
    for term in some(lambda t: len(t) >= 3):
        ask("pinyin", "".join(lazy_pinyin(term, style=Style.NORMAL)), [term], where[term])
    for term in some(lambda t: len(t) >= 4):
        ask("initials", "".join(p[0] for p in lazy_pinyin(term, style=Style.NORMAL)), [term], where[term])
    for term in some(lambda t: traditional.convert(t) != t):
        ask("traditional", traditional.convert(term), [term], where[term])
    for term in some(lambda t: len(t) >= 3):
        at = draw.randrange(len(term))
        wrong = _alike(term[at], draw) if draw.random() < 0.7 else _nearly(term[at], draw)
        if wrong != term[at]:
            ask("mistyped", term[:at] + wrong + term[at + 1 :], [term], where[term])
    while sum(asked.kind == "two terms" for asked in found) < each:
        one = draw.choice(spoken)
        line = draw.randrange(len(one.lines) - 1)
        pair = sorted({t for t in terms if t in one.lines[line]})
        if len(pair) >= 2 and pair[0] not in pair[1] and pair[1] not in pair[0]:
            ask("two terms", " ".join(pair[:2]), pair[:2], _together(spoken, where, pair[0], pair[1]))
    while sum(asked.kind == "fragment" for asked in found) < each:
        line = draw.choice(draw.choice(spoken).lines)
        length = draw.randint(6, 12)
        if len(line) >= length:
            start = draw.randint(0, len(line) - length)
            text = line[start : start + length]
            ids = frozenset(s.lesson.id for s in spoken if any(text in said for said in s.lines))
            ask("fragment", text, [text], ids)
    return found


def _where(spoken: Sequence[Spoken]) -> dict[str, frozenset[str]]:
    """The terms of two characters and more that were said, and in which lessons."""
    every = sorted({term for terms in _lists()["subjects"].values() for term in terms if len(term) > 1})
    said = [(one.lesson.id, "\n".join(one.lines)) for one in spoken]
    found = {term: frozenset(lesson_id for lesson_id, text in said if term in text) for term in every}
    return {term: ids for term, ids in found.items() if ids}


def _together(spoken: Sequence[Spoken], where: dict[str, frozenset[str]], one: str, other: str) -> frozenset[str]:
    """The lessons that say both within three lines."""
    both = where[one] & where[other]
    return frozenset(
        said.lesson.id
        for said in spoken
        if said.lesson.id in both
        and any(
            one in window and other in window
            for window in ("\n".join(said.lines[at : at + 3]) for at in range(len(said.lines)))
        )
    )


def non_words(seed: int, count: int) -> list[str]:
    """What nobody ever said: three to five rare characters, four or five syllables, or keys hit at random."""
    draw = random.Random(seed)
    rare = "魑魅魍魉耄耋饕餮龌龊尴尬囹圄踟蹰旖旎氤氲龃龉蹒跚觊觎犄角旮旯"
    keys = "bcdfghjklmnpqrstvwxz"
    syllables = sorted(_sounding())
    made = ["".join(draw.sample(rare, draw.randint(3, 5))) for _ in range(count // 3)]
    made += ["".join(draw.choices(syllables, k=draw.randint(4, 5))) for _ in range(count // 3)]
    return made + ["".join(draw.choices(keys, k=draw.randint(7, 12))) for _ in range(count - len(made))]
