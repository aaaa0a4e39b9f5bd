from __future__ import annotations

import gzip
import json

import pytest

from tailrace.errors import DataError
from tailrace.landing.quarantine import REASONS, list_quarantine, show
from tests.landing.conftest import World, call, compact

GOOD = compact(call(messageId="good", properties={"a": 1}))
BAD = {
    "cut_short": b'{"messageId":"m","type":"tra',
    "several_values": GOOD + GOOD,
    "not_json": b"what is this",
    "not_an_object": b"[1,2]",
    "duplicate_key": b'{"messageId":"m","type":"track","event":"E","userId":"u","userId":"v","timestamp":"2026-10-01T08:00:00Z"}',  # noqa: E501
    "not_a_number": compact(call(properties={"x": float("nan")})),
    "number_not_exact": b'{"type":"track","event":"E","userId":"u","timestamp":"2026-10-01T08:00:00Z","properties":{"x":9007199254740993.0}}',  # noqa: E501
    "control_character": b'{"type":"track","event":"a\x01b","userId":"u"}',
    "nul_character": b'{"type":"track","event":"a\\u0000b","userId":"u","timestamp":"2026-10-01T08:00:00Z"}',
    "lone_surrogate": b'{"type":"track","event":"a\\ud800b","userId":"u","timestamp":"2026-10-01T08:00:00Z"}',
    "not_utf8": b'{"type":"track","event":"caf\xe9","userId":"u"}',
    "too_deep": b'{"type":"track","event":"E","userId":"u","timestamp":"2026-10-01T08:00:00Z","properties":{"x":'
    + b"[" * 1000 + b"]" * 1000 + b"}}",
    "empty_batch": b'{"batch":[]}',
    "type_missing": compact(call(type=...)),
    "type_unknown": compact(call(type="trakc")),
    "id_missing": compact(call(userId=...)),
    "id_not_text": compact(call(userId={"a": 1})),
    "id_not_exact": b'{"type":"track","event":"E","userId":1.50,"timestamp":"2026-10-01T08:00:00Z"}',
    "event_missing": compact(call(event=...)),
    "group_missing": compact(call(type="group")),
    "alias_incomplete": compact(call(type="alias")),
    "time_missing": compact(call(timestamp=...)),
    "time_invalid": compact(call(timestamp="2026-02-30T08:00:00Z")),
    "time_implausible": compact(call(timestamp="2200-01-01T00:00:00Z")),
    "body_not_an_object": compact(call(properties=[1])),
}  # fmt: skip


@pytest.mark.parametrize("reason", BAD)
def test_a_bad_line_is_quarantined_with_its_reason_and_its_neighbours_land(world: World, reason: str) -> None:
    done = world.lines(GOOD, BAD[reason], compact(call(messageId="after")))
    assert (done.lines, done.landed, done.reasons) == (3, 2, {reason: 1})
    (line,) = list_quarantine(world.settings)
    assert (line.file, line.line, line.reason, line.explanation) == ("in.jsonl", 2, reason, REASONS[reason])
    expected = BAD[reason].decode("utf-8", "backslashreplace")
    assert show(world.settings, line.id).raw == expected


@pytest.mark.parametrize(
    ("where", "body"),
    [
        ("properties", b'{"a":1,"a":2}'),
        ("properties", b'{"a":{"b":1,"b":1}}'),
        ("traits", b'{"list":[{"k":1},{"k":1,"k":2}]}'),
        ("context", b'{"page":{"url":"x","url":"y"}}'),
        ("context", b'{"page":{"url":"x","\\u0075rl":"y"}}'),
        ("other", b'{"a":{"x":1,"x":1}}'),
    ],
)
@pytest.mark.parametrize("space", [b"", b" "])
def test_a_duplicate_key_is_found_at_any_depth(world: World, where: str, body: bytes, space: bytes) -> None:
    line = compact(call())[:-1] + b',"' + where.encode() + b'":' + space + body + b"}"
    assert world.lines(GOOD, line).reasons == {"duplicate_key": 1}


@pytest.mark.parametrize("number", [b"NaN", b"Infinity", b"-Infinity", b"nan", b"[1,NaN]", b"[-inf]"])
@pytest.mark.parametrize("where", ["properties", "traits", "context", "other"])
def test_a_number_that_json_does_not_have_is_refused(world: World, where: str, number: bytes) -> None:
    line = compact(call())[:-1] + b',"' + where.encode() + b'":{"x":' + number + b"}}"
    done = world.lines(GOOD, line)
    assert (done.landed, done.quarantined) == (1, 1)


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        (b"9007199254740993", "9007199254740993"),
        (b"18446744073709551616", "18446744073709551616"),
        (b"-123456789012345678901234567890", "-123456789012345678901234567890"),
        (b"0.30000000000000004", "0.30000000000000004"),
        (b"1e400", "1e400"),
        (b"1.10", "1.1"),
    ],
)
def test_a_number_keeps_its_value(world: World, written: bytes, kept: str) -> None:
    world.lines(compact(call())[:-1] + b',"properties":{"x":' + written + b"}}")
    assert world.events("properties") == [('{"x":' + kept + "}",)]


@pytest.mark.parametrize("written", [b"1e-400", b"0.1000000000000000000001", b"12345678901234567.5"])
def test_a_number_that_would_change_is_quarantined(world: World, written: bytes) -> None:
    done = world.lines(compact(call())[:-1] + b',"properties":{"x":' + written + b"}}")
    assert done.reasons == {"number_not_exact": 1}


def test_ids_are_text_for_ever(world: World) -> None:
    ids = [b"9007199254740993", b"9007199254740992", b"1", b"1.0", b'"1.00"', b'"007"', b"18446744073709551616"]
    lines = [compact(call(messageId=str(n), userId="@")).replace(b'"@"', each) for n, each in enumerate(ids)]
    world.lines(*lines)
    assert [row[0] for row in world.events("user_id")] == [each.decode().strip('"') for each in ids]


@pytest.mark.parametrize("key", ["UserId", "userid", "a.b", "", "select", "__proto__", "integrations", "a b"])
def test_a_key_that_has_no_column_is_kept_in_rest(world: World, key: str) -> None:
    world.lines(compact(call(**{key: "x"})))
    ((user, rest),) = world.events("user_id, rest")
    assert (user, json.loads(rest)) == ("u1", {key: "x"})


@pytest.mark.parametrize(
    "line", [compact(call())[:-1] + b", }", compact(call(properties={"a": [1]})).replace(b"[1]", b"[1,]")]
)
def test_a_trailing_comma_is_not_json(world: World, line: bytes) -> None:
    assert world.lines(GOOD, line).reasons == {"not_json": 1}


def test_a_line_of_five_megabytes_lands_whole(world: World) -> None:
    text = "é" * 2_500_000
    world.lines(GOOD, compact(call(properties={"text": text})))
    assert len(json.loads(world.events("properties")[1][0])["text"]) == 2_500_000


def test_a_line_beyond_the_limit_is_quarantined_and_the_next_one_lands(world: World) -> None:
    done = world.lines(b'{"x":"' + b"a" * (17 << 20) + b'"}', GOOD)
    assert (done.lines, done.landed, done.reasons) == (2, 1, {"too_long": 1})
    assert world.events("line") == [(2,)]


@pytest.mark.parametrize("opening", [b'{"a":', b"["])
def test_a_hundred_thousand_levels_are_one_quarantined_line(world: World, opening: bytes) -> None:
    done = world.lines(GOOD, opening * 100_000, compact(call(messageId="after")))
    assert (done.landed, done.quarantined) == (2, 1)


@pytest.mark.parametrize("content", [b"", b"\n\n\n", b"\r\n \r\n"])
def test_a_file_without_lines_makes_no_load(world: World, content: bytes) -> None:
    path = world.folder / "empty.jsonl"
    path.write_bytes(content)
    done = world.land(path)
    assert (done.lines, done.load_id) == (0, None)


def test_bom_crlf_blank_lines_and_a_missing_last_line_end_are_fine(world: World) -> None:
    path = world.folder / "in.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + GOOD + b"\r\n\r\n" + compact(call(messageId="u\u2028")))
    assert world.land(path).landed == 2
    assert world.events("line, event_id") == [(1, "good"), (3, "u\u2028")]


def test_cr_only_line_ends_are_quarantined(world: World) -> None:
    path = world.folder / "in.jsonl"
    path.write_bytes(GOOD + b"\r" + GOOD + b"\r")
    assert world.land(path).reasons == {"several_values": 1}


def test_utf16_is_quarantined_line_by_line(world: World) -> None:
    path = world.folder / "in.jsonl"
    path.write_bytes((GOOD.decode() + "\n" + GOOD.decode()).encode("utf-16"))
    done = world.land(path)
    assert done.landed == 0
    assert done.quarantined == 2


@pytest.mark.parametrize("line", [b'{"type":"track","event":"a\x00b","userId":"u"}', GOOD + b"\x00", b"\x00" + GOOD])
def test_a_single_nul_is_named_wherever_it_stands(world: World, line: bytes) -> None:
    assert world.lines(line, GOOD).reasons == {"nul_character": 1}


def test_sixty_four_levels_land_and_one_more_does_not(world: World) -> None:
    # The line is a level, and so are its properties.
    lines = [
        b'{"type":"track","event":"E","userId":"u","messageId":"m%d","timestamp":"2026-10-01T08:00:00Z","properties":'
        b'{"x":%s}}' % (levels, b"[" * levels + b"]" * levels)
        for levels in (62, 63)
    ]
    landed = world.lines(*lines)
    assert (landed.landed, landed.reasons) == (1, {"too_deep": 1})


def test_a_tail_of_nuls_is_one_defect(world: World) -> None:
    path = world.folder / "in.jsonl"
    path.write_bytes(GOOD + b"\n" + b"\x00" * 4096)
    assert world.land(path).reasons == {"nul_character": 1}


def test_gz_is_told_by_content(world: World) -> None:
    plain, packed = world.folder / "plain.jsonl.gz", world.folder / "packed.jsonl"
    plain.write_bytes(GOOD + b"\n")
    packed.write_bytes(
        gzip.compress(compact(call(messageId="p")) + b"\n") + gzip.compress(compact(call(messageId="q")))
    )
    assert world.land(plain, packed).landed == 3


def test_a_gz_that_is_cut_short_is_refused_whole(world: World) -> None:
    path = world.folder / "in.jsonl.gz"
    path.write_bytes(gzip.compress(b"\n".join(compact(call(messageId=str(n))) for n in range(1000)))[:-9])
    with pytest.raises(DataError, match="cut short"):
        world.land(path)
    assert world.events() == []


def test_a_batch_counts_its_calls_and_each_inherits_from_it(world: World) -> None:
    calls = [call(messageId="a"), call(messageId="b", type="oops"), 42, call(messageId="c", context={"own": 1})]
    batch = {"batch": calls, "sentAt": "2026-10-01T08:00:01Z", "context": {"ip": "::1"}}
    done = world.lines(compact(batch), json.dumps(batch | {"batch": [call(messageId="d")]}).encode())
    assert (done.lines, done.landed, done.quarantined) == (5, 3, 2)
    assert world.events("event_id, line, context") == [
        ("a", 1, '{"ip":"::1"}'), ("c", 1, '{"own":1}'), ("d", 2, '{"ip":"::1"}')
    ]  # fmt: skip
