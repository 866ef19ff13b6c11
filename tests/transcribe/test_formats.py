"""Caption formats beyond WebVTT: what editors, karaoke programs, dictation and television write, and what we hand out."""

import io
import zipfile
from xml.sax.saxutils import escape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archive.errors import Unreadable
from archive.model import Cue, Span
from tests.transcribe.test_webvtt import CUES, normal
from transcribe import captions, minutes, subrip
from transcribe.captions import read_captions
from transcribe.decoding import text_of

SAID = (Cue(Span(1_000, 2_500), "上课，同学们好。"), Cue(Span(3_000, 5_250), "今天学习勾股定理，请看黑板。"))

ASS = r"""[Script Info]
Title: 第一课
[V4+ Styles]
Format: Name, Fontname
Style: Default,微软雅黑
[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
Comment: 0,0:00:00.00,0:00:01.00,Default,,0,0,0,,不显示
Dialogue: 0,0:00:01.00,0:00:02.50,Default,老师,0,0,0,,{\an8\b1}上课，{\b0}同学们好。
Dialogue: 0,0:00:02.00,0:00:02.50,Default,,0,0,0,,{\p1}m 0 0 l 10 10{\p0}
Dialogue: 0,0:00:03.00,0:00:05.25,Default,,0,0,0,,今天学习勾股定理，\N请看黑板。
"""
TTML = """<?xml version="1.0" encoding="UTF-8"?>
<tt xmlns="http://www.w3.org/ns/ttml" xmlns:ttp="http://www.w3.org/ns/ttml#parameter" ttp:frameRate="25" xml:lang="zh">
 <body><div begin="00:00:01.000">
  <p begin="0s" end="1.5s">上课，<span>同学们好。</span></p>
  <p begin="00:00:02:00" dur="2250ms">今天学习勾股定理，<br/>请看黑板。</p>
  <p begin="9s" end="8s">倒着走</p>
 </div></body>
</tt>
"""
LRC = (
    "[ti:第一课]\n[offset:+0]\n[00:01.00]上课，同学们好。\n[00:02.50]\n"
    "[00:03.00]<00:03.00>今天学习勾股定理，请看黑板。\n[00:05.25]\n"
)
MINUTES = "课堂记录\n\n老师 00:01\n上课，同学们好。\n\n学生：[00:00:03]今天学习勾股定理，\n请看黑板。\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "gb18030"])
@pytest.mark.parametrize("text", [ASS, TTML, LRC], ids=["ass", "ttml", "lrc"])
def test_every_format_is_read_in_every_encoding(text: str, encoding: str) -> None:
    assert read_captions(text.encode(encoding), "课.txt") == SAID


def test_one_lyric_sung_twice_is_two_cues_and_the_last_stays_a_while() -> None:
    cues = read_captions(b"[00:01.00][00:10.00]la la\n[00:05.5]other", "song.lrc")
    assert [(cue.span, cue.text) for cue in cues] == [
        (Span(1_000, 5_500), "la la"),
        (Span(5_500, 10_000), "other"),
        (Span(10_000, 15_000), "la la"),
    ]


def test_text_with_clocks_becomes_cues_that_last_until_the_next_clock() -> None:
    cues = read_captions(MINUTES.encode("gb18030"), "记录.txt")
    assert [(cue.span.start_ms, cue.text) for cue in cues] == [
        (1_000, "上课，同学们好。"),
        (3_000, "今天学习勾股定理，请看黑板。"),
    ]
    assert cues[0].span.end_ms == 3_000


def test_a_long_paragraph_is_cut_into_cues_in_exactly_its_words() -> None:
    paragraph = "今天我们学习百分之五怎样写成小数。" * 12
    cues = read_captions(f"00:10\n{paragraph}\n05:00\n下课".encode(), "记录.txt")
    assert "".join(cue.text for cue in cues) == f"{paragraph}下课"
    assert len(cues) > 10
    assert all(cue.span.duration_ms <= captions.MAX_CUE_CHARACTERS * 10 for cue in cues)


def docx(*paragraphs: str) -> bytes:
    word = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
    body = "".join(f"<w:p><w:r><w:t>{escape(p)}</w:t></w:r></w:p>" for p in paragraphs)
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("word/document.xml", f'<w:document xmlns:w="{word}"><w:body>{body}</w:body></w:document>')
    return made.getvalue()


def test_a_word_document_is_read_like_its_text() -> None:
    assert read_captions(docx(*MINUTES.splitlines()), "记录.docx") == read_captions(MINUTES.encode(), "记录.txt")


@pytest.mark.parametrize(
    "data",
    [
        docx(),
        docx("没有时间的文字"),
        b"PK\x03\x04",
        TTML.replace("<tt ", '<!DOCTYPE tt [<!ENTITY a "aaaa">]><tt ').encode(),
        b"<tt><body>",
    ],
)
def test_what_cannot_be_used_says_what_can(data: bytes) -> None:
    with pytest.raises(Unreadable) as caught:
        read_captions(data, "x")
    assert "SRT" in caught.value.reason_zh


def test_a_damaged_document_is_read_or_refused_and_nothing_else() -> None:
    whole = docx(*MINUTES.splitlines())
    refused = 0
    for at in range(len(whole)):
        damaged = bytearray(whole)
        damaged[at] ^= 0x55
        try:
            read_captions(bytes(damaged), "x.docx")
        except Unreadable:
            refused += 1
    assert refused > len(whole) // 3


def test_a_document_that_unpacks_to_gigabytes_is_refused_before_it_does() -> None:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("word/document.xml", b" " * (21 * 2**20))
    with pytest.raises(ValueError, match="bytes of XML"):
        minutes.text_of_docx(made.getvalue())


@given(CUES)
def test_subrip_gives_back_any_text(cues: list[Cue]) -> None:
    assert tuple(subrip.read(subrip.write(cues))) == normal(cues)


@given(st.text())
def test_any_text_is_found_again_in_its_encoding(text: str) -> None:
    encoded = text.encode("utf-8", "replace")
    if (
        encoded[:4] not in (b"\x84\x31\x95\x33",)
        and b"\x00" not in encoded[:200]
        and not encoded.startswith(b"\xef\xbb\xbf")
    ):
        assert text_of(encoded, "x") == encoded.decode()


@given(st.binary())
def test_any_bytes_give_cues_or_a_reason(data: bytes) -> None:
    for start in (b"", b"PK\x03\x04", b"<tt>", b"[Script Info]\n", b"[00:01.00]", b"00:01\n"):
        try:
            assert read_captions(start + data, "x")
        except Unreadable as error:
            assert error.reason_zh


def test_a_handout_has_the_words_and_a_clock_a_minute() -> None:
    cues = [*SAID, Cue(Span(61_000, 62_000), "第二_分钟*")]
    assert minutes.write(cues, "勾股定理") == (
        "# 勾股定理\n\n**0:01**\n\n上课，同学们好。今天学习勾股定理，请看黑板。\n\n**1:01**\n\n第二\\_分钟\\*\n"
    )
