"""Google's Data Manager API: Customer Match audiences of Google Ads (Search, YouTube, Gmail) and Display & Video 360.

Documentation: developers.google.com/data-manager/api (v1), limits and formatting. `target` is the audience's id.
10,000 members a call, 10 identifiers a member; 300 calls a minute and 100,000 a day for a project. Adding somebody
again renews the membership, and removing somebody who is not there is harmless, so what is unknown is said again. One
bad member refuses the whole call: those that the answer names are left out and the rest is said at once, in the same
exchange; where it names nobody, delivery halves the call. What is accepted is worked on for hours; then the status
of the request (`provider_id`) is asked for: it counts what was refused by reason, and names no member. Values are
normalised and hashed here (docs/destinations/hashing.md).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar, Literal
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

import orjson
from pydantic import Field

from tailrace.destinations import api, google_members, normal, rows, tokens
from tailrace.destinations.base import (
    Batch,
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
from tailrace.destinations.transport import HttpSession

NAME = "google_data_manager"
RULES = normal.GOOGLE

AccountType = Literal["GOOGLE_ADS", "DISPLAY_VIDEO_PARTNER", "DISPLAY_VIDEO_ADVERTISER", "DATA_PARTNER"]
Consent = Literal["granted", "denied"]

HOST = "https://datamanager.googleapis.com"


class Settings(api.HostSettings):
    """`credentials_env`: the JSON of a service account's key, or of `gcloud auth application-default login`.

    `account` owns the audiences; `login_account` is the manager account that may write there. `terms_accepted`: the
    terms of Customer Match are. `ad_user_data` and `ad_personalization`: what all people of the audiences consented to;
    columns of these names (true, false) say it of one person. `default_country`, `hashed`: as for meta_ads.
    """

    home: ClassVar[str] = HOST

    credentials_env: str
    account: str = Field(pattern=r"^\d+$")
    account_type: AccountType = "GOOGLE_ADS"
    login_account: str | None = Field(default=None, pattern=r"^\d+$")
    login_account_type: AccountType = "GOOGLE_ADS"
    terms_accepted: bool = False
    ad_user_data: Consent | None = None
    ad_personalization: Consent | None = None
    default_country: str | None = Field(default=None, pattern=r"^[A-Z]{2}$")
    hashed: list[str] = Field(default_factory=list)
    timeout_seconds: float = Field(default=120.0, gt=0, le=300)
    slots: int = Field(default=1, ge=1, le=50)
    batch_rows: int = Field(default=10_000, ge=1, le=10_000)


CAPABILITIES = Capabilities(
    channels=frozenset(),
    takes_batches=True,
    is_idempotent=True,
    needs_live=True,
    slots=1,
    modes=frozenset({"mirror", "upsert"}),
    match_keys=frozenset({"email_address", "phone_number", "mobile_id", "user_id"}),
    batch_rows=10_000,
    call_rows=10_000,
    names_rows=False,
    calls_per_second=5.0,
)

_ROW = (
    "FIELD_VALUE_TOO_LONG",
    "FIELD_VALUE_TOO_SHORT",
    "INVALID_ARGUMENT",
    "INVALID_AUDIENCE_MEMBER",
    "INVALID_BASE64_ENCODING",
    "INVALID_COUNTRY_CODE",
    "INVALID_ENUM_VALUE",
    "INVALID_FORMAT",
    "INVALID_HEX_ENCODING",
    "INVALID_MOBILE_ID_FORMAT",
    "INVALID_NUMBER_FORMAT",
    "INVALID_POSTAL_CODE",
    "INVALID_REGION_CODE",
    "INVALID_SHA256_FORMAT",
    "NO_IDENTIFIERS_PROVIDED",
    "REQUIRED_FIELD_MISSING",
    "TOO_FEW_ELEMENTS",
    "TOO_MANY_ELEMENTS",
    "TOO_MANY_USER_IDENTIFIERS",
)
_OURS = {
    "ADVERTISER_NOT_ALLOWLISTED_FOR_UPLOADED_DATA": "the advertiser may not upload data of its own",
    "ADVERTISER_TOS_NOT_ACCEPTED": "the advertiser has not accepted the terms",
    "DESTINATION_ACCOUNT_TYPE_MISMATCH": "`account_type` is not the type of `account`",
    "INVALID_DESTINATION": "the account and the audience do not go together",
    "INVALID_USER_LIST_ID": "there is no such audience",
    "INVALID_USER_LIST_TYPE": "the audience is not of a type that takes these people",
    "MISMATCHED_ACCOUNT_TYPE": "`account_type` is not the type of `account`",
    "MULTIPLE_DATA_TYPES_NOT_ALLOWED": "people and devices do not go into one call",
    "NOT_ALLOWLISTED": "the account may not use this",
    "NOT_FOUND": "there is no such account or audience",
    "OPERATING_ACCOUNT_LOGIN_ACCOUNT_MISMATCH": "`login_account` may not write to `account`",
    "PERMISSION_DENIED": "the credential may not write to the account",
    "SENSITIVE_USER_LIST_IMMUTABLE": "Google holds the audience for sensitive",
    "TERMS_AND_CONDITIONS_NOT_SIGNED": "the terms of Customer Match are not accepted (`terms_accepted`)",
    "UNAUTHENTICATED": "the token is not accepted",
    "USER_LIST_MUTATION_NOT_SUPPORTED": "the audience cannot be changed",
}

CODES: dict[Any, Meaning] = {
    **api.STATUSES,
    **tokens.REFUSALS,
    500: Meaning(Outcome.UNKNOWN, "Google failed, and may have taken it", is_systemic=True),
    **{reason: Meaning(Outcome.REJECTED, "Google does not take a member of it") for reason in _ROW},
    **{reason: Meaning(Outcome.BLOCKED, words, is_systemic=True) for reason, words in _OURS.items()},
    "RESOURCE_EXHAUSTED": Meaning(Outcome.RETRY_LATER, "the quota is used up", is_systemic=True),
    "UNAVAILABLE": Meaning(Outcome.RETRY_LATER, "Google is not available", is_systemic=True),
    "DEADLINE_EXCEEDED": Meaning(Outcome.UNKNOWN, "Google took too long, and may have taken it", is_systemic=True),
    "INTERNAL": Meaning(Outcome.UNKNOWN, "Google failed, and may have taken it", is_systemic=True),
    "INTERNAL_ERROR": Meaning(Outcome.UNKNOWN, "Google failed, and may have taken it", is_systemic=True),
}
"""By ErrorReason, by status in words, and by status. Reasons that only other calls can have are not listed."""

SCOPE = "https://www.googleapis.com/auth/datamanager"
MOST_CALLS = 5
"""So often a call is made anew without the members that were named; after that, delivery halves what is left."""

_MEMBER = re.compile(r"audience_?members\[(\d+)\]", re.IGNORECASE)
_PACIFIC = ZoneInfo("America/Los_Angeles")


def connect(settings: Settings, secrets: Secrets, files: Path) -> HttpSession:
    """Return a session over HTTP. Raises DestinationError when the credential is none."""
    if "credentials_env" in secrets:
        _grant(settings, secrets)
    return api.session(settings)


def build_request(settings: Settings, secrets: Secrets, item: Item) -> Exchange:
    """Return the exchange: a token, and the members who are added, or those who go."""
    if not isinstance(item, Batch):
        raise RefusedError("google_data_manager:carries_no_messages")
    if not item.target.isascii() or not item.target.isdigit():
        raise SyncRefused("google_data_manager:target_is_no_audience_id")
    google_members.check_columns(item)
    is_removal = item.rows[0].op == "remove"
    members = rows.each(item, lambda row: google_members.member(settings, row))
    if len({kind for one in members for kind in one if kind != "consent"}) > 1:
        raise RefusedError("google_data_manager:people_and_devices_in_one_sync")
    verb = "remove" if is_removal else "ingest"
    document: dict[str, Any] = {"destinations": [_destination(settings, item.target)], "encoding": "HEX"}
    if not is_removal:
        consent = google_members.consent(settings.ad_user_data, settings.ad_personalization)
        document |= {"consent": consent} if consent else {}
        accepted = {"customerMatchTermsOfServiceStatus": "ACCEPTED"}
        document |= {"termsOfService": accepted} if settings.terms_accepted else {}
    positions = tuple(row.position for row in item.rows)
    said = Said(f"{settings.host}/v1/audienceMembers:{verb}", document, tuple(members), positions)
    return Exchange(tokens.WithToken(_grant(settings, secrets), said))


@dataclass(frozen=True)
class Answer(HttpReply):
    """The last answer, and who was left out of what it answers: why, by position."""

    dropped: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Said:
    """The call with its members, made again without those that the answer names."""

    url: str = field(repr=False)
    document: Mapping[str, Any] = field(repr=False)
    members: tuple[Mapping[str, Any], ...] = field(repr=False)
    positions: tuple[int, ...]

    def __call__(self, granted: Mapping[str, Any]) -> Steps:
        """Yield the calls; the last answer is the exchange's, with who was left out of it."""
        left = dict(zip(self.positions, self.members, strict=True))
        dropped: dict[int, str] = {}
        reply: HttpReply | None = None
        for _ in range(MOST_CALLS):
            reply = yield self.request(granted, list(left.values()))
            assert reply is not None
            order = list(left)
            named = {order[index]: why for index, why in _named(reply) if index < len(order)}
            if not named:
                break
            dropped |= named
            left = {position: one for position, one in left.items() if position not in named}
            if not left:
                break
        else:
            dropped = {}
        assert reply is not None
        return Answer(reply.status, reply.headers, reply.body, dropped)

    def request(self, granted: Mapping[str, Any], members: list[Mapping[str, Any]]) -> HttpRequest:
        """Return one call."""
        body = orjson.dumps({**self.document, "audienceMembers": members})
        return HttpRequest("POST", self.url, api.headers(authorization=f"Bearer {granted['access_token']}"), body)


def read_response(settings: Settings, item: Item, reply: HttpReply) -> Result:
    """Return what the last answer means, and the members that it was given without."""
    refused = tokens.refusal(reply, item.at)
    if refused is not None:
        return refused
    dropped = reply.dropped if isinstance(reply, Answer) else {}
    exceptions = tuple(RowResult(position, Outcome.REJECTED, why) for position, why in sorted(dropped.items()))
    assert isinstance(item, Batch)
    if exceptions and len(exceptions) == len(item.rows):
        return Result(Outcome.REJECTED, "all_refused", rows=exceptions)
    told = api.read_json(reply)
    if reply.status // 100 == 2:
        request_id = token(told.get("requestId"), "") if isinstance(told, dict) else ""
        if not request_id:
            return api.unreadable(reply)
        return Result(Outcome.ACCEPTED, "ok", provider_id=request_id, rows=exceptions)
    result = _meant(reply, told, item.at)
    # The neighbours of who was named are refused for something else: delivery halves them.
    is_halved = result.outcome is Outcome.REJECTED and len(item.rows) > 1
    return result if is_halved else replace(result, rows=exceptions)


def build_probe(settings: Settings, secrets: Secrets) -> Exchange:
    """Return the exchange that lists one audience of the account."""
    return _look(settings, secrets, "userLists?pageSize=1")


def read_probe(settings: Settings, reply: HttpReply) -> Result:
    """Return accepted when the account's audiences may be seen."""
    refused = tokens.refusal(reply, tokens.LONG_AGO)
    if refused is not None:
        return refused
    told = api.read_json(reply)
    if reply.status // 100 == 2:
        return Result(Outcome.ACCEPTED, "ok") if isinstance(told, dict) else api.unreadable(reply)
    return _meant(reply, told, tokens.LONG_AGO)


def build_match(settings: Settings, secrets: Secrets, target: str) -> Exchange:
    """Return the exchange that asks for the audience."""
    return _look(settings, secrets, f"userLists/{target if target.isascii() and target.isdigit() else '0'}")


def read_match(settings: Settings, reply: HttpReply) -> int | None:
    """Return how many of its people Google shows ads to; the larger of its estimates for two networks."""
    told = api.read_json(reply)
    size = told.get("sizeInfo") if reply.status == 200 and isinstance(told, dict) else None
    if not isinstance(size, dict):
        return None
    counts = [size.get(name) for name in ("displayNetworkMembersCount", "searchNetworkMembersCount")]
    known = [int(one) for one in counts if isinstance(one, int | str) and str(one).isdecimal()]
    return max(known, default=None)


def build_follow_up(settings: Settings, secrets: Secrets, provider_id: str) -> Exchange:
    """Return the exchange that asks what became of a request."""
    url = f"{settings.host}/v1/requestStatus:retrieve?{urlencode({'requestId': provider_id})}"
    return Exchange(tokens.WithToken(_grant(settings, secrets), Look(url)))


def read_follow_up(settings: Settings, reply: HttpReply) -> Result:
    """Return what Google made of a request: unknown where it refused members of it, for it names none of them.

    A code is `partial:INVALID_FORMAT:3`, or `failed:…`: the commonest reason, and how many members have it.
    """
    refused = tokens.refusal(reply, tokens.LONG_AGO)
    if refused is not None:
        return refused
    told = api.read_json(reply)
    if reply.status // 100 != 2:
        meant = _meant(reply, told, tokens.LONG_AGO)
        is_ours = meant.outcome is Outcome.BLOCKED or meant.outcome is Outcome.RETRY_LATER
        return replace(meant, outcome=Outcome.RETRY_LATER, is_systemic=is_ours)
    found = told.get("requestStatusPerDestination") if isinstance(told, dict) else None
    states = [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []
    words = {one.get("requestStatus") for one in states}
    for word, name in (("FAILED", "failed"), ("PARTIAL_SUCCESS", "partial")):
        ours = [one for one in states if one.get("requestStatus") == word]
        if ours:
            return Result(Outcome.UNKNOWN, f"{name}:{_commonest(ours)}")
    if words == {"SUCCESS"}:
        return Result(Outcome.ACCEPTED, "success")
    return Result(Outcome.RETRY_LATER, "processing" if "PROCESSING" in words else "not_said")


def _commonest(states: list[dict[str, Any]]) -> str:
    """Return the reason that most members were refused for, and how many: the first of equals by name."""
    counts: Counter[str] = Counter()
    for state in states:
        info = state.get("errorInfo")
        told = info.get("errorCounts") if isinstance(info, dict) else None
        for one in told if isinstance(told, list) else []:
            if isinstance(one, dict):
                n = str(one.get("recordCount"))
                reason = re.sub(r"^PROCESSING_ERROR_(REASON_)?", "", str(one.get("reason")))
                counts[token(reason[:50])] += int(n) if re.fullmatch(r"\d{1,9}", n, re.ASCII) else 0
    if not counts:
        return "no_reason"
    reason, most = min(counts.items(), key=lambda each: (-each[1], each[0]))
    return f"{reason}:{most}"


def _destination(settings: Settings, target: str) -> dict[str, Any]:
    operating = {"accountType": settings.account_type, "accountId": settings.account}
    login = {"accountType": settings.login_account_type, "accountId": settings.login_account}
    logged_in = {"loginAccount": login} if settings.login_account else {}
    return {"operatingAccount": operating, **logged_in, "productDestinationId": target}


def _grant(settings: Settings, secrets: Secrets) -> tokens.Grant:
    key = tokens.read_object(settings.credentials_env, secrets["credentials_env"])
    return tokens.google_grant(settings.credentials_env, key, SCOPE, _schemes(settings))


@dataclass(frozen=True)
class Look:
    """A call that asks."""

    url: str = field(repr=False)

    def __call__(self, granted: Mapping[str, Any]) -> Steps:
        """Yield it."""
        bearer = api.headers(authorization=f"Bearer {granted['access_token']}")
        reply = yield HttpRequest("GET", self.url, bearer, b"", acts=False)
        assert reply is not None
        return reply


def _look(settings: Settings, secrets: Secrets, path: str) -> Exchange:
    url = f"{settings.host}/v1/accountTypes/{settings.account_type}/accounts/{settings.account}/{path}"
    return Exchange(tokens.WithToken(_grant(settings, secrets), Look(url)))


def _named(reply: HttpReply) -> Iterator[tuple[int, str]]:
    """Yield the index and the reason of each member that a refusal names."""
    if reply.status != 400:
        return
    for detail in _details(api.read_json(reply)):
        violations = detail.get("fieldViolations")
        for violation in violations if isinstance(violations, list) else []:
            told = violation if isinstance(violation, dict) else {}
            found = _MEMBER.search(str(told.get("field")))
            if found:
                yield int(found[1]), token(told.get("reason"), "INVALID_AUDIENCE_MEMBER")


def _details(told: Any) -> list[dict[str, Any]]:
    error = told.get("error") if isinstance(told, dict) else None
    details = error.get("details") if isinstance(error, dict) else None
    return [one for one in details if isinstance(one, dict)] if isinstance(details, list) else []


def _meant(reply: HttpReply, told: Any, at: datetime) -> Result:
    error = told.get("error") if isinstance(told, dict) else None
    plain = error.get("status") if isinstance(error, dict) else None
    reasons = [one["reason"] for one in _details(told) if isinstance(one.get("reason"), str)]
    code = next((one for one in [*reasons, plain] if isinstance(one, str) and one in CODES), None)
    if code is None:
        return api.by_status(CODES, reply, at)
    known = CODES[code]
    wait = _until_the_quota(told, at) if known.outcome is Outcome.RETRY_LATER else None
    return Result(known.outcome, code, retry_after=wait, is_systemic=known.is_systemic)


def _until_the_quota(told: Any, at: datetime) -> float | None:
    """Return the seconds until the quota that is used up is there again: a day's at midnight in California."""
    limits = [
        str(one["metadata"].get("quota_limit")) for one in _details(told) if isinstance(one.get("metadata"), dict)
    ]
    if any("PerDay" in one for one in limits):
        here = at.astimezone(_PACIFIC)
        midnight = (here + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
        return midnight.timestamp() - at.timestamp()
    return 60.0 if limits else None


def _schemes(settings: Settings) -> frozenset[str]:
    return frozenset({"https", "http"} if settings.private_network else {"https"})
