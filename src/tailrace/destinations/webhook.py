"""A web address: one signed POST per message, or per batch of a sync, and the calls of webhook steps.

A webhook step names its own address; `url` is for everything else. Every call carries `webhook-id` and
`Idempotency-Key` (the same at every attempt) and, with `secret_env`, a signature over `{id}.{timestamp}.{body}`
(Standard Webhooks 1.0.0). Set `is_idempotent: true` only if the receiver drops a repeated id: then what is unknown is
sent again. Throttling: 429 or 503 with Retry-After. A 2xx whose body is not understood is not accepted.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from pathlib import Path
from typing import Any, Self

import orjson
from pydantic import Field, model_validator

from tailrace.destinations.base import (
    Batch,
    Capabilities,
    ConnectionSettings,
    HttpReply,
    HttpRequest,
    Item,
    Meaning,
    Message,
    Outcome,
    RefusedError,
    Result,
    RowResult,
    Secrets,
    token,
)
from tailrace.destinations.calls import host_of, parse_call, read_answer, retry_after
from tailrace.destinations.transport import HttpSession
from tailrace.errors import DestinationError

NAME = "webhook"


class Settings(ConnectionSettings):
    """Where to, and how. `private_network` allows http and addresses that are not public.

    Without `url` it carries webhook steps only; `hosts`, when given, are the only ones that those may name. The token
    goes nowhere but to the host of `url`.
    """

    url: str | None = None
    hosts: list[str] | None = None
    secret_env: str | None = None
    token_env: str | None = None
    is_idempotent: bool = False
    private_network: bool = False
    timeout_seconds: float = Field(default=30.0, gt=0, le=300)
    slots: int = Field(default=4, ge=1, le=50)
    batch_rows: int = Field(default=1000, ge=1, le=100_000)

    @model_validator(mode="after")
    def _is_encrypted(self) -> Self:
        if self.url is not None and not self.url.startswith(tuple(f"{scheme}://" for scheme in self.schemes)):
            raise ValueError("`url` must begin with https:// (http:// only with `private_network: true`)")
        if self.url is None and self.token_env is not None:
            raise ValueError("`token_env` needs `url`: the token goes nowhere else")
        return self

    @property
    def schemes(self) -> frozenset[str]:
        """The schemes that may be called."""
        return frozenset({"https", "http"} if self.private_network else {"https"})


CAPABILITIES = Capabilities(
    channels=frozenset({"email", "sms", "whatsapp", "push", "webhook"}),
    takes_batches=True,
    is_idempotent=False,
    needs_live=True,
    slots=4,
)

CODES = {
    400: Meaning(Outcome.REJECTED, "the receiver does not understand it"),
    401: Meaning(Outcome.BLOCKED, "the receiver wants other credentials", is_systemic=True),
    403: Meaning(Outcome.BLOCKED, "the receiver does not allow it", is_systemic=True),
    404: Meaning(Outcome.BLOCKED, "there is nothing at this address", is_systemic=True),
    405: Meaning(Outcome.BLOCKED, "the address takes no POST", is_systemic=True),
    408: Meaning(Outcome.RETRY_LATER, "the receiver waited too long for the request"),
    409: Meaning(Outcome.REJECTED, "it contradicts what the receiver has"),
    410: Meaning(Outcome.BLOCKED, "the address was given up", is_systemic=True),
    413: Meaning(Outcome.REJECTED, "it is too large for the receiver"),
    415: Meaning(Outcome.BLOCKED, "the receiver takes no JSON", is_systemic=True),
    422: Meaning(Outcome.REJECTED, "the receiver refuses its content"),
    425: Meaning(Outcome.RETRY_LATER, "too early for the receiver"),
    429: Meaning(Outcome.RETRY_LATER, "the receiver throttles", is_systemic=True),
    500: Meaning(Outcome.RETRY_LATER, "the receiver failed and says so", is_systemic=True),
    502: Meaning(Outcome.UNKNOWN, "a gateway lost the answer"),
    503: Meaning(Outcome.RETRY_LATER, "the receiver is not available", is_systemic=True),
    504: Meaning(Outcome.UNKNOWN, "a gateway lost the answer"),
}

_PLAIN_YES = frozenset({b"", b"ok", b"success", b"accepted"})


def connect(settings: Settings, secrets: Secrets, files: Path) -> HttpSession:
    """Return a session over HTTP. Raises DestinationError when the secret cannot sign."""
    if settings.secret_env is not None:
        sign(secrets["secret_env"], "", "", b"")
    return HttpSession(timeout=settings.timeout_seconds, private_network=settings.private_network)


def build_request(settings: Settings, secrets: Secrets, item: Item) -> HttpRequest:
    """Return the POST for one message or batch, or the call that a webhook step describes."""
    name = item.batch_id if isinstance(item, Batch) else item.intent_id
    if isinstance(item, Message) and item.channel == "webhook":
        hosts = None if settings.hosts is None else {host.lower() for host in settings.hosts}
        call = parse_call(item.rendered.text, settings.schemes, hosts)
        method, url, body, own = call.method, call.url, call.body, call.headers
    elif settings.url is None:
        raise RefusedError("connection:no_url")
    else:
        try:
            body = orjson.dumps(_document(item))
        except (TypeError, ValueError) as error:
            raise RefusedError("message:not_json") from error
        method, url, own = "POST", settings.url, {"content-type": "application/json"}
    stamp = str(int(item.at.timestamp()))
    headers = {
        **own,
        "user-agent": "tailrace",
        "idempotency-key": name,
        "webhook-id": name,
        "webhook-timestamp": stamp,
    }
    if settings.secret_env is not None:
        headers["webhook-signature"] = sign(secrets["secret_env"], name, stamp, body)
    if settings.token_env is not None and settings.url is not None and host_of(settings.url) == host_of(url):
        headers["authorization"] = f"Bearer {secrets['token_env']}"
    return HttpRequest(method, url, headers, body)


def sign(secret: str, name: str, stamp: str, body: bytes) -> str:
    """Return the signature `v1,…` of Standard Webhooks, or several, parted by spaces, while keys change.

    A secret `whsec_…` is base64, and there may be some of them, parted by spaces; any other is taken as it is.
    """
    signed = f"{name}.{stamp}.".encode() + body
    made = (hmac.new(key, signed, hashlib.sha256).digest() for key in _keys(secret))
    return " ".join("v1," + base64.b64encode(one).decode() for one in made)


def _keys(secret: str) -> list[bytes]:
    if secret.startswith(("whsk_", "whpk_")):
        raise DestinationError("the webhook's secret is half of an ed25519 pair; expected a shared one, `whsec_…`")
    parts = secret.split()
    if not all(part.startswith("whsec_") for part in parts):
        return [secret.encode()]
    try:
        # Written without its padding it is read all the same, as the reference library does.
        keys = [base64.b64decode(text + "=" * (-len(text) % 4), validate=True) for text in (part[6:] for part in parts)]
    except binascii.Error as error:
        raise DestinationError("the webhook's secret begins with whsec_ but is not base64; expected all") from error
    if not keys or not all(keys):
        raise DestinationError("the webhook's secret is empty after whsec_; expected 24 to 64 bytes in base64")
    return keys


def read_response(settings: Settings, item: Item, reply: HttpReply) -> Result:
    """Return what the answer means; for a batch, row by row where the receiver says so."""
    if isinstance(item, Message) and item.channel == "webhook":
        return read_answer(reply, item.at)
    code = f"http_{reply.status}"
    if reply.status // 100 == 2:
        return _agreed(item, reply, code)
    if reply.status // 100 == 3:
        return Result(Outcome.BLOCKED, code, is_systemic=True)
    known = CODES.get(reply.status)
    if known is None:
        known = Meaning(Outcome.REJECTED if reply.status // 100 == 4 else Outcome.UNKNOWN, "a code not listed")
    wait = retry_after(reply.headers.get("retry-after"), item.at) if known.outcome is Outcome.RETRY_LATER else None
    return Result(known.outcome, code, retry_after=wait, is_systemic=known.is_systemic)


def _document(item: Item) -> dict[str, Any]:
    if isinstance(item, Batch):
        # A million rows are not read to be written again as they were.
        rows = ",".join([f'{{"op":"{row.op}","key":{row.key_text},"data":{row.data_text}}}' for row in item.rows])
        data: dict[str, Any] = {"sync": item.sync, "target": item.target, "plan_id": item.plan_id}
        data["rows"] = orjson.Fragment(f"[{rows}]")
        return {"type": "sync.batch", "id": item.batch_id, "timestamp": item.at, "data": data}
    return {"type": "message.send", "id": item.intent_id, "timestamp": item.at, "data": _words(item)}


def _words(item: Message) -> dict[str, Any]:
    words = item.rendered
    return {
        "campaign": item.campaign,
        "step": item.step,
        "channel": item.channel,
        "person_id": str(item.person_id),
        "address": item.address,
        "subject": words.subject,
        "text": words.text,
        "html": words.html,
    }


def _agreed(item: Item, reply: HttpReply, code: str) -> Result:
    """Return what a 2xx means: accepted only when the body is empty, a plain yes, or JSON that does not say no."""
    if reply.body.strip().lower() in _PLAIN_YES:
        return Result(Outcome.ACCEPTED, code)
    try:
        answer = orjson.loads(reply.body)
    except orjson.JSONDecodeError:
        return Result(Outcome.UNKNOWN, f"{code}_unreadable")
    if not isinstance(answer, dict):
        return Result(Outcome.UNKNOWN, f"{code}_unreadable")
    if isinstance(item, Batch) and "results" in answer:
        return _per_row(item, answer["results"], code)
    if answer.get("ok") is False or answer.get("error") or answer.get("status") in {"error", "failed"}:
        return Result(Outcome.REJECTED, f"{code}_says_no")
    provider_id = token(answer["id"], "") if "id" in answer else ""
    return Result(Outcome.ACCEPTED, code, provider_id=provider_id or None)


def _per_row(item: Batch, results: Any, code: str) -> Result:
    """Return the batch as accepted, but for the rows that the receiver refused or did not mention."""
    if not isinstance(results, list):
        return Result(Outcome.UNKNOWN, f"{code}_unreadable")
    said = {_canonical(one.get("key")): one for one in results if isinstance(one, dict)}
    exceptions = []
    for row in item.rows:
        one = said.get(_canonical(row.key))
        if one is None:
            exceptions.append(RowResult(row.position, Outcome.UNKNOWN, "not_mentioned"))
        elif one.get("status") != "ok":
            known = one.get("status") == "error"
            exceptions.append(
                RowResult(
                    row.position,
                    Outcome.REJECTED if known else Outcome.UNKNOWN,
                    token(one.get("code"), "error") if known else "unreadable",
                )
            )
    return Result(Outcome.ACCEPTED, code, rows=tuple(exceptions))


def _canonical(key: Any) -> str:
    return json.dumps(key, sort_keys=True)
