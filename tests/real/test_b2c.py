"""The consumer app, day by day. These are the last ten of the days of sixty_days.py."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from tailrace.pipeline import spine
from tests.installation import at
from tests.real import trial as trials
from tests.real.data import SAAS, needs
from tests.real.social import SOURCE, install
from tests.real.trial import Trial

pytestmark = [pytest.mark.torture, needs(SAAS), pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trial]:
    """The app after ten daily runs; people, states and segments were held against the raw rows after each."""
    played = Trial(tmp_path_factory.mktemp("b2c"), date(2024, 12, 23))
    played.play(10)
    yield played
    played.app.world.close()


def test_people_and_churn_are_the_data_sets_own_numbers(trial: Trial) -> None:
    trials.check_churn(trial)


def test_all_events_of_the_year_are_landed_or_counted_as_duplicates(trial: Trial) -> None:
    n_events = trial.app.world.execute("select count(*), count(distinct events) from events").fetchone()
    assert n_events == (2_127_360, 2_127_115)
    landed = sum(day.result.steps["land"]["landed"] for day in trial.days)
    assert landed == 2_127_115 + 1_007 + 6_810 + 143


def test_nobody_got_a_message_twice(trial: Trial) -> None:
    trials.check_mail(trial)


def test_who_newly_came_within_a_week_of_renewal_was_told_once(trial: Trial) -> None:
    trials.check_notices(trial)


def test_newcomers_were_welcomed_and_left_alone_once_they_had_a_friend(trial: Trial) -> None:
    trials.check_onboarding(trial)


def test_who_churned_a_week_ago_was_written_to(trial: Trial) -> None:
    trials.check_win_back(trial)


def test_the_crm_was_told_who_the_power_users_are(trial: Trial) -> None:
    trials.check_sync(trial)


def test_the_last_day_again_changes_nothing_and_sends_nothing(trial: Trial) -> None:
    sent = trial.sent()
    again = spine.run(trial.installation.settings, at(trial.days[-1].on))
    assert again.plan_id == trial.days[-1].result.plan_id
    assert not again.is_new
    assert trial.sent() == sent


def test_the_raw_tables_land_in_place(tmp_path: Path) -> None:
    installation = install(tmp_path)
    landed = spine.land_files(
        installation.settings,
        [SAAS / f"b2c_{table}.parquet" for table in ("accounts", "events", "subscriptions")],
        SOURCE,
        at(date(2025, 1, 1)),
    )
    # 245 events say what another says: the same account did the same thing in the same second.
    assert (landed.lines, landed.duplicate, landed.quarantined) == (1_007 + 2_127_360 + 6_810, 245, 0)
    again = spine.land_files(installation.settings, [SAAS / "b2c_events.parquet"], SOURCE, at(date(2025, 1, 2)))
    assert again.load_id is None
