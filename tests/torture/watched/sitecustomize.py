"""Loaded by every Python process that has this folder on PYTHONPATH: writes down whom it talks to, and its telemetry.

Environment variables do not reach every child, so the notes go to the folder `notes` beside this file's copy.
"""

import json
import os
import sys
from pathlib import Path

_NOTES = Path(__file__).parent / "notes" / str(os.getpid())
_TELEMETRY = ("DO_NOT_TRACK", "DBT_SEND_ANONYMOUS_USAGE_STATS")
_WATCHED = {"socket.connect": 1, "socket.sendto": 1, "socket.getaddrinfo": 0, "socket.gethostbyname": 0}


def _note(**facts: object) -> None:
    handle = os.open(_NOTES, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(handle, (json.dumps(facts) + "\n").encode())
    finally:
        os.close(handle)


def _hook(event: str, arguments: tuple[object, ...]) -> None:
    if event in _WATCHED:
        where = arguments[_WATCHED[event]]
        host = where[0] if isinstance(where, tuple) else where
        _note(event=event, host=host.decode() if isinstance(host, bytes) else str(host))


if _NOTES.parent.is_dir():
    _note(argv=sys.orig_argv, telemetry={name: os.environ.get(name) for name in _TELEMETRY})
    sys.addaudithook(_hook)
