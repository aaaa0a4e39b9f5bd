"""tailrace campaign: list, show, preview."""

from __future__ import annotations

from typing import Annotated

import typer

from tailrace.cli import output
from tailrace.cli.options import DataDir, Json, ProjectDir, settings
from tailrace.cli.plans import words
from tailrace.pipeline import campaigns

app = typer.Typer(help="Campaigns: what they are, where people stand, what their messages say.", no_args_is_help=True)

Slug = Annotated[str, typer.Argument(help="The campaign's folder name.")]


@app.command(name="list")
def list_(data_dir: DataDir = None, project_dir: ProjectDir = None, json_: Json = False) -> None:
    """List the campaigns, with who is in them in the plan applied last."""
    rows = campaigns.overview(settings(data_dir, project_dir))
    if json_:
        output.document(rows)
        return
    output.table(
        ["campaign", "status", "trigger", "in flight", "ever", "reached the goal", "purpose"],
        [[row.slug, row.status, row.trigger, row.active, row.ever, row.converted, row.purpose] for row in rows],
        empty="There are no campaigns; add one as campaigns/<slug>/campaign.yml.",
    )


@app.command()
def show(slug: Slug, data_dir: DataDir = None, project_dir: ProjectDir = None, json_: Json = False) -> None:
    """Show one campaign: its steps, who rests where, and what became of its messages so far."""
    seen = campaigns.show(settings(data_dir, project_dir), slug)
    if json_:
        output.document(seen)
        return
    output.say(f"{seen.slug}: {seen.purpose}")
    output.say(f"{seen.status}, {seen.klass}, {seen.trigger}, holdout {seen.holdout:.1%}, version {seen.version}")
    output.table(
        ["step", "", "rest here", "sent", "deferred", "skipped"],
        [[row.step, row.what, row.resting, row.sent, row.deferred, row.skipped] for row in seen.steps],
        empty="It has no steps.",
    )
    output.title("Why not, over all plans")
    output.table(
        ["step", "reason", "people"],
        [[row.step, words(row.reason), row.people] for row in seen.reasons],
        empty="Nobody who was considered was passed over.",
    )


@app.command()
def preview(
    slug: Slug,
    person: Annotated[
        str | None, typer.Option("--as", help="A persona of personas/ or a user id.", metavar="PERSON")
    ] = None,
    step: Annotated[str | None, typer.Option("--step", help="Only this step's message.")] = None,
    html: Annotated[bool, typer.Option("--html", help="Print the HTML part instead of the text.")] = False,
    data_dir: DataDir = None,
    project_dir: ProjectDir = None,
    json_: Json = False,
) -> None:
    """Render a campaign's messages as a person would get them. Shows that person's data: not for logs."""
    seen = campaigns.preview(settings(data_dir, project_dir), slug, person, step)
    if json_:
        output.document(seen)
        return
    for message in seen:
        output.title(f"{message.step}: {message.subject or ''}")
        if message.problem:
            output.say(f"cannot be sent: {message.problem}")
        else:
            output.say((message.html if html else message.text) or "")
