"""Stand-ins for the vendors that are called over HTTP: what each is given, and what it answers when all is well.

Who is meant is a name that stands in every message and row as it is, so that it is found in whatever was said.
"""

from __future__ import annotations

import json
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from receiver import Call, Receiver, Reply, answer
from tests.destinations import test_shape as shape

from tailrace.destinations.base import discover

FILES = frozenset({"files"})
"""Not calls but stored objects, by a client of its own."""
HTTP = sorted(
    name
    for name, module in discover().items()
    if "private_network" in module.Settings.model_fields and name not in FILES
)
BATCH = 3
"""Rows of a batch; the answers of those who count are made for so many."""

_NAME = re.compile(r"zq\d{4}x")


def name_of(number: int) -> str:
    return f"zq{number:04d}x"


def names_in(call: Call) -> list[str]:
    """Return whom a call names, each once."""
    return list(dict.fromkeys(_NAME.findall(call.body.decode())))


class Said(NamedTuple):
    """How rows of a sync are said to a destination.

    `leaves` tells a call that takes people out; `known_by` returns the ids by which the vendor knows a repeat, one for
    each row of the call.
    """

    target: str
    key: str
    answer: bytes | Callable[[Call], bytes]
    columns: Mapping[str, Any] = {}
    settings: Mapping[str, Any] = {}
    leaves: Callable[[Call], bool] = lambda call: False
    known_by: Callable[[Call], list[str]] | None = None


def _found(call: Call) -> bytes:
    """Answer a look-up of records: each of those is there, and its id is its key."""
    if not call.path.endswith("/read"):
        return b"{}"
    found = [{"id": name, "properties": {"email": name}} for name in names_in(call)]
    return json.dumps({"status": "COMPLETE", "results": found}).encode()


def _of_records(call: Call) -> bytes:
    """Answer an upsert of records, or requests for one each."""
    each = [{"success": True, "statusCode": 204}] * len(names_in(call))
    return json.dumps({"results": each} if call.path.endswith("/composite/batch") else each).encode()


AUDIENCES = {
    "amplitude": Said(
        "cohort:c", "user_id", b'{"memberships_result": []}', settings={"secret_key_env": "FAR_SECRET"},
        leaves=lambda call: b'"REMOVE"' in call.body,
    ),
    "braze": Said(
        "attribute:vip", "external_id", b'{"message": "success"}', leaves=lambda call: b'"vip":false' in call.body
    ),
    "customerio": Said("segment:7", "id", b"{}", leaves=lambda call: "/remove_customers" in call.path),
    "google_data_manager": Said(
        "123", "user_id", b'{"requestId": "r1"}', leaves=lambda call: call.path.endswith(":remove")
    ),
    "hubspot": Said("lists/9", "email", _found, leaves=lambda call: b'"recordIdsToAdd":[]' in call.body),
    "iterable": Said(
        "list:3", "user_id", b'{"successCount": 3, "failCount": 0}', leaves=lambda call: "/unsubscribe" in call.path
    ),
    "meta_ads": Said(
        "123", "extern_id", b'{"num_received": 3, "num_invalid_entries": 0}',
        leaves=lambda call: call.method == "DELETE",
    ),
    "mixpanel": Said("property:vip", "distinct_id", b'{"status": 1}', leaves=lambda call: b'"$unset"' in call.body),
    "salesforce": Said(
        "Contact", "Ext__c", _of_records, settings={"removal": "delete"},
        leaves=lambda call: b'"DELETE"' in call.body,
    ),
    "segment": Said(
        "trait:vip", "user_id", b'{"success": true}', leaves=lambda call: b'"vip":false' in call.body
    ),
    "webhook": Said("people", "id", b"ok", leaves=lambda call: b'"remove"' in call.body),
}  # fmt: skip
"""By destination; who is in it at the end is who should be."""
EVENTS = {
    "amplitude": Said(
        "events", "user_id", b'{"code": 200, "events_ingested": 3}', {"event_type": "bought"},
        known_by=lambda call: [one["insert_id"] for one in call.said["events"]],
    ),
    "braze": Said(
        "events", "external_id", b'{"message": "success"}', {"name": "bought", "time": "2026-03-01T06:00:00Z"}
    ),
    "customerio": Said(
        "events", "id", b"{}", {"name": "bought"}, known_by=lambda call: [one["id"] for one in call.said["batch"]]
    ),
    "customerio_broadcast": Said("4", "id", b'{"id": 7}'),
    "iterable": Said(
        "events", "user_id", b'{"successCount": 3, "failCount": 0}', {"event_name": "bought"},
        known_by=lambda call: [one["id"] for one in call.said["events"]],
    ),
    "mixpanel": Said(
        "events", "distinct_id", b'{"code": 200, "num_records_imported": 3}', {"event": "bought", "time": 1772345678},
        known_by=lambda call: [one["properties"]["$insert_id"] for one in call.said],
    ),
    "segment": Said(
        "events", "user_id", b'{"success": true}', {"event": "bought"},
        known_by=lambda call: [one["messageId"] for one in call.said["batch"]],
    ),
    "webhook": Said("people", "id", b"ok"),
    "webhook that knows repeats": Said(
        "people", "id", b"ok", settings={"is_idempotent": True},
        known_by=lambda call: [f"{call.headers['idempotency-key']}/{n}" for n in range(BATCH)],
    ),
}  # fmt: skip
"""By destination; each is said once, or the vendor is told by what it knows it again."""


def channel_of(name: str) -> str:
    """Return the channel on which a destination is told what `test_shape.py` has for it."""
    channels = discover()[name].CAPABILITIES.channels
    said = shape.MESSAGES.get(name, shape.MESSAGE).channel
    return said if said in channels else min(channels, default="")


def aimed_at(port: int, name: str, private_key: str, more: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Return a connection whose vendor is at this port, and the environment with its secrets."""
    url = f"http://127.0.0.1:{port}"
    settings = {"type": name, "private_network": True} | dict(shape.SETTINGS[name]) | dict(more)
    fields = discover()[name].Settings.model_fields
    settings |= {"base_url": url} if "base_url" in fields else {}
    settings |= {"url": f"{url}/in"} if "url" in fields else {}
    google = {"project_id": "p", "client_email": "a@b.test", "token_uri": f"{url}/token", "type": "service_account"}
    secrets = dict(shape.SECRETS) | {"url_env": f"{url}/services"}
    secrets |= dict.fromkeys(("key_env", "credentials_env"), json.dumps(google | {"private_key": private_key}))
    environment = {
        variable: secrets.get(field, "canary") for field, variable in settings.items() if field.endswith("_env")
    }
    return settings, environment


def granted(port: int) -> Reply:
    """Return the answer to who asks for a token."""
    said = {"access_token": "t", "expires_in": 3600, "instance_url": f"http://127.0.0.1:{port}"}
    return answer(200, json.dumps(said).encode())


class Vendor:
    """A receiver that answers as a vendor does when all is well, and can kill who calls it before it answers."""

    def __init__(self, receiver: Receiver, well: Callable[[Call], Reply]) -> None:
        self.calls: list[Call] = []
        self.called = threading.Event()
        self.well, self.port = well, receiver.port
        self._lock = threading.Lock()
        self._left = 0
        self._kill: Callable[[], None] = lambda: None
        self._is_armed = threading.Event()
        receiver.otherwise = self.reply

    def kill_at(self, nth: int) -> Callable[[Callable[[], None]], None]:
        """Let the nth call from now on be its sender's last: it arrives, and is not answered.

        What is returned is told how to kill the sender, as soon as there is one.
        """
        self._left = nth
        self._is_armed.clear()

        def arm(kill: Callable[[], None]) -> None:
            self._kill = kill
            self._is_armed.set()

        return arm

    def reply(self, call: Call) -> Reply:
        if "token" in call.path:
            return granted(self.port)
        if call.path.endswith("/read"):
            return self.well(call)
        with self._lock:
            self.calls.append(call)
            self._left -= 1
            is_last = self._left == 0
        if is_last:
            self._is_armed.wait(30)
            self._kill()
        self.called.set()
        return self.well(call)

    def heard(self) -> Counter[str]:
        """Return how often each was named in a call."""
        return Counter(name for call in self.calls for name in names_in(call))

    def members(self, said: Said, before: set[str]) -> set[str]:
        """Return who is in the audience in the end, having begun with `before`."""
        there = set(before)
        for call in self.calls:
            there = there - set(names_in(call)) if said.leaves(call) else there | set(names_in(call))
        return there

    def known(self, said: Said) -> Iterator[tuple[str, str]]:
        """Yield each row that came, and the id by which the vendor knows it again."""
        assert said.known_by is not None
        for call in self.calls:
            yield from zip(names_in(call), said.known_by(call), strict=True)
