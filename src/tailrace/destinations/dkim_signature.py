"""How is mail signed as ours (DKIM, RFC 6376)? With the key of our domain, over every header that means something.

A header that is not there is signed as absent, and From once more than it is there, so that none can be added on the
way and the signature still hold.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from importlib import import_module
from typing import Any

from tailrace.errors import DestinationError

SIGNED = (
    *("from", "from", "to", "subject", "date", "message-id", "reply-to", "mime-version", "content-type"),
    *("content-transfer-encoding", "list-unsubscribe", "list-unsubscribe-post", "list-id", "feedback-id"),
)

_ANY = datetime(2026, 1, 1, tzinfo=UTC)


def signed(content: bytes, *, selector: str, domain: str, key: str, at: datetime) -> bytes:
    """Return the e-mail with its signature before it. The same arguments give the same bytes."""
    signer = _signer()(content)
    signer.stamp = str(int(at.timestamp())).encode()
    header: bytes = signer.sign(selector.encode(), domain.encode(), _pem(key), include_headers=SIGNED)
    return header + content


def check_key(key: str, variable: str) -> None:
    """Raise DestinationError when dkimpy is not installed, or `variable` does not hold a key that can sign."""
    _signer()
    broken: type[Exception] = import_module("dkim").DKIMException
    try:
        signed(b"From: a@example.com\r\n\r\n\r\n", selector="s", domain="example.com", key=key, at=_ANY)
    except (broken, ValueError):
        raise DestinationError(
            f"`{variable}` does not hold a private RSA key; expected PEM text that begins with `-----BEGIN`"
        ) from None


def _pem(key: str) -> bytes:
    """Return the key with line breaks as the library wants them: one line with a backslash and an `n` is one."""
    return key.replace("\\n", "\n").replace("\r\n", "\n").encode()


@cache
def _signer() -> Any:
    # Not at the top: only who signs needs it.
    try:
        dkim = import_module("dkim")
    except ImportError as error:
        raise DestinationError(
            "dkimpy is not installed; expected it to sign mail: install the extra, `pip install 'tailrace[dkim]'`"
        ) from error

    class Signer(dkim.DKIM):  # type: ignore[misc, name-defined]
        """The library's, with our moment in place of its clock's."""

        stamp = b"0"

        def gen_header(self, fields: list[tuple[bytes, bytes]], *rest: Any, **named: Any) -> Any:
            told = [(name, self.stamp if name == b"t" else value) for name, value in fields]
            return super().gen_header(told, *rest, **named)

    return Signer
