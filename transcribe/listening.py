"""Listening with a second thought: nothing that was said is lost, nothing that was not said is kept.

An engine decodes what the voice network calls speech, many pieces at once. Then its words are held against the voice:
speech without words is decoded again by itself, words that are doubtful are heard again plainly, and what stays doubtful is
flagged, not hidden. Deleted is only what is both a known invention and hardly a voice. Knows engines by `Decoder` alone.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from statistics import fmean
from typing import Protocol

from archive.model import Span
from transcribe import doubts
from transcribe.audio import Window
from transcribe.doubts import CLEAR_VOICE, NO_SPEECH, doubts_about, loop_in, shortened, tokens
from transcribe.utterance import Doubt, Heard, Incident, Utterance
from transcribe.voice import JOIN_MS, SWITCH_MS, Voice, padded, without

LOST_MS = 600  # speech as long as this without a word was lost; less is a breath, or the end of a drawn-out word
_LOST_VOICE = 0.5  # of the voice network: a chair that scrapes has less
_WORD_PAD_MS = 300  # the engine's word times are this exact
_WORD_MS = 2_000  # no word lasts longer; the engine stretches words over what it left out
_SURE = -0.7  # an average log probability at which engines are seldom wrong
_LANGUAGE_SURE = 0.6
_AGAIN = frozenset({Doubt.PHRASE, Doubt.LOOP, Doubt.ECHO, Doubt.DRIFT, Doubt.RUSHED, Doubt.UNSURE})
_REPEATED = 3  # so many times the same sentence is what engines do, and pupils


class Decoder(Protocol):
    """What listening asks of an engine's library. Spans are the lesson's; `sound` is the window they lie in.

    Utterances come in any order, with times inside the clip they were heard in.
    """

    def decode(
        self, sound: Window, clips: Sequence[Span], *, language: str, hotwords: tuple[str, ...]
    ) -> Iterator[Utterance]:
        """Quickly: several clips at once, with hints."""
        ...

    def decode_again(self, sound: Window, clip: Span, *, language: str) -> Sequence[Utterance]:
        """Carefully: one clip, no hints, and whatever the engine has against repetition."""
        ...

    def guess_language(self, sound: Window, clip: Span) -> tuple[str, float]:
        """The likeliest language and how likely it is."""
        ...


@dataclass(frozen=True, slots=True)
class Order:
    """How to listen. One language, or several to choose from for each piece of speech; the first is the lesson's own.

    `languages` empty: whatever is spoken, of what the engine knows, which `known` names.
    """

    languages: tuple[str, ...]
    known: frozenset[str]
    hotwords: tuple[str, ...] = ()


def listen(
    decoder: Decoder, sound: Window, voice: Voice, order: Order, *, limit_ms: int, tick: Callable[[int], None]
) -> Heard:
    """What was said in a window. `limit_ms` is the end of the recording. `tick` is called with how far it is, in the
    lesson's time, and may raise Cancelled."""
    speech = voice.speech()
    join_ms = JOIN_MS if len(order.languages) == 1 else SWITCH_MS
    clips = voice.clips(speech, limit_ms=limit_ms, join_ms=join_ms)
    ear = _Ear(decoder, sound, voice, order)
    utterances: list[Utterance] = []
    for language, group in groupby(ear.languages_of(clips), key=lambda pair: pair[0]):
        if not language:
            continue
        for utterance in decoder.decode(sound, [clip for _, clip in group], language=language, hotwords=order.hotwords):
            if utterance.text.strip():
                utterances.append(utterance)
            tick(utterance.span.end_ms)
    utterances.sort(key=lambda each: each.span)
    kept: list[Utterance] = []
    for utterance, is_repeated in zip(utterances, _repeated(utterances), strict=True):
        kept += ear.settled(utterance, is_repeated=is_repeated)
        tick(utterance.span.end_ms)
    unsupported = [incident.span for incident in ear.incidents if incident.doubt is Doubt.UNSUPPORTED]
    for span in _lost(without(speech, unsupported), kept, voice):
        kept += ear.recovered(span, _places(kept), min(limit_ms, voice.span.end_ms))
        tick(span.end_ms)
    kept.sort(key=lambda each: each.span)
    return Heard(tuple(kept), tuple(sorted(ear.incidents, key=lambda each: each.span)))


class _Ear:
    """One window being listened to, and what happened to it so far."""

    def __init__(self, decoder: Decoder, sound: Window, voice: Voice, order: Order) -> None:
        self.decoder, self.sound, self.voice, self.order = decoder, sound, voice, order
        self.incidents: list[Incident] = []

    def languages_of(self, clips: Sequence[Span]) -> Iterator[tuple[str, Span]]:
        """Each clip with its language; "" where it is none that the engine knows, which is noted.

        A guess must be sure to leave the language before it: a wrong one turns a sentence into nonsense.
        """
        allowed = self.order.languages
        if len(allowed) == 1:
            yield from ((allowed[0], clip) for clip in clips)
            return
        before = allowed[0] if allowed else ""
        for clip in clips:
            guess, probability = self.decoder.guess_language(self.sound, clip)
            sure = probability >= _LANGUAGE_SURE
            if sure and guess not in self.order.known:
                self._note(Doubt.UNSUPPORTED, clip, "left", guess)
                yield "", clip
                continue
            if sure and (guess in allowed or not allowed):
                before = guess
            yield before or guess, clip

    def settled(self, utterance: Utterance, *, is_repeated: bool) -> list[Utterance]:
        """The utterance if nothing speaks against it, or what a second hearing made of it."""
        found = self._judged(utterance, self.order.hotwords, is_repeated=is_repeated)
        against = set(found.doubts)
        hardly_speech = Doubt.PHRASE in against or Doubt.UNSURE in against or found.no_speech_prob > NO_SPEECH
        if Doubt.VOICELESS in against and hardly_speech:
            return self._removed(Doubt.VOICELESS, found)
        if against == {Doubt.PHRASE} and self._voice_of(found) >= CLEAR_VOICE and found.avg_logprob >= _SURE:
            self._note(Doubt.PHRASE, found.span, "kept", found.text)
            return [found]
        reasons = [doubt for doubt in found.doubts if doubt in _AGAIN]
        if not reasons:
            return [found]
        return self._heard_again(found, reasons[0])

    def recovered(self, span: Span, taken: Sequence[Span], limit_ms: int) -> list[Utterance]:
        """What is heard where speech had no words; noted as unheard if that is nothing to be trusted. What its neighbours
        said already, at the places `taken`, is not said twice."""
        (clip,) = padded([span], _WORD_PAD_MS, Span(self.voice.start_ms, max(limit_ms, span.end_ms)))
        language = self.order.languages[0] if len(self.order.languages) == 1 else ""
        if not language:
            ((language, _),) = self.languages_of([clip])
        again = self._again(clip, language) if language else []
        found = [
            inside
            for utterance in again
            if not {Doubt.PHRASE, Doubt.VOICELESS} & set(utterance.doubts)
            for inside in _beside(self._without_loop(utterance), taken)
        ]
        if found:
            self._note(Doubt.UNHEARD, span, "recovered")
        elif language:
            self._note(Doubt.UNHEARD, span, "left", " ".join(each.text.strip() for each in again))
        return found

    def _heard_again(self, found: Utterance, reason: Doubt) -> list[Utterance]:
        again = self._again(found.span, found.language)
        if reason is Doubt.ECHO and _same(again, found):
            return [replace(found, doubts=tuple(doubt for doubt in found.doubts if doubt is not Doubt.ECHO))]
        invented = reason in (Doubt.PHRASE, Doubt.ECHO)
        trusted = [each for each in again if Doubt.PHRASE not in each.doubts]
        if trusted and (invented or _weight(trusted) < _weight([found])):
            if not _same(trusted, found):
                self._note(reason, found.span, "replaced", found.text)
            return [self._without_loop(each) for each in trusted]
        if invented and self._voice_of(found) < CLEAR_VOICE:
            return self._removed(reason, found)
        if reason is Doubt.LOOP:
            return [self._without_loop(found)]
        self._note(reason, found.span, "kept", found.text)
        return [found]

    def _again(self, clip: Span, language: str) -> list[Utterance]:
        heard = self.decoder.decode_again(self.sound, clip, language=language)
        return [self._judged(each, ()) for each in heard if each.text.strip()]

    def _judged(self, utterance: Utterance, hotwords: Sequence[str], *, is_repeated: bool = False) -> Utterance:
        language = utterance.language or (self.order.languages or ("",))[0]
        voice = self._voice_of(utterance)
        found = doubts_about(utterance, voice=voice, language=language, hotwords=hotwords)
        if is_repeated and Doubt.LOOP not in found:
            found = (*found, Doubt.LOOP)
        return replace(utterance, doubts=found)

    def _voice_of(self, utterance: Utterance) -> float:
        """The voice where its words are, rather than in the pauses between them."""
        levels = [self.voice.level(word.span) for word in utterance.words] or [self.voice.level(utterance.span)]
        return fmean(levels)

    def _without_loop(self, utterance: Utterance) -> Utterance:
        """A loop as long as it can have been said in the time that somebody spoke; the flag stays."""
        loop = loop_in(utterance.text)
        if loop is None:
            return utterance
        voiced_ms = utterance.span.duration_ms - sum(
            silent.duration_ms for silent in without([utterance.span], self.voice.speech())
        )
        shorter = shortened(utterance, loop, voiced_ms // (loop.width * doubts.REPEAT_MS))
        outcome = "kept" if shorter.text == utterance.text else "shortened"
        self._note(Doubt.LOOP, utterance.span, outcome, utterance.text)
        return replace(shorter, doubts=tuple(dict.fromkeys((*utterance.doubts, Doubt.LOOP))))

    def _removed(self, doubt: Doubt, utterance: Utterance) -> list[Utterance]:
        self._note(doubt, utterance.span, "removed", utterance.text)
        return []

    def _note(self, doubt: Doubt, span: Span, outcome: str, text: str = "") -> None:
        self.incidents.append(Incident(doubt, span, outcome, text.strip()))


def _lost(speech: Sequence[Span], kept: Sequence[Utterance], voice: Voice) -> list[Span]:
    """Speech that no word covers."""
    covered = [Span(max(0, at.start_ms - _WORD_PAD_MS), at.end_ms + _WORD_PAD_MS) for at in _places(kept)]
    uncovered = without(speech, covered)
    return [span for span in uncovered if span.duration_ms >= LOST_MS and voice.level(span) >= _LOST_VOICE]


def _places(utterances: Sequence[Utterance]) -> list[Span]:
    """Where words are; of an utterance without words all of it."""
    words = [word.span for each in utterances for word in each.words]
    return [each.span for each in utterances if not each.words] + [
        Span(span.start_ms, min(span.end_ms, span.start_ms + _WORD_MS)) for span in words
    ]


def _beside(utterance: Utterance, taken: Sequence[Span]) -> list[Utterance]:
    """The part of an utterance whose words are where no others are."""
    if not utterance.words:
        return [utterance]
    middles = ((word, (word.span.start_ms + word.span.end_ms) // 2) for word in utterance.words)
    words = tuple(word for word, ms in middles if not any(span.start_ms <= ms < span.end_ms for span in taken))
    text = "".join(word.text for word in words).strip()
    if not text:
        return []
    start_ms, end_ms = words[0].span.start_ms, max(word.span.end_ms for word in words)
    return [replace(utterance, span=Span(start_ms, max(end_ms, start_ms + 1)), text=text, words=words)]


def _repeated(utterances: Sequence[Utterance]) -> list[bool]:
    """Which utterances say what the one before them said, in a row of three or more (#465)."""
    said = ["".join(tokens(utterance.text)) for utterance in utterances]
    repeated: list[bool] = []
    for text, group in groupby(said):
        count = len(list(group))
        is_loop = count >= _REPEATED and len(tokens(text)) >= 4
        repeated += [False, *[is_loop] * (count - 1)]
    return repeated


def _same(again: Sequence[Utterance], found: Utterance) -> bool:
    return tokens(" ".join(each.text for each in again)) == tokens(found.text)


def _weight(utterances: Sequence[Utterance]) -> float:
    """How much speaks against a hearing: its doubts, and then the engine's own; less is better."""
    severe = sum(doubt in _AGAIN for each in utterances for doubt in each.doubts) / len(utterances)
    return severe - fmean(each.avg_logprob for each in utterances) / 2
