"""The lesson page in Chromium: real HLS plays, the caption shows, a click on a line or a hit seeks, nothing foreign runs."""

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path

import pytest
import uvicorn
from fastapi import FastAPI
from PIL import Image
from playwright.sync_api import Browser, Page, Route, expect, sync_playwright

from api.links import LONGEST_S
from archive.keys import rendition_prefix, still_key
from archive.model import Board, Cue, Lesson, Probe, Rendition, Span, Still
from tests.api.school import LADDER, SPEECH, STAFF, STUDENT, School
from tests.browser import chromium
from tests.transcode.clips import encoded, probed

pytestmark = pytest.mark.browser

CUES = (
    Cue(Span(0, 1_500), "同学们好，上课"),
    Cue(Span(1_500, 3_000), "今天我们来学习勾股定理"),
    Cue(Span(3_000, 4_000), "<img src=x onerror=window.hacked=1>"),
)
WAIT_MS = 30_000  # a bound for what never comes, far above what anything takes

# Makes a browser that cannot play HLS by itself of one that can.
NO_NATIVE_HLS = """
    const known = HTMLMediaElement.prototype.canPlayType;
    HTMLMediaElement.prototype.canPlayType = function (type) {
        return /mpegurl/i.test(type) ? '' : known.call(this, type);
    };
"""


@contextmanager
def served(app: FastAPI) -> Iterator[str]:
    """The application on a port of its own, in a thread."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, server_header=False))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright, chromium(playwright) as running:
        yield running


@dataclass(frozen=True)
class Ladder:
    directory: Path
    probe: Probe
    renditions: tuple[Rendition, ...]


@pytest.fixture(scope="module")
def ladder(tiny_recording: Path, tmp_path_factory: pytest.TempPathFactory) -> Ladder:
    """Four seconds of real fMP4 HLS in two rungs: a picture and the sound, each with its own playlist."""
    directory = tmp_path_factory.mktemp("ladder")
    return Ladder(directory, probed(tiny_recording), encoded(tiny_recording, directory))


@pytest.fixture
def lesson(school: School, ladder: Ladder) -> Lesson:
    made = school.arrive("勾股定理")
    prefix = rendition_prefix(made.recording_id, LADDER)
    for path in ladder.directory.rglob("*.m*"):
        school.store.put_file(school.bucket, f"{prefix}/{path.relative_to(ladder.directory).as_posix()}", path)
    renditions = [replace(one, playlist_key=f"{prefix}/{one.playlist_key}") for one in ladder.renditions]
    school.catalog.outputs.keep_probe(made.recording_id, ladder.probe)
    school.catalog.outputs.keep_renditions(made.recording_id, LADDER, renditions)
    school.put_transcript(made, CUES)
    school.catalog.outputs.publish(made.recording_id, ladder_edition=LADDER, speech_edition=SPEECH)
    school.reindex(made.id)
    return school.catalog.lessons.get(made.id)


@pytest.fixture
def site(school: School) -> Iterator[str]:
    with served(school.app) as url:
        yield url


@pytest.fixture
def page(site: str, browser: Browser) -> Iterator[Page]:
    """A student's page that has entered; a test fails if a script of ours fails or the content policy is broken."""
    context = browser.new_context(locale="zh-CN")
    context.set_default_timeout(WAIT_MS)
    opened = context.new_page()
    complaints: list[str] = []
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.on("dialog", lambda dialog: complaints.append(dialog.message))
    opened.on("console", lambda line: complaints.append(line.text) if "Content Security Policy" in line.text else None)
    opened.goto(f"{site}/enter#{STUDENT}")
    opened.wait_for_url(f"{site}/")
    yield opened
    hacked = opened.evaluate("'hacked' in window")
    context.close()
    assert not hacked
    assert complaints == []


def until(page: Page, condition: str) -> None:
    """Waits for something about `video`, looking whenever the player says that something has changed."""
    page.wait_for_selector("#video", state="attached")  # a link just followed may still be on its way
    page.evaluate(
        f"""() => new Promise((done, fail) => {{
            const video = document.getElementById('video');
            const look = () => {{ if ({condition}) done(); }};
            const changes = ['timeupdate', 'seeked', 'loadeddata', 'loadedmetadata', 'playing', 'ended', 'ratechange'];
            changes.forEach(change => video.addEventListener(change, look));
            document.querySelectorAll('track').forEach(track => track.addEventListener('load', look));
            setTimeout(() => fail(new Error('never came true')), {WAIT_MS});
            look();
        }})"""
    )


def play(page: Page) -> None:
    page.evaluate("document.getElementById('video').play().catch(() => 'a new source came first')")


def test_the_printed_address_opens_the_door_without_telling_anybody_the_code(site: str, browser: Browser) -> None:
    context = browser.new_context()
    visitor = context.new_page()
    asked: list[str] = []
    visitor.on("request", lambda request: asked.append(request.url + str(request.headers)))
    visitor.goto(f"{site}/enter#{STUDENT}")
    visitor.wait_for_url(f"{site}/")
    expect(visitor.get_by_role("heading", name="全部课程")).to_be_visible()
    assert not [url for url in asked if STUDENT in url]
    visitor.go_back()
    assert STUDENT not in visitor.url
    context.close()


@pytest.mark.parametrize("by", ["the browser", "hls.js"])
def test_a_lesson_plays_with_its_sound_and_its_captions(site: str, page: Page, lesson: Lesson, by: str) -> None:
    if by == "hls.js":
        page.add_init_script(NO_NATIVE_HLS)
    page.goto(f"{site}/lesson/{lesson.id}")
    play(page)
    until(page, "video.currentTime > 0.5")
    until(page, "video.textTracks[0].activeCues && video.textTracks[0].activeCues.length === 1")
    until(page, "video.webkitVideoDecodedByteCount > 0 && video.webkitAudioDecodedByteCount > 0")
    assert page.locator("#video").get_attribute("data-by") == ("hls.js" if by == "hls.js" else None)
    assert page.evaluate("document.getElementById('video').textTracks.length") == 1
    until(page, "video.textTracks[0].activeCues.length && video.textTracks[0].activeCues[0].startTime === 1.5")
    caption = "document.getElementById('video').textTracks[0].activeCues[0].getCueAsHTML().textContent"
    assert page.evaluate(caption) == "今天我们来学习勾股定理"
    until(page, "video.ended")


@pytest.mark.parametrize("by", ["the browser", "hls.js"])
def test_a_click_on_a_line_jumps_there_and_the_line_follows(site: str, page: Page, lesson: Lesson, by: str) -> None:
    if by == "hls.js":
        page.add_init_script(NO_NATIVE_HLS)
    page.goto(f"{site}/lesson/{lesson.id}")
    until(page, "video.readyState >= 1")
    line = page.locator("#lines a").nth(2)
    line.click()
    until(page, "video.currentTime >= 3")
    expect(line).to_have_attribute("aria-current", "true")
    expect(page.locator("#lines a[aria-current]")).to_have_count(1)
    expect(page).to_have_url(f"{site}/lesson/{lesson.id}?t=3")
    assert "<img src=x" in line.inner_text()


@pytest.mark.parametrize("by", ["the browser", "hls.js"])
def test_a_hit_of_a_search_starts_the_lesson_at_its_moment(site: str, page: Page, lesson: Lesson, by: str) -> None:
    if by == "hls.js":
        page.add_init_script(NO_NATIVE_HLS)
    page.get_by_label("搜索课程和课堂内容").fill("沟谷定理")
    page.get_by_role("button", name="搜索").click()
    page.locator("a.moment").first.click()
    until(page, "Math.abs(video.currentTime - 1.5) < 0.1 && video.readyState >= 2")
    expect(page.get_by_role("heading", name="在这节课里的 1 处")).to_be_visible()
    play(page)
    until(page, "video.currentTime > 2")
    page.locator(".found-here a.moment").click()
    until(page, "video.currentTime < 2")


# --- three ways to follow a lesson ---------------------------------------------------------------------------------------

TURN_MS = 100  # so that four seconds have more pages than a phone shows at once


@pytest.fixture
def with_board(school: School, lesson: Lesson) -> Lesson:
    """The lesson with forty stills, each of a grey of its own; all but the first ten have a WebP too."""
    stills: list[Still] = []
    for n in range(40):
        made = {kind: BytesIO() for kind in ("JPEG", "WEBP")}
        for kind, content in made.items():
            Image.new("L", (64, 36), 40 + 5 * n).save(content, kind)
        jpeg, webp = (content.getvalue() for content in made.values())
        span, name = Span(n * TURN_MS, (n + 1) * TURN_MS), f"board-{n + 1:05d}.jpg"
        still = Still(span, name, 64, 36, len(jpeg), len(webp) if n >= 10 else 0)
        for key, data in ((still.name, jpeg), *([(still.webp_name, webp)] * (n >= 10))):
            school.store.put_bytes(school.bucket, still_key(lesson.recording_id, LADDER, key), data)
        stills.append(still)
    board = Board(tuple(stills), (), sum(still.size_bytes for still in stills))
    school.catalog.encodings.keep_board(lesson.recording_id, LADDER, board)
    return lesson


def still_at(page: Page) -> int:
    """The number of the still that is shown, from its brightness: the file is there, decoded and seen."""
    grey = page.evaluate(
        """async () => {
            const still = document.querySelector('#still img');
            await still.decode();
            const canvas = document.createElement('canvas');
            canvas.width = canvas.height = 1;
            const context = canvas.getContext('2d');
            context.drawImage(still, 0, 0, 1, 1);
            return context.getImageData(0, 0, 1, 1).data[0];
        }"""
    )
    return round((grey - 40) / 5)


def asked_for(page: Page) -> list[str]:
    """Collects the names below the lesson's signed address that the page asks for from now on."""
    names: list[str] = []
    page.on("request", lambda request: names.append(request.url.split("/", 6)[-1]) if "/v/" in request.url else None)
    return names


@pytest.mark.parametrize("by", ["the browser", "hls.js"])
def test_sound_and_board_go_together(site: str, page: Page, with_board: Lesson, by: str) -> None:
    if by == "hls.js":
        page.add_init_script(NO_NATIVE_HLS)
    page.goto(f"{site}/lesson/{with_board.id}")
    until(page, "video.readyState >= 1 && video.videoWidth > 0")
    names = asked_for(page)
    page.get_by_role("button", name="声音+板书").click()
    play(page)
    until(page, "video.currentTime > 1.6 && video.videoWidth === 0")
    page.evaluate("document.getElementById('video').pause()")
    expect(page.locator("#said-now")).to_have_text("今天我们来学习勾股定理")
    page.locator("#board a").nth(5).click()
    until(page, "Math.abs(video.currentTime - 0.5) < 0.4 && !video.seeking")
    page.locator("#lines a").nth(2).click()
    until(page, "video.ended")
    expect(page.locator("#board a[aria-current]")).to_have_attribute("data-ms", "3900")
    expect(page.locator("#still")).to_be_visible()
    assert still_at(page) == 39
    assert {name.split("/")[0] for name in names if "/" in name} - {"captions"} == {"opus"}


def test_the_next_still_is_there_before_its_turn(site: str, page: Page, with_board: Lesson) -> None:
    page.goto(f"{site}/lesson/{with_board.id}?t=2.05")
    page.get_by_role("button", name="声音+板书").click()
    until(page, "video.readyState >= 2 && Math.abs(video.currentTime - 2.05) < 0.04")
    expect(page.locator("#still img")).to_have_attribute("src", re.compile("board-00021"))
    names = "performance.getEntriesByType('resource').map(entry => entry.name.slice(-10))"
    page.wait_for_load_state("networkidle")
    assert "00022.webp" in page.evaluate(names)


@pytest.mark.parametrize("by", ["the browser", "hls.js"])
def test_a_phone_without_opus_hears_aac(site: str, page: Page, with_board: Lesson, by: str) -> None:
    page.add_init_script("MediaSource.isTypeSupported = type => !/opus/.test(type)")
    if by == "hls.js":
        page.add_init_script(NO_NATIVE_HLS)
        page.add_init_script("""
            const known = MediaSource.isTypeSupported;
            MediaSource.isTypeSupported = type => /mp4a|avc1/.test(type) || known(type);
        """)
    page.goto(f"{site}/lesson/{with_board.id}")
    names = asked_for(page)
    page.get_by_role("button", name="只听声音").click()
    play(page)
    until(page, "video.ended && video.videoWidth === 0")
    assert any(name.startswith("audio/") for name in names)
    assert not any(name.startswith("opus/") for name in names)


def test_the_way_is_remembered_and_the_picture_comes_back(site: str, page: Page, with_board: Lesson) -> None:
    page.goto(f"{site}/lesson/{with_board.id}")
    page.get_by_role("button", name="声音+板书").click()
    page.reload()
    expect(page.get_by_role("button", name="声音+板书")).to_have_attribute("aria-pressed", "true")
    until(page, "video.readyState >= 1 && video.videoWidth === 0")
    expect(page.locator("#still")).to_be_visible()
    page.get_by_role("button", name="画面").click()
    until(page, "video.readyState >= 1 && video.videoWidth > 0")
    expect(page.locator("#still")).to_be_hidden()
    assert page.evaluate("document.getElementById('video').textTracks[0].mode") == "showing"


def test_pages_of_the_board_are_loaded_as_they_come_into_view(site: str, page: Page, with_board: Lesson) -> None:
    page.goto(f"{site}/lesson/{with_board.id}")
    first, last = page.locator("#board img").first, page.locator("#board img").last
    expect(first).to_have_attribute("src", re.compile(r"/board-00001\.jpg$"))
    assert last.get_attribute("src") is None
    page.locator("#board").evaluate("strip => { strip.scrollLeft = strip.scrollWidth; }")
    expect(last).to_have_attribute("src", re.compile(r"/board-00040\.webp$"))
    assert page.locator("#board img:not([src])").count() > 10


@pytest.mark.parametrize("line", ["{saveData: true}", "{effectiveType: 'slow-2g'}", "{effectiveType: '2g'}"])
def test_a_slow_line_is_offered_the_board(site: str, page: Page, with_board: Lesson, line: str) -> None:
    page.add_init_script(f"Object.defineProperty(Navigator.prototype, 'connection', {{get: () => ({line})}})")
    page.goto(f"{site}/lesson/{with_board.id}")
    until(page, "video.readyState >= 1")
    assert page.locator("#board img[src]").count() == 0
    page.get_by_role("button", name="换成声音+板书").click()
    until(page, "video.readyState >= 1 && video.videoWidth === 0")
    expect(page.locator("#suggest")).to_be_hidden()
    page.reload()
    expect(page.locator("#suggest")).to_be_hidden()


def test_a_fast_line_is_offered_nothing(site: str, page: Page, with_board: Lesson) -> None:
    page.add_init_script(
        "Object.defineProperty(Navigator.prototype, 'connection', {get: () => ({effectiveType: '4g', saveData: false})})"
    )
    page.goto(f"{site}/lesson/{with_board.id}")
    until(page, "video.readyState >= 1")
    expect(page.locator("#suggest")).to_be_hidden()


# --- speed, and addresses that end ---------------------------------------------------------------------------------------


def test_the_speed_is_chosen_and_remembered(site: str, page: Page, lesson: Lesson) -> None:
    page.goto(f"{site}/lesson/{lesson.id}")
    page.get_by_role("button", name="1.5×").click()
    until(page, "video.playbackRate === 1.5")
    page.reload()
    expect(page.get_by_role("button", name="1.5×")).to_have_attribute("aria-pressed", "true")
    until(page, "video.readyState >= 1 && video.playbackRate === 1.5")


def test_a_lesson_that_was_paused_over_lunch_goes_on(school: School, site: str, page: Page, lesson: Lesson) -> None:
    """The signed address has ended, the session has not: the player asks for a new one and plays."""
    page.goto(f"{site}/lesson/{lesson.id}")
    until(page, "video.readyState >= 1")
    school.clock.now += LONGEST_S
    with page.expect_request(f"**/api/lessons/{lesson.id}/playback"):
        page.evaluate("document.getElementById('video').load()")
        play(page)
    until(page, "video.currentTime > 0.5")
    expect(page.locator("#notice")).to_be_hidden()


def test_hls_js_asks_for_a_new_address_too(school: School, site: str, page: Page, lesson: Lesson) -> None:
    def at_noon(route: Route) -> None:
        school.clock.now += LONGEST_S
        route.continue_()

    page.add_init_script(NO_NATIVE_HLS)
    page.route("**/hls.min.js*", at_noon)
    with page.expect_request(f"**/api/lessons/{lesson.id}/playback"):
        page.goto(f"{site}/lesson/{lesson.id}?t=2")
    until(page, "Math.abs(video.currentTime - 2) < 0.1 && video.readyState >= 2")
    expect(page.locator("#notice")).to_be_hidden()


def test_whoever_may_no_longer_watch_is_told(school: School, site: str, page: Page, lesson: Lesson) -> None:
    page.goto(f"{site}/lesson/{lesson.id}")
    until(page, "video.readyState >= 1")
    school.catalog.lessons.set_consent(lesson.id, consent=False)
    school.clock.now += LONGEST_S
    page.evaluate("document.getElementById('video').load()")
    expect(page.locator("#notice")).to_have_text("这节课现在不能播放，请刷新页面或重新进入。")


def test_a_filter_changes_the_shelf_and_not_the_page(school: School, site: str, page: Page) -> None:
    school.publish("一次函数", day=1, subject="数学", cues=())
    school.publish("背影", day=2, subject="语文", cues=())
    page.goto(site)
    page.evaluate("window.sameDocument = true")
    page.get_by_role("link", name="数学 1", exact=True).click()
    expect(page.get_by_role("heading", name="背影")).to_have_count(0)
    expect(page.get_by_role("heading", name="一次函数")).to_be_visible()
    expect(page).to_have_url(f"{site}/?subject=%E6%95%B0%E5%AD%A6")
    assert page.evaluate("window.sameDocument") is True
    page.go_back()
    expect(page.get_by_role("heading", name="背影")).to_be_visible()


def test_arrivals_show_progress_by_themselves(school: School, site: str, browser: Browser) -> None:
    moving = school.arrive("正在到来的课")
    context = browser.new_context()
    staff = context.new_page()
    staff.goto(f"{site}/enter#{STAFF}")
    staff.wait_for_url(f"{site}/")
    staff.goto(f"{site}/arrivals")
    expect(staff.get_by_text("排队").first).to_be_visible()
    school.catalog.outputs.note_progress(moving.recording_id, "encode", 0.37)
    expect(staff.get_by_text("37%")).to_be_visible(timeout=WAIT_MS)
    context.close()


def test_pages_fit_a_phone(school: School, site: str, browser: Browser, lesson: Lesson) -> None:
    school.publish(
        "一节课名特别特别特别特别长，长到一行写不下、两行也未必写得下的课", day=2, teacher="名字很长很长的老师", cues=()
    )
    context = browser.new_context(viewport={"width": 360, "height": 740})
    phone = context.new_page()
    phone.goto(f"{site}/enter#{STAFF}")
    phone.wait_for_url(f"{site}/")
    for path in ("/", "/search?q=勾股定理", f"/lesson/{lesson.id}?q=勾股定理", "/arrivals", "/enter", "/api/docs"):
        phone.goto(site + path)
        assert phone.evaluate("document.documentElement.scrollWidth") <= 360, path
    context.close()
