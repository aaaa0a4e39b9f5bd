"""One HTTP server on the loopback, for webhooks of every kind: it answers as told, and misbehaves as told."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

Reply = tuple[int, dict[str, str], bytes]
"""Status, headers, content. `answer` makes one."""


class Call(NamedTuple):
    """One call as it came; the names of headers are in small letters."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def said(self) -> Any:
        return json.loads(self.body)


def answer(status: int = 200, content: bytes = b"", **headers: str) -> Reply:
    return (status, {name.replace("_", "-"): value for name, value in headers.items()}, content)


class Receiver:
    """An HTTP server that counts calls by their id and answers the n-th as `answers[n]` says, or else as `otherwise`.

    It is told a reply, what makes one of the call, or how to misbehave: `hang` says nothing, `reset` closes after the
    call was read, `half` closes within the answer, `trickle` answers a byte at a time, `huge` does not end.
    """

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.seen: Counter[str] = Counter()
        self.answers: dict[int, Reply | Callable[[Call], Any] | str] = {}
        self.otherwise: Reply | Callable[[Call], Any] | str = answer(
            200, b'{"ok": true}', content_type="application/json"
        )
        self.release = threading.Event()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self):
                length = int(self.headers.get("content-length") or 0)
                body = self.rfile.read(length)
                if len(body) < length:
                    # The sender died in the middle of it: this is no call yet.
                    self.close_connection = True
                    return
                headers = {name.lower(): value for name, value in self.headers.items()}
                call = Call(self.command, self.path, headers, body)
                told = receiver.answers.get(len(receiver.calls), receiver.otherwise)
                receiver.calls.append(call)
                receiver.seen[headers.get("webhook-id", "")] += 1
                if callable(told):
                    told = told(call)
                if isinstance(told, str):
                    getattr(self, told)()
                    return
                status, more, content = told
                self.send_response(status)
                for name, value in more.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer  # noqa: N815

            def reset(self):
                self.close_connection = True

            def hang(self):
                receiver.release.wait(30)
                self.close_connection = True

            def begin(self, length):
                self.close_connection = True
                self.send_response(200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(length))
                self.end_headers()

            def half(self):
                self.begin(1000)
                self.wfile.write(b'{"ok": tr')

            def huge(self):
                self.begin(1 << 40)
                try:
                    while not receiver.release.is_set():
                        self.wfile.write(b" " * 65_536)
                except OSError:
                    return

            def trickle(self):
                self.begin(1000)
                for _ in range(1000):
                    if receiver.release.wait(0.02):
                        return
                    try:
                        self.wfile.write(b" ")
                    except OSError:
                        return

            def log_message(self, *args):
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            block_on_close = False

            def handle_error(self, request, client_address):
                pass

        self.server = Server(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    def close(self) -> None:
        self.release.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()
