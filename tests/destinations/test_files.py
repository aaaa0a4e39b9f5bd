from __future__ import annotations

import base64
import csv
import dataclasses
import errno
import hashlib
import io
import os
import threading
from datetime import UTC, date, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import boto3
import duckdb
import orjson
import pyarrow.parquet as pq
import pytest
from moto.server import ThreadedMotoServer
from pydantic import ValidationError

from tailrace import durable
from tailrace.destinations import files
from tailrace.destinations.base import Batch, BatchRow, Failure, Outcome, RefusedError, RowsRefused, Secrets
from tailrace.destinations.stores import StoreAnswer
from tailrace.errors import DestinationError

AT = datetime(2026, 3, 1, 6, tzinfo=UTC)
PEOPLE = [
    {"id": "1", "name": 'Å "q", ü\n', "mrr": 12.5, "tags": ["a"], "since": "2026-01-02", "seen": "2026-01-02 03:04:05"},
    {"id": "2", "name": "", "mrr": None, "tags": None, "since": None, "seen": None},
    {"id": "3", "name": "=cmd|' /C calc'!A0", "mrr": -3, "tags": {}, "since": "2026-01-02", "seen": "2026-01-02"},
]
NAME = "people/changes/p.s.00000.000000-000002"


def batch(rows=PEOPLE, *, op="add", mode="mirror", target="people", no=0, first=0, at=AT):
    made = tuple(
        BatchRow(n, op, {"id": row["id"]}, None if op == "remove" else row) for n, row in enumerate(rows, first)
    )
    return Batch(f"p/s/{no}", "p", "s", target, no, made, at, mode)


def file(item, **settings):
    return files.build_request(files.Settings(folder="/x", **settings), Secrets({}), item)


class Place:
    """A destination, and what it has."""

    def __init__(self, root, read, secrets=None, **settings):
        self.settings = files.Settings(folder=root, **settings)
        self.secrets = Secrets(secrets or {})
        self.session = files.connect(self.settings, self.secrets, Path("unused"))
        self.read = read

    def send(self, item=None):
        item = item or batch()
        reply = self.session.perform(files.build_request(self.settings, self.secrets, item))
        return reply if isinstance(reply, Failure) else files.read_response(self.settings, item, reply)

    def probe(self):
        reply = self.session.perform(files.build_probe(self.settings, self.secrets))
        return reply if isinstance(reply, Failure) else files.read_probe(self.settings, reply)


@pytest.fixture
def disk(tmp_path):
    root = tmp_path / "exports"
    root.mkdir()
    return Place(
        str(root),
        lambda: {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()},
    )


@pytest.fixture(scope="module")
def endpoint():
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def store(endpoint, monkeypatch, request):
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    keys = {"aws_access_key_id": "k", "aws_secret_access_key": "s"}
    made = boto3.resource("s3", endpoint_url=endpoint, region_name="us-east-1", **keys).Bucket(
        f"b{abs(hash(request.node.nodeid)):x}"[:40]
    )
    made.create()
    place = Place(
        f"s3://{made.name}/out",
        lambda: {each.key.removeprefix("out/"): each.get()["Body"].read() for each in made.objects.all()},
        {"access_key_env": "canary-key", "secret_key_env": "canary-secret"},
        endpoint_url=endpoint,
        private_network=True,
        access_key_env="K",
        secret_key_env="S",
    )
    place.bucket = made
    yield place
    place.session.close()


@pytest.fixture(params=["disk", "store"])
def place(request):
    return request.getfixturevalue(request.param)


def test_a_batch_is_one_file_and_a_repeat_leaves_it_as_it_is(place):
    assert place.send().code == "stored"
    before = place.read()
    later = place.send(batch(at=AT.replace(hour=9)))

    assert (later.outcome, later.code) == (Outcome.ACCEPTED, "already_there")
    assert place.read() == before
    assert list(before) == [f"{NAME}.csv"]


def test_parts_of_a_batch_and_other_batches_have_names_of_their_own(place):
    for item in (batch(), batch(PEOPLE[:2]), batch(PEOPLE[1:], first=1), batch(no=1), batch(op="remove", no=2)):
        assert place.send(item).code == "stored"
    assert len(place.read()) == 5


def test_rows_left_out_of_a_batch_make_it_another_file():
    whole, without = batch(), batch()
    without = dataclasses.replace(without, rows=(without.rows[0], without.rows[2]))
    assert file(whole).name != file(without).name


def test_a_probe_writes_nothing(place):
    assert place.probe().outcome is Outcome.ACCEPTED
    assert place.read() == {}


def test_csv_says_what_each_row_is_and_tells_empty_text_from_no_value(tmp_path):
    content = file(batch()).content
    (tmp_path / "one.csv").write_bytes(content)

    assert content.splitlines()[0] == b'"_op","_at","id","name","mrr","tags","since","seen"'
    read = duckdb.sql(
        f"select * from read_csv('{tmp_path}/one.csv', all_varchar = true, allow_quoted_nulls = false)"
    ).fetchall()
    assert {row[:2] for row in read} == {("add", "2026-03-01T06:00:00Z")}
    assert [row[3] for row in read] == [row["name"] for row in PEOPLE]
    assert [row[4:6] for row in read] == [("12.5", '["a"]'), (None, None), ("-3", "{}")]


def test_json_lines_keep_their_values():
    lines = [orjson.loads(line) for line in file(batch(), format="jsonl").content.splitlines()]
    assert [{key: row[key] for key in PEOPLE[0]} for row in lines] == PEOPLE


def test_parquet_has_the_types_that_were_named_and_text_for_the_rest():
    types = {"mrr": "number", "since": "date", "seen": "timestamp"}
    table = pq.read_table(io.BytesIO(file(batch(), format="parquet", types=types).content))
    assert table.column("mrr").to_pylist() == [12.5, None, -3.0]
    assert table.column("since").to_pylist() == [date(2026, 1, 2), None, date(2026, 1, 2)]
    assert table.column("seen").to_pylist()[0] == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert table.column("tags").to_pylist() == ['["a"]', None, "{}"]


@pytest.mark.parametrize("format_", ["csv", "jsonl", "parquet"])
def test_the_columns_are_the_same_whichever_rows_a_batch_has(format_):
    types = {"mrr": "integer", "ok": "boolean"}
    one, other = (
        file(batch([{"id": "1", "mrr": mrr, "ok": ok, "x": x}]), format=format_, types=types).content
        for mrr, ok, x in ((None, None, None), (5, True, 7.5))
    )
    if format_ == "parquet":
        assert pq.read_schema(io.BytesIO(one)) == pq.read_schema(io.BytesIO(other))
    elif format_ == "csv":
        assert one.splitlines()[0] == other.splitlines()[0]
    else:
        assert list(orjson.loads(one)) == list(orjson.loads(other))


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        ("integer", ["7", 7, -(2**63)], ["x", 1.5, True, 2**63, [1]]),
        ("number", [1.5, "1.5", 3], ["x", True, {}]),
        ("boolean", [True, False], ["true", 1, 0]),
        ("date", ["2026-01-02"], ["yesterday", 20260102]),
        ("timestamp", ["2026-01-02T03:04:05+02:00", "2026-01-02 03:04:05.123"], ["x", 5]),
    ],
)
def test_a_value_that_its_type_does_not_have_refuses_its_row_alone(kind, good, bad):
    rows = [{"id": str(n), "v": value} for n, value in enumerate([*good, *bad])]
    with pytest.raises(RowsRefused) as caught:
        file(batch(rows), format="parquet", types={"v": kind})
    assert caught.value.rows == dict.fromkeys(range(len(good), len(rows)), f"column:no_{kind}")
    assert file(batch(rows[: len(good)]), format="parquet", types={"v": kind})


@pytest.mark.parametrize("text", ["=1+1", "+49 30 1", "-2+3", "@sum(1)", "\t=1", "\r=1"])
def test_what_a_spreadsheet_would_calculate_is_guarded_where_that_is_set(text):
    item = batch([{"id": "1", text: text, "n": -5}])
    plain, guarded = (
        next(iter(csv.DictReader(io.StringIO(file(item, guard_formulas=on).content.decode(), newline=""))))
        for on in (False, True)
    )
    assert plain[text] == text
    assert guarded[f"'{text}"] == f"'{text}"
    assert guarded["n"] == "-5"


def test_events_are_the_models_columns_and_nothing_else():
    made = file(batch(mode="append"), format="jsonl")
    assert made.folder == "people/events"
    assert [orjson.loads(line) for line in made.content.splitlines()] == PEOPLE
    assert file(batch(mode="append", at=AT.replace(hour=9)), format="jsonl") == made


def test_removals_are_keys_in_a_folder_of_their_own():
    made = file(batch(op="remove"), format="jsonl")
    assert made.folder == "people/removals"
    assert orjson.loads(made.content.splitlines()[0]) == {"_op": "remove", "_at": "2026-03-01T06:00:00Z", "id": "1"}


@pytest.mark.parametrize(
    ("target", "folder"),
    [("", "s"), ("a/b", "a/b"), ("../../etc", "-/-/etc"), ("/etc//x", "etc/x"), ("a b\0\n", "a-b-")],
)
def test_a_target_stays_below_the_folder(target, folder):
    assert file(batch(target=target)).folder == f"{folder}/changes"


def test_what_cannot_be_a_file_is_refused():
    with pytest.raises(RefusedError):
        file(batch([]))
    with pytest.raises(RefusedError, match="column:reserved"):
        file(batch([{"id": "1", "_op": "x"}]))
    with pytest.raises(RowsRefused):
        file(Batch("p", "p", "s", "t", 0, (BatchRow(0, "add", "x", {}),), AT))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"folder": "exports"}, "absolute"),
        ({"folder": "s3:///x"}, "bucket"),
        ({"folder": "/x", "region": "eu-west-1"}, "bucket's"),
        ({"folder": "s3://b", "endpoint_url": "http://store.test"}, "https://"),
        ({"folder": "s3://b", "access_key_env": "K"}, "together"),
    ],
)
def test_settings_that_name_no_place_are_refused(settings, words):
    with pytest.raises(ValidationError, match=words):
        files.Settings(**settings)


# A folder of this machine


def test_a_folder_that_is_not_there_is_not_made(disk):
    Path(disk.settings.folder).rmdir()
    assert (disk.send().outcome, disk.send().code) == (Outcome.BLOCKED, "no_folder")
    assert disk.probe().outcome is Outcome.BLOCKED
    assert not Path(disk.settings.folder).exists()


@pytest.mark.parametrize(
    ("number", "outcome", "code"),
    [
        (errno.ENOSPC, Outcome.RETRY_LATER, "no_space"),
        (errno.EDQUOT, Outcome.RETRY_LATER, "no_space"),
        (errno.EIO, Outcome.RETRY_LATER, "disk_failed"),
        (errno.EROFS, Outcome.BLOCKED, "read_only"),
        (errno.EACCES, Outcome.BLOCKED, "not_allowed"),
        (errno.ENAMETOOLONG, Outcome.REJECTED, "name_too_long"),
        (errno.EUCLEAN, Outcome.UNKNOWN, f"errno_{errno.EUCLEAN}"),
    ],
)
def test_what_the_disk_says_is_an_answer(disk, monkeypatch, number, outcome, code):
    def refuse(handle):
        raise OSError(number, "kim@people.test")

    monkeypatch.setattr(os, "fsync", refuse)
    said = disk.send()
    assert (said.outcome, said.code) == (outcome, code)
    assert disk.read() == {}, "nothing is left of what was begun"


def test_a_disk_that_is_full_puts_the_batch_off_and_leaves_nothing(disk, monkeypatch):
    real = Path.open
    # The kernel's own device that has no room; the file beside which it stands is real.
    monkeypatch.setattr(Path, "open", lambda path, mode: (real(path, mode).close(), real(Path("/dev/full"), mode))[1])
    said = disk.send()
    monkeypatch.undo()
    assert (said.outcome, said.code, said.is_systemic) == (Outcome.RETRY_LATER, "no_space", True)
    assert disk.read() == {}
    assert disk.send().code == "stored"


def test_what_a_killed_process_had_begun_is_cleared_away(disk):
    folder = Path(disk.settings.folder) / "people" / "changes"
    folder.mkdir(parents=True)
    (folder / f".{Path(NAME).name}.csv.12345.tmp").write_bytes(b"half")
    disk.send()
    assert list(disk.read()) == [f"{NAME}.csv"]


def test_the_names_of_folders_are_durable_before_a_file_counts_as_there(disk, monkeypatch):
    synced = []
    fsync_dir = durable.fsync_dir
    monkeypatch.setattr(durable, "fsync_dir", lambda path: (synced.append(path.name), fsync_dir(path)))
    disk.send()
    assert {"changes", "people", "exports"} <= set(synced)


# A bucket


def test_an_object_has_its_type(store):
    store.send()
    (one,) = store.bucket.objects.all()
    assert one.get()["ContentType"] == "text/csv; charset=utf-8"


def test_an_object_comes_with_its_sum_for_the_store_to_compare(odd):
    odd.send()
    sent = file(batch()).content
    assert odd.sums == [base64.b64encode(hashlib.sha256(sent).digest()).decode()]


def test_a_bucket_that_is_not_there_blocks(store):
    store.bucket.objects.delete()
    store.bucket.delete()
    assert (store.send().outcome, store.send().code) == (Outcome.BLOCKED, "NoSuchBucket")
    assert store.probe().outcome is Outcome.BLOCKED


def test_without_keys_the_store_is_not_asked(endpoint, monkeypatch):
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    place = Place("s3://b", dict, endpoint_url=endpoint, private_network=True)
    assert (place.send().outcome, place.send().code) == (Outcome.BLOCKED, "no_credentials")


class Odd(BaseHTTPRequestHandler):
    """A store that says what `said` has, once each, and then takes everything."""

    protocol_version = "HTTP/1.1"
    said: list[tuple[int, bytes]] = []  # noqa: RUF012
    asked: list[str | None] = []  # noqa: RUF012
    sums: list[str | None] = []  # noqa: RUF012

    def do_PUT(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.asked.append(self.headers.get("if-none-match"))
        self.sums.append(self.headers.get("x-amz-checksum-sha256"))
        status, body = self.said.pop(0) if self.said else (200, b"")
        if status == 0:
            self.close_connection = True
            return
        self.send_response(status)
        if status == 200 and not body:
            self.send_header("ETag", '"x"')
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def odd():
    handler = type("Handler", (Odd,), {"said": [], "asked": [], "sums": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    place = Place(
        "s3://b/x",
        dict,
        {"access_key_env": "canary-key", "secret_key_env": "canary-secret"},
        endpoint_url=f"http://127.0.0.1:{server.server_address[1]}",
        private_network=True,
        access_key_env="K",
        secret_key_env="S",
        timeout_seconds=5.0,
    )
    place.said, place.asked, place.sums = handler.said, handler.asked, handler.sums
    yield place
    place.session.close()
    server.shutdown()
    thread.join()
    server.server_close()


def error(code):
    return f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>kim@people.test</Message></Error>".encode()


@pytest.mark.parametrize(
    ("status", "body", "outcome", "code"),
    [
        (403, error("AccessDenied"), Outcome.BLOCKED, "AccessDenied"),
        (403, error("InvalidAccessKeyId"), Outcome.BLOCKED, "InvalidAccessKeyId"),
        (503, error("SlowDown"), Outcome.RETRY_LATER, "SlowDown"),
        (500, error("InternalError"), Outcome.RETRY_LATER, "InternalError"),
        (409, error("ConditionalRequestConflict"), Outcome.RETRY_LATER, "ConditionalRequestConflict"),
        (412, error("PreconditionFailed"), Outcome.ACCEPTED, "already_there"),
        (400, error("EntityTooLarge"), Outcome.REJECTED, "EntityTooLarge"),
        (400, error("kim@people.test"), Outcome.UNKNOWN, "unnamed"),
        (502, b"<html>kim@people.test</html>", Outcome.UNKNOWN, "502"),
        (200, b"<html>log in</html>", Outcome.UNKNOWN, "no_etag"),
    ],
)
def test_an_answer_of_a_store_means_what_its_code_means(odd, status, body, outcome, code):
    odd.said.append((status, body))
    said = odd.send()
    assert (said.outcome, said.code) == (outcome, code)
    assert len(odd.asked) == 1, "to try again is delivery's"


def test_a_store_that_does_not_know_the_condition_gets_the_file_without_it(odd):
    odd.said.append((501, error("NotImplemented")))
    assert odd.send().code == "stored"
    assert odd.send().code == "stored"
    assert odd.asked == ["*", None, None]


def test_an_answer_that_is_lost_is_unknown_and_a_store_that_is_not_there_was_handed_nothing(odd):
    odd.said.append((0, b""))
    assert odd.send() == Failure(True, "answer:reset")
    gone = Place("s3://b", dict, {"access_key_env": "k", "secret_key_env": "s"}, endpoint_url="https://127.0.0.1:9")
    assert gone.send() == Failure(False, "connect:refused")


def test_a_missing_extra_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "boto3", None)
    with pytest.raises(DestinationError, match=r"tailrace\[s3\]"):
        files.connect(files.Settings(folder="s3://b"), Secrets({}), Path())


def test_a_probe_of_an_unknown_code_is_unknown():
    assert files.read_probe(files.Settings(folder="/x"), StoreAnswer("418")).outcome is Outcome.UNKNOWN
