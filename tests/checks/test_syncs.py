"""What `check` says of a sync that its destination cannot keep as it is written."""

import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tailrace.checks.syncs import cannot_plan, sync_problems
from tailrace.destinations.base import Capabilities, discover
from tailrace.destinations.connections import Connection, Connections
from tailrace.warehouse.catalog import SyncModel

CAN = Capabilities(
    channels=frozenset(),
    takes_batches=True,
    is_idempotent=True,
    needs_live=True,
    slots=1,
    modes=frozenset({"mirror", "upsert"}),
    match_keys=frozenset({"email", "phone"}),
)
LINES = """-- One row per person.
{{ config(meta={
    'destination': 'ads',
    'mode': 'mirror',
    'keys': ['email'],
}) }}
select email, plan
"""


def connections(**changes: Any) -> Connections:
    module: Any = SimpleNamespace(NAME="network", CAPABILITIES=replace(CAN, **changes), build_request=lambda *_: None)
    return Connections({"ads": Connection("ads", module, (), 1)}, {})


def leading_to(name: str, **settings: Any) -> Connections:
    module = discover()[name]
    return Connections({"ads": Connection("ads", module, module.Settings(**settings), 1)}, {})


@pytest.fixture
def model(tmp_path: Path) -> SyncModel:
    path = tmp_path / "models" / "syncs" / "sync_ads__buyers.sql"
    path.parent.mkdir(parents=True)
    path.write_text(LINES, encoding="utf-8")
    return SyncModel(
        name="sync_ads__buyers",
        relation="syncs.sync_ads__buyers",
        fingerprint="",
        destination="ads",
        target="1234",
        mode="mirror",
        keys=("email",),
        owner="ads@example.com",
        guard={},
        columns=("email", "plan"),
        segments=(),
        line=2,
        path=path,
    )


def said(model: SyncModel, known: Connections | None = None, **meta: Any) -> list[tuple[int | None, str]]:
    project = model.path.parent.parent.parent
    found = sync_problems(project, [model], known or connections(), {model.name: meta})
    assert {problem.path for problem in found} <= {"models/syncs/sync_ads__buyers.sql"}
    return [(problem.line, problem.message) for problem in found]


def test_nothing_is_wrong_with_a_sync_that_its_destination_can_keep(model: SyncModel) -> None:
    assert said(model, destination="ads", target="1234", mode="mirror", keys=["email"], owner="x", team="growth") == []
    assert cannot_plan(model, connections()) is None


@pytest.mark.parametrize(
    ("changes", "line", "words"),
    [
        ({"destination": "adds"}, 3, "`destination: adds` is not a connection; expected .* Did you mean `ads`?"),
        ({"mode": "miror"}, 4, "`mode: miror` is not a mode; expected one of: append, .* Did you mean `mirror`?"),
        ({"mode": ""}, 4, "there is no `mode`; expected one of: append, "),
        ({"mode": "append"}, 4, "cannot be kept by network, where `ads` leads; expected one of: mirror, upsert"),
        ({"keys": ()}, 5, "`keys` are missing"),
        ({"keys": ("email", "plann")}, 5, "there is no column `plann`; .* email, plan. Did you mean `plan`?"),
        ({"keys": ("plan",)}, 5, "`keys` are plan, by which network finds nobody, .* expected one of: email, phone"),
        ({"owner": ""}, 2, "there is no owner"),
    ],
)
def test_what_is_wrong_is_said_with_its_line_and_the_nearest_name(
    model: SyncModel, changes: dict[str, Any], line: int, words: str
) -> None:
    ((at, text),) = said(replace(model, **changes))

    assert at == line
    assert re.search(words, text), text


def test_keys_that_nobody_is_found_by_are_right_where_nothing_is_removed(model: SyncModel) -> None:
    assert said(replace(model, mode="upsert", keys=("plan",))) == []


def test_a_key_is_found_by_whatever_the_case_of_its_column(model: SyncModel) -> None:
    assert said(replace(model, keys=("EMAIL",), columns=("EMAIL",))) == []


def test_a_destination_that_takes_no_rows_is_none_for_a_sync(model: SyncModel) -> None:
    ((line, text),) = said(model, connections(takes_batches=False))

    assert (line, "takes no rows" in text) == (3, True)


def test_a_word_of_its_meta_that_is_nearly_one_of_ours_is_wrong_and_others_are_left_alone(model: SyncModel) -> None:
    ((line, text),) = said(model, modes="mirror", team="growth")

    assert (line, "Did you mean `mode`?" in text) == (2, True)


def test_a_target_with_settings_of_its_own_is_wrong(model: SyncModel) -> None:
    ((_, text),) = said(model, target={"audience": "1234"})

    assert text.startswith("`target` is not a text")


@pytest.mark.parametrize("changes", [{"mode": "miror"}, {"mode": "append"}, {"keys": ()}, {"keys": ("plan",)}])
def test_a_plan_parks_what_cannot_be_kept(model: SyncModel, changes: dict[str, Any]) -> None:
    why = cannot_plan(replace(model, **changes), connections())

    assert why is not None
    assert why.endswith("(`tailrace check`)")


def test_a_plan_goes_on_with_a_sync_whose_connection_is_not_there(model: SyncModel) -> None:
    assert cannot_plan(replace(model, destination="gone"), connections()) is None


@pytest.mark.parametrize(
    ("name", "settings", "changes", "words"),
    [
        ("iterable", {"api_key_env": "K"}, {"target": "peopel", "keys": ("email",)}, "`target: peopel` is refused by"),
        (
            "segment",
            {"write_key_env": "K"},
            {"target": "events", "keys": ("id",)},
            "`mode: mirror` is refused by segment",
        ),
        ("meta_ads", {"token_env": "T"}, {"target": "my audience"}, "(`meta_ads:target_is_no_audience_id`)"),
        ("hubspot", {"token_env": "T"}, {"target": "no such thing"}, "(`hubspot:target_is_no_object_type`)"),
        ("postgres_table", {"url_env": "U"}, {"target": "a.b.c.d"}, "(`target:no_table`)"),
    ],
)
def test_a_target_or_a_mode_that_the_destination_would_refuse_is_wrong_before_anything_is_said(
    model: SyncModel, name: str, settings: dict[str, Any], changes: dict[str, Any], words: str
) -> None:
    wrong = replace(model, columns=(), **changes)

    found = [text for _, text in said(wrong, leading_to(name, **settings))]

    assert any(words in text for text in found), found
    assert cannot_plan(wrong, leading_to(name, **settings)) is not None


def test_a_target_that_the_destination_knows_is_right(model: SyncModel) -> None:
    assert said(replace(model, target="120330000000"), leading_to("meta_ads", token_env="T")) == []
    events = replace(model, mode="append", target="events", keys=("id",), columns=())
    assert said(events, leading_to("segment", write_key_env="K")) == []
