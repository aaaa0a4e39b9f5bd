"""Which worked programmes are on? The var of dbt_project.yml by which models, campaigns and contracts go on and off."""

from __future__ import annotations

from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from tailrace.errors import DefinitionError, Problem


def programmes(project_dir: Path) -> frozenset[str]:
    """Return the names of those that are on. Raises DefinitionError when the var is not a list of names.

    Nothing is on in a file that cannot be read: dbt says what is wrong with it when it reads the project.
    """
    path = project_dir / "dbt_project.yml"
    if not path.is_file():
        return frozenset()
    try:
        said = (YAML(typ="safe").load(path.read_text(encoding="utf-8")) or {}).get("vars") or {}
        names = said.get("programmes", [])
    except (YAMLError, AttributeError):
        return frozenset()
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        what = "`vars: programmes` is not a list of names; expected such as `[saas]`, or `[]` for none"
        raise DefinitionError(Problem("dbt_project.yml", None, what))
    return frozenset(names)
