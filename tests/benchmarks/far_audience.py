"""A far end that takes audiences, in a process of its own: who was said how often, under which ids, and what failed.

It takes `{"data": {"rows": [{"op", "key", "data"}]}}` (ours) and `[{"user_id", …}]` (others'). GET `/stats` says what
it saw, `/reset` forgets it. After `/fail?after=N` all calls but the first N are answered 500 (-1: none), after
`/hold?after=N` all but the first N of each connection are taken and not answered: however far ahead one worker is, each
comes to wait. `/held?after=N` is answered as soon as N calls wait so.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import orjson

_YES = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
_NO = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 4\r\n\r\nfail"


class Seen:
    """What came in, and how it is answered."""

    def __init__(self) -> None:
        self.fail_after = self.hold_after = -1
        self.waiting: list[tuple[int, Any]] = []
        self.forget()

    def forget(self) -> None:
        self.calls = self.failed = self.held = self.ambiguous = 0
        self.rows: Counter[str] = Counter()
        self.ids: Counter[str] = Counter()
        self.of_id: dict[str, list[str]] = {}

    def take(self, name: str, body: bytes) -> None:
        said = orjson.loads(body)
        rows = said if isinstance(said, list) else [row["key"] for row in said["data"]["rows"]]
        keys = [row["user_id"] for row in rows]
        self.rows.update(keys)
        if name:
            self.ids[name] += 1
            self.ambiguous += self.of_id.setdefault(name, keys) != keys

    def stats(self) -> dict[str, Any]:
        again = {name for name, n in self.ids.items() if n > 1}
        under_an_id = {key for name in again for key in self.of_id[name]}
        repeated = {key for key, n in self.rows.items() if n > 1}
        return {
            "calls": self.calls,
            "failed": self.failed,
            "held": self.held,
            "rows": self.rows.total(),
            "different": len(self.rows),
            "repeated": len(repeated),
            "repeated_under_another_id": len(repeated - under_an_id),
            "ids_repeated": len(again),
            "ids_of_two_things": self.ambiguous,
        }


class FarEnd(asyncio.Protocol):
    """One connection; all of them share what was seen."""

    def __init__(self, seen: Seen) -> None:
        self.seen, self.buffer = seen, bytearray()
        self.calls = 0

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            lines = bytes(self.buffer[:end]).decode().split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
            until = end + 4 + int(headers.get("content-length", 0))
            if len(self.buffer) < until:
                return
            body = bytes(self.buffer[end + 4 : until])
            del self.buffer[:until]
            method, path, _ = lines[0].split(" ")
            self.transport.write(self.ask(path) if method == "GET" else self.call(headers, body))

    def call(self, headers: dict[str, str], body: bytes) -> bytes:
        seen = self.seen
        seen.calls += 1
        self.calls += 1
        if 0 <= seen.fail_after < seen.calls:
            seen.failed += 1
            return _NO
        seen.take(headers.get("idempotency-key", ""), body)
        if 0 <= seen.hold_after < self.calls:
            seen.held += 1
            for number, transport in seen.waiting:
                if number == seen.held:
                    transport.write(self.said())
            return b""
        return _YES

    def ask(self, path: str) -> bytes:
        what, _, number = path.partition("?after=")
        if what == "/reset":
            self.seen.forget()
        elif what == "/fail":
            self.seen.fail_after = int(number)
        elif what == "/hold":
            self.seen.hold_after = int(number)
        elif what == "/held" and self.seen.held < int(number):
            self.seen.waiting.append((int(number), self.transport))
            return b""
        return self.said()

    def said(self) -> bytes:
        said = orjson.dumps(self.seen.stats())
        return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(said), said)


def _serve(ready: Any) -> None:
    async def serve() -> None:
        seen = Seen()
        server = await asyncio.get_running_loop().create_server(lambda: FarEnd(seen), "127.0.0.1", 0)
        ready.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(serve())


class Far:
    """The far end, as a benchmark or a test speaks to it."""

    def __init__(self, port: int) -> None:
        self.port = port

    def ask(self, path: str = "/stats") -> dict[str, int]:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=60) as reply:
            found: dict[str, int] = orjson.loads(reply.read())
        return found


@contextmanager
def far_audience() -> Iterator[Far]:
    context = multiprocessing.get_context("spawn")
    ready, told = context.Pipe()
    process = context.Process(target=_serve, args=(told,), daemon=True)
    process.start()
    try:
        yield Far(ready.recv())
    finally:
        process.kill()
        process.join()
