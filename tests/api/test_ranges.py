"""Byte ranges and entity tags."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.ranges import ByteRange, Unsatisfiable, matches_any, range_of, still_the_same


@pytest.mark.parametrize(
    ("header", "wanted"),
    [
        ("bytes=0-0", ByteRange(0, 1)),
        ("bytes=0-", ByteRange(0, 100)),
        ("bytes=10-19", ByteRange(10, 10)),
        ("bytes=90-1000", ByteRange(90, 10)),
        ("bytes=-7", ByteRange(93, 7)),
        ("bytes=-1000", ByteRange(0, 100)),
        ("BYTES=5-5", ByteRange(5, 1)),
        ("", None),
        ("bytes=-", None),
        ("bytes=9-5", None),
        ("bytes=0-1,5-6", None),  # several: a server may answer with the whole
        ("items=0-1", None),
        ("bytes=a-b", None),
        ("bytes=٣-٤", None),
        ("bytes=0-1" + "0" * 100, None),
    ],
)
def test_the_range_that_was_asked_for(header: str, wanted: ByteRange | None) -> None:
    assert range_of(header, 100) == wanted


@pytest.mark.parametrize("header", ["bytes=100-", "bytes=100-200", "bytes=-0"])
def test_a_range_without_a_byte(header: str) -> None:
    with pytest.raises(Unsatisfiable):
        range_of(header, 100)


def test_nothing_is_in_an_empty_file() -> None:
    for header in ("bytes=0-", "bytes=-5"):
        with pytest.raises(Unsatisfiable):
            range_of(header, 0)


@given(st.text(max_size=60) | st.from_regex(r"bytes=[0-9]{0,4}-[0-9]{0,4}", fullmatch=True), st.integers(0, 5000))
def test_a_range_is_always_inside(header: str, size_bytes: int) -> None:
    try:
        found = range_of(header, size_bytes)
    except Unsatisfiable:
        return
    assert found is None or (found.length > 0 and 0 <= found.start <= found.start + found.length <= size_bytes)


def test_five_thousand_ranges_are_one_whole_file() -> None:
    assert range_of("bytes=" + ",".join(f"{n}-{n}" for n in range(5000)), 10_000) is None


@pytest.mark.parametrize(
    ("header", "etag", "matches"),
    [
        ('"a"', '"a"', True),
        ('W/"a"', '"a"', True),
        ('"b", "a"', 'W/"a"', True),
        ("*", '"a"', True),
        ('"b"', '"a"', False),
        ("", '"a"', False),
        ("a", '"a"', False),
    ],
)
def test_what_the_client_has_already(header: str, etag: str, *, matches: bool) -> None:
    assert matches_any(header, etag) is matches


def test_parts_are_put_together_only_under_the_same_strong_tag() -> None:
    assert still_the_same("", '"a"')
    assert still_the_same('"a"', '"a"')
    assert not still_the_same('"b"', '"a"')
    assert not still_the_same('W/"a"', 'W/"a"')
    assert not still_the_same("Tue, 01 Sep 2026 08:00:00 GMT", '"a"')
