"""How does a complete, stamped generation of the warehouse come to be?

dbt is not atomic across models, so the stamp (`tailrace.generation`) is removed first and written last: a warehouse
without it, or with another `as_of`, may not be planned on.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import MappingProxyType

import duckdb

from tailrace import clock, crash, engine, ids
from tailrace.errors import BuildError, Busy, DataError
from tailrace.settings import Settings
from tailrace.warehouse import catalog, runner
from tailrace.warehouse.landed import LoadFiles, show_landing

# A dbt child of a run that was killed dies with it, but may hold the file for a moment longer.
_LOCK_PATIENCE = 2.0
_FATAL_FOLDERS = {"staging", "intermediate", "core", "states"}
_OURS = ("schema_tailrace", "schema_landing", "table_generation", "table_failed", "table_by_load", "table_loads_read")


@dataclass(frozen=True)
class Generation:
    """One usable state of the warehouse. `failed` names models that keep their last table, or have none, and why."""

    generation_id: str
    as_of: datetime
    loads_fingerprint: str
    project_fingerprint: str
    n_models: int
    n_tests: int
    failed: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0


@dataclass(frozen=True)
class _Held:
    """What the by-load models hold: of which loads and owners, by which project and definition."""

    shown: str | None
    project_fingerprint: str
    definition: str


def build(
    settings: Settings,
    as_of: datetime,
    loads: Sequence[LoadFiles] = (),
    mirror: Mapping[str, Sequence[Path]] | None = None,
    owners: Mapping[str, str] = MappingProxyType({}),
) -> Generation:
    """Build the project over `loads` as of `as_of` and return the stamped generation.

    `mirror` names the Parquet files of the journal's mirror, per table (`journal.readings.MIRRORS`), `owners` who owns
    each attribute, of those that a source owns. A segment, sync or report that fails keeps its last table and is named
    in `failed`; so are those that need it.

    Raises BuildError when a model that others stand on failed, DefinitionError when dbt cannot read the project: there
    is no stamp then. Raises Busy when another process holds the warehouse, DataError when the disk is too full or a
    landed file is gone: then nothing was changed, unless Busy comes from a process that opened it while dbt started.
    """
    started = clock.monotonic()
    runner.warm_up()
    loads_fingerprint = ids.digest(*sorted(load.load_id for load in loads))
    project_fingerprint = catalog.project_fingerprint(settings)
    _require_space(settings)
    held = _prepare(settings, loads, mirror or {}, owners)
    shown = _shown(loads_fingerprint, owners)
    crash.here("build.started")

    full_refresh = held is None
    quiet = held is not None and (held.project_fingerprint, held.shown) == (project_fingerprint, shown)
    if held is not None and not quiet:
        runner.parse(settings)
        full_refresh = _definition(settings, owners) != held.definition
    if not quiet:
        _expect_change(settings, definition_stays=not full_refresh)
    results = runner.build(settings, as_of, exclude="tag:by_load" if quiet else None, full_refresh=full_refresh)
    crash.here("build.built")

    failed = _read_failures(settings, results)
    generation = Generation(
        generation_id=ids.digest(clock.iso(as_of), loads_fingerprint, project_fingerprint, *_words(owners))[:16],
        as_of=as_of,
        loads_fingerprint=loads_fingerprint,
        project_fingerprint=project_fingerprint,
        n_models=sum(result.unique_id.startswith("model.") for result in results),
        n_tests=sum(result.unique_id.startswith("test.") for result in results),
        failed=failed,
        seconds=clock.monotonic() - started,
    )
    definition = _definition(settings, owners)
    by_load_failed = failed.keys() & catalog.by_load_models(settings)
    _stamp(settings, generation, None if by_load_failed else _Held(shown, project_fingerprint, definition))
    crash.here("build.stamped")
    return generation


def read_generation(settings: Settings) -> Generation | None:
    """Return the generation that the warehouse is stamped with, or None when it has none. `seconds` is not kept.

    Raises Busy when another process writes the warehouse.
    """
    if not settings.warehouse.is_file():
        return None
    connection = _open(settings, read_only=True)
    try:
        if not _has_state(connection):
            return None
        row = engine.first(connection, engine.statement("tailrace.warehouse", "read_generation"))
        failed = connection.execute(engine.statement("tailrace.warehouse", "read_failed")).fetchall()
    finally:
        connection.close()
    if row is None:
        return None
    generation_id, built_as_of, loads_fingerprint, project_fingerprint, n_models, n_tests = row
    as_of = clock.parse(built_as_of.isoformat())
    return Generation(generation_id, as_of, loads_fingerprint, project_fingerprint, n_models, n_tests, dict(failed))


def _require_space(settings: Settings) -> None:
    size = settings.warehouse.stat().st_size if settings.warehouse.is_file() else 0
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(settings.data_dir).free
    if free < 3 * size:
        raise DataError(
            f"{settings.data_dir}: {free / 1e9:.1f} GB are free; expected three times the warehouse"
            f" ({3 * size / 1e9:.1f} GB), which a build may need for a moment: make room, then run again."
            " Nothing was changed."
        )


def _shown(loads_fingerprint: str, owners: Mapping[str, str]) -> str:
    """Return the digest of all that a by-load model may read: the loads, and who owns what."""
    return ids.digest(loads_fingerprint, *_words(owners))


def _definition(settings: Settings, owners: Mapping[str, str]) -> str:
    """Return the digest of all that decides what a by-load model makes of loads: its SQL, and who owns what."""
    return ids.digest(catalog.by_load_definition(settings), *_words(owners))


def _words(owners: Mapping[str, str]) -> list[str]:
    return [f"{name} {owners[name]}" for name in sorted(owners)]


def _prepare(
    settings: Settings, loads: Sequence[LoadFiles], mirror: Mapping[str, Sequence[Path]], owners: Mapping[str, str]
) -> _Held | None:
    """Take the stamp off, show the landing to dbt, and return what the by-load models hold, if that is known."""
    connection = _open(settings)
    try:
        connection.execute("begin")
        for name in _OURS:
            connection.execute(engine.statement("tailrace.warehouse", name))
        connection.execute(engine.statement("tailrace.warehouse", "remove_stamp"))
        connection.execute(engine.statement("tailrace.warehouse", "clear_failed"))
        row = engine.first(connection, engine.statement("tailrace.warehouse", "read_by_load"))
        show_landing(connection, loads, mirror, owners)
        connection.execute("commit")
    finally:
        connection.close()
    readable = [path for load in loads for path in load.parquet] + [path for paths in mirror.values() for path in paths]
    runner.write_profile(settings, list(dict.fromkeys(readable)))
    return None if row is None else _Held(*row)


def _open(settings: Settings, *, read_only: bool = False) -> duckdb.DuckDBPyConnection:
    deadline = clock.monotonic() + _LOCK_PATIENCE
    while True:
        connection = engine.connect(settings)
        try:
            engine.attach(connection, settings.warehouse, "warehouse", read_only=read_only)
        except Busy:
            connection.close()
            if clock.monotonic() >= deadline:
                raise
            clock.sleep(0.1)
        else:
            return connection


def _expect_change(settings: Settings, *, definition_stays: bool) -> None:
    """Record, before dbt touches them, that the by-load models no longer hold what they held."""
    connection = _open(settings)
    try:
        name = "by_load_changes" if definition_stays else "by_load_restarts"
        connection.execute(engine.statement("tailrace.warehouse", name))
    finally:
        connection.close()


def _stamp(settings: Settings, generation: Generation, held: _Held | None) -> None:
    """Write the stamp, last and in one transaction, and empty the write-ahead log into the file."""
    connection = _open(settings)
    try:
        connection.execute("begin")
        connection.execute(
            engine.statement("tailrace.warehouse", "write_generation"),
            [
                generation.generation_id,
                clock.naive(generation.as_of),
                generation.loads_fingerprint,
                generation.project_fingerprint,
                generation.n_models,
                generation.n_tests,
            ],
        )
        for model, reason in sorted(generation.failed.items()):
            connection.execute(engine.statement("tailrace.warehouse", "write_failed"), [model, reason])
        if held is not None:
            connection.execute(engine.statement("tailrace.warehouse", "by_load_restarts"))
            connection.execute(
                engine.statement("tailrace.warehouse", "write_by_load"),
                [held.shown, held.project_fingerprint, held.definition],
            )
        connection.execute("commit")
        connection.execute("checkpoint warehouse")
    finally:
        connection.close()


def _has_state(connection: duckdb.DuckDBPyConnection) -> bool:
    return engine.first(connection, engine.statement("tailrace.warehouse", "has_state")) is not None


def _read_failures(settings: Settings, results: Sequence[runner.NodeResult]) -> dict[str, str]:
    """Return why each model that cannot be used cannot be used.

    Raises BuildError naming the models that others stand on.
    """
    nodes = catalog.read_nodes(settings)
    failed: dict[str, str] = {}
    fatal: list[str] = []
    for result in results:
        node = nodes[result.unique_id]
        if result.status in ("error", "fail", "runtime error"):
            blamed = [node] if node.kind != "test" else [nodes[parent] for parent in node.parents if parent in nodes]
            reason = f"test {node.name} failed: {result.reason}" if node.kind == "test" else result.reason
            for model in blamed:
                failed.setdefault(model.name, reason)
                if model.folder in _FATAL_FOLDERS:
                    fatal.append(f"`{model.name}` ({settings.project_dir / model.path}): {reason}")
    if fatal:
        listed = "\n".join(f"  {line}" for line in dict.fromkeys(fatal))
        raise BuildError(
            f"models that every other stands on failed:\n{listed}\nexpected all of core and states to build and pass"
            " their tests: mend them, then run again. The warehouse has no usable generation until then."
        )
    for result in results:
        node = nodes[result.unique_id]
        if result.status == "skipped" and node.kind != "test":
            causes = sorted({nodes[up].name for up in catalog.ancestor_ids(nodes, node.unique_id)} & failed.keys())
            failed.setdefault(node.name, f"not built: it needs {', '.join(f'`{cause}`' for cause in causes)}")
    return failed
