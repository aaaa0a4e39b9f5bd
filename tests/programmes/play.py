"""What does a programme's cast live through, day by day, in the real pipeline?"""

from __future__ import annotations

import json
import re
import shutil
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import date
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ruamel.yaml import YAML

from tailrace import ids
from tailrace.pipeline import spine
from tailrace.planning.store import Store
from tailrace.settings import Settings
from tests.installation import PROJECT, Installation, at, read_before


def personas(programme: str) -> dict[str, list[dict[str, Any]]]:
    """Return the calls of everybody in the programme's cast, by user id."""
    yaml = YAML(typ="safe")
    found = [yaml.load(path) for path in sorted((PROJECT / "personas" / programme).glob("*.yml"))]
    return {entry["name"]: entry["events"] for entry in found}


class Play:
    """The cast in an installation where this programme alone is on, run at 06:00 of each of `days`.

    The first day is the baseline. Each run lands what happened since the one before. `verdicts` are those of
    `campaigns`, each with the day of its run as `on`. `besides` are the calls of people beside the cast, by user id.
    What dbt has read in `read` it knows beforehand.
    """

    def __init__(
        self,
        root: Path,
        read: Settings,
        programme: str,
        campaigns: Collection[str],
        days: Sequence[date],
        besides: Mapping[str, list[dict[str, Any]]] = MappingProxyType({}),
    ) -> None:
        self.cast = personas(programme) | dict(besides)
        project = root / "project"
        shutil.copytree(PROJECT, project, ignore=shutil.ignore_patterns("target", "logs"))
        path = project / "dbt_project.yml"
        line = rf"  programmes: [{programme}]"
        text, found = re.subn(r"(?m)^  programmes: .*$", line, path.read_text(encoding="utf-8"))
        assert found == 1
        path.write_text(text, encoding="utf-8")
        self.installation = Installation(root / "data", project)
        read_before(self.installation.settings, read)
        self.verdicts: list[dict[str, Any]] = []
        calls = sorted((call for each in self.cast.values() for call in each), key=lambda call: call["timestamp"])
        since = "2000"
        for on in days:
            new = [call for call in calls if since <= call["timestamp"] < f"{on}T06:00"]
            since = f"{on}T06:00"
            if new:
                file = root / f"{on}.jsonl"
                file.write_text("".join(json.dumps(call) + "\n" for call in new), encoding="utf-8")
                self.installation.drop(file)
            result = spine.run(self.installation.settings, at(on))
            assert result.steps["build"]["failed"] == {}
            assert all(balance.holds for balance in result.balances)
            self.verdicts += [row | {"on": on} for row in self._planned() if row["campaign"] in campaigns]

    def passes(self, campaign: str) -> list[dict[str, Any]]:
        """Return the passes of a campaign as the last run left them, each with its person's `user_id`."""
        name_of = {ids.person_id(name): name for name in self.cast}
        store = Store(self.installation.settings)
        table = store.table(store.read("HEAD"), f"enrollments:{campaign}")
        return [] if table is None else [row | {"user_id": name_of[row["person_id"]]} for row in table.to_pylist()]

    def _planned(self) -> list[dict[str, Any]]:
        store = Store(self.installation.settings)
        table = store.table(store.read("HEAD"), "verdicts")
        return [] if table is None else list(table.to_pylist())

    def told(self) -> dict[tuple[str, str], list[date]]:
        """Return on which days each person was told each thing: (user id, step) → days. No verdict may be other."""
        name_of = {ids.person_id(name): name for name in self.cast}
        found: dict[tuple[str, str], list[date]] = defaultdict(list)
        for row in self.verdicts:
            assert row["verdict"] == "send", row
            found[name_of[row["person_id"]], row["step"]].append(row["on"])
        return dict(found)
