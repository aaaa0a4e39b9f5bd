"""The flows do what the command line does, with Prefect around it and nothing of ours inside Prefect."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from unittest.mock import patch

import pyarrow as pa
import pytest
from prefect.deployments.runner import RunnerDeployment
from ruamel.yaml import YAML

from flows import serve as serving
from tailrace import clock
from tailrace.clock import iso
from tailrace.journal.journal import Journal
from tailrace.pipeline.backfills import backfills
from tailrace.planning.store import Store
from tailrace.settings import PREFECT
from tests.conftest import Company
from tests.installation import ROOT, Installation, at, call

pytestmark = [pytest.mark.slow]

SHOW = """
import asyncio, sys
from flows.run import run
from prefect.client.orchestration import get_client
from prefect.client.schemas.sorting import ArtifactSort

run(sys.argv[1])

async def show():
    async with get_client() as client:
        for artifact in await client.read_artifacts():
            print(artifact.key, artifact.description)
            print(artifact.data)
        for flow_run in await client.read_flow_runs():
            print("state", flow_run.state.name)

asyncio.run(show())
"""


def _prefect(installation: Installation, home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = installation.environment(
        PREFECT_HOME=str(home), PREFECT_SERVER_ALLOW_EPHEMERAL_MODE="true", PYTHONPATH=f"{ROOT}:{ROOT / 'src'}"
    )
    environment.pop("PREFECT_API_URL", None)
    return subprocess.run(
        [sys.executable, *arguments], env=environment, cwd=ROOT, capture_output=True, text=True, check=False
    )


def _intents(installation: Installation) -> pa.Table:
    with Journal.open(installation.settings) as journal:
        return journal.mirror("intents", 0).drop_columns(["applied_at"])


def _outcomes(installation: Installation) -> list[tuple[str, str]]:
    with Journal.open(installation.settings) as journal:
        table = journal.mirror("outcomes", 0)
    return sorted(zip(table.column("intent_id").to_pylist(), table.column("outcome").to_pylist(), strict=True))


@pytest.fixture(scope="module")
def both(
    company: Company, day: Installation, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Installation, Installation, str, Path]:
    """The same day run as the command line does and by the flow, what the flow printed, and Prefect's home."""
    root = tmp_path_factory.mktemp("flows")
    by_hand, by_flow = day, company.copy(root / "flow")
    file = company.sample.daily[0]
    by_flow.drop(file.path)
    instant = iso(at(file.last_on, 23))
    flowed = _prefect(by_flow, root / "prefect", "-c", SHOW, instant)
    assert flowed.returncode == 0, flowed.stderr[-3000:]
    return by_hand, by_flow, flowed.stdout, root / "prefect"


@pytest.mark.torture
def test_the_flow_and_the_command_line_leave_equal_journals_and_plans(
    both: tuple[Installation, Installation, str, Path],
) -> None:
    by_hand, by_flow, _, _ = both

    assert Store(by_hand.settings).head() == Store(by_flow.settings).head()
    assert _intents(by_hand).equals(_intents(by_flow))
    assert _intents(by_hand).num_rows > 0
    assert _outcomes(by_hand) == _outcomes(by_flow)


def test_prefect_shows_the_plan_and_holds_no_address(both: tuple[Installation, Installation, str, Path]) -> None:
    _, by_flow, shown, home = both

    assert "tailrace-plan" in shown
    assert "onboarding" in shown
    assert "state Completed" in shown
    kept = [path for path in home.rglob("*") if path.is_file()]
    assert kept
    mails = [path.read_text(encoding="utf-8") for path in by_flow.settings.outbox.rglob("*.eml")]
    addresses = {
        line.removeprefix("To: ").strip() for mail in mails for line in mail.splitlines() if line[:4] == "To: "
    }
    assert addresses
    content = b"".join(path.read_bytes() for path in kept)
    assert [address for address in addresses if address.encode() in content] == []


def test_prefects_database_may_be_deleted(both: tuple[Installation, Installation, str, Path], tmp_path: Path) -> None:
    by_hand, by_flow, _, _ = both
    head = Store(by_flow.settings).head()
    copy = by_flow.copy(tmp_path / "data")

    done = call(copy, "run", "--as-of", iso(Store(by_flow.settings).read("HEAD").as_of))

    assert done.code == 0
    assert Store(by_flow.settings).head() == head == Store(by_hand.settings).head()


def test_the_deployments_name_flows_that_exist() -> None:
    deployments = YAML(typ="safe").load((ROOT / "prefect.yaml").read_text(encoding="utf-8"))["deployments"]

    for deployment in deployments:
        path, _, name = deployment["entrypoint"].partition(":")
        assert f"def {name}(" in (ROOT / path).read_text(encoding="utf-8")


def test_no_slot_at_prefect_can_keep_a_run_from_starting() -> None:
    deployments = YAML(typ="safe").load((ROOT / "prefect.yaml").read_text(encoding="utf-8"))["deployments"]

    served: list[RunnerDeployment] = []
    with patch.object(serving, "serve", lambda *made, **_: served.extend(made)):
        serving.main()

    assert [deployment for deployment in deployments if "concurrency_limit" in deployment] == []
    assert [made.name for made in served if made.concurrency_limit is not None] == []
    assert {made.name for made in served} == {deployment["name"] for deployment in deployments}


def test_what_a_worker_runs_leaves_no_logs_and_no_results_with_prefect() -> None:
    deployments = YAML(typ="safe").load((ROOT / "prefect.yaml").read_text(encoding="utf-8"))["deployments"]

    for deployment in deployments:
        told = deployment["work_pool"]["job_variables"]["env"]
        assert told == {name: value for name, value in PREFECT.items() if value == "false"}


@pytest.mark.torture
def test_a_delivery_by_flow_that_finds_one_under_way_fails_only_when_that_one_is_silent(tmp_path: Path) -> None:
    installation = Installation(tmp_path / "data")
    asked = ("-m", "flows.deliver", "--data-dir", str(installation.data_dir))

    with Journal.open(installation.settings) as journal, journal.sender(clock.now()):
        beside = _prefect(installation, tmp_path / "prefect", *asked)
    with Journal.open(installation.settings) as journal, journal.sender(clock.now() - timedelta(hours=2)):
        silent = _prefect(installation, tmp_path / "prefect", *asked)

    assert beside.returncode == 0, beside.stderr
    assert silent.returncode == 1
    assert "SenderBusy: the delivery that is under way in another process has noted nothing since" in silent.stderr


FAIL = """
import sys
from tailrace.errors import DataError
from tailrace.pipeline import spine

def fail(*_, **__):
    try:
        int("ada@example.com")
    except ValueError as error:
        if sys.argv[1] == "foreseen":
            raise DataError("line 3 has no number") from error
        raise

spine.deliver = fail
from flows.deliver import deliver

try:
    deliver(sys.argv[3], workers=int(sys.argv[2]))
finally:
    import asyncio
    from prefect.client.orchestration import get_client

    async def show():
        async with get_client() as client:
            for flow_run in await client.read_flow_runs():
                print("state", flow_run.state.name, flow_run.state.message)

    asyncio.run(show())
"""


@pytest.mark.torture
@pytest.mark.parametrize(("kind", "workers"), [("foreseen", "1"), ("unforeseen", "1"), ("unforeseen", "2")])
def test_prefect_learns_of_a_failure_only_what_we_say_and_not_the_values_that_led_to_it(
    kind: str, workers: str, tmp_path: Path
) -> None:
    installation = Installation(tmp_path / "data")

    failed = _prefect(installation, tmp_path / "prefect", "-c", FAIL, kind, workers, str(installation.data_dir))

    assert failed.returncode == 1
    expected = {"foreseen": "line 3 has no number", "unforeseen": "ValueError at <string>:8; its text is kept back"}
    assert expected[kind] in failed.stderr
    assert expected[kind] in failed.stdout, "the flow run's state"
    content = b"".join(path.read_bytes() for path in (tmp_path / "prefect").rglob("*") if path.is_file())
    assert content
    assert b"ada@" not in content + failed.stdout.encode() + failed.stderr.encode()


TRY = """
import sys
import tailrace.errors as errors
from tailrace.pipeline import spine
from flows.steps import plan

def fail(*_, **__):
    print("tried")
    kind = getattr(errors, sys.argv[1])
    raise kind(errors.Problem("policy.yml", 1, "no") if kind is errors.DefinitionError else "no")

spine.plan = fail
plan.with_options(retry_delay_seconds=0)(None, sys.argv[2])
"""


@pytest.mark.torture
@pytest.mark.parametrize(("kind", "tries"), [("DefinitionError", 1), ("StalePlan", 1), ("Busy", 3)])
def test_a_task_is_tried_again_only_where_what_was_wrong_may_pass(kind: str, tries: int, tmp_path: Path) -> None:
    failed = _prefect(Installation(tmp_path / "data"), tmp_path / "prefect", "-c", TRY, kind, "2026-01-01T00:00:00Z")

    assert failed.returncode == 1
    assert f"{kind}: " in failed.stderr
    assert failed.stdout.count("tried") == tries


@pytest.mark.torture
def test_a_backfill_by_flow_sends_nothing_and_removes_nobody(company: Company, tmp_path: Path) -> None:
    installation = company.copy(tmp_path / "data")
    before = Store(installation.settings).read("HEAD")
    day = company.sample.daily[0]

    done = _prefect(
        installation,
        tmp_path / "prefect",
        *("-m", "flows.backfill", str(day.path), "--source", "app", "--reason", "lost", "--to", iso(before.as_of)),
    )

    assert done.returncode == 0, done.stderr[-3000:]
    after = Store(installation.settings).read("HEAD")
    assert (after.cause, after.as_of, after.parent) == ("backfill", before.as_of, before.plan_id)
    assert after.counts["send"] == after.counts["sync_ops"] == 0
    (kept,) = backfills(installation.settings)
    assert (kept.who, kept.until, kept.plan_after) == ("prefect", before.as_of, after.plan_id)
    assert 0 < kept.reasons["outside_range"] <= kept.quarantined
    assert os.listdir(installation.settings.outbox) == os.listdir(company.base.settings.outbox)  # noqa: PTH208


@pytest.mark.torture
def test_a_delivery_that_is_fanned_out_leaves_what_one_sender_leaves(company: Company, tmp_path: Path) -> None:
    by_hand, by_flow = company.copy(tmp_path / "cli"), company.copy(tmp_path / "flow")
    day = company.sample.daily[0]
    instant = iso(at(day.last_on, 23))
    for installation in (by_hand, by_flow):
        installation.drop(day.path)
        plan = call(installation, "plan", "--as-of", instant, "--json").json["plan_id"]
        assert call(installation, "apply", plan).code == 0
    assert call(by_hand, "deliver", "--workers", "3").code == 0

    done = _prefect(by_flow, tmp_path / "prefect", "-m", "flows.deliver", "--workers", "3")

    assert done.returncode == 0, done.stderr[-3000:]
    assert _outcomes(by_hand)
    assert _outcomes(by_hand) == _outcomes(by_flow)
    assert done.stderr.count("deliver share") >= 3
