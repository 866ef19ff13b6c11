"""The files we write, shown to parsers that are not ours: W3C's validator and Chromium's own."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from playwright.sync_api import Page, sync_playwright

from archive.model import Cue, Span
from tests.browser import chromium
from tests.transcribe.test_webvtt import CUES, normal
from transcribe import webvtt
from transcribe.lines import joined

VALIDATOR = Path(__file__).parent.parent / "vendor" / "webvtt-parser.js"
pytestmark = pytest.mark.browser

CHROMIUM = """async (text) => {
  const video = document.createElement('video'), track = document.createElement('track');
  track.kind = 'captions'; track.default = true;
  track.src = URL.createObjectURL(new Blob([text], {type: 'text/vtt'}));
  video.append(track); document.body.append(video); track.track.mode = 'showing';
  await new Promise((done, failed) => { track.onload = done; track.onerror = () => failed(new Error('refused')) });
  const cues = [...track.track.cues].map(c => [c.startTime, c.endTime, c.getCueAsHTML().textContent]);
  video.remove();
  return cues;
}"""


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    with sync_playwright() as playwright, chromium(playwright) as browser:
        opened = browser.new_page()
        opened.add_script_tag(path=VALIDATOR)
        yield opened


def validated(page: Page, text: str) -> dict[str, Any]:
    return page.evaluate(f"new WebVTTParser().parse({json.dumps(text)}, 'captions')")


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(CUES)
def test_the_validator_of_w3c_accepts_every_file(page: Page, cues: list[Cue]) -> None:
    in_order = sorted(cues, key=lambda cue: cue.span)  # it wants starts in order, as a transcript has them
    told = validated(page, webvtt.write(in_order))
    assert told["errors"] == []
    assert len(told["cues"]) == len(normal(in_order))


def test_chromium_shows_what_was_said(page: Page) -> None:
    cues = [
        Cue(Span(0, 1_500), "上课，<b>同学们</b>好 & 坐下 --> 谢谢"),
        Cue(Span(1_500, 4_000), "直角三角形的两条直角边的平方和等于斜边的平方，这就是勾股定理"),
        Cue(Span(4_000, 6_000), "Open your books, please, and read the second line of the page aloud."),
    ]
    shown = page.evaluate(CHROMIUM, webvtt.write(cues))
    assert [joined(text.split("\n")) for _, _, text in shown] == [cue.text for cue in cues]
    assert [(start, end) for start, end, _ in shown] == [(0, 1.5), (1.5, 4), (4, 6)]
    assert "\n" in shown[1][2], "two lines of at most 18"
