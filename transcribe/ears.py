"""Which engine hears which lesson: one for all, and others for the languages that a school has a better model for."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from transcribe.engine import SpeechEngine, codes_of


@dataclass(frozen=True, slots=True)
class Ears:
    """`by_language` has the engine of a language by its code; a bilingual lesson and any other language go to `usual`."""

    usual: SpeechEngine
    by_language: Mapping[str, SpeechEngine] = field(default_factory=dict[str, SpeechEngine])

    def of(self, language: str | None) -> SpeechEngine:
        """The engine for a lesson's language ("zh", "en", "zh+en", or None where it has to be found out)."""
        codes = codes_of(language)
        return self.by_language.get(codes[0], self.usual) if len(codes) == 1 else self.usual
