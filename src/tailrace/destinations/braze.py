"""Braze: people, events, purchases, audiences as attributes, and subscription groups.

Documentation: braze.com/docs, `/users/track`, `/users/delete`, `/v2/subscription/status/set`. A call takes 75 objects
and 4 MB, 100 kB each; deletions and subscriptions take 50, so a longer cut of those makes several calls. 3,000 calls
in 3 seconds; 429 with X-RateLimit-Reset, a moment. A success may have `errors` that name objects by their place; a 400
took nothing.

Repeats: an attribute that is set again changes nothing. Events and purchases have no id: one that is said twice counts
twice, so an event whose answer was lost is not said again by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from pydantic import Field

from tailrace.destinations import rows
from tailrace.destinations.api import STATUSES, HostSettings, by_status, headers, read_json, session, unreadable
from tailrace.destinations.base import (
    Batch,
    BatchRow,
    Capabilities,
    Exchange,
    HttpReply,
    HttpRequest,
    Item,
    Meaning,
    Outcome,
    RefusedError,
    Result,
    RowResult,
    Secrets,
    Steps,
    SyncRefused,
)
from tailrace.destinations.moments import iso
from tailrace.destinations.transport import HttpSession

NAME = "braze"
LARGEST_OBJECT = 100_000
FEW = 50
ONLY = "_update_existing_only"
PERSON = ("external_id", "braze_id", "email", "phone")


class Settings(HostSettings):
    """`api_key_env` names the variable with a REST key that may `users.track` (and `users.delete`, `subscription…`).

    `instance` is the part of the dashboard's address that says where you are: `iad-01`, `fra-01`. `app_id` goes out
    with events and purchases.
    """

    api_key_env: str
    instance: str = Field(default="iad-01", pattern=r"^[a-z]{2,4}-\d{2}$")
    app_id: str | None = None

    @property
    def host(self) -> str:
        """The address of the instance; those in Frankfurt are in the domain of the EU."""
        domain = "braze.eu" if self.instance.startswith("fra") else "braze.com"
        return (self.base_url or f"https://rest.{self.instance}.{domain}").rstrip("/")


CAPABILITIES = Capabilities(
    channels=frozenset(),
    takes_batches=True,
    is_idempotent=False,
    needs_live=True,
    slots=4,
    match_keys=frozenset({*PERSON, "alias_name"}),
    call_rows=75,
    call_bytes=4_000_000,
    names_rows=False,
    calls_per_second=1000.0,
)

CODES: Mapping[Any, Meaning] = {
    **STATUSES,
    "refused": Meaning(Outcome.REJECTED, "Braze names this object as wrong"),
    "neighbours_refused": Meaning(Outcome.RETRY_LATER, "the call was refused for other rows, which it names"),
}


def connect(settings: Settings, secrets: Secrets, files: Path) -> HttpSession:
    """Return a session over HTTP."""
    return session(settings)


def build_request(settings: Settings, secrets: Secrets, item: Item) -> HttpRequest | Exchange:
    """Return the call, or the calls, for some rows."""
    if not isinstance(item, Batch):
        raise RefusedError("braze:takes_no_messages")
    kind, _, name = item.target.partition(":")
    is_removal = item.rows[0].op == "remove"
    match kind:
        case "people" if is_removal:
            return _in_parts(settings, secrets, "/users/delete", rows.each(item, _whom), _deleted)
        case "people":
            body = {"attributes": rows.each(item, _attributes(item), LARGEST_OBJECT)}
        case "attribute" if name:
            body = {"attributes": rows.each(item, lambda row: _membership(item, row, name), LARGEST_OBJECT)}
        case "events" | "purchases":
            rows.check_appended(item)
            body = {kind: rows.each(item, _happened(settings, item, kind), LARGEST_OBJECT)}
        case "subscription_group" if name:
            people = rows.each(item, _subscriber)
            state = "unsubscribed" if is_removal else "subscribed"
            return _in_parts(
                settings, secrets, "/v2/subscription/status/set", people, lambda few: _subscribed(few, name, state)
            )
        case _:
            raise SyncRefused("target:not_known")
    return _call(settings, secrets, "/users/track", body)


def read_response(settings: Settings, item: Item, reply: HttpReply) -> Result:
    """Return what the answer means: errors name objects by their place, in a success and in a refusal."""
    answer = read_json(reply)
    told = answer if isinstance(answer, dict) else {}
    refused = _named(item, told.get("errors"))
    if reply.status // 100 == 2:
        if "message" not in told or refused is None:
            return unreadable(reply)
        return Result(Outcome.ACCEPTED, f"http_{reply.status}", rows=refused)
    if reply.status == 400 and refused:
        return Result(Outcome.RETRY_LATER, "neighbours_refused", rows=refused)
    return by_status(CODES, reply, item.at)


def build_probe(settings: Settings, secrets: Secrets) -> HttpRequest:
    """Return a call that tracks nobody."""
    call = _call(settings, secrets, "/users/track", {"attributes": []})
    return HttpRequest(call.method, call.url, call.headers, call.body, acts=False)


def read_probe(settings: Settings, reply: HttpReply) -> Result:
    """Return accepted when the key is let in: what is then said of a call without objects does not matter."""
    told = read_json(reply)
    if isinstance(told, dict) and "message" in told and (reply.status // 100 == 2 or reply.status == 400):
        return Result(Outcome.ACCEPTED, f"http_{reply.status}")
    return unreadable(reply) if reply.status // 100 == 2 else by_status(CODES, reply, None)


@dataclass(frozen=True)
class _Calls:
    """Several calls of which each is good only if the one before was; the last answer stands for all."""

    requests: tuple[HttpRequest, ...]

    def __call__(self) -> Steps:
        return self._steps()

    def _steps(self) -> Steps:
        reply = HttpReply(0, {}, b"")
        for request in self.requests:
            said = yield request
            assert said is not None
            reply = said
            if reply.status // 100 != 2:
                break
        return reply


Make = Callable[[BatchRow], dict[str, Any]]


def _call(settings: Settings, secrets: Secrets, path: str, body: dict[str, Any]) -> HttpRequest:
    own = headers(authorization=f"Bearer {secrets['api_key_env']}")
    return HttpRequest("POST", settings.host + path, own, orjson.dumps(body))


def _in_parts(
    settings: Settings,
    secrets: Secrets,
    path: str,
    people: Sequence[dict[str, Any]],
    body: Callable[[Sequence[dict[str, Any]]], dict[str, Any]],
) -> HttpRequest | Exchange:
    # One call names people by one kind of identifier only.
    by_kind: dict[str, list[dict[str, Any]]] = {}
    for who in people:
        by_kind.setdefault(next(iter(who)), []).append(who)
    parts = [same[start : start + FEW] for same in by_kind.values() for start in range(0, len(same), FEW)]
    calls = tuple(_call(settings, secrets, path, body(part)) for part in parts)
    return calls[0] if len(calls) == 1 else Exchange(_Calls(calls))


def _whom(row: BatchRow) -> dict[str, Any]:
    """Return who it is, by exactly one of Braze's identifiers."""
    known = rows.columns(row)
    alias = {name: rows.text(known.get(name)) for name in ("alias_name", "alias_label")}
    if "alias_name" in row.key and all(alias.values()):
        return {"user_alias": alias}
    name, value = rows.identity(row, PERSON)
    return {name: value}


def _attributes(item: Batch) -> Make:
    def make(row: BatchRow) -> dict[str, Any]:
        who = _whom(row)
        told = rows.rest(row, {*who, "alias_name", "alias_label", ONLY})
        return {**_values(told), **who, **_only(item, row)}

    return make


def _membership(item: Batch, row: BatchRow, name: str) -> dict[str, Any]:
    """Return an audience as an attribute that is true, or false for who left it; nobody is made for that."""
    who = _whom(row)
    if row.op == "remove":
        return {**who, name: False, ONLY: True}
    told = rows.rest(row, {*who, "alias_name", "alias_label", ONLY})
    return {**_values(told), **who, name: True, **_only(item, row)}


def _values(told: dict[str, Any]) -> dict[str, Any]:
    """Return attributes with their moments as Braze reads them; the day of birth is a day."""
    values = {name: iso(value) for name, value in told.items()}
    if isinstance(values.get("dob"), str):
        values["dob"] = values["dob"][:10]
    return values


def _only(item: Batch, row: BatchRow) -> dict[str, bool]:
    """Return whether nobody is made who is not there: always said, for what is left out is yes for some of them."""
    asked = (row.data or {}).get(ONLY)
    return {ONLY: asked if isinstance(asked, bool) else item.mode == "update_only"}


def _happened(settings: Settings, item: Batch, kind: str) -> Make:
    named = "name" if kind == "events" else "product_id"
    plain = ("name",) if kind == "events" else ("product_id", "currency", "price", "quantity")
    own = {"alias_name", "alias_label", "event_id", "time", ONLY, *plain}

    def make(row: BatchRow) -> dict[str, Any]:
        who = _whom(row)
        known = rows.columns(row)
        if rows.text(known.get(named)) is None:
            raise RefusedError("event:no_name")
        if known.get("time") is None:
            raise RefusedError("event:no_time")
        properties = rows.rest(row, {*own, *who, "properties"})
        nested = known.get("properties")
        return {
            **who,
            **({} if settings.app_id is None else {"app_id": settings.app_id}),
            "time": iso(known["time"]),
            **{key: known[key] for key in plain if known.get(key) is not None},
            "properties": {**(nested if isinstance(nested, dict) else {}), **properties},
            **_only(item, row),
        }

    return make


def _subscriber(row: BatchRow) -> dict[str, Any]:
    who = _whom(row)
    if not who.keys() & {"external_id", "email", "phone"}:
        raise RefusedError(rows.NO_KEY)
    return who


_PLURALS = {
    "external_id": "external_ids",
    "braze_id": "braze_ids",
    "email": "email_addresses",
    "phone": "phone_numbers",
    "user_alias": "user_aliases",
}


def _deleted(few: Sequence[dict[str, Any]]) -> dict[str, Any]:
    told: dict[str, Any] = {}
    for name, value in _each(few):
        entry = {"email": value, "prioritization": ["most_recently_updated"]} if name == "email" else value
        told.setdefault(_PLURALS[name], []).append(entry)
    return told


def _subscribed(few: Sequence[dict[str, Any]], group: str, state: str) -> dict[str, Any]:
    told: dict[str, list[Any]] = {}
    for name, value in _each(few):
        plural = {"external_id": "external_ids", "email": "emails", "phone": "phones"}[name]
        told.setdefault(plural, []).append(value)
    return {"subscription_groups": [{"subscription_group_id": group, "subscription_state": state, **told}]}


def _each(few: Sequence[dict[str, Any]]) -> Iterator[tuple[str, Any]]:
    for who in few:
        yield from who.items()


def _named(item: Item, errors: Any) -> tuple[RowResult, ...] | None:
    """Return the rows that an answer's errors name; None when it has errors that name none."""
    if not errors:
        return ()
    if not isinstance(errors, list) or not isinstance(item, Batch):
        return None
    refused = {}
    for one in errors:
        index = one.get("index") if isinstance(one, dict) else None
        if not isinstance(index, int) or isinstance(index, bool) or not 0 <= index < len(item.rows):
            return None
        position = item.rows[index].position
        refused[position] = RowResult(position, Outcome.REJECTED, "refused")
    return tuple(refused.values())
