from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tailrace import engine
from tailrace.errors import DataError, DefinitionError, TailraceError
from tailrace.landing import database
from tailrace.landing.contract import load_contract
from tailrace.landing.inbox import land_inbox
from tailrace.landing.land import Landed
from tailrace.landing.loads import loads, loads_dir
from tailrace.landing.quarantine import list_quarantine
from tests.landing import postgres
from tests.landing.conftest import AS_OF, World, call, compact

CONTRACT = """
format: postgres
connection: {url_env: SHOP_DATABASE_URL}
table: public.orders
key: id
mapping:
  type: track
  event: {const: paid}
  user_id: who
  timestamp: at
  properties: {total: total, n: n}
"""


@pytest.fixture(scope="module")
def server() -> Iterator[postgres.Server]:
    with postgres.serving() as found:
        yield found


class Shop:
    """A source that is the table `orders` of a database of its own."""

    def __init__(self, world: World, url: str) -> None:
        self.world, self.url = world, url
        self.connection = psycopg.connect(url, autocommit=True)
        self.connection.execute(
            "create table orders (id bigint primary key, who text, total numeric(30, 10), n double precision,"
            " at timestamptz default '2026-10-01 08:00:00+00')"
        )
        world.contract("shop", CONTRACT)

    def add(self, *ids: int, to: psycopg.Connection | None = None) -> None:
        for number in ids:
            (to or self.connection).execute("insert into orders (id, who) values (%s, %s)", [number, f"u{number}"])

    def land(self, **keys: Any) -> Landed:
        return self.world.land(source="shop", **keys)

    def seen(self) -> list[str]:
        return sorted(row[0] for row in self.world.events("user_id", "shop"))


@pytest.fixture
def shop(world: World, server: postgres.Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    url = server.database()
    monkeypatch.setenv("SHOP_DATABASE_URL", url)
    made = Shop(world, url)
    yield made
    made.connection.close()


def users(*numbers: int) -> list[str]:
    return sorted(f"u{number}" for number in numbers)


def test_only_what_is_new_is_read_and_nothing_twice(shop: Shop) -> None:
    shop.add(*range(5))
    assert shop.land().landed == 5
    assert shop.land().lines == 0
    shop.add(5, 6)
    done = shop.land()
    assert (done.lines, done.landed) == (2, 2)
    assert shop.seen() == users(*range(7))
    assert [file.name for load in loads(shop.world.settings) for file in load.files] == ["postgres:public.orders"] * 2


@pytest.mark.torture
def test_a_transaction_that_commits_late_is_not_lost(shop: Shop) -> None:
    with psycopg.connect(shop.url) as slow:
        shop.add(1, to=slow)
        # Later ones commit, and are read, more than once.
        shop.add(2)
        assert shop.land().landed == 1
        shop.add(3)
        assert shop.land().landed == 1
        assert shop.seen() == users(2, 3)
        slow.commit()
    assert shop.land().landed == 1
    assert shop.seen() == users(1, 2, 3)


def test_a_savepoint_and_a_prepared_transaction_that_commit_late_are_not_lost(shop: Shop) -> None:
    with psycopg.connect(shop.url) as slow:
        slow.execute("select 1")
        with slow.transaction():
            shop.add(1, to=slow)
        with slow.transaction():
            shop.add(2, to=slow)
        with psycopg.connect(shop.url) as prepared:
            shop.add(3, to=prepared)
            prepared.execute("prepare transaction 'late'")
        shop.add(4)
        assert shop.land().landed == 1
        slow.commit()
    shop.connection.execute("commit prepared 'late'")
    assert shop.land().landed == 3
    assert shop.seen() == users(1, 2, 3, 4)


def test_rows_of_one_moment_are_all_read_wherever_a_reading_ended(shop: Shop) -> None:
    # Every row has the same time, and ids do not rise.
    shop.add(50, 7, 90)
    assert shop.land().landed == 3
    shop.add(8, 60, 1, 91)
    assert shop.land().landed == 4
    assert shop.seen() == users(1, 7, 8, 50, 60, 90, 91)


def test_what_was_rolled_back_or_never_committed_is_no_event(shop: Shop) -> None:
    with psycopg.connect(shop.url) as gone:
        shop.add(1, to=gone)
        gone.rollback()
        shop.add(2, to=gone)
        assert shop.land().landed == 0
        gone.rollback()
    assert shop.land().landed == 0


def test_a_changed_row_is_another_event_and_the_same_row_again_is_none(shop: Shop) -> None:
    shop.add(1, 2)
    assert shop.land().landed == 2
    shop.connection.execute("update orders set n = 5 where id = 1; update orders set who = who where id = 2")
    done = shop.land()
    assert (done.landed, done.duplicate) == (1, 1)
    told = {(user, json.loads(told)["n"]) for user, told in shop.world.events("user_id, properties", "shop")}
    assert told == {("u1", None), ("u1", 5), ("u2", None)}


def test_rows_that_say_the_same_under_two_keys_are_two_events(shop: Shop) -> None:
    shop.connection.execute("insert into orders (id, who) values (1, 'u'), (2, 'u')")
    assert shop.land().landed == 2


@pytest.mark.torture
def test_after_a_new_table_or_partition_all_of_it_is_read(shop: Shop) -> None:
    run = shop.connection.execute
    run(
        "drop table orders; create table orders (id bigint, who text, total numeric, n float8, at timestamptz)"
        " partition by range (id)"
    )
    run("create table old_ones (like orders); insert into old_ones values (1, 'u1', 1, 1, '2026-10-01')")
    run("create table new_ones partition of orders for values from (100) to (200)")
    run("insert into orders values (100, 'u100', 1, 1, '2026-10-01')")
    assert shop.land().landed == 1
    run("alter table orders attach partition old_ones for values from (0) to (100)")
    assert shop.land().landed == 1
    assert shop.seen() == users(1, 100)
    # Another table under the name: its rows may be older than what was read.
    run("create table next (like orders); insert into next values (7, 'u7', 1, 1, '2026-10-01')")
    run("insert into orders values (101, 'u101', 1, 1, '2026-10-01')")
    assert shop.land().landed == 1
    run("alter table orders rename to gone; alter table next rename to orders")
    assert shop.land().landed == 1
    assert shop.seen() == users(1, 7, 100, 101)


@pytest.mark.parametrize("moved", [{"server": "1"}, {"timeline": 7}, {"database": 1}])
def test_where_transactions_are_numbered_anew_the_whole_table_is_read(shop: Shop, moved: dict[str, Any]) -> None:
    shop.add(1)
    shop.land()
    # As if the last load had read another server, which was far ahead.
    (load,) = loads(shop.world.settings)
    path = loads_dir(shop.world.settings) / load.load_id / "mark.json"
    path.chmod(0o644)
    path.write_text(json.dumps(json.loads(path.read_text()) | moved | {"horizon": 1 << 40}))
    shop.add(2)
    done = shop.land()
    assert (done.landed, done.duplicate) == (1, 1)


def test_the_number_of_a_transaction_may_have_gone_round(shop: Shop) -> None:
    """A row has the lower 32 bits only, which begin again after four billion transactions."""
    query = engine.statement("tailrace.landing", "database_new")
    turn = 1 << 32
    for next_, wrote, horizon, is_new in (
        (turn + 10, turn + 5, turn - 20, True), (turn + 10, turn - 5, turn - 20, True),
        (turn + 10, turn - 21, turn - 20, False), (turn + 10, turn - 20, turn - 20, True),
        (3 * turn, 3 * turn - 1, 3 * turn, False), (3 * turn + 1, 3 * turn, 3 * turn, True),
        (900, 899, 900, False), (901, 900, 900, True),
    ):  # fmt: skip
        asked = query.replace("pg_snapshot_xmax(pg_current_snapshot())::text::bigint", f"{next_}::bigint")
        asked = asked.replace("xmin::text::bigint", f"{wrote % turn}::bigint")
        asked = asked.replace("{horizon}", str(horizon)).replace("{since}", "true").replace("{new}", "false")
        assert shop.connection.execute(f"select {asked}").fetchall() == [(is_new,)]


PROGRAM = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from tailrace.landing.land import land
from tailrace.settings import Settings
land(Settings(Path(sys.argv[1]), Path(sys.argv[2])), [], "shop", as_of=datetime(2026, 11, 21, tzinfo=UTC))
"""


@pytest.mark.torture
@pytest.mark.parametrize("point", ["land.staged", "land.recorded", "land.moved"])
def test_killed_in_the_middle_nothing_is_repeated_and_nothing_lost(shop: Shop, point: str) -> None:
    shop.add(1)
    shop.land()
    with psycopg.connect(shop.url) as slow:
        shop.add(2, to=slow)
        shop.add(3)
        settings = shop.world.settings
        ended = subprocess.run(
            [sys.executable, "-c", PROGRAM, str(settings.data_dir), str(settings.project_dir)],
            env={**os.environ, "TAILRACE_CRASH_AT": point}, check=False,
        )  # fmt: skip
        assert ended.returncode == -signal.SIGKILL
        slow.commit()
    shop.land()
    assert shop.seen() == users(1, 2, 3)
    assert shop.land().landed == 0
    # Rows that wait to be read are somebody's.
    assert list(settings.scratch.rglob("*.jsonl")) == []


def test_hostile_values_are_kept_or_named(shop: Shop) -> None:
    world = shop.world
    world.contract("shop", CONTRACT.replace("{total: total, n: n}", "all"))
    run = shop.connection.execute
    run("alter table orders add doc json, add bin jsonb, add raw bytea, add words text[], add big bigint")
    row = f"insert into orders (id, who, at, total, n, doc, bin, raw, words, big) values ({', '.join(['%s'] * 10)})"
    good = "2026-10-01 08:00:00.123456+05:30"
    exact = "12345678901234567890.0123456789"
    strange = '\\ " \n\r\t \x01\x02\x7f \u2028 é 😀 \\. \\N ,;'
    document = '{\n "a" : 1.10,\r\n "b" : "x\\ny" }'
    run(
        row,
        [
            1,
            strange,
            good,
            exact,
            0.1,
            document,
            '{"k": [1, {"z": 2}]}',
            b"\x00\xff",
            ["a", None, 'b"'],
            9007199254740993,
        ],
    )
    run(row, [2, "u2", "infinity", 1, 1, None, None, None, None, None])
    run(row, [3, "u3", "0044-03-15 BC", 1, 1, None, None, None, None, None])
    run(row, [4, None, good, 1, 1, None, None, None, None, None])
    run(row, [5, "u5", good, "NaN", float("nan"), None, None, None, None, None])
    run(row, [6, "u6", good, 1, 1, '{"a": 1, "a": 2}', None, None, None, None])
    run(row, [7, "u7", good, 1, 1, '{"a": 0.1000000000000000055}', None, None, None, None])
    run(row, [8, "", good, 1, 1, None, None, None, None, None])
    done = shop.land()
    assert done.reasons == {"time_invalid": 2, "id_missing": 2, "duplicate_key": 1, "number_not_exact": 1}
    rows = dict(world.events("user_id, properties", "shop"))
    first = json.loads(rows[strange])
    assert first == {
        "id": 1, "total": exact, "n": 0.1, "doc": {"a": 1.1, "b": "x\ny"}, "bin": {"k": [1, {"z": 2}]},
        "raw": "\\x00ff", "words": ["a", None, 'b"'], "big": 9007199254740993,
    }  # fmt: skip
    assert json.loads(rows["u5"])["total"] == "NaN"
    assert world.events("event_at::varchar", "shop")[0] == ("2026-10-01 02:30:00.123456",)
    assert {line.file for line in list_quarantine(world.settings)} == {"postgres:public.orders"}


@pytest.mark.torture
def test_a_column_that_is_new_gone_or_of_another_type_is_named_and_nothing_is_lost(shop: Shop) -> None:
    run = shop.connection.execute
    shop.add(1)
    assert shop.land().notices == ()
    run("alter table orders add coupon text; alter table orders alter n type text; alter table orders add x int")
    shop.add(2)
    done = shop.land()
    assert done.notices == (
        "column `coupon` of postgres:public.orders is new (text)",
        "column `x` of postgres:public.orders is new (integer)",
        "column `n` of postgres:public.orders is text, and was double precision",
    )  # fmt: skip
    run("alter table orders drop x")
    shop.add(3)
    assert shop.land().notices == ("column `x` of postgres:public.orders is gone",)
    # One that the mapping needs: nothing is read, and all of it when it is back.
    run("alter table orders rename who to buyer")
    run("insert into orders (id, buyer) values (4, 'u4')")
    with pytest.raises(DataError, match=r"there is no column `who`.*nothing is lost"):
        shop.land()
    run("alter table orders rename buyer to who")
    shop.add(5)
    shop.land()
    # The first row was written again with the type of its column, and says the same but for that.
    assert set(shop.seen()) == set(users(1, 2, 3, 4, 5))


def test_a_backfill_reads_the_whole_table_and_what_comes_then_only_what_is_new(shop: Shop) -> None:
    shop.add(1, 2)
    done = shop.land(history=True, reason="the shop is new here")
    assert (done.landed, done.history) == (2, True)
    shop.add(3)
    assert shop.land().lines == 1
    again = shop.land(history=True, reason="once more")
    assert (again.landed, again.duplicate, again.load_id) == (0, 3, None)


def test_a_run_reads_tables_and_names_what_is_missing(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.add(1)
    arrived = land_inbox(shop.world.settings, AS_OF)
    assert ([(done.source, done.landed) for done in arrived.landed], arrived.unread) == ([("shop", 1)], {})
    monkeypatch.delenv("SHOP_DATABASE_URL")
    with pytest.raises(TailraceError, match="`SHOP_DATABASE_URL` is not set"):
        shop.land()


@pytest.mark.parametrize("trouble", ["down", "unset", "gone", "column"])
def test_a_run_goes_on_without_a_table_that_cannot_be_read_and_the_next_takes_it_up(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    settings = shop.world.settings
    shop.add(1)
    assert shop.land().landed == 1
    shop.add(2)
    inbox = settings.inbox / "app"
    inbox.mkdir(parents=True)
    (inbox / "a.jsonl").write_bytes(compact(call()) + b"\n")
    match trouble:
        case "down":
            monkeypatch.setenv("SHOP_DATABASE_URL", "postgresql://postgres@/postgres?host=/nowhere")
        case "unset":
            monkeypatch.delenv("SHOP_DATABASE_URL")
        case "gone":
            shop.connection.execute("alter table orders rename to orders_then")
        case "column":
            shop.connection.execute("alter table orders rename who to whom")

    arrived = land_inbox(settings, AS_OF)

    assert [(done.source, done.landed) for done in arrived.landed] == [("app", 1)]
    assert list(arrived.unread) == ["shop"]
    assert {"down": "cannot be reached", "unset": "is not set", "gone": "no such table", "column": "no column `who`"}[
        trouble
    ] in arrived.unread["shop"]
    monkeypatch.setenv("SHOP_DATABASE_URL", shop.url)
    if trouble == "gone":
        shop.connection.execute("alter table orders_then rename to orders")
    if trouble == "column":
        shop.connection.execute("alter table orders rename whom to who")
    arrived = land_inbox(settings, AS_OF)
    assert ([done.landed for done in arrived.landed if done.source == "shop"], arrived.unread) == ([1], {})
    assert shop.seen() == users(1, 2)


def test_a_mark_that_cannot_be_read_is_no_matter_of_the_database_and_stops_the_run(shop: Shop) -> None:
    shop.add(1)
    (load,) = (loads_dir(shop.world.settings) / str(shop.land().load_id),)
    (load / "mark.json").chmod(0o644)
    (load / "mark.json").write_text("{")
    with pytest.raises(DataError, match="how far the table was read cannot be told"):
        land_inbox(shop.world.settings, AS_OF)


def test_no_error_says_the_url_or_a_value(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    words = []
    for url in (
        shop.url.replace(postgres.PASSWORD, "canary-wrong"),
        f"postgresql://postgres:{postgres.PASSWORD}@/postgres?host=/nowhere",
        f"postgresql://postgres:{postgres.PASSWORD}@/postgres?nonsense={postgres.PASSWORD}",
        f"nonsense {postgres.PASSWORD}",
    ):
        monkeypatch.setenv("SHOP_DATABASE_URL", url)
        with pytest.raises(DataError, match="SHOP_DATABASE_URL") as caught:
            shop.land()
        words.append(str(caught.value))
    monkeypatch.setenv("SHOP_DATABASE_URL", shop.url)
    for path in (shop.url, Path(shop.url)):
        with pytest.raises(DataError, match="no PATH") as caught:
            shop.world.land(path, source="app")
        words.append(str(caught.value))
    shop.connection.execute("create view orders_view as select * from orders")
    for name, error in (("public.orders_view", "no table but"), ("public.order", "no such table")):
        shop.world.contract("shop", CONTRACT.replace("public.orders", name))
        with pytest.raises(DataError, match=error):
            shop.land()
    shop.world.contract("shop", CONTRACT)
    shop.connection.execute("create role reader login password 'canary-reader'")
    monkeypatch.setenv("SHOP_DATABASE_URL", shop.url.replace(f"postgres:{postgres.PASSWORD}", "reader:canary-reader"))
    with pytest.raises(DataError, match="SQLSTATE 42501") as caught:
        shop.land()
    assert not any("canary" in each for each in [*words, str(caught.value)])
    shop.connection.execute("drop owned by reader; drop role reader")


def test_a_role_that_may_only_read_is_enough(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.add(1)
    shop.connection.execute("create role reader login password 'r'; grant select on orders to reader")
    monkeypatch.setenv("SHOP_DATABASE_URL", shop.url.replace(f"postgres:{postgres.PASSWORD}", "reader:r"))
    assert shop.land().landed == 1
    mark = database.last_mark(shop.world.settings, "shop", loads(shop.world.settings))
    assert mark is not None
    assert (mark.timeline, len(mark.server) > 10) == (1, True)
    shop.connection.execute("drop owned by reader; drop role reader")


@pytest.mark.parametrize("name", ["Odd.Orders", 'the "best" orders', "orders x"])
def test_a_table_may_have_any_name_that_a_database_writes(shop: Shop, name: str) -> None:
    quoted = '"' + name.replace('"', '""') + '"'
    shop.connection.execute(f"alter table orders rename to {quoted}")
    shop.connection.execute(f"insert into {quoted} (id, who) values (1, 'u1')")
    shop.world.contract("shop", CONTRACT.replace("public.orders", f"'public.{quoted}'"))
    assert shop.land().landed == 1


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("connection: {url_env: SHOP_DATABASE_URL}\n", "", "`connection` is missing"),
        ("{url_env: SHOP_DATABASE_URL}", "{url_env: 'postgresql://u:canary@h/d'}", "never the URL itself"),
        ("{url_env: SHOP_DATABASE_URL}", "{url: x}", "unknown key `url`"),
        ("public.orders", "a.b.c", "no name of a table"),
        ("public.orders", "'public.\"orders'", "no name of a table"),
        ("public.orders", "public.", "no name of a table"),
        ("key: id\n", "", "`key` is missing"),
        ("key: id\n", "key: []\n", "`key`"),
        ("key: id\n", "key: id\ncursor: [at]\n", "`cursor`"),
        ("format: postgres", "format: csv", "`connection` goes with"),
        ("key: id\n", "key: id\ndelimiter: x\n", "csv"),
        ("key: id\n", "key: id\ntables: {}\n", "does not go with"),
        ("mapping:", "maping:", "Did you mean `mapping`"),
    ],
)
def test_a_contract_of_a_table_is_read_strictly(world: World, old: str, new: str, message: str) -> None:
    assert old in CONTRACT
    world.contract("shop", CONTRACT.replace(old, new))
    with pytest.raises(DefinitionError, match=message) as caught:
        load_contract(world.settings, "shop")
    assert "canary" not in str(caught.value)


def test_files_and_tables_are_not_taken_for_each_other(shop: Shop) -> None:
    with pytest.raises(DataError, match="a PATH is named; expected none"):
        shop.world.land(shop.world.file("a.jsonl", b"{}"), source="shop")
    with pytest.raises(DataError, match="no PATH is named"):
        shop.world.land(source="app")


CURSOR = CONTRACT.replace("key: id\n", "key: id\ncursor: at\n")
LONG_AGO = "2020-01-01 00:00:00+00"


def write(shop: Shop, number: int, at: str, to: psycopg.Connection | None = None) -> None:
    (to or shop.connection).execute("insert into orders (id, who, at) values (%s, %s, %s)", [number, f"u{number}", at])


def scans(shop: Shop) -> tuple[int, int]:
    """Return how often the table was read whole, and by the index on `at`."""
    shop.connection.execute("select pg_stat_force_next_flush()")
    shop.connection.execute("select pg_stat_clear_snapshot()")
    ((whole, by_index),) = shop.connection.execute(
        "select t.seq_scan, i.idx_scan from pg_stat_user_tables as t inner join pg_stat_user_indexes as i"
        " on i.relid = t.relid and i.indexrelname = 'orders_at' where t.relname = 'orders'"
    ).fetchall()
    return whole, by_index


def test_with_a_cursor_the_index_is_asked_and_the_table_is_not_read_whole(shop: Shop) -> None:
    shop.world.contract("shop", CURSOR)
    shop.connection.execute(
        "insert into orders (id, who, at) select n, 'u' || n, timestamptz '2026-01-01' + n * interval '1 hour'"
        " from generate_series(1, 4000) as n"
    )
    shop.connection.execute("create index orders_at on orders (at)")
    shop.connection.execute("vacuum analyze orders")
    assert shop.land().landed == 4000
    shop.add(5000)
    shop.connection.execute("update orders set at = '2026-06-16 00:00:00+00' where id = 5000")
    before = scans(shop)

    assert shop.land().landed == 1

    after = scans(shop)
    assert after[0] == before[0]
    assert after[1] > before[1]


def test_of_rows_with_one_cursor_all_are_read_wherever_a_reading_ended(shop: Shop) -> None:
    shop.world.contract("shop", CURSOR)
    shop.add(50, 7, 90)
    assert shop.land().landed == 3
    shop.add(8, 60, 1, 91)
    done = shop.land()
    assert (done.lines, done.landed) == (4, 4)
    shop.connection.execute("update orders set total = 3 where id = 7")
    assert shop.land().landed == 1


def test_a_commit_is_found_by_the_cursor_that_the_table_had_when_its_writing_began_however_late_it_is(
    shop: Shop,
) -> None:
    shop.world.contract("shop", CURSOR)
    write(shop, 1, LONG_AGO)
    assert shop.land().landed == 1
    with psycopg.connect(shop.url) as slow:
        write(shop, 2, "2020-01-01 12:00:00+00", to=slow)
        # Years pass, as the cursor tells it, and they are read, one after the other.
        for number, year in enumerate(("2021", "2022", "2023"), 3):
            write(shop, number, f"{year}-01-01 00:00:00+00")
            assert shop.land().landed == 1
        slow.commit()
    assert shop.land().landed == 1
    assert shop.seen() == users(1, 2, 3, 4, 5)
    write(shop, 6, "2024-01-01 00:00:00+00")
    assert shop.land().landed == 1
    # What the owner has promised not to do: a row that says it was written years ago, and no transaction was open then.
    write(shop, 7, LONG_AGO)
    assert shop.land().landed == 0
    assert shop.land(history=True, reason="the whole table").landed == 1
    mark = database.last_mark(shop.world.settings, "shop", loads(shop.world.settings))
    assert mark is not None
    assert len(mark.readings) == 1


def test_a_cursor_without_a_value_or_in_the_future_loses_nothing(shop: Shop) -> None:
    shop.world.contract("shop", CURSOR.replace("timestamp: at", "timestamp: {const: 2026-01-01}"))
    write(shop, 1, "2999-01-01 00:00:00+00")
    write(shop, 2, "infinity")
    assert shop.land().landed == 2
    shop.connection.execute("insert into orders (id, who, at) values (3, 'u3', now()), (4, 'u4', null)")
    assert shop.land().landed == 2


@pytest.mark.torture
def test_a_number_is_a_cursor_a_text_is_none_and_a_new_cursor_or_partition_is_read_whole(shop: Shop) -> None:
    shop.world.contract("shop", CURSOR)
    write(shop, 1_000_000, "2026-01-01 00:00:00+00")
    assert shop.land().landed == 1
    shop.world.contract("shop", CURSOR.replace("cursor: at", "cursor: id"))
    write(shop, 2, LONG_AGO)
    assert shop.land().landed == 1
    write(shop, 950_000, LONG_AGO)
    write(shop, 3, LONG_AGO)
    assert shop.land().landed == 1
    shop.world.contract("shop", CURSOR.replace("cursor: at", "cursor: who"))
    with pytest.raises(DataError, match="the cursor `who` is text; expected a time or a whole number"):
        shop.land()
    shop.world.contract("shop", CURSOR.replace("cursor: at", "cursor: att"))
    with pytest.raises(DataError, match=r"there is no column `att`.*Did you mean `at`"):
        shop.land()
