"""What time is it where a person lives, and when do they next may be written to? Local time, set-wise, in DuckDB.

Only the people and hours in question flow through here: `zones` finds the zone of those in the table `asked`, and
`openings` works on distinct zones and hours, of which there are hundreds, not on people. Moments are zone-less UTC
timestamps; minutes are minutes of a local day.
"""

from __future__ import annotations

from datetime import datetime
from functools import cache
from importlib import resources

import duckdb
import pyarrow as pa

from tailrace import engine
from tailrace.engine import statement

_PACKAGE = "tailrace.planning"

# zone.tab lists a country's zones from one end to the other; for these the first is not where most people live.
_MAIN = {
    "AU": "Australia/Sydney",
    "BR": "America/Sao_Paulo",
    "CA": "America/Toronto",
    "FM": "Pacific/Pohnpei",
    "RU": "Europe/Moscow",
    "UA": "Europe/Kyiv",
    "UZ": "Asia/Tashkent",
}
# What people write that iso3166.tab does not.
_ALSO = {"uk": "GB", "united kingdom": "GB", "great britain": "GB", "usa": "US", "united states of america": "US"}

_MACROS = {
    # The local time in `zone` at `moment`.
    "local_time(zone, moment)": "timezone(zone, timezone('UTC', moment))",
    # How many seconds local time in `zone` is ahead of UTC at `moment`.
    "seconds_east(zone, moment)": "((epoch_us(local_time(zone, moment)) - epoch_us(moment)) // 1000000)",
    "_seconds_of_day(local)": "((epoch_us(local) % 86400000000) / 1000000)",
    # Whether a local time lies in a span of hours on those days (Monday is 1). One that ends before it starts goes on
    # after midnight and belongs to the day on which it started.
    "in_hours(local, days, from_minute, to_minute)": """
        case
            when to_minute > from_minute
                then list_contains(days, isodow(local)) and _seconds_of_day(local) >= from_minute * 60
                    and _seconds_of_day(local) < to_minute * 60
            else (list_contains(days, isodow(local)) and _seconds_of_day(local) >= from_minute * 60)
                or (list_contains(days, isodow(local - interval 1 day)) and _seconds_of_day(local) < to_minute * 60)
        end""",
    # The two moments that a local time can be, by the offsets of the day before and the day after.
    "_earliest(zone, local)": """
        local - to_seconds(
            greatest(seconds_east(zone, local - interval 1 day), seconds_east(zone, local + interval 1 day))
        )
    """,
    "_latest(zone, local)": """
        local - to_seconds(
            least(seconds_east(zone, local - interval 1 day), seconds_east(zone, local + interval 1 day))
        )
    """,
    # The moment at which it is `local` in `zone`: the first one when that comes twice, the instant after the gap when
    # a clock change leaves it out.
    "at_local(zone, local)": """
        case
            when local_time(zone, _earliest(zone, local)) = local then _earliest(zone, local)
            when local_time(zone, _latest(zone, local)) = local then _latest(zone, local)
            else list_filter(
                generate_series(_earliest(zone, local), _latest(zone, local), interval 1 minute),
                lambda moment: local_time(zone, moment) > local
            )[1]
        end""",
}


def define_time(connection: duckdb.DuckDBPyConnection) -> None:
    """Make the SQL macros local_time, seconds_east, in_hours and at_local, and, unless it is there, `zoneless`."""
    connection.execute("create temp table if not exists zoneless (person_id bigint)")
    for name, meaning in _MACROS.items():
        connection.execute(f"create or replace temp macro {name} as {meaning}")


def zones(connection: duckdb.DuckDBPyConnection, project_zone: str) -> int:
    """Make `zones` (person_id, zone, is_unknown) for the people of the table `asked`; return how many are unknown.

    Those are added to `zoneless` (`define_time` makes it): zones are asked for more than once while a plan is made.
    A person's zone is `dim_people.timezone` if it is an IANA name that DuckDB knows (in any case), else the main zone
    of `dim_people.country` (a code or an English name), else `project_zone`: then it is unknown.
    """
    connection.register("iana_zones", pa.table({"name": _iana_zones()}))
    countries = _country_zones()
    connection.register("country_zones", pa.table({"country": list(countries), "zone": list(countries.values())}))
    found = engine.columns(connection, "wh.core.dim_people")
    query = statement(_PACKAGE, "zones")
    for column in ("timezone", "country"):
        query = query.replace(f"{{{column}}}", f"people.{column}" if column in found else "null")
    connection.execute(f"create or replace temp table zones as {query}", {"project_zone": project_zone})
    connection.unregister("iana_zones")
    connection.unregister("country_zones")
    connection.execute("insert into zoneless select person_id from zones where is_unknown")
    return int(engine.row(connection, "select count(*) from zones where is_unknown")[0])


def openings(connection: duckdb.DuckDBPyConnection, as_of: datetime) -> None:
    """Make `openings` (hours_id, opens_at) from the table `hours`: the first open moment from `as_of` (naive UTC) on.

    `hours` has hours_id, zone, and two spans of local time, each a list of days (null: none) with minutes: the window
    (days, from_minute, to_minute) and the quiet hours (quiet_days, quiet_from, quiet_to). opens_at is null when
    nothing opens within 16 days: then the two leave nothing of the week.
    """
    connection.execute(f"create or replace temp table openings as {statement(_PACKAGE, 'openings')}", {"as_of": as_of})


@cache
def _iana_zones() -> list[str]:
    return resources.files("tzdata").joinpath("zones").read_text(encoding="utf-8").split()


@cache
def _country_zones() -> dict[str, str]:
    """Return the main zone of each country, by its code and its name in small letters."""
    first: dict[str, str] = {}
    for code, _, zone, *_ in _rows_of("zone.tab"):
        first.setdefault(code, zone)
    first |= _MAIN
    by_name = {name.lower(): code for code, name in _rows_of("iso3166.tab")} | _ALSO
    return {code.lower(): zone for code, zone in first.items()} | {
        name: first[code] for name, code in by_name.items() if code in first
    }


def _rows_of(name: str) -> list[list[str]]:
    text = resources.files("tzdata.zoneinfo").joinpath(name).read_text(encoding="utf-8")
    return [line.split("\t") for line in text.splitlines() if line and not line.startswith("#")]
