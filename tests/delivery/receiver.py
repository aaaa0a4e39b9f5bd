"""A receiver of webhook steps on the loopback."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Receiver:
    """An HTTP server that counts calls by their id and answers by turn: (status, body), `reset`, or what is made of the
    call's body.
    """

    def __init__(self) -> None:
        self.calls: list[tuple[str, str, dict[str, str], bytes]] = []
        self.seen: Counter[str] = Counter()
        self.answers: list[object] = []
        self.otherwise: object = (200, b'{"task": 7}')
        self.kind = "application/json"
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                headers = {name.lower(): value for name, value in self.headers.items()}
                receiver.calls.append((self.command, self.path, headers, body))
                receiver.seen[headers.get("webhook-id", "")] += 1
                told = receiver.answers.pop(0) if receiver.answers else receiver.otherwise
                if isinstance(told, Callable):
                    told = told(body)
                if told == "reset":
                    self.close_connection = True
                    return
                status, content = told
                self.send_response(status)
                self.send_header("content-type", receiver.kind)
                self.send_header("location", "http://127.0.0.1:1/elsewhere")
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_PUT = answer  # noqa: N815

            def log_message(self, *args: object) -> None:
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
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()
