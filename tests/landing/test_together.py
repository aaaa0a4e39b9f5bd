"""Small files are read together, and nobody can tell: lines, numbers of lines, files, ids are those of each alone."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from typing import Any

import pytest

from tailrace.landing import pieces
from tailrace.landing.loads import loads
from tailrace.landing.quarantine import list_quarantine
from tests.landing.conftest import World, call, compact

SEGMENT = {
    "a.jsonl": compact(call(messageId="a1")) + b"\n" + compact(call(messageId="a2", properties={"o": {"n": 1}})),
    "b.jsonl": b"",
    "c.jsonl": b"\xef\xbb\xbf" + compact(call(messageId="c1")) + b"\r\n\r\nbad\n" + compact(call(messageId="a1")),
    "d.jsonl": compact({"batch": [call(messageId="d1"), call(messageId="d2")]}) + b"\n\xff\xfe\n[1]\n",
    "e.jsonl.gz": gzip.compress(compact(call(messageId="e1")) + b"\n", mtime=0),
    "f.jsonl": b"\n".join(compact(call(messageId=f"f{n}", properties={"n": n})) for n in range(3_000)),
    "g.jsonl": compact(call(messageId="g1", properties={"a": 1})).replace(b'"a":1', b'"a":1,"a":2'),
    "h.jsonl": compact(call(messageId="h1", event="Order\u2028Paid")),
}
CSV = {
    "people-1.csv": b"id,at,note\n1,2026-10-01,x\n2,2026-10-02,\n",
    "people-2.csv": b'note,id,at\n"two\nlines",3,2026-10-01\ny,4,2026-10-01\nlone\n',
    "people-3.csv": b"id,at,note\n5,2026-10-01,z\n1,2026-10-01,x\n",
    "empty.csv": b"id,at,note\n",
    "paid-1.csv": b"who,at\n1,2026-10-03\n",
    "people-4.csv": b'id,at,note\n6,2026-10-01,"open\n',
}
PEOPLE = "{type: identify, user_id: id, timestamp: at, traits: {note: note}}"
PAID = "{type: track, event: {const: paid}, user_id: who, timestamp: at, properties: all}"
JSONL = {
    "people-1.jsonl": b'{"id": "1", "at": "2026-10-01", "note": "x"}\n',
    "paid-1.jsonl": b'{"who": "1", "at": "2026-10-01", "n": 1}\n{"who": "2", "at": "no"}\n',
    "people-2.jsonl": b'{"id": "2", "at": "2026-10-01", "note": {"deep": [1]}}\n7\n',
    "paid-2.jsonl": b'{"who": 3.5, "at": "2026-10-02"}\n{"who": "4", "at": "2026-10-02"}',
}
TRACK = {
    "1.jsonl": b'{"type":"person","identifiers":{"id":"1"},"action":"identify","attributes":{"a":1},"timestamp":1}',
    "2.jsonl": b'{"type":"person","identifiers":{"id":"1"},"action":"event","name":"paid","timestamp":1760000000}\n{}',
}
CASES: dict[str, tuple[dict[str, bytes], str]] = {
    "segment": (SEGMENT, "format: segment\n"),
    "csv": (CSV, f'format: csv\ntables:\n  "paid*": {PAID}\n  "*": {PEOPLE}\n'),
    "jsonl": (JSONL, f'format: jsonl\ntables:\n  "paid*": {PAID}\n  "*": {PEOPLE}\n'),
    "customerio_track": (TRACK, "format: customerio_track\n"),
}


def landed(world: World, kind: str) -> list[Any]:
    """Land the case's files, and return all that a reader gets of it."""
    files, contract = CASES[kind]
    world.contract("app", contract)
    paths = [world.folder / "in" / name for name in files]
    paths[0].parent.mkdir()
    for path, content in zip(paths, files.values(), strict=True):
        path.write_bytes(content)
    done = world.land(*paths)
    (load,) = loads(world.settings)
    quarantined = [
        (line.id, line.reason, line.detail, line.file, line.line) for line in list_quarantine(world.settings)
    ]
    kept = load.model_dump(include={"load_id", "lines", "landed", "reasons", "columns"})
    each = [(file.name, file.lines, file.sha256) for file in load.files]
    return [
        done.reasons,
        kept,
        each,
        sorted(map(str, world.events("* exclude (landed_at)"))),
        sorted(map(str, quarantined)),
    ]


@pytest.mark.parametrize("kind", CASES)
def test_files_that_are_read_together_land_as_each_of_them_does(
    kind: str, make_world: Callable[[str], World], monkeypatch: pytest.MonkeyPatch
) -> None:
    together = landed(make_world("together"), kind)
    monkeypatch.setattr("tailrace.landing.together._ENOUGH", 1_000)
    some = landed(make_world("some"), kind)
    monkeypatch.setattr("tailrace.landing.stage.SMALL", 1)
    alone = landed(make_world("alone"), kind)
    assert together[3]
    assert together == some
    assert together == alone


def test_hundreds_of_small_files_are_one_piece(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []
    write = pieces.Pieces._write
    monkeypatch.setattr(pieces.Pieces, "_write", lambda one, rows: (written.append(rows), write(one, rows))[1])
    paths = [world.file(f"in/{n}.jsonl", compact(call(messageId=f"m{n}"))) for n in range(300)]
    done = world.land(*paths)
    assert (done.landed, len(done.files), len(written)) == (300, 300, 1)


def test_a_damaged_file_among_small_ones_lands_nothing_and_is_named(world: World) -> None:
    good = world.file("a.jsonl", compact(call()))
    bad = world.folder / "b.jsonl.gz"
    bad.write_bytes(gzip.compress(compact(call(messageId="b1")))[:-9])
    with pytest.raises(Exception, match=r"b\.jsonl\.gz: the gz file is damaged or cut short"):
        world.land(good, bad)
    assert loads(world.settings) == []
