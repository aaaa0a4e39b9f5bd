"""A month that came in any order, in part by backfills, is the month: the same people and segments, and no message."""

from __future__ import annotations

import random
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tailrace.clock import iso
from tailrace.engine import identifier, literal
from tailrace.journal.journal import Journal
from tailrace.landing.land import land
from tailrace.pipeline import spine
from tailrace.planning.store import Store
from tests.conftest import Company
from tests.installation import Installation, at, call, small_company
from tests.pipeline import late

pytestmark = [pytest.mark.torture, pytest.mark.slow]

SEED = 20250601
SCHEMAS = ("core", "states", "segments", "object_segments", "reports")
OF_LOADS = {
    *("load_id", "load_seq", "load_seq_sum", "is_history", "landed_at"),
    *("attributed_in", "attributed_in_sum", "written_in"),
}
"""Columns that say how something came, and not what happened."""


def _differing(one: Installation, other: Installation) -> dict[str, int]:
    """Return the tables of which the two warehouses have different rows, and how many."""
    with duckdb.connect() as connection:
        for name, installation in (("one", one), ("other", other)):
            connection.execute(f"attach {literal(str(installation.settings.warehouse))} as {name} (read_only)")
        found = connection.execute(
            "select schema_name, table_name, list(column_name order by column_index) from duckdb_columns()"
            f" where database_name = 'one' and schema_name in {SCHEMAS} group by all order by all"
        ).fetchall()
        assert len(found) > 30
        counts = {}
        for schema, table, columns in found:
            listed = ", ".join(identifier(column) for column in columns if column not in OF_LOADS)
            rows = [f"select {listed} from {name}.{schema}.{identifier(table)}" for name in ("one", "other")]
            query = (
                f"select count(*) from (({rows[0]} except all {rows[1]}) union all ({rows[1]} except all {rows[0]}))"
            )
            counts[f"{schema}.{table}"] = connection.execute(query).fetchall()[0][0]
    return {table: count for table, count in counts.items() if count}


def _said(installation: Installation) -> list[tuple[Any, ...]]:
    with Journal.open(installation.settings) as journal:
        rows = journal.mirror("intents", 0).to_pylist()
    return sorted((row["campaign"], row["step"], row["person_id"]) for row in rows)


def _mails(installation: Installation) -> int:
    return len(list(installation.settings.outbox.rglob("*.eml")))


def test_a_month_in_random_order_with_random_backfills_ends_as_the_month_in_order_and_says_nothing_of_its_own(
    company: Company, tmp_path: Path
) -> None:
    chance = random.Random(SEED)
    sample = small_company(tmp_path / "files", people=120, days=90, last=30)
    end = at(sample.daily[-1].last_on, 23)
    ordered, shuffled = company.empty(tmp_path / "ordered"), company.empty(tmp_path / "shuffled")
    days = [file.path for file in sample.daily]
    history = [file.path for file in sample.history]
    for file in [*history, *days]:
        ordered.drop(file)
    spine.run(ordered.settings, end)

    # A third of the days come in random order before the first run, the others by backfills after it: two groups, and
    # one group of which each half of the month is asked for by itself.
    chance.shuffle(days)
    early, groups = days[:10], [days[10:16], days[16:23], days[23:]]
    for path in early[:4]:
        land(shuffled.settings, [path], "app", as_of=end)
    land(shuffled.settings, history, "app", as_of=end)
    land(shuffled.settings, early[4:], "app", as_of=end)
    spine.run(shuffled.settings, end)
    assert _differing(ordered, shuffled), "two thirds of the month are missing"
    middle = iso(end - timedelta(days=chance.randint(10, 20)))
    asked = [(groups[0], ()), (groups[2], ("--from", middle)), (groups[1], ()), (groups[2], ("--to", middle))]
    for paths, bounds in asked:
        words = ("--source", "app", "--reason", "it came late", *bounds)
        done = call(shuffled, "backfill", *[str(path) for path in paths], *words)
        assert done.code == 0, done.err

    assert _differing(ordered, shuffled) == {}
    heads = [Store(one.settings) for one in (ordered, shuffled)]
    members = [store.table(store.read("HEAD"), "memberships") for store in heads]
    assert members[0] is not None
    assert members[0].equals(members[1])
    assert (_said(shuffled), _mails(shuffled)) == ([], 0)

    # What the next run says is what has happened since, to the one as to the other.
    new = late.write(tmp_path / "new.jsonl", late.called("zoe", "signed_up", end + timedelta(hours=12)))
    for installation in (ordered, shuffled):
        installation.drop(new)
        spine.run(installation.settings, end + timedelta(days=1))
    assert _differing(ordered, shuffled) == {}
    assert _said(shuffled) == _said(ordered) != []
    assert _mails(shuffled) == _mails(ordered) > 0
