"""What is an attribute of a person, when several things were said of it? Through real dbt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tailrace.settings import Settings
from tailrace.warehouse.build import build
from tests.installation import read_before
from tests.warehouse.cast import PROJECT, call, land, track
from tests.warehouse.conftest import AS_OF, Built


def said(user: str, day: int, /, event_id: str | None = None, **traits: Any) -> dict[str, Any]:
    about = {} if event_id is None else {"messageId": event_id}
    return call("identify", f"2026-02-{day:02d}T00:00:00Z", user, traits=traits, **about)


FIRST = [
    said("null", 1, email="a@app.example", first_name="Ann"),
    said("null", 2, email=None),
    said("empty", 1, first_name="Bob"),
    said("empty", 2, first_name=""),
    said("blank", 1, company="Mill"),
    said("blank", 2, company="  "),
    said("again", 1, country="DE"),
    said("again", 2, country=None),
    said("again", 3, country="FR"),
    said("not named", 1, first_name="Eve"),
    said("not named", 2, email="eve@app.example", last_name=None),
    said("deeper", 1, email="gus@app.example"),
    said("deeper", 2, address={"email": None, "email ": ""}),
    said("a number", 1, plan="pro", billing="yearly"),
    said("a number", 2, plan=None, billing=0),
    said("not yet", 1, email="kim@app.example"),
    call("identify", "2026-03-01T06:00:01Z", "not yet", traits={"email": None}),
    # Of one instant, the event id decides.
    said("at once", 1, "b", email="b@app.example"),
    said("at once", 1, "a", email=None),
    said("at once, too", 1, "d", email=None),
    said("at once, too", 1, "c", email="c@app.example"),
    # An event is no account of a person: what it leaves empty stays.
    track("an event", "subscription_started", "2026-02-01T00:00:00Z", plan="pro", mrr="10"),
    track("an event", "subscription_renewed", "2026-02-02T00:00:00Z", plan=None, mrr=""),
    said("late", 2, email=None),
    # As the Segment spec has them; ours are before those.
    said("segment", 1, firstName="Lea", company={"name": "Weir", "id": 7}, address={"country": "NL", "city": None}),
    said("both", 1, firstName="No", first_name="Max", company="Mill", address="Ulm", country="DE"),
    said("both", 2, firstName="", first_name="Max", company={"id": 7}, address=None),
    said("spec none", 1, firstName="Leo", company={"name": "Weir"}, address={"country": "NL"}),
    said("spec none", 2, firstName=None, company=None, country=None),
]
SECOND = [said("late", 1, email="hal@app.example"), said("other source", 1, email="ida@crm.example", first_name="Ida")]
CRM = [said("other source", 2, email=None, first_name=None)]

TOLD: Mapping[str, tuple[Any, ...]] = {
    "null": (None, "Ann", None, None, None, None),
    "empty": (None, None, None, None, None, None),
    "blank": (None, None, None, None, None, None),
    "again": (None, None, None, "FR", None, None),
    "not named": ("eve@app.example", "Eve", None, None, None, None),
    "deeper": ("gus@app.example", None, None, None, None, None),
    "a number": (None, None, None, None, None, None),
    "not yet": ("kim@app.example", None, None, None, None, None),
    "at once": ("b@app.example", None, None, None, None, None),
    "at once, too": (None, None, None, None, None, None),
    "an event": (None, None, None, None, "pro", 10),
    "late": (None, None, None, None, None, None),
    "segment": (None, "Lea", "Weir", "NL", None, None),
    "both": (None, "Max", "Mill", "DE", None, None),
    "spec none": (None, None, None, None, None, None),
    "other source": (None, None, None, None, None, None),
}


def told(built: Built) -> dict[str, tuple[Any, ...]]:
    rows = built.ask("select user_id, email, first_name, company, country, plan, mrr from core.dim_people")
    return {user: tuple(values) for user, *values in rows}


def made(cast: Built, root: Path, *builds: Sequence[int], owners: Mapping[str, str] | None = None) -> Built:
    """Build once for each of `builds`, with the loads of these numbers."""
    settings = read_before(Settings(data_dir=root / "data", project_dir=PROJECT), cast.settings)
    events = ((FIRST, "app"), (SECOND, "app"), (CRM, "crm"))
    loads = [land(root / source / str(n), rows, seq=n + 1, source=source) for n, (rows, source) in enumerate(events)]
    for numbers in builds:
        seen = tuple(loads[n] for n in numbers)
        generation = build(settings, AS_OF, seen, owners=owners or {})
    return Built(settings, generation, seen)


TIMES: Mapping[str, Any] = {
    "2026-01-02T03:04:05+01:00": "2026-01-02 02:04:05",
    "2026-01-02 03:04:05": "2026-01-02 03:04:05",
    "2026-01-02": "2026-01-02 00:00:00",
    # As Customer.io has them, as a number and as text.
    1767323045: "2026-01-02 03:04:05",
    "999999999": "2001-09-09 01:46:39",
    # Neither is a number of another unit, nor what only looks like a time.
    1767323045000: None,
    "20260102": None,
    "17673230.5": None,
    "soon": None,
    "infinity": None,
}


def test_a_time_is_read_as_iso_8601_or_as_unix_seconds(cast: Built, tmp_path: Path) -> None:
    settings = read_before(Settings(data_dir=tmp_path / "data", project_dir=PROJECT), cast.settings)
    said = [
        call("identify", "2026-02-01T00:00:00Z", str(n), traits={"renewsAt": written})
        for n, written in enumerate(TIMES)
    ]
    loads = (land(tmp_path / "a", said),)
    built = Built(settings, build(settings, AS_OF, loads), loads)
    ask = (
        "select told.renews_at::varchar from core.fct_person_profiles as told join core.dim_people using (person_id)"
        " order by user_id::int"
    )
    assert dict(zip(TIMES, (at for (at,) in built.ask(ask)), strict=True)) == TIMES


@pytest.mark.parametrize(
    "builds", [[(0, 1, 2)], [(2,), (1, 2), (0, 1, 2)]], ids=["all at once", "one after the other, the last one first"]
)
def test_the_last_word_counts_and_who_says_that_there_is_none_has_none(
    cast: Built, tmp_path: Path, builds: list[tuple[int, ...]]
) -> None:
    assert told(made(cast, tmp_path, *builds)) == TOLD


def test_who_does_not_own_an_attribute_does_not_clear_it(cast: Built, tmp_path: Path) -> None:
    built = made(cast, tmp_path, (0, 1, 2), owners={"email": "app"})
    assert told(built) == {**TOLD, "other source": ("ida@crm.example", None, None, None, None, None)}
