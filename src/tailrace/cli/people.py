"""tailrace explain: one person's story."""

from __future__ import annotations

from typing import Annotated

import typer

from tailrace.cli import output
from tailrace.cli.options import DataDir, Json, ProjectDir, settings
from tailrace.cli.plans import words
from tailrace.pipeline.explaining import Explanation
from tailrace.pipeline.explaining import explain as tell


def register(app: typer.Typer) -> None:
    """Add the command to the root."""
    app.command()(explain)


def explain(
    person: Annotated[str, typer.Argument(help="A user id, or a person_id as plans show it.")],
    plans: Annotated[int, typer.Option("--plans", help="How many plans to look back.")] = 500,
    data_dir: DataDir = None,
    project_dir: ProjectDir = None,
    json_: Json = False,
) -> None:
    """Tell one person's story: events, segments in and out, steps, each verdict with its reason, each outcome."""
    story = tell(settings(data_dir, project_dir), person, limit=plans)
    if json_:
        output.document(story)
        return
    _show(story)


def _show(story: Explanation) -> None:
    output.say(f"person {story.person_id}: over {story.n_plans} plans up to {output.cell(story.as_of)}")
    output.title("Events")
    output.table(
        ["events", "active days", "first", "last"],
        [[story.n_events, story.n_days, story.first_on, story.last_on]] if story.n_events else [],
        empty="None that anybody published.",
    )
    output.say(f"\nin now: {', '.join(story.segments) or 'no segment'}")
    output.title("Segments")
    output.table(
        ["as of", "", "segment", "because of"],
        [[row["as_of"], row["change"], row["segment"], row["cause"]] for row in story.changes],
        empty="Never moved.",
    )
    output.title("Steps")
    output.table(
        ["as of", "campaign", "from", "to", "why"],
        [[row["as_of"], row["campaign"], row["from_step"], row["to_step"], row["why"]] for row in story.transitions],
        empty="Never in a campaign.",
    )
    output.title("Verdicts")
    output.table(
        ["as of", "campaign", "step", "verdict", "reason"],
        [
            [row["as_of"], row["campaign"], row["step"], row["verdict"], words(row["reason"] or "")]
            for row in story.verdicts
        ],
        empty="Never considered.",
    )
    output.title("Outcomes")
    output.table(
        ["at", "campaign", "step", "what", "code", "by"],
        [[row.at, row.campaign, row.step, row.what, row.code, row.destination] for row in story.outcomes],
        empty="Nothing was ever handed over.",
    )
