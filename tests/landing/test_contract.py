from __future__ import annotations

from datetime import timedelta

import pytest

from tailrace.errors import DefinitionError
from tailrace.landing.contract import attribute_owners, load_contract
from tailrace.landing.mapping import Column, Const, Template
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
        ("format: segment\nowns: [email]\n", 2, "attributes, events"),
        ("format: segment\nowns: {attributes: email}\n", 2, "a list of names"),
        ("format: segment\nowns:\n  attributes:\n    - email\n    - plan\n    - email\n", 6, "twice"),
        ("format: segment\nowns: {events: [1]}\n", 2, "the name of an attribute or event"),
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


def test_a_source_owns_attributes_and_events(world: World) -> None:
    world.contract("app", "format: segment\nowns:\n  attributes: [email, plan]\n  events:\n    - signed_up\n")
    contract = load_contract(world.settings, "app")
    assert [(owned.name, owned.line) for owned in contract.owned_attributes] == [("email", 3), ("plan", 3)]
    assert [(owned.name, owned.line) for owned in contract.owned_events] == [("signed_up", 5)]


def test_an_attribute_has_one_owner_and_two_are_named_with_their_places(world: World) -> None:
    for source in world.settings.project_dir.glob("contracts/sources/*.yml"):
        source.unlink()
    world.contract("app", "format: segment\nowns: {attributes: [email, plan]}\n")
    world.contract("crm", "format: segment\nowns: {attributes: [company]}\n")
    assert {name: owner.source for name, owner in attribute_owners(world.settings).items()} == {
        "email": "app",
        "plan": "app",
        "company": "crm",
    }
    world.contract("crm", "format: segment\n\nowns:\n  attributes:\n    - company\n    - email\n")
    world.contract("erp", "format: segment\nowns: {attribtes: [x]}\n")
    with pytest.raises(DefinitionError) as caught:
        attribute_owners(world.settings)
    crm, erp = caught.value.problems
    assert crm.path.endswith("crm.yml")
    assert crm.line == 6
    assert "`email` is owned by `app`, too (" in crm.message
    assert "app.yml:2)" in crm.message
    assert "Did you mean `attributes`" in erp.message


@pytest.mark.parametrize("name", ["nothing", "../app", "App"])
def test_a_source_without_a_contract_is_refused(world: World, name: str) -> None:
    with pytest.raises(DefinitionError):
        load_contract(world.settings, name)
