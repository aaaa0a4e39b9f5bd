"""How do one person's words become one e-mail? The only builder: one recipient, always text, nothing injected."""

from __future__ import annotations

import binascii
import hashlib
import re
from email.errors import HeaderParseError
from email.header import Header, decode_header
from email.utils import format_datetime, formataddr
from functools import lru_cache

from email_validator import EmailNotValidError, validate_email

from tailrace.destinations.base import Message, RefusedError, Rendered

ALLOWED_HEADERS = {
    name.lower(): name for name in ("Reply-To", "List-Unsubscribe", "List-Unsubscribe-Post", "List-Id", "Feedback-ID")
}
"""Headers that a message may bring along. Names are ours; only values come from outside."""

ONE_CLICK = "List-Unsubscribe=One-Click"
LONGEST_LINE = 998
_UNSUBSCRIBE, _POST = "List-Unsubscribe", "List-Unsubscribe-Post"
_SECURE = re.compile(r"<\s*https://", re.IGNORECASE)
_SENDER = re.compile(r'(?:"?(?P<name>[^"<>]*)"?\s*<)?(?P<address>[^<>\s"]+)>?')
_PLAIN = re.compile(r"[A-Za-z0-9_+-]+(?:\.[A-Za-z0-9_+-]+)*", re.ASCII)
# RFC 5321, 4.5.3.1.
_LONGEST_LOCAL, _LONGEST = 64, 254
# C0, DEL and C1 controls, the Unicode line and paragraph separators, and lone surrogates.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def sender_of(message: Message, otherwise: str | None) -> tuple[str, str]:
    """Return (name, address) of who writes: the message's own sender, else the connection's.

    Raises RefusedError when there is none, or it is not one.
    """
    if message.rendered.sender is not None:
        name, address = message.rendered.sender
        check_header(name)
        return name, mailbox(address)
    if otherwise is None:
        raise RefusedError("sender:missing")
    return split_sender(otherwise)


def build(message: Message, sender: tuple[str, str], *, one_click: bool = True) -> bytes:
    """Return the e-mail, lines ending in CR LF, none longer than 998 bytes. The same arguments give the same bytes.

    Raises RefusedError for an address that is none, a header value with a control character (also after RFC 2047
    decoding), a header that is not allowed, or a message without text.
    """
    words = message.rendered
    check_words(words)
    name, writer = sender
    lines = [
        _header("From", formataddr((name, writer))),
        _header("To", mailbox(message.address)),
        _header("Subject", words.subject),
        _header("Date", format_datetime(message.at)),
        _header("Message-ID", f"<{message.intent_id}@{writer.rpartition('@')[2]}>"),
        *(_header(*pair) for pair in headers_of(words, one_click=one_click)),
        "MIME-Version: 1.0",
    ]
    if words.html is None:
        return _join(lines, _part("plain", words.text))
    # `=_` cannot occur in quoted-printable, so the boundary cannot occur in a part.
    boundary = "=_" + hashlib.sha256(message.intent_id.encode()).hexdigest()[:32]
    fence = f"--{boundary}".encode()
    parts = b"\r\n".join(
        (
            fence,
            _part("plain", words.text),
            fence,
            _part("html", words.html),
            fence + b"--",
            b"",
        )
    )
    return _join(lines, f'Content-Type: multipart/alternative; boundary="{boundary}"\r\n\r\n'.encode() + parts)


def check_words(words: Rendered) -> None:
    """Raise RefusedError for mail without text or subject, or with a subject that no header may hold."""
    if not words.text.strip():
        raise RefusedError("message:no_text")
    if not words.subject.strip():
        raise RefusedError("message:no_subject")
    check_header(words.subject)


def headers_of(words: Rendered, *, one_click: bool = True) -> list[tuple[str, str]]:
    """Return the headers that a message brings along, checked, in order of their names.

    With `one_click`, whoever can unsubscribe by one https address can do so by one POST to it (RFC 8058). Raises
    RefusedError for a header that is not allowed or holds a control character, and for a promise of one click that
    no address keeps.
    """
    if any(name.lower() not in ALLOWED_HEADERS for name in words.headers):
        raise RefusedError("header:not_allowed")
    given = {ALLOWED_HEADERS[name.lower()]: value for name, value in words.headers.items()}
    for value in given.values():
        check_header(value)
    has_one = len(_SECURE.findall(given.get(_UNSUBSCRIBE, ""))) == 1
    if _POST in given and (given[_POST] != ONE_CLICK or not has_one):
        raise RefusedError("header:not_one_click")
    if one_click and has_one:
        given[_POST] = ONE_CLICK
    return sorted(given.items())


@lru_cache(maxsize=1024)
def mailbox(address: str) -> str:
    """Return the one address as it goes over the wire: ASCII, the domain in IDNA. No network is asked.

    Raises RefusedError for anything but exactly one bare address.
    """
    if _CONTROL.search(address):
        raise RefusedError("address:control_character")
    local, _, domain = address.rpartition("@")
    # Nearly all are plain before the `@`, at a domain that was seen before.
    if _PLAIN.fullmatch(local) and len(local) <= _LONGEST_LOCAL:
        plain = f"{local}@{_domain(domain)}"
        if len(plain) <= _LONGEST and len(address) <= _LONGEST:
            return plain
    return _valid(address)


@lru_cache(maxsize=4096)
def _domain(domain: str) -> str:
    return _valid(f"a@{domain}").removeprefix("a@")


def _valid(address: str) -> str:
    try:
        valid = validate_email(address, check_deliverability=False, allow_smtputf8=False, test_environment=True)
    except EmailNotValidError:
        # The library's message repeats the address.
        raise RefusedError("address:invalid") from None
    if valid.ascii_email is None:
        raise RefusedError("address:invalid")
    return valid.ascii_email


@lru_cache(maxsize=64)
def split_sender(sender: str) -> tuple[str, str]:
    """Return the name (may be empty) and the address of `Name <address>` or `address`; raises RefusedError."""
    if _CONTROL.search(sender):
        raise RefusedError("sender:control_character")
    found = _SENDER.fullmatch(sender.strip())
    if found is None:
        raise RefusedError("sender:invalid")
    return (found["name"] or "").strip(), mailbox(found["address"])


def check_header(value: str) -> None:
    """Raise RefusedError when `value` has a control character, as it stands or after decoding its encoded words."""
    for _ in range(3):
        if _CONTROL.search(value):
            raise RefusedError("header:control_character")
        if "=?" not in value:
            return
        try:
            pieces = decode_header(value)
            decoded = "".join(
                piece if isinstance(piece, str) else piece.decode(charset or "ascii", errors="strict")
                for piece, charset in pieces
            )
        except (HeaderParseError, LookupError, ValueError, binascii.Error) as error:
            raise RefusedError("header:undecodable") from error
        if decoded == value:
            return
        value = decoded
    if _CONTROL.search(value) or "=?" in value:
        raise RefusedError("header:control_character")


def _header(name: str, value: str) -> str:
    check_header(value)
    if value.isascii():
        # Not folded: a long List-Unsubscribe that is folded or encoded breaks one-click readers.
        line = f"{name}: {value}"
    else:
        line = f"{name}: {Header(value, 'utf-8', header_name=name).encode(linesep=chr(13) + chr(10))}"
    if any(len(piece) > LONGEST_LINE for piece in line.split("\r\n")):
        raise RefusedError("header:too_long")
    return line


def _part(subtype: str, body: str) -> bytes:
    if "\x00" in body:
        raise RefusedError("message:control_character")
    try:
        content = body.replace("\r\n", "\n").replace("\r", "\n").encode()
    except UnicodeEncodeError as error:
        raise RefusedError("message:not_text") from error
    encoded = binascii.b2a_qp(content).replace(b"\n", b"\r\n")
    head = f"Content-Type: text/{subtype}; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
    return head.encode() + encoded


def _join(lines: list[str], rest: bytes) -> bytes:
    return "\r\n".join(lines).encode("ascii") + b"\r\n" + rest + (b"" if rest.endswith(b"\r\n") else b"\r\n")
