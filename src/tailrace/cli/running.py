"""The commands that do the work: check, land, plan, apply, run, deliver, backfill, report, demo, doctor."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from tailrace import clock
from tailrace.cli import events, launches, looking, output, plans
from tailrace.cli.options import AsOf, DataDir, Json, ProjectDir, instant, settings, who
from tailrace.landing.backfills import Asked
from tailrace.pipeline import demo as demonstration
from tailrace.pipeline import doctor as examination
from tailrace.pipeline import spine
from tailrace.pipeline.checking import check as check_everything
from tailrace.pipeline.events import strangers
from tailrace.pipeline.reporting import write as write_report
from tailrace.pipeline.result import Result
from tailrace.planning.store import Store
from tailrace.settings import Settings

Paths = Annotated[
    list[str] | None,
    typer.Argument(
        help="Files, folders or patterns (in quotes), here or `s3://…`. None for a table.", metavar="[PATH…]"
    ),
]
Source = Annotated[str, typer.Option("--source", help="The source they come from: contracts/sources/SOURCE.yml.")]
Workers = Annotated[int, typer.Option("--workers", min=1, max=64, help="How many send at once, each on its own lines.")]
Budget = Annotated[float | None, typer.Option("--budget", help="Seconds that delivery may take.", show_default=False)]


def register(app: typer.Typer) -> None:
    """Add the commands to the root."""
    for command in (check, land, plan, apply, run, deliver, backfill, report, demo, doctor):
        app.command()(command)


def check(
    campaign: Annotated[
        str | None, typer.Argument(help="With --live: only this campaign.", metavar="[CAMPAIGN]", show_default=False)
    ] = None,
    live_: Annotated[
        bool, typer.Option("--live", help="Go through what a launch needs instead, by what has landed.")
    ] = False,
    as_of: AsOf = None,
    data_dir: DataDir = None,
    project_dir: ProjectDir = None,
    json_: Json = False,
) -> None:
    """Check everything that people write. Campaigns, messages, contracts, policy, destinations, dbt models.

    With --live, say of each campaign what stands between it and a launch: exit code 1 when something does.
    """
    if live_:
        launches.show(settings(data_dir, project_dir), campaign, instant(as_of), as_json=json_)
        return
    if campaign is not None or as_of is not None:
        raise typer.BadParameter("expected it with --live only", param_hint="CAMPAIGN" if campaign else "--as-of")
    with output.working("reading the project"):
        found = check_everything(settings(data_dir, project_dir))
    if json_:
        output.document(found)
    else:
        for problem in found.problems:
            output.say(str(problem))
        for notice in found.notices:
            output.note(f"note: {notice}")
        counted = ", ".join(f"{count} {name}" for name, count in found.counts.items())
        output.say(f"{len(found.problems)} problems in {counted}" if found.problems else f"all well: {counted}")
    raise typer.Exit(2 if found.problems else 0)


def land(
    source: Source,
    paths: Paths = None,
    as_of: AsOf = None,
    data_dir: DataDir = None,
    project_dir: ProjectDir = None,
    json_: Json = False,
) -> None:
    """Land files of events. Every line is landed, a duplicate, or in quarantine with a reason."""
    found = settings(data_dir, project_dir)
    with output.working("landing"):
        landed = spine.land_files(found, paths or [], source, instant(as_of))
        unknown = strangers(found, landed.load_id)
    if json_:
        output.document({**vars(landed), "unknown_events": unknown})
        return
    output.say(
        f"{landed.lines:,} lines read = {landed.landed:,} landed + {landed.duplicate:,} duplicate +"
        f" {landed.quarantined:,} quarantined"
        + (f" + {landed.erased:,} erased" if landed.erased else "")
        + (f"  (load {landed.load_id})" if landed.load_id else "")
    )
    if landed.known_files:
        output.note(f"files landed before, byte for byte, and not read again: {len(landed.known_files):,}")
    if landed.skipped:
        output.note(f"passed over, hidden or unfinished: {len(landed.skipped):,} ({', '.join(landed.skipped[:3])}…)")
    for notice in landed.notices:
        output.note(notice)
    if landed.changed:
        output.note(f"objects that landed before with another content: {', '.join(landed.changed[:3])}")
    if landed.n_conflicting:
        output.note(f"duplicates that say something else under the same messageId: {landed.n_conflicting:,}")
    if landed.quarantined:
        output.table(["reason", "lines"], sorted(landed.reasons.items()), empty="")
        output.note("look at them with `tailrace quarantine list`")
    events.say_what_is_odd(landed.breaches, unknown)


def plan(
    plan_id: Annotated[
        str | None,
        typer.Argument(help="Show this plan instead of making one: an id, HEAD or HEAD~1.", metavar="[PLAN]"),
    ] = None,
    campaign: Annotated[
        str | None, typer.Option("--campaign", help="One campaign's funnel, with all its steps.", show_default=False)
    ] = None,
    person: Annotated[
        str | None, typer.Option("--person", help="One person's rows, with reasons.", show_default=False)
    ] = None,
    sample: Annotated[
        int, typer.Option("--sample", help="Name so many people under each number, by id; the same every time.")
    ] = 0,
    diff: Annotated[
        str | None,
        typer.Option("--diff", help="Show what another plan decides otherwise: an id, HEAD or HEAD~1.", metavar="PLAN"),
    ] = None,
    as_of: AsOf = None,
    data_dir: DataDir = None,
    project_dir: ProjectDir = None,
    json_: Json = False,
) -> None:
    """Make the plan that a run would apply, or show one. Nothing is applied, nothing leaves.

    With PLAN, show that one: what is done with whom, per campaign, and why not with the others.
    """
    if plan_id is not None and as_of is not None:
        raise typer.BadParameter("a plan that is made has its instant; expected one or the other", param_hint="--as-of")
    found = settings(data_dir, project_dir)
    store = Store(found)
    other = None if diff is None else store.resolve(diff)
    if plan_id is None:
        with output.working("planning") as tell:
            result = spine.plan(found, instant(as_of), tell=tell)
        plan_id = result.plan_id or ""
    else:
        plan_id = store.resolve(plan_id)
        made = store.read(plan_id)
        result = Result(made.as_of, plan_id=plan_id, parent=made.parent)
    how = looking.Look(campaign=campaign, person=person, size=sample, other=other)
    looking.look(found, store, plan_id, result, how, as_json=json_)
    plans.say_unread(result)
    raise typer.Exit(result.exit_code)


def apply(
    plan_id: Annotated[str, typer.Argument(help="The plan's id, or the start of it.", metavar="PLAN")],
    data_dir: DataDir = None,
    project_dir: ProjectDir = None,
    json_: Json = False,
) -> None:
    """Move HEAD to a plan. Its intents are written into the journal; `tailrace deliver` then sends them."""
    result = spine.apply(settings(data_dir, project_dir), plan_id)
    _print(result, json_)


def run(
    as_of: AsOf = None,
    budget: Budget = None,
    data_dir: DataDir = None,
    project_dir: ProjectDir = None,
    json_: Json = False,
) -> None:
    """Do everything once, from landing to delivery. Land, build, plan, guard, apply, deliver, publish."""
    found = settings(data_dir, project_dir)
    with output.working("running") as tell:
        result = spine.run(found, instant(as_of), budget_seconds=budget, tell=tell)
    if not json_ and result.plan_id is not None:
        plans.show(result.plan_id, Store(found).read(result.plan_id))
    _print(result, json_)
    raise typer.Exit(result.exit_code)


def deliver(
    as_of: AsOf = None,
    budget: Budget = None,
    workers: Workers = 1,
    data_dir: DataDir = None,
    project_dir: ProjectDir = None,
    json_: Json = False,
) -> None:
    """Deliver what applied plans left pending."""
    found = settings(data_dir, project_dir)
    with output.working("delivering"):
        result = spine.deliver(found, instant(as_of), budget_seconds=budget, workers=workers)
    _print(result, json_)


def backfill(
    source: Source,
    reason: Annotated[str, typer.Option("--reason", help="Why; it is kept with the load.")],
    paths: Paths = None,
    from_: Annotated[
        str | None,
        typer.Option("--from", help="Only what happened from this instant on: ISO 8601.", show_default=False),
    ] = None,
    to: Annotated[
        str | None, typer.Option("--to", help="Only what happened before this instant: ISO 8601.", show_default=False)
    ] = None,
    data_dir: DataDir = None,
    project_dir: ProjectDir = None,
    json_: Json = False,
) -> None:
    """Land files as history. They are planned at HEAD's own as_of: no message, no removal.

    What happened outside of the range is quarantined, not landed. Killed, the same command again does the rest.
    """
    bounds = [None if text is None else clock.parse(text) for text in (from_, to)]
    asked = Asked(who(), clock.now(), *bounds)
    with output.working("backfilling"):
        result = spine.backfill(settings(data_dir, project_dir), paths or [], source, reason, asked)
    _print(result, json_)
    if not json_:
        output.note(_backfilled(result.steps["backfill"]))
    raise typer.Exit(result.exit_code)


def _backfilled(done: dict[str, Any]) -> str:
    """Return what the backfill came to, in words."""
    if done["load"] is None:
        return "all of it had landed before: nothing was changed"
    if done["planned_before"]:
        return f"this backfill was done before: nothing was changed; `tailrace backfills show {done['load']}`"
    before = "it had landed before and is planned now; " if done["landed_before"] else ""
    return f"{before}what it did: `tailrace backfills show {done['load']}`"


def report(data_dir: DataDir = None, project_dir: ProjectDir = None, json_: Json = False) -> None:
    """Write the report: one HTML file that needs no network."""
    path = write_report(settings(data_dir, project_dir))
    if json_:
        output.document({"report": path})
    else:
        output.say(str(path))


def demo(
    data_dir: DataDir = None,
    project_dir: ProjectDir = None,
    people: Annotated[int, typer.Option("--people", help="How many people the company has.")] = 3000,
    days: Annotated[int, typer.Option("--days", help="How many logical days to run.")] = 14,
    json_: Json = False,
) -> None:
    """Play a small SaaS company. Makes its year of events, lands them, runs some days, delivers to the outbox."""
    found = settings(data_dir or Path("data") / "demo", project_dir)
    summary = demonstration.play(found, people=people, days=days, tell=output.note)
    if json_:
        output.document(summary)
        return
    plans.show(summary.plan_id, Store(found).read(summary.plan_id))
    _where(summary, found)


def _where(summary: demonstration.Demo, found: Settings) -> None:
    output.title("Look around")
    output.say(f"mails     {summary.outbox} ({summary.mails:,} files)")
    output.say(f"report    {summary.report}")
    example = f" --data-dir {found.data_dir}"
    for command in (f"explain {summary.example_user}", "segment list", "campaign list", "quarantine list", "plan HEAD"):
        output.say(f"          tailrace {command}{example}")


def doctor(data_dir: DataDir = None, project_dir: ProjectDir = None, json_: Json = False) -> None:
    """Examine this installation. Versions, stores, locks, journal, lease, what is stuck."""
    findings = examination.examine(settings(data_dir, project_dir))
    if json_:
        output.document([finding.row() for finding in findings])
    else:
        rows = [[finding.status, finding.subject, finding.text] for finding in findings]
        output.table(["", "what", "finding"], rows, empty="")
    raise typer.Exit(1 if any(finding.status == "bad" for finding in findings) else 0)


def _print(result: Result, json_: bool) -> None:
    if json_:
        output.document(result.document())
    else:
        plans.show_result(result)
