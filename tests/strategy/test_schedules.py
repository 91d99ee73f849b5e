"""The learning rate at every step, against closed forms written another way (the half-angle form of the cosine)."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nash_tf.strategy.schedules import cosine_annealing, one_cosine, restart_every_rung, sgdr

RUNGS = (5, 10, 20, 40)
STEPS_PER_EPOCH = 7
RATE = 0.01


def annealed(done, length):
    """0.5 * (1 + cos(x)) is cos(x / 2) squared."""
    return RATE * math.cos(math.pi * done / length / 2) ** 2


def test_one_cosine_at_every_step():
    (epochs,) = one_cosine(RUNGS)
    assert epochs == 75
    total = epochs * STEPS_PER_EPOCH
    for step in range(total + 1):
        assert cosine_annealing(step, total, RATE) == pytest.approx(annealed(step, total), abs=1e-15)


def test_restarts_at_every_step():
    periods = [epochs * STEPS_PER_EPOCH for epochs in restart_every_rung(RUNGS)]
    spans = [(0, 5), (5, 15), (15, 35), (35, 75)]
    for start, end in spans:
        for step in range(start * STEPS_PER_EPOCH, end * STEPS_PER_EPOCH):
            expected = annealed(step - start * STEPS_PER_EPOCH, (end - start) * STEPS_PER_EPOCH)
            assert sgdr(step, periods, RATE) == pytest.approx(expected, abs=1e-15)


def test_the_rate_rises_only_at_5_15_and_35_epochs():
    periods = [epochs * STEPS_PER_EPOCH for epochs in RUNGS]
    rates = [sgdr(step, periods, RATE) for step in range(75 * STEPS_PER_EPOCH)]
    rises = [step for step in range(1, len(rates)) if rates[step] > rates[step - 1]]
    assert rises == [5 * STEPS_PER_EPOCH, 15 * STEPS_PER_EPOCH, 35 * STEPS_PER_EPOCH]
    assert [rates[step] for step in rises] == [RATE] * 3


@given(total=st.integers(1, 10_000), rate=st.floats(1e-6, 10))
def test_ends(total, rate):
    assert cosine_annealing(0, total, rate) == rate
    assert cosine_annealing(total / 2, total, rate) == pytest.approx(rate / 2)
    assert cosine_annealing(total, total, rate) == 0.0
    assert cosine_annealing(total + 1, total, rate) == 0.0


@given(periods=st.lists(st.integers(1, 50), min_size=1, max_size=5))
def test_after_the_last_period_the_rate_is_zero(periods):
    assert sgdr(sum(periods), periods, RATE) == 0.0
    assert sgdr(sum(periods) + 1, periods, RATE) == 0.0


@given(period=st.integers(1, 200), step=st.integers(0, 250))
def test_one_period_is_one_cosine(period, step):
    assert sgdr(step, [period], RATE) == cosine_annealing(step, period, RATE)
