"""Warehouses built by real dbt on the cast. A build costs seconds, so tests that only look share one."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tailrace import clock
from tailrace.settings import Settings
from tailrace.warehouse.build import Generation, build
from tailrace.warehouse.landed import LoadFiles
from tests.conftest import once
from tests.installation import read_before
from tests.warehouse.cast import PROJECT, cast_events, land

AS_OF = clock.parse("2026-03-01T06:00:00Z")


@dataclass(frozen=True)
class Built:
    """A warehouse on disk, what it was built from, and a way to ask it."""

    settings: Settings
    generation: Generation
    loads: tuple[LoadFiles, ...]

    def ask(self, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        connection = duckdb.connect(str(self.settings.warehouse), read_only=True)
        try:
            return connection.execute(sql, list(parameters)).fetchall()
        finally:
            connection.close()

    def copy(self, to: Path) -> Built:
        """Return a copy in the data directory `to`, to be built on: it is as a first build leaves it."""
        shutil.copytree(self.settings.data_dir, to)
        return replace(self, settings=replace(self.settings, data_dir=to))

    def members(self, segment: str) -> set[str]:
        rows = self.ask(f"select user_id from segments.{segment} join core.dim_people using (person_id)")
        return {user_id for (user_id,) in rows}


def on_time() -> list[dict[str, Any]]:
    return [event for event in cast_events() if "receivedAt" not in event]


def late() -> list[dict[str, Any]]:
    return [event for event in cast_events() if "receivedAt" in event]


def land_late(folder: Path, seq: int = 2) -> LoadFiles:
    return land(folder, late(), seq=seq, landed_at="2026-03-02T05:00:00Z")


@pytest.fixture(scope="session")
def cast(read: Settings, tmp_path_factory: pytest.TempPathFactory) -> Built:
    """The cast without its late events, as of AS_OF. Only to be looked at."""

    def make(root: Path) -> Built:
        settings = read_before(Settings(data_dir=root / "data", project_dir=PROJECT), read)
        loads = (land(root / "landing", on_time()),)
        return Built(settings, build(settings, AS_OF, loads), loads)

    return once(tmp_path_factory, "cast", make).copy(tmp_path_factory.mktemp("cast") / "data")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """An empty installation of its own, with the project of the repository."""
    return Settings(data_dir=tmp_path / "data", project_dir=PROJECT)


@pytest.fixture
def parsed(settings: Settings, cast: Built) -> Settings:
    """An installation without a warehouse whose dbt has read the project before."""
    return read_before(settings, cast.settings)


@pytest.fixture
def started(cast: Built, tmp_path: Path) -> Built:
    """The cast in an installation of its own, after a first build as of AS_OF."""
    return cast.copy(tmp_path / "data")


@pytest.fixture
def project(tmp_path: Path) -> Callable[[dict[str, str]], Path]:
    """Make a copy of the project in which files have other content (path in the project → text)."""

    def copy(files: dict[str, str]) -> Path:
        target = tmp_path / "project"
        shutil.copytree(PROJECT, target)
        for name, text in files.items():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            (target / name).write_text(text, encoding="utf-8")
        return target

    return copy
