"""docs/cli.md, written from the command line's own help: `python -m tests.cli_page`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import typer

from tailrace.cli.app import app

PAGE = Path(__file__).parent.parent / "docs" / "cli.md"
SHARED = ("--data-dir", "--project-dir", "--json", "--help")
PREFACE = """# Commands

Written by `python -m tests.cli_page` from the command line's help.

Every command takes `--data-dir` (default: `TAILRACE_DATA`, else `data`), `--project-dir` (default: `TAILRACE_PROJECT`,
else `dbt_project`), `--json` (results as one object, or one list) and `--help`. Results go to stdout, notes to stderr.
Times are ISO 8601, UTC without a zone.

Exit codes: 0 done, 1 failed, 2 something you wrote is wrong (a file, or the command), 3 done but for what a
guard parked, a source that could not be read, or a delivery elsewhere that is stuck."""


def text() -> str:
    """Return the page."""
    command: Any = typer.main.get_command(app)
    parts = [PREFACE]
    for name, inner in command.commands.items():
        if hasattr(inner, "commands"):
            parts += [f"## {name}", inner.help]
            for leaf, each in inner.commands.items():
                parts += [f"### {name} {leaf}", *_command(f"{name} {leaf}", each)]
        else:
            parts += [f"## {name}", *_command(name, inner)]
    return "\n\n".join(parts) + "\n"


def _command(name: str, command: Any) -> list[str]:
    arguments = [each for each in command.params if each.opts[0][0] != "-"]
    options = [each for each in command.params if each.opts[0][0] == "-" and each.opts[0] not in SHARED]
    usage = " ".join(["tailrace", name, *(_place(each) for each in arguments)])
    rows = [f"| `{_place(each)}` | {_help(each)} |" for each in arguments]
    rows += [f"| `{each.opts[0]}` | {_help(each)} |" for each in options]
    table = ["\n".join(["| | |", "|---|---|", *rows])] if rows else []
    return [f"`{usage}`", " ".join(command.help.split()), *table]


def _place(argument: Any) -> str:
    return str(argument.metavar or argument.name.upper())


def _help(parameter: Any) -> str:
    words = str(parameter.help)
    choices = get_args(parameter.type_descriptor.annotation)
    if choices and all(isinstance(choice, str) for choice in choices):
        words += f" One of {', '.join(f'`{choice}`' for choice in choices)}."
    if parameter.required and parameter.opts[0][0] == "-":
        words += " Required."
    if isinstance(parameter.default, int) and not isinstance(parameter.default, bool):
        words += f" Default: {parameter.default}."
    return words


if __name__ == "__main__":
    PAGE.write_text(text(), encoding="utf-8")
