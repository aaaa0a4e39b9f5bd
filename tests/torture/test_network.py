"""Nothing but loopback is contacted, by us or by dbt, and nobody's telemetry is on."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Company
from tests.installation import ROOT, at
from tests.torture import ground
from tests.torture.post import Post

pytestmark = [pytest.mark.torture, pytest.mark.slow, pytest.mark.timeout(300)]

DONE = (0, 3)

# The commands of its argument one after another, in one process that is watched, until one fails.
DAY = """
import json, os, sys
from tests.installation import invoke
ours = {name: value for name, value in os.environ.items() if name.startswith("TAILRACE_")}
for command in json.loads(sys.argv[1]):
    done = invoke(command, **ours)
    if done.code not in (0, 3):
        sys.exit(f"{command}: {done.err}")
"""


class Watch:
    """Notes of what processes with this PYTHONPATH did on the network."""

    def __init__(self, root: Path) -> None:
        shutil.copy(Path(__file__).parent / "watched" / "sitecustomize.py", root)
        (root / "notes").mkdir()
        self.root = root
        self.path = os.pathsep.join([str(root), *filter(None, [os.environ.get("PYTHONPATH")])])

    def notes(self) -> list[dict[str, Any]]:
        return [
            json.loads(line)
            for path in sorted((self.root / "notes").iterdir())
            for line in path.read_text().splitlines()
        ]

    def strangers(self) -> set[str]:
        return {note["host"] for note in self.notes() if "host" in note and not _is_loopback(note["host"])}


def _is_loopback(host: str) -> bool:
    if host in ("localhost", "None", ""):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.startswith("/")


@pytest.fixture
def watch(tmp_path: Path) -> Watch:
    root = tmp_path / "watch"
    root.mkdir()
    return Watch(root)


def test_the_watch_sees_a_stranger_and_knows_loopback(watch: Watch) -> None:
    script = "import socket; s = socket.socket(); s.settimeout(0.01); s.connect_ex((HOST, 9))"
    for host in ("127.0.0.1", "192.0.2.1"):
        subprocess.run(
            [sys.executable, "-c", script.replace("HOST", repr(host))],
            env=os.environ | {"PYTHONPATH": watch.path},
            check=True,
        )
    assert watch.strangers() == {"192.0.2.1"}


def test_every_command_of_a_day_contacts_loopback_only_and_telemetry_is_off(
    company: Company, tmp_path: Path, watch: Watch
) -> None:
    first, second = company.sample.daily[:2]
    with Post() as post:
        ours = company.copy(tmp_path / "data", ground.project(tmp_path / "project", smtp_port=post.port))
        as_of = at(first.last_on, 23).isoformat()
        newcomers = ground.signups(tmp_path / "files", "newcomer", at(first.last_on, 12), 5)
        ours.drop(newcomers)
        commands = [
            ["check"],
            ["live", "acquire", "--reason", "torture"],
            ["land", str(first.path), "--source", "app", "--as-of", as_of],
            ["run", "--as-of", as_of],
            ["report"],
            ["segment", "list"],
            ["explain", "newcomer-0"],
            ["plan", "--as-of", at(second.last_on, 23).isoformat()],
            ["doctor"],
        ]
        done = subprocess.run(
            [sys.executable, "-c", DAY, json.dumps(commands)],
            env=ours.environment(PYTHONPATH=watch.path),
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert post.n_taken

    assert watch.strangers() == set()
    notes = watch.notes()
    hosts = {note["host"] for note in notes if "host" in note}
    assert "127.0.0.1" in hosts, "the run's own mail was not seen: the watch does not work"
    children = [note for note in notes if "tailrace.warehouse.child" in note.get("argv", ())]
    assert children, "dbt was not watched"
    for child in children:
        assert child["telemetry"] == {"DO_NOT_TRACK": "1", "DBT_SEND_ANONYMOUS_USAGE_STATS": "false"}


@pytest.mark.skipif(shutil.which("unshare") is None or os.geteuid() != 0, reason="needs root and unshare")
def test_a_day_works_on_a_machine_without_any_network(company: Company, tmp_path: Path) -> None:
    ours = company.copy(tmp_path / "data")
    file = company.sample.daily[0]
    ours.drop(file.path)
    done = subprocess.run(
        ["unshare", "--net", *ours.command("run", "--as-of", at(file.last_on, 23).isoformat())],
        env=ours.environment(),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in DONE, done.stderr
