"""What a school says about a recording, read from its `.json`."""

import json
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archive.errors import Unreadable
from archive.model import Programme, Sidecar
from ingest.sidecar import SidecarFile, read_sidecar, schema


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


@pytest.mark.parametrize(
    ("told", "pointer"),
    [
        ({"parts": 0}, "/parts：太小"),
        ({"parts": "3"}, "/parts：应是整数"),
        ({"view": "ceiling"}, "/view：不认识，可用：teacher、老师"),
        ({"starts_at": "8:00"}, "/starts_at：格式不对"),
        ({"starts_at": "2026-02-30T08:00"}, "/starts_at：没有这样的日期"),
        ({"receipt": "x"}, "/receipt"),
        ({"clock_offset_ms": 90_000_000}, "/clock_offset_ms：太大"),
    ],
)
def test_an_error_points_at_the_field(told: dict[str, object], pointer: str) -> None:
    with pytest.raises(Unreadable) as error:
        read_sidecar(json.dumps(told).encode(), "x.json")
    assert pointer in error.value.reason_zh


def test_all_wrong_fields_are_named_at_once() -> None:
    with pytest.raises(Unreadable) as error:
        read_sidecar(b'{"title": 3, "consent": 1, "parts": 0}', "x.json")
    assert [pointer in error.value.reason_zh for pointer in ("/title", "/consent", "/parts")] == [True] * 3


def test_what_a_recorder_says_of_itself_is_read() -> None:
    told = {
        "view": "课件",
        "parts": 2,
        "clock_offset_ms": -90_000,
        "starts_at": "2026-09-01T08:00",
        "receipt": "a" * 64,
    }
    found = read_sidecar(json.dumps(told).encode(), "x.json")
    assert (found.view, found.parts, found.clock_offset_ms) == ("screen", 2, -90_000)
    assert (found.starts_at, found.receipt) == (datetime(2026, 9, 1, 8), "a" * 64)  # noqa: DTZ001 — a room's wall clock


def test_the_published_schema_is_the_one_that_is_checked() -> None:
    published = json.loads((Path(__file__).parents[2] / "docs" / "sidecar.schema.json").read_text(encoding="utf-8"))
    assert published == schema(), "run script/docs"
    assert set(published["properties"]) == set(SidecarFile.model_fields)


def test_a_field_left_empty_says_nothing() -> None:
    empty = b'{"title": "x", "view": "", "receipt": "", "programme": "", "consent": "", "starts_at": ""}'
    assert read_sidecar(empty, "a.json") == Sidecar(title="x")
