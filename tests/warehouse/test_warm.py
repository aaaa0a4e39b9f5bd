"""dbt's processes come from a server that has imported dbt: one import, and nothing else shared."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from tailrace import clock
from tailrace.errors import BuildError
from tailrace.settings import Settings, child_environment
from tailrace.warehouse import runner, warm
from tests.warehouse.cast import PROJECT

HELP = ["--version"]
HERE = Path()
PROFILE = "x: {target: a, outputs: {a: {type: duckdb}}}\n"
STARTS_AND_ENDS = """
from pathlib import Path
from tailrace.settings import child_environment
from tailrace.warehouse import warm
warm.run(["--version"], child_environment(), Path())
print(warm._servers[0].process.pid)
"""


DIES_HAVING_ASKED = """
import json, os, signal, sys
from tailrace.settings import child_environment
from tailrace.warehouse import warm
warm.start(child_environment())
pid = warm._servers[0].process.pid
os.kill(pid, signal.SIGSTOP)
print(pid, flush=True)
request = {"arguments": ["init", "written"], "environment": child_environment(), "folder": sys.argv[1]}
warm._send(json.dumps(request).encode(), [0, 0], child_environment())
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Ctrl-C raises KeyboardInterrupt, as in a terminal: a process that was started in the background ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def server() -> psutil.Process:
    """The server of this process, which has answered."""
    assert warm.run(HELP, child_environment(), HERE)[0] == 0
    return psutil.Process(warm._servers[0].process.pid)


def gone(pid: int) -> bool:
    """Return whether the process ends within a minute: on a busy machine it may be importing."""
    until = clock.monotonic() + 60
    while clock.monotonic() < until:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        clock.sleep(0.005)
    return False


def wait_for_fork(server: psutil.Process) -> psutil.Process:
    while not server.children():
        clock.sleep(0.002)
    return server.children()[0]


@pytest.mark.torture
def test_every_run_comes_from_one_server_which_has_one_thread_and_has_not_opened_duckdb(server: psutil.Process) -> None:
    for _ in range(2):
        code, said = warm.run(HELP, child_environment(), HERE)
        assert code == 0
        assert "duckdb" in said
    assert [each.process.pid for each in warm._servers] == [server.pid]
    assert server.num_threads() == 1
    assert not [each.path for each in server.memory_maps() if "duckdb" in each.path]


def test_what_dbt_starts_does_not_hold_the_servers_end_of_the_socket(server: psutil.Process) -> None:
    # Standard input is what a process inherits whatever is closed for it.
    assert Path(f"/proc/{server.pid}/fd/0").readlink() == Path(os.devnull)


@pytest.mark.torture
def test_a_run_has_its_own_environment_and_folder_and_leaves_nothing_to_the_next(
    server: psutil.Process, tmp_path: Path
) -> None:
    project = tmp_path / "here"
    project.mkdir()
    (project / "dbt_project.yml").write_text("name: \"{{ env_var('DO_NOT_TRACK') }}\"\nprofile: x\n")
    (project / "profiles.yml").write_text(PROFILE)
    parse = ["parse", "--profiles-dir", str(project)]
    _, first = warm.run(parse, child_environment(DO_NOT_TRACK="not a name"), project)
    _, second = warm.run(parse, child_environment(DO_NOT_TRACK="not a name"), tmp_path)
    # The server has the variable; who asks for a run without it gets one without it.
    without = {name: value for name, value in child_environment().items() if name != "DO_NOT_TRACK"}
    _, third = warm.run(parse, without, project)
    assert "not a name" in first
    assert "No dbt_project.yml found" in second
    assert "'DO_NOT_TRACK'" in third
    assert server.is_running()


def test_runs_at_the_same_time_hear_only_themselves(server: psutil.Process) -> None:
    def ask(word: str) -> tuple[int, str]:
        return warm.run([word], child_environment(), HERE)

    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(ask, ["aaaa", "bbbb", "cccc", "dddd"]))
    for word, (code, said) in zip(["aaaa", "bbbb", "cccc", "dddd"], answers, strict=True):
        assert code == 2
        assert [other for other in ("aaaa", "bbbb", "cccc", "dddd") if other in said] == [word]
    assert len(warm._servers) == 1
    assert server.is_running()


@pytest.mark.torture
def test_the_server_outlives_the_thread_that_started_it() -> None:
    warm._end_all()
    thread = threading.Thread(target=lambda: warm.run(HELP, child_environment(), HERE))
    thread.start()
    thread.join()
    pid = warm._servers[0].process.pid
    assert warm.run(HELP, child_environment(), HERE)[0] == 0
    assert warm._servers[0].process.pid == pid


@pytest.mark.torture
def test_an_idle_server_that_was_killed_is_started_again(server: psutil.Process) -> None:
    server.kill()
    assert gone(server.pid)
    assert warm.run(HELP, child_environment(), HERE)[0] == 0
    assert warm._servers[0].process.pid != server.pid


@pytest.mark.parametrize("whom", ["server", pytest.param("dbt", marks=pytest.mark.torture)])
def test_a_kill_in_the_middle_is_told_and_the_next_run_works(server: psutil.Process, tmp_path: Path, whom: str) -> None:
    settings = Settings(data_dir=tmp_path / "data", project_dir=PROJECT)
    with ThreadPoolExecutor(1) as beside:
        asked = beside.submit(runner._run, *parsing(settings))
        fork = wait_for_fork(server)
        (server if whom == "server" else fork).kill()
        assert asked.result()[0] == -signal.SIGKILL
    assert gone(fork.pid)
    assert warm.run(HELP, child_environment(), HERE)[0] == 0


def parsing(settings: Settings) -> tuple[Settings, list[str], None]:
    runner.write_profile(settings, ())
    return settings, ["parse"], None


PARSES = """
import sys
from pathlib import Path
from tailrace.settings import Settings
from tailrace.warehouse import runner
runner.parse(Settings(data_dir=Path(sys.argv[1]), project_dir=Path(sys.argv[2])))
"""


@pytest.mark.torture
def test_killing_the_one_who_asked_ends_dbt_and_the_server(tmp_path: Path) -> None:
    asker = subprocess.Popen([sys.executable, "-c", PARSES, str(tmp_path / "data"), str(PROJECT)])
    ours = psutil.Process(asker.pid)
    while not ours.children():
        clock.sleep(0.002)
    server = ours.children()[0]
    fork = wait_for_fork(server)
    asker.kill()
    asker.wait()
    assert gone(fork.pid)
    assert gone(server.pid)


@pytest.mark.torture
def test_a_request_whose_sender_is_dead_is_not_run(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", DIES_HAVING_ASKED, str(tmp_path)], stdout=subprocess.PIPE, text=True, check=False
    )
    assert done.returncode == -signal.SIGKILL
    os.kill(int(done.stdout), signal.SIGCONT)
    assert gone(int(done.stdout))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.torture
def test_the_server_ends_with_a_process_that_ends_well() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", STARTS_AND_ENDS], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert gone(int(done.stdout))


@pytest.mark.torture
def test_a_fork_of_ours_starts_a_server_of_its_own(server: psutil.Process) -> None:
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        warm.run(HELP, child_environment(), HERE)
        os.write(writing, str(warm._servers[0].process.pid).encode())
        warm._end_all()
        os._exit(0)
    os.waitpid(pid, 0)
    other = int(os.read(reading, 20))
    os.close(reading)
    os.close(writing)
    assert other != server.pid
    assert warm.run(HELP, child_environment(), HERE)[0] == 0


@pytest.mark.torture
@pytest.mark.usefixtures("interruptible")
def test_a_wait_that_is_broken_off_leaves_no_writer(server: psutil.Process, tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "data", project_dir=PROJECT)
    arguments = parsing(settings)
    found: list[int] = []

    def interrupt() -> None:
        found.append(wait_for_fork(server).pid)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    with ThreadPoolExecutor(1) as beside:
        waiting = beside.submit(interrupt)
        with pytest.raises(KeyboardInterrupt):
            runner._run(*arguments)
        waiting.result()
    assert gone(found[0])
    assert gone(server.pid)


@pytest.mark.torture
@pytest.mark.parametrize(
    ("module", "source", "why"),
    [
        ("dbt", "raise ImportError('no dbt is here')", r"\(ImportError: no dbt is here\)"),
        ("dbt/cli/main", "def dbtRunner(**_):\n    raise RuntimeError('of ada@people.test')", r"\(RuntimeError\)"),
        ("tailrace", "raise ImportError('half of it')", r"\(exit code 1\)"),
    ],
)
def test_an_installation_that_is_broken_is_said_to_be(
    module: str, source: str, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packages = tmp_path / "packages"
    for part in (place := packages / module, *place.parents):
        if part == packages:
            break
        part.mkdir(parents=True, exist_ok=True)
        (part / "__init__.py").write_text(source if part == place else "")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(packages), os.environ.get("PYTHONPATH", "")]))
    warm._end_all()
    try:
        with pytest.raises(BuildError, match=rf"before it came to the project {why}; expected an installation"):
            runner.parse(Settings(data_dir=tmp_path / "data", project_dir=PROJECT))
    finally:
        warm._end_all()
