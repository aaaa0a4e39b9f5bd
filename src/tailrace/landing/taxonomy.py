"""What is known of an event by its name? `contracts/events/<event>.yml`, loaded strictly; none needs such a file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tailrace.errors import DefinitionError, Problem
from tailrace.landing.yaml_nodes import document
from tailrace.settings import Settings

SENSITIVITIES = ("health",)
_TOP = ("summary", "owner", "sensitivity", "programme")


@dataclass(frozen=True)
class EventContract:
    """One event. `programme` is the worked programme with which its contract goes on and off; None is always on."""

    event: str
    path: str
    summary: str | None
    owner: str | None
    sensitivity: str | None
    programme: str | None


def load_events(settings: Settings) -> dict[str, EventContract]:
    """Return the contract of each event that has one; `path` is relative to the project.

    Raises DefinitionError with every problem of every file and its line.
    """
    problems: list[Problem] = []
    folder = settings.project_dir / "contracts" / "events"
    found = {path.stem: _load(settings, path, problems) for path in sorted(folder.glob("*.yml"))}
    if problems:
        raise DefinitionError(problems)
    return {name: contract for name, contract in found.items() if contract is not None}


def _load(settings: Settings, path: Path, problems: list[Problem]) -> EventContract | None:
    place = path.relative_to(settings.project_dir).as_posix()
    try:
        root = document(place, path.read_text(encoding="utf-8"), problems)
    except UnicodeDecodeError:
        problems.append(Problem(place, None, "this is not UTF-8; expected UTF-8"))
        return None
    table = root.table(_TOP) if root is not None else None
    if table is None:
        return None
    texts = {name: node.text() for name in ("summary", "owner", "programme") if (node := table.get(name)) is not None}
    node = table.get("sensitivity")
    return EventContract(
        event=path.stem,
        path=place,
        summary=texts.get("summary"),
        owner=texts.get("owner"),
        sensitivity=node.choice(SENSITIVITIES) if node else None,
        programme=texts.get("programme"),
    )
