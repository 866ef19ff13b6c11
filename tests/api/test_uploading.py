"""A teacher's own file: begun, sent in pieces by signed forms, broken off, gone on with, put together, and then a lesson's."""

import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import urllib3
from minio import Minio
from playwright.sync_api import Browser, Page, Route, expect, sync_playwright
from sqlalchemy import select

from archive.schema import teacher_upload
from archive.store import ObjectStore
from ingest import teachers
from ingest.intake import take_in
from ingest.runtime import Runtime, open_index
from ingest.teachers import assemble_handed_in
from ingest.tidying import PIECES, tidy_uploads
from ingest.verify import verify
from tests.api.school import STAFF, STUDENT, School
from tests.api.test_player import served
from tests.browser import chromium
from tests.ingest.conftest import FakeEar
from tests.live_store import LiveStore
from tests.serving import eventually

ASKED = {
    "school": "xinghuo",
    "room": "301",
    "started_at": "2026-09-01T08:00",
    "name": "我的课.MP4",
    "title": "勾股定理",
    "consent": True,
}
KEY = "xinghuo/301/20260901T080000.mp4"
WAIT_MS = 30_000
PIECE = 64 * 1024


@dataclass
class NotedRuns:
    arrivals: list[str] = field(default_factory=list[str])

    def arrived(self, key: str) -> None:
        self.arrivals.append(key)


@dataclass(frozen=True)
class Desk:
    school: School
    runtime: Runtime
    runs: NotedRuns

    def assemble(self) -> int:
        return assemble_handed_in(self.runtime, self.runs)  # pyright: ignore[reportArgumentType]

    def begin(self, size: int, **words: object) -> dict[str, Any]:
        staff = self.school.program(STAFF)
        answer = staff.post("/api/uploads", json={**ASKED, "size_bytes": size, **words})
        assert answer.status_code == 201, answer.text
        return answer.json()

    def ask(self, upload_id: str) -> dict[str, Any]:
        return self.school.program(STAFF).get(f"/api/uploads/{upload_id}").json()

    def finish(self, upload_id: str, digests: list[str]) -> Any:
        return self.school.program(STAFF).post(f"/api/uploads/{upload_id}/finish", json={"digests": digests})

    def send(self, upload: dict[str, Any], number: int, data: bytes, **instead: str) -> int:
        """What the browser does with a piece."""
        form = upload["form"]
        fields = {**form["fields"], "key": f"{form['prefix']}{number:05d}", **instead, "file": ("piece", data)}
        return urllib3.PoolManager().request("POST", form["url"], fields=fields, retries=False).status


@pytest.fixture
def desk(
    tmp_path: Path,
    seaweed: LiveStore,
    store: ObjectStore,
    incoming_bucket: str,
    media_bucket: str,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Desk]:
    monkeypatch.setattr(teachers, "PIECE_BYTES", PIECE)
    school = School(
        tmp_path,
        store,
        media_bucket,
        store_public_url=f"http://{seaweed.endpoint}",
        store_access_key=seaweed.access_key,
        store_secret_key=seaweed.secret_key,
        disk_reserve_bytes=0,
    )
    index = open_index(school.settings, school.catalog)
    yield Desk(school, Runtime(school.settings, school.catalog, store, index, FakeEar()), NotedRuns())
    index.close()
    school.close()


def pieces_of(data: bytes) -> list[bytes]:
    return [data[at : at + PIECE] for at in range(0, len(data), PIECE)]


def hashes_of(data: bytes) -> list[str]:
    return [sha256(piece).hexdigest() for piece in pieces_of(data)]


class TestItsWay:
    def test_a_file_that_broke_off_goes_on_and_becomes_an_arrival_like_any_other(self, desk: Desk) -> None:
        data = os.urandom(3 * PIECE + 5)
        upload = desk.begin(len(data))
        assert (upload["pieces"], upload["there"], upload["state"], upload["key"]) == (4, [], "open", KEY)
        pieces = pieces_of(data)
        assert {desk.send(upload, number, pieces[number - 1]) for number in (1, 3)} == {204}
        again = desk.ask(upload["id"])  # after a reload
        assert again["there"] == [1, 3]
        assert desk.finish(upload["id"], hashes_of(data)).status_code == 422
        assert {desk.send(again, number, pieces[number - 1]) for number in (2, 4)} == {204}
        assert desk.finish(upload["id"], hashes_of(data)).json()["state"] == "handed-in"
        assert desk.finish(upload["id"], hashes_of(data)).status_code == 200  # pressed twice
        assert desk.assemble() == 1
        assert desk.assemble() == 0
        assert desk.ask(upload["id"])["state"] == "done"
        assert desk.runs.arrivals == [KEY]
        store = desk.school.store
        assert store.get_bytes("incoming", KEY) == data
        said = json.loads(store.get_bytes("incoming", KEY.replace(".mp4", ".json")))
        assert said == {"title": "勾股定理", "consent": True}
        found = store.stat("incoming", KEY)
        assert found is not None
        assert found.metadata["sha256"] == sha256(data).hexdigest()
        assert list(store.list("media", PIECES)) == []

    def test_a_piece_that_changed_on_the_way_is_asked_for_again_and_only_that(self, desk: Desk) -> None:
        data = os.urandom(2 * PIECE)
        upload = desk.begin(len(data))
        first, second = pieces_of(data)
        desk.send(upload, 1, first)
        desk.send(upload, 2, second[:-1] + bytes([second[-1] ^ 1]))
        desk.finish(upload["id"], hashes_of(data))
        desk.assemble()
        back = desk.ask(upload["id"])
        assert (back["state"], back["there"]) == ("open", [1])
        assert "第 2 块" in back["reason_zh"]
        assert list(desk.school.store.list("incoming")) == []
        desk.send(back, 2, second)
        desk.finish(upload["id"], hashes_of(data))
        desk.assemble()
        assert desk.school.store.get_bytes("incoming", KEY) == data

    def test_what_lies_there_and_is_not_taken_in_yet_is_waited_for(self, desk: Desk) -> None:
        store, catalog = desk.school.store, desk.school.catalog
        there = store.put_bytes("incoming", KEY, b"a recorder's")
        upload = desk.begin(4)
        desk.send(upload, 1, b"mine")
        desk.finish(upload["id"], [])
        assert desk.assemble() == 0
        assert store.get_bytes("incoming", KEY) == b"a recorder's"
        take_in(desk.runtime, KEY)
        assert [one.is_settled for one in catalog.arrivals.of_key(KEY)] == [True]
        assert desk.assemble() == 1  # now it is another take
        take_in(desk.runtime, KEY)
        lessons = catalog.lessons.every()
        assert sorted(lesson.title for lesson in lessons) == ["301 教室 2026-09-01 08:00", "勾股定理（重录 2）"]
        assert there.etag != catalog.arrivals.of_key(KEY)[0].etag
        assert verify(desk.runtime).findings == ()

    def test_pieces_that_nobody_hands_in_are_gone_after_a_day(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        upload = desk.begin(2 * PIECE)
        desk.send(upload, 1, b"x" * PIECE)
        assert tidy_uploads(desk.runtime) == 0
        assert verify(desk.runtime).findings == ()  # a piece on its way is no stray
        tomorrow = desk.school.settings.model_copy(update={"abandoned_upload_h": 1e-9})
        later = Runtime(tomorrow, desk.runtime.catalog, desk.runtime.store, desk.runtime.index, FakeEar())
        time.sleep(1.1)  # the store counts in whole seconds
        assert tidy_uploads(later) == 1
        assert list(desk.school.store.list("media", PIECES)) == []
        assert desk.school.program(STAFF).get(f"/api/uploads/{upload['id']}").status_code == 404


class TestWhatAFormAllows:
    def test_it_takes_pieces_of_this_upload_and_nothing_else(self, desk: Desk) -> None:
        upload, other = desk.begin(PIECE), desk.begin(PIECE)
        prefix = upload["form"]["prefix"]
        refused = [
            desk.send(upload, 1, b"x", key=f"{other['form']['prefix']}00001"),
            desk.send(upload, 1, b"x", key="source/evil.mp4"),
            desk.send(upload, 1, b"x", key=f"{prefix}../../source/evil.mp4"),
            desk.send(upload, 1, b"x" * (PIECE + 1)),
            desk.send(upload, 1, b""),
            desk.send({"form": {**upload["form"], "url": upload["form"]["url"].replace("media", "incoming")}}, 1, b"x"),
            desk.send(upload, 1, b"x", **{"x-amz-signature": "0" * 64}),
        ]
        assert all(status >= 400 for status in refused), refused
        media = [found.key for found in desk.school.store.list("media")]
        assert [key for key in media if not key.startswith(prefix)] == []
        assert list(desk.school.store.list("incoming")) == []

    @pytest.mark.parametrize(
        "wrong",
        [
            {"school": "../x"},
            {"room": "*"},
            {"name": "virus.exe"},
            {"name": "captions.vtt"},
            {"size_bytes": 0},
            {"size_bytes": 10**15},
            {"started_at": "yesterday"},
            {"title": "x" * 121},
            {"consent": "yes"},
            {"bucket": "media"},
        ],
        ids=str,
    )
    def test_what_intake_would_refuse_is_refused_before_a_byte_is_sent(self, desk: Desk, wrong: dict[str, Any]) -> None:
        answer = desk.school.program(STAFF).post("/api/uploads", json={**ASKED, "size_bytes": 5, **wrong})
        assert answer.status_code == 422

    def test_the_largest_file_can_be_handed_in_with_all_its_hashes(self, desk: Desk) -> None:
        upload = desk.begin(desk.school.settings.max_recording_bytes)
        answer = desk.finish(upload["id"], ["f" * 64] * upload["pieces"])
        assert (answer.status_code, upload["pieces"]) == (422, 800)  # not 413: what is missing is the pieces
        assert "还差 800 块" in answer.text

    def test_students_and_strangers_get_no_form(self, desk: Desk) -> None:
        upload = desk.begin(5)
        for client in (desk.school.nobody(), desk.school.program(STUDENT)):
            assert client.post("/api/uploads", json={**ASKED, "size_bytes": 5}).status_code in (401, 403)
            assert client.get(f"/api/uploads/{upload['id']}").status_code in (401, 403)
            assert client.get("/upload").status_code in (303, 403)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright, chromium(playwright) as running:
        yield running


@pytest.mark.browser
class TestThePage:
    @pytest.fixture
    def page(self, desk: Desk, browser: Browser) -> Iterator[Page]:
        with served(desk.school.app) as url:
            context = browser.new_context(locale="zh-CN")
            context.set_default_timeout(WAIT_MS)
            opened = context.new_page()
            complaints: list[str] = []
            opened.on("pageerror", lambda error: complaints.append(str(error)))
            opened.on("console", lambda line: complaints.append(line.text) if "Content Security" in line.text else None)
            opened.goto(f"{url}/enter#{STAFF}")
            opened.wait_for_url(f"{url}/")
            opened.goto(f"{url}/upload")
            yield opened
            context.close()
            assert complaints == []

    def fill(self, page: Page, file: Path) -> None:
        page.set_input_files("input[name=file]", file)
        page.fill("input[name=title]", "勾股定理")
        page.fill("input[name=started_at]", "2026-09-01T08:00")
        page.fill("input[name=place]", "xinghuo/301/")
        page.click("#upload button[type=submit]")

    def test_it_sends_a_file_through_broken_lines_and_a_reload(self, page: Page, desk: Desk, tmp_path: Path) -> None:
        data = os.urandom(5 * PIECE + 9)
        (tmp_path / "我的课.mp4").write_bytes(data)
        sent: list[int] = []

        def line(route: Route) -> None:
            sent.append(len(sent))
            if len(sent) == 3:
                route.abort("connectionreset")  # the second piece, half way
            elif len(sent) == 5:
                pass  # never answered: the line hangs, and the teacher reloads
            else:
                route.continue_()

        page.route("**/media", line)
        page.evaluate(  # what is said only until the next try is heard too
            """() => {
                window.told = [];
                new MutationObserver(() => told.push(document.getElementById('said').textContent))
                    .observe(document.getElementById('said'), { childList: true, characterData: true, subtree: true });
            }"""
        )
        self.fill(page, tmp_path / "我的课.mp4")
        page.wait_for_function("() => told.some(text => text.includes('网络断了'))")
        page.wait_for_function("() => document.getElementById('bar').value >= 400")
        deadline = time.monotonic() + 30
        while len(sent) < 5 and time.monotonic() < deadline:
            page.wait_for_timeout(50)
        before = len(list(desk.school.store.list("media", PIECES)))
        assert 0 < before < 6
        page.unroute("**/media")
        page.reload()
        self.fill(page, tmp_path / "我的课.mp4")
        expect(page.locator("#said")).to_contain_text("正在校验", timeout=WAIT_MS)
        eventually(lambda: desk.assemble() == 1, 30, "the handing in")  # the page says so before it is heard
        expect(page.locator("#said")).to_contain_text("已上传。", timeout=WAIT_MS)
        assert page.get_attribute("#said a", "href") == "/arrivals"
        assert desk.school.store.get_bytes("incoming", KEY) == data
        (upload,) = [desk.school.catalog.uploads.get(one) for one in _ids(desk)]
        assert len(upload.digests) == 6  # of every piece, those that had been sent before the reload too

    def test_a_page_without_a_store_says_who_can_help(self, school: School) -> None:
        html = school.browser(STAFF).get("/upload").text
        assert "HUIKAN_STORE_PUBLIC_URL" in html
        assert "<form id=" not in html


def _ids(desk: Desk) -> list[str]:
    with desk.school.catalog.database.reading() as tx:
        return list(tx.execute(select(teacher_upload.c.id)).scalars())


def test_parts_of_uploads_that_were_given_up_are_gone_after_a_day(desk: Desk, seaweed: LiveStore) -> None:
    raw = Minio(seaweed.endpoint, seaweed.access_key, seaweed.secret_key, secure=False, region="us-east-1")
    for bucket, key in (("incoming", KEY), ("media", "source/x.mp4")):
        upload = raw._create_multipart_upload(bucket, key, {})  # pyright: ignore[reportPrivateUsage]
        raw._upload_part(bucket, key, b"x" * 1000, {}, upload, 1)  # pyright: ignore[reportPrivateUsage]
    store = desk.school.store
    now = datetime.now(UTC)
    assert tidy_uploads(desk.runtime) == 0
    assert [key for key, _ in store.abandoned("incoming", now + timedelta(hours=25))] == [KEY]
    time.sleep(1.1)  # the store counts in whole seconds
    settings = desk.school.settings.model_copy(update={"abandoned_upload_h": 1e-9})
    later = Runtime(settings, desk.runtime.catalog, store, desk.runtime.index, FakeEar())
    assert tidy_uploads(later) == 2
    for bucket in ("incoming", "media"):
        assert list(store.abandoned(bucket, now + timedelta(hours=25))) == []
