"""A message leaves within its hours, also when delivery comes late."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb
import pytest
from delivery_world import T0
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.examples import examples

from tailrace.delivery.hours import is_open
from tailrace.planning.zones import define_time

KIM = "kim@people.test"
ZONES = ("UTC", "Pacific/Auckland", "America/New_York", "Asia/Kathmandu", "Etc/GMT+12", "Pacific/Kiritimati")
BY_DAY = {"zone": "UTC", "days": [1, 2, 3, 4, 5, 6, 7], "from": 540, "to": 1080}
NO_QUIET = {"quiet_days": None, "quiet_from": None, "quiet_to": None}

spans = st.tuples(
    st.lists(st.integers(1, 7), min_size=1, max_size=7, unique=True), st.integers(0, 1439), st.integers(1, 1440)
)


def hours_of(zone: str, window: Any, quiet: Any) -> dict[str, Any]:
    days, begins, ends = window or (None, None, None)
    quiet_days, quiet_from, quiet_to = quiet or (None, None, None)
    whole = {"zone": zone, "days": days, "from": begins, "to": ends}
    return whole | {"quiet_days": quiet_days, "quiet_from": quiet_from, "quiet_to": quiet_to}


def test_a_message_whose_hours_are_over_waits_for_the_next_ones(world, post):
    world.smtp(post.port)
    world.apply([KIM], hours=BY_DAY | NO_QUIET, wait=timedelta(hours=3))
    world.go_live()

    world.now = T0 + timedelta(hours=20)
    late = world.deliver()
    assert late.messages.codes == {"blocked:outside_hours": 1}
    assert world.states() == {KIM: "pending"}
    assert world.codes(KIM) == ["blocked:outside_hours"]

    world.now = T0 + timedelta(hours=28)
    assert world.deliver().messages.accepted == 1
    assert post.inbox.taken == {KIM: 1}


def test_a_message_that_meets_no_hours_expires(world, post):
    world.smtp(post.port)
    world.apply([KIM], hours=BY_DAY | NO_QUIET, expires=timedelta(hours=24))
    world.go_live()
    world.deliver()
    world.now = T0 + timedelta(hours=25)
    world.deliver()
    assert post.inbox.taken == {}
    assert world.states() == {KIM: "expired"}


@pytest.fixture(scope="module")
def planners_time() -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection that knows time as planning does."""
    with duckdb.connect() as connection:
        define_time(connection)
        yield connection


def is_open_to_planning(connection: duckdb.DuckDBPyConnection, hours: dict[str, Any], at: datetime) -> bool:
    found = connection.execute(
        "select coalesce(in_hours(local_time($zone, $at), $days::integer[], $begins, $ends), true)"
        " and not coalesce("
        "in_hours(local_time($zone, $at), $quiet_days::integer[], $quiet_from, $quiet_to), false)",
        {
            "zone": hours["zone"],
            "at": at,
            "days": hours["days"],
            "begins": hours["from"],
            "ends": hours["to"],
            **{name: hours[name] for name in NO_QUIET},
        },
    ).fetchone()
    assert found is not None
    return bool(found[0])


@pytest.mark.torture
@settings(max_examples=examples(300))
@given(
    st.sampled_from(ZONES),
    st.none() | spans,
    st.none() | spans,
    st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1)),  # noqa: DTZ001 (made aware below)
)
def test_delivery_and_planning_agree_on_what_is_open(
    planners_time: duckdb.DuckDBPyConnection, zone: str, window: Any, quiet: Any, at: datetime
) -> None:
    hours = hours_of(zone, window, quiet)
    assert is_open(hours, at.replace(tzinfo=UTC)) == is_open_to_planning(planners_time, hours, at)


@pytest.mark.parametrize("span", [([1], 540, 1080), ([1], 1320, 360)], ids=["by day", "over midnight"])
@pytest.mark.parametrize(
    ("minute", "second", "is_within"), [(-1, 59, False), (0, 0, True), ("last", 59, True), ("end", 0, False)]
)
def test_hours_begin_with_their_first_minute_and_are_over_when_they_end(
    planners_time: duckdb.DuckDBPyConnection, span: Any, minute: Any, second: int, is_within: bool
) -> None:
    _, begins, ends = span
    lasts = (ends - begins) % 1440
    after = {"last": lasts - 1, "end": lasts}.get(minute, minute)
    at = datetime(2026, 1, 5) + timedelta(minutes=begins + after, seconds=second)  # noqa: DTZ001 (a Monday)

    for hours, expected in (
        (hours_of("UTC", span, None), is_within),
        (hours_of("UTC", None, span), not is_within),
    ):
        assert is_open(hours, at.replace(tzinfo=UTC)) is expected
        assert is_open_to_planning(planners_time, hours, at) is expected
