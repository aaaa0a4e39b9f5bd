"""What do refusals say of people? Who said STOP to a provider has left, and an address that it gave up is dead.

A destination's `RECEIPTS` names the codes. What they say lies in the inbox as a provider's receipts would
(docs/consent.md), in files named after the outcomes that they were made of, and the next run lands it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from tailrace import durable, engine
from tailrace.destinations.connections import load_connections
from tailrace.landing.mirror import mirrored
from tailrace.pipeline.broadcast import SOURCE
from tailrace.settings import Settings

_PACKAGE = "tailrace.pipeline"
_SPAN = re.compile(r"(?:outcomes|refusals)-(\d+)-(\d+)\.(?:parquet|jsonl)", re.ASCII)


def tell(settings: Settings) -> str | None:
    """Put what is mirrored and says something of people into the inbox, each outcome once.

    Returns in words what keeps it from being landed, or None.
    """
    codes = {
        code: kind
        for connection in load_connections(settings).by_name.values()
        for code, kind in getattr(connection.module, "RECEIPTS", {}).items()
    }
    folder = settings.inbox / SOURCE
    done = max((last for _, last, _ in _spans(folder.glob("refusals-*.jsonl"))), default=0)
    files = [span for span in _spans(mirrored(settings, "outcomes")) if span[0] > done]
    if not codes or not files:
        return None
    name = f"refusals-{files[0][0]}-{files[-1][1]}.jsonl"
    settings.scratch.mkdir(parents=True, exist_ok=True)
    aside = settings.scratch / name
    with engine.connect(settings) as connection:
        connection.execute("create table told (code varchar, kind varchar)")
        connection.executemany("insert into told values (?, ?)", sorted(codes.items()))
        names = ", ".join(engine.literal(str(path)) for _, _, path in files)
        query = engine.statement(_PACKAGE, "refusals").replace("$files", f"[{names}]")
        (n_rows,) = engine.row(connection, f"select count(*) from ({query})")
        if not n_rows:
            return None
        if not (settings.project_dir / "contracts" / "sources" / f"{SOURCE}.yml").is_file():
            return (
                f"{n_rows} refusals say that people left or their addresses are dead; expected"
                f" contracts/sources/{SOURCE}.yml, so that a run can land them: copy it from the demo"
            )
        connection.execute(f"copy ({query}) to {engine.literal(str(aside))} (format json)")
    durable.move_in(aside, folder / name)
    return None


def _spans(paths: Iterable[Path]) -> list[tuple[int, int, Path]]:
    """Return of each file the first and last outcome that its name names, and the file."""
    found = ((_SPAN.fullmatch(path.name), path) for path in paths)
    return [(int(match[1]), int(match[2]), path) for match, path in found if match is not None]
