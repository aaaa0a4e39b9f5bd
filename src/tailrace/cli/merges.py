"""How is it shown that a plan found user ids to be one person, and what that changes of messages?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tailrace.cli import output
from tailrace.planning.store import Plan

SHOWN = 10
"""How many merges and passes a table names."""

LISTED = 1_000
"""How many a JSON document names."""

_EFFECTS = {
    "goes_on": "goes on as theirs",
    "ends": "ends: they have another",
    "is_over": "is over, and counts as theirs",
}


def facts(plan: Plan, seen: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return what the plan says of merges as a document has it; nothing where it found none."""
    if not seen:
        return {}
    found, passes = _parts(seen)
    return {
        "merges": {
            "people": len(found),
            "merged": [{key: row[key] for key in ("person_id", "into_person_id")} for row in found[:LISTED]],
            "passes": len(passes),
            "effects": passes[:LISTED],
            "campaigns": {slug: entry["merged"] for slug, entry in plan.campaigns.items() if entry.get("merged")},
        }
    }


def show(plan: Plan, seen: Sequence[dict[str, Any]]) -> None:
    """Print which user ids the plan found to be another person's, and what becomes of their passes; else nothing."""
    if not seen:
        return
    found, passes = _parts(seen)
    output.title("Merges")
    output.table(
        ["user id of", "is now", "campaign", "rests at", "the pass"],
        [_row(row) for row in [*found[:SHOWN], *passes[:SHOWN]]],
        empty="None.",
    )
    output.say(f"{len(found):,} user ids and {len(passes):,} passes in all. What moves them now starts nothing.")
    ended = [
        [slug, row["version"][:8], row["step"], row["people"], ", ".join(row["unsaid"]) or "none"]
        for slug, entry in plan.campaigns.items()
        for row in entry.get("merged", {}).get("ended", ())
    ]
    if ended:
        output.title("Passes that end by a merge, and the messages that would have come next")
        output.table(["campaign", "version", "rests at", "people", "not said twice"], ended, empty="")


def _parts(seen: Sequence[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the merges and the passes."""
    return [row for row in seen if row["campaign"] is None], [row for row in seen if row["campaign"] is not None]


def _row(row: dict[str, Any]) -> list[Any]:
    effect = _EFFECTS.get(row["effect"], "")
    return [str(row["person_id"]), str(row["into_person_id"]), row["campaign"] or "", row["step"] or "", effect]
