"""Numbers as they are read fastest: 百分之五 as 5%, 三点一四 as 3.14, 二零二六年 as 2026年. Pure, and reversible by its caller.

What reads well in characters stays: 二分之一, 三角形, 第三课, 一个. Sources: GB/T 15835-2011 (general rules for numerals), which
wants figures for percentages, decimals and years.
"""

import re
from collections.abc import Iterator

_DIGITS = {character: value for value, character in enumerate("零一二三四五六七八九")} | {"〇": 0, "两": 2}
_UNITS = {"十": 10, "百": 100, "千": 1_000}
_ONE = "[零〇一二三四五六七八九]"
_WHOLE = "(?:[零〇一二两三四五六七八九十百千]+)"
_MEASURE = "(?=米|厘米|毫米|千米|公里|克|千克|公斤|吨|升|毫升|元|倍|度|平方|立方|秒|分钟|小时|万|亿|个百分点)"
_RULES = (
    ("percent", re.compile(rf"百分之(?P<whole>{_WHOLE})(?:点(?P<rest>{_ONE}+))?(?!分之)")),
    ("decimal", re.compile(rf"(?P<whole>{_WHOLE})点(?P<rest>{_ONE}{{2,}})(?![十百千分])")),
    ("decimal", re.compile(rf"(?P<whole>{_WHOLE})点(?P<rest>{_ONE}){_MEASURE}")),
    ("year", re.compile(rf"(?P<year>{_ONE}{{4}})(?=年)")),
    ("power", re.compile(r"(?<=[A-Za-z])的(?P<power>平方|立方)(?!根|和|米|厘米)")),
)


def numbers_in(text: str) -> Iterator[tuple[int, int, str, str]]:
    """(start, end, figures, rule) for each place, left to right and apart."""
    reached = 0
    places = sorted(
        ((found.start(), found.end(), found, rule) for rule, pattern in _RULES for found in pattern.finditer(text)),
        key=lambda place: (place[0], -place[1]),
    )
    for start, end, found, rule in places:
        figures = _figures(rule, found)
        if start >= reached and figures:
            yield start, end, figures, rule
            reached = end


def value_of(characters: str) -> int | None:
    """三百二十一 is 321, 十二 is 12, 二零 is 20; None for what is no number below ten thousand."""
    if all(character in _DIGITS for character in characters):
        return int("".join(str(_DIGITS[character]) for character in characters)) if characters else None
    total, digit, last_unit = 0, None, 10_000
    for index, character in enumerate(characters):
        if character in _DIGITS:
            if digit not in (None, 0):
                return None
            digit = _DIGITS[character]
        else:
            unit = _UNITS[character]
            if unit >= last_unit or (digit is None and index > 0):
                return None
            total += (1 if digit is None else digit) * unit
            digit, last_unit = None, unit
    return total + (digit or 0)


def _figures(rule: str, found: "re.Match[str]") -> str:
    """What it is written as; "" where it is no number after all."""
    if rule == "power":
        return "²" if found["power"] == "平方" else "³"
    if rule == "year":
        return "".join(str(_DIGITS[character]) for character in found["year"])
    whole = value_of(found["whole"])
    if whole is None:
        return ""
    rest = "".join(str(_DIGITS[character]) for character in found["rest"] or "")
    figures = f"{whole}.{rest}" if rest else str(whole)
    return f"{figures}%" if rule == "percent" else figures
