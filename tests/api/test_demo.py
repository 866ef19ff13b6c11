"""What the demo shows: read from the API's answers, safe on a terminal, and honest about what is not done."""

import io
from typing import Any

from rich.console import Console
from rich.text import Text

from api import demo_client
from api.demo_board import Board
from api.demo_client import Seen
from archive.model import Stage

KEY = "xinghuo/301/20260901T0800.mp4"


def row(
    *, undone: Stage | None = None, obstacle: str = "", refused: str = "", at: str = "2026-09-01"
) -> dict[str, Any]:
    """One element of GET /api/arrivals."""
    why = {"code": obstacle, "reason_zh": f"因为 {obstacle}", "attempts": 1, "retry_at": None} if obstacle else None
    stages = [
        {
            "name": stage.value,
            "done": stage is not undone,
            "fraction": 0.5,
            "obstacle": why if stage is undone else None,
        }
        for stage in Stage
    ]
    return {
        "key": KEY,
        "title": "勾股定理",
        "at": at,
        "stages": stages,
        "published": undone is not Stage.PUBLISHED,
        "searchable": undone is not Stage.INDEXED,
        "refused": {"code": "unreadable", "reason_zh": refused} if refused else None,
    }


def seen(**how: Any) -> Seen:
    return demo_client.seen_in(row(**how))


def test_a_lesson_is_done_only_when_every_stage_is() -> None:
    assert seen().is_done
    assert not any(seen(undone=stage).is_done for stage in Stage)


def test_watching_ends_when_only_a_person_can_help() -> None:
    assert seen(undone=Stage.TRANSCRIBED, obstacle="model-missing").is_settled
    assert not seen(undone=Stage.TRANSCRIBED, obstacle="unavailable").is_settled
    assert not seen(undone=Stage.TRANSCRIBED).is_settled
    assert seen(undone=Stage.TRANSCRIBED, obstacle="model-missing").trouble == "因为 model-missing"
    assert seen(refused="文件是空的").trouble == "文件是空的"


def test_of_several_uploads_under_one_key_the_one_that_came_furthest_counts() -> None:
    refused, going, done = row(refused="空"), row(undone=Stage.ENCODED), row(at="2026-08-31")
    assert demo_client.furthest([refused, done, going])[KEY].is_done
    assert not demo_client.furthest([refused, going])[KEY].refused_zh


def test_matches_are_coloured_and_nothing_in_a_text_acts_as_markup() -> None:
    shown = Text.from_markup(demo_client.marked("[red]学习勾股定理[/red]", [(7, 11)]))
    assert shown.plain == "[red]学习勾股定理[/red]"
    assert [shown.plain[span.start : span.end] for span in shown.spans] == ["勾股定理"]


def test_a_long_text_is_cut_around_its_first_match() -> None:
    text = "一" * 40 + "勾股定理" + "二" * 60
    shown = Text.from_markup(demo_client.marked(text, [(40, 44)])).plain
    assert shown.startswith("…一")
    assert "勾股定理二" in shown
    assert shown.endswith("二…")
    assert len(shown) < 50


def test_without_a_terminal_each_finished_stage_is_one_line() -> None:
    written = io.StringIO()
    with Board(Console(file=written), [KEY]) as board:
        board.show({KEY: seen(undone=Stage.ENCODED)})
        board.show({KEY: seen(undone=Stage.ENCODED)})
        board.show({KEY: seen()})
    lines = written.getvalue().split("\n")
    assert lines[:-1] == [f"《勾股定理》 {name}完成" for name in ("收到", "检查", "字幕", "可搜索", "可播放", "转码")]
