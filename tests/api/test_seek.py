"""The search box in Chromium: suggestions while real keys are pressed, also while an input method composes."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, CDPSession, Page, expect, sync_playwright

from archive.model import Cue, Span
from tests.api.school import STUDENT, School
from tests.api.test_player import served
from tests.browser import chromium

pytestmark = pytest.mark.browser
WAIT_MS = 30_000


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright, chromium(playwright) as running:
        yield running


@pytest.fixture
def page(browser: Browser, school: School) -> Iterator[Page]:
    """The library of a student who has entered; two lessons speak of 勾股定理, one misheard."""
    school.publish("八年级第一课", day=1, cues=(Cue(Span(0, 4000), "今天学习勾股定理和勾股数"),))
    school.publish("八年级第二课", day=2, cues=(Cue(Span(0, 4000), "复习一下沟谷定理"),))
    with served(school.app) as origin:
        context = browser.new_context(base_url=origin)
        context.set_default_timeout(WAIT_MS)
        opened = context.new_page()
        opened.goto("/enter")
        opened.fill('input[type="password"]', STUDENT)
        opened.keyboard.press("Enter")
        opened.wait_for_url("**/")
        yield opened
        context.close()


def test_letters_are_suggested_for_and_arrows_choose(page: Page) -> None:
    box, list_ = page.locator(".seek input"), page.locator("#suggestions")
    box.press_sequentially("gougu", delay=20)
    expect(list_.locator("li")).to_have_text(["勾股数", "勾股定理"], timeout=WAIT_MS)
    expect(box).to_have_attribute("aria-expanded", "true")
    box.press("ArrowDown")
    box.press("ArrowDown")
    expect(list_.locator("[aria-selected]")).to_have_text("勾股定理")
    box.press("Enter")
    page.wait_for_url("**/search?q=*")
    expect(page.locator("h1")).to_have_text("“勾股定理”")
    expect(page.locator(".flag").first).to_have_text("同音")  # the lesson that was misheard says why it is here
    page.locator(".seek input").fill("")
    page.locator(".seek input").blur()
    page.locator(".seek input").focus()
    expect(page.locator("#suggestions li")).to_have_text(["勾股定理"])  # what was looked for in this tab


def test_an_input_method_keeps_its_keys_and_its_letters_are_suggested_for(page: Page) -> None:
    box, list_ = page.locator(".seek input"), page.locator("#suggestions")
    box.focus()
    typing: CDPSession = page.context.new_cdp_session(page)
    for letters in ("g", "go", "gou", "gou'g", "gou'gu"):
        typing.send(
            "Input.imeSetComposition", {"text": letters, "selectionStart": len(letters), "selectionEnd": len(letters)}
        )
    expect(list_.locator("li").first).to_have_text("勾股数", timeout=WAIT_MS)
    # Arrow and Enter belong to the input method while it composes: 229 is what browsers say for its keys.
    for key in ("ArrowDown", "Enter"):
        typing.send("Input.dispatchKeyEvent", {"type": "rawKeyDown", "windowsVirtualKeyCode": 229, "key": key})
    assert list_.locator("[aria-selected]").count() == 0
    assert page.url.endswith("/")
    typing.send("Input.insertText", {"text": "勾股定"})  # the child picks the characters
    expect(list_.locator("li")).to_have_text(["勾股定理"], timeout=WAIT_MS)
    assert box.input_value() == "勾股定"
    list_.locator("li").click()
    page.wait_for_url("**/search?q=*")
    expect(page.locator("mark").first).to_have_text("勾股定理")


def test_escape_and_leaving_the_box_hide_the_suggestions(page: Page) -> None:
    box, list_ = page.locator(".seek input"), page.locator("#suggestions")
    box.press_sequentially("勾股")
    expect(list_).to_be_visible(timeout=WAIT_MS)
    box.press("Escape")
    expect(list_).to_be_hidden()
    box.press_sequentially("定")
    expect(list_).to_be_visible(timeout=WAIT_MS)
    page.locator("h1").click()
    expect(list_).to_be_hidden()
