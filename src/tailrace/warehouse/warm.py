"""How does a process for dbt start at once? This process keeps a server that has imported dbt and forks (`child.py`).

The import takes two seconds and is paid once per process of ours, beside other work when `start` was called early.
Nothing else is shared: each run of dbt has a process, an environment and a working folder of its own.
"""

from __future__ import annotations

import atexit
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tailrace.settings import child_environment

# What a child needs to find Python and speak UTF-8. Everything else stays here: `env_var()` in a model reads what the
# process has, and our secrets are in the environment.
_PASSED_ON = re.compile(r"PATH|HOME|LANG|LC_\w+|TMPDIR|PYTHON\w*|VIRTUAL_ENV|LD_LIBRARY_PATH|DO_NOT_TRACK|DBT_SEND_\w+")


@dataclass(frozen=True)
class _Server:
    process: subprocess.Popen[bytes]
    control: socket.socket


_lock = threading.Lock()
_servers: list[_Server] = []


def environment() -> dict[str, str]:
    """Return the environment for dbt: what it needs of this process's, without our secrets."""
    return {name: value for name, value in child_environment().items() if _PASSED_ON.fullmatch(name)}


def start(environment: Mapping[str, str]) -> None:
    """Have dbt imported, in the background; `environment` is what Python itself is to start with."""
    with _lock:
        _running(environment)


def run(
    arguments: Sequence[str],
    environment: Mapping[str, str],
    folder: Path,
    cache: Path | None = None,
    results: Path | None = None,
    *,
    is_known: bool = False,
) -> tuple[int, str]:
    """Run dbt in a process of its own and return its exit code (negative: the signal it died of) and all it said.

    The process has this environment and no other, and works in `folder`. `cache` is dbt's cache of the project, which
    need not be read again when it `is_known`. In `results` it leaves what became of each node, when it came to nodes.
    """
    request = {
        "arguments": list(arguments),
        "environment": dict(environment),
        "folder": str(folder),
        "cache": str(cache) if cache else None,
        "is_known": is_known,
        "results": str(results) if results else None,
    }
    said, to_say = os.pipe()
    status, to_tell = os.pipe()
    with open(said, encoding="utf-8", errors="replace") as words, open(status, "rb") as end:  # noqa: PTH123
        try:
            server = _send(json.dumps(request).encode(), [to_say, to_tell], environment)
        finally:
            os.close(to_say)
            os.close(to_tell)
        try:
            text, told = words.read(), end.read()
        except BaseException:
            # Nobody will read what dbt does now: it must not go on writing.
            _stop(server)
            raise
    if told:
        return int(told), text
    # Only a server that is gone tells nothing; its forks are gone with it.
    code = server.process.wait()
    _stop(server)
    return code or -signal.SIGKILL, text


def _send(message: bytes, pipes: list[int], environment: Mapping[str, str]) -> _Server:
    with _lock:
        server = _running(environment)
        try:
            socket.send_fds(server.control, [message], pipes)
        except (BrokenPipeError, ConnectionResetError):
            # It was killed while it had nothing to do.
            _end(server)
            server = _running(environment)
            socket.send_fds(server.control, [message], pipes)
        return server


def _running(environment: Mapping[str, str]) -> _Server:
    if not _servers:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            process = subprocess.Popen(
                [sys.executable, "-m", "tailrace.warehouse.child", str(os.getpid())],
                env=dict(environment),
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        _servers.append(_Server(process, ours))
    return _servers[0]


def _stop(server: _Server) -> None:
    with _lock:
        _end(server)


def _end(server: _Server) -> None:
    """Kill the server, and with it what it forked."""
    server.control.close()
    server.process.kill()
    server.process.wait()
    if server in _servers:
        _servers.remove(server)


@atexit.register
def _end_all() -> None:
    for server in list(_servers):
        _end(server)


def _forget() -> None:
    """Leave the server to the process that started it: this one is a fork of that."""
    for server in _servers:
        server.control.close()
    _servers.clear()


os.register_at_fork(after_in_child=_forget)
