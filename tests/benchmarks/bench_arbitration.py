"""What do verdicts cost? 200,000 candidates, three limits, windows and quiet hours in 400 zones, 1 M consents.

Run: python -m tests.benchmarks.bench_arbitration [candidates]
"""

from __future__ import annotations

import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tailrace import clock, engine
from tailrace.planning.arbitration import Hours, Limit, Rules, judge
from tailrace.planning.enrollment import TABLES
from tailrace.planning.store import Inputs, Plan, Store
from tailrace.settings import Settings
from tests.planning.test_arbitration import OUTCOMES, campaign

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
DAY = 86_400


def main(n: int) -> None:
    specs = [
        campaign(
            f"c{number}",
            topic=f"t{number % 5}",
            priority=number,
            window={"days": [1, 2, 3, 4, 5], "from": 540 + number % 5, "to": 1080} if number % 2 else None,
        )
        for number in range(20)
    ]
    limits = [
        Limit("marketing", None, 1, DAY),
        Limit("marketing", None, 4, 7 * DAY),
        Limit("marketing", "email", 3, 7 * DAY),
    ]
    rules = Rules(limits=limits, quiet_hours=Hours((1, 2, 3, 4, 5, 6, 7), 1260, 480), exclusive=[["c1", "c2", "c3"]])
    with tempfile.TemporaryDirectory() as folder:
        own = Settings(data_dir=Path(folder), project_dir=Path(folder))
        store, connection = Store(own), engine.connect(own)
        versions = ", ".join(f"'{spec.version}'" for spec in specs)
        as_of = clock.naive(NOW)
        for query in (
            "attach ':memory:' as wh; create schema wh.core",
            "create temp table merges (person_id bigint, into_person_id bigint)",
            (
                "create table wh.core.dim_people as select range as person_id, null as country, (select"
                " list(name order by name) from pg_timezone_names() where name like '%/%')[1 + range % 400] as timezone"
                " from range(1000000)"
            ),
            (
                "create table wh.core.dim_consents as select range as person_id, '' as channel, 't' || range % 7"
                " as topic,"
                " case when range % 10 = 0 then 'unsubscribed' else 'subscribed' end as state from range(1000000)"
            ),
            (
                "create table wh.core.dim_suppressions as select range * 50 as person_id, 'email' as channel,"
                " 'bounced' as reason from range(20000)"
            ),
            (
                "create table wh.core.dim_engagement as select 1::bigint as person_id, 'email' as channel,"
                " null::timestamp as engaged_at, 0 as n_unanswered, null::timestamp as unanswered_since"
            ),
            f"create table candidates ({TABLES['candidates']})",
            (
                f"insert into candidates by name select md5(range::varchar) as intent_id, range::varchar"
                f" as enrollment_id,"
                f" 'c' || range % 20 as campaign, [{versions}][1 + range % 20] as version, 'hello' as step,"
                f" 'hello' as message, (range * 7919) % {n * 2 // 3} as person_id, 'email' as channel,"
                f" 'marketing' as class, range % 20 as priority, 'treated' as arm, timestamp '{as_of}' as due_at,"
                f" timestamp '{as_of + timedelta(days=3)}' as expires_at from range({n})"
            ),
            (
                "create table prepared as select intent_id, person_id || '@example.com' as address, 'k' as message_key,"
                " '{}' as data, null::varchar as missing from candidates"
            ),
            "create table passing as select distinct campaign, person_id from candidates limit 10000",
        ):
            connection.execute(query)
        said = store.put(
            connection,
            "select 's' || range as intent_id, (range * 31) % 300000 as person_id, 'c1' as campaign,"
            " 'marketing' as class,"
            " 'email' as channel, 't1' as topic, $now::timestamp - to_hours((range * 13 % 160)::bigint) as \"at\""
            " from range(500000) order by intent_id",
            {"now": as_of},
        )
        empty = Inputs(loads="", project="", definitions="", journal_seq=0, releases=())
        parent = Plan(parent=None, as_of=NOW, cause="scheduled", inputs=empty, relations={"said": (said,)})
        started = time.perf_counter()
        judge(connection, store, parent, rules, specs, NOW, OUTCOMES.empty_table())
        seconds = time.perf_counter() - started
        print(f"{n:,} candidates judged in {seconds:.2f} s ({n / seconds:,.0f}/s)")
        for row in connection.execute(
            "select verdict, coalesce(reason, ''), count(*) from verdicts group by all order by all"
        ).fetchall():
            print(*row)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200_000)
