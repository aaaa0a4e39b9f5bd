"""Segment, or anything that speaks its HTTP API (RudderStack, Customer.io Pipelines): people, events, groups, traits.

Documentation: segment.com/docs, HTTP API, `/v1/batch`. 32 kB a message, 500 kB and 2,500 messages a call, about 1,000
calls a second; 429 with Retry-After or X-RateLimit-Reset. It answers 200 to nearly everything, also to what it then
drops, so its limits are held here; 400 is for a call that is too large or no JSON, and names no message.

Repeats: a message is known again by `messageId` for a day at least. An event's is the column `message_id`, or made of
the row's key: the same in every plan. What is said of people has one of the plan and the place in it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import orjson

from tailrace.destinations import rows
from tailrace.destinations.api import STATUSES, ApiSettings, basic, by_status, headers, read_json, session, unreadable
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
    Secrets,
    SyncRefused,
)
from tailrace.destinations.moments import iso
from tailrace.destinations.transport import HttpSession

NAME = "segment"
LARGEST_MESSAGE = 32_768
LONGEST_ID = 99


class Settings(ApiSettings):
    """`write_key_env` names the variable with the source's write key.

    `base_url` is another server that speaks the same, up to and without `/batch`. `strict_mode` asks Customer.io
    Pipelines to say so when it drops something.
    """

    hosts: ClassVar[Mapping[str, str]] = {
        "us": "https://api.segment.io/v1",
        "eu": "https://events.eu1.segmentapis.com/v1",
    }

    write_key_env: str
    strict_mode: bool = False


CAPABILITIES = Capabilities(
    channels=frozenset(),
    takes_batches=True,
    is_idempotent=True,
    needs_live=True,
    slots=4,
    match_keys=frozenset({"user_id", "anonymous_id"}),
    call_rows=2500,
    call_bytes=500_000,
    names_rows=False,
    calls_per_second=1000.0,
)

CODES: Mapping[Any, Meaning] = {
    **STATUSES,
    "says_no": Meaning(Outcome.REJECTED, "it answers 200 and says that it did not succeed"),
}

_USER = {"user_id": "userId", "anonymous_id": "anonymousId"}
_EVENT_TYPES = frozenset({"track", "page", "screen"})


def connect(settings: Settings, secrets: Secrets, files: Path) -> HttpSession:
    """Return a session over HTTP."""
    return session(settings)


def build_request(settings: Settings, secrets: Secrets, item: Item) -> HttpRequest:
    """Return the batch of messages for some rows."""
    if not isinstance(item, Batch):
        raise RefusedError("segment:takes_no_messages")
    kind, _, name = item.target.partition(":")
    if kind not in _MESSAGES:
        raise SyncRefused("target:not_known")
    messages = rows.each(item, _MESSAGES[kind](item, name), LARGEST_MESSAGE)
    return _call(settings, secrets, {"batch": messages, "sentAt": item.at})


def read_response(settings: Settings, item: Item, reply: HttpReply) -> Result:
    """Return what the answer means: a 200 without an objection is all that can be had."""
    if reply.status // 100 != 2:
        return by_status(CODES, reply, item.at)
    if not reply.body.strip():
        return Result(Outcome.ACCEPTED, f"http_{reply.status}")
    answer = read_json(reply)
    if not isinstance(answer, dict):
        # RudderStack answers with the JSON text "OK".
        is_yes = (isinstance(answer, str) and answer.upper() == "OK") or reply.body.strip().upper() == b"OK"
        return Result(Outcome.ACCEPTED, f"http_{reply.status}") if is_yes else unreadable(reply)
    if answer.get("success") is False or answer.get("error") or answer.get("errors"):
        return Result(Outcome.REJECTED, "says_no")
    return Result(Outcome.ACCEPTED, f"http_{reply.status}")


def build_probe(settings: Settings, secrets: Secrets) -> HttpRequest:
    """Return an empty batch. Segment answers 200 to any key, so this says only that somebody is there."""
    call = _call(settings, secrets, {"batch": []})
    return HttpRequest(call.method, call.url, call.headers, call.body, acts=False)


def read_probe(settings: Settings, reply: HttpReply) -> Result:
    """Return accepted when it answers as one that takes messages; a 400 is about the empty batch."""
    if reply.status // 100 == 2 or reply.status == 400:
        return Result(Outcome.ACCEPTED, f"http_{reply.status}")
    return by_status(CODES, reply, None)


Make = Callable[[BatchRow], dict[str, Any]]


def _call(settings: Settings, secrets: Secrets, body: dict[str, Any]) -> HttpRequest:
    more = {"x-strict-mode": "1"} if settings.strict_mode else {}
    own = headers(authorization=basic(secrets["write_key_env"])) | more
    return HttpRequest("POST", f"{settings.host}/batch", own, orjson.dumps(body))


def _people(item: Batch, name: str) -> Make:
    def make(row: BatchRow) -> dict[str, Any]:
        if row.op == "remove":
            raise SyncRefused("segment:people_are_not_removed")
        return _message(item, row, "identify", "traits", rows.call_id(item, row))

    return make


def _trait(item: Batch, name: str) -> Make:
    """Return what says that a person is in an audience, or no more: there is no membership but a trait."""
    if not name:
        raise SyncRefused("target:no_trait")

    def make(row: BatchRow) -> dict[str, Any]:
        said = _message(item, row, "identify", "traits", rows.call_id(item, row))
        return {**said, "traits": {**said["traits"], name: row.op != "remove"}}

    return make


def _events(item: Batch, name: str) -> Make:
    rows.check_appended(item)

    def make(row: BatchRow) -> dict[str, Any]:
        known = rows.columns(row)
        kind = known.get("type") or name or "track"
        if kind not in _EVENT_TYPES:
            raise RefusedError("event:type")
        said = _message(item, row, kind, "properties", rows.own_id(item, row))
        event = rows.text(known.get("event"))
        if event is None and kind == "track":
            raise RefusedError("event:no_name")
        return {**said, **({} if event is None else {"event" if kind == "track" else "name": event})}

    return make


def _groups(item: Batch, name: str) -> Make:
    def make(row: BatchRow) -> dict[str, Any]:
        if row.op == "remove":
            raise SyncRefused("segment:groups_are_not_removed")
        _, group = rows.identity(row, ("group_id",))
        return {**_message(item, row, "group", "traits", rows.call_id(item, row)), "groupId": group}

    return make


_MESSAGES: Mapping[str, Callable[[Batch, str], Make]] = {
    "people": _people,
    "trait": _trait,
    "events": _events,
    "groups": _groups,
}

_OWN = frozenset({*_USER, "message_id", "timestamp", "context", "integrations", "event", "type", "group_id"})
_OF_PEOPLE = frozenset({*_USER, "message_id", "timestamp", "context", "integrations"})


def _message(item: Batch, row: BatchRow, kind: str, field: str, otherwise: str) -> dict[str, Any]:
    """Return one message: who, when, which, and the other columns as `field`."""
    known = rows.columns(row)
    rows.identity(row, tuple(_USER))
    who = {theirs: rows.text(known.get(ours)) for ours, theirs in _USER.items()}
    own = _OWN if kind in {"track", "page", "screen"} else _OF_PEOPLE | {"group_id"} if kind == "group" else _OF_PEOPLE
    asked = rows.text(known.get("message_id")) or otherwise
    at = known.get("timestamp")
    return {
        "type": kind,
        **{theirs: value for theirs, value in who.items() if value is not None},
        "messageId": asked if len(asked) <= LONGEST_ID else otherwise,
        **({} if at is None else {"timestamp": iso(at)}),
        **{key: known[key] for key in ("context", "integrations") if known.get(key) is not None},
        field: rows.rest(row, own),
    }
