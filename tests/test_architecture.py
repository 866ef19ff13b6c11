"""What import-linter cannot say: each library in its one home, no drawers, no markup that is trusted."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGES = ("archive", "ingest", "transcode", "transcribe", "search", "api")
SOURCES = sorted(file for package in PACKAGES for file in (ROOT / package).rglob("*.py"))
HOMES = {
    "minio": {"archive/store.py", "archive/minio_keys.py"},
    "pyftpdlib": {"ingest/ftp.py"},
    "dbos": {"ingest/engine.py", "ingest/workflow.py"},
    "tantivy": {"search/embedded.py", "search/embedded_terms.py"},
    "meilisearch": {"search/meili.py"},
    "rjieba": {"search/words.py"},
    "jieba": {"transcribe/wording.py"},
    "pypinyin": {"search/sounds.py", "transcribe/homophones.py"},
    "faster_whisper": {"transcribe/whisper.py", "transcribe/weights.py", "transcribe/voice.py"},
    "opencc": {"transcribe/simplified.py", "search/words.py"},
    "ffmpeg": {"transcode/command.py"},
}
DRAWERS = {"utils", "util", "common", "helpers", "helper", "manager", "base", "misc", "types"}


def test_each_library_is_imported_in_its_home_only() -> None:
    for library, homes in HOMES.items():
        importing = re.compile(rf"^\s*(?:import|from) {library}\b", re.MULTILINE)
        found = {f.relative_to(ROOT).as_posix() for f in SOURCES if importing.search(f.read_text(encoding="utf-8"))}
        assert found <= homes, library
        assert found, library


def test_no_module_is_a_drawer() -> None:
    assert [file for file in SOURCES if file.stem in DRAWERS] == []


def test_every_module_says_what_it_is_for() -> None:
    assert [file for file in SOURCES if not file.read_text(encoding="utf-8").lstrip().startswith(('"""', "#"))] == []


def test_no_template_trusts_its_input_and_no_shell_is_run() -> None:
    templates = [file.read_text(encoding="utf-8") for file in (ROOT / "api" / "web").rglob("*.html")]
    assert templates
    assert not any(re.search(r"\|\s*safe\b|autoescape\s+false", text) for text in templates)
    assert not any("shell=True" in file.read_text(encoding="utf-8") for file in SOURCES)


def test_processes_are_born_in_few_places() -> None:
    born = {f.relative_to(ROOT).as_posix() for f in SOURCES if "subprocess" in f.read_text(encoding="utf-8")}
    homes = {
        "archive/tool.py",
        "archive/sandbox.py",
        "api/embedded.py",
        "api/serve.py",
        "api/demo.py",
        "ingest/capture/recorder.py",
    }
    assert born == homes | {"transcribe/process.py"}


def test_no_registry_address_is_in_the_repository() -> None:
    names = [ROOT / name for name in ("pyproject.toml", *(p.name for p in ROOT.glob("constraints*.txt")))]
    assert not any("http" in line and "://" in line for file in names for line in file.read_text().splitlines())
