"""What the record of an erasure says of a sync is what its destination was told, whatever mode the sync has now."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tailrace.landing.erased import Destination
from tailrace.pipeline import erasing

WAITS = Destination(name="crm", sync="sync_crm__people", n=1, words="the next plan removes them")


def answered(mode: str) -> str:
    syncs: dict[str, Any] = {"sync_crm__people": SimpleNamespace(mode=mode)}
    return erasing._answered(WAITS, syncs).words


def test_who_was_removed_by_a_mirror_was_removed_there() -> None:
    assert answered("mirror") == "removed there"


@pytest.mark.parametrize("mode", ["upsert", "update_only", "append"])
def test_a_sync_that_is_no_mirror_any_more_has_removed_nobody(mode: str) -> None:
    assert answered(mode) == f"a sync of mode `{mode}` removes nothing: remove them there by hand"


def test_a_sync_that_is_gone_says_what_was_to_be(tmp_path: Path) -> None:
    assert erasing._answered(WAITS, {}).words == WAITS.words
