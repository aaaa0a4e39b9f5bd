"""Places that hold rows, each a real one, and a sender of its own that can be killed on the way there."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import boto3
import psycopg
from delivery_world import start_sender
from moto.server import ThreadedMotoServer
from tests.destinations.ssh_server import PASSWORD, Host
from tests.landing import postgres


class Place:
    """A far end. `settings` is its connection in destinations.yml, `environment` what a sender needs to get there."""

    settings: str
    environment: dict[str, str]

    def ids(self) -> list[str]:
        """Return the ids of the rows that it holds, each as often as it does."""
        raise NotImplementedError

    def start_sender(self, root: Path, now: datetime, crash_at: str, mode: str):
        """Return a running process that delivers from the world at `root`, and dies where `crash_at` says."""
        return start_sender(root, now, crash_at, mode=mode, environment=self.environment)


class Table(Place):
    def __init__(self, url: str) -> None:
        self.url = url
        self.db = psycopg.connect(url, autocommit=True)
        self.db.execute("create table people (id text, plan text)")
        self.settings = "type: postgres_table, url_env: FAR_URL"
        self.environment = {"FAR_URL": url}

    def is_keyed(self) -> None:
        self.db.execute("create unique index on people (id)")

    def ids(self) -> list[str]:
        return [row for (row,) in self.db.execute("select id from people").fetchall()]


class Files(Place):
    def contents(self) -> Iterator[bytes]:
        raise NotImplementedError

    def ids(self) -> list[str]:
        return [row["id"] for content in self.contents() for row in csv.DictReader(io.StringIO(content.decode()))]


class Disk(Files):
    environment: dict[str, str] = {}  # noqa: RUF012

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self.folder = folder
        self.settings = f"type: files, folder: {folder}"

    def contents(self) -> Iterator[bytes]:
        return (path.read_bytes() for path in self.folder.rglob("[!.]*.csv"))


class Shell(Disk):
    def __init__(self, host: Host, folder: Path) -> None:
        super().__init__(folder)
        self.settings = (
            f'type: sftp, host: 127.0.0.1, port: {host.port}, username: tailrace, folder: "/in",'
            f' host_keys: ["{host.public_key}"], password_env: FAR_PASSWORD'
        )
        self.environment = {"FAR_PASSWORD": PASSWORD}


class Bucket(Files):
    def __init__(self, endpoint: str) -> None:
        keys = {"aws_access_key_id": "k", "aws_secret_access_key": "s", "region_name": "us-east-1"}
        self.bucket = boto3.resource("s3", endpoint_url=endpoint, **keys).Bucket("far")
        self.bucket.create()
        self.settings = (
            f'type: files, folder: "s3://far/out", endpoint_url: "{endpoint}", private_network: true,'
            " access_key_env: FAR_KEY, secret_key_env: FAR_SECRET, region: us-east-1"
        )
        self.environment = {"FAR_KEY": "k", "FAR_SECRET": "s"}

    def contents(self) -> Iterator[bytes]:
        return (each.get()["Body"].read() for each in self.bucket.objects.all())


@contextmanager
def opened(name: str, root: Path, server: postgres.Server) -> Iterator[Place]:
    """Run the place that is called `name`."""
    if name == "table":
        table = Table(server.database())
        yield table
        table.db.close()
    elif name == "disk":
        yield Disk(root / "exports")
    elif name == "sftp":
        (root / "served").mkdir()
        host = Host(root / "served")
        yield Shell(host, root / "served" / "in")
        host.close()
    else:
        store = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
        store.start()
        bucket = Bucket("http://{}:{}".format(*store.get_host_and_port()))
        yield bucket
        # What is stored belongs to this process, not to one server.
        bucket.bucket.objects.delete()
        store.stop()
