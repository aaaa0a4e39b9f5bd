from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from tailrace.errors import DefinitionError
from tailrace.landing.properties import Property
from tailrace.landing.taxonomy import load_events
from tailrace.settings import Settings
from tests.installation import PROJECT
from tests.landing.conftest import World


def write(world: World, event: str, text: str) -> None:
    folder = world.settings.project_dir / "contracts" / "events"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{event}.yml").write_text(text, encoding="utf-8")


def test_an_events_contract_says_what_it_is_and_whether_it_is_health_data(world: World) -> None:
    assert load_events(world.settings) == {}
    write(
        world,
        "Visit Completed",
        "summary: A visit\nowner: care@example.com\nsensitivity: health\nprogramme: telehealth\n",
    )
    write(world, "signed_up", "summary: Somebody is new\n")
    found = load_events(world.settings)
    assert list(found) == ["Visit Completed", "signed_up"]
    visit = found["Visit Completed"]
    assert (visit.path, visit.sensitivity) == ("contracts/events/Visit Completed.yml", "health")
    assert (visit.summary, visit.owner, visit.programme) == ("A visit", "care@example.com", "telehealth")
    assert (found["signed_up"].sensitivity, found["signed_up"].programme) == (None, None)


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("summary: x\nsensitivty: health\n", 2, "Did you mean `sensitivity`"),
        ("sensitivity: helth\n", 1, "Did you mean `health`"),
        ("summary: x\nowner: [a]\n", 2, "`owner` is a list"),
        ("- x\n", 1, "expected a mapping"),
        ("summary: [x\n", None, "not YAML"),
        ("late: 3 days\n", 1, "expected a duration such as"),
        ("on_breach: quarantine\n", 1, "expected those, too"),
        ("on_breach: quarantin\nproperties: {a: {type: string}}\n", 1, "Did you mean `quarantine`"),
        ("properties: [a]\n", 1, "expected a mapping of names"),
        ("properties: {}\n", 1, "expected a mapping of names"),
        ("properties:\n  a: string\n", 2, "expected a mapping with type"),
        ("properties:\n  a: {required: true}\n", 2, "`a` has no `type`"),
        ("properties:\n  a: {type: strnig}\n", 2, "Did you mean `string`"),
        ("properties:\n  a: {type: string, requird: true}\n", 2, "Did you mean `required`"),
        ('properties:\n  a: {type: string, enum: [b, "\\uD83D\\uDE00"]}\n', 2, "half of a surrogate pair"),
        ('properties:\n  "a\\0b": {type: string}\n', 2, "a text has a NUL"),
        ("summary: A visit\nowner:\n\nlate: 1h\n", 2, "`owner` is nothing; expected text"),
        ("# owner: nobody yet\n", 1, "the file is empty; expected a key such as `summary`, or no file$"),
        ("properties:\n  a: {type: string, required: yes}\n", 2, "expected one of true, false"),
        ("properties:\n  a: {type: string}\n  a: {type: integer}\n", 3, "`a` stands here twice"),
        ("properties:\n  a: {type: boolean, enum: [true]}\n", 2, "`enum` does not go with `type: boolean`"),
        ("properties:\n  a: {type: string, min: 1}\n", 2, "`min` does not go with `type: string`"),
        ("properties:\n  a: {type: number, pattern: x}\n", 2, "`pattern` does not go with `type: number`"),
        ("properties:\n  a: {type: string, enum: x}\n", 2, "expected a list of values"),
        ("properties:\n  a: {type: string, enum: []}\n", 2, "expected a list of values"),
        ("properties:\n  a:\n    type: string\n    enum: [a, 1]\n", 4, "expected text, in quotes"),
        ("properties:\n  a: {type: string, enum: [a, a]}\n", 2, "`a` stands here twice"),
        ("properties:\n  a: {type: integer, enum: [1, 1.5]}\n", 2, "expected a whole number"),
        ("properties:\n  a: {type: number, enum: [1, '2']}\n", 2, "`2` in quotes; expected a number"),
        ("properties:\n  a: {type: integer, min: 0.5}\n", 2, "expected a whole number"),
        ("properties:\n  a: {type: number, min: .inf}\n", 2, "expected a number"),
        ("properties:\n  a: {type: number, min: 2, max: 1}\n", 2, "`min` of `a` is more than its `max`"),
        ("properties:\n  a: {type: string, pattern: '(?=x)y'}\n", 2, "no regular expression that DuckDB knows"),
        ("properties:\n  a: {type: string, pattern: '(x)\\1'}\n", 2, "no regular expression that DuckDB knows"),
        ("properties:\n  a: {type: string, pattern: '[A-'}\n", 2, "no regular expression that DuckDB knows"),
    ],
)
def test_a_mistake_is_named_with_its_file_and_line(world: World, text: str, line: int | None, message: str) -> None:
    write(world, "visit", text)
    with pytest.raises(DefinitionError, match=message) as caught:
        load_events(world.settings)
    (problem,) = caught.value.problems
    assert problem.path == "contracts/events/visit.yml"
    assert line is None or problem.line == line


def test_an_events_contract_says_what_is_asked_of_its_properties(world: World) -> None:
    write(
        world,
        "paid",
        "summary: Somebody paid\ndescription: The billing service says so\nlate: 36h\n"
        "on_breach: quarantine\nproperties:\n"
        "  plan: {type: string, required: true, enum: [free, 'true'], description: as sold}\n"
        "  code: {type: string, pattern: '[A-Z]{2}'}\n"
        "  seats: {type: integer, min: 1, max: 1e3}\n"
        "  share: {type: number, enum: [0.50, 10]}\n",
    )
    paid = load_events(world.settings)["paid"]
    assert (paid.description, paid.late, paid.on_breach) == (
        "The billing service says so",
        timedelta(hours=36),
        "quarantine",
    )
    assert paid.properties == (
        Property("plan", "string", required=True, enum=("free", "true")),
        Property("code", "string", pattern="[A-Z]{2}"),
        Property("seats", "integer", minimum=Decimal(1), maximum=Decimal(1000)),
        Property("share", "number", enum=("0.5", "10")),
    )
    write(world, "seen", "summary: Somebody looked\n")
    seen = load_events(world.settings)["seen"]
    assert (seen.properties, seen.late, seen.on_breach) == ((), None, "warn")


def test_every_mistake_of_every_file_is_named_at_once(world: World) -> None:
    write(world, "a", "late: soon\nproperties: {x: {type: text}, y: {}}\n")
    write(world, "b", "sumary: x\n")
    with pytest.raises(DefinitionError) as caught:
        load_events(world.settings)
    assert [(problem.path[-5:], problem.line) for problem in caught.value.problems] == [
        ("a.yml", 1),
        ("a.yml", 2),
        ("a.yml", 2),
        ("b.yml", 1),
    ]


@pytest.mark.parametrize("name", ["visit.yaml", "visit.YML", "care/visit.yml", "care/visit.yaml"])
def test_a_file_that_would_be_a_contract_by_another_name_is_an_error(world: World, name: str) -> None:
    write(world, "paid", "late: soon\n")
    folder = world.settings.project_dir / "contracts" / "events"
    (folder / "care").mkdir()
    (folder / name).write_text("sensitivity: health\n")
    (folder / "README.md").write_text("What there is\n")
    with pytest.raises(DefinitionError) as caught:
        load_events(world.settings)
    assert {problem.path: problem.message for problem in caught.value.problems} == {
        "contracts/events/paid.yml": "`late` is `soon`; expected a duration such as `24h`, `30m` or `7d`",
        f"contracts/events/{name}": "this file is not read; expected contracts/events/EVENT.yml: call it"
        " contracts/events/visit.yml, or remove it",
    }


def test_what_the_project_marks_is_of_the_programme_that_is_health_data() -> None:
    found = load_events(Settings(data_dir=PROJECT, project_dir=PROJECT))
    marked = {name: contract.programme for name, contract in found.items() if contract.sensitivity}
    assert marked.keys() >= {"visit_completed", "prescription_filled", "care_ended", "intake_started"}
    assert set(marked.values()) == {"telehealth"}
