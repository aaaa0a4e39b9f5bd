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
    rows = [
        [guard["guard"], guard["subject"], guard["measured"], guard["allowed"], _released(guard)]
        for guard in plan.guards
        if guard["tripped"]
    ]
    output.title("Guards")
    output.table(["guard", "subject", "measured", "allowed", ""], rows, empty=f"{len(plan.guards)} read, none tripped.")


def _released(guard: dict[str, Any]) -> str:
    if guard["released"] is not None:
        return f"released (number {guard['released']})"
    return f"tripped: `tailrace guard release {guard['guard']} {guard['subject']} --reason …`"


def show_result(result: Result) -> None:
    """Print what a run did, step by step."""
    output.title("Run")
    rows = [
        [step, round(result.seconds.get(step, 0.0), 2), _facts(result.steps.get(step, {}))]
        for step in dict.fromkeys([*result.steps, *result.seconds])
    ]
    output.table(["step", "seconds", "what"], rows, empty="Nothing was done.")
    for balance in result.balances:
        parts = " + ".join(f"{count:,} {name}" for name, count in balance.parts.items())
        output.say(f"{balance.name}: {balance.total:,} = {parts}")


def _facts(counts: dict[str, Any]) -> str:
    shown = []
    for name, value in counts.items():
        if isinstance(value, dict):
            shown += [f"{name} {key}: {item}" for key, item in value.items()]
        elif isinstance(value, list):
            shown.append(f"{name} {len(value)}")
        else:
            shown.append(f"{name} {output.cell(value)}")
    return ", ".join(shown)
