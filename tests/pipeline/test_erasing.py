"""Who was erased is nowhere any more, does not come back, and is let go of where they were sent to."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import signal
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tailrace import durable, ids
from tailrace.journal.journal import Journal
from tailrace.landing import erased
from tailrace.landing.loads import loads
from tailrace.pipeline import spine
from tailrace.pipeline.collecting import collect_garbage
from tailrace.pipeline.destinations import try_out
from tailrace.pipeline.syncing import resync
from tailrace.planning.store import Store
from tailrace.warehouse.build import read_generation
from tests.conftest import Company, once
from tests.installation import Installation, at, call

pytestmark = [pytest.mark.slow, pytest.mark.torture]

USER = "kanarie-user-1"
ADDRESS = "kanarie@vogel.example"
OLD_USER = "kanarie-was-this"
OLDEST_USER = "kanarie-was-that"
CANARIES = (USER, OLD_USER, OLDEST_USER, ADDRESS, "Kanarina", "Zwitscherling", "+4955512345", "purple-feathers")
OTHER = "spatz-user-2"
VISITOR = "kanarie-device-1"
SHARED = "family-device-1"
REASON = "ticket 4711"
PERSON = ids.person_id(USER)
PIECES = 9
SYNC = "sync_webhook__power_users"


def line(moment: datetime, number: int, **keys: Any) -> dict[str, Any]:
    base = {"type": "track", "event": "report_exported", "userId": USER, "messageId": f"hers-{number}"}
    return {
        name: value for name, value in {**base, "timestamp": moment.isoformat(), **keys}.items() if value is not ...
    }


def life(moment: datetime) -> Iterator[dict[str, Any]]:
    """Yield what somebody did up to the moment: sign up, use the product daily, on two devices; and who shares one."""
    start = moment - timedelta(days=20)
    traits = {"email": ADDRESS, "first_name": "Kanarina", "last_name": "Zwitscherling", "phone": "+4955512345"}
    yield line(start - timedelta(hours=2), 1, userId=..., anonymousId=VISITOR, properties={"likes": "purple-feathers"})
    yield line(start - timedelta(hours=1), 2, type="identify", event=..., anonymousId=VISITOR, traits=traits)
    yield line(moment - timedelta(hours=3), 3, event="signed_up", properties={"note": "purple-feathers"})
    number = 10
    for day in range(20):
        for _ in range(3):
            number += 1
            yield line(start + timedelta(days=day, minutes=number), number, properties={"likes": "purple-feathers"})
    # She was somebody else before, until an alias.
    yield line(start - timedelta(hours=4), 104, userId=OLD_USER, properties={"likes": "purple-feathers"})
    yield line(start - timedelta(hours=3), 105, type="alias", event=..., previousId=OLD_USER)
    # And before that somebody of whom nothing else ever landed.
    yield line(start - timedelta(hours=5), 106, type="alias", event=..., userId=OLD_USER, previousId=OLDEST_USER)
    # A device of two: first hers, then his.
    yield line(start, 100, userId=..., anonymousId=SHARED, messageId="hers-shared")
    yield line(start + timedelta(hours=1), 101, type="identify", event=..., anonymousId=SHARED, traits={})
    yield line(start + timedelta(hours=2), 102, userId=..., anonymousId=SHARED, messageId="his-shared")
    yield line(
        start + timedelta(hours=3),
        103,
        type="identify",
        event=...,
        userId=OTHER,
        messageId="his-103",
        anonymousId=SHARED,
        traits={"email": "spatz@vogel.example"},
    )


def lines_of(moment: datetime) -> bytes:
    calls = [json.dumps(call).encode() for call in life(moment)]
    broken = [f'{{"userId": "{USER}", "email": "{ADDRESS}", broken'.encode(), b'{"userId": "somebody-else", broken']
    return b"\n".join([*calls, *broken]) + b"\n"


@dataclass(frozen=True)
class Days:
    """The company after a day on which the canary signed up, and was synced as a power user."""

    installation: Installation
    at: list[datetime]
    next_file: Path
    hers: Path


@pytest.fixture(scope="module")
def days(company: Company, tmp_path_factory: pytest.TempPathFactory) -> Days:
    def make(root: Path) -> Days:
        installation = company.copy(root / "data")
        settings = installation.settings
        when = [at(file.last_on, 23) for file in company.sample.daily[:3]]
        hers = root / "hers.jsonl"
        hers.write_bytes(lines_of(when[0]))
        lines = hers.read_bytes().splitlines(keepends=True)
        for number in range(PIECES):
            piece = root / f"piece{number}.jsonl"
            piece.write_bytes(b"".join(lines[number:-2:PIECES]))
            spine.land_files(settings, [piece], "app", when[0])
        installation.drop(hers)
        installation.drop(company.sample.daily[0].path)
        spine.run(settings, when[0])
        _say_more(installation)
        spine.deliver(settings, when[0])
        for address in (ADDRESS, "spatz@vogel.example"):
            try_out(settings, "outbox", address, "email", "kim")
        collect_garbage(settings, when[0])
        spine.plan(settings, when[0] + timedelta(hours=2))
        return Days(installation, when, company.sample.daily[1].path, hers)

    made = once(tmp_path_factory, "erasing-days", make)
    return Days(made.installation.copy(tmp_path_factory.mktemp("days") / "data"), made.at, made.next_file, made.hers)


def _say_more(installation: Installation) -> None:
    """Have a webhook answer about her, and a campaign set something of her: the sample has no such step."""
    with sqlite3.connect(installation.settings.journal) as journal:
        journal.execute(
            "insert into acts (intent_id, plan_id, person_id, campaign, step, kind, name, value) select intent_id,"
            " plan_id, person_id, campaign, step, 'update', 'mood', ? from intents where person_id = ?",
            ('"purple-feathers"', PERSON),
        )
        journal.execute(
            "insert into responses (intent_id, enrollment_id, step, status_code, body, recorded_at) select intent_id,"
            " enrollment_id, step, 200, ?, 0 from intents where person_id = ?",
            (json.dumps({"name": "Kanarina"}), PERSON),
        )
        # Pages that nothing stands in any more: what stood there would be read in the file.
        journal.execute(
            "create table filler as with recursive n(i) as (select 1 union all select i + 1 from n where"
            " i < 2000) select i, 'nothing of anybody' as said from n"
        )
        journal.execute("drop table filler")
    journal.close()


def _free_pages(installation: Installation) -> int:
    with sqlite3.connect(installation.settings.journal) as journal:
        (pages,) = journal.execute("pragma freelist_count").fetchone()
    journal.close()
    return int(pages)


def erase(installation: Installation, *more: str) -> Any:
    done = call(installation, "erase", USER, "--reason", REASON, "--json", *more)
    assert done.code == 0, done.err
    return done.json


@pytest.fixture(scope="module")
def gone(days: Days, tmp_path_factory: pytest.TempPathFactory) -> tuple[Installation, Any]:
    """The company after she was erased, and the receipt. Copy it before changing anything."""
    installation = days.installation.copy(tmp_path_factory.mktemp("gone") / "data")
    return installation, erase(installation)


def everything(data: Path) -> Iterator[tuple[str, bytes]]:
    """Yield all that stands in the data directory, as bytes and as what tables and compressed files say."""
    for path in sorted(path for path in data.rglob("*") if path.is_file()):
        name = str(path.relative_to(data))
        body = path.read_bytes()
        yield name, body
        if body.startswith(b"\x1f\x8b"):
            yield f"{name} (gz)", gzip.decompress(body)
        elif body.startswith(b"PAR1"):
            yield f"{name} (rows)", _rows(duckdb.connect(), f"read_parquet('{path}')")
        elif path.suffix == ".duckdb":
            with duckdb.connect(str(path), read_only=True) as connection:
                tables = "select schema_name || '.' || table_name from duckdb_tables() order by 1"
                for (table,) in connection.execute(tables).fetchall():
                    yield f"{name} {table}", _rows(connection, table)
        elif path.suffix == ".sqlite":
            connection = sqlite3.connect(path)
            for (table,) in connection.execute("select name from sqlite_master where type = 'table'").fetchall():
                yield f"{name} {table}", repr(connection.execute(f"select * from {table}").fetchall()).encode()
            connection.close()


def _rows(connection: duckdb.DuckDBPyConnection, relation: str) -> bytes:
    return repr(connection.execute(f"select * from {relation}").fetchall()).encode()


def places_of(data: Path, words: tuple[str, ...] = CANARIES) -> dict[str, list[str]]:
    found = {}
    for name, body in everything(data):
        here = [word for word in words if word.encode() in body]
        if here:
            found[name] = here
    return found


def test_nothing_of_them_is_left(days: Days, gone: tuple[Installation, Any]) -> None:
    before = places_of(days.installation.data_dir)
    for place in (
        "landing/loads",
        "landing/packs",
        "landing/journal/acts",
        "plans/objects",
        "outbox/email",
        "outbox/sync",
    ):
        assert any(name.startswith(place) for name in before), place
    assert {"warehouse.duckdb", "published.duckdb", "journal.sqlite responses", "inbox/app/hers.jsonl"} <= before.keys()
    installation, receipt = gone

    after = places_of(installation.data_dir)

    # What the destination knows her by, until it has let go of her.
    waiting = {name for name in after if not name.startswith("plans/objects")}
    assert (receipt["state"], waiting) == ("waiting", set())
    assert {word for words in after.values() for word in words} <= {USER}
    assert len(after) <= 2
    assert _free_pages(days.installation) > 0
    assert _free_pages(installation) == 0
    # A test to somebody else's address stays.
    places = (days.installation.data_dir, installation.data_dir)
    assert [len(list(data.glob("outbox/email/**/test-*"))) for data in places] == [2, 1]


def test_the_receipt_says_what_there_was_by_hashes_and_ids(days: Days, gone: tuple[Installation, Any]) -> None:
    installation, receipt = gone
    found = receipt["found"]

    assert receipt["persons"] == sorted(ids.person_id(user) for user in (USER, OLD_USER, OLDEST_USER))
    assert receipt["reason"] == REASON
    assert not [word for word in CANARIES if word in json.dumps(receipt)]
    calls = len(days.hers.read_bytes().splitlines()) - 2
    assert found["landing"] == {"events": calls - 2, "lines": 1, "acts": 1, "loads": PIECES + 1}
    assert found["journal"] == {"messages": 0, "answers": 1, "values": 1}
    assert (found["plans"]["payloads"], found["plans"]["passes"], found["plans"]["plans"]) == (1, 1, 1)
    assert found["files"] == {"inbox": 1, "waiting": 0, "unread": 0, "outbox": 2, "rows": 1}
    salt = installation.settings.erasures / "salt"
    assert salt.stat().st_mode & 0o777 == 0o600
    assert receipt["users"] == sorted(
        ids.salted(salt.read_text(), "user", user) for user in (USER, OLD_USER, OLDEST_USER)
    )
    ways = {(one["name"], one["sync"], one["n"], one["words"]) for one in receipt["destinations"]}
    assert ways == {
        ("outbox", None, 1, "files of the outbox, which go"),
        ("crm_webhook", SYNC, 1, "the next plan removes them"),
    }
    shown = call(installation, "erasures", "show", receipt["erasure_id"][:6])
    assert "landed events" in shown.out
    assert receipt["erasure_id"] in call(installation, "erasures", "list").out


def test_everybody_else_is_as_before_and_the_loads_add_up(days: Days, gone: tuple[Installation, Any]) -> None:
    rows = []
    for installation in (days.installation, gone[0]):
        with duckdb.connect(str(installation.settings.warehouse), read_only=True) as connection:
            events = connection.execute(
                "select source, event_id, person_id from core.fct_events where event_id not like 'hers-%' order by all"
            ).fetchall()
            people = connection.execute(
                "select * from core.dim_people where person_id <> ? order by all", (PERSON,)
            ).fetchall()
            rows.append((events, people))
    assert rows[0] == rows[1]
    assert any(event_id == "his-shared" for _, event_id, _ in rows[1][0])
    for load in loads(gone[0].settings):
        assert load.lines == load.landed + load.duplicate + load.quarantined + load.erased
    assert sum(load.erased for load in loads(gone[0].settings)) > 0
    assert [row for row in call(gone[0], "doctor", "--json").json if row["status"] == "bad"] == [
        row for row in call(days.installation, "doctor", "--json").json if row["status"] == "bad"
    ]


def come_back(moment: datetime) -> bytes:
    """Return lines by which she would come back: each is one that must not land."""
    calls = [
        line(moment, 900),
        line(moment, 907, userId=OLD_USER),
        line(moment, 908, userId=OLDEST_USER),
        line(moment, 901, type="identify", event=..., userId="a-new-user", traits={"email": ADDRESS.upper()}),
        line(moment, 902, type="alias", event=..., userId="a-new-user", previousId=USER),
        line(
            moment - timedelta(days=30), 903, userId=..., anonymousId=VISITOR, properties={"likes": "purple-feathers"}
        ),
        line(moment, 904, event="unsubscribed", userId=..., anonymousId="elsewhere", properties={"address": ADDRESS}),
        line(moment, 905, timestamp="yesterday"),
    ]
    return b"".join(json.dumps(call).encode() + b"\n" for call in calls) + f'"{ADDRESS}" {{\n'.encode()


def test_they_never_come_back(days: Days, gone: tuple[Installation, Any], tmp_path: Path) -> None:
    installation = gone[0].copy(tmp_path / "data")
    again, new = tmp_path / "again.jsonl", tmp_path / "new.jsonl"
    his = json.dumps(line(days.at[0], 906, userId=OTHER, messageId="his-906")).encode()
    again.write_bytes(days.hers.read_bytes() + his + b"\n")
    new.write_bytes(come_back(days.at[0]))

    same = call(installation, "backfill", str(days.hers), "--source", "app", "--reason", "again", "--json")
    first = call(installation, "land", str(again), "--source", "app", "--json").json
    second = call(installation, "land", str(new), "--source", "app")
    ranged = call(
        installation, "backfill", str(again), "--source", "app", "--reason", "again", "--from", "2025-01-01", "--json"
    )
    retried = call(installation, "quarantine", "retry", "--source", "app", "--json").json
    spine.run(installation.settings, days.at[1])

    n_hers = len(days.hers.read_bytes().splitlines()) - 1 - 2
    assert same.code == 0, same.err
    assert (first["erased"], first["landed"], first["duplicate"], first["quarantined"]) == (n_hers, 1, 2, 1)
    assert "9 lines read = 0 landed + 0 duplicate + 0 quarantined + 9 erased" in second.out
    assert ranged.code in (0, 1)
    assert retried["landed"] == 0
    assert not [
        name for name in places_of(installation.data_dir) if name.startswith(("landing", "warehouse", "publish"))
    ]
    with duckdb.connect(str(installation.settings.warehouse), read_only=True) as connection:
        known = connection.execute(
            "select user_id from core.dim_people where user_id in (?, ?, 'a-new-user')", (USER, OTHER)
        )
        assert known.fetchall() == [(OTHER,)]


@pytest.fixture(scope="module")
def next_day(days: Days, gone: tuple[Installation, Any], tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """The company after the first run since she was erased. Copy it before changing anything."""
    installation = gone[0].copy(tmp_path_factory.mktemp("next-day") / "data")
    installation.drop(days.next_file)
    spine.run(installation.settings, days.at[1])
    return installation


def _removed(installation: Installation) -> list[str]:
    """Return the keys that the plan has the destination remove."""
    store = Store(installation.settings)
    table = store.table(store.read("HEAD"), f"sync_ops:{SYNC}")
    assert table is not None
    return [row["key"] for row in table.to_pylist() if row["op"] == "remove"]


KEY = json.dumps({"user_id": USER}, separators=(",", ":"))


def test_the_next_plan_lets_go_of_them_and_says_nothing_of_them(
    days: Days, next_day: Installation, tmp_path: Path
) -> None:
    installation = next_day.copy(tmp_path / "data")
    store = Store(installation.settings)
    plan = store.read("HEAD")
    for name in ("changes", "verdicts", "transitions"):
        table = store.table(plan, name)
        assert table is not None
        assert [row for row in table.to_pylist() if row["person_id"] == PERSON] == [], name
    assert KEY in _removed(installation)

    spine.run(installation.settings, days.at[1] + timedelta(hours=1))

    assert places_of(installation.data_dir) == {}
    (row,) = call(installation, "erasures", "list", "--json").json
    assert row["state"] == "done"
    assert [one["words"] for one in row["destinations"] if one["sync"]] == ["removed there"]


def test_of_all_others_the_next_plan_says_what_it_would_have_said(
    days: Days, next_day: Installation, tmp_path: Path
) -> None:
    never = days.installation.copy(tmp_path / "never")
    never.drop(days.next_file)
    spine.run(never.settings, days.at[1])
    assert KEY not in _removed(never)
    ours, theirs = (Store(one.settings).read("HEAD") for one in (next_day, never))
    sizes = {name: facts["size"] for name, facts in ours.segments.items()}
    was_in = {name for name, facts in theirs.segments.items() if facts["size"] - sizes[name] == 1}
    assert "seg_power_users" in was_in
    assert all(theirs.segments[name]["size"] == size for name, size in sizes.items() if name not in was_in)
    assert ours.segments["seg_power_users"]["left"] == theirs.segments["seg_power_users"]["left"]


def test_an_open_batch_with_a_row_of_theirs_never_leaves_and_the_others_rows_come_again(
    days: Days, tmp_path: Path
) -> None:
    installation = days.installation.copy(tmp_path / "data")
    settings = installation.settings
    installation.drop(days.next_file)
    resync(settings, SYNC, who="kim", reason="all again", at=days.at[0])
    spine.run(settings, days.at[1], budget_seconds=0)
    with Journal.open(settings) as journal:
        waiting = journal.counts().batches["pending"]
    before = _said(installation)

    erase(installation)

    with Journal.open(settings) as journal:
        assert journal.counts().batches.get("pending", 0) == waiting - 1
    spine.deliver(settings, days.at[1])
    spine.run(settings, days.at[1] + timedelta(hours=1))
    after = _said(installation)
    said = {row["key"]["user_id"]: row["op"] for name in after.keys() - before.keys() for row in after[name]}
    assert said.pop(USER) == "remove"
    assert said == dict.fromkeys({row["key"]["user_id"] for rows in before.values() for row in rows} - {USER}, "update")


def _said(installation: Installation) -> dict[str, list[dict[str, Any]]]:
    """Return what the outbox was told of rows, by file."""
    files = (installation.data_dir / "outbox" / SYNC).iterdir()
    return {path.name: json.loads(path.read_bytes())["rows"] for path in files}


POINTS = (
    "begun", "journal_cancelled", "batches_cancelled", "load_written", "load_rewritten", "pack_rewritten",
    "mirror_rewritten", "landing_cleared", "plan_removed", "object_written", "objects_recorded", "object_removed",
    "batch_rewritten", "file_removed", "database_removed", "leftovers_removed", "journal_rewritten", "noted",
)  # fmt: skip


def test_killed_step_after_step_it_ends_as_one_that_was_not(
    days: Days, gone: tuple[Installation, Any], tmp_path: Path
) -> None:
    killed = days.installation.copy(tmp_path / "data")
    passed = []
    for point in POINTS:
        done = killed.forked("erase", USER, "--reason", REASON, TAILRACE_CRASH_AT=f"erase.{point}")
        assert done.code in (0, -signal.SIGKILL), (point, done.err)
        if done.code == 0:
            passed.append(point)
        if point == "load_rewritten":
            refused = call(killed, "gc")
            assert (refused.code, "was begun and is not finished" in refused.err) == (1, True)
    receipt = erase(killed)

    assert passed == []
    assert {**receipt, "at": 0, "devices": 0} == {**gone[1], "at": 0, "devices": 0} | {
        name: receipt[name] for name in ("users", "addresses", "keys", "salt", "erasure_id")
    }
    assert places_of(killed.data_dir).keys() == places_of(gone[0].data_dir).keys()
    assert _shape(killed) == _shape(gone[0])


def _shape(installation: Installation) -> dict[str, Any]:
    settings = installation.settings
    store = Store(settings)
    with Journal.open(settings) as journal:
        messages = journal.counts().messages
    with duckdb.connect(str(settings.warehouse), read_only=True) as connection:
        people = connection.execute("select * from core.dim_people order by 1").fetchall()
    told = {name: store.table(store.read("HEAD"), name) for name in store.read("HEAD").relations}
    return {
        "loads": [load.model_dump(exclude={"parquet"}) for load in loads(settings)],
        "plan": {name: table.to_pylist() for name, table in told.items() if table is not None and "sync" not in name},
        "messages": messages,
        "people": people,
        "files": sorted(
            str(path.relative_to(settings.data_dir))
            for folder in ("landing", "outbox", "inbox")
            for path in (settings.data_dir / folder).rglob("*")
        ),
    }


def test_a_run_finishes_what_was_killed_before_it_decides_anything(days: Days, tmp_path: Path) -> None:
    installation = days.installation.copy(tmp_path / "data")
    installation.drop(days.next_file)
    done = installation.forked("erase", USER, "--reason", REASON, TAILRACE_CRASH_AT="erase.begun")
    assert done.code == -signal.SIGKILL
    (said,) = (row for row in call(installation, "doctor", "--json").json if row["status"] == "bad")
    assert (said["subject"], "is not finished" in said["text"]) == ("erasures", True)

    spine.run(installation.settings, days.at[1])
    spine.run(installation.settings, days.at[1] + timedelta(hours=1))

    assert places_of(installation.data_dir) == {}


def test_it_waits_for_nobody_and_says_who_works(days: Days, tmp_path: Path) -> None:
    installation = days.installation.copy(tmp_path / "data")
    data = installation.data_dir
    for name, what in (("run", "a run"), ("backtest", "a backtest"), ("landing", "a landing"), ("deliver", "delivery")):
        with durable.exclusive(data / f"{name}.lock", what):
            done = call(installation, "erase", USER, "--reason", REASON)
        assert done.code == 1
        assert f"{what} is already under way in process {os.getpid()}" in done.err
    assert not (installation.settings.erasures).exists()


def test_nobody_is_erased_while_the_journal_does_not_know_what_was_claimed(days: Days, tmp_path: Path) -> None:
    installation = days.installation.copy(tmp_path / "data")
    installation.drop(days.next_file)
    spine.run(installation.settings, days.at[1], budget_seconds=0)
    backup = installation.settings.journal.read_bytes()
    delivered = spine.deliver(installation.settings, days.at[1]).steps["deliver"]
    for path in installation.data_dir.glob("journal.sqlite*"):
        path.unlink()
    installation.settings.journal.write_bytes(backup)

    done = call(installation, "erase", USER, "--reason", REASON)

    assert delivered
    assert (done.code, "is behind its copy" in done.err, "nobody was erased" in done.err) == (1, True, True)
    assert not installation.settings.erasures.exists()


def test_a_dry_run_says_the_same_and_changes_nothing(
    days: Days, gone: tuple[Installation, Any], tmp_path: Path
) -> None:
    installation = days.installation.copy(tmp_path / "data")
    before = {path: path.stat().st_mtime_ns for path in installation.data_dir.rglob("*") if path.suffix != ".lock"}

    said = erase(installation, "--dry-run")

    after = {path: path.stat().st_mtime_ns for path in installation.data_dir.rglob("*") if path.suffix != ".lock"}
    assert (said["found"], said["destinations"]) == (gone[1]["found"], gone[1]["destinations"])
    changed = {path.name for path in after if after[path] != before.get(path)}
    assert changed <= {"data", "scratch", "journal.sqlite-wal", "journal.sqlite-shm"}


def test_nobody_unknown_is_erased_and_nobody_twice(days: Days, gone: tuple[Installation, Any], tmp_path: Path) -> None:
    installation = gone[0].copy(tmp_path / "data")
    unknown = call(installation, "erase", "nobody-at-all", "--reason", REASON)
    address = call(installation, "erase", "nobody@vogel.example", "--email", "--reason", REASON)
    again = erase(installation)
    by_address = call(installation, "erase", f" {ADDRESS.title()}", "--email", "--reason", REASON, "--json").json

    assert (unknown.code, "nobody has that user id or person_id" in unknown.err) == (1, True)
    assert (address.code, "nobody has that e-mail address" in address.err) == (1, True)
    assert "nobody@vogel.example" not in address.err
    assert {**again, "state": 0} == {**by_address, "state": 0} == {**gone[1], "state": 0}


def test_by_the_number_that_an_alias_gave_up_it_is_the_same_person(days: Days, tmp_path: Path) -> None:
    installation = days.installation.copy(tmp_path / "data")

    by_number, by_id = (
        call(installation, "erase", said, "--reason", REASON, "--json", "--dry-run").json
        for said in (str(ids.person_id(OLD_USER)), USER)
    )

    assert by_number["persons"] == by_id["persons"] == sorted(map(ids.person_id, (USER, OLD_USER, OLDEST_USER)))
    assert by_number["found"] == by_id["found"]


def test_by_address_everybody_goes_who_has_or_had_it(days: Days, tmp_path: Path) -> None:
    installation = days.installation.copy(tmp_path / "data")
    extra = tmp_path / "extra.jsonl"
    moment = days.at[0] + timedelta(hours=3)
    calls = [
        line(moment, 800 + number, type="identify", event=..., userId=f"twin-{number}", traits={"email": email})
        for number, email in enumerate(("shared@vogel.example", "Shared@vogel.example"))
    ]
    calls.append(line(moment, 810, type="identify", event=..., userId="twin-1", traits={"email": "mine@vogel.example"}))
    extra.write_bytes(b"".join(json.dumps(call).encode() + b"\n" for call in calls))
    spine.land_files(installation.settings, [extra], "app", moment)
    early = call(installation, "erase", "twin-0", "--reason", REASON)
    spine.run(installation.settings, moment)

    alone = call(installation, "erase", "twin-0", "--reason", REASON, "--dry-run", "--json").json
    both = call(installation, "erase", "SHARED@vogel.example", "--email", "--reason", REASON, "--json").json

    assert (early.code, "the warehouse is not of all that has landed" in early.err) == (1, True)
    assert (len(alone["persons"]), alone["addresses"], alone["shared"]) == (1, [], 1)
    assert (len(both["persons"]), len(both["addresses"]), both["shared"]) == (2, 2, 0)
    assert places_of(installation.data_dir, ("shared@vogel", "mine@vogel", "Shared@vogel")) == {}


def test_without_the_salt_nothing_lands(days: Days, gone: tuple[Installation, Any], tmp_path: Path) -> None:
    installation = gone[0].copy(tmp_path / "data")
    salt = installation.settings.erasures / "salt"
    kept = salt.read_text()
    for broken in (None, "another"):
        salt.unlink(missing_ok=True)
        if broken:
            salt.write_text(broken)
        done = call(installation, "land", str(days.next_file), "--source", "app")
        assert (done.code, "people would come back" in done.err) == (1, True)
    salt.unlink()
    told = installation.cli("land", str(days.next_file), "--source", "app", TAILRACE_ERASURE_SALT=kept)
    assert told.code == 0, told.err


def test_finish_leaves_the_warehouse_at_the_instant_of_the_last_run(
    days: Days, next_day: Installation, tmp_path: Path
) -> None:
    installation = next_day.copy(tmp_path / "data")
    (erasure,) = erased.erasures(installation.settings)
    assert erasure.as_of < days.at[1]

    done = call(installation, "erasures", "finish")

    assert done.code == 0, done.err
    stands = read_generation(installation.settings)
    assert stands is not None
    assert stands.as_of == days.at[1]


def test_a_plan_that_was_made_before_cannot_be_applied_after(days: Days, gone: tuple[Installation, Any]) -> None:
    installation, _ = gone
    ours, theirs = (
        {path.parent.name for path in one.settings.plans.glob("*/plan.json")}
        for one in (installation, days.installation)
    )
    (stray,) = theirs - ours
    done = call(installation, "apply", stray)
    assert (done.code, "removed by an erasure on" in done.err) == (1, True)


def test_after_an_old_backup_of_the_landing_finish_makes_it_true_again(
    days: Days, gone: tuple[Installation, Any], tmp_path: Path
) -> None:
    installation = days.installation.copy(tmp_path / "data")
    shutil.copytree(gone[0].settings.erasures, installation.settings.erasures)
    assert places_of(installation.data_dir)

    done = call(installation, "erasures", "finish")

    assert done.code == 0, done.err
    assert {word for words in places_of(installation.data_dir).values() for word in words} <= {USER}
