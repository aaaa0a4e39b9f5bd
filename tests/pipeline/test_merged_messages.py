"""Two user ids wait for the same message when they turn out to be one person: it goes once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tailrace.journal.journal import Journal
from tailrace.pipeline import spine
from tailrace.planning.store import Store
from tests.conftest import Company
from tests.installation import Installation, at, call


def dropped(installation: Installation, name: str, *lines: dict[str, object]) -> None:
    inbox = installation.data_dir / "inbox" / "app"
    inbox.mkdir(parents=True, exist_ok=True)
    (inbox / name).write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


def signs_up(user: str, minute: int) -> list[dict[str, object]]:
    moment = {"userId": user, "timestamp": f"2025-03-01T05:{minute:02}:00Z"}
    return [
        {"type": "identify", "messageId": f"i-{user}", "traits": {"email": f"{user}@example.com"}, **moment},
        {"type": "track", "messageId": f"s-{user}", "event": "signed_up", "properties": {}, **moment},
    ]


@pytest.mark.torture
def test_of_two_welcomes_that_wait_one_goes_and_the_other_says_why_not(company: Company, tmp_path: Path) -> None:
    installation = company.empty(tmp_path / "data")
    dropped(installation, "before.jsonl", *signs_up("somebody", 0))
    spine.run(installation.settings, at("2025-03-01", 5))
    dropped(installation, "guests.jsonl", *signs_up("nora-at-work", 10), *signs_up("nora", 20), *signs_up("otto", 30))
    made = spine.plan(installation.settings, at("2025-03-01", 6))
    assert Store(installation.settings).read(str(made.plan_id)).counts["send"] == 3
    spine.apply(installation.settings, str(made.plan_id))

    alias = {"type": "alias", "messageId": "a", "previousId": "nora-at-work", "userId": "nora"}
    dropped(installation, "alias.jsonl", {**alias, "timestamp": "2025-03-01T06:30:00Z"})
    done = spine.run(installation.settings, at("2025-03-01", 7))

    assert done.steps["deliver"]["messages"]["codes"] == {"accepted:written": 2}
    with Journal.open(installation.settings) as journal:
        outcomes = journal.mirror("outcomes", 0).to_pylist()
    assert sorted((row["outcome"], row["code"]) for row in outcomes) == [
        ("accepted", "written"),
        ("accepted", "written"),
        ("cancelled", "merged"),
    ]
    told = call(installation, "explain", "nora", "--json").json
    assert "merged" in json.dumps(told)
    later = spine.run(installation.settings, at("2025-03-03", 8))
    sent = later.steps["deliver"]["messages"]["codes"].get("accepted:written", 0)
    assert sent == Store(installation.settings).read("HEAD").counts["send"] == 2, "the next message goes once to each"
