"""What every room's tests may share: the small company, landed and run once a session, to be copied."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from tailrace.pipeline import spine
from tailrace.samples.company import Sample
from tests.installation import Installation, first_run_at, small_company


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep each module on one worker, for its fixtures build warehouses, and start the slow ones first."""
    for item in items:
        if item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(item.nodeid.partition("::")[0]))
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


@dataclass(frozen=True)
class Company:
    """A small company after its first run (a baseline); `sample.daily` are the days to come."""

    base: Installation
    sample: Sample

    def copy(self, to: Path, project_dir: Path | None = None) -> Installation:
        return self.base.copy(to, project_dir)


@pytest.fixture(scope="session")
def company(tmp_path_factory: pytest.TempPathFactory) -> Company:
    """The company after its first run. Copy it before changing anything."""
    root = tmp_path_factory.mktemp("company")
    sample = small_company(root / "files")
    base = Installation(root / "data")
    for file in sample.history:
        base.drop(file.path)
    spine.run(base.settings, first_run_at(sample))
    return Company(base, sample)
