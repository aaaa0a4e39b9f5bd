from pathlib import Path

import pytest

from tailrace.planning import exits
from tests.planning.world import World


@pytest.fixture
def world(tmp_path: Path) -> World:
    """An empty warehouse and plan store."""
    return World(tmp_path)


WAYS = {"of the passes": 0.0, "of people first": 1.0}


@pytest.fixture(params=WAYS.values(), ids=WAYS)
def asked_both_ways(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Goals and exits are asked of what the passes say, and of people first: the plan is the same."""
    monkeypatch.setattr(exits, "FEW", request.param)


@pytest.fixture(
    params=[pytest.param(few, id=way, marks=[pytest.mark.torture] * (few == 0.0)) for way, few in WAYS.items()]
)
def asked(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same; in `make test` of people first. The simulator's cases are asked either way (`Case.few`)."""
    monkeypatch.setattr(exits, "FEW", request.param)
