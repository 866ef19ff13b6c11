"""A teacher's glossary is known to search: cut whole, suggested, found by initials; a broken one does no harm."""

from collections.abc import Generator
from pathlib import Path

import pytest

from archive.settings import Settings
from ingest import lexicon
from search import suggest, words
from search.index import learn
from search.query import parse


@pytest.fixture(autouse=True)
def _forgetting() -> Generator[None]:
    yield
    lexicon._read.clear()  # pyright: ignore[reportPrivateUsage]
    learn(())


def write(settings: Settings, text: str) -> None:
    folder = settings.home / "glossary"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "ours.csv").write_text(text, encoding="utf-8")


def test_the_words_of_a_glossary_are_words_of_search(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    before = [word.text for word in words.cut("青石桥水车模型") if not word.part]
    assert "青石桥水车" not in before
    write(settings, "词,学校\n青石桥水车,xinghuo\n")
    lexicon.refresh(settings)
    assert "青石桥水车" in [word.text for word in words.cut("青石桥水车模型") if not word.part]
    assert [term.text for term in suggest.completions("qsqs", suggest.known())] == ["青石桥水车"]
    (piece,) = parse("qsqsc").pieces
    assert [reading.units for reading in piece.whole.readings] == [tuple("青石桥水车")]


def test_a_glossary_that_changed_is_learnt_anew_and_a_broken_one_is_not(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    write(settings, "词\n青石桥水车\n")
    lexicon.refresh(settings)
    write(settings, "什么也不是")
    lexicon.refresh(settings)
    assert "青石桥水车" in words.terms()
    write(settings, "词\n黄杨木雕花窗\n")
    lexicon.refresh(settings)
    assert "黄杨木雕花窗" in words.terms()
    assert "青石桥水车" not in words.terms()
    assert [len(parse(typed).pieces[0].whole.readings) for typed in ("hymdhc", "qsqsc")] == [1, 0]
