"""How is the command line started thirty times without importing all that it needs as often? Processes are forked.

Two servers import and fork, one for the command line, or a short program that a test has in its place, and one for its
server of dbt (`tailrace.warehouse.child`). What they fork is a process as any other: with an environment, files and a
life of its own, to be killed. Forks of one server have one seed of hashes: who compares what two processes did starts
the other with `Installation.cli`.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

ROOT = Path(__file__).parent.parent
LONGEST_REQUEST = 1 << 20


class Process:
    """A command that runs in a fork, and what `subprocess.Popen` would say of it."""

    def __init__(self, pid: int, dbt: int | None, status: int, files: Sequence[BinaryIO]) -> None:
        self.pid = pid
        self.dbt = dbt
        """The server that forks dbt for it."""
        self.returncode: int | None = None
        self._status, self._files = status, files

    def poll(self) -> int | None:
        return self.wait() if select.select([self._status], [], [], 0)[0] else self.returncode

    def wait(self) -> int:
        if self.returncode is None:
            self.returncode = int(os.read(self._status, 100))
        return self.returncode

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)

    def communicate(self) -> tuple[str, str]:
        self.wait()
        os.close(self._status)
        said = []
        for file in self._files:
            with file:
                file.seek(0)
                said.append(file.read().decode())
        return said[0], said[1]


def start(
    arguments: Sequence[str | Path],
    environment: Mapping[str, str],
    folder: Path = ROOT,
    *,
    program: str | None = None,
    is_building: bool = True,
) -> Process:
    """Start the command line, or the Python of `program`, with these arguments; a server of dbt if it `is_building`."""
    files = [tempfile.TemporaryFile() for _ in range(2)]  # noqa: SIM115 (`communicate` closes them)
    status, to_tell = os.pipe()
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    request = {
        "arguments": [str(argument) for argument in arguments],
        "environment": dict(environment),
        "folder": str(folder),
        "program": program,
    }
    with ours, theirs, Path(os.devnull).open("wb") as nobody, open(to_tell, "wb"):  # noqa: PTH123 (a descriptor)
        dbt = _ask("dbt", {}, [theirs.fileno(), nobody.fileno()]) if is_building else None
        pid = _ask("tailrace", request | {"dbt": dbt}, [*(file.fileno() for file in files), ours.fileno(), to_tell])
    return Process(pid, dbt, status, files)


def _ask(kind: str, request: Mapping[str, Any], files: Sequence[int]) -> int:
    server = _server(kind)
    socket.send_fds(server, [json.dumps(request).encode()], list(files))
    return int(server.recv(100))


@cache
def _server(kind: str) -> socket.socket:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    # The threads of OpenBLAS would be missing in a fork.
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.forks", kind],
            stdin=theirs.fileno(),
            cwd=ROOT,
            env=environment,
        )
    atexit.register(_end, ours, process)
    return ours


def _end(control: socket.socket, process: subprocess.Popen[bytes]) -> None:
    control.close()
    process.wait()


def serve(control: socket.socket, become: Callable[[dict[str, Any], list[int]], int]) -> int:
    """Fork for every request until nobody is there to ask. Return the exit code: a fork's is what it became."""
    running: dict[int, tuple[int, int]] = {}
    while True:
        for ready in select.select([control.fileno(), *running], [], [])[0]:
            if ready != control.fileno():
                pid, status = running.pop(ready)
                code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
                with contextlib.suppress(BrokenPipeError):
                    os.write(status, str(code).encode())
                os.close(status)
                os.close(ready)
                continue
            message, files, _, _ = socket.recv_fds(control, LONGEST_REQUEST, 4)
            if not message:
                return 0
            *given, status = files
            pid = os.fork()
            if pid == 0:
                for other in (control.fileno(), status, *running, *(status for _, status in running.values())):
                    os.close(other)
                return become(json.loads(message), given)
            control.send(str(pid).encode())
            running[os.pidfd_open(pid)] = pid, status
            for file in given:
                os.close(file)


class Server:
    """The process that forks dbt, as `tailrace.warehouse.warm` asks of one that it started itself."""

    def __init__(self, pid: int) -> None:
        self.pid = pid

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)

    def wait(self) -> int:
        return -signal.SIGKILL


def be_tailrace(request: dict[str, Any], files: list[int]) -> int:
    """Be the command line, to the end."""
    from tailrace.cli import main
    from tailrace.warehouse import warm

    out, err, control = files
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["folder"])
    for stream, file in ((1, out), (2, err)):
        os.dup2(file, stream)
        os.close(file)
    if request["dbt"] is not None:
        # It stands where its own would, which `start` and `run` of `warm` use when it is there.
        to_dbt = socket.socket(fileno=control)
        warm._servers.append(warm._Server(Server(request["dbt"]), to_dbt))  # type: ignore[arg-type]
    sys.argv = ["tailrace", *request["arguments"]]
    code: Any = 0
    try:
        if request["program"] is None:
            main()
        else:
            exec(request["program"], {"__name__": "__main__"})
    except SystemExit as end:
        code = end.code
    except Exception:  # noqa: BLE001 (what Python does at the end of a process)
        traceback.print_exc()
        code = 1
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    # Whatever waits at the end for threads that were there before the fork waits for ever.
    os._exit(code if isinstance(code, int) else int(code is not None))


def be_dbt(_: dict[str, Any], files: list[int]) -> int:
    """Be the server of dbt of a command line, to the end of that."""
    from tailrace.warehouse import child

    (control,) = files
    return child.main(socket.socket(fileno=control), os.getppid())


def prepare_tailrace() -> None:
    importlib.import_module("tailrace.cli.app")


def prepare_dbt() -> None:
    from tailrace.warehouse import child

    for module in child._AHEAD:
        importlib.import_module(module)
    child._make_schemas()


KINDS = {"tailrace": (prepare_tailrace, be_tailrace), "dbt": (prepare_dbt, be_dbt)}

if __name__ == "__main__":
    prepare, become = KINDS[sys.argv[1]]
    # The socket is our standard input: who is forked finds nothing there.
    ours = socket.socket(fileno=os.dup(0))
    with Path(os.devnull).open("rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    prepare()
    sys.exit(serve(ours, become))
