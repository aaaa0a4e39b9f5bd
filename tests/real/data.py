"""Where is the external data, if it is here? Tests that read it skip when it is not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
DATA = Path(os.environ.get("TAILRACE_REAL_DATA") or ROOT.parent / "shared" / "data")
SAAS = DATA / "saas_subscriptions"
RETAIL = DATA / "online_retail"
VISITS = DATA / "health_visits"
FILLS = DATA / "health_pharmacy_claims"
SHOP = DATA / "ecommerce_clickstream"


def needs(folder: Path) -> pytest.MarkDecorator:
    """Return the mark that skips a test when `folder` is absent."""
    return pytest.mark.skipif(
        not folder.is_dir(), reason=f"{folder} is absent; TAILRACE_REAL_DATA names the folder of the external data"
    )
