"""The epochs that time is left for."""

import math

import pytest

from nash_tf.strategy.epochs_in_time import last_epoch, replanned


@pytest.mark.parametrize(
    ("seconds", "expected"), [(math.inf, 20), (150.0, 20), (149.9, 19), (40.0, 9), (9.9, 5), (0.0, 5), (-7.0, 5)]
)
def test_as_many_epochs_as_fit(seconds, expected):
    assert last_epoch(5, 20, seconds, 10.0) == expected


@pytest.mark.parametrize(
    ("wanted", "seconds", "expected"),
    [(45, 500.0, 45), (45, 420.0, 45), (45, 335.0, 35), (60, 500.0, 45), (60, 999.0, 60)],
)
def test_small_differences_of_pace_change_nothing(wanted, seconds, expected):
    assert replanned(5, wanted, 45, seconds, 10.0) == expected
