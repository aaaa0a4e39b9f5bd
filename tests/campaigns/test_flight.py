from __future__ import annotations

import json
from pathlib import Path

import pytest

from tailrace import clock, engine
from tailrace.campaigns.check import check_campaigns
from tailrace.campaigns.flight import Flight
from tailrace.checks.flights import flights
from tailrace.planning import relations
from tailrace.planning.store import Inputs, Plan, Store
from tailrace.settings import Settings
from tests.campaigns.conftest import CAMPAIGN, MESSAGE, Project

BEFORE = CAMPAIGN + "  - wait: 2d\n  - send: tips\n"
COLUMNS = {"person_id", "first_name"}
FILE = "campaigns/hello/campaign.yml"


@pytest.fixture
def flying(project: Project) -> Flight:
    """Seven people wait for `tips`, on the version that says BEFORE."""
    project.write(FILE, BEFORE)
    project.write("campaigns/hello/tips.email.md", MESSAGE)
    campaign = project.shelf().campaigns["hello"]
    resting = {campaign.version: {"wait_before_tips": 7}}
    return Flight("event", {campaign.version: campaign.definition()}, resting)


def complaints(project: Project, flight: Flight) -> list[str]:
    return [str(each) for each in check_campaigns(project.shelf(), {"seg_x"}, COLUMNS, {}, flights={"hello": flight})]


def test_an_edit_elsewhere_troubles_nobody_on_the_way(project: Project, flying: Flight) -> None:
    assert complaints(project, flying) == []
    project.write(FILE, BEFORE.replace("wait: 2d", "wait: 9d").replace("  - send: welcome\n", ""))
    assert complaints(project, flying) == []


def test_a_step_that_people_rest_on_cannot_go_unless_the_author_says_what_becomes_of_them(
    project: Project, flying: Flight
) -> None:
    project.write(FILE, BEFORE.replace("  - wait: 2d\n", ""))
    (said,) = complaints(project, flying)
    version = next(iter(flying.resting))
    assert f"7 people on version {version} rest at the step `wait_before_tips`, which is gone" in said
    assert "put it back under this id" in said
    for choice in ("keep", "move", "exit"):
        project.write(FILE, BEFORE.replace("  - wait: 2d\n", "") + f"on_edit: {choice}\n")
        assert complaints(project, flying) == []


def test_a_renamed_step_is_named_with_its_new_name(project: Project, flying: Flight) -> None:
    project.write(FILE, BEFORE.replace("  - wait: 2d\n", "  - wait: 2d\n    id: wait_before_tip\n"))
    assert "Did you mean `wait_before_tip`" in complaints(project, flying)[0]


def test_a_step_that_people_rest_on_cannot_become_another_kind(project: Project, flying: Flight) -> None:
    another = "  - wait_until: {in: seg_x, timeout: 1d}\n    id: wait_before_tips\n"
    project.write(FILE, BEFORE.replace("  - wait: 2d\n", another))
    (said,) = complaints(project, flying)
    assert said.startswith(f"{FILE}:11: ")
    assert "a `wait` that is now `wait_until`" in said


def test_the_message_that_people_on_the_way_still_get_must_have_a_file(project: Project, flying: Flight) -> None:
    project.write(FILE, BEFORE.replace("  - send: tips\n", "  - send: welcome\n    id: tips\n"))
    assert complaints(project, flying) == []
    project.remove("campaigns/hello/tips.email.md")
    (said,) = complaints(project, flying)
    assert "7 people on version" in said
    assert "may still get the message `tips`, whose file is gone" in said
    project.write(FILE, CAMPAIGN + "on_edit: exit\n")
    assert complaints(project, flying) == []


def test_who_is_beyond_a_message_is_not_among_those_who_may_still_get_it(project: Project) -> None:
    project.write(FILE, BEFORE + "  - wait: 3d\n    id: last\n  - send: welcome\n    id: again\n")
    project.write("campaigns/hello/tips.email.md", MESSAGE)
    campaign = project.shelf().campaigns["hello"]
    flight = Flight(
        "event", {campaign.version: campaign.definition()}, {campaign.version: {"wait_before_tips": 2, "last": 7}}
    )
    project.write(FILE, BEFORE.replace("  - send: tips\n", "  - send: welcome\n    id: tips\n") + "on_edit: keep\n")
    project.remove("campaigns/hello/tips.email.md")

    (said,) = complaints(project, flight)

    assert said.split(": ")[1].startswith("2 people on version")


def test_a_message_behind_everybody_may_go(project: Project, flying: Flight) -> None:
    project.write(FILE, BEFORE.replace("  - send: welcome\n", ""))
    project.remove("campaigns/hello/welcome.email.md")
    assert complaints(project, flying) == []


def test_the_kind_of_trigger_cannot_change_once_live(project: Project, flying: Flight) -> None:
    project.write(FILE, BEFORE.replace("  event: signed_up", "  segment: seg_x"))
    (said,) = complaints(project, flying)
    assert said.startswith(f"{FILE}:7: ")
    assert "of the kind `segment`, but this campaign has been live with `event`" in said
    assert complaints(project, Flight()) == []


def test_names_that_the_warehouse_does_not_have_are_named_where_they_stand(project: Project) -> None:
    project.write(
        FILE,
        CAMPAIGN.replace("event: signed_up", "{object: account, segment: seg_big}").replace("trigger:\n  ", "trigger: ")
        + "  - if: {all: [{in: seg_y}, {where: frist_name = 'x'}]}\n    then: [{add_to: seg_z}]\n",
    )
    segments, columns = {"seg_x"}, COLUMNS
    known = {"object_segments": {"seg_bg"}, "objects": {"account"}}
    said = [str(each) for each in check_campaigns(project.shelf(), segments, columns, {}, **known)]
    assert [each.split(": ", 1)[0].removeprefix(f"{FILE}:") for each in said] == ["6", "10", "10", "11"]
    assert "object segment `seg_big` does not exist" in said[0]
    assert any("the person has no column `frist_name`" in each and "`first_name`" in each for each in said)
    assert any("segment `seg_y` does not exist" in each for each in said)
    assert "segment `seg_z` does not exist" in said[3]


@pytest.mark.parametrize("status", ["live", "draft"])
def test_head_says_who_rests_where_and_with_which_trigger_a_campaign_was_live(
    tmp_path: Path, flying: Flight, status: str
) -> None:
    (version,) = flying.definitions
    settings = Settings(tmp_path / "data", tmp_path)
    assert flights(settings) == {}
    store = Store(settings)
    made = "select * replace ('{}' as enrollment_id, '{}' as version, {} as step, '{}' as status) from ({})"
    passes = [("a", "wait_before_tips", "active"), ("b", "wait_before_tips", "active"), ("c", None, "completed")]
    rows = " union all ".join(
        made.format(name, version, f"'{step}'" if step else "null", state, relations.ENROLLMENTS)
        for name, step, state in passes
    )
    with engine.connect(settings) as connection:
        enrolled = store.put(connection, f"{rows} order by enrollment_id")
        query = f"select 'hello' as campaign, '{version}' as version, $source as source"
        text = store.put(connection, query, {"source": json.dumps(flying.definitions[version])})
    plan = Plan(
        parent=None,
        as_of=clock.parse("2026-01-31"),
        cause="scheduled",
        inputs=Inputs("", "", "", 0, ()),
        relations={"enrollments:hello": (enrolled,), "versions:hello": (text,)},
        campaigns={"hello": {"status": status, "version": version}, "quiet": {"status": "draft", "version": "x"}},
    )
    store.advance(store.save(plan))
    found = flights(settings)
    assert found["hello"] == Flight("event", flying.definitions, {version: {"wait_before_tips": 2}})
    assert found["quiet"] == Flight(None, {}, {})
