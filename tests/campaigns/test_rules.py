from __future__ import annotations

from datetime import timedelta

import pytest

from tailrace.campaigns.hours import Hours
from tailrace.campaigns.policy import load_policy
from tailrace.campaigns.rules import Limit, Rules, Sunset, Topic
from tailrace.errors import DefinitionError
from tests.campaigns.conftest import CAMPAIGN, MESSAGE, POLICY, Project

BARE = POLICY[: POLICY.index("topics:")]
FULL = """\
timezone: Europe/Berlin
holdout: 2.5%
topics:
  tips: {summary: Tips and tricks}
  news: {summary: News, default: unsubscribed}
limits:
  - {class: marketing, channel: email, most: 4, per: 7d}
  - {class: marketing, most: 1, per: 24h}
quiet_hours: {days: mon-fri, from: "21:00", to: "08:00"}
exclusive: [[hello, other]]
sunset: {sends: 12}
owned_attributes: [stage, score]
utm: {source: harbour, medium: email}
"""


def test_every_rule_is_read_as_it_is_written(project: Project) -> None:
    project.write("campaigns/other/campaign.yml", CAMPAIGN)
    project.write("campaigns/other/welcome.email.md", MESSAGE)
    project.write("policy.yml", BARE + FULL)
    assert load_policy(project.root).rules == Rules(
        timezone="Europe/Berlin",
        holdout_bp=250,
        topics={"tips": Topic("Tips and tricks"), "news": Topic("News", "unsubscribed")},
        limits=(Limit("email", 4, timedelta(days=7)), Limit(None, 1, timedelta(days=1))),
        quiet_hours=Hours((1, 2, 3, 4, 5), 1260, 480),
        exclusive=(("hello", "other"),),
        sunset=Sunset(12, None),
        owned_attributes=("score", "stage"),
        utm={"source": "harbour", "medium": "email"},
    )
    assert project.complaints() == []


def test_a_policy_without_rules_holds_nobody_back(project: Project) -> None:
    project.write("policy.yml", BARE)
    assert load_policy(project.root).rules == Rules()
    assert Rules().timezone == "UTC"


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("timezone: Europe/Berln", 4, "Did you mean `Europe/Berlin`"),
        ("timezone: CET+1", 4, "expected an IANA name"),
        ("holdout: 5", 4, "`5` is not a share"),
        ("topics: [tips]", 4, "`topics` is a list; expected a mapping"),
        ("topics:\n  tips: {}", 5, "`summary` is missing"),
        ("topics:\n  Tips: {summary: x}", 5, "is not the name of a topic"),
        ("topics:\n  tips: {summary: x, default: on}", 5, "expected `subscribed`, `unsubscribed`"),
        ("limits: [{class: marketing, most: 4}]", 4, "`per` is missing"),
        ("limits: [{most: 4, per: 7d}]", 4, "`class` is missing"),
        ("limits: [{class: transactional, most: 4, per: 7d}]", 4, "transactional messages are never capped"),
        ("limits: [{class: marketing, most: -1, per: 7d}]", 4, "expected a whole number"),
        ("limits: [{class: marketing, channel: fax, most: 1, per: 7d}]", 4, "`channel` is `fax`; expected `email`"),
        ("limits: [{class: marketing, chanel: email, most: 1, per: 7d}]", 4, "Did you mean `channel`"),
        ('quiet_hours: {from: "21:00", to: "21:00"}', 4, "ends when it begins"),
        ("quiet_hours: {days: mon-sun}", 4, "leave no minute of the week"),
        ("exclusive: [[hello, helo]]", 4, "there is no campaign `helo`.*Did you mean `hello`"),
        ("exclusive: [[hello]]", 4, "a group of one excludes nothing"),
        ("exclusive: [[hello, hello]]", 4, "stands in this group twice"),
        ("exclusive: [hello]", 4, "expected a list"),
        ("sunset: {}", 4, "`sunset` says nothing"),
        ("sunset: {sends: 0}", 4, "expected a whole number from 1"),
        ("owned_attributes: [a, a]", 4, "stands here twice"),
        ("owned_attributes: [Stage]", 4, "is not the name of an attribute"),
        ("utm: {source: 'a b'}", 4, "has characters in it that a link may not"),
        ("utm: {sorce: a}", 4, "Did you mean `source`"),
    ],
)
def test_a_wrong_rule_is_named_with_its_line(project: Project, text: str, line: int, words: str) -> None:
    project.write("policy.yml", BARE + text + "\n")
    with pytest.raises(DefinitionError, match=f"policy.yml:{line}: .*{words}"):
        load_policy(project.root)


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("topic: tips", "topic: tps", 5, "`tps` is not a known topic; .* under `topics`.*Did you mean `tips`"),
        (
            "  - send: welcome",
            "  - send: welcome\n  - update: {onboarding_stge: x}",
            11,
            "not a known attribute of ours.*Did you mean `onboarding_stage`",
        ),
        ("sending: automatic", "window: {from: '22:00', to: '07:00'}", 8, "`window` lies in the `quiet_hours`"),
    ],
)
def test_a_campaign_that_does_not_agree_with_the_policy_is_named_with_its_line(
    project: Project, old: str, new: str, line: int, words: str
) -> None:
    project.write("policy.yml", POLICY + 'quiet_hours: {from: "21:00", to: "08:00"}\n')
    project.write("campaigns/hello/campaign.yml", CAMPAIGN.replace(old, new))
    (said,) = project.complaints()
    assert said.startswith(f"campaigns/hello/campaign.yml:{line}: ")
    for part in words.split(".*"):
        assert part.strip() in said


def test_quiet_hours_do_not_close_a_window_of_transactional_messages(project: Project) -> None:
    project.write("policy.yml", POLICY + 'quiet_hours: {from: "21:00", to: "08:00"}\n')
    text = CAMPAIGN.replace("sending: automatic", "window: {from: '22:00', to: '07:00'}")
    project.write("campaigns/hello/campaign.yml", text.replace("class: marketing", "class: transactional"))
    assert project.complaints() == []


@pytest.mark.parametrize(
    ("hours", "inside", "outside"),
    [
        (Hours((1,), 1320, 360), {1320, 1799}, {1319, 1800, 0}),
        (Hours((7,), 1320, 360), {6 * 1440 + 1320, 0, 359}, {360, 1320}),
        (Hours((1, 2), 0, 1440), {0, 2879}, {2880}),
    ],
)
def test_hours_over_midnight_belong_to_the_day_on_which_they_began(
    hours: Hours, inside: set[int], outside: set[int]
) -> None:
    assert inside <= hours.minutes()
    assert not outside & hours.minutes()
