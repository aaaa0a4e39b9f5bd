"""The other end of a destination: an HTTP server on the loopback that a test gives a mind, and a batch driven to it.

A mind is called with each call and returns status, headers and a body (JSON, or bytes as they are).
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

from tailrace.delivery import batches
from tailrace.destinations.base import Batch, BatchRow, Secrets
from tailrace.destinations.connections import Connection, Line

AT = datetime(2026, 3, 1, 6, tzinfo=UTC)


class Call(NamedTuple):
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    @property
    def said(self) -> Any:
        return json.loads(self.body)

    @property
    def form(self) -> dict[str, str]:
        return dict(parse_qsl(self.body.decode()))


Reply = tuple[int, dict[str, str], Any]
Mind = Callable[[Call], Reply]


class FarEnd:
    """`calls` are kept as they came; `mind` answers."""

    def __init__(self, mind: Mind) -> None:
        self.calls: list[Call] = []
        self.mind = mind
        end = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self):
                url = urlsplit(self.path)
                headers = {name.lower(): value for name, value in self.headers.items()}
                body = self.rfile.read(int(headers.get("content-length") or 0))
                call = Call(self.command, url.path, dict(parse_qsl(url.query)), headers, body)
                end.calls.append(call)
                status, more, told = end.mind(call)
                content = told if isinstance(told, bytes) else json.dumps(told).encode()
                self.send_response(status)
                for name, value in more.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = answer  # noqa: N815

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@contextmanager
def listening(mind: Mind) -> Iterator[FarEnd]:
    end = FarEnd(mind)
    try:
        yield end
    finally:
        end.close()


def row(op: str, key: dict[str, Any], **data: Any) -> tuple[str, dict[str, Any], dict[str, Any] | None]:
    """One row as the plan has it: its key as text within its data; a removal has no data."""
    return op, {name: str(value) for name, value in key.items()}, None if op == "remove" else {**key, **data}


def batch_of(rows: Sequence[Any], target: str, mode: str = "mirror", plan: str = "p") -> Batch:
    numbered = tuple(BatchRow(position, *each) for position, each in enumerate(rows))
    return Batch(f"{plan}/s/0", plan, "s", target, 0, numbered, AT, mode=mode)


class Sender:
    """Drives batches over a real connection, as delivery does: cut, halved, one call after another."""

    def __init__(self, module: Any, end: FarEnd, secrets: dict[str, str], **settings: Any) -> None:
        self.module = module
        own = {**{name: name.upper() for name in secrets}, **settings}
        self.settings = module.Settings(base_url=end.url, private_network=True, **own)
        self.secrets = Secrets(secrets)

    def send(self, rows: Sequence[Any], target: str, mode: str = "mirror", plan: str = "p") -> batches.Rows:
        """Return what became of the rows."""
        connection = Connection("c", self.module, self.settings, 1)
        line = Line(connection, self.secrets, self.module.connect(self.settings, self.secrets, Path("unused")))
        batch = batch_of(rows, target, mode, plan)
        try:
            return batches.drive(line, batch, batch.rows, line.hand_over, lambda: None)
        finally:
            line.close()

    def perform(self, request: Any) -> Any:
        """Return the answer to one call."""
        session = self.module.connect(self.settings, self.secrets, Path("unused"))
        try:
            return session.perform(request)
        finally:
            session.close()


def outcomes(done: batches.Rows) -> list[tuple[str, str]]:
    """Outcome and code of each row, in order."""
    return [(outcome.value, code) for _, (outcome, code) in sorted(done.said.items())]
