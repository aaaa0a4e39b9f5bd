"""What every room's tests may share: the small company after its first run and after its first day, to be copied."""

from __future__ import annotations

import fcntl
import gc
import os
import pickle
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pytest

from tailrace.pipeline import spine
from tailrace.pipeline.result import Result
from tailrace.samples.company import Sample
from tailrace.settings import Settings
from tailrace.warehouse import runner
from tests import examples
from tests.installation import Installation, at, first_run_at, read_before, small_company

examples.register()

# The files that take longest in `make test` or in `make torture`, longest first: whoever starts with them ends with
# something short. The second needs nothing that the first worker makes for all.
FIRST = (
    "torture/test_kill.py",
    "simulator/test_engine_agrees.py",
    "real/test_health.py",
    "real/test_b2c.py",
    "pipeline/test_erasing.py",
    "pipeline/test_backtest.py",
    "warehouse/test_build.py",
    "pipeline/test_corrections.py",
    "real/test_shop.py",
    "pipeline/test_any_order.py",
    "programmes/test_health_data.py",
    "warehouse/test_identity.py",
    "pipeline/test_collecting.py",
    "pipeline/test_backfilling.py",
    "cli/test_work.py",
    "programmes/test_commerce.py",
    "programmes/test_saas.py",
    "test_docs.py",
    "torture/test_nobody_left.py",
    "flows/test_flows.py",
    "planning/test_in_flight.py",
    "torture/test_contention.py",
    "torture/test_disk.py",
    "pipeline/test_determinism.py",
    "torture/test_canary.py",
    "torture/test_network.py",
    "warehouse/test_sparing.py",
    "warehouse/test_checked_ownership.py",
    "warehouse/test_ownership.py",
    "landing/test_memory.py",
    "planning/test_merges.py",
    "pipeline/test_ownership.py",
    "pipeline/test_acting.py",
    "real/test_online_retail.py",
    "warehouse/test_warm.py",
    "pipeline/test_running_twice.py",
)

# Memory that is a file system, and what the tests take of it at most, twice.
SHARED_MEMORY = Path("/dev/shm")
ROOM = 3 << 30


def pytest_configure(config: pytest.Config) -> None:
    """Put what the tests write into memory where there is room and nobody named another place.

    Whatever is durable is fsynced, and a disk takes as long for that as the tests for all else. What is killed here
    are processes, never the machine: it shows nothing that memory would hide.
    """
    if config.option.basetemp is None and is_roomy(SHARED_MEMORY):
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(SHARED_MEMORY))


def is_roomy(folder: Path) -> bool:
    try:
        free = shutil.disk_usage(folder).free
        facts = Path("/proc/meminfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return False
    available = next(int(line.split()[1]) * 1024 for line in facts if line.startswith("MemAvailable:"))
    # What is written there is taken from the memory that the tests themselves need.
    return free >= ROOM and available >= 2 * ROOM


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files that take longest first; `--dist loadfile` keeps each on one worker, for its fixtures build."""
    ranks = {Path(__file__).parent / name: rank for rank, name in enumerate(FIRST)}

    def rank(item: pytest.Item) -> tuple[int, bool]:
        return ranks.get(item.path, len(ranks)), item.get_closest_marker("slow") is None

    items.sort(key=rank)


def pytest_collection_finish() -> None:
    """Pass over what was collected whenever garbage is looked for: thousands of tests, which all stay to the end."""
    gc.freeze()


Made = TypeVar("Made")


@dataclass(frozen=True)
class Company:
    """A small company after its first run (a baseline); `sample.daily` are the days to come."""

    base: Installation
    sample: Sample

    def copy(self, to: Path, project_dir: Path | None = None) -> Installation:
        return self.base.copy(to, project_dir)

    def empty(self, to: Path) -> Installation:
        """Return an installation in which nothing has happened, but that its dbt has read the project before."""
        made = Installation(to, self.base.project_dir)
        read_before(made.settings, self.base.settings)
        return made


def once(tmp_path_factory: pytest.TempPathFactory, name: str, make: Callable[[Path], Made]) -> Made:
    """Return what `make` made in a folder of its own: made once for all workers, by the one that comes first.

    Nobody changes it: other workers read it at the same time.
    """
    root = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent
    folder = root / "once" / name
    folder.mkdir(parents=True, exist_ok=True)
    made = folder / "made.pickle"
    with (folder / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            made.write_bytes(pickle.dumps(make(Path(tempfile.mkdtemp(dir=folder)))))
        found: Made = pickle.loads(made.read_bytes())
    return found


@pytest.fixture(scope="session")
def read(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """An installation in which nothing has happened, but that its dbt has read the project. Only to be copied."""

    def make(root: Path) -> Settings:
        settings = Installation(root).settings
        runner.parse(settings)
        return settings

    return once(tmp_path_factory, "read", make)


@pytest.fixture(scope="session")
def company(read: Settings, tmp_path_factory: pytest.TempPathFactory) -> Company:
    """The company after its first run. Copy it before changing anything."""

    def make(root: Path) -> Company:
        sample = small_company(root / "files")
        base = Installation(root / "data")
        read_before(base.settings, read)
        for file in sample.history:
            base.drop(file.path)
        spine.run(base.settings, first_run_at(sample))
        return Company(base, sample)

    made = once(tmp_path_factory, "company", make)
    return Company(made.copy(tmp_path_factory.mktemp("company") / "data"), made.sample)


@pytest.fixture(scope="session")
def first_day(company: Company, tmp_path_factory: pytest.TempPathFactory) -> tuple[Installation, Result]:
    """The company after the first day that has messages, and what the run of that day came to."""

    def make(root: Path) -> tuple[Installation, Result]:
        installation = company.copy(root / "data")
        file = company.sample.daily[0]
        installation.drop(file.path)
        result = spine.run(installation.settings, at(file.last_on, 23))
        assert result.steps["deliver"]["messages"]["accepted"] > 0
        return installation, result

    installation, result = once(tmp_path_factory, "first-day", make)
    return installation.copy(tmp_path_factory.mktemp("day") / "data"), result


@pytest.fixture(scope="session")
def day(first_day: tuple[Installation, Result]) -> Installation:
    """The company after the first day that has messages. Read it, or copy it before changing anything."""
    return first_day[0]
