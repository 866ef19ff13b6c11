"""What the demo asks of the running server: the public JSON API with the two codes, nothing else."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import urllib3
from rich.markup import escape
from urllib3.exceptions import HTTPError

from archive.errors import Unavailable
from archive.settings import Settings, secret

# Waiting for these helps nobody who looks on: a person has to do something first.
_NEEDS_A_PERSON = frozenset({"model-missing", "disk-full"})
_AROUND = 14  # characters of a hit's text before its first match; twice as many follow


@dataclass(frozen=True, slots=True)
class StageSeen:
    name: str
    done: bool
    fraction: float
    obstacle_zh: str
    needs_a_person: bool


@dataclass(frozen=True, slots=True)
class Seen:
    """One upload and how far it is. `refused_zh` is empty unless it was refused."""

    key: str
    title: str
    at: str
    stages: tuple[StageSeen, ...]
    is_done: bool
    refused_zh: str

    @property
    def is_settled(self) -> bool:
        """Whether watching on would show nothing new."""
        return self.is_done or bool(self.refused_zh) or any(stage.needs_a_person for stage in self.stages)

    @property
    def trouble(self) -> str:
        """Why it is not done, for a person; what it waits for if nothing is wrong."""
        obstacles = "；".join(stage.obstacle_zh for stage in self.stages if stage.obstacle_zh)
        waiting = "、".join(stage.name for stage in self.stages if not stage.done)
        return self.refused_zh or obstacles or f"还在进行：{waiting}"


@dataclass(frozen=True, slots=True)
class HitSeen:
    start_ms: int
    marked: str  # rich markup, everything else in it escaped
    page: str


@dataclass(frozen=True, slots=True)
class FoundSeen:
    title: str
    hits: tuple[HitSeen, ...]


class DemoClient:
    def __init__(self, url: str, settings: Settings) -> None:
        self._url = url.rstrip("/")
        self._staff, self._student = secret(settings.staff_code), secret(settings.student_code)
        # The first search loads dictionaries: a second on an idle machine, many on a busy one.
        self._pool = urllib3.PoolManager(timeout=urllib3.Timeout(60), retries=urllib3.Retry(3, redirect=0))

    def arrivals(self) -> dict[str, Seen]:
        """What recorders sent, by key."""
        return furthest(self._get("/api/arrivals", self._staff))

    def search(self, query: str) -> tuple[FoundSeen, ...]:
        """As a student finds it."""
        found = self._get("/api/search", self._student, {"q": query})
        return tuple(
            FoundSeen(each["lesson"]["title"], tuple(_hit(hit) for hit in each["hits"])) for each in found["lessons"]
        )

    def _get(self, path: str, code: str, fields: Mapping[str, str] | None = None) -> Any:
        try:
            answer = self._pool.request(
                "GET", self._url + path, fields=fields, headers={"Authorization": f"Bearer {code}"}
            )
        except HTTPError as error:
            raise Unavailable("huikan serve", str(error), "请查看日志 serve.log。") from error
        if answer.status != 200:
            raise Unavailable("huikan serve", f"{path} answered {answer.status}", "请查看日志 serve.log。")
        return answer.json()


def furthest(rows: Iterable[Mapping[str, Any]]) -> dict[str, Seen]:
    """By key; of several uploads under one key the one that came furthest."""
    best: dict[str, Seen] = {}
    for seen in map(seen_in, rows):
        other = best.get(seen.key)
        if other is None or _rank(seen) > _rank(other):
            best[seen.key] = seen
    return best


def _rank(seen: Seen) -> tuple[bool, bool, str]:
    return seen.is_done, not seen.refused_zh, seen.at


def seen_in(row: Mapping[str, Any]) -> Seen:
    refused = row["refused"]
    return Seen(
        key=row["key"],
        title=row["title"] or "",
        at=row["at"],
        stages=tuple(_stage(stage) for stage in row["stages"]),
        is_done=not refused and row["published"] and all(stage["done"] for stage in row["stages"]),
        refused_zh=refused["reason_zh"] if refused else "",
    )


def _stage(row: Mapping[str, Any]) -> StageSeen:
    obstacle = row["obstacle"]
    return StageSeen(
        name=row["name"],
        done=row["done"],
        fraction=row["fraction"],
        obstacle_zh=obstacle["reason_zh"] if obstacle else "",
        needs_a_person=bool(obstacle) and obstacle["code"] in _NEEDS_A_PERSON,
    )


def _hit(row: Mapping[str, Any]) -> HitSeen:
    return HitSeen(row["start_ms"], marked(row["text"], row["marks"]), row["page"])


def marked(text: str, marks: Iterable[tuple[int, int]]) -> str:
    """What surrounds the first match, on one line, with the matches in colour."""
    known = sorted(marks)
    at = max(known[0][0] - _AROUND if known else 0, 0)
    stop = min(at + 3 * _AROUND, len(text))
    made = "…" if at else ""
    for start, end in known:
        if at <= start and end <= stop:
            made += f"{escape(text[at:start])}[bold yellow]{escape(text[start:end])}[/]"
            at = end
    return made + escape(text[at:stop]) + ("…" if stop < len(text) else "")
