"""tailrace journal: where the memory of what was sent is kept."""

from __future__ import annotations

import typer

from tailrace.cli import output
from tailrace.cli.options import DataDir, Json, ProjectDir, settings
from tailrace.pipeline import operations

app = typer.Typer(help="Where the memory of what was sent is kept.", no_args_is_help=True)


@app.command()
def move(data_dir: DataDir = None, project_dir: ProjectDir = None, as_json: Json = False) -> None:
    """Move the journal from the data directory's file into the database that TAILRACE_JOURNAL names."""
    aside, n_rows = operations.move_journal(settings(data_dir, project_dir))
    if as_json:
        output.document({"rows": n_rows, "aside": str(aside)})
        return
    output.say(f"{n_rows:,} rows are in the database; the file is now {aside}. The live lease is to be acquired again.")
