"""Whose an event is: through real dbt, in any order of arrival."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tailrace import clock, ids
from tailrace.journal.readings import MIRRORS
from tailrace.settings import Settings
from tailrace.warehouse.build import build
from tests.installation import read_before
from tests.warehouse.cast import call, land, track
from tests.warehouse.conftest import AS_OF, Built

Event = dict[str, Any]


def at(minute: int) -> str:
    return f"2026-02-{20 + minute // 600:02d}T{8 + minute % 600 // 60:02d}:{minute % 60:02d}:00Z"


def visit(device: str, minute: int, name: str = "Pricing") -> Event:
    return call("page", at(minute), anonymousId=device, name=name)


def did(device: str, minute: int, event: str = "demo_watched") -> Event:
    return call("track", at(minute), anonymousId=device, event=event, properties={})


def identified(user: str, device: str, minute: int) -> Event:
    return call("identify", at(minute), user, anonymousId=device, traits={"email": f"{user}@example.com"})


def aliased(user: str, device: str, minute: int) -> Event:
    return call("alias", at(minute), user, previousId=device)


def whose(settings: Settings, *devices: str) -> list[tuple[str, str | None]]:
    """What happened without a user id on the devices, in order of time: when, and whose it is."""
    connection = duckdb.connect(str(settings.warehouse), read_only=True)
    people = {ids.person_id(user): user for user in ("ann", "bob", "cat")}
    rows = connection.execute(
        "select event_at, person_id from core.fct_events"
        " where user_id is null and list_contains($devices, anonymous_id) order by event_at",
        {"devices": list(devices)},
    ).fetchall()
    connection.close()
    return [(f"{moment:%H:%M}", people.get(person)) for moment, person in rows]


def landed(folder: Path, seq: int, *events: Event) -> Any:
    return land(folder / "landing", events, seq=seq, landed_at="2026-03-01T05:30:00Z")


@pytest.mark.torture
def test_what_somebody_did_before_they_said_who_they_are_is_theirs_also_when_they_say_it_late(
    started: Built, tmp_path: Path
) -> None:
    first = landed(tmp_path, 3, visit("phone", 1), did("phone", 2, "trial_started"), visit("phone", 600))
    build(started.settings, AS_OF, (*started.loads, first))
    assert whose(started.settings, "phone") == [("08:01", None), ("08:02", None), ("08:00", None)]

    second = landed(tmp_path, 4, identified("ann", "phone", 5))
    built = replace(started, generation=build(started.settings, AS_OF, (*started.loads, first, second)))

    assert whose(started.settings, "phone") == [("08:01", "ann"), ("08:02", "ann"), ("08:00", "ann")]
    ann = ids.person_id("ann")
    assert built.ask("select subscription_status from core.dim_people where user_id = 'ann'") == [("trial",)]
    assert built.ask(
        "select n_events, n_pages from core.fct_person_days where person_id = ? order by event_on", ann
    ) == [
        (3, 1),
        (1, 1),
    ]


@pytest.mark.torture
def test_of_two_who_use_one_device_each_has_what_came_before_their_name_and_the_last_what_came_after(
    started: Built, tmp_path: Path
) -> None:
    events = [
        visit("tablet", 1),
        identified("ann", "tablet", 2),
        visit("tablet", 3),
        identified("bob", "tablet", 4),
        visit("tablet", 5),
    ]
    # Ann's name arrives last.
    loads = [landed(tmp_path, 3, *events[:1], *events[2:]), landed(tmp_path, 4, events[1])]
    build(started.settings, AS_OF, (*started.loads, loads[0]))
    assert whose(started.settings, "tablet") == [("08:01", "bob"), ("08:03", "bob"), ("08:05", "bob")]

    build(started.settings, AS_OF, (*started.loads, *loads))
    assert whose(started.settings, "tablet") == [("08:01", "ann"), ("08:03", "bob"), ("08:05", "bob")]


@pytest.mark.torture
def test_only_an_identify_or_an_alias_links(started: Built, tmp_path: Path) -> None:
    events = [
        visit("laptop", 1),
        track("ann", "logged_in", at(2)) | {"anonymousId": "laptop"},
        call("page", at(3), "ann", anonymousId="laptop", name="Home"),
        call("identify", at(4), anonymousId="laptop", traits={"email": "ann@example.com"}),
        visit("kiosk", 5),
        aliased("bob", "kiosk", 6),
    ]
    build(started.settings, AS_OF, (*started.loads, landed(tmp_path, 3, *events)))

    assert whose(started.settings, "laptop", "kiosk") == [("08:01", None), ("08:04", None), ("08:05", "bob")]


@dataclass(frozen=True)
class Stages:
    """What several people did, before a load says who they are, with that load, and when it is taken back."""

    before: Built
    told: Built
    taken_back: Built


CHAIN = [aliased(f"c{number + 1}", f"c{number}", 40 - number) for number in range(20)]
CIRCLE = [aliased("dan", "eva", 3), aliased("fay", "dan", 1), aliased("eva", "fay", 2)]
INTO_CIRCLE = [aliased("eva", "gus", 9)]
TWICE = [aliased("hal", "ida", 1), aliased("jim", "ida", 2), aliased("kit", "kit", 1)]
USED = [track(user, "logged_in", at(50)) for user in ("c0", "gus", "ida", "hal", "jim", "kit")]
TWO_IDS = [
    call("identify", at(1), "older", traits={"email": "ola@example.com", "first_name": "Ola", "country": "NO"}),
    call("identify", at(2), "newer", traits={"email": "ola@work.example.com"}),
    call("identify", at(3), "other", traits={"email": "ola@example.com"}),
    track("older", "unsubscribed", at(4), topic="product_tips"),
    track("newer", "subscribed", at(5), topic="other_news"),
    call("group", at(6), "older", groupId="acme", traits={"name": "Acme"}),
    identified("older", "mobile", 7),
    visit("mobile", 8),
]
SENT = [
    track("formerly", "logged_in", at(1)),
    track("nowadays", "logged_in", at(2)),
    call("track", at(600), event="email_opened", properties={"intent_id": "i1"}),
]
NAMELESS = [visit("phone", 1), did("phone", 2, "trial_started")]
NAMED_LATER = [
    did("watch", 1, "logged_in"),
    call("identify", "2026-03-05T08:00:00Z", "zoe", anonymousId="watch", traits={}),
]
TOLD = [identified("ann", "phone", 5), aliased("newer", "older", 9), aliased("nowadays", "formerly", 40)]


@pytest.fixture(scope="module")
def stages(cast: Built, tmp_path_factory: pytest.TempPathFactory) -> Stages:
    """Only to be looked at."""
    root = tmp_path_factory.mktemp("stages")
    noon = clock.naive(clock.parse("2026-02-20T12:00:00Z"))
    facts = {"seq": 1, "intent_id": "i1", "campaign": "tips", "step": "hello", "channel": "email"}
    moments = {"applied_at": noon, "recorded_at": noon, "acted_at": noon}
    act = {"kind": "update", "name": "onboarding_stage", "value": '"nudged"'}
    of_whom = {"person_id": ids.person_id("formerly")}
    mirror = {}
    for table in ("intents", "outcomes", "acts"):
        row = facts | moments | act | of_whom | {"class": "marketing", "outcome": "accepted", "attempt": 1}
        path = root / f"{table}.parquet"
        pq.write_table(pa.Table.from_pylist([row], schema=MIRRORS[table]), path)
        mirror[table] = [path]
    first = landed(root, 3, *CHAIN, *CIRCLE, *INTO_CIRCLE, *TWICE, *USED, *TWO_IDS, *SENT, *NAMELESS, *NAMED_LATER)
    loads = (*cast.loads, first)
    found = []
    last = cast
    for name, shown in (("before", loads), ("told", (*loads, landed(root, 4, *TOLD))), ("taken-back", loads)):
        copy = last.copy(root / name)
        last = replace(copy, generation=build(copy.settings, AS_OF, shown, mirror), loads=shown)
        found.append(last)
    return Stages(*found)


@pytest.mark.torture
def test_who_says_their_name_after_as_of_is_nobody_yet(stages: Stages, tmp_path: Path) -> None:
    people = "select count(*) from {} where person_id = ?"
    tables = ("core.dim_people", "core.dim_person_features")
    assert [stages.before.ask(people.format(table), ids.person_id("zoe")) for table in tables] == [[(0,)]] * 2

    copy = stages.before.copy(tmp_path / "data")
    after = replace(copy, generation=build(copy.settings, clock.parse("2026-03-06T06:00:00Z"), copy.loads))
    assert [after.ask(people.format(table), ids.person_id("zoe")) for table in tables] == [[(1,)]] * 2


@pytest.mark.torture
def test_a_load_that_goes_takes_its_links_with_it(stages: Stages) -> None:
    assert whose(stages.told.settings, "phone") == [("08:01", "ann"), ("08:02", "ann")]

    assert whose(stages.taken_back.settings, "phone") == [("08:01", None), ("08:02", None)]
    (gone,) = {load.load_id for load in stages.told.loads} - {load.load_id for load in stages.taken_back.loads}
    read = "select count(*) > 0 from tailrace.loads_read where load_id = ?"
    assert [built.ask(read, gone) for built in (stages.told, stages.taken_back)] == [[(True,)], [(False,)]]
    ann = ids.person_id("ann")
    for table in ("fct_person_days", "fct_person_facts", "dim_people"):
        assert stages.taken_back.ask(f"select count(*) from core.{table} where person_id = ?", ann) == [(0,)]


@pytest.mark.torture
def test_a_model_that_was_left_behind_when_events_moved_is_healed(started: Built, tmp_path: Path) -> None:
    first = landed(tmp_path, 3, visit("phone", 1), did("phone", 2, "trial_started"))
    build(started.settings, AS_OF, (*started.loads, first))
    stale = tmp_path / "stale.duckdb"
    connection = duckdb.connect(str(started.settings.warehouse))
    tables = ("fct_person_days", "fct_person_facts")
    connection.execute(f"attach '{stale}' as stale")
    for table in tables:
        connection.execute(f"create table stale.{table} as from core.{table}")
    which = f"from tailrace.loads_read where model in {tuple(f'core.{table}' for table in tables)}"
    connection.execute(f"create table stale.loads_read as {which}")
    connection.close()
    loads = (*started.loads, first, landed(tmp_path, 4, identified("ann", "phone", 5)))
    build(started.settings, AS_OF, loads)
    after = holdings(started.settings)

    connection = duckdb.connect(str(started.settings.warehouse))
    connection.execute(f"attach '{stale}' as stale")
    for table in tables:
        connection.execute(f"truncate core.{table}; insert into core.{table} from stale.{table}")
    # What a model has read is written in the transaction that writes the model.
    connection.execute(f"delete {which}; insert into tailrace.loads_read from stale.loads_read")
    connection.execute("update tailrace.by_load set loads_fingerprint = null")
    connection.close()
    build(started.settings, AS_OF, loads)

    assert holdings(started.settings) == after


def merges(built: Built) -> dict[str, str]:
    return dict(built.ask("select user_id, into_user_id from core.fct_person_merges"))  # type: ignore[arg-type]


@pytest.mark.torture
def test_a_chain_of_aliases_ends_at_its_last_and_of_a_circle_the_last_call_is_left_out(stages: Stages) -> None:
    assert merges(stages.before) == (
        dict.fromkeys((f"c{number}" for number in range(20)), "c20")
        | dict.fromkeys(("dan", "fay", "gus"), "eva")
        | {"ida": "hal"}
    )
    people = stages.before.ask("select user_id from core.dim_people where length(user_id) <= 3 order by 1")
    assert people == [(user,) for user in ("c20", "eva", "hal", "jim", "kit")]


@pytest.mark.torture
def test_two_user_ids_of_one_person_have_one_history_attributes_and_consent(stages: Stages) -> None:
    """The alias comes last; an e-mail address that two people have had merges nobody."""
    built = stages.told
    new, old = ids.person_id("newer"), ids.person_id("older")
    theirs = "select person_id from core.dim_people where user_id in ('older', 'newer', 'other')"
    assert sorted(built.ask(theirs)) == sorted([(new,), (ids.person_id("other"),)])
    assert built.ask("select email, first_name, country from core.dim_people where person_id = ?", new) == [
        ("older@example.com", "Ola", "NO")
    ]
    assert built.ask("select topic, state from core.dim_consents where person_id = ? order by topic", new) == [
        ("other_news", "subscribed"),
        ("product_tips", "unsubscribed"),
    ]
    assert built.ask("select object_id from core.fct_object_people where person_id = ?", new) == [("acme",)]
    assert built.ask("select sum(n_events) from core.fct_person_days where person_id = ?", new) == [(8,)]
    for table in ("core.fct_events", "core.fct_person_facts", "core.dim_consents", "core.dim_person_features"):
        assert built.ask(f"select count(*) from {table} where person_id = ?", old) == [(0,)]

    # A load that goes takes its merges with it.
    assert len(stages.taken_back.ask(theirs)) == 3
    assert merges(stages.taken_back) == merges(stages.before) != merges(built)


@pytest.mark.torture
def test_what_was_sent_to_or_set_of_an_id_is_the_persons_whose_it_is_now(stages: Stages) -> None:
    """The journal's mirror names whom it was sent to then; an alias that goes gives it back."""
    old, new = ids.person_id("formerly"), ids.person_id("nowadays")
    for built, whose_it_is in ((stages.before, old), (stages.told, new), (stages.taken_back, old)):
        for table in ("fct_sends", "fct_receipts"):
            found = built.ask(f"select person_id from core.{table} where intent_id = 'i1'")
            assert found == [(whose_it_is,)], table
        assert built.ask("select person_id from core.dim_people where onboarding_stage = 'nudged'") == [(whose_it_is,)]
        assert built.ask("select n_unanswered from core.dim_engagement where person_id = ?", whose_it_is) == [(0,)]


def holdings(settings: Settings) -> dict[str, list[tuple[Any, ...]]]:
    """What the models of events say of people, without the numbers of the changes that led there."""
    connection = duckdb.connect(str(settings.warehouse), read_only=True)
    found = {
        table: connection.execute(f"select * exclude ({numbers}) from {schema}.{table} order by all").fetchall()
        for schema, table, numbers in (
            ("core", "fct_events", "attributed_in"),
            ("core", "fct_person_facts", "attributed_in"),
            ("core", "fct_person_days", "attributed_in_sum, attributed_in, written_in"),
            ("core", "fct_person_totals", "attributed_in_sum, attributed_in, written_in"),
            ("core", "fct_person_profiles", "attributed_in_sum, written_in"),
            ("core", "fct_person_merges", "merged_at"),
            ("states", "fct_saas_lifecycles", "attributed_in_sum, written_in"),
        )
    }
    connection.close()
    return found


def merged_by_hand(events: list[Event]) -> dict[str, str]:
    """Who each id that was given up is, a call at a time: the first of an id counts, the last of a circle does not."""
    calls: dict[str, tuple[str, str, str]] = {}
    for event in events:
        if event["type"] == "alias" and event["previousId"] != event["userId"]:
            call = (event["timestamp"], event["messageId"], event["userId"])
            calls[event["previousId"]] = min(call, calls.get(event["previousId"], call))
    found = {}
    for start in calls:
        way = [start]
        while way[-1] in calls and way[-1] not in way[:-1]:
            way.append(calls[way[-1]][2])
        circle = way[way.index(way[-1]) : -1]
        found[start] = max(circle, key=calls.__getitem__) if circle else way[-1]
    return {user: now for user, now in found.items() if user != now}


def by_hand(events: list[Event]) -> dict[str, str | None]:
    """Whose each event is, one at a time: messageId to user."""
    found: dict[str, str | None] = {}
    merged = merged_by_hand(events)
    for event in events:
        if event.get("userId"):
            found[event["messageId"]] = merged.get(event["userId"], event["userId"])
            continue
        links = sorted(
            (link["timestamp"], link["messageId"], link["userId"])
            for link in events
            if (link["type"] == "identify" and link.get("userId") and link.get("anonymousId") == event["anonymousId"])
            or (link["type"] == "alias" and link["previousId"] == event["anonymousId"])
        )
        following = [user for moment, _, user in links if moment >= event["timestamp"]]
        user = following[0] if following else links[-1][2] if links else None
        found[event["messageId"]] = merged.get(user, user) if user else None
    return found


def drawn(random: Random, world: int) -> list[Event]:
    """A few people, devices, visits, names and aliases in some order, some of them at one moment.

    In every other world people are given up for others too: in chains, in circles, for two at once, for themselves.
    """
    users = [f"user-{world}-{number}" for number in range(random.randint(1, 3) + world % 2 * 3)]
    devices = [f"device-{world}-{number}" for number in range(random.randint(1, 2))]
    events = []
    for number in range(random.randint(3, 12)):
        user, device, minute = random.choice(users), random.choice(devices), random.randrange(40) * 37
        event = random.choice(
            [
                visit(device, minute),
                did(device, minute, "trial_started"),
                did(device, minute, "logged_in"),
                identified(user, device, minute),
                aliased(user, device, minute),
                *[aliased(user, other, minute) for other in users[: world % 2 * 3]],
                track(user, "logged_in", at(minute)) | {"anonymousId": device},
            ]
        )
        events.append(event | {"messageId": f"m-{random.randrange(1 << 30)}-{world}-{number}"})
    return events


@pytest.mark.parametrize(
    "steps", [(2, 4), pytest.param((1, 2, 3, 4), marks=pytest.mark.torture)], ids=["by two", "one by one"]
)
def test_any_order_and_any_split_into_loads_give_the_same_people(
    started: Built, tmp_path: Path, steps: Sequence[int]
) -> None:
    random = Random(20261121)
    worlds = [drawn(random, world) for world in range(300)]
    events = [event for world in worlds for event in world]
    random.shuffle(events)
    cuts = [*sorted(random.sample(range(1, len(events)), 3)), len(events)]
    loads = [
        landed(tmp_path, 3 + number, *events[start:stop])
        for number, (start, stop) in enumerate(zip([0, *cuts], cuts, strict=False))
    ]
    # The later loads of the numbering come first: late, as a history load does.
    arriving = [loads[2], loads[0], loads[3], loads[1]]
    for number in steps:
        build(started.settings, AS_OF, (*started.loads, *arriving[:number]))
    whole = read_before(replace(started.settings, data_dir=tmp_path / "whole"), started.settings)
    build(whole, AS_OF, (*started.loads, *loads))

    assert holdings(started.settings) == holdings(whole)
    expected = {message: user for world in worlds for message, user in by_hand(world).items()}
    connection = duckdb.connect(str(whole.warehouse), read_only=True)
    rows = connection.execute("select event_id, person_id from core.fct_events where event_id like 'm-%'").fetchall()
    merges = connection.execute("select user_id, into_user_id from core.fct_person_merges").fetchall()
    people = connection.execute("select user_id from core.dim_people where user_id like 'user-%'").fetchall()
    connection.close()
    assert dict(rows) == {message: user and ids.person_id(user) for message, user in expected.items()}
    assert len({user for user in expected.values() if user}) > 200
    assert None in expected.values()
    were_seen = {event["userId"] for event in events if event.get("userId")}
    merged = {user: now for world in worlds for user, now in merged_by_hand(world).items() if user in were_seen}
    assert dict(merges) == merged
    assert {user for (user,) in people} == {user for user in expected.values() if user}
    assert len(merged) > 100
