"""A real SSH server in this process, with a folder that SFTP writes to."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import asyncssh

PASSWORD = "canary-password-of-the-host"


class _Who(asyncssh.SSHServer):
    def __init__(self, host: Host) -> None:
        self._host = host

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._host.connections.append(conn)

    def begin_auth(self, username: str) -> bool:
        return True

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        return (username, password) == ("tailrace", PASSWORD)

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        return key == self._host.client_key.convert_to_public()


class Host:
    """The server, running; `files` is the class of its SFTP side, which a test may replace before it connects."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.host_key = asyncssh.generate_private_key("ssh-ed25519")
        self.client_key = asyncssh.generate_private_key("ssh-ed25519")
        self.connections: list[Any] = []
        self.files: type[asyncssh.SFTPServer] = asyncssh.SFTPServer
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server = self._run(self._begin())
        self.port = self._server.get_port()

    async def _begin(self) -> Any:
        return await asyncssh.create_server(
            lambda: _Who(self),
            "127.0.0.1",
            0,
            server_host_keys=[self.host_key],
            sftp_factory=lambda chan: self.files(chan, chroot=str(self.root).encode()),
        )

    @property
    def public_key(self) -> str:
        return self.host_key.export_public_key().decode().strip()

    @property
    def private_key(self) -> str:
        return self.client_key.export_private_key().decode()

    def hang_up(self) -> None:
        """Close every connection there is."""

        async def abort() -> None:
            for each in self.connections:
                each.abort()

        self._run(abort())
        self.connections.clear()

    def close(self) -> None:
        self.hang_up()
        self._run(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _end(self) -> None:
        self._server.close()
        await self._server.wait_closed()

    def _run(self, what: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(what, self._loop).result(20)
