"""The cast of dbt_project/personas as landed Parquet, in the shape that docs/architecture.md gives it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from ruamel.yaml import YAML

from tailrace import clock, ids
from tailrace.warehouse.landed import LoadFiles

PROJECT = Path(__file__).parents[2] / "dbt_project"

SCHEMA = pa.schema(
    [
        ("event_id", pa.string()),
        ("source", pa.string()),
        ("load_id", pa.string()),
        ("load_seq", pa.int64()),
        ("is_history", pa.bool_()),
        ("type", pa.string()),
        ("event", pa.string()),
        ("user_id", pa.string()),
        ("anonymous_id", pa.string()),
        ("previous_id", pa.string()),
        ("group_id", pa.string()),
        ("event_at", pa.timestamp("us")),
        ("landed_at", pa.timestamp("us")),
        ("properties", pa.string()),
        ("traits", pa.string()),
        ("context", pa.string()),
        ("rest", pa.string()),
        ("file", pa.string()),
        ("line", pa.int64()),
    ]
)


@dataclass(frozen=True)
class Persona:
    """One invented person: a name, what is special about them, and their Segment calls."""

    name: str
    summary: str
    events: tuple[dict[str, Any], ...]

    @property
    def user_id(self) -> str:
        return self.name


@cache
def personas() -> dict[str, Persona]:
    """The cast, by name."""
    yaml = YAML(typ="safe")
    found = [yaml.load(path.read_text(encoding="utf-8")) for path in sorted((PROJECT / "personas").glob("*.yml"))]
    return {entry["name"]: Persona(entry["name"], entry["summary"], tuple(entry["events"])) for entry in found}


def cast_events(*names: str) -> list[dict[str, Any]]:
    """All calls of the named personas, or of the whole cast."""
    return [event for name, persona in personas().items() if not names or name in names for event in persona.events]


def call(kind: str, at: str, user: str | None = None, **rest: Any) -> dict[str, Any]:
    """A Segment call."""
    return {"type": kind, "timestamp": at, **({"userId": user} if user else {}), **rest}


def track(user: str, event: str, at: str, **properties: Any) -> dict[str, Any]:
    """A track call."""
    return call("track", at, user, event=event, properties=properties)


def land(
    folder: Path,
    events: Iterable[dict[str, Any]],
    *,
    seq: int = 1,
    source: str = "app",
    landed_at: str = "2026-03-01T06:00:00Z",
    is_history: bool = False,
    row_group_size: int | None = None,
) -> LoadFiles:
    """Write one load of Segment calls as landed Parquet and return what its load.json would say."""
    calls = list(events)
    landed = clock.naive(clock.parse(landed_at))
    keyed = [
        (event.get("messageId") or ids.digest(json.dumps(event, sort_keys=True, default=str))[:32], event)
        for event in calls
    ]
    load_id = ids.digest(source, *sorted(key for key, _ in keyed), str(is_history))[:16]
    rows = [
        {
            "event_id": key,
            "source": source,
            "load_id": load_id,
            "load_seq": seq,
            "is_history": is_history,
            "type": event["type"],
            "event": event.get("event") or event.get("name"),
            "user_id": event.get("userId"),
            "anonymous_id": event.get("anonymousId"),
            "previous_id": event.get("previousId"),
            "group_id": event.get("groupId"),
            "event_at": clock.naive(_moment(event["timestamp"])),
            "landed_at": landed,
            "properties": _json(event.get("properties")),
            "traits": _json(event.get("traits")),
            "file": "cast.jsonl",
            "line": line,
        }
        for line, (key, event) in enumerate(keyed, start=1)
    ]
    table = pa.Table.from_pylist(rows, schema=SCHEMA)
    path = folder / load_id / "events-1.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, compression="zstd", row_group_size=row_group_size)
    times = sorted(row["event_at"].replace(tzinfo=UTC) for row in rows)
    return LoadFiles(
        load_id=load_id,
        load_seq=seq,
        source=source,
        is_history=is_history,
        landed_at=clock.parse(landed_at),
        rows=len(rows),
        quarantined=0,
        first_event_at=times[0] if times else None,
        last_event_at=times[-1] if times else None,
        parquet=(path,) if rows else (),
    )


def chunks(events: Sequence[dict[str, Any]], n: int) -> list[list[dict[str, Any]]]:
    """The events dealt out to `n` loads."""
    return [list(events[start::n]) for start in range(n)]


def _moment(value: str | datetime) -> datetime:
    return value.replace(tzinfo=value.tzinfo or UTC) if isinstance(value, datetime) else clock.parse(value)


def _json(value: Any) -> str | None:
    return None if value is None else json.dumps(value, default=str)
