"""Debian's Chromium, headless, through Playwright: no browser of Playwright's own is ever downloaded."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, Playwright

# The last four keep it from calling its maker's servers, which a closed network answers slowly or not at all.
_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@contextmanager
def chromium(playwright: Playwright) -> Iterator[Browser]:
    program = shutil.which("chromium")
    assert program is not None, "chromium is missing: apt-get install chromium (script/test does it)"
    browser = playwright.chromium.launch(executable_path=program, args=_FLAGS)
    try:
        yield browser
    finally:
        browser.close()
