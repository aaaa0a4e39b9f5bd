from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML

from tailrace.campaigns import steps, triggers, words
from tailrace.campaigns.definition import Campaign, MessageFile
from tailrace.campaigns.reading import Found, read_campaign
from tailrace.campaigns.rules import KEYS as RULE_KEYS
from tailrace.campaigns.schema import schema
from tailrace.errors import Problem
from tests.campaigns import examples
from tests.campaigns.conftest import MESSAGE, Project

PARTS = {name: name.split(".", 2) for name in examples.FILES}
FOUND = Found(
    {},
    {
        name: MessageFile(
            name, channel, kind.removesuffix(".liquid"), kind.endswith(".liquid"), f"campaigns/hello/{file}"
        )
        for file, (name, channel, kind) in PARTS.items()
    },
)


def read(text: str) -> tuple[Campaign | None, list[str]]:
    problems: list[Problem] = []
    campaign = read_campaign("campaign.yml", "hello", text, FOUND, problems)
    return campaign, [str(problem) for problem in problems]


def right(text: str) -> Campaign:
    campaign, problems = read(text)
    assert problems == []
    assert campaign is not None
    return campaign


@pytest.mark.parametrize(("text", "facts"), examples.TRIGGERS)
def test_a_trigger_means_its_facts(text: str, facts: dict[str, Any]) -> None:
    assert right(examples.of_trigger(text)).definition()["trigger"] == facts


@pytest.mark.parametrize(("text", "facts"), [*examples.CONDITIONS, *examples.RESPONSES])
def test_a_condition_means_its_facts(text: str, facts: dict[str, Any]) -> None:
    assert right(examples.of_filter(text)).definition()["steps"][1]["if"] == facts


@pytest.mark.parametrize(("text", "facts"), examples.STEPS)
def test_steps_mean_their_facts(text: str, facts: list[dict[str, Any]]) -> None:
    assert right(examples.of_steps(text)).definition()["steps"] == facts


@pytest.mark.parametrize(("text", "key", "facts"), examples.RULES)
def test_a_rule_means_its_facts(text: str, key: str, facts: Any) -> None:
    assert right(examples.of_rules(text)).definition()[key] == facts


def test_the_new_keys_are_quiet_by_default() -> None:
    made = right(examples.of_rules("priority: 1"))
    definition = made.definition()
    assert (definition["filter"], definition["exit"], definition["goal"], definition["window"]) == (
        None,
        [],
        None,
        None,
    )
    assert (definition["repeat"], definition["in_flight"]) == ({"kind": "never", "seconds": None}, "ignore")
    assert (made.on_edit, made.on_pause, made.on_end, made.is_edit_chosen) == ("keep", "hold", "exit", False)


def test_what_an_edit_a_pause_and_the_end_do_applies_at_once_to_everybody() -> None:
    plain = right(examples.of_rules("priority: 1"))
    chosen = right(examples.of_rules("on_edit: move\non_pause: expire\non_end: drain"))
    assert (chosen.on_edit, chosen.on_pause, chosen.on_end, chosen.is_edit_chosen) == ("move", "expire", "drain", True)
    assert chosen.version == plain.version


WRONG_TRIGGERS = [
    ("{}", "has none of them; expected exactly one of `segment`, `event`, `form`"),
    ("signed_up", "`trigger` is `signed_up`; expected a mapping"),
    ("{segment: seg_x, event: a}", "has `segment` and `event`; expected exactly one"),
    ("{segment: trial}", "is not a segment; expected a model in `models/segments/`, named `seg_…`"),
    ("{segment: seg_x, on: entry}", "`on` is `entry`; expected `entered`, `left`"),
    ("{segment: seg_x, late: 3d}", "`late` does not go with `segment`; remove it"),
    ("{event: a, on: left}", "`on` does not go with `event`"),
    ("{event: a, occurrence: cart_id}", "expected `repeat: each_occurrence` with it"),
    ("{event: a, occurrence: '*'}", "`occurrence`: a property's name is too long or has quotes"),
    ("{event: a, occurrence: 'a\"b'}", "`occurrence`: a property's name is too long or has quotes"),
    ("{event: a, where: 'plan ='}", "`where`: this is not a condition"),
    ("{form: a, attribute: plan}", "has `form` and `attribute`"),
    ("{attribute: plan, from: a, to: a}", "`from` and `to` are both `a`"),
    ("{attribute: plan, to: null}", "`to` is `null`; expected a value: leave it out for any"),
    ("{from: a, to: b}", "has none of them"),
    ("{date: birthday, offset: 3 days}", "`3 days` is not an offset; expected whole days such as `-3d`"),
    ("{date: birthday, at: '9:00'}", "`9:00` is not a time of day"),
    ("{date: birthday, at: '24:00'}", "expected a time of the day before it"),
    ("{date: birthday, every: week}", "`every` is `week`; expected `year`, `month`, `once`"),
    ("{date: birthday, every: year}", "`every: year` comes again, but `repeat: never` lets a person in once"),
    ("{broadcast: now}", "`broadcast` is `now`; expected `command`"),
    ("{broadcast: {segment: seg_x}}", "`at` is missing"),
    ("{broadcast: {segment: seg_x, at: 2026-12-01T09:00}}", "is not a moment; expected ISO 8601 with a zone"),
    ("{broadcast: {segment: seg_x, at: soon}}", "is not a moment"),
    ("{object: account}", "`object` needs exactly one of `event` and `segment` beside it"),
    ("{object: account, event: a, segment: seg_x}", "`object` needs exactly one of"),
    ("{object: account, event: a, on: left}", "`on` does not go with `event`"),
    ("{object: account, segment: big}", "is not a segment"),
    ("{object: account, event: a, occurrence: x}", "`occurrence` does not go with `object`"),
    ("{evnt: a}", "unknown key `evnt`.*Did you mean `event`"),
]


@pytest.mark.parametrize(("text", "words"), WRONG_TRIGGERS)
def test_a_wrong_trigger_is_named_with_its_line(text: str, words: str) -> None:
    campaign, problems = read(examples.of_trigger(text))
    assert campaign is None
    assert any(re.match(f"campaign.yml:6: .*{words}", problem) for problem in problems), problems


WRONG_CONDITIONS = [
    ("{}", 9, "has none of them; expected exactly one of `in`, `event`"),
    ("{response: crm_tsk}", 9, "Did you mean `crm_task`"),
    ("{in: seg_x, event: a}", 9, "`in` does not go with `event`"),
    ("{in: seg_x, since: 3d}", 9, "`since` does not go with `in`"),
    ("{in: seg_x, where: plan = 'x'}", 9, "has `in` and `where`"),
    ("{in: trial}", 9, "is not a segment"),
    ("{event: a, since: ever}", 9, "`ever` is not a duration"),
    ("{event: a, response: crm_task}", 9, "has `event` and `response`"),
    ("{where: plan}", 9, None),
    ("{where: customer.plan = 'x'}", 9, "names a table; expected the bare name of a column"),
    ("{all: []}", 9, "expected a list with at least one element"),
    ("{any: {in: seg_x}}", 9, "`any` is a mapping; expected a list"),
    ("{not: [{in: seg_x}]}", 9, "`not` is a list; expected a mapping"),
    ("{all: [{in: seg_x}, {inn: seg_y}]}", 9, "unknown key `inn`.*Did you mean `in`"),
    ("{response: crm}", 9, "no webhook step `crm` comes before this; expected the id of one that does"),
    ("{response: crm_task, status: 700}", 9, "`status` is `700`; expected a class such as `2xx`"),
    ("{response: crm_task, since: 1d}", 9, "`since` does not go with `response`"),
    ("{in: seg_x, same: cart_id}", 9, "`same` does not go with `in`"),
    ("{response: crm_task, same: cart_id}", 9, "`same` does not go with `response`"),
    ("{same: cart_id}", 9, "has none of them; expected exactly one of `in`, `event`"),
    ("{event: a, same: 7}", 9, "`same` is `7`; expected the name of a property, such as `cart_id`"),
    ("{event: a, same: []}", 9, "`same` is a list; expected a list with at least one element"),
    ("{event: a, same: {cart: id}}", 9, "`same` is a mapping; expected a list"),
    ("{event: a, same: '*'}", 9, "`same`: a property's name is too long or has quotes"),
    ("{event: a, same: 'a\"b'}", 9, "`same`: a property's name is too long or has quotes"),
    ("{event: a, same: [b, c, b]}", 9, "`same` names `b` twice; remove one"),
    ("{not: " * 12 + "{in: seg_x}" + "}" * 12, 9, "nested too deeply"),
]


@pytest.mark.parametrize(("text", "line", "words"), WRONG_CONDITIONS)
def test_a_wrong_condition_is_named_with_its_line(text: str, line: int, words: str | None) -> None:
    campaign, problems = read(examples.of_filter(text))
    if words is None:
        assert problems == []
    else:
        assert campaign is None
        assert any(re.match(f"campaign.yml:{line}: .*({words})", problem) for problem in problems), problems


NESTED = "".join("  " * depth + "- if: {in: seg_x}\n" + "  " * depth + "  then:\n" for depth in range(12))

WRONG_STEPS = [
    (
        "- send: welcom",
        8,
        "no message `welcom` in this folder; expected a file `welcom.email.md`. Did you mean `welcome`",
    ),
    ("- send: cs_alert", 8, "`send` cannot use `cs_alert`, which is for `slack`; expected a `.email.` or"),
    ("- notify: ping", 8, "`notify` cannot use `ping`, which is for `push`"),
    ("- webhook: crm", 8, "expected a file `crm.webhook.yml`"),
    ("- webhook: welcome", 8, "`webhook` cannot use `welcome`"),
    ("- sned: welcome", 8, "unknown key `sned`.*Did you mean `send`"),
    ("- stop", 8, "a step is `stop`; expected `exit`"),
    ("- {}", 8, "has none of them"),
    ("- {id: a}", 8, "has none of them"),
    ("- {send: welcome, wait: 1d}", 8, "has `send` and `wait`"),
    ("- {send: welcome, then: [exit]}", 8, "`then` does not go with `send`"),
    ("- wait: 1d", 8, "`steps` does nothing"),
    ("- if: {in: seg_x}\n  then: [exit]", 8, "`steps` does nothing"),
    ("- exit\n- send: welcome", 9, "never reached"),
    ("- if: {in: seg_x}\n  then: [exit]\n  else: [exit]\n- send: welcome", 11, "never reached"),
    (
        "- wait_until: {in: seg_x, timeout: 1h}\n  then: [exit]\n  else:\n    - exit\n    - send: welcome",
        12,
        "never reached",
    ),
    (
        "- split: [{name: a, weight: 1, steps: [exit]}, {name: b, weight: 1, steps: [exit]}]\n  id: s\n- send: welcome",
        10,
        "never reached",
    ),
    ("- if: {in: seg_x}\n- send: welcome", 8, "`if` has no branches"),
    ("- if: {in: seg_x}\n  then: []\n- send: welcome", 9, "expected a list with at least one element"),
    ("- wait_until: {in: seg_x}\n- send: welcome", 8, "`timeout` is missing"),
    ("- wait_until: {timeout: 1h}\n- send: welcome", 8, "has none of them"),
    ("- wait_until: {in: seg_x, timeout: soon}\n- send: welcome", 8, "`soon` is not a duration"),
    ("- split: [{name: a, weight: 1}]\n  id: s\n- send: welcome", 8, "`split` has one arm"),
    ("- split: [{name: a, weight: 0}, {name: b, weight: 0}]\n  id: s\n- send: welcome", 8, "all arms .* have weight 0"),
    ("- split: [{name: a, weight: 1}, {name: a, weight: 1}]\n  id: s\n- send: welcome", 8, "two arms are named `a`"),
    ("- split: [{name: a, weight: 1}, {name: b, weight: -1}]\n  id: s\n- send: welcome", 8, "expected a whole number"),
    ("- split: [{name: a, weight: 1}, {name: b}]\n  id: s\n- send: welcome", 8, "`weight` is missing"),
    ("- split: [{name: a, weight: 1}, {name: b, weight: 1}]\n- send: welcome", 8, "`split` has no `id`"),
    ("- update: {}", 8, "`update` sets nothing"),
    ("- update: {onboarding_stage: [a]}", 8, "`onboarding_stage` is a list; expected text, a number"),
    ("- update: {onboarding_stage: 0x1F}", 8, "expected a number in plain digits"),
    ("- add_to: testers", 8, "is not a segment"),
    ("- send: welcome\n- send: welcome", 9, "line 8 has the id `welcome` too.*`id:` of its own"),
    ("- send: welcome\n- notify: staff_mail\n  id: welcome", 9, "line 8 has the id `welcome` too"),
    (
        "- if: {in: seg_x}\n  id: a\n  then: [{send: welcome}]\n  else:\n    - send: welcome",
        12,
        "line 10 has the id `welcome` too",
    ),
    (
        "- if: {in: seg_x}\n  id: a\n  then: [{webhook: crm_task}]\n  else: [{if: {response: crm_task}, then: [exit]}]",
        11,
        "no webhook step `crm_task` comes before this",
    ),
    ("- if: {response: crm_task}\n  then: [exit]\n- webhook: crm_task", 8, "no webhook step `crm_task` comes before"),
    (NESTED + "  " * 12 + "- send: welcome", None, "nested too deeply"),
    (
        "\n".join(f"- send: welcome\n  id: w{number}" for number in range(101)),
        208,
        "too many steps; expected at most 100",
    ),
]


@pytest.mark.parametrize(("text", "line", "words"), WRONG_STEPS)
def test_a_wrong_step_is_named_with_its_line(text: str, line: int | None, words: str) -> None:
    campaign, problems = read(examples.of_steps(text))
    assert campaign is None
    place = r"\d+" if line is None else str(line)
    assert any(re.match(f"campaign.yml:{place}: .*{words}", problem) for problem in problems), problems


def test_a_webhook_of_a_branch_may_have_answered_after_it() -> None:
    text = (
        "- if: {in: seg_x}\n  id: a\n  then: [{webhook: crm_task}]\n"
        "- if: {response: crm_task}\n  id: b\n  then: [{send: welcome}]"
    )
    assert right(examples.of_steps(text)).definition()["steps"][1]["if"]["response"] == "crm_task"


def test_ten_branches_may_stand_in_each_other() -> None:
    steps = "- send: welcome"
    for depth in range(10):
        steps = f"- if: {{in: seg_x}}\n  id: i{depth}\n  then:\n" + examples.indented(steps, "    ")
    assert len(right(examples.of_steps(steps)).all_steps) == 11


WRONG_RULES = [
    ("filter: {event: a}", 7, "expected a duration such as `since: 30d`"),
    ("filter: {event: a, since: entry}", 7, "expected a duration such as `since: 30d`"),
    ("filter: {response: crm_task}", 7, "`response` cannot stand in a filter"),
    ("filter: in seg_x", 7, "`filter` is `in seg_x`; expected a mapping"),
    ("repeat: every 30", 7, "`30` is not a duration"),
    ("repeat: always", 7, "`repeat` is `always`; expected `never`, `after_exit`, `each_occurrence`, `every 30d`"),
    ("in_flight: restart", 7, "expected `repeat: after_exit` with it"),
    ("in_flight: restrt", 7, "Did you mean `restart`"),
    ("existing: enroll", 7, "`existing` is about people already in a segment"),
    ("exit: [left_trigger]", 7, "`left_trigger` needs a `segment` trigger"),
    ("exit: [left_triger]", 7, "Did you mean `left_trigger`"),
    ("exit: left_trigger", 7, "expected a list"),
    ("exit:\n  - {in: seg_x}\n  - {response: crm_task}", 9, "no webhook step `crm_task`"),
    ("window: {}", 7, "`window` says nothing"),
    ("window: {days: weekdays}", 7, "names no days; expected something like `mon-fri`"),
    ("window: {days: []}", 7, "expected a list with at least one element"),
    ("window: {from: '09:00', to: '09:00'}", 7, "`window` ends when it begins"),
    ("window: {from: '24:00', to: '09:00'}", 7, "`from` is `24:00`"),
    ("window: {form: '09:00'}", 7, "unknown key `form`.*Did you mean `from`"),
    ("goal: {within: 1d}", 7, "exactly one of `event` and `segment`"),
    ("goal: {event: a, segment: seg_x, within: 1d}", 7, "exactly one of `event` and `segment`"),
    ("goal: {segment: seg_x, where: plan = 'x', within: 1d}", 7, "`where` does not go with `segment`"),
    ("goal: {segment: seg_x, same: cart_id, within: 1d}", 7, "`same` does not go with `segment`"),
    ("goal: {event: a, same: [], within: 1d}", 7, "`same` is a list; expected a list with at least one element"),
    ("goal: {event: a}", 7, "`within` is missing"),
    ("on_edit: stay", 7, "`on_edit` is `stay`; expected `keep`, `move`, `exit`"),
    ("on_pause: wait", 7, "`on_pause` is `wait`"),
    ("on_end: stop", 7, "`on_end` is `stop`"),
]


@pytest.mark.parametrize(("text", "line", "words"), WRONG_RULES)
def test_a_wrong_rule_is_named_with_its_line(text: str, line: int, words: str) -> None:
    campaign, problems = read(examples.of_rules(text))
    assert campaign is None
    assert any(re.match(f"campaign.yml:{line}: .*{words}", problem) for problem in problems), problems


@pytest.mark.parametrize(
    ("trigger", "words"),
    [
        ("{segment: seg_x}", "entered seg_x"),
        ("{attribute: plan}", "plan changes"),
        ("{date: renews_on}", "on renews_on at 09:00"),
        ("{broadcast: {segment: seg_x, at: 2026-12-01T09:00Z}}", "everybody in seg_x at 2026-12-01T09:00:00Z"),
        ("{object: account, segment: seg_big}", "account entered seg_big"),
    ],
)
@pytest.mark.parametrize(
    "rule",
    [
        "exit: [{in: seg_y}, {not: {event: bought, same: cart_id}}]",
        "filter: {event: bought, same: cart_id, since: 1d}",
        "goal: {event: bought, same: cart_id, within: 1d}",
        "on_edit: keep\nsteps:\n- if: {event: bought, same: cart_id}\n  then: [{send: welcome}]",
    ],
)
def test_what_no_event_started_is_compared_with_none(trigger: str, words: str, rule: str) -> None:
    text = f"{examples.HEAD}trigger: {trigger}\n{rule}\n" + ("" if "steps:" in rule else examples.SEND)
    campaign, problems = read(text)
    assert campaign is None
    line = 9 if "steps:" in rule else 7
    what = "`same` compares with the event that started the person, but no event starts people here"
    expected = "expected a trigger `event`, `form`, `object` with `event` or `broadcast: command`: remove `same`"
    assert problems == [f"campaign.yml:{line}: {what} ({words}); {expected}"]


@pytest.mark.parametrize(
    "trigger", ["{event: a}", "{form: newsletter}", "{broadcast: command}", "{object: account, event: a}"]
)
def test_what_an_event_started_can_be_compared_with_it(trigger: str) -> None:
    text = examples.of_trigger(trigger) + "exit: [{event: bought, same: cart_id}]\n"
    assert right(text).definition()["exit"][0]["same"] == ["cart_id"]


def test_a_trigger_that_is_wrong_is_the_only_thing_that_is_said_of_it() -> None:
    problems = read(examples.of_trigger("{evnt: a}") + "exit: [{event: bought, same: cart_id}]\n")[1]
    assert [problem.partition(";")[0] for problem in problems] == ["campaign.yml:6: unknown key `evnt`"]


def test_restarting_needs_a_trigger_that_comes_again() -> None:
    text = examples.of_trigger("{segment: seg_x}") + "repeat: after_exit\nin_flight: restart\n"
    assert "needs an `event` or `form` trigger" in read(text)[1][0]


def test_leaving_the_trigger_goes_with_a_segment() -> None:
    text = examples.of_trigger("{segment: seg_x}") + "exit: [left_trigger, {in: seg_y}]\nexisting: enroll\n"
    assert right(text).definition()["exit"] == ["left_trigger", {"in": "seg_y"}]


def test_a_birthday_comes_each_year() -> None:
    text = examples.of_trigger("{date: birthday, every: year}") + "repeat: each_occurrence\n"
    assert right(text).definition()["trigger"]["every"] == "year"


VALIDATOR = Draft202012Validator(schema())
READER = YAML(typ="safe", pure=True)


@pytest.mark.parametrize("text", examples.every_text())
def test_the_schema_for_editors_accepts_every_example(text: str) -> None:
    Draft202012Validator.check_schema(schema())
    # Editors read JSON's types: a moment is text there.
    value = json.loads(json.dumps(READER.load(text), default=lambda moment: moment.isoformat()))
    assert [error.message for error in VALIDATOR.iter_errors(value)] == []


@pytest.mark.parametrize(
    "text",
    [
        *(examples.of_trigger(text) for text in ("{}", "{segment: seg_x, late: 3d}", "{object: a}", "{evnt: a}")),
        *(
            examples.of_filter(text)
            for text in ("{}", "{in: seg_x, since: 3d}", "{all: []}", "{not: []}", "{event: a, same: []}")
        ),
        *(
            examples.of_steps(text)
            for text in (
                "- stop",
                "- {send: a, wait: 1d}",
                "- if: {in: seg_x}",
                "- wait_until: {in: seg_x}",
                "- update: {}",
            )
        ),
        *(examples.of_rules(text) for text in ("window: {}", "on_edit: stay", "repeat: always", "goal: {within: 1d}")),
        examples.of_rules("goal: {segment: seg_x, same: cart_id, within: 1d}"),
    ],
)
def test_the_schema_for_editors_refuses_what_the_loader_refuses(text: str) -> None:
    assert read(text)[1]
    assert list(VALIDATOR.iter_errors(READER.load(text)))


def _as_flow(draw: st.DrawFn, value: Any) -> Any:
    if isinstance(value, dict):
        keys = draw(st.permutations(list(value)))
        return {key: _as_flow(draw, value[key]) for key in keys}
    return [_as_flow(draw, each) for each in value] if isinstance(value, list) else value


CHECKED = settings(max_examples=60)


@CHECKED
@given(st.data(), st.sampled_from(examples.every_text()))
def test_the_order_of_keys_and_comments_change_no_version(data: st.DataObject, text: str) -> None:
    value = json.loads(json.dumps(READER.load(text), default=lambda moment: moment.isoformat()))
    shuffled = json.dumps(data.draw(st.composite(lambda draw: _as_flow(draw, value))()), indent=1)
    commented = "# a comment\n" + shuffled.replace("\n", " # another\n")
    assert right(commented).version == right(text).version


@CHECKED
@given(
    st.sampled_from([text for text, _ in examples.TRIGGERS]),
    st.lists(st.sampled_from([text for text, _ in examples.STEPS]), min_size=1, max_size=3, unique=True),
    st.sampled_from([text for text, _ in examples.CONDITIONS]),
    st.sampled_from([text for text, _, _ in examples.RULES]),
    st.sampled_from(examples.every_text()),
)
def test_a_definition_restored_is_the_same_definition(
    trigger: str, written: list[str], condition: str, rule: str, today: str
) -> None:
    nested = [
        f"- if: {condition}\n  id: i{number}\n  then:\n" + examples.indented(each, "    ")
        for number, each in enumerate(written)
    ]
    text = f"{examples.HEAD}trigger: {trigger}\n{rule}\nsteps:\n{examples.indented(''.join(nested))}"
    earlier, problems = read(text)
    if earlier is None:
        assert problems
        return
    definition = json.loads(json.dumps(earlier.definition()))
    restored = right(today).restored(definition)
    assert restored.definition() == earlier.definition()
    assert restored.version == earlier.version
    assert named(restored) == named(earlier)


NESTED = """trigger: {object: account, segment: seg_accounts}
filter: {all: [{in: seg_filter}, {not: {any: [{where: plan = 'pro'}]}}]}
exit: [{in: seg_exit}]
goal: {segment: seg_goal, within: 3d}
steps:
  - if: {in: seg_if}
    then: [{add_to: seg_then}]
    else:
      - split:
          - {name: a, weight: 1, steps: [{update: {stage: a}}]}
          - name: b
            weight: 1
            steps:
              - wait_until: {any: [{event: seen}, {in: seg_until}], timeout: 1d}
                else: [{remove_from: seg_else}]
        id: dealt
  - send: welcome
"""


@pytest.mark.parametrize("text", [*examples.every_text(), examples.HEAD + NESTED])
def test_the_facts_of_a_definition_tell_all_that_its_text_names(text: str) -> None:
    made, _ = read(text)
    if made is not None:
        assert named(made.restored(json.loads(json.dumps(made.definition())))) == named(made)


def named(campaign: Campaign) -> set[tuple[str, str]]:
    return {(each.what, each.name) for each in campaign.references}


def test_the_text_of_a_condition_makes_the_version_and_its_sql_does_not() -> None:
    made = right(examples.of_trigger("{event: a, where: plan = 'pro'}"))
    definition = made.definition()
    definition["trigger"]["where_sql"] = "true"
    assert made.restored(definition).version == made.version
    definition["trigger"]["where"] = "plan = 'team'"
    assert made.restored(definition).version != made.version


def test_a_live_campaign_may_send_every_kind_of_message(project: Project) -> None:
    project.write("campaigns/hello/text.sms.txt", "Hi")
    text = (Path(project.root) / "campaigns/hello/campaign.yml").read_text() + "  - send: text\n"
    project.write("campaigns/hello/campaign.yml", text)
    assert project.complaints() == []
    assert project.shelf().campaigns["hello"].messages["text"].channel == "sms"


@pytest.mark.parametrize(
    "name", ["a.email.txt", "a.fax.txt", "a.sms.md", "a.email.liquid.liquid", "A.email.md", "a.b.email.md", "a.md"]
)
def test_a_file_that_is_no_message_is_a_mistake(project: Project, name: str) -> None:
    project.write(f"campaigns/hello/{name}", MESSAGE)
    assert f"`{name}` is no part of a campaign" in project.complaints()[0]


PAGE = (Path(__file__).parents[2] / "docs" / "campaigns.md").read_text(encoding="utf-8")
CHANNELS = {"send": "email", "notify": "slack", "webhook": "webhook"}


@pytest.mark.parametrize("block", re.findall(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL))
def test_what_the_page_for_authors_shows_can_be_written(block: str) -> None:
    text = block if "purpose:" in block else examples.HEAD + block
    text += "" if "trigger:" in text else "trigger: {segment: seg_x}\n"
    text += "" if "steps:" in text else examples.SEND
    named = re.findall(r"(send|notify|webhook): (\w+)", text)
    files = {name: MessageFile(name, CHANNELS[step], "md", False, "") for step, name in named}
    problems: list[Problem] = []
    assert read_campaign("campaign.yml", "hello", text, Found({}, files), problems) is not None, problems


def test_the_page_for_authors_lists_every_key() -> None:
    listed = re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE)
    assert listed[: len(words.KEYS)] == list(words.KEYS)
    assert set(RULE_KEYS) <= set(listed)


def test_every_trigger_and_step_can_be_said_in_words() -> None:
    said = [triggers.in_words(right(examples.of_trigger(text)).trigger) for text, _ in examples.TRIGGERS]
    assert len(set(said)) == len(said)
    assert {
        "left seg_x",
        "event cart_left where plan = 'pro'",
        "form newsletter",
        "plan changes from trial to paid",
        "3 days before trial_ends_at at 07:30",
        "on renews_on at 09:00",
        "everybody in seg_x at 2026-12-01T08:00:00Z",
        "event limit_reached of the account where plan = 'pro'",
        "account left seg_big_accounts",
    } <= set(said)
    walked = [step for text, _ in examples.STEPS for step in right(examples.of_steps(text)).all_steps]
    assert {
        "send welcome",
        "wait until",
        "if",
        "split short / none",
        "add to seg_x",
        "update onboarding_stage",
        "exit",
    } <= {steps.in_words(step) for step in walked}
