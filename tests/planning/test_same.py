"""What does a campaign per cart make of an event about another cart? `same`, wherever a condition may stand."""

from __future__ import annotations

from typing import Any

import pytest

from tailrace.planning.run import CampaignSpec
from tailrace.planning.store import Plan
from tests.planning.world import DAY, HOUR, START, World, campaign, event_trigger, goal

BOUGHT = {"event": "bought", "where": None, "where_sql": None, "same": ["cart"], "since": "entry"}
SEND = {"id": "hello", "send": "hello"}
OFFER = {"id": "offer", "send": "offer"}
REST = {"id": "rest", "wait": 10 * 86_400}


@pytest.fixture
def shop(world: World) -> World:
    """Ada and Ben are there before the first plan."""
    for user in ("ada", "ben"):
        world.person(user)
    world.begin()
    return world


def carts(*steps: dict[str, Any], **changes: Any) -> CampaignSpec:
    repeat = {"kind": "each_occurrence", "seconds": None}
    trigger = event_trigger("added", occurrence="cart")
    return campaign("carts", steps=list(steps), **({"trigger": trigger, "repeat": repeat} | changes))


def add(world: World, user: str, *ids: Any) -> None:
    for cart in ids:
        world.event(user, "added", START + HOUR, cart=cart)


def buy(world: World, user: str, **properties: Any) -> None:
    world.event(user, "bought", START + 2 * HOUR, load=2, **properties)


def standing(world: World, plan: Plan) -> dict[str, tuple[Any, ...]]:
    """Return where the passes are: cart → (status, step)."""
    rows = world.rows(plan, "enrollments:carts", "occurrence", "status", "step")
    return {cart: tuple(rest) for cart, *rest in rows}


@pytest.fixture(params=["at once", "a run later"])
def bought(request: pytest.FixtureRequest, shop: World) -> Any:
    """Play a campaign over Ada's carts a and b, of which she buys a, in the run that lets her in or in the next."""

    def play(spec: CampaignSpec) -> dict[str, tuple[Any, ...]]:
        shop.campaigns = [spec]
        add(shop, "ada", "a", "b")
        if request.param == "at once":
            buy(shop, "ada", cart="a")
        else:
            shop.plan(START + 3 * HOUR)
            buy(shop, "ada", cart="a")
        return standing(shop, shop.plan(START + 4 * HOUR))

    return play


def test_an_exit_ends_the_pass_of_the_cart_that_was_bought(bought: Any) -> None:
    assert bought(carts(REST, SEND, exit=[BOUGHT])) == {"a": ("exited", None), "b": ("active", "rest")}


@pytest.mark.parametrize(("leaves", "status"), [(True, "converted"), (False, "active")])
def test_a_goal_is_reached_by_the_cart_that_was_bought(shop: World, bought: Any, leaves: bool, status: str) -> None:
    found = bought(carts(REST, SEND, goal=goal(event="bought", same=["cart"], exit=leaves)))

    assert (found["a"][0], found["b"]) == (status, ("active", "rest"))
    reached = shop.rows(shop.store.read("HEAD"), "enrollments:carts", "occurrence", "goal_at")
    assert reached == [("a", (START + 2 * HOUR).replace(tzinfo=None)), ("b", None)]


def test_a_wait_ends_for_the_cart_that_was_bought(bought: Any) -> None:
    wait = {"id": "buys", "wait_until": BOUGHT, "timeout": 86_400, "then": [{"id": "end", "exit": True}], "else": []}

    assert bought(carts(wait, SEND)) == {"a": ("exited", None), "b": ("active", "buys")}


def test_a_branch_leads_the_cart_that_was_bought_another_way(shop: World) -> None:
    shop.campaigns = [carts(REST, {"id": "fork", "if": BOUGHT, "then": [SEND], "else": [OFFER]})]
    add(shop, "ada", "a", "b")
    shop.plan(START + 3 * HOUR)
    buy(shop, "ada", cart="a")

    plan = shop.plan(START + 11 * DAY)

    assert shop.verdicts(plan) == [("ada", "hello", "send", None), ("ada", "offer", "send", None)]
    moves = shop.rows(plan, "transitions", "enrollment_id", "to_step")
    ids = dict(shop.rows(plan, "enrollments:carts", "occurrence", "enrollment_id"))
    assert {step for enrollment, step in moves if enrollment == ids["a"]} == {"fork", "hello", None}


def test_a_filter_refuses_the_cart_that_was_bought_before(shop: World) -> None:
    shop.campaigns = [carts(REST, SEND, filter={"not": BOUGHT | {"since": 86_400}})]
    shop.event("ada", "bought", START - HOUR, load=2, cart="a")
    add(shop, "ada", "a", "b")

    plan = shop.plan(START + 3 * HOUR)

    assert standing(shop, plan) == {"b": ("active", "rest")}
    assert shop.verdicts(plan) == [("ada", "(entry)", "skip", "filtered")]


def test_a_purchase_of_somebody_else_or_of_no_cart_changes_nothing(shop: World) -> None:
    shop.campaigns = [carts(REST, SEND, exit=[BOUGHT], goal=goal(event="bought", same=["cart"]))]
    add(shop, "ada", "a")
    add(shop, "ben", "a")
    shop.event("ben", "added", START + HOUR)
    buy(shop, "ada", cart="a")
    buy(shop, "ben")

    plan = shop.plan(START + 4 * HOUR)

    rows = shop.rows(plan, "enrollments:carts", "status", "goal_at")
    assert [status for status, _ in rows] == ["active", "active", "converted"]


def test_an_object_and_a_broadcast_bring_an_event_too(shop: World) -> None:
    shop.belongs = [("account", "acme", "ada")]
    shop.objects = [("account", "acme", {})]
    limit = event_trigger("limit_reached") | {"kind": "object", "object": "account", "segment": None, "on": "entered"}
    command = {"kind": "broadcast", "segment": None, "at": None}
    asked = BOUGHT | {"same": ["what"]}
    shop.campaigns = [
        campaign(name, trigger=trigger, steps=[REST, SEND], exit=[asked])
        for name, trigger in (("team", limit), ("told", command))
    ]
    shop.event("ben", "limit_reached", START + HOUR, group="acme", what="seats")
    shop.event("ben", "broadcast_requested", START + HOUR, campaign="told", key="k", what="plan")
    shop.plan(START + 3 * HOUR)
    buy(shop, "ada", what="seats")
    buy(shop, "ben", what="seats")

    plan = shop.plan(START + 4 * HOUR)

    assert shop.rows(plan, "enrollments:team", "status") == [("exited",)]
    assert shop.rows(plan, "enrollments:told", "status") == [("active",)]


def test_who_is_moved_to_a_version_that_compares_is_compared(shop: World) -> None:
    shop.campaigns = [carts(REST, SEND)]
    add(shop, "ada", "a", "b")
    shop.plan(START + 3 * HOUR)
    buy(shop, "ada", cart="a")
    shop.campaigns = [carts(REST, SEND, exit=[BOUGHT], on_edit="move")]

    plan = shop.plan(START + 4 * HOUR)

    assert standing(shop, plan) == {"a": ("exited", None), "b": ("active", "rest")}


def test_a_pass_that_no_event_started_is_the_same_as_none(shop: World) -> None:
    shop.segment("seg_trial")
    shop.plan(START + HOUR)
    shop.segment("seg_trial", "ada")
    shop.campaigns = [campaign("carts", steps=[REST, SEND], exit=[BOUGHT])]
    buy(shop, "ada", cart="a")

    plan = shop.plan(START + 4 * HOUR)

    assert shop.rows(plan, "enrollments:carts", "status") == [("active",)]
