"""Iterable: people, lists and events.

Documentation: api.iterable.com/api/docs, `users/bulkUpdate`, `lists/subscribe` and `unsubscribe`, `events/trackBulk`. A
call takes 4 MB, 1,000 rows here; bulk updates 5 a second, which holds for all; 429 without a header. A 200 has
`failCount` and lists of the people it did not take, by address or id. The type of a field is fixed when it is first
written: another type refuses the call (RequestFieldsTypesMismatched).

Repeats: people and lists are set again without harm. An event is known again by `id`: the column `event_id`, or made of
the row's key. One user must not be changed by bulk calls and by single ones at once: their order is not kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import quote

import orjson

from tailrace.destinations import rows
from tailrace.destinations.api import STATUSES, ApiSettings, by_status, headers, read_json, session, unreadable
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
from tailrace.destinations.moments import instant, unix
from tailrace.destinations.transport import HttpSession

NAME = "iterable"
PERSON = {"user_id": "userId", "userId": "userId", "email": "email"}


class Settings(ApiSettings):
    """`api_key_env` names the variable with a server-side key.

    `merge_nested_objects`: an object within a row is merged into the one that is there, instead of replacing it.
    `create_new_fields`: a column that Iterable does not know yet makes a field. `prefer_user_id`: a user of a new id is
    made even where none has that id, in projects that know people by e-mail.
    """

    hosts: ClassVar[Mapping[str, str]] = {"us": "https://api.iterable.com", "eu": "https://api.eu.iterable.com"}

    api_key_env: str
    merge_nested_objects: bool = False
    create_new_fields: bool = True
    prefer_user_id: bool = True


CAPABILITIES = Capabilities(
    channels=frozenset(),
    takes_batches=True,
    is_idempotent=True,
    needs_live=True,
    slots=4,
    match_keys=frozenset(PERSON),
    call_rows=1000,
    call_bytes=4_000_000,
    names_rows=False,
    calls_per_second=5.0,
)

CODES: Mapping[Any, Meaning] = {
    **STATUSES,
    "Success": Meaning(Outcome.ACCEPTED, "taken"),
    "RateLimitExceeded": Meaning(Outcome.RETRY_LATER, "it throttles", is_systemic=True),
    "BadApiKey": Meaning(Outcome.BLOCKED, "the key is not accepted", is_systemic=True),
    "BadAuthorizationHeader": Meaning(Outcome.BLOCKED, "the key is not accepted", is_systemic=True),
    "ExternalKeyConflict": Meaning(Outcome.REJECTED, "the id is somebody else's"),
    "ForgottenUserError": Meaning(Outcome.REJECTED, "the person was forgotten there and stays so"),
    "RequestFieldsTypesMismatched": Meaning(Outcome.REJECTED, "a field has another type there"),
    "BatchTooLarge": Meaning(Outcome.REJECTED, "the call is too large"),
    "BadParams": Meaning(Outcome.REJECTED, "the call is not understood"),
    "BadJsonBody": Meaning(Outcome.REJECTED, "the call is not understood"),
    "InvalidJsonBody": Meaning(Outcome.REJECTED, "the call is not understood"),
    "InvalidEmailAddressError": Meaning(Outcome.REJECTED, "an address is wrong"),
    "InvalidUserIdError": Meaning(Outcome.REJECTED, "an id is wrong"),
    "DatabaseError": Meaning(Outcome.RETRY_LATER, "it failed and says so", is_systemic=True),
    "Error": Meaning(Outcome.RETRY_LATER, "it failed and says so", is_systemic=True),
    "GenericError": Meaning(Outcome.RETRY_LATER, "it failed and says so", is_systemic=True),
    "invalidEmails": Meaning(Outcome.REJECTED, "the address is wrong"),
    "invalidUserIds": Meaning(Outcome.REJECTED, "the id is wrong"),
    "invalidDataEmails": Meaning(Outcome.REJECTED, "a field of the row is wrong"),
    "invalidDataUserIds": Meaning(Outcome.REJECTED, "a field of the row is wrong"),
    "not_found": Meaning(Outcome.REJECTED, "nobody has this address or id there"),
    "conflictEmails": Meaning(Outcome.REJECTED, "the address is somebody else's"),
    "conflictUserIds": Meaning(Outcome.REJECTED, "the id is somebody else's"),
    "forgottenEmails": Meaning(Outcome.REJECTED, "the person was forgotten there and stays so"),
    "forgottenUserIds": Meaning(Outcome.REJECTED, "the person was forgotten there and stays so"),
    "not_named": Meaning(Outcome.REJECTED, "it counts a failure and does not say whose"),
}


_ABSENT = frozenset({"UnknownEmailError", "UnknownUserIdError", "notFoundEmails", "notFoundUserIds"})
"""Their words for `not_found`."""


def connect(settings: Settings, secrets: Secrets, files: Path) -> HttpSession:
    """Return a session over HTTP."""
    return session(settings)


def build_request(settings: Settings, secrets: Secrets, item: Item) -> HttpRequest:
    """Return the call for some rows."""
    if not isinstance(item, Batch):
        raise RefusedError("iterable:takes_no_messages")
    kind, _, name = item.target.partition(":")
    match kind:
        case "people":
            path, body = "/api/users/bulkUpdate", _people(settings, item)
        case "list" if name.isdigit():
            path, body = _membership(settings, item, int(name))
        case "events":
            rows.check_appended(item)
            path, body = "/api/events/trackBulk", {"events": rows.each(item, lambda row: _event(item, row))}
        case _:
            raise SyncRefused("target:not_known")
    return HttpRequest("POST", settings.host + path, _headers(secrets), orjson.dumps(body))


def read_response(settings: Settings, item: Item, reply: HttpReply) -> Result:
    """Return what the answer means: a 200 counts failures and names people, and its `code` goes before the status."""
    answer = read_json(reply)
    told = answer if isinstance(answer, dict) else {}
    if reply.status // 100 != 2:
        code = "not_found" if str(told.get("code")) in _ABSENT else told.get("code")
        known = CODES.get(code) if isinstance(code, str) else None
        if known is None or known.outcome is Outcome.ACCEPTED:
            return by_status(CODES, reply, item.at)
        return Result(known.outcome, token(code), is_systemic=known.is_systemic)
    if "successCount" not in told and told.get("code") != "Success":
        return unreadable(reply)
    assert isinstance(item, Batch)
    failed, refused = told.get("failCount", 0), _named(item, told)
    if not isinstance(failed, int):
        return unreadable(reply)
    if failed > len(refused):
        # What is not named cannot be told from its neighbours: halving finds it, and who is set again comes to no harm.
        return Result(Outcome.REJECTED, "not_named")
    return Result(Outcome.ACCEPTED, f"http_{reply.status}", rows=refused)


def build_probe(settings: Settings, secrets: Secrets) -> HttpRequest:
    """Return the call that reads the lists."""
    return HttpRequest("GET", f"{settings.host}/api/lists", _headers(secrets), b"", acts=False)


def read_probe(settings: Settings, reply: HttpReply) -> Result:
    """Return accepted when it shows its lists."""
    told = read_json(reply)
    if reply.status == 200:
        is_shown = isinstance(told, dict) and "lists" in told
        return Result(Outcome.ACCEPTED, "http_200") if is_shown else unreadable(reply)
    return by_status(CODES, reply, None)


def build_match(settings: Settings, secrets: Secrets, target: str) -> HttpRequest:
    """Return the call that asks how many people are on a list."""
    kind, _, name = target.partition(":")
    if kind != "list":
        raise RefusedError("match:not_known")
    url = f"{settings.host}/api/lists/{quote(name, safe='')}/size"
    return HttpRequest("GET", url, _headers(secrets), b"", acts=False)


def read_match(settings: Settings, reply: HttpReply) -> int | None:
    """Return how many people the list has: the answer is the number, as text."""
    said = reply.body.strip()
    return int(said) if reply.status == 200 and said.isdigit() and len(said) < 12 else None


def _headers(secrets: Secrets) -> dict[str, str]:
    return headers(api_key=secrets["api_key_env"])


def _who(row: BatchRow) -> tuple[dict[str, str], set[str]]:
    """Return the identifiers of a person, all that are known, and their columns."""
    rows.identity(row, tuple(PERSON))
    known = rows.columns(row)
    return (
        {theirs: value for ours, theirs in PERSON.items() if (value := rows.text(known.get(ours))) is not None},
        set(PERSON),
    )


def _people(settings: Settings, item: Batch) -> dict[str, Any]:
    def make(row: BatchRow) -> dict[str, Any]:
        if row.op == "remove":
            raise SyncRefused("iterable:people_are_not_removed")
        who, own = _who(row)
        told = {
            **who,
            "dataFields": _times(rows.rest(row, own)),
            "mergeNestedObjects": settings.merge_nested_objects,
        }
        return told | _preference(settings, who)

    only = {"updateOnly": True} if item.mode == "update_only" else {}
    return {"users": rows.each(item, make), **only, "createNewFields": settings.create_new_fields}


def _preference(settings: Settings, who: Mapping[str, str]) -> dict[str, bool]:
    """Return whether a user is made by id alone, where there is no address to make one by."""
    return {"preferUserId": settings.prefer_user_id} if "userId" in who and "email" not in who else {}


def _membership(settings: Settings, item: Batch, number: int) -> tuple[str, dict[str, Any]]:
    is_removal = item.rows[0].op == "remove"

    def make(row: BatchRow) -> dict[str, Any]:
        who, own = _who(row)
        more = {} if row.op == "remove" else _times(rows.rest(row, own))
        prefer = {} if is_removal else _preference(settings, who)
        return {**who, **({"dataFields": more} if more else {}), **prefer}

    told: dict[str, Any] = {"listId": number, "subscribers": rows.each(item, make)}
    if is_removal:
        # Said each time: leaving a list is not saying that one wants no more mail.
        return "/api/lists/unsubscribe", {**told, "channelUnsubscribe": False}
    return "/api/lists/subscribe", {**told, "updateExistingUsersOnly": item.mode == "update_only"}


_OF_EVENTS = ("campaignId", "templateId")


def _event(item: Batch, row: BatchRow) -> dict[str, Any]:
    known = rows.columns(row)
    who, own = _who(row)
    name = rows.text(known.get("event_name"))
    if name is None:
        raise RefusedError("event:no_name")
    at = known.get("created_at")
    return {
        **who,
        "eventName": name,
        "id": rows.text(known.get("event_id")) or rows.own_id(item, row),
        **({} if at is None else {"createdAt": unix(at)}),
        **{field: _number(known[field]) for field in _OF_EVENTS if known.get(field) is not None},
        "dataFields": _times(rows.rest(row, {*own, *_OF_EVENTS, "event_name", "event_id", "created_at"})),
    }


def _number(value: Any) -> Any:
    return int(value) if isinstance(value, str) and value.isdecimal() else value


def _times(told: Any) -> Any:
    """Return the fields with each moment as Iterable writes it; a date stays a date."""
    if isinstance(told, dict):
        return {key: _times(value) for key, value in told.items()}
    if isinstance(told, list):
        return [_times(value) for value in told]
    at = instant(told)
    return told if at is None else at.strftime("%Y-%m-%d %H:%M:%S +00:00")


def _named(item: Batch, told: Mapping[str, Any]) -> tuple[RowResult, ...]:
    """Return the rows whose people the answer's lists name."""
    more = told.get("failedUpdates")
    lists = {**told, **(more if isinstance(more, dict) else {})}
    refused = {
        value.lower(): "not_found" if name in _ABSENT else name
        for name, values in lists.items()
        if isinstance(values, list) and (name in CODES or name in _ABSENT)
        for value in values
        if isinstance(value, str)
    }
    if not refused:
        return ()
    found = []
    for row in item.rows:
        who, _ = _who(row)
        name = next((refused[value.lower()] for value in who.values() if value.lower() in refused), None)
        if name is not None:
            found.append(RowResult(row.position, Outcome.REJECTED, name))
    return tuple(found)
