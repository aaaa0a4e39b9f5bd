"""Messages that Customer.io sends for us: transactional e-mail, text messages and push (App API), one per call.

Documentation: docs.customer.io/integrations/api/app. 100 a second. A 200 says that it is queued. There is no
idempotency key: what is unknown is not sent again. Somebody whom Customer.io does not know becomes a person there. Text
messages and push need a template of Customer.io's, which prints `{{trigger.text}}`, `{{trigger.title}}` and so on.
"""

from __future__ import annotations

from collections.abc import Mapping
from email.utils import formataddr
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import orjson
from pydantic import Field, model_validator

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
from tailrace.destinations.mime import check_words, headers_of, mailbox, sender_of
from tailrace.destinations.normal import e164
from tailrace.destinations.transport import HttpSession

NAME = "customerio_messages"


class Settings(api.ApiSettings):
    """`token_env` names the App API key, `from` the sender of e-mail that names none.

    `email_template`, `sms_template` and `push_template` are ids or trigger names of transactional messages; e-mail
    needs none. `people_by` says who is meant: whoever has the address (a push message's is the person's id), or the
    person whose id there is our `person_id`, which text messages need.
    """

    hosts: ClassVar[Mapping[str, str]] = {"us": "https://api.customer.io", "eu": "https://api-eu.customer.io"}

    token_env: str
    sender: str | None = Field(default=None, alias="from")
    email_template: str | int | None = None
    sms_template: str | int | None = None
    push_template: str | int | None = None
    people_by: Literal["address", "person_id"] = "address"
    send_to_unsubscribed: bool = False
    one_click: bool = True

    @model_validator(mode="after")
    def _knows_whom_it_texts(self) -> Self:
        if self.sms_template is not None and self.people_by != "person_id":
            raise ValueError(
                "`sms_template` needs `people_by: person_id`: a number is nobody's id there; sync `person_id` as `id`"
            )
        return self


CAPABILITIES = Capabilities(
    channels=frozenset({"email", "sms", "push"}),
    takes_batches=False,
    is_idempotent=False,
    needs_live=True,
    slots=4,
    calls_per_second=100.0,
)

CODES: dict[Any, Meaning] = {
    **api.STATUSES,
    200: Meaning(Outcome.ACCEPTED, "Customer.io queued it"),
    400: Meaning(Outcome.REJECTED, "Customer.io refuses a field of it"),
    403: Meaning(Outcome.BLOCKED, "the workspace may not send these on this channel", is_systemic=True),
    413: Meaning(Outcome.REJECTED, "it is too large"),
    422: Meaning(Outcome.REJECTED, "Customer.io refuses a field of it"),
    429: Meaning(Outcome.RETRY_LATER, "more than 100 a second", is_systemic=True),
}


def connect(settings: Settings, secrets: Secrets, files: Path) -> HttpSession:
    """Return a session over HTTP."""
    return api.session(settings)


def build_request(settings: Settings, secrets: Secrets, item: Item) -> HttpRequest:
    """Return the POST for one message."""
    message = channel.message_of(item)
    say = {"email": _email, "sms": _sms, "push": _push}.get(message.channel)
    if say is None:
        raise RefusedError("channel:not_carried")
    common = {"message_data": {"intent_id": message.intent_id}, "send_to_unsubscribed": settings.send_to_unsubscribed}
    body = say(settings, message, common)
    url = f"{settings.host}/v1/send/{message.channel}"
    return HttpRequest("POST", url, _headers(secrets), channel.to_json(body))


def read_response(settings: Settings, item: Item, reply: HttpReply) -> Result:
    """Return what the answer means: the id of the delivery, or a status."""
    if reply.status != 200:
        return api.by_status(CODES, reply, item.at)
    told = api.read_json(reply)
    delivery = channel.id_of(told, "delivery_id")
    return api.unreadable(reply) if delivery is None else Result(Outcome.ACCEPTED, "http_200", provider_id=delivery)


def build_probe(settings: Settings, secrets: Secrets) -> HttpRequest:
    """Return the call that lists the transactional messages."""
    return HttpRequest("GET", f"{settings.host}/v1/transactional", _headers(secrets), b"", acts=False)


def read_probe(settings: Settings, reply: HttpReply) -> Result:
    """Return accepted when the key lets us see them."""
    told = api.read_json(reply)
    return channel.probed(CODES, reply, is_good=isinstance(told, dict) and "messages" in told)


def _email(settings: Settings, message: Message, common: dict[str, Any]) -> dict[str, Any]:
    words = message.rendered
    check_words(words)
    address = mailbox(message.address)
    headers = dict(headers_of(words, one_click=settings.one_click))
    reply_to = headers.pop("Reply-To", None)
    body = common | {
        "to": address,
        "identifiers": _whom(settings, message, {"email": address}),
        "from": formataddr(sender_of(message, settings.sender)),
        "subject": words.subject,
        "body": words.text if words.html is None else words.html,
        "body_plain": words.text,
        # The rules of its style sheet stand in the elements already.
        "disable_css_preprocessing": True,
    }
    if headers:
        body["headers"] = orjson.dumps([{"name": name, "value": value} for name, value in headers.items()]).decode()
    if reply_to is not None:
        body["reply_to"] = mailbox(reply_to)
    return body if settings.email_template is None else body | {"transactional_message_id": settings.email_template}


def _sms(settings: Settings, message: Message, common: dict[str, Any]) -> dict[str, Any]:
    if settings.sms_template is None:
        raise RefusedError("connection:no_template")
    number = e164(message.address, None)
    if number is None:
        raise RefusedError("address:no_number")
    said = common["message_data"] | {"text": message.rendered.text.strip("\n")}
    whom = _whom(settings, message, {})
    return common | {
        "transactional_message_id": settings.sms_template, "to": number, "identifiers": whom, "message_data": said,
    }  # fmt: skip


def _push(settings: Settings, message: Message, common: dict[str, Any]) -> dict[str, Any]:
    if settings.push_template is None:
        raise RefusedError("connection:no_template")
    try:
        sheet = orjson.loads(message.rendered.text)
    except orjson.JSONDecodeError:
        sheet = None
    if not isinstance(sheet, dict):
        raise RefusedError("push:not_a_message")
    body = common | {
        "transactional_message_id": settings.push_template,
        "identifiers": _whom(settings, message, {"id": message.address}),
        "title": str(sheet.get("title") or ""),
        "message": str(sheet.get("body") or ""),
        "message_data": common["message_data"] | sheet,
    }
    return body | {"link": str(sheet["link"])} if sheet.get("link") else body


def _whom(settings: Settings, message: Message, by_address: dict[str, str]) -> dict[str, str]:
    return {"id": str(message.person_id)} if settings.people_by == "person_id" else by_address


def _headers(secrets: Secrets) -> dict[str, str]:
    return api.headers(authorization=f"Bearer {secrets['token_env']}")
