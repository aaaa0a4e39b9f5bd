"""The process that dbt runs in: a fork of a server that has imported dbt, killed with its parent, gone when done.

dbt keeps the DuckDB file locked for as long as its process lives, so it never runs in ours. The server (one per process
of ours, started by `warm.py`) only imports and forks: it opens nothing, and it has one thread, for a fork copies no
other. A request is one message: arguments, environment and folder as JSON, with two pipes, one for what dbt says and
one for the exit code. When our process ends, however it ends, the kernel closes its end of the socket; the server
leaves, and its forks are killed with it.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
from pathlib import Path
from typing import Any

from tailrace import garbage
from tailrace.warehouse import known, sparing
from tailrace.warehouse.wording import plain

PR_SET_PDEATHSIG = 1
LONGEST_REQUEST = 1 << 20

# What a build has imported in the end, but for `duckdb`: importing that starts a thread.
_AHEAD = ("dbt.cli.main", "dbt.task.build", "dbt.adapters.sql.connections", "resource", "sqlparse.engine")


def main(control: socket.socket, parent: int) -> int:
    """Fork a process for every request of `parent`, until that is gone. Return the exit code: a fork's is dbt's."""
    # Ctrl-C reaches the whole group; the parent decides what ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # The manifest is some hundred thousand objects that all live to the end: looking through them finds nothing.
    gc.disable()
    for module in _AHEAD:
        # The fork meets the same error, and says so to the one who asked.
        with contextlib.suppress(ImportError):
            importlib.import_module(module)
    sparing.spare()
    garbage.keep()
    server = os.getpid()
    running: dict[int, tuple[int, int]] = {}
    while True:
        for ready in select.select([control.fileno(), *running], [], [])[0]:
            if ready != control.fileno():
                _answer(ready, *running.pop(ready))
                continue
            message, pipes, _, _ = socket.recv_fds(control, LONGEST_REQUEST, 2)
            # A request may have waited here while its sender died: what nobody waits for must not write.
            if not message or os.getppid() != parent:
                return 0
            said, status = pipes
            request = json.loads(message)
            if not request["is_known"]:
                _make_schemas()
            pid = os.fork()
            if pid == 0:
                control.close()
                for other, (_, other_status) in running.items():
                    os.close(other)
                    os.close(other_status)
                os.close(status)
                code = _become_dbt(request, said, server)
                _close()
                os._exit(code)
            os.close(said)
            running[os.pidfd_open(pid)] = pid, status


def _make_schemas() -> None:
    """Have dbt make what it checks its settings with, here, once: that takes it long."""
    with contextlib.suppress(ImportError):
        from dbt.contracts import project  # noqa: PLC0415

        for settings in (project.Project, project.ProfileConfig, project.ProjectFlags, project.Configuration):
            settings.json_schema()


def _answer(ended: int, pid: int, status: int) -> None:
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    # Whoever asked may have stopped waiting.
    with contextlib.suppress(BrokenPipeError):
        os.write(status, str(code).encode())
    os.close(status)
    os.close(ended)


def _become_dbt(request: dict[str, Any], said: int, server: int) -> int:
    """Run dbt as the request says and return its exit code: 0 done, 1 some node failed, 2 dbt could not run."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != server:
        return 2
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for stream in (1, 2):
        os.dup2(said, stream)
    os.close(said)
    os.umask(0o077)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    from dbt.cli.main import dbtRunner  # noqa: PLC0415 (the server has imported it, if it is there)

    manifest = templates = None
    if request["cache"]:
        templates = known.Templates(Path(request["cache"]))
        templates.lend()
    if request["is_known"]:
        manifest = known.read(Path(request["cache"]))
        sparing.trust()
    result = dbtRunner(manifest=manifest).invoke(request["arguments"])
    if templates and request["results"]:
        templates.leave()
    if request["results"]:
        _leave(result.result, Path(request["results"]))
    if result.exception is not None:
        sys.stderr.write(f"{result.exception}\n")
        return 2
    return 0 if result.success else 1


def _close() -> None:
    """Do what is to be done when a process ends. To take Python apart after that takes as long as many a model."""
    atexit._run_exitfuncs()  # dbt closes the warehouse there
    sys.stdout.flush()
    sys.stderr.flush()


def _leave(result: Any, file: Path) -> None:
    """Write what became of each node, in words without values, when dbt came to nodes: in whole or not at all."""
    if result is None:
        return
    nodes = [
        {
            "unique_id": each.node.unique_id,
            "status": str(each.status),
            "message": plain(each.message or str(each.status)),
        }
        for each in result.results
    ]
    aside = file.with_suffix(".tmp")
    aside.write_text(json.dumps(nodes), encoding="utf-8")
    aside.replace(file)


if __name__ == "__main__":
    # The socket is our standard input. What dbt starts inherits that: it would hold our end open when we are gone.
    ours = socket.socket(fileno=os.dup(0))
    with Path(os.devnull).open("rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    sys.exit(main(ours, int(sys.argv[1])))
