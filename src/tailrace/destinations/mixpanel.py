"""Mixpanel: profiles of people and groups, an audience as a property of profiles, and events.

Documentation: developer.mixpanel.com, `/engage#profile-batch-update`, `/groups`, `/import` with `strict=1`. A call
takes 2,000 updates or events, 10 MB of events here; 429 without a header: wait 2 s and longer. `/import` answers 400
and names the events that it refused; the others are in. `/engage` answers 200 also when it refused everything, and says
so in the body only. There is no import of cohorts: an audience is a property.

Repeats: a property that is set again changes nothing. An event is known again by name, time, `distinct_id` and
`$insert_id`: the column `insert_id`, or made of the row's key.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal
from urllib.parse import urlencode

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
    RowResult,
    Secrets,
    SyncRefused,
)
from tailrace.destinations.moments import iso, millis
from tailrace.destinations.transport import HttpSession

NAME = "mixpanel"
LARGEST_UPDATE = 1_000_000


class Settings(ApiSettings):
    """`token_env` names the variable with the project's token: profiles need nothing else.

    Events are let in by a service account (`username_env`, `secret_env` and `project_id`), or by the token alone.
    """

    hosts: ClassVar[Mapping[str, str]] = {
        "us": "https://api.mixpanel.com",
        "eu": "https://api-eu.mixpanel.com",
        "in": "https://api-in.mixpanel.com",
    }

    region: Literal["us", "eu", "in"] = "us"  # type: ignore[assignment]
    token_env: str
    project_id: int | None = None
    username_env: str | None = None
    secret_env: str | None = None


CAPABILITIES = Capabilities(
    channels=frozenset(),
    takes_batches=True,
    is_idempotent=True,
    needs_live=True,
    slots=4,
    match_keys=frozenset({"distinct_id", "group_id"}),
    batch_rows=2000,
    call_rows=2000,
    call_bytes=10_000_000,
    names_rows=False,
    calls_per_second=10.0,
)

CODES: Mapping[Any, Meaning] = {
    **STATUSES,
    "says_no": Meaning(Outcome.REJECTED, "it answers 200 and says that it took nothing"),
    "fewer_imported": Meaning(Outcome.UNKNOWN, "it counts fewer events than it was given and names none"),
    "refused": Meaning(Outcome.REJECTED, "a field of the event is wrong"),
}
"""The code of a refused event is the field that it names: `properties.time:refused`."""

_INSERT_ID = re.compile(r"[A-Za-z0-9-]{1,36}")


def connect(settings: Settings, secrets: Secrets, files: Path) -> HttpSession:
    """Return a session over HTTP."""
    return session(settings)


def build_request(settings: Settings, secrets: Secrets, item: Item) -> HttpRequest:
    """Return the call for some rows."""
    if not isinstance(item, Batch):
        raise RefusedError("mixpanel:takes_no_messages")
    kind, _, name = item.target.partition(":")
    token = secrets["token_env"]
    match kind:
        case "people":
            return _update(settings, "/engage?verbose=1", rows.each(item, _profile(item, token), LARGEST_UPDATE))
        case "property" if name:
            told = rows.each(item, lambda row: _membership(row, token, name), LARGEST_UPDATE)
            return _update(settings, "/engage?verbose=1", told)
        case "groups" if name:
            told = rows.each(item, lambda row: _group(row, token, name), LARGEST_UPDATE)
            return _update(settings, "/groups?verbose=1", told)
        case "events":
            rows.check_appended(item)
            told = rows.each(item, lambda row: _event(item, row), LARGEST_UPDATE)
            return _import(settings, secrets, told)
    raise SyncRefused("target:not_known")


def read_response(settings: Settings, item: Item, reply: HttpReply) -> Result:
    """Return what the answer means; events and profiles are answered in two ways."""
    answer = read_json(reply)
    is_events = isinstance(item, Batch) and item.target.partition(":")[0] == "events"
    if is_events and isinstance(answer, dict) and reply.status in {200, 400}:
        assert isinstance(item, Batch)
        return _imported(item, answer, reply)
    if reply.status == 200 and not is_events:
        return _updated(answer, reply)
    return unreadable(reply) if reply.status // 100 == 2 else by_status(CODES, reply, item.at)


def build_probe(settings: Settings, secrets: Secrets) -> HttpRequest:
    """Return an import of no events."""
    call = _import(settings, secrets, [])
    return HttpRequest(call.method, call.url, call.headers, call.body, acts=False)


def read_probe(settings: Settings, reply: HttpReply) -> Result:
    """Return accepted when it is let in: a 400 is about there being no events."""
    if isinstance(read_json(reply), dict) and reply.status in {200, 400}:
        return Result(Outcome.ACCEPTED, f"http_{reply.status}")
    return unreadable(reply) if reply.status // 100 == 2 else by_status(CODES, reply, None)


def _update(settings: Settings, path: str, told: list[Any]) -> HttpRequest:
    return HttpRequest("POST", settings.host + path, headers(), orjson.dumps(told))


def _import(settings: Settings, secrets: Secrets, told: list[Any]) -> HttpRequest:
    query = {"strict": 1} | ({} if settings.project_id is None else {"project_id": settings.project_id})
    if "username_env" in secrets and "secret_env" in secrets:
        login = basic(secrets["username_env"], secrets["secret_env"])
    else:
        login = basic(secrets["token_env"])
    return HttpRequest(
        "POST", f"{settings.host}/import?{urlencode(query)}", headers(authorization=login), orjson.dumps(told)
    )


def _profile(item: Batch, token: str) -> Callable[[BatchRow], dict[str, Any]]:
    def make(row: BatchRow) -> dict[str, Any]:
        _, who = rows.identity(row, ("distinct_id",))
        update: dict[str, Any] = {"$token": token, "$distinct_id": who}
        if row.op == "remove":
            return {**update, "$delete": "", "$ignore_alias": True}
        told = rows.rest(row, {"distinct_id", "$ip", "ip"})
        # Without an address Mixpanel would place everybody where this machine stands.
        return {**update, "$ip": (row.data or {}).get("$ip") or (row.data or {}).get("ip") or "0", "$set": _times(told)}

    return make


def _membership(row: BatchRow, token: str, name: str) -> dict[str, Any]:
    _, who = rows.identity(row, ("distinct_id",))
    update: dict[str, Any] = {"$token": token, "$distinct_id": who, "$ip": "0"}
    if row.op == "remove":
        return {**update, "$unset": [name]}
    return {**update, "$set": {**_times(rows.rest(row, {"distinct_id"})), name: True}}


def _group(row: BatchRow, token: str, key: str) -> dict[str, Any]:
    _, group = rows.identity(row, ("group_id",))
    update = {"$token": token, "$group_key": key, "$group_id": group}
    if row.op == "remove":
        return {**update, "$delete": ""}
    return {**update, "$set": _times(rows.rest(row, {"group_id"}))}


def _event(item: Batch, row: BatchRow) -> dict[str, Any]:
    known = rows.columns(row)
    event, at = rows.text(known.get("event")), millis(known.get("time"))
    if event is None:
        raise RefusedError("event:no_name")
    if not isinstance(at, int | float) or isinstance(at, bool):
        raise RefusedError("event:no_time")
    asked = rows.text(known.get("insert_id")) or ""
    own = {"event", "time", "insert_id", "distinct_id"}
    return {
        "event": event,
        "properties": {
            **_times(rows.rest(row, own)),
            "time": at,
            "distinct_id": rows.text(known.get("distinct_id")) or "",
            "$insert_id": asked if _INSERT_ID.fullmatch(asked) else rows.short_id(item, row, asked),
        },
    }


def _times(told: Any) -> Any:
    """Return the properties with each moment as ISO text with its zone, which Mixpanel takes as a date."""
    return {name: iso(value) for name, value in told.items()}


def _updated(answer: Any, reply: HttpReply) -> Result:
    status = answer.get("status") if isinstance(answer, dict) else answer
    if status in (1, "OK") and not isinstance(status, bool):
        return Result(Outcome.ACCEPTED, "http_200")
    if status in (0, "error") and not isinstance(status, bool):
        return Result(Outcome.REJECTED, "says_no")
    return unreadable(reply)


def _imported(item: Batch, answer: Mapping[str, Any], reply: HttpReply) -> Result:
    """Return what an import took: all that it does not name as refused, if the numbers agree."""
    named, refused = answer.get("failed_records") or [], {}
    for one in named if isinstance(named, list) else [None]:
        index = one.get("index") if isinstance(one, dict) else None
        if not isinstance(index, int) or isinstance(index, bool) or not 0 <= index < len(item.rows):
            return Result(Outcome.UNKNOWN, f"http_{reply.status}_unreadable")
        position = item.rows[index].position
        refused[position] = RowResult(position, Outcome.REJECTED, rows.field_code(one.get("field"), "refused"))
    imported = answer.get("num_records_imported")
    if reply.status == 400 and not refused and not imported:
        return by_status(CODES, reply, None)
    if not isinstance(imported, int) or imported + len(refused) < len(item.rows):
        return Result(Outcome.UNKNOWN, "fewer_imported", rows=tuple(refused.values()))
    return Result(Outcome.ACCEPTED, f"http_{reply.status}", rows=tuple(refused.values()))
