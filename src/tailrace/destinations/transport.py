"""How do bytes leave? The only place with sockets; it says what was answered, or whether anything was handed over."""

from __future__ import annotations

import ipaddress
import os
import smtplib
import socket
import ssl
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

import certifi
import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError, ProtocolError
from urllib3.exceptions import SSLError as TlsError
from urllib3.exceptions import TimeoutError as HttpTimeout

from tailrace import clock, durable
from tailrace.destinations.base import (
    Exchange,
    Failure,
    FileWrite,
    HttpReply,
    HttpRequest,
    Mail,
    Pause,
    Reply,
    SmtpReply,
    Written,
)

LONGEST_ANSWER = 8_000_000
_CHUNK = 65_536


class FileSession:
    """Writes files below a folder: written aside, fsynced, renamed; `flush` makes the names durable."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._touched: set[Path] = set()

    def perform(self, request: FileWrite) -> Reply | Failure:
        """Put the file in place."""
        folder = self._root / request.folder
        if folder not in self._touched:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._touched.add(folder)
        aside = folder / f".{request.name}.tmp"
        with aside.open("wb") as handle:
            handle.write(request.content)
            handle.flush()
            os.fsync(handle.fileno())
        aside.rename(folder / request.name)
        return Written()

    def flush(self) -> None:
        """Make the names of the files durable."""
        for folder in sorted(self._touched):
            durable.fsync_dir(folder)
        self._touched.clear()

    def close(self) -> None:
        """Make the names durable."""
        self.flush()


@dataclass(frozen=True)
class Greeting:
    """To be let in by a relay, and say nothing: what its `check` asks."""


class SmtpSession:
    """One SMTP connection, opened when first used, used again while it works, opened anew when it does not."""

    def __init__(
        self,
        *,
        host: str,
        port: int,
        security: str,
        login: tuple[str, str] | None,
        name: str,
        ca_file: str | None,
        timeout: float,
    ) -> None:
        self._host, self._port, self._security = host, port, security
        self._login, self._name, self._ca_file, self._timeout = login, name, ca_file, timeout
        self._open: smtplib.SMTP | None = None

    def perform(self, request: Mail | Greeting) -> Reply | Failure:
        """Hand over one e-mail. Until the final dot nothing counts as handed over.

        A kept connection that the relay has closed meanwhile is opened anew, once: nothing had been said on it.
        """
        if isinstance(request, Greeting):
            return self._greet()
        was_open = self._open is not None
        answer = self._perform(request)
        is_stale = isinstance(answer, Failure) and answer.code == "mail:reset"
        is_closing = isinstance(answer, SmtpReply) and (answer.stage, answer.code) == ("mail", 421)
        return self._perform(request) if was_open and (is_stale or is_closing) else answer

    def _greet(self) -> Reply | Failure:
        try:
            refused = self._connect() if self._open is None else None
            if refused is not None:
                return refused
            assert self._open is not None
            code, _ = self._open.docmd("NOOP")
            return SmtpReply("end", code)
        except (OSError, smtplib.SMTPException) as error:
            self._drop()
            return Failure(False, f"connect:{_kind(error)}")

    def _perform(self, request: Mail) -> Reply | Failure:
        stage = "connect"
        try:
            if self._open is None:
                refused = self._connect()
                if refused is not None:
                    return refused
            smtp = self._open
            assert smtp is not None
            for stage, command in (("mail", f"FROM:<{request.sender}>"), ("rcpt", f"TO:<{request.recipient}>")):
                code, _ = smtp.docmd(stage.upper(), command)
                if code // 100 != 2:
                    return self._refused(stage, code)
            stage = "data"
            code, _ = smtp.docmd("DATA")
            if code != 354:
                return self._refused(stage, code)
            # sendall raises unless the kernel took every byte, and the dot is the last one.
            smtp.send(_stuffed(request.content) + b".\r\n")
            stage = "end"
            code, _ = smtp.getreply()
            return SmtpReply("end", code) if code // 100 == 2 else self._refused("end", code)
        except (OSError, smtplib.SMTPException) as error:
            self._drop()
            return Failure(stage == "end", f"{stage}:{_kind(error)}")

    def flush(self) -> None:
        """Nothing is buffered here."""

    def close(self) -> None:
        """Say goodbye, if the connection still stands."""
        if self._open is not None:
            with suppress(OSError, smtplib.SMTPException):
                self._open.docmd("QUIT")
            self._drop()

    def _connect(self) -> SmtpReply | None:
        context = ssl.create_default_context(cafile=self._ca_file) if self._security != "none" else None
        # The name is given because the library would ask the DNS for it.
        if self._security == "tls":
            smtp: smtplib.SMTP = smtplib.SMTP_SSL(local_hostname=self._name, timeout=self._timeout, context=context)
        else:
            smtp = smtplib.SMTP(local_hostname=self._name, timeout=self._timeout)
        self._open = smtp
        # starttls checks the certificate against the name it finds here.
        smtp._host = self._host  # type: ignore[attr-defined]
        code, _ = smtp.connect(self._host, self._port)
        if code != 220:
            return self._hang_up("connect", code)
        code, _ = smtp.ehlo()
        if code // 100 != 2:
            return self._hang_up("connect", code)
        if self._security == "starttls":
            code, _ = smtp.starttls(context=context)
            if code != 220:
                return self._hang_up("connect", code)
            smtp.ehlo()
        if self._login is not None:
            try:
                smtp.login(*self._login)
            except smtplib.SMTPAuthenticationError as error:
                return self._hang_up("login", error.smtp_code)
        return None

    def _refused(self, stage: str, code: int) -> SmtpReply:
        """Return the refusal; the connection is made ready for the next message, or dropped if it cannot be."""
        if code == 421:
            return self._hang_up(stage, code)
        if stage != "end":
            assert self._open is not None
            try:
                reset, _ = self._open.docmd("RSET")
            except (OSError, smtplib.SMTPException):
                reset = 421
            if reset // 100 != 2:
                self._drop()
        return SmtpReply(stage, code)

    def _hang_up(self, stage: str, code: int) -> SmtpReply:
        self._drop()
        return SmtpReply(stage, code)

    def _drop(self) -> None:
        if self._open is not None:
            self._open.close()
            self._open = None


class HttpSession:
    """HTTP with kept connections: no redirects, no proxies, no retries, and timeouts.

    Unless `private_network`, a server on a loopback, private or link-local address is refused on the address that was
    really connected to, before any byte of the request leaves.
    """

    def __init__(self, *, timeout: float, private_network: bool) -> None:
        self._timeout = timeout
        self._waits = urllib3.Timeout(connect=min(timeout, 10.0), read=timeout)
        self._pools = urllib3.PoolManager(cert_reqs="CERT_REQUIRED", ca_certs=certifi.where())
        self._pools.pool_classes_by_scheme = _ANYWHERE if private_network else _PUBLIC

    def perform(self, request: HttpRequest | Exchange) -> Reply | Failure:
        """Make the call, or all calls of an exchange.

        Once the connection of a call that acts stands, the request counts as handed over.
        """
        return self._exchange(request) if isinstance(request, Exchange) else self._call(request)

    def _exchange(self, exchange: Exchange) -> HttpReply | Failure:
        steps = exchange.steps()
        has_acted = False
        answer: HttpReply | None = None
        while True:
            try:
                step = steps.send(answer)
            except StopIteration as end:
                final: HttpReply = end.value
                return final
            if isinstance(step, Pause):
                clock.sleep(step.seconds)
                answer = None
                continue
            reply = self._call(step)
            if isinstance(reply, Failure):
                steps.close()
                return Failure(has_acted or reply.handed_over, reply.code)
            has_acted = has_acted or step.acts
            answer = reply

    def _call(self, request: HttpRequest) -> HttpReply | Failure:
        try:
            response = self._pools.urlopen(
                request.method,
                request.url,
                redirect=False,
                body=request.body or None,
                headers=_headers(request),
                retries=_NEVER,
                timeout=self._waits,
                preload_content=False,
            )
            body = None
            try:
                body = self._read(response)
            finally:
                # A connection on which an answer is left unread is used no more.
                response.close() if body is None else response.release_conn()
        # What cannot be written as a request is a ValueError there.
        except (HTTPError, OSError, ValueError) as error:
            failure = _http_failure(error)
            return Failure(failure.handed_over and request.acts, failure.code)
        if body is None:
            return Failure(request.acts, "answer:too_slow_or_long")
        return HttpReply(response.status, {name.lower(): value for name, value in response.headers.items()}, body)

    def flush(self) -> None:
        """Nothing is buffered here."""

    def close(self) -> None:
        """Close all connections."""
        self._pools.clear()

    def _read(self, response: urllib3.BaseHTTPResponse) -> bytes | None:
        """Return the body; None when it is too long, or trickles in for longer than the timeout."""
        deadline = clock.monotonic() + self._timeout
        body = b""
        while True:
            chunk: bytes = response.read1(_CHUNK, decode_content=True)
            if not chunk:
                return body
            body += chunk
            if len(body) > LONGEST_ANSWER or clock.monotonic() > deadline:
                return None


_NEVER = urllib3.Retry(False, redirect=False)
_USUAL = {"accept": "*/*", "accept-encoding": "gzip, deflate", "user-agent": "tailrace"}


def _headers(request: HttpRequest) -> dict[str, str]:
    """Return the call's headers, and those that every call has; a name and password in the address are one."""
    headers = _USUAL | {name.lower(): value for name, value in request.headers.items()}
    if "@" in request.url and (told := urlsplit(request.url).netloc.rpartition("@")[0]):
        headers |= urllib3.make_headers(basic_auth=unquote(told))
    return headers


class _NotConnected(HTTPError):
    """No connection stands, so that nothing was handed over; `code` says why."""

    def __init__(self, code: str) -> None:
        self.code = code
        super().__init__(code)


class _Http(HTTPConnection):
    """Tells what went wrong before the connection stood from what did after."""

    def connect(self) -> None:
        try:
            super().connect()
        except (ssl.SSLError, ssl.CertificateError, TlsError) as error:
            raise _NotConnected("connect:tls") from error
        except (HTTPError, OSError, ValueError) as error:
            is_late = isinstance(error, ConnectTimeoutError | TimeoutError) and not isinstance(
                error, NewConnectionError
            )
            raise _NotConnected("connect:timeout" if is_late else "connect:refused") from error


class _Https(_Http, HTTPSConnection):
    pass


_EMBEDDING = (ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("::/96"))


def is_public(address: str) -> bool:
    """Return whether the address is one of the internet's; of IPv6, what it stands for in IPv4 counts."""
    peer = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(peer, ipaddress.IPv6Address):
        within = ipaddress.IPv4Address(int(peer) & 0xFFFFFFFF) if any(peer in net for net in _EMBEDDING) else None
        peer = peer.ipv4_mapped or peer.sixtofour or within or peer
    return peer.is_global and not peer.is_multicast


class _Public(HTTPConnection):
    def _new_conn(self) -> socket.socket:
        sock = super()._new_conn()
        if not is_public(sock.getpeername()[0]):
            sock.close()
            raise _NotConnected("connect:refused")
        return sock


class _PublicHttp(_Http, _Public):
    pass


class _PublicHttps(_Https, _Public):
    pass


class _HttpPool(HTTPConnectionPool):
    ConnectionCls = _Http


class _HttpsPool(HTTPSConnectionPool):
    ConnectionCls = _Https


class _PublicHttpPool(HTTPConnectionPool):
    ConnectionCls = _PublicHttp


class _PublicHttpsPool(HTTPSConnectionPool):
    ConnectionCls = _PublicHttps


_ANYWHERE = {"http": _HttpPool, "https": _HttpsPool}
_PUBLIC = {"http": _PublicHttpPool, "https": _PublicHttpsPool}


def _stuffed(content: bytes) -> bytes:
    """Return the content with every line that begins with a dot given another (RFC 5321, 4.5.2)."""
    stuffed = content.replace(b"\r\n.", b"\r\n..")
    return b"." + stuffed if stuffed.startswith(b".") else stuffed


def _http_failure(error: Exception) -> Failure:
    match error:
        case _NotConnected():
            return Failure(False, error.code)
        case HttpTimeout() | TimeoutError():
            return Failure(True, "answer:timeout")
        case ProtocolError() | ConnectionError():
            return Failure(True, "answer:reset")
    return Failure(True, "answer:broken")


_KINDS: tuple[tuple[type[Exception], str], ...] = (
    (ssl.SSLError, "tls"),
    (TimeoutError, "timeout"),
    (socket.gaierror, "dns"),
    (smtplib.SMTPServerDisconnected, "reset"),
    (ConnectionError, "reset"),
    (smtplib.SMTPNotSupportedError, "not_supported"),
)


def _kind(error: Exception) -> str:
    # smtplib reports a time-out while reading as a disconnection.
    if isinstance(error, smtplib.SMTPServerDisconnected) and isinstance(error.__context__, TimeoutError):
        return "timeout"
    return next((kind for types, kind in _KINDS if isinstance(error, types)), "broken")
