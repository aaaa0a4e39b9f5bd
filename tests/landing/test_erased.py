"""Whose line is whose, when somebody was erased: what goes from the landing, and what is left out of it afterwards."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tailrace import engine, ids
from tailrace.landing import erased, erasing, packing
from tailrace.landing.erased import Device, Erasure, Listed
from tailrace.landing.land import landing
from tailrace.landing.loads import loads
from tailrace.landing.retry import retry
from tests.landing.conftest import AS_OF, World, call, compact

UNTIL = datetime(2026, 10, 5, tzinfo=UTC)
HERS: list[dict[str, Any]] = [
    call(messageId="hers-1"),
    call(messageId="hers-2", type="alias", event=..., userId="u9", previousId="u1"),
    call(messageId="hers-3", userId=..., anonymousId="a1", timestamp="2026-10-05T00:00:00Z"),
    call(messageId="hers-4", type="identify", event=..., userId="u8", traits={"email": " Ana@X.test "}),
    call(messageId="hers-5", userId=..., anonymousId="a7", properties={"address": "ana@x.test"}),
    call(messageId="hers-6", timestamp="yesterday"),
]
OTHERS: list[dict[str, Any]] = [
    call(messageId="o-1", userId="U1"),
    call(messageId="o-2", userId=..., anonymousId="a1", timestamp="2026-10-05T00:00:01Z"),
    call(messageId="o-3", userId="u2", anonymousId="a1", timestamp="2026-10-04T00:00:00Z"),
    call(messageId="o-4", userId="u2", properties={"note": "u1", "email": "anna@x.test"}),
    call(messageId="o-5", userId="u2", timestamp="yesterday"),
]
BROKEN = {"hers": [b'{"userId": "u1", ', b'["ANA@x.test"', '{"userId": "u1", "n": "ä"}'.encode("latin-1")],
          "others": [b'{"userId": "u12", ', b'{"n": 1, "u1x": "u2", ']}  # fmt: skip


def person(world: World) -> Listed:
    salt = erased.known_salt(world.settings) or erased.make_salt(world.settings)
    record = Erasure(
        erasure_id="ab12", at=AS_OF, who="kim", reason="ticket", salt=erased.check(salt), as_of=AS_OF, persons=(1,),
        people=1, users=(ids.salted(salt, "user", "u1"),), addresses=(ids.salted(salt, "address", "ana@x.test"),),
        shared=0, devices=(Device(anonymous=ids.salted(salt, "anonymous", "a1"), since=None, until=UNTIL),), keys={},
        state="done", found={}, destinations=(),
    )  # fmt: skip
    return Listed(salt, (record,))


def lines() -> list[bytes]:
    return [*(compact(each) for each in (*HERS, *OTHERS)), *BROKEN["hers"], *BROKEN["others"]]


def held(world: World) -> tuple[set[str], set[str]]:
    """Return the ids of the events, and of the quarantined lines that were calls."""
    events = {row[0] for row in world.events("event_id")}
    (load,) = [load for load in loads(world.settings) if load.load_seq == 1]
    quarantined = {str(part.rows) for part in load.parquet if part.name.startswith("quarantine")}
    return events, quarantined


@pytest.fixture
def world_of_two(world: World) -> World:
    done = world.lines(*lines())
    assert (done.landed, done.quarantined, done.erased) == (9, 7, 0)
    return world


def test_what_is_theirs_goes_and_nothing_else(world_of_two: World) -> None:
    world, who = world_of_two, person(world_of_two)
    dry = erasing.erase(world.settings, who, is_dry=True)
    assert len(held(world)[0]) == 9

    done = erasing.erase(world.settings, who, is_dry=False)

    assert dry == done == erasing.Gone(events=5, lines=4, acts=0, loads=1)
    assert held(world) == ({"o-1", "o-2", "o-3", "o-4"}, {"3"})
    (load,) = loads(world.settings)
    assert (load.lines, load.landed, load.quarantined, load.erased) == (16, 4, 3, 9)
    assert sum(load.reasons.values()) == 3
    files = sorted(path.name for path in (world.settings.landing / "loads" / load.load_id).iterdir())
    assert files == sorted([*(part.name for part in load.parquet), "load.json"])
    assert erasing.erase(world.settings, who, is_dry=False) == erasing.Gone(0, 0, 0, 0)


@pytest.mark.parametrize(
    ("user", "line"),
    [
        ("auth0|5f7c", b"auth0|5f7c,2026-10-01,paid"),
        ("auth0|5f7c", b"2026-10-01;auth0|5f7c"),
        ("auth0|5f7c", b"{'userId': 'auth0|5f7c', 'n': 1}"),
        ("auth0/5f7c", rb'{"userId":"auth0\/5f7c", '),
        ("jos\u00e9-7", rb'{"userId":"jos\u00e9-7", '),
        ("urn:user:7", b"2026-10-01,urn:user:7"),
        ("CORP\\bob", rb"CORP\bob,2026-10-01"),
        ("u1", b"{'userId': 'u1', "),
        ("user-17", b"'user-17',\xff"),
        ("user-17", '{"userId": "user-17", '.encode("utf-16")),
        ("user-17", '{"userId": "user-17", '.encode("utf-16-le")),
        ("user-17", "2026-10-01;user-17;ü".encode("utf-16-be")),
        ("user:17/ü", b"GET /?id=user%3A17%2F%C3%BC&n=1 HTTP/1.1"),
        ("50%off", b"50%off,2026-10-01"),
        ("50%/off", rb'{"userId":"50%\/off", '),
    ],
)
def test_a_line_nobody_could_read_is_told_by_an_id_however_it_is_written(world: World, user: str, line: bytes) -> None:
    who = person(world)
    hashes = (ids.salted(who.salt, "user", user),)
    named = Listed(who.salt, (who.erasures[0].model_copy(update={"users": hashes}),))
    with engine.connect(world.settings) as connection:
        for listed, is_theirs in ((named, True), (who, user == "u1")):
            erased.show(connection, listed)
            query = f"select {erased.said_of_them('$line')}"
            assert connection.execute(query, {"line": line}).fetchall() == [(is_theirs,)]


def test_what_comes_later_is_left_out_and_counted(world: World) -> None:
    erased.write(world.settings, person(world).erasures[0])

    done = world_lines(world)

    assert (done.landed, done.quarantined, done.erased) == (4, 3, 9)
    assert held(world) == ({"o-1", "o-2", "o-3", "o-4"}, {"3"})
    assert world_lines(world, name="again.jsonl", more=[compact(call(messageId="new", userId="u3"))]).erased == 9


def world_lines(world: World, name: str = "in.jsonl", more: list[bytes] | None = None) -> Any:
    from tailrace.landing.land import land

    done = land(world.settings, [world.file(name, *lines(), *(more or []))], "app", as_of=AS_OF)
    assert done.lines == done.landed + done.duplicate + done.quarantined + done.erased
    return done


def test_a_retry_that_finds_a_line_to_be_theirs_forgets_it(world: World) -> None:
    world.contract(
        "app", "format: csv\nmapping: {type: {const: track}, event: {const: Paid}, user_id: who, timestamp: at}\n"
    )
    world.lines(b"who,at", b"id-of-hers!,later", b"id-of-his,later", name="in.csv")
    salt = erased.make_salt(world.settings)
    record = person(world).erasures[0].model_copy(update={"users": (ids.salted(salt, "user", "hers"),)})
    erased.write(world.settings, record)
    world.contract(
        "app",
        "format: csv\nmapping: {type: {const: track}, event: {const: Paid}, user_id: {const: hers},"
        " timestamp: {const: 2026-01-01}}\n",
    )

    done = retry(world.settings, as_of=AS_OF)

    assert (done.lines, done.landed, done.quarantined, done.erased) == (2, 0, 0, 2)
    assert not [path for path in world.settings.landing.rglob("*.parquet") if b"id-of-hers" in path.read_bytes()]
    assert retry(world.settings, as_of=AS_OF).lines == 0


@pytest.mark.torture
def test_packed_loads_lose_the_lines_too_and_one_without_any_left_stands_on_its_own(world: World) -> None:
    for number in range(9):
        hers = [compact(call(messageId=f"hers-{number}"))]
        his = [compact(call(messageId=f"o-{number}", userId="u2"))] if number else []
        world.lines(*hers, *his, name=f"{number}.jsonl")
    with landing(world.settings):
        packing.pack(world.settings, is_dry=False)
    erasing.erase(world.settings, person(world), is_dry=False)

    assert {row[0] for row in world.events("event_id")} == {f"o-{number}" for number in range(1, 9)}
    assert [load.landed for load in loads(world.settings)] == [0, *[1] * 8]
    world.lines(*(compact(call(messageId=f"n-{number}", userId="u2")) for number in range(3)), name="new.jsonl")
    with landing(world.settings):
        packing.pack(world.settings, is_dry=False)
        packing.remove_replaced(world.settings, before=(AS_OF + timedelta(days=9999)).timestamp(), is_dry=False)
    assert len(world.events("event_id")) == 11


def test_nobody_is_asked_about_while_nobody_was_erased(world: World) -> None:
    assert world.lines(*lines()).erased == 0
    assert not world.settings.erasures.exists()
    assert json.dumps(loads(world.settings)[0].model_dump(mode="json")["erased"]) == "0"
