"""tailrace destination: list, check, test."""

from __future__ import annotations

from typing import Annotated

import typer

from tailrace.cli import output
from tailrace.cli.options import DataDir, Json, ProjectDir, settings, who
from tailrace.pipeline import destinations

app = typer.Typer(help="Connections: where things go, whether they would get there.", no_args_is_help=True)


@app.command(name="list")
def list_(data_dir: DataDir = None, project_dir: ProjectDir = None, json_: Json = False) -> None:
    """List the connections of destinations.yml, what uses them, and which secrets are set (never what they hold)."""
    with output.working("compiling"):
        rows, why = destinations.overview(settings(data_dir, project_dir))
    if json_:
        output.document(rows)
    else:
        output.table(
            ["connection", "type", "where", "channels", "syncs", "secrets", "last test"],
            [_row(row) for row in rows],
            empty="There are no connections.",
        )
    if why is not None:
        output.note(f"which syncs use them could not be read: {why}")


@app.command()
def check(
    name: Annotated[str | None, typer.Argument(help="Only this connection.", metavar="[CONNECTION]")] = None,
    data_dir: DataDir = None,
    project_dir: ProjectDir = None,
    json_: Json = False,
) -> None:
    """Check settings, extras and secrets, and ask each destination whether it lets us in. Nothing is changed there."""
    with output.working("asking"):
        rows = destinations.check(settings(data_dir, project_dir), name)
    if json_:
        output.document(rows)
    else:
        output.table(
            ["", "connection", "type", "finding"],
            [
                [row.status if not number else "", row.name, row.type, text]
                for row in rows
                for number, text in enumerate((*row.problems, row.note) if row.note else row.problems)
            ],
            empty="",
        )
    raise typer.Exit(1 if any(row.status == "bad" for row in rows) else 0)


@app.command(name="test")
def try_out(
    name: Annotated[str, typer.Argument(help="The connection, as destinations.yml names it.", metavar="CONNECTION")],
    to: Annotated[str, typer.Option("--to", help="The address. It is not kept.", metavar="ADDRESS")],
    channel: Annotated[
        str | None, typer.Option("--channel", help="As which channel, where the connection carries several.")
    ] = None,
    data_dir: DataDir = None,
    project_dir: ProjectDir = None,
    json_: Json = False,
) -> None:
    """Send one message to one address, now. Needs the live lease, or an address of TAILRACE_ALLOW_LIST."""
    done = destinations.try_out(settings(data_dir, project_dir), name, to, channel, who())
    if json_:
        output.document(done)
    else:
        output.say(f"{done.id}: {done.outcome} {done.code}" + (f" ({done.words})" if done.words else ""))
    raise typer.Exit(0 if done.outcome == "accepted" else 1)


def _row(row: destinations.Listed) -> list[str | None]:
    secrets = [f"{name}: {'set' if there else 'not set'}" for name, there in row.secrets.items()]
    last = row.last_test
    return [
        row.name,
        row.type,
        row.place,
        ", ".join(row.channels),
        None if row.syncs is None else ", ".join(row.syncs),
        ", ".join(secrets),
        None if last is None else f"{last.outcome or 'unknown'} {last.code or ''}".rstrip(),
    ]
