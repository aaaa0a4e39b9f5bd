"""tailrace backfills: what was backfilled, what it did, and what would have gone had it come in time."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tailrace import clock
from tailrace.cli import output
from tailrace.cli.options import DataDir, Json, Limit, ProjectDir, settings, who
from tailrace.pipeline import backfills, remedies
from tailrace.pipeline import corrections as correcting

app = typer.Typer(help="What was backfilled, what it did, and what it came too late for.", no_args_is_help=True)

_WORDS = {"ignored": "ignored", "listed": "listed", "send_now": "to be sent now, chosen"}

Id = Annotated[str, typer.Argument(help="The id that `list` shows, or the start of it.", metavar="ID")]


@app.command(name="list")
def list_(data_dir: DataDir = None, project_dir: ProjectDir = None, json_: Json = False) -> None:
    """List the backfills: when, of which time, why, how much."""
    found = backfills.backfills(settings(data_dir, project_dir))
    if json_:
        output.document(found)
        return
    output.table(
        ["id", "at", "source", "from", "to", "landed", "duplicate", "quarantined", "planned", "reason"],
        [
            [
                one.id,
                one.at or one.as_of,
                one.source,
                one.first_event_at,
                one.last_event_at,
                one.landed,
                one.duplicate,
                one.quarantined,
                one.plan_after is not None,
                one.reason,
            ]
            for one in found
        ],
        empty="Nothing was backfilled.",
    )


@app.command()
def show(load_id: Id, data_dir: DataDir = None, project_dir: ProjectDir = None, json_: Json = False) -> None:
    """Show what a backfill did. Its rows, the plans before and after, what moved, who was kept out as history."""
    found = settings(data_dir, project_dir)
    one = backfills.backfill(found, load_id)
    decided = remedies.remedies(found, one.id)
    if json_:
        output.document({**vars(one), "remedies": decided})
        return
    output.say(f"backfill {one.id} of {one.source}: {one.reason}")
    by = f" by {one.who}" if one.who else ""
    output.say(f"made {output.cell(one.at)} UTC{by}, planned as of {output.cell(one.as_of)} UTC")
    if one.since or one.until:
        output.say(f"asked for {output.cell(one.since)} to {output.cell(one.until)} UTC")
    output.say(f"events from {output.cell(one.first_event_at)} to {output.cell(one.last_event_at)} UTC")
    output.say(
        f"{one.lines:,} lines read = {one.landed:,} landed + {one.duplicate:,} duplicate + {one.quarantined:,}"
        " quarantined" + (f" + {one.erased:,} erased" if one.erased else "")
    )
    for reason, count in one.reasons.items():
        output.say(f"  {count:,} {reason}")
    if one.plan_after is None:
        output.say("No plan that is kept has seen it first: the next `tailrace run` plans it, or the plan is gone.")
    else:
        output.say(f"plan {one.plan_after} on top of {one.plan_before or 'nothing'}")
        _effect(one)
    for remedy in decided:
        output.say(f"{_WORDS[remedy.remedy]} by {remedy.who} at {output.cell(remedy.at)} UTC: {remedy.reason}")
        if remedy.passes is not None:
            waits = "taken back" if remedy.is_taken_back else "no plan has considered them yet"
            where = f"considered by plan {remedy.plan}" if remedy.plan else waits
            output.say(f"  {remedy.passes:,} passes, {where}")


def _effect(one: backfills.Backfill) -> None:
    if one.together:
        output.say(f"the plan saw other history first as well, and its effects are here too: {', '.join(one.together)}")
    output.title("Segments that moved")
    output.table(
        ["segment", "before", "entered", "left", "after", ""],
        [[s.segment, s.before, s.entered, s.left, s.after, s.parked or s.cause] for s in one.segments],
        empty="None moved.",
    )
    output.title("Whom campaigns named, and who did not enter: it is history")
    output.table(["campaign", "people"], list(one.refused.items()), empty="Nobody.")
    output.say("\nWhat would have gone had it come in time: `tailrace backfills corrections " + one.id + "`")


@app.command()
def corrections(
    load_id: Id,
    to: Annotated[
        Path | None,
        typer.Option("--list", help="Write the rows to this file, as CSV; it is kept who did.", show_default=False),
    ] = None,
    limit: Limit = 50,
    data_dir: DataDir = None,
    project_dir: ProjectDir = None,
    json_: Json = False,
) -> None:
    """Say which messages would have gone had a backfill's events come in time, and which went that would not have.

    Makes the runs since the earliest of the events again, on a branch: nothing is sent or changed.
    """
    found = settings(data_dir, project_dir)
    with output.progress("making the runs again") as told:
        seen = correcting.corrections(
            found, load_id, progress=lambda done, all_, as_of: told(done, all_, output.cell(as_of))
        )
    if to is not None:
        remedies.list_rows(found, seen, to, who=who(), at=clock.now())
    if json_:
        output.document(seen)
    else:
        _show(seen, limit)
    if to is not None:
        output.note(f"{seen.rows.num_rows:,} rows are in {to}")


def _show(seen: correcting.Corrections, limit: int) -> None:
    span = f" from {output.cell(seen.first)} to {output.cell(seen.last)} UTC" if seen.runs else ""
    output.say(f"backfill {seen.backfill}: {seen.runs:,} runs made again{span}. Nothing was sent or changed.")
    for line in seen.assumed:
        output.say(f"  {line}")
    output.title("Messages")
    output.table(
        ["campaign", *correcting.KINDS.values()],
        [[c.campaign, c.missed, c.unwanted, c.another_time] for c in seen.campaigns],
        empty="All that went is what would have gone.",
    )
    if not seen.rows.num_rows:
        return
    output.title("Who")
    shown = seen.rows.slice(0, limit).to_pylist()
    output.table(
        ["person", "campaign", "step", "channel", "would have gone", "went", "stands"],
        [
            [
                str(row["person_id"]),
                row["campaign"],
                row["step"],
                row["channel"],
                row["should_have_gone_at"],
                row["went_at"],
                row["standing"] or "",
            ]
            for row in shown
        ],
        empty="",
    )
    if seen.rows.num_rows > len(shown):
        output.say(f"… and {seen.rows.num_rows - len(shown):,} more; all of them with --json or --list FILE")


@app.command()
def ignore(
    load_id: Id,
    reason: Annotated[str, typer.Option("--reason", help="Why; it is kept with the backfill.")],
    data_dir: DataDir = None,
    project_dir: ProjectDir = None,
    json_: Json = False,
) -> None:
    """Keep that nothing is to be done about what a backfill came too late for: who says so, and why.

    What was chosen to be sent now, and no applied plan has considered, is taken back.
    """
    done = remedies.ignore(settings(data_dir, project_dir), load_id, who=who(), reason=reason, at=clock.now())
    if json_:
        output.document({**done.kept.model_dump(), "taken_back": done.taken_back, "considered": done.considered})
        return
    back = f"; {done.taken_back:,} that were chosen to be sent now are taken back" if done.taken_back else ""
    output.say(f"kept: nothing is done about backfill {done.kept.backfill}{back}")
    if done.considered:
        output.say(f"What became of {done.considered:,} that a plan has considered stands: `backfills show` names it.")


@app.command()
def send(
    load_id: Id,
    reason: Annotated[str, typer.Option("--reason", help="Why; it is kept with the backfill.")],
    campaign: Annotated[
        str | None, typer.Option("--campaign", help="Only this campaign's messages.", show_default=False)
    ] = None,
    step: Annotated[
        str | None, typer.Option("--step", help="Only the messages of this step.", show_default=False)
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be chosen, and leave it.")] = False,
    data_dir: DataDir = None,
    project_dir: ProjectDir = None,
    json_: Json = False,
) -> None:
    """Have the next plan consider the messages that would have gone: once, and as it considers any message.

    Consent, caps, holdout, hours, expiry and approval are asked as ever; who is in the campaign already is refused.
    """
    with output.progress("making the runs again") as told:
        done = remedies.send_now(
            settings(data_dir, project_dir),
            load_id,
            campaign=campaign,
            step=step,
            who=who(),
            reason=reason,
            at=clock.now(),
            is_dry=dry_run,
            progress=lambda done, all_, as_of: told(done, all_, output.cell(as_of)),
        )
    if json_:
        output.document(done)
        return
    if dry_run:
        output.say("nothing was changed; without --dry-run:")
    output.table(["campaign", "step", "people"], [list(row) for row in done.messages], empty="")
    waits = f"; {done.waiting:,} wait for it already" if done.waiting else ""
    output.say(f"the next plan considers {done.chosen:,} of these{waits}: `tailrace plan` shows what becomes of them")
