"""How does a call get the bearer token that must be asked for first? By a grant, in the same exchange.

A token lives as long as its exchange. What is signed by ourselves says the time, which is read as it is sent.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import import_module
from typing import Any
from urllib.parse import urlencode

from tailrace import clock
from tailrace.destinations import api
from tailrace.destinations.base import HttpReply, HttpRequest, Meaning, Outcome, Result, Steps, token
from tailrace.errors import DestinationError

CODES = {
    "access_denied": Meaning(Outcome.BLOCKED, "the account may not have a token", is_systemic=True),
    "invalid_app_access": Meaning(Outcome.BLOCKED, "the application is not let in for this user", is_systemic=True),
    "invalid_client": Meaning(
        Outcome.BLOCKED, "the application is not known, or its secret is wrong", is_systemic=True
    ),
    "invalid_client_id": Meaning(Outcome.BLOCKED, "the application is not known", is_systemic=True),
    "invalid_grant": Meaning(Outcome.BLOCKED, "the credential is not valid any more", is_systemic=True),
    "invalid_request": Meaning(Outcome.BLOCKED, "the request for a token is not understood", is_systemic=True),
    "invalid_scope": Meaning(Outcome.BLOCKED, "the account may not have this scope", is_systemic=True),
    "unauthorized_client": Meaning(Outcome.BLOCKED, "the application may not ask in this way", is_systemic=True),
    "unsupported_grant_type": Meaning(Outcome.BLOCKED, "the server has no such grant", is_systemic=True),
    "server_error": Meaning(Outcome.RETRY_LATER, "the token server failed", is_systemic=True),
    "temporarily_unavailable": Meaning(Outcome.RETRY_LATER, "the token server is not available", is_systemic=True),
}
"""What a refusal of RFC 6749 means, and Salesforce's own: nothing was handed over."""

REFUSALS = {f"token:{code}": meaning for code, meaning in CODES.items()}
"""The same, by the codes of results: a part of the CODES of who asks for tokens."""

JWT_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_VALID_SECONDS = 300
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
"""Of an answer to a probe, which waits for nothing."""


@dataclass(frozen=True)
class Assertion:
    """Claims that we sign ourselves (RS256) with a private key in PEM."""

    key: str = field(repr=False)
    key_id: str | None
    claims: Mapping[str, str] = field(repr=False)

    def signed(self, at: datetime) -> str:
        """Return the claims as a JWT that is valid for some minutes."""
        issued = int(at.timestamp())
        claims = {**self.claims, "iat": issued, "exp": issued + _VALID_SECONDS}
        return str(import_module("google.auth.jwt").encode(_signer(self.key, self.key_id), claims), "ascii")


@dataclass(frozen=True)
class Grant:
    """How a token is asked for."""

    url: str = field(repr=False)
    form: Mapping[str, str] = field(repr=False)
    assertion: Assertion | None = None

    def request(self, at: datetime) -> HttpRequest:
        """Return the call, which changes nothing."""
        signed = {} if self.assertion is None else {"assertion": self.assertion.signed(at)}
        headers = {
            "content-type": "application/x-www-form-urlencoded",
            "accept": "application/json",
            "user-agent": "tailrace",
        }
        return HttpRequest("POST", self.url, headers, urlencode({**self.form, **signed}).encode(), acts=False)


@dataclass(frozen=True)
class WithToken:
    """The steps of an exchange that asks for a token, and goes on with what the answer says (`access_token`, …).

    Two of them are equal when their parts are. `go` is a value with the same promise.
    """

    grant: Grant
    go: Callable[[Mapping[str, Any]], Steps] = field(repr=False)

    def __call__(self) -> Steps:
        """Yield the calls; a refused token ends them, and `refusal` knows the answer again."""
        reply = yield self.grant.request(clock.now())
        assert reply is not None
        told = api.read_json(reply)
        if reply.status != 200 or not isinstance(told, dict) or not isinstance(told.get("access_token"), str):
            return refused(reply)
        return (yield from self.go(told))


@dataclass(frozen=True)
class Refused(HttpReply):
    """The answer to a request for a token that gave none."""


def refused(reply: HttpReply) -> Refused:
    """Return the answer as one to the request for a token."""
    return Refused(reply.status, reply.headers, reply.body)


def refusal(reply: HttpReply, at: datetime) -> Result | None:
    """Return what a refused token means for the item, or None when it is the call itself that was answered."""
    if not isinstance(reply, Refused):
        return None
    told = api.read_json(reply)
    code = told.get("error") if isinstance(told, dict) else None
    if isinstance(code, str) and code in CODES:
        known = CODES[code]
        return Result(known.outcome, f"token:{code}", is_systemic=True)
    plain = api.by_status(api.STATUSES, reply, at)
    # Whatever was answered, no byte of the item had left.
    is_open = plain.outcome in {Outcome.BLOCKED, Outcome.RETRY_LATER}
    outcome = plain.outcome if is_open else Outcome.RETRY_LATER
    name = f"http_{reply.status}" if not isinstance(code, str) else token(code, f"http_{reply.status}")
    return Result(outcome, f"token:{name}", retry_after=plain.retry_after, is_systemic=True)


def google_grant(setting: str, key: Mapping[str, Any], scope: str, schemes: Collection[str]) -> Grant:
    """Return how Google is asked for a token: by a service account's key, or as the user who logged in with gcloud.

    Raises DestinationError, which shows nothing of it, when `key` is neither.
    """
    url = str(key.get("token_uri") or "https://oauth2.googleapis.com/token")
    if url.partition("://")[0] not in schemes:
        raise DestinationError(f"`{setting}`: its `token_uri` cannot be called; expected one that begins with https://")
    if key.get("type") == "authorized_user":
        names = ("client_id", "client_secret", "refresh_token")
        return Grant(url, {"grant_type": "refresh_token", **{name: str(key.get(name, "")) for name in names}})
    if not key.get("client_email") or not key.get("private_key"):
        raise DestinationError(
            f"`{setting}` holds no credential; expected the JSON of a service account's key, with `client_email` and"
            " `private_key`"
        )
    check_key(setting, str(key["private_key"]))
    key_id = key.get("private_key_id")
    claims = {"iss": str(key["client_email"]), "scope": scope, "aud": url}
    assertion = Assertion(str(key["private_key"]), None if key_id is None else str(key_id), claims)
    return Grant(url, {"grant_type": JWT_GRANT}, assertion)


def check_key(setting: str, key: str) -> None:
    """Raise DestinationError, which shows nothing of it, when `key` cannot sign."""
    try:
        _signer(key, None)
    except ValueError as error:
        raise DestinationError(
            f"`{setting}` does not hold a private key that can sign; expected one in PEM, `-----BEGIN PRIVATE KEY-----`"
        ) from error


def read_object(setting: str, text: str) -> dict[str, Any]:
    """Return the JSON object that a secret holds; raises DestinationError, which shows nothing of it."""
    try:
        told = json.loads(text)
    except ValueError:
        told = None
    if not isinstance(told, dict):
        raise DestinationError(f"`{setting}` does not hold a JSON object; expected the content of the key's file")
    return told


def _signer(key: str, key_id: str | None) -> Any:
    try:
        crypt = import_module("google.auth.crypt")
    except ImportError as error:
        raise DestinationError(
            "a token that we sign ourselves needs google-auth, which is not installed: `pip install tailrace[google]`"
        ) from error
    return crypt.RSASigner.from_string(key, key_id)
