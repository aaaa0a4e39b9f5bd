"""From which side does somebody want to look at a plan: whole, one campaign, one person, or against another plan?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tailrace import engine
from tailrace.cli import differences, merges, output, people, plans
from tailrace.pipeline.explaining import also_known_as, find_person
from tailrace.pipeline.result import Result
from tailrace.planning import merging
from tailrace.planning.comparing import compare
from tailrace.planning.sampling import Sample, sample
from tailrace.planning.store import Plan, Store
from tailrace.planning.story import tell
from tailrace.settings import Settings


@dataclass(frozen=True)
class Look:
    """How somebody wants to look at a plan: one campaign, one person, `size` people to each number, another plan."""

    campaign: str | None = None
    person: str | None = None
    size: int = 0
    other: str | None = None


def look(settings: Settings, store: Store, plan_id: str, result: Result, how: Look, *, as_json: bool) -> None:
    """Print the plan as asked for, as tables or as one JSON object."""
    plan = store.read(plan_id)
    with engine.connect(settings) as connection:
        if how.other is not None:
            difference = compare(connection, store, plan_id, how.other, size=how.size, campaign=how.campaign)
            if as_json:
                output.document(difference)
            else:
                differences.show(difference)
            return
        if how.person is not None:
            person_id = find_person(settings, how.person)
            also = also_known_as(settings, person_id)
            story = tell(connection, store, person_id, also=also, head=plan_id, limit=1, campaign=how.campaign)
            if as_json:
                output.document(story)
            else:
                people.show_rows(plan_id, plan.as_of, story)
            return
        named = sample(connection, store, plan, how.size) if how.size > 0 else {}
    bare = store.bare(plan_id, plan)
    seen = merging.seen(store, plan)
    if as_json:
        without = {"payloads": bare.in_words()} if bare else {}
        found = merges.facts(plan, seen)
        output.document(result.document() | _facts_of(plan, named, how.campaign) | found | without)
        return
    plans.show(plan_id, plan, named, campaign=how.campaign)
    merges.show(plan, seen)
    plans.say_what_was_ignored(result)
    plans.say_what_was_broken(result)
    if bare is not None:
        output.note(f"\nwhat was personal in it, payloads above all, was {bare.in_words()}; all else is as it was")
    if not _was_applied(store, plan_id, plan):
        output.note(f"\nnothing has been applied; to do so: tailrace apply {plan_id}")


def _was_applied(store: Store, plan_id: str, plan: Plan) -> bool:
    found = None
    for ancestor, found in store.chain(store.head()):
        if ancestor == plan_id:
            return True
        if found.as_of < plan.as_of:
            return False
    # Of what is older than the lineage that gc has left, there is only what was applied and is not over yet.
    return found is not None and store.cut(found) is not None


def _facts_of(plan: Plan, named: Sample, campaign: str | None) -> dict[str, Any]:
    campaigns = {slug: entry for slug, entry in plan.campaigns.items() if campaign in (None, slug)}
    facts: dict[str, Any] = {
        "counts": plan.counts,
        "campaigns": campaigns,
        "segments": plan.segments,
        "syncs": plan.syncs,
        "guards": plan.guards,
    }
    if named:
        facts["sample"] = [
            {"campaign": key[0], "step": key[1], "verdict": key[2], "reason": key[3], "people": people}
            for key, people in named.items()
            if campaign in (None, key[0])
        ]
    return facts
