"""Chinese words: where one ends and the next begins, so that no cue is cut inside one.

jieba with the glossary's terms on top. It is loaded once, on first use, without its cache file: it reads that from the shared
temporary folder with marshal, where anybody on the machine could have put it.
"""
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

import threading
import warnings
from collections.abc import Iterable
from typing import Any

_loading = threading.Lock()
_loaded: list[Any] = []
_added: set[str] = set()


def cut(text: str, terms: Iterable[str] = ()) -> list[str]:
    """The words of a run of Chinese characters, in order and without loss; a term is never cut."""
    tokenizer = _tokenizer()
    with _loading:
        for term in terms:
            if term not in _added:
                tokenizer.add_word(term)
                _added.add(term)
    return [str(word) for word in tokenizer.cut(text)]


def is_word(text: str) -> bool:
    """Whether jieba's own dictionary has it."""
    return text not in _added and _tokenizer().FREQ.get(text, 0) > 0


def _tokenizer() -> Any:
    if not _loaded:
        with _loading:
            if not _loaded:
                _loaded.append(_load())
    return _loaded[0]


def _load() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # jieba 0.42.1 has bad escapes in its patterns and imports pkg_resources
        import jieba
    tokenizer = jieba.Tokenizer()
    # What initialize() does, less its cache file and its lines on stderr.
    tokenizer.FREQ, tokenizer.total = tokenizer.gen_pfdict(tokenizer.get_dict_file())
    tokenizer.initialized = True
    return tokenizer
