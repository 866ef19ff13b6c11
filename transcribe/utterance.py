"""What a speech engine hears, before anybody made it readable. Plain values: no engine is imported here."""

from dataclasses import dataclass
from enum import StrEnum

from archive.model import Span


class Doubt(StrEnum):
    """Why a person should look at something that was heard."""

    LOOP = "loop"  # the engine repeated itself: it does that where it understands nothing
    PHRASE = "phrase"  # word for word what engines invent over silence and music
    ECHO = "echo"  # the hints that it was given, instead of what was said
    VOICELESS = "voiceless"  # words where hardly anybody spoke
    DRIFT = "drift"  # another script than the lesson's language is written in
    RUSHED = "rushed"  # more words than a mouth can say in that time
    UNSURE = "unsure"  # the engine's own word
    UNHEARD = "unheard"  # somebody spoke, and nothing came of it
    UNSUPPORTED = "unsupported"  # spoken in a language that the model does not know


@dataclass(frozen=True, slots=True)
class Word:
    """One word (in Chinese often one character) with the engine's own spacing: joined, words give the text again."""

    span: Span
    text: str
    probability: float = 1.0


@dataclass(frozen=True, slots=True)
class Utterance:
    """A stretch of speech. `words` may be empty (the engine gave no times) and utterances may overlap a little.

    `avg_logprob` and `no_speech_prob` are the engine's own doubts: near 0 is sure, and near 0 is speech. `doubts` are ours.
    """

    span: Span
    text: str
    words: tuple[Word, ...] = ()
    avg_logprob: float = 0.0
    no_speech_prob: float = 0.0
    language: str = ""
    doubts: tuple[Doubt, ...] = ()


@dataclass(frozen=True, slots=True)
class Incident:
    """Something that went wrong while listening and what was done about it, so that nothing happens behind a teacher's back.

    `outcome` is "replaced" (heard again, and better), "shortened" (a loop, to what can have been said), "removed" (an
    invention), "recovered" (lost at first), "kept" (nothing better came of it) or "left" (there are no words).
    `text` is what had been heard before.
    """

    doubt: Doubt
    span: Span
    outcome: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class Heard:
    """All that an engine has to say about a stretch of sound: what was said, in order, and what it stumbled over."""

    utterances: tuple[Utterance, ...] = ()
    incidents: tuple[Incident, ...] = ()
