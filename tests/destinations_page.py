"""The tables of docs/destinations.md, from what destinations say of themselves: `python -m tests.destinations_page`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tailrace.destinations.base import MODES, Destination, Matching, Probing, discover

PAGE = Path(__file__).parent.parent / "docs" / "destinations.md"
PAGES = PAGE.with_suffix("")
BEGIN, END = "<!-- capabilities -->\n", "<!-- /capabilities -->"


def text() -> str:
    """Return the page with its tables as they should be."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    return f"{before}{BEGIN}\n{_tables()}\n{rest[rest.index(END) :]}"


def _tables() -> str:
    known = [module for _, module in sorted(discover().items())]
    messages = [
        (
            _name(module),
            ", ".join(sorted(module.CAPABILITIES.channels)),
            _yes(module.CAPABILITIES.is_idempotent),
            _rate(module),
            _yes(isinstance(module, Probing)),
        )
        for module in known
        if module.CAPABILITIES.channels
    ]
    syncs = [
        (
            _name(module),
            "all" if module.CAPABILITIES.modes == MODES else ", ".join(sorted(module.CAPABILITIES.modes)),
            ", ".join(f"`{key}`" for key in sorted(module.CAPABILITIES.match_keys)) or "any",
            f"{module.CAPABILITIES.call_rows or module.CAPABILITIES.batch_rows:,}",
            _yes(module.CAPABILITIES.is_idempotent),
            _yes(module.CAPABILITIES.names_rows),
            _rate(module),
            _yes(isinstance(module, Probing)),
            _yes(isinstance(module, Matching)),
        )
        for module in known
        if module.CAPABILITIES.takes_batches
    ]
    of_messages = ("type", "channels", "repeats recognised", "calls a second", "`check` asks it")
    of_syncs = ("type", "modes", "one of the keys", "rows a call", "repeats recognised", "names bad rows")
    of_syncs = (*of_syncs, "calls a second", "`check` asks it", "match counts")
    return f"**Messages**\n\n{_table(of_messages, messages)}\n\n**Syncs**\n\n{_table(of_syncs, syncs)}\n"


def _name(module: Destination) -> str:
    has_page = (PAGES / f"{module.NAME}.md").is_file()
    return f"[{module.NAME}](destinations/{module.NAME}.md)" if has_page else f"`{module.NAME}`"


def _rate(module: Destination) -> str:
    rate = module.CAPABILITIES.calls_per_second
    return "" if rate is None else f"{rate:g}"


def _yes(is_so: bool) -> str:
    return "yes" if is_so else ""


def _table(titles: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [titles, ("---",) * len(titles), *rows]
    return "\n".join(f"| {' | '.join(line)} |".replace("|  |", "| |").replace("|  |", "| |") for line in lines)


if __name__ == "__main__":
    PAGE.write_text(text(), encoding="utf-8")
