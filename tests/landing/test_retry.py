from __future__ import annotations

import duckdb
import pytest

from tailrace.errors import DataError, DefinitionError
from tailrace.landing.land import land
from tailrace.landing.loads import loads
from tailrace.landing.quarantine import counts, list_quarantine, show
from tailrace.landing.retry import retry
from tailrace.pipeline import operations
from tests.landing.conftest import AS_OF, World, call, compact


def test_lines_that_land_after_the_contract_was_mended_are_resolved_once(world: World) -> None:
    world.contract("app", "format: segment\ntimestamps: {from: 2020-01-01}\n")
    old = compact(call(messageId="old", timestamp="2001-01-01T00:00:00Z"))
    world.lines(compact(call()), old, b"broken", b"caf\xe9")
    assert counts(world.settings) == {"not_json": 1, "not_utf8": 1, "time_implausible": 1}
    same = retry(world.settings, as_of=AS_OF)
    assert (same.lines, same.landed, same.quarantined, same.load_id) == (3, 0, 3, None)
    world.contract("app", "format: segment\n")
    done = retry(world.settings, as_of=AS_OF)
    assert (done.lines, done.landed, done.duplicate, done.quarantined) == (3, 1, 0, 2)
    assert counts(world.settings) == {"not_json": 1, "not_utf8": 1}
    assert len(list_quarantine(world.settings, resolved=True)) == 3
    again = retry(world.settings, as_of=AS_OF)
    assert (again.lines, again.landed, again.load_id) == (2, 0, None)
    assert sorted(world.events("event_id, line")) == [("m1", 1), ("old", 2)]
    assert [load.landed for load in loads(world.settings)] == [1, 1]


def test_a_line_that_was_landed_meanwhile_is_resolved_as_a_duplicate(world: World) -> None:
    world.contract("app", "format: segment\ntimestamps: {from: 2020-01-01}\n")
    old = compact(call(messageId="old", timestamp="2001-01-01T00:00:00Z"))
    world.lines(old)
    world.contract("app", "format: segment\n")
    world.lines(old, compact(call()), name="again.jsonl")
    done = retry(world.settings, as_of=AS_OF)
    assert (done.landed, done.duplicate, done.quarantined) == (0, 1, 0)
    assert counts(world.settings) == {}
    assert len(world.events()) == 2


def test_only_the_named_lines_are_tried(world: World) -> None:
    world.contract("app", "format: segment\ntimestamps: {from: 2020-01-01}\n")
    world.lines(*(compact(call(messageId=each, timestamp="2001-01-01T00:00:00Z")) for each in "ab"))
    world.contract("app", "format: segment\n")
    first, _ = list_quarantine(world.settings)
    assert retry(world.settings, as_of=AS_OF, ids=[first.id]).landed == 1
    assert len(list_quarantine(world.settings)) == 1


def test_rows_of_csv_and_parquet_are_tried_with_the_columns_they_had(world: World) -> None:
    mapping = "mapping: {type: track, event: e, user_id: u, timestamp: t, properties: all}\n"
    strict = "timestamps: {from: 2020-01-01}\n"
    world.contract("bank", "format: csv\n" + mapping + strict)
    world.contract("shop", "format: parquet\n" + mapping + strict)
    world.lines(b"t,u,e,n", b'2001-01-01,7,"a, b",5', name="in.csv", source="bank")
    path = world.folder / "in.parquet"
    connection = duckdb.connect()
    connection.execute(
        f"copy (select timestamp '2001-01-01' as t, 7 as u, 'e' as e, 5 as n) to '{path}' (format parquet)"
    )
    connection.close()
    world.land(path, source="shop")
    with pytest.raises(DataError, match="bank, shop"):
        retry(world.settings, as_of=AS_OF)
    for source, form in (("bank", "csv"), ("shop", "parquet")):
        world.contract(source, f"format: {form}\n" + mapping)
        assert retry(world.settings, as_of=AS_OF, source=source).landed == 1
    assert sorted(world.events("source, user_id, event, event_at::varchar, properties, line")) == [
        ("bank", "7", "a, b", "2001-01-01 00:00:00", '{"n":"5"}', 2),
        ("shop", "7", "e", "2001-01-01 00:00:00", '{"n":5}', 1),
    ]


def test_an_unknown_id_is_refused(world: World) -> None:
    with pytest.raises(DataError, match="nope"):
        show(world.settings, "nope")


@pytest.mark.torture
def test_lines_of_two_files_of_one_name_are_resolved_each_by_what_became_of_it(world: World) -> None:
    world.contract("app", "format: segment\ntimestamps: {from: 2020-01-01}\n")
    world.lines(compact(call(messageId="old", timestamp="2001-01-01T00:00:00Z")), name="monday/in.jsonl")
    world.lines(b'{"messageId": "cut"', name="tuesday/in.jsonl")
    for folder, name in (("wednesday", "a"), ("thursday", "b")):
        world.file(f"{folder}/in.jsonl", compact(call(messageId=name, timestamp="2001-01-01T00:00:00Z")))
    world.land(world.folder / "wednesday" / "in.jsonl", world.folder / "thursday" / "in.jsonl")
    world.contract("app", "format: segment\n")
    done = retry(world.settings, as_of=AS_OF)
    assert (done.lines, done.landed, done.quarantined, done.files) == (4, 3, 1, ("in.jsonl",))
    assert counts(world.settings) == {"cut_short": 1}
    assert [each.reason for each in list_quarantine(world.settings)] == ["cut_short"]
    assert sorted(world.events("event_id, file, line")) == [(name, "in.jsonl", 1) for name in ("a", "b", "old")]
    assert retry(world.settings, as_of=AS_OF).load_id is None


@pytest.mark.torture
def test_lines_of_several_sources_and_of_history_are_tried_at_once_each_kind_as_a_load_of_its_own(world: World) -> None:
    for source in ("app", "shop", "till"):
        world.contract(source, "format: segment\ntimestamps: {from: 2020-01-01}\n")
        for history in (False, True):
            old = call(messageId=f"{source} {history}", timestamp="2001-01-01T00:00:00Z")
            file = world.file(f"{source}-{history}.jsonl", compact(old))
            land(world.settings, [file], source, as_of=AS_OF, history=history, reason="a year" if history else None)
    (world.settings.project_dir / "contracts" / "sources" / "till.yml").unlink()
    world.contract("app", "format: segment\n")
    with pytest.raises(DefinitionError, match="till"):
        operations.retry(world.settings, None, AS_OF)
    assert operations.retry(world.settings, "shop", AS_OF).landed == 0
    assert [load.landed for load in loads(world.settings)] == [0] * 6
    world.contract("till", "format: segment\n")
    done = operations.retry(world.settings, None, AS_OF)
    assert (done.lines, done.landed, done.duplicate, done.quarantined, done.erased) == (6, 4, 0, 2, 0)
    assert [(each.source, each.landed, each.quarantined) for each in done.kinds] == [
        *[("app", 1, 0)] * 2,
        *[("shop", 0, 1)] * 2,
        *[("till", 1, 0)] * 2,
    ]
    assert [each.history for each in done.kinds] == [False, True] * 3
    assert [load.is_history for load in loads(world.settings) if load.landed] == [False, True] * 2
    assert sorted(world.events("event_id")) == [
        (f"{name} {is_it}",) for name in ("app", "till") for is_it in (False, True)
    ]
