"""A campaign by command, from its file of people to the attribute, the list and the mail that it leaves behind."""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path

import duckdb
import pytest

from tailrace.journal.journal import Journal
from tailrace.pipeline import spine
from tailrace.pipeline.broadcast import broadcast
from tailrace.pipeline.drafts import decide, drafts
from tailrace.planning.store import Store
from tests.conftest import Company
from tests.installation import PROJECT, Installation, at

CAMPAIGN = """purpose: Say what is new
owner: growth@example.com
status: live
class: transactional
trigger: {broadcast: command}
sending: draft
steps:
  - update: {onboarding_stage: nudged}
    id: mark
  - add_to: seg_beta_testers
    id: list_them
  - send: whats_new
"""


@pytest.mark.torture
@pytest.mark.slow
def test_a_broadcast_sets_lists_waits_for_approval_and_is_sent_once(company: Company, tmp_path: Path) -> None:
    project = tmp_path / "project"
    shutil.copytree(PROJECT, project, ignore=shutil.ignore_patterns("target", "logs"))
    folder = project / "campaigns" / "news"
    folder.mkdir()
    (folder / "campaign.yml").write_text(CAMPAIGN)
    (folder / "whats_new.email.md").write_text("---\nsubject: What is new\n---\nSee what is new.\n")
    policy = project / "policy.yml"
    text = policy.read_text()
    if "owned_attributes" not in text:
        policy.write_text(text + "\nowned_attributes: [onboarding_stage]\n")
    installation = company.copy(tmp_path / "data", project)
    settings = installation.settings
    start = at(company.sample.daily[0].last_on, 6)
    users = _people(installation)
    spine.run(settings, start)

    data = tmp_path / "people.csv"
    data.write_text("user_id,offer\n" + "".join(f"{user},spring\n" for user in [*users, "a-stranger"]))
    done = broadcast(settings, "news", "march", data, who="kim", at=start + timedelta(minutes=1))
    assert (done.landed, done.unknown) == (4, 1)
    asked = spine.run(settings, start + timedelta(hours=1))

    assert asked.steps["deliver"]["drafts_now"] == 3
    waiting, _ = drafts(settings, "news", 10)
    assert len(waiting) == 3
    assert not list(settings.outbox.rglob(f"{waiting[0].intent_id}.eml"))
    decided = decide(settings, "approve", None, "news", who="kim", reason="read", at=start + timedelta(hours=1))
    assert decided.changed == 3
    for hours in (2, 3):
        broadcast(settings, "news", "march", data, who="kim", at=start + timedelta(hours=hours, minutes=-1))
        spine.run(settings, start + timedelta(hours=hours))

    assert all(len(list(settings.outbox.rglob(f"{draft.intent_id}.eml"))) == 1 for draft in waiting)
    with Journal.open(settings) as journal:
        acts = journal.mirror("acts", 0).to_pylist()
    known = [act for act in acts if act["person_id"] in {draft.person_id for draft in waiting}]
    assert sorted((act["kind"], act["name"], act["value"]) for act in known) == [
        *[("add", "seg_beta_testers", None)] * 3,
        *[("update", "onboarding_stage", '"nudged"')] * 3,
    ]
    with duckdb.connect(str(settings.warehouse), read_only=True) as warehouse:
        nudged = warehouse.execute(
            "select user_id from core.dim_people where onboarding_stage = 'nudged' order by user_id"
        ).fetchall()
        listed = warehouse.execute(
            "select count(*) from segments.seg_beta_testers inner join core.dim_people using (person_id)"
            " where onboarding_stage = 'nudged'"
        ).fetchone()
    assert nudged == [(user,) for user in sorted(users)]
    assert listed == (3,)
    assert Store(settings).read("HEAD").as_of == start + timedelta(hours=3)


def _people(installation: Installation) -> list[str]:
    """Return three people of the company who have an address."""
    with duckdb.connect(str(installation.settings.published), read_only=True) as published:
        rows = published.execute(
            "select user_id from core.dim_people where email like '%@%.%' and not is_unsubscribed"
            " order by user_id limit 3"
        ).fetchall()
    return [user for (user,) in rows]
