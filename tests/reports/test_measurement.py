import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.reports.measurement import MISMATCH, Group, interval, lift, mismatch

groups = st.integers(1, 5000).flatmap(lambda n: st.builds(Group, st.just(n), st.integers(0, n)))


def test_the_interval_is_the_one_that_newcombe_printed() -> None:
    # Newcombe 1998, table II, method 10: 56/70 against 48/80.
    found = lift(Group(70, 56), Group(80, 48))
    assert found is not None
    assert (round(found.low / 100, 4), round(found.high / 100, 4)) == (0.0524, 0.3339)
    assert found.points == pytest.approx(20)


def test_the_interval_of_nothing_against_nothing_is_the_one_that_newcombe_printed() -> None:
    found = lift(Group(10, 0), Group(10, 0))
    assert found is not None
    assert (round(found.low / 100, 4), round(found.high / 100, 4)) == (-0.2775, 0.2775)
    assert not found.is_enough


def test_wilson_against_its_closed_form() -> None:
    group, z = Group(263, 81), 1.959963984540054
    centre = (81 + z * z / 2) / (263 + z * z)
    half = z * math.sqrt(81 * (263 - 81) / 263 + z * z / 4) / (263 + z * z)
    assert interval(group) == pytest.approx((centre - half, centre + half))


@given(groups, groups)
def test_the_difference_lies_in_its_interval_and_turning_it_round_turns_the_sign(one: Group, other: Group) -> None:
    there, back = lift(one, other), lift(other, one)
    assert there is not None
    assert back is not None
    assert there.low - 1e-9 <= there.points <= there.high + 1e-9
    assert (back.low, back.high) == pytest.approx((-there.high, -there.low), abs=1e-9)


@pytest.mark.parametrize(
    ("treated", "control"),
    [
        (Group(12, 12), Group(12, 0)),
        (Group(1000, 996), Group(1000, 500)),
        (Group(1000, 4), Group(1000, 500)),
        (Group(1000, 500), Group(1000, 996)),
        (Group(1000, 500), Group(1000, 4)),
    ],
)
def test_a_small_sample_says_so(treated: Group, control: Group) -> None:
    found = lift(treated, control)
    assert found is not None
    assert not found.is_enough


def test_a_large_difference_in_a_large_sample_is_clear() -> None:
    found = lift(Group(1000, 200), Group(1000, 100))
    assert found is not None
    assert found.is_enough
    assert found.low > 0
    assert found.relative == pytest.approx(1.0)


def test_nobody_in_a_group_is_no_lift() -> None:
    assert lift(Group(0, 0), Group(10, 1)) is None
    assert Group(0, 0).share is None


def test_more_conversions_than_people_are_refused() -> None:
    with pytest.raises(ValueError, match="expected 0 to 10"):
        Group(10, 11)


def test_a_fair_split_is_no_mismatch_and_a_skewed_one_is() -> None:
    fair = mismatch({"a": 5021, "b": 4979}, {"a": 50, "b": 50})
    skewed = mismatch({"a": 5300, "b": 4700}, {"a": 50, "b": 50})
    assert fair is not None
    assert fair > MISMATCH
    assert skewed is not None
    assert skewed < MISMATCH


def test_an_empty_arm_counts_and_somebody_in_an_arm_without_weight_is_a_mismatch() -> None:
    gone = mismatch({"a": 1000}, {"a": 50, "b": 50})
    assert gone is not None
    assert gone < MISMATCH
    assert mismatch({"a": 10, "b": 1}, {"a": 100, "b": 0}) == 0.0
    assert mismatch({}, {"a": 50, "b": 50}) is None
