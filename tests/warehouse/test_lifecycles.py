"""What is told of somebody load by load is what is told of all their days at once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import duckdb
import pytest

from tailrace import clock
from tailrace.settings import Settings
from tailrace.warehouse.build import build
from tests.warehouse.cast import call, land, track
from tests.warehouse.conftest import Built
from tests.warehouse.test_build import elsewhere, rows

OPENS = datetime(2025, 6, 1, tzinfo=UTC)
NAMES = (
    "logged_in",
    "report_exported",
    "project_created",
    "visited",
    "subscription_started",
    "subscription_renewed",
    "subscription_cancelled",
    "told",
)
AS_OF = clock.parse("2026-06-01T06:00:00Z")
TOLD = (
    ("core", "fct_person_days"),
    ("core", "fct_person_totals"),
    ("core", "fct_person_profiles"),
    ("states", "fct_saas_lifecycles"),
)


def lived(random: Random, user: str) -> list[dict[str, Any]]:
    """A year of somebody's: uses hours or months apart, visits, subscriptions that end and begin again."""
    at = OPENS + timedelta(hours=random.randrange(24 * 40))
    events = [call("identify", clock.iso(at), user, traits={"plan": "free"})]
    while (at := at + timedelta(hours=random.choice([1, 5, 24, 24 * 6, 24 * 20, 24 * 40, 24 * 100]))) < AS_OF:
        name = random.choice(NAMES)
        if name == "told":
            events.append(
                call("identify", clock.iso(at), user, traits={random.choice(["plan", "company"]): clock.iso(at)})
            )
            continue
        said = {"ends_at": clock.iso(at + timedelta(days=random.choice([-3, 2, 30])))} if "cancelled" in name else {}
        events.append(
            track(user, name, clock.iso(at), **said) if name != "visited" else call("page", clock.iso(at), user)
        )
    return events


@pytest.mark.torture
def test_people_who_go_on_have_the_periods_of_a_life_told_at_once(started: Built, tmp_path: Path) -> None:
    random = Random(20261122)
    events = [event for number in range(400) for event in lived(random, f"user-{number}")]
    events.sort(key=lambda event: event["timestamp"])
    # Nearly all come in order, as days do; some are late, by days or months.
    late = random.sample(events, 60)
    on_time = [event for event in events if event not in late]
    cuts = ["2025-12-01", "2026-02-10", "2026-02-11"]
    parts: list[list[dict[str, Any]]] = [[], [], [], []]
    for event in on_time:
        parts[sum(event["timestamp"] >= cut for cut in cuts)].append(event)
    parts[2] += late[::2]
    parts[3] += late[1::2]
    loads = [land(tmp_path / f"landing-{seq}", part, seq=10 + seq) for seq, part in enumerate(parts)]

    settings = elsewhere(started.settings, "by-load")
    for number in range(1, len(loads) + 1):
        build(settings, AS_OF, loads[:number])
    whole = elsewhere(started.settings, "whole")
    build(whole, AS_OF, loads)

    for schema, table in TOLD:
        assert rows(settings, schema, table) == rows(whole, schema, table), table
    stood, people = _stood(settings)
    assert stood > people / 2, "most of them went on: their first periods stand as the first load told them"
    assert _stood(whole)[0] == people


def _stood(settings: Settings) -> tuple[int, int]:
    """People whose first period was written in the first build, and people."""
    connection = duckdb.connect(str(settings.warehouse), read_only=True)
    try:
        (found,) = connection.execute(
            "select count(*) filter (written_in = 1), count(*) from states.fct_saas_lifecycles"
            " where previous_state is null"
        ).fetchall()
    finally:
        connection.close()
    return found
