"""Customer.io: people, events, objects and manual segments, over the Track API.

Documentation: docs.customer.io, Track API v2 (`/batch`), and v1 for what only v1 has (segments). One call takes 500 kB
of operations with 32 kB each, or 1,000 ids of a segment; 1,000 calls a second are named, 100 is asked for. A batch that
is partly bad answers 207 and names the operation; a batch that is wholly bad, 400. Throttling is not documented: 429.
A 200 says that it was taken, not that it had an effect: ids of nobody are passed over in a segment.

Repeats: setting an attribute or a membership again changes nothing. An event is known again by `id`, a ULID that is
made of `event_id`, or of the row's key; how long it is remembered is not documented.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import quote, urlencode

import orjson

from tailrace.destinations import rows
from tailrace.destinations.api import (
    STATUSES,
    ApiSettings,
    basic,
    by_status,
    headers,
    read_json,
    session,
    unreadable,
)
from tailrace.destinations.base import (
    Batch,
    BatchRow,
    Capabilities,
    HttpReply,
    HttpRequest,
    Item,
    Meaning,
    Outcome,
    RefusedError,
    Result,
    RowResult,
    Secrets,
    SyncRefused,
    token,
)
from tailrace.destinations.moments import moment, unix, unix_within
from tailrace.destinations.transport import HttpSession

NAME = "customerio"
LARGEST_OPERATION = 32_768
PERSON = ("cio_id", "id", "email", "phone")


class Settings(ApiSettings):
    """`site_id_env` and `api_key_env` name the variables with the Track API's credentials.

    `app_api_key_env`: a key of the App API, which alone can say how many people a segment has. Times of a row go out as
    seconds since 1970, as Customer.io compares them, unless `convert_times` is false.
    """

    hosts: ClassVar[Mapping[str, str]] = {
        "us": "https://track.customer.io",
        "eu": "https://track-eu.customer.io",
    }
    app_hosts: ClassVar[Mapping[str, str]] = {"us": "https://api.customer.io", "eu": "https://api-eu.customer.io"}

    site_id_env: str
    api_key_env: str
    app_api_key_env: str | None = None
    convert_times: bool = True

    @property
    def app_host(self) -> str:
        """The address of the App API; `base_url` stands in for both."""
        return (self.base_url or self.app_hosts[self.region]).rstrip("/")


CAPABILITIES = Capabilities(
    channels=frozenset(),
    takes_batches=True,
    is_idempotent=True,
    needs_live=True,
    slots=4,
    match_keys=frozenset({*PERSON, "object_id", "token"}),
    call_rows=1000,
    call_bytes=500_000,
    names_rows=False,
    calls_per_second=100.0,
)

CODES: Mapping[Any, Meaning] = {
    **STATUSES,
    "required": Meaning(Outcome.REJECTED, "a field of the row is missing"),
    "invalid": Meaning(Outcome.REJECTED, "a field of the row is wrong"),
    "parse_error": Meaning(Outcome.REJECTED, "the row is not understood"),
    "refused": Meaning(Outcome.REJECTED, "the row is refused"),
}
"""The code of a refused row is the field that Customer.io names, and its reason: `identifiers.email:invalid`."""

_EVENT_TYPES = frozenset({"event", "page", "screen"})


def connect(settings: Settings, secrets: Secrets, files: Path) -> HttpSession:
    """Return a session over HTTP."""
    return session(settings)


def build_request(settings: Settings, secrets: Secrets, item: Item) -> HttpRequest:
    """Return the call for some rows: operations of Track v2, or ids of a segment."""
    if not isinstance(item, Batch):
        raise RefusedError("customerio:takes_no_messages")
    kind, _, name = item.target.partition(":")
    if kind == "segment":
        path, body = _membership(item, name)
    elif kind in _OPERATIONS:
        operations = rows.each(item, _OPERATIONS[kind](settings, item, name), LARGEST_OPERATION)
        path, body = "/api/v2/batch", {"batch": operations}
    else:
        raise SyncRefused("target:not_known")
    return HttpRequest("POST", settings.host + path, _headers(secrets), orjson.dumps(body))


def read_response(settings: Settings, item: Item, reply: HttpReply) -> Result:
    """Return what the answer means: 200 is yes, 207 names the operations that were refused."""
    if reply.status not in {200, 207}:
        return by_status(CODES, reply, item.at)
    answer = read_json(reply)
    if not isinstance(answer, dict):
        return unreadable(reply)
    if not answer.get("errors"):
        return Result(Outcome.ACCEPTED, f"http_{reply.status}") if reply.status == 200 else unreadable(reply)
    assert isinstance(item, Batch)
    return _partly(item, answer["errors"], reply)


def build_probe(settings: Settings, secrets: Secrets) -> HttpRequest:
    """Return the call that asks in which region the account is."""
    return HttpRequest("GET", f"{settings.host}/api/v1/accounts/region", _headers(secrets), b"", acts=False)


def read_probe(settings: Settings, reply: HttpReply) -> Result:
    """Return accepted when the credentials are good, and of the region that is set."""
    answer = read_json(reply)
    if reply.status != 200 or not isinstance(answer, dict) or "region" not in answer:
        return unreadable(reply) if reply.status == 200 else by_status(CODES, reply, None)
    if answer["region"] != settings.region:
        return Result(Outcome.BLOCKED, "other_region", is_systemic=True)
    return Result(Outcome.ACCEPTED, "http_200")


def build_match(settings: Settings, secrets: Secrets, target: str) -> HttpRequest:
    """Return the call that asks how many people are in a segment; only the App API knows."""
    kind, _, name = target.partition(":")
    if kind != "segment" or "app_api_key_env" not in secrets:
        raise RefusedError("match:not_known")
    bearer = headers(authorization=f"Bearer {secrets['app_api_key_env']}")
    return HttpRequest(
        "GET", f"{settings.app_host}/v1/segments/{quote(name, safe='')}/customer_count", bearer, b"", acts=False
    )


def read_match(settings: Settings, reply: HttpReply) -> int | None:
    """Return how many people the segment has."""
    answer = read_json(reply)
    count = answer.get("count") if reply.status == 200 and isinstance(answer, dict) else None
    return count if isinstance(count, int) else None


def ulid(name: str, at: object) -> str:
    """Return `name` if it is a ULID, else one that is made of it, with the time of `at` if that is a moment."""
    if len(name) == 26 and set(name.upper()) <= set(_CROCKFORD) and name[0] <= "7":
        return name.upper()
    told = moment(at)
    stamp = int(told.timestamp() * 1000) if told is not None and told.timestamp() > 0 else 0
    number = stamp % 2**48 << 80 | int.from_bytes(hashlib.sha256(name.encode()).digest()[:10])
    return "".join(_CROCKFORD[number >> shift & 31] for shift in range(125, -1, -5))


_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

Make = Callable[[BatchRow], dict[str, Any]]


def _membership(item: Batch, segment: str) -> tuple[str, dict[str, Any]]:
    """Return path and body that add people to a manual segment or take them out; all by the same kind of id."""
    if not segment.isdigit():
        raise SyncRefused("target:no_segment_id")
    first = item.rows[0]
    kind = next((kind for kind in PERSON[:3] if isinstance(first.key, dict) and kind in first.key), "id")
    told = rows.each(item, lambda row: rows.identity(row, (kind,))[1])
    verb = "remove_customers" if first.op == "remove" else "add_customers"
    return f"/api/v1/segments/{segment}/{verb}?{urlencode({'id_type': kind})}", {"ids": told}


def _people(settings: Settings, item: Batch, name: str) -> Make:
    def make(row: BatchRow) -> dict[str, Any]:
        kind, value = rows.identity(row, PERSON)
        person = {"type": "person", "identifiers": {kind: value}}
        if row.op == "remove":
            return {**person, "action": "delete"}
        attributes = _times(settings, rows.rest(row, {kind, "timestamp", "cio_relationships"}))
        if item.mode == "update_only":
            attributes["_update"] = True
        at = _stamp(row)
        # What orders changes that race is `_timestamp`; the other is what Segment's integration says.
        order = {"_timestamp": at["timestamp"]} if isinstance(at.get("timestamp"), int) else {}
        return {**person, "action": "identify", "attributes": attributes, **at, **order, **_related(settings, row)}

    return make


def _events(settings: Settings, item: Batch, name: str) -> Make:
    rows.check_appended(item)
    own = {"name", "type", "event_id", "timestamp"}

    def make(row: BatchRow) -> dict[str, Any]:
        known = rows.columns(row)
        kind, value = rows.identity(row, (*PERSON, "anonymous_id"))
        event = rows.text(known.get("name"))
        if event is None:
            raise RefusedError("event:no_name")
        action = known.get("type") or name or "event"
        if action not in _EVENT_TYPES:
            raise RefusedError("event:type")
        return {
            "type": "person",
            "action": action,
            "identifiers": {kind: value},
            "name": event,
            "id": ulid(rows.text(known.get("event_id")) or rows.own_id(item, row), known.get("timestamp")),
            **_stamp(row),
            "attributes": _times(settings, rows.rest(row, own | {kind})),
        }

    return make


def _suppressions(settings: Settings, item: Batch, name: str) -> Make:
    def make(row: BatchRow) -> dict[str, Any]:
        kind, value = rows.identity(row, PERSON)
        action = "unsuppress" if row.op == "remove" else "suppress"
        return {"type": "person", "action": action, "identifiers": {kind: value}}

    return make


def _deletions(settings: Settings, item: Batch, name: str) -> Make:
    rows.check_appended(item)

    def make(row: BatchRow) -> dict[str, Any]:
        kind, value = rows.identity(row, PERSON)
        return {"type": "person", "action": "delete", "identifiers": {kind: value}}

    return make


def _merges(settings: Settings, item: Batch, name: str) -> Make:
    rows.check_appended(item)

    def make(row: BatchRow) -> dict[str, Any]:
        told: dict[str, Any] = {"type": "person", "action": "merge"}
        for side in ("primary", "secondary"):
            kind, value = rows.identity(row, [f"{side}_{kind}" for kind in PERSON[:3]])
            told[side] = {kind.removeprefix(f"{side}_"): value}
        return told

    return make


def _devices(settings: Settings, item: Batch, name: str) -> Make:
    own = {"token", "platform", "last_used"}

    def make(row: BatchRow) -> dict[str, Any]:
        kind, value = rows.identity(row, PERSON)
        _, device = rows.identity(row, ("token",))
        person = {"type": "person", "identifiers": {kind: value}}
        if row.op == "remove":
            return {**person, "action": "delete_device", "device": {"token": device}}
        told = _times(settings, {**rows.rest(row, {kind, "token"})})
        plain = {key: told[key] for key in ("platform", "last_used") if told.get(key) is not None}
        if isinstance(plain.get("platform"), str):
            plain["platform"] = plain["platform"].lower()
        more = {key: told[key] for key in told.keys() - own}
        return {**person, "action": "add_device", "device": {"token": device, **plain, "attributes": more}}

    return make


def _objects(settings: Settings, item: Batch, name: str) -> Make:
    def make(row: BatchRow) -> dict[str, Any]:
        _, value = rows.identity(row, ("object_id",))
        told = {"type": "object", "identifiers": {"object_type_id": name or "1", "object_id": value}}
        if row.op == "remove":
            return {**told, "action": "delete"}
        attributes = _times(settings, rows.rest(row, {"object_id", "cio_relationships"}))
        related = _related(settings, row)
        is_anonymous = any("anonymous_id" in one["identifiers"] for one in related.get("cio_relationships", []))
        action = "identify_anonymous" if is_anonymous else "identify"
        return {**told, "action": action, "attributes": attributes, **related}

    return make


def _relationships(settings: Settings, item: Batch, name: str) -> Make:
    def make(row: BatchRow) -> dict[str, Any]:
        kind, value = rows.identity(row, PERSON)
        _, of = rows.identity(row, ("object_id",))
        related: dict[str, Any] = {"identifiers": {kind: value}}
        told = {"type": "object", "identifiers": {"object_type_id": name or "1", "object_id": of}}
        if row.op == "remove":
            return {**told, "action": "delete_relationships", "cio_relationships": [related]}
        more = _times(settings, rows.rest(row, {kind, "object_id"}))
        if more:
            related["relationship_attributes"] = more
        return {**told, "action": "add_relationships", "cio_relationships": [related]}

    return make


_OPERATIONS: Mapping[str, Callable[[Settings, Batch, str], Make]] = {
    "people": _people,
    "events": _events,
    "suppressions": _suppressions,
    "deletions": _deletions,
    "merges": _merges,
    "devices": _devices,
    "objects": _objects,
    "relationships": _relationships,
}


def _partly(item: Batch, errors: Any, reply: HttpReply) -> Result:
    """Return the batch as accepted, but for the operations that the answer names."""
    if not isinstance(errors, list):
        return unreadable(reply)
    refused: dict[int, RowResult] = {}
    for one in errors:
        index = one.get("batch_index") if isinstance(one, dict) else None
        if not isinstance(index, int) or isinstance(index, bool) or not 0 <= index < len(item.rows):
            return unreadable(reply)
        position = item.rows[index].position
        code = rows.field_code(one.get("field"), token(one.get("reason"), "refused"))
        refused.setdefault(position, RowResult(position, Outcome.REJECTED, code))
    return Result(Outcome.ACCEPTED, f"http_{reply.status}", rows=tuple(refused.values()))


def _stamp(row: BatchRow) -> dict[str, Any]:
    at = (row.data or {}).get("timestamp")
    return {} if at is None else {"timestamp": unix(at)}


def _related(settings: Settings, row: BatchRow) -> dict[str, Any]:
    """Return the column `cio_relationships` as a field of the operation: a list of whom with which attributes."""
    told = (row.data or {}).get("cio_relationships")
    if told is None:
        return {}
    if not isinstance(told, list) or not all(isinstance(one, dict) and one.get("identifiers") for one in told):
        raise RefusedError("row:cio_relationships")
    key = "relationship_attributes"
    return {"cio_relationships": [{**one, key: _times(settings, one[key])} if one.get(key) else one for one in told]}


def _times(settings: Settings, told: dict[str, Any]) -> dict[str, Any]:
    return {key: unix_within(value) for key, value in told.items()} if settings.convert_times else dict(told)


def _headers(secrets: Secrets) -> dict[str, str]:
    return headers(authorization=basic(secrets["site_id_env"], secrets["api_key_env"]))
