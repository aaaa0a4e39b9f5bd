from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

from tailrace.warehouse import runner
from tests.warehouse.conftest import AS_OF, Built


def test_dbts_unit_tests_pass(cast: Built, tmp_path: Path) -> None:
    settings = replace(cast.settings, data_dir=tmp_path)
    shutil.copy(cast.settings.warehouse, settings.warehouse)
    runner.write_profile(settings, [path for load in cast.loads for path in load.parquet])
    code, said = runner._run(settings, ["test", "--select", "test_type:unit"], AS_OF)
    assert code == 0, said
    results = json.loads((runner.directory(settings) / "target" / "run_results.json").read_bytes())["results"]
    assert len(results) == 18
    assert {result["status"] for result in results} == {"pass"}
