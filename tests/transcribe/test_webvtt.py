"""WebVTT is a language, and the texts in it are other people's: properties first, then the attacks one by one."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archive.model import Cue, Span
from transcribe import webvtt
from transcribe.lines import broken, one_line

ANY_TEXT = st.text(alphabet=st.characters(exclude_categories=()))  # lone surrogates too
# fmt: off
HOSTILE = st.lists(st.sampled_from([
    "-->", "00:00:01.000 --> 00:00:02.000", "00:01.000", "\n", "\r", "\n\n", " ", "\x00", "\u2028", "\ufeff", "\u202e",
    "WEBVTT", "NOTE", "STYLE", "::cue{}", "&", "&amp;", "&#60;", "<", ">", "<b>", "<v 张老师>", "<rt>", "勾股定理",
])).map("".join)
# fmt: on
SPANS = st.tuples(st.integers(0, 10**7), st.integers(1, 10**5)).map(lambda pair: Span(pair[0], pair[0] + pair[1]))
CUES = st.lists(st.builds(Cue, SPANS, ANY_TEXT | HOSTILE))


def cue(text: str, start_ms: int = 1_000, end_ms: int = 2_000) -> Cue:
    return Cue(Span(start_ms, end_ms), text)


def normal(cues: list[Cue]) -> tuple[Cue, ...]:
    lines = [Cue(c.span, one_line(c.text)) for c in cues]
    return tuple(c for c in lines if c.text)


@given(CUES)
def test_what_is_written_is_read_back(cues: list[Cue]) -> None:
    assert webvtt.read(webvtt.write(cues)) == normal(cues)


@given(CUES)
def test_every_written_file_is_one_header_and_a_block_of_one_or_two_lines_a_cue(cues: list[Cue]) -> None:
    written = webvtt.write(cues).encode().decode()  # and it has a UTF-8 form
    assert written.count("-->") == len(normal(cues))
    assert len(written.splitlines()) == 1 + sum(2 + len(broken(cue.text)) for cue in normal(cues))


@given(ANY_TEXT | HOSTILE)
def test_one_line_is_one_line_and_stays_so(text: str) -> None:
    line = one_line(text)
    assert len(line.splitlines()) <= 1
    assert one_line(line) == line


@given(ANY_TEXT | HOSTILE)
def test_the_reader_raises_nothing_but_valueerror(text: str) -> None:
    for each in webvtt.read("WEBVTT\n\n" + text):
        assert each.text == one_line(each.text)
    with contextlib.suppress(ValueError):
        webvtt.read(text)


@pytest.mark.parametrize(
    "text",
    [
        "说完\n\n00:00:09.000 --> 00:00:10.000\n伪造的字幕",
        "a --> b",
        "x\n\nNOTE 藏起来\n\ny",
        "x\r\rSTYLE\r::cue { color: transparent }",
        "</v><script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "&lt;script&gt;",
        "一\u2028二\u2029三",
        "REGION\nid:x",
        "WEBVTT",
    ],
)
def test_no_text_gets_out_of_its_cue(text: str) -> None:
    (alone,) = webvtt.read(webvtt.write([cue(text)]))
    assert alone == cue(one_line(text))
    payload = webvtt.write([cue(text)]).splitlines()[3]
    assert "<" not in payload
    assert "-->" not in payload


def test_the_file_looks_as_players_expect() -> None:
    written = webvtt.write([cue("a < b & c", 0, 1_500), cue("好。", 3_600_000, 3_600_900)])
    assert written == (
        "WEBVTT\n\n00:00:00.000 --> 00:00:01.500\na &lt; b &amp; c\n\n01:00:00.000 --> 01:00:00.900\n好。\n"
    )
    assert webvtt.write([]) == "WEBVTT\n"
    assert webvtt.read("WEBVTT\n") == ()


def test_a_file_from_an_editor_is_read_with_everything_it_may_carry() -> None:
    text = """\ufeffWEBVTT 七年级数学\r
Kind: captions\r
\r
STYLE\r
::cue(b) { color: red }\r
\r
REGION\r
id:below width:40%\r
\r
NOTE\r
老师已校对\r
\r
第一句\r
00:01.000 --> 00:04.000 position:10%,line-left align:start\r
<v.loud 张老师>今天<c.term>学习</c> <i>勾股定理</i>\r
第二行\r
\r
00:00:05.000-->00:00:06.500\tline:0\r
<00:00:05.500>a &lt; b &amp;&#38; c&nbsp;d\r
   \r
7\r
00:00:07.000 --> 00:00:08.000\r
<ruby>勾股<rt>gōu gǔ</rt></ruby>树\r
"""
    assert webvtt.read(text) == (
        cue("今天学习 勾股定理第二行", 1_000, 4_000),
        cue("a < b && c d", 5_000, 6_500),
        cue("勾股树", 7_000, 8_000),
    )


@pytest.mark.parametrize(
    "block",
    [
        "00:00:05.000 --> 00:00:05.000\n空的时间",
        "00:00:05.000 --> 00:00:04.000\n倒着走",
        "00:00:05 --> 00:00:06\n没有毫秒",
        "00:00:05.000 -->\n没有结尾",
        "99999999999999999999:00:00.000 --> 99999999999999999999:00:01.000\n装不下的时间",
        "00:00:05.000 --> 00:00:06.000",
        "00:00:05.000 --> 00:00:06.000\n<b></b>",
        "只有文字",
        "一行\n两行\n00:00:05.000 --> 00:00:06.000\n编号只能有一行",
    ],
)
def test_a_block_that_is_no_cue_is_passed_over(block: str) -> None:
    good = "00:00:07.000 --> 00:00:08.000\n好"
    assert webvtt.read(f"WEBVTT\n\n{block}\n\n{good}\n") == (cue("好", 7_000, 8_000),)


def test_a_forgotten_blank_line_costs_no_cue() -> None:
    text = "WEBVTT\n00:01.000 --> 00:02.000\n一\n00:02.000 --> 00:03.000\n二\n"
    assert webvtt.read(text) == (cue("一"), cue("二", 2_000, 3_000))


@pytest.mark.parametrize("text", ["", "WEBVTTX\n\n", "1\n00:00:01,000 --> 00:00:02,000\n好", " WEBVTT"])
def test_a_file_without_the_signature_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="signature"):
        webvtt.read(text)
