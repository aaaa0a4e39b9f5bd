"""A disk that is full or cannot be written to: a clear word, nothing lost, and it works again once there is room."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tailrace.journal.journal import Journal
from tests.conftest import Company
from tests.installation import Done, Installation, at, call
from tests.torture import ground

pytestmark = [
    pytest.mark.torture,
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(os.geteuid() != 0 or shutil.which("mount") is None, reason="mounting a small disk needs root"),
]

DONE = (0, 3)
PEOPLE = 20


@contextmanager
def disk(target: Path, megabytes: int) -> Iterator[None]:
    target.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", target], capture_output=True, check=False
    )
    if done.returncode:
        pytest.skip("this machine does not let tests mount a disk")
    try:
        yield
    finally:
        subprocess.run(["umount", target], check=True)


def remount(target: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", target], check=True)


def fill(place: Path, free: int) -> None:
    """Put a ballast on the disk that leaves so many KiB."""
    with (place / "ballast").open("wb") as ballast:
        usage = os.statvfs(place)
        os.posix_fallocate(ballast.fileno(), 0, usage.f_bavail * usage.f_frsize - free * 1024)


def is_clear(done: Done) -> bool:
    """Whether the command failed in words for people: no traceback, nothing unforeseen."""
    return done.code == 1 and "Traceback" not in done.err and "did not foresee" not in done.err and bool(done.err)


@pytest.fixture(scope="module")
def control(company: Company, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """The company after its first daily run, on a disk that is large enough."""
    root = tmp_path_factory.mktemp("disk")
    found = company.copy(root / "data")
    for path in waiting(company, root):
        found.drop(path)
    assert run(found, company).code in DONE
    return found


@pytest.fixture(scope="module")
def planned(company: Company, tmp_path_factory: pytest.TempPathFactory) -> tuple[Installation, str]:
    """The company when its first daily run is planned and nothing of it is applied, and the plan's id."""
    root = tmp_path_factory.mktemp("planned")
    found = company.copy(root / "data")
    for path in waiting(company, root):
        found.drop(path)
    done = call(found, "plan", "--as-of", at(company.sample.daily[0].last_on, 23).isoformat(), "--json")
    assert done.code in DONE, done.err
    return found, done.json["plan_id"]


def waiting(company: Company, root: Path) -> list[Path]:
    file = company.sample.daily[0]
    return [file.path, ground.signups(root / "files", "newcomer", at(file.last_on, 12), PEOPLE)]


def run(installation: Installation, company: Company) -> Done:
    return call(installation, "run", "--as-of", at(company.sample.daily[0].last_on, 23).isoformat())


def names(installation: Installation, channel: str) -> set[str]:
    return {path.name for path in (installation.settings.outbox / channel).glob("*.eml")}


def same(ours: Installation, control: Installation) -> bool:
    here, there = ground.memory(ours), ground.memory(control)
    names = [
        {path.removeprefix(str(one.settings.outbox)) for path in found["outbox"]}
        for one, found in ((ours, here), (control, there))
    ]
    return here["head"] == there["head"] and here["loads"] == there["loads"] and names[0] == names[1]


@pytest.mark.parametrize("free", [0, 1024])
def test_on_a_full_disk_a_run_fails_clearly_and_loses_nothing_and_works_once_there_is_room(
    company: Company, control: Installation, tmp_path: Path, free: int
) -> None:
    place = tmp_path / "disk"
    with disk(place, 200):
        ours = company.copy(place / "data")
        for path in waiting(company, tmp_path):
            ours.drop(path)
        before = ground.memory(ours)
        fill(place, free)

        done = run(ours, company)

        if done.code not in DONE:
            assert is_clear(done), done.err
            after = ground.memory(ours)
            assert set(before["loads"]) <= set(after["loads"])
            assert set(before["outbox"]) <= set(after["outbox"])
        (place / "ballast").unlink()
        again = run(ours, company)
        assert again.code in DONE, again.err
        assert same(ours, control)


@pytest.mark.parametrize("free", [0, 40, 300])
def test_when_the_disk_fills_up_after_planning_applying_and_delivering_lose_and_repeat_nothing(
    company: Company, control: Installation, planned: tuple[Installation, str], tmp_path: Path, free: int
) -> None:
    place = tmp_path / "disk"
    as_of = at(company.sample.daily[0].last_on, 23).isoformat()
    before, plan_id = planned
    with disk(place, 200):
        ours = before.copy(place / "data")
        fill(place, free)

        for command in (["apply", plan_id], ["deliver", "--as-of", as_of]):
            done = call(ours, *command)
            assert done.code in DONE or is_clear(done), done.err

        (place / "ballast").unlink()
        again = call(ours, "run", "--as-of", as_of, "--json")
        assert again.code in DONE, again.err
        assert again.json["plan_id"] == plan_id
        with Journal.open(ours.settings) as journal:
            outcomes = journal.mirror("outcomes", 0).to_pylist()
            assert journal.n_unknown() == 0
        # A mail that found no room is tried again after a while; none has been given up.
        waits = {row["intent_id"] for row in outcomes if row["outcome"] in ("retry_later", "blocked")}
        assert names(control, "email") - names(ours, "email") <= waits
        assert names(ours, "email") <= names(control, "email")
        assert "rejected" not in {row["outcome"] for row in outcomes}


def test_a_data_directory_that_cannot_be_written_to_is_a_clear_error(
    company: Company, control: Installation, tmp_path: Path
) -> None:
    place = tmp_path / "disk"
    with disk(place, 200):
        ours = company.copy(place / "data")
        for path in waiting(company, tmp_path):
            ours.drop(path)
        before = ground.memory(ours)
        remount(place, "ro")

        done = run(ours, company)

        assert is_clear(done), done.err
        assert str(place) in done.err
        remount(place, "rw")
        assert ground.memory(ours) == before
        assert run(ours, company).code in DONE
        assert same(ours, control)
