"""Plans are commits: equal inputs give equal ids, and HEAD moves only forward from its parent."""

from pathlib import Path

import pytest

from tailrace.errors import DataError, StalePlan
from tests.planning.world import DAY, START, World, campaign


def _company(root: Path, *, reverse: bool = False, threads: int | None = None) -> World:
    world = World(root, threads=threads)
    users = [f"u{number}" for number in range(500)]
    for user in reversed(users) if reverse else users:
        world.person(user)
    world.segment("seg_trial", *users[:100])
    world.segment("seg_power", *users[50:300])
    world.campaigns = [campaign(holdout_bp=1_000), campaign("second", priority=10)]
    return world


def test_the_same_inputs_make_the_same_plan_whatever_the_order_and_the_threads(tmp_path: Path) -> None:
    ids_seen = []
    for name, reverse, threads in (("a", False, 1), ("b", True, 2), ("c", True, 4)):
        world = _company(tmp_path / name, reverse=reverse, threads=threads)
        world.plan(START)
        world.segment("seg_trial", *(f"u{number}" for number in range(400)))
        world.campaigns = list(reversed(world.campaigns)) if reverse else world.campaigns
        ids_seen.append(world.plan_id(START + DAY))

    assert len(set(ids_seen)) == 1


def test_another_as_of_is_another_plan(tmp_path: Path) -> None:
    world = _company(tmp_path)

    assert world.plan_id(START, apply=False) != world.plan_id(START + DAY, apply=False)


def test_a_relation_that_did_not_change_is_the_same_object(tmp_path: Path) -> None:
    world = _company(tmp_path)

    first, second = world.plan(START), world.plan(START + DAY)

    assert first.relations["memberships"] == second.relations["memberships"]


def test_head_does_not_move_to_a_plan_made_on_another_parent(tmp_path: Path) -> None:
    world = _company(tmp_path)
    world.plan(START)
    stale = world.plan_id(START + DAY, apply=False)
    world.plan(START + 2 * DAY)
    head = world.store.head()

    with pytest.raises(StalePlan, match="made on top of"):
        world.store.advance(stale)
    assert world.store.head() == head


def test_moving_head_twice_changes_nothing(tmp_path: Path) -> None:
    world = _company(tmp_path)
    plan_id = world.plan_id(START)

    world.store.advance(plan_id)

    assert world.store.head() == plan_id


def test_time_does_not_go_back(tmp_path: Path) -> None:
    world = _company(tmp_path)
    world.plan(START)

    with pytest.raises(StalePlan, match="time only goes forward"):
        world.plan(START - DAY)


def test_a_damaged_plan_is_refused(tmp_path: Path) -> None:
    world = _company(tmp_path)
    plan_id = world.plan_id(START)
    path = world.settings.plans / plan_id / "plan.json"
    path.write_bytes(path.read_bytes().replace(b"seg_power", b"seg_tower"))

    with pytest.raises(DataError, match="does not hash to its id"):
        World(tmp_path).store.read(plan_id)


def test_an_unknown_plan_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no such plan"):
        World(tmp_path).store.read("feed")
