"""What a payload says of the hours in which its message may leave."""

from __future__ import annotations

import json

from tests.planning.world import HOUR, START, World, campaign


def test_the_payload_carries_the_hours_that_its_message_has_to_keep(world: World) -> None:
    window = {"days": [1, 2, 3, 4, 5], "from": 540, "to": 1080}
    world.person("tess", timezone="Pacific/Auckland")
    world.segment("seg_trial")
    world.campaigns = [campaign(window=window), campaign("always")]
    world.plan(START)
    world.segment("seg_trial", "tess")
    plan = world.plan(START + HOUR)

    found = dict(world.rows(plan, "payloads", "campaign", "hours"))
    assert found["always"] is None
    assert json.loads(found["welcome"]) == {
        "zone": "Pacific/Auckland",
        "days": [1, 2, 3, 4, 5],
        "from": 540,
        "to": 1080,
        "quiet_days": None,
        "quiet_from": None,
        "quiet_to": None,
    }
