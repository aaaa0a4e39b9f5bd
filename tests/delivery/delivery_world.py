"""One installation to deliver from: a plan store over Parquet, a project with destinations.yml, a real SMTP server."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import socket
import threading
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from aiosmtpd.controller import Controller

from tailrace import ids
from tailrace.campaigns.render import Rendered, Renderer
from tailrace.delivery.send import deliver
from tailrace.delivery.tally import Delivered
from tailrace.journal import Journal, SyncBatch
from tailrace.settings import Settings

T0 = datetime(2026, 3, 1, 6, tzinfo=UTC)
SOURCE = {
    "subject": "Hello {{ customer.first_name }}",
    "preheader": "",
    "body": "Dear {{ customer.first_name }}, welcome.",
    "kind": "md",
    "layout_html": "<html><body>{{ body }}</body></html>",
    "layout_text": "{{ body }}",
    "from_email": "hello@acme.test",
    "from_name": "Acme",
    "postal_address": "1 Street",
    "unsubscribe_url": "https://acme.test/u?p={person_id}",
}
KEY = "welcome-1"
CONSENTS = pa.schema(
    [("person_id", pa.int64()), *((name, pa.string()) for name in ("channel", "topic", "class", "reason"))]
)


def withdrawn(address: str, channel="", topic="", klass="marketing", reason="unsubscribed") -> dict[str, object]:
    """Return one row of `consents`."""
    person = ids.person_id(address)
    return {"person_id": person, "channel": channel, "topic": topic, "class": klass, "reason": reason}


class ParquetPlans:
    """The plan reader over plain Parquet files; the real one is planning's."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.mode = "mirror"
        self.long = ""
        self.marked: frozenset[tuple[str, str]] = frozenset()

    def head(self) -> str | None:
        path = self.root / "HEAD"
        return path.read_text() if path.exists() else None

    def _read(self, plan_id: str, name: str) -> pa.Table:
        return pq.read_table(self.root / plan_id / f"{name}.parquet")

    def payloads(self, plan_id: str, intent_ids) -> pa.Table:
        table = self._read(plan_id, "payloads")
        return table.filter(pc.is_in(table["intent_id"], pa.array(list(intent_ids), pa.string())))

    def messages(self, plan_id: str):
        return {KEY: SOURCE}

    def sync_mode(self, plan_id: str, sync: str) -> str:
        return self.mode

    def health(self, plan_id: str) -> frozenset[tuple[str, str]]:
        return self.marked

    def sync_ops(self, plan_id: str, sync: str, batch_no: int) -> pa.Table:
        table = self._read(plan_id, f"sync_{sync}")
        rows = table.filter(pc.equal(table["batch_no"], batch_no)).to_pylist()
        for row in rows:
            if json.loads(row["key"]).get("id") == self.long:
                row["data"] = json.dumps({"id": self.long, "plan": "pro" * 100})
        return pa.Table.from_pylist(rows, schema=table.schema)

    def consents(self, plan_id: str) -> pa.Table:
        path = self.root / plan_id / "consents.json"
        rows = json.loads(path.read_text()) if path.exists() else []
        return pa.Table.from_pylist(rows, schema=CONSENTS)


class CallRenderer:
    """Renders a webhook step as a POST of the person's name; some names have another address."""

    def __init__(self, url: str, urls: dict[str, str] | None = None) -> None:
        self.url, self.urls = url, urls or {}

    def render(self, source, data, *, message_key=None):
        name = data["customer"]["first_name"]
        call = {"method": "POST", "url": self.urls.get(name, self.url), "headers": {}, "body": {"name": name}}
        return Rendered("", "", json.dumps(call), {}, "", "")


class NamingRenderer:
    """Says each person's name, in the form in which the channel takes its words."""

    def __init__(self, channel: str) -> None:
        self.channel = channel

    def render(self, source, data, *, message_key=None):
        name = data["customer"]["first_name"]
        text = json.dumps({"title": "Hello", "body": name}) if self.channel == "push" else f"Dear {name}"
        return Rendered(f"Hello {name}", None, text, {}, from_email="hello@acme.test", from_name="Acme")


class World:
    """A data directory with a project; `now` stands still unless moved."""

    def __init__(self, root: Path, allow: frozenset[str] = frozenset()) -> None:
        self.settings = Settings(root / "data", root / "project", allow_list=allow)
        self.settings.project_dir.mkdir(parents=True, exist_ok=True)
        self.plans = ParquetPlans(self.settings.plans)
        self.now = T0
        self.renderer = Renderer()
        self.intent_of: dict[str, str] = {}
        self.slept: list[float] = []

    def destinations(self, text: str) -> None:
        (self.settings.project_dir / "destinations.yml").write_text(text)

    def smtp(self, port: int, more: str = "") -> None:
        self.destinations(
            f"connections:\n  relay: {{type: smtp, host: 127.0.0.1, port: {port}, security: none{more}}}\n"
            "channels: {email: relay}\n"
        )

    def webhook(self, port: int, more: str = "", channels: str = "{email: hook}") -> None:
        self.destinations(
            f'connections:\n  hook: {{type: webhook, url: "http://127.0.0.1:{port}/in", private_network: true{more}}}\n'
            f"channels: {channels}\n"
        )

    def apply(
        self,
        addresses: list[str],
        plan_id: str = "plan1",
        *,
        names: list[str | None] | None = None,
        klass: str = "marketing",
        priority: int = 50,
        expires: timedelta | None = timedelta(days=30),
        sync_rows: int = 0,
        removes: int = 0,
        batch_size: int = 2,
        destination: str = "hook",
        consents: tuple[dict[str, object], ...] = (),
        channel: str = "email",
        topic: str | None = None,
        is_draft: bool = False,
        step: str = "hello",
        wait: timedelta = timedelta(0),
        hours: dict[str, object] | None = None,
        target: str = "people",
    ) -> None:
        """Store and apply a plan that sends one message to each address, and syncs rows with keys 0, 1, …

        The last `removes` of the rows are to be removed; they fill batches of their own.
        """
        folder = self.settings.plans / plan_id
        folder.mkdir(parents=True)
        people = [ids.person_id(address) for address in addresses]
        intents = [ids.intent_id("welcome", step, ids.enrollment_id("welcome", person)) for person in people]
        self.intent_of |= dict(zip(addresses, intents, strict=True))
        names = names or ["Kim"] * len(addresses)
        text, n = pa.string(), len(addresses)
        pq.write_table(
            pa.table(
                {
                    "intent_id": pa.array(intents, text),
                    "person_id": pa.array(people, pa.int64()),
                    "address": pa.array(addresses, text),
                    "message_key": pa.array([KEY] * n, text),
                    "data": pa.array(
                        [json.dumps({"customer": {"first_name": name, "person_id": 1}}) for name in names], text
                    ),
                    "hours": pa.array([None if hours is None else json.dumps(hours)] * n, text),
                }
            ),
            folder / "payloads.parquet",
        )
        batches = []
        if sync_rows:
            rows = range(sync_rows)
            pq.write_table(
                pa.table(
                    {
                        "key": [json.dumps({"id": str(row)}) for row in rows],
                        "op": ["add"] * (sync_rows - removes) + ["remove"] * removes,
                        "row_hash": ["h"] * sync_rows,
                        "data": [
                            json.dumps({"id": str(row), "plan": "pro"}) if row < sync_rows - removes else None
                            for row in rows
                        ],
                        "batch_no": pa.array([row // batch_size for row in rows], pa.int32()),
                        "position": pa.array([row % batch_size for row in rows], pa.int32()),
                    }
                ),
                folder / "sync_s.parquet",
            )
            sizes = Counter(row // batch_size for row in rows)
            assert (sync_rows - removes) % batch_size == 0 or not removes
            batches = [
                SyncBatch("s", number, size, destination, target, number * batch_size >= sync_rows - removes)
                for number, size in sorted(sizes.items())
            ]
        (folder / "consents.json").write_text(json.dumps(consents))
        moment = pa.timestamp("us")
        at = self.now.replace(tzinfo=None)
        table = pa.table(
            {
                "intent_id": pa.array(intents, text),
                "campaign": pa.array(["welcome"] * n, text),
                "version": pa.array(["v1"] * n, text),
                "step": pa.array([step] * n, text),
                "enrollment_id": pa.array(intents, text),
                "person_id": pa.array(people, pa.int64()),
                "channel": pa.array([channel] * n, text),
                "topic": pa.array([topic] * n, text),
                "is_draft": pa.array([is_draft] * n, pa.bool_()),
                "message": pa.array(["hello"] * n, text),
                "class": pa.array([klass] * n, text),
                "priority": pa.array([priority] * n, pa.int32()),
                "deliver_after": pa.array([at + wait] * n, moment),
                "expires_at": pa.array([None if expires is None else at + expires] * n, moment),
            }
        )
        (self.settings.plans / "HEAD").write_text(plan_id)
        with Journal.open(self.settings) as journal:
            journal.apply_plan(plan_id, None, self.now, self.now, table, batches)

    def go_live(self) -> None:
        with Journal.open(self.settings) as journal:
            journal.live_acquire("ops", "tests", self.now)

    def deliver(self, **options) -> Delivered:
        with Journal.open(self.settings) as journal:
            return deliver(
                self.settings,
                journal,
                self.plans,
                now=lambda: self.now.replace(microsecond=0),
                moment=lambda: self.now,
                sleep=self.sleep,
                renderer=self.renderer,
                **options,
            )

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.later(seconds=seconds)

    def approve(self, *addresses: str) -> None:
        with Journal.open(self.settings) as journal:
            journal.approve([self.intent_of[address] for address in addresses], "kim", "read it", self.now)

    def reject(self, *addresses: str) -> None:
        with Journal.open(self.settings) as journal:
            journal.reject([self.intent_of[address] for address in addresses], "kim", "no", self.now)

    def states(self) -> dict[str, str]:
        """Return the state of each address's message."""
        with Journal.open(self.settings) as journal:
            by_id = {
                intent.intent_id: intent.state
                for address in self.intent_of
                for intent in journal.intents_of(ids.person_id(address))
            }
        return {address: by_id[intent] for address, intent in self.intent_of.items()}

    def codes(self, address: str) -> list[str]:
        """Return the story of the address's message as `what:code`."""
        with Journal.open(self.settings) as journal:
            return [f"{line.what}:{line.code}" for line in journal.history([self.intent_of[address]])][1:]

    def later(self, **delta: float) -> None:
        self.now += timedelta(**delta)


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


class Inbox:
    """An SMTP server that counts what it took over; `behaviour` maps a recipient to what happens instead.

    rcpt:550 refuses the recipient, data:451 refuses after the dot; hang takes the mail and never answers; drop takes
    it and closes the connection.
    """

    def __init__(self) -> None:
        self.behaviour: dict[str, str] = {}
        self.taken: Counter[str] = Counter()
        self.bodies: dict[str, bytes] = {}
        self.connections = 0
        self.some_taken = threading.Event()

    async def handle_EHLO(self, server, session, envelope, hostname, responses):  # noqa: N802
        self.connections += 1
        session.host_name = hostname
        return responses

    async def handle_MAIL(self, server, session, envelope, address, options):  # noqa: N802
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(self, server, session, envelope, address, options):  # noqa: N802
        behaviour = self.behaviour.get(address, "")
        if behaviour.startswith("rcpt:"):
            return f"{behaviour[5:]} no, said about {address}"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):  # noqa: N802
        assert len(envelope.rcpt_tos) == 1
        (address,) = envelope.rcpt_tos
        behaviour = self.behaviour.get(address, "")
        if behaviour.startswith("data:"):
            return f"{behaviour[5:]} no, said about {address}"
        self.taken[address] += 1
        self.bodies[address] = envelope.original_content
        self.some_taken.set()
        if behaviour == "hang":
            await asyncio.sleep(3600)
        if behaviour == "drop":
            server.transport.abort()
        return "250 taken"


class Post:
    """The running server of an Inbox."""

    def __init__(self) -> None:
        self.inbox = Inbox()
        self.port = free_port()
        self._controller = Controller(self.inbox, hostname="127.0.0.1", port=self.port)

    def __enter__(self) -> Post:
        self._controller.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._controller.stop()


_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["delivery_world"])


def _child(
    root: Path,
    now: datetime,
    crash_at: str,
    calls: str,
    mode: str,
    workers: int,
    environment: dict[str, str],
    channel: str,
) -> None:
    os.environ.update(environment | ({"TAILRACE_CRASH_AT": crash_at} if crash_at else {}))
    world = World(root)
    world.now = now
    world.plans.mode = mode
    if calls:
        world.renderer = CallRenderer(calls)
    elif channel:
        world.renderer = NamingRenderer(channel)
    world.deliver(workers=workers)


def start_sender(
    root: Path,
    now: datetime,
    crash_at: str = "",
    calls: str = "",
    mode: str = "mirror",
    workers: int = 1,
    environment: dict[str, str] | None = None,
    channel: str = "",
):
    """Return a running process that delivers from the world at `root`, and dies where `crash_at` says.

    With `calls`, what it delivers are webhook steps that call this address; with `channel`, words for that channel that
    name who they are for. `mode` is that of its syncs; `environment` has what it needs to get to its far end.
    """
    process = _CONTEXT.Process(
        target=_child, args=(root, now, crash_at, calls, mode, workers, environment or {}, channel)
    )
    process.start()
    return process


def _applying(root: Path, people: list[str], crash_at: str) -> None:
    os.environ["TAILRACE_CRASH_AT"] = crash_at
    World(root).apply(people)


def start_applying(root: Path, people: list[str], crash_at: str):
    """Return a running process that applies a plan to the world at `root`, and dies where `crash_at` says."""
    process = _CONTEXT.Process(target=_applying, args=(root, people, crash_at))
    process.start()
    return process
