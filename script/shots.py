"""Screenshots of the pages of a running `huikan serve`, phone and desktop, light and dark: to look at, and for the README.

Finds the address and the codes in the data directory of the server, or is told them.
"""

import argparse
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from api.state import serving
from archive.settings import Settings, secret

ROOT = Path(__file__).resolve().parent.parent
SIZES = {"phone": (390, 844), "desktop": (1280, 800)}
CHROMIUM = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars"]
CHROMIUM += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]

# Those below the fold wait to be scrolled to.
_PICTURES_ARE_THERE = """Array.from(document.images).every(function (picture) {
    return picture.complete || picture.getBoundingClientRect().top > window.innerHeight;
})"""


def main() -> int:
    asked = _arguments()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=CHROMIUM)
        for size in SIZES:
            for scheme in ("light", "dark"):
                for path in _shoot(browser, asked, size, scheme):
                    print(path.relative_to(ROOT) if path.is_relative_to(ROOT) else path)
        browser.close()
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--home", type=Path, default=Path("huikan-data"), help="the server's data directory")
    parser.add_argument("--url", help="the server's address, if it serves no local data directory")
    parser.add_argument("--student", help="the students' code")
    parser.add_argument("--staff", help="the staff's code")
    parser.add_argument("--search", default="勾股定理", help="what to search for")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "shots")
    asked = parser.parse_args()
    if not asked.url:
        found = serving(asked.home)
        if found is None:
            parser.error(f"nothing is being served from {asked.home}: start `huikan serve` or give --url")
        settings = Settings(home=asked.home).with_secrets()  # pyright: ignore[reportCallIssue]
        asked.url = found.url
        asked.student, asked.staff = secret(settings.student_code), secret(settings.staff_code)
    asked.out.mkdir(parents=True, exist_ok=True)
    return asked


def _shoot(browser: Browser, asked: argparse.Namespace, size: str, scheme: str) -> Iterator[Path]:
    def file(name: str) -> Path:
        return asked.out / f"{name}-{size}-{scheme}.webp"

    with _visit(browser, asked.url, asked.student, size, scheme) as page:
        yield _saved(page, file("library"))
        page.goto(f"{asked.url}/search?q={asked.search}")
        yield _saved(page, file("search"))
        moment = page.locator("a.moment").first
        if moment.count():
            moment.click()
            _play_a_little(page)
            yield _saved(page, file("lesson"))
        else:
            print(f"nothing is found for {asked.search}: no picture of a lesson", file=sys.stderr)
    with _visit(browser, asked.url, asked.staff, size, scheme) as page:
        page.goto(f"{asked.url}/arrivals")
        yield _saved(page, file("arrivals"))


@contextmanager
def _visit(browser: Browser, url: str, code: str, size: str, scheme: str) -> Iterator[Page]:
    width, height = SIZES[size]
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme="dark" if scheme == "dark" else "light",
        locale="zh-CN",
        device_scale_factor=2 if size == "phone" else 1,
        has_touch=size == "phone",
        bypass_csp=True,  # ours allows no eval, which waiting for a condition needs
    )
    page = context.new_page()
    page.goto(f"{url}/enter#{code}")
    page.wait_for_url(f"{url}/")
    yield page
    context.close()


def _play_a_little(page: Page) -> None:
    """Until a picture is there and a line of the transcript is the current one."""
    page.wait_for_function("document.getElementById('video').readyState >= 2")
    page.evaluate("document.getElementById('video').muted = true")
    page.evaluate("document.getElementById('video').play()")
    began = page.evaluate("document.getElementById('video').currentTime")
    page.wait_for_function(f"document.getElementById('video').currentTime > {began} + 1.5")
    page.evaluate("document.getElementById('video').pause()")


def _saved(page: Page, path: Path) -> Path:
    page.wait_for_load_state("load")
    page.wait_for_function(_PICTURES_ARE_THERE)
    with Image.open(BytesIO(page.screenshot())) as picture:
        picture.convert("RGB").save(
            path, quality=88, method=6
        )  # WebP: a quarter of PNG's bytes, kept in the repository
    return path


if __name__ == "__main__":
    sys.exit(main())
