"""A Slack channel, by an incoming webhook: one message per call, for the people of the house.

Documentation: docs.slack.dev, incoming webhooks. The address is the secret. About one message a second per channel;
429 with Retry-After. It has no idempotency key, so what is unknown is not sent again. The text is Slack's mrkdwn;
`<!channel>` and its like never leave: a person's name must not call everybody.
"""

from __future__ import annotations

from pathlib import Path

import orjson
from pydantic import Field

from tailrace.destinations.base import (
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
    Secrets,
    meaning,
)
from tailrace.destinations.calls import retry_after
from tailrace.destinations.transport import HttpSession
from tailrace.errors import DestinationError

NAME = "slack"
LONGEST_TEXT = 12_000


class Settings(ConnectionSettings):
    """`url_env` names the variable that holds the webhook's address.

    `channel`: where that address posts, as messages name it in `to`; one to another channel is then rejected.
    `private_network` allows http and addresses that are not public (a chat of your own that speaks the same).
    """

    url_env: str
    channel: str | None = None
    private_network: bool = False
    timeout_seconds: float = Field(default=30.0, gt=0, le=300)
    slots: int = Field(default=1, ge=1, le=50)


CAPABILITIES = Capabilities(
    channels=frozenset({"slack"}), takes_batches=False, is_idempotent=False, needs_live=True, slots=1
)

CODES = {
    "invalid_payload": Meaning(Outcome.REJECTED, "Slack does not understand it"),
    "no_text": Meaning(Outcome.REJECTED, "it says nothing"),
    "too_many_attachments": Meaning(Outcome.REJECTED, "it has too many attachments"),
    "msg_blocks_too_long": Meaning(Outcome.REJECTED, "it is too long"),
    "action_prohibited": Meaning(Outcome.BLOCKED, "an administrator forbids it", is_systemic=True),
    "posting_to_general_channel_denied": Meaning(Outcome.BLOCKED, "nobody may post there", is_systemic=True),
    "channel_is_archived": Meaning(Outcome.BLOCKED, "the channel is archived", is_systemic=True),
    "channel_not_found": Meaning(Outcome.BLOCKED, "the channel is gone", is_systemic=True),
    "invalid_token": Meaning(Outcome.BLOCKED, "the address is not valid any more", is_systemic=True),
    "no_active_hooks": Meaning(Outcome.BLOCKED, "the webhook was switched off", is_systemic=True),
    "no_service": Meaning(Outcome.BLOCKED, "the webhook is gone", is_systemic=True),
    "no_service_id": Meaning(Outcome.BLOCKED, "the address is not whole", is_systemic=True),
    "no_team": Meaning(Outcome.BLOCKED, "the workspace is gone", is_systemic=True),
    "team_disabled": Meaning(Outcome.BLOCKED, "the workspace is switched off", is_systemic=True),
    400: Meaning(Outcome.REJECTED, "Slack does not understand it"),
    403: Meaning(Outcome.BLOCKED, "Slack does not allow it", is_systemic=True),
    404: Meaning(Outcome.BLOCKED, "there is nothing at this address", is_systemic=True),
    410: Meaning(Outcome.BLOCKED, "the channel or the webhook is gone", is_systemic=True),
    429: Meaning(Outcome.RETRY_LATER, "Slack throttles", is_systemic=True),
    500: Meaning(Outcome.RETRY_LATER, "Slack failed and says so", is_systemic=True),
    503: Meaning(Outcome.RETRY_LATER, "Slack is not available", is_systemic=True),
}


def connect(settings: Settings, secrets: Secrets, files: Path) -> HttpSession:
    """Return a session over HTTP. Raises DestinationError when the secret is not an address."""
    schemes = ("https://", "http://") if settings.private_network else ("https://",)
    if "url_env" in secrets and not secrets["url_env"].startswith(schemes):
        raise DestinationError(
            f"`{settings.url_env}` does not hold a webhook's address; expected one that begins with https://"
        )
    return HttpSession(timeout=settings.timeout_seconds, private_network=settings.private_network)


def build_request(settings: Settings, secrets: Secrets, item: Item) -> HttpRequest:
    """Return the POST for one message."""
    if not isinstance(item, Message):
        raise RefusedError("slack:takes_no_batches")
    if settings.channel is not None and item.address and item.address != settings.channel:
        raise RefusedError("slack:other_channel")
    text = item.rendered.text.strip()
    if not text:
        raise RefusedError("slack:no_text")
    if len(text) > LONGEST_TEXT:
        raise RefusedError("slack:too_long")
    try:
        body = orjson.dumps({"text": text.replace("<!", "&lt;!")})
    except TypeError:
        raise RefusedError("message:not_json") from None
    headers = {"content-type": "application/json; charset=utf-8", "user-agent": "tailrace"}
    return HttpRequest("POST", secrets["url_env"], headers, body)


def read_response(settings: Settings, item: Item, reply: HttpReply) -> Result:
    """Return what the answer means: Slack says `ok`, or why not, in plain text."""
    said = reply.body.strip().lower()
    if reply.status == 200:
        # A login page or a proxy answers 200 too.
        return Result(Outcome.ACCEPTED, "ok") if said == b"ok" else Result(Outcome.UNKNOWN, "http_200_unreadable")
    if reply.status // 100 == 3:
        return Result(Outcome.BLOCKED, f"http_{reply.status}", is_systemic=True)
    word = said.decode("ascii", "replace")
    known = CODES[word] if word in CODES else meaning(CODES, reply.status)
    code = word if word in CODES else f"http_{reply.status}"
    wait = retry_after(reply.headers.get("retry-after"), item.at) if known.outcome is Outcome.RETRY_LATER else None
    return Result(known.outcome, code, retry_after=wait, is_systemic=known.is_systemic)
