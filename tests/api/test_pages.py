"""The pages: what people read, and that nothing a school writes can act."""

import gzip
import re
from dataclasses import replace
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api import rendering
from api.delivery import FRESH_S, Playable
from api.rendering import STATIC, WEB, excerpt, marked, marked_like, query_string, school_order, short_seconds
from api.routes.pages import start_ms, ways_of
from archive.keys import rendition_prefix
from archive.model import Board, Cue, Damage, Publication, Span, Still
from search.hits import Hit
from tests.api.school import LADDER, STAFF, STUDENT, School

PAYLOADS = [
    "<script>window.hacked=1</script>",
    '"><img src=x onerror="window.hacked=1">',
    "' onmouseover='window.hacked=1",
    "</title><svg onload=window.hacked=1>",
    "{{ 7*7 }}{% raw %}",
    "javascript:window.hacked=1",
    "--> <b>STYLE</b>",
    "&lt;script&gt;",
]

# What our templates write; the reference apart, which shows nothing that a school has written.
TEMPLATES = [
    path.read_text(encoding="utf-8") for path in (WEB / "templates").glob("*.html") if path.name != "docs.html"
]
OUR_ELEMENTS = {"mark", *(name for text in TEMPLATES for name in re.findall(r"<([a-z][a-z0-9]*)", text))}


class Page(HTMLParser):
    """What a browser would make of it: elements with their attributes, and text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def page(school: School, path: str, code: str = STUDENT) -> Page:
    answer = school.browser(code).get(path)
    assert answer.status_code == 200
    return Page(answer.text)


# --- nothing acts -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("payload", PAYLOADS)
def test_what_a_school_writes_is_text_everywhere(school: School, payload: str) -> None:
    cues = (Cue(Span(0, 3_000), f"勾股定理 {payload}"), Cue(Span(3_000, 6_000), payload))
    lesson = school.publish(f"勾股定理 {payload}", teacher=payload, subject=payload[:40], grade=payload[:40], cues=cues)
    school.catalog.arrivals.note(f"x/{payload}.mp4", "e", 1)
    school.catalog.arrivals.refuse(f"x/{payload}.mp4", "e", "unacceptable", payload, payload)
    hostile = {"q": f"勾股定理 {payload}"[:64], "subject": payload[:40]}
    asked = [(path, {}) for path in ("/", f"/lesson/{lesson.id}", "/arrivals", "/enter")]
    asked += [("/search", {"q": "勾股定理"}), ("/search", hostile), ("/", hostile), (f"/lesson/{lesson.id}", hostile)]
    staff = school.browser(STAFF)
    for path, params in asked:
        shown = Page(staff.get(path, params=params).text)
        assert {name for name, _ in shown.elements} <= OUR_ELEMENTS
        assert all(script.get("src") for script in shown.all("script"))
        for _, attributes in shown.elements:
            assert not [name for name in attributes if name.startswith("on") or name == "style"]
            for name in ("href", "src", "action", "hx-get"):
                assert re.match(r"[/?#]|$", attributes.get(name) or "")
    assert not {"svg", "b", "style", "iframe"} & OUR_ELEMENTS
    assert payload in Page(staff.get(f"/lesson/{lesson.id}").text).text


def test_no_template_marks_anything_as_safe_and_nothing_is_inline() -> None:
    for template in (WEB / "templates").glob("*.html"):
        text = template.read_text(encoding="utf-8")
        assert "|safe" not in text.replace(" ", "")
        assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son[a-z]+=|javascript:", text), template.name


def test_scripts_and_styles_come_from_here_alone(school: School) -> None:
    lesson = school.publish()
    for path in ("/", "/search?q=勾股定理", f"/lesson/{lesson.id}"):
        shown = page(school, path)
        sources = [script["src"] for script in shown.all("script")]
        sources += [link["href"] for link in shown.all("link")] + [image["src"] for image in shown.all("img")]
        assert all(source and re.match(r"/(static|lesson)/", source) for source in sources)


def test_vendored_files_are_the_ones_on_record() -> None:
    record = (STATIC / "vendor" / "VENDOR.md").read_text(encoding="utf-8")
    for path in (STATIC / "vendor").glob("*.js"):
        assert sha256(path.read_bytes()).hexdigest() in record, path.name


@given(st.text(max_size=40), st.lists(st.integers(0, 40), max_size=8))
def test_marking_adds_marks_and_nothing_else(text: str, cuts: list[int]) -> None:
    points = sorted({min(cut, len(text)) for cut in cuts})
    marks = list(zip(points[::2], points[1::2], strict=False))
    html = str(marked(text, marks))
    assert html.count("<mark>") == html.count("</mark>") == len(marks)
    assert re.sub(r"</?mark>", "", html) == str(rendering.escape(text))


def hit(text: str, *marks: tuple[int, int]) -> Hit:
    return Hit("a" * 26, 0, 1, "said", text, marks, 1.0, "exact")


@given(st.text(alphabet="甲乙丙。 <", min_size=1, max_size=300), st.integers(0, 299), st.integers(1, 20))
def test_an_excerpt_shows_its_first_mark(text: str, start: int, length: int) -> None:
    start = min(start, len(text) - 1)
    end = min(len(text), start + length)
    html = str(excerpt(hit(text, (start, end))))
    assert f"<mark>{rendering.escape(text[start:end])}</mark>" in html
    assert len(re.sub(r"</?mark>", "", html).replace("&lt;", "<")) <= rendering.EXCERPT + rendering.BEFORE_MARK + 22


def test_an_excerpt_begins_with_a_sentence_where_it_can() -> None:
    text = "这一句很长很长很长很长很长很长很长很长很长很长很长。接着讲勾股定理" + "，还有很多" * 20
    at = text.index("勾股定理")
    shown = str(excerpt(hit(text, (at, at + 4))))
    assert shown.startswith("接着讲<mark>勾股定理</mark>")
    assert shown.endswith("…")
    assert str(excerpt(hit("短句子", (0, 1)))) == "<mark>短</mark>句子"


def test_a_title_is_marked_where_its_hit_is() -> None:
    known = hit("勾股定理 · 王老师 · 数学", (0, 4), (7, 10))
    assert str(marked_like("勾股定理", known)) == "<mark>勾股定理</mark>"
    assert str(marked_like("王老师", known)) == "<mark>王老师</mark>"
    assert str(marked_like("数学<", known)) == "数学&lt;"
    assert str(marked_like("数学", None)) == "数学"


# --- what people read ---------------------------------------------------------------------------------------------------


def test_the_library_shows_cards_and_filters(school: School) -> None:
    for n in range(1, 28):
        school.publish(f"第 {n} 课", day=n, subject="数学" if n % 2 else "语文", cues=())
    shown = page(school, "/")
    assert "27 节课" in shown.text
    assert "第 27 课" in shown.text
    assert "第 3 课" not in shown.text
    assert {"rel": "next", "href": "/?offset=24"} in shown.all("a")
    last = page(school, "/?offset=24&subject=数学")
    assert "14 节课" in last.text
    second = page(school, "/?offset=24")
    assert "第 3 课" in second.text
    assert {"rel": "prev", "href": "/?"} in second.all("a")
    assert "第 27 课" not in page(school, "/?subject=语文").text


def test_an_empty_library_says_what_to_do(school: School) -> None:
    assert "还没有课" in page(school, "/").text
    assert "还没有收到录像" in page(school, "/arrivals", STAFF).text
    assert "输入课名" in page(school, "/search").text


def test_a_search_shows_lessons_with_moments_that_jump(school: School) -> None:
    lesson = school.publish()
    shown = page(school, "/search?q=勾股定理")
    moments = [a for a in shown.all("a") if a.get("class") == "moment"]
    assert [a["href"] for a in moments] == [f"/lesson/{lesson.id}?t=4&q=%E5%8B%BE%E8%82%A1%E5%AE%9A%E7%90%86"]
    assert len(shown.all("mark")) == 2  # the title's, and what was said
    assert "没有找到" in page(school, "/search?q=不存在的词汇").text


def test_a_lesson_works_without_a_script_up_to_the_player(school: School) -> None:
    lesson = school.publish()
    shown = page(school, f"/lesson/{lesson.id}?t=4.5&q=勾股定理")
    source, track, video = shown.all("source")[0], shown.all("track")[0], shown.all("video")[0]
    assert re.fullmatch(rf"/v/[\w-]+/{lesson.id}/main\.m3u8#t=4\.5", source["src"] or "")
    assert source["type"] == "application/vnd.apple.mpegurl"
    assert (track["kind"], track["srclang"]) == ("captions", "zh-Hans")
    assert "controls" in video
    assert video["data-start"] == "4.5"
    lines = [a for a in shown.all("a") if "data-ms" in a]
    assert [line["data-ms"] for line in lines] == ["4000", "0", "4000"]  # the moment, then the transcript
    assert "今天我们来学习勾股定理" in shown.text
    assert "在这节课里的 1 处" in shown.text


def test_a_lesson_offers_its_ways_with_their_sizes(school: School) -> None:
    lesson = school.publish()
    board = Board((Still(Span(0, 12_000), "board-00001.jpg", 960, 540, 2_400_000),), (), 2_400_000)
    known = school.catalog.outputs.renditions(lesson.recording_id, LADDER)
    picture, sound = (next(made for made in known if bool(made.height) is shown) for shown in (True, False))
    playable = Playable(
        lesson,
        Publication(lesson.id, lesson.recording_id, LADDER, None, lesson.started_at),
        (
            replace(picture, rung="480p", size_bytes=90_000_000),
            replace(picture, size_bytes=21_000_000),
            replace(sound, size_bytes=8_400_000),
            replace(sound, rung="opus", size_bytes=6_300_000),
        ),
        "",
        board,
    )
    shown = [(way.label, rendering.roughly(way.size_bytes)) for way in ways_of(playable)]
    assert shown == [("画面", "约 29 MB"), ("声音+板书", "约 8.7 MB"), ("只听声音", "约 6.3 MB")]
    assert [way.value for way in ways_of(replace(playable, board=None))] == ["picture", "sound"]
    assert ways_of(replace(playable, renditions=playable.renditions[2:], board=None)) == ()
    assert ways_of(replace(playable, renditions=playable.renditions[:2])) == ()


def test_the_board_is_a_list_of_moments_without_a_script(school: School) -> None:
    lesson = school.publish()
    assert not [a for a in page(school, f"/lesson/{lesson.id}").all("ol") if a.get("id") == "board"]
    spans = [Span(0, 4_000), Span(4_000, 12_000)]
    stills = tuple(Still(span, f"board-{n:05d}.jpg", 960, 540, 9) for n, span in enumerate(spans, start=1))
    school.catalog.encodings.keep_board(lesson.recording_id, LADDER, Board(stills, (), 18))
    school.clock.now += 60
    shown = page(school, f"/lesson/{lesson.id}?q=勾股定理")
    pages = [a for a in shown.all("a") if "data-still" in a]
    assert [(a["data-still"], a["data-ms"]) for a in pages] == [("board-00001.jpg", "0"), ("board-00002.jpg", "4000")]
    assert not [image for image in shown.all("img") if "board-" in (image["src"] or "")]  # a script loads what is seen
    assert "?t=4&q=%E5%8B%BE%E8%82%A1%E5%AE%9A%E7%90%86" in {a.get("href") for a in shown.all("a")}


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (0, "约 0.1 MB"),
        (940_000, "约 0.9 MB"),
        (2_000_000, "约 2 MB"),
        (9_449_999, "约 9.4 MB"),
        (9_500_000, "约 10 MB"),
        (123_400_000, "约 123 MB"),
    ],
)
def test_a_size_to_choose_by_has_few_digits(size_bytes: int, text: str) -> None:
    assert rendering.roughly(size_bytes) == text


def test_a_lesson_whose_words_are_to_come_plays_already(school: School) -> None:
    pending, silent = school.publish("待", cues=None, day=1), school.publish("静", cues=(), day=2)
    assert "文字还在整理" in page(school, f"/lesson/{pending.id}").text
    assert "没有听到说话声" in page(school, f"/lesson/{silent.id}").text
    assert page(school, f"/lesson/{pending.id}").all("track") == []


def test_staff_see_how_far_a_lesson_is_until_it_plays(school: School) -> None:
    lesson = school.arrive()
    school.catalog.outputs.note_progress(lesson.recording_id, "encode", 0.43)
    shown = page(school, f"/lesson/{lesson.id}", STAFF)
    assert "正在处理" in shown.text
    assert shown.all("progress")[0]["value"] == "43"
    school.put_ladder(lesson)
    school.catalog.outputs.publish(lesson.recording_id, ladder_edition=1, speech_edition=None)
    school.clock.now += 60
    asked_again = school.browser(STAFF).get(f"/lesson/{lesson.id}", headers={"HX-Request": "true"})
    assert asked_again.headers["hx-refresh"] == "true"


def test_refusals_and_obstacles_come_with_their_remedy(school: School) -> None:
    moving = school.publish("没有模型的课", cues=None)
    school.catalog.outputs.hinder(
        moving.recording_id, "speech", "model-missing", "请运行 huikan doctor", retry_after_s=9
    )
    school.catalog.arrivals.note("xinghuo/302/20260903T0900.mp4", "e1", 0)
    school.catalog.arrivals.refuse(
        "xinghuo/302/20260903T0900.mp4", "e1", "unreadable", "empty", "文件是空的，请重新上传"
    )
    text = page(school, "/arrivals", STAFF).text
    assert "请运行 huikan doctor" in text
    assert "文件是空的，请重新上传" in text
    assert "没有被删除" in text


def test_only_staff_are_shown_what_is_for_staff(school: School) -> None:
    lesson = school.publish()
    for path in ("/", f"/lesson/{lesson.id}", "/search?q=勾股定理"):
        text = page(school, path).text
        assert "监护人" not in text
        assert "学生不可见" not in text
        assert "/arrivals" not in {a.get("href") for a in page(school, path).all("a")}


def test_consent_can_be_given_and_withdrawn_on_the_page(school: School) -> None:
    lesson = school.publish(consent=None)
    staff = school.browser(STAFF)
    assert "还没有登记" in staff.get(f"/lesson/{lesson.id}").text
    for said, kept in (("yes", True), ("no", False), ("", False)):
        answer = staff.post(f"/lesson/{lesson.id}/consent", data={"consent": said})
        assert answer.headers["location"] == f"/lesson/{lesson.id}"
        assert school.catalog.lessons.get(lesson.id).consent is kept
    assert "学生不可见" in staff.get("/").text


def test_the_first_page_is_light(school: School) -> None:
    """100 KB compressed, pictures apart: what a phone on 64 kbit/s waits for before it shows anything."""
    for n in range(1, 25):
        school.publish(f"很长很长的课名，占满两行还要多一点点 {n}", day=n, cues=())
    student = school.browser(STUDENT)
    first = student.get("/", headers={"Accept-Encoding": "gzip"})
    assert first.headers["content-encoding"] == "gzip"
    shown = Page(first.text)
    named = [script["src"] for script in shown.all("script")] + [link["href"] for link in shown.all("link")]
    weights = [
        int(student.get(name or "", headers={"Accept-Encoding": "gzip"}).headers["content-length"]) for name in named
    ]
    assert sum(weights) + int(first.headers["content-length"]) <= 100_000
    assert len(gzip.compress(first.content)) <= 10_000


def test_static_files_are_kept_for_a_year_under_their_hash(school: School) -> None:
    visitor = school.nobody()
    address = rendering.static_address("app.css")
    named, bare = visitor.get(address), visitor.get("/static/app.css")
    assert "immutable" in named.headers["cache-control"]
    assert "no-cache" in bare.headers["cache-control"]
    assert visitor.get(address, headers={"If-None-Match": named.headers["etag"]}).status_code == 304
    assert named.text == bare.text == Path(STATIC / "app.css").read_text(encoding="utf-8")
    for wrong in ("/static/../app.css", "/static/vendor", "/static/%2e%2e/templates/base.html", "/static/app.css/"):
        assert visitor.get(wrong).status_code == 404


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("83", 83_000),
        ("83.25", 83_250),
        ("0.5", 500),
        ("", 0),
        ("x", 0),
        ("-1", 0),
        ("1e9", 0),
        ("９", 0),
        ("1.2345", 0),
    ],
)
def test_a_time_in_an_address(text: str, ms: int) -> None:
    assert start_ms(text) == ms


@given(st.integers(0, 10**8))
def test_an_address_leads_to_the_moment_it_names(ms: int) -> None:
    assert start_ms(short_seconds(ms)) == ms


def test_what_is_not_chosen_is_not_in_the_address() -> None:
    assert query_string(subject="数学", grade="", programme=None, offset=0) == "?subject=%E6%95%B0%E5%AD%A6"
    assert query_string(a="") == ""


def test_subjects_and_grades_come_as_a_school_lists_them() -> None:
    assert list(school_order({"历史": 1, "天文": 1, "数学": 1, "语文": 1})) == ["语文", "数学", "历史", "天文"]
    assert list(school_order({"八年级": 1, "一年级": 1, "三年级": 1})) == ["一年级", "三年级", "八年级"]


def test_every_view_of_a_lesson_can_be_chosen_and_its_damage_is_said(school: School) -> None:
    lesson, student = school.publish(), school.browser(STUDENT)
    made = school.catalog.outputs.renditions(lesson.recording_id, LADDER)
    prefix = rendition_prefix(lesson.recording_id, LADDER)
    picture = next(rendition for rendition in made if rendition.height)
    students = replace(
        picture, rung="students-240p", view="students", playlist_key=f"{prefix}/students-240p/index.m3u8"
    )
    school.catalog.outputs.keep_renditions(lesson.recording_id, LADDER, [*made, students])
    damage = Damage(4000, "录像有损坏：约 4 秒无法读取，以静止画面代替。")
    school.catalog.encodings.keep_damage(lesson.recording_id, damage, readable_ms=12_000)
    school.clock.now += FRESH_S + 1
    page = student.get(f"/lesson/{lesson.id}").text
    assert [f'value="{view}"' in page for view in ("main", "students", "screen")] == [True, True, False]
    assert "主画面" in page
    assert "学生" in page
    assert damage.reason_zh in page
    playback = student.get(f"/api/lessons/{lesson.id}/playback").json()
    assert playback["damage"] == {"lost_ms": 4000, "reason_zh": damage.reason_zh}
    assert [view["view"] for view in playback["views"]] == ["main", "students"]
    listed = [student.get(view["playlist"]).text for view in playback["views"]]
    assert ["students-240p" in text for text in listed] == [False, True]
    assert ["\n240p/index" in text for text in listed] == [True, False]
    assert student.get(playback["playlist"].replace("main", "main-screen")).status_code == 404
