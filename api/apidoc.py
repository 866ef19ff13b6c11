"""The OpenAPI description, laid out for a page of ours: no script, nothing loaded from elsewhere, readable on a phone.

Reads what FastAPI generates and resolves nothing but the references to our own models.
"""

from dataclasses import dataclass
from typing import Any

_Json = dict[str, Any]

_WHERE_ZH = {"query": "查询", "path": "路径", "header": "请求头", "cookie": "Cookie"}


@dataclass(frozen=True, slots=True)
class Field:
    """A parameter of an operation or a field of a model. `model` names the model to look further in, or is ""."""

    name: str
    kind: str
    model: str
    is_required: bool
    about: str
    where: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    status: str
    about: str
    model: str


@dataclass(frozen=True, slots=True)
class Operation:
    method: str
    path: str
    summary: str
    about: str
    fields: tuple[Field, ...]
    body: str  # a model's name, or ""
    outcomes: tuple[Outcome, ...]

    @property
    def anchor(self) -> str:
        return f"{self.method}-{self.path}".lower().replace("/", "-").replace("{", "").replace("}", "")


@dataclass(frozen=True, slots=True)
class Model:
    name: str
    about: str
    fields: tuple[Field, ...]


def operations(openapi: _Json) -> dict[str, list[Operation]]:
    """By tag, in the order of the routes."""
    found: dict[str, list[Operation]] = {}
    for path, methods in openapi["paths"].items():
        for method, one in methods.items():
            found.setdefault(one.get("tags", [""])[0], []).append(_operation(method.upper(), path, one))
    return found


def models(openapi: _Json) -> list[Model]:
    schemas: _Json = openapi.get("components", {}).get("schemas", {})
    return [
        Model(name, one.get("description", ""), tuple(_fields(one)))
        for name, one in sorted(schemas.items())
        if "properties" in one
    ]


def _operation(method: str, path: str, one: _Json) -> Operation:
    parameters = tuple(
        Field(
            name=known["name"],
            kind=_kind(known["schema"]),
            model=_model(known["schema"]),
            is_required=known.get("required", False),
            about=known.get("description", ""),
            where=_WHERE_ZH[known["in"]],
        )
        for known in one.get("parameters", [])
    )
    outcomes = [Outcome(status, known["description"], _content(known)) for status, known in one["responses"].items()]
    return Operation(
        method=method,
        path=path,
        summary=one.get("summary", ""),
        about=one.get("description", ""),
        fields=parameters,
        body=_content(one.get("requestBody", {})),
        outcomes=tuple(sorted(outcomes, key=lambda outcome: outcome.status)),
    )


def _content(known: _Json) -> str:
    for content in known.get("content", {}).values():
        if "schema" in content:
            return _model(content["schema"])
    return ""


def _fields(schema: _Json) -> list[Field]:
    required = schema.get("required", [])
    return [
        Field(name, _kind(one), _model(one), name in required, one.get("description", ""))
        for name, one in schema["properties"].items()
    ]


def _kind(schema: _Json) -> str:
    """In the words of TypeScript, which most readers know: `string | null`, `CueOut[]`."""
    if "$ref" in schema:
        return _model(schema)
    if "anyOf" in schema:
        return " | ".join(_kind(one) for one in schema["anyOf"])
    if "prefixItems" in schema:
        return f"[{', '.join(_kind(one) for one in schema['prefixItems'])}]"
    if schema.get("type") == "array":
        return f"{_kind(schema.get('items', {}))}[]"
    if isinstance(schema.get("additionalProperties"), dict):
        return f"{{ [名称]: {_kind(schema['additionalProperties'])} }}"
    return str(schema.get("type", "any"))


def _model(schema: _Json) -> str:
    """The first model that is named anywhere inside, or ""."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    for inner in [*schema.get("anyOf", []), schema.get("items", {})]:
        found = _model(inner) if inner else ""
        if found:
            return found
    return ""
