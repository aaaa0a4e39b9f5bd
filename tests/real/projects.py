"""What does somebody who adopts tailrace edit? A copy of the project with a company's own files laid over it."""

from __future__ import annotations

import re
import shutil
from collections.abc import Collection, Mapping
from pathlib import Path

from tests.installation import PROJECT

HERE = Path(__file__).parent


def overlay(target: Path, own: str, *, drop: Collection[str], variables: Mapping[str, str]) -> Path:
    """Copy the project to `target`, without the paths in `drop`, with the files of `own` and `variables` (YAML text).

    Raises KeyError when the project has no such var, FileNotFoundError when it has no such path: the overlay is stale.
    """
    shutil.copytree(PROJECT, target, ignore=shutil.ignore_patterns("target", "logs"))
    for name in drop:
        path = target / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    shutil.copytree(HERE / own, target, dirs_exist_ok=True)
    written = target / "dbt_project.yml"
    text = written.read_text(encoding="utf-8")
    for name, value in variables.items():
        text, found = re.subn(rf"(?m)^(  {name}: ).*$", lambda line, value=value: line[1] + value, text)
        if found != 1:
            raise KeyError(name)
    written.write_text(text, encoding="utf-8")
    return target
