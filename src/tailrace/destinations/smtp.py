"""E-mail over SMTP (RFC 5321): one message per dialogue, one recipient per message.

SMTP has no idempotency key. Up to the final dot nothing has been handed over; after it, no answer means that the
fate is unknown, and it is never repeated by itself. Rates are the relay's: it answers 421, 450, 451, 452 or 454.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from tailrace.destinations.base import (
    Batch,
    Capabilities,
    ConnectionSettings,
    Item,
    Mail,
    Meaning,
    Outcome,
    RefusedError,
    Result,
    Secrets,
    SmtpReply,
)
from tailrace.destinations.dkim_signature import check_key, signed
from tailrace.destinations.mime import build, mailbox, sender_of, split_sender
from tailrace.destinations.transport import Greeting, SmtpSession

NAME = "smtp"


class Settings(ConnectionSettings):
    """A relay. `from` is the sender of messages that name none, `bounces_to` the envelope sender when it is another.

    `security` is starttls, tls or none; there is never a fall-back to clear text. `name` is what we call ourselves.
    `one_click: false` where the page behind `unsubscribe_url` takes no POST. The three of `dkim_…` go together, for a
    relay that does not sign.
    """

    host: str
    port: int = Field(default=587, ge=1, le=65535)
    security: Literal["starttls", "tls", "none"] = "starttls"
    username: str | None = None
    password_env: str | None = None
    sender: str | None = Field(default=None, alias="from")
    bounces_to: str | None = None
    name: str = "localhost"
    ca_file: str | None = None
    one_click: bool = True
    dkim_domain: str | None = Field(default=None, pattern=r"^[A-Za-z0-9.-]+$")
    dkim_selector: str | None = Field(default=None, pattern=r"^[A-Za-z0-9._-]+$")
    dkim_key_env: str | None = None
    timeout_seconds: float = Field(default=30.0, gt=0, le=300)
    slots: int = Field(default=4, ge=1, le=50)

    @model_validator(mode="after")
    def _signs_wholly(self) -> Self:
        given = [self.dkim_domain, self.dkim_selector, self.dkim_key_env]
        if any(given) and not all(given):
            raise ValueError("`dkim_domain`, `dkim_selector` and `dkim_key_env` go together; expected all or none")
        return self


CAPABILITIES = Capabilities(
    channels=frozenset({"email"}), takes_batches=False, is_idempotent=False, needs_live=True, slots=4
)

CODES = {
    250: Meaning(Outcome.ACCEPTED, "the relay took it over"),
    251: Meaning(Outcome.ACCEPTED, "the relay took it over and will forward it"),
    252: Meaning(Outcome.ACCEPTED, "the relay took it over without verifying the recipient"),
    421: Meaning(Outcome.RETRY_LATER, "the relay is closing the connection", is_systemic=True),
    450: Meaning(Outcome.RETRY_LATER, "mailbox busy, or the relay wants to see it again later"),
    451: Meaning(Outcome.RETRY_LATER, "an error at the relay; it wants to see it again later"),
    452: Meaning(Outcome.RETRY_LATER, "the relay has no room, or too many at once"),
    454: Meaning(Outcome.RETRY_LATER, "the relay throttles", is_systemic=True),
    455: Meaning(Outcome.RETRY_LATER, "the relay cannot take these parameters now"),
    530: Meaning(Outcome.BLOCKED, "the relay wants a login", is_systemic=True),
    534: Meaning(Outcome.BLOCKED, "the relay wants another login", is_systemic=True),
    535: Meaning(Outcome.BLOCKED, "the relay refused the login", is_systemic=True),
    538: Meaning(Outcome.BLOCKED, "the relay wants encryption", is_systemic=True),
    550: Meaning(Outcome.REJECTED, "no such mailbox, or refused by policy"),
    551: Meaning(Outcome.REJECTED, "the recipient is not here"),
    552: Meaning(Outcome.REJECTED, "the mailbox is full, or the message too large"),
    553: Meaning(Outcome.REJECTED, "the address is not allowed"),
    554: Meaning(Outcome.REJECTED, "refused"),
    555: Meaning(Outcome.REJECTED, "the relay does not take these parameters"),
    556: Meaning(Outcome.REJECTED, "the domain takes no mail"),
}

_BEFORE_ANY_RECIPIENT = frozenset({"connect", "login", "mail"})


def connect(settings: Settings, secrets: Secrets, files: Path) -> SmtpSession:
    """Return a session that connects when it is first used. Raises DestinationError when the key cannot sign."""
    if settings.dkim_key_env is not None and "dkim_key_env" in secrets:
        check_key(secrets["dkim_key_env"], settings.dkim_key_env)
    return SmtpSession(
        host=settings.host,
        port=settings.port,
        security=settings.security,
        login=(settings.username, secrets["password_env"]) if settings.username and settings.password_env else None,
        name=settings.name,
        ca_file=settings.ca_file,
        timeout=settings.timeout_seconds,
    )


def build_request(settings: Settings, secrets: Secrets, item: Item) -> Mail:
    """Return the e-mail for one message."""
    if isinstance(item, Batch):
        raise RefusedError("destination:takes_no_batches")
    sender = sender_of(item, settings.sender)
    bounces_to = split_sender(settings.bounces_to)[1] if settings.bounces_to else sender[1]
    content = build(item, sender, one_click=settings.one_click)
    if settings.dkim_domain is not None and settings.dkim_selector is not None:
        key = secrets["dkim_key_env"]
        content = signed(content, selector=settings.dkim_selector, domain=settings.dkim_domain, key=key, at=item.at)
    return Mail(bounces_to, mailbox(item.address), content)


def build_probe(settings: Settings, secrets: Secrets) -> Greeting:
    """Return the wish to be let in, and to say nothing."""
    return Greeting()


def read_probe(settings: Settings, reply: SmtpReply) -> Result:
    """Return accepted when the relay encrypts as it is wanted to, and takes the login."""
    return _meant(reply)


def read_response(settings: Settings, item: Item, reply: SmtpReply) -> Result:
    """Return what the relay's last answer means.

    A final refusal before any recipient was named is about us (sender, login), not about the person: blocked.
    """
    return _meant(reply)


def _meant(reply: SmtpReply) -> Result:
    code = f"smtp_{reply.code}_{reply.stage}"
    known = CODES.get(reply.code)
    if known is None:
        family = {4: Outcome.RETRY_LATER, 5: Outcome.REJECTED}
        known = Meaning(family.get(reply.code // 100, Outcome.UNKNOWN), "a code that tailrace does not know")
    if known.outcome in {Outcome.ACCEPTED, Outcome.UNKNOWN} and reply.stage != "end":
        # Before the dot nothing was handed over, however strange the answer.
        return Result(Outcome.RETRY_LATER, code, is_systemic=True)
    if reply.stage in _BEFORE_ANY_RECIPIENT:
        is_final = known.outcome is Outcome.REJECTED
        return Result(Outcome.BLOCKED if is_final else known.outcome, code, is_systemic=True)
    return Result(known.outcome, code, is_systemic=known.is_systemic)
