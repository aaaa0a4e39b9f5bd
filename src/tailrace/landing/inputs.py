"""Which files does a PATH mean? A file, a folder and all below it, or a pattern, here or on S3; in a fixed order."""

from __future__ import annotations

import glob
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from tailrace import ids
from tailrace.errors import DataError
from tailrace.landing import chunks, s3
from tailrace.landing.loads import Load

# How programs mark what they have not finished: editors, browsers, rsync, sftp, Spark, Flume.
_UNFINISHED = ("~", ".tmp", ".temp", ".part", ".partial", ".filepart", ".crdownload", ".swp", ".inprogress")
_HIDDEN = (".", "_")


@dataclass(frozen=True)
class Input:
    """One file to land: where it is, and the name it goes by in the load. An object of a store is not here yet."""

    path: Path
    name: str
    remote: s3.Object | None = None

    def token(self) -> str:
        """Return what is the same for the same content of this input."""
        if self.remote is None:
            return chunks.sha256(self.path)
        return ids.digest(self.name, self.remote.etag, str(self.remote.bytes))

    @contextmanager
    def here(self, scratch: Path) -> Iterator[Path]:
        """Give the file; an object's content is in `scratch` as long as that takes."""
        if self.remote is None:
            yield self.path
            return
        with TemporaryDirectory(dir=scratch, prefix="s3-") as folder:
            # Its own name, for a mapping may be chosen by it.
            path = Path(folder) / (self.path.name if len(self.path.name.encode()) < 256 else "object")
            s3.fetch(self.remote, path)
            yield path


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
        if str(path).startswith(("postgres:", "postgresql:")):
            # Not said again: it may hold a password.
            raise DataError(
                "the URL of a database is no PATH; expected it in a variable of the environment that the contract of a"
                " source with `format: postgres` names, so that no password stands in a command. Nothing was landed."
            )
        if str(path).startswith(s3.SCHEME):
            found |= {Path(each.name): each for each in _stored(str(path), skipped)}
            continue
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


def _stored(url: str, skipped: set[str]) -> list[Input]:
    listing = s3.find(url)
    some = []
    for each, name in listing.objects:
        if listing.is_found and is_passed_over(name):
            skipped.add(each.url)
        else:
            some.append(Input(Path(each.key), each.url, each))
    if not some:
        rest = f" but hidden or unfinished ones ({len(listing.objects):,})" if listing.objects else ""
        raise DataError(f"{url}: there is no such object, nor one below or like it{rest}; expected some to land.")
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

    A file is hashed ahead of reading only when something of the same size is known: other sizes cannot be equal. An
    object of a store is known by its name and ETag: it need not come here to be compared.
    """
    hashes: dict[int, set[str]] = {}
    stored = {(file.name, file.etag, file.bytes) for load in before for file in load.files if file.etag is not None}
    for load in before:
        for file in load.files:
            hashes.setdefault(file.bytes, set()).add(file.sha256)
    sizes = [each.path.stat().st_size if each.remote is None else -1 for each in inputs]
    alike = Counter(sizes)
    new: list[Input] = []
    known: list[Input] = []
    for each, size in zip(inputs, sizes, strict=True):
        if each.remote is not None:
            (known if (each.name, each.remote.etag, each.remote.bytes) in stored else new).append(each)
            continue
        if size in hashes or alike[size] > 1:
            digest = chunks.sha256(each.path)
            if digest in hashes.setdefault(size, set()):
                known.append(each)
                continue
            hashes[size].add(digest)
        new.append(each)
    return new, known


def changed(inputs: Iterable[Input], before: Sequence[Load]) -> tuple[str, ...]:
    """Return the names of the objects among the inputs that landed before, with another content."""
    names = {file.name for load in before for file in load.files if file.etag is not None}
    return tuple(each.name for each in inputs if each.remote is not None and each.name in names)
