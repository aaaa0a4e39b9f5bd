"""tailrace drafts: list, show, approve, reject."""

from __future__ import annotations

from typing import Annotated

import typer

from tailrace.cli import output
from tailrace.cli.options import AsOf, DataDir, Json, Limit, ProjectDir, Reason, instant, settings, who
from tailrace.pipeline import drafts
from tailrace.settings import Settings

app = typer.Typer(help="Messages that wait for a person's approval (`sending: draft`).", no_args_is_help=True)

Ids = Annotated[list[str] | None, typer.Argument(help="The intents that `list` shows.", metavar="[INTENT]…")]
OfCampaign = Annotated[str | None, typer.Option("--campaign", help="All of this campaign.")]
All = Annotated[bool, typer.Option("--all", help="All there are.")]


@app.command(name="list")
def list_(
    campaign: Annotated[str | None, typer.Option("--campaign", help="Only of this campaign.")] = None,
    limit: Limit = 50,
    data_dir: DataDir = None,
    project_dir: ProjectDir = None,
    json_: Json = False,
) -> None:
    """List the messages that wait. None is sent, and each expires in its own time, without you."""
    rows, n_all = drafts.drafts(settings(data_dir, project_dir), campaign, limit)
    if json_:
        output.document(rows)
        return
    output.table(
        ["intent", "person_id", "campaign", "step", "message", "by", "since", "not before", "expires"],
        [
            [
                *(row.intent_id, str(row.person_id), row.campaign, row.step, row.message, row.channel),
                *(row.since, row.deliver_after, row.expires_at),
            ]
            for row in rows
        ],
        empty="No message waits for approval.",
    )
    if len(rows) < n_all:
        output.note(f"{len(rows):,} of {n_all:,} that wait are shown")


@app.command()
def show(
    intent_id: Annotated[str, typer.Argument(help="The intent that `list` shows.", metavar="INTENT")],
    html: Annotated[bool, typer.Option("--html", help="Print the HTML part instead of the text.")] = False,
    data_dir: DataDir = None,
    project_dir: ProjectDir = None,
    json_: Json = False,
) -> None:
    """Render one message as its person would get it. Shows that person's data: not for logs."""
    seen = drafts.show(settings(data_dir, project_dir), intent_id)
    if json_:
        output.document(seen)
        return
    output.say(f"{seen.campaign}, step {seen.step}, {seen.channel} message {seen.message}: {seen.state}")
    output.say(f"to       {seen.address or 'nobody'}")
    output.say(f"not before {output.cell(seen.deliver_after)}, expires {output.cell(seen.expires_at)}")
    if seen.problem:
        output.say(f"cannot be sent: {seen.problem}")
    else:
        output.title(seen.subject or "")
        output.say((seen.html if html else seen.text) or "")


@app.command()
def approve(
    reason: Reason,
    intent_ids: Ids = None,
    campaign: OfCampaign = None,
    all_: All = False,
    as_of: AsOf = None,
    data_dir: DataDir = None,
    project_dir: ProjectDir = None,
    json_: Json = False,
) -> None:
    """Let drafts be sent: some, all of a campaign, or all. The next delivery takes them up when they are due."""
    _decide("approve", intent_ids, campaign, all_, reason, as_of, settings(data_dir, project_dir), json_)


@app.command()
def reject(
    reason: Reason,
    intent_ids: Ids = None,
    campaign: OfCampaign = None,
    all_: All = False,
    as_of: AsOf = None,
    data_dir: DataDir = None,
    project_dir: ProjectDir = None,
    json_: Json = False,
) -> None:
    """Cancel drafts, or approved messages that nobody has taken up yet: some, all of a campaign, or all."""
    _decide("reject", intent_ids, campaign, all_, reason, as_of, settings(data_dir, project_dir), json_)


def _decide(
    decision: str,
    intent_ids: list[str] | None,
    campaign: str | None,
    all_: bool,
    reason: str,
    as_of: str | None,
    found: Settings,
    json_: bool,
) -> None:
    if sum((bool(intent_ids), campaign is not None, all_)) != 1:
        raise typer.BadParameter("expected intents, or --campaign, or --all, and only one of them")
    decided = drafts.decide(found, decision, intent_ids or None, campaign, who=who(), reason=reason, at=instant(as_of))
    if json_:
        output.document(decided)
        return
    word = {"approve": "approved", "reject": "rejected"}[decision]
    output.say(f"{decided.changed:,} {word}")
    if decided.already:
        output.note(f"{decided.already:,} were {word} before and stay as they are")
    if decided.expired:
        output.note(f"{decided.expired:,} have expired and were left alone")
