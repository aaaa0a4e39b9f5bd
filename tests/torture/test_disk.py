"""A disk that is full or cannot be written to: a clear word, nothing lost, and it works again once there is room."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conftest import Company
from tests.installation import Done, Installation, at
from tests.torture import ground

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("torture-disk"),
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


def waiting(company: Company, root: Path) -> list[Path]:
    file = company.sample.daily[0]
    return [file.path, ground.signups(root / "files", "newcomer", at(file.last_on, 12), PEOPLE)]


def run(installation: Installation, company: Company) -> Done:
    return installation.cli("run", "--as-of", at(company.sample.daily[0].last_on, 23).isoformat())


def same(ours: Installation, control: Installation) -> bool:
    here, there = ground.memory(ours), ground.memory(control)
    names = [
        {path.removeprefix(str(one.settings.outbox)) for path in found["outbox"]}
        for one, found in ((ours, here), (control, there))
    ]
    return here["head"] == there["head"] and here["loads"] == there["loads"] and names[0] == names[1]


@pytest.mark.parametrize("free", [0, 16, 64, 256, 1024, 4096, 12_000, 24_000])
def test_on_a_full_disk_a_run_fails_clearly_and_loses_nothing_and_works_once_there_is_room(
    company: Company, control: Installation, tmp_path: Path, free: int
) -> None:
    place = tmp_path / "disk"
    with disk(place, 200):
        ours = company.copy(place / "data")
        for path in waiting(company, tmp_path):
            ours.drop(path)
        before = ground.memory(ours)
        with (place / "ballast").open("wb") as ballast:
            usage = os.statvfs(place)
            size = usage.f_bavail * usage.f_frsize - free * 1024
            os.posix_fallocate(ballast.fileno(), 0, size)

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
