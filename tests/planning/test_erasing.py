"""Plans forget who was erased: no value of theirs is left, and what comes after is as if they had never been."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tailrace import ids
from tailrace.errors import DataError, GuardStop
from tailrace.planning.erasing import Whose, erase
from tailrace.planning.store import Plan, Store
from tests.planning.world import DAY, START, World, campaign, event_trigger

SLUG, STAGE = "welcome", "stage"


@pytest.fixture
def company(world: World) -> World:
    """Ada and ben are on their way in a campaign that an event began; another one watches an attribute of everybody."""
    for name in ("ada", "ben", "cem"):
        world.person(name, plan="kanarie" if name == "ada" else "free")
        world.segment("seg_trial", *world.people)
    wait = [{"id": "hello", "send": "hello"}, {"id": "rest", "wait": 10 * 86_400}, {"id": "later", "send": "later"}]
    watching = {"kind": "attribute", "attribute": "plan", "from": None, "to": None}
    world.campaigns = [
        campaign(
            SLUG,
            trigger=event_trigger("signed_up", occurrence="code"),
            repeat={"kind": "each_occurrence", "seconds": None},
            steps=wait,
        ),
        campaign(STAGE, trigger=watching),
        campaign("sorry", trigger={"kind": "segment", "segment": "seg_trial", "on": "left"}),
    ]
    world.plan(START)
    for name in ("ada", "ben"):
        world.event(name, "signed_up", START + DAY / 2, load=2, code=f"kanarie-{name}", note=f"kanarie-{name}")
    world.plan(START + DAY)
    return world


def forget(world: World, *names: str, applied: set[str] | None = None, is_dry: bool = False) -> Any:
    persons = tuple(ids.person_id(name) for name in names)
    whose = Whose("+".join(names), persons, len(persons), "salt", {})
    done = erase(world.settings, whose, applied or set(), START, is_dry=is_dry)
    for name in names if not is_dry else ():
        del world.people[name]
        world.members["seg_trial"].discard(name)
        world.events = [event for event in world.events if event["user_id"] != name]
    return done


def passes(world: World, plan: Plan) -> dict[str, tuple[Any, ...]]:
    names = {ids.person_id(name): name for name in ("ada", "ben", "cem")}
    columns = ("person_id", "status", "step", "occurrence", "event")
    return {names[row[0]]: row[1:] for row in world.rows(plan, f"enrollments:{SLUG}", *columns)}


def said_anywhere(world: World, word: bytes) -> list[str]:
    import pyarrow.parquet as pq

    return [
        path.name
        for path in (world.settings.plans / "objects").glob("*.parquet")
        if word in repr(pq.read_table(path).to_pylist()).encode() or word in path.read_bytes()
    ]


@pytest.mark.torture
def test_no_object_says_anything_of_them_and_no_plan_has_another_id(company: World) -> None:
    plans = sorted(path.parent.name for path in company.settings.plans.glob("*/plan.json"))
    before = {name: company.rows(company.store.read(plans[0]), name, "person_id") for name in ("verdicts",)}
    assert said_anywhere(company, b"kanarie-ada")
    dry = forget(company, "ada", is_dry=True)
    assert said_anywhere(company, b"kanarie-ada")

    done = forget(company, "ada")

    assert dry == done
    assert done.rows == {"enrollments": 1, "memberships": 1, "payloads": 1, "watched": 1}
    assert (done.passes, done.plans) == (1, 0)
    assert said_anywhere(company, b"kanarie-ada") == []
    assert said_anywhere(company, b"kanarie-ben")
    assert sorted(path.parent.name for path in company.settings.plans.glob("*/plan.json")) == plans
    for plan_id in plans:
        plan = company.store.read(plan_id)
        for relation in plan.relations:
            assert company.store.table(plan, relation) is not None
    assert before == {name: company.rows(company.store.read(plans[0]), name, "person_id") for name in ("verdicts",)}
    assert forget(company, is_dry=True).rows == {}


@pytest.mark.torture
def test_their_pass_is_over_and_nobody_elses_is(company: World) -> None:
    head = company.store.read("HEAD")
    ben = passes(company, head)["ben"]
    assert passes(company, head)["ada"][:3] == ("active", "rest", "kanarie-ada")

    forget(company, "ada")

    assert passes(company, company.store.read("HEAD")) == {"ada": ("erased", None, "erased", None), "ben": ben}
    later = company.plan(START + 11 * DAY)
    assert passes(company, later)["ada"] == ("erased", None, "erased", None)
    assert [row for row in company.verdicts(later) if row[1] == "later"] == [("ben", "later", "send", None)]


def test_the_next_plan_is_as_if_they_had_never_been(company: World) -> None:
    company.people_left_share = 0.1
    before = company.store.read("HEAD").segments["seg_trial"]
    forget(company, "ada")

    plan = company.plan(START + 2 * DAY)

    person = ids.person_id("ada")
    for relation in ("changes", "transitions", "verdicts", "memberships", f"watched:{STAGE}"):
        column = "key" if relation.startswith("watched") else "person_id"
        assert (person,) not in company.rows(plan, relation, column), relation
        assert (str(person),) not in company.rows(plan, relation, column), relation
    assert (before["size"], plan.segments["seg_trial"]["size"], plan.segments["seg_trial"]["left"]) == (3, 2, 0)
    company.members["seg_trial"].discard("cem")
    assert company.plan(START + 3 * DAY).segments["seg_trial"]["size"] == 1


@pytest.mark.torture
def test_who_goes_without_being_erased_stops_the_run_as_before(company: World) -> None:
    company.people_left_share = 0.1
    forget(company, "ada")
    del company.people["ben"]
    with pytest.raises(GuardStop):
        company.plan(START + 2 * DAY)


@pytest.mark.torture
def test_two_erasures_one_after_the_other_are_both_counted(company: World) -> None:
    company.people_left_share = 0.1
    forget(company, "ada")
    forget(company, "cem")

    plan = company.plan(START + 2 * DAY)

    assert (plan.segments["seg_trial"]["size"], plan.segments["seg_trial"]["left"]) == (1, 0)
    assert said_anywhere(company, b"kanarie-ben")


@pytest.mark.torture
def test_a_plan_that_nobody_applied_goes_and_it_is_said(company: World) -> None:
    head = company.store.head()
    stray = company.plan_id(START + 2 * DAY, apply=False)

    assert forget(company, "ada").plans == 1

    assert company.store.head() == head
    with pytest.raises(DataError, match="removed by an erasure on"):
        company.store.read(stray)


@pytest.mark.torture
def test_one_that_was_applied_stays_though_no_head_leads_there(company: World) -> None:
    stray = company.plan_id(START + 2 * DAY, apply=False)
    assert forget(company, "ada", applied={stray}).plans == 0
    assert company.store.read(stray).plan_id == stray


@pytest.mark.torture
def test_a_damaged_record_is_named(company: World, tmp_path: Path) -> None:
    forget(company, "ada")
    (company.settings.plans / "erased.json").write_text("{")
    with pytest.raises(DataError, match=r"erased\.json: this record of erased objects cannot be read"):
        Store(company.settings).table(company.store.read("HEAD"), "memberships")
