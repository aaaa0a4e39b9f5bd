"""What do message channels that are a vendor's API share? One message a call, its JSON, the answer to a probe."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from tailrace.destinations import api
from tailrace.destinations.base import HttpReply, Item, Meaning, Message, Outcome, RefusedError, Result, token


def message_of(item: Item) -> Message:
    """Return the item when it is a message; raises RefusedError for a batch of a sync."""
    if not isinstance(item, Message):
        raise RefusedError("destination:takes_no_batches")
    return item


def to_json(body: Any) -> bytes:
    """Return the body as JSON; raises RefusedError for text that is none (half a character)."""
    try:
        return orjson.dumps(body)
    except TypeError:
        raise RefusedError("message:not_json") from None


def id_of(told: Any, name: str) -> str | None:
    """Return the id that an answer gives under `name`; None when it gives none."""
    value = told.get(name) if isinstance(told, Mapping) else None
    return token(value, "") or None if isinstance(value, str) else None


def probed(codes: Mapping[Any, Meaning], reply: HttpReply, *, is_good: bool) -> Result:
    """Return accepted when the answer to a probe is a 200 that says what it should, else why not."""
    if reply.status != 200:
        return api.by_status(codes, reply, None)
    return Result(Outcome.ACCEPTED, "http_200") if is_good else api.unreadable(reply)
