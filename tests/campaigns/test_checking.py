from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from tailrace.campaigns.check import check_campaigns
from tailrace.campaigns.policy import Guards, load_policy
from tailrace.campaigns.render import Renderer
from tailrace.campaigns.shelf import load_campaigns
from tailrace.errors import DefinitionError
from tests.campaigns.conftest import CAMPAIGN, MESSAGE, POLICY, Project

SEGMENT = CAMPAIGN.replace("  event: signed_up", "  segment: seg_trial_ending")
CUSTOMER = {"person_id", "email", "first_name", "plan", "mrr", "renews_on"}


def complaints(project: Project) -> list[str]:
    columns = {"seg_trial_ending": {"ends_on"}}
    return [str(problem) for problem in check_campaigns(project.shelf(), {"seg_trial_ending"}, CUSTOMER, columns)]


def test_a_campaign_that_fits_has_no_problems(project: Project) -> None:
    assert complaints(project) == []


def test_a_mistake_in_the_policy_is_said_once_and_not_at_each_message(project: Project) -> None:
    project.write("policy.yml", POLICY + "holdout: 120%\n")
    (said,) = complaints(project)
    assert said.startswith("policy.yml:")


def test_people_can_only_be_put_into_a_segment_that_is_kept_by_hand(project: Project) -> None:
    project.write("campaigns/hello/campaign.yml", CAMPAIGN + "  - add_to: seg_x\n  - remove_from: seg_beta\n")
    shelf = project.shelf()

    (said,) = check_campaigns(shelf, {"seg_x", "seg_beta"}, CUSTOMER, {}, lists={"seg_beta"})

    assert "`add_to: seg_x`: the segment is not kept by hand" in said.message
    assert "`manual_members('x')`" in said.message
    assert check_campaigns(shelf, {"seg_x", "seg_beta"}, CUSTOMER, {}, lists={"seg_beta", "seg_x"}) == []


def test_an_unknown_segment_is_named_with_its_line_and_the_nearest_one(project: Project) -> None:
    project.write("campaigns/hello/campaign.yml", SEGMENT.replace("seg_trial_ending", "seg_trial_endng"))
    (said,) = complaints(project)
    assert said.startswith("campaigns/hello/campaign.yml:7: segment `seg_trial_endng` does not exist")
    assert "Did you mean `seg_trial_ending`?" in said


@pytest.mark.parametrize(
    ("text", "field", "words"),
    [
        (
            CAMPAIGN,
            "customer.frist_name|default('you')",
            "`customer.frist_name` does not exist.*Did you mean `first_name`",
        ),
        (CAMPAIGN, "segment.ends_on", "`segment.ends_on`: the campaign is started by an event"),
        (SEGMENT, "segment.end_on", "`segment.end_on`: there is no such field.*Did you mean `ends_on`"),
        (SEGMENT, "event.plan", "`event.plan`: the campaign is started by a segment"),
        (SEGMENT + "", "segment.ends_on", None),
        (
            SEGMENT.replace("seg_trial_ending", "seg_trial_ending\n  on: left"),
            "segment.ends_on",
            "has no row in it any more",
        ),
    ],
)
def test_an_unknown_field_is_named_where_it_stands(project: Project, text: str, field: str, words: str | None) -> None:
    project.write("campaigns/hello/campaign.yml", text)
    project.write("campaigns/hello/welcome.email.md", MESSAGE + "\nand {{ " + field + " }}\n")
    said = complaints(project)
    if words is None:
        assert said == []
    else:
        assert len(said) == 1
        assert said[0].startswith("campaigns/hello/welcome.email.md:6: ")
        for part in words.split(".*"):
            assert part in said[0]


@pytest.mark.parametrize(
    "body",
    [
        "{{ customer.mrr|money }} {{ customer.renews_on|date }} {{ customer.plan }}",
        "{% for item in event.items %}{{ item.name }}{% endfor %}{{ event.tags|join }}",
        "{% for tag in event.tags %}{{ tag }}{% endfor %}",
        "[x]({{ event.url }}) {{ customer.mrr * 2 }}",
        "{% if customer.mrr > 50 %}x{% endif %}",
    ],
)
def test_a_message_that_can_be_made_passes_the_rehearsal(project: Project, body: str) -> None:
    project.write("campaigns/hello/welcome.email.md", MESSAGE + body + "\n")
    assert complaints(project) == []


def test_a_message_that_nobody_could_get_fails_the_rehearsal(project: Project) -> None:
    project.write("campaigns/hello/welcome.email.md", MESSAGE + "{{ customer.plan / 0 }}\n")
    assert "it cannot be made for an invented person (wrong_type)" in complaints(project)[0]


def test_problems_of_the_files_and_of_the_warehouse_come_together(project: Project) -> None:
    project.write("campaigns/other/campaign.yml", CAMPAIGN.replace("owner", "ownr"))
    project.write("campaigns/other/welcome.email.md", MESSAGE)
    project.write("campaigns/hello/welcome.email.md", MESSAGE.replace("first_name", "frist_name"))
    assert {said.split(":")[0] for said in complaints(project)} == {
        "campaigns/hello/welcome.email.md",
        "campaigns/other/campaign.yml",
    }


def test_guards_have_defaults_and_a_subject_may_have_its_own(project: Project) -> None:
    project.write(
        "policy.yml",
        POLICY + "guards:\n  segment_left_share: 40%\n  source_stale_after: 3d\n"
        "  overrides:\n    seg_trial_ending: {segment_left_share: 0.9, segment_minimum: 10}\n",
    )
    policy = load_policy(project.root)
    assert policy.guards == Guards(segment_left_share=0.4, source_stale_after=timedelta(days=3))
    own = policy.guards_for("seg_trial_ending")
    assert (own.segment_left_share, own.segment_minimum, own.source_stale_after) == (0.9, 10, timedelta(days=3))
    assert policy.guards_for("seg_other") == policy.guards
    assert complaints(project) == []


def test_an_override_of_a_segment_that_is_not_there_is_a_problem(project: Project) -> None:
    project.write("policy.yml", POLICY + "guards:\n  overrides:\n    seg_trial_endin: {segment_minimum: 1}\n")
    assert complaints(project)[0].startswith("policy.yml:10: `guards.overrides` names the segment `seg_trial_endin`")


@pytest.mark.parametrize(
    ("written", "plans", "payloads"),
    [("", None, None), ("{plans: 90d, payloads: 30d}", 90, 30), ("{payloads: 2w}", None, 14), ("{plans: 7d}", 7, None)],
)
def test_retention_is_for_ever_unless_it_is_said(
    project: Project, written: str, plans: int | None, payloads: int | None
) -> None:
    project.write("policy.yml", POLICY + (f"retention: {written}\n" if written else ""))

    kept = load_policy(project.root).retention

    assert (kept.plans, kept.payloads) == tuple(days and timedelta(days=days) for days in (plans, payloads))


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("hello@example.com", "hello", 1, "`email` is not an address"),
        ("hello@example.com", '"a@example.com, b@example.com"', 1, "`email` is not an address"),
        ("name: Harbour", "nme: Harbour", 1, "unknown key `nme`"),
        ("name: Harbour", 'name: "Harbour\\r\\nBcc: x"', 1, "control character"),
        ("name: Harbour", 'name: "{{ x }}"', 1, "braces"),
        ("{person_id}", "x", 3, "`unsubscribe_url` cannot be used"),
        (
            "https://example.com/u?a=1&p={person_id}",
            "https://{person_id}.example.com/",
            3,
            "`unsubscribe_url` cannot be used",
        ),
        ("https://example.com/u?a=1&p={person_id}", "javascript:{person_id}", 3, "`unsubscribe_url` cannot be used"),
        ("https://example.com/u?a=1&p={person_id}", "https://example.com/{person_id}/{{ x }}", 3, "cannot be used"),
        ('postal_address: "Harbour Ltd, 12 Mill Lane"\n', "", 1, "`postal_address` is missing"),
        ("postal_address", "limits: {}\npostal_address", 2, "`limits` is a mapping; expected a list"),
        ("postal_address", "guards: {segment_left: 1}\npostal_address", 2, "Did you mean `segment_left_share`"),
        ("postal_address", "guards: {segment_left_share: a lot}\npostal_address", 2, "is not a share"),
        ("postal_address", "guards: {minimum_members: -1}\npostal_address", 2, "expected a whole number"),
        ("postal_address", "guards: {source_stale_after: 48}\npostal_address", 2, "is not a duration"),
        ("postal_address", "retention: {plan: 90d}\npostal_address", 2, "Did you mean `plans`"),
        ("postal_address", "retention: {plans: 90}\npostal_address", 2, "`90` is not a duration"),
        ("postal_address", "retention: 90d\npostal_address", 2, "expected a mapping with"),
        ("postal_address", "retention: {plans: 7d, payloads: 8d}\npostal_address", 2, "kept longer than the plans"),
    ],
)
def test_a_mistake_in_the_policy_is_named_with_its_line(
    project: Project, old: str, new: str, line: int, words: str
) -> None:
    assert old in POLICY
    project.write("policy.yml", POLICY.replace(old, new))
    with pytest.raises(DefinitionError) as raised:
        load_policy(project.root)
    assert any(said.startswith(f"policy.yml:{line}: ") and words in said for said in str(raised.value).split("\n"))


SHIPPED = Path(__file__).parents[2] / "dbt_project"
RENEWAL = {"segment": {"renewal_at": "2026-01-31T05:00:00", "renewal_plan": "team", "renewal_mrr": 99}}
CHURNED = {"segment": {"churned_at": "2026-01-02T00:00:00"}}


def test_the_campaigns_that_ship_are_right_and_leave_by_themselves() -> None:
    shelf = load_campaigns(SHIPPED)
    assert {"onboarding", "renewal_reminder", "win_back"} <= set(shelf.campaigns)
    assert shelf.notices == ()
    assert shelf.policy is not None
    assert set(shelf.policy.rules.topics) >= {campaign.topic for campaign in shelf.campaigns.values() if campaign.topic}
    onboarding = shelf.campaigns["onboarding"]
    assert (onboarding.status, onboarding.sending, onboarding.holdout_bp) == ("live", "automatic", 1000)
    assert [step.id for step in onboarding.sends] == ["welcome", "first_project", "need_a_hand"]


def test_the_campaigns_that_ship_need_little_of_a_person() -> None:
    renderer = Renderer()
    for slug, data in (("onboarding", {}), ("renewal_reminder", RENEWAL), ("win_back", CHURNED)):
        for message in load_campaigns(SHIPPED).campaigns[slug].messages.values():
            bare = renderer.render(message.source(), {"customer": {"person_id": 7}, **data})
            full = renderer.render(
                message.source(), {"customer": {"person_id": 7, "first_name": "Zoë", "company": "Mills"}, **data}
            )
            assert "Zoë" in full.html + full.subject
            assert "None" not in bare.html + bare.text + bare.subject
            assert "{" not in bare.text
            assert ("List-Unsubscribe" in bare.headers) is (slug != "renewal_reminder")
