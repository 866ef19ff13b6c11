"""The grammar of what recorders upload."""

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archive.errors import Unacceptable
from archive.keys import IncomingKey, LiveKey, is_piece, live_key, shared_room, shown


def test_a_recorders_key_is_taken_apart() -> None:
    key = IncomingKey.parse("xinghuo/301/20260901T0800-2.MP4")
    assert (key.school, key.room, key.part, key.extension) == ("xinghuo", "301", 2, "mp4")
    assert key.started_at == datetime(2026, 9, 1, 8, 0)  # noqa: DTZ001 — a room's wall clock
    assert key.stem == "xinghuo/301/20260901T0800-2"
    assert key.is_media
    assert not IncomingKey.parse("xinghuo/301/20260901T0800.json").is_media


@pytest.mark.parametrize("clock", ["0800", "080000", "08-00", "08-00-00"])
def test_clocks_are_written_in_several_ways(clock: str) -> None:
    assert IncomingKey.parse(f"a/b/2026-09-01T{clock}.ts").started_at.hour == 8


@pytest.mark.parametrize(
    "key",
    [
        "",
        "20260901T0800.mp4",
        "a/20260901T0800.mp4",
        "a/b/c/20260901T0800.mp4",
        "a/b/lesson.mp4",
        "a/b/20261301T0800.mp4",
        "a/b/20260901T2500.mp4",
        "a/b/20260901T0800",
        "a/b/20260901T0800.exe",
        "a/b/20260901T0800.zip",
        "../b/20260901T0800.mp4",
        "a/../20260901T0800.mp4",
        "a//20260901T0800.mp4",
        "a/b/../20260901T0800.mp4",
        "a/%2e%2e/20260901T0800.mp4",
        "A/b/20260901T0800.mp4",
        "a/b\x00/20260901T0800.mp4",
        "a/b/20260901T0800.mp4\n",
        "星火/301/20260901T0800.mp4",
        "-a/b/20260901T0800.mp4",
        "a/b/-y20260901T0800.mp4",
    ],
)
def test_what_is_outside_the_grammar_is_refused_with_the_remedy(key: str) -> None:
    with pytest.raises(Unacceptable) as refusal:
        IncomingKey.parse(key)
    assert "xinghuo/301/20260901T0800.mp4" in refusal.value.reason_zh


@given(st.text())
def test_any_text_is_a_key_or_unacceptable_and_can_be_shown(text: str) -> None:
    try:
        parsed = IncomingKey.parse(text)
    except Unacceptable as refusal:
        assert "\n" not in str(refusal)
    else:
        assert not {"/", ".", "\x00"} & set(parsed.school + parsed.room)
    assert shown(text).isprintable()


SLUGS = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True)


@given(SLUGS, SLUGS, st.integers(0, 999_999))
def test_a_recording_in_the_making_has_a_key_for_each_piece(school: str, room: str, number: int) -> None:
    key = live_key(school, room, "20260901T0800-2", f"{number:06d}.part")
    found = LiveKey.parse(key)
    assert found is not None
    assert (found.piece, found.incoming.part, found.incoming.room) == (number, 2, room)
    assert key.startswith(found.prefix)
    assert is_piece(key)
    manifest = LiveKey.parse(live_key(school, room, "20260901T0800", "open.json"))
    assert manifest is not None
    assert manifest.piece is None


@pytest.mark.parametrize(
    "key",
    [
        "xinghuo/301/20260901T0800.live/1.part",
        "xinghuo/301/20260901T0800.live/000000.mp4",
        "xinghuo/301/20260901T0800/000000.part",
        "xinghuo/301/20260931T0800.live/000000.part",
        "xinghuo/301/x/20260901T0800.live/000000.part",
        "000000.part",
        "",
    ],
)
def test_any_other_key_is_no_piece(key: str) -> None:
    assert not is_piece(key)
    assert LiveKey.parse(key) is None


def test_a_rooms_name_may_say_the_view() -> None:
    assert shared_room("301-screen") == ("301", "screen")
    assert shared_room("301") == ("301", "")
    assert shared_room("301-west") == ("301-west", "")
    assert shared_room("teacher") == ("teacher", "")
