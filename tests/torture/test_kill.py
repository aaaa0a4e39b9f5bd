"""kill -9 at every named point and at random instants, over a few logical days: everybody hears everything once."""

from __future__ import annotations

import random
import re
import signal
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from tailrace.journal.journal import Journal
from tests import forks
from tests.conftest import Company
from tests.installation import Done, Installation, at, call
from tests.torture import ground
from tests.torture.post import Post

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]

SLOTS = 2
PEOPLE = 60
DONE = (0, 3)
SEED = 20251121
STORM = (*["land"] * 4, *["build"] * 3, *["plan"] * 2, "apply", *["deliver"] * 12)
AT_LEAST = 40
# A random kill comes within this share of what the step took in a calm run of the same day, whatever the machine: were
# it later, a run would end first, and leave the kills after it nothing to interrupt.
WITHIN = {"land": 0.7, "build": 0.7, "plan": 0.7, "apply": 0.7, "deliver": 0.02}

# In the order in which a run passes them. A point of a room that is not here fails the test that lists them.
ROOMS = ("land", "build", "plan", "apply", "journal", "deliver", "mirror", "publish")
# Rooms that no run passes, and the file that kills at each of their points.
ELSEWHERE = {
    "broadcast": "tests/pipeline/test_broadcast.py",
    "erase": "tests/pipeline/test_erasing.py",
    "gc": "tests/pipeline/test_collecting.py",
    "store": "tests/delivery/test_stores.py",
    "table": "tests/delivery/test_stores.py",
    "trial": "tests/cli/test_destinations.py",
}
AGAIN = {"deliver.claimed": ":2", "deliver.copied": ":2", "deliver.handed_over": ":3", "deliver.recorded": ":2"}


def points_of_a_run() -> list[str]:
    return [point for point in ground.crash_points() if point.partition(".")[0] not in ELSEWHERE]


def every_point() -> list[str]:
    """Return the points in the order in which a run passes them, and where it comes by more than once a later time."""
    points = sorted(points_of_a_run(), key=lambda point: ROOMS.index(point.partition(".")[0]))
    return [each for point in points for each in (point, *([point + AGAIN[point]] if point in AGAIN else []))]


def test_every_crash_point_is_in_a_room_that_the_killing_knows() -> None:
    points = points_of_a_run()
    assert len(points) >= 16
    assert {point.partition(".")[0] for point in points} <= set(ROOMS)
    for room, file in ELSEWHERE.items():
        text = (ground.ROOT / file).read_text(encoding="utf-8")
        elsewhere = [point for point in ground.crash_points() if point.startswith(f"{room}.")]
        assert elsewhere
        # Written whole, or without the room; or with the time at which to die there.
        named = rf'"({room}\.)?{{}}(:\d+)?"'
        assert [point for point in elsewhere if not re.search(named.format(point.partition(".")[2]), text)] == []


class Killer:
    """Runs an installation's days and kills them; counts the kills by what they were aimed at."""

    def __init__(self, installation: Installation, post: Post) -> None:
        self.installation = installation
        self.post = post
        self.kills: Counter[str] = Counter()
        self.chance = random.Random(SEED)
        self.seen_dbt = False
        self.seconds: dict[str, float] = {}

    def at_point(self, as_of: str, point: str) -> bool:
        """Run into the named point; return whether the process died there."""
        done = self.installation.forked("run", "--as-of", as_of, TAILRACE_CRASH_AT=point)
        assert done.code in (-signal.SIGKILL, *DONE), done.err
        if done.code == -signal.SIGKILL:
            self.kills[point] += 1
        return done.code == -signal.SIGKILL

    def in_step(self, as_of: str, step: str) -> bool:
        """Kill a run at a random instant within the step; return whether it was still running then.

        Where a run is shows from outside: the pid in run.lock, whether dbt runs (a child of the server that has it
        imported), HEAD, what the server of mail took over.
        """
        taken, before = self.post.n_taken, self.head
        arguments = (*self.command(step), "--as-of", as_of)
        process = forks.start(arguments, self.installation.environment(), ground.ROOT)
        wanted = taken + self.chance.randint(1, 2)
        reached = {
            "land": lambda: self.lock.read_text().strip() == str(process.pid),
            "build": lambda: self.building(process.dbt),
            "plan": lambda: not self.building(process.dbt) and self.seen_dbt,
            "apply": lambda: self.head != before,
            "deliver": lambda: self.post.n_taken >= wanted,
        }[step]
        self.seen_dbt = False
        while process.poll() is None and not reached():
            time.sleep(0.002)
        ground.sleep_or_end(process, self.chance.uniform(0, WITHIN[step] * self.seconds[step]))
        process.kill()
        process.communicate()
        dead = process.returncode == -signal.SIGKILL
        assert dead or process.returncode in DONE
        self.kills[f"random:{step}"] += dead
        return dead

    def command(self, step: str) -> list[str]:
        """Return `run`; for two of three kills while delivering, `deliver`."""
        return ["deliver"] if step == "deliver" and self.kills["random:deliver"] % 3 else ["run"]

    def building(self, server: int | None) -> bool:
        try:
            found = len(psutil.Process(server).children(recursive=True)) > 0
        except psutil.NoSuchProcess:
            return False
        self.seen_dbt |= found
        return found

    @property
    def lock(self) -> Path:
        return self.installation.settings.run_lock

    @property
    def head(self) -> str:
        return (self.installation.settings.plans / "HEAD").read_text().strip()

    def finish(self, as_of: str) -> Done:
        done = self.installation.forked("run", "--as-of", as_of, "--json")
        assert done.code in DONE, done.err
        return done


@pytest.mark.torture
def test_killed_again_and_again_everybody_hears_everything_once(company: Company, tmp_path: Path) -> None:
    """At every point of a run on the first day, at random on the second. In `make test` each room has its own kills:

    pipeline/test_running_twice.py, warehouse/test_build.py, delivery/test_killed.py.
    """
    points = every_point()
    days = [file.last_on for file in company.sample.daily[:2]]
    as_of = [at(day, 23).isoformat() for day in days]
    files = [
        [file.path, ground.signups(tmp_path / "files", f"day{n}", at(day, 12), PEOPLE)]
        for n, (day, file) in enumerate(zip(days, company.sample.daily, strict=False))
    ]
    with Post() as calm, Post() as stormy, ThreadPoolExecutor(1) as beside:
        control = company.copy(tmp_path / "control", ground.project(tmp_path / "p0", smtp_port=calm.port, slots=SLOTS))
        tried = company.copy(tmp_path / "tried", ground.project(tmp_path / "p1", smtp_port=stormy.port, slots=SLOTS))
        for one in (control, tried):
            assert call(one, "live", "acquire", "--reason", "torture").code == 0
        killer = Killer(tried, stormy)

        def calm_day(moment: str, waiting: Sequence[Path]) -> tuple[str, dict[str, float]]:
            for file in waiting:
                control.drop(file)
            done = control.cli("run", "--as-of", moment, "--json")
            assert done.code in DONE, done.err
            return (control.settings.plans / "HEAD").read_text().strip(), done.json["seconds"]

        expected = [beside.submit(calm_day, *day) for day in zip(as_of, files, strict=True)]

        # The first day: named points, in the order of a run.
        for file in files[0]:
            tried.drop(file)
        for point in points:
            killer.at_point(as_of[0], point)
        first = killer.finish(as_of[0])
        missed = [point for point in points if ":" not in point and not killer.kills[point]]
        assert missed == [], "no run passes these points: the order of ROOMS, or of the steps, is another"
        head_of_first_day = killer.head

        # The second day: random instants within each step.
        calm_heads, seconds = zip(*(day.result() for day in expected), strict=True)
        killer.seconds = seconds[1]
        for file in files[1]:
            tried.drop(file)
        for step in STORM:
            killer.in_step(as_of[1], step)
        killer.finish(as_of[1])

        kills = sum(killer.kills.values())
        assert kills >= AT_LEAST, killer.kills

        # The same inputs and the same memory: the same plan. Later plans differ by what the journal numbered.
        assert head_of_first_day == calm_heads[0]
        ours, theirs = ground.head(tried.settings), ground.head(control.settings)
        same = {"memberships", "changes", "verdicts", "payloads", "transitions", "loads", "consents"}
        assert {name: ours.relations[name] for name in same} == {name: theirs.relations[name] for name in same}
        for name in theirs.relations:
            if name.startswith(("enrollments:", "acknowledged:")):
                assert ours.relations[name] == theirs.relations[name], name
        assert ground.landed(tried.settings) == ground.landed(control.settings)

        # Nobody twice; who did not hear exactly once is listed, and is at most a batch per kill.
        assert max(stormy.taken.values()) == 1
        assert set(calm.taken.values()) == {1}
        assert len(calm.taken) >= 3 * PEOPLE * len(days) // 4, "without the holdouts"
        listed = {row["intent_id"] for row in call(tried, "unknown", "list", "--json").json}
        assert set(stormy.taken) <= set(calm.taken)
        assert set(calm.taken) - set(stormy.taken) <= listed
        assert listed <= set(calm.taken)
        assert len(listed) <= SLOTS * sum(n for aim, n in killer.kills.items() if "deliver" in aim)
        assert all(stormy.to[intent] == calm.to[intent] for intent in stormy.taken)
        with Journal.open(tried.settings) as journal:
            outcomes = journal.mirror("outcomes", 0).to_pylist()
        accepted = Counter(row["intent_id"] for row in outcomes if row["outcome"] == "accepted")
        assert max(accepted.values()) == 1
        assert set(calm.taken) <= set(accepted) | listed
        assert first.json["exit_code"] in DONE
