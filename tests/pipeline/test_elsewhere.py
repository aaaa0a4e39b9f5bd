"""A delivery may take longer than the time between two runs: a run does all the rest, and says so."""

from __future__ import annotations

import shutil
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tailrace import clock
from tailrace.journal.journal import Journal
from tailrace.planning.store import Store
from tailrace.warehouse.build import read_generation
from tests.conftest import Company
from tests.installation import Installation, at, call

pytestmark = [pytest.mark.torture]


@pytest.fixture
def installation(company: Company, tmp_path: Path) -> Installation:
    found = company.copy(tmp_path / "data")
    found.drop(company.sample.daily[0].path)
    return found


@pytest.fixture
def instant(company: Company) -> datetime:
    return at(company.sample.daily[0].last_on, 23)


def _states(installation: Installation) -> dict[str, int]:
    with Journal.open(installation.settings) as journal:
        return journal.counts().messages


def test_a_run_beside_a_delivery_does_all_the_rest_and_leaves_its_messages_to_the_next(
    installation: Installation, instant: datetime
) -> None:
    settings, as_of = installation.settings, clock.iso(instant)
    settings.published.unlink()

    with Journal.open(settings) as journal, journal.sender(instant - timedelta(minutes=50)):
        done = call(installation, "run", "--as-of", as_of, "--json")

    assert done.code == done.json["exit_code"] == 0
    assert "under way in another process" in done.json["delivery_elsewhere"]
    assert "deliver" not in done.json["steps"]
    assert done.json["steps"]["apply"]["intents"] > 0
    assert Store(settings).head() == done.json["plan_id"]
    assert settings.published.is_file()
    assert _states(installation).get("accepted") is None
    after = call(installation, "deliver", "--as-of", as_of, "--json")
    assert after.json["steps"]["deliver"]["messages"]["accepted"] == _states(installation)["accepted"] > 0


def test_a_delivery_that_is_silent_for_an_hour_is_said_with_an_exit_code(
    installation: Installation, instant: datetime
) -> None:
    with Journal.open(installation.settings) as journal, journal.sender(instant - timedelta(minutes=61)):
        done = call(installation, "run", "--as-of", clock.iso(instant))

    assert done.code == 3
    assert f"has noted nothing since {clock.iso(instant - timedelta(minutes=61))}" in done.err
    generation = read_generation(installation.settings)
    assert generation is not None
    assert generation.as_of == instant


def test_who_asks_for_a_delivery_alone_is_told_that_there_is_one(installation: Installation, instant: datetime) -> None:
    shutil.rmtree(installation.settings.outbox, ignore_errors=True)
    with Journal.open(installation.settings) as journal, journal.sender(instant):
        done = call(installation, "deliver", "--as-of", clock.iso(instant))

    assert done.code == 1
    assert "delivery is already under way in process" in done.err
