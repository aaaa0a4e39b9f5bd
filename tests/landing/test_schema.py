"""A source whose columns change: it is said, and nothing of it is lost."""

from __future__ import annotations

import json
from collections.abc import Callable

import duckdb
import pytest

from tailrace.errors import DataError
from tailrace.landing.loads import loads
from tailrace.landing.retry import retry
from tests.landing.conftest import AS_OF, World, call, compact

MAPPING = "mapping: {type: track, event: {const: paid}, user_id: who, timestamp: at, properties: all}\n"


def csv(world: World, name: str, columns: str, values: str) -> None:
    world.file(name, columns.encode(), values.encode())


def test_a_column_of_a_csv_that_is_new_or_gone_is_named_and_kept(world: World) -> None:
    world.contract("bank", f"format: csv\n{MAPPING}")
    csv(world, "1.csv", "who,at,plan", "u1,2026-10-01,pro")
    csv(world, "2.csv", "coupon,at,who", "x,2026-10-02,u2")
    csv(world, "3.csv", "who,at,coupon", "u3,2026-10-03,y")
    said = [world.land(world.folder / f"{n}.csv", source="bank").notices for n in (1, 2, 3)]
    assert said == [(), ("column `plan` is gone", "column `coupon` is new"), ()]
    told = dict(world.events("user_id, properties", "bank"))
    assert told == {"u1": '{"plan":"pro"}', "u2": '{"coupon":"x"}', "u3": '{"coupon":"y"}'}


def test_a_column_that_the_mapping_needs_refuses_the_file_until_they_agree(world: World) -> None:
    world.contract("bank", f"format: csv\n{MAPPING}")
    csv(world, "1.csv", "who,at", "u1,2026-10-01")
    csv(world, "2.csv", "whom,at", "u2,2026-10-02")
    world.land(world.folder / "1.csv", source="bank")
    with pytest.raises(DataError, match=r"there is no column `who`.*Did you mean `whom`"):
        world.land(world.folder / "2.csv", source="bank")
    world.contract("bank", f"format: csv\n{MAPPING.replace('who', 'whom')}")
    assert world.land(world.folder / "2.csv", source="bank").notices == ("column `who` is gone", "column `whom` is new")


def test_a_column_of_a_parquet_that_has_another_type_is_named_and_kept(world: World) -> None:
    world.contract("bank", f"format: parquet\n{MAPPING}")
    rows = {
        "1": "'u1' as who, timestamp '2026-10-01' as at, 7::bigint as n",
        "2": "2::bigint as who, timestamp '2026-10-01' as at, 'seven' as n, 1 as more",
    }
    for name, row in rows.items():
        duckdb.sql(f"copy (select {row}) to '{world.folder}/{name}.parquet'")
    said = [world.land(world.folder / f"{name}.parquet", source="bank").notices for name in rows]
    assert said == [
        (),
        (
            "column `more` is new (INTEGER)",
            "column `who` is BIGINT, and was VARCHAR",
            "column `n` is VARCHAR, and was BIGINT",
        ),
    ]
    told = {user: json.loads(told) for user, told in world.events("user_id, properties", "bank")}
    assert told == {"u1": {"n": 7}, "2": {"n": "seven", "more": 1}}


@pytest.mark.torture
def test_a_key_of_jsonl_that_is_new_gone_or_of_another_kind_is_named_and_kept(world: World) -> None:
    world.contract("bank", f"format: jsonl\n{MAPPING}")
    row = {"who": "u1", "at": "2026-10-01", "n": 7, "maybe": 1}
    lines = [compact(row), compact({**row, "who": "u2", "n": "seven", "maybe": None, "more": [1]})]
    said = [world.lines(line, name=f"{n}.jsonl", source="bank").notices for n, line in enumerate(lines)]
    assert said == [(), ("column `more` is new (list)", "column `n` is text, and was number")]
    # A key that rows need not have may be away; one that the mapping names may not.
    gone = {"id": 9, "at": "2026-10-01"}
    done = world.lines(compact(gone), name="3.jsonl", source="bank")
    assert (done.notices, done.reasons) == (("column `who` is gone", "column `id` is new (number)"), {"id_missing": 1})
    assert world.lines(compact({**row, "who": "u4"}), name="4.jsonl", source="bank").notices == (
        "column `n` is number, and was text",
    )
    told = {user: json.loads(told) for user, told in world.events("user_id, properties", "bank")}
    assert told["u2"] == {"n": "seven", "maybe": None, "more": [1]}


def test_a_key_that_no_first_line_has_is_named(world: World) -> None:
    world.contract("bank", f"format: jsonl\n{MAPPING}")
    rows = [compact({"who": f"u{n}", "at": "2026-10-01"}) for n in range(300)]
    world.lines(*rows, name="1.jsonl", source="bank")
    odd = b'{"who":"v2","at":"2026-10-01", "\\u006fdd":1e400}'
    done = world.lines(*rows, compact({"who": "v1", "at": "2026-10-01", "late": 1}), odd, name="2.jsonl", source="bank")
    assert done.notices == ("column `late` is new", "column `odd` is new")


@pytest.mark.torture
def test_a_key_that_the_segment_spec_does_not_name_is_named_and_kept(world: World) -> None:
    calls: Callable[..., bytes] = lambda **keys: compact(call(**keys))  # noqa: E731
    assert world.lines(calls(messageId="m1", version=1), name="1").notices == ()
    done = world.lines(calls(messageId="m2"), calls(messageId="m3", writeKey="k", version=1), name="2")
    assert done.notices == ("column `writeKey` is new",)
    assert world.lines(calls(messageId="m4", version=2), name="3").notices == ()
    assert world.lines(calls(messageId="m5", writeKey="k"), name="4").notices == ()


def test_a_key_that_may_be_somebody_is_kept_and_not_said(world: World) -> None:
    world.contract("bank", f"format: jsonl\n{MAPPING}")
    row = {"who": "u1", "at": "2026-10-01"}
    world.lines(compact(row), name="1.jsonl", source="bank")
    done = world.lines(compact({**row, "canary@example.test": 1}), name="2.jsonl", source="bank")
    assert done.notices == ()
    assert world.lines(compact(call(**{"canary@example.test": 1}))).notices == ()
    assert not any("canary" in load.model_dump_json() for load in loads(world.settings))


def test_each_kind_of_file_has_columns_of_its_own_and_a_retry_forgets_none(world: World) -> None:
    tables = f'"a*.csv": {MAPPING[9:-1]}\n  "b*.csv": {MAPPING[9:-1]}'
    world.contract("bank", f"format: csv\ntables:\n  {tables}\n")
    csv(world, "a1.csv", "who,at,x", "u1,2026-10-01,1")
    csv(world, "b1.csv", "who,at,y", ",2026-10-01,1")
    assert world.land(world.folder / "a1.csv", world.folder / "b1.csv", source="bank").notices == ()
    world.contract("bank", f"format: csv\ntables:\n  {tables.replace('user_id: who', 'user_id: y')}\n")
    assert retry(world.settings, as_of=AS_OF, source="bank").landed == 1
    assert loads(world.settings)[-1].columns == loads(world.settings)[0].columns
    csv(world, "b2.csv", "who,at,y,z", "u2,2026-10-01,1,2")
    assert world.land(world.folder / "b2.csv", source="bank").notices == ("column `z` of `b*.csv` is new",)
