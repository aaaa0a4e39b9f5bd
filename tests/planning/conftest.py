from pathlib import Path

import pytest

from tailrace.planning import exits
from tests.planning.world import World


@pytest.fixture
def world(tmp_path: Path) -> World:
    """An empty warehouse and plan store."""
    return World(tmp_path)


@pytest.fixture(params=[0.0, 1.0], ids=["of the passes", "of people first"])
def asked(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Goals and exits are asked of what the passes say, or of people first: the plan is the same."""
    monkeypatch.setattr(exits, "FEW", request.param)
