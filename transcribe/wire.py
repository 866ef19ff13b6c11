"""What the engine's process and ours say to each other: one JSON object a line, and values that come out as they went in."""

from dataclasses import asdict
from typing import Any

from archive import errors
from archive.errors import HuikanError, Unavailable
from archive.model import Span
from transcribe.utterance import Doubt, Heard, Incident, Utterance, Word


def heard_as_json(heard: Heard) -> dict[str, Any]:
    return asdict(heard)


def heard_from_json(told: dict[str, Any]) -> Heard:
    return Heard(
        tuple(_utterance(each) for each in told["utterances"]),
        tuple(
            Incident(Doubt(each["doubt"]), Span(**each["span"]), each["outcome"], each["text"])
            for each in told["incidents"]
        ),
    )


def error_as_json(error: HuikanError) -> dict[str, Any]:
    return {"error": type(error).__name__, "arguments": list(error.args)}


def error_from_json(told: dict[str, Any]) -> HuikanError:
    """The same error again; one that this release does not know is Unavailable."""
    kind = getattr(errors, str(told["error"]), None)
    if isinstance(kind, type) and issubclass(kind, HuikanError):
        return kind(*told["arguments"])
    return Unavailable("语音识别", f"{told['error']}: {told['arguments']}")


def _utterance(told: dict[str, Any]) -> Utterance:
    words = tuple(Word(Span(**word["span"]), word["text"], word["probability"]) for word in told["words"])
    rest = {name: told[name] for name in ("text", "avg_logprob", "no_speech_prob", "language")}
    return Utterance(span=Span(**told["span"]), words=words, doubts=tuple(map(Doubt, told["doubts"])), **rest)
