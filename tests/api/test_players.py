"""What players that people have do with a lesson: hls.js as our page ships it, shaka-player, and Chromium by itself.

The whole way is real: our application serves a ladder that was made in parts. Nobody may stall, complain, or find a hole
where two parts were joined.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from api.delivery import PLAYLIST
from archive.keys import progressive_key, rendition_prefix
from archive.model import Cue, Span
from tests.api.school import LADDER, SPEECH, STUDENT, School
from tests.api.test_player import served
from tests.browser import chromium
from tests.live_store import LiveStore
from tests.transcode.watched import JOINS_S, SECONDS, watched
from transcode.playlist import OPUS, multivariant
from transcode.progressive import whole_file

pytestmark = pytest.mark.browser

ROOT = Path(__file__).parent.parent.parent
VENDOR = ROOT / "tests" / "vendor"
SCRIPTS = (
    ROOT / "api" / "web" / "static" / "vendor" / "hls.min.js",
    VENDOR / "shaka-player.hls-es2021.js",
    VENDOR / "hls-parser.min.js",
    Path(__file__).parent / "players.js",
)
PAGE = '<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,"><video id="video" muted></video>'

STALL_S = 0.5  # of standing still: less than that a person takes for a blink of the picture
LANDED_S = 10.0  # a bound for what never comes, far above what a seek takes
END_S = 0.040  # between the end that a player tells and the recording's
EDGE_S = 0.1  # before and after a join
PICTURE_S = 0.0801  # what the longest picture lasts: the one of a moment may have begun so long before it
AHEAD_S = 0.040  # a browser hands a picture to the screen a refresh or two before its time
SEEKS = 50
SEED = 20260901
CUES = (Cue(Span(0, 5_000), "同学们好，上课"), Cue(Span(11_000, 14_000), "今天我们来学习勾股定理"))

PLAYERS = ("hls.js", "shaka", "the browser")
SWITCHING = PLAYERS[:2]


@dataclass(frozen=True)
class Stage:
    """`base` is the lesson's address up to its files; `opus` the playlist for a client that plays Opus."""

    site: str
    base: str
    opus: str


@pytest.fixture(scope="module")
def stage(seaweed: LiveStore, _buckets: tuple[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    home = tmp_path_factory.mktemp("school")
    made = watched(tmp_path_factory.getbasetemp()).ladder
    school = School(home, seaweed.connect(), _buckets[1])
    lesson = school.arrive("勾股定理")
    prefix = rendition_prefix(lesson.recording_id, LADDER)
    for rendition in made.renditions:
        for path in (made.directory / rendition.rung).iterdir():
            school.store.put_file(school.bucket, f"{prefix}/{rendition.rung}/{path.name}", path)
    small, sound = (
        [made.directory / rung / "init.mp4", *sorted((made.directory / rung).glob("*.m4s"))]
        for rung in ("240p", "audio")
    )
    whole = whole_file([small, sound], tmp_path_factory.mktemp("low"), duration_ms=36_600, cancelled=lambda: False)
    school.store.put_file(school.bucket, progressive_key(lesson.recording_id, LADDER), whole)
    renditions = [replace(one, playlist_key=f"{prefix}/{one.rung}/index.m3u8") for one in made.renditions]
    school.catalog.outputs.keep_probe(lesson.recording_id, made.probe)
    school.catalog.outputs.keep_renditions(lesson.recording_id, LADDER, renditions)
    school.put_transcript(lesson, CUES)
    school.catalog.outputs.publish(lesson.recording_id, ladder_edition=LADDER, speech_edition=SPEECH)
    playlist: str = school.program(STUDENT).get(f"/api/lessons/{lesson.id}/playback").json()["playlist"]
    with served(school.app) as site:
        yield Stage(site, site + playlist.removesuffix("main.m3u8"), multivariant(renditions, sound=OPUS))
    school.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright, chromium(playwright) as running:
        yield running


@pytest.fixture
def page(stage: Stage, browser: Browser) -> Iterator[Page]:
    """An empty page beside the lesson, with the players in it. Nothing may be written to its console as an error."""
    opened = browser.new_page()
    complaints: list[str] = []
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.on("console", lambda line: complaints.append(line.text) if line.type in ("error", "warning") else None)
    opened.route(f"{stage.site}/players", lambda route: route.fulfill(body=PAGE, content_type="text/html"))
    opened.route("**/main.opus.m3u8", lambda route: route.fulfill(body=stage.opus, content_type=PLAYLIST))
    opened.goto(f"{stage.site}/players")
    for script in SCRIPTS:
        opened.add_script_tag(path=script)
    yield opened
    opened.close()
    assert complaints == []


def opened(page: Page, player: str, address: str) -> dict[str, Any]:
    return page.evaluate("([player, address]) => openLesson(player, address)", [player, address])


def moments(count: int) -> list[float]:
    """So many, among them every join and both of its sides; the others are at random."""
    random = Random(SEED)
    edges = [join + by for join in JOINS_S for by in (-EDGE_S, 0.0, EDGE_S)]
    found = [*edges, *(random.uniform(0, SECONDS - 0.5) for _ in range(count - len(edges)))]
    random.shuffle(found)
    return found


def test_vendored_files_are_the_ones_on_record() -> None:
    record = (VENDOR / "README.md").read_text(encoding="utf-8")
    for path in VENDOR.glob("*.js"):
        assert sha256(path.read_bytes()).hexdigest() in record, path.name


def test_this_browser_decodes_what_we_make(page: Page) -> None:
    for kind in ('video/mp4; codecs="avc1.64001e"', 'audio/mp4; codecs="mp4a.40.2"', 'audio/mp4; codecs="opus"'):
        assert page.evaluate("kind => MediaSource.isTypeSupported(kind)", kind), kind


@pytest.mark.slow  # it measures stalls, which a busy machine makes
@pytest.mark.parametrize("player", PLAYERS)
def test_a_lesson_plays_to_its_end_through_every_rung(stage: Stage, page: Page, player: str) -> None:
    """At four times the speed, and each rung is asked for after five seconds of the lesson, round and round."""
    begun = opened(page, player, f"{stage.base}main.m3u8")
    assert begun["from"] == 0
    assert begun["duration"] == pytest.approx(SECONDS, abs=END_S)
    heights = [rung["height"] for rung in begun["rungs"]]
    if player in SWITCHING:
        assert sorted(heights) == [240, 360, 480], "each picture once"
    watched_it = page.evaluate("heights => playThrough(heights, 4, 1.2)", heights)
    assert watched_it["ended"], watched_it
    assert watched_it["at"] == pytest.approx(SECONDS, abs=END_S)
    assert watched_it["stall"] <= STALL_S, watched_it
    if player in SWITCHING:
        assert set(watched_it["seen"]) == {240, 360, 480}, "every rung came to the screen"
    # One piece: no hole where parts are joined. What lies behind may have been let go.
    ((_, end),) = watched_it["buffered"]
    assert end == pytest.approx(SECONDS, abs=END_S)
    assert watched_it["problems"] == []


@pytest.mark.parametrize(
    ("player", "file", "count"),
    [
        pytest.param("hls.js", "main.m3u8", SEEKS, marks=pytest.mark.slow),
        pytest.param("shaka", "main.m3u8", SEEKS, marks=pytest.mark.slow),
        pytest.param("the browser", "main.m3u8", SEEKS, marks=pytest.mark.slow),
        ("the browser", "low.mp4", SEEKS // 3),
    ],
)
def test_whoever_jumps_lands_there_and_it_plays_on(
    stage: Stage, page: Page, player: str, file: str, count: int
) -> None:
    opened(page, player, stage.base + file)
    jumps = moments(count)
    landed = page.evaluate("([jumps, limit]) => jumpTo(jumps, limit)", [jumps, LANDED_S])
    # Chromium 156 by itself, on a busy machine and once in some hundred jumps, stays where it is although every request
    # was answered, and goes on when it is loaded again. No playlist can help that.
    assert landed["asleep"] <= (1 if player not in SWITCHING else 0)
    assert len(landed["jumps"]) == len(jumps)
    for wanted, jump in zip(jumps, landed["jumps"], strict=True):
        assert jump["landed"], (wanted, jump)
        assert jump["plays"], (wanted, jump)
        assert jump["at"] == pytest.approx(wanted, abs=0.001), jump
        assert wanted - PICTURE_S <= jump["shown"] <= jump["by"] + AHEAD_S, (wanted, jump)
    assert landed["problems"] == []


@pytest.mark.slow
@pytest.mark.parametrize("player", SWITCHING)
def test_with_opus_it_plays_as_well(stage: Stage, page: Page, player: str) -> None:
    begun = opened(page, player, f"{stage.base}main.opus.m3u8")
    assert {rung["codecs"].rpartition(",")[2].strip() for rung in begun["rungs"]} == {"opus"}
    page.evaluate("jumpTo([10], 10)")
    seen = page.evaluate("playThrough([480, 240, 360], 4, 0.6, 27)")
    assert seen["at"] >= 27
    assert seen["stall"] <= STALL_S, seen
    assert seen["problems"] == []


def test_shaka_player_skims_through_keyframes(stage: Stage, page: Page) -> None:
    ranges: list[str] = []
    page.on("request", lambda request: ranges.append(request.headers.get("range", "")))
    opened(page, "shaka", f"{stage.base}main.m3u8")
    skimmed = page.evaluate("skim(8, 24)")
    assert skimmed["at"] >= 24
    assert skimmed["problems"] == []
    assert [found for found in ranges if found.startswith("bytes=0-")], "keyframes were loaded, not hls_segments"


@pytest.mark.parametrize("player", SWITCHING)
def test_captions_come_with_the_playlist(stage: Stage, page: Page, player: str) -> None:
    opened(page, player, f"{stage.base}main.m3u8")
    cues = page.evaluate("limit => captionsOf(limit)", LANDED_S)
    assert cues == [[cue.span.start_ms / 1000, cue.span.end_ms / 1000, cue.text] for cue in CUES]


def test_hls_parser_reads_every_playlist_as_it_was_meant(stage: Stage, page: Page) -> None:
    """Strict: it refuses a version too low for what is used, a target below a duration, a group that is not there."""
    main = page.evaluate("address => parsed(address)", f"{stage.base}main.m3u8")
    assert (main["isMasterPlaylist"], main["version"], main["independentSegments"]) == (True, 7, True)
    pictures = [one for one in main["variants"] if "resolution" in one and not one["isIFrameOnly"]]
    assert [one["resolution"]["height"] for one in pictures] == [240, 360, 480]
    assert [one["frameRate"] for one in pictures] == [25, 25, 25]
    for one in pictures:
        (sound,), (captions,) = one["audio"], one["subtitles"]
        assert (sound["isDefault"], sound["uri"]) == (True, f"{sound['groupId']}/index.m3u8")
        assert captions["language"] == "zh-Hans"
    named = {one["uri"] for one in main["variants"]}
    named |= {group["uri"] for one in main["variants"] for group in (*one["audio"], *one["subtitles"])}
    assert len(named) == 3 + 3 + 2 + 1
    for uri in sorted(named):
        media = page.evaluate("address => parsed(address)", stage.base + uri)
        assert (media["playlistType"], media["endlist"], media["version"]) == ("VOD", True, 7)
        assert sum(part["duration"] for part in media["segments"]) == pytest.approx(SECONDS, abs=END_S)
        assert bool(media.get("isIFrame")) == uri.endswith("keyframes.m3u8")
        if not uri.startswith("captions/"):
            assert media["targetDuration"] == 6
            assert all(part["map"]["uri"] == "init.mp4" for part in media["segments"])
        lengths = page.evaluate("([address, media]) => lengthsOf(address, media)", [stage.base + uri, media])
        assert all(lengths), "every address that is named is there, and as long as a byte range says"
