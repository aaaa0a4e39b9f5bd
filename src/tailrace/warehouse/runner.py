"""How is dbt run, and what did it say? In a child process, with a profile that we write, without our secrets."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from tailrace import clock, durable
from tailrace.engine import busy
from tailrace.errors import BuildError, DefinitionError, Problem, TailraceError
from tailrace.settings import Settings
from tailrace.warehouse import parsed, warm
from tailrace.warehouse.wording import plain

_PLACE = re.compile(
    r"\(((?:models|tests|seeds|macros)/[^)\s]+)\)|((?:models|tests|seeds|macros)/[\w./-]+\.(?:sql|yml|csv))"
)
# Python's last words: the kind of the error, and its text.
_PYTHON_ERROR = re.compile(r"\ATraceback \(most recent call last\):\n(?:[ \t].*\n|\n)*([\w.]+)(?:: (.*))?")
# Our target names files from the data directory, where we have dbt work: its parse cache holds for one profile, and so
# stays good when the directory is moved or copied.
_OURS = "run"
# dbt writes the manifest before it starts on a node; 1 is a node that failed.
_READ_THE_PROJECT = (0, 1)


@dataclass(frozen=True)
class NodeResult:
    """What became of one node of the project: `status` is dbt's word, `reason` ours, one line."""

    unique_id: str
    status: str
    reason: str


def directory(settings: Settings) -> Path:
    """Return the folder that holds dbt's profile, parse cache, manifest and results: state, safe to delete."""
    return settings.data_dir / "dbt"


def manifest_path(settings: Settings) -> Path:
    """Return where dbt leaves its manifest."""
    return directory(settings) / "target" / "manifest.json"


def write_profile(settings: Settings, readable: Sequence[Path]) -> None:
    """Write the profile that dbt opens the warehouse with, and what it may read.

    It has two targets, equal but for their paths: the first is for dbt run by hand from anywhere, the other for ours.
    """
    _write_if_changed(_readable(settings), json.dumps([str(path) for path in readable]))
    _write_targets(settings)


def _readable(settings: Settings) -> Path:
    return directory(settings) / "readable.json"


def _write_targets(settings: Settings) -> None:
    outputs = {"duckdb": _output(settings, settings.data_dir), _OURS: _output(settings, Path())}
    profile = {"tailrace": {"target": "duckdb", "outputs": outputs}}
    _write_if_changed(directory(settings) / "profiles.yml", json.dumps(profile, indent=2))


def _output(settings: Settings, data_dir: Path) -> dict[str, Any]:
    """Return the profile's target for a process that knows the data directory as `data_dir`."""
    here = replace(settings, data_dir=data_dir)
    options: dict[str, Any] = {
        "memory_limit": settings.memory_limit,
        "temp_directory": str(here.scratch / "dbt"),
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
    }
    if settings.threads is not None:
        options["threads"] = settings.threads
    return {
        "type": "duckdb",
        "path": str(here.warehouse),
        "schema": "main",
        "threads": 1,
        "config_options": options,
        "plugins": [
            {
                "module": "tailrace.warehouse.confined",
                "config": {"readable": str(_readable(here))},
            }
        ],
    }


def _write_if_changed(path: Path, text: str) -> None:
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        durable.write(path, text.encode())


def parse(settings: Settings) -> None:
    """Bring the manifest up to date with the project, without opening the warehouse, and without dbt when it is.

    Raises DefinitionError when dbt cannot read the project.
    """
    if _readable(settings).is_file():
        _write_targets(settings)  # an earlier version of ours may have written it
    else:
        write_profile(settings, ())
    if parsed.is_current(manifest_path(settings), _inputs(settings)):
        return
    code, said = _run(settings, ["parse"], None)
    if code:
        raise _unreadable(settings, said, code)


def build(settings: Settings, as_of: datetime, *, exclude: str | None, full_refresh: bool) -> list[NodeResult]:
    """Run models, seeds and data tests as of `as_of` and return what became of each.

    Raises Busy when another process took the warehouse, DefinitionError when the project cannot be read, BuildError
    when dbt ended otherwise without results.
    """
    results = directory(settings) / "results.json"
    results.unlink(missing_ok=True)
    arguments = ["build", "--exclude-resource-type", "unit_test", "--exclude-resource-type", "exposure"]
    if exclude:
        arguments += ["--exclude", exclude]
    if full_refresh:
        arguments.append("--full-refresh")
    code, said = _run(settings, arguments, as_of, results)
    if "Conflicting lock" in said or "Could not set lock" in said:
        raise busy(settings.warehouse, TailraceError(" ".join(said.split())))
    if not results.is_file():
        if code < 0:
            raise BuildError(f"dbt was killed by signal {-code}; nothing can be planned on: run again")
        raise _unreadable(settings, said, code)
    return [
        NodeResult(entry["unique_id"], entry["status"], entry["message"]) for entry in json.loads(results.read_bytes())
    ]


def compile_model(settings: Settings, as_of: datetime, name: str) -> str:
    """Return the SQL that dbt makes of the model `name`, without running it.

    Raises Busy when another process writes the warehouse, DefinitionError when dbt cannot compile the model.
    """
    target = directory(settings) / "target" / "compiled"
    arguments = ["compile", "--select", name, "--no-introspect", "--no-populate-cache"]
    code, said = _run(settings, arguments, as_of)
    if "Conflicting lock" in said or "Could not set lock" in said:
        raise busy(settings.warehouse, TailraceError(" ".join(said.split())))
    found = sorted(target.rglob(f"{name}.sql"))
    if code or not found:
        raise _unreadable(settings, said, code)
    return found[0].read_text(encoding="utf-8")


def warm_up() -> None:
    """Have dbt imported in the background, for whoever will need it in a moment."""
    warm.start(warm.environment())


def _run(
    settings: Settings, arguments: list[str], as_of: datetime | None, results: Path | None = None
) -> tuple[int, str]:
    folder = directory(settings)
    environment = warm.environment()
    if as_of is not None:
        environment["TAILRACE_AS_OF"] = clock.naive(as_of).isoformat(sep=" ")
    command = [
        *("--quiet", "--no-use-colors", "--log-level-file", "none", "--no-version-check"),
        *arguments,
        *("--project-dir", str(settings.project_dir), "--profiles-dir", str(folder), "--target", _OURS),
        *("--target-path", str(folder / "target"), "--log-path", str(folder / "logs")),
    ]
    inputs, manifest = _inputs(settings), manifest_path(settings)
    is_known = parsed.is_current(manifest, inputs)
    if is_known and results:
        # The manifest is what dbt would write, and the results it leaves there.
        command.append("--no-write-json")
    parsed.outdate(manifest)
    cache = parsed.cache(manifest)
    code, said = warm.run(command, environment, settings.data_dir, cache, results, is_known=is_known)
    if code in _READ_THE_PROJECT:
        parsed.record(manifest, inputs)
    return code, said


def _inputs(settings: Settings) -> str | None:
    return parsed.inputs(settings.project_dir, warm.environment(), _output(settings, Path()))


def _unreadable(settings: Settings, said: str, code: int) -> TailraceError:
    broken = _PYTHON_ERROR.search(said)
    if broken or not said.strip():
        kind, words = broken.groups() if broken else (f"exit code {code}", None)
        # Of what is not there Python says the module; the text of another error may hold what stands in the data.
        why = f"{kind}: {words}" if words and kind in ("ImportError", "ModuleNotFoundError") else kind
        return BuildError(
            f"dbt's process ended before it came to the project ({why}); expected an installation with dbt-core and"
            " dbt-duckdb as locked: install the requirements again, then run again. Nothing was built."
        )
    place = _PLACE.search(said)
    lines = [re.sub(r"^\d\d:\d\d:\d\d +", "", line.strip()) for line in said.splitlines()]
    text = plain("\n".join(line for line in lines if line and line != "Encountered an error:"))
    if place is None:
        return BuildError(f"dbt could not run: {text}; expected a project that `dbt parse` accepts. Nothing was built.")
    path = settings.project_dir / (place.group(1) or place.group(2))
    return DefinitionError(Problem(str(path), None, f"dbt cannot read it: {text}. Nothing was built."))
