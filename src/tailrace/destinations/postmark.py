"""E-mail through Postmark's API: one message per call.

Documentation: postmarkapp.com/developer/api/email-api. At most 10 MB a message. Whether it is accepted says `ErrorCode`
in the body (0), whatever the status; these numbers look like statuses and are none. 429 without a time to wait. There
is no idempotency key: what is unknown is not sent again. Postmark's webhooks bring back `Metadata.intent_id`.
"""

from __future__ import annotations

from email.utils import formataddr
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
)
from tailrace.destinations.mime import check_words, headers_of, mailbox, sender_of
from tailrace.destinations.transport import HttpSession

NAME = "postmark"


class Settings(api.HostSettings):
    """`token_env` names the server's token, `from` the sender of messages that name none.

    `stream` is the message stream: `broadcast` for marketing, `outbound` for transactional mail. There is one region.
    """

    home: ClassVar[str] = "https://api.postmarkapp.com"

    token_env: str
    sender: str | None = Field(default=None, alias="from")
    stream: str = Field(default="broadcast", pattern=r"^[a-z0-9_-]+$")
    one_click: bool = True


CAPABILITIES = Capabilities(
    channels=frozenset({"email"}), takes_batches=False, is_idempotent=False, needs_live=True, slots=4
)

CODES: dict[Any, Meaning] = {
    **api.STATUSES,
    "postmark_0": Meaning(Outcome.ACCEPTED, "Postmark took it over"),
    "postmark_10": Meaning(Outcome.BLOCKED, "the token is not accepted", is_systemic=True),
    "postmark_100": Meaning(Outcome.RETRY_LATER, "Postmark is being maintained", is_systemic=True),
    "postmark_300": Meaning(Outcome.REJECTED, "a field of it is not valid"),
    "postmark_400": Meaning(Outcome.BLOCKED, "the sender is not known to Postmark", is_systemic=True),
    "postmark_401": Meaning(Outcome.BLOCKED, "the sender was not confirmed", is_systemic=True),
    "postmark_402": Meaning(Outcome.REJECTED, "its JSON is not valid"),
    "postmark_403": Meaning(Outcome.REJECTED, "its JSON is not what Postmark expects"),
    "postmark_405": Meaning(Outcome.BLOCKED, "the account may not send: no credits are left", is_systemic=True),
    "postmark_406": Meaning(Outcome.REJECTED, "the address is inactive: bounced, complained or left"),
    "postmark_409": Meaning(Outcome.BLOCKED, "Postmark wants JSON", is_systemic=True),
    "postmark_411": Meaning(Outcome.REJECTED, "an attachment is of a forbidden kind"),
    "postmark_412": Meaning(Outcome.BLOCKED, "the account waits for approval", is_systemic=True),
    "postmark_413": Meaning(Outcome.BLOCKED, "the account may not send", is_systemic=True),
    "postmark_1235": Meaning(Outcome.BLOCKED, "there is no such message stream", is_systemic=True),
}

RECEIPTS = {"postmark_406": "bounced"}
"""What a refusal says of the address, as a receipt would."""

_TOKEN = "x-postmark-server-token"  # noqa: S105


def connect(settings: Settings, secrets: Secrets, files: Path) -> HttpSession:
    """Return a session over HTTP."""
    return api.session(settings)


def build_request(settings: Settings, secrets: Secrets, item: Item) -> HttpRequest:
    """Return the POST for one message."""
    message = channel.message_of(item)
    words = message.rendered
    check_words(words)
    headers = dict(headers_of(words, one_click=settings.one_click))
    reply_to = headers.pop("Reply-To", None)
    body: dict[str, Any] = {
        "From": formataddr(sender_of(message, settings.sender)),
        "To": mailbox(message.address),
        "Subject": words.subject,
        "TextBody": words.text,
        "MessageStream": settings.stream,
        "Tag": message.campaign,
        "Metadata": {"intent_id": message.intent_id},
    }
    if words.html is not None:
        body["HtmlBody"] = words.html
    if reply_to is not None:
        body["ReplyTo"] = mailbox(reply_to)
    if headers:
        body["Headers"] = [{"Name": name, "Value": value} for name, value in headers.items()]
    return HttpRequest("POST", f"{settings.host}/email", _headers(secrets), channel.to_json(body))


def read_response(settings: Settings, item: Item, reply: HttpReply) -> Result:
    """Return what the answer means: its `ErrorCode` where it has one, else its status."""
    told = api.read_json(reply)
    number = told.get("ErrorCode") if isinstance(told, dict) else None
    if not isinstance(number, int) or isinstance(number, bool):
        return api.unreadable(reply) if reply.status == 200 else api.by_status(CODES, reply, item.at)
    code = f"postmark_{number}"
    known = CODES.get(code)
    if known is None:
        # What is refused with a number that we do not know was refused all the same.
        plain = api.by_status(CODES, reply, item.at)
        return Result(plain.outcome, code, retry_after=plain.retry_after, is_systemic=plain.is_systemic)
    provider_id = channel.id_of(told, "MessageID") if known.outcome is Outcome.ACCEPTED else None
    return Result(known.outcome, code, provider_id=provider_id, is_systemic=known.is_systemic)


def build_probe(settings: Settings, secrets: Secrets) -> HttpRequest:
    """Return the call that asks what the token is for."""
    return HttpRequest("GET", f"{settings.host}/server", _headers(secrets), b"", acts=False)


def read_probe(settings: Settings, reply: HttpReply) -> Result:
    """Return accepted when the token is a server's."""
    told = api.read_json(reply)
    return channel.probed(CODES, reply, is_good=isinstance(told, dict) and "ID" in told)


def _headers(secrets: Secrets) -> dict[str, str]:
    return api.headers() | {_TOKEN: secrets["token_env"]}
