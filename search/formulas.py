"""Formulas as they are read aloud, so that a² and a平方, 1/2 and 二分之一, 50% and 百分之五十 are the same to search. Pure.

What a teacher says and a recogniser writes down is words; what a slide shows or a child types may be signs. Both are folded to
the words. Letters are small and characters simplified already; numbers are read afterwards (search.numerals).
"""

import re
from collections.abc import Callable

from search.numerals import read_aloud

Reading = tuple[int, int, str]  # where, half-open, and how it is read

_BASE = r"a-z0-9零一二三四五六七八九十百"
_OPERAND = rf"[{_BASE}方根派)\]]"
_POWERS = {"2": "平方", "3": "立方"}
_METRES = {"m": "米", "dm": "分米", "cm": "厘米", "mm": "毫米", "km": "千米"}
_OPERATORS = {"+": "加", "=": "等于", "×": "乘", "÷": "除以", "\u2212": "减"}

SIGNS = {  # one character each, wherever they stand
    "㎡": "平方米", "㎠": "平方厘米", "㎟": "平方毫米", "㎢": "平方千米",
    "㎥": "立方米", "㎤": "立方厘米", "㎣": "立方毫米", "㎦": "立方千米",
}  # fmt: skip

# Any text without one of these has no formula: most texts, and this is the price they pay.
_MAYBE = re.compile(
    r"[\^\u2044√π%×÷\u2212]|[0-9]\s*/\s*[0-9]|[+=]|次[方幂]|的[平立]方|的[^，。]{1,3}次|(?<![a-z0-9])[a-z][23](?![a-z0-9])|m[23]"
)


def _power(exponent: str) -> str:
    number = exponent.replace("^", "")
    return _POWERS.get(number) or f"{read_aloud(int(number)) if number.isdigit() else number}次方"


def _share(number: re.Match[str]) -> str:
    return f"{read_aloud(int(number[2]))}分之{read_aloud(int(number[1]))}"


# In this order: each is looked for in what those before it made.
_RULES: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], str]], ...] = (
    (
        re.compile(r"(?<![a-z])(?:(?<=[0-9零一二三四五六七八九十百])\s?(m)|([cdkm]m))\^?([23])(?![a-z0-9^])"),
        lambda found: f"{_POWERS[found[3]]}{_METRES[found[1] or found[2]]}",
    ),
    (re.compile(rf"(?<=[{_BASE})\]])(?:(?:\^[0-9]){{2,3}}|\^[0-9]{{1,2}}|\^[a-z])"), lambda found: _power(found[0])),
    (re.compile(r"(?<=(?<![a-z0-9])[a-z])[23](?![a-z0-9])"), lambda found: _POWERS[found[0]]),
    (re.compile(r"(?<![0-9a-z./])([0-9]{1,4})\s?[/\u2044]\s?([0-9]{1,4})(?![0-9a-z./])"), _share),
    (re.compile(r"(?<![0-9a-z.])([0-9]{1,6}(?:\.[0-9]{1,6})?)\s?%"), lambda found: f"百分之{found[1]}"),
    (re.compile("√"), lambda _: "根号"),
    (re.compile("π"), lambda _: "派"),
    (re.compile("次幂"), lambda _: "次方"),
    (re.compile(rf"(?<=[{_BASE}])的?([0-9]{{1,2}})次方(?!程)"), lambda found: f"{read_aloud(int(found[1]))}次方"),
    (re.compile(rf"(?<=[{_BASE}])的(?=[平立]方|[a-z一二三四五六七八九十]{{1,3}}次方(?!程))"), lambda _: ""),
    (re.compile(rf"(?<=[{_BASE}])二次方(?!程)"), lambda _: "平方"),
    (re.compile(rf"(?<=[{_BASE}])三次方(?!程)"), lambda _: "立方"),
    (
        re.compile(rf"(?<={_OPERAND})\s?([+=×÷\u2212])\s?(?=[{_BASE}(\[根派])"),
        lambda found: _OPERATORS[found[1]],
    ),
)


def steps(folded: str) -> list[Callable[[str], list[Reading]]]:
    """What is to be read aloud in a folded text, one step after the other: each is given what those before it made."""
    return [_step(pattern, reading) for pattern, reading in _RULES] if _MAYBE.search(folded) else []


def _step(pattern: re.Pattern[str], reading: Callable[[re.Match[str]], str]) -> Callable[[str], list[Reading]]:
    return lambda text: [(found.start(), found.end(), reading(found)) for found in pattern.finditer(text)]
