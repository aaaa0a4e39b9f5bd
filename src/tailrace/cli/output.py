"""How is a result shown? As tables for people, as one JSON object for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
from pydantic import BaseModel
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tailrace import clock

_notes = Console(stderr=True, highlight=False)

# What came in from outside must not move the cursor of whoever looks at it.
_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if chr(code) not in "\n\t"}
# A row of a table is one line: whatever begins another stands as what it is.
_OF_A_CELL = {**_CONTROLS, **{ord(mark): f"\\u{ord(mark):04x}" for mark in "\u2028\u2029"}, 9: r"\t", 10: r"\n"}


PIPE = 160
"""A pipe has no width of its own; a table in it must not be cut at 80 columns."""
LINE = 120
"""The longest line of text, however wide the screen is."""
WORDS = 24
"""What a column of sentences keeps, however narrow the terminal is."""


def _screen() -> Console:
    width = None if sys.stdout.isatty() else PIPE
    return Console(highlight=False, width=width)


def width() -> int:
    """Return how many columns a line of text may have: no more than people like to read."""
    return min(_screen().width, LINE)


def _show(thing: Text | Table, at_least: int = 0) -> None:
    """Print without the blanks at the ends of lines, and without breaking lines of text: the terminal does that."""
    screen = _screen()
    screen.width = max(screen.width, at_least)
    with screen.capture() as captured:
        screen.print(thing, soft_wrap=isinstance(thing, Text))
    sys.stdout.write("".join(f"{line.rstrip()}\n" for line in captured.get().splitlines()))


def note(text: str) -> None:
    """Say something about the work, on stderr."""
    _notes.print(text.translate(_CONTROLS), markup=False, soft_wrap=True)


@contextmanager
def working(what: str) -> Iterator[Callable[[str], None]]:
    """Show that `what` is under way while stderr is a terminal; the function that is given names the step it is at."""
    if _notes.is_terminal:
        with _notes.status(what) as status:
            yield lambda step: status.update(f"{what}: {step}")
    else:
        yield lambda step: None


@contextmanager
def progress(what: str) -> Iterator[Callable[[int, int, str], None]]:
    """Yield a function that says how many steps are done of all, and the one under way, while stderr is a terminal."""
    if not _notes.is_terminal:
        yield lambda done, whole, now: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn  # noqa: PLC0415 (few need it)

    with Progress(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), console=_notes) as shown:
        task = shown.add_task(what)
        yield lambda done, whole, now: shown.update(
            task, completed=done, total=whole, description=f"{what} {now}" if done < whole else what
        )


def say(text: str) -> None:
    """Print text of the result, line breaks as they are."""
    sys.stdout.write(f"{text.translate(_CONTROLS)}\n")


def many(count: int, word: str) -> str:
    """Return `1 plan`, `2,000 plans`."""
    return f"{count:,} {word}" if count == 1 else f"{count:,} {word}s"


def title(text: str) -> None:
    """Print a heading."""
    sys.stdout.write("\n")
    _show(Text(text.translate(_CONTROLS), style="bold"))


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, empty: str) -> None:
    """Print rows under their columns; numbers stand right. `empty` is printed when there are none."""
    listed = [list(row) for row in rows]
    if not listed:
        say(empty)
        return
    shown = Table(box=None, pad_edge=False)
    needed = 0
    for number, column in enumerate(columns):
        values = [row[number] for row in listed]
        widest = max(len(text) for text in (column, *(cell(value) for value in values)))
        # A name broken in two cannot be copied: only sentences go on to another line.
        is_words = any(" " in cell(value) for value in values) and widest > WORDS
        needed += min(widest, WORDS) if is_words else widest
        is_number = all(isinstance(value, int | float) or value is None for value in values)
        shown.add_column(
            Text(column, style="dim"),
            justify="right" if is_number else "left",
            overflow="fold",
            no_wrap=not is_words,
        )
    for row in listed:
        shown.add_row(*(Text(cell(value)) for value in row))
    _show(shown, needed + 2 * len(columns))


def cell(value: Any) -> str:
    """Return a value as people read it; what is not known is never shown as zero."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.4g}"
    if isinstance(value, datetime):
        return clock.iso(value).replace("T", " ").removesuffix("Z") if value.tzinfo else f"{value:%Y-%m-%d %H:%M:%S}"
    return str(value).translate(_OF_A_CELL)


def document(value: Any) -> None:
    """Print one JSON value: an object, or a list of them."""
    sys.stdout.write(json.dumps(_plain(value), ensure_ascii=False, indent=2) + "\n")


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        value = {field.name: getattr(value, field.name) for field in fields(value)}
    elif isinstance(value, pa.Table):
        value = value.to_pylist()
    elif isinstance(value, BaseModel):
        value = value.model_dump()
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    return _scalar(value)


def _scalar(value: Any) -> Any:
    if isinstance(value, datetime):
        return clock.iso(value) if value.tzinfo else f"{value.isoformat()}Z"
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    return str(value) if isinstance(value, Path | Decimal) else value
