"""A small server that answers as Meilisearch's reference documents, for the calls our adapter makes and no others.

It is strict where the real one is: content type, unknown settings, filters on what is not filterable, document ids. And
it keeps the traps: tasks happen only once somebody waits for them, an empty query finds everything, terms beyond the tenth
are dropped, filters fold case, documents for an index that is not there make one without settings. It ranks by `weight`
alone. What it cannot show (how the real one cuts words) the suites show when HUIKAN_TEST_MEILI_URL is set.
"""

import json
import re
import threading
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

KEY = "a-key-of-the-stand-in"
_SETTINGS = {
    "displayedAttributes", "searchableAttributes", "filterableAttributes", "sortableAttributes", "rankingRules",
    "stopWords", "synonyms", "typoTolerance", "pagination", "faceting", "localizedAttributes", "prefixSearch",
    "facetSearch", "proximityPrecision", "searchCutoffMs", "dictionary", "distinctAttribute",
}  # fmt: skip
_CONDITION = re.compile(r'(\w+) (=|<=|>=|<|IN) ("(?:[^"\\]|\\.)*"|true|false|\d+|\[.*\])')


class Refused(Exception):
    def __init__(self, status: int, code: str) -> None:
        super().__init__(code)
        self.status, self.code = status, code


class Index:
    def __init__(self) -> None:
        self.settings: dict[str, Any] = {"filterableAttributes": [], "pagination": {"maxTotalHits": 1000}}
        self.documents: dict[str, dict[str, Any]] = {}

    def check(self, conditions: list[str]) -> None:
        for condition in conditions:
            found = _CONDITION.fullmatch(condition)
            if found is None or found.group(1) not in self.settings["filterableAttributes"]:
                raise Refused(400, "invalid_search_filter")

    def matching(self, conditions: list[str]) -> list[dict[str, Any]]:
        self.check(conditions)
        return [d for d in self.documents.values() if all(_holds(condition, d) for condition in conditions)]

    def search(self, asked: dict[str, Any]) -> dict[str, Any]:
        terms = re.findall(r'"([^"]+)"', asked["q"])[:10]
        assert asked["matchingStrategy"] == "all"
        found = [d for d in self.matching(asked["filter"]) if set(terms) <= self._words(d)]
        found.sort(key=lambda document: -document["weight"])
        for rule in asked.get("sort", []):
            name, _, order = rule.partition(":")
            assert name in self.settings["sortableAttributes"]
            found.sort(key=lambda document, name=name: document[name], reverse=order == "desc")
        limit = min(asked["limit"], self.settings["pagination"]["maxTotalHits"])
        shown = self.settings.get("displayedAttributes", ["*"])
        keep = [name for name in asked["attributesToRetrieve"] if name in shown]
        hits = [{name: d[name] for name in keep} | {"_rankingScore": 0.5} for d in found[:limit]]
        return {"indexUid": asked["indexUid"], "hits": hits, "query": asked["q"]}

    def _words(self, document: dict[str, Any]) -> set[str]:
        return {word for name in self.settings["searchableAttributes"] for word in document[name].split()}


def _holds(condition: str, document: dict[str, Any]) -> bool:
    found = _CONDITION.fullmatch(condition)
    assert found is not None
    name, operator, value = found.group(1), found.group(2), json.loads(found.group(3))
    have = document[name]
    if operator in ("<", "<=", ">="):
        return {"<": have < value, "<=": have <= value, ">=": have >= value}[operator]
    wanted = value if operator == "IN" else [value]
    return _folded(have) in [_folded(one) for one in wanted]


def _folded(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


class StandIn:
    """The server's state. Tasks are done in order, and only when one of them is asked after."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.indexes: dict[str, Index] = {}
        self.tasks: list[dict[str, Any]] = []
        self.done = 0
        self.updates = 0  # of settings
        self.failing: tuple[int, str] | None = None  # what every request is answered, until it is None again
        self.failing_tasks = ""  # how every task ends, until it is "" again

    def answer(self, method: str, path: str, asked: dict[str, list[str]], body: Any) -> tuple[int, Any]:
        match method, path.strip("/").split("/"):
            case "GET", ["indexes"]:
                return 200, {"results": [{"uid": uid} for uid in self.indexes][: int(asked["limit"][0])]}
            case "POST", ["indexes"]:
                return self.enqueue("indexCreation", body["uid"], body)
            case "GET", ["indexes", uid]:
                self.index(uid)
                return 200, {"uid": uid, "primaryKey": "id"}
            case "DELETE", ["indexes", uid]:
                return self.enqueue("indexDeletion", uid, None)
            case "GET", ["indexes", uid, "settings"]:
                return 200, {"typoTolerance": {"enabled": True}} | self.index(uid).settings
            case "PATCH", ["indexes", uid, "settings"]:
                if set(body) - _SETTINGS:
                    raise Refused(400, "bad_request")
                return self.enqueue("settingsUpdate", uid, body)
            case "POST", ["indexes", uid, "documents"]:
                assert asked == {"primaryKey": ["id"]}
                return self.enqueue("documentAdditionOrUpdate", uid, body)
            case "POST", ["indexes", uid, "documents", "delete"]:
                self.index(uid).check(body["filter"])
                return self.enqueue("documentDeletion", uid, body["filter"])
            case "POST", ["indexes", uid, "documents", "fetch"]:
                return 200, self.fetched(self.index(uid), body)
            case "POST", ["multi-search"]:
                return 200, {"results": [self.index(q["indexUid"]).search(q) for q in body["queries"]]}
            case "GET", ["tasks", uid]:
                return 200, self.task(int(uid))
            case _:
                raise Refused(404, "not_found")

    def index(self, uid: str) -> Index:
        if uid not in self.indexes:
            raise Refused(404, "index_not_found")
        return self.indexes[uid]

    def fetched(self, index: Index, body: dict[str, Any]) -> dict[str, Any]:
        found = index.matching(body.get("filter", []))
        page = found[body.get("offset", 0) :][: body["limit"]]
        results = [{name: document[name] for name in body["fields"]} for document in page]
        return {"results": results, "offset": body.get("offset", 0), "limit": body["limit"], "total": len(found)}

    def enqueue(self, kind: str, uid: str, body: Any) -> tuple[int, Any]:
        task = {"uid": len(self.tasks), "indexUid": uid, "type": kind, "status": "enqueued", "body": body}
        self.tasks.append(task | {"enqueuedAt": "2026-09-01T08:00:00.123456789Z"})
        shown = {name: self.tasks[-1][name] for name in ("indexUid", "type", "status", "enqueuedAt")}
        return 202, shown | {"taskUid": task["uid"]}

    def task(self, uid: int) -> dict[str, Any]:
        while self.done <= uid:
            task = self.tasks[self.done]
            self.done += 1
            try:
                self.perform(task)
                task["status"] = "succeeded"
            except Refused as error:
                task["status"], task["error"] = "failed", {"code": error.code, "message": error.code}
        return {name: value for name, value in self.tasks[uid].items() if name != "body"}

    def perform(self, task: dict[str, Any]) -> None:
        uid, body = task["indexUid"], task["body"]
        if self.failing_tasks:
            raise Refused(500, self.failing_tasks)
        match task["type"]:
            case "indexCreation":
                if uid in self.indexes:
                    raise Refused(409, "index_already_exists")
                self.indexes[uid] = Index()
            case "indexDeletion":
                self.index(uid)
                del self.indexes[uid]
            case "settingsUpdate":
                self.updates += 1
                self.index(uid).settings |= body
            case "documentDeletion":
                index = self.index(uid)
                for document in index.matching(body):
                    del index.documents[document["id"]]
            case _:
                index = self.indexes.setdefault(uid, Index())
                for document in body:
                    if not re.fullmatch(r"[a-zA-Z0-9_-]{1,511}", document["id"]):
                        raise Refused(400, "invalid_document_id")
                    index.documents[document["id"]] = document


@contextmanager
def stand_in() -> Generator[tuple[StandIn, str]]:
    """A running stand-in and its URL."""
    state = StandIn()

    class Handler(BaseHTTPRequestHandler):
        def handle_one(self) -> None:
            address = urlsplit(self.path)
            length = int(self.headers.get("Content-Length", 0))
            raw = self.rfile.read(length)
            try:
                with state.lock:
                    status, found = self.routed(address.path, parse_qs(address.query), raw)
            except Refused as error:
                status, found = error.status, {"message": f"refused: {error.code}", "code": error.code, "type": "x"}
            answer = json.dumps(found).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def routed(self, path: str, asked: dict[str, list[str]], raw: bytes) -> tuple[int, Any]:
            if self.headers["Authorization"] != f"Bearer {KEY}":
                raise Refused(403, "invalid_api_key")
            if state.failing is not None:
                raise Refused(*state.failing)
            if self.command in ("POST", "PATCH") and self.headers["Content-Type"] != "application/json":
                raise Refused(415, "invalid_content_type")
            return state.answer(self.command, path, asked, json.loads(raw) if raw else None)

        do_GET = do_POST = do_PATCH = do_DELETE = handle_one  # noqa: N815 - the library's names

        def log_message(self, format: str, *args: object) -> None:
            """Silent: pytest's output is for results."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    serving.start()
    try:
        yield state, f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        serving.join()
