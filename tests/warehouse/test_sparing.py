"""What dbt leaves out is what nobody hears; a project that it knows builds as one that it reads."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tailrace.settings import Settings, child_environment
from tailrace.warehouse import known, runner, warm
from tests.warehouse.conftest import AS_OF, Built

PROFILE = "x: {target: a, outputs: {a: {type: duckdb}}}\n"
MODEL = """{% do print('said by a model') %}
{% do log('told of itself', info=true) %}
{% do exceptions.warn('careful') %}
select 1
"""

# One line for each thing that dbt is told to leave out: an upgrade may move what it is told by.
LEFT_OUT = """
import dbt.cli.main
from tailrace.warehouse import sparing
from dbt.compilation import Linker
from dbt.contracts import project
from dbt_common.behavior_flags import BehaviorFlagRendered
from dbt_common.events import functions, types
from dbt_common.events.base_types import EventLevel
import parsedatetime
sparing.spare()
sparing.trust()
low, high = types.Note(msg="low"), types.Note(msg="high")
functions.fire_event(low)
functions.fire_event(high, level=EventLevel.WARN)
print("pb_msg" in low.__dict__, "pb_msg" in high.__dict__, low.msg, high.msg)
print(parsedatetime.Constants() is parsedatetime.Constants())
print(Linker().get_graph_summary(None), BehaviorFlagRendered._default_source())
print(project.Project.json_schema(), "properties" in project.Downloads.json_schema())
"""

# What a template can call, by dbt's own way and by ours: of the node's own package, the root's, others, dbt's own.
NAMES = """
from types import SimpleNamespace
import dbt.cli.main
from dbt.clients.jinja import MacroStack
from dbt.context.macros import MacroNamespaceBuilder
from tailrace.warehouse import sparing

packages = {
    package: {name: SimpleNamespace(name=name, package_name=package) for name in names.split()}
    for package, names in {
        "root": "ours shared in_all root_only", "other": "theirs shared in_all", "third": "in_all",
        "dbt": "in_all builtin table", "dbt_duckdb": "in_all table",
    }.items()
}

def names(search):
    stack = MacroStack()
    builder = MacroNamespaceBuilder("root", search, stack, ["dbt_duckdb", "dbt"], "node")
    found = builder.build_namespace(packages, {"a": 1})
    def shown(value):
        if isinstance(value, dict):
            return {name: shown(each) for name, each in sorted(value.items())}
        return value.macro.package_name, value.context, value.node, value.stack is stack
    listed = {name: shown(value) for name, value in sorted(dict(found).items())}
    asked = [found.get_from_package(of, "table") for of in (None, "dbt", "other")]
    return listed, [each and shown(each) for each in asked], sorted(found.keys()), found.get("nothing")

before = [names(search) for search in ("root", "other", "dbt")]
sparing.spare()
after = [names(search) for search in ("root", "other", "dbt")]
print(before == after, before[0] != before[1] != before[2])
print(isinstance(MacroNamespaceBuilder("root", "root", None, []).build_namespace({}, {}), dict))
"""

# Queries with the SQL of ephemeral models before them, by dbt's own way and by ours, and which dbt still takes apart.
BEFORE_A_QUERY = """
import json, sys
import sqlparse
from dbt import compilation
from dbt.contracts.graph.nodes import InjectedCTE
from tailrace.warehouse import sparing

queries = json.load(sys.stdin)
ctes = [InjectedCTE(id="1", sql=" one as (\\nselect 1\\n)"), InjectedCTE(id="2", sql=" two as (\\nselect ';'\\n)")]
before = [[compilation.inject_ctes_into_sql(query, some) for query in queries] for some in (ctes, ctes[:1], [])]
sparing.spare()
parse, parsed = sqlparse.parse, []
sqlparse.parse = lambda sql: parsed.append(sql) or parse(sql)
after = [[compilation.inject_ctes_into_sql(query, some) for query in queries] for some in (ctes, ctes[:1], [])]
print(json.dumps([before == after, parsed[: len(parsed) // 2]]))
"""


SAYS_ITS_VERSION = """
import gc, sys
from tailrace.cli import main
sys.argv = ["tailrace", "--version"]
for _ in range(2):
    try:
        main()
    except SystemExit:
        print(gc.isenabled(), gc.get_freeze_count() > 50_000, len(gc.get_objects()) < 50_000)
"""


@pytest.mark.torture
def test_garbage_is_looked_for_again_when_all_is_imported_and_not_in_what_was() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SAYS_ITS_VERSION], env=child_environment(), capture_output=True, text=True, check=False
    )
    assert done.stdout.splitlines()[1::2] == ["True True True"] * 2


@pytest.mark.torture
def test_what_is_to_be_left_out_is_left_out() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LEFT_OUT], env=child_environment(), capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    assert done.stdout.splitlines() == ["False True low high", "True", "{} tailrace", "{} True"]


@pytest.mark.torture
def test_a_template_can_call_what_it_could_if_dbt_sorted_the_macros() -> None:
    done = subprocess.run(
        [sys.executable, "-c", NAMES], env=child_environment(), capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    assert done.stdout.splitlines() == ["True True", "True"]


@pytest.mark.torture
def test_ephemeral_models_stand_before_a_query_as_dbt_puts_them(cast: Built) -> None:
    compiled = runner.manifest_path(cast.settings).with_name("compiled")
    models = [path.read_text() for path in sorted(compiled.rglob("models/**/*.sql"))]
    assert len(models) > 40
    plain = [
        "with a as (select 1) select * from a\n",
        "-- who; why\n\n  WITH\n  a as (select 2) select 1  \n\n",
        "with a as (select 1) -- with b as\nselect 'with'",
    ]
    for_dbt = [
        "with recursive a as (select 1) select 1",
        "select * from (with a as (select 1) select * from a)",
        "with /* why */ a as (select 1) select 1",
        "with -- why\na as (select 1) select 1",
        "with a as (select ';') select 1",
        "with a as (select 1) select 1; select 2",
        "/* why */ with a as (select 1) select 1",
        "within",
    ]
    done = subprocess.run(
        [sys.executable, "-c", BEFORE_A_QUERY],
        env=child_environment(),
        input=json.dumps([*models, *plain, *for_dbt]),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    same, taken_apart = json.loads(done.stdout)
    assert same
    assert set(taken_apart) >= set(for_dbt)
    assert set(taken_apart).isdisjoint(plain)
    assert [query for query in taken_apart if "__dbt__cte__" in query] == []


def read(folder: Path, *arguments: str) -> tuple[int, str]:
    (folder / "models").mkdir(exist_ok=True)
    (folder / "dbt_project.yml").write_text("name: p\nprofile: x\n")
    (folder / "profiles.yml").write_text(PROFILE)
    return warm.run(["--quiet", "--no-partial-parse", *arguments, "parse"], child_environment(), folder)


@pytest.mark.torture
def test_what_a_model_prints_is_said_and_what_dbt_tells_of_itself_is_not(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "m.sql").write_text(MODEL)
    assert read(tmp_path) == (0, "said by a model\n")


@pytest.mark.torture
def test_a_warning_that_is_to_be_an_error_is_one(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "m.sql").write_text(MODEL)
    code, said = read(tmp_path, "--warn-error")
    assert code == 2
    assert "careful" in said


@pytest.mark.torture
def test_a_project_that_dbt_knows_builds_as_one_that_it_reads(started: Built) -> None:
    settings = started.settings

    def build() -> list[runner.NodeResult]:
        found = runner.build(settings, AS_OF, exclude="tag:by_load", full_refresh=False)
        return sorted(found, key=lambda each: each.unique_id)

    runner.manifest_path(settings).unlink()
    by_reading = build()
    manifest = runner.manifest_path(settings).read_bytes()
    from_the_cache, from_our_copy = build(), build()
    assert from_the_cache == from_our_copy == by_reading
    assert {each.status for each in by_reading} == {"success", "pass"}
    # What dbt need not write it has not written.
    assert runner.manifest_path(settings).read_bytes() == manifest


@pytest.mark.torture
def test_what_fails_in_a_known_project_is_named_as_in_one_that_dbt_reads(
    started: Built, project: Callable[[dict[str, str]], Path]
) -> None:
    broken = (
        "{{ config(meta={'summary': 's', 'owner': 'o'}) }}\nselect emial as person_id from {{ ref('dim_people') }}\n"
    )
    settings = replace(started.settings, project_dir=project({"models/segments/seg_broken.sql": broken}))

    def fail() -> dict[str, runner.NodeResult]:
        found = runner.build(settings, AS_OF, exclude="tag:by_load", full_refresh=False)
        return {each.unique_id: each for each in found}

    by_reading, known_already = fail(), fail()
    assert by_reading == known_already
    assert by_reading["model.tailrace.seg_broken"].status == "error"
    assert "emial" in by_reading["model.tailrace.seg_broken"].reason


def test_a_first_build_leaves_the_code_of_its_templates_to_the_next(cast: Built) -> None:
    assert runner.manifest_path(cast.settings).with_name("partial_parse.templates").is_file()


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What dbt's cache was read for."""
    found: list[bytes] = []

    def decode(content: bytes) -> dict[str, bytes]:
        found.append(content)
        return {"content": content}

    monkeypatch.setattr(known, "_decode", decode)
    return found


def test_a_cache_is_read_once_and_again_when_it_changes(tmp_path: Path, decoded: list[bytes]) -> None:
    cache = tmp_path / "partial_parse.msgpack"
    for content in (b"one", b"one", b"two", b"two", b"one"):
        cache.write_bytes(content)
        assert known.read(cache) == {"content": content}
    assert decoded == [b"one", b"two", b"one"]


def test_a_copy_is_for_the_python_that_made_it(
    tmp_path: Path, decoded: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "partial_parse.msgpack"
    cache.write_bytes(b"one")
    known.read(cache)
    monkeypatch.setattr(sys, "version", "4.0")
    known.read(cache)
    assert decoded == [b"one", b"one"]


# Each run in a process of its own that has imported dbt: what is patched in one is as it was in the next.
TEMPLATES = """
import json, os, sys
from pathlib import Path
import dbt.cli.main
from dbt_common.clients import jinja
from tailrace.warehouse import known
made = []
real = jinja.MacroFuzzEnvironment._parse
jinja.MacroFuzzEnvironment._parse = lambda self, source, *rest: made.append(source) or real(self, source, *rest)
for said in sys.stdin:
    sources = json.loads(said)
    if pid := os.fork():
        assert os.waitpid(pid, 0)[1] == 0
        print("", flush=True)
        continue
    templates = known.Templates(Path(sys.argv[1]))
    templates.lend()
    for source in sources:
        print(*(jinja.get_template(source, {}, native=native).render({"name": "me"}) for native in (False, True)))
    print(made, flush=True)
    templates.leave()
    os._exit(0)
"""


@pytest.mark.torture
def test_a_template_is_made_into_code_once_by_text_and_environment(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", TEMPLATES, str(tmp_path / "partial_parse.msgpack")],
        env=child_environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )

    def render(*sources: str) -> list[str]:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(f"{json.dumps(sources)}\n")
        process.stdin.flush()
        return [line.rstrip("\n") for line in iter(process.stdout.readline, "\n") if line or process.wait()]

    one, other = "{{ name }}", "{{ name | upper }}"
    assert render(one) == ["me me", str([one, one])]
    assert render(one) == ["me me", "[]"]
    assert render(one, other) == ["me me", "ME ME", str([other, other])]
    assert render(other) == ["ME ME", "[]"]
    (tmp_path / "partial_parse.templates").write_bytes(b"torn")
    assert render(one) == ["me me", str([one, one])]
    assert (process.communicate()[1], process.returncode) == ("", 0)


@pytest.mark.torture
def test_the_copy_moves_with_the_data_directory(started: Built, tmp_path: Path, settings: Settings) -> None:
    runner.compile_model(started.settings, AS_OF, "seg_activated")
    copy = runner.manifest_path(started.settings).with_name("partial_parse.pickle")
    assert copy.is_file()
    shutil.copytree(runner.directory(started.settings), tmp_path / "other" / "dbt")
    moved = replace(settings, data_dir=tmp_path / "other")
    assert runner.compile_model(moved, AS_OF, "seg_activated") == runner.compile_model(
        started.settings, AS_OF, "seg_activated"
    )
