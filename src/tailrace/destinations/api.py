"""What do destinations that are a vendor's API over HTTP have in common? Settings, throttling, plain statuses."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar, Literal, Self
from urllib.parse import urlsplit

import orjson
from pydantic import Field, model_validator

from tailrace.destinations.base import ConnectionSettings, HttpReply, Meaning, Outcome, Result, meaning
from tailrace.destinations.calls import retry_after
from tailrace.destinations.transport import HttpSession


class HostSettings(ConnectionSettings):
    """`base_url` is another host than the vendor's (a proxy, a test).

    `private_network` allows http and addresses that are not public.
    """

    home: ClassVar[str] = ""

    base_url: str | None = None
    private_network: bool = False
    timeout_seconds: float = Field(default=30.0, gt=0, le=300)
    slots: int = Field(default=4, ge=1, le=50)
    batch_rows: int = Field(default=1000, ge=1, le=100_000)

    @model_validator(mode="after")
    def _is_encrypted(self) -> Self:
        schemes = ("https://", "http://") if self.private_network else ("https://",)
        if self.base_url is not None and not (self.base_url.startswith(schemes) and urlsplit(self.base_url).netloc):
            raise ValueError("`base_url` must begin with https:// (http:// only with `private_network: true`)")
        return self

    @property
    def host(self) -> str:
        """The address that paths are put after, without a slash at its end."""
        return (self.base_url or self.home).rstrip("/")


class ApiSettings(HostSettings):
    """`region` chooses among the vendor's hosts."""

    hosts: ClassVar[Mapping[str, str]] = {}

    region: Literal["us", "eu"] = "us"

    @property
    def host(self) -> str:
        """The address that paths are put after, without a slash at its end."""
        return (self.base_url or self.hosts[self.region]).rstrip("/")


STATUSES: Mapping[int, Meaning] = {
    400: Meaning(Outcome.REJECTED, "the call is not understood, or one of its rows is wrong"),
    401: Meaning(Outcome.BLOCKED, "the credentials are not accepted", is_systemic=True),
    403: Meaning(Outcome.BLOCKED, "the credentials may not do this", is_systemic=True),
    404: Meaning(Outcome.BLOCKED, "there is no such thing, or nothing at this address", is_systemic=True),
    405: Meaning(Outcome.BLOCKED, "the address does not take this call", is_systemic=True),
    408: Meaning(Outcome.RETRY_LATER, "it waited too long for the request", is_systemic=True),
    410: Meaning(Outcome.BLOCKED, "the address was given up", is_systemic=True),
    413: Meaning(Outcome.REJECTED, "the call is too large"),
    415: Meaning(Outcome.BLOCKED, "it does not take this kind of body", is_systemic=True),
    422: Meaning(Outcome.REJECTED, "its content is refused"),
    429: Meaning(Outcome.RETRY_LATER, "it throttles", is_systemic=True),
    500: Meaning(Outcome.RETRY_LATER, "it failed and says so", is_systemic=True),
    502: Meaning(Outcome.UNKNOWN, "a gateway lost the answer"),
    503: Meaning(Outcome.RETRY_LATER, "it is not available", is_systemic=True),
    504: Meaning(Outcome.UNKNOWN, "a gateway lost the answer"),
}
"""What a status means where the vendor's documentation says nothing else; a destination's CODES begin with it."""

_FIRST_EPOCH = 1_000_000_000


def session(settings: HostSettings) -> HttpSession:
    """Return a session over HTTP as the settings say."""
    return HttpSession(timeout=settings.timeout_seconds, private_network=settings.private_network)


def headers(**more: str) -> dict[str, str]:
    """Return the headers of a call with JSON, and more; an underscore in a name stands for a hyphen."""
    plain = {"content-type": "application/json", "accept": "application/json", "user-agent": "tailrace"}
    return plain | {name.replace("_", "-"): value for name, value in more.items()}


def basic(user: str, password: str = "") -> str:
    """Return the value of an Authorization header with name and password."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def read_json(reply: HttpReply) -> Any:
    """Return what the body says, or None when it is no JSON: a proxy or a login page answers too."""
    try:
        return orjson.loads(reply.body)
    except orjson.JSONDecodeError:
        return None


def by_status(codes: Mapping[Any, Meaning], reply: HttpReply, at: datetime | None) -> Result:
    """Return what the status alone means; a redirect is never followed. `at` None: nobody asks when to try again."""
    code = f"http_{reply.status}"
    if reply.status // 100 == 3:
        return Result(Outcome.BLOCKED, code, is_systemic=True)
    known = meaning(codes, reply.status)
    later = wait(reply, at) if at is not None and known.outcome is Outcome.RETRY_LATER else None
    return Result(known.outcome, code, retry_after=later, is_systemic=known.is_systemic)


def unreadable(reply: HttpReply) -> Result:
    """Return what a success means whose body is not what the vendor answers."""
    return Result(Outcome.UNKNOWN, f"http_{reply.status}_unreadable")


def wait(reply: HttpReply, at: datetime) -> float | None:
    """Return the seconds that an answer asks to wait: Retry-After, else X-RateLimit-Reset, a moment or seconds."""
    asked = retry_after(reply.headers.get("retry-after"), at)
    if asked is not None:
        return asked
    try:
        reset = float(reply.headers.get("x-ratelimit-reset", ""))
    except ValueError:
        return None
    if not 0 <= reset < _FIRST_EPOCH * 10:
        return None
    return max(0.0, reset - at.timestamp()) if reset > _FIRST_EPOCH else reset
