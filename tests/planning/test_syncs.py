"""What a destination must hear, and what it holds."""

import json
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tailrace import ids
from tailrace.planning.erasing import Whose, erase
from tailrace.planning.store import Plan
from tailrace.planning.syncs import LetGo, SyncPlanner, SyncSpec
from tests.planning.world import DAY, OPEN, START, Sync, World, campaign

NAME = "sync_webhook__power_users"


@pytest.fixture
def audience(world: World) -> World:
    world.person("ada")
    world.segment("seg_power", "ada")
    world.syncs = [SyncSpec(Sync(NAME), batch_size=2, segments=("seg_power",))]
    return world


def _hold(world: World, *users: str, suffix: str = "") -> None:
    world.audience[NAME] = [{"user_id": user, "email": f"{user}{suffix}@example.com"} for user in users]


def _answer(world: World, plan: Plan, outcomes: dict[str, str] | str, code: str = "") -> None:
    """The destination answers every operation of the plan: one outcome for all, or one per key."""
    for key, batch, position in world.rows(plan, f"sync_ops:{NAME}", "key", "batch_no", "position"):
        outcome = outcomes if isinstance(outcomes, str) else outcomes[key]
        world.answers.append(
            {
                "seq": len(world.answers) + 1,
                "plan_id": plan.plan_id,
                "sync": NAME,
                "batch_no": batch,
                "position": position,
                "outcome": outcome,
                "code": code,
                "answered_at": plan.as_of.replace(tzinfo=None),
            }
        )


def _ops(world: World, plan: Plan) -> list[tuple[Any, ...]]:
    return world.rows(plan, f"sync_ops:{NAME}", "op", "key")


def _key(user: str) -> str:
    return f'{{"user_id":"{user}"}}'


def test_a_number_that_json_cannot_say_is_null(world: World) -> None:
    columns = ("user_id", "Share", "rate")
    with duckdb.connect() as connection:
        connection.execute("attach ':memory:' as wh; create schema wh.syncs")
        connection.execute(f"create table wh.syncs.{NAME} (user_id varchar, share double, rate float)")
        connection.execute(f"insert into wh.syncs.{NAME} values ('a', 'nan', 0.5), ('b', 1.25, '-inf'), ('c', null, 1)")
        planner = SyncPlanner(connection, world.store, None, pa.table({}))
        planner.desire(SyncSpec(Sync(NAME, columns=columns), batch_size=2, segments=()))
        said = [json.loads(data) for (data,) in connection.execute("select data from desired order by key").fetchall()]
    assert said == [
        {"user_id": "a", "Share": None, "rate": 0.5},
        {"user_id": "b", "Share": 1.25, "rate": None},
        {"user_id": "c", "Share": None, "rate": 1.0},
    ]


def test_a_plan_reads_what_the_destination_answered_and_people_walk_in_it(audience: World) -> None:
    audience.segment("seg_trial")
    audience.campaigns = [campaign()]
    _hold(audience, "ada")
    _answer(audience, audience.plan(START), "accepted")
    audience.segment("seg_trial", "ada")

    plan = audience.plan(START + DAY)

    assert audience.verdicts(plan) == [("ada", "hello", "send", None)]
    assert _ops(audience, plan) == []


def test_what_was_accepted_is_not_said_again_and_changes_are(audience: World) -> None:
    _hold(audience, "ada", "ben", "cem")
    first = audience.plan(START)
    _answer(audience, first, "accepted")

    quiet = audience.plan(START + DAY)
    audience.audience[NAME] = [
        {"user_id": "ada", "email": "ada@example.com"},
        {"user_id": "ben", "email": "new@example.com"},
        {"user_id": "dia", "email": "dia@example.com"},
    ]
    moved = audience.plan(START + 2 * DAY)

    assert _ops(audience, first) == [("add", _key(user)) for user in ("ada", "ben", "cem")]
    assert _ops(audience, quiet) == []
    assert _ops(audience, moved) == [("add", _key("dia")), ("remove", _key("cem")), ("update", _key("ben"))]
    assert moved.syncs[NAME]["acknowledged"] == 3


def test_only_an_acknowledgement_moves_what_is_acknowledged(audience: World) -> None:
    said = {"ada": "accepted", "ben": "unknown", "cem": "retry_later", "dia": "blocked", "eva": "cancelled"}
    _hold(audience, *said)
    first = audience.plan(START)
    _answer(audience, first, {_key(user): outcome for user, outcome in said.items()})

    assert _ops(audience, audience.plan(START + DAY)) == [("add", _key(user)) for user in ("ben", "cem", "dia", "eva")]


def test_a_row_whose_answer_is_not_known_is_removed_when_it_is_no_longer_wanted(audience: World) -> None:
    _hold(audience, "ada", "ben")
    _answer(audience, audience.plan(START), {_key("ada"): "accepted", _key("ben"): "unknown"})
    _hold(audience, "ada")

    plan = audience.plan(START + DAY)

    assert _ops(audience, plan) == [("remove", _key("ben"))]
    assert (plan.syncs[NAME]["acknowledged"], plan.syncs[NAME]["unknown"]) == (1, 1)


@pytest.mark.torture
def test_a_removal_whose_answer_is_not_known_is_said_again(audience: World) -> None:
    _hold(audience, "ada")
    _answer(audience, audience.plan(START), "accepted")
    _hold(audience)
    _answer(audience, audience.plan(START + DAY), "unknown")

    assert _ops(audience, audience.plan(START + 2 * DAY)) == [("remove", _key("ada"))]


@pytest.mark.torture
def test_a_refused_row_is_left_alone_until_it_changes(audience: World) -> None:
    _hold(audience, "ada", "ben")
    first = audience.plan(START)
    _answer(audience, first, {_key("ada"): "accepted", _key("ben"): "rejected"})

    same = audience.plan(START + DAY / 2)
    _hold(audience, "ada", "ben", suffix="2")
    changed = audience.plan(START + DAY / 2 + DAY / 4)

    assert _ops(audience, same) == []
    assert same.syncs[NAME]["rejected"] == 1
    assert _ops(audience, changed) == [("add", _key("ben")), ("update", _key("ada"))]


def test_a_refused_row_is_tried_again_after_a_day(audience: World) -> None:
    _hold(audience, "ben")
    _answer(audience, audience.plan(START), "rejected")

    assert _ops(audience, audience.plan(START + 2 * DAY)) == [("add", _key("ben"))]


def test_nobody_is_removed_who_was_never_accepted(audience: World) -> None:
    _hold(audience, "ada", "ben")
    _answer(audience, audience.plan(START), {_key("ada"): "accepted", _key("ben"): "rejected"})
    _hold(audience)

    assert _ops(audience, audience.plan(START + 2 * DAY)) == [("remove", _key("ada"))]


def test_too_many_removals_park_the_sync(audience: World) -> None:
    users = [f"u{number}" for number in range(20)]
    _hold(audience, *users)
    _answer(audience, audience.plan(START), "accepted")
    audience.limits[f"sync:{NAME}"] = replace(OPEN, sync_deletions_share=0.2)
    _hold(audience)

    plan = audience.plan(START + DAY)

    assert plan.syncs[NAME]["parked"] == "guard"
    assert plan.syncs[NAME]["remove"] == 20
    assert _ops(audience, plan) == []
    assert [guard["tripped"] for guard in plan.guards] == [True]


def test_a_parked_segment_parks_the_sync_that_reads_it(audience: World) -> None:
    _hold(audience, "ada")
    audience.plan(START)
    audience.failed = {"seg_power": "Conversion Error"}

    plan = audience.plan(START + DAY)

    assert plan.syncs[NAME]["parked"] == "seg_power is parked"
    assert plan.syncs[NAME]["desired"] is None
    assert _ops(audience, plan) == []


def test_a_segment_that_a_guard_parks_parks_the_sync_that_reads_it_and_takes_nobody_out(audience: World) -> None:
    everyone = [f"p{number}" for number in range(20)]
    audience.segment("seg_power", *everyone)
    audience.limits["segment:seg_power"] = replace(OPEN, segment_left_share=0.3)
    _hold(audience, *everyone)
    _answer(audience, audience.plan(START), "accepted")
    audience.segment("seg_power")
    _hold(audience)

    plan = audience.plan(START + DAY)

    assert plan.segments["seg_power"]["parked"] == "guard"
    assert plan.syncs[NAME]["parked"] == "seg_power is parked"
    assert _ops(audience, plan) == []


def test_rows_that_repeat_a_key_park_the_sync(audience: World) -> None:
    _hold(audience, "ada", "ada", "ben")

    plan = audience.plan(START)

    assert plan.syncs[NAME]["parked"] == "1 rows repeat a key"
    assert _ops(audience, plan) == []


def test_a_backfill_removes_nobody(audience: World) -> None:
    _hold(audience, "ada")
    _answer(audience, audience.plan(START), "accepted")
    _hold(audience)

    assert _ops(audience, audience.plan(START, cause="backfill")) == []


def test_batches_keep_removals_apart(audience: World) -> None:
    _hold(audience, "ada", "ben", "cem")
    _answer(audience, audience.plan(START), "accepted")
    _hold(audience, "dia", "eva", "fay")

    plan = audience.plan(START + DAY)

    rows = audience.rows(plan, f"sync_ops:{NAME}", "batch_no", "position", "op")
    assert rows == [
        (0, 0, "add"),
        (0, 1, "add"),
        (1, 0, "add"),
        (2, 0, "remove"),
        (2, 1, "remove"),
        (3, 0, "remove"),
    ]


def _let_go(*users: str) -> LetGo:
    return LetGo("salt", {NAME: frozenset(ids.salted("salt", "key", _key(user)) for user in users)})


@pytest.mark.torture
def test_who_was_erased_is_let_go_of_and_is_no_part_of_what_the_guard_measures(audience: World) -> None:
    _hold(audience, "ada", "ben", "cem", "dia")
    _answer(audience, audience.plan(START), "accepted")
    _hold(audience, "ada")
    audience.limits[f"sync:{NAME}"] = replace(OPEN, minimum_members=1, sync_deletions_share=0.3)

    parked = audience.plan(START + DAY)
    audience.let_go = _let_go("ben", "cem", "dia")
    all_three = audience.plan(START + DAY, apply=False)
    audience.let_go = _let_go("ben")
    alone = audience.plan(START + DAY)
    _answer(audience, alone, "accepted")

    assert (parked.syncs[NAME]["parked"], _ops(audience, parked)) == ("guard", [])
    assert (all_three.syncs[NAME]["parked"], len(_ops(audience, all_three))) == (None, 3)
    assert (alone.syncs[NAME]["parked"], _ops(audience, alone)) == ("guard", [("remove", _key("ben"))])
    assert _ops(audience, audience.plan(START + 2 * DAY)) == []


@pytest.mark.parametrize("why", ["sync_failed", "backfill"])
def test_a_sync_that_says_nothing_lets_go_of_who_was_erased_all_the_same(audience: World, why: str) -> None:
    _hold(audience, "ada", "ben", "dia")
    first = audience.plan(START)
    _answer(audience, first, {_key("ada"): "accepted", _key("ben"): "accepted", _key("dia"): "unknown"})
    _hold(audience, "cem")
    audience.let_go = _let_go("ben")
    if why == "sync_failed":
        audience.failed = {NAME: "did not build"}

    plan = audience.plan(START, cause="backfill" if why == "backfill" else "scheduled")

    assert plan.syncs[NAME]["parked"] == why
    assert _ops(audience, plan) == [("remove", _key("ben"))]


def _keep(world: World, mode: str, *, is_idempotent: bool = False) -> None:
    world.syncs = [SyncSpec(Sync(NAME, mode=mode), batch_size=2, segments=(), is_idempotent=is_idempotent)]


def test_an_upsert_removes_nobody_and_says_how_many_it_left_there(audience: World) -> None:
    _keep(audience, "upsert")
    _hold(audience, "ada", "ben")
    _answer(audience, audience.plan(START), "accepted")
    _hold(audience, "ada")

    plan = audience.plan(START + DAY)

    assert _ops(audience, plan) == []
    assert (plan.syncs[NAME]["acknowledged"], plan.syncs[NAME]["left"]) == (2, 1)


def test_a_row_that_an_upsert_left_and_that_comes_back_is_an_update_if_it_changed(audience: World) -> None:
    _keep(audience, "upsert")
    _hold(audience, "ada", "ben")
    _answer(audience, audience.plan(START), "accepted")
    _hold(audience)
    audience.plan(START + DAY)
    audience.audience[NAME] = [
        {"user_id": "ada", "email": "ada@example.com"},
        {"user_id": "ben", "email": "new@example.com"},
    ]

    assert _ops(audience, audience.plan(START + 2 * DAY)) == [("update", _key("ben"))]


@pytest.mark.torture
def test_an_upsert_that_becomes_a_mirror_takes_out_what_it_had_left(audience: World) -> None:
    _keep(audience, "upsert")
    _hold(audience, "ada", "ben")
    _answer(audience, audience.plan(START), "accepted")
    _hold(audience, "ada")
    audience.plan(START + DAY)
    _keep(audience, "mirror")

    assert _ops(audience, audience.plan(START + 2 * DAY)) == [("remove", _key("ben"))]


def test_an_update_only_adds_and_removes_nothing(audience: World) -> None:
    _keep(audience, "update_only")
    _hold(audience, "ada", "ben")
    first = audience.plan(START)
    _answer(audience, first, {_key("ada"): "accepted", _key("ben"): "unknown"})
    _hold(audience, "ben")

    plan = audience.plan(START + DAY)

    assert _ops(audience, first) == [("update", _key("ada")), ("update", _key("ben"))]
    assert _ops(audience, plan) == [("update", _key("ben"))]


@pytest.mark.torture
def test_a_row_that_is_not_there_to_update_is_no_refused_row_and_is_asked_again_after_a_day(audience: World) -> None:
    _keep(audience, "update_only")
    _hold(audience, "ada", "ben")
    first = audience.plan(START)
    _answer(audience, first, {_key("ada"): "accepted", _key("ben"): "rejected"}, code="not_found:contact")

    soon, later = audience.plan(START + DAY / 2), audience.plan(START + 2 * DAY)

    summary = soon.syncs[NAME]
    assert (summary["rejected"], summary["not_there"], _ops(audience, soon)) == (0, 1, [])
    assert _ops(audience, later) == [("update", _key("ben"))]


@pytest.mark.torture
def test_a_row_that_somebody_deleted_there_is_added_again(audience: World) -> None:
    _hold(audience, "ada")
    _answer(audience, audience.plan(START), "accepted")
    _hold(audience, "ada", suffix="2")
    _answer(audience, audience.plan(START + DAY), "rejected", code="not_found")

    assert _ops(audience, audience.plan(START + 3 * DAY)) == [("add", _key("ada"))]


@pytest.mark.torture
def test_a_removal_of_a_row_that_is_not_there_has_happened(audience: World) -> None:
    _hold(audience, "ada", "ben")
    _answer(audience, audience.plan(START), "accepted")
    _hold(audience, "ada")
    _answer(audience, audience.plan(START + DAY), "rejected", code="not_found")

    plan = audience.plan(START + 3 * DAY)

    assert _ops(audience, plan) == []
    assert (plan.syncs[NAME]["acknowledged"], plan.syncs[NAME]["removals_refused"]) == (1, 0)


@pytest.mark.torture
def test_an_append_says_each_key_once_and_counts_what_changed_since(audience: World) -> None:
    _keep(audience, "append")
    _hold(audience, "ada", "ben")
    first = audience.plan(START)
    _answer(audience, first, "accepted")
    audience.audience[NAME] = [
        {"user_id": "ada", "email": "new@example.com"},
        {"user_id": "cem", "email": "cem@example.com"},
    ]

    plan = audience.plan(START + DAY)
    _answer(audience, plan, "accepted")
    _hold(audience, "ada", "ben", "cem")

    assert _ops(audience, first) == [("add", _key("ada")), ("add", _key("ben"))]
    assert _ops(audience, plan) == [("add", _key("cem"))]
    assert (plan.syncs[NAME]["changed"], plan.syncs[NAME]["left"]) == (1, 1)
    assert _ops(audience, audience.plan(START + 2 * DAY)) == []


@pytest.mark.parametrize("mode", ["mirror", "append"])
def test_a_sync_that_was_away_goes_on_from_what_its_destination_holds(audience: World, mode: str) -> None:
    _keep(audience, mode)
    _hold(audience, "ada", "ben")
    first = audience.plan(START)
    specs, audience.syncs = audience.syncs, []
    # Its answers come while it is away; a plan later nothing is new of it.
    _answer(audience, first, "accepted")
    away = [audience.plan(START + DAY), audience.plan(START + 2 * DAY)]
    audience.syncs = specs
    _hold(audience, "ada", "cem")

    back = audience.plan(START + 3 * DAY)

    assert [NAME in plan.syncs for plan in away] == [False, False]
    gone = [("remove", _key("ben"))] if mode == "mirror" else []
    assert _ops(audience, back) == [("add", _key("cem")), *gone]


@pytest.mark.parametrize(("word", "other"), [("target", "everybody"), ("destination", "other_crm")])
def test_a_sync_that_goes_elsewhere_is_parked_until_somebody_wants_all_of_it_said_there(
    audience: World, word: str, other: str
) -> None:
    _keep(audience, "mirror")
    _hold(audience, "ada", "ben")
    first = audience.plan(START)
    here = audience.syncs
    there = [replace(here[0], model=replace(here[0].model, **{word: other}))]
    audience.syncs = there
    # The answers of the first place come when the sync has left it.
    _answer(audience, first, "accepted")
    _hold(audience, "ada", "cem")

    parked = audience.plan(START + DAY)
    (reading,) = [one for one in parked.guards if one["tripped"]]
    audience.releases = [
        SimpleNamespace(seq=1, guard="sync_moved", subject=f"sync:{NAME}", measured=reading["measured"])
    ]
    moved = audience.plan(START + 2 * DAY)
    audience.releases = []
    _answer(audience, moved, "accepted")
    quiet = audience.plan(START + 3 * DAY)
    audience.syncs = here
    back = audience.plan(START + 4 * DAY)

    assert (reading["guard"], reading["measured"]) == ("sync_moved", 2)
    assert (parked.syncs[NAME]["parked"], _ops(audience, parked)) == ("guard", [])
    assert _ops(audience, moved) == [("add", _key("ada")), ("add", _key("cem"))]
    assert (_ops(audience, quiet), quiet.syncs[NAME]["parked"]) == ([], None)
    assert _ops(audience, back) == [("add", _key("cem")), ("remove", _key("ben"))]
    kept = sorted(name for name in back.relations if name.startswith("acknowledged:"))
    place = "/".join(getattr(there[0].model, each) for each in ("destination", "target"))
    assert kept == [f"acknowledged:{NAME}", f"acknowledged:{NAME}@{place}"]


@pytest.mark.parametrize("is_idempotent", [False, True])
def test_what_an_append_may_have_said_it_says_again_only_to_who_recognises_it(
    audience: World, is_idempotent: bool
) -> None:
    _keep(audience, "append", is_idempotent=is_idempotent)
    _hold(audience, "ada", "ben")
    first = audience.plan(START)
    _answer(audience, first, {_key("ada"): "unknown", _key("ben"): "retry_later"})

    plan = audience.plan(START + DAY)

    again = [("add", _key("ada")), ("add", _key("ben"))]
    assert _ops(audience, plan) == (again if is_idempotent else [("add", _key("ben"))])
    assert plan.syncs[NAME]["unknown"] == 1


@pytest.mark.torture
@pytest.mark.parametrize("mode", ["upsert", "update_only", "append"])
def test_a_sync_that_removes_nothing_does_not_remove_who_was_erased_either(audience: World, mode: str) -> None:
    _keep(audience, mode)
    _hold(audience, "ada", "ben")
    _answer(audience, audience.plan(START), "accepted")
    _hold(audience, "ada")
    audience.let_go = _let_go("ben")

    plain = audience.plan(START + DAY)
    audience.failed = {NAME: "did not build"}

    assert _ops(audience, plain) == []
    assert _ops(audience, audience.plan(START + 2 * DAY)) == []


@pytest.mark.torture
def test_a_refused_removal_is_held_there_counted_and_tried_again_after_a_day(audience: World) -> None:
    _hold(audience, "ada", "ben", "cem")
    _answer(audience, audience.plan(START), "accepted")
    _hold(audience, "ada")
    refused = audience.plan(START + DAY)
    _answer(audience, refused, "rejected", code="removal_refused:audience_too_small")

    soon = audience.plan(START + DAY + DAY / 2)
    again = audience.plan(START + 3 * DAY)
    _answer(audience, again, "accepted")
    over = audience.plan(START + 4 * DAY)

    counts = [(plan.syncs[NAME]["removals_refused"], plan.syncs[NAME]["rejected"]) for plan in (soon, again, over)]
    assert _ops(audience, refused) == _ops(audience, again) == [("remove", _key("ben")), ("remove", _key("cem"))]
    assert (_ops(audience, soon), _ops(audience, over)) == ([], [])
    assert counts == [(2, 0), (2, 0), (0, 0)]
    assert [plan.syncs[NAME]["acknowledged"] for plan in (soon, again, over)] == [3, 3, 1]


@pytest.mark.torture
def test_who_comes_back_before_a_refused_removal_is_tried_again_is_simply_there(audience: World) -> None:
    _hold(audience, "ada", "ben")
    _answer(audience, audience.plan(START), "accepted")
    _hold(audience, "ada")
    _answer(audience, audience.plan(START + DAY), "rejected", code="removal_refused")
    _hold(audience, "ada", "ben")

    assert _ops(audience, audience.plan(START + 3 * DAY)) == []


@pytest.mark.torture
def test_a_resync_says_everything_again_and_removes_what_it_would_have(audience: World) -> None:
    _hold(audience, "ada", "ben", "cem", "dia")
    said = {"ada": "accepted", "ben": "accepted", "cem": "rejected", "dia": "accepted"}
    _answer(audience, audience.plan(START), {_key(user): outcome for user, outcome in said.items()})
    audience.audience[NAME][1]["email"] = "new@example.com"
    _answer(audience, audience.plan(START + DAY / 4), "rejected")
    audience.audience[NAME] = audience.audience[NAME][:3]
    audience.limits[f"sync:{NAME}"] = replace(OPEN, minimum_members=1, sync_deletions_share=0.9)
    audience.resyncs = [(7, NAME), (8, "sync_of_another_project")]

    plan = audience.plan(START + DAY / 2)

    assert _ops(audience, plan) == [
        ("add", _key("cem")),
        ("remove", _key("dia")),
        ("update", _key("ada")),
        ("update", _key("ben")),
    ]
    assert plan.inputs.resyncs == (7,)
    assert plan.syncs[NAME]["columns"] == {"": 1, "email": 1}
    assert [guard["measured"] for guard in plan.guards] == [0.3333]


@pytest.mark.torture
def test_what_a_resync_did_not_get_to_say_it_says_with_the_next_plan(audience: World) -> None:
    _hold(audience, "ada", "ben", "cem")
    _answer(audience, audience.plan(START), "accepted")
    audience.resyncs = [(1, NAME)]
    half = audience.plan(START + DAY)
    _answer(audience, half, {_key("ada"): "accepted", _key("ben"): "cancelled", _key("cem"): "retry_later"})
    audience.resyncs = []

    rest = audience.plan(START + 2 * DAY)
    _answer(audience, rest, "accepted")

    assert _ops(audience, rest) == [("update", _key("ben")), ("update", _key("cem"))]
    assert _ops(audience, audience.plan(START + 3 * DAY)) == []


def test_a_plan_says_which_columns_of_how_many_rows_changed(audience: World) -> None:
    columns = ("user_id", "email", "plan", "note")
    audience.syncs = [SyncSpec(Sync(NAME, columns=columns), batch_size=9, segments=())]
    rows = {user: {"user_id": user, "email": f"{user}@example.com", "plan": "pro", "note": "n"} for user in "abcd"}
    audience.audience[NAME] = list(rows.values())
    _answer(audience, audience.plan(START), "accepted")
    rows["a"] |= {"plan": "free"}
    rows["b"] |= {"plan": "team", "email": "new@example.com"}
    rows["c"] |= {"note": None}  # type: ignore[dict-item]

    plan = audience.plan(START + DAY)

    assert plan.syncs[NAME]["update"] == 3
    assert plan.syncs[NAME]["columns"] == {"email": 1, "note": 1, "plan": 2}


def test_a_column_more_changes_that_column_of_every_row(audience: World) -> None:
    _hold(audience, "ada", "ben")
    _answer(audience, audience.plan(START), "accepted")
    audience.syncs = [SyncSpec(Sync(NAME, columns=("user_id", "plan", "email")), batch_size=9, segments=())]
    audience.audience[NAME] = [{"user_id": user, "email": f"{user}@example.com", "plan": "pro"} for user in ("ada",)]

    assert audience.plan(START + DAY).syncs[NAME]["columns"] == {"plan": 1}


@pytest.mark.torture
def test_under_other_rules_of_what_is_hashed_every_row_is_said_again(audience: World) -> None:
    def under(rules: str) -> Plan:
        audience.syncs = [SyncSpec(Sync(NAME), batch_size=9, segments=(), rules=rules)]
        plan = audience.plan(next(days))
        _answer(audience, plan, "accepted")
        return plan

    days = iter([START, START + DAY, START + 2 * DAY, START + 3 * DAY])
    _hold(audience, "ada", "ben")
    assert [op for op, _ in _ops(audience, under("google-2025"))] == ["add", "add"]
    assert _ops(audience, under("google-2025")) == []
    assert _ops(audience, under("google-2026-08")) == [("update", _key("ada")), ("update", _key("ben"))]
    assert _ops(audience, under("google-2026-08")) == []


@pytest.mark.torture
def test_what_an_earlier_version_kept_is_read_and_its_columns_are_not_known(audience: World) -> None:
    _hold(audience, "ada", "ben")
    first = audience.plan(START)
    _answer(audience, first, "accepted")
    second = audience.plan(START + DAY)
    path = audience.store.path(second.relations[f"acknowledged:{NAME}"][0])
    older = pq.read_table(path).select(["key", "row_hash", "rejected_hash", "rejected_at"])
    pq.write_table(older, path)
    _hold(audience, "ada", suffix="2")

    plan = audience.plan(START + 2 * DAY)

    assert _ops(audience, plan) == [("remove", _key("ben")), ("update", _key("ada"))]
    assert plan.syncs[NAME]["columns"] == {"?": 1}


def test_a_sync_that_cannot_be_planned_as_it_is_written_is_parked_and_says_so(audience: World) -> None:
    _hold(audience, "ada")
    audience.syncs = [replace(audience.syncs[0], problem="`mode: mirrow` is not a mode")]

    plan = audience.plan(START)

    assert (_ops(audience, plan), plan.syncs[NAME]["parked"]) == ([], "`mode: mirrow` is not a mode")


def test_no_value_of_a_row_is_kept_of_what_a_destination_holds_nor_who_shares_one(audience: World) -> None:
    audience.audience[NAME] = [{"user_id": user, "email": "shared@example.com"} for user in ("ada", "ben")]
    _answer(audience, audience.plan(START), "accepted")

    plan = audience.plan(START + DAY)

    kept = audience.store.table(plan, f"acknowledged:{NAME}")
    assert kept is not None
    assert "example.com" not in repr(kept.to_pylist())
    assert len({tuple(row) for row in kept.column("cells").to_pylist()}) == 2


def test_of_several_answers_to_a_row_the_last_one_counts(audience: World) -> None:
    _hold(audience, "ada", "ben")
    first = audience.plan(START)
    _answer(audience, first, "unknown")
    _answer(audience, first, {_key("ada"): "accepted", _key("ben"): "rejected"}, code="bad")

    plan = audience.plan(START + DAY / 2)

    assert _ops(audience, plan) == []
    assert [plan.syncs[NAME][number] for number in ("acknowledged", "rejected", "unknown")] == [1, 1, 0]


def test_what_was_said_of_who_was_erased_is_held_and_refused_of_nobody(audience: World) -> None:
    _hold(audience, "ada", "ben", "cem")
    first = audience.plan(START)
    said = {"ada": "accepted", "ben": "rejected", "cem": "accepted"}
    _answer(audience, first, {_key(user): outcome for user, outcome in said.items()})
    keys = {NAME: [ids.salted("salt", "key", _key(user)) for user in ("ben", "cem")]}
    whose = Whose("e1", (), 0, "salt", keys)
    erase(audience.settings, whose, [first.plan_id], START, is_dry=False)
    _hold(audience, "ada")

    plan = audience.plan(START + DAY)

    assert _ops(audience, plan) == []
    summary = plan.syncs[NAME]
    assert [summary[number] for number in ("acknowledged", "rejected", "removals_refused")] == [1, 0, 0]
