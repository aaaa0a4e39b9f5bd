"""HubSpot: contacts, companies and other objects, and the members of a static list.

Documentation: developers.hubspot.com, CRM API v3 (batch upsert, update, read, archive; lists). `target` is an object
type (`contacts`, `companies`, `2-123456`), or `lists/<id>` for the contacts of a list of the type MANUAL or SNAPSHOT
(`lists/<id>/<object type>` for others). The one key column is a property with unique values, the other columns are
properties by their internal names. 100 a call; 100 calls in 10 s with the smallest account, 190 with others. Lists
and archives know record ids only: they are looked up first, in the same exchange; who is not in HubSpot is no member.
Unique properties make repeats harmless, so what is unknown is said again. 429 says which limit, and not how long.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar, Literal

import orjson
from pydantic import Field

from tailrace.destinations import api, rows
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
    token,
)
from tailrace.destinations.tokens import LONG_AGO
from tailrace.destinations.transport import HttpSession

NAME = "hubspot"

HOST = "https://api.hubapi.com"


class Settings(api.HostSettings):
    """`token_env`: a private app's token with the scopes to write the objects, and `crm.lists.write`.

    `removal: archive` is what a mirror of an object does with who goes; without it removals are refused. A list just
    loses the member.
    """

    home: ClassVar[str] = HOST

    token_env: str
    removal: Literal["archive"] | None = None
    slots: int = Field(default=1, ge=1, le=50)


CAPABILITIES = Capabilities(
    channels=frozenset(),
    takes_batches=True,
    is_idempotent=True,
    needs_live=True,
    slots=1,
    modes=frozenset({"mirror", "upsert", "update_only"}),
    call_rows=100,
    names_rows=False,
    calls_per_second=9.0,
)

NO_REMOVAL = "removal_refused:not_set_up"
NOT_THERE = "not_found"

CODES: dict[Any, Meaning] = {
    **api.STATUSES,
    NO_REMOVAL: Meaning(Outcome.REJECTED, "nobody is removed: the connection does not say how (`removal`)"),
    409: Meaning(Outcome.REJECTED, "another record has this value already"),
    423: Meaning(Outcome.RETRY_LATER, "the records are locked for now", is_systemic=True),
    477: Meaning(Outcome.RETRY_LATER, "the account is moving to another data centre", is_systemic=True),
    500: Meaning(Outcome.UNKNOWN, "HubSpot failed, and may have taken it", is_systemic=True),
    521: Meaning(Outcome.RETRY_LATER, "HubSpot cannot be reached", is_systemic=True),
    522: Meaning(Outcome.UNKNOWN, "HubSpot took too long, and may have taken it", is_systemic=True),
    523: Meaning(Outcome.RETRY_LATER, "HubSpot cannot be reached", is_systemic=True),
    524: Meaning(Outcome.UNKNOWN, "HubSpot took too long, and may have taken it", is_systemic=True),
    "VALIDATION_ERROR": Meaning(Outcome.REJECTED, "a property is not known, or does not take the value"),
    "INVALID_EMAIL": Meaning(Outcome.REJECTED, "the value is no e-mail address"),
    "PROPERTY_DOESNT_EXIST": Meaning(Outcome.BLOCKED, "a column is no property of the object", is_systemic=True),
    NOT_THERE: Meaning(Outcome.REJECTED, "there is no such record"),
    "OBJECT_NOT_FOUND": Meaning(Outcome.BLOCKED, "there is no such list or object type", is_systemic=True),
    "CONFLICT": Meaning(Outcome.REJECTED, "another record has this value already"),
    "RATE_LIMITS": Meaning(Outcome.RETRY_LATER, "HubSpot throttles", is_systemic=True),
    "RATE_LIMIT": Meaning(Outcome.RETRY_LATER, "HubSpot throttles", is_systemic=True),
    "MISSING_SCOPES": Meaning(Outcome.BLOCKED, "the token lacks a scope", is_systemic=True),
    "BANNED": Meaning(Outcome.BLOCKED, "the token may not do this", is_systemic=True),
    "INVALID_AUTHENTICATION": Meaning(Outcome.BLOCKED, "the token is not accepted", is_systemic=True),
    "EXPIRED_AUTHENTICATION": Meaning(Outcome.BLOCKED, "the token has expired", is_systemic=True),
    "INVALID_OBJECT_TYPE": Meaning(Outcome.BLOCKED, "there is no such object type", is_systemic=True),
}
"""By `category` (or `errorType`), and by status where there is none."""

_LIST = re.compile(r"lists/(\d{1,20})(?:/([a-z0-9_\-]{1,60}))?", re.ASCII)
_OBJECT = re.compile(r"[a-z0-9_\-]{1,60}", re.ASCII)
_RECORD_ID = "hs_object_id"
_WAITS = {"TEN_SECONDLY_ROLLING": 10.0, "SECONDLY": 1.0, "DAILY": 3600.0}


def connect(settings: Settings, secrets: Secrets, files: Path) -> HttpSession:
    """Return a session over HTTP."""
    return api.session(settings)


def build_request(settings: Settings, secrets: Secrets, item: Item) -> HttpRequest | Exchange:
    """Return the upsert, or the exchange of a look-up and what is done to the records that it finds."""
    if not isinstance(item, Batch):
        raise RefusedError("hubspot:carries_no_messages")
    key = _key(item)
    told = _LIST.fullmatch(item.target)
    kind = (told[2] or "contacts") if told else item.target
    if not _OBJECT.fullmatch(kind):
        raise SyncRefused("hubspot:target_is_no_object_type")
    objects = f"{settings.host}/crm/v3/objects/{kind}/batch"
    is_removal = item.rows[0].op == "remove"
    if told is None and not is_removal:
        verb = "update" if item.mode == "update_only" else "upsert"
        return _post(secrets, f"{objects}/{verb}", {"inputs": rows.each(item, lambda row: _input(key, row))})
    if told is None and settings.removal is None:
        raise RefusedError(NO_REMOVAL)
    values = rows.each(item, lambda row: rows.identity(row, (key,))[1])
    known = tuple(zip((row.position for row in item.rows), values, strict=True))
    members = f"{settings.host}/crm/v3/lists/{told[1]}/memberships/add-and-remove" if told else None
    return Exchange(_Found(_bearer(secrets), objects, key, known, members, is_removal))


def read_response(settings: Settings, item: Item, reply: HttpReply) -> Result:
    """Return what became of each record: by its trace, or by its id where HubSpot names that."""
    assert isinstance(item, Batch)
    told = api.read_json(reply)
    if reply.status // 100 != 2:
        return _meant(reply, told, item.at)
    if isinstance(reply, Answer):
        missing = sorted(reply.absent | _missing(told, reply.records))
        # Who is not there has left already, but cannot come.
        lost = () if item.rows[0].op == "remove" else missing
        exceptions = tuple(RowResult(position, Outcome.REJECTED, NOT_THERE) for position in lost)
        return Result(Outcome.ACCEPTED, "ok", rows=exceptions)
    if not isinstance(told, dict) or not isinstance(told.get("results"), list):
        return api.unreadable(reply)
    return Result(Outcome.ACCEPTED, "ok", rows=tuple(_exceptions(item, told)))


def build_probe(settings: Settings, secrets: Secrets) -> HttpRequest:
    """Return the call that asks which account the token is of."""
    return HttpRequest("GET", f"{settings.host}/account-info/v3/details", _bearer(secrets), b"", acts=False)


def read_probe(settings: Settings, reply: HttpReply) -> Result:
    """Return accepted when HubSpot says which."""
    told = api.read_json(reply)
    if reply.status // 100 == 2:
        return (
            Result(Outcome.ACCEPTED, "ok") if isinstance(told, dict) and "portalId" in told else api.unreadable(reply)
        )
    return _meant(reply, told, LONG_AGO)


def build_match(settings: Settings, secrets: Secrets, target: str) -> HttpRequest:
    """Return the call that asks for a list; of an object it asks for nothing that is there."""
    told = _LIST.fullmatch(target)
    url = f"{settings.host}/crm/v3/lists/{told[1] if told else 0}"
    return HttpRequest("GET", url, _bearer(secrets), b"", acts=False)


def read_match(settings: Settings, reply: HttpReply) -> int | None:
    """Return how many members the list has."""
    told = api.read_json(reply)
    found = told.get("list") if reply.status == 200 and isinstance(told, dict) else None
    if not isinstance(found, dict):
        return None
    more = found.get("additionalProperties")
    size = more.get("hs_list_size") if isinstance(more, dict) else found.get("size")
    return int(size) if isinstance(size, int | str) and str(size).isdecimal() else None


@dataclass(frozen=True)
class Answer(HttpReply):
    """The answer to what was done to the records that were found, which these were, and who was not."""

    absent: frozenset[int] = frozenset()
    records: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class _Found:
    """Looks up the records of `known` (position, value of the key), and adds, removes or archives them."""

    headers: Mapping[str, str] = field(repr=False)
    objects: str
    key: str
    known: tuple[tuple[int, str], ...] = field(repr=False)
    members: str | None
    is_removal: bool

    def __call__(self) -> Steps:
        """Yield the calls."""
        records = {value: position for position, value in self.known}
        if self.key != _RECORD_ID:
            wanted = {"idProperty": self.key, "properties": [self.key], "propertiesWithHistory": []}
            asked = {**wanted, "inputs": [{"id": one} for one in records]}
            reply = yield self._call("POST", f"{self.objects}/read", asked, acts=False)
            assert reply is not None
            told = api.read_json(reply)
            if reply.status // 100 != 2 or not isinstance(told, dict) or not isinstance(told.get("results"), list):
                return reply
            records = dict(_ids(told["results"], self.key, records))
        absent = frozenset(position for position, _ in self.known) - frozenset(records.values())
        if not records:
            return Answer(200, {}, b"{}", absent)
        if self.members is None:
            archived = {"inputs": [{"id": one} for one in records]}
            reply = yield self._call("POST", f"{self.objects}/archive", archived)
        else:
            lists: dict[str, list[str]] = {"recordIdsToAdd": [], "recordIdsToRemove": []}
            lists["recordIdsToRemove" if self.is_removal else "recordIdsToAdd"] = list(records)
            reply = yield self._call("PUT", self.members, lists)
        assert reply is not None
        return Answer(reply.status, reply.headers, reply.body, absent, records)

    def _call(self, method: str, url: str, body: Any, *, acts: bool = True) -> HttpRequest:
        return HttpRequest(method, url, self.headers, orjson.dumps(body), acts)


def _key(batch: Batch) -> str:
    names = {tuple(row.key) for row in batch.rows if isinstance(row.key, dict)}
    if len(names) != 1 or len(next(iter(names))) != 1:
        raise RefusedError("hubspot:one_key_column")
    return str(next(iter(names))[0])


def _input(key: str, row: BatchRow) -> dict[str, Any]:
    _, value = rows.identity(row, (key,))
    properties = {name: _property(told) for name, told in (row.data or {}).items() if name != _RECORD_ID}
    named = {} if key == _RECORD_ID else {"idProperty": key}
    return {**named, "id": value, "properties": properties, "objectWriteTraceId": str(row.position)}


def _property(value: Any) -> str:
    """Return a value as HubSpot takes it: text always; nothing empties the property, a list has semicolons."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return ";".join(_property(one) for one in value)
    return orjson.dumps(value).decode() if isinstance(value, dict) else str(value)


def _bearer(secrets: Secrets) -> dict[str, str]:
    return api.headers(authorization=f"Bearer {secrets['token_env']}")


def _post(secrets: Secrets, url: str, body: Any) -> HttpRequest:
    return HttpRequest("POST", url, _bearer(secrets), orjson.dumps(body))


def _ids(results: list[Any], key: str, wanted: Mapping[str, int]) -> Iterator[tuple[str, int]]:
    """Yield the record id and position of each record that was found; HubSpot compares keys in any case."""
    folded = {value.lower(): position for value, position in wanted.items()}
    for one in results:
        properties = one.get("properties") if isinstance(one, dict) else None
        value = properties.get(key) if isinstance(properties, dict) else None
        position = folded.get(str(value).lower())
        record = token(one.get("id"), "") if isinstance(one, dict) else ""
        if position is not None and record:
            yield record, position


def _missing(told: Any, records: Mapping[str, int]) -> frozenset[int]:
    missing = _list(told.get("recordIdsMissing")) if isinstance(told, dict) else []
    return frozenset(records[str(one)] for one in missing if str(one) in records)


def _exceptions(batch: Batch, told: Mapping[str, Any]) -> Iterator[RowResult]:
    """Yield the rows that were not taken: those named in errors, and those of which nothing is said."""
    results = [one for one in told["results"] if isinstance(one, dict)]
    errors = [one for one in _list(told.get("errors")) if isinstance(one, dict)]
    if not errors and len(results) == len(batch.rows):
        return
    done = {str(one.get("objectWriteTraceId")) for one in results}
    why = {name: token(error.get("category"), "unnamed") for error in errors for name in _context(error)}
    for row in batch.rows:
        trace = str(row.position)
        key = next(iter(row.key.values()))
        code = why.get(f"trace:{trace}") or why.get(f"id:{key}")
        if code == "OBJECT_NOT_FOUND":
            yield RowResult(row.position, Outcome.REJECTED, NOT_THERE)
        elif code is not None:
            yield RowResult(row.position, CODES[code].outcome if code in CODES else Outcome.UNKNOWN, code)
        elif trace not in done:
            yield RowResult(row.position, Outcome.UNKNOWN, "not_mentioned")


def _context(error: Mapping[str, Any]) -> Iterator[str]:
    """Yield what an error is about: `trace:<our id of the row>`, `id:<its key>`."""
    context = error.get("context")
    for kind, name in (("trace", "objectWriteTraceId"), ("id", "ids"), ("id", "id")):
        told = context.get(name) if isinstance(context, dict) else None
        for one in _list(told):
            yield f"{kind}:{one}"


def _meant(reply: HttpReply, told: Any, at: datetime) -> Result:
    said = [told.get(name) for name in ("category", "errorType")] if isinstance(told, dict) else []
    code = next((one for one in said if isinstance(one, str) and one in CODES), None)
    if code is None:
        return api.by_status(CODES, reply, at)
    known = CODES[code]
    wait = _WAITS.get(str(told.get("policyName")), 10.0) if known.outcome is Outcome.RETRY_LATER else None
    return Result(known.outcome, code, retry_after=wait, is_systemic=known.is_systemic)


def _list(told: Any) -> list[Any]:
    return told if isinstance(told, list) else []
