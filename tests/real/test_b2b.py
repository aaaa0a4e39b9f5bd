"""A CRM sold by seat: one and a half million events of 114 accounts with numeric ids, landed in place."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import duckdb
import pytest

from tailrace.pipeline import spine
from tests.installation import at
from tests.real.data import SAAS, needs
from tests.real.social import install

pytestmark = [pytest.mark.torture, needs(SAAS), pytest.mark.slow, pytest.mark.timeout(300)]

TABLES = [SAAS / f"b2b_{table}.parquet" for table in ("accounts", "events", "subscriptions")]


def test_events_ids_and_values_are_the_raw_ones_and_build(tmp_path: Path) -> None:
    installation = install(tmp_path)
    landed = spine.land_files(installation.settings, TABLES, "b2b", at(date(2025, 1, 1)))
    # Twelve events say what another says: one seat did the same thing in the same second.
    assert (landed.lines, landed.duplicate, landed.quarantined) == (114 + 1_535_143 + 2_415, 12, 0)
    with duckdb.connect() as world:
        held = (
            "select user_id, event_at, event, (properties ->> 'seat')::integer, (properties ->> 'value')::double"
            f" from '{installation.settings.landing}/loads/*/events-*.parquet'"
            " where type = 'track' and event <> 'line_paid'"
        )
        raw = (
            "select 'b2b-' || account_id, event_time, event_type, seat_no, event_value"
            f" from '{SAAS / 'b2b_events.parquet'}'"
        )
        for one, another in ((held, raw), (raw, held)):
            assert world.execute(f"select count(*) from ({one} except {another})").fetchone() == (0,)
        people = world.execute(f"select count(distinct c1) from ({held}) as held (c1, c2, c3, c4, c5)").fetchone()
        assert people == (114,)
    result = spine.run(installation.settings, at(date(2025, 1, 1)))
    assert all(balance.holds for balance in result.balances)
    assert result.steps["plan"]["people"] == 114
    with duckdb.connect(str(installation.settings.published), read_only=True) as published:
        orphans = published.execute("select sum(n_events), sum(n_orphans) from reports.rpt_orphans").fetchone()
    assert orphans == (landed.landed, 0)
