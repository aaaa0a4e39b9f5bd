"""kill -9 while delivering and syncing, again and again, over every destination there is.

Some kinds of destination are killed twice in every run of the tests; what is marked `torture` spreads a hundred kills
over all of them, four for each, or as many as `TAILRACE_TEST_KILLS` says. `SHOWN=1` prints what came of each.
"""

from __future__ import annotations

import json
import os
import random
import signal
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from delivery_world import NamingRenderer, Post, start_sender
from far_stores import opened
from far_vendors import AUDIENCES, BATCH, EVENTS, HTTP, Said, Vendor, aimed_at, channel_of, name_of
from receiver import answer
from tests.destinations import test_shape as shape
from tests.landing import postgres

from tailrace.destinations.base import discover
from tailrace.journal import Journal

KILLS = int(os.environ.get("TAILRACE_TEST_KILLS", "100"))
SLOTS = 2
WORKERS = 2
ROOMS = ("deliver.claimed", "deliver.copied", "at a call", "deliver.handed_over", "at an instant", "deliver.recorded")
"""Where a sender dies, in turns: at a named point; as its call arrives, unanswered; some milliseconds after a call."""
POINTS = {
    "table": ("deliver.claimed", "table.written", "deliver.handed_over", "deliver.recorded"),
    "disk": ("deliver.claimed", "store.put", "deliver.handed_over", "deliver.recorded"),
    "bucket": ("deliver.copied", "store.put", "deliver.handed_over", "deliver.recorded"),
    "sftp": ("store.aside", "store.put", "deliver.handed_over", "deliver.recorded"),
    "outbox": ("deliver.claimed", "deliver.copied", "deliver.handed_over", "deliver.recorded"),
}
STORES = {"table": "postgres_table", "disk": "files", "bucket": "files", "sftp": "sftp"}


class Kind(NamedTuple):
    """What is killed: `end` is a destination over HTTP, a store, `smtp` or `outbox`."""

    end: str
    what: str

    @property
    def destination(self) -> str:
        return STORES.get(self.end, self.end.partition(" ")[0])


KINDS = [
    *(Kind(name, "messages") for name in ("smtp", "outbox", *HTTP) if discover()[name].CAPABILITIES.channels),
    *(Kind(name, "audience") for name in (*AUDIENCES, *STORES, "outbox")),
    *(Kind(name, "events") for name in (*EVENTS, *STORES)),
]
SOME = [
    Kind("smtp", "messages"),
    Kind("webhook", "messages"),
    Kind("salesforce", "audience"),
    Kind("customerio", "audience"),
    Kind("webhook that knows repeats", "events"),
    Kind("braze", "events"),
]


def dealt() -> list[pytest.param]:
    """Return how often each kind is killed: the destinations in turns, and of each its kinds in turns."""
    names = sorted({kind.destination for kind in KINDS})
    kills: Counter[Kind] = Counter()
    for number in range(KILLS):
        name = names[number % len(names)]
        own = [kind for kind in KINDS if kind.destination == name]
        kills[own[number // len(names) % len(own)]] += 1
    return [
        *(pytest.param(kind, 2, id=f"{kind.end}-{kind.what}") for kind in SOME),
        *(
            pytest.param(kind, n, id=f"{kind.end}-{kind.what}-{n}-kills", marks=pytest.mark.torture)
            for kind, n in kills.items()
        ),
    ]


class End:
    """A far end that is open, and how to get there."""

    def __init__(self, kind: Kind, stack: ExitStack, tmp_path: Path, receiver, private_key) -> None:
        self.kind = kind
        self.said: Said | None = None
        self.vendor: Vendor | None = None
        self.environment: dict[str, str] = {}
        self.channel = ""
        self.removes = False
        if kind.end in STORES:
            server = stack.enter_context(postgres.serving()) if kind.end == "table" else None
            self.place = stack.enter_context(opened(kind.end, tmp_path, server))
            self.connection = f"{{{self.place.settings}}}"
            self.environment = self.place.environment
            if kind.end == "table" and kind.what == "audience":
                self.place.is_keyed()
                self.removes = True
        elif kind.end == "smtp":
            self.post = stack.enter_context(Post())
            self.connection = f"{{type: smtp, host: 127.0.0.1, port: {self.post.port}, security: none, slots: {SLOTS}}}"
            self.channel = "email"
        elif kind.end == "outbox":
            self.connection = f"{{type: outbox, slots: {SLOTS}}}"
            self.channel = "email" if kind.what == "messages" else ""
        else:
            self._over_http(receiver, private_key)

    def _over_http(self, receiver, private_key) -> None:
        name, more = self.kind.destination, {"slots": SLOTS}
        well = shape.REPLIES[name]
        if self.kind.what == "messages":
            self.channel = channel_of(name)
            self.vendor = Vendor(receiver, lambda call: answer(well.status, well.body))
        else:
            said = (AUDIENCES if self.kind.what == "audience" else EVENTS)[self.kind.end]
            more |= said.settings
            self.vendor = Vendor(
                receiver, lambda call: answer(200, said.answer(call) if callable(said.answer) else said.answer)
            )
            self.said, self.removes = said, self.kind.what == "audience"
        settings, self.environment = aimed_at(receiver.port, name, private_key, more)
        self.connection = json.dumps(settings)

    @property
    def is_recognised(self) -> bool:
        """Whether what is said twice is taken once, by the destination's own word."""
        return discover()[self.kind.destination].CAPABILITIES.is_idempotent or "that knows" in self.kind.end

    @property
    def mode(self) -> str:
        return "append" if self.kind.what == "events" else "mirror"

    @property
    def rooms(self) -> tuple[str, ...]:
        if self.kind.end in POINTS:
            return POINTS[self.kind.end]
        return ROOMS if self.vendor else tuple(room for room in ROOMS if room != "at a call")

    def came(self, world) -> Counter[str]:
        """Return how often each person or row came to the far end."""
        if self.vendor is not None:
            return self.vendor.heard()
        if self.kind.end == "smtp":
            return Counter({address.partition("@")[0]: n for address, n in self.post.inbox.taken.items()})
        if self.kind.end == "outbox":
            files = world.settings.outbox.rglob("*.*")
            return Counter(name for file in files for name in world.names if name in file.read_text("utf-8"))
        return Counter(self.place.ids())

    @property
    def called(self):
        return self.vendor.called if self.vendor else self.post.inbox.some_taken


def prepare(world, end: End, n: int) -> None:
    """Have a plan applied with n messages, or with n rows of which the last third are removals, if it can be told."""
    world.names = [name_of(number) for number in range(n)]
    world.plans.mode = end.mode
    if end.channel:
        world.renderer = NamingRenderer(end.channel)
    channels = f"{{{end.channel}: far}}" if end.channel else "{}"
    world.destinations(f"connections:\n  far: {end.connection}\nchannels: {channels}\n")
    if end.channel:
        phones = end.kind.destination == "twilio"
        places = [
            f"+1415555{100 + number:04d}" if phones else f"{name}@people.test"
            for number, name in enumerate(world.names)
        ]
        world.apply(places, names=world.names, channel=end.channel)
    else:
        said = end.said or Said("people", "id", b"", {"plan": "pro"})
        world.apply([], sync_rows=n, batch_size=BATCH, destination="far", target=said.target)
        path = world.settings.plans / "plan1" / "sync_s.parquet"
        told = pq.read_table(path).to_pylist()
        for row, name in zip(told, world.names, strict=True):
            leaves = end.removes and name in leaving(world)
            key = {said.key: name}
            row |= {"key": json.dumps(key), "op": "remove" if leaves else "add"}
            row["data"] = None if leaves else json.dumps(key | dict(said.columns))
        pq.write_table(pa.Table.from_pylist(told, schema=pq.read_schema(path)), path)
        if end.kind.end == "table" and end.removes:
            for name in leaving(world):
                end.place.db.execute("insert into people (id, plan) values (%s, 'free')", [name])
    world.go_live()


def leaving(world) -> set[str]:
    """Return whose rows are removals: those of the last batches."""
    return set(world.names[len(world.names) // BATCH * 2 // 3 * BATCH :])


def killed(world, end: End, tmp_path: Path, chance: random.Random, kills: int) -> tuple[Counter[str], int]:
    """Have so many senders die, in all rooms in turns; return where, and how many claims they can have held."""
    died: Counter[str] = Counter()
    claims = 0
    first = chance.randrange(len(end.rooms))
    for number in range(kills * 3):
        if died.total() == kills:
            break
        room = end.rooms[(first + number) % len(end.rooms)]
        nth = chance.randint(1, 3) if number < kills else 1
        crash_at = f"{room}:{nth}" if "." in room else ""
        arm = end.vendor.kill_at(nth) if room == "at a call" else None
        if room == "at an instant":
            end.called.clear()
        workers = chance.randint(1, WORKERS)
        process = start_sender(
            tmp_path,
            world.now,
            crash_at,
            mode=end.mode,
            workers=workers,
            environment=end.environment,
            channel=end.channel,
        )
        if arm is not None:
            arm(process.kill)
        if room == "at an instant":
            while process.is_alive() and not end.called.wait(0.02):
                pass
            process.join(chance.uniform(0, 0.02))
            process.kill()
        process.join(60)
        assert process.exitcode in (0, -signal.SIGKILL), f"{room}: exit {process.exitcode}"
        is_dead = process.exitcode == -signal.SIGKILL
        died[room] += is_dead
        claims += workers * is_dead
        world.later(minutes=10)
    return +died, claims


def finish(world) -> None:
    for _ in range(12):
        world.later(hours=7)
        world.deliver()
        with Journal.open(world.settings) as journal:
            counts = journal.counts()
        if not {"pending", "claimed"} & {*counts.messages, *counts.batches}:
            return
    raise AssertionError("something stays pending")


def listed(world, end: End) -> tuple[set[str], set[str]]:
    """Return who is listed as unknown, and who as accepted."""
    if end.channel:
        outcomes = dict(zip(world.names, world.states().values(), strict=True))
    else:
        with Journal.open(world.settings) as journal:
            said = journal.acknowledged_rows(0).sort_by("seq").to_pylist()
        outcomes = {world.names[row["batch_no"] * BATCH + row["position"]]: row["outcome"] for row in said}
    return tuple(
        {name for name, outcome in outcomes.items() if outcome == wanted} for wanted in ("unknown", "accepted")
    )


@pytest.mark.timeout(900)
@pytest.mark.parametrize(("kind", "kills"), dealt())
def test_however_often_a_sender_is_killed_nothing_comes_twice_and_nothing_is_missing(
    world, receiver, tmp_path, private_key, monkeypatch, kind, kills
):
    chance = random.Random(f"{kind.end}-{kind.what}-20261122")
    with ExitStack() as stack:
        end = End(kind, stack, tmp_path, receiver, private_key)
        for variable, value in end.environment.items():
            monkeypatch.setenv(variable, value)
        prepare(world, end, 12 + 12 * kills)
        died, claims = killed(world, end, tmp_path, chance, kills)
        assert died.total() == kills
        finish(world)

        came, (unknown, accepted) = end.came(world), listed(world, end)
        everybody = set(world.names)
        repeated = {name for name, n in came.items() if n > 1}
        if "SHOWN" in os.environ:
            print(
                f"\nKILLED {kind.destination} {kind.end} {kind.what} {dict(died)} rows={len(everybody)}"
                f" unknown={len(unknown)} of_which_came={len(unknown & set(came))} repeated={len(repeated)}"
            )
        at_risk = claims * (SLOTS if end.channel else BATCH)
        assert unknown | accepted == everybody
        assert len(unknown) <= at_risk
        if end.kind.end in ("table", "disk", "bucket", "sftp", "outbox"):
            # What is stored twice is there once.
            there = everybody - leaving(world) if end.removes else everybody
            assert came == Counter(there)
            assert not unknown
            return
        assert set(came) <= everybody
        assert everybody - set(came) <= unknown, "who did not hear of it is listed"
        if end.removes:
            assert end.vendor.members(end.said, leaving(world)) == everybody - leaving(world)
            assert not unknown
            assert len(repeated) <= at_risk, "what is repeated was in flight"
        elif end.is_recognised:
            assert not unknown
            assert len(repeated) <= at_risk, "what is repeated was in flight"
            known = set(end.vendor.known(end.said))
            assert len(known) == len({one for _, one in known}) == len(everybody), "each is known by one id of its own"
        else:
            assert not repeated, "nothing comes twice where it would be taken twice"


def test_every_destination_is_killed():
    assert {kind.destination for kind in KINDS} == set(discover())
    assert set(SOME) <= set(KINDS)
