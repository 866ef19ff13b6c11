"""What a speech engine hears, before anybody made it readable. Plain values: no engine is imported here."""

from dataclasses import dataclass

from archive.model import Span


@dataclass(frozen=True, slots=True)
class Word:
    """One word (in Chinese often one character) with the engine's own spacing: joined, words give the text again."""

    span: Span
    text: str
    probability: float = 1.0


@dataclass(frozen=True, slots=True)
class Utterance:
    """A stretch of speech. `words` may be empty (the engine gave no times) and utterances may overlap a little.

    `avg_logprob` and `no_speech_prob` are the engine's own doubts: near 0 is sure, and near 0 is speech.
    """

    span: Span
    text: str
    words: tuple[Word, ...] = ()
    avg_logprob: float = 0.0
    no_speech_prob: float = 0.0
    language: str = ""
