"""What of dbt's messages may be kept? One line, without the values that DuckDB quotes in it."""

from __future__ import annotations

import re

_QUOTED = re.compile(r"\"[^\"]*\"|'[^']*'")
_ADDRESS = re.compile(r"\S+@\S+")
_CARRIES_VALUES = ("Conversion Error", "Invalid Input Error", "Constraint Error", "Out of Range Error")


def plain(message: str) -> str:
    """Return dbt's message as one line without values: `Binder Error: column "emial" not found …`.

    DuckDB quotes the offending value in errors about data; a value may be an address, so it goes. What is plain stays
    as it is.
    """
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    while len(lines) > 1 and re.match(r"(Runtime|Database|Compilation|Parsing) Error", lines[0]):
        lines = lines[1:]
    first = lines[0] if lines else "no message"
    if first.startswith(_CARRIES_VALUES):
        first = _QUOTED.sub("`…`", first)
    return _ADDRESS.sub("`…`", first)
