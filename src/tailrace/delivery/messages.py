"""What does each person's message say, and where to? Payloads of the plan, rendered one by one at the wire."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

import orjson
import pyarrow as pa

from tailrace.delivery.hours import is_open
from tailrace.destinations.base import Message, Outcome, Rendered, Result, token
from tailrace.errors import TailraceError
from tailrace.journal import Due

UNSIGNED = "no_secret"
"""The kind of an error of rendering that is not about the person."""


class PlanReader(Protocol):
    """What delivery needs of the plan store (`planning.reader.PlanReader`)."""

    def head(self) -> str | None:
        """Return the id of the plan applied last."""

    def payloads(self, plan_id: str, intent_ids: Collection[str]) -> pa.Table:
        """Return intent_id, address, message_key and data (JSON text) of these intents."""

    def messages(self, plan_id: str) -> Mapping[str, Mapping[str, Any]]:
        """Return what each message needs to be rendered, by message_key."""

    def sync_ops(self, plan_id: str, sync: str, batch_no: int) -> pa.Table:
        """Return position, key, op and data of one batch, in order of position."""

    def sync_mode(self, plan_id: str, sync: str) -> str:
        """Return what the sync keeps: one of `destinations.base.MODES`."""

    def health(self, plan_id: str) -> frozenset[tuple[str, str]]:
        """Return what was health data when the plan was made: (campaign, message) of messages, ('', sync) of syncs."""

    def consents(self, plan_id: str) -> pa.Table:
        """Return person_id, channel, topic, class and reason of what people have withdrawn ('' is all)."""


class RenderedLike(Protocol):
    """One person's message as rendering gives it."""

    @property
    def subject(self) -> str:
        """The subject."""

    @property
    def html(self) -> str | None:
        """The HTML part."""

    @property
    def text(self) -> str:
        """The text part."""

    @property
    def headers(self) -> Mapping[str, str]:
        """Headers beyond those that every message has."""

    @property
    def from_email(self) -> str:
        """The sender's address."""

    @property
    def from_name(self) -> str:
        """The sender's name."""


class Renderer(Protocol):
    """Rendering (`campaigns.render.Renderer`). Raises TailraceError whose text names fields, never values."""

    def render(
        self, source: Mapping[str, Any], data: Mapping[str, Any], *, message_key: str | None = None
    ) -> RenderedLike:
        """Return the message for one person's data."""


class Messages:
    """Makes messages from due intents; holds the payloads of one page of them."""

    def __init__(self, store: PlanReader, renderer: Renderer, channel: str) -> None:
        self._store = store
        self._renderer = renderer
        self._channel = channel
        self._sources: dict[str, Mapping[str, Mapping[str, Any]]] = {}
        self._payloads: dict[str, dict[str, Any]] = {}

    def load(self, items: Sequence[Due]) -> None:
        """Read the payloads of these intents, and forget those read before."""
        by_plan: dict[str, list[str]] = {}
        for item in items:
            by_plan.setdefault(item.plan_id, []).append(item.item_id)
        self._payloads = {}
        for plan_id, intent_ids in by_plan.items():
            table = self._store.payloads(plan_id, intent_ids)
            self._payloads |= {row["intent_id"]: row for row in table.to_pylist()}
            if plan_id not in self._sources:
                self._sources[plan_id] = self._store.messages(plan_id)

    def address(self, item: Due) -> str | None:
        """Return where the message would go."""
        payload = self._payloads.get(item.item_id)
        return None if payload is None else payload["address"]

    def may_leave(self, item: Due, at: datetime) -> bool:
        """Return whether its hours allow it to go out now; a message of a plan without them may at any time."""
        payload = self._payloads.get(item.item_id)
        hours = None if payload is None else payload.get("hours")
        return hours is None or is_open(orjson.loads(hours), at)

    def make(self, item: Due, at: datetime) -> Message | Result:
        """Return the message, or `rejected` when it cannot be made for this person, `blocked` when for nobody."""
        payload = self._payloads.get(item.item_id)
        source = None if payload is None else self._sources[item.plan_id].get(payload["message_key"])
        if payload is None or source is None or item.person_id is None:
            return Result(Outcome.REJECTED, "payload:missing")
        try:
            words = self._renderer.render(source, orjson.loads(payload["data"]), message_key=payload["message_key"])
        except TailraceError as error:
            # Without the secret of links nobody's message can be made, and everybody's later.
            is_ours = getattr(error, "kind", "") == UNSIGNED
            outcome = Outcome.BLOCKED if is_ours else Outcome.REJECTED
            code = f"render:{token(error, getattr(error, 'kind', 'failed'))}"
            return Result(outcome, code, is_systemic=is_ours)
        rendered = Rendered(words.subject, words.html, words.text, words.headers, (words.from_name, words.from_email))
        return Message(
            intent_id=item.item_id,
            person_id=item.person_id,
            channel=self._channel,
            campaign=item.campaign,
            step=item.step,
            address=payload["address"] or "",
            rendered=rendered,
            at=at,
        )
