"""dbt reads the project again when anything that it reads has changed, and only then."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tailrace import durable
from tailrace.errors import BuildError, DefinitionError
from tailrace.settings import Settings
from tailrace.warehouse import parsed, runner
from tailrace.warehouse.catalog import read_catalog
from tests.warehouse.conftest import AS_OF, Built

CHANGES = {
    "a model": "models/segments/seg_activated.sql",
    "a model's properties": "models/core/_core.yml",
    "a macro": "macros/as_of.sql",
    "a var": "dbt_project.yml",
    "a seed": "seeds/new.csv",
    "a test": "tests/new.sql",
    "a package": "packages.yml",
    "an installed package": "dbt_packages/other/macros/m.sql",
    "a docs block": "models/docs.md",
    "what is passed over": ".dbtignore",
    "a folder of nobody's": "snapshots/s.sql",
    "a file of a model's folder that is named as one of ours": "models/policy.yml",
}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What dbt was started for."""
    found: list[list[str]] = []
    real = runner.warm.run

    def run(arguments: list[str], environment: dict[str, str], *files: Any, is_known: bool) -> tuple[int, str]:
        found.append(arguments)
        return real(arguments, environment, *files, is_known=is_known)

    monkeypatch.setattr(runner.warm, "run", run)
    return found


@pytest.fixture
def copied(cast: Built, tmp_path: Path, project: Callable[[dict[str, str]], Path]) -> Settings:
    """A copy of what dbt knows of the cast, and of the project."""
    shutil.copytree(runner.directory(cast.settings), tmp_path / "data" / "dbt")
    return replace(cast.settings, data_dir=tmp_path / "data", project_dir=project({}))


def inputs(settings: Settings) -> str | None:
    return runner._inputs(settings)


def is_current(settings: Settings) -> bool:
    return parsed.is_current(runner.manifest_path(settings), inputs(settings))


def test_after_a_build_dbt_need_not_read_the_project_nor_in_a_copy_of_it(
    cast: Built, copied: Settings, asked: list[list[str]]
) -> None:
    runner.parse(cast.settings)
    runner.parse(copied)
    assert asked == []
    ours, theirs = read_catalog(copied), read_catalog(cast.settings)
    assert {name: model.fingerprint for name, model in ours.segments.items()} == {
        name: model.fingerprint for name, model in theirs.segments.items()
    }


@pytest.mark.parametrize("path", CHANGES.values(), ids=CHANGES.keys())
def test_every_file_that_dbt_reads_is_covered(copied: Settings, path: str) -> None:
    before = inputs(copied)
    file = copied.project_dir / path
    file.parent.mkdir(parents=True, exist_ok=True)
    text = file.read_text() if file.exists() else ""
    file.write_text(text + "\n# changed\n")
    assert inputs(copied) != before is not None
    assert not is_current(copied)


def test_what_dbt_is_given_is_covered(copied: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    before = inputs(copied)
    assert inputs(replace(copied, memory_limit="2GB")) != before
    monkeypatch.setattr(parsed, "version", lambda name: "0")
    assert inputs(copied) != before
    monkeypatch.undo()
    assert inputs(copied) == before
    monkeypatch.setenv("LC_WHO", "x")
    assert inputs(copied) != before


def test_a_linked_folder_is_covered(copied: Settings, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (copied.project_dir / "models" / "linked").symlink_to(tmp_path / "elsewhere")
    before = inputs(copied)
    (tmp_path / "elsewhere" / "m.sql").write_text("select 1")
    assert inputs(copied) != before


def test_what_dbt_does_not_read_is_not_covered(copied: Settings) -> None:
    before = inputs(copied)
    folders = ("campaigns/onboarding/campaign.yml", "personas/new.yml", "contracts/x", "target/m.json", ".git/HEAD")
    for path in (*folders, "policy.yml", "destinations.yml"):
        file = copied.project_dir / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("changed")
    assert inputs(copied) == before


@pytest.mark.parametrize(
    "entry", ["[models, ../shared]", "[/srv/models]", "[campaigns]", "[.]", "[\"{{ env_var('X') }}\"]"]
)
def test_a_project_that_reads_elsewhere_is_never_taken_for_current(copied: Settings, entry: str) -> None:
    main = copied.project_dir / "dbt_project.yml"
    main.write_text(main.read_text().replace("model-paths: [models]", f"model-paths: {entry}"))
    assert inputs(copied) is None
    parsed.record(runner.manifest_path(copied), inputs(copied))
    assert not is_current(copied)


@pytest.mark.parametrize("name", ["manifest.json", "partial_parse.msgpack"])
def test_what_someone_else_wrote_or_what_is_gone_is_not_current(copied: Settings, name: str) -> None:
    assert is_current(copied)
    path = runner.manifest_path(copied).with_name(name)
    durable.write(path, path.read_bytes() + b"\n")
    assert not is_current(copied)
    path.unlink()
    assert not is_current(copied)


def test_dbt_is_given_what_it_knows_of_the_project_while_that_is_current(
    copied: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[tuple[Path, bool]] = []

    def run(_arguments: Any, _environment: Any, _folder: Any, cache: Path, *_: Any, is_known: bool) -> tuple[int, str]:
        given.append((cache, is_known))
        return 2, ""

    monkeypatch.setattr(runner.warm, "run", run)
    for _ in range(2):
        with pytest.raises(BuildError):
            runner.compile_model(copied, AS_OF, "seg_activated")
    cache = runner.manifest_path(copied).with_name("partial_parse.msgpack")
    assert given == [(cache, True), (cache, False)]


@pytest.mark.torture
def test_what_dbt_makes_of_a_known_project_is_what_it_makes_of_one_that_it_reads(
    copied: Settings, asked: list[list[str]]
) -> None:
    runner.write_profile(copied, ())
    known = runner.compile_model(copied, AS_OF, "seg_activated")
    runner.manifest_path(copied).unlink()
    assert runner.compile_model(copied, AS_OF, "seg_activated") == known
    assert [arguments[5] for arguments in asked] == ["compile"] * 2


@pytest.mark.torture
def test_a_project_that_dbt_could_not_read_is_read_again(copied: Settings, asked: list[list[str]]) -> None:
    segment = copied.project_dir / "models/segments/seg_activated.sql"
    text = segment.read_text()
    segment.write_text("{% if %}")
    for _ in range(2):
        with pytest.raises(DefinitionError, match="seg_activated"):
            runner.parse(copied)
    segment.write_text(text.replace("-- ", "-- Really: ", 1))
    runner.parse(copied)
    assert [arguments[5] for arguments in asked] == ["parse"] * 3
    runner.parse(copied)
    assert len(asked) == 3


@pytest.mark.torture
def test_the_parse_cache_of_a_copy_is_good(copied: Settings) -> None:
    def parsed_at() -> dict[str, float]:
        manifest = json.loads(runner.manifest_path(copied).read_bytes())
        return {name: node["created_at"] for name, node in manifest["nodes"].items()}

    before = parsed_at()
    runner.write_profile(copied, ())
    (copied.project_dir / "models" / "docs.md").write_text("{% docs new %}new{% enddocs %}")
    runner.parse(copied)
    assert {name for name, moment in parsed_at().items() if moment != before[name]} == set()


@pytest.mark.torture
def test_a_profile_that_an_earlier_version_wrote_is_written_anew(copied: Settings) -> None:
    profile = runner.directory(copied) / "profiles.yml"
    readable = (runner.directory(copied) / "readable.json").read_text()
    profile.write_text(json.dumps({"tailrace": {"target": "duckdb", "outputs": {"duckdb": {"type": "duckdb"}}}}))
    (copied.project_dir / "models" / "docs.md").write_text("{% docs new %}new{% enddocs %}")
    runner.parse(copied)
    assert "run" in json.loads(profile.read_text())["tailrace"]["outputs"]
    assert (runner.directory(copied) / "readable.json").read_text() == readable
