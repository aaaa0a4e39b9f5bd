from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tailrace.landing.land import Landed, land
from tailrace.landing.loads import event_files, loads
from tailrace.settings import Settings

AS_OF = datetime(2026, 11, 21, tzinfo=UTC)


def call(**keys: Any) -> dict[str, Any]:
    base = {
        "messageId": "m1",
        "type": "track",
        "event": "Paid",
        "userId": "u1",
        "timestamp": "2026-10-01T08:00:00.000Z",
    }
    return {name: value for name, value in {**base, **keys}.items() if value is not ...}


def compact(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


class World:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.settings = Settings(folder / "data", folder / "project", memory_limit="1GB", threads=2)
        self.contract("app", "format: segment\n")

    def contract(self, source: str, text: str) -> None:
        path = self.settings.project_dir / "contracts" / "sources" / f"{source}.yml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def file(self, name: str, *lines: bytes) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"".join(line + b"\n" for line in lines))
        return path

    def land(self, *paths: Path | str, source: str = "app", **keys: Any) -> Landed:
        done = land(self.settings, paths, source, as_of=AS_OF, **keys)
        assert done.lines == done.landed + done.duplicate + done.quarantined
        return done

    def lines(self, *lines: bytes, name: str = "in.jsonl", source: str = "app") -> Landed:
        return self.land(self.file(name, *lines), source=source)

    def events(self, columns: str = "*", source: str | None = None) -> list[tuple[Any, ...]]:
        some = [load for load in loads(self.settings) if source in (None, load.source)]
        files = [str(path) for path in event_files(self.settings, some)]
        if not files:
            return []
        connection = duckdb.connect()
        try:
            return connection.execute(
                f"select {columns} from read_parquet(?) order by line, event_id", [files]
            ).fetchall()
        finally:
            connection.close()


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture
def make_world(tmp_path: Path) -> Callable[[str], World]:
    return lambda name: World(tmp_path / name)


@pytest.fixture
def made_durable(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """What is fsynced and what is renamed to which name, from now on, in order."""
    done: list[tuple[str, str]] = []
    fsync, rename = os.fsync, Path.rename

    def noted_fsync(handle: int) -> None:
        done.append(("fsync", Path(f"/proc/self/fd/{handle}").readlink().name))
        fsync(handle)

    def noted_rename(path: Path, target: Path) -> Path:
        done.append(("rename", Path(target).name))
        return rename(path, target)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(Path, "rename", noted_rename)
    return done
