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


def test_equal_shares_of_equal_counts_are_one_share_of_all():
    assert mean_of_shares([30] * 4, [100] * 4) == pytest.approx(wilson(120, 400))
    assert mean_of_shares([9, 9], [9, 9]) == pytest.approx(wilson(18, 18))


def test_the_variance_is_that_of_the_classes():
    """A rare class makes the interval wide, whatever the common one."""
    few = mean_of_shares([500, 5], [1000, 10])
    assert few == pytest.approx(wilson(0.5 * (n := 4 / (1 / 1000 + 1 / 10)), n))
    assert few[1] - few[0] > 0.8 * (wilson(5, 10)[1] - wilson(5, 10)[0]) / 2


def test_all_right_is_not_certain():
    low, high = mean_of_shares([20, 5], [20, 5])
    assert low < 0.9 and high == 1.0


@pytest.mark.parametrize(
    ("shares", "counts"),
    [
        ((0.95, 0.6, 0.3), (400, 60, 25)),
        ((0.98,) * 10, (36,) * 10),
        ((0.99, 0.7), (900, 30)),
        ((0.3, 0.9), (900, 30)),
        ((0.8,) * 100, (10,) * 100),
    ],
)
def test_both_cover_the_truth_about_95_times_of_100(shares, counts):
    drawn = np.random.default_rng(0).binomial(counts, shares, size=(3000, len(shares)))
    found = [mean_of_shares(hits, counts) for hits in drawn.tolist()]
    assert 0.93 < np.mean([low <= np.mean(shares) <= high for low, high in found]) < 0.985
    singles = [wilson(hits, counts[0]) for hits in drawn[:, 0].tolist()]
    assert 0.93 < np.mean([low <= shares[0] <= high for low, high in singles]) < 0.985
