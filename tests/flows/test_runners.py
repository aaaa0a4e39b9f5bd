"""Where the shares of a delivery are done is a setting; whoever does them, every message goes out once."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from prefect.task_runners import ThreadPoolTaskRunner

from flows import runners
from tailrace.errors import DefinitionError, TailraceError
from tailrace.settings import child_environment
from tests.installation import ROOT

sys.path.insert(0, str(ROOT / "tests" / "delivery"))

from delivery_world import World

PEOPLE = [f"person{n:02d}@people.test" for n in range(20)]


@pytest.mark.torture
@pytest.mark.slow
def test_two_workers_under_dask_deliver_every_message_once(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.destinations("channels: {email: outbox}\n")
    world.apply(PEOPLE)

    paths = (ROOT, ROOT / "src", ROOT / "tests" / "delivery")
    environment = child_environment(
        PYTHONPATH=":".join(map(str, paths)),
        PREFECT_HOME=str(tmp_path / "prefect"),
        PREFECT_SERVER_ALLOW_EPHEMERAL_MODE="true",
        PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS="120",
        TAILRACE_TASK_RUNNER="cluster",
    )
    environment.pop("PREFECT_API_URL", None)
    done = subprocess.run(
        [sys.executable, "-m", "tests.flows.sharing", str(tmp_path), "2"],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads(done.stdout.splitlines()[-1]) == {"accepted": len(PEOPLE), "elsewhere": True}
    assert set(world.states().values()) == {"accepted"}
    assert [world.codes(address) for address in PEOPLE] == [["claimed:", "accepted:written"]] * len(PEOPLE)
    assert world.deliver().messages.claimed == 0


def test_the_setting_names_the_runner_and_what_it_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TAILRACE_TASK_RUNNER", raising=False)
    assert isinstance(runners.chosen(), ThreadPoolTaskRunner)
    monkeypatch.setenv("TAILRACE_TASK_RUNNER", "dask")
    assert type(runners.chosen()).__name__ == "DaskTaskRunner"
    monkeypatch.setitem(sys.modules, "prefect_dask", None)
    with pytest.raises(DefinitionError, match=r"tailrace\[dask\]"):
        runners.chosen()
    monkeypatch.setenv("TAILRACE_TASK_RUNNER", "ray")
    with pytest.raises(TailraceError, match="expected threads, dask"):
        runners.chosen()
