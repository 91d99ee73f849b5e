"""Intervals against closed forms and by simulation."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nash_tf.scores.intervals import Z, mean_of_shares, wilson

COUNTS = st.integers(1, 10**6).flatmap(lambda count: st.tuples(st.integers(0, count), st.just(count)))


def test_quantile():
    assert math.erf(Z / math.sqrt(2)) == pytest.approx(0.95, abs=1e-15)


@given(COUNTS)
def test_wilson_bounds_are_the_shares_that_a_score_test_just_accepts(pair):
    hits, count = pair
    for bound in wilson(hits, count):
        if 0 < bound < 1:
            assert (hits - count * bound) ** 2 == pytest.approx(Z**2 * count * bound * (1 - bound), rel=1e-6, abs=1e-6)
    low, high = wilson(hits, count)
    assert 0 <= low <= hits / count <= high <= 1 and low < high


def test_wilson_at_its_ends():
    z2 = Z**2
    assert wilson(0, 10) == (0.0, pytest.approx(z2 / (10 + z2)))
    assert wilson(10, 10) == (pytest.approx(10 / (10 + z2)), 1.0)
    assert wilson(5, 10) == (pytest.approx(0.236593, abs=1e-6), pytest.approx(0.763407, abs=1e-6))  # Newcombe 1998
    assert wilson(0, 0) is None


def test_the_mean_of_one_share_is_wilsons():
    assert mean_of_shares([7], [9]) == pytest.approx(wilson(7, 9))
    assert mean_of_shares([7, 0], [9, 0]) == pytest.approx(wilson(7, 9))  # a class without images is left out
    assert mean_of_shares([0], [0]) is None


def test_equal_shares_narrow_with_the_root_of_their_number():
    low, high = wilson(30, 100)
    one, four = mean_of_shares([30], [100]), mean_of_shares([30] * 4, [100] * 4)
    assert four == pytest.approx((0.3 - (0.3 - low) / 2, 0.3 + (high - 0.3) / 2)) and one == pytest.approx((low, high))


def test_all_right_is_not_certain():
    low, high = mean_of_shares([20, 5], [20, 5])
    assert low < 0.9 and high == 1.0


def test_both_cover_the_truth_about_95_times_of_100():
    dice = np.random.default_rng(0)
    shares, counts = np.array([0.95, 0.6, 0.3]), np.array([400, 60, 25])
    drawn = dice.binomial(counts, shares, size=(4000, 3))
    found = [mean_of_shares(hits, counts) for hits in drawn.tolist()]
    covered = np.mean([low <= shares.mean() <= high for low, high in found])
    assert 0.93 < covered < 0.975
    singles = [wilson(hits, 400) for hits in drawn[:, 0].tolist()]
    assert 0.93 < np.mean([low <= 0.95 <= high for low, high in singles]) < 0.975
