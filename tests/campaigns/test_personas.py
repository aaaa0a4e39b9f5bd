from __future__ import annotations

from pathlib import Path

import pytest

from tailrace.campaigns.analysis import analyse
from tailrace.campaigns.check import check_campaigns
from tailrace.campaigns.personas import data_of, lacking, read_personas, rendered
from tailrace.campaigns.render import Renderer
from tailrace.campaigns.shelf import load_campaigns
from tailrace.errors import Problem
from tests.campaigns.conftest import CAMPAIGN, Project

SHIPPED = Path(__file__).parents[2] / "dbt_project"
PERSONA = """\
name: ada
events:
  - {type: track, userId: ada, timestamp: "2026-01-02T00:00:00Z", event: signed_up, properties: {plan: pro, at: soon}}
  - {type: identify, userId: ada, timestamp: "2026-01-01T00:00:00Z", traits: {first_name: Ada, mrr: 49}}
  - type: group
    userId: ada
    timestamp: "2026-01-03T00:00:00Z"
    groupId: a1
    traits: {name: Nordwind, relationship: {role: admin}}
"""
CUSTOMER = {"person_id", "first_name", "mrr", "company"}
OBJECTS = {"account", "team"}


def complaints(project: Project, body: str, campaign: str = CAMPAIGN) -> list[str]:
    project.write("personas/more/ada.yml", PERSONA)
    project.write("campaigns/hello/campaign.yml", campaign)
    project.write("campaigns/hello/welcome.email.md", f"---\nsubject: Hi\n---\nHello\n{body}\n")
    return [str(problem) for problem in check_campaigns(project.shelf(), {"seg_x"}, CUSTOMER, {}, objects=OBJECTS)]


def test_a_message_that_fails_for_a_persona_names_file_line_and_persona(project: Project) -> None:
    (said,) = complaints(project, "\nIt starts {{ event.at|date }}.")
    assert said.startswith("campaigns/hello/welcome.email.md:6: for the persona `ada` the message cannot be made")
    assert "wrong_type" in said
    assert "soon" not in said


def test_one_mistake_is_one_line_however_many_personas_meet_it(project: Project) -> None:
    for name in ("ben", "cleo"):
        project.write(f"personas/{name}.yml", PERSONA.replace("ada", name))

    (said,) = complaints(project, "\nIt starts {{ event.at|date }}.")

    assert "for the persona `ben` (and 2 more) the message cannot be made (wrong_type)" in said
    assert "personas/ben.yml" in said


def test_a_persona_that_lacks_what_is_needed_is_skipped_as_a_person_would_be(project: Project) -> None:
    assert complaints(project, "{{ customer.company }} {{ event.plan }} {{ customer.first_name }}") == []
    found = analyse(project.shelf().campaigns["hello"].messages["welcome"])
    persona = read_personas(project.root, [])["ada"]
    assert lacking(found, data_of(persona, project.shelf().campaigns["hello"])) == ["customer.company"]


def test_a_persona_is_what_its_events_say(project: Project) -> None:
    assert complaints(project, "{{ trigger.plan }}") == []
    campaign = project.shelf().campaigns["hello"]
    data = data_of(read_personas(project.root, [])["ada"], campaign)
    assert data["customer"]["first_name"] == "Ada"
    assert data["event"] == data["trigger"] == {"plan": "pro", "at": "soon"}
    assert data["object"] == {}
    message = campaign.messages["welcome"]
    assert "Hello pro" in rendered(Renderer(), message, analyse(message), data).text


def test_people_of_an_object_have_its_fields(project: Project) -> None:
    campaign = CAMPAIGN.replace("  event: signed_up", "  object: account\n  event: signed_up")
    assert complaints(project, "{{ object.name }} {{ trigger.plan }} {{ event.plan }}", campaign) == []
    found = project.shelf().campaigns["hello"]
    data = data_of(read_personas(project.root, [])["ada"], found)
    assert data["object"] == {"id": "a1", "name": "Nordwind", "relationship": {"role": "admin"}}


def test_whoever_gets_a_message_has_all_that_they_belong_to_by_kind(project: Project) -> None:
    body = "{% for each in objects.account %}{{ each.name }} ({{ each.relationship.role }}){% endfor %}"
    assert complaints(project, body) == []
    found = project.shelf().campaigns["hello"]
    message = found.messages["welcome"]
    data = data_of(read_personas(project.root, [])["ada"], found)
    assert "Nordwind (admin)" in rendered(Renderer(), message, analyse(message), data).text

    (said,) = complaints(project, "{{ objects.acount[0].name }}")
    assert said == (
        "campaigns/hello/welcome.email.md:5: `objects.acount`: there is no such kind of object; expected one of"
        " `vars: objects` in dbt_project.yml, or one that a segment of objects names (`account`, `team`)."
        " Did you mean `account`?"
    )


def test_a_campaign_of_a_kind_of_object_that_nobody_knows_names_the_line(project: Project) -> None:
    campaign = CAMPAIGN.replace("  event: signed_up", "  object: tam\n  event: signed_up")
    (said,) = complaints(project, "", campaign)
    assert "`object: tam`: there is no such kind of object" in said
    assert said.endswith("Did you mean `team`?")


@pytest.mark.parametrize(
    "body",
    [
        "{{ event.cart.total|round(2) }} on {{ event.cart.at|date }} by {{ event.cart.by.name }}",
        "{{ event.items[0].name }}, {{ event.items[3].price|round(2) }}",
        "{{ event.items.first.name }} of {{ event.items.size }}",
        "{% for one in event.items %}{{ one.product.name }}: {{ one.product.price|round(2) }}{% endfor %}",
        "{% for one in event.cart.lines %}{{ one.sku }} {{ one.at|date }}{% endfor %}",
        "{% for one in event.tags %}{{ one }}{% endfor %}",
        "{{ event['Cart Lines'][1].offers[2].price * 2 }}",
    ],
)
def test_what_stands_deep_in_a_field_is_invented_as_deep(project: Project, body: str) -> None:
    assert complaints(project, body) == []


@pytest.mark.parametrize(
    ("trigger", "field", "words"),
    [
        ("  event: signed_up", "object.name", "expected `customer` or `event`"),
        ("  segment: seg_x", "trigger.plan", "expected `customer` or `segment`"),
        ("  broadcast: {segment: seg_x, at: 2026-12-01T09:00Z}", "event.plan", "expected `customer` or `segment`"),
        ("  broadcast: command", "segment.x", "expected `customer` or `event`"),
    ],
)
def test_a_field_of_something_else_is_refused(project: Project, trigger: str, field: str, words: str) -> None:
    said = complaints(project, f"{{{{ {field} }}}}", CAMPAIGN.replace("  event: signed_up", trigger))
    assert any(words in problem for problem in said), said


@pytest.mark.parametrize("trigger", ["  event: signed_up", "  form: newsletter", "  broadcast: command"])
def test_trigger_is_another_word_for_event(project: Project, trigger: str) -> None:
    campaign = CAMPAIGN.replace("  event: signed_up", trigger)
    assert complaints(project, "{{ trigger.code }} {{ event.code }}", campaign) == []


@pytest.mark.parametrize("text", ["name: x\n", "- a\n", "events: 3\n", "events: [{type: track}]\n", "a: [\n"])
def test_a_persona_that_cannot_be_read_is_a_problem_of_its_file(project: Project, text: str) -> None:
    project.write("personas/bad.yml", text)
    problems: list[Problem] = []
    assert read_personas(project.root, problems) == {}
    assert [problem.path for problem in problems] == ["personas/bad.yml"]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ("{type: track, event: x}", "`timestamp` of an event is missing"),
        ("{timestamp: 2026-01-01, event: x}", "`type` of an event is missing"),
        ("{type: [track], timestamp: 2026-01-01}", "`type` is a list; expected text"),
        ("{type: identify, timestamp: 2026-01-01, traits: Ada}", "`traits` is `Ada`; expected a mapping"),
        ("{type: track, timestamp: 2026-01-01, properties: [1]}", "`properties` is a list; expected a mapping"),
        ("{type: identify, timestamp: 2026-01-01, traits: &a {b: 1}}", "the anchor `&a` is not allowed"),
        ("track", "`events` is `track`; expected a mapping"),
    ],
)
def test_a_call_of_a_persona_that_could_not_be_landed_is_named_with_its_line(
    project: Project, call: str, words: str
) -> None:
    project.write("personas/bad.yml", f"{PERSONA}  - {call}\n")
    problems: list[Problem] = []
    assert read_personas(project.root, problems) == {}
    (said,) = map(str, problems)
    assert said.startswith(f"personas/bad.yml:{len(PERSONA.splitlines()) + 1}: {words}")


def test_a_call_of_a_persona_may_say_nothing_of_itself(project: Project) -> None:
    project.write("personas/ben.yml", PERSONA.replace("properties: {plan: pro, at: soon}", "properties: null"))
    assert complaints(project, "") == []
    data = data_of(read_personas(project.root, [])["ben"], project.shelf().campaigns["hello"])
    assert data["event"] == {}


@pytest.mark.torture
def test_every_message_that_ships_can_be_made_for_every_persona_that_has_what_it_needs() -> None:
    shelf = load_campaigns(SHIPPED)
    personas = read_personas(SHIPPED, [])
    renderer, made = Renderer(), 0
    for campaign in (*shelf.campaigns.values(), *shelf.off.values()):
        for message in campaign.messages.values():
            found = analyse(message)
            for persona in personas.values():
                data = data_of(persona, campaign)
                if not lacking(found, data):
                    rendered(renderer, message, found, data)
                    made += 1
    assert made > 100
