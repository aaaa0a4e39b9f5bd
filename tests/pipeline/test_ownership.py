"""Two sources, one owner: what a run says of the words that it ignored."""

from __future__ import annotations

import json
import shutil
from datetime import date
from pathlib import Path

import pytest

from tailrace.pipeline import spine
from tailrace.pipeline.reporting import write
from tests.installation import PROJECT, Installation, at, call

DAY = date(2026, 1, 10)


def identify(user: str, email: str, second: int) -> str:
    at_ = f"2026-01-0{second}T00:00:00Z"
    return json.dumps({"type": "identify", "userId": user, "timestamp": at_, "traits": {"email": email, "plan": "pro"}})


@pytest.fixture
def told(tmp_path: Path) -> Installation:
    """Two sources that told of two people; the first owns their addresses."""
    project = tmp_path / "project"
    shutil.copytree(PROJECT, project, ignore=shutil.ignore_patterns("target", "logs"))
    owner = project / "contracts" / "sources" / "app.yml"
    owner.write_text("format: segment\nowns: {attributes: [email]}\n", encoding="utf-8")
    (project / "contracts" / "sources" / "crm.yml").write_text("format: segment\n", encoding="utf-8")
    installation = Installation(tmp_path / "data", project)
    for source, second in (("app", 1), ("crm", 2)):
        file = tmp_path / f"{source}.jsonl"
        lines = [identify(user, f"{user}@{source}.example", second) for user in ("ann", "bob")]
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")
        installation.drop(file, source)
    return installation


@pytest.mark.torture
def test_what_was_ignored_is_said_by_plan_run_and_report(told: Installation) -> None:
    said = "attributes written by who does not own them, ignored: 2 (crm: email 2)"
    counted = {"source": "crm", "attribute": "email", "owner": "app", "n_events": 2}

    made = call(told, "plan", "--as-of", str(DAY))
    assert made.code == 0, made.err
    assert said in made.out
    found = call(told, "plan", "--as-of", str(DAY), "--json").json
    assert found["ownership_violations"] == [{**counted, "last_event_at": "2026-01-02T00:00:00Z"}]
    ran = spine.run(told.settings, at(DAY))
    assert [{key: entry[key] for key in counted} for entry in ran.ignored] == [counted]

    # The same instant again: HEAD stands, and says the same.
    again = call(told, "run", "--as-of", f"{DAY}T06:00:00Z")
    assert said in again.out
    html = write(told.settings).read_text(encoding="utf-8")
    rows = html.partition("Attributes written by who does not own them")[2].partition("</table>")[0]
    assert "<td>email</td><td>app</td>" in rows
    assert ".example" not in again.out + made.out + html

    # Another owner makes another plan at the same instant, and counts others' words.
    contracts = told.project_dir / "contracts" / "sources"
    (contracts / "app.yml").write_text("format: segment\n", encoding="utf-8")
    (contracts / "crm.yml").write_text("format: segment\nowns: {attributes: [email, plan]}\n", encoding="utf-8")
    other = spine.run(told.settings, at(DAY))
    assert other.plan_id != ran.plan_id
    assert [(entry["source"], entry["attribute"], entry["n_events"]) for entry in other.ignored] == [
        ("app", "email", 2),
        ("app", "plan", 2),
    ]
