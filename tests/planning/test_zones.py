"""Local time in DuckDB against an oracle that walks the minutes in plain Python."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace.planning import zones
from tests.examples import examples

MINUTE = timedelta(minutes=1)

# DuckDB and the oracle each bring their own rules: only zones whose rules have not been changed lately.
ZONES = [
    *(f"Etc/GMT{sign}{hours}" for sign, most in (("+", 12), ("-", 14)) for hours in range(1, most + 1)),
    *("Asia/Kathmandu", "Asia/Kolkata", "Pacific/Chatham", "Pacific/Kiritimati", "Pacific/Pago_Pago", "UTC"),
    *("Australia/Lord_Howe", "Australia/Adelaide", "America/St_Johns", "America/New_York", "America/Los_Angeles"),
    *("Europe/Berlin", "Europe/London", "Africa/Cairo", "America/Santiago", "America/Havana"),
    *("Pacific/Auckland", "America/Sao_Paulo", "Asia/Tokyo", "Atlantic/Azores", "Africa/Lagos"),
]

# The hours around which clocks change, in any of the zones above, besides any hour of a year.
CHANGES = [
    date(2026, 3, 8),
    date(2026, 3, 29),
    date(2026, 4, 5),
    date(2026, 10, 4),
    date(2026, 10, 25),
    date(2026, 11, 1),
]


@dataclass(frozen=True)
class Hours:
    days: tuple[int, ...]
    start: int
    end: int

    def hold(self, local: datetime) -> bool:
        """Whether the local time is in one of the spans that start on these days, said in words of days."""
        for back in (0, 1):
            day = local.date() - timedelta(days=back)
            if day.isoweekday() in self.days:
                begin = datetime.combine(day, time()) + self.start * MINUTE
                finish = datetime.combine(day, time()) + self.end * MINUTE
                if self.end <= self.start:
                    finish += timedelta(days=1)
                if begin <= local < finish:
                    return True
        return False


def is_open(at: datetime, zone: str, window: Hours | None, quiet: Hours | None) -> bool:
    local = at.replace(tzinfo=UTC).astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    return (window is None or window.hold(local)) and (quiet is None or not quiet.hold(local))


def first_open(as_of: datetime, zone: str, window: Hours | None, quiet: Hours | None) -> datetime | None:
    at = as_of
    while at < as_of + timedelta(days=9):
        if is_open(at, zone, window, quiet):
            return at
        at = at.replace(second=0, microsecond=0) + MINUTE
    return None


@pytest.fixture(scope="module")
def duck() -> Iterator[duckdb.DuckDBPyConnection]:
    connection = duckdb.connect()
    connection.execute("set timezone = 'UTC'; set threads = 1")
    zones.define_time(connection)
    yield connection
    connection.close()


def opens(
    connection: duckdb.DuckDBPyConnection, as_of: datetime, zone: str, window: Hours | None, quiet: Hours | None
) -> datetime | None:
    connection.execute(
        "create or replace temp table hours as select 1 as hours_id, $zone as zone, $days::integer[] as days,"
        " $from::integer as from_minute, $to::integer as to_minute, $quiet_days::integer[] as quiet_days,"
        " $quiet_from::integer as quiet_from, $quiet_to::integer as quiet_to",
        {
            "zone": zone,
            "days": list(window.days) if window else None,
            "from": window.start if window else None,
            "to": window.end if window else None,
            "quiet_days": list(quiet.days) if quiet else None,
            "quiet_from": quiet.start if quiet else None,
            "quiet_to": quiet.end if quiet else None,
        },
    )
    zones.openings(connection, as_of)
    row = connection.execute("select opens_at from openings").fetchone()
    assert row is not None
    return row[0]


minutes = st.one_of(st.integers(0, 1439), st.sampled_from([0, 1, 60, 90, 120, 150, 180, 540, 1080, 1320, 1439]))
days = st.sets(st.integers(1, 7), min_size=1).map(lambda found: tuple(sorted(found)))
hours = st.builds(Hours, days, minutes, st.one_of(minutes, st.just(1440)))
moments = st.one_of(
    st.builds(
        lambda day, seconds: datetime.combine(day, time()) + timedelta(seconds=seconds),
        st.sampled_from(CHANGES),
        st.integers(-86_400, 2 * 86_400),
    ),
    st.datetimes(datetime.fromisoformat("2026-01-01"), datetime.fromisoformat("2027-12-31")),
)


@pytest.mark.torture
@settings(max_examples=examples(100))
@given(as_of=moments, zone=st.sampled_from(ZONES), window=st.none() | hours, quiet=st.none() | hours)
def test_the_first_open_moment_is_the_one_that_walking_the_minutes_finds(
    duck: duckdb.DuckDBPyConnection, as_of: datetime, zone: str, window: Hours | None, quiet: Hours | None
) -> None:
    expected = first_open(as_of, zone, window, quiet)
    found = opens(duck, as_of, zone, window, quiet)

    if expected is None:
        # The walk ends after nine days; an opening that is further away has to be open, at least.
        assert found is None or (found >= as_of + timedelta(days=9) and is_open(found, zone, window, quiet))
    else:
        assert found == expected


@settings(max_examples=examples(100))
@given(
    day=st.sampled_from(CHANGES) | st.dates(date(2026, 1, 1), date(2027, 12, 31)),
    shift=st.integers(-1, 1),
    minute=minutes,
    zone=st.sampled_from(ZONES),
)
def test_a_local_time_is_the_first_moment_at_which_clocks_there_show_it_or_the_end_of_the_gap(
    duck: duckdb.DuckDBPyConnection, day: date, shift: int, minute: int, zone: str
) -> None:
    local = datetime.combine(day, time()) + timedelta(days=shift) + minute * MINUTE
    row = duck.execute("select at_local($zone, $local::timestamp)", {"zone": zone, "local": local}).fetchone()

    at, shown = local - timedelta(hours=15), ZoneInfo(zone)
    while at.replace(tzinfo=UTC).astimezone(shown).replace(tzinfo=None) < local:
        at += MINUTE
    assert row == (at,)


@pytest.mark.parametrize(
    ("zone", "local", "moment"),
    [
        ("Europe/Berlin", "2026-03-29 02:30", "2026-03-29 01:00"),
        ("Europe/Berlin", "2026-10-25 02:30", "2026-10-25 00:30"),
        ("Australia/Lord_Howe", "2026-10-04 02:10", "2026-10-03 15:30"),
        ("Pacific/Apia", "2011-12-30 09:00", "2011-12-30 10:00"),
    ],
)
def test_a_time_that_is_left_out_is_the_instant_after_and_one_that_comes_twice_the_first(
    duck: duckdb.DuckDBPyConnection, zone: str, local: str, moment: str
) -> None:
    row = duck.execute("select at_local($zone, $local::timestamp)", {"zone": zone, "local": local}).fetchone()

    assert row == (datetime.fromisoformat(moment),)


@pytest.mark.parametrize(
    ("window", "quiet"),
    [(Hours((1, 2, 3, 4, 5, 6, 7), 150, 1080), None), (None, Hours((1, 2, 3, 4, 5, 6, 7), 0, 150))],
)
def test_hours_that_begin_at_a_time_that_is_left_out_begin_at_the_end_of_the_gap(
    duck: duckdb.DuckDBPyConnection, window: Hours | None, quiet: Hours | None
) -> None:
    midnight, end_of_gap = datetime.fromisoformat("2026-03-08 05:00"), datetime.fromisoformat("2026-03-08 07:00")

    assert opens(duck, midnight, "America/New_York", window, quiet) == end_of_gap


def test_quiet_hours_that_cover_the_window_never_open(duck: duckdb.DuckDBPyConnection) -> None:
    window, quiet = Hours((1,), 540, 600), Hours((1, 2, 3, 4, 5, 6, 7), 480, 1080)

    assert opens(duck, datetime.fromisoformat("2026-01-01"), "Asia/Kathmandu", window, quiet) is None


def test_a_zone_is_the_attribute_else_the_country_else_the_projects_and_the_last_is_counted() -> None:
    said = {
        "a": ("Europe/Berlin", "US"),
        "b": (" america/new_york ", None),
        "c": ("Mars/Olympus", "nz"),
        "d": (None, "Australia"),
        "e": (None, "UK"),
        "f": ("PST", "XX"),
        "g": (None, None),
    }
    with duckdb.connect() as connection:
        connection.execute("attach ':memory:' as wh; create schema wh.core")
        zones.define_time(connection)
        connection.execute("create table wh.core.dim_people (person_id bigint, timezone varchar, country varchar)")
        rows = [(number, *said[name]) for number, name in enumerate(sorted(said))]
        connection.executemany("insert into wh.core.dim_people values (?, ?, ?)", rows)
        connection.execute("create temp table asked as select unnest(range(8)) as person_id union all select 1")

        assert zones.zones(connection, "Asia/Tokyo") == 3
        assert connection.execute("select zone from zones order by person_id").fetchall() == [
            ("Europe/Berlin",),
            ("America/New_York",),
            ("Pacific/Auckland",),
            ("Australia/Sydney",),
            ("Europe/London",),
            ("Asia/Tokyo",),
            ("Asia/Tokyo",),
            ("Asia/Tokyo",),
        ]


def test_people_without_such_columns_live_by_the_projects_clock() -> None:
    with duckdb.connect() as connection:
        connection.execute("attach ':memory:' as wh; create schema wh.core")
        zones.define_time(connection)
        connection.execute("create table wh.core.dim_people as select 1::bigint as person_id")
        connection.execute("create temp table asked as select 1::bigint as person_id")

        assert zones.zones(connection, "Asia/Tokyo") == 1
