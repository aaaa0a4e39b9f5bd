"""How is a plan shown so that a marketer understands it?"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

from tailrace.cli import funnels, output
from tailrace.errors import DataError
from tailrace.pipeline.result import Result
from tailrace.planning.sampling import Sample
from tailrace.planning.store import Plan


def show(plan_id: str, plan: Plan, sample: Sample | None = None, *, campaign: str | None = None) -> None:
    """Print the plan: totals, the funnel of each campaign, segments that moved, syncs, guards.

    With `campaign` that one's funnel only. `sample` names people under each number.

    Raises DataError when the plan does not have the campaign.
    """
    counts = plan.counts
    output.say(f"plan {plan_id}  as of {output.cell(plan.as_of)} UTC  ({plan.cause})")
    output.say(f"on top of {plan.parent or 'nothing'}")
    output.say(
        f"{counts['considered']:,} considered = {counts['send']:,} to send + {counts['defer']:,} deferred +"
        f" {counts['skip']:,} skipped"
    )
    output.say(", ".join(_totals(counts)))
    if campaign is not None:
        if campaign not in plan.campaigns:
            raise DataError(
                f"plan {plan_id} has no campaign `{campaign}`; expected one of: {', '.join(sorted(plan.campaigns))}"
            )
        funnels.show({campaign: plan.campaigns[campaign]}, sample or {}, only=campaign)
        return
    funnels.show(plan.campaigns, sample or {})
    _segments(plan)
    _syncs(plan)
    _guards(plan)


def _totals(counts: Mapping[str, int]) -> Iterator[str]:
    for name, word in (("people", "people"), ("memberships", "memberships"), ("enrollments", "enrollments")):
        yield f"{counts[name]:,} {word}"
    if counts.get("unknown_zones"):
        yield f"{counts['unknown_zones']:,} whose time zone nobody knows"


def _segments(plan: Plan) -> None:
    there = {name: entry for name, entry in sorted(plan.segments.items()) if entry["status"] != "removed"}
    rows = [
        [name, entry["size"], entry["entered"], entry["left"], _cause(entry)]
        for name, entry in there.items()
        if _moved(entry)
    ]
    output.title("Segments")
    output.table(
        ["segment", "people", "entered", "left", ""], rows, empty="None moved." if there else "There are no segments."
    )
    still = [f"{name} {entry['size']:,}" for name, entry in there.items() if not _moved(entry)]
    if still:
        for line in textwrap.wrap(f"as before: {', '.join(still)}", output.width(), subsequent_indent="  "):
            output.say(line)


def _moved(entry: Mapping[str, Any]) -> bool:
    return bool(entry["parked"] or entry["entered"] or entry["left"])


def _cause(entry: dict[str, Any]) -> str:
    if entry["parked"]:
        return f"parked: {entry['parked']}"
    if not entry["entered"] and not entry["left"]:
        return ""
    return {
        "baseline": "first appearance: a baseline, nobody entered",
        "definition": "its SQL changed: moves are held",
        "history": "moved by a backfill",
    }.get(entry["cause"], "")


def _syncs(plan: Plan) -> None:
    rows = [
        [
            name,
            sync["destination"],
            sync["desired"],
            sync["acknowledged"],
            sync["add"],
            sync["update"],
            sync["remove"],
            sync["rejected"],
            _sync_notes(sync),
        ]
        for name, sync in sorted(plan.syncs.items())
    ]
    output.title("Syncs")
    columns = ["sync", "to", "rows", "held", "add", "update", "remove", "refused", ""]
    output.table(columns, rows, empty="There are no syncs.")


def _sync_notes(sync: Mapping[str, Any]) -> str:
    """Return what the numbers of a sync do not say; plans of an earlier version counted less."""
    notes = [f"parked: {sync['parked']}"] if sync["parked"] else []
    for key, words in (
        ("unknown", "of unknown fate"),
        ("removals_refused", "still there: their removal was refused"),
        ("not_there", "not there to update"),
    ):
        if sync.get(key):
            notes.append(f"{sync[key]:,} {words}")
    return "; ".join(notes)


def _guards(plan: Plan) -> None:
    tripped = [guard for guard in plan.guards if guard["tripped"]]
    output.title("Guards")
    output.table(
        ["guard", "subject", "measured", "allowed", ""],
        [[*reading(guard), release_in_words(guard)] for guard in tripped],
        empty=f"{len(plan.guards)} read, none tripped.",
    )
    waiting = [guard for guard in tripped if guard["released"] is None]
    if waiting:
        output.say("What they guard is parked; the rest goes on. To let it pass once:")
    for guard in waiting:
        output.say(f"  tailrace guard release {guard['guard']} {guard['subject']} --reason …")


def reading(guard: dict[str, Any]) -> list[Any]:
    """Return a guard's reading as cells: guard, subject, measured, allowed; shares in percent, silence in hours."""
    return [guard["guard"], guard["subject"], *(_amount(guard["guard"], guard[key]) for key in ("measured", "allowed"))]


def _amount(guard: str, value: float | None) -> str | None:
    if value is None:
        return None
    if guard.endswith("_share"):
        return f"{value:.1%}"
    if guard == "source_stale_after":
        return "never" if value < 0 else f"{value:g} h"
    return f"{value:,g}"


def release_in_words(guard: dict[str, Any]) -> str:
    """Return whether what a guard parked was let pass."""
    if not guard["tripped"]:
        return ""
    return "parked" if guard["released"] is None else f"released (number {guard['released']})"


def show_result(result: Result) -> None:
    """Print what a run did, step by step."""
    output.title("Run")
    rows = [
        [
            step,
            f"{result.seconds.get(step, 0.0):.1f}",
            _facts(result.steps.get(step, {})) if step in result.steps else "",
        ]
        for step in dict.fromkeys([*result.seconds, *result.steps])
    ]
    output.table(["step", "seconds", "what"], rows, empty="Nothing was done.")
    for balance in result.balances:
        parts = " + ".join(f"{count:,} {name}" for name, count in balance.parts.items())
        output.say(f"{balance.name}: {balance.total:,} = {parts}")
    say_what_was_ignored(result)
    say_what_was_broken(result)
    _say_what_waits(result)


def say_what_was_ignored(result: Result) -> None:
    """Print in one line which sources wrote attributes that they do not own, if any did."""
    if not result.ignored:
        return
    by_source: dict[str, list[str]] = {}
    for entry in result.ignored:
        by_source.setdefault(entry["source"], []).append(f"{entry['attribute']} {entry['n_events']:,}")
    total = sum(entry["n_events"] for entry in result.ignored)
    listed = "; ".join(f"{source}: {', '.join(counts)}" for source, counts in by_source.items())
    output.say(f"attributes written by who does not own them, ignored: {total:,} ({listed})")


BROKEN_SHOWN = 3
"""How many rules are named that events broke; `tailrace events` lists them all."""


def say_what_was_broken(result: Result) -> None:
    """Print in one line which properties of events were not what their contracts say, if any were."""
    if not result.broken:
        return
    listed = [
        f"{row['event']}.{row['property']} {row['words']}: {row['warned'] + row['quarantined']:,} from {row['source']}"
        for row in result.broken[:BROKEN_SHOWN]
    ]
    more = len(result.broken) - len(listed)
    kinds = ("warned", "quarantined")
    landed, kept_out = (sum(row[kind] for row in result.broken) for kind in kinds)
    output.say(
        f"contracts broken in new loads: {landed:,} times by events that landed, {kept_out:,} by events kept out"
        f" ({'; '.join(listed)}{f'; {more} more: `tailrace events`' if more else ''})"
    )


def _facts(counts: dict[str, Any]) -> str:
    """Return a step's counts in one line; what is none is left out, and what a balance says is not said again."""
    shown = []
    for name, value in counts.items():
        if isinstance(value, dict):
            told = value.get("codes", value)
            closed = [(word, value[word]) for word in ("expired", "cancelled") if value.get(word)]
            shown += [f"{name} {word}: {output.cell(item)}" for word, item in [*told.items(), *closed] if item]
        elif isinstance(value, list):
            shown += [f"{name} {len(value)}"] if value else []
        elif isinstance(value, bool):
            shown += [] if value else [f"not {name}"]
        elif value and name != "epoch":
            shown.append(f"{name} {output.cell(value)}")
    return ", ".join(shown) or "nothing to do"


def _say_what_waits(result: Result) -> None:
    """Note what needs a person."""
    delivered = result.steps.get("deliver", {})
    for problem in delivered.get("problems", []):
        output.note(problem)
    if delivered.get("unknown_now"):
        output.note(f"messages of unknown fate: {delivered['unknown_now']:,}; look with `tailrace unknown list`")
    if delivered.get("drafts_now"):
        output.note(f"messages that wait for approval: {delivered['drafts_now']:,}; look with `tailrace drafts list`")
    codes = {code for kind in ("messages", "rows") for code in _codes(delivered, kind)}
    if any("no_live_lease" in code for code in codes):
        output.note("what was held back waits for the live lease: `tailrace live show` says why")
    if any("no_baa" in code for code in codes):
        output.note("what was held back is health data and waits until its destination has `baa: true`, or expires")
    say_unread(result)
    if result.elsewhere:
        output.note(result.elsewhere)
    if result.tripped:
        output.note(f"guards that parked what they guard: {len(result.tripped)}; look with `tailrace guard list`")


def say_unread(result: Result) -> None:
    """Note which sources the run went on without."""
    for source, error in result.unread.items():
        output.note(f"source {source} was not read, the rest was done without it, and the next run reads it: {error}")


def _codes(delivered: dict[str, Any], kind: str) -> dict[str, int]:
    codes: dict[str, int] = delivered.get(kind, {}).get("codes", {})
    return codes
