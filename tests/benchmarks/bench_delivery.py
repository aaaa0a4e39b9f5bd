"""How much of a bare client's speed is left when every message is claimed, fenced, recorded and copied?

Run as `python -m tests.benchmarks.bench_delivery [messages] [repeats]`. The far end is a process of its own: aiosmtpd
for mail, a small HTTP server for calls. The bare loop makes the very calls that delivery makes, on one kept connection,
and nothing else: it renders nothing, and every byte of a call was made before. For mail it is `smtplib`; for calls it
is `requests`, which is what one would write, and `urllib3` beside it, which is what delivery speaks through. All sides
take turns, so that a busy machine is busy for all.

A claim costs two writes to the disk, whatever is in it: once with the `slots` that a connection has by itself, once
with more of them (a crash can leave so many unknown), each on the disk and in memory (/dev/shm).
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import smtplib
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import requests
import urllib3
from aiosmtpd.controller import Controller

sys.path.insert(0, str(Path(__file__).parent.parent / "delivery"))

from delivery_world import World, free_port

from tailrace.destinations import transport
from tailrace.destinations.base import HttpRequest, Mail

SLOTS = (4, 20)
_YES = b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n"


class Sink(asyncio.Protocol):
    """Answers every call with 204."""

    def connection_made(self, transport: Any) -> None:
        self.transport, self.buffer = transport, b""

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            head = self.buffer[:end].lower()
            place = head.find(b"content-length:")
            length = int(head[place + 15 :].split(b"\r\n", 1)[0]) if place >= 0 else 0
            if len(self.buffer) < end + 4 + length:
                return
            self.buffer = self.buffer[end + 4 + length :]
            self.transport.write(_YES)


class Taker:
    """Takes every mail."""

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        return "250 taken"


def _serve(kind: str, port: int, ready: Any) -> None:
    if kind == "mail":
        controller = Controller(Taker(), hostname="127.0.0.1", port=port)
        controller.start()
        ready.set()
        while True:
            time.sleep(3600)

    async def serve() -> None:
        server = await asyncio.get_running_loop().create_server(Sink, "127.0.0.1", port)
        ready.set()
        await server.serve_forever()

    asyncio.run(serve())


@contextmanager
def far_end(kind: str) -> Iterator[int]:
    context = multiprocessing.get_context("spawn")
    port, ready = free_port(), context.Event()
    process = context.Process(target=_serve, args=(kind, port, ready), daemon=True)
    process.start()
    ready.wait(30)
    try:
        yield port
    finally:
        process.kill()
        process.join()


def timed(work: Callable[[], None]) -> tuple[float, float]:
    """Return wall and CPU seconds of this process."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def mails(port: int, said: list[Any]) -> None:
    client = smtplib.SMTP("127.0.0.1", port, local_hostname="localhost")
    client.ehlo()
    for mail in said:
        assert client.mail(mail.sender)[0] == 250
        assert client.rcpt(mail.recipient)[0] == 250
        assert client.data(mail.content)[0] == 250
    client.quit()


def calls(port: int, said: list[Any]) -> None:
    with requests.Session() as session:
        session.trust_env = False
        for call in said:
            answer = session.request(call.method, call.url, headers=dict(call.headers), data=call.body, timeout=30)
            assert answer.status_code == 204


def lean_calls(port: int, said: list[Any]) -> None:
    with urllib3.PoolManager() as pools:
        for call in said:
            answer = pools.request(call.method, call.url, headers=dict(call.headers), body=call.body, timeout=30)
            assert answer.status == 204


BARE = {"mail": {"smtplib": mails}, "calls": {"requests": calls, "urllib3": lean_calls}}


def delivered(
    kind: str, port: int, people: list[str], folder: Path, slots: int = SLOTS[0]
) -> tuple[Callable[[], None], list[Any]]:
    """Return what delivers to all people, and where it notes the requests that it made."""
    world = World(folder)
    (world.smtp if kind == "mail" else world.webhook)(port, f", slots: {slots}")
    world.apply(people)
    world.go_live()

    def work() -> None:
        done = world.deliver()
        assert done.messages.accepted == len(people), done.messages.codes

    return work, []


def requests_of(kind: str, port: int, people: list[str], folder: Path) -> list[Any]:
    """Return the requests that a delivery makes."""
    noted: list[Mail | HttpRequest] = []
    session = transport.SmtpSession if kind == "mail" else transport.HttpSession
    perform = session.perform

    def note(self: Any, request: Any) -> Any:
        noted.append(request)
        return perform(self, request)

    session.perform = note  # type: ignore[assignment,method-assign]
    try:
        delivered(kind, port, people, folder)[0]()
    finally:
        session.perform = perform  # type: ignore[method-assign]
    return noted


def main(n: int, repeats: int) -> None:
    print(f"{n:,} messages, median of {repeats}, load {os.getloadavg()[0]:.1f}")
    for kind, place in product(("mail", "calls"), (None, "/dev/shm")):
        with tempfile.TemporaryDirectory(dir=place) as name, far_end(kind) as port:
            compare(kind, port, n, repeats, Path(name))


def compare(kind: str, port: int, n: int, repeats: int, folder: Path) -> None:
    """Print the speed of both sides, and which share of the bare loop's is left."""
    people = [f"person{number}@people.test" for number in range(n)]
    said = requests_of(kind, port, people, folder / "noted")
    assert len(said) == n
    for slots in SLOTS:
        ours: list[tuple[float, float]] = []
        theirs: dict[str, list[tuple[float, float]]] = {name: [] for name in BARE[kind]}
        for turn in range(repeats):
            for name, loop in BARE[kind].items():
                theirs[name].append(timed(partial(loop, port, said)))
            ours.append(timed(delivered(kind, port, people, folder / f"{slots}-{turn}", slots)[0]))
        wall, cpu = (statistics.median(one[place] for one in ours) for place in (0, 1))
        print(
            f"{kind:5} {folder.parent!s:8} slots {slots:2}  delivered {n / wall:6,.0f}/s"
            f" ({n / cpu:6,.0f} per core second)",
            flush=True,
        )
        for name, took in theirs.items():
            bare, bare_cpu = (statistics.median(one[place] for one in took) for place in (0, 1))
            # Of what both sides did one after the other: the machine was as busy for one as for the other.
            share, of_cpu = (
                statistics.median(one[place] / our[place] for one, our in zip(took, ours, strict=True))
                for place in (0, 1)
            )
            print(
                f"      bare {name:8} {n / bare:6,.0f}/s ({n / bare_cpu:6,.0f} per core second)  share {share:.2f}"
                f" (cpu {of_cpu:.2f}); aim 0.70",
                flush=True,
            )


if __name__ == "__main__":
    main(int((sys.argv[1:] or ["2000"])[0]), int((sys.argv[2:] or ["3"])[0]))
