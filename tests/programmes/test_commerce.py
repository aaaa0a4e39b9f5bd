"""The commerce programme on its own cast: states, carts, segments, and day by day who hears what."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from tailrace.pipeline import reporting
from tailrace.settings import Settings
from tailrace.warehouse import runner
from tailrace.warehouse.build import build
from tests.installation import PROJECT
from tests.programmes.play import Play, personas
from tests.warehouse.cast import land
from tests.warehouse.conftest import AS_OF, Built

SEGMENTS = {
    "seg_browsed_no_cart": {"bea-browses"},
    "seg_cart_abandoned": {"clara-cart", "pat-payment"},
    "seg_payment_error_open": {"pat-payment"},
    "seg_second_purchase_due": {"fay-first"},
    "seg_repeat_buyers": {"rob-repeats"},
    "seg_lapsed_buyers": {"lou-lapsed"},
}
STATES = {
    "bea-browses": "browsing",
    "clara-cart": "browsing",
    "ola-open": "browsing",
    "pat-payment": "browsing",
    "two-carts-tom": "first_purchase",
    "fay-first": "first_purchase",
    "rob-repeats": "repeat",
    "lou-lapsed": "lapsed",
}
CARTS = {
    "cart-c1": "abandoned",
    "cart-t1": "abandoned",
    "cart-t2": "completed",
    "cart-p1": "abandoned",
    "cart-f1": "completed",
    "cart-r1": "completed",
    "cart-r2": "completed",
    "cart-l1": "completed",
    "cart-o1": "open",
}

CAMPAIGNS = {"browse_recovery", "cart_recovery", "payment_error_help", "post_purchase", "second_purchase"}
FEBRUARY, MARCH = ([date(2026, month, day) for day in days] for month, days in ((2, (27, 28)), (3, range(1, 5))))
STORIES = {
    # looked and chose nothing; whoever put something into a cart hears of that cart only
    ("bea-browses", "what_you_looked_at"): MARCH[0],
    ("clara-cart", "still_there"): MARCH[0],
    ("clara-cart", "anything_in_the_way"): MARCH[2],
    ("ola-open", "still_there"): MARCH[1],
    ("ola-open", "anything_in_the_way"): MARCH[3],
    # a payment that failed is told as such, and the cart is still one
    ("pat-payment", "nothing_was_charged"): MARCH[1],
    ("pat-payment", "still_there"): MARCH[1],
    ("pat-payment", "anything_in_the_way"): MARCH[3],
    # who buys one cart hears of what he bought, and still of the cart he left
    ("two-carts-tom", "best_of_it"): MARCH[3],
    ("two-carts-tom", "still_there"): MARCH[0],
    ("two-carts-tom", "anything_in_the_way"): MARCH[2],
    ("fay-first", "goes_with_it"): MARCH[0],
}


def calls(user_id: str, *tracked: tuple[str, str, dict[str, object]]) -> list[dict[str, object]]:
    traits = {"email": f"{user_id}@example.com", "first_name": "Ann", "timezone": "Europe/London"}
    return [
        {"type": "identify", "userId": user_id, "timestamp": "2025-11-01T10:00:00Z", "traits": traits},
        *(
            {"type": "track", "userId": user_id, "timestamp": at, "event": event, "properties": properties}
            for at, event, properties in tracked
        ),
    ]


BESIDES = {
    # leaves a cart on two days and buys the first after its first reminder: the second one's go on
    "ann-after-all": calls(
        "ann-after-all",
        ("2026-02-27T10:00:00Z", "add_to_cart", {"cart_id": "cart-a1"}),
        ("2026-02-28T10:00:00Z", "add_to_cart", {"cart_id": "cart-a2"}),
        ("2026-03-02T10:00:00Z", "checkout_completed", {"cart_id": "cart-a1", "order_id": "o-a1", "value": 20}),
    ),
    # two payments fail, and one of them goes through: the other is helped with
    "per-two-payments": calls(
        "per-two-payments",
        ("2026-02-28T20:00:00Z", "payment_error", {"cart_id": "cart-e1"}),
        ("2026-02-28T20:10:00Z", "payment_error", {"cart_id": "cart-e2"}),
        ("2026-02-28T20:20:00Z", "checkout_completed", {"cart_id": "cart-e1", "order_id": "o-e1", "value": 20}),
    ),
    # a purchase that names no cart ends the reminders of all of them; what is in no cart has none
    "noa-no-cart": calls(
        "noa-no-cart",
        ("2026-02-27T10:00:00Z", "add_to_cart", {"cart_id": "cart-n1"}),
        ("2026-02-27T10:01:00Z", "add_to_cart", {"cart_id": " "}),
        ("2026-02-27T10:02:00Z", "add_to_cart", {}),
        ("2026-02-28T20:00:00Z", "checkout_completed", {"order_id": "o-n1", "value": 20}),
    ),
}
THEIRS = {
    ("ann-after-all", "still_there"): [MARCH[0], MARCH[1]],
    ("ann-after-all", "anything_in_the_way"): [MARCH[3]],
    ("per-two-payments", "nothing_was_charged"): [MARCH[1]],
}
CART_PASSES = {
    ("two-carts-tom", "cart-t1"): "completed",
    ("two-carts-tom", "cart-t2"): "exited",
    ("ann-after-all", "cart-a1"): "exited",
    ("ann-after-all", "cart-a2"): "completed",
    ("noa-no-cart", "cart-n1"): "exited",
    ("clara-cart", "cart-c1"): "completed",
    ("pat-payment", "cart-p1"): "completed",
    ("ola-open", "cart-o1"): "completed",
}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Built]:
    """The cast in a warehouse with the programme on. Only to be looked at."""
    folder = tmp_path_factory.mktemp("shop")
    project = folder / "project"
    shutil.copytree(PROJECT, project, ignore=shutil.ignore_patterns("target", "logs"))
    path = project / "dbt_project.yml"
    text, found = re.subn(r"(?m)^  programmes: .*$", "  programmes: [commerce]", path.read_text(encoding="utf-8"))
    assert found == 1
    path.write_text(text, encoding="utf-8")
    settings = Settings(data_dir=folder / "data", project_dir=project)
    loads = (land(folder / "landing", [call for calls in personas("commerce").values() for call in calls]),)
    yield Built(settings, build(settings, AS_OF, loads), loads)
    shutil.rmtree(folder)


def test_everything_of_the_programme_is_built_and_nothing_of_the_others(shop: Built) -> None:
    assert shop.generation.failed == {}
    made = {name for (name,) in shop.ask("select table_name from duckdb_tables() where schema_name = 'segments'")}
    assert made == {*SEGMENTS, "seg_beta_testers"}


@pytest.mark.parametrize("segment", SEGMENTS)
def test_each_segment_holds_the_personas_it_is_meant_for(shop: Built, segment: str) -> None:
    assert shop.members(segment) == SEGMENTS[segment]


def test_everybody_is_in_one_state_and_every_cart_in_its_own(shop: Built) -> None:
    people = "states.fct_commerce_states join core.dim_people using (person_id) where ended_at is null"
    rows = shop.ask(f"select user_id, state from {people}")
    assert len(rows) == len(STATES)
    assert dict(rows) == STATES
    assert dict(shop.ask("select cart_id, state from states.fct_carts")) == CARTS


def test_an_order_told_twice_is_one_purchase(shop: Built) -> None:
    rows = shop.ask(
        "select state, cast(started_at as varchar) from states.fct_commerce_states"
        " join core.dim_people using (person_id) where user_id = 'rob-repeats' order by started_at"
    )
    assert rows == [
        ("browsing", "2025-12-28 10:00:00"),
        ("first_purchase", "2025-12-28 10:10:00"),
        ("repeat", "2026-02-10 10:10:00"),
    ]


@pytest.mark.torture
def test_dbts_unit_tests_of_the_programme_pass(shop: Built, tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, project_dir=shop.settings.project_dir)
    shutil.copy(shop.settings.warehouse, settings.warehouse)
    runner.write_profile(settings, [path for load in shop.loads for path in load.parquet])
    code, said = runner._run(settings, ["test", "--select", "path:models/states/commerce,test_type:unit"], AS_OF)
    assert code == 0, said
    results = json.loads((runner.directory(settings) / "target" / "run_results.json").read_bytes())["results"]
    assert len(results) == 2
    assert {result["status"] for result in results} == {"pass"}


@pytest.fixture(scope="module")
def play(read: Settings, tmp_path_factory: pytest.TempPathFactory) -> Play:
    return Play(tmp_path_factory.mktemp("commerce"), read, "commerce", CAMPAIGNS, [*FEBRUARY, *MARCH], BESIDES)


@pytest.mark.torture
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_everybody_hears_what_their_story_calls_for_on_its_day_and_nothing_else(play: Play) -> None:
    assert play.told() == {story: [on] for story, on in STORIES.items()} | THEIRS
    carts = {(row["user_id"], row["occurrence"]): row["status"] for row in play.passes("cart_recovery")}
    assert carts == CART_PASSES
    payments = {(row["user_id"], row["occurrence"]): row["status"] for row in play.passes("payment_error_help")}
    assert payments == {
        ("pat-payment", "cart-p1"): "completed",
        ("per-two-payments", "cart-e1"): "exited",
        ("per-two-payments", "cart-e2"): "completed",
    }


@pytest.mark.torture
@pytest.mark.slow
def test_the_report_shows_the_programmes_states_and_how_people_moved(play: Play) -> None:
    (shown,) = reporting.gather(play.installation.settings).states
    assert shown.programme == "commerce"
    assert [size.state for size in shown.sizes] == ["browsing", "first_purchase", "repeat", "lapsed"]
    assert sum(size.people for size in shown.sizes) >= len(STATES)
    assert ("browsing", "first_purchase") in {(flow.from_state, flow.to_state) for flow in shown.flows}
