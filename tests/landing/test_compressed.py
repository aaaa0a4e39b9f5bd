from __future__ import annotations

import bz2
import gzip
import lzma
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pytest

from tailrace.errors import DataError
from tailrace.landing import chunks
from tailrace.landing.loads import loads
from tests.landing.conftest import World, call, compact

SKIPPABLE = b"\x5a\x2a\x4d\x18" + (5).to_bytes(4, "little") + b"about"
MAPPING = "mapping: {type: track, event: event, user_id: who, timestamp: at}\n"
KINDS = ("segment", "jsonl", "csv")


def zstd(content: bytes) -> bytes:
    return bytes(pa.compress(content, codec="zstd", asbytes=True))


PACKED: dict[str, Callable[[bytes], bytes]] = {"gz": gzip.compress, "zstd": zstd}


def rows(kind: str, count: int) -> list[bytes]:
    """Return lines that land as `count` events, in the words of a format."""
    if kind == "csv":
        return [b"event,who,at\n", *(f"Paid,u{n},2026-10-01T08:00:00Z\n".encode() for n in range(count))]
    if kind == "jsonl":
        keys = ({"event": "Paid", "who": f"u{n}", "at": "2026-10-01T08:00:00Z"} for n in range(count))
        return [compact(each) + b"\n" for each in keys]
    return [compact(call(messageId=f"m{n}", properties={"n": n})) + b"\n" for n in range(count)]


def put(world: World, kind: str, content: bytes, name: str = "in") -> Path:
    world.contract("app", f"format: {kind}\n" + ("" if kind == "segment" else MAPPING))
    path = world.folder / name
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("packing", PACKED)
def test_compression_is_told_by_content_and_not_by_name(world: World, kind: str, packing: str) -> None:
    path = put(world, kind, PACKED[packing](b"".join(rows(kind, 500))), "in.jsonl")
    done = world.land(path)
    assert (done.lines, done.landed) == (500, 500)
    assert loads(world.settings)[0].files[0].sha256 == chunks.sha256(path)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("packing", PACKED)
def test_all_parts_of_a_file_are_read_wherever_a_part_ends(world: World, kind: str, packing: str) -> None:
    pack, whole = PACKED[packing], b"".join(rows(kind, 300))
    cuts = [0, 0, 1, 17, 4000, 4000, len(whole)]
    parts = [pack(whole[start:end]) for start, end in pairwise(cuts)]
    assert world.land(put(world, kind, b"".join(parts))).landed == 300


@pytest.mark.parametrize("packing", PACKED)
def test_all_parts_are_read_when_each_is_larger_than_a_piece(
    world: World, monkeypatch: pytest.MonkeyPatch, packing: str
) -> None:
    monkeypatch.setattr("tailrace.landing.chunks.CHUNK", 1000)
    monkeypatch.setattr("tailrace.landing.stage.SMALL", 1)
    lines = rows("segment", 300)
    parts = [PACKED[packing](b"".join(part)) for part in (lines[:100], lines[100:101], lines[101:])]
    assert world.land(put(world, "segment", b"".join(parts))).landed == 300


def test_frames_that_hold_nothing_are_nothing(world: World) -> None:
    first, second = (zstd(b"".join(part)) for part in (rows("segment", 20)[:10], rows("segment", 20)[10:]))
    assert world.land(put(world, "segment", SKIPPABLE + first + SKIPPABLE + second + SKIPPABLE)).landed == 20
    assert world.land(put(world, "segment", zstd(b""), "empty")).load_id is None


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("packing", PACKED)
def test_a_file_cut_short_or_damaged_lands_nothing_and_is_whole_when_it_comes_again(
    world: World, kind: str, packing: str
) -> None:
    whole = PACKED[packing](b"".join(rows(kind, 400)))
    broken = {
        "cut": whole[:-5],
        "half": whole[: len(whole) // 2],
        "second cut": whole + whole[:-3],
        "head only": whole[:8],
        "tail": whole + b"garbage that is no part",
    }
    if packing == "gz":
        # Zstd tells a flipped bit by a checksum, which its writer may leave out, as Arrow does.
        middle = len(whole) // 2
        broken["flipped"] = whole[:middle] + bytes([whole[middle] ^ 0xFF]) + whole[middle + 1 :]
    for name, content in broken.items():
        with pytest.raises(DataError, match=rf"the {packing} file is damaged or cut short.*Nothing of this call"):
            world.land(put(world, kind, content, name))
    assert loads(world.settings) == []
    assert world.land(put(world, kind, whole, "half")).landed == 400


@pytest.mark.parametrize(
    ("name", "content"),
    [("bzip2", bz2.compress(b"x\n")), ("xz", lzma.compress(b"x\n")), ("zip", b"PK\x03\x04" + bytes(30))],
)
def test_another_compression_is_named_and_not_read_as_text(world: World, name: str, content: bytes) -> None:
    with pytest.raises(DataError, match=f"compressed by {name}"):
        world.land(put(world, "segment", content))


def test_a_compressed_file_larger_than_many_pieces_keeps_its_line_numbers(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tailrace.landing.chunks.CHUNK", 1000)
    monkeypatch.setattr("tailrace.landing.stage.SMALL", 1)
    lines = rows("segment", 200)
    done = world.land(put(world, "segment", zstd(b"".join([*lines[:100], b"bad\n", *lines[100:]]))))
    assert (done.landed, done.quarantined) == (200, 1)
    assert [row[0] for row in world.events("line")] == [*range(1, 101), *range(102, 202)]


def test_a_header_longer_than_a_piece_is_read_whole(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tailrace.landing.chunks.CHUNK", 7)
    monkeypatch.setattr("tailrace.landing.stage.SMALL", 1)
    for packing in PACKED.values():
        path = put(world, "csv", packing(b"\xef\xbb\xbfevent,who,at,and_a_long_one\r\n"))
        assert chunks.first_line(path) == b"event,who,at,and_a_long_one"


def test_a_window_beyond_bounded_memory_is_refused_by_name(world: World) -> None:
    # A frame's header alone: no single segment, a window of 2 GB, then a last raw block of one byte.
    frame = b"\x28\xb5\x2f\xfd" + bytes([0x00, (31 - 10) << 3]) + bytes([0x09, 0x00, 0x00]) + b"x"
    with pytest.raises(DataError, match="window beyond 128 MB"):
        world.land(put(world, "segment", frame))
