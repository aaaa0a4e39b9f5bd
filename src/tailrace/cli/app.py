"""What does `tailrace` offer, and how does it end? The border where every error becomes a sentence and an exit code."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from tailrace import __version__, unforeseen
from tailrace.cli import (
    backfills,
    broadcasting,
    campaigns,
    collecting,
    destinations,
    drafts,
    erasing,
    events,
    exposing,
    journals,
    operations,
    orphans,
    output,
    people,
    running,
    segments,
    syncs,
)
from tailrace.errors import TailraceError
from tailrace.settings import is_debugging

app = typer.Typer(
    name="tailrace",
    help="Lifecycle messaging and reverse ETL as a batch job beside your own data.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    add_completion=False,
)
running.register(app)
people.register(app)
broadcasting.register(app)
collecting.register(app)
events.register(app)
erasing.register(app)
exposing.register(app)
orphans.register(app)
app.add_typer(segments.app, name="segment")
app.add_typer(syncs.app, name="sync")
app.add_typer(campaigns.app, name="campaign")
app.add_typer(backfills.app, name="backfills")
app.add_typer(events.contracts, name="contracts")
app.add_typer(drafts.app, name="drafts")
app.add_typer(destinations.app, name="destination")
app.add_typer(erasing.app, name="erasures")
app.add_typer(operations.quarantine, name="quarantine")
app.add_typer(operations.guard, name="guard")
app.add_typer(operations.unknown, name="unknown")
app.add_typer(operations.live, name="live")
app.add_typer(journals.app, name="journal")


def _version(wanted: bool) -> None:
    if wanted:
        output.say(__version__)
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    """Lifecycle messaging and reverse ETL as a batch job beside your own data."""


def run() -> None:
    """Run the command line. Exit codes: 0 done, 1 failed, 2 a file you own is wrong, 3 done but for what is named."""
    try:
        app()
    except TailraceError as error:
        output.note(str(error))
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        output.note("interrupted; the next run goes on from here")
        sys.exit(1)
    except Exception as error:
        refusal = unforeseen.refusal_of_the_system(error)
        if refusal is not None:
            output.note(refusal)
            sys.exit(1)
        # The border: an error that nobody foresaw may carry a person's data in its text.
        if is_debugging():
            raise
        output.note(unforeseen.kind_and_place(error))
        sys.exit(1)
