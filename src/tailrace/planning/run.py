"""What do all campaigns of one plan share, and what does planning know of a campaign?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from tailrace.planning.memberships import Bit
from tailrace.planning.store import Piece, Plan, Store

if TYPE_CHECKING:
    from tailrace.planning.arbitration import Rules
    from tailrace.planning.corrections import Chosen

GOALS_REACHED = "create temp table if not exists goals_reached (campaign varchar, enrollment_id varchar)"
"""Makes the table of the passes that reach their goal in this plan; `exits.end_early` fills it."""


Path = tuple[str, ...]
Need = tuple[Path, tuple[tuple[Path, str], ...]]


@dataclass(frozen=True)
class MessageSpec:
    """A message as planning needs it: what to keep for rendering, and which fields its payload must or may carry.

    Fields are (root, name) with root `customer`, `event`, `trigger` (the same), `segment` or `object`. `needs` are
    paths below them that must lead to something, each with what is true of whom it is needed: paths, and the test that
    they pass.
    """

    message_key: str
    channel: str
    kind: str
    source: str
    required: frozenset[tuple[str, str]]
    optional: frozenset[tuple[str, str]]
    needs: frozenset[Need] = frozenset()


@dataclass(frozen=True)
class CampaignSpec:
    """A campaign as planning needs it: today's status and copy, and the definition that is new entrants' version.

    `definition` and the keys of `steps` in it are `campaigns.definition.Campaign.definition()`. `health` are the
    messages that are health data.
    """

    slug: str
    version: str
    definition: Mapping[str, Any]
    status: str
    sending: str
    priority: int
    messages: Mapping[str, MessageSpec] = field(default_factory=dict)
    on_edit: str = "keep"
    on_pause: str = "hold"
    on_end: str = "exit"
    health: frozenset[str] = frozenset()

    @property
    def is_held(self) -> bool:
        """Whether nobody moves, because the campaign is paused with its clocks."""
        return self.status == "paused" and self.on_pause == "hold"

    @property
    def walks(self) -> bool:
        """Whether people in flight move on in this run."""
        ends = self.status == "ended" and self.on_end == "exit"
        return not (self.status == "draft" or self.is_held or ends)


@dataclass(frozen=True)
class Run:
    """The instants and inputs that every campaign of one plan shares. `parent_as_of` is None in the first plan.

    `failed` are the models that did not build; `relations` are those of the plan in the making, which campaigns add to.
    `fingerprints` has, by relation, what changes when the SQL does of an object segment or a model of people.
    `chosen` is what people want sent now that a backfill had come too late for.
    """

    as_of: datetime
    parent_as_of: datetime | None
    cause: str
    store: Store
    parent: Plan | None
    bits: Mapping[str, Bit]
    failed: Mapping[str, str]
    rules: Rules
    relations: dict[str, tuple[Piece, ...]] = field(default_factory=dict)
    fingerprints: Mapping[str, str] = field(default_factory=dict)
    chosen: Chosen | None = None

    @property
    def is_history(self) -> bool:
        """Whether this plan is a backfill's: what it finds is history, so nobody moves on and nothing is said."""
        return self.cause == "backfill"

    def was_live(self, slug: str) -> bool:
        """Return whether the last plan that was no backfill's saw the campaign live."""
        before = self.before(slug)
        return bool(before.get("was_live", before.get("status") == "live"))

    def before(self, slug: str) -> Mapping[str, Any]:
        """Return what the parent's plan.json keeps of a campaign."""
        return self.parent.campaigns.get(slug, {}) if self.parent else {}
