"""tailrace explain: one person's story."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import typer

from tailrace import clock
from tailrace.cli import gates, output
from tailrace.cli.funnels import words
from tailrace.cli.options import DataDir, Json, ProjectDir, settings
from tailrace.pipeline.explaining import Explanation
from tailrace.pipeline.explaining import explain as tell
from tailrace.pipeline.why import why
from tailrace.planning.story import Story

CAUSES = {
    "behaviour": "of what the person did, or of time",
    "definition": "the segment's SQL changed; held",
    "history": "of a backfill",
    "merge": "two people became one",
    "baseline": "was in it when tailrace first saw it",
}


def register(app: typer.Typer) -> None:
    """Add the command to the root."""
    app.command()(explain)


def explain(
    person: Annotated[str, typer.Argument(help="A user id, or a person_id as plans show it.", metavar="PERSON")],
    campaign: Annotated[
        str | None,
        typer.Option(
            "--campaign",
            help="Say why this campaign sent a message or none: gate by gate, with the values seen.",
            show_default=False,
        ),
    ] = None,
    at: Annotated[
        str | None,
        typer.Option("--at", help="As of this time: by the plan that was current then.", show_default=False),
    ] = None,
    plans: Annotated[int, typer.Option("--plans", help="How many plans to look back.")] = 500,
    data_dir: DataDir = None,
    project_dir: ProjectDir = None,
    json_: Json = False,
) -> None:
    """Tell one person's story, or why a message was sent or not. Events, segments, steps, verdicts, outcomes.

    With --campaign, values of the person's attributes are shown where a condition asks for them.
    """
    found = settings(data_dir, project_dir)
    moment = clock.parse(at) if at else None
    if campaign is not None:
        reasons = why(found, person, campaign, moment)
        if json_:
            output.document(reasons)
        else:
            gates.show(reasons)
        return
    story = tell(found, person, limit=plans, at=moment)
    if json_:
        output.document(story)
        return
    _show(story)


def _show(story: Explanation) -> None:
    output.say(f"person {story.person_id}, over {output.many(story.n_plans, 'plan')} up to {output.cell(story.as_of)}")
    if story.missing:
        output.say(f"missing   {story.missing}")
    if story.asked:
        output.say(f"merged    person {story.asked}, who was asked for, is person {story.person_id} now")
    if story.also:
        output.say(f"also      {', '.join(map(str, story.also))}: their other user ids, told here too")
    if story.n_events:
        output.say(
            f"events    {story.n_events:,} on {output.many(story.n_days, 'day')},"
            f" from {story.first_on} to {story.last_on}"
        )
    else:
        output.say("events    none that anybody published")
    for row in story.states:
        output.say(f"state     {row['state']} since {output.cell(row['since'])} ({row['programme']})")
    output.say(f"segments  {', '.join(story.segments) or 'none'}")
    _campaigns(story)
    _segments(story)
    _steps(story)
    _verdicts(story)
    _outcomes(story)


def show_rows(plan_id: str, as_of: datetime, story: Story) -> None:
    """Print what one plan says of one person: segments moved, steps, verdicts with reasons."""
    output.say(f"person {story.person_id} in plan {plan_id}  as of {output.cell(as_of)} UTC")
    output.say(f"segments  {', '.join(story.segments) or 'none'}")
    _campaigns(story)
    _segments(story)
    _steps(story)
    _verdicts(story)


def _campaigns(story: Explanation | Story) -> None:
    output.title("Campaigns")
    output.table(
        ["campaign", "entered", "arm", "status", "rests at", "goal reached"],
        [
            [row["campaign"], row["entered_at"], row["arm"], row["status"], row["step"], row["goal_at"]]
            for row in story.enrollments
        ],
        empty="Never entered one; under Verdicts stands why, if a trigger named this person.",
    )


def _segments(story: Explanation | Story) -> None:
    output.title("Segments in and out")
    output.table(
        ["as of", "", "segment", "because"],
        [
            [row["as_of"], row["change"], row["segment"], CAUSES.get(row["cause"], row["cause"])]
            for row in story.changes
        ],
        empty="Never moved.",
    )


def _steps(story: Explanation | Story) -> None:
    output.title("Steps")
    output.table(
        ["as of", "campaign", "from", "to", "why"],
        [[row["as_of"], row["campaign"], row["from_step"], row["to_step"], row["why"]] for row in story.transitions],
        empty="None.",
    )


def _verdicts(story: Explanation | Story) -> None:
    output.title("Verdicts")
    output.table(
        ["as of", "campaign", "step", "verdict", "reason", "again at"],
        [
            [
                row["as_of"],
                row["campaign"],
                row["step"],
                row["verdict"],
                words(row["reason"] or ""),
                row.get("next_at") or "",
            ]
            for row in story.verdicts
        ],
        empty="Never considered for a message so far."
        if story.enrollments
        else "Never considered: no trigger named this person.",
    )


def _outcomes(story: Explanation) -> None:
    output.title("Outcomes")
    output.table(
        ["at", "campaign", "step", "what", "code", "by"],
        [[row.at, row.campaign, row.step, row.what, row.code, row.destination or ""] for row in story.outcomes],
        empty="Nothing was ever to be handed over.",
    )
