"""Caption files as schools have them: two formats, four encodings, wrong names, and files that are something else."""

import codecs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archive.errors import Unacceptable, Unreadable
from archive.model import Cue, Span
from transcribe import captions, webvtt
from transcribe.captions import read_captions

SUBRIP = """1
00:00:01,000 --> 00:00:02,500
今天我们学习<i>勾股定理</i>

2
0:00:03.5 --> 0:00:04,000 X1:100 X2:200 Y1:1 Y2:2
{\\an8}a<b，<font color="#fff">好</font>

第二段
3
00:00:05,000 --> 00:00:06,000
12

4
00:00:07,000 --> 00:00:06,000
倒着走
"""
SUBRIP_CUES = (
    Cue(Span(1_000, 2_500), "今天我们学习勾股定理"),
    Cue(Span(3_500, 4_000), "a<b，好第二段"),
    Cue(Span(5_000, 6_000), "12"),
)
VTT = webvtt.write(SUBRIP_CUES)
ENCODED = {
    "utf-8": lambda text: text.encode(),
    "utf-8 with a mark": lambda text: codecs.BOM_UTF8 + text.encode(),
    "utf-16 little endian": lambda text: codecs.BOM_UTF16_LE + text.encode("utf-16-le"),
    "utf-16 big endian": lambda text: codecs.BOM_UTF16_BE + text.encode("utf-16-be"),
    "utf-16 without a mark": lambda text: text.encode("utf-16-le"),
    "utf-16 big endian without a mark": lambda text: text.encode("utf-16-be"),
    "gb18030": lambda text: text.encode("gb18030"),
}


@pytest.mark.parametrize("encoding", ENCODED)
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("text", [SUBRIP, VTT, "\n" + VTT], ids=["srt", "vtt", "vtt after a blank line"])
def test_both_formats_are_read_in_every_encoding(text: str, newline: str, encoding: str) -> None:
    assert read_captions(ENCODED[encoding](text.replace("\n", newline)), "课.srt") == SUBRIP_CUES


def test_the_bytes_count_and_not_the_name() -> None:
    assert read_captions(VTT.encode(), "课.srt") == read_captions(SUBRIP.encode(), "课.vtt")


def test_cues_come_by_time_and_may_overlap() -> None:
    first, second = Cue(Span(0, 3_000), "老师"), Cue(Span(1_000, 2_000), "学生")
    assert read_captions(webvtt.write([second, first]).encode(), "课.vtt") == (first, second)


@pytest.mark.parametrize(
    ("data", "reason_zh"),
    [
        (b"", "没有一条"),
        (b"WEBVTT\n", "没有一条"),
        (b"WEBVTTX\n", "没有一条"),
        (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", "字幕"),
        ("今天星期三".encode(), "没有一条"),
        (b"[Script Info]\nDialogue: 0,0:00:01.00", "没有一条"),
        (b'<tt xmlns="http://www.w3.org/ns/ttml"><body>', "无法读取"),
        (b"PK\x03\x04 and nothing else", "无法读取"),
        (b"\xff\xfe\xfd", "编码"),
        (b"1\n00:00:01,000 --> 00:00:02,000\n\xff\xff\xff", "编码"),
    ],
)
def test_what_is_no_caption_file_is_unreadable_with_a_reason(data: bytes, reason_zh: str) -> None:
    with pytest.raises(Unreadable) as caught:
        read_captions(data, "课.srt")
    assert reason_zh in caught.value.reason_zh
    assert caught.value.name == "课.srt"


def test_a_file_too_large_too_long_or_too_wordy_is_not_taken() -> None:
    second = "00:00:01.000 --> 00:00:02.000\n"
    too_many = "WEBVTT\n\n" + f"{second}好\n\n" * (captions.MAX_CUES + 1)
    too_wordy = f"WEBVTT\n\n{second}{'好' * (captions.MAX_CUE_CHARACTERS + 1)}\n"
    for data in (b" " * (captions.MAX_BYTES + 1), too_many.encode(), too_wordy.encode()):
        with pytest.raises(Unacceptable):
            read_captions(data, "课.vtt")


@given(st.binary() | st.text().map(str.encode) | st.text().map(lambda text: f"WEBVTT\n\n{text}".encode()))
def test_any_bytes_give_cues_or_a_reason(data: bytes) -> None:
    try:
        cues = read_captions(data, "x")
    except Unreadable as error:
        assert error.reason_zh
    else:
        assert cues
