"""Which columns did a source's files have last time, and what is new now? Said, and never a reason to refuse.

Columns are kept by the mapping that reads them (its glob in `tables`, else ''), each with its type, '' where a format
has none. A format whose rows need not have every key (`is_open`) keeps those that it once had.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tailrace.landing.loads import Load

Columns = Mapping[str, Mapping[str, str]]


def last(before: Iterable[Load], source: str) -> Columns:
    """Return the columns as they were when the source was landed last."""
    found: Columns = {}
    for load in sorted(before, key=lambda load: load.load_seq):
        if load.source == source:
            found = load.columns
    return found


def merged(known: Columns, now: Columns, *, is_open: bool) -> dict[str, dict[str, str]]:
    """Return what is to be kept: the columns of now, and those of mappings that read nothing now."""
    kept = {name: dict(columns) for name, columns in known.items()}
    for name, columns in now.items():
        kept[name] = {**kept.get(name, {}), **columns} if is_open else dict(columns)
    return kept


def changes(known: Columns, now: Columns, needed: Mapping[str, Iterable[str]] | None = None) -> tuple[str, ...]:
    """Return in words which columns are new, gone, or of another type; a first time has none.

    Of keys that rows need not have, only those that are `needed`, by mapping, can be gone.
    """
    words: list[str] = []
    for name, columns in now.items():
        before = known.get(name)
        if before is None:
            continue
        of = f" of `{name}`" if name else ""
        missed = before if needed is None else needed.get(name, ())
        words += [f"column `{each}`{of} is gone" for each in missed if each in before and each not in columns]
        words += [
            f"column `{each}`{of} is new{f' ({kind})' if kind else ''}"
            for each, kind in columns.items()
            if each not in before
        ]
        words += [
            f"column `{each}`{of} is {kind}, and was {before[each]}"
            for each, kind in columns.items()
            if kind and before.get(each) and before[each] != kind
        ]
    return tuple(words)
