from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tailrace.landing import erased, erasing
from tailrace.landing.census import Breaches, Seen, breaches, kept_out, seen, warned
from tailrace.landing.land import land
from tailrace.landing.loads import loads
from tailrace.landing.quarantine import list_quarantine
from tailrace.landing.retry import retry
from tests.landing.conftest import AS_OF, World, call, compact
from tests.landing.test_breaches import contract, paid
from tests.landing.test_erased import person


def test_what_people_did_is_counted_by_event_and_source(world: World) -> None:
    world.contract("web", "format: segment\n")
    assert seen(world.settings) == []
    world.lines(
        compact(call(messageId="a", timestamp="2026-10-01T08:00:00Z")),
        compact(call(messageId="b", timestamp="2026-09-01T08:00:00Z")),
        compact(call(messageId="c", type="page", event=..., name="Paid")),
        compact(call(messageId="d", type="identify", event=...)),
    )
    world.lines(compact(call(messageId="a", event="paid")), name="web.jsonl", source="web")
    first, last = datetime(2026, 9, 1, 8, tzinfo=UTC), datetime(2026, 10, 1, 8, tzinfo=UTC)
    assert seen(world.settings) == [Seen("Paid", "app", 2, first, last), Seen("paid", "web", 1, last, last)]
    assert seen(world.settings, loads(world.settings)[1]) == [Seen("paid", "web", 1, last, last)]


@pytest.mark.torture
def test_breaches_of_all_loads_are_summed_by_rule_and_source(world: World) -> None:
    world.contract("web", "format: segment\n")
    contract(world, "Paid", "on_breach: quarantine\nproperties: {x: {type: integer}, y: {type: string}}\n")
    world.lines(paid(1, {"x": "1", "y": 1}), paid(2, {"x": "1"}), paid(3, {"x": 1}))
    contract(world, "Paid", "on_breach: warn\nproperties: {x: {type: integer}}\n")
    world.lines(paid(4, {"x": "1"}), name="b.jsonl")
    world.lines(paid(5, {"x": "1"}), name="c.jsonl", source="web")
    some = loads(world.settings)
    words = "is not a whole number"
    assert breaches(some) == [
        Breaches("Paid", "x", words, "app", 1, 2, AS_OF),
        Breaches("Paid", "x", words, "web", 1, 0, AS_OF),
        Breaches("Paid", "y", "is not a string", "app", 0, 1, AS_OF),
    ]
    assert kept_out(world.settings) == {"Paid": 2}
    retry(world.settings, as_of=AS_OF)
    assert kept_out(world.settings) == {}
    assert sum(row.warned for row in breaches(loads(world.settings)) if row.source == "app") == 3


def test_an_event_that_breaks_several_rules_is_one_that_broke_its_contract(world: World) -> None:
    contract(world, "Paid", "on_breach: warn\nproperties: {x: {type: integer}, y: {type: string}, z: {type: array}}\n")
    world.lines(paid(1, {"x": "1", "y": 1, "z": 1}), paid(2, {"x": "1"}), paid(3, {"x": 1}), paid(1, {"x": 2, "y": 2}))
    world.lines(paid(4, {"x": "1", "y": 1}), name="b.jsonl")
    some = loads(world.settings)
    assert warned(some) == {"Paid": 3}
    assert sum(row.warned for row in breaches(some)) == 6
    before = [load.model_copy(update={"warned": {}}) for load in some]
    assert warned(before) == {"Paid": 3}


def test_what_is_kept_out_is_counted_for_its_event_whatever_its_name_has(world: World) -> None:
    names = ["Order", "Order: `big`", "a`b", "`x`", ": `", '"Order"', '"Order: `x', 'say "so": `x` \\', "a: b", "é: `x"]
    lines = []
    for number, name in enumerate(names, 1):
        contract(world, name, "on_breach: quarantine\nproperties: {'p`: `q': {type: integer}}\n")
        lines += [paid(10 * number + n, {"p`: `q": "1"}, event=name) for n in range(number)]
    world.lines(*lines)
    assert kept_out(world.settings) == {name: number for number, name in enumerate(names, 1)}


@pytest.mark.torture
def test_what_is_kept_out_is_what_is_in_quarantine_whoever_was_erased_meanwhile(world: World) -> None:
    """As many as `quarantine list` has: of lines that an erasure took out, and of those that come again afterwards."""
    contract(world, "a: `Paid`", "on_breach: quarantine\nproperties: {x: {type: integer}}\n")
    contract(world, "Paid", "on_breach: quarantine\nproperties: {x: {type: integer}}\n")
    lines = [paid(n, {"x": "1"}, userId=who) for n, who in enumerate(["u1", "u2", "u3"])]
    world.lines(*lines)
    assert kept_out(world.settings) == {"Paid": 3}
    who = person(world)
    erased.write(world.settings, who.erasures[0])
    erasing.erase(world.settings, who, is_dry=False)
    assert kept_out(world.settings) == {"Paid": len(list_quarantine(world.settings))}
    again = world.file("again.jsonl", *lines, paid(9, {"x": "1"}, userId="u4"))
    done = land(world.settings, [again], "app", as_of=AS_OF)
    assert done.erased == 1
    assert kept_out(world.settings) == {"Paid": len(list_quarantine(world.settings))}
    assert sum(each.events for each in done.breaches) == done.quarantined
    contract(world, "Paid", "summary: nothing is asked\n")
    retry(world.settings, as_of=AS_OF)
    assert kept_out(world.settings) == {}
