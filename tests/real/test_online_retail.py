"""Real invoices of a shop: a quarter of the lines belongs to nobody known, and some say what another says."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import duckdb
import pytest

from tailrace.landing.land import Landed
from tailrace.pipeline import spine
from tailrace.pipeline.result import Result
from tests.installation import Installation, at
from tests.real.data import RETAIL, needs
from tests.real.projects import overlay
from tests.real.trial import members

pytestmark = [pytest.mark.torture, needs(RETAIL), pytest.mark.slow, pytest.mark.timeout(300)]

LINES = RETAIL / "invoice_lines.parquet"
AFTER = at(date(2011, 12, 10))
COUNTS = (541_909, 536_641, 5_268, 0)


class Shop:
    """The shop's installation after one run over all invoices, and a connection that knows the raw lines."""

    def __init__(self, root: Path) -> None:
        project = overlay(
            root / "project",
            "retail",
            drop=[
                "contracts/sources/app.yml",
                "models/segments",
                "models/syncs",
            ],
            variables={
                "saas_usage_events": "[invoice_line]",
                "saas_activation_event": "invoice_line",
                "programmes": "[]",
            },
        )
        self.installation = Installation(root / "data", project)
        self.world = duckdb.connect()
        self.world.execute(f"create table lines as from '{LINES}'")
        self.csv = root / "invoice_lines.csv"
        self.world.execute(f"copy lines to '{self.csv}' (format csv, header)")
        self.landed = self.land(LINES, "invoices")
        self.result: Result = spine.run(self.installation.settings, AFTER)

    def land(self, path: Path, source: str) -> Landed:
        return spine.land_files(self.installation.settings, [path], source, AFTER)

    def customers(self, having: str) -> set[str]:
        """Return the customers whose lines, taken together, fulfil the condition."""
        found = self.world.execute(
            f"select customer_id from lines where customer_id is not null group by customer_id having {having}"
        ).fetchall()
        return {str(customer) for (customer,) in found}

    def published(self) -> duckdb.DuckDBPyConnection:
        return duckdb.connect(str(self.installation.settings.published), read_only=True)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    opened = Shop(tmp_path_factory.mktemp("retail"))
    yield opened
    opened.world.close()


def test_every_line_is_landed_or_a_duplicate(shop: Shop) -> None:
    landed = shop.landed
    assert (landed.lines, landed.landed, landed.duplicate, landed.quarantined) == COUNTS
    assert shop.result.steps["build"]["failed"] == {}
    assert shop.result.steps["plan"]["people"] == 4_372


def test_lines_without_a_customer_are_counted_as_orphans_and_kept(shop: Shop) -> None:
    with shop.published() as published:
        orphans = published.execute("select n_events, n_orphans, n_anonymous_ids from reports.rpt_orphans").fetchall()
    # 135,080 lines without a customer, 43 of which say what another says; 3,710 guest invoices.
    guests = shop.world.execute(
        "select count(distinct lines), count(distinct invoice_no) from lines where customer_id is null"
    ).fetchone()
    assert guests is not None
    assert guests[0] == 135_080 - 43
    assert orphans == [(536_641, *guests)]


def test_segments_hold_whom_the_raw_lines_name(shop: Shop) -> None:
    with shop.published() as published:
        once = members(published, "seg_bought_once")
        cancelled = members(published, "seg_cancelled_30d")
        lapsed = members(published, "seg_lapsed_90d")
    as_of = "timestamp '2011-12-10 06:00:00'"
    assert once == shop.customers("count(distinct invoice_no) filter (not starts_with(invoice_no, 'C')) = 1")
    assert cancelled == shop.customers(
        f"count(*) filter (starts_with(invoice_no, 'C') and invoice_time > {as_of} - interval 30 days) > 0"
    )
    assert lapsed == shop.customers(
        f"count(distinct invoice_time::date) >= 3 and max(invoice_time) <= {as_of} - interval 90 days"
    )
    assert min(len(once), len(cancelled), len(lapsed)) > 100


def test_csv_says_the_same_as_parquet(shop: Shop, tmp_path: Path) -> None:
    other = Installation(tmp_path, shop.installation.project_dir)
    landed = spine.land_files(other.settings, [shop.csv], "invoices_csv", AFTER)
    assert (landed.lines, landed.landed, landed.duplicate, landed.quarantined) == COUNTS
    text = (
        "select user_id, anonymous_id, event_at, properties ->> 'invoice_no', properties ->> 'stock_code',"
        " properties ->> 'description', (properties ->> 'quantity')::bigint, (properties ->> 'unit_price_gbp')::double,"
        " properties ->> 'country' from '{}/landing/loads/*/events-*.parquet'"
    )
    parquet, csv = (text.format(each.data_dir) for each in (shop.installation, other))
    raw = (
        "select customer_id::varchar, 'invoice-' || invoice_no, invoice_time, invoice_no, stock_code, description,"
        " quantity, unit_price_gbp, country from lines"
    )
    for one, another in ((parquet, raw), (raw, parquet), (csv, raw), (raw, csv)):
        assert shop.world.execute(f"select count(*) from ({one} except {another})").fetchone() == (0,)


def test_the_same_lines_in_another_order_are_all_duplicates(shop: Shop, tmp_path: Path) -> None:
    turned = tmp_path / "turned.parquet"
    shop.world.execute(f"copy (from lines order by description, quantity, stock_code) to '{turned}'")
    again = shop.land(turned, "invoices")
    assert (again.lines, again.landed, again.duplicate) == (541_909, 0, 541_909)
