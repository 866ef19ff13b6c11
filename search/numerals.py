"""Numbers as they are read aloud, so that 32页 and 三十二页 are the same to search, in characters and in sound. Pure.

What could be a year is read as one (1949 is 一九四九, with or without 年), for that is what lessons say and children type.
"""

import re

NUMERALS = frozenset("零〇一二三四五六七八九十百千万亿")

_MAX_READ_DIGITS = 8  # more digits are a telephone number or noise, and are read one by one
_DIGITS = "零一二三四五六七八九"
_UNITS = ((1000, "千"), (100, "百"), (10, "十"))
# Digits that no letter touches (CO2, x2 and 5m2 stay as they are), perhaps with a decimal point.
_NUMBER = re.compile(r"(?<![0-9a-z])(?<![0-9a-z]\.)([0-9]{1,20})(?:\.([0-9]{1,20}))?(?![0-9a-z])(?=(年?))")


def numbers_in(folded: str) -> list[tuple[int, int, str]]:
    """Where the numbers of a folded text are, half-open, and how each is read."""
    return [
        (number.start(), number.end(), _reading(number[1], number[2] or "", is_year=bool(number[3])))
        for number in _NUMBER.finditer(folded)
    ]


def _reading(whole: str, decimals: str, *, is_year: bool) -> str:
    is_name = len(whole) > _MAX_READ_DIGITS or (whole[0] == "0" and len(whole) > 1)
    is_year = len(whole) == 4 and (is_year or (1100 < int(whole) < 2100 and not whole.endswith("00")))
    read = _one_by_one(whole) if is_name or is_year else read_aloud(int(whole))
    return f"{read}点{_one_by_one(decimals)}" if decimals else read


def _one_by_one(digits: str) -> str:
    return "".join(_DIGITS[int(digit)] for digit in digits)


def read_aloud(number: int) -> str:
    """110 is 一百一十, 1005 is 一千零五, 12000 is 一万二千; two hundred is 二百, as 两百 is folded to it."""
    if number >= 10_000:
        head, rest = divmod(number, 10_000)
        gap = "零" if 0 < rest < 1000 else ""
        return f"{read_aloud(head)}万{gap}{_below_ten_thousand(rest) if rest else ''}"
    return _below_ten_thousand(number)


def _below_ten_thousand(number: int) -> str:
    if number < 10:
        return _DIGITS[number]
    if number < 20:
        return "十" + (_DIGITS[number - 10] if number > 10 else "")
    read, gap = "", ""
    for size, name in _UNITS:
        digit, number = divmod(number, size)
        if digit:
            read, gap = f"{read}{gap}{_DIGITS[digit]}{name}", ""
        elif read and number:
            gap = "零"
    return f"{read}{gap}{_DIGITS[number]}" if number else read
