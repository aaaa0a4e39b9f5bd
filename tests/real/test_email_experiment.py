"""The published experiment: 64,000 people, two e-mails and nobody's."""

import duckdb
import pytest

from tailrace.reports.measurement import MISMATCH, Group, lift, mismatch
from tests.real.data import DATA

EXPERIMENT = DATA / "email_experiment" / "hillstrom.parquet"
pytestmark = pytest.mark.skipif(not EXPERIMENT.exists(), reason="the experiment's data is not here")


def _groups() -> dict[str, Group]:
    rows = duckdb.sql(f"select segment, count(*), sum(visit) from '{EXPERIMENT}' group by segment").fetchall()
    return {segment: Group(people, int(visits)) for segment, people, visits in rows}


def test_the_lifts_are_the_published_ones() -> None:
    groups = _groups()
    nobody = next(group for name, group in groups.items() if name.lower().startswith("no"))
    found = {name: lift(group, nobody) for name, group in groups.items() if group is not nobody}
    points = sorted(round(each.points, 2) for each in found.values() if each)
    assert points == [4.52, 7.66]
    assert all(each and each.is_enough and each.low > 0 for each in found.values())


def test_the_split_in_thirds_is_no_mismatch() -> None:
    people = {name: group.people for name, group in _groups().items()}
    assert sum(people.values()) == 64_000
    found = mismatch(people, dict.fromkeys(people, 1.0))
    assert found is not None
    assert found > MISMATCH
