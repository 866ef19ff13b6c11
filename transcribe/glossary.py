"""The words a lesson is likely to be about, from what the school says about it, as hints for the speech engine.

Few and sure rather than many: an engine that is given a list begins to hear the list.
"""

import re

MAX_HOTWORDS = 8
MAX_CHARACTERS = 12  # a longer piece is a sentence, not a term

_SEPARATORS = re.compile(r"[\s，。、；：！？,.;:!?·—–\-_/|\\()（）\[\]【】《》〈〉“”‘’\"'「」]+")
# What titles say about the occasion and not about the matter: 第三课, 第2课时, 七年级上册, 公开课, 复习（二）…
_OCCASION = re.compile(
    r"第[\d零一二三四五六七八九十百两]+(?:[单课]元?时?|章|节|讲|次|周|期|部分)"
    r"|[一二三四五六七八九]年级|[初高][一二三]|[上下]册|[上下]学期|[春秋]季|(?:19|20)\d\d年?|\d+"
    r"|公开课|示范课|观摩课|名师课堂|同步课堂|专递课堂|直播课?|录播课?|微课|新授课?|复习课?|练习课?|习题课?|讲评课?|课时|人教版|北师大版|苏教版"
)
_ORDINAL = re.compile(r"[零一二三四五六七八九十百\d]+")


def hotwords(title: str, subject: str = "") -> tuple[str, ...]:
    """Terms from a lesson's title and its subject, in that order, each once; empty when they say nothing definite."""
    pieces = _SEPARATORS.split(f"{_OCCASION.sub(' ', title)} {subject}")
    terms = [piece for piece in pieces if 2 <= len(piece) <= MAX_CHARACTERS and not _ORDINAL.fullmatch(piece)]
    return tuple(dict.fromkeys(terms))[:MAX_HOTWORDS]
