"""What does a webhook step ask for, and what does its answer mean for the branch that follows?

An answer is an answer: 2xx, 3xx (never followed) and 4xx are `accepted` as `http:404`, and the campaign decides.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import orjson

from tailrace.destinations.base import HttpReply, Outcome, RefusedError, Result

METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE"})
LONGEST_KEPT = 65_536
"""A longer body of an answer is not kept; its status is."""
RESERVED = frozenset(
    {
        "authorization",
        "connection",
        "content-length",
        "cookie",
        "host",
        "idempotency-key",
        "proxy-authorization",
        "transfer-encoding",
        "user-agent",
        "webhook-id",
        "webhook-signature",
        "webhook-timestamp",
    }
)
"""Headers that are ours, or that would carry a secret: those come from the connection."""

_NOT_NOW = frozenset({408, 425, 429, 500, 501, 503})
_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}", re.ASCII)
_VALUE = re.compile(r"[\x20-\x7e]{0,4000}", re.ASCII)
_URL = re.compile(r"[\x21-\x7e]{1,4000}", re.ASCII)


@dataclass(frozen=True)
class Call:
    """One call as the message has it; header names are lower case."""

    method: str
    url: str = field(repr=False)
    headers: dict[str, str] = field(repr=False)
    body: bytes = field(repr=False)


def parse_call(text: str, schemes: Collection[str], hosts: Collection[str] | None) -> Call:
    """Return the call that `text` describes: a JSON object with method, url, headers and body (text or JSON).

    Raises RefusedError (`call:…`) for what cannot be called: another scheme than `schemes`, another host than `hosts`
    (None: any), a name and password in the address, a reserved header, a line break where none may be.
    """
    try:
        told = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise RefusedError("call:not_json") from None
    if not isinstance(told, dict) or told.keys() - {"method", "url", "headers", "body"}:
        raise RefusedError("call:not_a_call")
    method = told.get("method", "POST")
    if not isinstance(method, str) or method not in METHODS:
        raise RefusedError("call:method")
    headers = _headers(told.get("headers") or {})
    body = told.get("body")
    if isinstance(body, str):
        content = body.encode()
    elif body is None:
        content = b""
    else:
        content = orjson.dumps(body)
        headers.setdefault("content-type", "application/json")
    return Call(method, _url(told.get("url"), schemes, hosts), headers, content)


def host_of(url: str) -> str:
    """Return the scheme, host and port of an address, lower case."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}".lower()


def read_answer(reply: HttpReply, at: datetime) -> Result:
    """Return what the answer to a webhook step means; it carries the status, and the body if it is JSON or text."""
    status = reply.status
    code = f"http:{status}"
    if status in _NOT_NOW:
        wait = retry_after(reply.headers.get("retry-after"), at)
        return Result(Outcome.RETRY_LATER, code, retry_after=wait, status_code=status, body=kept(reply))
    if 200 <= status < 500:
        return Result(Outcome.ACCEPTED, code, status_code=status, body=kept(reply))
    # A gateway speaks for a receiver that may have acted.
    return Result(Outcome.UNKNOWN, code, status_code=status if 500 <= status < 600 else None, body=kept(reply))


def kept(reply: HttpReply) -> str | None:
    """Return what is kept of a body, as JSON text: JSON as it came, text as a JSON string, anything else is None."""
    kind = reply.headers.get("content-type", "").partition(";")[0].strip().lower()
    is_json = kind == "application/json" or kind.endswith("+json")
    if len(reply.body) > LONGEST_KEPT or not (is_json or kind.startswith("text/") or not kind):
        return None
    try:
        text = reply.body.decode()
    except UnicodeDecodeError:
        return None
    if not text.strip():
        return None
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        return orjson.dumps(text).decode()
    return text


def retry_after(value: str | None, at: datetime) -> float | None:
    """Return the seconds that Retry-After asks for, as a number or as a date; None when it says nothing usable."""
    if value is None:
        return None
    if value.strip().isdigit():
        return float(value)
    try:
        return max(0.0, (parsedate_to_datetime(value) - at).total_seconds())
    except (ValueError, TypeError):
        return None


def _headers(told: object) -> dict[str, str]:
    if not isinstance(told, dict):
        raise RefusedError("call:headers")
    headers = {}
    for name, value in told.items():
        text = str(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else None
        if text is None or not _NAME.fullmatch(name) or not _VALUE.fullmatch(text):
            raise RefusedError("call:headers")
        if name.lower() in RESERVED or name.lower() in headers:
            raise RefusedError("call:reserved_header")
        headers[name.lower()] = text.strip()
    return headers


def _url(url: object, schemes: Collection[str], hosts: Collection[str] | None) -> str:
    if not isinstance(url, str) or not _URL.fullmatch(url):
        raise RefusedError("call:url")
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise RefusedError("call:url") from None
    if parts.scheme.lower() not in schemes or not host or "@" in parts.netloc or "\\" in url:
        raise RefusedError("call:url")
    if hosts is not None and host.lower() not in hosts:
        raise RefusedError("call:host")
    return url
