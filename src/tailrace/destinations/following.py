"""What did a destination make of what it had accepted? Some work on it for hours, and say then what they refused."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from tailrace.destinations.base import HttpReply, Request, Result, Secrets


@runtime_checkable
class Following(Protocol):
    """A module whose destination can be asked later what became of a batch, by the `provider_id` of its acceptance."""

    def build_follow_up(self, settings: Any, secrets: Secrets, provider_id: str) -> Request:
        """Return the call, which changes nothing."""

    def read_follow_up(self, settings: Any, reply: HttpReply) -> Result:
        """Return its last word: accepted, or unknown where it refused all or some and does not say which rows.

        `retry_later` while it works on it, or does not say; then it is asked again at a later delivery. Systemic:
        so are all others.
        """
