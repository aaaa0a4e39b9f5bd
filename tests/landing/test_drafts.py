from __future__ import annotations

import json
from typing import Any

import pytest

from tailrace.errors import DataError
from tailrace.landing.properties import Property
from tailrace.landing.taxonomy import load_events
from tailrace.pipeline.drafting import draft_contracts
from tests.landing.conftest import World, call, compact

CANARY = "Kanarius"


def act(number: int, event: str, properties: Any = ..., **keys: Any) -> bytes:
    who = {"userId": f"u{number % 30}"}
    return compact(call(messageId=f"{event}-{number}", event=event, properties=properties, **{**who, **keys}))


def drafted(world: World, *names: str) -> dict[str, str]:
    return {draft.event: draft.text for draft in draft_contracts(world.settings, names, None)}


def test_a_draft_says_which_types_came_and_what_was_always_there(world: World) -> None:
    bodies = [
        {
            "plan": ("free", "pro")[n % 2],
            "seats": n,
            "share": n / 2,
            "is_new": n > 50,
            "at": "2026-01-31T09:00:00Z",
            "on": "2026-01-31",
            "tags": [],
            "more": {"a": 1},
            **({"note": f"text {n} of many"} if n % 2 else {"note": None}),
            "mixed": n if n < 90 else f"word {n}",
        }
        for n in range(120)
    ]
    world.lines(*(act(n, "Paid", body) for n, body in enumerate(bodies)))
    draft_contracts(world.settings, [], None, write=True)
    paid = load_events(world.settings)["Paid"]
    assert {each.name: each for each in paid.properties} == {
        "plan": Property("plan", "string", required=True, enum=("free", "pro")),
        "seats": Property("seats", "integer", required=True),
        "share": Property("share", "number", required=True),
        "is_new": Property("is_new", "boolean", required=True),
        "at": Property("at", "timestamp", required=True),
        "on": Property("on", "date", required=True),
        "tags": Property("tags", "array", required=True),
        "more": Property("more", "object", required=True),
        "note": Property("note", "string"),
        "mixed": Property("mixed", "integer", required=True),
    }
    text = (world.settings.project_dir / paid.path).read_text()
    assert "30 of 120 values are of another type" in text
    assert "Health data cannot be told from data" in text
    assert (paid.on_breach, paid.sensitivity, paid.owner) == ("warn", None, None)


def test_what_is_drafted_is_kept_by_what_it_was_drafted_from(world: World) -> None:
    lines = [act(n, "Paid", {"plan": "ab"[n % 2], "n": n, "x": None if n % 3 else 1.5}) for n in range(200)]
    world.lines(*lines)
    draft_contracts(world.settings, [], None, write=True)
    contract = world.settings.project_dir / "contracts" / "events" / "Paid.yml"
    contract.write_text(contract.read_text().replace("on_breach: warn", "on_breach: quarantine"))
    again = [line.replace(b"Paid-", b"again-") for line in lines]
    done = world.lines(*again, name="again.jsonl")
    assert (done.landed, done.quarantined) == (200, 0)


def test_no_value_of_a_person_gets_into_a_draft(world: World) -> None:
    """Names, addresses and ids, in values and in the names of properties, however often they came."""
    people = [f"kanarius{n}" for n in range(4)]
    lines = [
        act(n, "Moved", {
            "plan": people[n % 4],
            "reviewer": ("kim", "zoe")[n % 2],
            "assigned_by": ("kim", "ruth")[n % 2],
            "colour": ("kanarius@example.com", "red")[n % 2],
            "status": (CANARY, "Open")[n % 2],
            "tier": ("49151234567", "no")[n % 2],
            "only_one": "rare" if n == 7 else "often",
            "handler": f"u{n % 5}",
            f"kanarius{n % 4}": n,
            f"k{n % 3}@example.com": n,
            "by_12345678": n,
        })
        for n in range(300)
    ]  # fmt: skip
    traits = [
        compact(
            call(messageId=f"i{n}", type="identify", event=..., userId=f"u{n}", traits={"first_name": name.upper()})
        )
        for n, name in enumerate([*people, "zoe"])
    ]
    world.lines(*lines, *traits)
    (text,) = drafted(world).values()
    assert "kanarius" not in text.lower()
    for value in ("zoe", "kim", "ruth", "example.com", "12345", "rare", "u1"):
        assert value not in text.replace("values", ""), value
    assert "plan: {type: string, required: true}" in text
    assert "left out: 8 properties" in text


@pytest.mark.parametrize("trait", ["name", "full_name", "displayName"])
def test_a_word_of_a_whole_name_is_nobodys_code(world: World, trait: str) -> None:
    names = ["Zoe Kanarius", "Müller, Ana-Maria", "Pro"]
    traits = [
        compact(call(messageId=f"i{n}", type="identify", event=..., userId=f"i{n}", traits={trait: name}))
        for n, name in enumerate(names)
    ]
    bodies = [{"host": ("zoe", "kim")[n % 2], "hero": ("ana-maria", "x")[n % 2]} for n in range(100)]
    world.lines(*traits, *(act(n, "Met", {**body, "tier": "free"}) for n, body in enumerate(bodies)))
    text = drafted(world)["Met"]
    assert "host: {type: string, required: true}  # few values" in text
    assert "hero: {type: string, required: true}  # few values" in text
    assert "tier: {type: string, required: true, enum: [free]}" in text


def test_codes_of_several_people_are_listed_and_those_of_few_are_not(world: World) -> None:
    world.lines(
        *(act(n, "Paid", {"plan": ("free", "pro")[n % 2]}) for n in range(100)),
        *(act(n, "Rare", {"plan": ("free", "pro")[n % 2]}) for n in range(99)),
        *(act(n, "Many", {"plan": f"p{n % 13}"}) for n in range(400)),
        *(act(n, "Own", {"plan": ("free", "pro")[n % 2]}, userId=f"u{n % 8}") for n in range(100)),
    )
    found = drafted(world)
    assert "enum: [free, pro]" in found["Paid"]
    assert ["enum" in found[name] for name in ("Rare", "Many", "Own")] == [False, False, False]


def test_a_file_that_is_there_is_never_written_over(world: World) -> None:
    world.lines(act(1, "Paid", {"a": 1}), act(2, "Seen", {"a": 1}))
    folder = world.settings.project_dir / "contracts" / "events"
    folder.mkdir(parents=True)
    (folder / "Paid.yml").write_text("summary: mine\n")
    (world.settings.project_dir / "dbt_project.yml").write_text("name: own\n")
    first = draft_contracts(world.settings, [], None, write=True)
    assert [(draft.event, draft.written) for draft in first] == [("Seen", True)]
    named = draft_contracts(world.settings, ["Paid", "Seen"], None, write=True)
    assert [(draft.event, draft.exists, draft.written) for draft in named] == [
        ("Paid", True, False),
        ("Seen", True, False),
    ]
    assert (folder / "Paid.yml").read_text() == "summary: mine\n"


def test_without_write_nothing_is_written(world: World) -> None:
    world.lines(act(1, "Paid", {"a": 1}))
    assert drafted(world)["Paid"].count("type: integer") == 1
    assert not (world.settings.project_dir / "contracts" / "events").exists()


def test_only_what_one_source_sent_is_read_when_it_is_named(world: World) -> None:
    world.contract("web", "format: segment\n")
    world.lines(act(1, "Paid", {"a": 1}))
    world.lines(act(1, "Paid", {"a": "x"}), act(2, "Seen"), name="web.jsonl", source="web")
    found = {draft.event: draft.text for draft in draft_contracts(world.settings, [], "app")}
    assert list(found) == ["Paid"]
    assert "a: {type: integer, required: true}" in found["Paid"]
    assert "1 events of app" in found["Paid"]


def test_an_event_that_never_landed_is_named_with_the_nearest_one(world: World) -> None:
    world.lines(act(1, "Paid"))
    with pytest.raises(DataError, match=r"no event `Piad` has landed.*Did you mean `Paid`"):
        drafted(world, "Piad")


@pytest.mark.parametrize("name", ["a/b", "../../x", ".hidden", "a\\b"])
def test_a_name_that_is_no_file_has_no_draft(world: World, name: str) -> None:
    world.lines(act(1, name))
    (draft,) = draft_contracts(world.settings, [name], None, write=True)
    assert draft.problem is not None
    assert not draft.written
    assert list(world.folder.rglob("*.yml")) == [world.settings.project_dir / "contracts" / "sources" / "app.yml"]


def test_names_that_are_no_files_keep_no_other_event_from_its_draft(world: World) -> None:
    """A name of bytes beyond what a file's name may have, and one that would be a path of its own."""
    names = ["x" * 300, "é" * 121, "日" * 100, "/etc/passwd", "../sources/app"]
    world.lines(act(0, "Paid"), *(act(n, name) for n, name in enumerate(names, 1)))
    found = {draft.event: draft for draft in draft_contracts(world.settings, [], None, write=True)}
    assert {name for name, draft in found.items() if draft.written} == {"Paid", "é" * 121}
    assert {name for name, draft in found.items() if draft.problem} == {*names} - {"é" * 121}
    assert draft_contracts(world.settings, names[:1], None)[0].problem is not None


def test_an_event_whose_name_is_an_address_has_a_draft_only_when_it_is_named(world: World) -> None:
    world.lines(act(1, "wrote ada@example.com"))
    assert drafted(world) == {"wrote ada@example.com": ""}
    assert "summary" in drafted(world, "wrote ada@example.com")["wrote ada@example.com"]


@pytest.mark.parametrize("name", ["true", "null", "a b", "1", "no", "a: b", "# x", "'q'", "a.b-c $"])
def test_a_property_of_any_name_is_read_back_as_it_was(world: World, name: str) -> None:
    world.lines(act(1, "Paid", {name: "x"}))
    draft_contracts(world.settings, [], None, write=True)
    names = [each.name for each in load_events(world.settings)["Paid"].properties]
    assert names in ([name], [])
    assert names or json.dumps(name)[1] in "1#'" or ":" in name


def test_another_spelling_of_a_name_has_a_draft_only_when_it_is_named(world: World) -> None:
    often = [act(n, "trial_started") for n in range(60)]
    world.lines(*often, *(act(n, "Trial_Started") for n in range(3)), *(act(n, "trial_ended") for n in range(3)))
    world.lines(*(act(n, "OrderPaid") for n in range(3)), *(act(n, "order_paid") for n in range(5)), name="b.jsonl")
    found = {draft.event: draft for draft in draft_contracts(world.settings, [], None, write=True)}
    assert {name for name, draft in found.items() if draft.written} == {
        "trial_started", "trial_ended", "OrderPaid", "order_paid",
    }  # fmt: skip
    words = "`Trial_Started`: did you mean `trial_started`? Names are case-sensitive. There is a draft when you name it"
    assert found["Trial_Started"].problem == words
    assert "summary" in drafted(world, "Trial_Started")["Trial_Started"]
