import pytest
from hypothesis import given
from hypothesis import strategies as st

from search import sounds, words
from tests.search.engines import patiently

texts = st.text(max_size=30) | st.text(alphabet="勾股定理重心复长行，abc 12\u0301ǚ", max_size=30)


@pytest.mark.parametrize(
    ("text", "heard"),
    [
        ("勾股定理", "gou gu ding li"),
        ("沟谷定理", "gou gu ding li"),
        ("拋物線", "pao wu xian"),
        ("重心", "zhong xin"),
        ("重复", "chong fu"),
        ("银行", "yin hang"),
        ("行走", "xing zou"),
        ("绿色", "lv se"),
        ("can 32页", "=can san shi er ye"),
    ],
)
def test_a_text_sounds_as_it_is_read(text: str, heard: str) -> None:
    assert " ".join(sounds.syllables(text)) == heard


@given(texts)
@patiently
def test_there_is_one_sound_for_each_unit(text: str) -> None:
    assert len(sounds.syllables(text)) == len(words.units(text))


@pytest.mark.parametrize(
    ("letters", "ways"),
    [
        ("gougudingli", ["gou gu ding li"]),
        ("gōugǔ", ["gou gu"]),
        ("gou1gu3ding4li3", ["gou gu ding li"]),
        ("xian", ["xian", "xi an"]),
        ("lü", ["lv"]),
        ("lüe", ["lve", "lv e"]),
        ("nve", ["nve", "nv e"]),
        ("zhuang", ["zhuang", "zhu ang"]),
        ("photosynthesis", []),
        ("gou2024", []),
        ("勾", []),
        ("", []),
    ],
)
def test_letters_are_read_as_pinyin_where_they_are(letters: str, ways: list[str]) -> None:
    assert [" ".join(way) for way in sounds.spellings(letters)] == ways


@given(st.text(alphabet="aeiounghzxl", max_size=64))
@patiently
def test_letters_have_few_readings_and_each_spells_them(letters: str) -> None:
    ways = sounds.spellings(letters)
    assert len(ways) <= sounds.MAX_READINGS
    assert all("".join(way).replace("v", "u") == letters.replace("v", "u") for way in ways)


def test_characters_and_pinyin_may_be_mixed() -> None:
    assert sounds.readings(("gou", "gu", "=dingli")) == (("gou", "gu", "ding", "li"),)
    assert sounds.readings(("=co2", "ye")) == (("=co2", "ye"),)


def test_readings_of_a_long_query_stay_few() -> None:
    assert len(sounds.readings(("=xian",) * 16)) == sounds.MAX_READINGS
