"""The demo's progress: on a terminal one live bar for each stage of each lesson, elsewhere one line when a stage is done."""

from collections.abc import Mapping, Sequence
from types import TracebackType

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeElapsedColumn

from api.arriving import STAGES_ZH
from api.demo_client import Seen, StageSeen
from archive.model import Stage


class Board:
    """Open it with `with`; tell it what is seen as often as you like."""

    def __init__(self, console: Console, keys: Sequence[str]) -> None:
        self._console, self._keys = console, keys
        self._done: set[tuple[str, str]] = set()
        self._tasks: dict[tuple[str, str], TaskID] = {}
        columns = (
            TextColumn("{task.fields[lesson]}"),
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            TextColumn("[yellow]{task.fields[note]}"),
        )
        self._bars = Progress(*columns, console=console, disable=not console.is_terminal)

    def __enter__(self) -> "Board":
        self._bars.start()
        for key in self._keys:
            for stage in Stage:
                self._tasks[key, stage] = self._bars.add_task(STAGES_ZH[stage], total=1.0, lesson="", note="")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def show(self, seen: Mapping[str, Seen]) -> None:
        for key in self._keys:
            if key in seen:
                for stage in seen[key].stages:
                    self._show(seen[key], stage)

    def _show(self, of: Seen, stage: StageSeen) -> None:
        task = self._tasks.get((of.key, stage.name))
        if task is None:
            return
        lesson = f"《{escape(of.title)}》" if of.title else escape(of.key)
        note = escape(stage.obstacle_zh)
        self._bars.update(task, completed=1.0 if stage.done else stage.fraction, lesson=lesson, note=note)
        if stage.done and (of.key, stage.name) not in self._done:
            self._done.add((of.key, stage.name))
            self._bars.stop_task(task)
            if not self._console.is_terminal:
                self._console.print(f"{lesson} {STAGES_ZH[Stage(stage.name)]}完成")
