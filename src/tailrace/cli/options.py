"""Which options do all commands share?"""

from __future__ import annotations

import os
import pwd
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from tailrace import clock
from tailrace.errors import TailraceError
from tailrace.settings import Settings

DataDir = Annotated[
    Path | None,
    typer.Option("--data-dir", help="The data directory. Default: TAILRACE_DATA, else `data`.", show_default=False),
]
ProjectDir = Annotated[
    Path | None,
    typer.Option(
        "--project-dir", help="The dbt project. Default: TAILRACE_PROJECT, else `dbt_project`.", show_default=False
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON: one object, or one list.")]
AsOf = Annotated[
    str | None,
    typer.Option(
        "--as-of", help="The instant to work as of: ISO 8601, UTC without a zone. Default: now.", show_default=False
    ),
]
Reason = Annotated[str, typer.Option("--reason", help="Why; it is kept in the journal.")]
Limit = Annotated[int, typer.Option("--limit", help="How many rows to show.")]


def settings(data_dir: Path | None, project_dir: Path | None) -> Settings:
    """Return the settings of this invocation; what it writes is readable by its user only."""
    os.umask(0o077)
    found = Settings.load(data_dir, project_dir)
    if not (found.project_dir / "dbt_project.yml").is_file():
        raise TailraceError(
            f"{found.project_dir}: there is no dbt_project.yml; expected the project folder: run where it stands, or"
            " name it with --project-dir or TAILRACE_PROJECT"
        )
    return found


def instant(as_of: str | None) -> datetime:
    """Return the instant that `--as-of` names, or now.

    Raises TailraceError for an instant that has not come: HEAD could not go on from there until it has.
    """
    now = clock.now()
    moment = clock.parse(as_of) if as_of else now
    if moment > now:
        raise TailraceError(f"--as-of {clock.iso(moment)} has not come yet; expected now ({clock.iso(now)}) or before")
    return moment


def who() -> str:
    """Return the name of the person at the keyboard, for the journal."""
    user = os.getuid()
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        # A container often runs as a number that has no name.
        return f"uid {user}"
