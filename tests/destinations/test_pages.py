"""Each destination's page: its examples are connections, its settings are all there, its links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tailrace.destinations.base import discover
from tailrace.destinations.connections import load_connections
from tailrace.settings import Settings

PAGES = sorted((Path(__file__).parents[2] / "docs" / "destinations").glob("*.md"))
OF_THEIR_OWN = [page for page in PAGES if page.stem in discover()]
# What every connection has: docs/destinations.md and docs/delivery.md say it once.
OF_ALL = {"baa", "calls_per_second", "base_url", "private_network", "timeout_seconds", "slots", "batch_rows"}
pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)


@pages
def test_the_connections_that_it_shows_are_connections(page, tmp_path):
    shown = [
        block for block in re.findall(r"```yaml\n(.*?)```", page.read_text(), re.DOTALL) if "connections:" in block
    ]
    for block in shown:
        (tmp_path / "destinations.yml").write_text(block)
        found = load_connections(Settings(data_dir=tmp_path, project_dir=tmp_path, threads=1))
        assert len(found.names) > 1
        if page in OF_THEIR_OWN:
            assert page.stem in {connection.type for connection in found.by_name.values()}
    assert shown or page not in OF_THEIR_OWN


@pytest.mark.parametrize("page", OF_THEIR_OWN, ids=lambda page: page.stem)
def test_it_names_every_setting_of_its_own(page):
    kind = discover()[page.stem].Settings
    has_one_host = len(set(getattr(kind, "hosts", {}).values())) == 1
    own = [field.alias or name for name, field in kind.model_fields.items() if name not in OF_ALL]
    text = page.read_text()
    assert [name for name in own if f"`{name}`" not in text and not (name == "region" and has_one_host)] == []


@pages
def test_its_links_lead_somewhere(page):
    for link in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
        assert "://" in link or (page.parent / link).exists(), link
