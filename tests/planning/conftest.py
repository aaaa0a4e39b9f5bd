from pathlib import Path

import pytest

from tests.planning.world import World


@pytest.fixture
def world(tmp_path: Path) -> World:
    """An empty warehouse and plan store."""
    return World(tmp_path)
