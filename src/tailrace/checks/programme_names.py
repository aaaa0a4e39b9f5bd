"""Which programme does a campaign, a contract or `vars` name, that is nearly one of which the models speak?

A programme is whatever a model asks for; of a name that no model knows nothing is ever on, and nothing else says so.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from tailrace.campaigns.shelf import Shelf
from tailrace.errors import Problem, nearest
from tailrace.landing.taxonomy import EventContract
from tailrace.programmes import programmes

_ASKED = re.compile(r"""['"](\w+)['"]\s+in\s+var\(\s*['"]programmes['"]""")


def programme_notices(project_dir: Path, shelf: Shelf, contracts: Mapping[str, EventContract]) -> list[Problem]:
    """Return each place that names a programme which no model asks for, where models ask for one nearly called so.

    `contracts` are those of all events, whether they are on or off. Raises DefinitionError as `programmes` does.
    """
    known = frozenset(_of_models(project_dir))
    named = [
        *(("dbt_project.yml", "programmes", name) for name in sorted(programmes(project_dir))),
        *((each.path, "programme", each.programme) for each in (*shelf.campaigns.values(), *shelf.off.values())),
        *((each.path, "programme", each.programme) for each in contracts.values()),
    ]
    return [
        Problem(path, _line(project_dir / path, key), f"no model is of the programme `{name}`.{hint}")
        for path, key, name in named
        if name is not None and name not in known and (hint := nearest(name, sorted(known)))
    ]


def _of_models(project_dir: Path) -> Iterator[str]:
    for folder in ("models", "macros"):
        for path in sorted((project_dir / folder).rglob("*")):
            if path.suffix in (".sql", ".yml"):
                yield from _ASKED.findall(path.read_text(encoding="utf-8", errors="replace"))


def _line(path: Path, key: str) -> int | None:
    lines = path.read_text(encoding="utf-8").splitlines()
    return next((number for number, line in enumerate(lines, 1) if line.strip().startswith(f"{key}:")), None)
