"""Chinese in the characters our schools read: engines answer in Simplified and Traditional as they please."""
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false

from functools import cache

from opencc import OpenCC


def simplified(text: str) -> str:
    """`text` with every Traditional character replaced; what is no Chinese stays as it is."""
    return str(_converter().convert(text))


@cache
def _converter() -> OpenCC:
    return OpenCC("t2s")  # reads its dictionaries: once, when first needed
