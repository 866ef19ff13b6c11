"""The signed paths: what they open, for whom, for how long; and the bytes that leave by them."""

from dataclasses import replace
from datetime import UTC, datetime
from urllib.parse import unquote

import m3u8
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.access import Role, Viewer, decoded, encoded
from api.delivery import FRESH_S, Playable, Stored, Written, file_of
from api.links import LONGEST_S, Expired, Forged, Links
from archive.keys import progressive_key, rung_prefix, still_key
from archive.model import Lesson, Programme, Publication, Rendition
from archive.settings import Settings
from archive.store import ObjectStore
from tests.api.school import HLS_SEGMENT, LADDER, STAFF, STUDENT, Clock, School

FILES = [
    "main.m3u8",
    "240p/index.m3u8",
    "240p/init.mp4",
    "240p/seg-00001.m4s",
    "audio/index.m3u8",
    "audio/seg-00001.m4s",
    "captions/zh-Hans.m3u8",
    "captions/zh-Hans.vtt",
    "poster.jpg",
]
SEGMENT = "240p/seg-00001.m4s"
LINKS = Links(Settings.model_validate({"signing_key": "k" * 20}), Clock())

AT = datetime(2026, 9, 1, 8, tzinfo=UTC)
PICTURE = Rendition("240p", "avc1.64000d", 426, 240, "12.5", 1, 1, 1, 9000, "rendition/x/e1/240p/index.m3u8")
PLAYABLE = Playable(
    Lesson("a" * 26, "课", "", "", "", Programme.LIVE, "zh", "s", "r", AT, True, "r" * 64, 9000, AT),
    Publication("a" * 26, "r" * 64, 1, 1, AT),
    (PICTURE,),
    "zh-Hans",
)


def base_of(school: School, lesson: Lesson, code: str = STUDENT) -> str:
    """As a player gets it."""
    playlist: str = school.program(code).get(f"/api/lessons/{lesson.id}/playback").json()["playlist"]
    return playlist.removesuffix("main.m3u8")


@pytest.fixture
def lesson(school: School) -> Lesson:
    return school.publish()


def test_one_token_opens_every_file_of_its_lesson_without_a_cookie(school: School, lesson: Lesson) -> None:
    base, player = base_of(school, lesson), school.nobody()
    types = {file: player.get(base + file).headers["content-type"] for file in FILES}
    assert types == {
        "main.m3u8": "application/vnd.apple.mpegurl",
        "240p/index.m3u8": "application/vnd.apple.mpegurl",
        "240p/init.mp4": "video/mp4",
        "240p/seg-00001.m4s": "video/mp4",
        "audio/index.m3u8": "application/vnd.apple.mpegurl",
        "audio/seg-00001.m4s": "audio/mp4",
        "captions/zh-Hans.m3u8": "application/vnd.apple.mpegurl",
        "captions/zh-Hans.vtt": "text/vtt; charset=utf-8",
        "poster.jpg": "image/jpeg",
    }
    assert all(player.get(base + file).headers["x-content-type-options"] == "nosniff" for file in FILES)


def test_whatever_the_playlists_name_is_there(school: School, lesson: Lesson) -> None:
    base, player = base_of(school, lesson), school.nobody()
    multivariant = m3u8.loads(player.get(base + "main.m3u8").text)
    named = [variant.uri for variant in multivariant.playlists] + [track.uri for track in multivariant.media]
    assert sorted(named) == ["240p/index.m3u8", "audio/index.m3u8", "audio/index.m3u8", "captions/zh-Hans.m3u8"]
    for playlist in named:
        folder = playlist.rpartition("/")[0]
        inner = m3u8.loads(player.get(base + playlist).text)
        for segment in inner.segments:
            assert player.get(f"{base}{folder}/{segment.uri}").status_code == 200


def test_the_captions_say_what_was_said(school: School, lesson: Lesson) -> None:
    text = school.nobody().get(base_of(school, lesson) + "captions/zh-Hans.vtt").text
    assert text.startswith("WEBVTT")
    assert "今天我们来学习勾股定理" in text


def test_a_lesson_without_words_offers_no_captions(school: School) -> None:
    for cues in (None, ()):
        silent = school.publish(f"没有字幕 {cues}", cues=cues, day=3 if cues is None else 4)
        base, player = base_of(school, silent), school.nobody()
        assert "SUBTITLES" not in player.get(base + "main.m3u8").text
        assert player.get(base + "captions/zh-Hans.m3u8").status_code == 404
        assert player.get(base + "captions/zh-Hans.vtt").status_code == 404
        assert school.program(STUDENT).get(f"/api/lessons/{silent.id}/playback").json()["captions"] == []


# --- whose it is --------------------------------------------------------------------------------------------------------


def test_the_token_of_one_lesson_opens_no_other(school: School, lesson: Lesson) -> None:
    other = school.publish("别的课", day=2)
    token = base_of(school, lesson).split("/")[2]
    for file in FILES:
        answer = school.nobody().get(f"/v/{token}/{other.id}/{file}")
        assert (answer.status_code, answer.json()["code"]) == (403, "forged")


def test_a_token_ends_after_two_hours_at_most(school: School, lesson: Lesson) -> None:
    base = base_of(school, lesson)
    began = school.clock.now
    expires = school.program(STUDENT).get(f"/api/lessons/{lesson.id}/playback").json()["expires_at"]
    assert LONGEST_S / 2 <= expires - began <= LONGEST_S
    school.clock.now = expires - 1
    assert school.nobody().get(base + SEGMENT).status_code == 200
    school.clock.now = expires
    for file in FILES:
        answer = school.nobody().get(base + file)
        assert (answer.status_code, answer.json()["code"]) == (410, "expired")


def test_viewers_of_the_same_hour_share_what_is_cached(school: School, lesson: Lesson) -> None:
    first = base_of(school, lesson)
    school.clock.now += 60
    assert base_of(school, lesson) == first != base_of(school, lesson, STAFF)


@pytest.mark.parametrize("withdrawn", [False, None])
def test_withdrawn_consent_ends_what_is_playing(school: School, lesson: Lesson, *, withdrawn: bool | None) -> None:
    base, player = base_of(school, lesson), school.nobody()
    staff_base = base_of(school, lesson, STAFF)
    assert player.get(base + SEGMENT).status_code == 200
    if withdrawn is None:  # behind the web's back, as by the command line: noticed within seconds
        school.catalog.lessons.set_consent(lesson.id, consent=False)
        school.clock.now += FRESH_S
    else:
        school.program(STAFF).post(f"/api/lessons/{lesson.id}/consent", json={"consent": False})
    assert {player.get(base + file).status_code for file in FILES} == {404}
    assert school.nobody().get(staff_base + SEGMENT).status_code == 200


def test_the_code_in_the_query_or_a_cookie_opens_nothing(school: School, lesson: Lesson) -> None:
    token = base_of(school, lesson).split("/")[2]
    for viewer in (school.browser(STAFF), school.program(STAFF)):
        for path in (f"/v/x/{lesson.id}/{SEGMENT}", f"/v/x/{lesson.id}/{SEGMENT}?token={token}", f"/v//{lesson.id}/x"):
            assert viewer.get(path).status_code in (403, 404)


def test_no_change_to_a_token_is_survived() -> None:
    token = LINKS.to("a" * 26, Viewer(Role.STUDENT)).base.split("/")[2]
    data = decoded(token)
    forged = [encoded(bytes([*data[:n], data[n] ^ 1, *data[n + 1 :]])) for n in range(len(data))]
    forged += [token + "A", token[:-1], token + "=", "", encoded(b"t" + data[1:]), token.replace("A", "B")]
    for attempt in forged:
        if attempt != token:
            with pytest.raises(Forged):
                LINKS.viewer_of(attempt, "a" * 26)


@given(st.text(max_size=100), st.text(max_size=40))
def test_no_text_is_a_token(token: str, lesson_id: str) -> None:
    with pytest.raises(Forged):
        LINKS.viewer_of(token, lesson_id)


def test_nobody_gets_no_token_and_old_ones_say_so() -> None:
    with pytest.raises(KeyError):
        LINKS.to("a" * 26, Viewer())
    clock = Clock()
    links = Links(Settings.model_validate({"signing_key": "k" * 20}), clock)
    token = links.to("a" * 26, Viewer(Role.STUDENT)).base.split("/")[2]
    clock.now += LONGEST_S
    with pytest.raises(Expired):
        links.viewer_of(token, "a" * 26)


# --- which files --------------------------------------------------------------------------------------------------------

WRONG_NAMES = [
    "",
    "..",
    "../main.m3u8",
    "%2e%2e/main.m3u8",
    "240p/../main.m3u8",
    "240p/..%2f..%2fsource",
    "240p//seg-00001.m4s",
    "720p/index.m3u8",
    "240p/seg-1.m4s",
    "240p/seg-00001.m4s%00",
    "240p/seg-00001.m4s%0a",
    "240p/seg-０００01.m4s",
    "240P/index.m3u8",
    "main.m3u8/",
    "MAIN.M3U8",
    "captions/en.vtt",
    "captions/zh-Hans.vtt.bak",
    "captions/../poster.jpg",
    "source.mp4",
    "whole.json",
    "main-.m3u8",
    "main-Screen.m3u8",
    "main-teacher/../screen.m3u8",
    "main.opus",
    "240p/low.mp4",
    "low.mp4.bak",
    "720p/keyframes.m3u8",
    "keyframes.m3u8",
    "240p/keyframes.m3u8x",
    "240p-/index.m3u8",
    "board-1.jpg",
    "board-000001.jpg",
    "board.jpg",
    "board-00001.png",
    "storyboard-0001.jpg",
    "storyboard-００1.jpg",
    "240p/storyboard.vtt",
    "240p/seg-00009.m4s",
]


def test_only_the_files_of_the_lesson_have_names(school: School, lesson: Lesson) -> None:
    base, player = base_of(school, lesson), school.nobody()
    for name in WRONG_NAMES:
        if ".." not in name:  # the client would resolve the dots before it asks
            answer = player.get(base + name)
            assert (answer.status_code, answer.json()["code"]) == (404, "absent")


def test_keyframes_stills_and_the_whole_file_are_files_of_the_lesson_too(school: School, lesson: Lesson) -> None:
    """Where they were made: a lesson from before has none, and a player that asks is told so."""
    recording_id, base, player = lesson.recording_id, base_of(school, lesson), school.nobody()
    made = {
        "240p/keyframes.m3u8": (f"{rung_prefix(recording_id, LADDER, '240p')}/keyframes.m3u8", "mpegurl"),
        "low.mp4": (progressive_key(recording_id, LADDER), "video/mp4"),
        "board.vtt": (still_key(recording_id, LADDER, "board.vtt"), "text/vtt"),
        "board-00012.jpg": (still_key(recording_id, LADDER, "board-00012.jpg"), "image/jpeg"),
        "storyboard.vtt": (still_key(recording_id, LADDER, "storyboard.vtt"), "text/vtt"),
        "storyboard-003.jpg": (still_key(recording_id, LADDER, "storyboard-003.jpg"), "image/jpeg"),
    }
    for name, (key, _) in made.items():
        assert player.get(base + name).status_code == 404
        school.store.put_bytes(school.bucket, key, name.encode())
    school.clock.now += 2 * FRESH_S
    for name, (_, content_type) in made.items():
        answer = player.get(base + name)
        assert (answer.status_code, answer.content) == (200, name.encode())
        assert content_type in answer.headers["content-type"]
        assert answer.headers["cache-control"] == "private, no-cache"  # a lesson may be made again under its address


def test_each_view_of_a_lesson_has_a_playlist_of_its_own() -> None:
    second = replace(PICTURE, rung="screen-240p", view="screen", playlist_key="rendition/x/e1/screen-240p/index.m3u8")
    playable = replace(PLAYABLE, renditions=(PICTURE, second))
    for name, uri in (("main.m3u8", "240p/index.m3u8"), ("main-screen.m3u8", "screen-240p/index.m3u8")):
        written = file_of(playable, name)
        assert isinstance(written, Written)
        assert [one.uri for one in m3u8.loads(written.text).playlists] == [uri]
        assert isinstance(file_of(playable, uri), Stored)
    assert file_of(playable, "main-teacher.m3u8") is None


@pytest.mark.parametrize("name", [unquote(name) for name in WRONG_NAMES if name != "240p/seg-00009.m4s"])
def test_names_outside_the_grammar_are_nothing(name: str) -> None:
    assert file_of(PLAYABLE, name) is None


@given(
    st.text(max_size=60)
    | st.from_regex(r"[a-z0-9./-]{0,40}", fullmatch=True)
    | st.from_regex(r"(main|board|storyboard|low|240p/|captions/)[a-z0-9./-]{0,12}\.(m3u8|mp4|jpg|vtt)", fullmatch=True)
)
def test_no_name_reaches_a_key_outside_the_lesson(name: str) -> None:
    file = file_of(PLAYABLE, name)
    key = getattr(file, "key", "")
    assert not key or key.startswith(
        (
            f"rendition/{'r' * 64}/e1/240p/",
            f"rendition/{'r' * 64}/e1/low.mp4",
            f"still/{'r' * 64}/",
            f"transcript/{'r' * 64}/",
        )
    )
    assert ".." not in key


# --- bytes --------------------------------------------------------------------------------------------------------------


def test_a_segment_is_kept_and_a_playlist_is_asked_for_again(school: School, lesson: Lesson) -> None:
    base, player = base_of(school, lesson), school.nobody()
    segment = player.get(base + SEGMENT)
    assert segment.content == HLS_SEGMENT
    assert segment.headers["cache-control"] == "private, max-age=7200, immutable"
    assert "content-encoding" not in segment.headers
    playlist = player.get(base + "main.m3u8")
    assert playlist.headers["cache-control"] == "private, no-cache"
    for answer in (segment, playlist):
        again = player.get(answer.url.path, headers={"If-None-Match": answer.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == answer.headers["etag"]


@pytest.mark.parametrize(
    ("asked", "status", "part"),
    [
        ("bytes=0-99", 206, HLS_SEGMENT[:100]),
        ("bytes=300-", 206, HLS_SEGMENT[300:]),
        ("bytes=-5", 206, HLS_SEGMENT[-5:]),
        ("bytes=0-1,4-5", 200, HLS_SEGMENT),
        ("bytes=" + ",".join(f"{n}-" for n in range(1000)), 200, HLS_SEGMENT),
        ("nonsense", 200, HLS_SEGMENT),
    ],
)
def test_a_part_of_a_segment(school: School, lesson: Lesson, asked: str, status: int, part: bytes) -> None:
    answer = school.nobody().get(base_of(school, lesson) + SEGMENT, headers={"Range": asked})
    assert (answer.status_code, answer.content) == (status, part)
    assert int(answer.headers["content-length"]) == len(part)
    assert ("content-range" in answer.headers) == (status == 206)


def test_a_part_that_is_not_there(school: School, lesson: Lesson) -> None:
    answer = school.nobody().get(base_of(school, lesson) + SEGMENT, headers={"Range": "bytes=999999-"})
    assert answer.status_code == 416
    assert answer.headers["content-range"] == f"bytes */{len(HLS_SEGMENT)}"


def test_a_part_of_something_else_is_not_glued_on(school: School, lesson: Lesson) -> None:
    url, player = base_of(school, lesson) + SEGMENT, school.nobody()
    etag = player.head(url).headers["etag"]
    fitting = player.get(url, headers={"Range": "bytes=5-9", "If-Range": etag})
    other = player.get(url, headers={"Range": "bytes=5-9", "If-Range": '"another"'})
    assert (fitting.status_code, other.status_code) == (206, 200)


def test_head_says_what_get_would(school: School, lesson: Lesson) -> None:
    base, player = base_of(school, lesson), school.nobody()
    for file in FILES:
        head, get = player.head(base + file), player.get(base + file, headers={"Accept-Encoding": "identity"})
        assert head.content == b""
        for name in ("content-length", "content-type", "etag", "cache-control"):
            assert head.headers[name] == get.headers[name]


def test_a_lost_object_is_a_404_and_a_lost_store_a_503(school: School, lesson: Lesson) -> None:
    base, player = base_of(school, lesson), school.nobody()
    school.store.delete(school.bucket, f"rendition/{lesson.recording_id}/e1/240p/init.mp4")
    assert player.get(base + "240p/init.mp4").status_code == 404
    cut_off = School(school.settings.home, ObjectStore("127.0.0.1:9", "nobody", "listens-here"), school.bucket)
    answer = cut_off.nobody().get(base + SEGMENT)
    assert answer.status_code == 503
    assert answer.json() == {
        "type": "/api/docs#problem-unavailable",
        "title": "暂时不可用",
        "status": 503,
        "code": "unavailable",
        "detail": "对象存储暂时不可用，请稍后再试。",
    }
    assert int(answer.headers["retry-after"]) > 0
    cut_off.close()


def test_only_so_many_bodies_are_open_at_once(school: School, lesson: Lesson) -> None:
    url, player = base_of(school, lesson) + SEGMENT, school.nobody()
    media = school.app.state.web.media
    assert player.get(url).status_code == 200
    assert media.open_bodies == 0
    media.open_bodies = 256
    answer = player.get(url)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert player.get(base_of(school, lesson) + "main.m3u8").status_code == 200


def test_the_poster_of_a_page_has_an_address_that_stays(school: School, lesson: Lesson) -> None:
    student = school.browser(STUDENT)
    poster = student.get(f"/lesson/{lesson.id}/poster.jpg")
    assert (poster.headers["content-type"], poster.headers["cache-control"]) == ("image/jpeg", "private, max-age=3600")
    school.store.delete(school.bucket, f"still/{lesson.recording_id}/e1/poster.jpg")
    school.clock.now += 120
    assert student.get(f"/lesson/{lesson.id}/poster.jpg").headers["content-type"] == "image/gif"
