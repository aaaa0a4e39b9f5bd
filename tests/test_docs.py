"""What the docs say is so: commands run and end as shown, links and files exist, tables match the tree."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest
import typer

from tailrace import clock
from tailrace.cli.app import app
from tailrace.landing.quarantine import list_quarantine
from tailrace.settings import Settings
from tests import cli_page
from tests.cli.conftest import people
from tests.conftest import Company
from tests.installation import PROJECT, ROOT, Done, Installation, at, call, invoke, read_before

PAGES = [
    *(ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
    *(ROOT / name for name in ("dbt_project/README.md", "flows/README.md")),
]
NOT_RUN = {
    "make demo": "installs packages; tests/cli plays the demo itself",
    "make test": "is what runs this test",
    "make torture": "takes an hour; CI runs it after the tests",
    "make check": "lints the repository; CI runs it before the tests",
}
BLOCK = re.compile(r"^```(console|sh)\n(.*?)^```", re.MULTILINE | re.DOTALL)
FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]+\]\(([^)\s]+)\)")
CODE = re.compile(r"`([^`\n]+)`")
PATH = re.compile(r"\.?[A-Za-z0-9_][\w.-]*(/[\w.-]+)*/([\w-]+\.(py|sql|yml|md|html|css|csv|lock|toml))?")
ROOMS = ("", "dbt_project", "src/tailrace", "docs", "tests")
STATE = ("data/", "inbox/", "landing/loads/", "landing/journal/", "plans/", "states/", "staging/")


def _id(page: Path) -> str:
    return str(page.relative_to(ROOT))


def commands(page: Path) -> list[tuple[str, int]]:
    """Return the page's commands in order, each with the exit code that it says it ends with."""
    found = []
    for kind, block in BLOCK.findall(page.read_text(encoding="utf-8")):
        for line in block.splitlines():
            if kind == "sh" or line.startswith("$ "):
                command, _, remark = line.removeprefix("$ ").partition("  # exits ")
                found.append((command.strip(), int(remark or 0)))
    return found


LONG = [ROOT / "docs" / name for name in ("operations.md", "plans.md", "syncs.md")]
RUN = [page for page in PAGES if any(command not in NOT_RUN for command, _ in commands(page))]


@dataclass
class Sandbox:
    """A folder as a reader has it: the project, a data directory, a file of events, and what was exported."""

    company: Company
    folder: Path
    exported: dict[str, str] = field(default_factory=dict)

    @property
    def settings(self) -> Settings:
        return Settings(self.folder / self.exported.get("TAILRACE_DATA", "data"), self.folder / "dbt_project")

    def meant(self, word: str) -> str:
        """Return what a reader would fill in for a word in capitals."""
        installation = Installation(self.settings.data_dir)
        if word == "PERSON":
            return str(people(installation, "skip")[0])
        if word == "LINE":
            return list_quarantine(self.settings, limit=1)[0].id
        if word == "PLAN":
            return max(self.settings.plans.glob("*/plan.json"), key=lambda path: path.stat().st_mtime_ns).parent.name
        return word

    def run(self, command: str) -> Done:
        words = [self.meant(word) for word in shlex.split(command)]
        if words[0] == "export":
            name, _, value = words[1].partition("=")
            self.exported[name] = value
            return Done(0, "", "")
        assert words[0] == "tailrace", f"{command}: run it here, or say in NOT_RUN why it is not"
        return invoke(words[1:], **self.exported)


def _trip_a_guard(sandbox: Sandbox) -> None:
    policy = sandbox.folder / "dbt_project" / "policy.yml"
    text = policy.read_text(encoding="utf-8")
    mark = "  overrides:\n"
    assert mark in text
    policy.write_text(text.replace(mark, mark + "    seg_power_users: {segment_minimum: 99999}\n"), encoding="utf-8")
    assert sandbox.run("tailrace run").code == 3


def _mend_the_guard(sandbox: Sandbox) -> None:
    shutil.copy(PROJECT / "policy.yml", sandbox.folder / "dbt_project" / "policy.yml")


BEFORE: dict[tuple[str, str], Callable[[Sandbox], None]] = {
    ("docs/operations.md", "tailrace guard list"): _trip_a_guard,
    ("docs/operations.md", "tailrace unknown list"): _mend_the_guard,
}
"""What has happened, in a reader's life, before some commands make sense."""


@pytest.fixture
def sandbox(company: Company, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    """The small company as a reader's folder, on the evening of the day whose file is events.jsonl."""
    shutil.copytree(PROJECT, tmp_path / "dbt_project", ignore=shutil.ignore_patterns("target", "logs"))
    day = company.sample.daily[0]
    shutil.copy(day.path, tmp_path / "events.jsonl")
    evening = at(day.last_on, 20)
    minutes = iter(range(1000))
    monkeypatch.setattr(clock, "now", lambda: evening + timedelta(minutes=next(minutes)))
    monkeypatch.chdir(tmp_path)
    return Sandbox(company, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(
    "page", [pytest.param(page, marks=[pytest.mark.torture] * (page in LONG)) for page in RUN], ids=_id
)
def test_every_command_of_a_page_ends_as_it_says(page: Path, sandbox: Sandbox) -> None:
    if page == ROOT / "README.md":
        sandbox.company.copy(sandbox.folder / "data/demo")
        read_before(sandbox.settings, sandbox.company.base.settings)
    else:
        sandbox.company.copy(sandbox.folder / "data")
    for command, code in commands(page):
        if command in NOT_RUN:
            continue
        BEFORE.get((_id(page), command), lambda _: None)(sandbox)

        done = sandbox.run(command)

        assert done.code == code, f"{command}\n{done.out}\n{done.err}"


def test_what_is_not_run_is_shown_somewhere() -> None:
    shown = {command for page in PAGES for command, _ in commands(page)}
    assert set(NOT_RUN) <= shown


@pytest.mark.parametrize("page", PAGES, ids=_id)
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in LINK.findall(FENCED.sub("", page.read_text(encoding="utf-8"))):
        if target.startswith(("https://", "http://", "mailto:")):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f"{target} leads nowhere"
        if anchor:
            assert anchor in _anchors(file), f"{target}: {file.name} has no such heading"


def _anchors(file: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", FENCED.sub("", file.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=_id)
def test_every_file_that_is_named_exists(page: Path) -> None:
    missing = [
        name
        for name in CODE.findall(FENCED.sub("", page.read_text(encoding="utf-8")))
        if PATH.fullmatch(name)
        and not name.startswith(STATE)
        and not any((base / name).exists() for base in (page.parent, *(ROOT / room for room in ROOMS)))
    ]
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=_id)
def test_every_command_that_is_named_exists_with_its_options(page: Path) -> None:
    known = _options(typer.main.get_command(app))
    for code in CODE.findall(FENCED.sub("", page.read_text(encoding="utf-8"))):
        words = code.split()
        if words[0] != "tailrace" or len(words) == 1 or not words[1].replace("|", "").isalpha():
            continue
        name = " ".join(words[1:3]) if " ".join(words[1:3]) in known else words[1].partition("|")[0]
        assert name in known, f"`{code}`: there is no such command"
        assert {word.partition("=")[0] for word in words if word.startswith("--")} <= known[name], code


def _options(command: object, name: str = "") -> dict[str, set[str]]:
    found = {name: {option for each in command.params for option in each.opts} | {"--help"}}  # type: ignore[attr-defined]
    for part, inner in getattr(command, "commands", {}).items():
        found |= _options(inner, f"{name} {part}".strip())
    return found


def test_the_page_of_commands_is_the_help() -> None:
    assert cli_page.PAGE.read_text(encoding="utf-8") == cli_page.text(), "write it again: python -m tests.cli_page"


def test_the_readme_says_where_everything_is() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    table = readme.partition("## Where is it?")[2].partition("\n## ")[0]
    listed = set(re.findall(r"\| `([^`]+)` \|", table))
    rooms = {f"src/tailrace/{path.parent.name}/" for path in (ROOT / "src" / "tailrace").glob("*/__init__.py")}
    edited = {f"dbt_project/{path.name}" for path in PROJECT.glob("*.yml")} - {"dbt_project/dbt_project.yml"}

    assert [path for path in listed if not (ROOT / path).exists()] == []
    assert (rooms | edited) - listed == set()


def test_the_readme_leads_to_every_page() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    targets = set(LINK.findall(readme))

    assert {f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md")} <= targets


def test_the_readme_and_delivery_make_the_same_promise() -> None:
    def promise(text: str) -> str:
        quoted = " ".join(line.removeprefix(">").strip() for line in text.splitlines() if line.startswith(">"))
        return quoted.replace("**The promise.** ", "")

    readme, delivery = (
        promise((ROOT / name).read_text(encoding="utf-8")) for name in ("README.md", "docs/delivery.md")
    )
    assert readme == delivery != ""


def test_the_picture_of_a_plan_has_the_columns_that_a_plan_has(company: Company) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    picture = readme.partition("## A plan")[2].partition("```text\n")[2].partition("```")[0].splitlines()
    shown = [line.split() for line in call(company.base, "plan", "HEAD").out.splitlines()]

    titles = ("Campaigns", "Segments", "Syncs")
    assert [title for title in titles if title not in picture] == []
    for title in titles:
        assert picture[picture.index(title) + 1].split() in shown
