from __future__ import annotations

import gzip
import os
import sys
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from tailrace.errors import DataError, TailraceError
from tailrace.landing import inputs, s3
from tailrace.landing.backfills import Asked
from tailrace.landing.loads import loads
from tests.landing.conftest import AS_OF, World, call, compact

SECRET = "canary-secret-of-the-store"


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """A real S3 server on loopback."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(endpoint: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[Any]:
    """An empty bucket of its own, and an environment that leads there."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "canary-key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    s3._client.cache_clear()
    made = boto3.resource("s3", region_name="us-east-1").Bucket(f"b{abs(hash(request.node.nodeid)):x}"[:40])
    made.create()
    yield made
    s3._client.cache_clear()


def put(bucket: Any, key: str, *numbers: int) -> str:
    lines = [compact(call(messageId=f"m{number}")) + b"\n" for number in numbers]
    bucket.put_object(Key=key, Body=gzip.compress(b"".join(lines), mtime=0) if key.endswith(".gz") else b"".join(lines))
    return f"s3://{bucket.name}/{key}"


def names(bucket: Any, pattern: str) -> list[str]:
    start = f"s3://{bucket.name}/"
    return [each.name.removeprefix(start) for each in inputs.find([start + pattern]).inputs]


def test_an_object_a_folder_and_a_pattern_mean_what_they_mean_on_disk(bucket: Any) -> None:
    keys = [
        "in/a/1.jsonl",
        "in/b/2.jsonl.gz",
        "in/b/deep/3.jsonl",
        "in/c.csv",
        "inner/x.jsonl",
        "in/day[1].jsonl",
        "in/b/",
    ]
    for number, key in enumerate(keys):
        put(bucket, key, number)
    assert names(bucket, "in/c.csv") == ["in/c.csv"]
    assert names(bucket, "in/b") == names(bucket, "in/b/") == ["in/b/2.jsonl.gz", "in/b/deep/3.jsonl"]
    assert names(bucket, "in/*/*.jsonl*") == ["in/a/1.jsonl", "in/b/2.jsonl.gz"]
    assert names(bucket, "in/**/*.jsonl") == ["in/a/1.jsonl", "in/b/deep/3.jsonl", "in/day[1].jsonl"]
    assert names(bucket, "in/[!a]/**") == ["in/b/2.jsonl.gz", "in/b/deep/3.jsonl"]
    assert names(bucket, "in/[a-b]/?.jsonl") == ["in/a/1.jsonl"]
    assert names(bucket, "in/*") == sorted(key for key in keys if key.startswith("in/") and not key.endswith("/"))
    assert names(bucket, "in/day[1].jsonl") == ["in/day[1].jsonl"]


@pytest.mark.torture
def test_objects_land_once_and_a_changed_one_is_noticed(world: World, bucket: Any) -> None:
    for number in range(3):
        put(bucket, f"in/{number}.jsonl.gz", number, 10 + number)
    url = f"s3://{bucket.name}/in/*.jsonl.gz"
    done = world.land(url)
    assert (done.landed, done.changed) == (6, ())
    (load,) = loads(world.settings)
    assert [file.name for file in load.files] == [f"s3://{bucket.name}/in/{number}.jsonl.gz" for number in range(3)]
    again = world.land(url)
    assert (again.load_id, len(again.known_files)) == (None, 3)
    put(bucket, "in/1.jsonl.gz", 1, 11, 21)
    done = world.land(url)
    assert (done.landed, done.duplicate, done.changed) == (1, 2, (f"s3://{bucket.name}/in/1.jsonl.gz",))
    # What landed under one name is nothing new under another.
    copied = world.land(put(bucket, "copy/1.jsonl.gz", 1, 11, 21))
    assert (copied.load_id, copied.landed) == (None, 0)
    assert list(world.settings.scratch.glob("land-*")) == []


def test_many_objects_are_listed_page_by_page(bucket: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = s3._client().get_paginator("list_objects_v2").paginate

    class Small:
        @staticmethod
        def paginate(**keys: Any) -> Any:
            return asked(**keys, PaginationConfig={"PageSize": 2})

    for number in range(7):
        put(bucket, f"in/{number}.jsonl", number)
    monkeypatch.setattr(s3._client(), "get_paginator", lambda _name: Small)
    assert names(bucket, "in/") == [f"in/{number}.jsonl" for number in range(7)]


def test_hidden_and_unfinished_objects_are_passed_over_and_named(world: World, bucket: Any) -> None:
    for number, key in enumerate(("in/a.jsonl", "in/_SUCCESS", "in/_temporary/0/b.jsonl", "in/c.jsonl.part")):
        put(bucket, key, number)
    done = world.land(f"s3://{bucket.name}/in")
    start = f"s3://{bucket.name}/in/"
    assert (done.landed, done.skipped) == (
        1,
        (f"{start}_SUCCESS", f"{start}_temporary/0/b.jsonl", f"{start}c.jsonl.part"),
    )
    assert world.land(f"{start}c.jsonl.part").landed == 1


@pytest.mark.parametrize("key", ["in/none.jsonl", "none/", "in/*.csv"])
def test_nothing_there_is_an_error(world: World, bucket: Any, key: str) -> None:
    put(bucket, "in/a.jsonl", 1)
    with pytest.raises(DataError, match="there is no such object"):
        world.land(f"s3://{bucket.name}/{key}")


def test_an_object_that_is_another_one_when_it_is_read_lands_nothing(
    world: World, bucket: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, fetch = put(bucket, "in/a.jsonl", 1), s3.fetch

    def late(*arguments: Any) -> None:
        put(bucket, "in/a.jsonl", 1, 2)
        fetch(*arguments)

    monkeypatch.setattr(s3, "fetch", late)
    with pytest.raises(DataError, match="changed while it was read"):
        world.land(url)
    monkeypatch.setattr(s3, "fetch", fetch)
    assert world.land(url).landed == 2


def test_a_damaged_object_is_named_by_its_url_and_lands_nothing(world: World, bucket: Any) -> None:
    whole = gzip.compress(compact(call()) * 50)
    bucket.put_object(Key="in/a.jsonl.gz", Body=whole[:-4])
    with pytest.raises(DataError) as caught:
        world.land(f"s3://{bucket.name}/in/a.jsonl.gz")
    assert str(caught.value).startswith(f"s3://{bucket.name}/in/a.jsonl.gz: the gz file is damaged or cut short")
    assert loads(world.settings) == []


def test_the_mapping_is_chosen_by_the_name_of_the_object(world: World, bucket: Any) -> None:
    world.contract(
        "bank", 'format: csv\ntables:\n  "*_paid.csv": {type: track, event: {const: p}, user_id: u, timestamp: t}\n'
    )
    bucket.put_object(Key="x/2026_paid.csv", Body=b"u,t\n1,2026-10-01\n")
    assert world.land(f"s3://{bucket.name}/x", source="bank").landed == 1


@pytest.mark.torture
def test_errors_say_what_the_store_answered_and_no_secret(
    world: World, bucket: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def told(url: str) -> str:
        s3._client.cache_clear()
        with pytest.raises(DataError) as caught:
            world.land(url)
        return str(caught.value)

    assert "NoSuchBucket (404)" in told("s3://no-such-bucket/in/*.jsonl")
    assert "no bucket" in told("s3:///in")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://user:canary-password@127.0.0.1:1")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    gone = told(f"s3://{bucket.name}/in/*")
    assert "could not be asked" in gone
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(world.folder / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(world.folder / "none"))
    missing = told(f"s3://{bucket.name}/in/*")
    assert "AWS_ACCESS_KEY_ID" in missing
    assert not any(secret in gone + missing for secret in (SECRET, "canary-password", "canary-key"))


def test_without_the_extra_the_way_to_it_is_named(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    s3._client.cache_clear()
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(TailraceError, match=r"pip install 'tailrace\[s3\]'"):
        world.land("s3://bucket/in/*.jsonl")


@pytest.mark.torture
def test_a_backfill_of_an_object_is_told_by_what_it_was(world: World, bucket: Any) -> None:
    url = put(bucket, "in/a.jsonl", 1, 2)
    asked = Asked("ana", AS_OF)
    first = world.land(url, history=True, reason="lost", asked=asked)
    again = world.land(url, history=True, reason="lost", asked=asked)
    assert (first.landed, again.known_load) == (2, first.load_id)
    put(bucket, "in/a.jsonl", 1, 2, 3)
    assert world.land(url, history=True, reason="lost", asked=asked).landed == 1
