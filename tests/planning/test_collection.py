"""Whatever HEAD, the retention and open messages need is there after gc, wherever it was killed; the rest is gone."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tailrace import clock
from tailrace.errors import DataError
from tailrace.planning import collected
from tailrace.planning.collection import Collection, collect
from tailrace.planning.comparing import compare
from tailrace.planning.reader import PlanReader
from tailrace.planning.store import Plan, Store
from tailrace.planning.story import tell
from tailrace.settings import Settings
from tests import forks
from tests.planning.world import DAY, HOUR, START, Sync, SyncSpec, World, campaign

DAYS = 12
LAST = START + (DAYS - 1) * DAY

COLLECT = """
import json, sys
from datetime import timedelta
from pathlib import Path
from tailrace import clock
from tailrace.planning.collection import collect
from tailrace.settings import Settings
asked = json.loads(sys.argv[2])
plans, payloads = (None if asked[name] is None else timedelta(days=asked[name]) for name in ("plans", "payloads"))
collect(Settings(Path(sys.argv[1]), Path(sys.argv[1])), as_of=clock.parse(asked["as_of"]), plans=plans,
        payloads=payloads, open_plans=asked["open"], is_dry=False)
"""


@pytest.fixture(scope="module")
def twelve_days(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A plan a day in which somebody enters, is written to and goes out in a sync; two that nobody applied."""
    world = World(tmp_path_factory.mktemp("days"))
    users = [f"u{number}" for number in range(60)]
    for user in users:
        world.person(user)
    world.campaigns = [campaign(), campaign("second", priority=10)]
    world.syncs = [SyncSpec(Sync("sync_crm__power"), 10, ("seg_trial",))]
    for day in range(DAYS):
        world.segment("seg_trial", *users[: 5 * day])
        world.audience["sync_crm__power"] = [
            {"user_id": user, "email": f"{user}@example.com"} for user in users[: 3 * day]
        ]
        if day in (4, 9):
            world.plan_id(START + day * DAY - HOUR, apply=False)
        world.plan(START + day * DAY)
    return world


@pytest.fixture
def days(twelve_days: World, tmp_path: Path) -> World:
    shutil.copytree(twelve_days.root, tmp_path / "days")
    return World(tmp_path / "days")


def run(
    world: World,
    plans: int | None = None,
    payloads: int | None = None,
    open_plans: Mapping[str, Mapping[str, int]] | None = None,
    *,
    is_dry: bool = False,
) -> Collection:
    lengths = [None if count is None else timedelta(days=count) for count in (plans, payloads)]
    return collect(
        world.settings, as_of=LAST, plans=lengths[0], payloads=lengths[1], open_plans=open_plans or {}, is_dry=is_dry
    )


def killed(world: World, at: str, **asked: Any) -> int:
    words = {"as_of": clock.iso(LAST), "plans": None, "payloads": None, "open": {}} | asked
    environment = {**os.environ, "TAILRACE_CRASH_AT": at}
    process = forks.start([world.root, json.dumps(words)], environment, program=COLLECT, is_building=False)
    process.communicate()
    return process.wait()


def lineage(world: World) -> list[tuple[str, Plan]]:
    return list(world.store.chain(world.store.head()))


def lacks(world: World, plan: Plan) -> set[str]:
    """Return the relations of a plan of which an object is missing."""
    return {name for name, pieces in plan.relations.items() for piece in pieces if not world.store.path(piece).exists()}


def content(world: World) -> dict[str, bytes]:
    root = world.settings.plans
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def standing(world: World) -> dict[str, Plan]:
    return {path.parent.name: world.store.read(path.parent.name) for path in world.settings.plans.glob("*/plan.json")}


def named(world: World) -> set[Path]:
    """Return the objects that the plans name."""
    plans = standing(world).values()
    return {world.store.path(piece) for plan in plans for pieces in plan.relations.values() for piece in pieces}


def check_whole(world: World, open_plans: Mapping[str, Any]) -> None:
    """Check what must hold of any store at any moment: no plan is half there, and what is gone can be named."""
    gone = world.store.collected()
    for name, plan in standing(world).items():
        missing = lacks(world, plan)
        assert all(map(collected.is_personal, missing)), (name, missing)
        assert not missing or name in gone
        assert not missing or name not in {world.store.head(), *open_plans}
    last = lineage(world)[-1][1]
    assert last.parent is None or last.parent in gone


@pytest.mark.torture
def test_without_a_retention_all_plans_stay_and_only_orphans_go(days: World) -> None:
    orphan = days.settings.plans / "objects" / f"{'0' * 64}.parquet"
    orphan.write_bytes(b"of a run that was killed before its plan was saved")
    (days.settings.plans / "0123456789abcdef").mkdir()
    (days.settings.plans / "0123456789abcdef" / ".plan.json.1.tmp").write_bytes(b"{")
    (days.settings.plans / ".HEAD.1.tmp").write_bytes(b"{")
    plans = {name: text for name, text in content(days).items() if name.endswith("plan.json") or name == "HEAD"}

    done = run(days)

    # Making a plan leaves orphans too: pieces that were merged with others at once.
    assert (done.plans, done.bared) == ((), ())
    assert done.objects == done.orphans > 1
    assert not orphan.exists()
    assert content(days).keys() == plans.keys() | {"HEAD.lock"} | {f"objects/{path.name}" for path in named(days)}
    assert {name: content(days)[name] for name in plans} == plans
    assert not (days.settings.plans / "0123456789abcdef").exists()


def test_plans_older_than_the_retention_go_and_the_one_current_then_stays(days: World) -> None:
    before = dict(lineage(days))

    done = run(days, plans=4)

    kept = [plan.as_of for _, plan in lineage(days)]
    assert kept == [LAST - number * DAY for number in range(5)]
    assert len(done.plans) == DAYS - 5 + 1
    assert {name for name, plan in before.items() if plan.as_of < LAST - 4 * DAY} <= set(done.plans)
    assert set(done.plans) == days.store.collected().keys()
    check_whole(days, {})
    assert set((days.settings.plans / "objects").glob("*.parquet")) == named(days)


def test_between_two_plans_the_older_one_stays_for_who_asks_of_the_moment_between(days: World) -> None:
    collect(days.settings, as_of=LAST + 5 * HOUR, plans=4 * DAY, payloads=None, open_plans={}, is_dry=False)

    assert [plan.as_of for _, plan in lineage(days)][-1] == LAST - 4 * DAY


def test_payloads_go_before_their_plan_which_can_be_read_without_them(days: World) -> None:
    ids_before = [name for name, _ in lineage(days)]
    run(days, plans=8, payloads=2)

    plans = lineage(days)
    assert [name for name, _ in plans] == ids_before[: len(plans)]
    for name, plan in plans:
        old = plan.as_of < LAST - 2 * DAY
        assert {relation.partition(":")[0] for relation in lacks(days, plan)} == (
            {"payloads", "sync_ops"} if old else set()
        )
        assert days.store.table(plan, "verdicts") is not None
        if old:
            with pytest.raises(DataError, match=rf"plan {name}: its `payloads` were collected by gc on .*retention 2d"):
                PlanReader(days.store).payloads(name, [])
            with pytest.raises(DataError, match="sync_ops"):
                days.store.source(plan, "sync_ops:sync_crm__power", "")


def test_what_has_something_open_stays_whole_however_old(days: World) -> None:
    oldest, newer = lineage(days)[-2][0], lineage(days)[3][0]
    open_plans = {oldest: {"draft": 2}, newer: {"unknown": 1}}

    done = run(days, plans=4, payloads=1, open_plans=open_plans)

    for name in open_plans:
        assert lacks(days, days.store.read(name)) == set()
    assert {entry.plan_id: entry.open for entry in done.kept if entry.open} == open_plans
    assert days.store.table(days.store.read(newer), "payloads") is not None
    check_whole(days, open_plans)
    assert oldest in run(days, plans=4, payloads=1).plans


def test_head_stays_whole_however_old_it_is(days: World) -> None:
    collect(
        days.settings, as_of=LAST + 400 * DAY, plans=4 * DAY, payloads=DAY, open_plans={}, is_dry=False
    )  # fmt: skip

    ((_, head),) = lineage(days)
    assert lacks(days, head) == set()
    assert set(standing(days)) == {days.store.head()}


def test_a_dry_run_changes_nothing_and_says_what_the_real_one_does(days: World) -> None:
    before = content(days)

    said = run(days, plans=4, payloads=1, is_dry=True)

    assert content(days) == before
    assert said == run(days, plans=4, payloads=1)
    after = content(days)
    again = run(days, plans=4, payloads=1)
    assert (again.plans, again.bared, again.objects) == ((), (), 0)
    assert content(days) == after


@pytest.mark.torture
def test_the_next_plan_on_what_is_left_is_the_one_that_would_have_been(twelve_days: World, tmp_path: Path) -> None:
    made = []
    for name in ("all", "collected"):
        shutil.copytree(twelve_days.root, tmp_path / name)
        world = World(tmp_path / name, people=twelve_days.people, campaigns=twelve_days.campaigns)
        world.syncs, world.segments, world.audience = twelve_days.syncs, twelve_days.segments, twelve_days.audience
        world.members = {"seg_trial": set(twelve_days.people)}
        if name == "collected":
            run(world, plans=2, payloads=1)
        made.append(world.plan_id(LAST + DAY))

    assert made[0] == made[1]


@pytest.mark.parametrize(
    "point",
    ["gc.recorded", "gc.plan_removed", "gc.plan_removed:4", "gc.plans_durable", "gc.object_removed",
     "gc.object_removed:9"],
)  # fmt: skip
def test_killed_anywhere_no_plan_is_half_there_and_the_next_gc_ends_as_if_nothing_happened(
    twelve_days: World, tmp_path: Path, point: str
) -> None:
    stores = {}
    for name in ("calm", "killed"):
        shutil.copytree(twelve_days.root, tmp_path / name)
        stores[name] = World(tmp_path / name)
    open_plans = {lineage(twelve_days)[-3][0]: {"pending": 1}}
    run(stores["calm"], plans=5, payloads=2, open_plans=open_plans)

    assert killed(stores["killed"], point, plans=5, payloads=2, open=open_plans) == -signal.SIGKILL

    check_whole(stores["killed"], open_plans)
    run(stores["killed"], plans=5, payloads=2, open_plans=open_plans)
    assert content(stores["killed"]) == content(stores["calm"])


def test_a_retention_made_longer_after_a_kill_keeps_what_still_stands(days: World) -> None:
    assert killed(days, "gc.plan_removed:2", plans=2) == -signal.SIGKILL
    there = set(standing(days))

    run(days, plans=3_000)

    assert set(standing(days)) == there
    assert days.store.collected().keys().isdisjoint(there)


def test_whatever_the_retention_what_is_needed_is_there_and_nothing_else(twelve_days: World, tmp_path: Path) -> None:
    chance = random.Random(20261121)
    for number in range(12):
        shutil.copytree(twelve_days.root, tmp_path / str(number))
        world = World(tmp_path / str(number))
        every = standing(world)
        plans = chance.choice([None, *range(1, 14)])
        payloads = chance.choice([None, *range(1, (plans or 13) + 1)])
        open_plans = {name: {"pending": 1} for name in chance.sample(sorted(every), 3)}
        for _ in range(3):
            here = set(standing(world))
            run(world, plans, payloads, open_plans)
            check_whole(world, open_plans)
            now = standing(world)
            for name in here & open_plans.keys():
                assert name in now
            for name, plan in lineage(twelve_days):
                if plans is None or plan.as_of >= LAST - plans * DAY:
                    assert name in now
                if payloads is None or plan.as_of >= LAST - payloads * DAY:
                    assert name not in now or lacks(world, plan) == set()
            unneeded = {name for name, plan in now.items() if plans and plan.as_of < LAST - plans * DAY}
            assert unneeded - open_plans.keys() <= {world.store.head(), *_current(twelve_days, plans)}
            assert all(name in now or name in world.store.collected() for name in every)
            open_plans.pop(chance.choice(sorted(open_plans)))


def _current(world: World, plans: int | None) -> list[str]:
    return [name for name, plan in lineage(world) if plans and plan.as_of <= LAST - plans * DAY][:1]


def test_a_damaged_plan_stops_it_before_anything_goes(days: World) -> None:
    (days.settings.plans / lineage(days)[6][0] / "plan.json").write_text("{}")
    before = content(days)

    with pytest.raises(DataError, match="does not hash to its id"):
        run(days, plans=2)
    assert content(days) == before


# -- what those say who read older plans -----------------------------------------------------------------------------


@pytest.fixture
def cut(days: World) -> tuple[World, str]:
    """The days after gc has left five plans, and the id of a plan that is gone."""
    gone = lineage(days)[7][0]
    run(days, plans=4)
    return days, gone


WORDS = r"collected by gc on 2026-01-12 06:00, retention 4d"


def test_a_collected_plan_is_named_as_that_by_id_and_by_number(cut: tuple[World, str]) -> None:
    world, gone = cut

    for name in (gone, gone[:6]):
        with pytest.raises(DataError, match=f"plan `{name}`, as of 2026-01-05.*: it was {WORDS}"):
            world.store.read(name)
    with pytest.raises(DataError, match=rf"only 4 plans before `HEAD` left; those before 2026-01-08\S+ were {WORDS}"):
        world.store.resolve("HEAD~7")
    assert world.store.resolve("HEAD~4") == lineage(world)[-1][0]


def test_a_plan_that_is_lost_and_was_not_collected_is_an_error_still(days: World) -> None:
    lost = lineage(days)[3][0]
    shutil.rmtree(days.settings.plans / lost)

    with pytest.raises(DataError, match="there is no such plan"):
        lineage(days)


def test_a_story_says_that_it_does_not_go_back_to_the_beginning(cut: tuple[World, str]) -> None:
    world, _ = cut
    head = world.store.head()
    assert head is not None
    with duckdb.connect() as connection:
        whole = tell(connection, world.store, 1, head=head, limit=500)
        short = tell(connection, world.store, 1, head=head, limit=3)

    assert whole.n_plans == 5
    assert whole.missing == (
        "Plans before 2026-01-08 06:00 were collected by gc on 2026-01-12 06:00, retention 4d: what they decided is"
        " not in it."
    )
    assert short.missing is None


def test_two_plans_with_a_collected_one_between_are_not_called_branches(days: World) -> None:
    old, head = lineage(days)[-2][0], days.store.head()
    assert head is not None
    run(days, plans=4, open_plans={old: {"unknown": 1}})
    with duckdb.connect() as connection:
        found = compare(connection, days.store, head, old)

    assert found.kin.startswith("what lies between was collected by gc")


def test_a_damaged_record_of_what_was_collected_is_named(cut: tuple[World, str]) -> None:
    world, gone = cut
    (world.settings.plans / "collected.json").write_text('{"plans": {"a": 1}}')

    with pytest.raises(DataError, match=r"collected\.json: this record of collected plans cannot be read"):
        Store(Settings(world.root, world.root)).read(gone)
