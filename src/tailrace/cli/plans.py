"""How is a plan shown so that a marketer understands it?"""

from __future__ import annotations

from typing import Any

from tailrace import clock
from tailrace.cli import output
from tailrace.pipeline.result import Result
from tailrace.planning.store import Plan
from tailrace.planning.verdict import IN_WORDS


def show(plan_id: str, plan: Plan) -> None:
    """Print the plan: campaigns, segments that moved, syncs, guards, totals."""
    output.say(f"plan {plan_id}  as of {clock.iso(plan.as_of)}  on top of {plan.parent or 'nothing'}  ({plan.cause})")
    _campaigns(plan)
    _not_sent(plan)
    _segments(plan)
    _syncs(plan)
    _guards(plan)
    counts = plan.counts
    output.say(
        f"\n{counts['considered']:,} considered = {counts['send']:,} to send + {counts['defer']:,} deferred +"
        f" {counts['skip']:,} skipped  ·  {counts['people']:,} people, {counts['memberships']:,} memberships,"
        f" {counts['enrollments']:,} enrollments"
    )


def _campaigns(plan: Plan) -> None:
    output.title("Campaigns")
    rows: list[list[Any]] = []
    for slug, campaign in plan.campaigns.items():
        moves = campaign["moves"]
        parked = f", parked: {campaign['parked']}" if campaign["parked"] else ""
        rows.append(
            [
                slug,
                campaign["status"] + parked,
                moves.get("entered", 0),
                moves.get("passed", 0) + moves.get("waited", 0),
                moves.get("converted", 0),
                moves.get("completed", 0),
                "",
                None,
                None,
                None,
            ]
        )
        for step, verdicts in campaign["messages"].items():
            held, skipped = sum(verdicts["defer"].values()), sum(verdicts["skip"].values())
            rows.append(["", "", "", "", "", "", step, verdicts["send"], held, skipped])
    columns = ["campaign", "status", "enter", "move on", "convert", "complete", "message", "send", "defer", "skip"]
    output.table(columns, rows, empty="There are no campaigns.")


def _not_sent(plan: Plan) -> None:
    rows = []
    for slug, campaign in plan.campaigns.items():
        for reason, count in campaign["not_entered"].items():
            rows.append([slug, "(does not enter)", words(reason), count])
        for step, verdicts in campaign["messages"].items():
            for verdict in ("defer", "skip"):
                rows += [[slug, f"{step} ({verdict})", words(reason), n] for reason, n in verdicts[verdict].items()]
    output.title("Why not")
    output.table(["campaign", "message", "reason", "people"], rows, empty="Nobody who was considered was passed over.")


def words(reason: str) -> str:
    """Return a verdict's reason in words."""
    name, _, detail = reason.partition(":")
    text = IN_WORDS.get(name, name)  # type: ignore[call-overload]
    return f"{text} ({detail})" if detail else text


def _segments(plan: Plan) -> None:
    rows = [
        [name, entry["size"], entry["entered"], entry["left"], _cause(entry)]
        for name, entry in sorted(plan.segments.items())
        if entry["status"] != "removed"
    ]
    output.title("Segments")
    output.table(["segment", "people", "entered", "left", ""], rows, empty="There are no segments.")


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
            f"parked: {sync['parked']}" if sync["parked"] else "",
        ]
        for name, sync in sorted(plan.syncs.items())
    ]
    output.title("Syncs")
    columns = ["sync", "to", "desired", "acknowledged", "add", "update", "remove", "refused", ""]
    output.table(columns, rows, empty="There are no syncs.")


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
    _say_what_waits(result)


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
    if any("no_live_lease" in code for kind in ("messages", "rows") for code in _codes(delivered, kind)):
        output.note("what was held back waits for the live lease: `tailrace live show` says why")
    if result.tripped:
        output.note(f"guards that parked what they guard: {len(result.tripped)}; look with `tailrace guard list`")


def _codes(delivered: dict[str, Any], kind: str) -> dict[str, int]:
    codes: dict[str, int] = delivered.get(kind, {}).get("codes", {})
    return codes
