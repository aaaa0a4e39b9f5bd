"""tailrace broadcast: a campaign, now, for the people of a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tailrace.cli import output
from tailrace.cli.options import AsOf, DataDir, Json, ProjectDir, instant, settings, who
from tailrace.pipeline import broadcast as broadcasting


def register(app: typer.Typer) -> None:
    """Add the command to the root."""
    app.command()(broadcast)


def broadcast(
    slug: Annotated[str, typer.Argument(help="The campaign's folder name; its trigger is `broadcast: command`.")],
    key: Annotated[str, typer.Option("--key", help="A name for this broadcast; the same key never sends twice.")],
    data: Annotated[
        Path, typer.Option("--data", help="CSV or JSONL: `user_id`, and fields that templates see as `trigger`.")
    ],
    as_of: AsOf = None,
    data_dir: DataDir = None,
    project_dir: ProjectDir = None,
    json_: Json = False,
) -> None:
    """Ask for a campaign for the people of a file; the next run sends. Again with the same key, it changes nothing."""
    found = settings(data_dir, project_dir)
    with output.working("landing"):
        done = broadcasting.broadcast(found, slug, key, data, who=who(), at=instant(as_of))
    if json_:
        output.document(done)
        return
    if done.landed:
        output.say(
            f"{done.landed:,} people are asked for ({done.key}); the next `tailrace run` sends to who may get it"
        )
    else:
        output.say(f"this was done already, by {done.who} at {output.cell(done.at)}: nothing was changed")
    if done.unknown:
        output.note(f"{done.unknown:,} of {done.rows:,} are not known to the warehouse and get nothing")
    elif done.unknown is None:
        output.note("nothing has been published yet, so nobody knows who of them is known: `tailrace run`")
