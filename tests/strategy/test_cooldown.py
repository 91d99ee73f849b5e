"""A cosine annealing whose end is moved, and the epochs that time is left for."""

import math
import random

import pytest

from nash_tf.strategy.cooldown import Cooldown, last_epoch, replanned
from nash_tf.strategy.schedules import annealings, phased


def rate(cooldown, epoch):
    return phased(epoch - cooldown.start, annealings([cooldown.length]), 0.1)


@pytest.mark.parametrize("seed", range(20))
def test_the_rate_never_jumps_and_ends_at_nothing(seed):
    draw = random.Random(seed)
    length = draw.randint(2, 300)
    cooldown, epoch, last = Cooldown(0.0, length), 0, length
    for more in (draw.randint(1, 40) for _ in range(5)):
        epoch += max(0, min(3, last - epoch - 1))
        before, last = rate(cooldown, epoch), epoch + more
        cooldown = cooldown.ending(epoch, last)
        assert rate(cooldown, epoch) == pytest.approx(before, abs=1e-9)
    assert rate(cooldown, last) == pytest.approx(0, abs=1e-9) and not cooldown.is_over(epoch)


def test_the_same_end_changes_nothing():
    assert Cooldown(0.0, 20.0).ending(7, 20) == pytest.approx((0, 20))


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
