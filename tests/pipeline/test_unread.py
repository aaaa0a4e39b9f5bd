"""A run goes on without a database that is down, says so, and what is silent for it is parked as it would be anyway."""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path

import pytest

from tailrace import clock
from tests.conftest import Company
from tests.installation import PROJECT, at, call

pytestmark = pytest.mark.slow

TABLE = """format: postgres
connection: {url_env: SHOP_DATABASE_URL}
table: public.events
key: id
mapping: {type: {const: track}, event: {const: paid}, user_id: who, timestamp: at}
expect_every: 24h
"""


@pytest.mark.torture
def test_a_run_goes_on_without_a_source_that_is_down_and_the_guard_of_silence_sees_it(
    company: Company, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = tmp_path / "project"
    shutil.copytree(PROJECT, project, ignore=shutil.ignore_patterns("target", "logs"))
    contract = project / "contracts" / "sources" / "app.yml"
    rest = [line for line in contract.read_text().splitlines() if not line.startswith(("format:", "expect_every:"))]
    contract.write_text(TABLE + "\n".join(rest) + "\n")
    installation = company.copy(tmp_path / "data", project)
    shutil.rmtree(installation.settings.inbox / "app", ignore_errors=True)
    monkeypatch.setenv("SHOP_DATABASE_URL", "postgresql://canary:canary@/d?host=/nowhere")
    as_of = clock.iso(at(company.sample.daily[0].last_on, 23) + timedelta(days=3))

    done = call(installation, "run", "--as-of", as_of, "--json")

    assert done.code == done.json["exit_code"] == 3
    assert list(done.json["unread_sources"]) == ["app"]
    assert "cannot be reached" in done.json["unread_sources"]["app"]
    assert {"build", "plan", "apply", "deliver"} <= done.json["steps"].keys()
    assert ("source_stale_after", "source:app") in {(one["guard"], one["subject"]) for one in done.json["tripped"]}
    again = call(installation, "run", "--as-of", as_of)
    assert again.code == 3
    assert "source app was not read, the rest was done without it, and the next run reads it" in again.err
    assert "canary" not in again.err + again.out + done.out
