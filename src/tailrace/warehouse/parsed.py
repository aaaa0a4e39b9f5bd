"""Is dbt's manifest still what dbt would make of the project? Told by a stamp, so that dbt need not start to find out.

The stamp covers all that dbt reads: every file of the project that is not ours alone, the environment and the profile
that dbt gets, the versions, and the manifest and dbt's cache themselves, which dbt run by hand may have replaced. What
cannot be covered (a project that reads outside its folder) is never taken for current.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path, PurePosixPath

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from tailrace import durable, ids

# Folders of the project that dbt does not read: ours, and what dbt writes when it is run by hand.
_NOT_READ = frozenset({"campaigns", "contracts", "personas", "target", "logs"})
# And files of ours beside dbt_project.yml.
_FILES_NOT_READ = frozenset({"policy.yml", "destinations.yml"})
_VERSIONS = ("tailrace", "dbt-core", "dbt-common", "dbt-adapters", "dbt-duckdb", "duckdb")


def inputs(project: Path, environment: Mapping[str, str], profile: Mapping[str, object]) -> str | None:
    """Return the digest of all that a manifest depends on, or None when there is more than can be seen."""
    main = project / "dbt_project.yml"
    if not main.is_file() or not _reads_only_itself(main.read_bytes()):
        return None
    parts = [json.dumps([dict(environment), profile], sort_keys=True)]
    parts += [f"{name} {version(name)}" for name in _VERSIONS]
    for path in _files(project):
        parts += [path.relative_to(project).as_posix(), _checksum(path)]
    return ids.digest(*parts)


def is_current(manifest: Path, of: str | None) -> bool:
    """Return whether the manifest was made from these inputs, and is what was made then."""
    stamp = _stamp(manifest)
    return of is not None and stamp.is_file() and stamp.read_text(encoding="utf-8") == _content(manifest, of)


def cache(manifest: Path) -> Path:
    """Return where dbt keeps what it has read, in its own form; good while the manifest is current."""
    return manifest.with_name("partial_parse.msgpack")


def outdate(manifest: Path) -> None:
    """Take the stamp off: dbt is about to write the manifest."""
    _stamp(manifest).unlink(missing_ok=True)


def record(manifest: Path, of: str | None) -> None:
    """Stamp the manifest that dbt has just made from these inputs."""
    if of is not None and manifest.is_file():
        durable.write(_stamp(manifest), _content(manifest, of).encode())


def _stamp(manifest: Path) -> Path:
    return manifest.with_name("manifest.stamp")


def _content(manifest: Path, of: str) -> str:
    made = (manifest, cache(manifest))
    return ids.digest(of, *(_checksum(path) if path.is_file() else f"no {path.name}" for path in made))


def _checksum(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@lru_cache(maxsize=8)
def _reads_only_itself(main: bytes) -> bool:
    """Return whether each of dbt's `…-paths` is a folder in the project, and none that is passed over here."""
    try:
        config = YAML(typ="safe").load(main.decode("utf-8"))
    except (YAMLError, UnicodeDecodeError):
        return False
    if not isinstance(config, dict):
        return False
    paths = [str(path) for key, value in config.items() if str(key).endswith("-paths") for path in value or ()]
    elsewhere = {"..", *_NOT_READ}
    return all(
        "{" not in path and not folder.is_absolute() and folder.parts and elsewhere.isdisjoint(folder.parts)
        for path, folder in ((path, PurePosixPath(path)) for path in paths)
    )


def _files(project: Path) -> Iterator[Path]:
    # dbt follows links too.
    for folder, names, files in os.walk(project, followlinks=True):
        if Path(folder) == project:
            names[:] = [name for name in names if name not in _NOT_READ and not name.startswith(".")]
            files[:] = [name for name in files if name not in _FILES_NOT_READ]
        names.sort()
        for name in sorted(files):
            yield Path(folder, name)
