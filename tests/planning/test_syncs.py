"""What a destination must hear, and what it holds."""

from dataclasses import replace
from typing import Any

import pytest

from tailrace import ids
from tailrace.planning.plan import SyncSpec
from tailrace.planning.store import Plan
from tailrace.planning.syncs import LetGo
from tests.planning.world import DAY, OPEN, START, Sync, World, campaign

NAME = "sync_webhook__power_users"


@pytest.fixture
def audience(world: World) -> World:
    world.person("ada")
    world.segment("seg_power", "ada")
    world.syncs = [SyncSpec(Sync(NAME), batch_size=2, segments=("seg_power",))]
    return world


def _hold(world: World, *users: str, suffix: str = "") -> None:
    world.audience[NAME] = [{"user_id": user, "email": f"{user}{suffix}@example.com"} for user in users]


def _answer(world: World, plan: Plan, outcomes: dict[str, str] | str) -> None:
    """The destination answers every operation of the plan: one outcome for all, or one per key."""
    for key, batch, position in world.rows(plan, f"sync_ops:{NAME}", "key", "batch_no", "position"):
        outcome = outcomes if isinstance(outcomes, str) else outcomes[key]
        world.answers.append(
            {
                "seq": len(world.answers) + 1,
                "plan_id": plan.plan_id,
                "sync": NAME,
                "batch_no": batch,
                "position": position,
                "outcome": outcome,
                "answered_at": plan.as_of.replace(tzinfo=None),
            }
        )


def _ops(world: World, plan: Plan) -> list[tuple[Any, ...]]:
    return world.rows(plan, f"sync_ops:{NAME}", "op", "key")


def _key(user: str) -> str:
    return f'{{"user_id":"{user}"}}'


def test_a_plan_reads_what_the_destination_answered_and_people_walk_in_it(audience: World) -> None:
    audience.segment("seg_trial")
    audience.campaigns = [campaign()]
    _hold(audience, "ada")
    _answer(audience, audience.plan(START), "accepted")
    audience.segment("seg_trial", "ada")

    plan = audience.plan(START + DAY)

    assert audience.verdicts(plan) == [("ada", "hello", "send", None)]
    assert _ops(audience, plan) == []


def test_what_was_accepted_is_not_said_again_and_changes_are(audience: World) -> None:
    _hold(audience, "ada", "ben", "cem")
    first = audience.plan(START)
    _answer(audience, first, "accepted")

    quiet = audience.plan(START + DAY)
    audience.audience[NAME] = [
        {"user_id": "ada", "email": "ada@example.com"},
        {"user_id": "ben", "email": "new@example.com"},
        {"user_id": "dia", "email": "dia@example.com"},
    ]
    moved = audience.plan(START + 2 * DAY)

    assert _ops(audience, first) == [("add", _key(user)) for user in ("ada", "ben", "cem")]
    assert _ops(audience, quiet) == []
    assert _ops(audience, moved) == [("add", _key("dia")), ("remove", _key("cem")), ("update", _key("ben"))]
    assert moved.syncs[NAME]["acknowledged"] == 3


def test_only_an_acknowledgement_moves_what_is_acknowledged(audience: World) -> None:
    said = {"ada": "accepted", "ben": "unknown", "cem": "retry_later", "dia": "blocked", "eva": "cancelled"}
    _hold(audience, *said)
    first = audience.plan(START)
    _answer(audience, first, {_key(user): outcome for user, outcome in said.items()})

    assert _ops(audience, audience.plan(START + DAY)) == [("add", _key(user)) for user in ("ben", "cem", "dia", "eva")]


def test_a_row_whose_answer_is_not_known_is_removed_when_it_is_no_longer_wanted(audience: World) -> None:
    _hold(audience, "ada", "ben")
    _answer(audience, audience.plan(START), {_key("ada"): "accepted", _key("ben"): "unknown"})
    _hold(audience, "ada")

    plan = audience.plan(START + DAY)

    assert _ops(audience, plan) == [("remove", _key("ben"))]
    assert (plan.syncs[NAME]["acknowledged"], plan.syncs[NAME]["unknown"]) == (1, 1)


def test_a_removal_whose_answer_is_not_known_is_said_again(audience: World) -> None:
    _hold(audience, "ada")
    _answer(audience, audience.plan(START), "accepted")
    _hold(audience)
    _answer(audience, audience.plan(START + DAY), "unknown")

    assert _ops(audience, audience.plan(START + 2 * DAY)) == [("remove", _key("ada"))]


def test_a_refused_row_is_left_alone_until_it_changes(audience: World) -> None:
    _hold(audience, "ada", "ben")
    first = audience.plan(START)
    _answer(audience, first, {_key("ada"): "accepted", _key("ben"): "rejected"})

    same = audience.plan(START + DAY / 2)
    _hold(audience, "ada", "ben", suffix="2")
    changed = audience.plan(START + DAY / 2 + DAY / 4)

    assert _ops(audience, same) == []
    assert same.syncs[NAME]["rejected"] == 1
    assert _ops(audience, changed) == [("add", _key("ben")), ("update", _key("ada"))]


def test_a_refused_row_is_tried_again_after_a_day(audience: World) -> None:
    _hold(audience, "ben")
    _answer(audience, audience.plan(START), "rejected")

    assert _ops(audience, audience.plan(START + 2 * DAY)) == [("add", _key("ben"))]


def test_nobody_is_removed_who_was_never_accepted(audience: World) -> None:
    _hold(audience, "ada", "ben")
    _answer(audience, audience.plan(START), {_key("ada"): "accepted", _key("ben"): "rejected"})
    _hold(audience)

    assert _ops(audience, audience.plan(START + 2 * DAY)) == [("remove", _key("ada"))]


def test_too_many_removals_park_the_sync(audience: World) -> None:
    users = [f"u{number}" for number in range(20)]
    _hold(audience, *users)
    _answer(audience, audience.plan(START), "accepted")
    audience.limits[f"sync:{NAME}"] = replace(OPEN, sync_deletions_share=0.2)
    _hold(audience)

    plan = audience.plan(START + DAY)

    assert plan.syncs[NAME]["parked"] == "guard"
    assert plan.syncs[NAME]["remove"] == 20
    assert _ops(audience, plan) == []
    assert [guard["tripped"] for guard in plan.guards] == [True]


def test_a_parked_segment_parks_the_sync_that_reads_it(audience: World) -> None:
    _hold(audience, "ada")
    audience.plan(START)
    audience.failed = {"seg_power": "Conversion Error"}

    plan = audience.plan(START + DAY)

    assert plan.syncs[NAME]["parked"] == "seg_power is parked"
    assert plan.syncs[NAME]["desired"] is None
    assert _ops(audience, plan) == []


def test_a_segment_that_a_guard_parks_parks_the_sync_that_reads_it_and_takes_nobody_out(audience: World) -> None:
    everyone = [f"p{number}" for number in range(20)]
    audience.segment("seg_power", *everyone)
    audience.limits["segment:seg_power"] = replace(OPEN, segment_left_share=0.3)
    _hold(audience, *everyone)
    _answer(audience, audience.plan(START), "accepted")
    audience.segment("seg_power")
    _hold(audience)

    plan = audience.plan(START + DAY)

    assert plan.segments["seg_power"]["parked"] == "guard"
    assert plan.syncs[NAME]["parked"] == "seg_power is parked"
    assert _ops(audience, plan) == []


def test_rows_that_repeat_a_key_park_the_sync(audience: World) -> None:
    _hold(audience, "ada", "ada", "ben")

    plan = audience.plan(START)

    assert plan.syncs[NAME]["parked"] == "1 rows repeat a key"
    assert _ops(audience, plan) == []


def test_a_backfill_removes_nobody(audience: World) -> None:
    _hold(audience, "ada")
    _answer(audience, audience.plan(START), "accepted")
    _hold(audience)

    assert _ops(audience, audience.plan(START, cause="backfill")) == []


def test_batches_keep_removals_apart(audience: World) -> None:
    _hold(audience, "ada", "ben", "cem")
    _answer(audience, audience.plan(START), "accepted")
    _hold(audience, "dia", "eva", "fay")

    plan = audience.plan(START + DAY)

    rows = audience.rows(plan, f"sync_ops:{NAME}", "batch_no", "position", "op")
    assert rows == [
        (0, 0, "add"),
        (0, 1, "add"),
        (1, 0, "add"),
        (2, 0, "remove"),
        (2, 1, "remove"),
        (3, 0, "remove"),
    ]


def _let_go(*users: str) -> LetGo:
    return LetGo("salt", {NAME: frozenset(ids.salted("salt", "key", _key(user)) for user in users)})


def test_who_was_erased_is_let_go_of_and_is_no_part_of_what_the_guard_measures(audience: World) -> None:
    _hold(audience, "ada", "ben", "cem", "dia")
    _answer(audience, audience.plan(START), "accepted")
    _hold(audience, "ada")
    audience.limits[f"sync:{NAME}"] = replace(OPEN, minimum_members=1, sync_deletions_share=0.3)

    parked = audience.plan(START + DAY)
    audience.let_go = _let_go("ben", "cem", "dia")
    all_three = audience.plan(START + DAY, apply=False)
    audience.let_go = _let_go("ben")
    alone = audience.plan(START + DAY)
    _answer(audience, alone, "accepted")

    assert (parked.syncs[NAME]["parked"], _ops(audience, parked)) == ("guard", [])
    assert (all_three.syncs[NAME]["parked"], len(_ops(audience, all_three))) == (None, 3)
    assert (alone.syncs[NAME]["parked"], _ops(audience, alone)) == ("guard", [("remove", _key("ben"))])
    assert _ops(audience, audience.plan(START + 2 * DAY)) == []


@pytest.mark.parametrize("why", ["sync_failed", "backfill"])
def test_a_sync_that_says_nothing_lets_go_of_who_was_erased_all_the_same(audience: World, why: str) -> None:
    _hold(audience, "ada", "ben", "dia")
    first = audience.plan(START)
    _answer(audience, first, {_key("ada"): "accepted", _key("ben"): "accepted", _key("dia"): "unknown"})
    _hold(audience, "cem")
    audience.let_go = _let_go("ben")
    if why == "sync_failed":
        audience.failed = {NAME: "did not build"}

    plan = audience.plan(START, cause="backfill" if why == "backfill" else "scheduled")

    assert plan.syncs[NAME]["parked"] == why
    assert _ops(audience, plan) == [("remove", _key("ben"))]
