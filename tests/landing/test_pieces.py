"""Where the staged rows stand, and whether a piece becomes a file of the load as it stands, nobody can tell."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tailrace.landing import erasing, packing, pieces
from tailrace.landing.land import landing
from tailrace.landing.loads import Load, event_files, loads
from tailrace.landing.quarantine import list_quarantine
from tailrace.landing.retry import retry
from tests.landing.conftest import AS_OF, World, call, compact
from tests.landing.test_breaches import contract
from tests.landing.test_erased import person
from tests.landing.test_kills import LAND, run

BATCH = compact({"batch": [call(messageId="b1"), call(messageId="b2")]})


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """However small a file is, it is a piece, which becomes a file of the load when all of it lands."""
    monkeypatch.setattr("tailrace.landing.stage.SMALL", 1)
    monkeypatch.setattr(pieces, "LARGE", 0)
    monkeypatch.setattr(pieces, "_LITTLE", 0)


def calls(*numbers: int, **keys: Any) -> list[bytes]:
    return [compact(call(messageId=f"m{n}", userId=f"u{n}", properties={"n": n}, **keys)) for n in numbers]


def inputs(world: World) -> list[Path]:
    """Three files that land whole, one with a line that does not, and one that has a duplicate of the first."""
    return [
        world.file("a.jsonl", *calls(1, 2), b""),
        world.file("b.jsonl", *calls(3, timestamp="2026-10-02T08:00:00Z"), BATCH),
        world.file("c.jsonl", *calls(4, 5), b"bad"),
        world.file("d 'x'.jsonl", *calls(6)),
        world.file("e.jsonl", *calls(7, 1)),
    ]


def said(world: World) -> list[object]:
    """Return all that a reader gets of the landing, but for how its files are called, and how large they are."""
    records = [
        load.model_dump(exclude={"parquet": True, "files": {"__all__": {"mtime_ns"}}}) for load in loads(world.settings)
    ]
    quarantined = [[line.id, line.reason, line.is_open] for line in list_quarantine(world.settings, resolved=True)]
    return [records, sorted(map(str, world.events())), sorted(quarantined)]


def parts(load: Load) -> dict[str, int]:
    return {part.name: part.rows for part in load.parquet}


@pytest.mark.torture
@pytest.mark.usefixtures("at_once")
def test_whole_pieces_say_what_rows_that_were_written_again_would(
    make_world: Callable[[str], World], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, written = make_world("whole"), make_world("written")
    whole.land(*inputs(whole))
    monkeypatch.setattr(pieces, "LARGE", 1 << 40)
    written.land(*inputs(written))
    assert said(whole) == said(written)
    assert parts(loads(written.settings)[0]) == {"events-1.parquet": 9, "quarantine.parquet": 1}
    assert parts(loads(whole.settings)[0]) == {
        "events-1.parquet": 4, "events-2.parquet": 2, "events-3.parquet": 1, "events-4.parquet": 2,
        "quarantine.parquet": 1,
    }  # fmt: skip
    assert {path.stat().st_mode & 0o777 for path in event_files(whole.settings, loads(whole.settings))} == {0o444}


@pytest.mark.torture
@pytest.mark.usefixtures("at_once")
def test_every_file_of_a_load_has_the_same_columns(world: World) -> None:
    world.land(*inputs(world))
    described = [
        duckdb.execute(f"describe from read_parquet($${path}$$)").fetchall()
        for path in event_files(world.settings, loads(world.settings))
    ]
    assert len(described) == 4
    assert all(each == described[0] for each in described)


@pytest.mark.torture
@pytest.mark.usefixtures("at_once")
def test_the_load_is_the_same_in_any_order_of_its_files(make_world: Callable[[str], World]) -> None:
    worlds = [make_world(name) for name in ("there", "back")]
    done = [world.land(*inputs(world)[::step]) for step, world in zip((1, -1), worlds, strict=True)]
    assert done[0].load_id == done[1].load_id
    assert said(worlds[0]) == said(worlds[1])


@pytest.mark.torture
@pytest.mark.usefixtures("at_once")
def test_what_landed_before_is_a_duplicate_beside_a_whole_piece(world: World) -> None:
    first = world.land(*inputs(world))
    again = world.land(world.file("again.jsonl", *calls(1, 6, 7)), world.file("new.jsonl", *calls(8)))
    assert (first.landed, again.landed, again.duplicate) == (9, 1, 3)
    assert {row[0] for row in world.events("event_id")} == {*(f"m{n}" for n in range(1, 9)), "b1", "b2"}


@pytest.mark.torture
def test_small_pieces_that_are_many_are_put_together_and_nothing_changes(
    make_world: Callable[[str], World], monkeypatch: pytest.MonkeyPatch
) -> None:
    apart, together = make_world("apart"), make_world("together")
    apart.land(*inputs(apart))
    monkeypatch.setattr("tailrace.landing.stage.SMALL", 1)
    monkeypatch.setattr(pieces, "_MANY", 2)
    joined = []
    join = pieces.Pieces.join
    monkeypatch.setattr(pieces.Pieces, "join", lambda one: (join(one), joined.append(len(one._pieces)))[0])
    together.land(*inputs(together))
    assert joined == [1] * 5
    assert said(apart) == said(together)


@pytest.mark.usefixtures("at_once")
def test_rows_of_several_files_in_one_piece_keep_the_names_of_their_files(world: World) -> None:
    # The calls of all batches are one piece.
    batches = [compact({"batch": [call(messageId=f"m{n}")]}) for n in (1, 2)]
    world.land(world.file("a.jsonl", batches[0]), world.file("b.jsonl", batches[1]))
    assert sorted(world.events("event_id, file")) == [("m1", "a.jsonl"), ("m2", "b.jsonl")]


def test_a_piece_is_written_again_when_much_of_it_is_beside_the_events(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pieces, "LARGE", 0)
    # The line is kept of an event that its contract may keep out.
    contract(world, "Paid", "on_breach: quarantine\nproperties: {n: {type: integer}}\n")
    lines = [compact(call(messageId=f"m{n}", properties={"n": n, "text": f"{n**99}"})) for n in range(2000)]
    world.lines(*lines)
    (file,) = event_files(world.settings, loads(world.settings))
    query = f"select sum(total_compressed_size) from parquet_metadata('{file}')"
    ((of_columns,),) = duckdb.execute(query).fetchall()
    assert of_columns > file.stat().st_size * 0.8


@pytest.mark.torture
@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("is_packed", [False, True])
def test_those_who_were_erased_go_from_every_file_of_a_load(world: World, is_packed: bool) -> None:
    world.land(*inputs(world))
    if is_packed:
        for number in range(packing.FEWEST):
            world.lines(*calls(100 + number), name=f"more{number}.jsonl")
        packing.pack(world.settings, is_dry=False)
    n_before = len(world.events())
    with landing(world.settings):
        gone = erasing.erase(world.settings, person(world), is_dry=False)
    # Those of the batch are hers, and the first one of all.
    assert gone.events == 3
    assert len(world.events()) == n_before - 3
    assert {row[0] for row in world.events("user_id")}.isdisjoint({"u1"})
    load = loads(world.settings)[0]
    assert (load.landed, load.erased) == (6, 3)
    assert str(load.last_event_at) == "2026-10-02 08:00:00+00:00"


@pytest.mark.torture
@pytest.mark.usefixtures("at_once")
def test_a_retry_lands_from_several_files(world: World) -> None:
    world.contract("app", "format: segment\ntimestamps: {from: 2026-10-02}\n")
    world.land(*inputs(world))
    world.contract("app", "format: segment\n")
    assert retry(world.settings, as_of=AS_OF).landed == 8
    assert {row[0]: row[1] for row in world.events("event_id, file")} == {
        "m1": "a.jsonl", "m2": "a.jsonl", "m3": "b.jsonl", "b1": "b.jsonl", "b2": "b.jsonl", "m4": "c.jsonl",
        "m5": "c.jsonl", "m6": "d 'x'.jsonl", "m7": "e.jsonl",
    }  # fmt: skip


@pytest.mark.torture
@pytest.mark.parametrize("at", ["land.staged", "land.recorded", "land.moved"])
def test_killed_with_whole_pieces_the_store_ends_as_if_nothing_happened(
    make_world: Callable[[str], World], at: str
) -> None:
    program = LAND.replace(
        "print(", "from tailrace.landing import pieces\npieces.LARGE = pieces._LITTLE = 0\nprint(", 1
    )
    calm, killed = make_world("calm"), make_world("killed")
    assert run(program, calm, *inputs(calm)) == 0
    assert run(program, killed, *inputs(killed), at=at) == -signal.SIGKILL
    assert run(program, killed, *inputs(killed)) == 0
    assert said(killed) == said(calm)
    assert {path.name for path in killed.settings.scratch.iterdir()} <= {"duckdb"}


@pytest.mark.torture
def test_a_piece_is_asked_for_again_when_its_footer_is_not_understood(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise ValueError

    monkeypatch.setattr(pieces, "LARGE", 0)
    monkeypatch.setattr(pieces, "Columns", refuse)
    assert world.land(*inputs(world)).landed == 9
    assert parts(loads(world.settings)[0]) == {"events-1.parquet": 9, "quarantine.parquet": 1}
