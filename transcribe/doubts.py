"""What is wrong with an utterance: loops, stock inventions, echoes of the hints, drift into another script. Pure.

Each detector answers to failures of real engines (the numbers are faster-whisper's issues) and errs towards saying nothing:
what it says costs a second decoding, and pupils do chant.
"""

import re
import unicodedata
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

from transcribe.utterance import Doubt, Utterance, Word

# OpenAI's thresholds for decoding again (whisper/transcribe.py, decode_with_fallback).
COMPRESSION = 2.4
LOGPROB = -1.0
NO_SPEECH = 0.6
CLEAR_VOICE = 0.6  # of the voice network, on average over an utterance: somebody does speak there
HARDLY_A_VOICE = 0.25
FASTEST_PER_S = 11.0  # syllables; newsreaders have 5 to 6, and the engine's times are not exact
REPEAT_MS = 120  # the least that one syllable of a chant takes

_TOKEN = re.compile(
    r"[\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]|[^\W_\u3400-\u9fff]+(?:['’][^\W_\u3400-\u9fff]+)*"
)
_HAN = re.compile(r"[\u3400-\u9fff\uf900-\ufaff]")
_KANA_OR_HANGUL = re.compile(r"[\u3040-\u30ff\uac00-\ud7af]")
_OTHER_SCRIPT = re.compile(r"[\u0400-\u04ff\u0600-\u06ff\u0e00-\u0e7f\u0900-\u097f]")

# What Whisper says over silence and music: the ends of the subtitled videos it was trained on. Collected from issues
# of openai-whisper (#928, #1606, #2372), faster-whisper (#843, #1241) and Whisper's users in Chinese.
_INVENTED = re.compile(
    r"(?:请)?(?:不吝)?(?:点赞|订阅|转发|打赏|支持明镜与点点栏目|明镜与点点栏目|关注|收藏|评论|投币|小铃铛)(?:(?:、|和|并|或)?(?:我的)?"
    r"(?:点赞|订阅|转发|打赏|支持明镜与点点栏目|明镜与点点栏目|关注|收藏|评论|投币|频道|小铃铛))*"
    r"|(?:感谢|谢谢)(?:您|你|大家|各位)?(?:的)?(?:观看|收看|收听|聆听)(?:本期视频|我们下期再见|下次再见)?"
    r"|(?:我们)?下(?:期|次|集)(?:视频|节目)?再见"
    r"|(?:中文)?字幕(?:志愿者|制作|提供|组|校对|翻译|后期|by)[\w·\s]{0,24}"
    r"|(?:本)?(?:视频|节目)(?:由|的)[\w·\s]{0,16}(?:提供|制作|赞助)"
    r"|(?:优优独播剧场|(?:字幕)?由?amara(?:\.?org)?社[区群]提供(?:的字幕)?|明镜需要您的支持|欢迎订阅明镜)\w{0,40}"
    r"|以下是普通话的句子|作词|作曲|编曲|词曲(?:李宗盛)?|[词曲]李宗盛|(?:独播剧场)?yoyotelevisionseriesexclusive"
    r"|thank(?:s|you)(?:somuch|verymuch)?(?:for(?:watching|listening|yourattention|viewing))(?:thisvideo)?"
    r"|(?:please)?(?:like(?:and|,)?)?(?:don'?tforgetto)?subscribe(?:to(?:my|our|the)channel)?"
    r"|subtitles?by(?:the)?\w{0,30}|(?:transcription|transcribed|captions?)by\w{0,30}"
    r"|(?:i'?ll)?see(?:you|ya)(?:all|guys)?(?:in)?(?:the)?next(?:time|video|one)|ご視聴ありがとうございました|시청해주셔서감사합니다"
)
_FILLING = re.compile(r"(?:thank\s*you|谢谢(?:大家|您|你)?|you|bye|嗯|啊|哦|music|音乐|掌声|applause)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Loop:
    """Tokens `first` up to `end` are the same `width` tokens `times` times over, the last time perhaps in part."""

    first: int
    width: int
    times: int
    end: int


def tokens(text: str) -> list[str]:
    """Han characters one by one, other words whole, small; marks and spaces are left out."""
    return [found.group().lower() for found in _TOKEN.finditer(unicodedata.normalize("NFKC", text))]


def loop_in(text: str) -> Loop | None:
    """The longest loop, if there is one: a sentence three times, a phrase five times, a word nine times or more.

    Below that it may well have been said: 对对对, 慢一点慢一点, a poem's refrain, letters after the teacher.
    """
    said = tokens(text)
    best: Loop | None = None
    for width in range(1, min(60, len(said) // 3) + 1):
        least = 9 if width == 1 else 5 if width < 6 else 3
        run = 0  # how many tokens in a row equal the one `width` before them
        for index in range(width, len(said) + 1):
            if index < len(said) and said[index] == said[index - width]:
                run += 1
                continue
            times = run // width + 1
            if times >= least and (best is None or run + width > best.end - best.first):
                best = Loop(index - run - width, width, times, index)
            run = 0
    return best


def shortened(utterance: Utterance, loop: Loop, times: int) -> Utterance:
    """The utterance with the loop's tokens said `times` times at most; text and words alike."""
    if times >= loop.times:
        return utterance
    places = [found.span() for found in _TOKEN.finditer(utterance.text)]
    if len(places) != len(tokens(utterance.text)):  # compatibility characters that fall apart: leave it whole
        return utterance
    cut = places[loop.first + loop.width * max(1, times) - 1][1]
    resume = places[loop.end - 1][1]
    words: list[Word] = []
    at = utterance.text.find(utterance.words[0].text.strip()) if utterance.words else 0
    for word in utterance.words:
        bare = word.text.strip()
        found = utterance.text.find(bare, at) if bare else -1
        at = found if found >= 0 else at
        if at + len(bare) <= cut or at >= resume:
            words.append(word)
        at += len(bare)
    return replace(utterance, text=utterance.text[:cut] + utterance.text[resume:], words=tuple(words))


def is_invented(text: str) -> bool:
    """Whether all of it is stock phrases of video subtitles."""
    bare = "".join(c for c in unicodedata.normalize("NFKC", text).lower() if c.isalnum() or c in "'.")
    bare = bare.strip(".'")
    while bare:
        found = _INVENTED.match(bare)
        if found is None or not found.group():
            return False
        bare = bare[found.end() :].lstrip(".'")
        if not bare:
            return True
    return False


def is_filling(text: str) -> bool:
    """What may be said and is also what engines say when they hear next to nothing: Thank you, 谢谢大家, (Music)."""
    return _FILLING.fullmatch("".join(c for c in text if c.isalnum() or c.isspace()).strip()) is not None


def is_echo(text: str, hotwords: Sequence[str]) -> bool:
    """Whether it is little more than the hints themselves, at least two of them one after the other (#1331)."""
    bare, hints = "".join(tokens(text)), ["".join(tokens(word)) for word in hotwords]
    joined = "".join(hints)
    if len(hints) < 2 or len(bare) < 4:
        return False
    if bare in joined and sum(hint in bare for hint in hints if hint) >= 2:
        return True
    left, found = bare, 0
    for hint in sorted((hint for hint in hints if hint), key=len, reverse=True):
        found += left.count(hint)
        left = left.replace(hint, "")
    return found >= 3 and len(left) * 5 <= len(bare)


def drifts(text: str, language: str) -> bool:
    """Whether it is written as no text of that language is (#1175). Latin words in a Chinese lesson are no drift."""
    if language == "en":
        return len(_HAN.findall(text)) + len(_KANA_OR_HANGUL.findall(text)) + len(_OTHER_SCRIPT.findall(text)) > 0
    if language in ("zh", "yue"):
        foreign = len(_KANA_OR_HANGUL.findall(text)) + len(_OTHER_SCRIPT.findall(text))
        return foreign * 4 > len(text.strip())
    return False


def compression(text: str) -> float:
    """How much of it is repetition, by Whisper's own measure."""
    data = text.encode(errors="surrogatepass")
    return len(data) / len(zlib.compress(data))


def syllables(text: str) -> float:
    """About how many: a Han character is one, a Latin word has one for every three letters, a number one a digit."""
    return sum(
        1.0 if len(token) == 1 else len(token) if token.isdigit() else max(1.0, len(token) / 3)
        for token in tokens(text)
    )


def doubts_about(
    utterance: Utterance, *, voice: float, language: str, hotwords: Sequence[str] = ()
) -> tuple[Doubt, ...]:
    """Everything that speaks against it. `voice` is the voice network's mean over it."""
    text, found = utterance.text, list[Doubt]()
    if is_invented(text) or (is_filling(text) and voice < CLEAR_VOICE):
        found.append(Doubt.PHRASE)
    if loop_in(text) is not None or (compression(text) > COMPRESSION and len(tokens(text)) > 12 and _poor(text)):
        found.append(Doubt.LOOP)
    if is_echo(text, hotwords):
        found.append(Doubt.ECHO)
    if voice < HARDLY_A_VOICE:
        found.append(Doubt.VOICELESS)
    if drifts(text, language):
        found.append(Doubt.DRIFT)
    if syllables(text) > 6 and syllables(text) * 1000 > FASTEST_PER_S * utterance.span.duration_ms:
        found.append(Doubt.RUSHED)
    if utterance.avg_logprob < LOGPROB:
        found.append(Doubt.UNSURE)
    return tuple(found)


def _poor(text: str) -> bool:
    """Few different words for its length: UTF-8 alone compresses Chinese well, so the ratio by itself says little."""
    said = tokens(text)
    return len(set(said)) * 4 < len(said)
