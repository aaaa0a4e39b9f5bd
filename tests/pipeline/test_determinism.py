"""Same landing, same definitions, same as_of: the same plan, byte for byte."""

from __future__ import annotations

import gzip
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from tailrace.pipeline import spine
from tailrace.planning.store import Store
from tests.conftest import Company
from tests.installation import Installation, at, first_run_at


def _shuffled(company: Company, root: Path) -> Installation:
    """The company's history with its lines dealt anew to other files, in another order."""
    lines = [line for file in company.sample.history for line in gzip.decompress(file.path.read_bytes()).splitlines()]
    Random(5).shuffle(lines)
    shuffled = company.empty(root / "data")
    inbox = shuffled.data_dir / "inbox" / "app"
    inbox.mkdir(parents=True)
    for number in range(3):
        (inbox / f"{9 - number}.jsonl").write_bytes(b"\n".join(lines[number::3]) + b"\n")
    return shuffled


@pytest.mark.torture
def test_the_order_of_files_and_rows_and_the_threads_do_not_change_the_plan(
    company: Company, day: Installation, tmp_path: Path
) -> None:
    shuffled = _shuffled(company, tmp_path)
    settings = replace(shuffled.settings, threads=1)
    file = company.sample.daily[0]

    first = spine.run(settings, first_run_at(company.sample))
    shuffled.drop(file.path)
    second = spine.plan(settings, at(file.last_on, 23))

    # The company was run with all threads that there are.
    assert first.plan_id == Store(company.base.settings).head()
    assert second.plan_id == Store(day.settings).head()


@pytest.mark.torture
def test_a_warehouse_built_anew_gives_the_same_plan(company: Company, tmp_path: Path) -> None:
    kept, lost = company.copy(tmp_path / "kept"), company.copy(tmp_path / "lost")
    lost.settings.warehouse.unlink()
    day = company.sample.daily[0]
    ids = []
    for installation in (kept, lost):
        installation.drop(day.path)
        ids.append(spine.plan(installation.settings, at(day.last_on, 23)).plan_id)

    assert ids[0] == ids[1]
