from __future__ import annotations

import json
from pathlib import Path

import duckdb
import pytest

from tailrace.errors import DataError
from tailrace.landing.quarantine import list_quarantine
from tests.landing.conftest import World

CSV = """
format: csv
mapping:
  type: track
  event: action
  user_id: account
  timestamp: at
  properties: {amount: amount, kind: {const: manual}, who: {format: "acct {account}"}}
"""
HEADER = b"account,at,action,amount"
ROW = b"7,2026-10-01T08:00:00Z,paid,1.50"


@pytest.fixture
def csv(world: World) -> World:
    world.contract("bank", CSV)
    return world


def put(world: World, *lines: bytes, source: str = "bank") -> dict[str, int]:
    return world.lines(*lines, name="in.csv", source=source).reasons


def test_a_csv_row_becomes_a_call_and_everything_is_text(csv: World) -> None:
    assert put(csv, HEADER, ROW) == {}
    ((kind, event, user, at, properties, line),) = csv.events(
        "type, event, user_id, event_at::varchar, properties, line"
    )
    assert (kind, event, user, at, line) == ("track", "paid", "7", "2026-10-01 08:00:00", 2)
    assert json.loads(properties) == {"amount": "1.50", "kind": "manual", "who": "acct 7"}


def test_columns_are_found_by_name_in_any_order(csv: World) -> None:
    put(csv, b"at,more,amount,action,account", b"2026-10-01,x,,paid,007")
    assert csv.events("user_id, properties") == [("007", '{"kind":"manual","who":"acct 007"}')]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"7,2026-10-01,paid", "row_width"),
        (b"7,2026-10-01,paid,1,2", "row_width"),
        (b"Total: 2 rows", "row_width"),
        (HEADER, "header_repeated"),
        (b'7,2026-10-01,"paid" x,1', "bad_quotes"),
        (b'7,2026-10-01,"paid,1', "bad_quotes"),
        (b"7,2026-10-01,a\x00b,1", "nul_character"),
        (b"7,2026-10-01,caf\xe9,1", "not_utf8"),
        (b",2026-10-01,paid,1", "id_missing"),
        (b"7,03/04/2026,paid,1", "time_invalid"),
    ],
)
def test_a_bad_row_is_quarantined_and_the_rows_around_it_land(csv: World, line: bytes, reason: str) -> None:
    assert put(csv, HEADER, ROW, line, ROW.replace(b"7", b"8")) == {reason: 1}
    assert [row[0] for row in csv.events("user_id")] == ["7", "8"]
    (held,) = list_quarantine(csv.settings)
    assert (held.line, held.n_bytes) == (3, len(line))


def test_quotes_may_hold_delimiters_quotes_and_line_ends(csv: World) -> None:
    put(
        csv,
        HEADER,
        b'7,2026-10-01T08:00:00Z,"a ""b"", c",1',
        b'8,2026-10-01T08:00:00Z,"two',
        b'lines",2',
        ROW.replace(b"7", b"9"),
    )
    assert csv.events("user_id, event, line") == [("7", 'a "b", c', 2), ("8", "two\nlines", 3), ("9", "paid", 5)]


def test_another_delimiter_must_be_declared(csv: World) -> None:
    with pytest.raises(DataError, match=r"no column `at`.*should the contract say `delimiter: \";\"`\?"):
        put(csv, HEADER.replace(b",", b";"), ROW.replace(b",", b";"))
    csv.contract("bank", CSV + "delimiter: ';'\n")
    put(csv, b"\xef\xbb\xbf" + HEADER.replace(b",", b";"), ROW.replace(b",", b";"))
    assert len(csv.events()) == 1


@pytest.mark.parametrize(("mark", "written"), [("\t", r'"\t"'), ("|", "'|'"), (" ", "' '")])
def test_what_stands_between_columns_may_be_a_tab_and_is_proposed_as_it_can_be_written(
    mark: str, written: str, csv: World
) -> None:
    header, row = HEADER.replace(b",", mark.encode()), ROW.replace(b",", mark.encode())
    if mark != " ":
        with pytest.raises(DataError, match="should the contract say `delimiter: ") as raised:
            put(csv, header, row)
        written = str(raised.value).partition("`delimiter: ")[2].partition("`")[0]
    csv.contract("bank", CSV + f"delimiter: {written}\n")
    put(csv, header, row)
    assert len(csv.events()) == 1


def test_a_missing_column_refuses_the_file_and_names_the_nearest(csv: World) -> None:
    with pytest.raises(DataError, match=r"in\.csv.*no column `account`.*Did you mean `acount`"):
        put(csv, HEADER.replace(b"account", b"acount"), ROW)
    assert csv.events() == []


@pytest.mark.parametrize("content", [b"", HEADER, HEADER + b"\n"])
def test_a_csv_without_rows_lands_nothing(csv: World, content: bytes) -> None:
    path = csv.folder / "in.csv"
    path.write_bytes(content)
    assert csv.land(path, source="bank").lines == 0


@pytest.mark.torture
@pytest.mark.parametrize(
    "before",
    [b"\n", b"\r\n \t\r\n", b"\xef\xbb\xbf\n", b" " * (1 << 20) + b"\n" + b"\n" * (2 << 20)],
    ids=["one", "white", "bom", "megabytes"],
)
def test_the_header_is_the_first_line_that_is_not_blank(csv: World, before: bytes) -> None:
    path = csv.folder / "in.csv"
    path.write_bytes(before + HEADER + b"\n\n" + ROW + b"\n")
    assert csv.land(path, source="bank").landed == 1
    assert csv.events("user_id, line") == [("7", before.count(b"\n") + 3)]


def test_jsonl_rows_keep_types_and_exact_ids(world: World) -> None:
    world.contract(
        "api", "format: jsonl\nmapping: {type: kind, event: name, user_id: uid, timestamp: at, properties: all}\n"
        "timestamps: {format: epoch_ms}\n"
    )  # fmt: skip
    row = b'{"kind":"track","name":"N","uid":9007199254740993,"at":1790841600000,"n":12345678901234567890123,"o":{"x":null}}'  # noqa: E501
    bad = [
        b'{"kind":"track","name":"N","uid":1,"at":1790841600000,"o":{"x":1,"x":1}}',
        b"[1]",
        b"{",
        row.replace(b"null", b"NaN"),
    ]
    done = world.lines(row, *bad, source="api")
    assert done.reasons == {"duplicate_key": 1, "not_an_object": 1, "cut_short": 1, "not_a_number": 1}
    assert world.events("user_id, event_at::varchar, properties") == [
        ("9007199254740993", "2026-10-01 08:00:00", '{"n":12345678901234567890123,"o":{"x":null}}')
    ]


def parquet(world: World, name: str, query: str) -> Path:
    path = world.folder / name
    connection = duckdb.connect()
    connection.execute(f"copy ({query}) to '{path}' (format parquet)")
    connection.close()
    return path


SHOP = """
format: parquet
tables:
  "*_accounts.parquet":
    type: identify
    user_id: account_id
    timestamp: founded_on
    traits: {channel: channel, email: {format: "{account_id}@example.test"}}
  "*_events.parquet":
    type: track
    event: event_type
    user_id: account_id
    timestamp: event_time
    properties: all
"""


def test_parquet_is_cast_exactly_and_each_kind_of_file_has_its_mapping(world: World) -> None:
    world.contract("shop", SHOP)
    accounts = parquet(
        world,
        "b_accounts.parquet",
        "select 9007199254740993 as account_id, date '2024-01-02' as founded_on, 'web' as channel",
    )
    events = parquet(
        world, "b_events.parquet",
        "select 7::bigint as account_id, timestamp '2024-01-01 02:41:33' as event_time, 'E' as event_type,"
        " 1.5::double as v,"
        " null::int as w, 1.10::decimal(20, 2) as d, true as t union all select null, timestamp '2024-01-01',"
        " 'E', 'nan'::double, 1, 1, false",
    )  # fmt: skip
    done = world.land(accounts, events, source="shop")
    assert done.reasons == {"id_missing": 1}
    got = {row[0]: row[1:] for row in world.events("type, user_id, event_at::varchar, properties, traits, line")}
    assert got["identify"] == (
        "9007199254740993", "2024-01-02 00:00:00", None, '{"channel":"web","email":"9007199254740993@example.test"}', 1
    )  # fmt: skip
    assert got["track"] == ("7", "2024-01-01 02:41:33", '{"v":1.5,"d":"1.10","t":true}', None, 1)
    with pytest.raises(DataError, match="no mapping"):
        world.land(parquet(world, "other.parquet", "select 1 as x"), source="shop")


def test_an_id_column_of_floats_is_refused(world: World) -> None:
    world.contract("shop", SHOP)
    path = parquet(
        world,
        "x_accounts.parquet",
        "select 7.0::double as account_id, date '2024-01-02' as founded_on, 'web' as channel",
    )
    with pytest.raises(DataError, match="DOUBLE"):
        world.land(path, source="shop")


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1 and more PAR1"])
def test_a_file_that_is_no_parquet_is_refused(world: World, content: bytes) -> None:
    world.contract("shop", SHOP)
    path = world.folder / "x_accounts.parquet"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"x_accounts\.parquet"):
        world.land(path, source="shop")


def test_a_line_is_judged_by_the_mapping_of_its_own_file(world: World) -> None:
    """An id has one spelling: 1.5 and 1.50 were one person under two names, whatever the file read after it maps."""
    world.contract(
        "app",
        "format: jsonl\ntables:\n"
        '  "*_paid.jsonl": {type: track, event: event, user_id: who, timestamp: at}\n'
        '  "*_people.jsonl": {type: identify, user_id: customer, timestamp: at}\n',
    )
    paid, people = world.folder / "a_paid.jsonl", world.folder / "b_people.jsonl"
    paid.write_bytes(b'{"event":"Paid","who":1.50,"at":"2026-10-01T08:00:00Z"}\n')
    people.write_bytes(b'{"customer":"u1","who":1.50,"at":"2026-10-01T08:00:00Z"}\n')
    done = world.land(paid, people)
    assert (done.landed, done.reasons) == (1, {"id_not_exact": 1})
