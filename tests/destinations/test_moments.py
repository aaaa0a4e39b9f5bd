"""Times of a row as the warehouse really writes them, and as destinations read them."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import duckdb
import pytest

from tailrace.destinations.moments import instant, iso, millis, moment, unix, unix_within

FIVE = datetime(2026, 3, 1, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "zone"),
    [
        ("timestamp '2026-03-01 05:00:00'", "Europe/Berlin"),
        ("timestamptz '2026-03-01 05:00:00+00'", "Europe/Berlin"),
        ("timestamptz '2026-03-01 05:00:00+00'", "Asia/Kolkata"),
        ("timestamptz '2026-03-01 05:00:00+00'", "UTC"),
        ("timestamp_s '2026-03-01 05:00:00'", "UTC"),
    ],
)
def test_what_the_warehouse_writes_is_the_moment_it_means(value, zone):
    with duckdb.connect() as connection:
        connection.execute(f"set timezone = '{zone}'")
        ((text,),) = connection.execute(f"select to_json(struct_pack(at := {value}))::varchar").fetchall()
    told = json.loads(text)["at"]
    assert moment(told) == instant(told) == FIVE
    assert (unix(told), millis(told), iso(told)) == (1772341200, 1772341200000, "2026-03-01T05:00:00.000Z")


def test_a_fraction_is_kept_where_there_is_room_for_it():
    with duckdb.connect() as connection:
        ((text,),) = connection.execute("select to_json(timestamp '2026-03-01 05:00:00.123456')::varchar").fetchall()
    told = json.loads(text)
    assert (unix(told), millis(told), iso(told)) == (1772341200, 1772341200123, "2026-03-01T05:00:00.123Z")


def test_a_date_is_its_midnight_where_a_number_is_wanted_and_a_date_elsewhere():
    with duckdb.connect() as connection:
        ((text,),) = connection.execute("select to_json(date '2026-03-01')::varchar").fetchall()
    told = json.loads(text)
    assert (unix(told), iso(told), instant(told)) == (1772323200, "2026-03-01", None)


@pytest.mark.parametrize(
    "value",
    [
        "20260301",
        "2026-W09",
        "12 March",
        "2026-03-01 05:00:00 PDT",
        "2026-13-01",
        "x2026-03-01",
        "0000-01-01",
        "",
        7,
        None,
    ],
)
def test_what_is_no_moment_stays_what_it_is(value):
    assert moment(value) is None
    assert unix(value) == millis(value) == iso(value) == value


def test_before_1970_is_negative_and_nothing_is_rounded_up():
    assert unix("1969-12-31 23:59:59.5") == -1
    assert unix("1990-01-01") == 631152000


def test_moments_are_found_however_deep():
    assert unix_within({"a": [{"b": "2026-03-01T05:00:00Z"}, "x"], "c": True}) == {
        "a": [{"b": 1772341200}, "x"],
        "c": True,
    }
