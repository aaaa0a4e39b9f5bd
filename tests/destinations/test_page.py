"""What docs/destinations.md and the pages below it say is so."""

from __future__ import annotations

import re

import pytest
from tests import destinations_page

from tailrace.destinations.base import discover

PAGES = {path.stem: path for path in sorted(destinations_page.PAGES.glob("*.md"))}


def test_the_tables_are_what_the_destinations_say_of_themselves() -> None:
    page = destinations_page.PAGE.read_text(encoding="utf-8")
    assert page == destinations_page.text(), "write it again: python -m tests.destinations_page"


def test_the_index_leads_to_every_page() -> None:
    page = destinations_page.PAGE.read_text(encoding="utf-8")
    assert {name for name in PAGES if f"(destinations/{name}.md)" not in page} == set()


@pytest.mark.parametrize("name", [name for name in PAGES if name in discover()])
def test_a_page_has_every_setting(name: str) -> None:
    texts = (path.read_text(encoding="utf-8") for path in (PAGES[name], destinations_page.PAGE))
    code = {word for text in texts for word in re.findall(r"[a-z_]+", " ".join(re.findall(r"`([^`\n]+)`", text)))}
    fields = discover()[name].Settings.model_fields
    assert {field.alias or key for key, field in fields.items()} - code == set()
