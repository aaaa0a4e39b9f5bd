"""tailrace segment: list, preview, diff."""

from __future__ import annotations

from typing import Annotated

import typer

from tailrace.cli import output
from tailrace.cli.options import AsOf, DataDir, Json, Limit, ProjectDir, instant, settings
from tailrace.pipeline import segments

app = typer.Typer(help="Segments: who is in them, and what an edit would change.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="The segment, such as seg_power_users.")]


@app.command(name="list")
def list_(data_dir: DataDir = None, project_dir: ProjectDir = None, json_: Json = False) -> None:
    """List the segments, with their sizes in the plan applied last."""
    rows = segments.overview(settings(data_dir, project_dir))
    if json_:
        output.document(rows)
        return
    output.table(
        ["segment", "people", "entered", "left", "status", "summary"],
        [[row.name, row.size, row.entered, row.left, row.status, row.summary] for row in rows],
        empty="There are no segments; add one as models/segments/seg_<who_they_are>.sql.",
    )


@app.command()
def preview(
    name: Name,
    limit: Limit = 10,
    as_of: AsOf = None,
    data_dir: DataDir = None,
    project_dir: ProjectDir = None,
    json_: Json = False,
) -> None:
    """Run the segment's SQL as it is written now: how many, what share, and a sample (ids only)."""
    with output.working("compiling"):
        seen = segments.preview(settings(data_dir, project_dir), name, instant(as_of) if as_of else None, limit)
    if json_:
        output.document(seen)
        return
    share = "" if seen.share is None else f", {seen.share:.1%} of {seen.people:,}"
    output.say(f"{seen.name}: {seen.size:,} people{share} (as of {output.cell(seen.as_of)})")
    output.table(["person_id"], [[str(person)] for person in seen.sample], empty="Nobody is in it.")


@app.command()
def diff(
    name: Name,
    limit: Limit = 10,
    as_of: AsOf = None,
    data_dir: DataDir = None,
    project_dir: ProjectDir = None,
    json_: Json = False,
) -> None:
    """Compare the segment's SQL as it is written now with the members in the plan applied last."""
    with output.working("compiling"):
        seen = segments.diff(settings(data_dir, project_dir), name, instant(as_of) if as_of else None, limit)
    if json_:
        output.document(seen)
        return
    output.say(
        f"{seen.name}: {seen.before:,} before, {seen.after:,} now: {seen.n_entered:,} enter, {seen.n_left:,} leave"
    )
    if seen.is_edited:
        output.say("its SQL differs from the applied plan's: these moves would be held (cause definition)")
    rows = [["enters", str(person)] for person in seen.entered] + [["leaves", str(person)] for person in seen.left]
    output.table(["", "person_id"], rows, empty="Nobody moves.")
