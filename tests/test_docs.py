"""The documentation says what is true: generated pages are fresh, links lead somewhere, named files exist."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from api.manual import settings_page
from ingest.recorder import upload_policy

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
LINK = re.compile(r"\]\(([^)#\s]+)")


def test_the_page_of_settings_is_fresh() -> None:
    assert (ROOT / "docs" / "settings.md").read_text(encoding="utf-8") == settings_page(), "run script/docs"


def test_the_page_of_commands_is_fresh() -> None:
    command = [sys.executable, "-m", "typer", "api.cli", "utils", "docs", "--name", "huikan"]
    made = subprocess.run(
        [*command, "--title", "命令（由 script/docs 生成）"], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert (ROOT / "docs" / "commands.md").read_text(encoding="utf-8") == made.stdout, "run script/docs"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_leads_somewhere(page: Path) -> None:
    targets = [target for target in LINK.findall(page.read_text(encoding="utf-8")) if "://" not in target]
    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_the_policy_in_the_manual_is_the_one_that_is_tested() -> None:
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    shown = json.loads(page[page.index('{"Version"') : page.index("]}]}") + 4])
    assert shown == upload_policy("xinghuo", "301", "incoming")


def test_every_decision_is_numbered_once_and_says_what_was_weighed() -> None:
    decisions = sorted((ROOT / "docs" / "adr").glob("*.md"))
    assert [int(page.name[:4]) for page in decisions] == list(range(1, len(decisions) + 1))
    for page in decisions:
        words = page.read_text(encoding="utf-8")
        assert all(f"\n{part}. " in words for part in ("Context", "Decision", "Consequences", "Weighed")), page.name
