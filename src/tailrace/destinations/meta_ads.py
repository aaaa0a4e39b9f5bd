"""Meta Custom Audiences: people of an audience that Facebook and Instagram show ads to, or do not.

Documentation: developers.facebook.com, Marketing API, Custom Audiences (v25.0) and its rate limiting and error codes.
`target` is the audience's id (a customer-file audience, made in Ads Manager). 10,000 rows a call; each call is a
session of its own. Adding somebody twice and removing somebody who is not there are harmless, so what is unknown is
said again. Values are normalised and hashed here (docs/destinations/hashing.md). Meta answers with counts and samples
of what it could not read, never with rows, and never says who was matched. From a small audience it removes nobody.
Throttling is a 400 with a code; how long is said in a header.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import quote

import orjson
from pydantic import Field

from tailrace.destinations import api, normal, rows
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
from tailrace.destinations.transport import HttpSession

NAME = "meta_ads"
RULES = normal.META

HOST = "https://graph.facebook.com"


class Settings(api.HostSettings):
    """`token_env`: a system user's token with `ads_management`; `app_secret_env` adds the proof that it is ours.

    `default_country` reads telephone numbers of rows that have no country. `hashed` are columns that hold hashes
    already, made by Meta's rules.
    """

    home: ClassVar[str] = HOST

    token_env: str
    app_secret_env: str | None = None
    api_version: str = Field(default="v25.0", pattern=r"^v\d+\.\d+$")
    default_country: str | None = Field(default=None, pattern=r"^[A-Z]{2}$")
    hashed: list[str] = Field(default_factory=list)
    slots: int = Field(default=1, ge=1, le=50)
    batch_rows: int = Field(default=10_000, ge=1, le=10_000)


CAPABILITIES = Capabilities(
    channels=frozenset(),
    takes_batches=True,
    is_idempotent=True,
    needs_live=True,
    slots=1,
    modes=frozenset({"mirror", "upsert"}),
    match_keys=frozenset({"email", "phone", "extern_id", "madid"}),
    batch_rows=10_000,
    call_rows=10_000,
    calls_per_second=1.0,
)

TOO_SMALL = "removal_refused:audience_too_small"
_SMALL = Meaning(Outcome.REJECTED, "so few people would be left that Meta removes nobody")
_THROTTLED = Meaning(Outcome.RETRY_LATER, "Meta throttles", is_systemic=True)

CODES: dict[Any, Meaning] = {
    **api.STATUSES,
    400: Meaning(Outcome.UNKNOWN, "refused without a code that tailrace knows", is_systemic=True),
    500: Meaning(Outcome.UNKNOWN, "Meta failed, and may have taken it", is_systemic=True),
    "1": Meaning(Outcome.RETRY_LATER, "Meta failed for now", is_systemic=True),
    "2": Meaning(Outcome.RETRY_LATER, "the service is not available for now", is_systemic=True),
    "4": _THROTTLED,
    "17": _THROTTLED,
    "32": _THROTTLED,
    "613": _THROTTLED,
    "80000": _THROTTLED,
    "80003": _THROTTLED,
    "80004": _THROTTLED,
    "80014": _THROTTLED,
    "3": Meaning(Outcome.BLOCKED, "the application may not do this", is_systemic=True),
    "10": Meaning(Outcome.BLOCKED, "the application may not do this", is_systemic=True),
    "100": Meaning(
        Outcome.BLOCKED, "Meta does not understand the request: the audience's id or the API's version", True
    ),
    "100/1713230": Meaning(Outcome.BLOCKED, "the audience was flagged and is blocked (status 471)", True),
    "102": Meaning(Outcome.BLOCKED, "the token is not valid any more", is_systemic=True),
    "190": Meaning(Outcome.BLOCKED, "the token is not valid any more", is_systemic=True),
    "200": Meaning(Outcome.BLOCKED, "the token may not change this audience", is_systemic=True),
    "200/1870047": _SMALL,
    TOO_SMALL: _SMALL,
    "200/1870050": Meaning(Outcome.BLOCKED, "the token may not change this audience", is_systemic=True),
    "200/1870090": Meaning(Outcome.BLOCKED, "the terms of Custom Audiences are not accepted", is_systemic=True),
    "294": Meaning(Outcome.BLOCKED, "the token has no scope `ads_management`", is_systemic=True),
    "368": Meaning(Outcome.BLOCKED, "Meta has blocked the account for what it did", is_systemic=True),
    "2655": Meaning(Outcome.BLOCKED, "the terms of Custom Audiences are not accepted", is_systemic=True),
    "2650/1870145": Meaning(Outcome.RETRY_LATER, "the audience is being replaced by somebody else", is_systemic=True),
}
"""By code, by code/subcode, and by status where there is no code."""

Normalise = Callable[[object, str | None], str | None]


def _plain(function: Callable[[object], str | None]) -> Normalise:
    return lambda value, region: function(value)


def _own_id(value: object, region: str | None) -> str | None:
    return rows.text(value)


COLUMNS: dict[str, Normalise] = {
    "extern_id": _own_id,
    "email": _plain(normal.meta_email),
    "phone": normal.meta_phone,
    "doby": _plain(normal.meta_year),
    "dobm": _plain(normal.meta_month),
    "dobd": _plain(normal.meta_day),
    "ln": _plain(normal.meta_name),
    "fn": _plain(normal.meta_name),
    "fi": _plain(normal.meta_initial),
    "gen": _plain(normal.meta_gender),
    "ct": _plain(normal.meta_place),
    "st": _plain(normal.meta_place),
    "zip": normal.meta_zip,
    "country": _plain(normal.meta_country),
    "madid": _plain(normal.meta_device),
}
"""The columns of a sync, as Meta's schema names them (any case), and how each is normalised. `dob` is a date, and
stands for `doby`, `dobm` and `dobd`."""

_CLEAR = frozenset({"extern_id", "madid"})
"""What Meta wants as it is, not hashed."""
_AUDIENCE = re.compile(r"\d{1,30}", re.ASCII)


def connect(settings: Settings, secrets: Secrets, files: Path) -> HttpSession:
    """Return a session over HTTP."""
    return api.session(settings)


def build_request(settings: Settings, secrets: Secrets, item: Item) -> HttpRequest:
    """Return the POST of people who are added or said again, or the DELETE of those who go."""
    if not isinstance(item, Batch):
        raise RefusedError("meta_ads:carries_no_messages")
    if not _AUDIENCE.fullmatch(item.target):
        raise SyncRefused("meta_ads:target_is_no_audience_id")
    _check_columns(item)
    people: list[dict[str, str]] = rows.each(item, lambda row: identifiers(settings, row))
    schema = [name for name in COLUMNS if any(name in person for person in people)]
    body: dict[str, Any] = {
        "payload": {
            "schema": [name.upper() for name in schema],
            "data": [[person.get(name, "") for name in schema] for person in people],
        },
        "session": {
            "session_id": _session_id(item, people),
            "batch_seq": 1,
            "last_batch_flag": True,
            "estimated_num_total": len(people),
        },
        **_proof(secrets),
    }
    method = "DELETE" if item.rows[0].op == "remove" else "POST"
    return HttpRequest(method, f"{_root(settings)}/{item.target}/users", _headers(secrets), orjson.dumps(body))


def read_response(settings: Settings, item: Item, reply: HttpReply) -> Result:
    """Return what the answer means: counts when it was taken, else a code."""
    assert isinstance(item, Batch)
    told = api.read_json(reply)
    if reply.status // 100 != 2:
        return _refusal(item, reply, told)
    if not isinstance(told, dict) or not ("num_received" in told or told.get("success") is True):
        return api.unreadable(reply)
    if not told.get("num_invalid_entries"):
        return Result(Outcome.ACCEPTED, "ok")
    samples = set(_texts(told.get("invalid_entry_samples")))
    invalid = [row for row in item.rows if samples & set(identifiers(settings, row).values())]
    exceptions = (RowResult(row.position, Outcome.REJECTED, "invalid_entry") for row in invalid)
    return Result(Outcome.ACCEPTED, "ok:some_invalid", rows=tuple(exceptions))


def build_probe(settings: Settings, secrets: Secrets) -> HttpRequest:
    """Return the call that asks who the token is."""
    return HttpRequest("GET", f"{_root(settings)}/me?fields=id{_proof_of_get(secrets)}", _headers(secrets), b"", False)


def read_probe(settings: Settings, reply: HttpReply) -> Result:
    """Return accepted when Meta knows the token."""
    told = api.read_json(reply)
    if reply.status == 200 and isinstance(told, dict) and "id" in told:
        return Result(Outcome.ACCEPTED, "ok")
    return api.unreadable(reply) if reply.status // 100 == 2 else _meant(reply, told)


def build_match(settings: Settings, secrets: Secrets, target: str) -> HttpRequest:
    """Return the call that asks how many people the audience has."""
    asked = "approximate_count_lower_bound,operation_status"
    url = f"{_root(settings)}/{quote(target, safe='')}?fields={asked}{_proof_of_get(secrets)}"
    return HttpRequest("GET", url, _headers(secrets), b"", acts=False)


def read_match(settings: Settings, reply: HttpReply) -> int | None:
    """Return the least that Meta says; it says nothing of an audience that is small or not ready yet."""
    told = api.read_json(reply)
    count = told.get("approximate_count_lower_bound") if reply.status == 200 and isinstance(told, dict) else None
    return count if isinstance(count, int) and not isinstance(count, bool) and count >= 0 else None


def identifiers(settings: Settings, row: BatchRow) -> dict[str, str]:
    """Return what is said of a row, by column: normalised, and hashed where Meta wants that.

    A key is read from the key alone, so that a removal, which knows no more, says the same of it. A value that is not
    what its column says is left out; in a key it refuses the row, as does nobody to be found by.
    """
    key = _told(row.key)
    data = _told(row.data or {})
    regions = [normal.country(one) for one in (key.get("country"), settings.default_country)]
    key_region = next((one for one in regions if one), None)
    region = normal.country(data.get("country")) or key_region
    found = {}
    for name, make in COLUMNS.items():
        is_key = key.get(name) is not None
        value = key[name] if is_key else data.get(name)
        if value is None:
            continue
        normalised = normal.hashed(value) if name in settings.hashed else make(value, key_region if is_key else region)
        if normalised is not None:
            found[name] = normalised if name in _CLEAR or name in settings.hashed else normal.sha256(normalised)
        elif is_key:
            raise RefusedError(f"key:{name}")
    if not (found.keys() & CAPABILITIES.match_keys or {"fn", "ln"} <= found.keys()):
        raise RefusedError("row:nobody_to_match")
    return found


def _told(columns: Any) -> dict[str, Any]:
    """Return the columns in small letters, a date of birth in its three parts."""
    if not isinstance(columns, dict):
        raise RefusedError("row:not_an_object")
    told = {name.lower(): value for name, value in columns.items()}
    day = normal.birth_date(told.pop("dob", None))
    return told if day is None else {**dict(zip(("doby", "dobm", "dobd"), day, strict=True)), **told}


def _check_columns(batch: Batch) -> None:
    """Raise RefusedError for a column that is none of Meta's, unless it is a key: that only tells rows apart."""
    for row in batch.rows:
        if isinstance(row.data, dict) and isinstance(row.key, dict):
            for name in row.data.keys() - row.key.keys():
                if name.lower() not in COLUMNS and name.lower() != "dob":
                    raise RefusedError(f"column:{name}"[:80])


def _session_id(batch: Batch, people: list[dict[str, str]]) -> int:
    """Return 63 bits of who is said, what, and when: another attempt is another session."""
    told = orjson.dumps([batch.batch_id, batch.rows[0].op, batch.at, people])
    return int.from_bytes(hashlib.sha256(told).digest()[:8], "big") >> 1 or 1


def _root(settings: Settings) -> str:
    return f"{settings.host}/{settings.api_version}"


def _headers(secrets: Secrets) -> dict[str, str]:
    return api.headers(authorization=f"Bearer {secrets['token_env']}")


def _proof(secrets: Secrets) -> dict[str, str]:
    if "app_secret_env" not in secrets:
        return {}
    signed = hmac.new(secrets["app_secret_env"].encode(), secrets["token_env"].encode(), hashlib.sha256)
    return {"appsecret_proof": signed.hexdigest()}


def _proof_of_get(secrets: Secrets) -> str:
    return "".join(f"&{name}={value}" for name, value in _proof(secrets).items())


def _refusal(batch: Batch, reply: HttpReply, told: Any) -> Result:
    result = _meant(reply, told)
    is_removal = batch.rows[0].op == "remove"
    return Result(Outcome.REJECTED, TOO_SMALL) if is_removal and result.code == "200/1870047" else result


def _meant(reply: HttpReply, told: Any) -> Result:
    error = told.get("error") if isinstance(told, dict) else None
    if not isinstance(error, dict) or not isinstance(error.get("code"), int):
        code = f"http_{reply.status}"
        if reply.status // 100 == 3:
            return Result(Outcome.BLOCKED, code, is_systemic=True)
        known = CODES.get(reply.status, Meaning(Outcome.UNKNOWN, "an answer that tailrace does not know"))
        return Result(known.outcome, code, retry_after=_wait(reply), is_systemic=known.is_systemic)
    plain = str(error["code"])
    code = f"{plain}/{error['error_subcode']}" if isinstance(error.get("error_subcode"), int) else plain
    known = CODES.get(code) or CODES.get(plain) or Meaning(Outcome.UNKNOWN, "a code that tailrace does not know", True)
    if known.outcome is Outcome.UNKNOWN and error.get("is_transient") is True:
        known = CODES["2"]
    wait = _wait(reply) if known.outcome is Outcome.RETRY_LATER else None
    return Result(known.outcome, code, retry_after=wait, is_systemic=known.is_systemic)


def _wait(reply: HttpReply) -> float | None:
    """Return the seconds after which the account may call again, as its usage header says in minutes."""
    try:
        usage = orjson.loads(reply.headers.get("x-business-use-case-usage", ""))
        minutes = [one["estimated_time_to_regain_access"] for told in usage.values() for one in told]
        return max(minutes) * 60.0 or None
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _texts(one)
