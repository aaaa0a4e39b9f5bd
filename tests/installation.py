"""An installation as a user has it: a data directory of its own, the real dbt project, and its command line.

`Installation.cli` runs the command line in a process of its own, `forked` in one that has imported all before; `call`
runs it in this one, as a user calls it but without a new interpreter each time.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from tailrace.cli import main
from tailrace.samples.company import Sample, generate
from tailrace.settings import Settings
from tailrace.warehouse import runner
from tests import forks

ROOT = Path(__file__).parent.parent
PROJECT = ROOT / "dbt_project"
START = date(2025, 1, 1)


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True)
class Installation:
    """A data directory and the project it works with."""

    data_dir: Path
    project_dir: Path = PROJECT

    @property
    def settings(self) -> Settings:
        return Settings(data_dir=self.data_dir, project_dir=self.project_dir)

    def environment(self, **extra: str) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("TAILRACE_")}
        return kept | {"TAILRACE_DATA": str(self.data_dir), "TAILRACE_PROJECT": str(self.project_dir)} | extra

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "tailrace", *arguments]

    def cli(self, *arguments: str, **environment: str) -> Done:
        """Run the command line in a process of its own, as a user would."""
        done = subprocess.run(
            self.command(*arguments),
            env=self.environment(**environment),
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def forked(self, *arguments: str, **environment: str) -> Done:
        """Run the command line in a process that has imported all it needs: one of many, most of them to be killed."""
        process = forks.start(arguments, self.environment(**environment), ROOT)
        out, err = process.communicate()
        return Done(process.wait(), out, err)

    def copy(self, to: Path, project_dir: Path | None = None) -> Installation:
        """Return a copy of the data directory: another installation in the same state."""
        shutil.copytree(self.data_dir, to)
        return Installation(to, project_dir or self.project_dir)

    def drop(self, path: Path, source: str = "app") -> None:
        """Put a file into the inbox."""
        inbox = self.data_dir / "inbox" / source
        inbox.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, inbox / path.name)


def read_before(settings: Settings, known: Settings) -> Settings:
    """Have dbt know in `settings`, an empty installation, what it has read in `known`, and return it.

    What differs in a project of its own is read anew.
    """
    work = shutil.ignore_patterns("run", "compiled", "run_results.json", "results.json")
    shutil.copytree(runner.directory(known), runner.directory(settings), ignore=work)
    return settings


def invoke(arguments: Sequence[str], **environment: str) -> Done:
    """Run the command line in this process, with no TAILRACE_ variable but these, and return how it ended."""
    out, err = io.StringIO(), io.StringIO()
    argv, before, umask = sys.argv, dict(os.environ), os.umask(0o077)
    sys.argv = ["tailrace", *arguments]
    for name in [name for name in os.environ if name.startswith("TAILRACE_")]:
        del os.environ[name]
    os.environ |= environment
    code: Any = 0
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            main()
    except SystemExit as end:
        code = end.code or 0
    finally:
        sys.argv = argv
        os.environ.clear()
        os.environ.update(before)
        os.umask(umask)
    return Done(code, out.getvalue(), err.getvalue())


def call(installation: Installation, *arguments: str) -> Done:
    """Run the command line on an installation."""
    places = {"TAILRACE_DATA": str(installation.data_dir), "TAILRACE_PROJECT": str(installation.project_dir)}
    return invoke(arguments, **places)


def at(day: date | str, hour: int = 6) -> datetime:
    """Return the instant at which a logical day's run happens."""
    day = date.fromisoformat(day) if isinstance(day, str) else day
    return datetime(day.year, day.month, day.day, hour, tzinfo=UTC)


def small_company(target: Path, *, people: int = 250, days: int = 150, last: int = 8) -> Sample:
    """Return a small company's files: months of history, then one file a day."""
    return generate(target, people=people, start=START, days=days, split_last_days=last)


def first_run_at(sample: Sample) -> datetime:
    """Return the instant of the first run: when the history is there and no daily file is."""
    return at(sample.end - timedelta(days=sample.split_last_days))
