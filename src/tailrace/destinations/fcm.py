"""Push messages through Firebase Cloud Messaging (HTTP v1): one message to one installation per call.

Documentation: firebase.google.com/docs/cloud-messaging. At most 4,096 bytes; 600,000 messages a minute for a project,
above which 429 with Retry-After. There is no idempotency key: what is unknown is not sent again. A message goes to the
address in the person's column `push_token`; an installation that is gone is refused with UNREGISTERED.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar, Literal

import orjson

from tailrace.destinations import api, channel, tokens
from tailrace.destinations.base import (
    Capabilities,
    HttpReply,
    HttpRequest,
    Item,
    Meaning,
    Outcome,
    RefusedError,
    Result,
    Secrets,
    token,
)
from tailrace.destinations.token_session import TokenSession

NAME = "fcm"
LONGEST_MESSAGE = 4_096
SCOPE = "https://www.googleapis.com/auth/firebase.messaging"
_RESERVED = frozenset({"from", "message_type", "notification"})


class Settings(api.HostSettings):
    """`key_env` names the variable that holds the service account's key: the JSON of its file.

    `project` is the key's own unless it is said. `addressed_by` is what addresses are: registration tokens, or the
    newer installation ids (`fid`).
    """

    home: ClassVar[str] = "https://fcm.googleapis.com"

    key_env: str
    project: str | None = None
    addressed_by: Literal["token", "fid"] = "token"


CAPABILITIES = Capabilities(
    channels=frozenset({"push"}),
    takes_batches=False,
    is_idempotent=False,
    needs_live=True,
    slots=4,
)

_NOT_LET_IN = "Google does not accept the token"

CODES: dict[Any, Meaning] = {
    **api.STATUSES,
    "UNREGISTERED": Meaning(Outcome.REJECTED, "the installation is gone: the app was removed, or the token is old"),
    "SENDER_ID_MISMATCH": Meaning(Outcome.REJECTED, "the address is of another project"),
    "INVALID_ARGUMENT": Meaning(Outcome.REJECTED, "a field of it is wrong"),
    "INVALID_ARGUMENT:address": Meaning(Outcome.REJECTED, "the address is none"),
    "QUOTA_EXCEEDED": Meaning(Outcome.RETRY_LATER, "the project, or the device, gets too much", is_systemic=True),
    "RESOURCE_EXHAUSTED": Meaning(Outcome.RETRY_LATER, "the project sends too much", is_systemic=True),
    "UNAVAILABLE": Meaning(Outcome.RETRY_LATER, "FCM is not available", is_systemic=True),
    "INTERNAL": Meaning(Outcome.RETRY_LATER, "FCM failed and says so", is_systemic=True),
    "THIRD_PARTY_AUTH_ERROR": Meaning(Outcome.BLOCKED, "Apple's key is missing or wrong", is_systemic=True),
    "UNAUTHENTICATED": Meaning(Outcome.BLOCKED, _NOT_LET_IN, is_systemic=True),
    "PERMISSION_DENIED": Meaning(Outcome.BLOCKED, "the account may not send for this project", is_systemic=True),
    "NOT_FOUND": Meaning(Outcome.BLOCKED, "there is no such project", is_systemic=True),
}

RECEIPTS = {"UNREGISTERED": "bounced", "INVALID_ARGUMENT:address": "bounced"}
"""What a refusal says of the address, as a receipt would. SENDER_ID_MISMATCH says as much of our project as of it."""


def connect(settings: Settings, secrets: Secrets, files: Path) -> TokenSession:
    """Return a session that gets its own token. Raises DestinationError when the key is none, or the extra missing."""
    grant = _grant(settings, secrets) if "key_env" in secrets else tokens.Grant("", {})
    return TokenSession(api.session(settings), grant)


def build_request(settings: Settings, secrets: Secrets, item: Item) -> HttpRequest:
    """Return the POST for one message; its token is put in as it leaves."""
    message = channel.message_of(item)
    if not message.address:
        raise RefusedError("address:missing")
    sheet = _sheet(message.rendered.text)
    data = {str(name): _as_text(value) for name, value in (sheet.get("data") or {}).items()}
    if any(name in _RESERVED or name.startswith(("google.", "gcm.")) for name in data):
        raise RefusedError("push:reserved_name")
    if sheet.get("link"):
        data.setdefault("link", str(sheet["link"]))
    said = {
        settings.addressed_by: message.address,
        "notification": {"title": str(sheet.get("title") or ""), "body": str(sheet.get("body") or "")},
        "data": data | {"intent_id": message.intent_id},
    }
    body = channel.to_json({"message": said})
    if len(channel.to_json({name: said[name] for name in ("notification", "data")})) > LONGEST_MESSAGE:
        raise RefusedError("push:too_large")
    return HttpRequest("POST", _address(settings, secrets), api.headers(), body)


def read_response(settings: Settings, item: Item, reply: HttpReply) -> Result:
    """Return what the answer means: the message's name, or FCM's own error, or Google's."""
    no_token = tokens.refusal(reply, item.at)
    if no_token is not None:
        return no_token
    told = api.read_json(reply)
    if reply.status == 200:
        name = told.get("name") if isinstance(told, dict) else None
        if not isinstance(name, str):
            return api.unreadable(reply)
        provider_id = token(name.rpartition("/")[2].partition("%")[0], "") or None
        return Result(Outcome.ACCEPTED, "http_200", provider_id=provider_id)
    return _refused(reply, told, item.at)


def build_probe(settings: Settings, secrets: Secrets) -> HttpRequest:
    """Return the call that has a message to a topic looked at, and not sent."""
    said = {"topic": "tailrace", "notification": {"title": "tailrace", "body": "check"}}
    body = orjson.dumps({"validate_only": True, "message": said})
    return HttpRequest("POST", _address(settings, secrets), api.headers(), body, acts=False)


def read_probe(settings: Settings, reply: HttpReply) -> Result:
    """Return accepted when the project would have taken it."""
    told = api.read_json(reply)
    no_token = tokens.refusal(reply, tokens.LONG_AGO)
    if no_token is not None:
        return no_token
    if reply.status == 200:
        return channel.probed(CODES, reply, is_good=isinstance(told, dict) and "name" in told)
    return _refused(reply, told, None)


def _refused(reply: HttpReply, told: Any, at: datetime | None) -> Result:
    plain = api.by_status(CODES, reply, at)
    code = _error(told)
    if code not in CODES:
        return plain
    return Result(CODES[code].outcome, code, retry_after=plain.retry_after, is_systemic=CODES[code].is_systemic)


def _error(told: Any) -> str:
    """Return FCM's own word for the error, else Google's; an argument that is wrong is the address or one of ours."""
    error = told.get("error") if isinstance(told, dict) else None
    if not isinstance(error, dict):
        return ""
    details = error.get("details")
    known = [one for one in details if isinstance(one, dict)] if isinstance(details, list) else []
    own = next((str(one["errorCode"]) for one in known if "errorCode" in one), "")
    names_field = any("fieldViolations" in one for one in known)
    if own == "INVALID_ARGUMENT" and not names_field:
        return "INVALID_ARGUMENT:address"
    return own or str(error.get("status") or "")


def _sheet(text: str) -> dict[str, Any]:
    """Return title, body, link and data of a push message."""
    try:
        told = orjson.loads(text)
    except orjson.JSONDecodeError:
        told = None
    if not isinstance(told, dict) or not isinstance(told.get("data") or {}, dict):
        raise RefusedError("push:not_a_message")
    return told


def _as_text(value: Any) -> str:
    """Return a value of `data`, where FCM takes text only."""
    return value if isinstance(value, str) else channel.to_json(value).decode()


def _key(settings: Settings, secrets: Secrets) -> dict[str, Any]:
    return tokens.read_object(settings.key_env, secrets["key_env"])


def _grant(settings: Settings, secrets: Secrets) -> tokens.Grant:
    schemes = {"https", "http"} if settings.private_network else {"https"}
    return tokens.google_grant(settings.key_env, _key(settings, secrets), SCOPE, schemes)


def _address(settings: Settings, secrets: Secrets) -> str:
    project = settings.project or _key(settings, secrets).get("project_id")
    if not project:
        raise RefusedError("connection:no_project")
    return f"{settings.host}/v1/projects/{project}/messages:send"
