"""tailrace campaign: list, show, preview."""

from __future__ import annotations

from typing import Annotated

import typer

from tailrace.cli import output
from tailrace.cli.options import DataDir, Json, ProjectDir, settings
from tailrace.cli.plans import words
from tailrace.pipeline import campaigns, previewing

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
        [
            [row.slug, row.status, row.trigger, row.active, row.ever, row.converted, _first_sentence(row.purpose)]
            for row in rows
        ],
        empty="There are no campaigns; add one as campaigns/<slug>/campaign.yml.",
    )


def _first_sentence(text: str) -> str:
    return text.partition(". ")[0]


@app.command()
def show(slug: Slug, data_dir: DataDir = None, project_dir: ProjectDir = None, json_: Json = False) -> None:
    """Show one campaign: its steps, who rests where, and what became of its messages so far."""
    seen = campaigns.show(settings(data_dir, project_dir), slug)
    if json_:
        output.document(seen)
        return
    _facts(seen)
    _steps(seen)
    output.title("Why not, over all plans")
    output.table(
        ["step", "verdict", "reason", "people"],
        [[row.step, row.verdict, words(row.reason), row.people] for row in seen.reasons],
        empty="Nobody who was considered was passed over.",
    )


def _facts(seen: campaigns.CampaignDetail) -> None:
    output.say(f"{seen.slug} ({seen.status}, sending {seen.sending}, version {seen.version})")
    output.say(seen.purpose)
    topic = f", topic {seen.topic}" if seen.topic else ""
    output.say(f"  owner    {seen.owner}")
    output.say(f"  class    {seen.klass}{topic}")
    output.say(f"  starts   {seen.trigger}")
    output.say(f"  goal     {seen.goal or 'none'}")
    output.say(f"  holdout  {seen.holdout:.1%}")
    output.say(f"  expires  {seen.expires} after a message was due")
    if seen.passes is None:
        output.say("\nNo plan has seen it yet.")
        return
    passes = seen.passes
    output.say(
        f"\n{passes.ever:,} entered = {passes.active:,} on their way + {passes.completed:,} completed +"
        f" {passes.converted:,} left at the goal + {passes.ended:,} taken out"
    )
    reached = "" if seen.goal is None else f"; {passes.reached_goal:,} reached the goal"
    output.say(f"of these, {passes.held_out:,} are in the holdout{reached}")


def _steps(seen: campaigns.CampaignDetail) -> None:
    output.title("Steps")
    output.table(
        ["step", "", "rest here", "to send", "deferred", "skipped", "what became of the messages"],
        [[row.step, row.what, row.resting, row.sent, row.deferred, row.skipped, _standing(row)] for row in seen.steps],
        empty="It has no steps.",
    )


def _standing(row: campaigns.StepRow) -> str:
    return ", ".join(f"{count:,} {word}" for word, count in row.standing.items())


@app.command()
def preview(
    slug: Slug,
    person: Annotated[
        str | None,
        typer.Option(
            "--as", help="A persona of personas/, or a user id. Default: the first persona.", metavar="PERSON"
        ),
    ] = None,
    step: Annotated[str | None, typer.Option("--step", help="Only this step's message.")] = None,
    html: Annotated[bool, typer.Option("--html", help="Print the HTML part instead of the text.")] = False,
    data_dir: DataDir = None,
    project_dir: ProjectDir = None,
    json_: Json = False,
) -> None:
    """Render a campaign's messages as a person would get them. Shows that person's data: not for logs."""
    seen = previewing.preview(settings(data_dir, project_dir), slug, person, step)
    if json_:
        output.document(seen)
        return
    for message in seen:
        if message.problem:
            output.title(message.step)
            output.say(f"cannot be sent: {message.problem}")
        else:
            output.title(f"{message.step}: {message.subject}")
            output.say((message.html if html else message.text) or "")
