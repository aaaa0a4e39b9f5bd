"""The house rules that no linter knows (DESIGN §10)."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "tailrace"
MODULES = sorted(SOURCE.rglob("*.py"))
STATEMENTS = sorted(SOURCE.rglob("*.sql"))
MODELS = sorted((ROOT / "dbt_project" / "models").rglob("*.sql"))
FORBIDDEN_NAMES = {"utils", "util", "helpers", "common", "manager", "misc"}
CLOCK = re.compile(r"\b(current_date|current_timestamp|now\(\)|get_current_timestamp|today\(\))", re.IGNORECASE)


@cache
def _imports(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def _id(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", MODULES, ids=_id)
def test_a_module_says_which_question_it_answers_in_at_most_450_lines(path: Path) -> None:
    text = path.read_text(encoding="utf-8")

    assert ast.get_docstring(ast.parse(text))
    assert text.count("\n") <= 450
    assert path.stem not in FORBIDDEN_NAMES


@pytest.mark.parametrize("path", STATEMENTS + MODELS, ids=_id)
def test_a_statement_opens_with_what_its_rows_are_and_never_asks_the_clock(path: Path) -> None:
    text = path.read_text(encoding="utf-8")

    assert text.startswith("--"), "the first line says the grain"
    assert not CLOCK.search(re.sub(r"--.*", "", text))


def test_only_the_clock_reads_time() -> None:
    readers = {_id(path) for path in MODULES if {"time", "time.time"} & _imports(path)}
    datetimes = {
        _id(path)
        for path in MODULES
        if re.search(r"\b(datetime\.(now|utcnow|today)|date\.today)\(", path.read_text(encoding="utf-8"))
    }

    assert readers | datetimes == {"src/tailrace/clock.py"}


def test_only_settings_reads_the_environment() -> None:
    readers = {_id(path) for path in MODULES if re.search(r"os\.(environ|getenv)", path.read_text(encoding="utf-8"))}

    # dbt's child is given its environment, and has to set it: it is a fork.
    assert readers == {"src/tailrace/settings.py", "src/tailrace/warehouse/child.py"}


def test_only_the_journal_opens_the_journal() -> None:
    assert {path.parts[-2] for path in MODULES if "sqlite3" in _imports(path)} == {"journal"}


def test_only_the_transport_opens_sockets() -> None:
    networked = {"socket", "smtplib", "requests", "http.client", "urllib.request", "urllib3"}

    # The two ends of the socket pair to dbt's child, which no network reaches.
    pair = {"src/tailrace/warehouse/warm.py", "src/tailrace/warehouse/child.py"}

    assert {_id(path) for path in MODULES if networked & _imports(path)} - pair == {
        "src/tailrace/destinations/transport.py"
    }
    for path in MODULES:
        if _id(path) in pair:
            text = path.read_text(encoding="utf-8")
            assert not re.search(r"\.(connect|bind|listen)\(|AF_INET|create_connection", text), path.name


def test_only_the_warm_server_starts_dbt() -> None:
    assert {_id(path) for path in MODULES if "subprocess" in _imports(path)} == {"src/tailrace/warehouse/warm.py"}


def test_chance_is_a_hash_and_never_a_draw() -> None:
    drawing = {_id(path) for path in MODULES if {"random", "random.Random", "secrets", "uuid"} & _imports(path)}

    assert {name.split("/")[2] for name in drawing} <= {"samples"}, "samples draw from a seed"


def test_what_duckdb_has_found_is_read_to_the_end() -> None:
    """DuckDB 2.0 refuses to go on beside a result of which rows are left: `engine.first` and `engine.row` read all."""
    unfinished = [_id(path) for path in MODULES if ".fetchone(" in path.read_text(encoding="utf-8")]

    assert [path for path in unfinished if not path.startswith("src/tailrace/journal/")] == []
