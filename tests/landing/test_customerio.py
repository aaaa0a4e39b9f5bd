from __future__ import annotations

import json
import re
from collections.abc import Iterable
from random import Random
from typing import Any

import pytest

from tailrace.errors import DefinitionError
from tailrace.landing.contract import load_contract
from tailrace.landing.loads import loads
from tailrace.landing.retry import retry
from tests.landing.conftest import AS_OF, World, compact
from tests.landing.hostile import Enemy

AT = 1790841600
WHEN = "2026-10-01 08:00:00"
COLUMNS = "type, event, user_id, anonymous_id, previous_id, group_id, properties, traits, rest, event_at::varchar"


@pytest.fixture
def cio(world: World) -> World:
    world.contract("cio", "format: customerio_track\nobjects: {'1': account}\n")
    return world


def v1(method: str, path: str, body: Any = ..., **keys: Any) -> dict[str, Any]:
    told = {} if body is ... else {"body": body}
    return {"method": method, "path": f"/api/v1/{path}", **told, "received_at": AT, **keys}


def v2(kind: str, action: str, **keys: Any) -> dict[str, Any]:
    return {"type": kind, "action": action, "timestamp": AT, **keys}


def row(kind: str, event: str | None = None, user: str | None = None, **keys: Any) -> tuple[Any, ...]:
    named = (keys.get(name) for name in ("anonymous", "previous", "group"))
    return (kind, event, user, *named, *(keys.get(name) for name in ("properties", "traits", "rest")), WHEN)


def kept(world: World) -> list[tuple[Any, ...]]:
    rows = world.events(COLUMNS, "cio")
    return [(*each[:6], *(text and json.loads(text) for text in each[6:9]), each[9]) for each in rows]


ANA, ACME = {"id": "42"}, {"object_type_id": "1", "object_id": "acme"}
RELATION = {"identifiers": ACME, "relationship_attributes": {"role": "admin"}}
MEMBER = row(
    "group", user="42", group="acme", traits={"object": "account", "relationshipAttributes": {"role": "admin"}}
)
ONE = {
    "v1 identify": (
        v1("PUT", "customers/42", {"email": "ana@example.test", "plan": "pro", "_update": True, "none": None}),
        row("identify", user="42", traits={"email": "ana@example.test", "plan": "pro", "none": None}),
    ),
    "v1 identify that tells nothing": (v1("PUT", "customers/43"), row("identify", user="43")),
    "v1 identify by address": (
        v1("put", "customers/Ana%2Bx%40Example.test/", {"plan": "pro"}),
        row("identify", user="ana+x@example.test", traits={"email": "ana+x@example.test", "plan": "pro"}),
    ),
    "v1 identify tells the id of an address": (
        v1("PUT", "customers/ana%40example.test", {"id": 42, "anonymous_id": "a-1", "_timestamp": AT}, received_at=1),
        row("identify", user="42", anonymous="a-1", previous="ana@example.test",
            traits={"email": "ana@example.test", "id": 42}),
    ),
    "v1 identify by id cannot rename": (
        v1("PUT", "customers/42", {"id": "43"}), row("identify", user="42", traits={"id": "43"})
    ),
    "v1 identify by cio_id": (v1("PUT", "customers/cio_0300", {"id": "42"}),
                              row("identify", user="42", previous="cio_0300", traits={"id": "42"})),
    "v1 an attribute may have any name": (
        v1("PUT", "customers/42", {"batch": 7, "type": "x", "status": 1, "timestamp": 5}),
        row("identify", user="42", traits={"batch": 7, "type": "x", "status": 1, "timestamp": 5}),
    ),
    "v1 event": (
        v1("POST", "customers/42/events", {"name": " order_paid ", "timestamp": AT, "data": {"total": 9.5}, "x": 1}),
        row("track", "order_paid", "42", properties={"total": 9.5}, rest={"x": 1}),
    ),
    "v1 page": (
        v1("POST", "customers/42/events", {"name": "https://x.test/a", "type": "page"}),
        row("page", "https://x.test/a", "42", properties={"url": "https://x.test/a"}),
    ),
    "v1 screen": (v1("POST", "customers/42/events", {"name": "Home", "type": "screen"}), row("screen", "Home", "42")),
    "v1 anonymous event": (
        v1("POST", "events", {"name": "seen", "anonymous_id": "a-1", "data": {"n": 1}}),
        row("track", "seen", anonymous="a-1", properties={"n": 1}),
    ),
    "v1 delete": (v1("DELETE", "customers/42"), row("track", "User Deleted", "42")),
    "v1 suppress": (v1("POST", "customers/42/suppress", {}), row("track", "User Suppressed", "42")),
    "v1 unsuppress": (v1("POST", "customers/42/unsuppress"), row("track", "User Unsuppressed", "42")),
    "v1 device": (
        v1("PUT", "customers/42/devices", {"device": {"id": "tok", "platform": "ios", "last_used": 5}}),
        row("track", "Device Created or Updated", "42", properties={"token": "tok", "platform": "ios", "last_used": 5}),
    ),
    "v1 device deleted": (
        v1("DELETE", "customers/42/devices/to%2Fk"), row("track", "Device Deleted", "42", properties={"token": "to/k"})
    ),
    "v1 merge": (
        v1("POST", "merge_customers", {"primary": {"id": "42"}, "secondary": {"email": "Ana@Example.test"}}),
        row("alias", user="42", previous="ana@example.test"),
    ),
    "v1 form": (
        v1("POST", "forms/newsletter/submit", {"data": {"email": "Ana@example.test", "name": "A"}}),
        row("track", "form_submitted", "ana@example.test",
            properties={"email": "Ana@example.test", "name": "A", "form": "newsletter"}),
    ),
    "v1 a whole address, a query, an ISO receipt, what a log adds": (
        {"method": "POST", "path": "https://track.customer.io/api/v1/customers/42/suppress?x=1",
         "host": "h", "status": 200,
         "received_at": "2026-10-01T10:00:00+02:00", "headers": {"authorization": "Basic c2VjcmV0"}},
        row("track", "User Suppressed", "42", rest={"host": "h"}),
    ),
    "v2 identify": (
        v2("person", "identify", identifiers=ANA, attributes={"plan": "pro", "_update": True}),
        row("identify", user="42", traits={"plan": "pro"}),
    ),
    "v2 identify by address tells the id": (
        v2("person", "identify", identifiers={"email": "A@x.test"}, attributes={"id": "42"}),
        row("identify", user="42", previous="a@x.test", traits={"email": "a@x.test", "id": "42"}),
    ),
    "v2 event": (
        v2("person", "event", identifiers={"cio_id": "0300"}, name="paid", attributes={"total": 1}, other=[1]),
        row("track", "paid", "cio_0300", properties={"total": 1}, rest={"other": [1]}),
    ),
    "v2 page": (v2("person", "page", identifiers={"phone": "+1555"}, name="/a", attributes={"url": "u"}),
                row("page", "/a", "+1555", properties={"url": "u"})),
    "v2 delete": (v2("person", "delete", identifiers=ANA), row("track", "User Deleted", "42")),
    "v2 device": (
        v2("person", "add_device", identifiers=ANA, device={"token": "t"}, attributes={"v": "2"}),
        row("track", "Device Created or Updated", "42", properties={"token": "t", "attributes": {"v": "2"}}),
    ),
    "v2 merge": (v2("person", "merge", primary=ANA, secondary={"cio_id": "cio_7"}),
                 row("alias", user="42", previous="cio_7")),
    "v2 relationship": (v2("person", "add_relationships", identifiers=ANA, cio_relationships=[RELATION]), MEMBER),
    "v2 relationship of which nothing is said": (
        v2("person", "add_relationships", identifiers=ANA,
           cio_relationships=[{"identifiers": ACME, "relationship_attributes": None}]),
        row("group", user="42", group="acme", traits={"object": "account"}),
    ),
    "v2 relationship of an object": (
        v2("object", "add_relationships", identifiers=ACME,
           cio_relationships=[{"identifiers": ANA, "relationship_attributes": {"role": "admin"}}]), MEMBER,
    ),
    "v2 relationship ended": (
        v2("person", "delete_relationships", identifiers=ANA, cio_relationships=[{"identifiers": ACME}]),
        row("group", user="42", group="acme", traits={"object": "account", "is_member": False}),
    ),
    "v2 object, of a type that has no name here": (
        v2("object", "identify", identifiers={"object_type_id": "2", "object_id": "c-1"}, attributes={"title": "T"}),
        row("group", group="c-1", traits={"object": "2", "title": "T"}),
    ),
    "v2 object deleted": (v2("object", "delete", identifiers=ACME),
                          row("track", "Object Deleted", group="acme", properties={"object": "account"})),
    "v2 logged": (
        {"method": "POST", "path": "/api/v2/entity", "received_at": AT,
         "body": {"type": "person", "action": "suppress", "identifiers": ANA}},
        row("track", "User Suppressed", "42"),
    ),
}  # fmt: skip


def told(rows: Iterable[tuple[Any, ...]]) -> set[str]:
    return {json.dumps(each, sort_keys=True) for each in rows}


def test_every_call_that_means_something_is_one_of_the_six(cio: World) -> None:
    # What v1 and v2 say alike is one event.
    done = cio.lines(*(compact(line) for line, _ in ONE.values()), source="cio")
    assert (done.landed + done.duplicate, done.reasons) == (len(ONE), {})
    assert told(kept(cio)) == told(meant for _, meant in ONE.values())


MANY: dict[str, tuple[dict[str, Any], list[tuple[Any, ...]]]] = {
    "batch": (
        {"batch": [line for name, (line, _) in ONE.items() if name.startswith("v2 ") and name != "v2 logged"]},
        [meant for name, (_, meant) in ONE.items() if name.startswith("v2 ") and name != "v2 logged"],
    ),
    "logged batch": (
        {"method": "POST", "path": "/api/v2/batch", "received_at": AT, "body": {"batch": [
            {"type": "person", "action": "delete", "identifiers": ANA},
            {"type": "person", "action": "suppress", "identifiers": ANA}]}},
        [row("track", "User Deleted", "42"), row("track", "User Suppressed", "42")],
    ),
    "v1 identify with relationships": (
        v1("PUT", "customers/42", {"plan": "pro", "_timestamp": AT, "cio_relationships": {
            "action": "add_relationships", "relationships": [RELATION, {"identifiers": {**ACME, "object_id": "b"}}]}}),
        [row("identify", user="42", traits={"plan": "pro"}), MEMBER,
         row("group", user="42", group="b", traits={"object": "account"})],
    ),
    "v1 identify with relationships as v2 has them": (
        v1("PUT", "customers/42", {"plan": "pro", "_timestamp": AT, "cio_relationships": [RELATION]}),
        [row("identify", user="42", traits={"plan": "pro"}), MEMBER],
    ),
    "v2 identify with a relationship": (
        v2("person", "identify", identifiers=ANA, attributes={"n": 1}, cio_relationships=[RELATION]),
        [row("identify", user="42", traits={"n": 1}), MEMBER],
    ),
    "v2 object with people": (
        v2("object", "identify", identifiers=ACME, attributes={"name": "Acme"},
           cio_relationships=[{"identifiers": ANA, "relationship_attributes": {"role": "admin"}},
                              {"identifiers": {"email": "B@x.test"}}]),
        [row("group", group="acme", traits={"object": "account", "name": "Acme"}), MEMBER,
         row("group", user="b@x.test", group="acme", traits={"object": "account"})],
    ),
    "v2 object with somebody unknown": (
        v2("object", "identify_anonymous", identifiers=ACME,
           cio_relationships=[{"identifiers": {"anonymous_id": "a-1"}}]),
        [row("group", anonymous="a-1", group="acme", traits={"object": "account"})],
    ),
    "several relationships": (
        v2("person", "delete_relationships", identifiers=ANA,
           cio_relationships=[{"identifiers": {**ACME, "object_id": each}} for each in ("a", "b")]),
        [row("group", user="42", group=each, traits={"object": "account", "is_member": False}) for each in ("a", "b")],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MANY)
def test_a_line_of_several_calls_counts_as_its_calls(cio: World, name: str) -> None:
    line, meant = MANY[name]
    done = cio.lines(compact(line), source="cio")
    assert (done.lines, done.reasons) == (len(meant), {})
    assert told(kept(cio)) == told(meant)


BAD = {
    "call_unknown": [
        v1("GET", "customers/42"), v1("PATCH", "customers/42", {}), v1("POST", "customers/42/events", {"type": "x"}),
        v2("person", "fly", identifiers=ANA), v2("thing", "identify", identifiers=ANA), {"path": "/other"}, {"a": 1},
    ],
    "call_not_kept": [
        v1("POST", "segments/7/add_customers", {"ids": ["42"]}), v1("POST", "metrics", {"delivery_id": "d"}),
        {"method": "POST", "path": "/unsubscribe/d-1", "body": {"unsubscribe": True}, "received_at": AT},
        v2("delivery", "event", identifiers={"id": "d-1"}, name="opened"),
    ],
    "call_refused": [v1("DELETE", "customers/42", status=401), v1("DELETE", "customers/42", status="what")],
    "identifiers_wrong": [
        v2("person", "delete", identifiers={}), v2("person", "delete", identifiers={"id": "1", "email": "a@x.test"}),
        v2("person", "delete"), v2("object", "delete", identifiers={"cio_object_id": "x"}),
        v1("POST", "merge_customers", {"primary": {"id": "1"}}),
    ],
    "id_missing": [v1("POST", "events", {"name": "invited", "data": {"recipient": "a@x.test"}})],
    "id_not_text": [
        v2("person", "delete", identifiers={"id": True}), v1("PUT", "customers/a%40x.test", {"id": [1]}),
    ],
    "event_missing": [v1("POST", "customers/42/events", {}), v1("POST", "customers/42/events")],
    "time_missing": [v2("person", "delete", identifiers=ANA, timestamp=None)],
    "time_invalid": [
        v2("person", "delete", identifiers=ANA, timestamp=AT * 1000),
        v2("person", "delete", identifiers=ANA, timestamp="2026-10-01T08:00:00Z"),
        v1("DELETE", "customers/42", received_at="yesterday"),
    ],
    "time_implausible": [v2("person", "delete", identifiers=ANA, timestamp=99999999999)],
    "body_not_an_object": [
        v1("PUT", "customers/42", [1]), v1("PUT", "customers/42", '{"a":1}'),
        v2("person", "identify", identifiers=ANA, attributes=[1]),
        v1("POST", "customers/42/events", {"name": "x", "data": "text"}),
        v1("PUT", "customers/42/devices", {"device": 1}),
        v2("person", "add_relationships", identifiers=ANA,
           cio_relationships=[{**RELATION, "relationship_attributes": [1]}]),
    ],
    "empty_batch": [{"batch": []}],
    "not_an_object": [[1], 7],
}  # fmt: skip


def test_what_means_nothing_is_kept_with_its_reason(cio: World) -> None:
    done = cio.lines(*(compact(line) for lines in BAD.values() for line in lines), source="cio")
    assert done.reasons == {reason: len(lines) for reason, lines in sorted(BAD.items())}


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"type":"person","action":"delete","identifiers":{"id":"1","id":"2"},"timestamp":1}', "duplicate_key"),
        (b'{"type":"person","action":"identify","identifiers":{"id":"1"},"attributes":{"a":NaN}}', "not_a_number"),
        (b'{"type":"person","action":"delete","identifiers":{"id":1.50},"timestamp":1}', "id_not_exact"),
        (b'{"batch":[{"type":"person","action":"delete"', "cut_short"),
        (b'{"batch":[{"type":"person","action":"delete","identifiers":{"id":"\\u0000"}}]}', "nul_character"),
        (b'{"batch":7}', "call_unknown"),
        (b'{"path":7,"method":"PUT"}', "call_unknown"),
        (b'{"batch":[7]}', "not_an_object"),
        (b'{"path":"/api/v1/customers/%ff","method":"DELETE","received_at":1790841600}', "id_missing"),
        (b'{"path":"/api/v1/customers/a%00b","method":"DELETE","received_at":1790841600}', "nul_character"),
        (b"\xff", "not_utf8"),
        (b'{"type":"person"', "cut_short"),
    ],
)
def test_hostile_lines_are_named(cio: World, line: bytes, reason: str) -> None:
    good = compact(v2("person", "delete", identifiers=ANA))
    done = cio.lines(good, line, compact(v2("person", "delete", identifiers={"id": "43"})), source="cio")
    assert (done.landed, done.reasons) == (2, {reason: 1})


def test_numbers_and_ids_are_kept_digit_by_digit(cio: World) -> None:
    body = b'{"id":9007199254740993,"n":123456789012345678901234567890,"x":1.10}'
    relation = b'"cio_relationships":[{"identifiers":{"object_type_id":"1","object_id":9007199254740993}}]'
    done = cio.lines(
        b'{"method":"PUT","path":"/api/v1/customers/a%40x.test","received_at":1790841600,"body":' + body + b"}",
        b'{"type":"person","action":"identify","timestamp":1790841600,"identifiers":{"id":9007199254740993},' + relation
        + b',"attributes":{"n":123456789012345678901234567890}}',
        source="cio",
    )  # fmt: skip
    assert (done.lines, done.reasons) == (3, {})
    assert {each[2] for each in kept(cio)} == {"9007199254740993"}
    assert {each[0] for each in cio.events("group_id", "cio")} == {(None), "9007199254740993"}
    traits = [each for (each,) in cio.events("traits", "cio") if "account" not in each]
    assert all('"n":123456789012345678901234567890' in each for each in traits)


def test_an_event_with_an_id_lands_once_and_quarantine_can_be_retried(cio: World) -> None:
    event = v1("POST", "customers/42/events", {"name": "paid", "id": "01KABCDEFGHJKMNPQRSTVWXYZ0", "timestamp": AT})
    late = v2("person", "delete", identifiers=ANA, timestamp=4102444800)
    done = cio.lines(
        compact(event), compact({**event, "received_at": AT + 9}), compact({"batch": [late]}), source="cio"
    )
    assert (done.landed, done.duplicate, done.reasons) == (1, 1, {"time_implausible": 1})
    cio.contract("cio", "format: customerio_track\ntimestamps: {to: 2200-01-01}\n")
    assert retry(cio.settings, as_of=AS_OF, source="cio").landed == 1
    assert len(loads(cio.settings)) == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("format: customerio_track\nmapping: {type: track}\n", "does not go with"),
        ("format: customerio_track\ntimestamps: {format: iso}\n", "`epoch_s`"),
        ("format: segment\nobjects: {'1': account}\n", "goes with"),
        ("format: customerio_trac\n", "Did you mean `customerio_track`"),
    ],
)
def test_a_contract_that_asks_for_what_is_not_said_is_refused(world: World, text: str, message: str) -> None:
    world.contract("cio", text)
    with pytest.raises(DefinitionError, match=message):
        load_contract(world.settings, "cio")


@pytest.mark.torture
@pytest.mark.parametrize("seed", range(2))
def test_whatever_an_enemy_writes_is_landed_or_named_and_nothing_stops(cio: World, seed: int) -> None:
    random = Random(seed)
    enemy = Enemy(random, 0.2)
    calls = [compact(line) for line, _ in [*ONE.values(), *MANY.values()]]
    calls += [compact(line) for lines in BAD.values() for line in lines]
    lines = []
    for _ in range(400):
        line = random.choice(calls)
        for _ in range(random.choice((0, 0, 1, 1, 2))):
            at, to = sorted(random.randrange(len(line) + 1) for _ in range(2))
            parts = re.split(rb"(?<=[:,\[{])|(?=[,\]}])", line)
            place = random.randrange(len(parts))
            line = random.choice((
                line[:at] + line[to:],
                line[:at] + line[at:to] * 2 + line[to:],
                b"".join([*parts[:place], enemy_value(enemy), *parts[place + 1 :]]),
                b"".join([*parts[:place], random.choice(parts), *parts[place:]]),
            ))  # fmt: skip
            line = line or b"{}"
        lines.append(line.replace(b"\n", b" "))
    first = cio.lines(*lines, source="cio")
    assert first.landed > 30
    # Judged by pieces of another size, and one by one, it is the same.
    other = World(cio.folder / "other")
    other.contract("cio", "format: customerio_track\nobjects: {'1': account}\n")
    half = len(lines) // 2
    files = [other.file(f"{n}.jsonl", *some) for n, some in enumerate((lines[half:], lines[:half]))]
    done = other.land(*files, source="cio")
    assert (done.lines, done.landed, done.reasons) == (first.lines, first.landed, first.reasons)
    assert told(kept(other)) == told(kept(cio))


def enemy_value(enemy: Enemy) -> bytes:
    enemy.is_loose = False
    return enemy.value().encode("utf-8")
