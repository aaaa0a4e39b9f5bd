from __future__ import annotations

from datetime import date

import pytest

from tailrace.samples.company import Sample, generate


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    return generate(
        tmp_path_factory.mktemp("samples") / "year", people=400, start=date(2025, 3, 10), days=200, split_last_days=12
    )
