from __future__ import annotations

import pytest

from tailrace.errors import DefinitionError
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
    ],
)
def test_a_mistake_is_named_with_its_file_and_line(world: World, text: str, line: int | None, message: str) -> None:
    write(world, "visit", text)
    with pytest.raises(DefinitionError, match=message) as caught:
        load_events(world.settings)
    (problem,) = caught.value.problems
    assert problem.path == "contracts/events/visit.yml"
    assert line is None or problem.line == line


def test_what_the_project_marks_is_of_the_programme_that_is_health_data() -> None:
    found = load_events(Settings(data_dir=PROJECT, project_dir=PROJECT))
    marked = {name: contract.programme for name, contract in found.items() if contract.sensitivity}
    assert marked.keys() >= {"visit_completed", "prescription_filled", "care_ended", "intake_started"}
    assert set(marked.values()) == {"telehealth"}
