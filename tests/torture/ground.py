"""What the torture tests stand on: a project of one's own, files of sign-ups, and what an installation holds."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
import subprocess
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb

from tailrace.planning.store import Plan, Store
from tailrace.settings import Settings
from tests import forks
from tests.installation import PROJECT, ROOT, Installation

SRC = ROOT / "src" / "tailrace"


def crash_points() -> list[str]:
    """Return every point at which the source lets a test kill the process, in the order of files and lines."""
    found: list[str] = []
    for path in sorted(SRC.rglob("*.py")):
        found += re.findall(r"crash\.here\(\s*\"([^\"]+)\"", path.read_text(encoding="utf-8"))
    return list(dict.fromkeys(found))


def project(target: Path, *, smtp_port: int | None = None, slots: int = 2) -> Path:
    """Copy the project; with a port, e-mail goes to that SMTP server on loopback."""
    shutil.copytree(PROJECT, target, ignore=shutil.ignore_patterns("target", "logs", "dbt_packages"))
    if smtp_port is not None:
        (target / "destinations.yml").write_text(
            "connections:\n"
            f"  relay: {{type: smtp, host: 127.0.0.1, port: {smtp_port}, security: none, slots: {slots},"
            ' from: "Acme <hello@acme.test>"}\n'
            "  crm_webhook: {type: outbox}\n"
            "channels: {email: relay}\n"
        )
    return target


def signups(folder: Path, name: str, moment: datetime, people: int) -> Path:
    """Write a file in which so many people, named after the file, say who they are and sign up at `moment`."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for number in range(people):
        who = f"{name}-{number}"
        at = (moment + timedelta(seconds=number)).isoformat()
        traits = {"email": f"{who}@people.test", "first_name": f"Kim{number}"}
        lines.append({"type": "identify", "userId": who, "timestamp": at, "messageId": f"i-{who}", "traits": traits})
        lines.append({"type": "track", "event": "signed_up", "userId": who, "timestamp": at, "messageId": f"s-{who}"})
    path = folder / f"{name}.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def start(installation: Installation, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    """Start the command line in a process of its own."""
    return subprocess.Popen(
        installation.command(*arguments),
        env=installation.environment(**environment),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def sleep_or_end(process: forks.Process, seconds: float) -> None:
    """Wait so long, or until the process ends."""
    until = time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < until:
        time.sleep(min(0.005, max(0.0, until - time.monotonic())))


def head(settings: Settings) -> Plan:
    store = Store(settings)
    found = store.head()
    assert found is not None
    return store.read(found)


def landed(settings: Settings) -> list[tuple[Any, ...]]:
    """Return every landed event, in an order of its own."""
    glob = settings.landing / "loads" / "*" / "events-*.parquet"
    with duckdb.connect() as connection:
        return connection.execute(f"select * exclude (load_seq) from read_parquet('{glob}') order by all").fetchall()


def state(installation: Installation) -> dict[str, Any]:
    """Return what may not change when nothing happens: HEAD, plans, journal, loads, outbox, the warehouse's stamp."""
    settings = installation.settings
    with duckdb.connect() as connection:
        connection.execute(f"attach '{settings.warehouse}' as wh (read_only)")
        stamp = connection.execute("select * from wh.tailrace.generation").fetchall()
    return memory(installation) | {"stamp": stamp}


def memory(installation: Installation) -> dict[str, Any]:
    """Return what cannot be rebuilt, as it stands on disk: HEAD, journal (by its rows), loads, outbox."""
    settings = installation.settings
    connection = sqlite3.connect(f"file:{settings.journal}?mode=ro", uri=True)
    try:
        tables = [row[0] for row in connection.execute("select name from sqlite_master where type = 'table'")]
        journal = {
            table: sorted(map(repr, connection.execute(f"select * from {table}")))
            for table in tables
            if table not in ("epochs", "sqlite_sequence")
        }
    finally:
        connection.close()
    return {
        "head": (settings.plans / "HEAD").read_text(),
        "journal": journal,
        "loads": sorted(path.name for path in (settings.landing / "loads").iterdir() if path.name[0] != "."),
        "outbox": sorted(str(path) for path in settings.outbox.rglob("*") if path.is_file()),
    }
