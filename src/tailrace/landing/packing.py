"""How do the events of many small loads come to stand in one file, and when do their own files go?

A pack is written aside, counted against the records of its loads, fsynced and renamed; from then on readers take it for
its loads. What it took the place of stays until readers that began before are done: `remove_replaced`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tailrace import crash, durable, engine, ids
from tailrace.errors import DataError
from tailrace.landing import chunks
from tailrace.landing.loads import Load, loads, own_event_files
from tailrace.landing.packs import Pack, pack_file, packed, packs, packs_dir
from tailrace.settings import Settings

FEWEST = 8
"""So few small files of a source are left as they are."""
LARGE = 64 << 20
"""A pack is full, and a file is not small, from so many bytes on."""


@dataclass(frozen=True)
class Packed:
    """What was packed, or would be: `files` of `loads` into `packs` files."""

    loads: int
    files: int
    packs: int
    bytes: int


@dataclass(frozen=True)
class Replaced:
    """Files whose place a pack has taken: those that went, or would; `waiting` may still have readers."""

    files: int
    bytes: int
    waiting: int


@dataclass(frozen=True)
class _Unit:
    """Files that are read as one: a load's own, or a pack."""

    loads: tuple[Load, ...]
    files: tuple[Path, ...]
    bytes: int


def pack(settings: Settings, *, is_dry: bool) -> Packed:
    """Pack what is small, source by source, in landing order; nobody may land meanwhile.

    Nothing that is made of the landing changes: a build, a plan and a landing see the same events of the same loads.
    Raises DataError, having changed nothing, when a file does not hold what its load's record says.
    """
    groups = list(_groups(settings))
    if not is_dry:
        for left in packs_dir(settings).glob(".aside-*"):
            durable.remove(left)
        for source, units in groups:
            _write(settings, source, units)
    units = [unit for _, group in groups for unit in group]
    return Packed(
        loads=sum(len(unit.loads) for unit in units),
        files=sum(len(unit.files) for unit in units),
        packs=len(groups),
        bytes=sum(unit.bytes for unit in units),
    )


def remove_replaced(settings: Settings, *, before: float, is_dry: bool) -> Replaced:
    """Remove the files whose place was taken by a pack that was made before the moment `before` (of the file system).

    Nobody may land meanwhile.
    """
    together = packed(settings)
    made = {pack.pack_id: pack_file(settings, pack).stat().st_mtime for pack in packs(settings)}
    going: list[Path] = []
    n_bytes = waiting = 0
    for place, pack_id in _replaced(settings, together):
        if made[pack_id] < before:
            going.append(place)
            n_bytes += sum(path.stat().st_size for path in ([place] if place.is_file() else place.iterdir()))
        else:
            waiting += 1
    if not is_dry:
        for place in going:
            # A pack in one step: without its events it would be taken for damage.
            durable.remove(place.rename(packs_dir(settings) / f".aside-{place.name}") if place.is_dir() else place)
            crash.here("gc.unpacked")
    return Replaced(len(going), n_bytes, waiting)


def _groups(settings: Settings) -> Iterator[tuple[str, list[_Unit]]]:
    """Yield the units that are to be one pack, with their source."""
    landed = [load for load in loads(settings) if load.landed]
    for source in sorted({load.source for load in landed}):
        group: list[_Unit] = []
        for unit in _units(settings, [load for load in landed if load.source == source]):
            if unit.bytes < LARGE:
                group.append(unit)
            if sum(each.bytes for each in group) >= LARGE:
                if len(group) > 1:
                    yield source, group
                group = []
        if len(group) >= FEWEST:
            yield source, group


def _units(settings: Settings, landed: list[Load]) -> Iterator[_Unit]:
    together = packed(settings)
    by_id = {load.load_id: load for load in landed}
    seen: set[str] = set()
    for load in landed:
        pack = together.get(load.load_id)
        if pack is None:
            files = tuple(own_event_files(settings, load))
            yield _Unit((load,), files, sum(path.stat().st_size for path in files))
        elif pack.pack_id not in seen:
            seen.add(pack.pack_id)
            file = pack_file(settings, pack)
            yield _Unit(tuple(by_id[load_id] for load_id in pack.loads), (file,), file.stat().st_size)


def _write(settings: Settings, source: str, units: Iterable[_Unit]) -> None:
    members = sorted((load for unit in units for load in unit.loads), key=lambda load: load.load_seq)
    names = tuple(load.load_id for load in members)
    pack_id = ids.digest("pack", source, *names)[:16]
    aside = packs_dir(settings) / f".aside-{os.getpid()}"
    aside.mkdir(parents=True)
    target = aside / "events.parquet"
    listed = ", ".join(engine.literal(str(path)) for unit in units for path in unit.files)
    with engine.connect(settings) as connection:
        connection.execute(
            f"copy (select * from read_parquet([{listed}], hive_partitioning = false))"
            f" to {engine.literal(str(target))} (format parquet, compression zstd, compression_level 1,"
            # In their order, so that whoever asks for some loads can skip the row groups of the others.
            " row_group_size 65536, dictionary_size_limit 1000)"
        )
        query = f"select load_id, count(*) from read_parquet({engine.literal(str(target))}) group by load_id"
        counts = dict(connection.execute(query).fetchall())
    if counts != {load.load_id: load.landed for load in members}:
        durable.remove(aside)
        raise DataError(
            f"source {source}: the events of loads {members[0].load_id} to {members[-1].load_id} are not as many as"
            " their records say; expected the landing to be complete: restore it from a backup. Nothing was packed."
        )
    size = target.stat().st_size
    record = Pack(
        pack_id=pack_id,
        source=source,
        loads=names,
        rows=sum(counts.values()),
        bytes=size,
        sha256=chunks.sha256(target),
    )
    durable.write(aside / "pack.json", record.model_dump_json(indent=1).encode())
    crash.here("gc.pack_written")
    for path in aside.iterdir():
        path.chmod(0o444)
    durable.move_in(aside, packs_dir(settings) / pack_id)
    crash.here("gc.packed")


def _replaced(settings: Settings, together: dict[str, Pack]) -> Iterator[tuple[Path, str]]:
    """Yield what stands though a pack took its place: a load's own file, or a smaller pack's folder; and that pack."""
    for load in loads(settings):
        pack = together.get(load.load_id)
        if pack is not None:
            for path in own_event_files(settings, load):
                if path.exists():
                    yield path, pack.pack_id
    used = {pack.pack_id for pack in together.values()}
    for pack in packs(settings):
        if pack.pack_id not in used:
            yield packs_dir(settings) / pack.pack_id, together[pack.loads[0]].pack_id
