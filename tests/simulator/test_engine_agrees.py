"""Engine and simulator make the same of every case: who stands where, who moved, every verdict, every act."""

from __future__ import annotations

import tempfile
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, given, settings

from tailrace.planning import exits
from tests.examples import examples
from tests.simulator.cases import Case, cases
from tests.simulator.engine import (
    Player,
    engine_acts,
    engine_moves,
    engine_passes,
    engine_verdicts,
    simulated_acts,
    simulated_moves,
    simulated_passes,
    simulated_verdicts,
)

# A case is longer than hypothesis likes to print; raised as an error, that would hide what disagrees.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:Generating overly large repr")]


# 30 people in three campaigns are 90 walks over four to seven runs: 24 draws are 2,160 walks, looked at 12,000 times.
@settings(max_examples=examples(24, share=8), suppress_health_check=list(HealthCheck))
@given(cases())
def test_engine_and_simulator_agree_on_every_pass_move_verdict_and_act(case: Case) -> None:
    with tempfile.TemporaryDirectory() as root, patch.object(exits, "FEW", case.few):
        player = Player(case, Path(root))
        for number, (plan, ran) in enumerate(player.play()):
            world, here = player.world, f"turn {number}"
            slugs = {each.id: slug for slug, passes in player.simulator.passes.items() for each in passes.values()}
            assert engine_moves(world, plan) == simulated_moves(ran), here
            assert engine_verdicts(world, plan) == simulated_verdicts(ran), here
            assert engine_passes(world, plan) == simulated_passes(player.simulator), here
            assert engine_acts(world, plan) == simulated_acts(ran, slugs), here
