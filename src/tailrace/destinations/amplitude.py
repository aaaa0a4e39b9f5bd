"""Amplitude: people, events and the members of cohorts.

Documentation: amplitude.com/docs, Identify (a form), Batch Event Upload, Behavioral Cohorts (membership). A call takes
1,000 rows and 1 MB here (2,000 events and 20 MB are allowed); 1,000 events a second for one user; 429 names who is
throttled: wait 15 to 30 s. A 400 names events by their place and took none of the call. A wrong key is a 400 too.

Repeats: a property that is set again changes nothing, nor does a membership. An event is known again for 7 days by
`insert_id` and device: the column `insert_id`, or made of the row's key.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlencode

import orjson
from pydantic import Field

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
    wait,
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
)
from tailrace.destinations.moments import iso, millis
from tailrace.destinations.transport import HttpSession

NAME = "amplitude"
THROTTLED_SECONDS = 30.0
PERSON = ("user_id", "device_id")


class Settings(ApiSettings):
    """`api_key_env` names the variable with the project's key, and `secret_key_env` the one with its secret key.

    The secret key is needed for cohorts. `min_id_length`: ids shorter than 5 characters are refused, unless this allows
    them. `base_url` stands in for the hosts of events and of cohorts.
    """

    hosts: ClassVar[Mapping[str, str]] = {"us": "https://api2.amplitude.com", "eu": "https://api.eu.amplitude.com"}
    cohort_hosts: ClassVar[Mapping[str, str]] = {
        "us": "https://amplitude.com",
        "eu": "https://analytics.eu.amplitude.com",
    }

    api_key_env: str
    secret_key_env: str | None = None
    min_id_length: int | None = Field(default=None, ge=1, le=100)

    @property
    def cohort_host(self) -> str:
        """The address of the dashboard's API."""
        return (self.base_url or self.cohort_hosts[self.region]).rstrip("/")


CAPABILITIES = Capabilities(
    channels=frozenset(),
    takes_batches=True,
    is_idempotent=True,
    needs_live=True,
    slots=4,
    match_keys=frozenset({*PERSON, "amplitude_id"}),
    call_rows=1000,
    call_bytes=1_000_000,
    names_rows=False,
    calls_per_second=10.0,
)

CODES: Mapping[Any, Meaning] = {
    **STATUSES,
    "invalid_api_key": Meaning(Outcome.BLOCKED, "the key is not accepted", is_systemic=True),
    "neighbours_refused": Meaning(Outcome.RETRY_LATER, "the call was refused for other rows, which it names"),
    "silenced": Meaning(Outcome.REJECTED, "it takes nothing of this device"),
    "not_found": Meaning(Outcome.REJECTED, "nobody has this id there"),
    "invalid": Meaning(Outcome.REJECTED, "a field of the event is wrong"),
    "missing": Meaning(Outcome.REJECTED, "a field of the event is missing"),
    "short": Meaning(Outcome.REJECTED, "an id is too short"),
    "fewer_ingested": Meaning(Outcome.UNKNOWN, "it counts fewer events than it was given and names none"),
}
"""The code of a refused event is the field that it names, and what is wrong with it: `time:invalid`."""

_USER_FIELDS = frozenset(
    {
        "app_version", "carrier", "city", "country", "device_brand", "device_manufacturer", "device_model", "dma",
        "groups", "language", "os_name", "os_version", "paying", "platform", "region", "start_version", "time",
        "user_properties",
    }
)  # fmt: skip
_EVENT_FIELDS = _USER_FIELDS | {
    "adid", "android_id", "currency", "event_id", "event_properties", "event_type", "group_properties", "idfa", "idfv",
    "ingestion_metadata", "insert_id", "ip", "library", "location_lat", "location_lng", "partner_id", "plan", "price",
    "productId", "quantity", "revenue", "revenueType", "session_id", "user_agent", "version_name",
}  # fmt: skip


def connect(settings: Settings, secrets: Secrets, files: Path) -> HttpSession:
    """Return a session over HTTP."""
    return session(settings)


def build_request(settings: Settings, secrets: Secrets, item: Item) -> HttpRequest:
    """Return the call for some rows."""
    if not isinstance(item, Batch):
        raise RefusedError("amplitude:takes_no_messages")
    kind, _, name = item.target.partition(":")
    match kind:
        case "people":
            return _form(settings, secrets, "/identify", rows.each(item, _person))
        case "groups" if name:
            return _form(settings, secrets, "/groupidentify", rows.each(item, lambda row: _group(row, name)))
        case "events":
            rows.check_appended(item)
            return _events(settings, secrets, rows.each(item, lambda row: _event(item, row)))
        case "cohort" if name:
            return _membership(settings, secrets, item, name)
    raise SyncRefused("target:not_known")


def read_response(settings: Settings, item: Item, reply: HttpReply) -> Result:
    """Return what the answer means; people, events and cohorts are answered in three ways."""
    assert isinstance(item, Batch)
    kind = item.target.partition(":")[0]
    answer = read_json(reply)
    told = answer if isinstance(answer, dict) else {}
    if reply.status == 429:
        later = wait(reply, item.at)
        return Result(
            Outcome.RETRY_LATER,
            "http_429",
            retry_after=later if later is not None else THROTTLED_SECONDS,
            is_systemic=True,
        )
    if reply.status == 400:
        return _refused(item, told, reply)
    if reply.status != 200:
        return by_status(CODES, reply, item.at)
    if kind == "events":
        return _ingested(item, told, reply)
    if kind == "cohort":
        return _members(item, told, reply)
    said = reply.body.strip().lower()
    return Result(Outcome.ACCEPTED, "http_200") if said == b"success" or told.get("code") == 200 else unreadable(reply)


def build_probe(settings: Settings, secrets: Secrets) -> HttpRequest:
    """Return an upload of no events."""
    call = _events(settings, secrets, [])
    return HttpRequest(call.method, call.url, call.headers, call.body, acts=False)


def read_probe(settings: Settings, reply: HttpReply) -> Result:
    """Return accepted when the key is good: a 400 about anything else is about there being no events."""
    told = read_json(reply)
    if isinstance(told, dict) and reply.status in {200, 400}:
        if _is_wrong_key(told):
            return Result(Outcome.BLOCKED, "invalid_api_key", is_systemic=True)
        return Result(Outcome.ACCEPTED, f"http_{reply.status}")
    return unreadable(reply) if reply.status // 100 == 2 else by_status(CODES, reply, None)


def _form(settings: Settings, secrets: Secrets, path: str, told: list[Any]) -> HttpRequest:
    fields = {"api_key": secrets["api_key_env"], "identification": orjson.dumps(told).decode()}
    if settings.min_id_length is not None:
        fields["options"] = orjson.dumps({"min_id_length": settings.min_id_length}).decode()
    own = headers() | {"content-type": "application/x-www-form-urlencoded"}
    return HttpRequest("POST", settings.host + path, own, urlencode(fields).encode())


def _events(settings: Settings, secrets: Secrets, told: list[Any]) -> HttpRequest:
    options = {} if settings.min_id_length is None else {"options": {"min_id_length": settings.min_id_length}}
    body = {"api_key": secrets["api_key_env"], "events": told, **options}
    return HttpRequest("POST", f"{settings.host}/batch", headers(), orjson.dumps(body))


def _membership(settings: Settings, secrets: Secrets, item: Batch, cohort: str) -> HttpRequest:
    if "secret_key_env" not in secrets:
        raise RefusedError("connection:no_secret_key")
    first = item.rows[0]
    by_id = isinstance(first.key, dict) and "amplitude_id" in first.key
    ids = rows.each(item, lambda row: rows.identity(row, ("amplitude_id" if by_id else "user_id",))[1])
    operation = "REMOVE" if first.op == "remove" else "ADD"
    memberships = [{"ids": ids, "id_type": "BY_ID" if by_id else "BY_NAME", "operation": operation}]
    body = {"cohort_id": cohort, "skip_invalid_ids": True, "memberships": memberships}
    login = headers(authorization=basic(secrets["api_key_env"], secrets["secret_key_env"]))
    return HttpRequest("POST", f"{settings.cohort_host}/api/3/cohorts/membership", login, orjson.dumps(body))


def _who(row: BatchRow) -> dict[str, str]:
    rows.identity(row, PERSON)
    known = rows.columns(row)
    return {name: value for name in PERSON if (value := rows.text(known.get(name))) is not None}


def _person(row: BatchRow) -> dict[str, Any]:
    if row.op == "remove":
        raise SyncRefused("amplitude:people_are_not_removed")
    plain, more = _parted(row, _USER_FIELDS)
    return {**_who(row), **plain, "user_properties": {**_object(plain.get("user_properties")), **more}}


def _group(row: BatchRow, kind: str) -> dict[str, Any]:
    if row.op == "remove":
        raise SyncRefused("amplitude:groups_are_not_removed")
    _, value = rows.identity(row, ("group_value",))
    return {"group_type": kind, "group_value": value, "group_properties": _times(rows.rest(row, {"group_value"}))}


def _event(item: Batch, row: BatchRow) -> dict[str, Any]:
    known = rows.columns(row)
    if rows.text(known.get("event_type")) is None:
        raise RefusedError("event:no_name")
    plain, more = _parted(row, _EVENT_FIELDS)
    return {
        **_who(row),
        **plain,
        "insert_id": rows.text(known.get("insert_id")) or rows.own_id(item, row),
        "event_properties": {**_object(plain.get("event_properties")), **more},
    }


def _parted(row: BatchRow, fields: frozenset[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the columns that Amplitude has fields for, times in milliseconds, and the others: its properties."""
    told = rows.rest(row, set(PERSON))
    plain = {name: value for name, value in told.items() if name in fields and value is not None}
    plain |= {name: _millis(plain[name]) for name in ("time", "session_id") if name in plain}
    return plain, _times({name: value for name, value in told.items() if name not in fields})


def _millis(value: Any) -> Any:
    return int(value) if isinstance(value, str) and value.isdecimal() else millis(value)


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _times(told: Mapping[str, Any]) -> dict[str, Any]:
    return {name: iso(value) for name, value in told.items()}


def _is_wrong_key(told: Mapping[str, Any]) -> bool:
    return str(told.get("error", "")).lower().startswith("invalid api key") or told.get("missing_field") == "api_key"


def _refused(item: Batch, told: Mapping[str, Any], reply: HttpReply) -> Result:
    """Return what a 400 means: nothing was taken, and the events that it names will not be."""
    if _is_wrong_key(told) or reply.body.strip().lower().startswith(b"invalid_api_key"):
        return Result(Outcome.BLOCKED, "invalid_api_key", is_systemic=True)
    found: dict[int, RowResult] = {}
    for kind in ("invalid", "missing"):
        fields = told.get(f"events_with_{kind}_fields")
        for field, indexes in fields.items() if isinstance(fields, dict) else ():
            _note(item, found, indexes, rows.field_code(field, kind))
    lengths = told.get("events_with_invalid_id_lengths")
    for field, indexes in lengths.items() if isinstance(lengths, dict) else ():
        _note(item, found, indexes, rows.field_code(field, "short"))
    _note(item, found, told.get("silenced_events"), "silenced")
    if not found:
        return by_status(CODES, reply, None)
    return Result(Outcome.RETRY_LATER, "neighbours_refused", rows=tuple(found.values()))


def _note(item: Batch, found: dict[int, RowResult], indexes: Any, code: str) -> None:
    for index in indexes if isinstance(indexes, list) else ():
        if isinstance(index, int) and not isinstance(index, bool) and 0 <= index < len(item.rows):
            position = item.rows[index].position
            found.setdefault(position, RowResult(position, Outcome.REJECTED, code))


def _ingested(item: Batch, told: Mapping[str, Any], reply: HttpReply) -> Result:
    taken = told.get("events_ingested")
    if told.get("code") != 200 or not isinstance(taken, int):
        return unreadable(reply)
    return (
        Result(Outcome.ACCEPTED, "http_200") if taken >= len(item.rows) else Result(Outcome.UNKNOWN, "fewer_ingested")
    )


def _members(item: Batch, told: Mapping[str, Any], reply: HttpReply) -> Result:
    """Return who became a member, or none any more: all but the ids that were skipped."""
    results = told.get("memberships_result")
    if not isinstance(results, list) or not all(isinstance(one, dict) for one in results):
        return unreadable(reply)
    skipped = {str(value) for one in results for value in one.get("skipped_ids") or []}
    named = tuple(
        RowResult(row.position, Outcome.REJECTED, "not_found")
        for row in item.rows
        if skipped & {str(row.key.get(name)) for name in ("user_id", "amplitude_id") if name in row.key}
    )
    return Result(Outcome.ACCEPTED, "http_200", rows=named)
