"""Seeing before sending: a plan from every side, one against another, and why somebody got a message or none."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from rich.console import Console

from tailrace import clock, engine
from tailrace.cli import output, plans
from tailrace.pipeline.evidence import evidence
from tailrace.planning.store import Plan, Store
from tests.cli.conftest import Planned, people
from tests.installation import Installation, call


@pytest.fixture
def plan(day: Installation) -> Plan:
    return Store(day.settings).read("HEAD")


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "PIPE", 80)


def test_one_campaign_is_shown_with_every_step(day: Installation) -> None:
    shown = call(day, "plan", "HEAD", "--campaign", "onboarding").out

    for step in ("welcome", "first_project", "need_a_hand"):
        assert step in shown
    assert "Segments" not in shown
    wrong = call(day, "plan", "HEAD", "--campaign", "nowhere")
    assert (wrong.code, "has no campaign `nowhere`" in wrong.err) == (1, True)


def test_a_sample_is_of_ids_and_the_same_every_time(day: Installation) -> None:
    first, again = (call(day, "plan", "HEAD", "--sample", "2").out for _ in range(2))

    assert first == again
    named = {int(word.rstrip(",")) for line in first.splitlines() if line.startswith("    ") for word in line.split()
             if word.rstrip(",").isdigit() and len(word) > 12}  # fmt: skip
    assert named & set(people(day, "send"))
    sample = call(day, "plan", "HEAD", "--sample", "2", "--json").json["sample"]
    assert max(len(row["people"]) for row in sample) == 2
    assert {person for row in sample if row["verdict"] == "send" for person in row["people"]} <= named


def test_one_person_in_a_plan_is_their_rows(day: Installation) -> None:
    person = people(day, "send")[0]

    shown = call(day, "plan", "HEAD", "--person", str(person))
    rows = call(day, "plan", "HEAD", "--person", str(person), "--json").json

    assert "send" in shown.out
    assert "@" not in shown.out
    assert {row["verdict"] for row in rows["verdicts"]} >= {"send"}
    assert rows["n_plans"] == 1


def test_a_plan_against_the_one_before_names_who_and_why(day: Installation) -> None:
    shown = call(day, "plan", "HEAD", "--diff", "HEAD~1", "--sample", "1")
    told = call(day, "plan", "HEAD", "--diff", "HEAD~1", "--json").json

    assert "(1 plan after it)" in shown.out
    assert told["kin"] == "1 plan after it"
    assert any(campaign["shifts"] for campaign in told["campaigns"])
    assert call(day, "plan", "HEAD", "--diff", "HEAD").out.count("Both") == 2
    assert call(day, "plan", "HEAD", "--diff", "HEAD~99").code == 1


@pytest.mark.torture
def test_an_edited_campaign_is_a_what_if_against_the_plan_as_it_is(
    planned: Planned, next_day: str, tmp_path: Path, project: Callable[[str, str, str], Path]
) -> None:
    copy = planned.installation.copy(tmp_path / "data")
    edited = Installation(
        copy.data_dir, project("campaigns/onboarding/campaign.yml", "  - wait: 2d\n", "  - wait: 3d\n")
    )

    shown = call(edited, "plan", "--as-of", next_day, "--diff", planned.plan_id).out

    assert "(both on top of" in shown
    assert "made from other: campaigns, policy or destinations" in shown
    assert "onboarding · definition edited: version" in shown
    full = call(edited, "plan", max(edited.settings.plans.glob("*/plan.json"), key=_changed).parent.name).out
    assert "Edited: who rests on older versions" in full
    assert "on_edit of this plan: onboarding: keep" in full


def _changed(path: Path) -> int:
    return path.stat().st_mtime_ns


def test_fifty_campaigns_are_read_in_eighty_columns(
    plan: Plan, narrow: None, capsys: pytest.CaptureFixture[str]
) -> None:
    busy = plan.campaigns["onboarding"]
    still = busy | {"moves": {}, "not_entered": {}, "messages": {}, "acts": {}, "goals": 0, "migration": []}
    names = [f"campaign_number_{number:02}" for number in range(48)]
    many = {"onboarding": busy, "paused_one": still | {"status": "paused"}} | dict.fromkeys(names, still)

    plans.show("0" * 16, replace(plan, campaigns=many))

    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert len(lines) < 80
    assert [name for name in names if not any(name in line for line in lines)] == []
    assert any("paused_one (paused)" in line for line in lines)


def test_drafts_acts_goals_and_unknown_zones_are_told(
    plan: Plan, narrow: None, capsys: pytest.CaptureFixture[str]
) -> None:
    said = {"kind": "send", "position": 0, "send": 5, "drafts": 5, "defer": {"frequency_cap": 2}, "skip": {}}
    entry = plan.campaigns["onboarding"] | {
        "messages": {"hello": said},
        "acts": {"mark": {"kind": "update", "people": 4}},
        "goals": 3,
    }
    plans.show("0" * 16, replace(plan, campaigns={"c": entry}, counts=plan.counts | {"unknown_zones": 7}))

    shown = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    for line in (
        "hello send 5 as drafts: wait for approval",
        "defer 2 has been written to often enough",
        "mark do 4 attributes change",
        "goal 3 reached",
    ):
        assert any(line in each for each in shown), line
    assert any("7 whose time zone nobody knows" in line for line in shown)


def test_a_plan_of_an_earlier_release_is_shown(plan: Plan, capsys: pytest.CaptureFixture[str]) -> None:
    entry = {
        name: plan.campaigns["onboarding"][name] for name in ("status", "version", "parked", "moves", "not_entered")
    } | {"messages": {"welcome": {"send": 1, "defer": {}, "skip": {"holdout": 1}}}}

    plans.show("0" * 16, replace(plan, campaigns={"onboarding": entry}))

    assert "is in the holdout" in capsys.readouterr().out


# -- why -------------------------------------------------------------------------------------------------------------


@pytest.mark.torture
def test_explain_shows_a_receiver_every_gate_open(day: Installation) -> None:
    rows = call(day, "plan", "HEAD", "--sample", "1", "--json").json["sample"]
    sent = next(row for row in rows if row["verdict"] == "send")

    shown = call(day, "explain", str(sent["people"][0]), "--campaign", sent["campaign"])
    told = call(day, "explain", str(sent["people"][0]), "--campaign", sent["campaign"], "--json").json

    assert f"send {sent['step']}" in shown.out
    assert (told["shut"], told["verdict"], told["step"]) == (None, "send", sent["step"])
    assert "@" not in shown.out


def test_explain_shows_somebody_whom_nothing_named_what_would_have(day: Installation) -> None:
    rows = call(day, "plan", "HEAD", "--sample", "9", "--json").json["sample"]
    signed_up = {person for row in rows if row["campaign"] == "onboarding" for person in row["people"]}
    other = next(person for row in rows for person in row["people"] if person not in signed_up)

    told = call(day, "explain", str(other), "--campaign", "onboarding", "--json").json
    shown = call(day, "explain", str(other), "--campaign", "onboarding").out

    assert (told["verdict"], told["shut"], told["change"]) == (None, "trigger", "an event `signed_up`")
    assert told["gates"][0]["seen"].startswith("the last `signed_up` was on 20")
    assert "smallest change  an event `signed_up`" in shown


def test_explain_at_a_time_uses_the_plan_of_then(day: Installation, plan: Plan) -> None:
    person = str(people(day, "send")[0])
    before = clock.iso(plan.as_of - timedelta(seconds=1))

    then = call(day, "explain", person, "--campaign", "onboarding", "--at", before, "--json").json
    story = call(day, "explain", person, "--at", before)

    assert then["plan_id"] == plan.parent
    assert "over 1 plan up to" in story.out
    early = call(day, "explain", person, "--at", "2001-01-01")
    assert (early.code, "no plan was made by 2001-01-01" in early.err) == (1, True)
    assert call(day, "explain", person, "--campaign", "nowhere").code == 1


def test_a_plan_knows_the_events_of_its_loads_and_attributes_only_of_its_own_copy(day: Installation) -> None:
    store, person = Store(day.settings), people(day, "send")[0]
    seen = {}
    for name in ("HEAD", "HEAD~1"):
        with evidence(day.settings, store, store.read(store.resolve(name)), person) as known:
            (n_events,) = engine.row(known.connection, "select count(*) from wh.core.fct_events")
            seen[name] = known.knows_events, known.knows_people, bool(known.row("dim_people")), n_events
    published = call(day, "explain", str(person), "--json").json["n_events"]

    assert seen["HEAD"] == (True, True, True, published)
    assert seen["HEAD~1"][:3] == (True, False, False)
    assert seen["HEAD~1"][3] < published


# -- progress --------------------------------------------------------------------------------------------------------


def test_a_step_that_begins_is_named_on_a_terminal_and_nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.StringIO()
    monkeypatch.setattr(output, "_notes", Console(file=screen, force_terminal=True, width=60))
    with output.working("running") as tell:
        tell("build")
    assert "running: build" in screen.getvalue()

    silent = io.StringIO()
    monkeypatch.setattr(output, "_notes", Console(file=silent))
    with output.working("running") as tell:
        tell("build")
    assert silent.getvalue() == ""


def test_json_of_a_comparison_is_plain(day: Installation) -> None:
    told = call(day, "plan", "HEAD", "--diff", "HEAD~1", "--json")

    assert set(json.loads(told.out)) >= {"plan_id", "other_id", "kin", "inputs", "campaigns", "segments"}
