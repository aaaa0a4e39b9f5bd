"""E-mail through Amazon SES (API v2, SendEmail): one message per call, as the bytes that we made.

Documentation: docs.aws.amazon.com/ses/latest/dg and the service's model. At most 40 MB a message; the account's rate
counts recipients (sandbox: 1 a second, 200 a day, to verified addresses): set `calls_per_second`. What is throttled is
dropped there, so it is sent again; SES has no idempotency key, so what is unknown is not. It writes a Message-ID of its
own; its events bring back the tag `intent_id`.
"""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any, Self

from pydantic import Field, model_validator

from tailrace.destinations import api, channel
from tailrace.destinations.amazon import SignedSession, credentials
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
from tailrace.destinations.mime import build, mailbox, sender_of

NAME = "ses"
_A_DAYS_QUOTA = 3600.0


class Settings(api.HostSettings):
    """`region` is Amazon's (`eu-west-1`). `from` is the sender of messages that name none.

    Without the names of keys, the credentials are those that boto3 finds: a profile, or the machine's role.
    """

    region: str = Field(default="us-east-1", pattern=r"^[a-z]{2}(-[a-z]+)+-\d$")
    access_key_id_env: str | None = None
    secret_access_key_env: str | None = None
    session_token_env: str | None = None
    configuration_set: str | None = Field(default=None, pattern=r"^[A-Za-z0-9_-]{1,64}$")
    sender: str | None = Field(default=None, alias="from")
    one_click: bool = True

    @model_validator(mode="after")
    def _has_both_keys(self) -> Self:
        if (self.access_key_id_env is None) != (self.secret_access_key_env is None):
            raise ValueError("`access_key_id_env` and `secret_access_key_env` go together; expected both or none")
        return self

    @property
    def host(self) -> str:
        """The address of the region."""
        return (self.base_url or f"https://email.{self.region}.amazonaws.com").rstrip("/")


CAPABILITIES = Capabilities(
    channels=frozenset({"email"}), takes_batches=False, is_idempotent=False, needs_live=True, slots=4
)

_NOT_LET_IN = "Amazon does not accept the credentials"

CODES: dict[Any, Meaning] = {
    **api.STATUSES,
    "MessageRejected": Meaning(Outcome.REJECTED, "SES refuses the message"),
    "MessageRejected:not_verified": Meaning(
        Outcome.BLOCKED, "the sender is not verified, or the account is in the sandbox", is_systemic=True
    ),
    "BadRequestException": Meaning(Outcome.REJECTED, "SES does not understand it"),
    "ValidationException": Meaning(Outcome.REJECTED, "SES does not understand it"),
    "AccountSuspendedException": Meaning(Outcome.BLOCKED, "the account may never send again", is_systemic=True),
    "SendingPausedException": Meaning(Outcome.BLOCKED, "sending was paused for the account or set", is_systemic=True),
    "MailFromDomainNotVerifiedException": Meaning(Outcome.BLOCKED, "the domain is not verified", is_systemic=True),
    "NotFoundException": Meaning(Outcome.BLOCKED, "there is no such configuration set", is_systemic=True),
    "TooManyRequestsException": Meaning(Outcome.RETRY_LATER, "SES throttles", is_systemic=True),
    "LimitExceededException": Meaning(Outcome.RETRY_LATER, "a limit of the account is reached", is_systemic=True),
    "Throttling": Meaning(Outcome.RETRY_LATER, "SES throttles", is_systemic=True),
    "ThrottlingException": Meaning(Outcome.RETRY_LATER, "SES throttles", is_systemic=True),
    "InternalFailure": Meaning(Outcome.RETRY_LATER, "SES failed and says so", is_systemic=True),
    "InternalServiceErrorException": Meaning(Outcome.RETRY_LATER, "SES failed and says so", is_systemic=True),
    "ServiceUnavailable": Meaning(Outcome.RETRY_LATER, "SES is not available", is_systemic=True),
    "ServiceUnavailableException": Meaning(Outcome.RETRY_LATER, "SES is not available", is_systemic=True),
    "AccessDenied": Meaning(Outcome.BLOCKED, "the credentials may not send", is_systemic=True),
    "AccessDeniedException": Meaning(Outcome.BLOCKED, "the credentials may not send", is_systemic=True),
    "ExpiredTokenException": Meaning(Outcome.BLOCKED, "the session of the credentials is over", is_systemic=True),
    "IncompleteSignature": Meaning(Outcome.BLOCKED, _NOT_LET_IN, is_systemic=True),
    "InvalidClientTokenId": Meaning(Outcome.BLOCKED, _NOT_LET_IN, is_systemic=True),
    "InvalidSignatureException": Meaning(Outcome.BLOCKED, _NOT_LET_IN, is_systemic=True),
    "MissingAuthenticationTokenException": Meaning(Outcome.BLOCKED, _NOT_LET_IN, is_systemic=True),
    "RequestExpired": Meaning(Outcome.BLOCKED, "the clock of this machine is wrong", is_systemic=True),
    "SignatureDoesNotMatch": Meaning(Outcome.BLOCKED, _NOT_LET_IN, is_systemic=True),
    "UnrecognizedClientException": Meaning(Outcome.BLOCKED, _NOT_LET_IN, is_systemic=True),
}


def connect(settings: Settings, secrets: Secrets, files: Path) -> SignedSession:
    """Return a session whose calls are signed. Raises DestinationError without boto3 or credentials."""
    given = None
    if settings.access_key_id_env is not None:
        key, secret = secrets.get("access_key_id_env", ""), secrets.get("secret_access_key_env", "")
        given = (key, secret, secrets.get("session_token_env"))
    return SignedSession(api.session(settings), credentials(given, "ses"), "ses", settings.region)


def build_request(settings: Settings, secrets: Secrets, item: Item) -> HttpRequest:
    """Return the call for one message, not signed yet."""
    message = channel.message_of(item)
    sender = sender_of(message, settings.sender)
    content = build(message, sender, one_click=settings.one_click)
    body: dict[str, Any] = {
        "FromEmailAddress": sender[1],
        "Destination": {"ToAddresses": [mailbox(message.address)]},
        "Content": {"Raw": {"Data": base64.b64encode(content).decode()}},
        "EmailTags": [{"Name": "intent_id", "Value": message.intent_id}],
    }
    if settings.configuration_set is not None:
        body["ConfigurationSetName"] = settings.configuration_set
    return HttpRequest("POST", f"{settings.host}/v2/email/outbound-emails", api.headers(), channel.to_json(body))


def read_response(settings: Settings, item: Item, reply: HttpReply) -> Result:
    """Return what the answer means: the id of the message, or an error with its name."""
    told = api.read_json(reply)
    if reply.status == 200:
        name = channel.id_of(told, "MessageId")
        return api.unreadable(reply) if name is None else Result(Outcome.ACCEPTED, "http_200", provider_id=name)
    name = _error(reply, told)
    plain = api.by_status(CODES, reply, item.at)
    if name not in CODES:
        return plain
    known, later = CODES[name], plain.retry_after
    if known.outcome is Outcome.RETRY_LATER and "daily" in _words(told):
        later = later or _A_DAYS_QUOTA
    return Result(
        known.outcome,
        name,
        retry_after=later if known.outcome is Outcome.RETRY_LATER else None,
        is_systemic=known.is_systemic,
    )


def build_probe(settings: Settings, secrets: Secrets) -> HttpRequest:
    """Return the call that asks for the account's limits."""
    return HttpRequest("GET", f"{settings.host}/v2/email/account", api.headers(), b"", acts=False)


def read_probe(settings: Settings, reply: HttpReply) -> Result:
    """Return accepted when the account may send."""
    told = api.read_json(reply)
    name = _error(reply, told)
    if reply.status != 200 and name in CODES:
        return Result(CODES[name].outcome, name, is_systemic=CODES[name].is_systemic)
    if isinstance(told, dict) and told.get("SendingEnabled") is False:
        return Result(Outcome.BLOCKED, "SendingPausedException", is_systemic=True)
    return channel.probed(CODES, reply, is_good=isinstance(told, dict) and "SendQuota" in told)


def _error(reply: HttpReply, told: Any) -> str:
    """Return the error's name: of a header, else of the body, without its namespace and what follows a colon."""
    named = told if isinstance(told, dict) else {}
    told_name = reply.headers.get("x-amzn-errortype") or named.get("__type") or named.get("code") or ""
    name = str(told_name).partition(":")[0].rpartition("#")[2]
    # An address that is not verified is the sender's, or the sandbox speaks: no message will fare better.
    return f"{name}:not_verified" if name == "MessageRejected" and "not verified" in _words(told) else name


def _words(told: Any) -> str:
    words = (told.get("message") or told.get("Message") or "") if isinstance(told, dict) else ""
    return str(words).lower()
