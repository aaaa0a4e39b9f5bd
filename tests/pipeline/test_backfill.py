"""A backfill is history: it moves people, and says nothing to anybody."""

from __future__ import annotations

from pathlib import Path

import pytest

from tailrace.errors import DataError
from tailrace.journal.journal import Journal
from tailrace.landing.land import land
from tailrace.pipeline import spine
from tailrace.planning import relations
from tailrace.planning.store import Plan, Store
from tests.conftest import Company
from tests.installation import Installation, at, first_run_at


def _causes(installation: Installation, plan: Plan) -> set[str]:
    table = Store(installation.settings).table(plan, "changes")
    return set() if table is None else set(table.column("cause").to_pylist())


def _intents(installation: Installation) -> int:
    with Journal.open(installation.settings) as journal:
        return journal.mirror("intents", 0).num_rows


def test_a_backfill_moves_people_and_sends_nothing_then_or_later(company: Company, tmp_path: Path) -> None:
    installation = company.copy(tmp_path / "data")
    store = Store(installation.settings)
    before = store.read("HEAD")
    older = company.sample.daily[0]

    result = spine.backfill(installation.settings, [older.path], "app", "a day that was lost")
    after = store.read("HEAD")
    spine.run(installation.settings, at(older.last_on, 23))

    assert result.steps["land"]["landed"] == older.events
    assert (after.cause, after.as_of) == ("backfill", before.as_of)
    assert _causes(installation, after) <= {"history"}
    assert after.counts["send"] == after.counts["sync_ops"] == 0
    sent = store.table(store.read("HEAD"), "verdicts")
    steps = set() if sent is None else set(sent.column("step").to_pylist())
    assert "welcome" not in steps, "sign-ups of the backfilled day are history"


def test_a_backfill_waits_for_loads_that_no_plan_has_seen(company: Company, tmp_path: Path) -> None:
    installation = company.copy(tmp_path / "data")
    day = company.sample.daily[0]
    land(installation.settings, [day.path], "app", as_of=first_run_at(company.sample))

    with pytest.raises(DataError, match="1 loads have landed that no plan has seen"):
        spine.backfill(installation.settings, [company.sample.daily[1].path], "app", "lost")


@pytest.mark.torture
def test_history_that_a_crash_left_unplanned_is_planned_apart_from_what_is_new(
    company: Company, tmp_path: Path
) -> None:
    installation = company.copy(tmp_path / "data")
    history, new = company.sample.daily[:2]
    first = first_run_at(company.sample)
    land(installation.settings, [history.path], "app", as_of=first, history=True, reason="lost")
    installation.drop(new.path)

    spine.run(installation.settings, at(new.last_on, 23))

    store = Store(installation.settings)
    chain = [plan for _, plan in store.chain(store.head())]
    assert [plan.cause for plan in chain] == ["scheduled", "backfill", "scheduled"]
    assert chain[1].as_of == chain[2].as_of == first
    assert _causes(installation, chain[1]) <= {"history"}
    assert "history" not in _causes(installation, chain[0])
    loads = store.table(chain[1], "loads")
    assert loads is not None
    assert loads.column("is_history").to_pylist() == [False, True]
    assert store.source(chain[0], "loads", relations.LOADS)
    assert _intents(installation) > 0
