from __future__ import annotations

import re
from datetime import timedelta

import pytest
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML

from tailrace.campaigns import words
from tailrace.campaigns.definition import EventTrigger, Goal, Repeat, SegmentTrigger, Send, Wait
from tailrace.campaigns.schema import schema
from tailrace.campaigns.shelf import load_campaigns
from tailrace.errors import DefinitionError
from tests.campaigns.conftest import CAMPAIGN, MESSAGE, Project

FULL = """\
purpose: >
  Say hello
  to everybody
owner: growth@example.com
status: paused
class: transactional
topic: tips
priority: 7
trigger: {segment: seg_trial_ending, on: entered}
existing: enroll
repeat: never
goal: {event: project_created, within: 2w, exit: false}
holdout: 2.5%
sending: automatic
expires: 30m
steps:
  - send: welcome
  - wait: 48h
  - send: welcome
    id: welcome_again
  - wait: 7d
"""


def test_every_key_is_read_as_it_is_written(project: Project) -> None:
    project.write("campaigns/hello/campaign.yml", FULL)
    campaign = load_campaigns(project.root).campaigns["hello"]
    assert campaign.purpose == "Say hello to everybody"
    assert (campaign.status, campaign.klass, campaign.topic, campaign.priority) == (
        "paused",
        "transactional",
        "tips",
        7,
    )
    assert campaign.trigger == SegmentTrigger("seg_trial_ending", "entered")
    assert campaign.goal == Goal("project_created", timedelta(days=14), exit=False)
    assert (campaign.existing, campaign.repeat, campaign.holdout_bp) == ("enroll", Repeat(), 250)
    assert campaign.expires == timedelta(minutes=30)
    assert campaign.steps == (
        Send("welcome", "welcome", 17),
        Wait("wait_before_welcome_again", timedelta(days=2), 18),
        Send("welcome_again", "welcome", 19),
        Wait("wait_before_the_end", timedelta(days=7), 21),
    )


def test_what_is_not_written_is_quiet(project: Project) -> None:
    project.write(
        "campaigns/hello/campaign.yml", CAMPAIGN.replace("status: live\n", "").replace("sending: automatic\n", "")
    )
    campaign = load_campaigns(project.root).campaigns["hello"]
    assert (campaign.status, campaign.sending, campaign.existing) == ("draft", "draft", "skip")
    assert (campaign.holdout_bp, campaign.goal, campaign.priority) == (0, None, 50)
    assert campaign.trigger == EventTrigger("signed_up")


def test_a_live_campaign_that_is_not_automatic_is_noticed_and_no_error(project: Project) -> None:
    project.write("campaigns/hello/campaign.yml", CAMPAIGN.replace("sending: automatic\n", ""))
    shelf = load_campaigns(project.root)
    assert "wait for `tailrace drafts approve` until it says `sending: automatic`" in shelf.notices[0].message


def test_on_is_a_word_and_not_a_boolean(project: Project) -> None:
    project.write(
        "campaigns/hello/campaign.yml", CAMPAIGN.replace("  event: signed_up", "  segment: seg_x\n  on: left")
    )
    assert load_campaigns(project.root).campaigns["hello"].trigger == SegmentTrigger("seg_x", "left")


BAD_CAMPAIGNS = [
    ("owner:", "ownr:", 2, "unknown key `ownr`.*Did you mean `owner`"),
    ("purpose: Say hello\n", "", 1, "`purpose` is missing"),
    (
        "status: live",
        "status: liv",
        3,
        "`status` is `liv`; expected `draft`, `live`, `paused`, `ended`. Did you mean `live`",
    ),
    ("status: live", "status: no", 3, "`status` is `no`"),
    ("status: live", "status: live\nstatus: ended", 4, "`status` stands here twice"),
    ("class: marketing", "class: promo", 4, "`class` is `promo`"),
    ("topic: tips\n", "", 1, "`topic` is missing.*marketing needs it"),
    ("topic: tips", "topic: Tips & Tricks", 5, "is not a name"),
    ("topic: tips", "topic: 12", 5, "`topic` is `12`; expected a name"),
    ("  event: signed_up", "  event: signed_up\n  segment: seg_x", 7, "exactly one of"),
    ("  event: signed_up", "  segment: trial_ending", 7, "named `seg_…`"),
    ("  event: signed_up", "  segment: seg_x\n  on: entry", 8, "`on` is `entry`; expected `entered`, `left`"),
    ("  event: signed_up", "  segment: seg_x\n  late: 3d", 8, "`late` does not go with `segment`"),
    ("  event: signed_up", "  evnt: signed_up", 7, "unknown key `evnt`.*Did you mean `event`"),
    ("  event: signed_up", "  event: signed_up\n  where: plan =", 8, "`where`: this is not a condition"),
    (
        "  event: signed_up",
        "  event: a\n  where: |\n    plan = 'x'\n    and lowr(plan) = 'y'",
        10,
        "Did you mean `lower`",
    ),
    ("  event: signed_up", "  event: signed_up\n  late: 3 days", 8, "`3 days` is not a duration.*`30m`"),
    ("sending: automatic", "existing: skip", 8, "`existing` is about people already in a segment"),
    ("sending: automatic", "sensitivity: health", 8, "`sensitivity` is not supported yet"),
    ("sending: automatic", "repeat: nver", 8, "Did you mean `never`"),
    ("sending: automatic", "priority: 101", 8, "`priority` is `101`; expected a whole number from 0 to 100"),
    ("sending: automatic", "priority: '7'", 8, "`priority` is `7`; expected a whole number"),
    ("sending: automatic", "holdout: 10", 8, "`10` is not a share; expected a percentage"),
    ("sending: automatic", "holdout: 100.5%", 8, "is not a share"),
    ("sending: automatic", "expires: 0h", 8, "`0h` is not a duration"),
    ("sending: automatic", "expires: 9999w", 8, "longer than ten years"),
    ("sending: automatic", "goal: {event: a}", 8, "`within` is missing"),
    ("sending: automatic", "goal: {event: a, within: 1d, exit: yes}", 8, "`exit` is `yes`; expected `true` or `false`"),
    ("sending: automatic", "goal: done", 8, "`goal` is `done`; expected a mapping"),
    ("  - send: welcome", "  - send: welcom", 10, "no message `welcom`.*Did you mean `welcome`"),
    ("  - send: welcome", "  - wait: 0d", 10, "`0d` is not a duration"),
    ("  - send: welcome", "  - wait: 1d", 10, "does nothing"),
    ("  - send: welcome", "  - sned: welcome", 10, "unknown key `sned`.*Did you mean `send`"),
    (
        "  - send: welcome",
        "  - {send: welcome, wait: 1d}",
        10,
        "a step` has `send` and `wait`; expected exactly one of",
    ),
    ("  - send: welcome", "  - send: welcome\n  - send: welcome", 11, "line 10 has the id `welcome` too"),
    (
        "  - send: welcome",
        "  - wait: 1d\n  - wait: 2d\n  - send: welcome",
        11,
        "line 10 has the id `wait_before_welcome` too",
    ),
    ("  - send: welcome", "  - send: welcome\n    id: 9lives", 11, "is not a name"),
    ("steps:\n  - send: welcome", "steps: []", 9, "expected a list with at least one element"),
    ("owner: growth", "owner: &a growth", 2, "anchor `&a` is not allowed"),
    ("owner: growth", "owner: !!binary growth", 2, "the tag .* is not allowed"),
    ("owner: growth@example.com", "owner: [a", 3, "this is not YAML"),
]


@pytest.mark.parametrize(("old", "new", "line", "words"), BAD_CAMPAIGNS)
def test_a_mistake_is_named_with_its_line(project: Project, old: str, new: str, line: int, words: str) -> None:
    assert old in CAMPAIGN
    project.write("campaigns/hello/campaign.yml", CAMPAIGN.replace(old, new))
    found = [
        complaint
        for complaint in project.complaints()
        if complaint.startswith(f"campaigns/hello/campaign.yml:{line}: ")
    ]
    assert any(re.search(words, complaint) for complaint in found), project.complaints()
    assert "hello" not in project.shelf().campaigns


def test_all_mistakes_of_all_files_are_raised_at_once(project: Project) -> None:
    project.write(
        "campaigns/hello/campaign.yml", CAMPAIGN.replace("status: live", "status: liv").replace("owner", "ownr")
    )
    project.write("campaigns/other/campaign.yml", CAMPAIGN.replace("topic: tips", "topic: 1"))
    project.write("campaigns/other/welcome.email.md", MESSAGE.replace("customer", "custmer"))
    project.write("policy.yml", "postal_address: x\n")
    with pytest.raises(DefinitionError) as raised:
        load_campaigns(project.root)
    paths = {problem.path for problem in raised.value.problems}
    assert paths == {"campaigns/hello/campaign.yml", "campaigns/other/campaign.yml", "policy.yml"}
    assert len(raised.value.problems) >= 6


@pytest.mark.parametrize(
    ("file", "text", "line", "words"),
    [
        ("campaigns/hello/welcome.email.md", "Hi\n", 1, "has no header"),
        (
            "campaigns/hello/welcome.email.md",
            "---\nsubjct: x\n---\nHi\n",
            2,
            "unknown key `subjct`.*Did you mean `subject`",
        ),
        ("campaigns/hello/welcome.email.md", "---\npreheader: x\n---\nHi\n", 2, "`subject` is missing"),
        ("campaigns/hello/welcome.email.md", "---\nsubject: x\n---\n\n", 4, "has no body"),
        (
            "campaigns/hello/welcome.email.md",
            "---\nsubject: x\nlayout: emial\n---\nHi\n",
            3,
            "no layout `emial`.*`email`",
        ),
        ("campaigns/hello/welcome.email.md", "---\nsubject: |\n  a\n  b\n---\nHi\n", 2, "more than one line"),
        (
            "campaigns/hello/welcome.email.md",
            "---\nsubject: x\n---\nHi\n\n{{ first_name }}\n",
            6,
            "`customer.first_name`",
        ),
        ("campaigns/hello/welcome.email.md", "---\nsubject: x\n---\nHi\n\n{{ x\n", 6, "cannot be read"),
        ("campaigns/hello/welcome.email.md", "---\nsubject: x {{ y }}\n---\nHi\n", 2, "`y` is not known"),
        (
            "campaigns/hello/welcome.email.md",
            "---\nsubject: x\n---\nHi\n\n[a](javascript:b)\n",
            6,
            "`javascript:b` cannot be used",
        ),
        ("campaigns/hello/welcome.email.md", b"---\nsubject: x\n---\nHi\xff\n", 4, "not UTF-8"),
        ("campaigns/_layout/email.html", "<p>{{ unsubscribe_url }}</p>\n", 1, "does not print `{{ body }}`"),
        ("campaigns/_layout/email.html", "<p>{{ body }}</p>\n<script>\n</script>", 2, "`<script>` cannot be used"),
        ("campaigns/hello/notes.txt", "x", None, "is no part of a campaign"),
        ("campaigns/hello/campain.yml", "x", None, "Did you mean `campaign.yml`"),
        ("campaigns/hello/welcome.sms.txt", "x", 1, "the message `welcome` has two files"),
        ("campaigns/Hello There/campaign.yml", "x", None, "is not a campaign"),
        ("campaigns/loose.yml", "x", None, "is not a campaign"),
    ],
)
def test_a_wrong_file_is_named_with_its_line(
    project: Project, file: str, text: str | bytes, line: int | None, words: str
) -> None:
    project.write(file, text)
    place = file if line is None else f"{file}:{line}"
    complaints = project.complaints()
    start = place.split("/campaign.yml")[0] if line is None and "There" in file else place
    assert any(said.startswith(f"{start}: ") and re.search(words, said) for said in complaints), complaints


def test_a_message_with_two_files_is_refused(project: Project) -> None:
    project.write("campaigns/hello/welcome.email.html", MESSAGE)
    assert project.complaints() == ["campaigns/hello/welcome.email.md:1: the message `welcome` has two files; keep one"]


def test_a_folder_without_a_campaign_file_is_a_mistake(project: Project) -> None:
    project.remove("campaigns/hello/campaign.yml")
    assert project.complaints()[0].startswith("campaigns/hello/campaign.yml: the file cannot be read")


def test_marketing_without_a_way_out_is_refused(project: Project) -> None:
    project.write("campaigns/_layout/email.txt", "{{ body }}\n")
    assert "campaigns/hello/welcome.email.md:4: marketing needs a way out" in project.complaints()[0]
    project.write("campaigns/hello/campaign.yml", CAMPAIGN.replace("class: marketing", "class: transactional"))
    assert project.complaints() == []


def test_a_message_that_no_step_sends_is_noticed(project: Project) -> None:
    project.write("campaigns/hello/spare.email.md", MESSAGE)
    shelf = load_campaigns(project.root)
    assert "no step uses the message `spare`" in shelf.notices[0].message
    assert shelf.campaigns["hello"].used_messages == {"welcome"}


def test_the_version_ignores_copy_and_words_and_status(project: Project) -> None:
    first = load_campaigns(project.root).campaigns["hello"]
    changed = CAMPAIGN.replace("Say hello", "Say hi").replace("growth@", "x@").replace("status: live", "status: paused")
    project.write("campaigns/hello/campaign.yml", "# a comment\n" + changed + "priority: 3\n")
    project.write("campaigns/hello/welcome.email.md", MESSAGE.replace("Hello", "Hey"))
    second = load_campaigns(project.root).campaigns["hello"]
    assert second.version == first.version
    assert second.messages["welcome"].message_key != first.messages["welcome"].message_key


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("topic: tips", "topic: tricks"),
        ("  event: signed_up", "  event: signed_in"),
        ("  event: signed_up", "  event: signed_up\n  where: plan = 'pro'"),
        ("  event: signed_up", "  event: signed_up\n  late: 3d"),
        ("sending: automatic", "holdout: 1%"),
        ("sending: automatic", "expires: 47h"),
        ("sending: automatic", "goal: {event: a, within: 1d}"),
        ("  - send: welcome", "  - wait: 1h\n  - send: welcome"),
        ("  - send: welcome", "  - send: welcome\n    id: other"),
    ],
)
def test_the_version_changes_with_who_gets_what_when(project: Project, old: str, new: str) -> None:
    first = load_campaigns(project.root).campaigns["hello"]
    project.write("campaigns/hello/campaign.yml", CAMPAIGN.replace(old, new))
    second = load_campaigns(project.root).campaigns["hello"]
    assert second.version != first.version


@pytest.mark.parametrize("text", [FULL, CAMPAIGN.replace("signed_up", "signed_up\n  where: plan = 'pro'\n  late: 3d")])
def test_an_earlier_definition_can_be_restored(project: Project, text: str) -> None:
    today = load_campaigns(project.root).campaigns["hello"]
    project.write("campaigns/hello/campaign.yml", text)
    earlier = load_campaigns(project.root).campaigns["hello"]
    restored = today.restored(earlier.definition())
    assert restored.version == earlier.version
    assert restored.trigger == earlier.trigger
    assert [step.id for step in restored.steps] == [step.id for step in earlier.steps]
    assert restored.status == "live"


def test_an_inserted_wait_renames_no_other_step(project: Project) -> None:
    project.write("campaigns/hello/tips.email.md", MESSAGE)
    project.write("campaigns/hello/more.email.md", MESSAGE)
    before = CAMPAIGN + "  - wait: 2d\n  - send: tips\n  - wait: 3d\n  - send: more\n"
    project.write("campaigns/hello/campaign.yml", before)
    old = {step.id for step in load_campaigns(project.root).campaigns["hello"].steps}
    project.write(
        "campaigns/hello/campaign.yml", before.replace("  - send: welcome", "  - wait: 1h\n  - send: welcome")
    )
    new = {step.id for step in load_campaigns(project.root).campaigns["hello"].steps}
    assert new - old == {"wait_before_welcome"}
    assert old <= new


def test_the_schema_for_editors_accepts_what_the_loader_accepts(project: Project) -> None:
    made = schema()
    assert tuple(made["properties"]) == words.KEYS
    validator = Draft202012Validator(made)
    reader = YAML(typ="safe", pure=True)
    assert list(validator.iter_errors(reader.load(FULL))) == []
    assert list(validator.iter_errors(reader.load(CAMPAIGN))) == []
    assert list(validator.iter_errors(reader.load(CAMPAIGN.replace("topic: tips\n", ""))))
    assert list(validator.iter_errors(reader.load(CAMPAIGN.replace("send:", "sned:"))))
