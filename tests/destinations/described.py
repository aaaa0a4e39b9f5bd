"""What does a vendor's own description say of a request? OpenAPI 3, or a discovery document of Google's.

Descriptions are read where they lie and never copied here. What is not in a description is a fault too: an object that
has its fields listed is taken to have no others, unless the description says that it may.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

import orjson
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from referencing import Registry
from referencing.jsonschema import DRAFT202012
from ruamel.yaml import YAML

from tailrace.destinations.base import HttpRequest

_METHODS = ("get", "put", "post", "delete", "patch")
_FORM = "application/x-www-form-urlencoded"
_SEVERAL = ("allOf", "anyOf", "oneOf")
_CLOSED = "unevaluatedProperties"


class Fault(NamedTuple):
    """Where a request is not as described: a place such as `body.to[].email`, and what is wrong there."""

    field: str
    detail: str


@dataclass(frozen=True)
class Operation:
    """One call that is described. `bodies` are pointers to the schema of a body, as described and closed, by type."""

    document: Mapping[str, Any]
    registry: Registry[Any]
    method: str
    host: str
    path: re.Pattern[str]
    literal: int
    parameters: list[Mapping[str, Any]]
    bodies: Mapping[str, tuple[str, str]]

    def faults(self, request: HttpRequest) -> Iterator[Fault]:
        """Yield what is wrong with a request of this operation."""
        url = urlsplit(request.url)
        if url.netloc != self.host:
            yield Fault("url.host", f"{url.netloc}, described as {self.host}")
        headers = {name.lower(): value for name, value in request.headers.items()}
        for place, said in (("query", dict(parse_qsl(url.query, keep_blank_values=True))), ("header", headers)):
            yield from self._of_parameters(place, said)
        kind = headers.get("content-type", "").partition(";")[0]
        if not self.bodies:
            if request.body:
                yield Fault("body", "none is described")
            return
        if kind not in self.bodies:
            yield Fault("header.content-type", f"{kind}, described are {', '.join(self.bodies)}")
            return
        plain, closed = self.bodies[kind]
        body = self._form(request, plain) if kind == _FORM else orjson.loads(request.body)
        found = list(self._of_schema("body", plain, body)) or list(self._of_schema("body", closed, body))
        yield from found

    def _of_parameters(self, place: str, said: Mapping[str, str]) -> Iterator[Fault]:
        known = {
            (one["name"].lower() if place == "header" else one["name"]): one
            for one in self.parameters
            if one["in"] == place
        }
        for name, one in known.items():
            if one.get("required") and name not in said:
                yield Fault(f"{place}.{name}", "is required")
            elif name in said:
                schema = one.get("schema") or {}
                value = _coerced(said[name], self._resolved(schema))
                for error in Draft202012Validator(_modern(schema), registry=self.registry).iter_errors(value):
                    yield Fault(f"{place}.{name}", error.message)
        if place == "query":
            yield from (Fault(f"query.{name}", "is not described") for name in said.keys() - known.keys())

    def _form(self, request: HttpRequest, pointer: str) -> dict[str, Any]:
        schema = self._resolved({"$ref": pointer})
        known = schema.get("properties") or {}
        told = parse_qsl(request.body.decode(), keep_blank_values=True)
        return {name: _coerced(value, self._resolved(known.get(name) or {})) for name, value in told}

    def _resolved(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        while "$ref" in schema:
            node: Any = self.document
            for step in schema["$ref"].partition("#/")[2].split("/"):
                node = node[int(step)] if isinstance(node, list) else node[step.replace("~1", "/").replace("~0", "~")]
            schema = node
        return schema

    def _of_schema(self, name: str, pointer: str, value: Any) -> Iterator[Fault]:
        validator = Draft202012Validator({"$ref": pointer}, registry=self.registry)
        leaves = [leaf for error in validator.iter_errors(value) for leaf in _leaves(error)]
        for leaf in leaves:
            place = name + "".join("[]" if isinstance(step, int) else f".{step}" for step in leaf.absolute_path)
            if leaf.validator != _CLOSED:
                yield Fault(place, f"{leaf.validator}: {leaf.message[:200]}")
            elif not any(_is_within(other, leaf) for other in leaves):
                listed = re.search(r"\((.*) (?:was|were) unexpected\)", leaf.message)
                for field in re.findall(r"'([^']*)'", listed[1] if listed else leaf.message):
                    yield Fault(f"{place}.{field}", "is not described")


class Description:
    """All that a vendor's files in one folder describe."""

    def __init__(self, folder: Path) -> None:
        self.operations: list[Operation] = []
        for path in sorted(folder.glob("*.*")):
            text = path.read_text(encoding="utf-8")
            told = json.loads(text) if path.suffix == ".json" else YAML(typ="safe").load(text)
            document = _of_discovery(told) if "discoveryVersion" in told else told
            self.operations.extend(_operations(document))

    def faults(self, request: HttpRequest) -> list[Fault]:
        """Return what is wrong with a request."""
        found = self.operation(request)
        if found is None:
            return [Fault("url.path", f"{request.method} {urlsplit(request.url).path} is not described")]
        return list(found.faults(request))

    def operation(self, request: HttpRequest) -> Operation | None:
        path = urlsplit(request.url).path
        fitting = [one for one in self.operations if one.method == request.method.lower() and one.path.fullmatch(path)]
        return max(fitting, key=lambda one: one.literal, default=None)


def _operations(document: Any) -> Iterator[Operation]:
    bodies: list[Any] = []
    whole = {"bodies": bodies, "components": _modern(document.get("components") or {}), "closed": {}}
    whole["closed"] = {
        name: _closed(schema, whole, is_part=True) for name, schema in whole["components"].get("schemas", {}).items()
    }
    told = []
    for template, item in (document.get("paths") or {}).items():
        for method in _METHODS:
            if method not in item:
                continue
            operation = item[method]
            parameters = [
                _target(document, one) for one in [*item.get("parameters", []), *operation.get("parameters", [])]
            ]
            by_type = {}
            content = _target(document, operation.get("requestBody") or {}).get("content") or {}
            for kind, media in content.items():
                schema = _modern(media.get("schema") or {})
                bodies.append(schema)
                bodies.append(_closed(schema, whole, is_part=False))
                last = len(bodies)
                by_type[kind] = (f"urn:described#/bodies/{last - 2}", f"urn:described#/bodies/{last - 1}")
            servers = operation.get("servers") or item.get("servers") or document.get("servers") or [{"url": ""}]
            told.append((servers, template, method, parameters, by_type))
    registry = Registry().with_resource("urn:described", DRAFT202012.create_resource(whole))
    for servers, template, method, parameters, by_type in told:
        for server in servers:
            url = server["url"]
            for name, variable in (server.get("variables") or {}).items():
                url = url.replace(f"{{{name}}}", variable["default"])
            base = urlsplit(url)
            parts = re.split(r"(\{[^}]*\})", base.path.rstrip("/") + template)
            pattern = "".join("[^/]+" if part.startswith("{") else re.escape(part) for part in parts)
            literal = sum(len(part) for part in parts if not part.startswith("{"))
            yield Operation(whole, registry, method, base.netloc, re.compile(pattern), literal, parameters, by_type)


def _target(document: Any, told: Any) -> Any:
    while isinstance(told, dict) and "$ref" in told:
        node = document
        for step in told["$ref"].removeprefix("#/").split("/"):
            node = node[step.replace("~1", "/").replace("~0", "~")]
        told = node
    return told


def _modern(schema: Any) -> Any:
    """Return a schema of OpenAPI 3.0 as one of JSON Schema."""
    if isinstance(schema, list):
        return [_modern(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    told = {}
    for name, value in schema.items():
        if name in ("example", "examples", "default", "description"):
            # The name of a property is told from a keyword by what it has.
            if isinstance(value, dict) and name not in ("example", "examples", "default"):
                told[name] = _modern(value)
            continue
        told[name] = _modern(value)
    if "oneOf" in told:
        # Alternatives that are described as excluding each other seldom do: one fits when another leaves all open.
        told["anyOf"] = [*told.get("anyOf", []), *told.pop("oneOf")]
    if told.get("nullable") is True and isinstance(told.get("type"), str):
        told["type"] = [told["type"], "null"]
        if isinstance(told.get("enum"), list):
            told["enum"] = [*told["enum"], None]
    if isinstance(told.get("required"), bool):
        del told["required"]
    for bound in ("exclusiveMinimum", "exclusiveMaximum"):
        if isinstance(told.get(bound), bool):
            del told[bound]
    return told


def _closed(schema: Any, whole: Mapping[str, Any], *, is_part: bool) -> Any:
    """Return the schema with every object closed that lists its fields; a part of another one is closed with that."""
    if not isinstance(schema, dict):
        return schema
    told = dict(schema)
    if "$ref" in told:
        told["$ref"] = told["$ref"].replace("#/components/schemas/", "#/closed/")
    for name in _SEVERAL:
        if isinstance(told.get(name), list):
            told[name] = [_closed(one, whole, is_part=True) for one in told[name]]
    if isinstance(told.get("properties"), dict):
        told["properties"] = {name: _closed(one, whole, is_part=False) for name, one in told["properties"].items()}
    for name in ("items", "additionalProperties"):
        if isinstance(told.get(name), dict):
            told[name] = _closed(told[name], whole, is_part=False)
    if not is_part and _lists_fields(schema, whole, frozenset()):
        told[_CLOSED] = False
    return told


def _lists_fields(schema: Any, whole: Mapping[str, Any], seen: frozenset[str]) -> bool:
    if not isinstance(schema, dict) or schema.get("$ref") in seen:
        return False
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return _lists_fields(whole["components"]["schemas"].get(name), whole, seen | {schema["$ref"]})
    if schema.get("properties"):
        return True
    return any(_lists_fields(one, whole, seen) for name in _SEVERAL for one in schema.get(name) or ())


def _leaves(error: ValidationError) -> Iterator[ValidationError]:
    """Yield what is wrong: of alternatives, that in the one that is nearest to what was said."""
    if not error.context:
        yield error
        return
    branches: dict[Any, list[ValidationError]] = {}
    for one in error.context:
        branches.setdefault(one.schema_path[0], []).append(one)
    nearest = min(branches.values(), key=lambda those: sum(map(_weight, those)))
    for one in nearest:
        yield from _leaves(one)


def _is_within(other: ValidationError, leaf: ValidationError) -> bool:
    """Return whether another fault lies within what a fault is about: then none of its fields counts as described."""
    outer, inner = list(leaf.absolute_path), list(other.absolute_path)
    return inner[: len(outer)] == outer and (len(inner) > len(outer) or other.validator != _CLOSED)


def _weight(error: ValidationError) -> int:
    """Return how far off it is: a field that says which alternative it is, and says another, is far."""
    if error.context:
        branches: dict[Any, int] = {}
        for one in error.context:
            branches[one.schema_path[0]] = branches.get(one.schema_path[0], 0) + _weight(one)
        return min(branches.values())
    says_which = error.validator == "const" or (error.validator == "enum" and len(error.validator_value) == 1)
    return 1000 if says_which else 10 if error.validator in ("enum", "required", "type") else 1


def _coerced(value: str, schema: Mapping[str, Any]) -> Any:
    """Return what a text of a form or a query stands for, in the type that is described."""
    kinds = schema.get("type")
    kind = kinds[0] if isinstance(kinds, list) else kinds
    if kind == "integer" and re.fullmatch(r"-?\d+", value):
        return int(value)
    if kind == "boolean" and value in ("true", "false"):
        return value == "true"
    return [value] if kind == "array" else value


def _of_discovery(told: Mapping[str, Any]) -> dict[str, Any]:
    """Return a discovery document as OpenAPI, as far as requests go."""

    def schema(one: Any) -> Any:
        if isinstance(one, list):
            return [schema(each) for each in one]
        if not isinstance(one, dict):
            return one
        if isinstance(one.get("$ref"), str):
            return {"$ref": f"#/components/schemas/{one['$ref']}"}
        made = {
            name: {own: schema(each) for own, each in value.items()} if name == "properties" else schema(value)
            for name, value in one.items()
            if name in ("type", "properties", "items", "additionalProperties", "enum")
        }
        return {name: value for name, value in made.items() if (name, value) != ("type", "any")}

    paths: dict[str, Any] = {}

    def walk(resources: Mapping[str, Any]) -> None:
        for resource in resources.values():
            walk(resource.get("resources") or {})
            for method in (resource.get("methods") or {}).values():
                body = {"$ref": f"#/components/schemas/{method['request']['$ref']}"} if "request" in method else None
                content = {} if body is None else {"requestBody": {"content": {"application/json": {"schema": body}}}}
                template = re.sub(r"\{\+(\w+)\}", r"{\1}", method.get("flatPath") or method["path"])
                parameters = [
                    {"in": one["location"], "name": name, "required": one.get("required", False), "schema": schema(one)}
                    for name, one in {**told.get("parameters", {}), **method.get("parameters", {})}.items()
                    if one["location"] == "query"
                ]
                paths.setdefault(f"/{template}", {})[method["httpMethod"].lower()] = {
                    "parameters": parameters,
                    **content,
                }

    walk(told["resources"])
    schemas = {name: schema(one) for name, one in told["schemas"].items()}
    return {"servers": [{"url": told["rootUrl"]}], "paths": paths, "components": {"schemas": schemas}}
