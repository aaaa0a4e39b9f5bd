"""Customer.io's API-triggered broadcasts: a sync whose rows are the recipients, `target` the broadcast's number.

Documentation: docs.customer.io/integrations/api/app, "Trigger a broadcast". One trigger in 10 seconds for a workspace,
at most 10,000 recipients and 25 MB in one, five waiting. Recipients must be people there already. The 200 says nothing
of them: who could not be reached stands in the broadcast's own errors. There is no idempotency key, so a trigger whose
fate is not known is not repeated. By default messages wait there as drafts until somebody sets the broadcast otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from tailrace.destinations import api, channel, rows
from tailrace.destinations.base import (
    Batch,
    BatchRow,
    Capabilities,
    HttpReply,
    HttpRequest,
    Item,
    Meaning,
    Outcome,
    RefusedError,
    Result,
    Secrets,
    SyncRefused,
)
from tailrace.destinations.transport import HttpSession

NAME = "customerio_broadcast"


class Settings(api.ApiSettings):
    """`token_env` names the App API key.

    `ignore_missing`: whoever Customer.io does not know is passed over; otherwise one of them fails the broadcast.
    """

    hosts: ClassVar[Mapping[str, str]] = {"us": "https://api.customer.io", "eu": "https://api-eu.customer.io"}

    token_env: str
    ignore_missing: bool = True
    slots: int = Field(default=1, ge=1, le=50)
    batch_rows: int = Field(default=10_000, ge=1, le=10_000)


CAPABILITIES = Capabilities(
    channels=frozenset(),
    takes_batches=True,
    is_idempotent=False,
    needs_live=True,
    slots=1,
    modes=frozenset({"append"}),
    match_keys=frozenset({"id", "email"}),
    batch_rows=10_000,
    call_rows=10_000,
    call_bytes=25_000_000,
    names_rows=False,
    calls_per_second=0.1,
)

CODES: dict[Any, Meaning] = {
    **api.STATUSES,
    200: Meaning(Outcome.ACCEPTED, "Customer.io took the trigger"),
    404: Meaning(Outcome.BLOCKED, "there is no such broadcast", is_systemic=True),
    422: Meaning(Outcome.REJECTED, "Customer.io refuses a recipient"),
    429: Meaning(Outcome.RETRY_LATER, "one trigger in 10 seconds, and five may wait", is_systemic=True),
}


def connect(settings: Settings, secrets: Secrets, files: Path) -> HttpSession:
    """Return a session over HTTP."""
    return api.session(settings)


def build_request(settings: Settings, secrets: Secrets, item: Item) -> HttpRequest:
    """Return the POST that triggers the broadcast for the rows."""
    if not isinstance(item, Batch):
        raise RefusedError("destination:takes_no_messages")
    if not item.target.isascii() or not item.target.isdigit():
        raise SyncRefused("target:no_broadcast")
    body = {
        "per_user_data": rows.each(item, _recipient),
        "id_ignore_missing": settings.ignore_missing,
        "email_ignore_missing": settings.ignore_missing,
        "email_add_duplicates": False,
    }
    url = f"{settings.host}/v1/campaigns/{item.target}/triggers"
    return HttpRequest("POST", url, _headers(secrets), channel.to_json(body))


def read_response(settings: Settings, item: Item, reply: HttpReply) -> Result:
    """Return what the answer means: the number of the trigger, or a status."""
    if reply.status != 200:
        return api.by_status(CODES, reply, item.at)
    told = api.read_json(reply)
    number = told.get("id") if isinstance(told, dict) else None
    if not isinstance(number, int):
        return api.unreadable(reply)
    return Result(Outcome.ACCEPTED, "http_200", provider_id=str(number))


def build_probe(settings: Settings, secrets: Secrets) -> HttpRequest:
    """Return the call that lists the broadcasts."""
    return HttpRequest("GET", f"{settings.host}/v1/broadcasts", _headers(secrets), b"", acts=False)


def read_probe(settings: Settings, reply: HttpReply) -> Result:
    """Return accepted when the key lets us see them."""
    told = api.read_json(reply)
    return channel.probed(CODES, reply, is_good=isinstance(told, dict) and "broadcasts" in told)


def _recipient(row: BatchRow) -> dict[str, Any]:
    name, value = rows.identity(row, ("id", "email"))
    return {name: value, "data": rows.rest(row, ("id", "email"))}


def _headers(secrets: Secrets) -> dict[str, str]:
    return api.headers(authorization=f"Bearer {secrets['token_env']}")
