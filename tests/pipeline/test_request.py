"""What a plan is made from changes with whatever would make it another plan."""

import shutil
from pathlib import Path

import pytest

from tailrace.pipeline.request import load_definitions
from tailrace.settings import Settings
from tests.installation import PROJECT


def _fingerprint(root: Path, more: str) -> str:
    project = root / "project"
    if not project.exists():
        shutil.copytree(PROJECT, project, ignore=shutil.ignore_patterns("target", "logs"))
    hook = f"connections:\n  hook:\n    type: webhook\n    url: https://crm.example.com/\n{more}"
    (project / "destinations.yml").write_text(hook, encoding="utf-8")
    return load_definitions(Settings(root / "data", project)).fingerprint


@pytest.mark.parametrize(("said", "is_other"), [("true", True), ("false", False)])
def test_whether_a_destination_recognises_repeats_is_an_input_where_it_is_set_otherwise(
    tmp_path: Path, said: str, is_other: bool
) -> None:
    plain = _fingerprint(tmp_path, "")

    assert (_fingerprint(tmp_path, f"    is_idempotent: {said}\n") != plain) is is_other
