"""The same instant twice is once."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tailrace.errors import StalePlan, TailraceError
from tailrace.journal.journal import Journal
from tailrace.pipeline import spine
from tailrace.pipeline.result import Balance, Result
from tailrace.planning.store import Store
from tests.conftest import Company
from tests.installation import START, Installation, at, call


def mails(installation: Installation) -> set[str]:
    return {path.name for path in installation.settings.outbox.rglob("*.eml")}


def _state(installation: Installation) -> tuple[object, ...]:
    with Journal.open(installation.settings) as journal:
        counts = journal.counts()
        happened = journal.mirror("outcomes", 0).num_rows
    files = sorted(path.name for path in installation.settings.outbox.rglob("*") if path.is_file())
    return Store(installation.settings).head(), counts, happened, files


@pytest.mark.torture
def test_the_same_as_of_twice_changes_nothing_and_sends_nothing(
    company: Company, day: Installation, tmp_path: Path
) -> None:
    installation = day.copy(tmp_path / "data")
    before = _state(installation)

    again = spine.run(installation.settings, at(company.sample.daily[0].last_on, 23))

    assert not again.is_new
    assert again.steps["deliver"]["messages"]["claimed"] == again.steps["deliver"]["rows"]["claimed"] == 0
    assert _state(installation) == before


def test_a_later_instant_with_nothing_new_sends_nobody_the_same_message(
    company: Company, day: Installation, tmp_path: Path
) -> None:
    installation = day.copy(tmp_path / "data")
    before = mails(installation)

    spine.run(installation.settings, at(company.sample.daily[1].last_on, 1))

    assert before <= mails(installation)
    with Journal.open(installation.settings) as journal:
        outcomes = journal.mirror("outcomes", 0)
    accepted = [
        intent
        for intent, outcome in zip(
            outcomes.column("intent_id").to_pylist(), outcomes.column("outcome").to_pylist(), strict=True
        )
        if outcome == "accepted"
    ]
    assert len(accepted) == len(set(accepted))


@pytest.fixture(scope="module")
def killed(company: Company, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """The company, killed on the first day that has messages: once the plan was made, and once it was applied."""
    installation = company.copy(tmp_path_factory.mktemp("killed") / "data")
    file = company.sample.daily[0]
    installation.drop(file.path)
    for point in ("plan.saved", "apply.moved"):
        done = installation.forked("run", "--as-of", at(file.last_on, 23).isoformat(), TAILRACE_CRASH_AT=point)
        assert done.code == -signal.SIGKILL, point
    return installation


@pytest.mark.torture
@pytest.mark.parametrize("next_command", ["deliver", "run"])
def test_what_a_run_applied_before_it_was_killed_is_sent_by_whoever_comes_next(
    company: Company, day: Installation, killed: Installation, tmp_path: Path, next_command: str
) -> None:
    installation = killed.copy(tmp_path / "data")
    assert Store(installation.settings).head() == Store(day.settings).head()
    assert not mails(day) <= mails(installation)

    later = at(company.sample.daily[1].last_on, 1).isoformat()
    done = call(installation, next_command, "--as-of", later)

    assert done.code == 0, done.err
    assert mails(day) <= mails(installation)


def test_time_does_not_go_back_and_nothing_is_landed_by_trying(company: Company, tmp_path: Path) -> None:
    installation = company.copy(tmp_path / "data")
    installation.drop(company.sample.daily[0].path)
    before = _state(installation)

    with pytest.raises(StalePlan, match="time only goes forward"):
        spine.run(installation.settings, at(company.sample.start))

    assert _state(installation) == before
    assert len(list((installation.settings.landing / "loads").iterdir())) == 1


def test_the_counts_of_a_run_balance(company: Company, first_day: tuple[Installation, Result]) -> None:
    file, (_, result) = company.sample.daily[0], first_day

    land = result.steps["land"]
    assert land["lines"] == file.lines
    assert (land["landed"], land["duplicate"], land["quarantined"]) == (file.events, file.duplicates, file.n_bad)
    assert {balance.name for balance in result.balances} == {
        "lines read",
        "people considered",
        "messages claimed",
        "sync rows claimed",
    }
    assert all(balance.holds for balance in result.balances)


def test_an_unbalanced_count_stops_the_run() -> None:
    result = Result(at(START))
    with pytest.raises(TailraceError, match="do not balance: 3 is not 1 landed"):
        result.add(Balance("lines read", 3, {"landed": 1, "duplicate": 1}))
