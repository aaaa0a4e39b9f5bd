"""The commands that people run by hand when something waits for them: quarantine, guard, unknown, live."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from tailrace.cli import output
from tailrace.cli.options import AsOf, DataDir, Json, Limit, ProjectDir, Reason, instant, settings, who
from tailrace.cli.plans import reading, release_in_words
from tailrace.pipeline import operations

quarantine = typer.Typer(help="Lines that could not be landed, and why.", no_args_is_help=True)
guard = typer.Typer(help="What guards have parked, and letting it pass.", no_args_is_help=True)
unknown = typer.Typer(help="Messages whose fate nobody knows.", no_args_is_help=True)
live = typer.Typer(help="The live lease: without it only the outbox and allow-listed addresses are reached.")

Settlement = Literal["accepted", "rejected", "cancelled", "retry_later"]
OfSource = Annotated[str | None, typer.Option("--source", help="Only of this source.")]


@quarantine.command(name="list")
def quarantine_list(
    source: OfSource = None,
    reason: Annotated[str | None, typer.Option("--reason", help="Only for this reason.")] = None,
    limit: Limit = 50,
    data_dir: DataDir = None,
    project_dir: ProjectDir = None,
    json_: Json = False,
) -> None:
    """List the quarantined lines: where they stood and why they could not be landed.

    Lines that only the range of a backfill left out are listed with `--reason outside_range`.
    """
    chosen = settings(data_dir, project_dir)
    rows = operations.quarantined(chosen, source, limit, reason)
    if json_:
        output.document(rows)
        return
    output.table(
        ["id", "source", "file", "line", "reason", "detail"],
        [[row.id, row.source, row.file, row.line, row.reason, row.detail] for row in rows],
        empty="Nothing is in quarantine.",
    )
    left_out = operations.left_out(chosen, source) if reason is None else 0
    if left_out:
        output.note(f"{left_out:,} lines that the range of a backfill left out: `--reason outside_range`")


@quarantine.command(name="show")
def quarantine_show(
    line_id: Annotated[str, typer.Argument(help="The id that `list` shows.", metavar="ID")],
    data_dir: DataDir = None,
    project_dir: ProjectDir = None,
    json_: Json = False,
) -> None:
    """Show one quarantined line as it came. It may hold a person's data: not for logs."""
    row = operations.quarantined_line(settings(data_dir, project_dir), line_id)
    if json_:
        output.document(row)
        return
    output.say(f"{row.file}:{row.line}  {row.reason}: {row.explanation}  {row.detail or ''}")
    output.say(row.raw)


@quarantine.command(name="retry")
def quarantine_retry(
    source: OfSource = None,
    as_of: AsOf = None,
    data_dir: DataDir = None,
    project_dir: ProjectDir = None,
    json_: Json = False,
) -> None:
    """Land the quarantined lines again, after a contract or a parser was mended."""
    retried = operations.retry(settings(data_dir, project_dir), source, instant(as_of))
    if json_:
        output.document(retried)
        return
    output.say(_tried(retried))
    if len(retried.kinds) > 1:
        for each in retried.kinds:
            output.say(f"{each.source}{', history' if each.history else ''}: {_tried(each)}")


def _tried(done: operations.Retried | operations.Landed) -> str:
    return (
        f"{done.lines:,} lines tried = {done.landed:,} landed + {done.duplicate:,} duplicate +"
        f" {done.quarantined:,} still in quarantine" + (f" + {done.erased:,} erased" if done.erased else "")
    )


@guard.command(name="list")
def guard_list(data_dir: DataDir = None, project_dir: ProjectDir = None, json_: Json = False) -> None:
    """List what the guards read in the plan applied last, tripped ones first."""
    rows = operations.guards(settings(data_dir, project_dir))
    if json_:
        output.document(rows)
        return
    output.table(
        ["guard", "subject", "measured", "allowed", ""],
        [[*reading(row), release_in_words(row)] for row in rows],
        empty="No guard has read anything yet.",
    )


@guard.command(name="release")
def guard_release(
    name: Annotated[str, typer.Argument(help="The guard, such as segment_left_share.", metavar="GUARD")],
    subject: Annotated[str, typer.Argument(help="What it parked, such as segment:seg_power_users.", metavar="SUBJECT")],
    reason: Reason,
    data_dir: DataDir = None,
    project_dir: ProjectDir = None,
    json_: Json = False,
) -> None:
    """Let a parked subject pass once, in the next plan, up to the number that the guard measured."""
    release = operations.release(settings(data_dir, project_dir), name, subject, who(), reason)
    if json_:
        output.document(release)
        return
    output.say(
        f"release {release.seq}: {release.subject} may pass {release.guard} once, up to {release.measured:g},"
        " in the next plan"
    )


@unknown.command(name="list")
def unknown_list(data_dir: DataDir = None, project_dir: ProjectDir = None, json_: Json = False) -> None:
    """List the messages that may or may not have been delivered. None is sent again without you."""
    rows = operations.unknowns(settings(data_dir, project_dir))
    if json_:
        output.document(rows)
        return
    output.table(
        ["intent", "person_id", "campaign", "step", "by", "since", "code"],
        [
            [row.intent_id, str(row.person_id), row.campaign, row.step, row.destination, row.since, row.code]
            for row in rows
        ],
        empty="The fate of every message is known.",
    )


@unknown.command(name="settle")
def unknown_settle(
    intent_id: Annotated[str, typer.Argument(help="The intent that `list` shows.", metavar="INTENT")],
    outcome: Annotated[Settlement, typer.Option("--outcome", help="What you found out; `retry_later` sends it again.")],
    reason: Reason,
    data_dir: DataDir = None,
    project_dir: ProjectDir = None,
    json_: Json = False,
) -> None:
    """Write down what you found out about an unknown message."""
    operations.settle(settings(data_dir, project_dir), intent_id, outcome, who(), reason)
    if json_:
        output.document({"intent_id": intent_id, "outcome": outcome})
    else:
        output.say(f"{intent_id}: {outcome}")


@live.command(name="acquire")
def live_acquire(
    reason: Reason,
    accept_journal: Annotated[
        bool,
        typer.Option("--accept-journal", help="Go on with a journal that is behind its copy, knowing what it lost."),
    ] = False,
    data_dir: DataDir = None,
    project_dir: ProjectDir = None,
    json_: Json = False,
) -> None:
    """Take the live lease: from now on this data directory, on this host, reaches real people."""
    found = operations.acquire(settings(data_dir, project_dir), who(), reason, accept_journal)
    for sync, n in found.forgotten.items():
        output.note(
            f"{sync}: {n:,} batches were claimed by plans that are lost, so the next plan says their rows again; an"
            " `append` says them for a second time, unless its destination recognises them"
        )
    _show_lease(found.lease, json_)


@live.command(name="release")
def live_release(reason: Reason, data_dir: DataDir = None, project_dir: ProjectDir = None, json_: Json = False) -> None:
    """Give the live lease up."""
    _show_lease(operations.give_up(settings(data_dir, project_dir), who(), reason), json_)


@live.command(name="show")
def live_show(data_dir: DataDir = None, project_dir: ProjectDir = None, json_: Json = False) -> None:
    """Show whether this data directory may reach real people, and why not."""
    _show_lease(operations.lease(settings(data_dir, project_dir)), json_)


def _show_lease(lease: operations.Lease, json_: bool) -> None:
    if json_:
        output.document(lease)
    elif lease.held:
        output.say(f"live since {output.cell(lease.since)}, by {lease.who}: {lease.reason}")
    else:
        output.say(f"not live: {lease.why_not}")
