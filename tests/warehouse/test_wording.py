from __future__ import annotations

import pytest

from tailrace.warehouse.wording import plain


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        (
            "Runtime Error\n  Compilation Error in model seg_ada (models/seg_ada.sql)\n    'perfromed' is undefined",
            "'perfromed' is undefined",
        ),
        (
            'Runtime Error in model seg_ada (models/segments/seg_ada.sql)\n  Binder Error: no column "emial"',
            'Binder Error: no column "emial"',
        ),
        ("Runtime Error", "Runtime Error"),
        (
            "Conversion Error: Could not convert string 'ada@example.com' to INT32",
            "Conversion Error: Could not convert string `…` to INT32",
        ),
        ("no such person: ada@example.com", "no such person: `…`"),
        ("", "no message"),
    ],
)
def test_of_what_dbt_says_the_cause_is_kept_in_one_line_and_no_value(said: str, kept: str) -> None:
    assert plain(said) == kept
