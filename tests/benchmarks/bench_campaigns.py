"""What does a plan cost when few of the enrolled can go on? Prints the ratios that the engine is held to.

    python -m tests.benchmarks.bench_campaigns [people] [campaigns] [enrollments]

- One campaign of 12 steps: an advance in which 1 % are due, against enrolling everybody. Goal: a twentieth.
- Many live campaigns, 2 % due: the plan without the part that grows with moves (measured as the slope between 0.1 % and
  2 % due), against one full scan of the enrollments' objects. Goal: twice the scan, and a peak of at most 4 GB.
  Once with campaigns whose steps are the same, which one statement walks, and once with steps of their own, which
  are walked one by one. A scan asks for each campaign's object alone, as somebody who reads a campaign does; what it
  costs to ask for all of them at once is printed beside it.

The plan with 0.1 % due is printed against the scan as it was measured, its moves included: no line is drawn there. The
slope is taken below 2 %, because DuckDB puts its second core to work from 122,880 rows on: a line through 2 % and more
is flatter, and has at its foot what is due to moves. Other work on the machine is in every figure, so the lesser of
three rounds counts, and the median is printed beside it.

The enrollments that an advance begins with are written into a plan, spread over steps and clocks; everything else is
as in a run: there polars is imported while dbt builds, and so it is before the clock of a plan starts here.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
from collections import defaultdict
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib import import_module
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any

import pyarrow as pa

from tailrace import clock, engine
from tailrace.planning import arbitration, enrollment, memberships, passes, payloads, plan, relations
from tailrace.planning.plan import Request, make_plan
from tailrace.planning.run import CampaignSpec
from tailrace.planning.store import Plan, Store
from tailrace.settings import Settings
from tests.planning.world import ANSWERS, OPEN, Segment, campaign, event_trigger, goal, message

START = datetime(2026, 1, 1, 6, tzinfo=UTC)
DAY = timedelta(days=1)
HOUR = 3600
ROUNDS = 3
FEW, MANY = 0.001, 0.02
SEGMENTS = [Segment(f"seg_{number}") for number in range(5)]


def definition(slug: str, stage: str = "in", **changes: Any) -> CampaignSpec:
    """A campaign of 12 steps: sends, waits, a condition, an attribute (`stage`)."""
    steps: list[dict[str, Any]] = [{"id": "s1", "send": "m"}]
    for number in range(1, 5):
        steps += [{"id": f"w{number}", "wait": 48 * HOUR}, {"id": f"s{number + 1}", "send": "m"}]
    steps += [
        {"id": "is_in", "if": {"in": "seg_1"}, "then": [{"id": "mark", "update": {"stage": stage}}], "else": []},
        {"id": "bye", "send": "m"},
    ]
    base: dict[str, Any] = {
        "trigger": event_trigger("joined"),
        "steps": steps,
        "messages": {"m": message(("customer", "first_name"), key="m")},
        "expires": 30 * 24 * HOUR,
        "goal": goal(event="subscribed"),
        "exit": [{"in": "seg_0"}],
    }
    return campaign(slug, **base | changes)


def prepare(root: Path, people: int, *, joined: bool) -> Settings:
    """Make the warehouse: people, five segments, an event `joined` each, and a thousandth that subscribed."""
    settings = Settings(data_dir=root, project_dir=root, memory_limit="3GB")
    settings.warehouse.parent.mkdir(parents=True, exist_ok=True)
    with engine.connect(settings) as connection:
        engine.attach(connection, settings.warehouse, "wh", read_only=False)
        for schema in ("core", "segments"):
            connection.execute(f"create schema wh.{schema}")
        person = "('0x' || substr(md5(number::varchar), 1, 15))::bigint"
        connection.execute(
            f"create table wh.core.dim_people as select {person} as person_id, number::varchar as user_id,"
            " 'u' || number || '@example.com' as email, 'Name' || number as first_name, 'DE' as country,"
            f" 'Europe/Berlin' as timezone, false as is_unsubscribed from range({people}) as people(number)"
            " order by person_id"
        )
        connection.execute(
            "create table wh.core.dim_person_features as select person_id, 3 as n_logins from wh.core.dim_people"
        )
        connection.execute(
            "create table wh.core.fct_events as select 'j' || user_id as event_id, 'app' as source, 'track' as type,"
            " 'joined' as event, person_id, timestamp '2026-01-01 07:00:00' as event_at,"
            " timestamp '2026-01-01 07:00:00' as landed_at, 1::bigint as load_seq, false as is_history,"
            " '{\"a\":1}' as properties, null::varchar as group_id from wh.core.dim_people"
            " union all select 's' || user_id, 'app', 'track', 'subscribed', person_id,"
            " timestamp '2026-01-02 12:00:00',"
            " timestamp '2026-01-02 12:00:00', 2, false, '{}', null from wh.core.dim_people where person_id % 1000 = 7"
        )
        if not joined:
            connection.execute("delete from wh.core.fct_events where event = 'joined'")
        connection.execute(
            "create table wh.core.dim_consents (person_id bigint, channel varchar, topic varchar, state varchar)"
        )
        connection.execute("create table wh.core.dim_suppressions (person_id bigint, channel varchar, reason varchar)")
        connection.execute(
            "create table wh.core.dim_engagement (person_id bigint, channel varchar, engaged_at timestamp,"
            " n_unanswered integer, unanswered_since timestamp)"
        )
        for number, segment in enumerate(SEGMENTS):
            few = 1000 if number == 0 else 5
            connection.execute(
                f"create table wh.{segment.relation} as select person_id from wh.core.dim_people"
                f" where person_id % {few} = {number}"
            )
    return settings


def request(campaigns: list[CampaignSpec], as_of: datetime, parent: str | None, loads: int) -> Request:
    """What a run would ask for."""
    return Request(
        as_of=as_of,
        cause="scheduled",
        parent=parent,
        loads=[(f"load{seq}", seq, False) for seq in range(1, loads + 1)],
        loads_fingerprint=str(loads),
        project_fingerprint="p",
        definitions_fingerprint="d",
        segments=SEGMENTS,
        campaigns=campaigns,
        syncs=[],
        failed={},
        limits={f"segment:{segment.name}": OPEN for segment in SEGMENTS},
        source_hours={},
        releases=[],
        answers=pa.Table.from_pylist([], schema=ANSWERS),
        journal_seq=0,
    )


def watched() -> dict[str, float]:
    """Time the parts of a plan from outside; returns where the seconds of processor time are noted."""
    seconds: dict[str, float] = defaultdict(float)

    def timed(module: Any, name: str, label: str) -> None:
        inner = getattr(module, name)

        def outer(*args: Any, **kwargs: Any) -> Any:
            started = _cpu()
            try:
                return inner(*args, **kwargs)
            finally:
                seconds[label] += _cpu() - started

        setattr(module, name, outer)

    timed(memberships, "snapshot", "segments")
    timed(enrollment.admission, "admit", "entry")
    timed(enrollment.trigger, "name_people", "triggers")
    timed(enrollment.trigger, "note_news", "triggers")
    timed(enrollment.exits, "note_goal_events", "goals and exits")
    timed(enrollment.exits, "end_early", "goals and exits")
    timed(enrollment.walking, "walk", "walk")
    timed(passes, "begin", "find the due")
    timed(arbitration, "judge", "arbitration")
    timed(payloads, "prepare", "payloads")
    timed(passes, "store", "keep passes")
    timed(plan.summary, "campaigns", "summary")
    return seconds


def spread(
    settings: Settings, store: Store, made: Plan, campaigns: list[CampaignSpec], share: float, as_of: datetime
) -> str:
    """Save the plan with everybody enrolled, resting at all four waits, and `share` of them due at `as_of`."""
    found = dict(made.relations)
    with engine.connect(settings) as connection:
        engine.attach(connection, settings.warehouse, "wh")
        for spec in campaigns:
            enrollment_id = f"md5(concat_ws(chr(31), '{spec.slug}', person_id::varchar, ''))"
            query = f"""
                select
                    enrollment_id, '{spec.slug}' as campaign, '{spec.version}' as version, person_id, '' as occurrence,
                    timestamp '2026-01-01 07:00:00' as entered_at, 'treated' as arm,
                    'w' || (1 + hash(person_id) % 4) as step, wake_at - to_hours(48) as arrived_at, 'active' as status,
                    null::timestamp as goal_at, '{{"a":1}}' as event, null::varchar as object_id, wake_at
                from (
                    select
                        *,
                        $as_of::timestamp + to_minutes(case when hash(enrollment_id) % 10000 < {int(share * 10_000)}
                            then -(hash(enrollment_id) % 600)::integer
                            else (1 + hash(enrollment_id) % 2800)::integer end) as wake_at
                    from (select {enrollment_id} as enrollment_id, person_id from wh.core.dim_people)
                )
                order by {passes.ORDER}
            """
            found[f"enrollments:{spec.slug}"] = (store.put(connection, query, {"as_of": clock.naive(as_of)}),)
    facts = {slug: entry | {"enrolled": found[f"enrollments:{slug}"][0].rows} for slug, entry in made.campaigns.items()}
    return store.save(replace(made, relations=found, campaigns=facts))


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def measure(root: Path, people: int, slugs: list[str], scenario: str, kind: str = "alike") -> dict[str, Any]:
    """Enrol everybody, then plan with little due; each in this process, whose peak is reported.

    With the kind `own` no two campaigns have the same steps.
    """
    settings = (
        prepare(root, people, joined=scenario == "enrol")
        if scenario in ("enrol", "fill")
        else Settings(data_dir=root, project_dir=root, memory_limit="3GB")
    )
    import_module("polars")
    store = Store(settings)
    campaigns = [definition(slug, stage=slug if kind == "own" else "in") for slug in slugs]
    state = root / "state.json"
    seconds = watched()
    as_of = START + 3 * DAY
    cpu = _cpu()
    if scenario in ("enrol", "fill"):
        first = make_plan(settings, store, request(campaigns, START, None, 0))
        seconds.clear()
        cpu = _cpu()
        started = clock.monotonic()
        second = make_plan(settings, store, request(campaigns, START + DAY, first, 1))
        taken = clock.monotonic() - started
        used = _cpu() - cpu
        made = store.read(second)
        wanted = (0.01,) if len(slugs) == 1 else (FEW, MANY)
        shares = {share: spread(settings, store, made, campaigns, share, as_of) for share in wanted}
        state.write_text(json.dumps({str(share): plan_id for share, plan_id in shares.items()}))
    elif scenario in ("scan", "once"):
        plan_id = json.loads(state.read_text())[str(MANY)]
        made = store.read(plan_id)
        with engine.connect(settings) as connection:
            pieces = [made.relations[f"enrollments:{slug}"] for slug in slugs]
            asked = [pieces] if scenario == "once" else [[each] for each in pieces]
            started = clock.monotonic()
            for together in asked:
                source = store.together(together, relations.ENROLLMENTS, relations.KEYS["enrollments"])
                connection.execute(f"select max(columns(*)) from {source}").fetchall()
            taken = clock.monotonic() - started
            used = _cpu() - cpu
    else:
        plan_id = json.loads(state.read_text())[scenario]
        started = clock.monotonic()
        made = store.read(make_plan(settings, store, request(campaigns, as_of, plan_id, 2)))
        taken = clock.monotonic() - started
        used = _cpu() - cpu
    return {
        "seconds": taken,
        "cpu": used,
        "moves": made.counts["transitions"],
        "enrollments": made.counts["enrollments"],
        "considered": made.counts["considered"],
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "split": {label: round(value, 2) for label, value in sorted(seconds.items())},
    }


def child(root: Path, people: int, campaigns: int, scenario: str, kind: str = "alike") -> dict[str, Any]:
    """Measure in a process of its own: a peak is of one scenario only."""
    command = [
        sys.executable,
        "-m",
        "tests.benchmarks.bench_campaigns",
        "child",
        str(root),
        str(people),
        str(campaigns),
    ]
    done = subprocess.run([*command, scenario, kind], check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(done.stdout)
    shown = {key: round(value, 2) for key, value in found.items() if isinstance(value, float | int)}
    print(f"{campaigns:3} campaign(s), {scenario:5}: {shown}\n    {found['split']}", flush=True)
    return found


def main() -> None:
    """Print all ratios."""
    if len(sys.argv) > 1 and sys.argv[1] == "child":
        root, people, campaigns = Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
        found = measure(root, people, [f"c{number:02}" for number in range(campaigns)], *sys.argv[5:7])
        sys.stdout.write(json.dumps(found))
        return
    people = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    campaigns = int(sys.argv[2]) if len(sys.argv) > 2 else 50
    enrollments = int(sys.argv[3]) if len(sys.argv) > 3 else 5_000_000
    with tempfile.TemporaryDirectory() as folder:
        enrol = child(Path(folder), people, 1, "enrol")
        advance = child(Path(folder), people, 1, "0.01")
    for key in ("seconds", "cpu"):
        print(f"advance of 1 % / enrolling all, {key}: {advance[key] / enrol[key]:.3f} (goal at most 0.05)")
    for kind in ("alike", "own"):
        _compare(enrollments // campaigns, campaigns, kind)


def _compare(people: int, campaigns: int, kind: str) -> None:
    """Print what many campaigns cost against a scan of their enrollments."""
    with tempfile.TemporaryDirectory() as folder:
        child(Path(folder), people, campaigns, "fill", kind)
        asked = ("scan", "once", str(FEW), str(MANY))
        rounds = [{each: child(Path(folder), people, campaigns, each, kind) for each in asked} for _ in range(ROUNDS)]
    few_moves, many_moves = (rounds[0][str(share)]["moves"] for share in (FEW, MANY))
    for key, middle in product(("seconds", "cpu"), (min, median)):
        scan, once, few, many = (middle(each[scenario][key] for each in rounds) for scenario in asked)
        per_move = (many - few) / (many_moves - few_moves)
        fixed = many - per_move * many_moves
        print(
            f"plan of {campaigns} campaigns ({kind}), {key}, {middle.__name__} of {ROUNDS}: without the"
            f" {per_move * 1e6:.0f} µs a move / full scan {fixed / scan:.2f} (goal at most 2), / scan of all at once"
            f" {fixed / once:.2f}; with {FEW:.1%} due and its {few_moves} moves / full scan {few / scan:.2f}"
        )
    print(f"peak {max(each[str(MANY)]['peak_mb'] for each in rounds):.0f} MB (goal at most 4096)")


if __name__ == "__main__":
    main()
