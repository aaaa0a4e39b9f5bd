"""One message handed over a real connection to the loopback, as delivery does it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from far_end import AT, Sender

from tailrace.destinations.base import Message, Rendered, Result
from tailrace.destinations.connections import Connection, Line

UNSUBSCRIBE = "<https://acme.test/u?p=7>"
PAGE = '<p style="color: red;">Hi Zoë</p>'


def mail(address: str = "kim@people.test", subject: str = "Zoë, hello", **headers: str) -> Message:
    """An e-mail with HTML and a link to unsubscribe; a header is named with underscores."""
    told = {"List-Unsubscribe": UNSUBSCRIBE, **{name.replace("_", "-"): value for name, value in headers.items()}}
    words = Rendered(subject, PAGE, "Hi Zoë\n", told, ("Acme, Ltd", "hello@acme.test"))
    return Message("0a1b2c", 7, "email", "welcome", "hello", address, words, AT)


def note(channel: str, text: str, address: str) -> Message:
    """A message on another channel."""
    return Message("0a1b2c", 7, channel, "welcome", "hello", address, Rendered("", None, text), AT)


class Messenger(Sender):
    """Hands messages over; the line is kept."""

    _line: Line | None = None

    @property
    def line(self) -> Line:
        if self._line is None:
            session = self.module.connect(self.settings, self.secrets, Path("unused"))
            self._line = Line(Connection("c", self.module, self.settings, 1), self.secrets, session)
        return self._line

    def say(self, message: Message) -> Result:
        """Return what became of the message."""
        request = self.line.prepare(message)
        return request if isinstance(request, Result) else self.line.hand_over(message, request)

    def probe(self) -> Result:
        """Return whether we are let in."""
        told: Any = self.perform(self.module.build_probe(self.settings, self.secrets))
        result: Result = self.module.read_probe(self.settings, told)
        return result

    def close(self) -> None:
        if self._line is not None:
            self._line.close()
