"""Which stage reads a source's format?"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tailrace.landing.contract import Contract
from tailrace.landing.customerio import CustomerioStage
from tailrace.landing.parquet import ParquetStage
from tailrace.landing.rows import CsvStage, JsonlStage, TableStage
from tailrace.landing.stage import Stage
from tailrace.settings import Settings


@contextmanager
def stage_for(settings: Settings, contract: Contract) -> Iterator[Stage]:
    """Give the stage that reads the source's format, and close it afterwards."""
    stages: dict[str, type[Stage]] = {
        "postgres": TableStage,
        "csv": CsvStage,
        "jsonl": JsonlStage,
        "parquet": ParquetStage,
        "customerio_track": CustomerioStage,
    }
    stage = stages.get(contract.format, Stage)(settings, contract)
    try:
        yield stage
    finally:
        stage.close()
