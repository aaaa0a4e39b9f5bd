"""Which contracts of events are drafted, and which drafts become files? Never one that is there already."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tailrace.checks.event_names import in_words, known_names, misspelled
from tailrace.errors import DataError, nearest
from tailrace.landing.census import seen
from tailrace.landing.contract import load_contract
from tailrace.landing.drafts import drafts, looks_like_data
from tailrace.landing.taxonomy import events_dir
from tailrace.settings import Settings

_FILE = re.compile(r"[^./\\\x00-\x1f][^/\\\x00-\x1f]{0,120}")
_MOST_BYTES = 255
"""So long may a file's name be, on most systems."""


@dataclass(frozen=True)
class DraftedContract:
    """The draft of one event's contract. `exists`: a file stands there, which is left as it is.

    `problem` says why there is no draft.
    """

    event: str
    path: str
    text: str
    exists: bool
    written: bool
    problem: str | None = None


def draft_contracts(
    settings: Settings, names: Sequence[str], source: str | None, *, write: bool = False
) -> list[DraftedContract]:
    """Return the draft of each named event, or of each that has landed and has no contract; with `write`, as files.

    A name that seems to be a mistake for another one has no draft unless it is named: with one it would be known.

    Raises DataError for a name that has not landed, DefinitionError for a source that has no contract.
    """
    landed = [row for row in seen(settings) if source is None or row.source == source]
    if source is not None and not landed:
        load_contract(settings, source)
    there = sorted({row.event for row in landed})
    for name in names:
        if name not in there:
            raise DataError(
                f"no event `{name}` has landed{f' from {source}' if source else ''}; expected one of `tailrace events`"
                f".{nearest(name, there)}"
            )
    folder = events_dir(settings)
    wanted = list(dict.fromkeys(names)) or [name for name in there if not _has_file(folder, name)]
    problems = {name: _problem(name, is_named=bool(names)) for name in wanted}
    if not names:
        counts = Counter[str]()
        for row in landed:
            counts[row.event] += row.events
        known = {*known_names(settings), *(name for name in there if _has_file(folder, name))}
        meant = misspelled(counts, known)
        for name in wanted:
            if name in meant and problems[name] is None:
                problems[name] = f"{in_words(name, meant[name])}. There is a draft when you name it"
    texts = drafts(settings, [row for row in landed if row.event in wanted and problems[row.event] is None], source)
    found = []
    for name in wanted:
        place = f"{folder.relative_to(settings.project_dir).as_posix()}/{name}.yml"
        if problems[name] is not None:
            found.append(DraftedContract(name, place, "", exists=False, written=False, problem=problems[name]))
            continue
        path, written = folder / f"{name}.yml", False
        if write and not path.exists():
            folder.mkdir(parents=True, exist_ok=True)
            # `x`: a file that somebody else has just written is left, too.
            with path.open("x", encoding="utf-8") as file:
                file.write(texts[name])
            written = True
        found.append(DraftedContract(name, place, texts[name], exists=path.exists() and not written, written=written))
    return found


def _has_file(folder: Path, name: str) -> bool:
    # A name that cannot be a file's is not looked for: of one too long the system refuses even the question.
    return _may_be_a_file(name) and (folder / f"{name}.yml").exists()


def _may_be_a_file(name: str) -> bool:
    return _FILE.fullmatch(name) is not None and len(f"{name}.yml".encode()) <= _MOST_BYTES


def _problem(name: str, *, is_named: bool) -> str | None:
    if not _may_be_a_file(name):
        return "the name cannot be that of a file, so it can have no contract; expected a short one without `/`"
    if looks_like_data(name) and not is_named:
        return "the name looks like data (an address or an id): there is a draft when you name it"
    return None
