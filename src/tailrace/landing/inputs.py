"""Which files does a PATH mean? A file, a folder and all below it, or a pattern; in a fixed order."""

from __future__ import annotations

import glob
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tailrace.errors import DataError
from tailrace.landing import chunks
from tailrace.landing.loads import Load

# How programs mark what they have not finished: editors, browsers, rsync, sftp, Spark, Flume.
_UNFINISHED = ("~", ".tmp", ".temp", ".part", ".partial", ".filepart", ".crdownload", ".swp", ".inprogress")
_HIDDEN = (".", "_")


@dataclass(frozen=True)
class Input:
    """One file to land: where it is, and the name it goes by in the load."""

    path: Path
    name: str


@dataclass(frozen=True)
class Found:
    """What the PATHs of one landing mean: the files to land, and the names of those that were passed over."""

    inputs: tuple[Input, ...]
    skipped: tuple[str, ...]


def find(paths: Sequence[Path | str]) -> Found:
    """Return what the paths mean, each file once, ordered by name: the order of `paths` changes nothing.

    A file that is named lands whatever its name. Below a folder, and among what a pattern finds, hidden and unfinished
    files are passed over.

    Raises DataError when there is no such file or folder, and when a pattern finds nothing to land.
    """
    found: dict[Path, Input] = {}
    skipped: set[str] = set()
    for path in paths:
        for each in _meant(Path(path), skipped):
            found.setdefault(each.path.resolve(), each)
    ordered = sorted(found.values(), key=lambda each: (each.name, str(each.path)))
    return Found(tuple(ordered), tuple(sorted(skipped)))


def _meant(path: Path, skipped: set[str]) -> list[Input]:
    if path.is_dir():
        return _below(path, path.rglob("*"), skipped)
    if path.is_file():
        return [Input(path, path.name)]
    if not glob.has_magic(str(path)):
        raise DataError(f"{path}: there is no such file or folder; expected files to land. Nothing was landed.")
    passed: set[str] = set()
    folder = _fixed(path)
    matches = folder.glob(str(path.relative_to(folder)))
    some = _below(folder, (inner for match in matches for inner in _files(match)), passed)
    skipped |= passed
    if not some:
        rest = f" but hidden or unfinished ones ({len(passed):,})" if passed else ""
        raise DataError(f"{path}: the pattern finds no file{rest}; expected files to land. Nothing was landed.")
    return some


def _files(match: Path) -> Iterable[Path]:
    return match.rglob("*") if match.is_dir() else (match,)


def _fixed(pattern: Path) -> Path:
    """Return the folder that the pattern names before its first wildcard; below it, names are the pattern's finds."""
    at = next(number for number, part in enumerate(pattern.parts) if glob.has_magic(part))
    return Path(*pattern.parts[:at])


def _below(folder: Path, files: Iterable[Path], skipped: set[str]) -> list[Input]:
    some = []
    for inner in files:
        name = inner.relative_to(folder)
        if inner.is_dir():
            continue
        # A link to nothing is no file, and somebody may have meant one.
        if is_passed_over(name.parts) or not inner.is_file():
            skipped.add(name.as_posix())
        else:
            some.append(Input(inner, name.as_posix()))
    return some


def is_passed_over(parts: Sequence[str]) -> bool:
    """Say whether a file found by folders and name `parts` is hidden, in a hidden folder, or unfinished."""
    return any(part.startswith(_HIDDEN) for part in parts) or parts[-1].lower().endswith(_UNFINISHED)


def fresh(inputs: Sequence[Input], before: Sequence[Load]) -> tuple[list[Input], list[Input]]:
    """Part the inputs into those with new content and those that were landed, or stand here, byte for byte.

    A file is hashed ahead of reading only when something of the same size is known: other sizes cannot be equal.
    """
    hashes: dict[int, set[str]] = {}
    for load in before:
        for file in load.files:
            hashes.setdefault(file.bytes, set()).add(file.sha256)
    sizes = [each.path.stat().st_size for each in inputs]
    new, known = [], []
    for each, size in zip(inputs, sizes, strict=True):
        if size in hashes or sizes.count(size) > 1:
            digest = chunks.sha256(each.path)
            if digest in hashes.setdefault(size, set()):
                known.append(each)
                continue
            hashes[size].add(digest)
        new.append(each)
    return new, known
