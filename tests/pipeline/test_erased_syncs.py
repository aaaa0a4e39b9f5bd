"""What the record of an erasure says of a sync is what its destination was told, whatever mode the sync has now."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tailrace.landing.erased import Destination
from tailrace.pipeline import letting_go

WAITS = Destination(name="crm", sync="sync_crm__people", n=1, words="the next plan removes them")


def words_of(mode: str, target: str = "everybody") -> str:
    model = SimpleNamespace(name="sync_crm__people", mode=mode, destination="crm", target=target)
    syncs: dict[str, Any] = {model.name: model}
    head: Any = SimpleNamespace(syncs={model.name: {"destination": "crm", "target": "everybody"}})
    return letting_go.answered(WAITS, syncs, head).words


def test_who_was_removed_by_a_mirror_was_removed_there() -> None:
    assert words_of("mirror") == "removed there"


@pytest.mark.parametrize("mode", ["upsert", "update_only", "append"])
def test_a_sync_that_is_no_mirror_any_more_has_removed_nobody(mode: str) -> None:
    assert words_of(mode) == f"a sync of mode `{mode}` removes nothing: remove them there by hand"


def test_a_sync_that_is_gone_says_what_was_to_be(tmp_path: Path) -> None:
    assert letting_go.answered(WAITS, {}, None).words == WAITS.words


def test_a_mirror_that_goes_elsewhere_now_has_removed_nobody_there() -> None:
    assert words_of("mirror", "others") == "the sync goes there no more: remove them there by hand"
