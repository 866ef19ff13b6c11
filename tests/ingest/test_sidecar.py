"""What a school says about a recording, read from its `.json`."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archive.errors import Unreadable
from archive.model import Programme, Sidecar
from ingest.sidecar import read_sidecar


def test_a_full_sidecar_is_read_and_unknown_fields_are_left_alone() -> None:
    told = {
        "title": "勾股定理",
        "subject": "数学",
        "grade": "八年级",
        "teacher": "王老师",
        "programme": "同步课堂",
        "language": "zh-CN",
        "consent": True,
        "recorder_firmware": "V3.1",
    }
    found = read_sidecar(("\ufeff" + json.dumps(told)).encode(), "x.json")
    assert found == Sidecar("勾股定理", "数学", "八年级", "王老师", Programme.SYNC, "zh", True)


def test_an_empty_object_is_a_sidecar_and_consent_stays_unknown() -> None:
    assert read_sidecar(b"{}", "x.json") == Sidecar()
    assert Sidecar().consent is None


def test_a_title_becomes_one_bounded_line() -> None:
    found = read_sidecar(json.dumps({"title": "a\nb\x1b[31m" + "长" * 500}).encode(), "x.json")
    assert found.title.startswith("a b [31m")
    assert len(found.title) == 120


@pytest.mark.parametrize(
    ("told", "field"),
    [
        (b"", "JSON"),
        (b"\xff\xfe", "JSON"),
        (b"[]", "对象"),
        (b'{"title": 3}', "title"),
        (b'{"programme": "party"}', "programme"),
        (b'{"language": "fr"}', "language"),
        (b'{"consent": "yes"}', "consent"),
        (b'{"consent": 1}', "consent"),
        (b"[" * 100_000, "JSON"),
    ],
)
def test_a_wrong_sidecar_names_the_field(told: bytes, field: str) -> None:
    with pytest.raises(Unreadable) as error:
        read_sidecar(told, "x.json")
    assert field in error.value.reason_zh


@given(
    st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.dictionaries(st.text(), inner))
)
def test_any_json_is_a_sidecar_or_unreadable(told: object) -> None:
    try:
        found = read_sidecar(json.dumps(told).encode(), "x.json")
    except Unreadable as error:
        assert error.reason_zh
    else:
        assert found.title.isprintable()
