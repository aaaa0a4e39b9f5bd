"""What is written is on the disk before it has its name, and the name before anybody goes on."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tailrace import durable
from tailrace.destinations.base import FileWrite
from tailrace.destinations.transport import FileSession
from tailrace.journal.copy import Copy


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """What was synced or renamed, in order, by name."""
    done: list[tuple[str, str]] = []
    rename = Path.rename

    def noted(sync: Callable[[int], None], word: str) -> Callable[[int], None]:
        def step(handle: int) -> None:
            size = os.fstat(handle).st_size
            done.append((f"{word} {size}", Path(f"/proc/self/fd/{handle}").readlink().name))
            sync(handle)

        return step

    def noted_rename(path: Path, target: Path) -> Path:
        done.append((f"rename {path.name}", Path(target).name))
        return rename(path, target)

    monkeypatch.setattr(os, "fsync", noted(os.fsync, "sync"))
    monkeypatch.setattr(os, "fdatasync", noted(os.fdatasync, "sync"))
    monkeypatch.setattr(Path, "rename", noted_rename)
    return done


def folder_of(path: Path) -> tuple[str, str]:
    return f"sync {path.stat().st_size}", path.name


def test_a_file_is_written_aside_synced_renamed_and_its_folder_synced(
    tmp_path: Path, steps: list[tuple[str, str]]
) -> None:
    path = tmp_path / "HEAD"
    path.write_text("before")

    durable.write(path, b"one plan\n")

    aside = steps[0][1]
    assert aside != "HEAD"
    assert steps == [("sync 9", aside), (f"rename {aside}", "HEAD"), folder_of(tmp_path)]
    assert [each.name for each in tmp_path.iterdir()] == ["HEAD"]


def test_a_folder_is_moved_in_after_all_that_is_in_it_is_synced(tmp_path: Path, steps: list[tuple[str, str]]) -> None:
    aside, final = tmp_path / "aside", tmp_path / "final"
    (aside / "deep").mkdir(parents=True)
    (aside / "a").write_text("a")
    (aside / "deep" / "bb").write_text("bb")

    durable.move_in(aside, final)

    at = steps.index(("rename aside", "final"))
    assert {("sync 1", "a"), ("sync 2", "bb"), (folder_of(final)[0], "aside")} == set(steps[:at])
    assert steps[at + 1 :] == [folder_of(tmp_path)]


def test_a_line_of_the_journals_copy_is_on_the_disk_before_the_bytes_it_speaks_of_may_leave(
    tmp_path: Path, steps: list[tuple[str, str]]
) -> None:
    copy = Copy(tmp_path / "copies" / "claims.log")

    copy.append({"journal": "j", "items": []})

    size = copy.path.stat().st_size
    assert size
    assert steps[-1] == (f"sync {size}", "claims.log")
    assert {"copies", tmp_path.name} <= {name for _, name in steps}
    copy.close()


def test_a_file_of_the_outbox_is_synced_before_it_has_its_name_and_named_before_it_is_recorded(
    tmp_path: Path, steps: list[tuple[str, str]]
) -> None:
    session = FileSession(tmp_path)

    session.perform(FileWrite("email", "one.eml", b"12345"))
    written = list(steps)
    session.flush()

    assert written == [("sync 5", ".one.eml.tmp"), ("rename .one.eml.tmp", "one.eml")]
    assert steps[2:] == [folder_of(tmp_path / "email")]
