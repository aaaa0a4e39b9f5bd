"""How does a call of Customer.io's Track API (v1, v2) become one of the six calls? As SQL, one row per call.

A line is a request as a proxy or a client logged it (`method`, `path`, `body`), or the body of a v2 call. Lines that
hold several calls (a batch, a person with relationships) are parted here, cut from the text as it is written.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

from tailrace import engine
from tailrace.landing import exact
from tailrace.landing.contract import Contract
from tailrace.landing.stage import Stage
from tailrace.settings import Settings

_REQUEST = {"method": "VARCHAR", "path": "VARCHAR", "status": "VARCHAR", "body": "JSON", "received_at": "JSON"}
_CALL = {
    **dict.fromkeys(("type", "action", "name", "id", "timestamp", "anonymous_id"), "VARCHAR"),
    **dict.fromkeys(("identifiers", "attributes", "data", "device", "primary", "secondary"), "JSON"),
    **dict.fromkeys(("cio_relationships", "batch", "received_at"), "JSON"),
}
# A log's headers have the key of the account in them.
_NEVER_KEPT = ("headers", "authorization", "Authorization")
_RESERVED = ("_timestamp", "_update", "anonymous_id", "cio_relationships")
_TEXTS = ("method", "path", "type", "action", "name", "id", "anonymous_id")
_IDS = ("id", "email", "phone", "cio_id", "anonymous_id", "object_type_id", "object_id", "cio_object_id")


class CustomerioStage(Stage):
    """Calls of the Track API; `objects` of the contract gives types of objects their names."""

    reading = "customerio"

    def __init__(self, settings: Settings, contract: Contract) -> None:
        super().__init__(settings, contract)
        self.connection.execute(engine.statement("tailrace.landing", "customerio_macros"))
        whens = [
            f"when object_type = {engine.literal(kind)} then {engine.literal(name)}" for kind, name in contract.objects
        ]
        self._extra = {
            "request_spec": engine.literal(json.dumps(_REQUEST)),
            "call_spec": engine.literal(json.dumps(_CALL)),
            "request_keys": _nulls((*_REQUEST, *_NEVER_KEPT)),
            "call_keys": _nulls((*_CALL, "status")),
            "reserved": _nulls(_RESERVED),
            "objects": " ".join([*whens, "when true then object_type"]),
        }

    @property
    def may_lack_person(self) -> str:
        """Return the SQL that says of which rows nobody need be named: those about an object."""
        return "group_id is not null"

    def columns(self) -> dict[str, dict[str, str]]:
        """Return none: every call has keys of its own."""
        return {}

    def _filled(self, name: str, **extra: str) -> str:
        return super()._filled(name, **extra, **(self._extra if name == self.reading else {}))

    def _verdict(self, file_no: int, raw: bytes, batches: bool) -> exact.Verdict:
        verdict = exact.judge(raw, ids=_TEXTS, batches=False)
        if verdict.reason is not None:
            return verdict
        text = raw.decode("utf-8")
        try:
            _check_ids(exact.parsed(text))
            calls = tuple(_calls(text)) if batches else ()
        except exact.Refused as refused:
            return exact.Verdict(refused.reason, refused.detail)
        # A call that stands alone is read from its line, which is as it was written.
        return replace(verdict, calls=calls if calls != (text,) else ())


def _nulls(keys: tuple[str, ...]) -> str:
    return engine.literal(json.dumps(dict.fromkeys(keys)))


def _check_ids(document: Any) -> None:
    """Raise Refused for an identifier, wherever identifiers stand, that has more than one spelling or is no text."""
    if isinstance(document, list):
        for inner in document:
            _check_ids(inner)
    if not isinstance(document, dict):
        return
    for key, inner in document.items():
        if key in ("identifiers", "primary", "secondary") and isinstance(inner, dict):
            for name in _IDS:
                if name in inner:
                    exact.check_id(name, inner[name])
        elif key in ("batch", "cio_relationships", "relationships", "body"):
            _check_ids(inner)
            if key == "body" and isinstance(inner, dict):
                for name in ("id", "name", "type", "anonymous_id"):
                    if name in inner:
                        exact.check_id(name, inner[name])


def _calls(text: str) -> Iterator[str]:
    """Yield the calls of a valid line, each as one line; the line itself when it is one call."""
    request = dict(exact.members(text))
    path = json.loads(request.get("path", "null"))
    if path is None:
        yield from _operations(text, {})
        return
    body = request.get("body", "")
    if not body.startswith("{"):
        yield text
    elif "/api/v2/" in str(path):
        parts = list(_operations(body, request))
        yield from parts if parts != [body] else [text]
    else:
        yield from _identified(text, request, body, str(path))


def _operations(body: str, request: dict[str, str]) -> Iterator[str]:
    """Yield the v2 operations of a body: a batch's, and for each relationship one that has only that."""
    keys = dict(exact.members(body))
    shared = {name: source["received_at"] for source in (request, keys) for name in ("received_at",) if name in source}
    if "status" in request:
        shared["status"] = request["status"]
    if keys.get("batch", "").startswith("["):
        operations = list(exact.elements(keys["batch"]))
        if not operations:
            raise exact.Refused("empty_batch", "`batch` is an empty list; expected at least one call")
        for operation in operations:
            if operation.startswith("{"):
                yield from _related(_with(dict(exact.members(operation)), shared))
            else:
                yield operation
        return
    related = list(_related(keys))
    if len(related) == 1:
        yield body
        return
    for operation in _related(_with(keys, shared)):
        yield operation


def _with(keys: dict[str, str], shared: dict[str, str]) -> dict[str, str]:
    return {**shared, **keys}


def _related(keys: dict[str, str]) -> Iterator[str]:
    """Yield an operation parted into the call without relationships, if it says something then, and one for each."""
    written = keys.get("cio_relationships", "")
    elements = list(exact.elements(written)) if written.startswith("[") else []
    action, alone = json.loads(keys.get("action", "null")), "cio_relationships" not in keys
    only = action in ("add_relationships", "delete_relationships")
    if alone or (only and len(elements) < 2) or (written and not written.startswith("[")):
        yield _object(keys)
        return
    rest = {name: value for name, value in keys.items() if name != "cio_relationships"}
    anonymous = action == "identify_anonymous"
    if not only and not (anonymous and elements):
        yield _object(rest)
    ends = {name: value for name, value in rest.items() if only or name not in ("attributes", "action", "name", "id")}
    if not only:
        ends["action"] = '"add_relationships"'
    for element in elements:
        yield _object({**ends, "cio_relationships": f"[{element}]"})


def _identified(text: str, request: dict[str, str], body: str, path: str) -> Iterator[str]:
    """Yield a v1 identify parted into the call without relationships and a v2 operation for each of them."""
    keys = dict(exact.members(body))
    relations = keys.get("cio_relationships", "")
    who = path.partition("?")[0].rstrip("/").rpartition("/api/v1/customers/")[2]
    if not relations.startswith(("{", "[")) or not who or "/" in who:
        yield text
        return
    # A bare list is how v2 writes them, and v1 takes no notice of it: what it says is clear all the same.
    about = dict(exact.members(relations)) if relations.startswith("{") else {"relationships": relations}
    alone = {name: value for name, value in keys.items() if name != "cio_relationships"}
    yield _object({**request, "body": _object(alone)})
    action = about.get("action", '"add_relationships"')
    shared = {name: request[name] for name in ("received_at", "status") if name in request}
    if "_timestamp" in keys:
        shared["timestamp"] = keys["_timestamp"]
    listed = about.get("relationships", "")
    for element in exact.elements(listed) if listed.startswith("[") else ():
        person = json.dumps({_kind(unquote(who)): unquote(who)})
        parts = {"type": '"person"', "action": action, "identifiers": person, "cio_relationships": f"[{element}]"}
        yield _object({**parts, **shared})


def _kind(identifier: str) -> str:
    """Return which identifier a v1 path has, told by its shape as Customer.io tells it."""
    if identifier.startswith("cio_"):
        return "cio_id"
    return "email" if "@" in identifier.strip("@") else "id"


def _object(keys: dict[str, str]) -> str:
    return "{" + ",".join(f"{json.dumps(name)}:{value}" for name, value in keys.items()) + "}"
