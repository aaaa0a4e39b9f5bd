"""How does a file come to stand in a folder of another machine, over SSH?

Until it is renamed there is nothing that a reader would take for it. The host's key is compared with the one that is
pinned before anything is said of who we are; a host that is not known is not spoken to.
"""

from __future__ import annotations

import base64
import binascii
import io
import logging
from contextlib import suppress
from importlib import import_module
from typing import Any

from tailrace import crash
from tailrace.destinations.base import Failure, FileWrite
from tailrace.destinations.stores import ALREADY_THERE, REASONS, STORED, StoreAnswer, StoreProbe
from tailrace.errors import DestinationError

_UNSUPPORTED = "unsupported"
_UNKNOWN_HOST = "not found in known_hosts"
"""Words of the server and of the library, which have no codes for these."""


class SftpSession:
    """One SSH connection, opened when first used, used again while it works, opened anew when it does not.

    Raises DestinationError when the library is missing, or a pinned key or our own cannot be read.
    """

    def __init__(
        self,
        *,
        host: str,
        port: int,
        username: str,
        folder: str,
        host_keys: list[str],
        known_hosts: str | None,
        key: str | None,
        passphrase: str | None,
        password: str | None,
        timeout: float,
    ) -> None:
        try:
            self._library: Any = import_module("paramiko")
        except ImportError as error:
            raise DestinationError(
                "paramiko is not installed; expected it to write over SSH: install the extra, `pip install"
                " 'tailrace[sftp]'`"
            ) from error
        # Its threads tell of every failure at length, beside the answer that the caller gets.
        talk = logging.getLogger("paramiko")
        talk.propagate = False
        talk.addHandler(logging.NullHandler())
        self._host, self._port, self._username, self._timeout = host, port, username, timeout
        self._folder = folder.rstrip("/") or "/"
        self._password = password
        self._key = self._read_key(key, passphrase) if key is not None else None
        self._known = self._read_known(host_keys, known_hosts)
        self._client: Any = None
        self._files: Any = None

    def perform(self, request: FileWrite | StoreProbe) -> StoreAnswer | Failure:
        """Put the file in place, unless one of its name and size is there.

        A kept connection that the server has closed meanwhile is opened anew, once: nothing had been renamed on it.
        """
        was_open = self._files is not None
        answer = self._perform(request)
        is_stale = isinstance(answer, Failure) and not answer.handed_over
        return self._perform(request) if was_open and is_stale else answer

    def flush(self) -> None:
        """Nothing is buffered here."""

    def close(self) -> None:
        """Hang up."""
        if self._client is not None:
            self._client.close()
        self._client = self._files = None

    def _perform(self, request: FileWrite | StoreProbe) -> StoreAnswer | Failure:
        ssh = self._library
        stage = ["connect"]
        try:
            if self._files is None:
                self._connect()
            stage[0] = "write"
            self._files.stat(self._folder)
            return StoreAnswer(STORED) if isinstance(request, StoreProbe) else self._put(request, stage)
        except ssh.SSHException as error:
            return self._broken(stage[0], error)
        except EOFError:
            return self._lost(stage[0], "reset")
        except OSError as error:
            return self._failed(stage[0], error)

    def _connect(self) -> None:
        client = self._library.SSHClient()
        client.set_missing_host_key_policy(self._library.RejectPolicy())
        for name, key in self._known:
            client.get_host_keys().add(name, key.get_name(), key)
        try:
            client.connect(
                self._host,
                self._port,
                self._username,
                password=self._password,
                pkey=self._key,
                allow_agent=False,
                look_for_keys=False,
                timeout=min(self._timeout, 10.0),
                banner_timeout=self._timeout,
                auth_timeout=self._timeout,
                channel_timeout=self._timeout,
            )
            files = client.open_sftp()
            files.get_channel().settimeout(self._timeout)
        except BaseException:
            client.close()
            raise
        self._client, self._files = client, files

    def _put(self, request: FileWrite, stage: list[str]) -> StoreAnswer:
        folder = self._folder
        for part in request.folder.split("/"):
            folder = f"{folder.rstrip('/')}/{part}"
            if self._size(folder) is None:
                self._files.mkdir(folder)
        final, aside = f"{folder}/{request.name}", f"{folder}/.{request.name}.part"
        if self._size(final) == len(request.content):
            return StoreAnswer(ALREADY_THERE)
        with self._files.open(aside, "wb") as handle:
            handle.set_pipelined(True)
            handle.write(request.content)
        if self._size(aside) != len(request.content):
            return StoreAnswer("cut_short")
        crash.here("store.aside")
        stage[0] = "rename"
        self._rename(aside, final)
        crash.here("store.put")
        return StoreAnswer(STORED)

    def _rename(self, aside: str, final: str) -> None:
        try:
            self._files.posix_rename(aside, final)
        except OSError as error:
            if _UNSUPPORTED not in str(error).lower():
                raise
            # The protocol's own renaming takes no name that is taken.
            if self._size(final) is not None:
                self._files.remove(final)
            self._files.rename(aside, final)

    def _size(self, path: str) -> int | None:
        try:
            size: int | None = self._files.stat(path).st_size
        except FileNotFoundError:
            return None
        return size

    def _broken(self, stage: str, error: Exception) -> StoreAnswer | Failure:
        ssh = self._library
        if isinstance(error, ssh.BadHostKeyException):
            code = "host_key_changed"
        elif isinstance(error, ssh.AuthenticationException):
            code = "login_refused"
        elif stage == "connect" and _UNKNOWN_HOST in str(error):
            code = "host_key_unknown"
        else:
            return self._lost(stage, "broken")
        self.close()
        return StoreAnswer(code)

    def _lost(self, stage: str, kind: str) -> Failure:
        self.close()
        return Failure(stage == "rename", f"{stage}:{kind}")

    def _failed(self, stage: str, error: OSError) -> StoreAnswer | Failure:
        """Return what the server said of a file, or that the connection failed.

        What the library has from the server is a bare OSError, of few kinds with a number.
        """
        if isinstance(error, TimeoutError):
            return self._lost(stage, "timeout")
        if stage == "connect":
            return self._lost(stage, "refused")
        if isinstance(error, ConnectionError) or "closed" in str(error):
            return self._lost(stage, "reset")
        return StoreAnswer(REASONS.get(error.errno or 0, "refused_by_server"))

    def _read_key(self, text: str, passphrase: str | None) -> Any:
        ssh = self._library
        for kind in (ssh.Ed25519Key, ssh.ECDSAKey, ssh.RSAKey):
            with suppress(ssh.SSHException, ValueError, IndexError):
                return kind.from_private_key(io.StringIO(text), passphrase)
        raise DestinationError(
            "the private key for SSH cannot be read; expected an Ed25519, ECDSA or RSA key in OpenSSH's or PEM form,"
            " and its passphrase if it has one"
        )

    def _read_known(self, host_keys: list[str], known_hosts: str | None) -> list[tuple[str, Any]]:
        name = self._host if self._port == 22 else f"[{self._host}]:{self._port}"
        known = []
        for line in host_keys:
            kind, _, rest = line.partition(" ")
            try:
                known.append((name, self._library.PKey.from_type_string(kind, base64.b64decode(rest.split()[0]))))
            except (binascii.Error, IndexError, ValueError, self._library.SSHException, self._library.UnknownKeyType):
                raise DestinationError(
                    "`host_keys` has an entry that is no public key; expected one such as `ssh-ed25519 AAAA…`, as"
                    " `ssh-keyscan HOST` prints it"
                ) from None
        if known_hosts is not None:
            try:
                listed = self._library.HostKeys(known_hosts)
            except OSError as error:
                raise DestinationError(
                    f"{known_hosts}: cannot be read ({type(error).__name__}); expected a file such as"
                    " ~/.ssh/known_hosts"
                ) from None
            found = listed.lookup(name) or {}
            known += [(name, found[kind]) for kind in found]
        return known
