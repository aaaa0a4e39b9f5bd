"""The outbox: files instead of a network.

An e-mail is one `.eml`, anything else one `.json`, named by intent or batch id. Writing again replaces the file with
the same content, so repeats are harmless. Nobody is reached: it works without the live lease.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from pydantic import Field

from tailrace.destinations.base import (
    Batch,
    Capabilities,
    ConnectionSettings,
    FileWrite,
    Item,
    Meaning,
    Outcome,
    Result,
    Secrets,
    Written,
)
from tailrace.destinations.mime import build, sender_of
from tailrace.destinations.transport import FileSession

NAME = "outbox"


class Settings(ConnectionSettings):
    """`from` is the sender of e-mails that name none; `slots` how many files make one claim."""

    sender: str | None = Field(default="tailrace <outbox@example.com>", alias="from")
    batch_rows: int = Field(default=1000, ge=1, le=100_000)
    slots: int = Field(default=200, ge=1, le=1000)


CAPABILITIES = Capabilities(
    channels=frozenset({"email", "sms", "whatsapp", "push", "webhook", "slack"}),
    takes_batches=True,
    is_idempotent=True,
    needs_live=False,
    slots=200,
)

CODES = {"written": Meaning(Outcome.ACCEPTED, "the file is in the outbox")}

_UNSAFE = re.compile(r"[^A-Za-z0-9_-]+")


def connect(settings: Settings, secrets: Secrets, files: Path) -> FileSession:
    """Return a session that writes below `files`."""
    return FileSession(files)


def build_request(settings: Settings, secrets: Secrets, item: Item) -> FileWrite:
    """Return the file for one item."""
    if isinstance(item, Batch):
        rows = [{"op": row.op, "key": row.key, "data": row.data} for row in item.rows]
        batch: dict[str, object] = {"sync": item.sync, "target": item.target, "batch": item.batch_id, "rows": rows}
        return FileWrite(_safe(item.sync), f"{_safe(item.batch_id)}.json", _json(batch))
    folder, name = _safe(item.channel), _safe(item.intent_id)
    if item.channel == "email":
        return FileWrite(folder, f"{name}.eml", build(item, sender_of(item, settings.sender)))
    words = item.rendered
    document: dict[str, object] = {
        "intent_id": item.intent_id,
        "person_id": item.person_id,
        "campaign": item.campaign,
        "step": item.step,
        "address": item.address,
        "subject": words.subject,
        "text": words.text,
        "html": words.html,
    }
    return FileWrite(folder, f"{name}.json", _json(document))


def read_response(settings: Settings, item: Item, reply: Written) -> Result:
    """Return accepted: the file is there."""
    return Result(CODES["written"].outcome, "written")


def _safe(name: str) -> str:
    return _UNSAFE.sub("-", name)


def _json(document: object) -> bytes:
    return json.dumps(document, ensure_ascii=False, indent=1, sort_keys=True).encode() + b"\n"
