"""The page of a lesson that is still being taught, in Chromium: it plays from the beginning, not from where the teacher is."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import expect, sync_playwright

from archive.keys import rendition_prefix
from tests.api.school import LADDER, STUDENT, School
from tests.api.test_player import NO_NATIVE_HLS, WAIT_MS, play, served, until
from tests.browser import chromium
from tests.transcode.clips import encoded, make, picture, sound, x264
from transcode.playlist import growing_playlist, media_playlist

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def half_a_minute(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("taught")
    return make(folder / "taught.mp4", picture("160x120", rate="10", seconds=30), sound(30), x264())


@pytest.fixture
def lesson_id(school: School, half_a_minute: Path, tmp_path: Path) -> Iterator[str]:
    lesson = school.arrive("勾股定理")
    prefix = rendition_prefix(lesson.recording_id, LADDER)
    renditions = encoded(half_a_minute, tmp_path / "ladder")
    for path in (tmp_path / "ladder").rglob("*.m*"):
        key = f"{prefix}/{path.relative_to(tmp_path / 'ladder').as_posix()}"
        data = path.read_bytes()
        if path.name == "index.m3u8":
            assert b"#EXT-X-ENDLIST" in data
            data = growing(data.decode()).encode()
        school.store.put_bytes(school.bucket, key, data)
    made = [replace(one, playlist_key=f"{prefix}/{one.playlist_key}", keyframe_bandwidth_bps=0) for one in renditions]
    school.catalog.outputs.keep_renditions(lesson.recording_id, LADDER, made, is_whole=False)
    school.catalog.outputs.publish(lesson.recording_id, ladder_edition=LADDER, speech_edition=None)
    school.catalog.lives.open(lesson.recording_id, "xinghuo/301/20260901T0800.live/")
    school.catalog.lives.grown(lesson.recording_id, pieces=1, size_bytes=1, reached_ms=30_000)
    yield lesson.id


def growing(whole: str) -> str:
    """What `growing_playlist` makes of a playlist, which takes segments."""
    ours, theirs = media_playlist([]), growing_playlist([])
    for kind in ("VOD", "EVENT"):
        assert f"#EXT-X-PLAYLIST-TYPE:{kind}" in ours + theirs
    start = next(line for line in theirs.splitlines() if line.startswith("#EXT-X-START"))
    return (
        whole.replace("#EXT-X-PLAYLIST-TYPE:VOD", f"#EXT-X-PLAYLIST-TYPE:EVENT\n{start}")
        .replace("#EXT-X-ENDLIST", "")
        .rstrip()
        + "\n"
    )


def test_a_lesson_that_goes_on_is_played_from_its_beginning(school: School, lesson_id: str) -> None:
    with served(school.app) as site, sync_playwright() as playwright, chromium(playwright) as browser:
        context = browser.new_context(locale="zh-CN")
        context.set_default_timeout(WAIT_MS)
        context.add_init_script(NO_NATIVE_HLS)
        page = context.new_page()
        page.goto(f"{site}/enter#{STUDENT}")
        page.wait_for_url(f"{site}/")
        page.goto(f"{site}/lesson/{lesson_id}")
        expect(page.get_by_text("正在上课")).to_be_visible()
        play(page)
        until(page, "video.currentTime > 0.5")
        assert (
            page.evaluate("video.currentTime") < 8
        )  # the live edge would be eighteen seconds before the end, at twelve
        context.close()
