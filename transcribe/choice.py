"""Which engine listens, with which model and on what: plain values that travel to the engine's process."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from transcribe.engine import SpeechEngine

EngineName = Literal["faster-whisper", "sherpa-onnx"]


@dataclass(frozen=True, slots=True)
class EngineChoice:
    """As the settings have it; `threads` and `at_once` 0 follow the machine."""

    model: str
    models_dir: str
    engine: EngineName = "faster-whisper"
    device: str = "auto"
    compute_type: str = "default"
    threads: int = 0
    at_once: int = 0
    download: bool = True

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def build(choice: EngineChoice) -> SpeechEngine:
    """The engine, in this process, with nothing loaded yet."""
    if choice.engine == "sherpa-onnx":
        from transcribe.sherpa import SherpaOnnx

        return SherpaOnnx(choice.model, threads=choice.threads, models_dir=Path(choice.models_dir))
    from transcribe.whisper import FasterWhisper

    return FasterWhisper(
        choice.model,
        device=choice.device,
        compute_type=choice.compute_type,
        threads=choice.threads,
        at_once=choice.at_once,
        download=choice.download,
        models_dir=Path(choice.models_dir),
    )
