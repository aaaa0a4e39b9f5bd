"""Slack channels, by a bot's token (chat.postMessage): a message names its channel, one message per call.

Documentation: docs.slack.dev, chat.postMessage. Slack answers 200 with `ok: false` for what it refuses. About one
message a second per channel; 429 with Retry-After. It has no idempotency key: what is unknown is not sent again. The
bot must be a member of the channel. The text is Slack's mrkdwn; `<!channel>` and its like never leave.
"""

from __future__ import annotations

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
    RefusedError,
    Result,
    Secrets,
    token,
)
from tailrace.destinations.slack import LONGEST_TEXT
from tailrace.destinations.transport import HttpSession

NAME = "slack_bot"


class Settings(api.HostSettings):
    """`token_env` names the bot's token (xoxb-…), `channel` where messages go that name none in `to`."""

    home: ClassVar[str] = "https://slack.com/api"

    token_env: str
    channel: str | None = None
    slots: int = Field(default=1, ge=1, le=50)


CAPABILITIES = Capabilities(
    channels=frozenset({"slack"}),
    takes_batches=False,
    is_idempotent=False,
    needs_live=True,
    slots=1,
    calls_per_second=1.0,
)

_NOT_LET_IN = "Slack does not accept the token"
_NO_CHANNEL = "Slack knows no such channel, or the bot may not see it"

CODES: dict[Any, Meaning] = {
    **api.STATUSES,
    "account_inactive": Meaning(Outcome.BLOCKED, "the bot or its workspace is gone", is_systemic=True),
    "access_denied": Meaning(Outcome.BLOCKED, "the bot may not do this", is_systemic=True),
    "ekm_access_denied": Meaning(Outcome.BLOCKED, "an administrator stopped posting", is_systemic=True),
    "invalid_auth": Meaning(Outcome.BLOCKED, _NOT_LET_IN, is_systemic=True),
    "missing_scope": Meaning(Outcome.BLOCKED, "the token lacks the scope chat:write", is_systemic=True),
    "no_permission": Meaning(Outcome.BLOCKED, "the token may not post", is_systemic=True),
    "not_allowed_token_type": Meaning(Outcome.BLOCKED, "the token is not a bot's", is_systemic=True),
    "not_authed": Meaning(Outcome.BLOCKED, "there is no token", is_systemic=True),
    "org_login_required": Meaning(Outcome.BLOCKED, "the workspace is being moved", is_systemic=True),
    "token_expired": Meaning(Outcome.BLOCKED, _NOT_LET_IN, is_systemic=True),
    "token_revoked": Meaning(Outcome.BLOCKED, _NOT_LET_IN, is_systemic=True),
    "two_factor_setup_required": Meaning(Outcome.BLOCKED, "its owner needs a second factor", is_systemic=True),
    "team_access_not_granted": Meaning(Outcome.BLOCKED, "the token is not for this workspace", is_systemic=True),
    "channel_not_found": Meaning(Outcome.REJECTED, _NO_CHANNEL),
    "not_in_channel": Meaning(Outcome.REJECTED, "the bot is not in this channel: invite it"),
    "is_archived": Meaning(Outcome.REJECTED, "the channel is archived"),
    "restricted_action": Meaning(Outcome.REJECTED, "the workspace does not let the bot post there"),
    "restricted_action_read_only_channel": Meaning(Outcome.REJECTED, "nobody may post there"),
    "invalid_arguments": Meaning(Outcome.REJECTED, "Slack does not understand it"),
    "msg_too_long": Meaning(Outcome.REJECTED, "it is too long"),
    "msg_blocks_too_long": Meaning(Outcome.REJECTED, "it is too long"),
    "no_text": Meaning(Outcome.REJECTED, "it says nothing"),
    "message_limit_exceeded": Meaning(Outcome.RETRY_LATER, "the workspace posts too much", is_systemic=True),
    "rate_limited": Meaning(Outcome.RETRY_LATER, "Slack throttles", is_systemic=True),
    "ratelimited": Meaning(Outcome.RETRY_LATER, "Slack throttles", is_systemic=True),
    "request_timeout": Meaning(Outcome.RETRY_LATER, "Slack waited too long for the request", is_systemic=True),
    "service_unavailable": Meaning(Outcome.RETRY_LATER, "Slack is not available", is_systemic=True),
    "internal_error": Meaning(Outcome.UNKNOWN, "Slack failed, and may have posted it"),
    "fatal_error": Meaning(Outcome.UNKNOWN, "Slack failed, and may have posted it"),
}


def connect(settings: Settings, secrets: Secrets, files: Path) -> HttpSession:
    """Return a session over HTTP."""
    return api.session(settings)


def build_request(settings: Settings, secrets: Secrets, item: Item) -> HttpRequest:
    """Return the POST for one message."""
    message = channel.message_of(item)
    where = message.address or settings.channel
    if not where:
        raise RefusedError("slack:no_channel")
    text = message.rendered.text.strip()
    if not text:
        raise RefusedError("slack:no_text")
    if len(text) > LONGEST_TEXT:
        raise RefusedError("slack:too_long")
    body = channel.to_json({"channel": where, "text": text.replace("<!", "&lt;!")})
    return HttpRequest("POST", f"{settings.host}/chat.postMessage", _headers(secrets), body)


def read_response(settings: Settings, item: Item, reply: HttpReply) -> Result:
    """Return what the answer means: `ok`, or `error` in one word, whatever the status."""
    told = api.read_json(reply)
    told = told if isinstance(told, dict) else {}
    if reply.status == 200 and told.get("ok") is True:
        return Result(Outcome.ACCEPTED, "ok", provider_id=channel.id_of(told, "ts"))
    word = told.get("error") if told.get("ok") is False else None
    plain = api.by_status(CODES, reply, item.at)
    if not isinstance(word, str) or word.isdigit():
        return api.unreadable(reply) if reply.status == 200 else plain
    known = CODES.get(word)
    if known is None:
        return Result(Outcome.UNKNOWN, token(word))
    wait = api.wait(reply, item.at) if known.outcome is Outcome.RETRY_LATER else None
    return Result(known.outcome, word, retry_after=wait, is_systemic=known.is_systemic)


def build_probe(settings: Settings, secrets: Secrets) -> HttpRequest:
    """Return the call that asks whose the token is."""
    return HttpRequest("POST", f"{settings.host}/auth.test", _headers(secrets), b"{}", acts=False)


def read_probe(settings: Settings, reply: HttpReply) -> Result:
    """Return accepted when Slack knows the token."""
    told = api.read_json(reply)
    word = told.get("error") if isinstance(told, dict) else None
    if isinstance(word, str) and word in CODES:
        return Result(CODES[word].outcome, word, is_systemic=CODES[word].is_systemic)
    return channel.probed(CODES, reply, is_good=isinstance(told, dict) and told.get("ok") is True)


def _headers(secrets: Secrets) -> dict[str, str]:
    return api.headers(authorization=f"Bearer {secrets['token_env']}") | {
        "content-type": "application/json; charset=utf-8"
    }
