"""How fast is a landing, against DuckDB's own typed read of the same file, and how much memory does it take?

Run as `python -m tests.benchmarks.bench_landing [lines] [repeats]`. Both sides start in a fresh process, in turns, so
that a busy machine is busy for both; the ratio of the medians is what counts. Two shapes of line: `slim` is short and
plain; `fat` has nested objects, arrays, nulls, keys that come and go, and escapes in every tenth line.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID

import duckdb

from tailrace.landing.land import land
from tailrace.settings import Settings

COLUMNS = (
    "columns={'messageId': 'VARCHAR', 'type': 'VARCHAR', 'event': 'VARCHAR', 'userId': 'VARCHAR', 'anonymousId': 'VARCHAR',"  # noqa: E501
    " 'timestamp': 'TIMESTAMPTZ', 'receivedAt': 'TIMESTAMPTZ', 'context': 'JSON', 'properties': 'JSON',"
    " 'traits': 'JSON', 'name': 'VARCHAR', 'originalTimestamp': 'TIMESTAMPTZ', 'sentAt': 'TIMESTAMPTZ'},"
    " format='newline_delimited'"
)


def make(path: Path, lines: int) -> None:
    """Write `lines` calls of about 540 bytes each."""
    duckdb.connect().execute(f"""copy (select
        'ajs-' || md5(i::varchar) as "messageId",
        case when i % 10 = 0 then 'identify' when i % 10 < 3 then 'page' else 'track' end as "type",
        ['Page Viewed', 'Product Viewed', 'Product Added', 'Order Completed', 'Signed In'][1 + (i % 5)::int] as "event",
        'usr_' || lpad((hash(i) % 1000000)::varchar, 10, '0') as "userId",
        md5((i % 500000)::varchar)::uuid::varchar as "anonymousId",
        strftime(timestamp '2026-10-01' + to_milliseconds(i), '%Y-%m-%dT%H:%M:%S.%gZ') as "timestamp",
        strftime(timestamp '2026-10-01' + to_milliseconds(i + 300), '%Y-%m-%dT%H:%M:%S.%gZ') as "receivedAt",
        {{ip: '203.0.113.' || (i % 250), "userAgent": 'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36',
          page: {{path: '/p/' || (i % 5000), url: 'https://example.com/p/' || (i % 5000)}},
          library: {{name: 'analytics.js', version: '4.1.0'}}}} as "context",
        {{revenue: (hash(i + 1) % 20000) / 100.0, currency: 'USD', product_id: 'p' || (i % 5000), quantity: 1 + i % 4}}
            as "properties"
        from range({lines}) as t(i)) to '{path}' (format json)""")


def make_fat(path: Path, lines: int) -> None:
    """Write `lines` calls of about 1,500 bytes each, a fifth as many as asked for, from one seed."""
    random = Random(7)
    places = ["Café de Flore", "São Paulo", "東京", "Main Street 5", "Zürich \u2013 HB"]
    with path.open("w", encoding="utf-8", newline="\n") as out:
        for n in range(lines // 5):
            kind = random.choice(["track"] * 6 + ["identify", "page"])
            at = f"2026-10-{1 + n % 28:02d}T{n % 24:02d}:{n % 60:02d}:07.{n % 1000:03d}Z"
            call: dict[str, Any] = {"messageId": f"{random.getrandbits(128):032x}", "type": kind}
            call |= {"anonymousId": str(UUID(int=random.getrandbits(128))), "userId": f"u{random.randrange(50_000)}"}
            call["context"] = {
                "ip": f"203.0.113.{n % 250}",
                "locale": "de-CH",
                "campaign": {"source": "newsletter", "name": f"week {n % 52}"} if n % 3 else {},
                "page": {"url": f"https://example.com/a/{n}?q=1", "title": random.choice(places), "referrer": None},
                "device": {"id": f"{random.getrandbits(64):016x}", "screen": {"width": 1440, "height": 900}},
                "groups": ["a", "b", f"g{n % 20}"],
                "userAgent": "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 " * 2,
            }
            items = [
                {"sku": f"S-{random.randrange(10_000)}", "price": random.randrange(9999) / 100, "names": ["x", "y"]}
                for _ in range(3)
            ]
            if kind == "track":
                call |= {"event": random.choice(["Order Completed", "Product Added", "Cart Viewed"])}
                call["properties"] = {"order": {"id": n, "total": random.random() * 100}, "products": items}
                if n % 2:
                    call["properties"] |= {"coupon": "WELCOME", "note": random.choice(places) * 5}
            elif kind == "identify":
                call["traits"] = {"email": f"p{n}@example.test", "address": {"city": random.choice(places)}}
            else:
                call |= {"name": "Home", "properties": {"path": "/", "tags": ["one", 2, None, True]}}
            call |= {"integrations": {"All": True}} if n % 25 == 0 else {}
            call |= {"originalTimestamp": at, "sentAt": at, "receivedAt": at, "timestamp": at}
            out.write(json.dumps(call, separators=(",", ":"), ensure_ascii=n % 10 == 0) + "\n")


def peak() -> float:
    """Return this process's peak memory in MiB; not `ru_maxrss`, which a child inherits from its parent."""
    status = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM"))


def one(side: str, path: Path, folder: Path) -> dict[str, float]:
    """Do one side in this process and return seconds, CPU seconds and peak MiB."""
    started, cpu = time.perf_counter(), time.process_time()
    if side == "duckdb":
        connection = duckdb.connect()
        connection.execute(
            "set timezone = 'UTC'; set preserve_insertion_order = false; set enable_progress_bar = false"
        )
        connection.execute(
            f"copy (select * from read_json('{path}', {COLUMNS})) to '{folder / 'o.parquet'}' (format parquet,"
            " compression zstd)"
        )
    else:
        contract = folder / "project" / "contracts" / "sources" / "app.yml"
        contract.parent.mkdir(parents=True)
        contract.write_text("format: segment\n")
        settings = Settings(folder / "data", folder / "project")
        done = land(settings, [path], "app", as_of=datetime(2026, 11, 21, tzinfo=UTC))
        if done.landed != done.lines:
            raise SystemExit(f"the benchmark's lines did not all land: {done}")
    return {
        "seconds": time.perf_counter() - started,
        "cpu": time.process_time() - cpu,
        "mib": peak(),
    }


def main(lines: int, repeats: int) -> None:
    """Measure both shapes of line."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for shape, maker in {"slim": make, "fat": make_fat}.items():
            path = folder / f"{shape}.jsonl"
            maker(path, lines)
            compare(shape, path, repeats, folder)


def compare(shape: str, path: Path, repeats: int, folder: Path) -> None:
    """Measure both sides on one file in turns and print them with their ratio."""
    with path.open("rb") as file:
        lines = sum(1 for _ in file)
    results: dict[str, list[dict[str, float]]] = {"duckdb": [], "land": []}
    for turn in range(repeats):
        for side, measured in results.items():
            inner = folder / f"{shape}-{side}-{turn}"
            inner.mkdir()
            command = [sys.executable, __file__, "--one", side, str(path), str(inner)]
            measured.append(json.loads(subprocess.run(command, check=True, capture_output=True).stdout))
    middle = {
        side: {key: statistics.median(each[key] for each in measured) for key in ("seconds", "cpu", "mib")}
        for side, measured in results.items()
    }
    print(f"{shape}: {lines:,} lines, {path.stat().st_size / 1e6:,.0f} MB, median of {repeats}")
    for side, label in (
        ("duckdb", "DuckDB typed read_json -> Parquet zstd"),
        ("land", "land (strict, deduplicated, durable)"),
    ):
        each = middle[side]
        print(
            f"{label:40} {each['seconds']:6.2f} s  cpu {each['cpu']:6.2f} s "
            f" {lines / each['seconds']:>10,.0f} lines/s"
            f"  peak {each['mib']:,.0f} MiB"
        )
    ratio = {key: middle["duckdb"][key] / middle["land"][key] for key in ("seconds", "cpu")}
    print(f"speed of land as a share of DuckDB's: {ratio['seconds']:.2f} (cpu {ratio['cpu']:.2f}); aim 0.50")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        print(json.dumps(one(sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4]))))
    else:
        main(int((sys.argv[1:] or ["1000000"])[0]), int((sys.argv[2:] or ["3"])[0]))
