"""Chinese in the characters our schools read: engines answer in Simplified and Traditional as they please."""
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false

from functools import cache

from opencc import OpenCC


def simplified(text: str) -> str:
    """`text` with every Traditional character replaced; what is no Chinese stays as it is."""
    return str(_converter("t2s").convert(text))


def traditional(text: str) -> str:
    """`text` in Traditional characters, for those who ask: 头发 is 頭髮 and 后面 後面, by OpenCC's phrases."""
    return str(_converter("s2t").convert(text))


@cache
def _converter(direction: str) -> OpenCC:
    return OpenCC(direction)  # reads its dictionaries: once, when first needed
