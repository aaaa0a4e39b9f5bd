"""E-mail through SendGrid's Mail Send API (v3): one message per call.

Documentation: twilio.com/docs/sendgrid/api-reference/mail-send. At most 30 MB a message; 429 with X-RateLimit-Reset. A
202 says that it is queued. There is no idempotency key: what is unknown is not sent again. What becomes of a message
later comes by SendGrid's event webhook, with the custom argument `intent_id`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from tailrace.destinations import api, channel
from tailrace.destinations.base import (
    Capabilities,
    HttpReply,
    HttpRequest,
    Item,
    Meaning,
    Outcome,
    Result,
    Secrets,
    token,
)
from tailrace.destinations.mime import check_words, headers_of, mailbox, sender_of
from tailrace.destinations.transport import HttpSession

NAME = "sendgrid"


class Settings(api.ApiSettings):
    """`token_env` names the API key, `from` the sender of messages that name none.

    `region: eu` is for subusers of that region. `unsubscribe_group` is a group of SendGrid's own unsubscribing.
    """

    hosts: ClassVar[Mapping[str, str]] = {"us": "https://api.sendgrid.com", "eu": "https://api.eu.sendgrid.com"}

    token_env: str
    sender: str | None = Field(default=None, alias="from")
    one_click: bool = True
    unsubscribe_group: int | None = Field(default=None, ge=1)


CAPABILITIES = Capabilities(
    channels=frozenset({"email"}), takes_batches=False, is_idempotent=False, needs_live=True, slots=4
)

CODES: dict[Any, Meaning] = {
    **api.STATUSES,
    202: Meaning(Outcome.ACCEPTED, "SendGrid queued it"),
    400: Meaning(Outcome.REJECTED, "SendGrid refuses a field of it"),
    401: Meaning(Outcome.BLOCKED, "the key is not accepted, or there are no credits left", is_systemic=True),
    403: Meaning(Outcome.BLOCKED, "the sender is not verified, or the key may not send", is_systemic=True),
    413: Meaning(Outcome.REJECTED, "it is too large"),
    "from": Meaning(Outcome.BLOCKED, "SendGrid refuses the sender", is_systemic=True),
    "reply_to": Meaning(Outcome.BLOCKED, "SendGrid refuses the address for answers", is_systemic=True),
    "asm": Meaning(Outcome.BLOCKED, "SendGrid has no such unsubscribe group", is_systemic=True),
}


def connect(settings: Settings, secrets: Secrets, files: Path) -> HttpSession:
    """Return a session over HTTP."""
    return api.session(settings)


def build_request(settings: Settings, secrets: Secrets, item: Item) -> HttpRequest:
    """Return the POST for one message."""
    message = channel.message_of(item)
    words = message.rendered
    check_words(words)
    name, address = sender_of(message, settings.sender)
    headers = dict(headers_of(words, one_click=settings.one_click))
    reply_to = headers.pop("Reply-To", None)
    content = [{"type": "text/plain", "value": words.text}]
    if words.html is not None:
        content.append({"type": "text/html", "value": words.html})
    body: dict[str, Any] = {
        "personalizations": [
            {"to": [{"email": mailbox(message.address)}], "custom_args": {"intent_id": message.intent_id}}
        ],
        # SendGrid takes no comma or semicolon in a name.
        "from": {"email": address, "name": name.replace(",", "").replace(";", "")} if name else {"email": address},
        "subject": words.subject,
        "content": content,
    }
    if reply_to is not None:
        body["reply_to"] = {"email": mailbox(reply_to)}
    if headers:
        body["headers"] = headers
    if settings.unsubscribe_group is not None:
        body["asm"] = {"group_id": settings.unsubscribe_group}
    return HttpRequest("POST", f"{settings.host}/v3/mail/send", _headers(secrets), channel.to_json(body))


def read_response(settings: Settings, item: Item, reply: HttpReply) -> Result:
    """Return what the answer means; a refusal names the field, and a field that is ours stops the connection."""
    if reply.status == 202:
        return Result(Outcome.ACCEPTED, "http_202", provider_id=channel.id_of(reply.headers, "x-message-id"))
    plain = api.by_status(CODES, reply, item.at)
    if reply.status != 400:
        return plain
    field = _field(reply)
    known = CODES.get(field.partition(".")[0], CODES[400])
    return Result(known.outcome, f"http_400:{field}", is_systemic=known.is_systemic)


def build_probe(settings: Settings, secrets: Secrets) -> HttpRequest:
    """Return the call that asks what the key may do."""
    return HttpRequest("GET", f"{settings.host}/v3/scopes", _headers(secrets), b"", acts=False)


def read_probe(settings: Settings, reply: HttpReply) -> Result:
    """Return accepted when the key may send mail."""
    told = api.read_json(reply)
    scopes = told.get("scopes") if isinstance(told, dict) else None
    if reply.status == 200 and isinstance(scopes, list) and "mail.send" not in scopes:
        return Result(Outcome.BLOCKED, "no_scope:mail.send", is_systemic=True)
    return channel.probed(CODES, reply, is_good=isinstance(scopes, list))


def _headers(secrets: Secrets) -> dict[str, str]:
    return api.headers(authorization=f"Bearer {secrets['token_env']}")


def _field(reply: HttpReply) -> str:
    """Return which field was refused, as far as SendGrid says it in one word."""
    told = api.read_json(reply)
    errors = told.get("errors") if isinstance(told, dict) else None
    first = errors[0] if isinstance(errors, list) and errors else None
    return token(first.get("field"), "unnamed") if isinstance(first, dict) else "unnamed"
