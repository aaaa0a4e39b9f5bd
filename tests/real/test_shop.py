"""Two real clickstreams through the commerce programme: carts, segments and campaigns are what the raw rows say.

Sessions of the shop are carts; the store's visitors have one cart each. Most of the half year is landed in a few large
steps (so `late` is lifted in the copy of the campaigns), the days of the payment incident one by one.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tailrace import ids
from tailrace.pipeline import spine
from tailrace.planning.store import Store
from tests.installation import Installation, at
from tests.real.data import SHOP, needs
from tests.real.projects import overlay
from tests.real.trial import members

pytestmark = [pytest.mark.torture, needs(SHOP), pytest.mark.slow, pytest.mark.timeout(900)]

BEFORE = date(2024, 1, 4)
INCIDENT = tuple(date(2024, 5, 20) + timedelta(days=number) for number in range(7))
RUNS = (date(2024, 2, 15), date(2024, 4, 1), date(2024, 5, 19), *INCIDENT, date(2024, 6, 10), date(2024, 7, 1))
EVENTS = {"product_view": "viewed_product", "shipping_details": "checkout_started", "purchase": "checkout_completed"}
HITS = {
    "product_detail_view": "viewed_product",
    "add_to_cart": "add_to_cart",
    "checkout": "checkout_started",
    "purchase": "checkout_completed",
}


def project(root: Path) -> Path:
    made = overlay(root / "project", "shop", drop=["contracts/sources/app.yml"], variables={"programmes": "[commerce]"})
    for slug, late in (("cart_recovery", "3d"), ("payment_error_help", "2d")):
        path = made / "campaigns" / slug / "campaign.yml"
        text = path.read_text(encoding="utf-8")
        assert f"late: {late}" in text
        path.write_text(text.replace(f"late: {late}", "late: 90d"), encoding="utf-8")
    return made


def renamed(column: str, names: dict[str, str]) -> str:
    cases = " ".join(f"when '{old}' then '{new}'" for old, new in names.items())
    return f"case {column} {cases} else {column} end"


@dataclass
class Shop:
    """The shop's half year; `seen` has, by the day of each run, the members of each segment."""

    root: Path
    seen: dict[date, dict[str, set[str]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.installation = Installation(self.root / "data", project(self.root))
        self.world = duckdb.connect()
        source = f"'{SHOP / 'shop_events.parquet'}'"
        self.world.execute(
            f"create table events as select * replace ({renamed('event', EVENTS)} as event) from {source}"
        )
        self.world.execute(
            "create table carts as select user_id, session_id, min(event_time) as started_at from events"
            " where event = 'add_to_cart' group by all"
        )
        self.world.execute("create table runs (day timestamp, as_of timestamp)")

    def play(self) -> None:
        path = self.root / "people-1.parquet"
        self.world.execute(f"copy (select distinct user_id from events order by all) to '{path}'")
        self._run(BEFORE, path)
        for since, until in zip((BEFORE, *RUNS), RUNS, strict=False):
            path = self.root / f"events-{until}.parquet"
            self.world.execute(
                f"copy (from events where event_time >= '{since}' and event_time < '{until}' order by all) to '{path}'"
            )
            self._run(until, path)

    def _run(self, on: date, path: Path) -> None:
        self.installation.drop(path, "shop")
        result = spine.run(self.installation.settings, at(on))
        assert result.steps["build"]["failed"] == {}
        assert all(balance.holds for balance in result.balances)
        self.world.execute(f"insert into runs values ('{on}', '{on} 06:00:00')")
        with self.published() as published:
            self.seen[on] = {
                name: members(published, name)
                for name in ("seg_cart_abandoned", "seg_payment_error_open", "seg_repeat_buyers")
            }

    def published(self) -> duckdb.DuckDBPyConnection:
        return duckdb.connect(str(self.installation.settings.published), read_only=True)

    def passes(self, campaign: str) -> list[dict[str, Any]]:
        store = Store(self.installation.settings)
        table = store.table(store.read("HEAD"), f"enrollments:{campaign}")
        assert table is not None
        return list(table.to_pylist())

    def considered(self, step: str) -> Counter[str]:
        """Return how often each pass was considered for a step's message, over all plans, deferrals aside."""
        store = Store(self.installation.settings)
        found: Counter[str] = Counter()
        for _, plan in store.chain(store.head()):
            table = store.table(plan, "verdicts")
            for row in table.to_pylist() if table is not None else []:
                if row["step"] == step and row["verdict"] != "defer":
                    found[row["enrollment_id"]] += 1
        return found

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        return self.world.execute(sql).fetchall()


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    opened = Shop(tmp_path_factory.mktemp("shop"))
    opened.play()
    yield opened
    opened.world.close()


def test_carts_are_the_sessions_that_the_check_numbers_count(shop: Shop) -> None:
    with shop.published() as published:
        states = published.execute("select state, count(*) from states.fct_carts group by state").fetchall()
    assert dict(states) == {"completed": 470, "abandoned": 743}
    with duckdb.connect(str(shop.installation.settings.warehouse), read_only=True) as warehouse:
        errors = warehouse.execute(
            "select count(*), count(distinct person_id) from core.fct_commerce_events where event = 'payment_error'"
        ).fetchone()
    assert errors == (119, 87)


def test_each_cart_starts_one_pass_of_its_person_at_its_first_product(shop: Shop) -> None:
    passes = shop.passes("cart_recovery")
    assert len(passes) == 1_213
    expected = shop.ask("select user_id, session_id, started_at from carts")
    assert {(row["person_id"], row["occurrence"], row["entered_at"].replace(tzinfo=None)) for row in passes} == {
        (ids.person_id(user), session, started) for user, session, started in expected
    }


def test_every_pass_of_a_cart_goes_the_way_that_the_raw_rows_say(shop: Shop) -> None:
    # The run that first knows the cart, and the one after it: there the four hours are over.
    ways = shop.ask(
        """
        with placed as (
            select carts.*, (select min(as_of) from runs where day > started_at) as arrived_at
            from carts
        ),

        decided as (
            select placed.*, (select min(as_of) from runs where as_of >= arrived_at + interval 4 hours) as decided_at
            from placed
        )

        select
            user_id,
            session_id,
            exists (
                select 1 from events
                where events.user_id = decided.user_id and events.session_id = decided.session_id
                    and event = 'checkout_completed'
                    and event_time < (select max(day) from runs where as_of <= coalesce(decided_at, arrived_at))
            ) as has_bought,
            exists (
                select 1 from events
                where events.user_id = decided.user_id and events.session_id = decided.session_id
                    and event = 'checkout_completed' and event_time > started_at
            ) as has_bought_since,
            decided_at is null as is_waiting,
            exists (
                select 1 from events
                where events.user_id = decided.user_id and events.session_id <> decided.session_id
                    and event = 'checkout_completed' and event_time >= started_at
                    and event_time < (select max(day) from runs where as_of <= decided_at)
            ) as has_bought_another
        from decided
        """
    )
    told = {(ids.person_id(user), cart): way for user, cart, *way in ways}
    considered = shop.considered("still_there")
    passes = shop.passes("cart_recovery")
    assert set(considered.values()) == {1}
    found: Counter[str] = Counter()
    for row in passes:
        has_bought, has_bought_since, is_waiting, has_bought_another = told[(row["person_id"], row["occurrence"])]
        is_told = row["enrollment_id"] in considered
        assert is_told == (not has_bought and not is_waiting), row["occurrence"]
        if has_bought:
            found["bought"] += 1
            assert (row["status"], row["goal_at"] is not None) == ("exited", has_bought_since)
        elif is_waiting:
            found["waiting"] += 1
            assert (row["status"], row["step"]) == ("active", "wait_before_still_there")
        else:
            found["told"] += 1
            found["told, having bought another"] += has_bought_another
    assert (found["bought"], found["told"] + found["waiting"]) == (470, 743)
    assert (found["told"], found["told, having bought another"]) == (len(considered), 109)


def test_what_was_sent_about_carts_is_in_the_outbox_once(shop: Shop) -> None:
    subjects = Counter(
        line
        for path in shop.installation.settings.outbox.rglob("*.eml")
        for line in path.read_text(encoding="utf-8").splitlines()
        if line.startswith(("Subject: Your cart is as you left it", "Subject: Your payment did not"))
    )
    with sqlite3.connect(shop.installation.settings.journal) as journal:
        accepted = journal.execute(
            "select step, count(*) from intents inner join outcomes on outcomes.item_id = intents.intent_id"
            " where outcome = 'accepted' and step in ('still_there', 'nothing_was_charged') group by step order by step"
        ).fetchall()
    assert [count for _, count in accepted] == [
        subjects["Subject: Your payment did not go through; nothing was charged"],
        subjects["Subject: Your cart is as you left it"],
    ]
    assert min(count for _, count in accepted) > 10


def test_a_failed_payment_starts_one_pass_per_cart(shop: Shop) -> None:
    passes = shop.passes("payment_error_help")
    expected = shop.ask("select distinct user_id, session_id from events where event = 'payment_error'")
    assert {(row["person_id"], row["occurrence"]) for row in passes} == {(ids.person_id(u), s) for u, s in expected}
    assert (len(passes), len({row["person_id"] for row in passes})) == (95, 87)


def test_segments_hold_on_each_day_whom_the_raw_rows_name(shop: Shop) -> None:
    for on, segments in shop.seen.items():
        known, as_of = f"events.event_time < '{on}'", f"timestamp '{on} 06:00:00'"
        abandoned = shop.ask(
            f"""
            with sessions as (
                select user_id, session_id, min(event_time) filter (event = 'add_to_cart') as started_at,
                    max(event_time) as last_at
                from events
                where event in ('add_to_cart', 'checkout_started', 'payment_error') and {known}
                group by all
            )

            select distinct user_id from sessions
            where started_at is not null
                and last_at <= {as_of} - interval 4 hours
                and last_at > {as_of} - interval 7 days
                and not exists (
                    select 1 from events
                    where event = 'checkout_completed' and {known} and events.user_id = sessions.user_id
                        and (events.session_id = sessions.session_id or event_time >= started_at)
                )
            """
        )
        assert segments["seg_cart_abandoned"] == {user for (user,) in abandoned}, on
        failed = shop.ask(
            f"select user_id from events where {known} and event_time > {as_of} - interval 3 days group by user_id"
            " having max(event_time) filter (event = 'payment_error')"
            " > coalesce(max(event_time) filter (event = 'checkout_completed'), timestamp '2000-01-01')"
        )
        assert segments["seg_payment_error_open"] == {user for (user,) in failed}, on
        again = shop.ask(
            f"select user_id from events where {known} and event = 'checkout_completed' group by user_id"
            f" having count(*) > 1 and max(event_time) > {as_of} - interval 90 days"
        )
        assert segments["seg_repeat_buyers"] == {user for (user,) in again}, on
    assert max(len(segments["seg_payment_error_open"]) for segments in shop.seen.values()) > 10


def test_a_store_whose_visitors_have_one_cart_each_gives_its_check_numbers(tmp_path: Path) -> None:
    installation = Installation(tmp_path / "data", project(tmp_path))
    hits = tmp_path / "hits.parquet"
    with duckdb.connect() as world:
        world.execute(
            f"copy (select * exclude (products), {renamed('ecommerce_action', HITS)} as event"
            f" from '{SHOP / 'ga_store_hits.parquet'}' where ecommerce_action in {tuple(HITS)}"
            f" order by all) to '{hits}'"
        )
        orders = world.execute(
            "select visitor_id, count(distinct transaction_id) from read_parquet($hits)"
            " where event = 'checkout_completed' group by all",
            {"hits": str(hits)},
        ).fetchall()
        left = world.execute(
            "select visitor_id from read_parquet($hits) group by all having bool_or(event = 'add_to_cart')"
            " and not bool_or(event = 'checkout_completed')",
            {"hits": str(hits)},
        ).fetchall()
    installation.drop(hits, "store")
    result = spine.run(installation.settings, at(date(2017, 8, 3)))
    assert result.steps["build"]["failed"] == {}
    with duckdb.connect(str(installation.settings.published), read_only=True) as published:
        carts = published.execute("select state, count(*) from states.fct_carts group by state").fetchall()
        buyers = published.execute(
            "select user_id, state from states.fct_commerce_states inner join core.dim_people using (person_id)"
            " where state in ('first_purchase', 'repeat') and ended_at is null"
        ).fetchall()
        abandoned = members(published, "seg_cart_abandoned")
    assert dict(carts) == {"completed": 36, "abandoned": 122}
    assert sum(count for _, count in carts) == 158
    assert len(buyers) == 42
    assert dict(buyers) == {visitor: "repeat" if n > 1 else "first_purchase" for visitor, n in orders}
    assert abandoned == {visitor for (visitor,) in left}
