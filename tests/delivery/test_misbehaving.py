"""Every destination over HTTP, found by discovery, against a server that misbehaves in every way that servers do.

A destination that lands later is in here by itself: what is needed of it stands in the tables of `test_shape.py`.
"""

from __future__ import annotations

import json
from collections import Counter
from types import SimpleNamespace

import pyarrow as pa
import pytest
from delivery_world import ParquetPlans, World, free_port
from far_vendors import HTTP, aimed_at, channel_of, granted
from receiver import Receiver, answer
from tests.destinations import test_shape as shape

from tailrace.destinations import transport
from tailrace.destinations.base import discover
from tailrace.journal import Journal

HTML = b"<html><body>Bad gateway, kim@people.test</body></html>"

# What the server does once, and what may then become of a row whose call reached it.
LOST = {"unknown"}
NOT_TAKEN = {"retry_later"}
MISBEHAVES = {
    "refuses": (None, NOT_TAKEN),
    "throttles": (answer(429, HTML, retry_after="1800"), NOT_TAKEN),
    # A vendor may say of its 500 that nothing was done; where it does not, nobody knows.
    "fails": (answer(500, HTML, content_type="text/html"), NOT_TAKEN | LOST),
    "hangs": ("hang", LOST),
    "answers by half": ("half", LOST),
    "answers garbage": (answer(200, HTML, content_type="text/html"), LOST),
    "hangs up": ("reset", LOST),
    "trickles": ("trickle", LOST),
    "does not end": ("huge", LOST),
    "is a proxy": (answer(502, HTML, content_type="text/html"), LOST),
    "redirects": (answer(302, b"", location="/elsewhere"), {"blocked"}),
}
# A message each, rows, and events: those that `make test` asks; `make torture` asks all.
SOME = ("postmark", "webhook", "customerio", "segment")
# What a destination says of itself that differs, and why.
OTHERWISE: dict[tuple[str, str], set[str]] = {}


class People(ParquetPlans):
    """A plan whose one batch has the rows that the destination is asked about in `test_shape.py`."""

    def __init__(self, root, name):
        super().__init__(root)
        self.rows = shape.batch_for(name).rows
        self.mode = "upsert" if "upsert" in discover()[name].CAPABILITIES.modes else "append"

    def sync_ops(self, plan_id, sync, batch_no):
        said = [
            {"position": row.position, "op": row.op, "key": json.dumps(row.key), "data": json.dumps(row.data)}
            for row in self.rows
        ]
        return pa.Table.from_pylist(said)


class Words:
    """Renders what `test_shape.py` says on the destination's channel."""

    def __init__(self, name):
        said = shape.MESSAGES.get(name, shape.MESSAGE).rendered
        self.said = SimpleNamespace(
            subject=said.subject, html=said.html, text=said.text, headers={}, from_name="Acme", from_email="a@acme.test"
        )

    def render(self, source, data, *, message_key=None):
        return self.said


class Ground:
    """An installation that delivers to one destination whose address is the receiver's."""

    def __init__(self, root, name, receiver, monkeypatch, private_key):
        assert name in shape.SETTINGS, (
            f"`{name}` is a destination over HTTP without an entry: add its settings to SETTINGS, its healthy answer to"
            " REPLIES and, where they are not the usual ones, its message to MESSAGES and its columns to KEYS and"
            " COLUMNS in tests/destinations/test_shape.py"
        )
        self.name, self.receiver = name, receiver
        self.module = discover()[name]
        self.can = self.module.CAPABILITIES
        self.world = World(root)
        self.world.plans = People(self.world.settings.plans, name)
        self.world.renderer = Words(name)
        self.private_key, self.monkeypatch = private_key, monkeypatch
        self.channel = channel_of(name)
        self.aim(receiver.port)
        target = shape.TARGETS.get(name, "people")
        if self.can.takes_batches:
            self.world.apply([], sync_rows=3, batch_size=3, target=target)
        else:
            address = "+14155550123" if self.channel == "sms" else "kim@people.test"
            self.world.apply([address], channel=self.channel)
        self.world.go_live()

    def aim(self, port):
        """Let the destination's address be this port."""
        settings, environment = aimed_at(port, self.name, self.private_key, {"timeout_seconds": 0.4})
        for variable, value in environment.items():
            self.monkeypatch.setenv(variable, value)
        document = {"connections": {"hook": settings}}
        document["channels"] = {} if self.can.takes_batches else {self.channel: "hook"}
        self.world.destinations(json.dumps(document))

    def outcomes(self):
        """Return the last word on each row, or on the message."""
        if not self.can.takes_batches:
            with Journal.open(self.world.settings) as journal:
                return [journal.mirror("outcomes", 0)["outcome"].to_pylist()[-1]]
        with Journal.open(self.world.settings) as journal:
            said = journal.acknowledged_rows(0).sort_by("seq").to_pylist()
        latest = {row["position"]: row["outcome"] for row in said}
        return [latest.get(place, "waits") for place in range(3)]


@pytest.fixture
def far_end():
    running = Receiver()
    yield running
    running.close()


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.torture] * (name not in SOME)) for name in HTTP]
)
def test_whatever_the_server_does_each_row_has_the_right_outcome_and_none_is_lost_or_repeated(
    name, far_end, tmp_path, monkeypatch, private_key
):
    acted = []
    made = transport.HttpSession._call

    def call(session, request):
        before = len(far_end.calls)
        reply = made(session, request)
        acted.append((request.acts and len(far_end.calls) > before, request.url, request.body))
        return reply

    monkeypatch.setattr(transport.HttpSession, "_call", call)
    monkeypatch.setattr(transport, "LONGEST_ANSWER", 200_000)
    problems = []
    for number, (what, (told, allowed)) in enumerate(MISBEHAVES.items()):
        ground = Ground(tmp_path / str(number), name, far_end, monkeypatch, private_key)
        healthy = shape.REPLIES[name]
        token = granted(far_end.port)
        well = answer(healthy.status, healthy.body)

        def behave(call, told=told, well=well, token=token):
            return token if "token" in call.path else well if told is None else told

        far_end.otherwise = behave
        acted.clear()
        if told is None:
            ground.aim(free_port())
        done = ground.world.deliver()
        tally = done.rows if ground.can.takes_batches else done.messages
        reached = [body for is_act, _, body in acted if is_act]
        expected = OTHERWISE.get((name, what), allowed)
        found = {code.partition(":")[0] for code in tally.codes}
        if not reached and "blocked" not in expected:
            # It asked before it acted: nothing was handed over, so that nothing is unknown.
            expected = expected | NOT_TAKEN | {"blocked"}
        elif ground.can.is_idempotent and not ground.can.takes_batches:
            expected = expected | NOT_TAKEN
        if not found <= expected:
            problems.append(f"{what}: {dict(tally.codes)}, expected {sorted(expected)}")
        if any("elsewhere" in url for _, url, _ in acted):
            problems.append(f"{what}: it was followed")

        far_end.otherwise = lambda call, well=well, token=token: token if "token" in call.path else well
        ground.aim(far_end.port)
        ground.world.later(hours=1)
        ground.world.deliver()
        last = ground.outcomes()
        is_unknown = found == {"unknown"}
        if not set(last) <= ({"accepted", "unknown"} if is_unknown else {"accepted"}):
            problems.append(f"{what}: in the end {last}")
        forbids = not ground.can.is_idempotent and (not ground.can.takes_batches or ground.world.plans.mode == "append")
        repeated = [n for n in Counter(body for is_act, _, body in acted if is_act).values() if n > 1]
        if forbids and is_unknown and repeated:
            problems.append(f"{what}: said {repeated} times")
    assert not problems, "\n".join([name, *problems])


def test_every_destination_over_http_is_driven():
    assert {"webhook", "slack"} <= set(HTTP)
    assert len(HTTP) >= 15
