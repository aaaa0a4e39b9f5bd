"""Who was erased does not come back from an object store or a database that still has them."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import boto3
import duckdb
import psycopg
import pytest
from moto.server import ThreadedMotoServer

from tailrace import clock
from tailrace.landing import s3
from tailrace.landing.loads import event_files, loads
from tests.conftest import Company
from tests.installation import PROJECT, Installation, at, call
from tests.landing import postgres

pytestmark = [pytest.mark.torture, pytest.mark.slow]

USER, ADDRESS, OTHER = "kanarie-user-1", "kanarie@vogel.example", "spatz-user-2"
CONTRACT = """format: postgres
connection: {url_env: SHOP_DATABASE_URL}
table: orders
key: id
cursor: at
mapping: {type: track, event: {const: order paid}, user_id: who, timestamp: at, properties: all}
"""


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://{host}:{port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    s3._client.cache_clear()
    made = boto3.resource("s3", region_name="us-east-1").Bucket("events")
    made.create()
    yield made
    s3._client.cache_clear()
    server.stop()


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> Iterator[psycopg.Connection]:
    with postgres.serving() as server:
        url = server.database()
        monkeypatch.setenv("SHOP_DATABASE_URL", url)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("create table orders (id bigint primary key, who text, email text, at timestamptz)")
            yield connection


def calls(moment: str, *people: tuple[str, str]) -> bytes:
    lines = [
        {
            "type": "identify",
            "userId": user,
            "messageId": f"{user}-{address}",
            "timestamp": moment,
            "traits": {"email": address},
        }
        for user, address in people
    ]
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


def known(installation: Installation) -> set[str]:
    """Return whom of the two the landing and the published warehouse have."""
    settings = installation.settings
    with duckdb.connect() as connection:
        connection.execute(f"attach '{settings.published}' as wh (read_only)")
        files = [str(path) for path in event_files(settings, loads(settings))]
        both = "select user_id, properties, traits from read_parquet(?) union all"
        rows = connection.execute(f"{both} select user_id, email, null from wh.core.dim_people", [files]).fetchall()
    return {word for word in (USER, ADDRESS, OTHER) if any(word in str(row) for row in rows)}


def test_the_same_objects_and_the_same_rows_bring_nobody_back_who_was_erased(
    company: Company, bucket: Any, shop: psycopg.Connection, tmp_path: Path
) -> None:
    project = tmp_path / "project"
    shutil.copytree(PROJECT, project, ignore=shutil.ignore_patterns("target", "logs"))
    (project / "contracts" / "sources" / "shop.yml").write_text(CONTRACT)
    installation = company.copy(tmp_path / "data", project)
    day = at(company.sample.daily[0].last_on, 23)
    moment, later = clock.iso(day - timedelta(hours=3)), clock.iso(day + timedelta(hours=1))
    both = calls(moment, (USER, ADDRESS), (OTHER, "spatz@vogel.example"))
    bucket.put_object(Key="in/a.jsonl", Body=both)
    for number, who in enumerate((USER, OTHER, USER)):
        shop.execute("insert into orders values (%s, %s, %s, %s)", [number, who, f"{who}@x.test", moment])
    landed = call(installation, "land", "s3://events/in", "--source", "app", "--as-of", clock.iso(day), "--json")
    assert landed.json["landed"] == 2
    assert call(installation, "run", "--as-of", clock.iso(day)).code in (0, 3)
    assert known(installation) == {USER, ADDRESS, OTHER}

    assert call(installation, "erase", USER, "--reason", "ticket 4711").code == 0
    assert known(installation) == {OTHER}

    # The object as it is, under another name, and with a new user id that has the address.
    again = [call(installation, "land", "s3://events/in", "--source", "app", "--as-of", later, "--json").json]
    bucket.put_object(Key="in/b.jsonl", Body=both + calls(moment, ("kanarie-again", ADDRESS)))
    again.append(call(installation, "land", "s3://events/in", "--source", "app", "--as-of", later, "--json").json)
    assert [(one["lines"], one["landed"], one["erased"], one["duplicate"]) for one in again] == [
        (0, 0, 0, 0),
        (3, 0, 2, 1),
    ]
    # The rows changed, so a run reads them again; and a backfill reads the whole table.
    shop.execute("update orders set at = at + interval '1 minute'")
    run = call(installation, "run", "--as-of", later, "--json").json
    assert (run["steps"]["land"]["landed"], run["steps"]["land"]["erased"], run["unread_sources"]) == (1, 2, {})
    shop.execute("insert into orders values (3, %s, 'x@x.test', %s)", [OTHER, moment])
    words = ("backfill", "--source", "shop", "--reason", "from a backup", "--json")
    done = call(installation, *words).json["steps"]["land"]
    assert (done["lines"], done["landed"], done["duplicate"], done["erased"]) == (4, 1, 1, 2)
    assert known(installation) == {OTHER}
