"""tailrace orphans: events that belong to nobody."""

from __future__ import annotations

from typing import Annotated

import typer

from tailrace.cli import output
from tailrace.cli.options import DataDir, Json, ProjectDir, settings
from tailrace.pipeline.orphans import list_orphans


def register(app: typer.Typer) -> None:
    """Add the command to the root."""
    app.command()(orphans)


def orphans(
    limit: Annotated[int, typer.Option("--limit", help="How many ids to show of each source, at most 100.")] = 10,
    data_dir: DataDir = None,
    project_dir: ProjectDir = None,
    json_: Json = False,
) -> None:
    """List events that belong to nobody: on whose anonymous id nobody has been identified, as of the last run."""
    found = list_orphans(settings(data_dir, project_dir))
    if json_:
        output.document(found)
        return
    output.table(
        ["source", "type", "events", "orphans", "anonymous ids", "about objects alone"],
        [
            [
                row["source"],
                row["type"],
                row["n_events"],
                row["n_orphans"],
                row["n_anonymous_ids"],
                row["n_object_calls"],
            ]
            for row in found.counts
        ],
        empty="Every event is somebody's.",
    )
    if not found.ids:
        return
    output.title("Ids with the most of them")
    shown: dict[str, int] = {}
    rows = []
    for row in found.ids:
        shown[row["source"]] = shown.get(row["source"], 0) + 1
        if shown[row["source"]] <= limit:
            rows.append(
                [
                    row["source"],
                    row["anonymous_id"] or "(no id at all)",
                    row["n_events"],
                    row["n_tracks"],
                    row["n_pages"],
                    row["first_event_at"].replace(microsecond=0),
                    row["last_event_at"].replace(microsecond=0),
                ]
            )
    output.table(["source", "anonymous id", "events", "tracks", "pages", "first", "last"], rows, empty="")
