"""gc changes no plan, no answer about the time that is kept and nothing that is still to be delivered."""

from __future__ import annotations

import gzip
import hashlib
import os
import re
import shutil
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tailrace import clock, durable
from tailrace.journal.journal import Journal
from tailrace.landing.loads import loads, own_event_files
from tailrace.landing.packs import pack_file, packs
from tailrace.pipeline import spine
from tailrace.pipeline.collecting import collect_garbage
from tailrace.pipeline.evidence import evidence
from tailrace.pipeline.request import load_files
from tailrace.planning.store import Store
from tailrace.settings import Settings
from tailrace.warehouse.build import build
from tests.conftest import Company
from tests.installation import PROJECT, Installation, at, call

pytestmark = pytest.mark.slow

HOUR = 3_600
PIECES = 9


@dataclass(frozen=True)
class Days:
    """The company after three days: the first landed in many pieces, what the second says was not delivered."""

    installation: Installation
    at: list[datetime]
    next_file: Path

    def copy(self, to: Path, retention: str = "") -> Installation:
        project = to / "project"
        shutil.copytree(PROJECT, project, ignore=shutil.ignore_patterns("target", "logs"))
        policy = project / "policy.yml"
        policy.write_text(policy.read_text() + (f"\nretention: {retention}\n" if retention else ""))
        return self.installation.copy(to / "data", project)


@pytest.fixture(scope="module")
def days(company: Company, tmp_path_factory: pytest.TempPathFactory) -> Days:
    root = tmp_path_factory.mktemp("days")
    installation = company.copy(root / "data")
    when = [at(file.last_on, 23) for file in company.sample.daily[:4]]
    lines = gzip.decompress(company.sample.daily[0].path.read_bytes()).splitlines(keepends=True)
    for number in range(PIECES):
        piece = root / f"piece{number}.jsonl"
        piece.write_bytes(b"".join(lines[number::PIECES]))
        spine.land_files(installation.settings, [piece], "app", when[0])
    spine.run(installation.settings, when[0])
    for number in (1, 2):
        installation.drop(company.sample.daily[number].path)
        spine.run(installation.settings, when[number], budget_seconds=0 if number == 2 else None)
    return Days(installation, when, company.sample.daily[3].path)


def collect(installation: Installation, as_of: datetime) -> None:
    """Pack and collect, an hour passes, and collect again: afterwards the loads' own small files are gone."""
    collect_garbage(installation.settings, as_of)
    settings = installation.settings
    for pack in packs(settings):
        _age(pack_file(settings, pack), 3 * HOUR)
    _age(settings.warehouse, 2 * HOUR)
    collect_garbage(settings, as_of)


def _age(path: Path, seconds: int) -> None:
    then = clock.now().timestamp() - seconds
    os.utime(path, (then, then))


def next_day(installation: Installation, days: Days) -> str:
    installation.drop(days.next_file)
    plan_id = spine.run(installation.settings, days.at[3]).plan_id
    assert plan_id is not None
    return plan_id


@pytest.fixture(scope="module")
def expected(days: Days, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The plan of the next day, where nothing was collected."""
    return next_day(days.copy(tmp_path_factory.mktemp("never")), days)


def intents(settings: Settings) -> dict[str, int]:
    with Journal.open(settings) as journal:
        return journal.counts().messages


@pytest.mark.torture
@pytest.mark.parametrize("rebuilt", [False, True], ids=["warehouse as it was", "warehouse built anew"])
def test_the_next_day_is_planned_as_if_nothing_had_been_collected(
    days: Days, expected: str, tmp_path: Path, rebuilt: bool
) -> None:
    installation = days.copy(tmp_path, "{plans: 1d, payloads: 1h}")
    settings = installation.settings
    before = [load.model_dump() for load in loads(settings)]

    collect(installation, days.at[2])

    (pack,) = packs(settings)
    assert len(pack.loads) >= PIECES
    small = [path for load in loads(settings) for path in own_event_files(settings, load) if load.load_id in pack.loads]
    assert not any(path.exists() for path in small)
    assert [load.model_dump() for load in loads(settings)] == before
    if rebuilt:
        settings.warehouse.unlink()
    assert next_day(installation, days) == expected


@pytest.mark.torture
def test_a_replaced_file_stays_as_long_as_the_warehouse_shows_it(days: Days, tmp_path: Path) -> None:
    installation = days.copy(tmp_path)
    settings = installation.settings
    collect_garbage(settings, days.at[2])
    (pack,) = packs(settings)
    _age(pack_file(settings, pack), 2 * HOUR)
    _age(settings.warehouse, 3 * HOUR)

    done = collect_garbage(settings, days.at[2])

    assert (done.replaced.files, done.replaced.waiting) == (0, len(pack.loads))
    with duckdb.connect(str(settings.warehouse), read_only=True) as connection:
        ((seen,),) = connection.execute("select count(*) from landing.events").fetchall()
    assert seen == sum(load.landed for load in loads(settings))


@pytest.mark.torture
def test_a_build_that_may_see_a_part_of_a_pack_sees_that_part(days: Days, tmp_path: Path) -> None:
    installation = days.copy(tmp_path)
    collect(installation, days.at[2])
    settings = installation.settings
    some = [load for load in loads(settings) if load.load_seq % 2]

    build(settings, days.at[2], load_files(settings, some))

    with duckdb.connect(str(settings.warehouse), read_only=True) as connection:
        seen = dict(connection.execute("select load_id, count(*) from landing.events group by 1").fetchall())
        held = dict(connection.execute("select load_id, count(*) from core.fct_events group by 1").fetchall())
    assert seen == held == {load.load_id: load.landed for load in some if load.landed}


@pytest.mark.torture
def test_what_is_known_of_a_person_at_a_plan_has_no_event_of_a_load_that_the_plan_had_not_seen(
    days: Days, tmp_path: Path
) -> None:
    installation = days.copy(tmp_path)
    settings = installation.settings
    plan = Store(settings).read(Store(settings).resolve("HEAD~2"))
    with duckdb.connect(str(settings.warehouse), read_only=True) as connection:
        ((person, n_events),) = connection.execute(
            "select person_id, count(*) from core.fct_events where person_id is not null group by 1"
            " having count(distinct load_id) > 3 order by max(load_seq) desc, 1 limit 1"
        ).fetchall()

    collect(installation, days.at[2])

    seen = Store(settings).table(plan, "loads")
    assert seen is not None
    with evidence(settings, Store(settings), plan, person) as known:
        rows = known.connection.execute("select load_seq, count(*) from wh.core.fct_events group by 1").fetchall()
    assert known.knows_events
    assert {seq for seq, _ in rows} <= set(seen.column("load_seq").to_pylist())
    assert 0 < sum(count for _, count in rows) < n_events


READERS = {
    "explain": ("explain", "{person}"),
    "explain then": ("explain", "{person}", "--campaign", "onboarding", "--at", "{second}"),
    "show": ("campaign", "show", "onboarding"),
    "report": ("campaign", "report", "onboarding"),
    "compare": ("plan", "HEAD", "--diff", "HEAD~1"),
    "older": ("plan", "HEAD~2"),
    "backtest": ("campaign", "backtest", "onboarding", "--from", "{first}", "--to", "{third}", "--every", "2d"),
}


def _person(installation: Installation) -> str:
    store = Store(installation.settings)
    verdicts = store.table(store.read(store.resolve("HEAD~2")), "verdicts")
    assert verdicts is not None
    return str(verdicts.column("person_id")[0].as_py())


def ask(installation: Installation, days: Days, name: str) -> Any:
    places = {"person": _person(installation), "first": clock.iso(days.at[0] + timedelta(hours=1))}
    places |= {"second": clock.iso(days.at[1]), "third": clock.iso(days.at[2])}
    done = call(installation, *(word.format(**places) for word in READERS[name]), "--json")
    assert done.code == 0, done.err
    return done.json


@pytest.mark.torture
def test_what_is_asked_of_the_time_that_is_kept_is_answered_as_before(days: Days, tmp_path: Path) -> None:
    installation = days.copy(tmp_path, "{plans: 90d, payloads: 1h}")
    before = {name: ask(installation, days, name) for name in READERS}

    collect(installation, days.at[2])

    after = {name: ask(installation, days, name) for name in READERS}
    without = after["older"].pop("payloads")
    assert re.fullmatch(r"collected by gc on .*, retention 1h", without)
    assert after == before
    said = call(installation, "plan", "HEAD~2").err
    assert "what was personal in it, payloads above all, was collected by gc on" in said


@pytest.mark.torture
def test_what_is_asked_of_the_time_before_says_that_it_is_gone(days: Days, tmp_path: Path) -> None:
    installation = days.copy(tmp_path, "{plans: 1d}")
    person = _person(installation)
    gone = Store(installation.settings).resolve("HEAD~3")
    collect(installation, days.at[2])
    words = f"collected by gc on {days.at[2]:%Y-%m-%d %H:%M}, retention 1d"

    assert (
        f"missing   Plans before {days.at[1]:%Y-%m-%d %H:%M} were {words}" in call(installation, "explain", person).out
    )
    for line in (
        ("plan", gone),
        ("plan", "HEAD", "--diff", "HEAD~3"),
        ("plan", "HEAD", "--diff", gone),
        ("explain", person, "--at", clock.iso(days.at[0])),
        ("explain", person, "--campaign", "onboarding", "--at", clock.iso(days.at[0])),
        ("campaign", "backtest", "onboarding", "--from", clock.iso(days.at[0]), "--to", clock.iso(days.at[2])),
    ):
        done = call(installation, *line)
        assert (done.code, words in done.err, "Traceback" in done.err) == (1, True, False), (line, done.err)
    for line in (("campaign", "show", "onboarding"), ("campaign", "report", "onboarding")):
        assert words in call(installation, *line).out, line
        assert words in call(installation, *line, "--json").json["missing"]
    call(installation, "report")
    assert words in (installation.settings.reports / "latest.html").read_text()


@pytest.mark.torture
def test_what_is_still_to_be_delivered_is_delivered(days: Days, tmp_path: Path) -> None:
    never = days.copy(tmp_path / "none", "{plans: 1h, payloads: 1h}")
    waiting = intents(never.settings)["pending"]
    assert waiting > 0
    # A day later the plan that says it is no longer HEAD.
    never.drop(days.next_file)
    assert spine.run(never.settings, days.at[3], budget_seconds=0).plan_id
    collected = never.copy(tmp_path / "gc")
    collect(collected, days.at[3])

    assert call(collected, "deliver", "--as-of", clock.iso(days.at[3])).code == 0
    assert call(never, "deliver", "--as-of", clock.iso(days.at[3])).code == 0
    assert intents(collected.settings) == intents(never.settings)
    mails = [
        sorted(path.name for path in installation.settings.outbox.rglob("*.eml")) for installation in (collected, never)
    ]
    assert mails[0] == mails[1]


POINTS = ("recorded", "plan_removed", "plans_durable", "object_removed", "object_removed:20", "pack_written", "packed",
          "leftover_removed", "unpacked", "unpacked:4")  # fmt: skip


@pytest.mark.torture
@pytest.mark.parametrize(
    "points",
    [
        ("plans_durable", "object_removed:20", "packed", "unpacked"),
        pytest.param(POINTS, marks=pytest.mark.torture, id="every step"),
    ],
)
def test_killed_step_after_step_it_ends_as_one_that_was_not(days: Days, tmp_path: Path, points: Sequence[str]) -> None:
    """What it ends as is planned on as if nothing had been collected: see above."""
    calm, killed = (days.copy(tmp_path / name, "{plans: 1d, payloads: 1h}") for name in ("calm", "killed"))
    for installation in (calm, killed):
        left = installation.settings.scratch / "left.parquet"
        left.write_bytes(b"of a run that was killed")
        _age(left, 48 * HOUR)
    collect(calm, days.at[2])
    line = ("gc", "--as-of", clock.iso(days.at[2]))
    for point in points:
        if point == "unpacked":
            assert call(killed, *line).code == 0
            for pack in packs(killed.settings):
                _age(pack_file(killed.settings, pack), 3 * HOUR)
            _age(killed.settings.warehouse, 2 * HOUR)
        assert killed.forked(*line, TAILRACE_CRASH_AT=f"gc.{point}").code == -signal.SIGKILL, point
        rows = call(killed, "doctor", "--json").json
        assert not [row for row in rows if row["subject"] in ("plans", "landing") and row["status"] == "bad"], point
        assert len(list(Store(killed.settings).chain(Store(killed.settings).head()))) >= 2
    assert call(killed, *line).code == 0
    assert _stores(killed) == _stores(calm)


def _stores(installation: Installation) -> dict[str, str]:
    data = installation.data_dir
    return {
        str(path.relative_to(data)): hashlib.sha256(path.read_bytes()).hexdigest()
        for folder in ("plans", "landing", "scratch")
        for path in (data / folder).rglob("*")
        if path.is_file()
    }


@pytest.mark.torture
def test_gc_waits_for_nobody_and_says_who_works(days: Days, tmp_path: Path) -> None:
    installation = days.copy(tmp_path, "{plans: 1d}")
    before = _stores(installation)
    data = installation.data_dir
    for name, what in (("run", "a run"), ("backtest", "a backtest"), ("landing", "a landing")):
        with durable.exclusive(data / f"{name}.lock", what):
            done = call(installation, "gc", "--as-of", clock.iso(days.at[2]))
        assert done.code == 1
        assert f"{what} is already under way in process {os.getpid()}" in done.err
    assert _stores(installation) == before


@pytest.mark.torture
def test_a_delivery_may_be_under_way(days: Days, tmp_path: Path) -> None:
    installation = days.copy(tmp_path, "{plans: 1d}")
    with durable.exclusive(installation.settings.deliver_lock, "delivery"):
        assert call(installation, "gc", "--as-of", clock.iso(days.at[2])).code == 0


@pytest.mark.torture
@pytest.mark.parametrize("lost", ["journal.sqlite*", "journal*"], ids=["the journal is", "its copy is too"])
def test_nothing_is_collected_while_the_journal_cannot_say_what_is_to_be_delivered(
    days: Days, tmp_path: Path, lost: str
) -> None:
    installation = days.copy(tmp_path, "{plans: 1d}")
    for path in installation.data_dir.glob(lost):
        durable.remove(path)
    before = _stores(installation)

    done = call(installation, "gc", "--as-of", clock.iso(days.at[2]))

    assert (done.code, "othing was collected" in done.err) == (1, True)
    assert _stores(installation) == before


@pytest.mark.torture
def test_scratch_loses_what_nobody_has_written_to_for_a_day(days: Days, tmp_path: Path) -> None:
    installation = days.copy(tmp_path)
    scratch = installation.settings.scratch
    for name in ("duckdb/old.tmp", "duckdb/new.tmp", "folder/old", "busy/old", "busy/new", "object-1.parquet"):
        (scratch / name).parent.mkdir(parents=True, exist_ok=True)
        (scratch / name).write_bytes(b"x" * 100)
    for path in [*scratch.rglob("*"), scratch]:
        if path.name not in ("new", "new.tmp"):
            _age(path, 25 * HOUR)
    said = call(installation, "gc", "--dry-run", "--json").json["leftovers"]

    call(installation, "gc")

    assert said["entries"] == 3
    assert {str(path.relative_to(scratch)) for path in scratch.rglob("*") if path.is_file()} == {
        "duckdb/new.tmp", "busy/old", "busy/new",
    }  # fmt: skip


@pytest.mark.torture
def test_it_says_what_went_what_stays_and_why(days: Days, tmp_path: Path) -> None:
    installation = days.copy(tmp_path, "{plans: 1d}")
    line = ("gc", "--as-of", clock.iso(days.at[2]))
    before = _stores(installation)

    dry = call(installation, *line, "--dry-run")
    assert _stores(installation) == before
    done = call(installation, *line)
    again = call(installation, *line, "--json").json

    assert dry.out.startswith("nothing was changed; without --dry-run:\n")
    assert done.out in dry.out
    assert re.search(
        r"removed    2 plans, payloads of 0 more plans: \d+ objects, \d+\.\d MB \(\d+ of them named", done.out
    )
    assert re.search(r"packed     (\d+) loads in \1 files into 1 file, ", done.out)
    for words in ("is HEAD", "is not older than the retention"):
        assert words in done.out
    assert again["plans"]["plans"] == []
    assert again["packed"]["packs"] == 0
    assert again["replaced"]["waiting"] >= PIECES
    assert call(days.copy(tmp_path / "other"), "gc").out.startswith("plans      all are kept: policy.yml has no")
