import pytest
from hypothesis import given
from hypothesis import strategies as st

from search import suggest, words
from tests.search.engines import patiently

TERMS = [
    suggest.term_of(text)
    for text in ("勾股定理", "勾股数", "光合作用", "公顷", "重力", "重复", "can you", "二次函数", "x轴")
]


def completed(typed: str) -> list[str]:
    return [term.text for term in suggest.completions(typed, TERMS)]


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("勾", ["勾股定理", "勾股数"]),
        ("勾股定", ["勾股定理"]),
        ("gou", ["勾股定理", "勾股数"]),
        ("gougud", ["勾股定理"]),
        ("gou'gu'di", ["勾股定理"]),  # as an input method shows it while it composes
        ("gou gu ding li", ["勾股定理"]),
        ("ggdl", ["勾股定理"]),
        ("gg", ["勾股定理", "勾股数"]),
        ("gougdl", ["勾股定理"]),
        ("勾gu", ["勾股定理", "勾股数"]),
        ("勾gd", ["勾股定理"]),
        ("zhong", ["重力"]),
        ("chong", ["重复"]),
        ("ca", ["can you"]),
        ("拋", []),
        ("g", []),  # a single letter begins everything
        ("", []),
        ("?", []),
        ("gougudinglis", []),
    ],
)  # fmt: skip
def test_what_begins_like_it_is_suggested(typed: str, found: list[str]) -> None:
    assert completed(typed) == found


@given(st.sampled_from(TERMS), st.data())
@patiently
def test_every_beginning_of_a_term_in_any_mixture_leads_to_it(term: suggest.Term, data: st.DataObject) -> None:
    count = data.draw(st.integers(1, len(term.heard.units)))
    typed = ""
    for unit, sound in zip(term.heard.units[:count], term.heard.sounds[:count], strict=True):
        plain = sound.removeprefix("=")
        letters = plain[: data.draw(st.integers(1, len(plain)))] if words.is_han(unit) else f" {unit} "
        typed += data.draw(st.sampled_from([unit, letters])) if words.is_han(unit) else letters
    if len(typed.strip()) > 1 or words.is_han(typed):
        assert term in list(suggest.completions(typed, TERMS))


@given(st.text(max_size=50) | st.text(alphabet="勾股gud'1 é", max_size=50))
@patiently
def test_whatever_is_typed_is_answered(typed: str) -> None:
    assert set(suggest.completions(typed, TERMS)) <= set(TERMS)
    assert set(suggest.corrections(typed, TERMS)) <= set(TERMS)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("勾古定里", "勾股定理"),
        ("狗股定理", "勾股定理"),
        ("光和作用", "光合作用"),
        ("二词函数", "二次函数"),
        ("gougudinli", "勾股定理"),
        ("guanghezuoyon", "光合作用"),
        ("guagnhezuoyong", "光合作用"),
        ("xyzzyxyzzy", None),
        ("勾股定理", None),  # that is what it is
        ("天气预报", None),
    ],
)
def test_what_was_typed_wrongly_is_corrected(typed: str, meant: str | None) -> None:
    assert [term.text for term in suggest.corrections(typed, TERMS)][:1] == ([meant] if meant else [])


def test_the_terms_of_the_subjects_can_be_suggested() -> None:
    assert len(suggest.known()) > 1000
    assert "商高定理" in [term.text for term in suggest.completions("sgdl", suggest.known())]
