"""tailrace exposures: what tailrace sends, for dbt's own lineage."""

from __future__ import annotations

import typer

from tailrace.cli import output
from tailrace.cli.options import DataDir, Json, ProjectDir, settings
from tailrace.pipeline.exposures import write


def register(app: typer.Typer) -> None:
    """Add the command to the root."""
    app.command()(exposures)


def exposures(data_dir: DataDir = None, project_dir: ProjectDir = None, json_: Json = False) -> None:
    """Write a dbt exposure for each campaign and sync into the project, so that dbt's lineage shows where data goes."""
    done = write(settings(data_dir, project_dir))
    if json_:
        output.document(done)
        return
    said = f"{output.many(done.campaigns, 'campaign')} and {output.many(done.syncs, 'sync')}"
    output.say(f"{done.path}: {said}{'' if done.is_new else ', as before'}")
