"""Can each sync be kept as it is written? Its connection, mode, keys and target, against what that can do."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tailrace.destinations.base import MODES
from tailrace.destinations.connections import Connection, Connections
from tailrace.errors import Problem, nearest
from tailrace.warehouse.catalog import SyncModel

META = ("destination", "target", "mode", "keys", "owner", "guard", "summary", "declassify", "sensitivity")
"""What the meta of a sync says to us. Other tools read it too: another word is wrong only when it is nearly one."""


def sync_problems(
    project: Path, syncs: Iterable[SyncModel], connections: Connections, meta: Mapping[str, Mapping[str, Any]]
) -> list[Problem]:
    """Return what is wrong with the syncs, each with the line of the word that is; `meta` is that of each, by name."""
    return [
        Problem(model.path.relative_to(project).as_posix(), _line(model, word), text)
        for model in syncs
        for word, text in [*_problems(model, connections), *_words(meta.get(model.name, {}))]
    ]


def cannot_plan(model: SyncModel, connections: Connections) -> str | None:
    """Return why the sync cannot be planned as it is written, or None; where it goes is another matter."""
    found = connections.by_name.get(model.destination)
    wrong = [*_of_mode(model, found), *_of_keys(model, found), *_of_target(model, found)]
    return f"{wrong[0][1].partition(';')[0]} (`tailrace check`)" if wrong else None


def _problems(model: SyncModel, connections: Connections) -> Iterator[tuple[str, str]]:
    """Yield the word of its meta that is wrong, and how."""
    found = connections.by_name.get(model.destination)
    if model.destination not in connections.names:
        hint = nearest(model.destination, connections.names)
        yield (
            "destination",
            f"`destination: {model.destination}` is not a connection; expected one that destinations.yml names.{hint}",
        )
    elif found is not None and not found.capabilities.takes_batches:
        yield (
            "destination",
            (
                f"`destination: {model.destination}` is of the type {found.type}, which takes no rows; expected"
                " a connection that takes rows"
            ),
        )
    yield from _of_mode(model, found)
    yield from _of_keys(model, found)
    yield from _of_target(model, found)
    if not model.owner:
        yield "", "there is no owner; expected `meta={'owner': …}` in its config"


def _of_mode(model: SyncModel, found: Connection | None) -> Iterator[tuple[str, str]]:
    if model.mode not in MODES:
        said = f"`mode: {model.mode}` is not a mode" if model.mode else "there is no `mode`"
        yield "mode", f"{said}; expected one of: {', '.join(sorted(MODES))}.{nearest(model.mode, MODES)}"
    elif found is not None and model.mode not in found.capabilities.modes:
        yield (
            "mode",
            (
                f"`mode: {model.mode}` cannot be kept by {found.type}, where `{found.name}` leads; expected one of:"
                f" {', '.join(sorted(found.capabilities.modes))}"
            ),
        )


def _of_keys(model: SyncModel, found: Connection | None) -> Iterator[tuple[str, str]]:
    if not model.keys:
        yield "keys", "`keys` are missing; expected the columns of its select that tell rows apart"
    # A select that cannot be read spells out no column; the build holds its keys against the table.
    unknown = [key for key in model.keys if model.columns and key not in model.columns]
    for key in unknown:
        yield (
            "keys",
            (
                f"`keys`: there is no column `{key}`; expected columns of its select that tell rows apart:"
                f" {', '.join(model.columns)}.{nearest(key, model.columns)}"
            ),
        )
    can = found.capabilities.match_keys if found is not None else frozenset()
    if found is not None and model.mode == "mirror" and model.keys and can and not _finds(can, model.keys):
        yield (
            "keys",
            (
                f"`keys` are {', '.join(model.keys)}, by which {found.type} finds nobody, and a removal knows no more"
                f" than them; expected one of: {', '.join(sorted(can))}.{nearest(model.keys[0], can)}"
            ),
        )


def _of_target(model: SyncModel, found: Connection | None) -> Iterator[tuple[str, str]]:
    """Yield what the destination itself would say of the target and the mode."""
    can = found is not None and found.capabilities.takes_batches and model.mode in found.capabilities.modes
    code = found.refuses(model.target, model.mode, model.keys) if found is not None and can and model.keys else None
    if found is not None and code is not None:
        word = "mode" if code.startswith("mode:") or "removed" in code else "target"
        said = f"`mode: {model.mode}`" if word == "mode" else f"`target: {model.target}`"
        yield (
            word,
            (
                f"{said} is refused by {found.type}, where `{found.name}` leads (`{code}`); expected what"
                f" docs/destinations.md says of {found.type}"
            ),
        )


def _finds(can: frozenset[str], keys: tuple[str, ...]) -> bool:
    return bool({word.lower() for word in can} & {key.lower() for key in keys})


def _words(meta: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what the meta says that is no word of ours but nearly one, and what is no text where one is expected."""
    for word in meta:
        hint = nearest(word, META) if word not in META else ""
        if hint:
            yield word, f"`{word}` is not a setting of a sync; expected: {', '.join(META)}.{hint}"
    for word in ("destination", "target", "mode"):
        if not isinstance(meta.get(word, ""), str):
            yield word, f"`{word}` is not a text; expected one name, such as the id of an audience"


def _line(model: SyncModel, word: str) -> int:
    """Return the line on which the config says the word, or that of the config."""
    lines = model.path.read_text(encoding="utf-8").splitlines()
    asked = re.compile(rf"""(['"]?)\b{re.escape(word)}\1\s*[:=]""") if word else None
    if asked is None:
        return model.line
    numbered = list(enumerate(lines, start=1))[model.line - 1 :]
    return next((number for number, line in numbered if asked.search(line)), model.line)
