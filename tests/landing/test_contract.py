from __future__ import annotations

from datetime import timedelta

import pytest

from tailrace.errors import DefinitionError
from tailrace.landing.contract import Column, Const, Template, load_contract
from tests.landing.conftest import World


def test_a_contract_says_everything_about_a_source(world: World) -> None:
    world.contract(
        "bank",
        """
format: csv
delimiter: ";"
owner: finance@example.com
expect_every: 36h
timestamps: {format: iso, zone: Europe/Berlin, from: 2020-01-01, to: 2030-01-01}
mapping:
  type: {const: track}
  event: {const: paid}
  user_id: account
  anonymous_id: {format: "{{{account}}}-x"}
  timestamp: at
  properties: all
""",
    )
    contract = load_contract(world.settings, "bank")
    assert contract.expect_every == timedelta(hours=36)
    assert contract.mapping is not None
    assert contract.mapping.type == Const("track")
    assert dict(contract.mapping.texts)["user_id"] == Column("account")
    assert dict(contract.mapping.texts)["anonymous_id"] == Template(("{", Column("account"), "}", "-x"))
    assert contract.mapping.columns() == ["at", "account"]


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("format: segmnt\n", 1, "Did you mean `segment`"),
        ("format: segment\nexpect_evry: 1h\n", 2, "Did you mean `expect_every`"),
        ("format: segment\nformat: csv\n", 2, "twice"),
        ("format: segment\ntimestamps: {zone: Mars/Base}\n", 2, "time-zone"),
        ("format: segment\ntimestamps:\n  fromat: iso\n", 3, "fromat"),
        ("format: segment\ntimestamps: {from: 2030-01-01, to: 2020-01-01}\n", 2, "not before"),
        ("format: segment\nexpect_every: sometimes\n", 2, "24h"),
        ("format: segment\nmapping: {type: track}\n", 2, "does not go with"),
        ("format: csv\n", 1, "`mapping` is missing"),
        ("format: csv\nmapping: {type: track, user_id: u, timestamp: t}\n", 2, "`event` is missing"),
        ("format: csv\nmapping: {type: page, timestamp: t}\n", 2, "both missing"),
        ("format: csv\nmapping: {type: page, user_id: u, timestamp: {konst: 1}}\n", 2, "Did you mean `const`"),
        ('format: csv\nmapping: {type: page, user_id: {format: "{a"}, timestamp: t}\n', 2, "brace"),
        ("format: jsonl\ndelimiter: x\nmapping: {type: page, user_id: u, timestamp: t}\n", 2, "csv"),
        ("format: &x segment\n", 1, "anchors"),
        ("format: [segment\n", None, "not YAML"),
        ("", 1, "empty"),
    ],
)
def test_a_mistake_is_named_with_its_line(world: World, text: str, line: int | None, message: str) -> None:
    world.contract("app", text)
    with pytest.raises(DefinitionError, match=message) as caught:
        load_contract(world.settings, "app")
    assert line is None or caught.value.problems[0].line == line


@pytest.mark.parametrize("name", ["nothing", "../app", "App"])
def test_a_source_without_a_contract_is_refused(world: World, name: str) -> None:
    with pytest.raises(DefinitionError):
        load_contract(world.settings, name)
