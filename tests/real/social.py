"""How does the social app reach tailrace? Its tables cut into one file a day and kind, and its project.

The contract's column mapping cannot say "the first period is a start, a later one a renewal, the end of the last a
cancellation", so `periods.sql` says it, and an account joins on the first day it pays for: the table has no other date.
Events are the data set's own rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import duckdb

from tests.installation import Installation
from tests.real.data import SAAS
from tests.real.projects import HERE, overlay

SOURCE = "b2c"
LAST_DAY = date(2025, 1, 1)
"""The data set's as-of date: no events on it, only the cancellations of what ended."""

UNUSED = ("account_growth", "churn_risk", "failed_payment", "getting_connected", "trial_conversion")
"""Campaigns of the saas programme that the app has no use for: it has no trials, accounts or failed payments."""

USAGE = "[post, like, message, reply, newfriend, unfriend, dislike]"


@dataclass(frozen=True)
class Files:
    """Files to land together. `rows` are lines in them, `events` those that differ in what they say."""

    paths: tuple[Path, ...]
    rows: int
    events: int


class App:
    """The data set, cut by day into `target`. `world` is a DuckDB connection that tests may ask for the truth."""

    def __init__(self, target: Path) -> None:
        self.target = target
        target.mkdir(parents=True, exist_ok=True)
        self.world = duckdb.connect()
        self.world.execute(f"create table events as from '{SAAS / 'b2c_events.parquet'}'")
        self.world.execute(
            f"create table happenings as {(HERE / 'periods.sql').read_text(encoding='utf-8')}",
            {"periods": str(SAAS / "b2c_subscriptions.parquet")},
        )
        self.world.execute(
            "create table accounts as select accounts.*, starts.joined_on"
            f" from '{SAAS / 'b2c_accounts.parquet'}' as accounts inner join"
            " (select account_id, min(happened_on) as joined_on from happenings group by account_id) as starts"
            " using (account_id)"
        )

    def history(self, until: date) -> Files:
        """Everything before the day `until`, one file a kind."""
        return self._cut("history", date(2000, 1, 1), until)

    def day(self, on: date) -> Files:
        """One day's files."""
        return self._cut(on.isoformat(), on, on + timedelta(days=1))

    def _cut(self, name: str, since: date, until: date) -> Files:
        paths, rows, events = [], 0, 0
        for table, at in (("accounts", "joined_on"), ("events", "event_time"), ("subscriptions", "happened_on")):
            relation = "happenings" if table == "subscriptions" else table
            where = f"from {relation} where {at} >= date '{since}' and {at} < date '{until}'"
            found, different = self.world.execute(
                f"select count(*), count(distinct {relation}) {where}"
            ).fetchone() or (0, 0)
            if found:
                path = self.target / f"{table}-{name}.parquet"
                self.world.execute(f"copy (select * {where} order by all) to '{path}' (format parquet)")
                paths.append(path)
                rows, events = rows + found, events + different
        return Files(tuple(paths), rows, events)


def install(root: Path) -> Installation:
    """Return an empty installation with the app's project."""
    project = overlay(
        root / "project",
        "b2c",
        drop=[
            "contracts/sources/app.yml",
            *(f"campaigns/{slug}" for slug in UNUSED),
            "models/segments/seg_beta_testers.sql",
            "models/segments/seg_reports_exported_often.sql",
            "models/segments/seg_trial_ending.sql",
            "models/segments/_unit_tests.yml",
        ],
        variables={"saas_usage_events": USAGE, "saas_activation_event": "newfriend"},
    )
    return Installation(root / "data", project)
