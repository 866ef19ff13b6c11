"""Each failure that speech engines are known for, played from a stream: it is repaired, or shown, and never hidden."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archive.errors import Cancelled
from archive.model import Span
from tests.transcribe.streams import Played, sound_of, uttered, voice_over
from transcribe.listening import Order, listen
from transcribe.utterance import Doubt, Heard, Utterance
from transcribe.voice import Voice, without

KNOWN = frozenset({"zh", "en", "ja"})
ZH = Order(("zh",), KNOWN)
HINTS = Order(("zh",), KNOWN, ("勾股定理", "直角三角形", "斜边"))


def hear(ear: Played, voice: Voice, order: Order = ZH) -> Heard:
    total_ms = voice.span.end_ms
    return listen(ear, sound_of(total_ms), voice, order, limit_ms=total_ms, tick=lambda _: None)


def texts(heard: Heard) -> list[str]:
    return [utterance.text for utterance in heard.utterances]


def outcomes(heard: Heard) -> list[tuple[Doubt, str]]:
    return [(incident.doubt, incident.outcome) for incident in heard.incidents]


LESSON = (uttered("今天我们学习勾股定理", 1_000, 4_000), uttered("请大家打开课本", 5_000, 7_000))


def test_what_is_sound_is_left_alone_and_costs_no_second_hearing() -> None:
    ear = Played(LESSON)
    heard = hear(ear, voice_over(8_000, (1_000, 4_000), (5_000, 7_000)))
    assert heard == Heard(LESSON)
    assert ear.asked_again == []


def test_where_nobody_speaks_the_engine_is_not_even_asked() -> None:
    ear = Played([uttered("请不吝点赞订阅", 0, 30_000)])
    assert hear(ear, voice_over(30_000)) == Heard()
    assert ear.asked == []


def test_a_span_that_the_batch_dropped_is_heard_by_itself() -> None:
    """faster-whisper #1179, #1351: the sentence in the middle is gone, and nothing says so."""
    lost = uttered("直角三角形的斜边最长", 8_000, 11_000)
    ear = Played(LESSON, again=lambda clip: [lost] if clip.start_ms < 9_000 < clip.end_ms else [])
    heard = hear(ear, voice_over(12_000, (1_000, 4_000), (5_000, 7_000), (8_000, 11_000)))
    assert texts(heard) == ["今天我们学习勾股定理", "请大家打开课本", "直角三角形的斜边最长"]
    assert outcomes(heard) == [(Doubt.UNHEARD, "recovered")]


def test_the_first_seconds_are_heard_though_the_engine_began_later() -> None:
    first = uttered("上课同学们好", 0, 1_800)
    ear = Played(LESSON[1:], again=lambda clip: [first] if clip.start_ms == 0 else [])
    heard = hear(ear, voice_over(8_000, (0, 1_800), (5_000, 7_000)))
    assert texts(heard) == ["上课同学们好", "请大家打开课本"]


def test_words_that_the_neighbours_have_are_not_said_twice_when_a_gap_is_mended() -> None:
    ear = Played(
        [uttered("今天我们", 1_000, 2_000), uttered("打开课本", 5_000, 6_000)],
        again=lambda _: [uttered("们学习勾股定理打", 1_750, 5_250)],
    )
    heard = hear(ear, voice_over(7_000, (1_000, 6_000)))
    assert "".join(texts(heard)) == "今天我们学习勾股定理打开课本"


def test_speech_that_stays_without_words_is_said_to_be_unheard() -> None:
    heard = hear(Played(LESSON[:1]), voice_over(8_000, (1_000, 4_000), (5_000, 7_000)))
    assert outcomes(heard) == [(Doubt.UNHEARD, "left")]
    assert heard.incidents[0].span == Span(4_992, 7_008)


def test_a_word_stretched_over_a_gap_does_not_cover_it() -> None:
    """Whisper gives the last word before a hole the hole's time as well."""
    stretched = uttered("好", 1_000, 9_000)
    ear = Played([stretched], again=lambda _: [uttered("这道题谁来回答", 4_000, 8_000)])
    assert "这道题谁来回答" in texts(hear(ear, voice_over(9_500, (1_000, 1_500), (4_000, 8_000))))


LOOP = "我们来看这道题" * 12


def test_a_loop_is_heard_again_and_replaced() -> None:
    """#465: the engine fell into repeating itself."""
    ear = Played([uttered(LOOP, 0, 20_000)], again=lambda _: [uttered("我们来看这道题，先读一遍题目。", 0, 19_000)])
    heard = hear(ear, voice_over(20_000, (0, 20_000)))
    assert texts(heard) == ["我们来看这道题，先读一遍题目。"]
    assert heard.utterances[0].doubts == ()
    assert (Doubt.LOOP, "replaced") in outcomes(heard)


def test_a_loop_that_stays_one_is_cut_to_what_a_mouth_can_say_and_flagged() -> None:
    ear = Played([uttered(LOOP, 0, 20_000)], again=lambda _: [uttered(LOOP, 0, 20_000)])
    heard = hear(ear, voice_over(20_000, (0, 3_000)))
    (left,) = heard.utterances
    assert left.text == "我们来看这道题" * 3
    assert "".join(word.text for word in left.words) == left.text
    assert Doubt.LOOP in left.doubts
    assert (Doubt.LOOP, "shortened") in outcomes(heard)


def test_a_class_that_chants_keeps_every_word_and_gets_a_flag() -> None:
    chant = uttered("一二三四" * 6, 0, 12_000)
    heard = hear(Played([chant], again=lambda _: [chant]), voice_over(12_000, (0, 12_000)))
    assert texts(heard) == [chant.text]
    assert heard.utterances[0].doubts == (Doubt.LOOP,)


def test_a_sentence_repeated_utterance_by_utterance_is_heard_again() -> None:
    same = [uttered("请同学们看黑板", 3_000 * i, 3_000 * i + 2_500) for i in range(5)]
    said = ["请同学们看黑板", "今天讲第一课", "谁来读一读", "很好请坐", "下一位同学"]
    ear = Played(same, again=lambda clip: [uttered(said[clip.start_ms // 3_000], clip.start_ms, clip.end_ms)])
    assert texts(hear(ear, voice_over(15_000, (0, 15_000)))) == said


@pytest.mark.parametrize(
    "text",
    [
        "请不吝点赞 订阅 转发 打赏支持明镜与点点栏目",
        "字幕由Amara.org社区提供",
        "谢谢观看",
        "优优独播剧场——YoYo Television Series Exclusive",
        "Thanks for watching!",
        "字幕志愿者 杨栋梁",
    ],
)
def test_an_invention_over_music_is_taken_out_and_written_down(text: str) -> None:
    invented = uttered(text, 10_000, 14_000, logprob=-0.4)
    music = voice_over(20_000, (1_000, 4_000), (5_000, 7_000))
    music.probabilities[10_000 // 32 : 14_000 // 32] = 0.45  # the voice network half believes in music
    heard = hear(Played([*LESSON, invented], again=lambda _: [invented]), music)
    assert texts(heard) == [each.text for each in LESSON]
    assert [incident.text for incident in heard.incidents] == [text]
    assert heard.incidents[0].outcome == "removed"


def test_the_same_words_clearly_spoken_stay_with_a_flag() -> None:
    """A lesson on the web's habits, or a teacher's thanks: what clearly is speech is never deleted."""
    said = uttered("谢谢大家的观看", 1_000, 3_000, logprob=-0.2)
    ear = Played([said])
    heard = hear(ear, voice_over(4_000, (1_000, 3_000)))
    assert texts(heard) == ["谢谢大家的观看"]
    assert heard.utterances[0].doubts == (Doubt.PHRASE,)
    assert ear.asked_again == []


def test_words_where_hardly_anybody_spoke_are_taken_out_only_if_the_engine_doubts_them_too() -> None:
    blip = voice_over(12_000, (1_000, 4_000), (9_000, 9_200))
    unsure = uttered("的的是了", 9_000, 11_500, logprob=-1.4, no_speech=0.8)
    sure = uttered("好", 9_000, 9_800, logprob=-0.1)
    assert texts(hear(Played([LESSON[0], unsure]), blip)) == ["今天我们学习勾股定理"]
    assert texts(hear(Played([LESSON[0], sure]), blip)) == ["今天我们学习勾股定理", "好"]


def test_hints_that_are_echoed_give_way_to_what_was_said() -> None:
    """#1331: the hint list itself comes out as text."""
    echo = uttered("勾股定理 直角三角形 斜边", 1_000, 4_000)
    ear = Played([echo], again=lambda _: [uttered("把作业本拿出来", 1_000, 4_000)])
    heard = hear(ear, voice_over(5_000, (1_000, 4_000)), HINTS)
    assert texts(heard) == ["把作业本拿出来"]
    assert outcomes(heard) == [(Doubt.ECHO, "replaced")]


def test_hints_that_were_really_said_stay() -> None:
    said = uttered("勾股定理，直角三角形，斜边", 1_000, 4_000)
    heard = hear(Played([said], again=lambda _: [said]), voice_over(5_000, (1_000, 4_000)), HINTS)
    assert texts(heard) == [said.text]
    assert heard.utterances[0].doubts == ()


def test_drift_into_another_script_is_heard_again() -> None:
    """#1175: the engine went over to Japanese in the middle of a lesson."""
    drifted = uttered("こんにちは皆さん今日は", 1_000, 4_000)
    ear = Played([drifted], again=lambda _: [uttered("同学们今天我们来学", 1_000, 4_000)])
    assert texts(hear(ear, voice_over(5_000, (1_000, 4_000)))) == ["同学们今天我们来学"]


def test_more_words_than_a_mouth_can_say_are_heard_again_and_flagged_if_nothing_better_comes() -> None:
    rushed = uttered("这一节课我们要学习的内容是二次函数的图像与性质请看", 1_000, 2_000)
    heard = hear(Played([rushed], again=lambda _: [rushed]), voice_over(3_000, (1_000, 2_000)))
    assert heard.utterances[0].doubts == (Doubt.RUSHED,)
    assert outcomes(heard) == [(Doubt.RUSHED, "kept")]


def test_a_bilingual_lesson_is_heard_piece_by_piece_in_the_language_of_each() -> None:
    english = uttered("Open your books please", 8_000, 11_000, language="en")
    ear = Played([LESSON[0], english], guesses=lambda clip: ("en", 0.97) if clip.start_ms > 6_000 else ("zh", 0.95))
    heard = hear(ear, voice_over(12_000, (1_000, 4_000), (8_000, 11_000)), Order(("zh", "en"), KNOWN))
    assert [language for language, _ in ear.asked] == ["zh", "en"]
    assert texts(heard) == ["今天我们学习勾股定理", "Open your books please"]


def test_an_unsure_guess_stays_with_the_language_before_it() -> None:
    ear = Played(LESSON, guesses=lambda clip: ("en", 0.4))
    hear(ear, voice_over(8_000, (1_000, 4_000), (5_000, 7_000)), Order(("zh", "en"), KNOWN))
    assert [language for language, _ in ear.asked] == ["zh"]


def test_a_language_that_the_model_does_not_know_is_noted_and_not_invented_as_mandarin() -> None:
    ear = Played(LESSON, guesses=lambda clip: ("ug", 0.9) if clip.start_ms > 6_000 else ("zh", 0.95))
    heard = hear(ear, voice_over(12_000, (1_000, 4_000), (8_000, 11_000)), Order((), KNOWN))
    assert texts(heard) == ["今天我们学习勾股定理"]
    assert outcomes(heard) == [(Doubt.UNSUPPORTED, "left")]
    assert heard.incidents[0].text == "ug"


def test_listening_can_be_stopped_between_utterances() -> None:
    seen: list[int] = []

    def tick(at_ms: int) -> None:
        seen.append(at_ms)
        raise Cancelled("speech")

    with pytest.raises(Cancelled):
        listen(Played(LESSON), sound_of(8_000), voice_over(8_000, (1_000, 7_000)), ZH, limit_ms=8_000, tick=tick)
    assert len(seen) == 1


SPANS = st.lists(st.tuples(st.integers(0, 20_000), st.integers(200, 6_000)), max_size=5)
SAID = st.text(alphabet="一二三四今天学习 abc，。", min_size=1, max_size=30).filter(lambda text: text.strip() != "")


@given(SPANS, st.lists(st.tuples(st.integers(0, 20_000), st.integers(100, 5_000), SAID), max_size=6), st.booleans())
def test_whatever_an_engine_gives_clear_speech_has_words_or_a_note(
    speech: list[tuple[int, int]],
    stream: list[tuple[int, int, str]],
    mended: bool,  # noqa: FBT001
) -> None:
    """No voiced second disappears: it is under a word, or in an incident, or shorter than `LOST_MS` allows."""
    voice = voice_over(27_000, *((start, start + length) for start, length in speech))
    utterances = [uttered(text, start, start + length) for start, length, text in stream]

    def again(clip: Span) -> Sequence[Utterance]:
        return [uttered("补上的话", clip.start_ms, clip.end_ms)] if mended else []

    heard = hear(Played(utterances, again=again), voice)
    explained = [incident.span for incident in heard.incidents]
    for utterance in heard.utterances:
        words = [word.span for word in utterance.words]
        explained += [Span(max(0, span.start_ms - 300), span.end_ms + 300) for span in words]
    assert all(left.duration_ms < 600 for left in without(voice.speech(), explained))
    assert list(heard.utterances) == sorted(heard.utterances, key=lambda each: each.span)
