"""tailrace campaign: list, show, preview, backtest, report."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import typer

from tailrace.campaigns.amounts import duration
from tailrace.cli import measured, output
from tailrace.cli.funnels import words
from tailrace.cli.options import DataDir, Json, Limit, ProjectDir, instant, settings
from tailrace.errors import TailraceError
from tailrace.pipeline import backtest as backtesting
from tailrace.pipeline import campaigns, measuring, previewing

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
    if seen.missing:
        output.say(seen.missing)
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
        told = " · ".join(part for part in (message.channel, message.note) if part)
        if message.problem:
            output.title(f"{message.step} ({told})")
            output.say(f"cannot be sent: {message.problem}")
        else:
            output.title(
                f"{message.step}: {message.subject} ({told})" if message.subject else f"{message.step} ({told})"
            )
            output.say((message.html if html else message.text) or message.text or "")


@app.command()
def backtest(
    slug: Slug,
    from_: Annotated[str, typer.Option("--from", help="The first instant: ISO 8601, UTC without a zone.")],
    to: Annotated[str, typer.Option("--to", help="The last instant, if `--every` meets it.")],
    every: Annotated[str, typer.Option("--every", help="From one run to the next: `1d`, `12h`.")] = "1d",
    rows: Annotated[bool, typer.Option("--rows", help="Also print who, by key: the first --limit of them.")] = False,
    limit: Limit = 50,
    data_dir: DataDir = None,
    project_dir: ProjectDir = None,
    json_: Json = False,
) -> None:
    """Replay past days with the campaign as it is today. Says who would have got what; sends and changes nothing."""
    found = settings(data_dir, project_dir)
    at = backtesting.instants(instant(from_), instant(to), _every(every))
    with output.progress(f"replaying {slug}") as told:
        seen = backtesting.backtest(
            found, slug, at, progress=lambda done, all_, as_of: told(done, all_, output.cell(as_of))
        )
    if json_:
        output.document(seen)
        return
    _replayed(seen)
    if rows:
        _who(seen, limit)


def _every(text: str) -> timedelta:
    try:
        return duration(text)
    except ValueError as error:
        raise TailraceError(f"--every: {error}") from error


def _replayed(seen: backtesting.Backtest) -> None:
    count = len(seen.instants)
    on = f"on top of plan {seen.stands_on}" if seen.stands_on else "on an empty baseline"
    output.say(
        f"{seen.campaign} (version {seen.version}) replayed at {count} {'instant' if count == 1 else 'instants'},"
        f" {on}, with {seen.in_flight:,} passes on their way. Nothing was sent; HEAD and the journal are as they were."
    )
    for line in seen.assumed:
        output.say(f"  {line}")
    output.title("Who would have entered")
    output.table(
        ["instant", "entered", "not entered", "to send", "deferred", "skipped"],
        [[i.as_of, i.entered, i.not_entered, i.sent, i.deferred, i.skipped] for i in seen.instants],
        empty="There was no instant.",
    )
    arms = ", ".join(f"{count:,} {arm.replace('_', ' ')}" for arm, count in seen.arms.items())
    output.say(f"\n{seen.entered:,} entered" + (f": {arms}" if arms else ""))
    for reason, people in seen.not_entered.items():
        output.say(f"  {people:,} named by the trigger did not: {words(reason)}")
    output.title("What they would have been sent")
    output.table(
        ["step", "message", "to send", "held back", "of these sent later", "skipped", "because"],
        [[m.step, m.message, m.sent, m.held_back, m.sent_later, m.skipped, _because(m)] for m in seen.messages],
        empty="Nobody reached a step that sends anything.",
    )
    if seen.really_sent:
        output.say(f"\n{seen.really_sent:,} of these messages were really sent, or queued, at the time or later.")
    _base_rate(seen)


def _because(message: backtesting.Message) -> str:
    return ", ".join(f"{count:,} {why}" for why, count in message.because.items())


def _base_rate(seen: backtesting.Backtest) -> None:
    rate = seen.base_rate
    if rate is None:
        return
    output.title("Base rate of the goal (not a lift)")
    if rate.share is None or rate.low is None or rate.high is None:
        output.say(f"Nobody's time for {rate.goal} was over by the last instant; {rate.still_open:,} were still in it.")
        return
    output.say(
        f"{rate.reached:,} of {rate.passes:,} passes whose time was over reached {rate.goal}: {rate.share:.1%}"
        f" (95 % interval {rate.low:.1%} to {rate.high:.1%}); {rate.still_open:,} more were still in it."
    )
    output.say(
        "This is what these people did with whatever they were really sent at the time. It does not say what the"
        " campaign would change: only a holdout says that (`tailrace campaign report`)."
    )


def _who(seen: backtesting.Backtest, limit: int) -> None:
    output.title("Who")
    shown = seen.rows.slice(0, limit).to_pylist()
    output.table(
        ["instant", "person", "step", "verdict", "reason", "leaves"],
        [
            [
                row["as_of"],
                str(row["person_id"]),
                row["step"],
                row["verdict"],
                words(row["reason"] or ""),
                row["deliver_after"],
            ]
            for row in shown
        ],
        empty="Nobody was considered.",
    )
    if seen.rows.num_rows > len(shown):
        output.say(f"… and {seen.rows.num_rows - len(shown):,} more; all of them with --json")


@app.command()
def report(slug: Slug, data_dir: DataDir = None, project_dir: ProjectDir = None, json_: Json = False) -> None:
    """Report what came of a campaign. Its funnel, receipts, and the lift over its holdout with a 95 % interval."""
    seen = measuring.measure(settings(data_dir, project_dir), slug)
    if json_:
        output.document(seen)
        return
    measured.show(seen)
