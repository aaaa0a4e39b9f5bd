"""Many small loads come to stand in few files, and nobody who reads the landing can tell."""

from __future__ import annotations

import hashlib
import math
import os
import shutil
import signal
from collections.abc import Callable

import pytest

from tailrace.errors import DataError
from tailrace.landing.loads import event_files, loads, loads_dir, own_event_files
from tailrace.landing.packing import FEWEST, pack, remove_replaced
from tailrace.landing.packs import packs, packs_dir
from tailrace.landing.quarantine import list_quarantine
from tailrace.landing.retry import retry
from tests import forks
from tests.landing.conftest import AS_OF, World, call, compact

COLLECT = """
import math, sys
from pathlib import Path
from tailrace.landing.packing import pack, remove_replaced
from tailrace.settings import Settings
settings = Settings(Path(sys.argv[1]), Path(sys.argv[2]), threads=2)
remove_replaced(settings, before=math.inf, is_dry=False)
pack(settings, is_dry=False)
remove_replaced(settings, before=math.inf, is_dry=False)
"""


def land_small(world: World, first: int, last: int, source: str = "app") -> None:
    for number in range(first, last):
        lines = [compact(call(messageId=f"m{number}-{i}", userId=f"u{i}")) for i in range(3)]
        world.lines(*lines, b"bad" if number == first else lines[0], name=f"{source}{number}.jsonl", source=source)


def collect(world: World, at: str = "") -> int:
    folders = (world.settings.data_dir, world.settings.project_dir)
    process = forks.start(folders, {**os.environ, "TAILRACE_CRASH_AT": at}, program=COLLECT, is_building=False)
    process.communicate()
    return process.wait()


def everything(world: World) -> list[object]:
    """Return all that a reader of the landing gets: records, events with their load, open quarantine."""
    records = [load.model_dump() for load in loads(world.settings)]
    return [records, sorted(map(str, world.events())), list_quarantine(world.settings)]


def files(world: World) -> dict[str, str]:
    return {
        str(path.relative_to(world.settings.landing)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in world.settings.landing.rglob("*")
        if path.is_file()
    }


@pytest.fixture(scope="module")
def landed_small(tmp_path_factory: pytest.TempPathFactory) -> World:
    world = World(tmp_path_factory.mktemp("small"))
    world.contract("shop", "format: segment\n")
    land_small(world, 0, 12)
    land_small(world, 0, 3, source="shop")
    world.lines(b"worse", name="worse.jsonl")
    return world


@pytest.fixture
def small(landed_small: World, world: World) -> World:
    """Twelve small loads of one source, three of another, and one that is all quarantine."""
    shutil.copytree(landed_small.folder, world.folder, dirs_exist_ok=True)
    return world


def test_small_loads_of_a_source_are_read_from_one_file_and_hold_the_same(small: World) -> None:
    before = everything(small)

    done = pack(small.settings, is_dry=False)

    assert (done.loads, done.files, done.packs) == (12, 12, 1)
    assert everything(small) == before
    assert len(event_files(small.settings, loads(small.settings))) == 1 + 3
    remove_replaced(small.settings, before=math.inf, is_dry=False)
    assert everything(small) == before


@pytest.mark.torture
def test_few_small_files_are_left_as_they_are(world: World) -> None:
    land_small(world, 0, FEWEST - 1)
    before = files(world)

    assert pack(world.settings, is_dry=False).packs == 0
    assert files(world) == before


def test_a_dry_run_says_the_same_and_changes_nothing(small: World) -> None:
    before = files(small)

    said = pack(small.settings, is_dry=True)

    assert files(small) == before
    assert said == pack(small.settings, is_dry=False)
    after = files(small)
    said_replaced = remove_replaced(small.settings, before=math.inf, is_dry=True)
    assert files(small) == after
    assert said_replaced == remove_replaced(small.settings, before=math.inf, is_dry=False)
    assert said_replaced.files == 12


def test_what_was_packed_is_still_a_duplicate_and_a_quarantined_line_is_still_taken_out(small: World) -> None:
    pack(small.settings, is_dry=False)
    remove_replaced(small.settings, before=math.inf, is_dry=False)

    again = small.land(small.folder / "app5.jsonl")
    same = small.lines(compact(call(messageId="m5-1", userId="u1")), b"", name="same.jsonl")
    other = small.lines(compact(call(messageId="m5-1", userId="another")), name="other.jsonl")

    assert again.known_files == ("app5.jsonl",)
    assert (same.landed, same.duplicate) == (0, 1)
    assert (other.landed, other.duplicate, other.n_conflicting) == (0, 1, 1)
    tried = retry(small.settings, as_of=AS_OF, source="app")
    assert (tried.landed, tried.quarantined) == (0, 2)


@pytest.mark.torture
def test_packing_again_takes_the_pack_up_into_a_larger_one(small: World) -> None:
    pack(small.settings, is_dry=False)
    remove_replaced(small.settings, before=math.inf, is_dry=False)
    (first,) = packs(small.settings)
    assert pack(small.settings, is_dry=False).packs == 0
    land_small(small, 12, 12 + FEWEST)
    before = everything(small)

    pack(small.settings, is_dry=False)

    assert everything(small) == before
    assert remove_replaced(small.settings, before=math.inf, is_dry=False).files == 1 + FEWEST
    (second,) = packs(small.settings)
    assert set(second.loads) > set(first.loads)
    assert everything(small) == before


def test_a_replaced_file_stays_while_somebody_may_read_it(small: World) -> None:
    pack(small.settings, is_dry=False)
    (made,) = packs(small.settings)
    written = (packs_dir(small.settings) / made.pack_id / "events.parquet").stat().st_mtime

    done = remove_replaced(small.settings, before=written, is_dry=False)

    assert (done.files, done.waiting) == (0, 12)
    assert all(path.exists() for load in loads(small.settings) for path in own_event_files(small.settings, load))


@pytest.fixture(scope="module")
def packed_once(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Ten loads that were packed, and ten more."""
    world = World(tmp_path_factory.mktemp("packed"))
    land_small(world, 0, 10)
    assert collect(world) == 0
    land_small(world, 10, 20)
    return world


@pytest.mark.torture
@pytest.mark.parametrize("point", ["gc.pack_written", "gc.packed", "gc.unpacked", "gc.unpacked:7"])
def test_killed_anywhere_and_run_again_every_event_is_there_once(
    packed_once: World, make_world: Callable[[str], World], point: str
) -> None:
    calm, killed = make_world("calm"), make_world("killed")
    for world in (calm, killed):
        shutil.copytree(packed_once.folder, world.folder, dirs_exist_ok=True)
    before = everything(killed)
    assert collect(calm) == 0

    assert collect(killed, at=point) == -signal.SIGKILL

    assert everything(killed) == before
    assert collect(killed) == 0
    assert everything(killed) == before
    names = {
        world: sorted(name for name in files(world) if "aside" in name or "events" in name) for world in (calm, killed)
    }
    assert len(names[killed]) == len(names[calm]) == 1


def test_a_file_that_holds_less_than_its_record_says_is_not_packed(small: World) -> None:
    first, second = (own_event_files(small.settings, load)[0] for load in loads(small.settings)[1:3])
    second.chmod(0o600)
    second.write_bytes(first.read_bytes())
    before = files(small)

    with pytest.raises(DataError, match="not as many as"):
        pack(small.settings, is_dry=False)
    assert files(small) == before


def test_a_pack_is_durable_before_it_is_read(small: World, made_durable: list[tuple[str, str]]) -> None:
    pack(small.settings, is_dry=False)
    (made,) = packs(small.settings)
    at = made_durable.index(("rename", made.pack_id))
    for name in ("pack.json", "events.parquet", f".aside-{os.getpid()}"):
        assert ("fsync", name) in made_durable[:at]
    assert ("fsync", "packs") in made_durable[at:]


def test_a_record_that_cannot_be_read_stops_whoever_reads(small: World) -> None:
    pack(small.settings, is_dry=False)
    (record,) = packs_dir(small.settings).glob("*/pack.json")
    record.chmod(0o600)
    record.write_text("{")

    with pytest.raises(DataError, match=r"pack\.json: the record of this pack cannot be read"):
        event_files(small.settings, loads(small.settings))
    assert loads_dir(small.settings).is_dir()
