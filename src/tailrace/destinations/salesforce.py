"""Salesforce: records of one object, found by an external id.

Documentation: developer.salesforce.com, REST API (sObject Collections, Composite Batch) and Bulk API 2.0. `target` is
the object (`Contact`, `Trial__c`), the one key column its external id field, the other columns its fields;
`Account.Ext__c` names a parent by its own external id. Upserts go 200 records a call with a result for each, with
`bulk: true` as a job of Bulk API 2.0. `update_only` and removals go 25 a call, one request for each record. The
external id makes repeats harmless, so what is unknown is said again. The limit is a day's calls
(`Sforce-Limit-Info`), over it 403. One token serves all calls of a hand-over.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import quote

from pydantic import Field, model_validator

from tailrace.destinations import api, rows, salesforce_calls, tokens
from tailrace.destinations.base import (
    Batch,
    BatchRow,
    Capabilities,
    Exchange,
    HttpReply,
    Item,
    Meaning,
    Outcome,
    RefusedError,
    Result,
    RowResult,
    Secrets,
)
from tailrace.destinations.transport import HttpSession

NAME = "salesforce"

HOST = "https://login.salesforce.com"


class Settings(api.HostSettings):
    """`client_id_env` is the connected app's consumer key; with `client_secret_env` it is let in as itself, with
    `private_key_env` and `username` as that user (JWT bearer, which needs `tailrace[google]`).

    `base_url` is the address to log in at, your own domain or a sandbox. `removal` says what a mirror does with who
    goes: `delete` the record, or `clear` the fields in `clear_fields`; without it removals are refused.
    """

    client_id_env: str
    client_secret_env: str | None = None
    private_key_env: str | None = None
    username: str | None = None
    api_version: str = Field(default="v62.0", pattern=r"^v\d+\.0$")
    bulk: bool = False
    bulk_wait_seconds: int = Field(default=900, ge=5, le=7200)
    removal: Literal["delete", "clear"] | None = None
    clear_fields: list[str] = Field(default_factory=list)
    timeout_seconds: float = Field(default=120.0, gt=0, le=300)
    slots: int = Field(default=1, ge=1, le=50)
    batch_rows: int = Field(default=2000, ge=1, le=100_000)

    @model_validator(mode="after")
    def _has_a_grant(self) -> Self:
        if (self.client_secret_env is None) == (self.private_key_env is None):
            raise ValueError("expected `client_secret_env`, or `private_key_env` with `username`, and not both")
        if (self.private_key_env is None) != (self.username is None):
            raise ValueError("`private_key_env` and `username` go together")
        if (self.removal == "clear") != bool(self.clear_fields):
            raise ValueError("`removal: clear` and `clear_fields` go together")
        return self

    @property
    def call_rows(self) -> int:
        """Rows of one hand-over: one token, and one job or some calls."""
        return 50_000 if self.bulk else 2000

    @property
    def host(self) -> str:
        """The address that paths are put after, without a slash at its end."""
        return (self.base_url or HOST).rstrip("/")


CAPABILITIES = Capabilities(
    channels=frozenset(),
    takes_batches=True,
    is_idempotent=True,
    needs_live=True,
    slots=1,
    modes=frozenset({"mirror", "upsert", "update_only"}),
    batch_rows=2000,
    call_rows=2000,
)

NO_REMOVAL = "removal_refused:not_set_up"
NOT_THERE = "not_found"


def _row(words: str) -> Meaning:
    return Meaning(Outcome.REJECTED, words)


def _now(words: str) -> Meaning:
    return Meaning(Outcome.RETRY_LATER, words)


def _all(outcome: Outcome, words: str) -> Meaning:
    return Meaning(outcome, words, is_systemic=True)


CODES: dict[Any, Meaning] = {
    **api.STATUSES,
    **tokens.REFUSALS,
    NO_REMOVAL: _row("nobody is removed: the connection does not say how (`removal`)"),
    400: _all(Outcome.BLOCKED, "Salesforce does not understand the call"),
    401: _all(Outcome.RETRY_LATER, "the session has ended; the next attempt asks for another token"),
    500: _all(Outcome.UNKNOWN, "Salesforce failed, and may have taken it"),
    "INVALID_SESSION_ID": _all(Outcome.RETRY_LATER, "the session has ended; the next attempt asks for another token"),
    "REQUEST_LIMIT_EXCEEDED": _all(Outcome.RETRY_LATER, "the calls of the last 24 hours are used up"),
    "EXCEEDED_MAX_SEMAPHORE_CONCURRENT_REQUESTS": _all(Outcome.RETRY_LATER, "too many calls at once"),
    "SERVER_UNAVAILABLE": _all(Outcome.RETRY_LATER, "Salesforce is not available"),
    "API_DISABLED_FOR_ORG": _all(Outcome.BLOCKED, "the organisation has no API"),
    "API_CURRENTLY_DISABLED": _all(Outcome.RETRY_LATER, "the API is switched off for now"),
    "INSUFFICIENT_ACCESS": _all(Outcome.BLOCKED, "the user may not do this"),
    "INVALID_FIELD": _all(Outcome.BLOCKED, "a column is no field of the object, or the user may not see it"),
    "INVALID_FIELD_FOR_INSERT_UPDATE": _all(Outcome.BLOCKED, "a column is a field that cannot be written"),
    "INVALID_TYPE": _all(Outcome.BLOCKED, "there is no such object, or the user may not see it"),
    "JSON_PARSER_ERROR": _all(Outcome.BLOCKED, "Salesforce does not understand the call"),
    "MALFORMED_ID": _row("a field holds no record id"),
    "NOT_FOUND": _all(Outcome.BLOCKED, "there is no such object or external id field"),
    NOT_THERE: _row("there is no such record"),
    "STORAGE_LIMIT_EXCEEDED": _all(Outcome.BLOCKED, "the organisation's storage is full"),
    "TXN_SECURITY_METERING_ERROR": _all(Outcome.RETRY_LATER, "Salesforce throttles"),
    "UNABLE_TO_LOCK_ROW": _now("somebody else is changing the record or its parent"),
    "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY": _row("a trigger or flow refuses it"),
    "DELETE_FAILED": _row("other records depend on it"),
    "DUPLICATE_EXTERNAL_ID": _row("several records have this external id"),
    "DUPLICATE_VALUE": _row("another record has a value that must be unique"),
    "DUPLICATES_DETECTED": _row("a duplicate rule refuses it"),
    "ENTITY_IS_DELETED": _row("the record was deleted"),
    "ENTITY_IS_LOCKED": _now("the record is locked by an approval"),
    "FIELD_CUSTOM_VALIDATION_EXCEPTION": _row("a validation rule refuses it"),
    "FIELD_FILTER_VALIDATION_EXCEPTION": _row("a look-up filter refuses it"),
    "FIELD_INTEGRITY_EXCEPTION": _row("a field does not fit another"),
    "INSUFFICIENT_ACCESS_OR_READONLY": _row("the user may not change this record"),
    "INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY": _row("the user may not see the record that it points to"),
    "INVALID_CROSS_REFERENCE_KEY": _row("it points to a record that is not there"),
    "INVALID_EMAIL_ADDRESS": _row("a field holds no e-mail address"),
    "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST": _row("a field holds none of the values of its list"),
    "INVALID_TYPE_ON_FIELD_IN_RECORD": _row("a field holds a value of another type"),
    "MISSING_ARGUMENT": _row("it has no external id"),
    "NUMBER_OUTSIDE_VALID_RANGE": _row("a number is too large or too small"),
    "REQUIRED_FIELD_MISSING": _row("a field that is required is missing"),
    "STRING_TOO_LONG": _row("a text is too long for its field"),
    "MULTIPLE_CHOICES": _row("several records have this external id"),
    salesforce_calls.UNPROCESSED: _now("the job ended before it came to this record"),
    salesforce_calls.NOT_FINISHED: _all(Outcome.UNKNOWN, "the job had not ended when we stopped asking"),
    salesforce_calls.JOB_FAILED: _all(Outcome.UNKNOWN, "the job failed, and says nothing of its records"),
}
"""By errorCode or statusCode, and by status where there is none."""

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,79}", re.ASCII)
_GONE = frozenset({"NOT_FOUND", "ENTITY_IS_DELETED"})
_DAY_SHARE = 3600.0


def connect(settings: Settings, secrets: Secrets, files: Path) -> HttpSession:
    """Return a session over HTTP. Raises DestinationError when the private key cannot sign."""
    if settings.private_key_env is not None and "private_key_env" in secrets:
        tokens.check_key(settings.private_key_env, secrets["private_key_env"])
    return api.session(settings)


def build_request(settings: Settings, secrets: Secrets, item: Item) -> Exchange:
    """Return the exchange: a token, and the calls that upsert, update, delete or clear."""
    if not isinstance(item, Batch):
        raise RefusedError("salesforce:carries_no_messages")
    field = _key_field(item)
    if not _NAME.fullmatch(item.target) or not _NAME.fullmatch(field):
        raise RefusedError("salesforce:no_such_name")
    is_removal = item.rows[0].op == "remove"
    if is_removal and settings.removal is None:
        raise RefusedError(NO_REMOVAL)
    path = f"/services/data/{settings.api_version}"
    positions = tuple(row.position for row in item.rows)
    if is_removal or item.mode == "update_only":
        made = rows.each(item, lambda row: _single(settings, item.target, field, row))
        go: Any = salesforce_calls.Singles(path, tuple(made), positions)
    else:
        records = rows.each(item, lambda row: _record(field, row), largest=400_000)
        if settings.bulk:
            go = salesforce_calls.Bulk(path, item.target, field, tuple(records), positions, settings.bulk_wait_seconds)
        else:
            go = salesforce_calls.Collections(path, item.target, field, tuple(records), positions)
    return Exchange(tokens.WithToken(_grant(settings, secrets), salesforce_calls.AtInstance(go, _schemes(settings))))


def read_response(settings: Settings, item: Item, reply: HttpReply) -> Result:
    """Return what the calls were answered, record by record."""
    refused = tokens.refusal(reply, item.at)
    if refused is not None:
        return refused
    assert isinstance(item, Batch)
    parts = salesforce_calls.read_parts(reply, tuple(row.position for row in item.rows))
    is_removal = item.rows[0].op == "remove"
    said: dict[int, RowResult] = {}
    stopped: Result | None = None
    for part in parts:
        if part.results is None:
            stopped = _meant(part.status, part.code)
            break
        for position, errors in part.results.items():
            said[position] = _of_row(position, errors, is_removal=is_removal and settings.removal == "delete")
    for row in item.rows:
        if stopped is None and row.position not in said:
            said[row.position] = RowResult(row.position, Outcome.UNKNOWN, "not_mentioned")
    systemic = next((CODES[one.code] for one in said.values() if _is_systemic(one)), None)
    whole = stopped or Result(Outcome.ACCEPTED, "ok")
    if systemic is not None and stopped is None:
        code = next(one.code for one in said.values() if _is_systemic(one))
        whole = Result(systemic.outcome, code, is_systemic=True)
    differing = tuple(one for _, one in sorted(said.items()) if (one.outcome, one.code) != (whole.outcome, whole.code))
    return Result(
        whole.outcome, whole.code, retry_after=whole.retry_after, is_systemic=whole.is_systemic, rows=differing
    )


def build_probe(settings: Settings, secrets: Secrets) -> Exchange:
    """Return the exchange that asks for the organisation's limits."""
    look = salesforce_calls.Look(f"/services/data/{settings.api_version}/limits")
    return Exchange(tokens.WithToken(_grant(settings, secrets), salesforce_calls.AtInstance(look, _schemes(settings))))


def read_probe(settings: Settings, reply: HttpReply) -> Result:
    """Return accepted when the limits are told."""
    refused = tokens.refusal(reply, tokens.LONG_AGO)
    if refused is not None:
        return refused
    told = api.read_json(reply)
    if reply.status // 100 == 2:
        is_told = isinstance(told, dict) and "DailyApiRequests" in told
        return Result(Outcome.ACCEPTED, "ok") if is_told else api.unreadable(reply)
    return _meant(reply.status, salesforce_calls.code_of(told))


def _key_field(batch: Batch) -> str:
    names = {tuple(row.key) for row in batch.rows if isinstance(row.key, dict)}
    if len(names) != 1 or len(next(iter(names))) != 1:
        raise RefusedError("salesforce:one_key_column")
    return str(next(iter(names))[0])


def _record(field: str, row: BatchRow) -> dict[str, Any]:
    """Return a record: its external id, and its fields; of `Account.Ext__c` the parent with that."""
    _, value = rows.identity(row, (field,))
    record: dict[str, Any] = {field: value}
    for name, told in rows.rest(row, {field}).items():
        parent, _, own = name.partition(".")
        record[parent] = {own: told} if own else told
    return record


def _single(settings: Settings, target: str, field: str, row: BatchRow) -> dict[str, Any]:
    """Return the request for one record within a composite batch."""
    _, value = rows.identity(row, (field,))
    place = f"{settings.api_version}/sobjects/{target}/{field}/{quote(value, safe='')}"
    if row.op == "remove" and settings.removal == "delete":
        return {"method": "DELETE", "url": place}
    if row.op == "remove":
        change: dict[str, Any] = dict.fromkeys(settings.clear_fields)
    else:
        change = {name: told for name, told in _record(field, row).items() if name != field}
    return {"method": "PATCH", "url": f"{place}?updateOnly=true", "richInput": change}


def _grant(settings: Settings, secrets: Secrets) -> tokens.Grant:
    url = f"{settings.host}/services/oauth2/token"
    client = secrets["client_id_env"]
    if settings.private_key_env is None:
        form = {"grant_type": "client_credentials", "client_id": client, "client_secret": secrets["client_secret_env"]}
        return tokens.Grant(url, form)
    claims = {"iss": client, "sub": str(settings.username), "aud": settings.host}
    return tokens.Grant(
        url, {"grant_type": tokens.JWT_GRANT}, tokens.Assertion(secrets["private_key_env"], None, claims)
    )


def _schemes(settings: Settings) -> tuple[str, ...]:
    return ("https://", "http://") if settings.private_network else ("https://",)


def _of_row(position: int, errors: tuple[str, ...], *, is_removal: bool) -> RowResult:
    if not errors or (is_removal and set(errors) <= _GONE):
        return RowResult(position, Outcome.ACCEPTED, "ok")
    code = NOT_THERE if errors[0] == "NOT_FOUND" else errors[0]
    return RowResult(position, CODES[code].outcome if code in CODES else Outcome.UNKNOWN, code)


def _is_systemic(one: RowResult) -> bool:
    return one.code in CODES and CODES[one.code].is_systemic


def _meant(status: int, code: str | None) -> Result:
    """Return what a call means that failed as a whole: no record is at fault."""
    known = CODES.get(code) or CODES.get(status)
    name = code if code is not None and code in CODES else f"http_{status}"
    if known is None and status // 100 == 3:
        return Result(Outcome.BLOCKED, name, is_systemic=True)
    if known is None:
        return Result(Outcome.UNKNOWN, code or name, is_systemic=True)
    wait = _DAY_SHARE if code == "REQUEST_LIMIT_EXCEEDED" else None
    return Result(known.outcome, name, retry_after=wait, is_systemic=known.is_systemic)
