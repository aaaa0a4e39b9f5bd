"""What was health data when it was planned stays so: after an edit, without its campaign, without its mark."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tailrace.checks import check_project
from tailrace.pipeline import spine
from tailrace.planning.reader import PlanReader
from tailrace.planning.store import Store
from tests.installation import PROJECT, Done, Installation, at, call

pytestmark = pytest.mark.torture

CARE = """purpose: Ask how the treatment goes
owner: care@example.com
status: live
class: transactional
trigger: {event: report_exported}
repeat: never
sending: automatic
steps:
  - send: how_is_it
  - wait: 3d
  - send: and_now
"""
REFUSED = 2
OTHERWISE = CARE.replace("report_exported", "signed_up")
RELAY = "type: smtp, host: 127.0.0.1, port: 9, security: none, from: Acme <hello@example.com>"
SYNC = (
    "-- One row per person.\n{{ config(meta={'owner': 'a', 'summary': 's', 'destination': 'crm', 'target': 'x',"
    " 'mode': 'mirror', 'keys': ['user_id']}) }}\n\nselect user_id from {{ ref('dim_people') }}\n"
    "where {{ received(campaign='care') }}\n"
)


def goes_to(project: Path, relay: str) -> None:
    text = f"connections:\n  relay: {{{relay}}}\n  crm: {{type: outbox}}\nchannels: {{email: relay}}\n"
    (project / "destinations.yml").write_text(text, encoding="utf-8")


def write(project: Path, campaign: str) -> None:
    (project / "campaigns" / "care" / "campaign.yml").write_text(campaign, encoding="utf-8")


def mark(project: Path, mark: str) -> None:
    path = project / "contracts" / "events" / "report_exported.yml"
    text = path.read_text(encoding="utf-8").replace("sensitivity: health\n", "")
    path.write_text(mark + text, encoding="utf-8")


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """A clinic whose one campaign wrote to Ada by a relay that may have it, and to Ben: his mail waits there.

    Both rest at the campaign's wait. Only to be copied.
    """
    root = tmp_path_factory.mktemp("clinic")
    project = root / "project"
    shutil.copytree(PROJECT, project, ignore=shutil.ignore_patterns("target", "logs"))
    for folder in (project / "campaigns").iterdir():
        if not folder.name.startswith("_"):
            shutil.rmtree(folder)
    shutil.rmtree(project / "models" / "syncs")
    policy = project / "policy.yml"
    text = policy.read_text(encoding="utf-8")
    policy.write_text(text.replace("exclusive:\n  - [onboarding, win_back]\n", ""), encoding="utf-8")
    mark(project, "sensitivity: health\n")
    (project / "campaigns" / "care").mkdir()
    write(project, CARE)
    for name in ("how_is_it", "and_now"):
        path = project / "campaigns" / "care" / f"{name}.email.md"
        path.write_text("---\nsubject: A question\n---\nHow are you?\n", encoding="utf-8")
    goes_to(project, RELAY + ", baa: true")

    installation = Installation(root / "data", project)
    inbox = installation.data_dir / "inbox" / "app"
    inbox.mkdir(parents=True)
    spine.run(installation.settings, at("2026-03-01"))
    lines = []
    for user in ("ada", "ben"):
        traits = {"email": f"{user}@example.com"}
        rest = {"userId": user, "timestamp": "2026-03-02T05:00:00Z"}
        lines.append({"type": "identify", "messageId": f"i-{user}", "traits": traits, **rest})
        said = {"type": "track", "event": "report_exported", "properties": {"format": "csv"}}
        lines.append({"messageId": f"t-{user}", **said, **rest})
    (inbox / "events.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    made = spine.plan(installation.settings, at("2026-03-02"))
    spine.apply(installation.settings, str(made.plan_id))
    return installation


@pytest.fixture
def clinic(begun: Installation, tmp_path: Path) -> Installation:
    shutil.copytree(begun.project_dir, tmp_path / "project")
    return begun.copy(tmp_path / "data", tmp_path / "project")


def planned(clinic: Installation) -> int:
    return call(clinic, "plan", "--as-of", "2026-03-05").code


def deliver(clinic: Installation) -> Done:
    return call(clinic, "deliver", "--as-of", "2026-03-02T07:00", "--json")


def codes(done: Done) -> dict[str, int]:
    found: dict[str, int] = done.json["steps"]["deliver"]["messages"]["codes"]
    return found


def marked_in_head(clinic: Installation) -> frozenset[tuple[str, str]]:
    store = Store(clinic.settings)
    head = store.head()
    assert head is not None
    return PlanReader(store).health(head)


def test_a_plan_says_which_of_its_messages_are_health_data(clinic: Installation) -> None:
    assert marked_in_head(clinic) == {("care", "how_is_it"), ("care", "and_now")}


def test_nothing_of_a_campaign_whose_folder_is_gone_goes_to_who_may_not_have_it(clinic: Installation) -> None:
    shutil.rmtree(clinic.project_dir / "campaigns" / "care")
    goes_to(clinic.project_dir, RELAY)
    assert codes(deliver(clinic)) == {"blocked:no_baa": 2}
    told = call(clinic, "deliver", "--as-of", "2026-03-02T07:00")
    assert "is health data and waits until its destination has `baa: true`, or expires" in told.err

    # It waits, and would go where it may.
    goes_to(clinic.project_dir, RELAY + ", baa: true")
    assert codes(deliver(clinic)) == {"blocked:no_live_lease": 2}
    goes_to(clinic.project_dir, "type: outbox")
    assert codes(deliver(clinic)) == {"accepted:written": 2}


@pytest.mark.parametrize("campaign", [CARE.replace("status: live", "status: draft"), OTHERWISE])
def test_what_was_planned_before_an_edit_is_held_back_though_the_project_has_no_health_data_any_more(
    clinic: Installation, campaign: str
) -> None:
    write(clinic.project_dir, campaign)
    mark(clinic.project_dir, "")
    goes_to(clinic.project_dir, RELAY)
    assert codes(deliver(clinic)) == {"blocked:no_baa": 2}


def test_whoever_is_on_a_version_that_is_health_data_stops_the_plan_until_the_edit_ends_that(
    clinic: Installation,
) -> None:
    write(clinic.project_dir, OTHERWISE)
    goes_to(clinic.project_dir, RELAY)
    done = call(clinic, "plan", "--as-of", "2026-03-05")
    assert done.code == 2
    assert "campaigns/care/campaign.yml:5: campaign `care` is health data and goes to `relay`" in done.err
    assert "with 2 in flight: `on_edit: exit` ends that) → event report_exported (contracts/events/" in done.err

    # Where they rest is there in the other version, too: on it they are people like others.
    for choice in ("exit", "move"):
        write(clinic.project_dir, OTHERWISE + f"on_edit: {choice}\n")
        assert planned(clinic) != REFUSED
    write(clinic.project_dir, OTHERWISE.replace("  - wait: 3d\n", "  - wait: 3d\n    id: other\n") + "on_edit: move\n")
    assert planned(clinic) == REFUSED


def test_what_a_campaign_did_is_health_data_after_its_edit_and_without_its_folder(clinic: Installation) -> None:
    (clinic.project_dir / "models" / "syncs").mkdir()
    (clinic.project_dir / "models" / "syncs" / "sync_crm__asked.sql").write_text(SYNC, encoding="utf-8")

    def refused() -> list[str]:
        (clinic.project_dir / "destinations.yml").write_text(
            "connections:\n  relay: {type: outbox}\n  crm: {type: webhook, url: 'https://crm.example.com/hook',"
            " secret_env: NOT_SET}\nchannels: {email: relay}\n",
            encoding="utf-8",
        )
        found = [str(problem) for problem in check_project(clinic.settings, (), {}).problems]
        return [text for text in found if "sync `sync_crm__asked` is health data" in text]

    assert len(refused()) == 1
    write(clinic.project_dir, OTHERWISE)
    assert len(refused()) == 1
    shutil.rmtree(clinic.project_dir / "campaigns" / "care")
    goes_to(clinic.project_dir, "type: outbox")
    spine.run(clinic.settings, at("2026-03-03"))
    assert marked_in_head(clinic) == {("", "sync_crm__asked")}
    assert len(refused()) == 1
    mark(clinic.project_dir, "")
    assert refused() == []
