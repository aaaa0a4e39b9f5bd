"""A real SMTP server on loopback that counts what it takes over, by Message-ID."""

from __future__ import annotations

import email
import email.policy
import socket
import threading
from collections import Counter

from aiosmtpd.controller import Controller


class Post:
    """The running server. `taken` counts mails by intent (the local part of Message-ID), `to` says who got each.

    A recipient in `refused` is answered 550.
    """

    def __init__(self) -> None:
        self.taken: Counter[str] = Counter()
        self.to: dict[str, str] = {}
        self.bodies: dict[str, str] = {}
        self.refused: set[str] = set()
        self._changed = threading.Condition()
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            self.port = int(sock.getsockname()[1])
        self._controller = Controller(self, hostname="127.0.0.1", port=self.port)

    def __enter__(self) -> Post:
        self._controller.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._controller.stop()

    @property
    def n_taken(self) -> int:
        return sum(self.taken.values())

    def wait_for(self, number: int, seconds: float) -> bool:
        """Return whether `number` mails have been taken over in all, after at most so many seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: self.n_taken >= number, seconds)

    async def handle_RCPT(self, server, session, envelope, address, options):  # noqa: N802
        if address in self.refused:
            return f"550 no such person as {address}"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):  # noqa: N802
        message = email.message_from_bytes(envelope.original_content, policy=email.policy.default)
        intent = message["Message-ID"].strip("<>").partition("@")[0]
        (address,) = envelope.rcpt_tos
        text = message.get_body(("plain",))
        with self._changed:
            self.taken[intent] += 1
            self.to[intent] = address
            self.bodies[intent] = text.get_content() if text is not None else ""
            self._changed.notify_all()
        return "250 taken"
