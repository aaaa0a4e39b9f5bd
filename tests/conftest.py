"""What every room's tests may share: the small company, landed and run once a session, to be copied."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from tailrace.pipeline import spine
from tailrace.samples.company import Sample
from tests.installation import Installation, first_run_at, small_company

# The files that take longest, longest first: whoever starts with them ends with something short.
FIRST = (
    "torture/test_kill.py",
    "real/test_health.py",
    "pipeline/test_backtest.py",
    "real/test_shop.py",
    "programmes/test_saas.py",
    "simulator/test_engine_agrees.py",
    "programmes/test_telehealth.py",
    "programmes/test_commerce.py",
    "warehouse/test_build.py",
    "real/test_b2c.py",
    "torture/test_nobody_left.py",
    "torture/test_canary.py",
    "cli/test_work.py",
    "torture/test_disk.py",
    "torture/test_network.py",
    "torture/test_contention.py",
    "flows/test_flows.py",
    "test_docs.py",
    "real/test_online_retail.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files that take longest first; `--dist loadfile` keeps each on one worker, for its fixtures build."""
    ranks = {Path(__file__).parent / name: rank for rank, name in enumerate(FIRST)}

    def rank(item: pytest.Item) -> tuple[int, bool]:
        return ranks.get(item.path, len(ranks)), item.get_closest_marker("slow") is None

    items.sort(key=rank)


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
