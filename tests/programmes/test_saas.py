"""The saas programme's stories, day by day through the real pipeline: who gets what, when, and who does not."""

from __future__ import annotations

import json
from collections import defaultdict
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tailrace import ids
from tailrace.pipeline import spine
from tailrace.planning.store import Store
from tests.installation import PROJECT, Installation, at

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

CAMPAIGNS = {"getting_connected", "trial_conversion", "failed_payment", "churn_risk", "account_growth"}
BEGIN = date(2026, 3, 1)
DAYS = (2, 3, 4, 5, 6, 7, 12)
STORIES = {
    # onboarding adapts: what comes next, a page that does it in five minutes, or a person who does it
    ("connie-connects", "what_comes_next"): 2,
    ("henry-by-hand", "connect_a_source"): 4,
    ("grace-large", "we_set_it_up"): 4,
    # a payment that is mended says no more; one that is not does
    ("pia-payment", "card_was_refused"): 2,
    ("otto-overdue", "card_was_refused"): 2,
    ("otto-overdue", "before_it_stops"): 6,
    # tips, a consultation, and the success team for an account that pays much
    ("quinn-quiet", "three_tips"): 2,
    ("quinn-quiet", "consultation"): 7,
    ("quinn-quiet", "success_call"): 12,
    ("walt-waning", "three_tips"): 2,
    ("walt-waning", "consultation"): 7,
    # the trial, by what they got out of it and by who looks after them
    ("tara-trial", "keep_what_you_made"): 3,
    ("theo-trial", "more_time"): 3,
    ("ulla-upmarket", "decide_together"): 3,
    ("tara-trial", "last_day"): 5,
    ("theo-trial", "last_day"): 5,
    ("ulla-upmarket", "last_day"): 5,
    # the third person makes a team of the account: all three hear of it
    ("ann-of-three", "you_are_a_team"): 3,
    ("bob-of-three", "you_are_a_team"): 3,
    ("cem-of-three", "you_are_a_team"): 3,
}


def personas() -> dict[str, list[dict[str, Any]]]:
    yaml = YAML(typ="safe")
    found = [yaml.load(path) for path in sorted((PROJECT / "personas" / "saas").glob("*.yml"))]
    return {entry["name"]: entry["events"] for entry in found}


class Play:
    """The cast in an installation, run on each of DAYS with the events of the days before."""

    def __init__(self, root: Path) -> None:
        self.installation = Installation(root / "data")
        self.verdicts: list[dict[str, Any]] = []
        calls = sorted((call for calls in personas().values() for call in calls), key=lambda call: call["timestamp"])
        since = "2000"
        for on in (BEGIN, *(BEGIN.replace(day=day) for day in DAYS)):
            new = [call for call in calls if since <= call["timestamp"] < f"{on}T06:00"]
            since = f"{on}T06:00"
            if new:
                path = root / f"{on}.jsonl"
                path.write_text("".join(json.dumps(call) + "\n" for call in new), encoding="utf-8")
                self.installation.drop(path)
            result = spine.run(self.installation.settings, at(on))
            assert result.steps["build"]["failed"] == {}
            assert all(balance.holds for balance in result.balances)
            self.verdicts += [row | {"on": on} for row in self._planned() if row["campaign"] in CAMPAIGNS]

    def _planned(self) -> list[dict[str, Any]]:
        store = Store(self.installation.settings)
        table = store.table(store.read("HEAD"), "verdicts")
        return [] if table is None else list(table.to_pylist())


@pytest.fixture(scope="module")
def play(tmp_path_factory: pytest.TempPathFactory) -> Play:
    return Play(tmp_path_factory.mktemp("saas"))


def test_everybody_hears_what_their_story_calls_for_on_its_day_and_nothing_else(play: Play) -> None:
    name_of = {ids.person_id(name): name for name in personas()}
    told: dict[tuple[str, str], list[int]] = defaultdict(list)
    for row in play.verdicts:
        assert row["verdict"] == "send", row
        told[name_of[row["person_id"]], row["step"]].append((row["on"] - BEGIN + timedelta(days=1)).days)
    assert told == {story: [day] for story, day in STORIES.items()}


def test_word_to_the_success_team_is_staffs_and_goes_to_no_customer(play: Play) -> None:
    (row,) = [row for row in play.verdicts if row["step"] == "success_call"]
    assert (row["class"], row["channel"]) == ("staff", "slack")


def test_mail_leaves_within_office_hours_of_the_person(play: Play) -> None:
    hours = [
        row["deliver_after"] for row in play.verdicts if row["campaign"] == "churn_risk" and row["class"] != "staff"
    ]
    assert all(moment.weekday() < 5 and 8 <= moment.hour < 18 for moment in hours)
    assert len(hours) == 4
