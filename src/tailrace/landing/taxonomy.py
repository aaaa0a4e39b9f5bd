"""What is known of an event by its name? `contracts/events/<event>.yml`, loaded strictly; none needs such a file."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from pathlib import Path

from tailrace.errors import DefinitionError, Problem
from tailrace.landing.properties import Property, read_properties
from tailrace.landing.yaml_nodes import document
from tailrace.programmes import programmes
from tailrace.settings import Settings

SENSITIVITIES = ("health",)
ON_BREACH = ("quarantine", "warn")
_TEXTS = ("summary", "description", "owner", "programme")
_TOP = ("summary", "description", "owner", "sensitivity", "programme", "properties", "late", "on_breach")


@dataclass(frozen=True)
class EventContract:
    """One event. `programme` is the worked programme with which its contract goes on and off; None is always on.

    An event that breaks what is asked of `properties` lands all the same, and is counted, unless `on_breach` is
    `quarantine`. One that is older than `late` when it lands never triggers.
    """

    event: str
    path: str
    summary: str | None
    owner: str | None
    sensitivity: str | None
    programme: str | None
    description: str | None = None
    properties: tuple[Property, ...] = ()
    late: timedelta | None = None
    on_breach: str = "warn"


def load_events(settings: Settings) -> dict[str, EventContract]:
    """Return the contract of each event that has one; `path` is relative to the project.

    Raises DefinitionError with every problem of every file and its line, and every file that would be read if it were
    called otherwise.
    """
    problems = [_not_read(settings, path) for path in _strangers(settings)]
    try:
        found = _read(settings, "", None)
    except DefinitionError as error:
        problems += error.problems
    if problems:
        raise DefinitionError(problems)
    return found


def active_events(
    settings: Settings, about: str = "", *, names: Collection[str] | None = None
) -> dict[str, EventContract]:
    """Return the contracts whose programmes are on: with `about`, those whose file has this key, or those of `names`.

    Raises DefinitionError with every problem of every file that is read.
    """
    found = _read(settings, about, names)
    on = programmes(settings.project_dir) if any(contract.programme for contract in found.values()) else frozenset()
    return {name: each for name, each in found.items() if each.programme is None or each.programme in on}


def names_about(settings: Settings, *words: str) -> tuple[str, ...]:
    """Return the events whose contracts may say something of all these words; no file is parsed for it."""
    files = sorted(events_dir(settings).glob("*.yml"))
    return tuple(path.stem for path in files if all(word.encode() in path.read_bytes() for word in words))


def events_dir(settings: Settings) -> Path:
    """Return the folder with a file per event."""
    return settings.project_dir / "contracts" / "events"


def _strangers(settings: Settings) -> list[Path]:
    """Return the files that look like contracts of events and are none: `paid.yaml`, `billing/paid.yml`."""
    folder = events_dir(settings)
    like = [path for path in sorted(folder.rglob("*")) if path.suffix.lower() in (".yml", ".yaml") and path.is_file()]
    return [path for path in like if path.parent != folder or path.suffix != ".yml"]


def _not_read(settings: Settings, path: Path) -> Problem:
    folder = events_dir(settings).relative_to(settings.project_dir).as_posix()
    place = path.relative_to(settings.project_dir).as_posix()
    what = f"this file is not read; expected {folder}/EVENT.yml: call it {folder}/{path.stem}.yml, or remove it"
    return Problem(place, None, what)


def _read(settings: Settings, about: str, names: Collection[str] | None) -> dict[str, EventContract]:
    problems: list[Problem] = []
    found: dict[str, EventContract] = {}
    for path in sorted(events_dir(settings).glob("*.yml")):
        if names is not None and path.stem not in names:
            continue
        place = path.relative_to(settings.project_dir).as_posix()
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            problems.append(Problem(place, None, "this is not UTF-8; expected UTF-8"))
            continue
        # Parsing takes milliseconds a file; a key that does not stand in the text is not in the contract.
        if about in text:
            contract, wrong = _parse(path.stem, place, text)
            problems += wrong
            if contract is not None:
                found[path.stem] = contract
    if problems:
        raise DefinitionError(problems)
    return found


@lru_cache(maxsize=4096)
def _parse(event: str, place: str, text: str) -> tuple[EventContract | None, tuple[Problem, ...]]:
    problems: list[Problem] = []
    root = document(place, text, problems, "a key such as `summary`, or no file")
    table = root.table(_TOP) if root is not None else None
    if table is None:
        return None, tuple(problems)
    texts = {name: node.text() for name in _TEXTS if (node := table.get(name)) is not None}
    sensitivity, asked, late, on_breach = (
        table.get(name) for name in ("sensitivity", "properties", "late", "on_breach")
    )
    contract = EventContract(
        event=event,
        path=place,
        summary=texts.get("summary"),
        owner=texts.get("owner"),
        sensitivity=sensitivity.choice(SENSITIVITIES) if sensitivity else None,
        programme=texts.get("programme"),
        description=texts.get("description"),
        properties=read_properties(asked) if asked else (),
        late=late.duration() if late else None,
        on_breach=(on_breach.choice(ON_BREACH) if on_breach else None) or "warn",
    )
    if on_breach is not None and asked is None:
        on_breach.wrong("`on_breach` says what becomes of an event that breaks `properties`; expected those, too")
    return contract, tuple(problems)
