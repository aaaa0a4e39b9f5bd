"""What the command line is tried with: the company's second day, planned, and edited copies of the project."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tailrace.clock import iso
from tailrace.planning.store import Store
from tests.conftest import Company
from tests.installation import PROJECT, Installation, at, call


@pytest.fixture(scope="session")
def next_day(company: Company) -> str:
    """The instant of the second day's run."""
    return iso(at(company.sample.daily[1].last_on, 23))


@dataclass(frozen=True)
class Planned:
    """The company when its second day is planned and nothing of it is applied; `told` is what `plan --json` said."""

    installation: Installation
    told: dict[str, Any]

    @property
    def plan_id(self) -> str:
        return str(self.told["plan_id"])


@pytest.fixture(scope="session")
def planned(company: Company, day: Installation, next_day: str, tmp_path_factory: pytest.TempPathFactory) -> Planned:
    """The second day, landed and planned. Read it, or copy it before changing anything."""
    installation = day.copy(tmp_path_factory.mktemp("planned") / "data")
    installation.drop(company.sample.daily[1].path)
    done = call(installation, "plan", "--as-of", next_day, "--json")
    assert done.code == 0, done.err
    return Planned(installation, done.json)


@pytest.fixture
def project(tmp_path: Path) -> Callable[[str, str, str], Path]:
    """Return a function that edits one file of a copy of the project and returns the copy."""

    def edited(path: str, old: str, new: str) -> Path:
        copy = tmp_path / "project"
        if not copy.exists():
            shutil.copytree(PROJECT, copy, ignore=shutil.ignore_patterns("target", "logs"))
        file = copy / path
        text = file.read_text(encoding="utf-8") if file.exists() else ""
        assert old in text
        file.write_text(text.replace(old, new, 1) if old else text + new, encoding="utf-8")
        return copy

    return edited


def people(installation: Installation, verdict: str) -> list[int]:
    """Return the person ids with this verdict in the plan applied last."""
    store = Store(installation.settings)
    table = store.table(store.read("HEAD"), "verdicts")
    rows = zip(table.column("person_id").to_pylist(), table.column("verdict").to_pylist(), strict=True)
    return sorted({person for person, decided in rows if decided == verdict})
