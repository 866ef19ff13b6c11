"""Hints are few and sure: what a title says about the matter, nothing about the occasion."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archive.errors import Unreadable
from transcribe import glossary
from transcribe.glossary import (
    MAX_CHARACTERS,
    MAX_HOTWORD_CHARACTERS,
    MAX_HOTWORDS,
    Term,
    grade_of,
    hotwords,
    read_terms,
    selection,
)


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


STARTER = glossary.terms(Path("/nowhere"))


def test_the_starter_has_every_subject_in_every_grade() -> None:
    covered = {(term.subject, term.grade) for term in STARTER}
    assert covered >= {(subject, grade) for subject in ("语文", "数学", "英语", "科学") for grade in range(1, 10)}
    assert len(STARTER) > 1_000


@pytest.mark.parametrize(
    ("text", "grade"),
    [("八年级", 8), ("初二", 8), ("8", 8), ("八上", 8), ("小学三年级", 3), ("高一", 10), ("", 0), ("实验班", 0)],
)
def test_a_grade_is_read_as_schools_write_it(text: str, grade: int) -> None:
    assert grade_of(text) == grade


def test_hints_are_what_the_title_says_its_units_terms_and_the_teacher() -> None:
    chosen = selection(STARTER, title="勾股定理（第一课时）", subject="数学", grade="八年级", names=("王晓明",))
    assert chosen.hotwords[0] == "勾股定理"
    assert "斜边" in chosen.hotwords
    assert len(chosen.hotwords) <= MAX_HOTWORDS
    assert {"勾股定理", "二次根式", "一元二次方程", "王晓明"} <= set(chosen.terms), "a little ahead, and back"
    assert "光合作用" not in chosen.terms


def test_a_lesson_nobody_described_gets_no_hints() -> None:
    assert selection(STARTER, title="301", subject="", grade="").hotwords == ()


def test_a_schools_own_words_are_for_that_school() -> None:
    known = [Term("星火小学", school="xinghuo"), Term("文昌塔", subject="语文", school="wenchang")]
    assert selection(known, title="散步", subject="语文", grade="", school="xinghuo").hotwords == ("散步", "星火小学")


def test_a_glossary_is_a_table_in_whatever_encoding_a_spreadsheet_writes() -> None:
    table = "词,学科,年级,单元\n勾股定理、勾股数,数学,八年级,勾股定理\n,数学,,\n光合作用,生物,初一,\n"
    expected = (
        Term("勾股定理", "数学", 8, unit="勾股定理"),
        Term("勾股数", "数学", 8, unit="勾股定理"),
        Term("光合作用", "生物", 7),
    )
    assert read_terms(table.encode("gb18030"), "词.csv") == expected
    assert read_terms(table.encode("utf-8-sig"), "词.csv") == expected


@pytest.mark.parametrize("table", ["", "词\n", "学科,年级\n数学,8\n", f"词\n{'长' * (MAX_CHARACTERS + 1)}\n"])
def test_what_is_no_glossary_says_what_one_is(table: str) -> None:
    with pytest.raises(Unreadable) as caught:
        read_terms(table.encode(), "词.csv")
    assert "词" in caught.value.reason_zh


def test_a_glossary_that_was_edited_is_read_again(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("词\n甲乙\n", encoding="utf-8")
    assert Term("甲乙") in glossary.terms(tmp_path)
    (tmp_path / "a.csv").write_text("词\n丙丁\n", encoding="utf-8")
    assert Term("丙丁") in glossary.terms(tmp_path)


@given(st.text(), st.text(max_size=10), st.text(max_size=10))
def test_hints_stay_within_the_engines_budget(title: str, subject: str, grade: str) -> None:
    chosen = selection(STARTER, title=title, subject=subject, grade=grade, names=(title[:80],))
    assert len(chosen.hotwords) <= MAX_HOTWORDS
    assert sum(map(len, chosen.hotwords)) <= MAX_HOTWORD_CHARACTERS
