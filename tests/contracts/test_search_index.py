"""What every search index does, whichever engine is under it."""

import threading
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from archive.model import Programme, Scope
from search import words
from search.hits import Hit
from search.index import NAME, SearchIndex, ready
from search.query import STAFF, STUDENTS, Between, Query, Sort
from tests.search.engines import ENGINES, lesson_ids, opened, passage, reopened, said

SCHOOLS = ("xinghuo", "chaoyang", "hong-qi")


@pytest.fixture(params=ENGINES)
def index(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[SearchIndex]:
    with opened(request.param, tmp_path) as empty:
        yield empty


@pytest.fixture(params=ENGINES, scope="module")
def library(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Generator[SearchIndex]:
    """Lessons of three schools, some with consent: for tests that only read."""
    with opened(request.param, tmp_path_factory.mktemp("library")) as filled:
        for number, school in enumerate(SCHOOLS * 2):
            consent = number < 3
            lesson = f"{school}-{consent}"
            filled.replace(lesson, [
                passage("勾股定理 李老师 数学", lesson=lesson, number=0, kind="title", school=school, consent=consent),
                passage("今天我们学习沟谷定理 the Pythagorean theorem", lesson=lesson, school=school, consent=consent),
                passage("e\u0301 café ㎡ 🧑‍🏫 天天向上 實事求是", lesson=lesson, number=2, school=school, consent=consent),
            ])  # fmt: skip
        yield filled


def found(index: SearchIndex, text: str, **asked: object) -> list[str]:
    """The lessons of the hits, best first, once each."""
    hits = index.search(Query(text, **{"scope": STAFF, **asked})).hits  # type: ignore[arg-type]
    return list(dict.fromkeys(hit.lesson_id for hit in hits))


def marked(hit: Hit) -> list[str]:
    return [hit.text[start:end] for start, end in hit.marks]


def test_a_misheard_word_is_found_by_the_right_one(index: SearchIndex) -> None:
    index.replace("七年级数学", said("七年级数学", "今天我们来学习沟谷定理"))
    (hit,) = index.search(Query("勾股定理")).hits
    assert (hit.lesson_id, hit.matched_by, marked(hit)) == ("七年级数学", "sound", ["沟谷定理"])


def test_what_is_written_comes_before_what_only_sounds_like_it(index: SearchIndex) -> None:
    index.replace("heard", said("heard", "沟谷定理 沟谷定理 沟谷定理"))
    index.replace("written", said("written", "很长的一段话里只有一次提到勾股定理 然后老师又讲了许多别的内容"))
    hits = index.search(Query("勾股定理")).hits
    assert [(hit.lesson_id, hit.matched_by) for hit in hits] == [("written", "exact"), ("heard", "sound")]


def test_title_teacher_and_subject_are_found_and_come_before_what_was_said(index: SearchIndex) -> None:
    title = passage("光合作用 · 王芳 · 生物 · 七年级", lesson="biology", number=0, kind="title")
    index.replace("biology", [title, *said("biology", "光合作用需要光")])
    assert [hit.kind for hit in index.search(Query("光合作用")).hits] == ["title", "said"]
    assert [found(index, text) for text in ("王芳", "生物", "七年级")] == [["biology"]] * 3


def test_all_words_of_a_query_must_be_said_together(index: SearchIndex) -> None:
    index.replace("both", said("both", "下面证明一下勾股定理"))
    index.replace("one", said("one", "勾股定理很有用", "证明题"))
    assert found(index, "勾股定理 证明") == ["both"]
    assert found(index, "怎么证明勾股定理") == ["both"]


def test_characters_in_a_row_are_found_where_the_dictionary_cuts_otherwise(index: SearchIndex) -> None:
    index.replace("lesson", said("lesson", "三角形的中位线定理", "同学们翻到32页 看 CO2 的性质"))
    for text in ("位线定", "角形的中", "到32页", "co2"):
        assert found(index, text) == ["lesson"], text


def test_a_phrase_in_which_a_character_repeats_is_found(index: SearchIndex) -> None:
    index.replace("lesson", said("lesson", "好好学习天天向上"))
    assert found(index, "天天") == ["lesson"]
    assert found(index, "好好学习") == ["lesson"]
    assert found(index, "tiantianxiangshang") == ["lesson"]


def test_a_long_sentence_is_found_and_a_wrong_one_is_not(index: SearchIndex) -> None:
    index.replace("lesson", said("lesson", "直角三角形两条直角边的平方和等于斜边的平方这就是著名的勾股定理"))
    index.replace("other", said("other", "等边三角形三条边都相等三个角都是六十度"))
    assert found(index, "直角三角形两条直角边的平方和等于斜边的平方") == ["lesson"]
    assert found(index, "等腰三角形两条腰的中点和底边的中点") == []


def test_replacing_a_lesson_forgets_what_it_said_before(index: SearchIndex) -> None:
    index.replace("lesson", said("lesson", "摩擦力", "重力", "浮力"))
    index.replace("other", said("other", "摩擦力"))
    index.replace("lesson", said("lesson", "电流"))
    assert found(index, "摩擦力") == ["other"]
    assert found(index, "电流") == ["lesson"]
    assert index.size() == 2


def test_replacing_twice_with_the_same_is_as_once(index: SearchIndex) -> None:
    for _ in range(2):
        index.replace("lesson", said("lesson", "摩擦力", "重力"))
    assert len(index.search(Query("重力")).hits) == 1
    assert (len(lesson_ids(index)), index.size()) == (1, 2)


def test_many_lessons_are_replaced_as_one_is(index: SearchIndex) -> None:
    index.replace("a", said("a", "摩擦力", "重力"))
    index.replace("c", said("c", "重力"))
    index.replace_many({"a": ready(said("a", "浮力")), "b": ready(said("b", "浮力")), "d": []})
    index.replace_many({})
    assert sorted(found(index, "浮力")) == ["a", "b"]
    assert found(index, "摩擦力") == []
    assert lesson_ids(index) == {"a", "b", "c"}


def test_a_removed_lesson_is_found_no_more(index: SearchIndex) -> None:
    index.replace("lesson", said("lesson", "摩擦力"))
    index.replace("other", said("other", "摩擦力"))
    index.remove("lesson")
    index.remove("never there")
    assert found(index, "摩擦力") == ["other"]
    assert lesson_ids(index) == {"other"}


def test_a_lesson_replaced_with_nothing_is_removed(index: SearchIndex) -> None:
    index.replace("lesson", said("lesson", "摩擦力"))
    index.replace("lesson", [])
    assert lesson_ids(index) == set()


def test_an_index_that_nobody_wrote_to_is_empty(index: SearchIndex) -> None:
    assert found(index, "摩擦力") == []
    assert lesson_ids(index) == set()
    assert (len(lesson_ids(index)), index.size()) == (0, 0)
    assert index.others() == []


def test_lesson_ids_may_be_anything_and_are_told_apart(index: SearchIndex) -> None:
    ids = ["Abc", "abc", "七年级/数学 \"'\\", "1e10", "10000000000"]
    for lesson in ids:
        index.replace(lesson, said(lesson, "摩擦力"))
    assert lesson_ids(index) == set(ids)
    assert found(index, "摩擦力", lesson_id="abc") == ["abc"]
    index.remove("abc")
    assert lesson_ids(index) == set(ids) - {"abc"}


@pytest.mark.parametrize(
    "asked",
    [
        {"subject": "数学"},
        {"grade": "七年级"},
        {"school": "xinghuo"},
        {"programme": Programme.MICRO},
        {"lesson_id": "right"},
        {"teacher": "王芳"},
        {"language": "en"},
        {"started_on": Between(least=20260901)},
        {"started_on": Between(20260901, 20270131)},
        {"lesson_ms": Between(most=10 * 60_000)},
        {"is_written": True},
        {"subject": "数学", "grade": "七年级", "school": "xinghuo", "programme": Programme.MICRO, "lesson_id": "right"},
    ],
)
def test_a_filter_leaves_what_it_names(index: SearchIndex, asked: dict[str, object]) -> None:
    right = {"subject": "数学", "grade": "七年级", "school": "xinghuo", "programme": Programme.MICRO}
    right |= {"teacher": "王芳", "language": "en", "started_on": 20260901, "lesson_ms": 600_000, "is_written": True}
    wrong = {"subject": "物理", "grade": "八年级", "school": "chaoyang", "programme": Programme.LIVE}
    wrong |= {"teacher": "王方", "language": "zh", "started_on": 20260831, "lesson_ms": 600_001, "is_written": False}
    index.replace("right", [passage("公式", lesson="right", **right)])  # type: ignore[arg-type]
    index.replace("wrong", [passage("公式", lesson="wrong", **wrong)])  # type: ignore[arg-type]
    assert sorted(found(index, "公式")) == ["right", "wrong"]
    assert found(index, "公式", **asked) == ["right"]


@pytest.mark.parametrize(
    "value", ['数学" OR subject = "物理', "数学' OR '1' = '1", "数学\\", "\\", '"', "数学]", "*", "数学 "]
)
def test_a_filter_value_is_only_ever_a_value(index: SearchIndex, value: str) -> None:
    index.replace("maths", [passage("公式", lesson="maths", subject="数学")])
    index.replace("odd", [passage("公式", lesson="odd", subject=value)])
    assert found(index, "公式", subject=value) == ["odd"]


def test_the_newest_lesson_comes_first_where_that_is_asked(index: SearchIndex) -> None:
    for day in (20260901, 20260903, 20260902):
        index.replace(str(day), [passage("公式", lesson=str(day), started_on=day)])
    index.replace("20260909", [passage("攻势", lesson="20260909", started_on=20260909)])
    assert found(index, "公式", sort=Sort.NEWEST) == ["20260903", "20260902", "20260901", "20260909"]


@pytest.mark.parametrize("ends", [(0, 0), (-5, 10**30), (10**30, -5), (None, 2**64)])
def test_any_range_is_answered(index: SearchIndex, ends: tuple[int | None, int | None]) -> None:
    index.replace("lesson", [passage("公式", started_on=20260901)])
    index.search(Query("公式", started_on=Between(*ends), lesson_ms=Between(*ends)))


def test_filters_tell_capitals_from_small_letters(index: SearchIndex) -> None:
    index.replace("lesson", [passage("公式", subject="English")])
    assert found(index, "公式", subject="english") == []


def test_students_find_only_what_has_consent_and_only_their_schools(index: SearchIndex) -> None:
    index.replace("open", [passage("公式", lesson="open", school="xinghuo")])
    index.replace("far", [passage("公式", lesson="far", school="chaoyang")])
    index.replace("closed", [passage("公式", lesson="closed", school="xinghuo", consent=False)])
    assert sorted(found(index, "公式", scope=STUDENTS)) == ["far", "open"]
    assert found(index, "公式", scope=Scope(schools=frozenset({"xinghuo"}))) == ["open"]
    assert sorted(found(index, "公式", scope=Scope(consented_only=False, schools=frozenset({"xinghuo"})))) == [
        "closed",
        "open",
    ]
    assert found(index, "公式", scope=Scope(schools=frozenset())) == []
    assert found(index, "公式", school="chaoyang", scope=Scope(schools=frozenset({"xinghuo"}))) == []


def test_a_lesson_that_is_out_of_scope_does_not_use_up_the_limit(index: SearchIndex) -> None:
    index.replace("closed", [passage("公式", lesson="closed", number=n, consent=False) for n in range(40)])
    index.replace("open", [passage("公式和很多很多别的话", lesson="open")])
    results = index.search(Query("公式", limit=1))
    assert ([hit.lesson_id for hit in results.hits], results.more) == (["open"], False)


def test_pages_follow_each_other_without_gap_or_repetition(index: SearchIndex) -> None:
    index.replace("lesson", said("lesson", *["勾股定理"] * 7, *["沟谷定理"] * 4))
    pages = [index.search(Query("勾股定理", limit=3, offset=offset)) for offset in (0, 3, 6, 9)]
    starts = [hit.start_ms for page in pages for hit in page.hits]
    assert sorted(starts) == [number * 10_000 for number in range(1, 12)]
    assert [page.more for page in pages] == [True, True, True, False]
    assert [hit.matched_by for page in pages for hit in page.hits] == ["exact"] * 7 + ["sound"] * 4


def test_sure_hits_come_before_those_that_are_only_near(index: SearchIndex) -> None:
    index.replace("near", said("near", "我们来看勾股定义 勾股定义 勾股定义"))
    index.replace("heard", said("heard", "沟谷定理"))
    index.replace("written", said("written", "很长的一段话里只有一次提到勾股定理 然后老师又讲了许多别的内容"))
    hits = index.search(Query("勾股定理")).hits
    assert [(hit.lesson_id, hit.matched_by) for hit in hits] == [
        ("written", "exact"),
        ("heard", "sound"),
        ("near", "near"),
    ]
    assert hits[2].closeness < 1
    assert marked(hits[2])[0] == "勾股定"


@pytest.mark.parametrize(
    ("said_by_the_teacher", "typed", "why"),
    [
        ("对边比斜边叫做正玄", "正弦", "near"),
        ("今天学习勾股定理", "ggdl", "initials"),
        ("今天学习沟谷定理", "ggdl", "initials"),
        ("今天學習勾股定理", "勾股定理", "exact"),
        ("请翻到32页", "三十二页", "exact"),
        ("请翻到三十二页", "３２页", "exact"),
        ("铝的化学性质", "吕的化学信址", "near"),
        ("直角三角形两条直角边的平方和", "直角三角行两条直边的平方", "near"),
        ("大气压强随高度减小", "daqiyaqiang", "sound"),
    ],
)
def test_what_is_typed_as_well_as_one_can_is_found(
    index: SearchIndex, said_by_the_teacher: str, typed: str, why: str
) -> None:
    index.replace("lesson", said("lesson", said_by_the_teacher, "同学们请坐好我们开始上课"))
    (hit,) = index.search(Query(typed)).hits
    assert (hit.start_ms, hit.matched_by) == (10_000, why)


@pytest.mark.parametrize("text", ["魑魅魍魉", "wzqxkjh", "龃龉不合", "lunzhuaikuang", "33页", "力学三大定律"])
def test_what_nobody_said_is_not_found(index: SearchIndex, text: str) -> None:
    index.replace("lesson", said("lesson", "今天学习勾股定理 请翻到32页", "力的三要素是大小方向作用点"))
    assert index.search(Query(text)).hits == ()


def test_words_that_stand_together_come_before_words_far_apart(index: SearchIndex) -> None:
    index.replace("apart", said("apart", "证明题我们下次再讲 现在大家先把课本拿出来 再看一看勾股定理"))
    index.replace("together", said("together", "下面证明一下勾股定理 现在大家先把课本拿出来 再看一看题目"))
    assert found(index, "证明 勾股定理") == ["together", "apart"]


@pytest.mark.parametrize("text", ["", "   ", "，。！", '""', "🙂", "\ud800", "\0", "*:*", "-", "(", '"-"'])
def test_a_query_without_words_finds_nothing(index: SearchIndex, text: str) -> None:
    index.replace("lesson", said("lesson", "摩擦力"))
    assert index.search(Query(text)).hits == ()


def test_only_the_first_64_characters_of_a_query_count(index: SearchIndex) -> None:
    index.replace("lesson", said("lesson", "摩擦力"))
    assert found(index, "摩擦力" + " " * 61 + "重力" * 5000) == ["lesson"]
    assert found(index, "力" * 10_000) == []


def test_limits_out_of_reach_are_answered(index: SearchIndex) -> None:
    index.replace("lesson", said("lesson", "摩擦力"))
    for limit, offset in ((0, 0), (-1, 0), (10, 10**9), (10**9, 0), (5, -5)):
        index.search(Query("摩擦力", limit=limit, offset=offset))
    assert len(index.search(Query("摩擦力", limit=10**9)).hits) == 1


def test_another_object_sees_what_was_written_at_once(index: SearchIndex) -> None:
    other = reopened(index)
    assert found(other, "摩擦力") == []
    index.replace("lesson", said("lesson", "摩擦力"))
    assert found(other, "摩擦力") == ["lesson"]
    other.replace("lesson", said("lesson", "重力"))
    assert found(index, "摩擦力") == []
    assert found(index, "重力") == ["lesson"]


def test_threads_may_replace_at_once(index: SearchIndex) -> None:
    start = threading.Barrier(4)
    errors: list[BaseException] = []

    def write(number: int) -> None:
        try:
            start.wait()
            index.replace("shared", said("shared", *["浮力"] * (number + 1)))
            index.replace(f"own-{number}", said(f"own-{number}", "浮力"))
        except BaseException as error:  # noqa: BLE001 - told to the test, which fails
            errors.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert lesson_ids(index) == {"shared", "own-0", "own-1", "own-2", "own-3"}
    assert index.size() - 4 in (1, 2, 3, 4)  # one writer's passages, not a mixture


def test_a_dropped_index_is_empty_and_works(index: SearchIndex) -> None:
    other = reopened(index)
    index.replace("lesson", said("lesson", "摩擦力"))
    assert found(other, "摩擦力") == ["lesson"]
    index.drop([NAME])
    assert found(index, "摩擦力") == found(other, "摩擦力") == []
    other.replace("lesson", [passage("重力", subject="物理")])
    assert found(index, "重力", subject="物理") == ["lesson"]


def test_dropping_an_index_that_never_was_is_fine(index: SearchIndex) -> None:
    index.drop([NAME, "e1"])
    assert lesson_ids(index) == set()


def test_an_index_beside_is_one_of_its_own_until_it_is_dropped(index: SearchIndex) -> None:
    index.replace("a", said("a", "重力"))
    beside = reopened(index, name=f"{NAME}b1")
    assert found(beside, "重力") == []
    beside.replace("b", said("b", "重力"))
    assert index.others() == [f"{NAME}b1"]
    assert beside.others() == [NAME]
    assert (found(index, "重力"), found(beside, "重力")) == (["a"], ["b"])
    beside.drop([NAME])
    assert (found(index, "重力"), found(beside, "重力")) == ([], ["b"])
    assert beside.others() == []


def test_an_index_tells_who_may_find_what_and_forgets_what_is_gone(index: SearchIndex) -> None:
    index.replace_many({
        "open": ready([passage("重力", lesson="open", school="xinghuo", number=n) for n in range(3)]),
        "closed": ready([passage("重力", lesson="closed", school="chaoyang", consent=False)]),
    })  # fmt: skip
    assert index.seen() == {("open", "xinghuo", True), ("closed", "chaoyang", False)}
    index.replace("open", [passage("重力", lesson="open", school="xinghuo", consent=False)])
    index.remove("closed")
    assert index.seen() == {("open", "xinghuo", False)}


anything = st.text(max_size=80)
likely = st.lists(
    st.sampled_from(
        [
            "勾股定理",
            "沟谷",
            "勾股定义",
            "ggdl",
            "32",
            "两百",
            "拋物線",
            "3.14",
            "กำ",
            "עברית",
            "gougu",
            "tiantian",
            "e\u0301",
            "㎡",
            '"',
            " ",
            "-",
            "OR",
            "天",
            "é",
            "李",
            "the",
            "*",
            ":",
            "\ud800",
        ]
    ),
    max_size=8,
).map("".join)
reading = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@reading
@given(text=anything | likely)
def test_any_text_is_answered_and_every_mark_is_whole_characters(library: SearchIndex, text: str) -> None:
    for hit in library.search(Query(text, scope=STAFF)).hits:
        borders = {unit.start for unit in words.units(hit.text)} | {unit.end for unit in words.units(hit.text)}
        flat = [place for mark in hit.marks for place in mark]
        assert flat
        assert flat == sorted(set(flat))
        assert set(flat) <= borders


@reading
@given(text=likely, value=anything, name=st.sampled_from(["subject", "grade", "school", "lesson_id"]))
def test_any_filter_value_is_answered(library: SearchIndex, text: str, value: str, name: str) -> None:
    for hit in library.search(Query(text, scope=STAFF, **{name: value})).hits:  # type: ignore[arg-type]
        assert value in ("", *SCHOOLS, hit.lesson_id)


@reading
@given(
    text=st.sampled_from(["勾股定理", "勾股顶泥", "ggdl", "tiantian", "天天", "pythagorean", "李老师"]),
    scope=st.builds(Scope, st.booleans(), st.none() | st.frozensets(st.sampled_from([*SCHOOLS, "elsewhere", '"']))),
)
def test_what_is_found_is_what_the_scope_admits(library: SearchIndex, text: str, scope: Scope) -> None:
    visible = {
        f"{school}-{consent}"
        for school in SCHOOLS
        for consent in (True, False)
        if (scope.schools is None or school in scope.schools) and (consent or not scope.consented_only)
    }
    assert set(found(library, text, scope=scope)) == visible


def test_the_lessons_that_say_it_are_counted_or_said_to_be_too_many(index: SearchIndex) -> None:
    """An engine may not be able to tell; one that can tells all of them, within scope and filters."""
    for number in range(6):
        school = SCHOOLS[number % 2]
        texts = ("今天学习勾股定理", "勾股定理的证明", "重力") if number < 4 else ("沟谷定理",)
        index.replace(
            f"lesson-{number}",
            [passage(text, lesson=f"lesson-{number}", number=at, school=school, consent=number != 3, subject="数学")
             for at, text in enumerate(texts, 1)],
        )  # fmt: skip
    saying = index.lessons_saying(Query("勾股定理", scope=STUDENTS), 10)
    if saying is None:
        return
    assert sorted(saying) == ["lesson-0", "lesson-1", "lesson-2"]
    assert index.lessons_saying(Query("勾股定理", scope=STUDENTS), 2) is None
    assert index.lessons_saying(Query("勾股定理", scope=STAFF, subject="语文"), 10) == []
    in_school = Query("勾股定理", scope=Scope(consented_only=False, schools=frozenset({SCHOOLS[1]})))
    assert sorted(index.lessons_saying(in_school, 10) or ()) == ["lesson-1", "lesson-3"]
    assert index.lessons_saying(Query("。。", scope=STAFF), 10) == []
