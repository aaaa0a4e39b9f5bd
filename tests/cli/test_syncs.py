"""tailrace sync: what a sync would say, where it stands, and that no value of a row is shown."""

from __future__ import annotations

import shutil
import sqlite3
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import orjson
import pytest

from tailrace import clock
from tailrace.cli import plans
from tailrace.pipeline import syncing
from tailrace.planning.store import Store
from tests.conftest import Company
from tests.installation import PROJECT, Installation, at, call

SYNC = "sync_webhook__power_users"
EVENTS = "sync_outbox__sign_ups"
TABLE = f"syncs.{SYNC}"


PEOPLE = """{{ config(meta={
    'destination': 'crm_webhook', 'target': 'power_users', 'mode': 'mirror', 'keys': ['user_id'], 'owner': 'x@y.z',
}) }}
select user_id, email, first_name, plan from {{ ref('dim_people') }}
where person_id <> (select min(person_id) from {{ ref('seg_power_users') }})
"""
SIGN_UPS = """{{ config(meta={
    'destination': 'outbox', 'mode': 'append', 'keys': ['event_id'], 'owner': 'x@example.com',
}) }}
select event_id, event_at from {{ ref('fct_events') }} where event = 'signed_up'
"""


@pytest.fixture(scope="module")
def synced(
    company: Company, day: Installation, next_day: str, tmp_path_factory: pytest.TempPathFactory
) -> Installation:
    """The company after its second day, with all but one synced, who was before, and sign-ups appended."""
    root = tmp_path_factory.mktemp("synced")
    shutil.copytree(PROJECT, root / "project", ignore=shutil.ignore_patterns("target", "logs"))
    syncs = root / "project" / "models" / "syncs"
    (syncs / f"{SYNC}.sql").write_text(PEOPLE, encoding="utf-8")
    (syncs / f"{EVENTS}.sql").write_text(SIGN_UPS, encoding="utf-8")
    installation = day.copy(root / "data", root / "project")
    installation.drop(company.sample.daily[1].path)
    # What dbt is told for its lineage is no part of a run.
    assert call(installation, "exposures", "--json").json["syncs"] == 2
    assert call(installation, "run", "--as-of", next_day).code == 0
    return installation


@pytest.fixture
def moved(synced: Installation, tmp_path: Path) -> Installation:
    """The company whose sync has three rows less, one more, and two with another value, as a build would make it."""
    installation = synced.copy(tmp_path / "data", synced.project_dir)
    with duckdb.connect(str(installation.settings.warehouse)) as warehouse:
        users = [row[0] for row in warehouse.execute(f"select user_id from {TABLE} order by user_id").fetchall()]
        warehouse.execute(f"delete from {TABLE} where user_id in (?, ?, ?)", users[:3])
        warehouse.execute(f"update {TABLE} set email = 'kanarie@vogel.example' where user_id = ?", users[3:4])
        warehouse.execute(f"update {TABLE} set plan = 'x' where user_id in (?, ?)", users[3:5])
        warehouse.execute(f"insert into {TABLE} (user_id, email) values ('kanarie', 'kanarie@vogel.example')")
    return installation


def planned(installation: Installation, *more: str) -> dict[str, Any]:
    done = call(installation, "sync", "plan", SYNC, "--json", *more)
    assert done.code == 0, done.err
    (one,) = done.json
    return dict(one)


@pytest.mark.torture
def test_syncs_are_listed_with_what_head_knows_of_them(synced: Installation) -> None:
    events, one = call(synced, "sync", "list", "--json").json
    head = Store(synced.settings).read("HEAD").syncs[SYNC]

    assert (one["name"], one["mode"], one["keys"], one["destination"]) == (SYNC, "mirror", ["user_id"], "crm_webhook")
    assert (one["desired"], one["held"]) == (head["desired"], head["acknowledged"])
    assert (events["name"], events["mode"]) == (EVENTS, "append")
    assert SYNC in call(synced, "sync", "list").out


@pytest.mark.torture
def test_what_a_sync_that_is_gone_left_at_its_destination_is_told(
    synced: Installation, company: Company, tmp_path: Path
) -> None:
    own = Path(shutil.copytree(synced.project_dir, tmp_path / "project"))
    installation = synced.copy(tmp_path / "data", own)
    held = held_there(call(synced, "sync", "show", SYNC, "--json").json)
    assert "goes there no more" not in call(installation, "sync", "list").err
    syncs = own / "models" / "syncs"
    (syncs / f"{SYNC}.sql").rename(syncs / "sync_webhook__best_users.sql")

    assert call(installation, "exposures").code == 0
    installation.drop(company.sample.daily[2].path)
    assert call(installation, "run", "--as-of", clock.iso(at(company.sample.daily[2].last_on, 23))).code in (0, 3)

    words = f"crm_webhook/power_users holds {held:,} rows that {SYNC} told it, which goes there no more"
    assert words in call(installation, "sync", "list").err
    assert [found["status"] for found in call(installation, "doctor", "--json").json if words in found["text"]] == [
        "note"
    ]


def held_there(shown: dict[str, Any]) -> int:
    held: int = shown["planned"]["numbers"]["acknowledged"]
    return held


def test_what_was_accepted_leaves_nothing_to_say(synced: Installation) -> None:
    one = planned(synced)
    head = Store(synced.settings).read("HEAD").syncs[SYNC]

    assert head["add"] + head["remove"] > 0
    assert [one["numbers"][op] for op in ("add", "update", "remove")] == [0, 0, 0]
    assert one["numbers"]["acknowledged"] == one["numbers"]["desired"] == head["desired"]


def test_a_plan_says_what_is_added_changed_in_which_columns_and_removed(moved: Installation) -> None:
    one = planned(moved, "--sample", "2")

    assert [one["numbers"][op] for op in ("add", "update", "remove")] == [1, 2, 3]
    assert one["columns"] == {"email": 1, "plan": 2}
    kinds = [row["kind"] for row in one["sample"]]
    assert kinds == ["add", "remove", "remove", "update", "update"]
    assert one["sample"][0]["key"] == "kanarie"
    assert sorted(row["columns"] for row in one["sample"][3:]) == [["email", "plan"], ["plan"]]


def test_a_plan_says_what_its_guard_would(moved: Installation) -> None:
    with duckdb.connect(str(moved.settings.warehouse)) as warehouse:
        warehouse.execute(f"delete from {TABLE}")

    told = call(moved, "sync", "plan", SYNC).out

    assert "parked: guard; nothing is said" in told
    assert "guard sync_deletions_share of sync:" in told
    assert "would park it" in told


def test_neither_a_plan_nor_a_sample_shows_a_value_and_nothing_is_stored(moved: Installation) -> None:
    before = sorted(path.name for path in moved.settings.plans.rglob("*"))

    told = call(moved, "sync", "plan", "--all", "--sample", "50").out

    assert "kanarie " in told
    assert "vogel" not in told
    assert sorted(path.name for path in moved.settings.plans.rglob("*")) == before


@pytest.mark.parametrize(
    ("key", "shown"),
    [
        ('{"user_id":"usr_7"}', "usr_7"),
        ('{"org_id":"o1","externalId":"7"}', "o1 7"),
        ('{"email_sha256":"ab12"}', "ab12"),
        ('{"email":"a@b.example"}', None),
        ('{"user_id":"a@b.example"}', None),
        ('{"user_id":"u1","phone":"4915112345"}', None),
        ('{"user_id":"Ada Lovelace"}', None),
    ],
)
def test_a_key_is_shown_only_if_it_is_an_id_or_a_hash(key: str, shown: str | None) -> None:
    told = syncing.shown_key(SYNC, key)

    assert told == shown or (shown is None and told.startswith("#") and len(told) == 13)


def test_rows_of_unknown_fate_are_said_to_be_unknown(synced: Installation, tmp_path: Path) -> None:
    installation = synced.copy(tmp_path / "data", synced.project_dir)
    said = Store(installation.settings).read("HEAD").syncs[SYNC]
    assert said["desired"] == said["add"] + said["update"]
    with sqlite3.connect(installation.settings.journal) as journal:
        journal.execute(
            "update outcomes set outcome = 'unknown' where item_id like ?", (f"{_head(installation)}/{SYNC}/%",)
        )
    journal.close()

    one = planned(installation)

    assert one["unknown"] == {"add": said["desired"], "remove": 1}
    assert (one["numbers"]["unknown"], one["numbers"]["add"]) == (said["desired"] + 1, said["desired"])
    assert "it may have them or not" in call(installation, "sync", "plan", SYNC).out


def test_a_sync_that_was_not_answered_says_what_is_under_way(synced: Installation, tmp_path: Path) -> None:
    installation = synced.copy(tmp_path / "data", synced.project_dir)
    with sqlite3.connect(installation.settings.journal) as journal:
        journal.execute("delete from outcomes where kind = 'batch' and item_id like ?", (f"{_head(installation)}/%",))
        journal.execute("update states set state = 'pending' where item_id like ?", (f"{_head(installation)}/%",))
    journal.close()

    one, told = planned(installation), call(installation, "sync", "plan", SYNC).out

    waiting = one["numbers"]["add"] + one["numbers"]["update"] + one["numbers"]["remove"]
    assert one["under_way"] == {"pending": waiting}
    assert f"rows of HEAD that no destination has answered yet: {waiting} pending" in told


def _head(installation: Installation) -> str:
    head = Store(installation.settings).head()
    assert head is not None
    return head


@pytest.mark.torture
def test_four_numbers_say_where_a_sync_stands(moved: Installation) -> None:
    shown = call(moved, "sync", "show", SYNC, "--json").json
    told = call(moved, "sync", "show", SYNC).out

    n = shown["desired"]
    assert (shown["sent"], shown["accepted"]) == (n - 3, n - 3)
    assert shown["matched"] == {"people": None, "why_not": "outbox does not say"}
    assert "matched" in told
    assert "unknown: outbox does not say" in told


@pytest.mark.torture
def test_what_is_refused_is_listed_by_code_with_when_it_is_tried_again(moved: Installation) -> None:
    with sqlite3.connect(moved.settings.journal) as journal:
        batches = journal.execute(
            "select batch_id, outcomes.seq from batches inner join outcomes on item_id = batch_id where batch_id like ?"
            " order by batch_no",
            (f"{_head(moved)}/{SYNC}/%",),
        ).fetchall()
        journal.executemany(
            "insert into row_outcomes values (?, ?, 'rejected', ?)",
            [(batches[0][1], 0, "bad_plan"), (batches[-1][1], 0, "removal_refused:audience_too_small")],
        )
    journal.close()

    shown = call(moved, "sync", "show", SYNC, "--json").json

    assert [(row["what"], row["code"], row["n_rows"]) for row in shown["refusals"]] == [
        ("removal", "removal_refused:audience_too_small", 1),
        ("row", "bad_plan", 1),
    ]
    since, again = (clock.parse(shown["refusals"][0][key]) for key in ("since", "next_at"))
    assert again - since == timedelta(hours=24)
    assert "removal_refused:audience_too_small" in call(moved, "sync", "show", SYNC).out


@pytest.mark.torture
def test_a_resync_is_kept_with_its_reason_and_shown(synced: Installation, tmp_path: Path) -> None:
    installation = synced.copy(tmp_path / "data", synced.project_dir)

    kept = call(installation, "sync", "resync", SYNC, "--reason", "they lost it", "--json").json
    one, shown = planned(installation), call(installation, "sync", "show", SYNC)

    assert (kept["sync"], kept["reason"], kept["plan_id"]) == (SYNC, "they lost it", None)
    assert one["numbers"]["update"] == one["numbers"]["desired"] > 0
    assert one["columns"] == {"": one["numbers"]["update"]}
    assert "they lost it (the next plan does it)" in shown.out


def test_an_append_says_what_is_new_lists_what_changed_and_is_not_said_again(
    synced: Installation, tmp_path: Path
) -> None:
    installation = synced.copy(tmp_path / "data", synced.project_dir)
    with duckdb.connect(str(installation.settings.warehouse)) as warehouse:
        events = [row[0] for row in warehouse.execute(f"select event_id from syncs.{EVENTS} order by 1").fetchall()]
        warehouse.execute(f"update syncs.{EVENTS} set event_at = timestamp '2000-01-01' where event_id = ?", events[:1])
        warehouse.execute(f"delete from syncs.{EVENTS} where event_id = ?", events[1:2])
        warehouse.execute(f"insert into syncs.{EVENTS} (event_id) values ('one-more')")

    (one,) = call(installation, "sync", "plan", EVENTS, "--sample", "3", "--json").json
    done = call(installation, "sync", "resync", EVENTS, "--reason", "they lost it")

    assert [one["numbers"][word] for word in ("add", "update", "remove", "changed", "left")] == [1, 0, 0, 1, 1]
    assert [(row["kind"], row["key"]) for row in one["sample"]] == [("add", "one-more"), ("changed", events[0])]
    assert (done.code, done.out) == (1, "")
    assert "says each key once, ever" in done.err


@pytest.mark.torture
def test_an_append_says_each_row_once_when_a_delivery_came_between_its_plan_and_the_plans_application(
    synced: Installation, next_day: str, tmp_path: Path
) -> None:
    installation = synced.copy(tmp_path / "data", synced.project_dir)
    shutil.rmtree(installation.settings.outbox)
    with sqlite3.connect(installation.settings.journal) as journal:
        mine = (f"{_head(installation)}/{EVENTS}/%",)
        journal.execute("delete from outcomes where kind = 'batch' and item_id like ?", mine)
        journal.execute("update states set state = 'pending' where item_id like ?", mine)
    journal.close()
    later = clock.iso(clock.parse(next_day) + timedelta(hours=1))

    plan = call(installation, "plan", "--as-of", later, "--json").json["plan_id"]
    assert call(installation, "deliver", "--as-of", later).code == 0
    said = _appended(installation)
    assert call(installation, "apply", plan).code == 0
    assert call(installation, "deliver", "--as-of", later).code == 0

    assert said
    assert set(said.values()) == {1}
    assert _appended(installation) == said
    (after,) = call(installation, "sync", "plan", EVENTS, "--json").json
    assert after["numbers"]["add"] == 0


def _appended(installation: Installation) -> Counter[str]:
    """Return how often each event was said, by the files that the outbox has of the sync."""
    batches = (orjson.loads(file.read_bytes()) for file in installation.settings.outbox.rglob(f"{EVENTS}/*.json"))
    return Counter(row["key"]["event_id"] for batch in batches for row in batch["rows"])


def test_a_sync_that_is_not_built_as_it_is_written_says_nothing(synced: Installation, tmp_path: Path) -> None:
    installation = synced.copy(tmp_path / "data", synced.project_dir)
    with duckdb.connect(str(installation.settings.warehouse)) as warehouse:
        warehouse.execute(f"alter table {TABLE} drop column plan")

    one, shown = planned(installation), call(installation, "sync", "show", SYNC, "--json").json

    assert one["parked"] == "it is not built as it is written now"
    assert [shown[number] for number in ("desired", "sent", "accepted")] == [None, None, None]


def test_a_sync_that_does_not_exist_is_named_by_its_nearest(synced: Installation) -> None:
    for command in (["plan"], ["show"], ["resync", "--reason", "x"]):
        done = call(synced, "sync", command[0], "sync_webhook__power_user", *command[1:])
        assert done.code == 1
        assert f"Did you mean `{SYNC}`?" in done.err


def test_a_plan_is_of_one_sync_or_of_all(synced: Installation) -> None:
    for words in ((), (SYNC, "--all")):
        done = call(synced, "sync", "plan", *words)
        assert (done.code, done.out) == (1, "")
        assert "--all" in done.err


def test_without_a_warehouse_nothing_is_planned(company: Company, tmp_path: Path) -> None:
    done = call(company.empty(tmp_path / "data"), "sync", "plan", "--all")

    assert done.code == 1
    assert "`tailrace run`" in done.err


@pytest.mark.torture
def test_a_run_says_what_a_resync_asked_for_and_the_next_one_nothing(synced: Installation, tmp_path: Path) -> None:
    installation = synced.copy(tmp_path / "data", synced.project_dir)
    before = Store(installation.settings).read("HEAD")
    told = call(installation, "sync", "resync", SYNC, "--reason", "they lost it", "--json").json

    assert call(installation, "run", "--as-of", clock.iso(before.as_of)).code == 0

    head = Store(installation.settings).read("HEAD")
    sync = head.syncs[SYNC]
    shown = call(installation, "sync", "show", SYNC, "--json").json
    assert head.inputs.resyncs == (told["seq"],)
    assert sync["update"] == sync["desired"] == before.syncs[SYNC]["desired"]
    assert [each["plan_id"] for each in shown["resyncs"]] == [_head(installation)]
    assert [planned(installation)["numbers"][op] for op in ("add", "update", "remove")] == [0, 0, 0]
    assert head.plan_id == _head(installation) != before.plan_id


def test_a_plan_that_is_shown_says_what_is_unknown_and_whose_removal_was_refused(
    synced: Installation, capsys: pytest.CaptureFixture[str]
) -> None:
    head = Store(synced.settings).read("HEAD")
    numbers = head.syncs[SYNC] | {"unknown": 1200, "removals_refused": 3, "not_there": 0}

    plans.show(head.plan_id, replace(head, syncs={SYNC: numbers}))

    text = " ".join(capsys.readouterr().out.split())
    assert "1,200 of unknown fate; 3 still there: their removal was refused" in text
    assert "not there" not in text
