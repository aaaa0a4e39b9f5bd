"""Text messages and WhatsApp through Twilio: one message per call.

Documentation: twilio.com/docs/messaging/api/message-resource. At most 1,600 characters. A 201 says that it is queued;
what becomes of it comes to the status callback. Too many calls at once: 429 with code 20429, and never processed. There
is no idempotency key: what is unknown is not sent again. Twilio answers STOP itself, and refuses with 21610 after it.
A message on WhatsApp is a template (`template`, `variables`), or text within a day of the person's own last word.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlencode, urlsplit, urlunsplit

from pydantic import Field, field_validator, model_validator

from tailrace.destinations import api, channel
from tailrace.destinations.base import (
    Capabilities,
    HttpReply,
    HttpRequest,
    Item,
    Meaning,
    Message,
    Outcome,
    RefusedError,
    Result,
    Secrets,
)
from tailrace.destinations.normal import country, e164
from tailrace.destinations.transport import HttpSession

NAME = "twilio"
LONGEST_TEXT = 1_600
_NUMBER = r"^(\+[1-9]\d{4,14}|[A-Za-z0-9 ]{1,11})$"


class Settings(api.HostSettings):
    """The account, and who writes: `from` (a number with +, or a name), or a `messaging_service`; `whatsapp_from`.

    `token_env` names the account's token, or with `key_sid` the secret of that API key. `region` and `edge` are
    Twilio's (`ie1`, `dublin`). `country` is where a number without its country's code is from.
    """

    region: str = Field(default="us1", pattern=r"^[a-z]{2}\d$")
    edge: str | None = Field(default=None, pattern=r"^[a-z0-9-]+$")
    account_sid: str = Field(pattern=r"^[A-Za-z0-9_]+$")
    token_env: str
    key_sid: str | None = Field(default=None, pattern=r"^[A-Za-z0-9_]+$")
    number: str | None = Field(default=None, alias="from", pattern=_NUMBER)
    messaging_service: str | None = Field(default=None, pattern=r"^MG[A-Za-z0-9]+$")
    whatsapp_from: str | None = Field(default=None, pattern=r"^\+[1-9]\d{4,14}$")
    country: str | None = None
    status_callback: str | None = Field(default=None, pattern=r"^https://")
    validity_seconds: int | None = Field(default=None, ge=1, le=36_000)
    smart_encoded: bool = False

    @field_validator("country")
    @classmethod
    def _is_country(cls, value: str | None) -> str | None:
        if value is not None and country(value) is None:
            raise ValueError("`country` is none; expected two letters such as GB, or an English name")
        return value

    @model_validator(mode="after")
    def _says_who_writes(self) -> Self:
        if self.number is not None and self.messaging_service is not None:
            raise ValueError("`from` and `messaging_service` are both there; expected one of them")
        if not (self.number or self.messaging_service or self.whatsapp_from):
            raise ValueError("nobody writes; expected `from`, `messaging_service` or `whatsapp_from`")
        return self

    @property
    def host(self) -> str:
        """The address of the region and edge."""
        place = "".join(f"{part}." for part in (self.edge, self.region if self._is_elsewhere else None) if part)
        return (self.base_url or f"https://api.{place}twilio.com").rstrip("/")

    @property
    def _is_elsewhere(self) -> bool:
        return self.region != "us1" or self.edge is not None


CAPABILITIES = Capabilities(
    channels=frozenset({"sms", "whatsapp"}), takes_batches=False, is_idempotent=False, needs_live=True, slots=4
)

_NOT_LET_IN = "Twilio does not accept the credentials"
_NOT_A_NUMBER = "it is no number that gets text messages"

CODES: dict[Any, Meaning] = {
    **api.STATUSES,
    20003: Meaning(Outcome.BLOCKED, _NOT_LET_IN, is_systemic=True),
    20005: Meaning(Outcome.BLOCKED, "the account is not active", is_systemic=True),
    20404: Meaning(Outcome.BLOCKED, "there is no such account", is_systemic=True),
    20429: Meaning(Outcome.RETRY_LATER, "too many calls at once; this one was not processed", is_systemic=True),
    20500: Meaning(Outcome.RETRY_LATER, "Twilio failed and says so", is_systemic=True),
    20503: Meaning(Outcome.RETRY_LATER, "Twilio is not available", is_systemic=True),
    21211: Meaning(Outcome.REJECTED, _NOT_A_NUMBER),
    21212: Meaning(Outcome.BLOCKED, "the sender is no number", is_systemic=True),
    21408: Meaning(Outcome.REJECTED, "the account may not write to this country"),
    21602: Meaning(Outcome.REJECTED, "it says nothing"),
    21603: Meaning(Outcome.BLOCKED, "the sender is missing", is_systemic=True),
    21604: Meaning(Outcome.REJECTED, "the number is missing"),
    21606: Meaning(Outcome.BLOCKED, "the sender cannot send text messages", is_systemic=True),
    21608: Meaning(Outcome.REJECTED, "a trial account writes to verified numbers only"),
    21610: Meaning(Outcome.REJECTED, "the person said STOP"),
    21611: Meaning(Outcome.RETRY_LATER, "the sender's queue is full", is_systemic=True),
    21612: Meaning(Outcome.REJECTED, "this sender cannot reach this number"),
    21614: Meaning(Outcome.REJECTED, _NOT_A_NUMBER),
    21617: Meaning(Outcome.REJECTED, "it is longer than 1,600 characters"),
    21659: Meaning(Outcome.BLOCKED, "the sender is not a number of this account", is_systemic=True),
    21660: Meaning(Outcome.BLOCKED, "the sender is a number of another account", is_systemic=True),
    21703: Meaning(Outcome.BLOCKED, "the messaging service has no number", is_systemic=True),
    21704: Meaning(Outcome.BLOCKED, "the messaging service has no number", is_systemic=True),
    30003: Meaning(Outcome.REJECTED, "the phone is switched off or out of reach"),
    30005: Meaning(Outcome.REJECTED, "nobody has this number"),
    30006: Meaning(Outcome.REJECTED, "the number is a landline"),
    30007: Meaning(Outcome.BLOCKED, "the carrier filters what we write", is_systemic=True),
    30034: Meaning(Outcome.BLOCKED, "the number is not registered for 10DLC", is_systemic=True),
    63016: Meaning(Outcome.REJECTED, "a day after the person's last word WhatsApp takes templates only"),
    63024: Meaning(Outcome.REJECTED, "the number is not on WhatsApp"),
}
"""Codes of 20000 and more are Twilio's own, the others statuses."""

RECEIPTS = {
    "twilio_21610": "unsubscribed",
    "twilio_21211": "bounced",
    "twilio_21614": "bounced",
    "twilio_30005": "bounced",
    "twilio_30006": "bounced",
    "twilio_63024": "bounced",
}
"""What a refusal says of the person, or of the number, as a receipt would."""


def connect(settings: Settings, secrets: Secrets, files: Path) -> HttpSession:
    """Return a session over HTTP."""
    return api.session(settings)


def build_request(settings: Settings, secrets: Secrets, item: Item) -> HttpRequest:
    """Return the POST for one message."""
    message = channel.message_of(item)
    number = e164(message.address, settings.country)
    if number is None:
        raise RefusedError("address:no_number")
    say = _on_whatsapp if message.channel == "whatsapp" else _text
    form = say(settings, message, number)
    if settings.status_callback is not None:
        form["StatusCallback"] = _told_of(settings.status_callback, message.intent_id)
    if settings.validity_seconds is not None:
        form["ValidityPeriod"] = str(settings.validity_seconds)
    headers = _headers(settings, secrets) | {"content-type": "application/x-www-form-urlencoded"}
    try:
        body = urlencode(form).encode()
    except UnicodeEncodeError:
        raise RefusedError("message:not_text") from None
    return HttpRequest("POST", f"{_account(settings)}/Messages.json", headers, body)


def read_response(settings: Settings, item: Item, reply: HttpReply) -> Result:
    """Return what the answer means: the message's `sid`, or an error with Twilio's own code."""
    told = api.read_json(reply)
    if reply.status // 100 == 2:
        sid = channel.id_of(told, "sid")
        return api.unreadable(reply) if sid is None else Result(Outcome.ACCEPTED, "queued", provider_id=sid)
    plain = api.by_status(CODES, reply, item.at)
    number = told.get("code") if isinstance(told, dict) else None
    if not isinstance(number, int) or isinstance(number, bool) or number < 10_000:
        return plain
    known = CODES.get(number)
    if known is None:
        return Result(plain.outcome, f"twilio_{number}", retry_after=plain.retry_after, is_systemic=plain.is_systemic)
    return Result(known.outcome, f"twilio_{number}", retry_after=plain.retry_after, is_systemic=known.is_systemic)


def build_probe(settings: Settings, secrets: Secrets) -> HttpRequest:
    """Return the call that asks for a message, to see whether the account lets us."""
    return HttpRequest("GET", f"{_account(settings)}/Messages.json?PageSize=1", _headers(settings, secrets), b"", False)


def read_probe(settings: Settings, reply: HttpReply) -> Result:
    """Return accepted when the account lets us see its messages."""
    told = api.read_json(reply)
    return channel.probed(CODES, reply, is_good=isinstance(told, dict) and "messages" in told)


def _text(settings: Settings, message: Message, number: str) -> dict[str, str]:
    text = message.rendered.text.strip("\n")
    if not text.strip():
        raise RefusedError("message:no_text")
    if len(text) > LONGEST_TEXT:
        raise RefusedError("message:too_long")
    if settings.messaging_service is not None:
        form = {"To": number, "MessagingServiceSid": settings.messaging_service, "Body": text}
    elif settings.number is not None:
        form = {"To": number, "From": settings.number, "Body": text}
    else:
        raise RefusedError("connection:no_sender")
    return form | {"SmartEncoded": "true"} if settings.smart_encoded else form


def _on_whatsapp(settings: Settings, message: Message, number: str) -> dict[str, str]:
    """Return the form of a template with its variables, or of text."""
    if settings.whatsapp_from is not None:
        form = {"To": f"whatsapp:{number}", "From": f"whatsapp:{settings.whatsapp_from}"}
    elif settings.messaging_service is not None:
        form = {"To": f"whatsapp:{number}", "MessagingServiceSid": settings.messaging_service}
    else:
        raise RefusedError("connection:no_sender")
    try:
        told = json.loads(message.rendered.text)
    except ValueError:
        told = None
    if not isinstance(told, dict) or not (told.get("template") or told.get("body")):
        raise RefusedError("whatsapp:no_template")
    if told.get("template"):
        given = (told.get("variables") or {}).items()
        variables = {name: value if isinstance(value, str) else json.dumps(value) for name, value in given}
        return form | {"ContentSid": str(told["template"]), "ContentVariables": json.dumps(variables)}
    return form | {"Body": str(told["body"])}


def _told_of(callback: str, intent_id: str) -> str:
    """Return the callback's address with the message's id, for Twilio has no field that it brings back."""
    parts = urlsplit(callback)
    asked = "&".join(part for part in (parts.query, urlencode({"intent_id": intent_id})) if part)
    return urlunsplit(parts._replace(query=asked))


def _account(settings: Settings) -> str:
    return f"{settings.host}/2010-04-01/Accounts/{settings.account_sid}"


def _headers(settings: Settings, secrets: Secrets) -> dict[str, str]:
    user = settings.key_sid or settings.account_sid
    return api.headers(authorization=api.basic(user, secrets["token_env"]))
