"""What a transcript was made with, so that two editions can be told apart and one can be made again. Plain JSON values."""

import hashlib
import json
from typing import Any

from transcribe import cues, engine
from transcribe.engine import SpeechEngine


def hearing_recipe(ear: SpeechEngine, language: str, hotwords: tuple[str, ...]) -> dict[str, Any]:
    """Everything that decides what is heard; what is made of it afterwards is not in it."""
    return {
        "engine": ear.name,
        "weights": ear.describe().fingerprint,
        "engine_edition": engine.EDITION,
        "language": language,
        "hotwords": list(hotwords),
    }


def whole_recipe(hearing: dict[str, Any], glossary_digest: str) -> dict[str, Any]:
    return {**hearing, "cues_edition": cues.EDITION, "glossary": glossary_digest}


def digest(recipe: dict[str, Any]) -> str:
    """16 hex digits."""
    return hashlib.sha256(json.dumps(recipe, ensure_ascii=True, sort_keys=True).encode()).hexdigest()[:16]
