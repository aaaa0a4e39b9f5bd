from __future__ import annotations

import random
from pathlib import Path

import pytest

from tailrace.errors import DataError
from tailrace.landing import inputs
from tailrace.landing.inbox import land_inbox
from tailrace.landing.loads import loads
from tests.landing.conftest import AS_OF, World, call, compact


def event(number: int) -> bytes:
    return compact(call(messageId=f"m{number}"))


def names(*paths: Path | str) -> list[str]:
    return [each.name for each in inputs.find(paths).inputs]


def test_a_pattern_finds_what_it_says_in_one_order(world: World) -> None:
    for number, name in enumerate(("b/2.jsonl", "b/deep/3.jsonl", "a/1.jsonl", "a/1.csv", "c.jsonl")):
        world.file(f"in/{name}", event(number))
    root = world.folder / "in"
    assert names(f"{root}/*/*.jsonl") == ["a/1.jsonl", "b/2.jsonl"]
    assert names(f"{root}/**/*.jsonl") == ["a/1.jsonl", "b/2.jsonl", "b/deep/3.jsonl", "c.jsonl"]
    assert names(f"{root}/[bc]*") == ["b/2.jsonl", "b/deep/3.jsonl", "c.jsonl"]
    assert names(f"{root}/a/1.???") == ["1.csv"]


def test_the_order_of_paths_and_naming_a_file_twice_change_nothing(world: World) -> None:
    paths: list[Path | str] = [world.file(f"in/{number}.jsonl", event(number)) for number in range(5)]
    paths += [f"{world.folder}/in/*.jsonl", world.folder / "in"]
    seen = set()
    for seed in range(5):
        shuffled = random.Random(seed).sample(paths, len(paths))
        seen.add(tuple(each.path.name for each in inputs.find(shuffled).inputs))
    assert seen == {tuple(f"{number}.jsonl" for number in range(5))}


@pytest.mark.parametrize(
    "name",
    [".hidden.jsonl", "_SUCCESS", "_temporary/0/part.jsonl", ".git/x.jsonl", "a.jsonl.tmp", "a.jsonl.PART", "a.jsonl~",
     "a.crdownload", ".a.jsonl.swp", "a.jsonl.filepart", "a.partial", "a.inprogress", "a.temp"],
)  # fmt: skip
def test_hidden_and_unfinished_files_are_passed_over_and_named(world: World, name: str) -> None:
    world.file(f"in/{name}", event(1))
    world.file("in/whole.jsonl", event(2))
    for path in (world.folder / "in", f"{world.folder}/in/**/*"):
        found = inputs.find([path])
        assert [each.name for each in found.inputs] == ["whole.jsonl"]
        assert found.skipped == (name,)
    assert world.land(world.folder / "in").skipped == (name,)
    # Whoever names a file means it.
    assert world.land(world.folder / "in" / name).landed == 1


def test_a_folder_on_the_way_may_be_hidden(world: World) -> None:
    world.file(".spool/_app/a.jsonl", event(1))
    assert names(world.folder / ".spool" / "_app") == ["a.jsonl"]
    assert names(f"{world.folder}/.spool/_app/*.jsonl") == ["a.jsonl"]


def test_a_link_to_nothing_is_named(world: World) -> None:
    world.file("in/a.jsonl", event(1))
    (world.folder / "in" / "gone.jsonl").symlink_to(world.folder / "nowhere")
    assert inputs.find([world.folder / "in"]).skipped == ("gone.jsonl",)


@pytest.mark.parametrize("pattern", ["in/*.csv", "nothing/**/*.jsonl", "in/[xyz]*"])
def test_a_pattern_that_finds_nothing_is_an_error(world: World, pattern: str) -> None:
    world.file("in/a.jsonl", event(1))
    with pytest.raises(DataError, match="the pattern finds no file"):
        inputs.find([f"{world.folder}/{pattern}"])


def test_a_pattern_that_finds_unfinished_files_only_says_so(world: World) -> None:
    world.file("in/a.jsonl.tmp", event(1))
    with pytest.raises(DataError, match=r"but hidden or unfinished ones \(1\)"):
        inputs.find([f"{world.folder}/in/*"])


def test_a_name_with_a_bracket_is_a_name_where_there_is_such_a_file(world: World) -> None:
    path = world.file("in/day[1].jsonl", event(1))
    assert names(path) == ["day[1].jsonl"]


def test_an_unfinished_file_in_the_inbox_waits_until_it_has_its_name(world: World) -> None:
    path = world.settings.inbox / "app" / "day.jsonl.part"
    path.parent.mkdir(parents=True)
    path.write_bytes(event(1) + b"\n" + event(2)[:-9])
    assert [done.load_id for done in land_inbox(world.settings, AS_OF).landed] == [None]
    path.write_bytes(event(1) + b"\n" + event(2) + b"\n")
    path.rename(path.with_suffix(""))
    assert [done.landed for done in land_inbox(world.settings, AS_OF).landed] == [2]
    assert [file.name for load in loads(world.settings) for file in load.files] == ["day.jsonl"]
