"""What a child types, and what she must find: one small library, run over every engine.

Each lesson says everyday words too, so that precision means something. The misheard ones are what recognisers wrote.
"""

from collections.abc import Generator

import pytest

from archive.model import Cue, Lesson, Programme, Span
from search.hits import Results, by_lesson
from search.index import SearchIndex
from search.passages import passages_of
from search.query import Query
from tests.search.engines import ENGINES, lesson, opened

LIBRARY: dict[str, tuple[Lesson, tuple[str, ...]]] = {
    "maths-8": (
        lesson(id="maths-8", title="勾股定理", teacher="李明", subject="数学", grade="八年级"),
        (
            "同学们好 今天我们来学习一个非常重要的定理",
            "直角三角形两条直角边的平方和等于斜边的平方",
            "这就是著名的勾股",
            "定理 古代叫做商高定理",
            "我们来证明一下 设a²+b²=c²",
            "大家把书翻到32页 看例题",
        ),
    ),
    "maths-9": (
        lesson(id="maths-9", title="二次函数复习", teacher="王芳", subject="数学", grade="九年级"),
        (
            "我们先复习沟谷定理 然后看新的内容",  # heard for 勾股定理
            "二次函数的图像是一条抛雾线",  # heard for 抛物线
            "它的顶点坐标公式大家要记住",
            "开口方向由二次项系数决定",
            "什么时候取最大值呢",
        ),
    ),
    "maths-trig": (
        lesson(id="maths-trig", title="锐角三角函数", teacher="赵强", subject="数学", grade="九年级"),
        ("对边比斜边叫做争先", "邻边比斜边叫做余弦", "我们用计算器求值", "正弦函数值随角度增大"),  # 争先 for 正弦
    ),
    "physics-8": (
        lesson(id="physics-8", title="重力与重心", teacher="陈静", subject="物理", grade="八年级"),
        (
            "物体由于地球的吸引而受到的力叫做重力",
            "重力的作用点叫做重心",
            "这是我们这节课的中心内容",
            "莫擦力的方向与运动方向相反",  # heard for 摩擦力
            "压力的作用效果用压强表示",
        ),
    ),
    "biology-7": (
        lesson(id="biology-7", title="绿色植物的光合作用", teacher="刘洋", subject="生物", grade="七年级"),
        ("光合作用需要光和叶绿体", "植物吸收二氧化碳 释放氧气", "我们做一个实验 酒精脱色", "线粒体是呼吸作用的场所"),
    ),
    "chinese-7": (
        lesson(id="chinese-7", title="静夜思", teacher="孙丽", subject="语文", grade="七年级"),
        ("床前明月光 疑是地上霜", "李白是唐代著名的诗人", "这首诗表达了思乡之情", "我们一起朗读一遍"),
    ),
    "english-8": (
        lesson(
            id="english-8", title="Unit 3: Green Plants", teacher="Ms Wu", subject="英语", grade="八年级", language="en",
            programme=Programme.SYNC,
        ),
        (
            "Photosynthesis is the process by which green plants make food",
            "Women and men worked on the farm",
            "Please open your books at page thirty-two",
            "We can change the way we live",
        ),
    ),
}  # fmt: skip


@pytest.fixture(params=ENGINES, scope="module")
def library(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Generator[SearchIndex]:
    with opened(request.param, tmp_path_factory.mktemp("relevance")) as index:
        for known, texts in LIBRARY.values():
            cues = [Cue(Span(at * 6000, at * 6000 + 5500), text) for at, text in enumerate(texts)]
            index.replace(known.id, passages_of(known, cues))
        yield index


def search(library: SearchIndex, text: str) -> Results:
    return library.search(Query(text))


def said_at(library: SearchIndex, text: str) -> list[tuple[str, int]]:
    """Lessons and the number of the cue where playing starts, for hits on what was said, best first."""
    return [(hit.lesson_id, hit.start_ms // 6000) for hit in search(library, text).hits if hit.kind == "said"]


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("商高定理", ("maths-8", 3)),
        ("勾股定理", ("maths-8", 2)),  # a cue break cuts it
        ("斜边的平方", ("maths-8", 1)),
        ("直角三角形 平方和", ("maths-8", 1)),
        ("怎么证明勾股定理", ("maths-8", 2)),
        ("a²+b²", ("maths-8", 4)),
        ("32页", ("maths-8", 5)),
        ("顶点坐标", ("maths-9", 2)),
        ("顶点 坐标公式", ("maths-9", 2)),
        ("什么时候取最大值", ("maths-9", 4)),
        ("余弦", ("maths-trig", 1)),
        ("重心", ("physics-8", 1)),
        ("压强", ("physics-8", 4)),
        ("叶绿体", ("biology-7", 0)),
        ("二氧化碳", ("biology-7", 1)),
        ("线粒体", ("biology-7", 3)),
        ("床前明月光", ("chinese-7", 0)),
        ("李白的诗", ("chinese-7", 1)),
        ("photosynthesis", ("english-8", 0)),
        ("ＧＲＥＥＮ plants", ("english-8", 0)),
        ("what is photosynthesis", ("english-8", 0)),
    ],
)
def test_what_was_said_is_found_first_where_it_was_said(
    library: SearchIndex, text: str, moment: tuple[str, int]
) -> None:
    hits = search(library, text).hits
    assert said_at(library, text)[:1] == [moment]
    assert hits[0].matched_by == "exact"


@pytest.mark.parametrize(
    ("text", "moment", "shown"),
    [
        ("勾股定理", ("maths-9", 0), "沟谷定理"),
        ("抛物线", ("maths-9", 1), "抛雾线"),
        ("拋物線", ("maths-9", 1), "抛雾线"),
        ("正弦", ("maths-trig", 0), "争先"),
        ("摩擦力", ("physics-8", 3), "莫擦力"),
        ("摩擦力的方向", ("physics-8", 3), "莫擦力"),
        ("夜绿体", ("biology-7", 0), "叶绿体"),  # the child's mistake, not the recogniser's
        ("paowuxian", ("maths-9", 1), "抛雾线"),
        ("pao wu xian", ("maths-9", 1), "抛雾线"),
        ("pāowùxiàn", ("maths-9", 1), "抛雾线"),
        ("mocali", ("physics-8", 3), "莫擦力"),
        ("抛物xian", ("maths-9", 1), "抛雾线"),
        ("二次函数 抛物线", ("maths-9", 1), "抛雾线"),
        ("抛物线图像", ("maths-9", 1), "抛雾线"),  # the words by their sounds, not in a row
        ("yelvti", ("biology-7", 0), "叶绿体"),
        ("chuangqianmingyueguang", ("chinese-7", 0), "床前明月光"),
    ],
)
def test_what_only_sounds_like_it_is_found_too(
    library: SearchIndex, text: str, moment: tuple[str, int], shown: str
) -> None:
    (hit,) = [
        hit
        for hit in search(library, text).hits
        if (hit.lesson_id, hit.start_ms // 6000) == moment and hit.kind == "said"
    ]
    assert hit.matched_by == "sound"
    assert shown in [hit.text[start:end] for start, end in hit.marks]


@pytest.mark.parametrize(
    ("text", "lessons"),
    [
        ("勾股定理", ["maths-8", "maths-9"]),
        ("勾股定理 李明", ["maths-8"]),
        ("王芳", ["maths-9"]),
        ("二次函数 九年级", ["maths-9"]),
        ("同步课堂", ["english-8"]),
        ("重力", ["physics-8"]),
        ("光合作用", ["biology-7"]),
        ("gougudingli", ["maths-8", "maths-9"]),
        ("gou gu ding li", ["maths-8", "maths-9"]),
        ("gougu dingli", ["maths-8", "maths-9"]),
        ("wangfang", ["maths-9"]),
    ],
)
def test_these_lessons_are_found_and_no_others(library: SearchIndex, text: str, lessons: list[str]) -> None:
    found = [found.lesson_id for found in by_lesson(search(library, text))]
    assert found[0] == lessons[0]
    assert sorted(found) == sorted(lessons)


@pytest.mark.parametrize("text", ["我们", "大家", "中心", "什么", "一个"])
def test_everyday_words_are_found_as_they_are_written_only(library: SearchIndex, text: str) -> None:
    hits = search(library, text).hits
    assert hits
    assert all(hit.matched_by == "exact" and text in hit.text for hit in hits)


def test_english_words_that_spell_pinyin_mean_english(library: SearchIndex) -> None:
    for text in ("women", "change", "can"):
        assert {lesson_id for lesson_id, _ in said_at(library, text)} == {"english-8"}, text


def test_an_everyday_word_is_not_taken_for_a_term_of_the_same_sound(library: SearchIndex) -> None:
    texts = [hit.text[start:end] for hit in search(library, "重心").hits for start, end in hit.marks]
    assert set(texts) == {"重心"}


@pytest.mark.parametrize(
    "text", ["量子纠缠", "勾股定理 光合作用", "xyzzy", "牛顿第三定律", "zhengqiuhuaxue", "魑魅魍魉", "33页"]
)
def test_what_was_never_said_is_not_found(library: SearchIndex, text: str) -> None:
    assert search(library, text).hits == ()


def test_exact_hits_always_come_before_those_by_sound(library: SearchIndex) -> None:
    for text in ("勾股定理", "正弦", "gougudingli", "二次函数 抛物线"):
        order = [hit.matched_by for hit in search(library, text).hits]
        assert order == sorted(order), text  # "exact" < "sound"


def test_a_moment_is_found_once_although_windows_overlap(library: SearchIndex) -> None:
    for text in ("定理", "的", "我们", "重力"):
        moments = [(hit.lesson_id, hit.kind, hit.start_ms) for hit in search(library, text).hits]
        assert len(moments) == len(set(moments))
