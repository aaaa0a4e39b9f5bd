from __future__ import annotations

import pytest
from delivery_world import Post, World


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


@pytest.fixture
def post():
    with Post() as running:
        yield running
