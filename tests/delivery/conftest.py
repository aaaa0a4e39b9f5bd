from __future__ import annotations

import pytest
from delivery_world import Post, World
from receiver import Receiver


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


@pytest.fixture
def post():
    with Post() as running:
        yield running


@pytest.fixture
def receiver():
    running = Receiver()
    yield running
    running.close()
