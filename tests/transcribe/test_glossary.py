"""Hints are few and sure: what a title says about the matter, nothing about the occasion."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transcribe.glossary import MAX_CHARACTERS, MAX_HOTWORDS, hotwords


@pytest.mark.parametrize(
    ("title", "subject", "expected"),
    [
        ("七年级数学 勾股定理", "数学", ("数学", "勾股定理")),
        ("《荷塘月色》第二课时", "语文", ("荷塘月色", "语文")),
        ("第3课 光的折射·公开课", "物理", ("光的折射", "物理")),
        ("2026年秋季 长方体和正方体（二）", "数学", ("长方体和正方体", "数学")),
        ("第一单元复习课", "", ()),
        ("", "", ()),
        ("301", "", ()),
        ("a", "", ()),
    ],
)
def test_terms_come_from_the_title_and_the_subject(title: str, subject: str, expected: tuple[str, ...]) -> None:
    assert hotwords(title, subject) == expected


@given(st.text(), st.text())
def test_whatever_the_title_the_list_stays_short(title: str, subject: str) -> None:
    found = hotwords(title, subject)
    assert len(found) == len(set(found)) <= MAX_HOTWORDS
    assert all(2 <= len(term) <= MAX_CHARACTERS and "\n" not in term for term in found)
