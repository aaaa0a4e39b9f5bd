"""docs/channels.md has a section for every destination that carries messages, with every setting of it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tailrace.destinations.api import ApiSettings
from tailrace.destinations.base import discover
from tailrace.destinations.connections import CHANNELS

PAGE = (Path(__file__).parents[2] / "docs" / "channels.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^#+ ([\w-]+)\n(.*?)(?=^#+ |\Z)", PAGE, re.MULTILINE | re.DOTALL))
ELSEWHERE = {"outbox", "webhook"}
"""Their settings stand in delivery.md."""
CARRIERS = sorted(
    {name for name, module in discover().items() if module.CAPABILITIES.channels} - ELSEWHERE | {"customerio_broadcast"}
)
COMMON = {"baa", "calls_per_second", "slots", "batch_rows", *ApiSettings.model_fields} - {"host"}


@pytest.mark.parametrize("name", CARRIERS)
def test_every_setting_of_a_channel_stands_in_its_section(name):
    settings = discover()[name].Settings.model_fields
    own = {field.alias or key for key, field in settings.items()} - COMMON
    shared = {"from", "one_click"} if "email" in discover()[name].CAPABILITIES.channels else set()
    missing = sorted(word for word in own - shared if f"`{word}`" not in SECTIONS[name])
    assert missing == []


def test_the_common_settings_stand_at_the_top():
    top = PAGE.partition("## E-mail")[0]
    assert sorted(word for word in COMMON - {"batch_rows"} if f"`{word}`" not in top) == []


def test_every_channel_names_the_destinations_that_carry_it():
    for channel in CHANNELS:
        (line,) = re.findall(rf"^\| `{channel}` \|.*$", PAGE, re.MULTILINE)
        named = set(re.findall(r"\[(\w+)\]\(#", line))
        carries = {name for name, module in discover().items() if channel in module.CAPABILITIES.channels} - {"outbox"}
        assert named == carries, channel
