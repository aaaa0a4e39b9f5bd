"""The saas programme's stories, day by day through the real pipeline: who gets what, when, and who does not."""

from __future__ import annotations

from datetime import date

import pytest

from tailrace.settings import Settings
from tests.programmes.play import Play

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

CAMPAIGNS = {"getting_connected", "trial_conversion", "failed_payment", "churn_risk", "account_growth"}
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


@pytest.fixture(
    scope="module", params=[DAYS[:1], pytest.param(DAYS, marks=pytest.mark.torture)], ids=["begins", "whole"]
)
def days(request: pytest.FixtureRequest) -> tuple[int, ...]:
    """How far the stories are told."""
    return tuple(request.param)


@pytest.fixture(scope="module")
def play(days: tuple[int, ...], read: Settings, tmp_path_factory: pytest.TempPathFactory) -> Play:
    return Play(tmp_path_factory.mktemp("saas"), read, "saas", CAMPAIGNS, [date(2026, 3, day) for day in (1, *days)])


def test_everybody_hears_what_their_story_calls_for_on_its_day_and_nothing_else(
    play: Play, days: tuple[int, ...]
) -> None:
    assert play.told() == {story: [date(2026, 3, day)] for story, day in STORIES.items() if day <= days[-1]}


@pytest.mark.parametrize("days", [DAYS], scope="module")
@pytest.mark.torture
def test_word_to_the_success_team_is_staffs_and_goes_to_no_customer(play: Play) -> None:
    (row,) = [row for row in play.verdicts if row["step"] == "success_call"]
    assert (row["class"], row["channel"]) == ("staff", "slack")


@pytest.mark.torture
@pytest.mark.parametrize("days", [DAYS], scope="module")
def test_mail_leaves_within_office_hours_of_the_person(play: Play) -> None:
    hours = [
        row["deliver_after"] for row in play.verdicts if row["campaign"] == "churn_risk" and row["class"] != "staff"
    ]
    assert all(moment.weekday() < 5 and 8 <= moment.hour < 18 for moment in hours)
    assert len(hours) == 4
