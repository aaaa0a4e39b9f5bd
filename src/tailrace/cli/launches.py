"""tailrace check --live: what stands between a campaign and its launch, one line each."""

from __future__ import annotations

from datetime import datetime

import typer

from tailrace.cli import output
from tailrace.pipeline.checking import check
from tailrace.pipeline.launching import launch_lists
from tailrace.settings import Settings


def show(settings: Settings, campaign: str | None, as_of: datetime, *, as_json: bool) -> None:
    """Print the list of a campaign, or of each; the command ends with 1 when something failed."""
    with output.working("reading the project and what has landed"):
        found = launch_lists(settings, campaign, as_of, check(settings))
    if as_json:
        output.document(found)
    else:
        for launch in found:
            output.title(launch.campaign)
            rows = [[item.status, item.what, item.text, item.todo] for item in launch.items]
            output.table(["", "what", "finding", "what to do"], rows, empty="")
        if not found:
            output.say("There is no campaign to launch.")
    raise typer.Exit(1 if any(launch.failed for launch in found) else 0)
