from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.transcode.clips import make, picture, shown, sound, x264
from transcode.fmp4 import Malformed, begins_at, boxes, codec_of, keyframe_bytes, placed, timescale

FRAGMENTED = ["-movflags", "+cmaf+frag_keyframe", "-f", "mp4"]


def test_the_codec_is_read_from_the_init(tmp_path: Path) -> None:
    wanted = {
        "high": ([picture(), ["-c:v", "libx264", "-profile:v", "high", "-level", "3.1"]], "avc1.64001f"),
        "aac": ([sound(), ["-c:a", "aac"]], "mp4a.40.2"),
        "opus": ([sound(), ["-c:a", "libopus"]], "opus"),
    }
    for name, (arguments, codec) in wanted.items():
        path = make(tmp_path / f"{name}.mp4", *arguments, "-pix_fmt", "yuv420p", FRAGMENTED)
        assert codec_of(path.read_bytes()) == codec


def test_a_descriptor_of_another_kind_is_not_taken_for_a_codec() -> None:
    with pytest.raises(Malformed, match="descriptor"):
        codec_of(b"esds" + bytes(30))


def test_a_fragment_that_is_moved_plays_later_and_is_otherwise_the_same(tmp_path: Path) -> None:
    path = make(tmp_path / "a.mp4", picture(), x264("-bf", "2"), FRAGMENTED)
    whole = path.read_bytes()
    ticks = timescale(whole)
    later = tmp_path / "b.mp4"
    later.write_bytes(placed(whole, 7 * ticks, 3))
    assert begins_at(later.read_bytes()) == begins_at(whole) + 7 * ticks
    before, after = (
        [float(packet["pts_time"]) for packet in shown(file, "packet=pts_time")["packets"]] for file in (path, later)
    )
    assert [round(at - 7, 6) for at in after] == before
    assert placed(later.read_bytes(), -7 * ticks, 1) == placed(whole, 0, 1)


def test_a_segment_carries_only_boxes_that_a_player_reads(tmp_path: Path) -> None:
    hls = ["-f", "hls", "-hls_segment_type", "fmp4", "-hls_segment_options", "movflags=+cmaf"]
    make(tmp_path / "index.m3u8", picture(), x264(), hls)
    segment = (tmp_path / "index0.m4s").read_bytes()
    kept = [kind for kind, _, _ in boxes(placed(segment, 0, 1))]
    assert {kind for kind, _, _ in boxes(segment)} - set(kept) == {b"styp", b"sidx"}
    assert kept[0] == b"moof"
    whole = tmp_path / "whole.mp4"
    whole.write_bytes((tmp_path / "init.mp4").read_bytes() + placed(segment, 0, 1))
    assert len(shown(whole, "packet=pts_time")["packets"]) == 25


def test_a_keyframe_ends_where_its_sample_does(tmp_path: Path) -> None:
    whole = make(tmp_path / "a.mp4", picture(), x264(), FRAGMENTED).read_bytes()
    (first, *_) = shown(tmp_path / "a.mp4", "packet=pos,size,flags")["packets"]
    assert keyframe_bytes(whole) == int(first["pos"]) + int(first["size"])
    assert "K" in first["flags"]


@given(st.binary(max_size=200))
def test_bytes_that_are_no_boxes_are_named_so_and_never_read_beyond(data: bytes) -> None:
    try:
        found = list(boxes(data))
    except Malformed:
        return
    assert all(8 <= start <= end <= len(data) for _, start, end in found)
