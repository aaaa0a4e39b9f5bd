"""Where does this installation keep things, and what may it use? The only module that reads the environment."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path

from tailrace.errors import TailraceError

_MEMORY = re.compile(r"(?=[0-9.]*[1-9])[0-9]+(\.[0-9]+)? ?([KMGT](I?B)?|B)", re.IGNORECASE)
_MOST_THREADS = 1024


@dataclass(frozen=True)
class Settings:
    """One installation: a data directory, a project that people edit, and limits.

    `journal_url` names the journal's database and may hold a password: it is never shown. `memory_limit` is DuckDB's
    (`4GB`); `threads` is None for all cores. `allow_list` holds the lower-cased addresses that may be reached without
    the live lease.
    """

    data_dir: Path
    project_dir: Path
    journal_url: str | None = field(default=None, repr=False)
    journal_copy_dir: Path | None = None
    memory_limit: str = "4GB"
    threads: int | None = None
    allow_list: frozenset[str] = field(default_factory=frozenset)

    @classmethod
    def load(cls, data_dir: Path | str | None = None, project_dir: Path | str | None = None) -> Settings:
        """Return the settings of this process: arguments first, then TAILRACE_* variables, then defaults.

        A variable that is empty is not set. Raises TailraceError for a value or a folder that cannot be.
        """
        env = {name: value for name, value in os.environ.items() if value}
        copy_dir = env.get("TAILRACE_JOURNAL_COPY")
        return cls(
            data_dir=_folder(Path(data_dir or env.get("TAILRACE_DATA", "data")).absolute(), "TAILRACE_DATA"),
            project_dir=Path(project_dir or env.get("TAILRACE_PROJECT", "dbt_project")).absolute(),
            journal_url=env.get("TAILRACE_JOURNAL"),
            journal_copy_dir=_folder(Path(copy_dir).absolute(), "TAILRACE_JOURNAL_COPY") if copy_dir else None,
            memory_limit=_memory(env.get("TAILRACE_MEMORY_LIMIT", "4GB")),
            threads=_threads(env["TAILRACE_THREADS"]) if "TAILRACE_THREADS" in env else None,
            allow_list=frozenset(
                entry.strip().lower() for entry in env.get("TAILRACE_ALLOW_LIST", "").split(",") if entry.strip()
            ),
        )

    @property
    def inbox(self) -> Path:
        """Where files wait to be landed by a run: `inbox/<source>/…`."""
        return self.data_dir / "inbox"

    @property
    def landing(self) -> Path:
        """The landing store: `landing/loads/<load_id>/` and `landing/journal/`."""
        return self.data_dir / "landing"

    @property
    def warehouse(self) -> Path:
        """The DuckDB file that dbt writes; nobody else opens it for writing."""
        return self.data_dir / "warehouse.duckdb"

    @property
    def published(self) -> Path:
        """The copy for readers, without event-grain tables."""
        return self.data_dir / "published.duckdb"

    @property
    def plans(self) -> Path:
        """The content-addressed plan store."""
        return self.data_dir / "plans"

    @property
    def journal(self) -> Path:
        """The SQLite journal, when `journal_url` is not set."""
        return self.data_dir / "journal.sqlite"

    @property
    def journal_copy(self) -> Path:
        """The append-only copy of the journal's claims; on another path when `journal_copy_dir` says so."""
        return (self.journal_copy_dir or self.data_dir / "journal-copy") / "claims.log"

    @property
    def outbox(self) -> Path:
        """Where the outbox destination writes its files."""
        return self.data_dir / "outbox"

    @property
    def reports(self) -> Path:
        """Where reports are written."""
        return self.data_dir / "reports"

    @property
    def scratch(self) -> Path:
        """Temporary files of ours and of DuckDB: on the same file system as the stores, safe to delete."""
        return self.data_dir / "scratch"

    @property
    def erasures(self) -> Path:
        """Who was erased, as salted hashes, and what was done; the salt too, unless the environment has it."""
        return self.data_dir / "erasures"

    @property
    def run_lock(self) -> Path:
        """The lock file that one run at a time holds."""
        return self.data_dir / "run.lock"

    @property
    def deliver_lock(self) -> Path:
        """The lock file that one sender at a time holds."""
        return self.data_dir / "deliver.lock"


def _folder(path: Path, name: str) -> Path:
    """Return the path; raise TailraceError when a file stands where it, or a folder above it, would be."""
    found = next(place for place in (path, *path.parents) if place.exists())
    if not found.is_dir():
        raise TailraceError(
            f"{found}: this is no folder; expected one there, for {name} is {path}: name another, or move what is there"
        )
    return path


def _memory(text: str) -> str:
    if _MEMORY.fullmatch(text) is None:
        raise TailraceError(
            f"TAILRACE_MEMORY_LIMIT is `{text}`; expected a number with its unit, such as 4GB, 1.5GB or 512MB"
        )
    return text


def _threads(text: str) -> int:
    if re.fullmatch("[0-9]{1,9}", text) is None or not 1 <= int(text) <= _MOST_THREADS:
        raise TailraceError(f"TAILRACE_THREADS is `{text}`; expected a whole number of threads, 1 to {_MOST_THREADS}")
    return int(text)


def secret(name: str) -> str:
    """Return the secret that the environment variable `name` holds.

    Raises TailraceError that names the variable when it is unset: secrets never stand in a file of the project.
    """
    value = os.environ.get(name)
    if not value:
        raise TailraceError(
            f"the environment variable `{name}` is not set; a destination or a source reads its secret from it"
        )
    return value


def task_runner() -> str:
    """Return what does the workers' shares of a flow that delivers: `threads`, `dask`, or a Dask scheduler's address.

    Raises TailraceError for anything else.
    """
    runner = os.environ.get("TAILRACE_TASK_RUNNER") or "threads"
    if runner not in ("threads", "dask") and "://" not in runner:
        raise TailraceError(
            f"TAILRACE_TASK_RUNNER is `{runner}`; expected threads, dask, or the address of a Dask scheduler"
            " (tcp://host:8786)"
        )
    return runner


def erasure_salt() -> str | None:
    """Return the salt of the hashes of who was erased, if the environment has it (`TAILRACE_ERASURE_SALT`)."""
    return os.environ.get("TAILRACE_ERASURE_SALT") or None


QUIET = {
    "DO_NOT_TRACK": "1",
    "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
}
"""What keeps dbt and Prefect from telling anybody about our runs."""

PREFECT = {
    # A temporary server takes eight seconds on a quiet machine and more than the default twenty on a busy one.
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "180",
    # Prefect triggers and shows; what happened is in our journal. Neither logs nor results leave with ids in them.
    "PREFECT_LOGGING_TO_API_ENABLED": "false",
    "PREFECT_RESULTS_PERSIST_BY_DEFAULT": "false",
}
"""How Prefect is set up unless the environment says otherwise."""


def child_environment(**extra: str) -> dict[str, str]:
    """Return the environment for a child process: this one's, telemetry of dbt and Prefect off, plus `extra`."""
    return {**os.environ, **QUIET, **extra}


def prepare_prefect() -> None:
    """Set Prefect up in this process: telemetry off, the rest unless it is set already. Before Prefect is imported."""
    os.environ.update(QUIET)
    for name, value in PREFECT.items():
        os.environ.setdefault(name, value)


def crash_point() -> str | None:
    """Return the name of the durable step at which a test wants this process to die, if any."""
    return os.environ.get("TAILRACE_CRASH_AT")


def is_debugging() -> bool:
    """Return whether errors nobody foresaw are to be shown whole, personal data included."""
    return bool(os.environ.get("TAILRACE_DEBUG"))
