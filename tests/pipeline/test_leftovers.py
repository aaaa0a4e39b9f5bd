"""Which files of the inbox are of somebody who was erased: by what they say, however written; some nobody can read."""

from __future__ import annotations

import gzip
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tailrace import ids
from tailrace.landing import erased
from tailrace.landing.erased import Device, Listed
from tailrace.pipeline.leftovers import Files, remove
from tests.landing.conftest import World
from tests.landing.test_erased import person

DEVICE = "a-device-of-hers"
USER = "auth0|5f7c"


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def hers(world: World) -> Listed:
    who = person(world)
    salted = {kind: ids.salted(who.salt, kind, said) for kind, said in (("user", USER), ("anonymous", DEVICE))}
    device = Device(anonymous=salted["anonymous"], since=None, until=None)
    return Listed(who.salt, (who.erasures[0].model_copy(update={"users": (salted["user"],), "devices": (device,)}),))


def inbox(world: World) -> Path:
    folder = world.settings.inbox / "app"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def test_a_landed_file_goes_that_names_them_by_an_anonymous_id_only(world: World) -> None:
    visit = b'{"type":"page","anonymousId":"%s","messageId":"m%d","timestamp":"2026-10-01T00:00:00Z"}\n'
    files = {
        "hers.jsonl": visit % (DEVICE.encode(), 1),
        "hers.jsonl.gz": gzip.compress(visit % (DEVICE.encode(), 2)),
        "his.jsonl": visit % (b"a-device-of-his", 3),
    }
    for name, body in files.items():
        (inbox(world) / name).write_bytes(body)
    world.land(inbox(world))

    done = remove(world.settings, hers(world), (), is_dry=False)

    assert (done.inbox, done.waiting) == (2, 0)
    assert [path.name for path in inbox(world).iterdir()] == ["his.jsonl"]


@pytest.mark.parametrize("name", ["first", "last"])
def test_an_id_with_a_stroke_is_a_field_of_a_csv_file_wherever_it_stands(world: World, name: str) -> None:
    fields = ("at,who", f"2026-10-01,{USER}", "2026-10-02,u2") if name == "last" else ("who,at", f"{USER},x", "u2,x")
    (inbox(world) / "in.csv").write_text("\r\n".join(fields))

    assert remove(world.settings, hers(world), (), is_dry=False).waiting == 1


def test_a_file_that_cannot_be_read_stops_nothing_and_is_counted(world: World) -> None:
    folder = inbox(world)
    (folder / ".upload.jsonl.gz.part").write_bytes(gzip.compress(b"x" * 9999)[:20])
    (folder / "export.zip").write_bytes(b"PK\x03\x04 and so on")
    pq.write_table(pa.table({"who": ["u2"]}), folder / "whole.parquet")
    (folder / ".copy.parquet.part").write_bytes((folder / "whole.parquet").read_bytes()[:-9])

    done = remove(world.settings, hers(world), (), is_dry=False)

    assert done == Files(inbox=0, waiting=0, unread=3, outbox=0, rows=0)
    assert len(list(folder.iterdir())) == 4
    assert erased.known_salt(world.settings)
