"""A whole run with the journal in a PostgreSQL database says and remembers what one with a file does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tailrace.journal.journal import Journal
from tailrace.journal.readings import MIRRORS
from tailrace.pipeline import doctor, erasing, operations, spine
from tailrace.planning.store import Store
from tests.conftest import Company
from tests.installation import Installation, at
from tests.landing import postgres

pytestmark = [pytest.mark.torture, pytest.mark.slow]

OF_THE_CLOCK = {"recorded_at", "applied_at", "provider_id"}


def told(journal: Journal, table: str) -> list[dict[str, object]]:
    names = [name for name in MIRRORS[table].names if name not in OF_THE_CLOCK]
    return journal.mirror(table, 0).select(names).to_pylist()


def test_a_day_is_the_same_plan_and_the_same_memory_and_who_is_erased_is_forgotten(
    company: Company, day: Installation, tmp_path: Path
) -> None:
    installation = company.copy(tmp_path / "data")
    first = company.sample.daily[0]
    installation.drop(first.path)
    with postgres.serving() as server:
        settings = replace(installation.settings, journal_url=server.schema())
        now = at(first.last_on, 23)
        operations.move_journal(settings)
        spine.run(settings, now)

        assert Store(settings).head() == Store(day.settings).head()
        with Journal.open(settings) as ours, Journal.open(day.settings) as theirs:
            for table in MIRRORS:
                assert told(ours, table) == told(theirs, table)
            assert ours.counts() == theirs.counts()
            assert ours.counts().messages["accepted"] > 0
            person = ours.mirror("intents", 0).column("person_id")[0].as_py()
            open_messages = {state for state in ("draft", "pending") if ours.counts().messages.get(state)}

        erasure = erasing.erase(settings, str(person), who="kim", reason="ticket 1", at=now)

        assert erasure.state in {"done", "waiting"}
        with Journal.open(settings) as ours:
            assert all(one.state not in open_messages for one in ours.intents_of(person))
        found = [finding for finding in doctor.examine(settings) if finding.subject == "journal"]
        assert [finding.text for finding in found if finding.status == "bad"] == [
            "the server's `fsync` is off: a crash of its machine may forget what was sent. Set it to on"
        ]
        assert postgres.PASSWORD not in repr(doctor.examine(settings))
    assert not list((tmp_path / "data").glob("journal.sqlite*"))
