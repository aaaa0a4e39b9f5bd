"""What does the simulator keep of a person's way through a campaign? The values, and their ids."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tests.simulator.arbitration import Candidate, Verdict


def key(*parts: str) -> str:
    return hashlib.md5("\x1f".join(parts).encode()).hexdigest()


def bucket(person: int, salt: str) -> int:
    """Return 0 to 9,999, always the same for the person and the salt."""
    return int(key(salt, str(person), "")[:8], 16) % 10_000


@dataclass(frozen=True)
class Pass:
    """One person's way through one campaign version."""

    id: str
    slug: str
    version: str
    person: int
    occurrence: str
    entered_at: datetime
    arm: str
    step: str | None
    arrived_at: datetime
    status: str = "active"
    goal_at: datetime | None = None
    event: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Move:
    enrollment: str
    from_step: str | None
    to_step: str | None


@dataclass(frozen=True)
class Act:
    enrollment: str
    step: str
    kind: str
    name: str
    value: Any


@dataclass(frozen=True)
class Trigger:
    """One person whom a trigger names."""

    person: int
    occurrence: str
    due: datetime
    refused: str | None = None
    event: Mapping[str, Any] | None = None
    tie: str = ""


@dataclass
class Ran:
    """What one run did."""

    moves: list[Move] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)
    acts: list[Act] = field(default_factory=list)


@dataclass
class Way:
    """What the walk of one pass did in this run, in order; each with the place of its step."""

    moves: list[tuple[int, Move]] = field(default_factory=list)
    candidates: list[tuple[int, Candidate]] = field(default_factory=list)
    acts: list[tuple[int, Act]] = field(default_factory=list)
    assigned: list[tuple[int, str, str]] = field(default_factory=list)
    rests: str | None = None
    over: str | None = None
