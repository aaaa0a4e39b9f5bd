"""tailrace events and contracts: which events there are, whether they keep their contracts, and drafts of these."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from tailrace.cli import output
from tailrace.cli.options import DataDir, Json, ProjectDir, settings
from tailrace.landing.loads import Breach
from tailrace.pipeline.drafting import draft_contracts
from tailrace.pipeline.events import list_events

contracts = typer.Typer(help="Contracts of events: contracts/events/EVENT.yml.", no_args_is_help=True)
_SHOWN = 10


def register(app: typer.Typer) -> None:
    """Add the command to the root."""
    app.command()(events)


def events(data_dir: DataDir = None, project_dir: ProjectDir = None, json_: Json = False) -> None:
    """List each event: how often, when, from which source, whether it has a contract and keeps it, unknown names."""
    with output.working("reading the landing"):
        found = list_events(settings(data_dir, project_dir))
    if json_:
        output.document(found)
        return
    output.table(
        ["event", "events", "first", "last", "sources", "contract", "warned", "kept out", ""],
        [
            [
                row.event,
                row.events,
                row.first_at and row.first_at.replace(microsecond=0),
                row.last_at and row.last_at.replace(microsecond=0),
                ", ".join(row.sources if len(row.sources) < 2 else [f"{a} {n:,}" for a, n in row.sources.items()]),
                row.contract is not None,
                row.warned,
                row.quarantined,
                row.unknown or "",
            ]
            for row in found.events
        ],
        empty="No event has landed.",
    )
    if found.breaches:
        output.title("Contracts broken")
        output.table(
            ["event", "property", "rule", "source", "landed", "kept out", "last load"],
            [
                [row.event, row.property, row.words, row.source, row.warned, row.quarantined, row.last_landed_at]
                for row in found.breaches
            ],
            empty="",
        )


@contracts.command()
def infer(
    names: Annotated[
        list[str] | None, typer.Argument(help="Only these events.", metavar="[EVENT…]", show_default=False)
    ] = None,
    source: Annotated[str | None, typer.Option("--source", help="Only what this source sent.")] = None,
    write: Annotated[bool, typer.Option("--write", help="Write the files, where there are none.")] = False,
    data_dir: DataDir = None,
    project_dir: ProjectDir = None,
    json_: Json = False,
) -> None:
    """Draft the contracts of events from what has landed. Shown, or with --write written; no file is written over."""
    with output.working("reading the landing"):
        drafts = draft_contracts(settings(data_dir, project_dir), names or [], source, write=write)
    if json_:
        output.document(drafts)
        return
    for draft in drafts:
        if draft.problem is not None:
            output.note(f"{draft.event}: {draft.problem}")
        elif draft.written:
            output.say(f"{draft.path}: written")
        elif draft.exists and write:
            output.say(f"{draft.path}: is there, and was left as it is")
        else:
            output.say(f"# {draft.path}\n{draft.text}")
    if not drafts:
        output.say("No event without a contract has landed.")


def say_what_is_odd(breaches: Sequence[Breach], unknown: Sequence[str]) -> None:
    """Note which contracts a landing broke, and which names it brought that nothing in the project has."""
    if breaches:
        rows = [[each.event, each.property, each.words, each.events, each.landed] for each in breaches]
        output.table(["event", "property", "rule", "events", "landed"], rows, empty="")
    for text in unknown[:_SHOWN]:
        output.note(text)
    if len(unknown) > _SHOWN:
        output.note(f"and {len(unknown) - _SHOWN:,} more names that are not known: `tailrace events`")
